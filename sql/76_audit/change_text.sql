create or replace function bi.change_text(action text, before jsonb, after jsonb, row_count bigint)
returns text
language sql immutable parallel safe
return case
    when change_text.before is null and change_text.after is null then nullif(change_text.row_count, 0) || ' rows'
    else (
        select string_agg(
            case when change_text.action = 'update' then format('%s: %s -> %s', k.name, coalesce(b.value, 'NULL'), coalesce(a.value, 'NULL'))
                else format('%s: %s', k.name, coalesce(a.value, b.value)) end, '; ' order by k.name
        )
        from (
            select jsonb_object_keys(coalesce(change_text.before, '{}') || coalesce(change_text.after, '{}')) as name
        ) as k
        cross join lateral (select change_text.before ->> k.name as value) as b
        cross join lateral (select change_text.after ->> k.name as value) as a
        where b.value is distinct from a.value
    )
end;

comment on function bi.change_text(text, jsonb, jsonb, bigint) is
'Writes a change as text: "coefficient_a: 0.14 -> 0.15; ...", of a new or deleted row its values, of many rows how many.

NULL where there is nothing to say.';
