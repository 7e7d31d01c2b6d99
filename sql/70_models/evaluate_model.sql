create function internal.backtest_model(
    definition core.model_definition, complete jsonb, horizon int, folds jsonb, run_id bigint
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    learns boolean := (internal.kind_traits(complete ->> 'kind') ->> 'learns')::boolean;
    call_options jsonb := internal.call_options(definition, complete);
    batch record;
    result jsonb;
    total int;
    done_count int := 0;
    failed_count int := 0;
begin
    perform internal.hash_series(definition);
    select count(*) into total from pg_temp.series_input;
    if total = 0 then
        raise exception 'model % has nothing to be evaluated on: its source has no rows', definition.name using errcode = 'ML101', hint = 'Load data first.';
    end if;
    perform internal.load_series(definition);
    perform internal.remember_series(definition.name);
    perform internal.show_progress('evaluate', definition.name, 0, total);
    for batch in
        select b.number, array_agg(b.series_id order by b.ordinal) as ids, string_agg(b.steps, ''::bytea order by b.ordinal) as steps,
            string_agg(b."values", ''::bytea order by b.ordinal) as "values", string_agg(int4send(octet_length(b.steps) / 8), ''::bytea order by b.ordinal) as counts,
            string_agg(b.feature_steps, ''::bytea order by b.ordinal) as feature_steps,
            string_agg(b.feature_values, ''::bytea order by b.ordinal) as feature_values,
            string_agg(int4send(coalesce(octet_length(b.feature_steps), 0) / 8), ''::bytea order by b.ordinal) as feature_counts
        from (
            -- What learns from all series gets them all at once.
            select i.*, case when learns then 0 else floor((sum(i.row_count) over (order by i.ordinal) - 1) / 20000) end as number
            from pg_temp.series_input as i
        ) as b
        group by b.number
        order by b.number
    loop
        result := internal.backtest_series(complete ->> 'kind', complete -> 'kind_options', call_options, internal.step_seconds(definition.grid), horizon,
            folds, batch.steps, batch."values", batch.counts, batch.feature_steps, batch.feature_values, batch.feature_counts)::jsonb;
        insert into core.backtest_forecast (run_id, series_id, fold, step, origin_time, target_time, actual, forecast, lower_80, upper_80, lower_95,
            upper_95, naive, seasonal_naive)
        select backtest_model.run_id, batch.ids[(f.value ->> 0)::int + 1], (f.value ->> 1)::int, (f.value ->> 2)::int,
            internal.step_time(definition.grid, (f.value ->> 3)::bigint), internal.step_time(definition.grid, (f.value ->> 4)::bigint),
            (f.value ->> 5)::float8, (f.value ->> 6)::float8, (f.value ->> 7)::float8, (f.value ->> 8)::float8, (f.value ->> 9)::float8,
            (f.value ->> 10)::float8, (f.value ->> 11)::float8, (f.value ->> 12)::float8
        from jsonb_array_elements(result -> 'forecasts') as f (value);
        insert into core.backtest_metric (run_id, series_id, fold, method, metric, value, row_count)
        select backtest_model.run_id, batch.ids[(f.value ->> 0)::int + 1], (f.value ->> 1)::int, f.value ->> 2, f.value ->> 3, (f.value ->> 4)::float8,
            (f.value ->> 5)::int
        from jsonb_array_elements(result -> 'scores') as f (value);
        insert into core.run_outcome (run_id, series_id, outcome, reason, sqlstate, hint)
        select distinct on (f.value ->> 0) backtest_model.run_id, batch.ids[(f.value ->> 0)::int + 1], 'failed', f.value ->> 2, f.value ->> 3, f.value ->> 4
        from jsonb_array_elements(result -> 'failures') as f (value)
        order by f.value ->> 0, f.value ->> 1 desc nulls first;
        failed_count := failed_count + jsonb_array_length(result -> 'failures');
        done_count := done_count + cardinality(batch.ids);
        perform internal.show_progress('evaluate', definition.name, done_count, total);
    end loop;
    -- Over all series: what has no unit. A measure that is a mean over rows is the mean weighted by rows.
    insert into core.backtest_metric (run_id, series_id, fold, method, metric, value, row_count)
    select m.run_id, null::int, m.fold, m.method, m.metric, sum(m.value * m.row_count) / sum(m.row_count), sum(m.row_count)
    from core.backtest_metric as m
    where m.run_id = backtest_model.run_id and m.value is not null and m.row_count > 0
      and (m.metric in ('mape', 'smape', 'mase') or m.metric like 'coverage%')
    group by m.run_id, m.fold, m.method, m.metric
    union all
    select f.run_id, null::int, f.fold, v.method, 'wape', 100 * sum(abs(v.forecast - f.actual)) / nullif(sum(abs(f.actual)), 0), count(*)
    from core.backtest_forecast as f
    cross join lateral (values ('model', f.forecast), ('naive', f.naive), ('seasonal_naive', f.seasonal_naive)) as v (method, forecast)
    where f.run_id = backtest_model.run_id and f.actual is not null
    group by grouping sets ((f.run_id, f.fold, v.method), (f.run_id, v.method));
    return total;
end
$$;

comment on function internal.backtest_model(core.model_definition, jsonb, int, jsonb, bigint) is
'Evaluates a model''s series by rolling origin with the kind and options given; rows go to the backtest tables. Returns the series.';

create function internal.check_folds(horizon int, folds int, gap int, step int, "window" int)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if coalesce(horizon, 1) not between 1 and 10000 or coalesce(folds, 0) not between 1 and 1000 or coalesce(gap, -1) not between 0 and 10000
        or coalesce(step, 1) not between 1 and 10000 or coalesce("window", 2) < 2
    then
        raise exception 'these folds are impossible: horizon %, folds %, gap %, step %, window %', horizon, folds, gap, step, "window"
            using errcode = '22023', hint = 'horizon, folds and step at least 1, gap at least 0, window at least 2 or NULL.';
    end if;
end
$$;

comment on function internal.check_folds(int, int, int, int, int) is 'Raises 22023 for folds that cannot be.';

create function api.evaluate_model(
    model text, folds int default 3, horizon int default null, gap int default 0, step int default null, "window" int default null,
    version int default null, seed int default null, repeats int default 1
)
returns table (method text, metric text, value float8, row_count int, run_id bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(evaluate_model.model);
    complete jsonb;
    evaluated core.model_versions;
    run bigint;
    total int;
    read_count bigint;
    is_table boolean := definition.source is not null and definition.time_column is null;
begin
    if definition.source is null then
        raise exception 'model % has no series', definition.name using errcode = '22023', hint = 'How well shrinkage predicts is in bi.fit_holdout.';
    end if;
    perform internal.check_folds(evaluate_model.horizon, evaluate_model.folds, evaluate_model.gap, evaluate_model.step, evaluate_model."window");
    select v.* into evaluated
    from core.model_versions as v
    where v.model = definition.name
      and case when evaluate_model.version is null then v.status = 'deployed' else v.version = evaluate_model.version end;
    if evaluated.id is null and evaluate_model.version is not null then
        evaluated := internal.find_version(definition.name, evaluate_model.version);
    end if;
    -- A version is evaluated with what it was fitted with; a model that was never fitted with what it would be.
    if is_table then
        complete := coalesce(evaluated.options, internal.table_options(definition) || jsonb_build_object('kind', definition.kind));
        run := internal.open_run(definition.name, 'evaluate', jsonb_build_object('folds', folds, 'seed', seed, 'repeats', repeats));
        read_count := internal.evaluate_table(definition, complete, folds, seed, coalesce(repeats, 0), run);
        total := 0;
    else
        definition.grid := internal.settled_grid(definition);
        complete := coalesce(evaluated.options, internal.fit_options(definition) || jsonb_build_object('kind', definition.kind));
        run := internal.open_run(definition.name, 'evaluate', jsonb_build_object('folds', folds, 'horizon', evaluate_model.horizon, 'gap', gap,
            'step', step, 'window', "window"));
        total := internal.backtest_model(definition, complete, coalesce(evaluate_model.horizon, (complete ->> 'horizon')::int),
            jsonb_build_object('count', folds, 'gap', gap, 'step', step, 'window', "window"), run);
        select count(*) into read_count from core.backtest_forecast as f where f.run_id = run;
    end if;
    perform internal.close_run(run, 'succeeded', evaluated.id, total, read_count, peak_memory_mb => internal.peak_memory());
    update core.model_versions as v
    set metrics = (
        select coalesce(jsonb_object_agg(m.metric || case m.method when 'model' then '' else '_' || m.method end, m.value), '{}')
        from core.backtest_metric as m
        where m.run_id = run and m.series_id is null and m.fold is null and m.value is not null
    ) || jsonb_build_object('run', run),
        feature_importance = coalesce(
            (select jsonb_object_agg(f.feature, f.importance) from core.feature_importance as f where f.run_id = run), v.feature_importance
        )
    where v.id = evaluated.id;
    return query
    select m.method, m.metric, m.value, m.row_count, m.run_id
    from core.backtest_metric as m
    where m.run_id = run and m.series_id is null and m.fold is null
    order by m.metric, m.method;
end
$$;

comment on function api.evaluate_model(text, int, int, int, int, int, int, int, int) is
'Evaluates a model by rolling origin: fitted on the past of each fold, held against what came then, beside two naive forecasts.

folds: how many, the last one ends with the last observation. horizon: steps forecast in each, NULL = the model''s. gap: steps left
out between. step: steps between the folds, NULL = horizon. window: steps learnt from, NULL = all before. version: whose kind and
options, NULL = the deployed one''s. A model of a table is cross-validated instead, each fold being left out once (scikit-learn''s KFold, or
StratifiedKFold for classes), beside the mean or the shares of the classes: seed: of shuffled folds, NULL = rows in their order; repeats:
how often each column is shuffled to measure its importance, 0 = not at all; horizon, gap, step and window say nothing; the measures
are means over folds, all else is in bi.table_performance, confusion_matrix, class_performance and feature_importance. Returns the measures over all series; by series and fold they are in bi.backtest_metric, the
forecasts in bi.backtest_forecast. Raises 22023 for impossible folds, ML101 without data, 55P03 while it is being fitted.
Example: select * from api.evaluate_model(''sales'', folds => 2);';

create function api.compare_versions(model text, version_a int, version_b int, folds int default 3, horizon int default null)
returns table (metric text, value_a float8, value_b float8, value_naive float8, value_seasonal_naive float8, better int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    a core.model_versions := internal.find_version(compare_versions.model, coalesce(compare_versions.version_a, -1));
    b core.model_versions := internal.find_version(compare_versions.model, coalesce(compare_versions.version_b, -1));
    steps int := coalesce(compare_versions.horizon, least((a.options ->> 'horizon')::int, (b.options ->> 'horizon')::int));
    run_a bigint;
    run_b bigint;
begin
    if a.model_type = 'shrinkage_curve' then
        return query
        select m.metric, m.value_a, m.value_b, null::float8, null::float8,
            case when m.value_a < m.value_b then a.version when m.value_b < m.value_a then b.version end
        from (
            select 'holdout_wape ' || x.key as metric, (x.value #>> '{holdout,wape}')::float8 as value_a,
                (b.parameters #>> array['types', x.key, 'holdout', 'wape'])::float8 as value_b
            from jsonb_each(a.parameters -> 'types') as x
        ) as m
        order by m.metric;
        return;
    end if;
    -- Both on the same folds of the same data, now.
    select e.run_id into run_a from api.evaluate_model(a.model, folds, steps, version => a.version, repeats => 0) as e limit 1;
    select e.run_id into run_b from api.evaluate_model(b.model, folds, steps, version => b.version, repeats => 0) as e limit 1;
    return query
    select x.metric, x.value, y.value, n.value, s.value,
        case
            when x.metric like 'coverage%' then case sign(abs(x.value - right(x.metric, 2)::float8) - abs(y.value - right(x.metric, 2)::float8))
                when -1 then a.version when 1 then b.version end
            when x.value = y.value then null
            -- Of these more is better.
            when (x.value < y.value) = (x.metric in ('r2', 'accuracy', 'precision', 'recall', 'f1')) then b.version
            when x.value is not null and y.value is not null then a.version
        end
    from core.backtest_metric as x
    inner join core.backtest_metric as y on y.run_id = run_b and y.series_id is null and y.fold is null and y.method = 'model' and y.metric = x.metric
    left join core.backtest_metric as n on n.run_id = run_a and n.series_id is null and n.fold is null and n.method in ('naive', 'baseline') and n.metric = x.metric
    left join core.backtest_metric as s
        on s.run_id = run_a and s.series_id is null and s.fold is null and s.method = 'seasonal_naive' and s.metric = x.metric
    where x.run_id = run_a and x.series_id is null and x.fold is null and x.method = 'model'
    order by x.metric;
end
$$;

comment on function api.compare_versions(text, int, int, int, int) is
'Compares two versions of a model on the same folds of the data there are now, beside the naive forecasts.

Each is evaluated with its own kind and options (api.evaluate_model). better: the version that wins by the measure, NULL = neither.
Of shrinkage the hold-out figures of the two fits. Raises 22023 for unknown versions.
Example: select * from api.compare_versions(''sales'', 1, 2);';
