create function api.add_surplus_specification(
    item text, surplus float8, from_date date, to_date date default null, notes text default null
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    new_id int;
begin
    if surplus is null or not (surplus > -0.5 and surplus < 1) then
        raise exception 'surplus must lie between -0.5 and 1, not %', coalesce(surplus::text, 'NULL')
            using errcode = '22023', hint = 'It is a fraction: 0.05 means 5 % more than documented.';
    end if;
    if from_date is null or to_date < from_date then
        raise exception 'the specification ends before it starts' using errcode = '22023', hint = 'Give from_date, and a later to_date or none.';
    end if;
    insert into core.surplus_specifications (nomenclature_id, surplus_percentage, specification_start_date, specification_end_date, notes)
    values (internal.find_item(item), surplus, from_date, to_date, notes)
    returning id into new_id;
    return new_id;
exception when exclusion_violation then
    raise exception 'another active specification of % covers these days', item
        using errcode = '23P01', hint = 'End that one first (api.end_surplus_specification), or choose other days.';
end
$$;

comment on function api.add_surplus_specification(text, float8, date, date, text) is
'Records that receipts of a product really bring this fraction more than documented, from one day to another.

surplus is a fraction (0.05 = 5 %), negative for systematic under-delivery; to_date NULL = open. Returns its id. Takes effect with
the next api.account_stock(). Raises 22023 for impossible values, 23P01 for overlapping days.
Example: select api.add_surplus_specification(''ЛЕЩ ВЯЛЕНАЯ'', 0.05, ''2025-01-01'');';
