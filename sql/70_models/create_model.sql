create function internal.check_table_model_options(kind text, options jsonb, traits jsonb)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
begin
    select string_agg(k.key, ', ' order by k.key) into unknown
    from jsonb_object_keys(options) as k (key)
    where k.key not in ('task', 'order_by', 'levels', 'time_zone', 'kind_options');
    if unknown is not null then
        raise exception 'unknown option %', unknown using errcode = '22023', hint = 'Known are task, order_by, levels, time_zone and kind_options.';
    end if;
    if options ->> 'task' is not null and not traits -> 'tasks' ? (options ->> 'task') then
        raise exception 'kind % does no %', kind, options ->> 'task' using errcode = '22023',
            hint = format('It does %s.', (select string_agg(t.task, ', ') from jsonb_array_elements_text(traits -> 'tasks') as t (task)));
    end if;
    if options ->> 'order_by' is not null and jsonb_typeof(options -> 'order_by') <> 'string' then
        raise exception 'order_by cannot be %', options -> 'order_by' using errcode = '22023', hint = 'Name the column rows are ordered by.';
    end if;
    if options ->> 'time_zone' is not null and not exists (select from pg_timezone_names as z where z.name = options ->> 'time_zone') then
        raise exception 'unknown time zone %', options ->> 'time_zone' using errcode = '22023', hint = 'As Europe/Moscow.';
    end if;
    if options ->> 'levels' is not null and not coalesce(
        jsonb_typeof(options -> 'levels') = 'number' and (options ->> 'levels')::numeric = trunc((options ->> 'levels')::numeric)
        and (options ->> 'levels')::numeric between 1 and 1000, false
    ) then
        raise exception 'levels cannot be %', options -> 'levels' using errcode = '22023', hint = 'Give a whole number from 1 to 1000.';
    end if;
    if jsonb_typeof(options -> 'kind_options') <> 'object' then
        raise exception 'kind_options are not an object' using errcode = '22023', hint = 'As {"kind_options": {}}.';
    end if;
end
$$;

comment on function internal.check_table_model_options(text, jsonb, jsonb) is 'Raises 22023 for options a model of a table cannot have.';

create function internal.check_model_options(kind text, options jsonb)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
    name text;
    traits jsonb;
begin
    if jsonb_typeof(options) is distinct from 'object' then
        raise exception 'options are not an object' using errcode = '22023', hint = 'As {"step": "1 month", "horizon": 12}.';
    end if;
    traits := internal.kind_traits(kind);
    if traits ->> 'family' = 'table' then
        perform internal.check_table_model_options(kind, options, traits);
        return;
    end if;
    select string_agg(k.key, ', ' order by k.key) into unknown
    from jsonb_object_keys(options) as k (key)
    where k.key not in ('step', 'time_zone', 'seasons', 'horizon', 'aggregate', 'missing', 'max_gap', 'holidays', 'kind_options');
    if unknown is not null then
        raise exception 'unknown option %', unknown using errcode = '22023',
            hint = 'Known are step, time_zone, seasons, horizon, aggregate, missing, max_gap, holidays and kind_options.';
    end if;
    if options ->> 'step' is not null then
        perform internal.read_step(options ->> 'step');
    end if;
    if options ->> 'time_zone' is not null and not exists (select from pg_timezone_names as z where z.name = options ->> 'time_zone') then
        raise exception 'unknown time zone %', options ->> 'time_zone' using errcode = '22023', hint = 'As Europe/Moscow.';
    end if;
    if options ->> 'aggregate' is not null and options ->> 'aggregate' not in ('sum', 'avg', 'min', 'max', 'count') then
        raise exception 'unknown aggregate %', options ->> 'aggregate' using errcode = '22023', hint = 'Use sum, avg, min, max or count.';
    end if;
    if options ->> 'missing' is not null and options ->> 'missing' not in ('gap', 'zero') then
        raise exception 'missing cannot be %', options ->> 'missing'
            using errcode = '22023', hint = 'gap: a step without a row is not known; zero: nothing happened then.';
    end if;
    foreach name in array array['horizon', 'max_gap'] loop
        if options ->> name is not null and not coalesce(
            jsonb_typeof(options -> name) = 'number' and (options ->> name)::numeric = trunc((options ->> name)::numeric)
            and (options ->> name)::numeric between (name = 'horizon')::int and 10000, false
        ) then
            raise exception '% cannot be %', name, options -> name
                using errcode = '22023', hint = 'Give a whole number of steps, at most 10000, a horizon at least 1.';
        end if;
    end loop;
    if options ->> 'seasons' is not null and (jsonb_typeof(options -> 'seasons') <> 'array' or exists (
        select from jsonb_array_elements(case when jsonb_typeof(options -> 'seasons') = 'array' then options -> 'seasons' else '[]' end) as s
        where jsonb_typeof(s.value) <> 'number' or (s.value #>> '{}')::numeric <> trunc((s.value #>> '{}')::numeric)
            or not (s.value #>> '{}')::numeric between 2 and 100000
    )) then
        raise exception 'seasons cannot be %', options -> 'seasons'
            using errcode = '22023', hint = 'Give their lengths in steps, each at least 2, as [24, 168]; [] = no season.';
    end if;
    if options ? 'holidays' then
        if jsonb_typeof(options -> 'holidays') <> 'array' or jsonb_array_length(options -> 'holidays') = 0 then
            raise exception 'holidays cannot be %', options -> 'holidays' using errcode = '22023', hint = 'Name calendars, as ["RU", "promotions"].';
        end if;
        perform internal.check_calendars(array(select jsonb_array_elements_text(options -> 'holidays')));
    end if;
    if jsonb_typeof(options -> 'kind_options') <> 'object' then
        raise exception 'kind_options are not an object' using errcode = '22023', hint = 'As {"kind_options": {}}.';
    end if;
end
$$;

comment on function internal.check_model_options(text, jsonb) is 'Raises 22023 for options a model cannot have.';

create function api.create_model(
    name text, source text, time_column text default null, value_column text default null, key_columns text [] default '{}', kind text default 'auto',
    options jsonb default '{}', description text default null, time_to_live interval default '24 hours', feature_columns text [] default '{}'
)
returns table (model text, step text, series_count bigint, row_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition;
    column_name text;
    is_table boolean;
    time_type regtype;
    value_type regtype;
begin
    if name is null or btrim(name) = '' or name <> btrim(name) then
        raise exception 'the model has no name' using errcode = '22023', hint = 'Give a name that neither begins nor ends with a space.';
    end if;
    if exists (select from core.model_definition as d where d.name = create_model.name) then
        raise exception 'model % exists already', name using errcode = '42710', hint = 'Choose another name, or api.drop_model first.';
    end if;
    if kind = 'shrinkage_curve' then
        raise exception 'the model of the shrinkage curves exists already' using errcode = '42710', hint = 'It is named shrinkage.';
    end if;
    perform internal.check_model_options(kind, options);
    if time_to_live is null or time_to_live <= interval '0' then
        raise exception 'time_to_live cannot be %', time_to_live using errcode = '22023', hint = 'As 24 hours.';
    end if;
    definition.name := name;
    definition.kind := kind;
    definition.description := description;
    definition := internal.named_source(definition, source);
    is_table := internal.kind_traits(kind) ->> 'family' = 'table';
    definition.time_column := time_column;
    definition.value_column := value_column;
    definition.key_columns := coalesce(key_columns, '{}');
    definition.feature_columns := coalesce(feature_columns, '{}');
    -- Completed once: what a fit does must not change with a default.
    definition.options := options
        || jsonb_build_object('kind_options', case
            when is_table then internal.check_table_options(kind, coalesce(options -> 'kind_options', '{}'))
            else internal.check_kind_options(kind, coalesce(options -> 'kind_options', '{}'))
        end::jsonb);
    definition.time_to_live := time_to_live;
    definition.created_at := now();
    definition.created_by := session_user;
    if is_table then
        row_count := internal.check_table(definition);
        insert into core.model_definition select definition.*;
        insert into core.model_event (model, event, details)
        values (name, 'created', jsonb_build_object('kind', kind, 'source', definition.source, 'target', value_column));
        model := name;
        return next;
        return;
    end if;
    if not (internal.kind_traits(kind) ->> 'regressors')::boolean and (cardinality(definition.feature_columns) > 0 or options ? 'holidays') then
        raise exception 'models of kind % take neither regressors nor holidays', kind
            using errcode = '22023', hint = 'Those that do: ' || internal.regressor_kinds() || '.';
    end if;
    foreach column_name in array array[time_column, value_column] || definition.key_columns || definition.feature_columns loop
        begin
            execute format('select source.%I from %s limit 0', column_name, internal.source_clause(definition));
        exception
            when undefined_table then
                raise exception 'the query reads what is not there: %', sqlerrm
                    using errcode = '42P01', hint = 'Write relations with their schema, as shop.sale: no search_path applies.';
            when undefined_column or null_value_not_allowed then
                raise exception '% has no column %', source, coalesce(column_name, 'NULL')
                    using errcode = '42703', hint = 'time_column, value_column, key_columns and feature_columns name columns of the source.';
        end;
    end loop;
    execute format('select pg_typeof(s.t), pg_typeof(s.v) from (select 1) as one left join (select source.%I as t, source.%I as v from %s limit 0) as s on true',
        time_column, value_column, internal.source_clause(definition)) into time_type, value_type;
    if time_type not in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype) then
        raise exception 'column % is %, not a time', time_column, time_type
            using errcode = '22023', hint = 'Use timestamptz, timestamp or date; a query can cast.';
    end if;
    if value_type not in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype) then
        raise exception 'column % is %, not a number', value_column, value_type
            using errcode = '22023', hint = 'Use a numeric type; a query can cast.';
    end if;
    foreach column_name in array definition.feature_columns loop
        execute format('select pg_typeof(s.v) from (select 1) as one left join (select source.%I as v from %s limit 0) as s on true',
            column_name, internal.source_clause(definition)) into value_type;
        if value_type not in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype) then
            raise exception 'regressor % is %, not a number', column_name, value_type
                using errcode = '22023', hint = 'Use a numeric type; a query can cast: promo::int.';
        end if;
    end loop;
    definition.grid := internal.find_grid(definition);
    insert into core.model_definition select definition.*;
    insert into core.model_event (model, event, details)
    values (name, 'created', jsonb_build_object('kind', kind, 'source', definition.source, 'grid', definition.grid));
    row_count := internal.hash_series(definition);
    select count(*) into series_count from pg_temp.series_input;
    model := name;
    step := (definition.grid ->> 'count') || ' ' || (definition.grid ->> 'unit');
    return next;
end
$$;

comment on function api.create_model(text, text, text, text, text [], text, jsonb, text, interval, text []) is
'Creates a model of the series, or of the rows, of a table, view or query; nothing is fitted yet.

name: how it is called from now on. source: schema.name, or a query (SELECT ...), read with the rights of whoever fits.
time_column: timestamptz, timestamp or date. value_column: a number. key_columns: what tells the series apart, {} = one series.
kind: auto, ets, theta, arima, decomposition, prophet, seasonal_naive, naive, drift; learnt from all series together: boosting,
xgboost_lags, lstm, gru, nhits (auto, too, where there are many). Of rows: linear, logistic, forest, gradient_boosting, xgboost; without
a target isolation_forest (anomalies), kmeans (clusters); they have no time_column, value_column is the target (number, boolean, text), feature_columns what it is predicted from, {} = all
other columns but key_columns; options: task (regression or classification; found from the target when not given: text, booleans
and at most 10 whole numbers are classes), order_by (column of the order of rows), levels (of a text with a column of their own, 32),
time_zone, kind_options. Of series options: step (''1 day''; found from the times when
not given), time_zone (of local times and calendar steps), seasons (lengths in steps, [] = none; found from the step), horizon
(steps), aggregate (sum, avg, min, max, count: rows of one step together; without it they are refused), missing (gap: a step
without a row is unknown; zero: nothing happened), max_gap (longest gap that is filled, steps), holidays (names of calendars, for
kinds that take regressors), kind_options (of the kind). feature_columns of series: regressors (numbers), for kinds that take them; rows
without a value say what is known ahead, and a step of the horizon without them is an error that names it.
time_to_live: age at which a fit is stale. Returns what was found (rows have neither
step nor series: NULL). Raises 22023 and 42703 with a hint, 42P01, 42710, and ML002
when the times have no regular step.
Example: select * from api.create_model(''branch sales'', ''shop.sale'', ''sold_on'', ''quantity'', ''{branch}'');';
