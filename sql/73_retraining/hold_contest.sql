create function internal.add_contestant(definition core.model_definition, column_name text, places bigint [], results jsonb)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    execute format(
        $statement$
        update pg_temp.contest as c
        set %1$I = f.mean::float8 %2$s
        from jsonb_array_elements($1) with ordinality as e (value, place)
        cross join lateral rows from (
            jsonb_array_elements_text(e.value #> '{forecast,0}'), jsonb_array_elements_text(e.value #> '{forecast,1}'),
            jsonb_array_elements_text(e.value #> '{forecast,2}'), jsonb_array_elements_text(e.value #> '{forecast,3}'),
            jsonb_array_elements_text(e.value #> '{forecast,4}')
        ) with ordinality as f (mean, l80, u80, l95, u95, step)
        where jsonb_typeof(e.value -> 'forecast') = 'array' and c.place = $2[e.place] and c.step = f.step
        $statement$, column_name, case when column_name <> 'seasonal_naive' then format(
            ', %1$s_lower_80 = f.l80::float8, %1$s_upper_80 = f.u80::float8, %1$s_lower_95 = f.l95::float8, %1$s_upper_95 = f.u95::float8', column_name
        ) else '' end
    ) using results, places;
end
$$;

comment on function internal.add_contestant(core.model_definition, text, bigint [], jsonb) is
'Enters forecasts (as of internal.fit_series, one a place, null = none) into a column of pg_temp.contest.';

create function internal.hold_contest(definition core.model_definition, champion core.model_versions)
returns table (is_refitted boolean, series_count int, compared_count int, row_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
set plan_cache_mode = force_custom_plan
as $$
<<contest>>
declare
    complete jsonb := internal.fit_options(definition);
    old_kind text := champion.options ->> 'kind';
    horizon int := least((complete ->> 'horizon')::int, (champion.options ->> 'horizon')::int);
    champion_run bigint := internal.fit_run(champion.id);
    tampered uuid;
    learns boolean := (internal.kind_traits(definition.kind) ->> 'learns')::boolean;
    call_options jsonb := internal.call_options(definition, complete);
    champion_options jsonb := internal.call_options(definition, champion.options);
    batch record;
    total int;
    done_count int := 0;
begin
    is_refitted := complete || jsonb_build_object('kind', definition.kind, 'grid', definition.grid) <> champion.options;
    row_count := internal.hash_series(definition);
    select count(*) into series_count from pg_temp.series_input;
    -- No row of core.model_series is made: a dry run leaves no trace. What has none is new to the champion too.
    update pg_temp.series_input as i set series_id = s.id
    from core.model_series as s where s.model = definition.name and s.series_key = i.series_key;

    create temp table if not exists contest_window (
        place bigint, ordinal int, series_id int, fold int, origin_step bigint, steps_ahead int, known_step bigint, known_length int,
        known_kind text, known_parameters jsonb
    ) on commit drop;
    create temp table if not exists contest (
        place bigint, series_id int, fold int, step int, origin_step bigint, target_step bigint, actual float8, champion float8,
        champion_lower_80 float8, champion_upper_80 float8, champion_lower_95 float8, champion_upper_95 float8, challenger float8,
        challenger_lower_80 float8, challenger_upper_80 float8, challenger_lower_95 float8, challenger_upper_95 float8, seasonal_naive float8
    ) on commit drop;
    truncate pg_temp.contest_window, pg_temp.contest;
    -- Where the champion's own parameters are tried, only on steps they have not seen: after the last of their full fit. A step or more
    -- of these the challenger learns from, else it would know no more than the champion. Where the recipes differ both are fitted at
    -- each origin, and a quarter of the history is the longest window.
    insert into pg_temp.contest_window (place, ordinal, series_id, fold, origin_step, steps_ahead, known_step, known_length, known_kind, known_parameters)
    select row_number() over (order by f.fold, w.ordinal), w.ordinal, w.series_id, f.fold, w.last_step - (w.fold_count - f.fold + 1) * w.steps_ahead,
        w.steps_ahead, w.known_step, w.known_length, w.known_kind, w.known_parameters
    from (
        select k.*,
            case when k.is_refitted then least(3, (k.step_count - 2) / k.steps_ahead)
                else greatest(least(3, (k.step_count - 1) / k.steps_ahead), least(1, k.step_count)) end::int as fold_count
        from (
            select n.*,
                greatest(1, least(contest.horizon, case when n.is_refitted then n.step_count / 4 else (n.step_count + 1) / 2 end))::int as steps_ahead
            from (
                select i.ordinal, i.series_id, i.last_step, hold_contest.is_refitted,
                    internal.step_number(definition.grid, b.last_data_date) as known_step, b.data_length as known_length, b.fitted_kind as known_kind,
                    b.parameters as known_parameters,
                    case when hold_contest.is_refitted then i.last_step - internal.step_number(definition.grid, o.first_time) + 1
                        else i.last_step - internal.step_number(definition.grid, b.last_data_date) end as step_count
                from pg_temp.series_input as i
                inner join core.run_outcome as o on o.run_id = contest.champion_run and o.series_id = i.series_id
                inner join cache.ml_models as c on c.id = o.ml_model_id
                inner join cache.ml_models as b on b.id = coalesce(c.fitted_id, c.id)
            ) as n
        ) as k
    ) as w
    cross join lateral generate_series(1, w.fold_count) as f (fold)
    where w.fold_count >= 1;
    select count(distinct w.ordinal) into compared_count from pg_temp.contest_window as w;
    if compared_count = 0 then
        return next;
        return;
    end if;
    select c.id into tampered
    from core.run_outcome as o
    inner join cache.ml_models as x on x.id = o.ml_model_id
    inner join cache.ml_models as c on c.id = coalesce(x.fitted_id, x.id)
    where o.run_id = contest.champion_run and not hold_contest.is_refitted
      and not internal.is_signed_model(c.fitted_kind, c.version, c.data_hash, c.parameters::text, c.signature)
    limit 1;
    if tampered is not null then
        raise exception 'stored parameters % are not those that were signed', tampered
            using errcode = '55000', hint = 'api.verify_cache lists what is wrong; refit the model.';
    end if;

    delete from pg_temp.series_input as i where not exists (select from pg_temp.contest_window as w where w.ordinal = i.ordinal);
    perform internal.load_series(definition);
    create temp table if not exists contest_actual (ordinal int, n bigint, v float8, row_count int) on commit drop;
    truncate pg_temp.contest_actual;
    analyze pg_temp.contest_window;
    execute format(
        $statement$
        insert into pg_temp.contest_actual
        -- A step with two rows has no value.
        select i.ordinal, o.n, case when count(*) = 1 then min(o.v) filter (where abs(o.v) < 'infinity') end, count(*)
        from pg_temp.series_input as i
        inner join (select w.ordinal, min(w.origin_step) as first_origin from pg_temp.contest_window as w group by w.ordinal) as f on f.ordinal = i.ordinal
        inner join (%s) as o on %s and o.n > f.first_origin
        group by i.ordinal, o.n
        $statement$, internal.observation_query(definition, null), internal.key_condition(definition.key_columns, 'o', 'i.series_key')
    );
    create index if not exists contest_actual_idx on pg_temp.contest_actual (ordinal, n);
    analyze pg_temp.contest_actual;
    insert into pg_temp.contest (place, series_id, fold, step, origin_step, target_step, actual)
    select w.place, w.series_id, w.fold, k.step, w.origin_step, w.origin_step + k.step,
        coalesce(a.v, case when a.n is null and complete ->> 'missing' = 'zero' then 0 end)
    from pg_temp.contest_window as w
    cross join lateral generate_series(1, w.steps_ahead) as k (step)
    left join pg_temp.contest_actual as a on a.ordinal = w.ordinal and a.n = w.origin_step + k.step;
    create index if not exists contest_place_idx on pg_temp.contest (place, step);
    analyze pg_temp.contest;

    if is_refitted then
        learns := learns or (internal.kind_traits(old_kind) ->> 'learns')::boolean;
    else
        perform internal.load_artifact(champion.artifact_id);
    end if;
    select count(*) into total from pg_temp.contest_window;
    perform internal.show_progress('retrain', definition.name, 0, total);
    for batch in
        select b.number, array_agg(b.place order by b.place) as places,
            string_agg(substr(b.steps, 1, 8 * b.known_rows), ''::bytea order by b.place) as steps,
            string_agg(substr(b."values", 1, 8 * b.known_rows), ''::bytea order by b.place) as "values",
            string_agg(int4send(b.known_rows), ''::bytea order by b.place) as counts,
            string_agg(b.feature_steps, ''::bytea order by b.place) as feature_steps,
            string_agg(b.feature_values, ''::bytea order by b.place) as feature_values,
            string_agg(int4send(coalesce(octet_length(b.feature_steps), 0) / 8), ''::bytea order by b.place) as feature_counts,
            jsonb_agg(jsonb_build_object('kind', b.known_kind, 'parameters', b.known_parameters, 'length', b.known_length, 'last_step', b.known_step)
                order by b.place) as known
        from (
            -- What learns from all series learns, at each origin, from what all of them were then.
            select r.*, case when learns then r.fold else floor((sum(r.known_rows) over (order by r.place) - 1) / 20000) end as number
            from (
                -- Nothing after the origin reaches those who forecast from it.
                select w.*, i.steps, i."values", i.feature_steps, i.feature_values, (octet_length(i.steps) / 8 - coalesce((
                    select sum(a.row_count) from pg_temp.contest_actual as a where a.ordinal = w.ordinal and a.n > w.origin_step
                ), 0))::int as known_rows
                from pg_temp.contest_window as w
                inner join pg_temp.series_input as i on i.ordinal = w.ordinal
            ) as r
        ) as b
        group by b.number
        order by b.number
    loop
        perform internal.add_contestant(definition, 'challenger', batch.places, internal.fit_series(definition.kind, complete -> 'kind_options', call_options,
            internal.step_seconds(definition.grid), (complete ->> 'horizon')::int, batch.steps, batch."values", batch.counts, batch.feature_steps,
            batch.feature_values, batch.feature_counts)::jsonb);
        perform internal.add_contestant(definition, 'champion', batch.places, case
            when is_refitted then internal.fit_series(old_kind, champion.options -> 'kind_options', champion_options, internal.step_seconds(definition.grid),
                (champion.options ->> 'horizon')::int, batch.steps, batch."values", batch.counts, batch.feature_steps, batch.feature_values,
                batch.feature_counts)
            else internal.update_series(champion_options, internal.step_seconds(definition.grid), horizon, batch.steps, batch."values", batch.counts,
                batch.known, batch.feature_steps, batch.feature_values, batch.feature_counts)
        end::jsonb);
        perform internal.add_contestant(definition, 'seasonal_naive', batch.places, internal.fit_series('seasonal_naive',
            internal.check_kind_options('seasonal_naive', '{}')::jsonb, complete, internal.step_seconds(definition.grid), horizon, batch.steps,
            batch."values", batch.counts)::jsonb);
        done_count := done_count + cardinality(batch.places);
        perform internal.show_progress('retrain', definition.name, done_count, total);
    end loop;
    -- Parameters that cannot take in what came since (a long gap) say what they said then, of steps further ahead.
    update pg_temp.contest as c
    set champion = f.mean, champion_lower_80 = f.lower[1], champion_upper_80 = f.upper[1], champion_lower_95 = f.lower[2], champion_upper_95 = f.upper[2]
    from (
        select w.*, (w.origin_step - w.known_step)::int as behind
        from pg_temp.contest_window as w
        where not hold_contest.is_refitted and exists (select from pg_temp.contest as x where x.place = w.place and x.champion is null)
        -- A barrier: the function is called for these alone.
        offset 0
    ) as w
    cross join lateral internal.forecast_parameters(w.known_kind, w.known_parameters, w.behind + w.steps_ahead, array[0.8, 0.95]) as f
    where c.place = w.place and f.step = w.behind + c.step;
    return next;
end
$$;

comment on function internal.hold_contest(core.model_definition, core.model_versions) is
'Has a champion and its challenger forecast the same most recent windows, from the same origins; rows go to pg_temp.contest.

The champion with the parameters it is in force with, brought up to the origin; the challenger fitted on what was known at the
origin. One to three windows a series, of at most the horizon. Steps that the champion''s parameters were fitted on are never forecast.
is_refitted: kind or options differ, and both were fitted at each origin. compared_count: series with a window; 0 = there is no
step the champion has not seen. row_count: observations read. Raises 55000 when the champion''s parameters were tampered with.';
