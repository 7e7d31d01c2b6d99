create function internal.observation_query(definition core.model_definition, until timestamptz)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    aggregate text := definition.options ->> 'aggregate';
    key_names text := internal.key_names(cardinality(definition.key_columns));
    observations text;
begin
    observations := format(
        'select %s %s as n, source.%I::float8 as v from %s where source.%I is not null and source.%I is not null%s',
        internal.key_list(definition.key_columns), internal.step_expression(definition.grid, definition.time_column), definition.value_column,
        internal.source_clause(definition), definition.value_column, definition.time_column,
        case when until is not null then format(' and %s < %L::timestamptz',
            case when (definition.grid ->> 'is_local')::boolean then format('source.%I::timestamp at time zone %L', definition.time_column, definition.grid ->> 'zone')
                else format('source.%I', definition.time_column) end, until) else '' end
    );
    if aggregate is not null then
        observations := format('select %s %s as v, o.n from (%s) as o group by %1$s o.n', coalesce(key_names || ', ', ''),
            case aggregate when 'count' then 'count(o.v)::float8' else format('%s(o.v)', aggregate) end, observations);
    end if;
    return observations;
end
$$;

comment on function internal.observation_query(core.model_definition, timestamptz) is
'Writes the query of a model''s observations: key_1, key_2 ..., n (number of the step), v (value).

A row without time or value does not count. until: only what is before it. Rows of one step come together by the option
aggregate; without it they stand side by side, and the kernels refuse the series.';

create function internal.hash_series(definition core.model_definition, until timestamptz default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    key_names text := internal.key_names(cardinality(definition.key_columns));
begin
    create temp table if not exists series_input (
        ordinal int, series_key text[], label text, observation_count int, last_step bigint, data_hash text,
        prefix_step bigint, steps bytea, "values" bytea, prefix_hash text
    ) on commit drop;
    truncate pg_temp.series_input;
    if definition.grid is null then
        return 0;
    end if;
    -- Hashes of rows, their steps inside, need no order: a look at data that did not change costs no sort.
    execute format(
        $statement$
        insert into pg_temp.series_input (ordinal, series_key, label, observation_count, last_step, data_hash)
        select row_number() over (%2$s), array[%3$s]::text[], array_to_string(array[%3$s]::text[], ' / ', '-'), count(*), max(o.n),
            internal.data_hash($1, count(*), bit_xor(hashint8extended(o.n, hashfloat8extended(o.v, 0))), bit_xor(hashfloat8extended(o.v, hashint8extended(o.n, 1))))
        from (%1$s) as o
        %4$s
        having count(*) > 0
        $statement$, internal.observation_query(definition, until), 'order by ' || key_names, coalesce(key_names, ''), 'group by ' || key_names
    ) using definition.grid;
    return (select coalesce(sum(i.observation_count), 0) from pg_temp.series_input as i);
end
$$;

comment on function internal.hash_series(core.model_definition, timestamptz) is
'Lists the series of a model in pg_temp.series_input: one row a series, with the hash of its data. Returns the rows read.';

create function internal.load_series(definition core.model_definition, until timestamptz default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
begin
    analyze pg_temp.series_input;
    execute format(
        $statement$
        update pg_temp.series_input as i
        set steps = x.steps, "values" = x."values", prefix_hash = x.prefix_hash
        from (
            select i.ordinal, string_agg(int8send(o.n), ''::bytea order by o.n) as steps, string_agg(float8send(o.v), ''::bytea order by o.n) as "values",
                internal.data_hash($1, count(*) filter (where o.n <= i.prefix_step),
                    bit_xor(hashint8extended(o.n, hashfloat8extended(o.v, 0))) filter (where o.n <= i.prefix_step),
                    bit_xor(hashfloat8extended(o.v, hashint8extended(o.n, 1))) filter (where o.n <= i.prefix_step)) as prefix_hash
            from pg_temp.series_input as i
            inner join (%s) as o on %s
            group by i.ordinal
        ) as x
        where x.ordinal = i.ordinal
        $statement$, internal.observation_query(definition, until),
        coalesce((
            -- A key may be NULL: that is a series of its own.
            select string_agg(format('coalesce(o.key_%1$s, chr(1)) = coalesce(i.series_key[%1$s], chr(1))', k.place), ' and ')
            from generate_subscripts(definition.key_columns, 1) as k (place)
        ), 'true')
    ) using definition.grid;
end
$$;

comment on function internal.load_series(core.model_definition, timestamptz) is
'Reads the series left in pg_temp.series_input: their steps and values in order, as int8send and float8send.

prefix_hash is the hash of what lies at or before prefix_step.';
