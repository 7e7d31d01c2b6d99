create function api.set_norm_profile(
    warehouse text, storage_mode text, climate_group int default null, store_group text default null, packaging text default null,
    temperature float8 default null, distance_km float8 default null
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    place_id int := internal.find_warehouse(warehouse);
begin
    if storage_mode is null or storage_mode not in ('warehouse', 'retail', 'refrigerator', 'transport') then
        raise exception 'unknown storage mode %', coalesce(storage_mode, 'NULL')
            using errcode = '22023', hint = 'Use warehouse, retail, refrigerator or transport.';
    end if;
    if climate_group not between 1 and 3 then
        raise exception 'unknown climate group %', climate_group using errcode = '22023', hint = 'Use 1, 2 or 3, or NULL.';
    end if;
    if temperature not between -273 and 200 then
        raise exception 'a temperature of % C cannot be', temperature using errcode = '22023', hint = 'Give it in degrees Celsius.';
    end if;
    if not (distance_km > 0 and distance_km < 1000000) or (distance_km is not null and storage_mode <> 'transport') then
        raise exception 'a distance of % km cannot be for %', distance_km, storage_mode
            using errcode = '22023', hint = 'Give it for transport only, above zero.';
    end if;
    insert into core.norm_profiles as p (warehouse_id, storage_mode, climate_group, store_group, packaging, temperature, distance_km)
    values (place_id, set_norm_profile.storage_mode, set_norm_profile.climate_group, internal.normalize_name(set_norm_profile.store_group),
        internal.normalize_name(set_norm_profile.packaging), set_norm_profile.temperature, set_norm_profile.distance_km)
    on conflict (warehouse_id) do update
        set storage_mode = excluded.storage_mode, climate_group = excluded.climate_group, store_group = excluded.store_group,
            packaging = excluded.packaging, temperature = excluded.temperature, distance_km = excluded.distance_km
        where (p.storage_mode, p.climate_group, p.store_group, p.packaging, p.temperature, p.distance_km)
            is distinct from
            (excluded.storage_mode, excluded.climate_group, excluded.store_group, excluded.packaging, excluded.temperature, excluded.distance_km);
    return place_id;
end
$$;

comment on function api.set_norm_profile(text, text, int, text, text, float8, float8) is
'Says how a warehouse keeps its goods, and so which norms of natural loss hold there; returns the id of the warehouse.

storage_mode: warehouse, retail, refrigerator or transport. What is NULL meets only norms for any: climate_group (1 to 3), store_group,
packaging, temperature (C). distance_km: of transport, how far it carries. Sets all of the profile; bi.shrinkage_by_cause follows at once.
Raises 22023 for an unknown warehouse or what cannot be.
Example: select api.set_norm_profile(w.store, ''warehouse'', climate_group => 1) from bi.dim_store as w;';
