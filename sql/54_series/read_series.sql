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

create function internal.feature_query(definition core.model_definition)
returns text
language sql stable
return (
    select format('select %1$s f.n, %2$s from (select %3$s %4$s as n, %5$s from %6$s where source.%7$I is not null) as f group by %1$s f.n',
        coalesce(internal.key_names('f', cardinality(definition.key_columns)) || ', ', ''),
        string_agg(format('avg(f.f_%1$s)::float8 as f_%1$s', k.place), ', ' order by k.place),
        internal.key_list(definition.key_columns), internal.step_expression(definition.grid, definition.time_column),
        string_agg(format('source.%I::float8 as f_%s', k.name, k.place), ', ' order by k.place),
        internal.source_clause(definition), definition.time_column)
    from unnest(definition.feature_columns) with ordinality as k (name, place)
);

comment on function internal.feature_query(core.model_definition) is
'Writes the query of a model''s regressors: key_1, key_2 ..., n (number of the step), f_1, f_2 ... (mean of the rows of a step).

Also of rows without a value: those after the last value say what is known ahead.';

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
        prefix_step bigint, prefix_hash text, steps bytea, "values" bytea, feature_steps bytea, feature_values bytea
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
    if cardinality(definition.feature_columns) > 0 then
        -- What is known ahead is part of it: a plan that changed makes another forecast.
        execute format(
            $statement$
            update pg_temp.series_input as i
            set data_hash = encode(sha256(convert_to(concat_ws('|', i.data_hash, x.row_count, x.row_sum), 'UTF8')), 'hex')
            from (
                select i.ordinal, count(*) as row_count, sum(hashtextextended(f.content, 0)) as row_sum
                from (select o.*, (o)::text as content from (%s) as o) as f
                inner join pg_temp.series_input as i on %s
                group by i.ordinal
            ) as x
            where x.ordinal = i.ordinal
            $statement$, internal.feature_query(definition), internal.key_condition(definition.key_columns, 'f', 'i.series_key')
        );
    end if;
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
            where i.steps is null
            group by i.ordinal
        ) as x
        where x.ordinal = i.ordinal
        $statement$, internal.observation_query(definition, until), internal.key_condition(definition.key_columns, 'o', 'i.series_key')
    );
    if cardinality(definition.feature_columns) > 0 then
        execute format(
            $statement$
            update pg_temp.series_input as i
            set feature_steps = x.steps, feature_values = x."values"
            from (
                select i.ordinal, string_agg(int8send(f.n), ''::bytea order by f.n) as steps, string_agg(%s, ''::bytea order by f.n) as "values"
                from pg_temp.series_input as i
                inner join (%s) as f on %s
                where i.feature_steps is null
                group by i.ordinal
            ) as x
            where x.ordinal = i.ordinal
            $statement$, (
                select string_agg(format('float8send(coalesce(f.f_%s, ''NaN''))', k.place), ' || ' order by k.place)
                from generate_subscripts(definition.feature_columns, 1) as k (place)
            ), internal.feature_query(definition), internal.key_condition(definition.key_columns, 'f', 'i.series_key')
        );
    end if;
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

feature_steps, feature_values: the same of the regressors, as many numbers a step as there are; NaN = not known. What was read
before is not read again. prefix_hash is the hash of what lies at or before prefix_step.';

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

create function internal.call_options(
    definition core.model_definition, options jsonb, artifact_id uuid default null, learns_now boolean default true
)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    holiday_steps jsonb;
begin
    if options ? 'holidays' then
        select coalesce(jsonb_object_agg(h.name, h.steps), '{}') into holiday_steps
        from (
            select s.name, jsonb_agg(s.step order by s.step) as steps
            from internal.holiday_steps(definition.grid, array(select jsonb_array_elements_text(options -> 'holidays')),
                internal.step_number(definition.grid, '1900-01-01'), internal.step_number(definition.grid, '2200-01-01')) as s
            group by s.name
        ) as h;
    end if;
    return options || jsonb_build_object('grid', definition.grid)
        || case when holiday_steps is null then '{}' else jsonb_build_object('holiday_steps', holiday_steps) end
        || case when learns_now then '{}' else jsonb_build_object('artifact', artifact_id) end;
end
$$;

comment on function internal.call_options(core.model_definition, jsonb, uuid, boolean) is
'Adds to the options of a fit what its kernels are told: the grid, on which steps the holidays are, what the kind learnt.

learns_now: a kind that learns does so from the series of the call, and nobody else can use that; else artifact_id is what it learnt,
NULL = nothing.';
