create function api.end_surplus_specification(specification_id int, last_day date default current_date)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    chosen core.surplus_specifications;
begin
    select s.* into chosen from core.surplus_specifications as s
    where s.id = end_surplus_specification.specification_id for update;
    if chosen.id is null then
        raise exception 'there is no specification %', coalesce(specification_id::text, 'NULL')
            using errcode = '22023', hint = 'Ids as in bi.surplus_specification.';
    end if;
    if not chosen.is_active then
        raise exception 'specification % is not active', chosen.id using errcode = '55000', hint = 'It applies to nothing as it is.';
    end if;
    if last_day is null or not isfinite(last_day) or last_day < chosen.specification_start_date then
        raise exception 'specification % cannot end on %: it starts on %', chosen.id, coalesce(last_day::text, 'NULL'), chosen.specification_start_date
            using errcode = '22023', hint = 'Give its last day, not before the first.';
    end if;
    update core.surplus_specifications as s
    set specification_end_date = last_day
    where s.id = chosen.id and s.specification_end_date is distinct from end_surplus_specification.last_day;
exception when exclusion_violation then
    raise exception 'another active specification of the product covers days up to %', last_day
        using errcode = '23P01', hint = 'Choose an earlier last day (bi.surplus_specification).';
end
$$;

comment on function api.end_surplus_specification(int, date) is
'Ends a surplus specification: last_day is the last day of receipts it applies to.

Takes effect with the next api.account_stock(). Raises 22023 for an unknown one or a day before its first, 55000 for an inactive
one, 23P01 where a later last day would overlap another.
Example: select api.end_surplus_specification(s.specification_id, ''2025-06-30'') from bi.surplus_specification as s where s.is_active;';
