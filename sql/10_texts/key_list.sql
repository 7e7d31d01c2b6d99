create function internal.key_list(key_columns text [])
returns text
language sql immutable parallel safe
return (
    select coalesce(string_agg(format('source.%I::text collate "C" as key_%s', k.name, k.place), ', ' order by k.place) || ', ', '')
    from unnest(key_list.key_columns) with ordinality as k (name, place)
);

comment on function internal.key_list(text []) is 'Writes the key columns of a source as texts key_1, key_2 ..., each with a comma after it.';

create function internal.key_names(row_name text, key_count int)
returns text
language sql immutable parallel safe
return (select string_agg(key_names.row_name || '.key_' || k.place, ', ' order by k.place) from generate_series(1, key_names.key_count) as k (place));

comment on function internal.key_names(text, int) is 'Writes the names internal.key_list gives, for a GROUP BY; NULL = no key.';
