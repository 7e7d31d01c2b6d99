create function internal.row_query(definition core.model_definition, until timestamptz)
returns text
language sql stable
return format(
    'select %s source.%I as t, source.%I::float8 as v from %s where source.%I is not null and source.%I is not null%s',
    internal.key_list(definition.key_columns), definition.time_column, definition.value_column, internal.source_clause(definition),
    definition.value_column, definition.time_column,
    case when until is not null then format(' and %s < %L::timestamptz',
        case when (definition.grid ->> 'is_local')::boolean
            then format('source.%I::timestamp at time zone %L', definition.time_column, definition.grid ->> 'zone')
            else format('source.%I', definition.time_column) end, until) else '' end
);

comment on function internal.row_query(core.model_definition, timestamptz) is
'Writes the query of a model''s rows: key_1, key_2 ..., t, v. A row without time or value does not count. until: only what is before.';

create function internal.observation_query(definition core.model_definition, until timestamptz)
returns text
language sql stable
return (
    select case
        when definition.options ->> 'aggregate' is null then format('select %s %s as n, r.v from (%s) as r', k.names, k.step, k.rows)
        else format('select %1$s %2$s as n, %3$s(r.v)::float8 as v from (%4$s) as r group by %1$s %2$s', k.names, k.step,
            definition.options ->> 'aggregate', k.rows)
    end
    from (
        select coalesce(internal.key_names('r', cardinality(definition.key_columns)) || ', ', '') as names,
            internal.step_expression(definition.grid, 't') as step, internal.row_query(definition, until) as rows
    ) as k
);

comment on function internal.observation_query(core.model_definition, timestamptz) is
'Writes the query of a model''s observations: key_1, key_2 ..., n (number of the step), v (value).

Rows of one step come together by the option aggregate; without it they stand side by side, and the kernels refuse the series.';

create function internal.row_hashes(grid jsonb)
returns text
language sql immutable parallel safe
return (
    select format('count(*), sum(hashfloat8extended(r.v, %s)), sum(hashfloat8extended(r.v, %s))', format(h.pattern, 0), format(h.pattern, 1))
    from (
        select case row_hashes.grid ->> 'type'
            when 'date' then 'hashint4extended(r.t - date ''2000-01-01'', %s)'
            when 'timestamp without time zone' then 'timestamp_hash_extended(r.t, %s)'
            else 'timestamp_hash_extended(r.t at time zone ''UTC'', %s)'
        end as pattern
    ) as h
);

comment on function internal.row_hashes(jsonb) is
'Writes what internal.data_hash wants of rows r (t, v): their number, and the sums of two 64-bit hashes of each.

Sums need no order, and rows that are equal do not cancel each other.';

create function internal.hash_series(definition core.model_definition, until timestamptz default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    key_names text := internal.key_names('r', cardinality(definition.key_columns));
begin
    create temp table if not exists series_input (
        ordinal int, series_id int, series_key text[], label text, row_count int, last_step bigint, data_hash text,
        prefix_step bigint, prefix_hash text, steps bytea, "values" bytea
    ) on commit drop;
    truncate pg_temp.series_input;
    if definition.grid is null then
        return 0;
    end if;
    -- A look at data that did not change costs neither a sort nor Python.
    execute format(
        $statement$
        insert into pg_temp.series_input (ordinal, series_key, label, row_count, last_step, data_hash)
        select row_number() over (order by s.key), s.key, array_to_string(s.key, ' / ', '-'), s.row_count, %1$s,
            internal.data_hash($1, s.row_count, s.first_sum, s.second_sum)
        from (
            select array[%2$s]::text[], max(r.t), %3$s
            from (%4$s) as r
            %5$s
            having count(*) > 0
        ) as s (key, last_time, row_count, first_sum, second_sum)
        $statement$, internal.step_expression(definition.grid, 'last_time'), coalesce(key_names, ''), internal.row_hashes(definition.grid),
        internal.row_query(definition, until), 'group by ' || key_names
    ) using definition.grid;
    return (select coalesce(sum(i.row_count), 0) from pg_temp.series_input as i);
end
$$;

comment on function internal.hash_series(core.model_definition, timestamptz) is
'Lists the series of a model in pg_temp.series_input: one row a series, with the hash of its data. Returns the rows read.';

create function internal.key_condition(key_columns text [], row_name text, key_name text)
returns text
language sql immutable parallel safe
return coalesce((
    -- A key may be NULL: that is a series of its own.
    select string_agg(format('coalesce(%1$s.key_%3$s, chr(1)) = coalesce(%2$s[%3$s], chr(1))', key_condition.row_name, key_condition.key_name,
        k.place), ' and ')
    from generate_subscripts(key_condition.key_columns, 1) as k (place)
), 'true');

comment on function internal.key_condition(text [], text, text) is 'Writes the condition that a row of internal.row_query belongs to the series of a key.';

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
        set steps = x.steps, "values" = x."values"
        from (
            select i.ordinal, string_agg(int8send(o.n), ''::bytea order by o.n) as steps, string_agg(float8send(o.v), ''::bytea order by o.n) as "values"
            from pg_temp.series_input as i
            inner join (%s) as o on %s
            group by i.ordinal
        ) as x
        where x.ordinal = i.ordinal
        $statement$, internal.observation_query(definition, until), internal.key_condition(definition.key_columns, 'o', 'i.series_key')
    );
    if exists (select from pg_temp.series_input as i where i.prefix_step is not null) then
        execute format(
            $statement$
            update pg_temp.series_input as i
            set prefix_hash = internal.data_hash($1, x.row_count, x.first_sum, x.second_sum)
            from (
                select i.ordinal, %s
                from pg_temp.series_input as i
                inner join (%s) as r on %s and %s <= i.prefix_step
                group by i.ordinal
            ) as x (ordinal, row_count, first_sum, second_sum)
            where x.ordinal = i.ordinal
            $statement$, internal.row_hashes(definition.grid), internal.row_query(definition, until),
            internal.key_condition(definition.key_columns, 'r', 'i.series_key'), internal.step_expression(definition.grid, 't')
        ) using definition.grid;
    end if;
end
$$;

comment on function internal.load_series(core.model_definition, timestamptz) is
'Reads the series left in pg_temp.series_input: their steps and values in order, as int8send and float8send.

prefix_hash is the hash of what lies at or before prefix_step.';

create function internal.remember_series(model text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into core.model_series (model, series_key, label)
    select remember_series.model, i.series_key, i.label
    from pg_temp.series_input as i
    where not exists (select from core.model_series as s where s.model = remember_series.model and s.series_key = i.series_key);
    update pg_temp.series_input as i set series_id = s.id
    from core.model_series as s
    where s.model = remember_series.model and s.series_key = i.series_key;
end
$$;

comment on function internal.remember_series(text) is
'Gives every series in pg_temp.series_input its row in core.model_series, and enters its series_id.';
