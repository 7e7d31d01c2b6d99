create function internal.find_warehouse(warehouse text)
returns int
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_id int;
    names text;
begin
    select w.id into found_id
    from core.warehouses as w
    where w.name = internal.normalize_name(warehouse)
       or internal.name_key(w.name) = internal.name_key(warehouse)
       or (warehouse ~ '^\d{1,9}$' and w.id = case when warehouse ~ '^\d{1,9}$' then warehouse::int end)
    order by w.name = internal.normalize_name(warehouse) desc, internal.name_key(w.name) = internal.name_key(warehouse) desc, w.id
    limit 1;
    if found_id is not null then
        return found_id;
    end if;
    select string_agg(k.name, ', ') into names from (select w.name from core.warehouses as w order by w.name limit 5) as k;
    raise exception 'unknown warehouse %', coalesce(warehouse, 'NULL')
        using errcode = '22023', hint = coalesce(format('Known: %s.', names), 'Nothing was imported yet.');
end
$$;

comment on function internal.find_warehouse(text) is
'Finds a warehouse by its name, also spelt in another case, or by its id.

Raises 22023 for an unknown one, with names.';
