create function api.add_climate_readings(
    warehouse text, at timestamptz [], temperature_c float8 [] default null, humidity_percent float8 [] default null
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    place_id int := internal.find_warehouse(warehouse);
    written_count int;
begin
    if at is null or array_position(at, null) is not null or not coalesce(cardinality(temperature_c) = cardinality(at), true)
        or not coalesce(cardinality(humidity_percent) = cardinality(at), true)
    then
        raise exception 'times and readings do not belong together'
            using errcode = '22023', hint = 'Give arrays of equal length, no NULL among the times; NULL for a reading that is missing.';
    end if;
    if exists (
        select from unnest(at, temperature_c, humidity_percent) as r (at, temperature, humidity)
        where not coalesce(r.temperature between -90 and 90, true) or not coalesce(r.humidity between 0 and 100, true)
          or not isfinite(r.at)
    ) then
        raise exception 'a reading is impossible'
            using errcode = '22023', hint = 'Degrees Celsius from -90 to 90, relative humidity from 0 to 100 percent.';
    end if;
    -- The last of several readings of one moment counts; what is there already is not written again.
    insert into core.climate_readings as c (warehouse_id, time, temperature_c, humidity_percent)
    select distinct on (r.at) place_id, r.at, r.temperature, r.humidity
    from unnest(at, temperature_c, humidity_percent) with ordinality as r (at, temperature, humidity, number)
    where num_nonnulls(r.temperature, r.humidity) > 0
    order by r.at, r.number desc
    on conflict (warehouse_id, time) do update
    set temperature_c = coalesce(excluded.temperature_c, c.temperature_c),
        humidity_percent = coalesce(excluded.humidity_percent, c.humidity_percent)
    where (c.temperature_c, c.humidity_percent)
        is distinct from (coalesce(excluded.temperature_c, c.temperature_c), coalesce(excluded.humidity_percent, c.humidity_percent));
    get diagnostics written_count = row_count;
    return written_count;
end
$$;

comment on function api.add_climate_readings(text, timestamptz [], float8 [], float8 []) is
'Records what the air in a warehouse was like: temperature in degrees Celsius, relative humidity in percent, by time.

Arrays of equal length; NULL where a reading is missing, or for a whole array. A reading of the same moment is replaced. Returns how
many rows were written: none when all are there. Raises 22023 for an unknown warehouse or impossible readings; then none is stored.
Example: select api.add_climate_readings((select min(d.store) from bi.dim_store as d), array[timestamptz ''2025-01-06 08:00+03''], array[4.5], array[78]);';
