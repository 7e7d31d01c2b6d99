create function api.end_norm(norm_id int, last_day date)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    norm core.norms := internal.find_norm(norm_id);
begin
    if last_day is null or not isfinite(last_day) or last_day < norm.valid_from then
        raise exception 'norm % cannot end on %: it is in force from %', norm.id, coalesce(last_day::text, 'NULL'), coalesce(norm.valid_from::text, 'ever')
            using errcode = '22023', hint = 'Give its last day, or api.drop_norm() if it never held.';
    end if;
    update core.norms as n set valid_to = last_day where n.id = norm.id and n.valid_to is distinct from last_day;
exception when exclusion_violation then
    raise exception 'another norm for % holds at the same place on some of these days', norm.product_group
        using errcode = '23P01', hint = 'End it sooner; bi.norm lists the norms.';
end
$$;

comment on function api.end_norm(int, date) is
'Sets the last day on which a norm of natural loss is in force, inclusive.

Raises 22023 for an unknown norm or a day before its first, 23P01 where another norm holds for the same goods and place.
Example: select api.end_norm(n.norm_id, ''2025-12-31'') from bi.norm as n where n.document = ''order 252'';';
