create function internal.table_query(definition core.model_definition, names text [], families text [], types regtype [])
returns text
language sql stable
return (
    -- c1, c2 ...: the columns; k1 ...: what rows are ordered by; all of a row as text tells it apart.
    select format('select %s%s from %s', c.listed,
        coalesce((
            select string_agg(format(', source.%I as k%s', k.name, k.place), '' order by k.place)
            from unnest(array_remove(array[table_query.definition.options ->> 'order_by'] || table_query.definition.key_columns, null))
                with ordinality as k (name, place)
        ), ''), internal.source_clause(table_query.definition))
    from (
        select string_agg(
            format('%s as c%s', internal.number_expression(n.family, n.type, n.name, internal.table_zone(table_query.definition)), n.place),
            ', ' order by n.place
        ) as listed
        from unnest(names, families, types) with ordinality as n (name, family, type, place)
    ) as c
);

comment on function internal.table_query(core.model_definition, text [], text [], regtype []) is
'Writes the query of a table''s rows: c1, c2 ... the columns as they are sent, k1, k2 ... what they are ordered by.';

create function internal.hash_table(definition core.model_definition, names text [], families text [], types regtype [], until text default null)
returns table (row_count bigint, data_hash text, newest text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set extra_float_digits = 1
as $$
begin
    return query execute format(
        $statement$
        select x.row_count, internal.data_hash($1, x.row_count, x.first_sum, x.second_sum), x.newest::text
        from (
            select count(*) as row_count, sum(hashtextextended(r::text, 0)) as first_sum, sum(hashtextextended(r::text, 1)) as second_sum, %s as newest
            from (%s) as r
            %s
        ) as x
        $statement$,
        case when definition.options ->> 'order_by' is null then 'null' else 'max(r.k1)' end,
        internal.table_query(definition, names, families, types),
        case when until is not null then format('where r.k1 <= %L', until) else '' end
    ) using jsonb_build_object('names', names, 'families', families, 'target', definition.value_column);
end
$$;

comment on function internal.hash_table(core.model_definition, text [], text [], regtype [], text) is
'Names the content of a table, whatever the order of its rows: how many, the hash, and the newest value they are ordered by.

until: only rows up to that value.';

create function internal.pack_table(definition core.model_definition, names text [], families text [], types regtype [])
returns table (row_count bigint, numbers bytea [], texts text [])
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set extra_float_digits = 1
as $$
declare
    numeric_list text;
    text_list text;
    order_list text;
begin
    select string_agg(format('string_agg(float8send(coalesce(s.c%s, ''NaN'')), ''''::bytea)', n.place), ', ' order by n.place) filter (where n.family <> 'text'),
        string_agg(format('array_agg(s.c%s)', n.place), ', ' order by n.place) filter (where n.family = 'text')
    into numeric_list, text_list
    from unnest(families) with ordinality as n (family, place);
    select string_agg(format('r.k%s', k.place), ', ' order by k.place) into order_list
    from generate_series(1, cardinality(definition.key_columns) + (definition.options ->> 'order_by' is not null)::int) as k (place);
    -- Rows in one order whatever the table's: the same data give the same folds and the same trees.
    return query execute format(
        'select count(*), %s, %s from (select r.* from (%s) as r order by %s hashtextextended(r::text, 0), r::text) as s',
        coalesce('array[' || numeric_list || ']', '''{}''::bytea[]'), coalesce('array[' || text_list || ']', '''{}''::text[]'),
        internal.table_query(definition, names, families, types), coalesce(order_list || ', ', '')
    );
end
$$;

comment on function internal.pack_table(core.model_definition, text [], text [], regtype []) is
'Reads a table as it is sent to Python: numbers as float8send, NaN = an empty cell; texts one array a column.

Rows stand by the column of the option order_by, then the key columns, then a hash of the row.';
