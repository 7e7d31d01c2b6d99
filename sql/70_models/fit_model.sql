create function internal.default_horizon(grid jsonb)
returns int
language sql immutable parallel safe
return case
    when internal.step_seconds(default_horizon.grid) < 86400 then 48
    when internal.step_seconds(default_horizon.grid) < 6 * 86400 then 28
    when internal.step_seconds(default_horizon.grid) < 27 * 86400 then 13
    when internal.step_seconds(default_horizon.grid) < 80 * 86400 then 18
    when internal.step_seconds(default_horizon.grid) < 300 * 86400 then 8
    else 6
end;

comment on function internal.default_horizon(jsonb) is
'Gives the steps forecast when a model does not say: 48 hours, 28 days, 13 weeks, 18 months, 8 quarters, 6 years.';

create function internal.fit_options(definition core.model_definition)
returns jsonb
language sql stable
return jsonb_build_object(
    'seasons', definition.options -> 'seasons', 'max_gap', definition.options -> 'max_gap',
    'missing', coalesce(definition.options ->> 'missing', 'gap'), 'aggregate', definition.options -> 'aggregate',
    'horizon', coalesce((definition.options ->> 'horizon')::int, internal.default_horizon(definition.grid)),
    'kind_options', definition.options -> 'kind_options'
)
-- Only where there are any: the content of other models keeps its name.
|| case when cardinality(definition.feature_columns) > 0 then jsonb_build_object('features', to_jsonb(definition.feature_columns)) else '{}' end
|| case when definition.options ? 'holidays' then jsonb_build_object('holidays', definition.options -> 'holidays', 'holiday_hash', (
    select coalesce(md5(string_agg(concat_ws('|', h.calendar, h.day, h.name), ';' order by h.calendar, h.day, h.name)), '')
    from core.holiday as h
    where definition.options -> 'holidays' ? h.calendar
)) else '{}' end;

comment on function internal.fit_options(core.model_definition) is
'Gives all options that decide a fit, defaults filled in; what is NULL follows from the data.';

create function internal.store_fits(
    run_id bigint, definition core.model_definition, options_hash text, results jsonb, ordinals int [], outcome text, artifact_id uuid
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    stored_count int;
begin
    create temp table if not exists fit_result (
        series_id int, data_hash text, kind text, version int, updatable boolean, parameters jsonb, label text, note text,
        fell_back_from text, reason text, sqlstate text, hint text, length int, first_step bigint, last_step bigint, gaps int, forecast jsonb,
        id uuid, fitted_length int, fitted_id uuid, fitted_at timestamptz
    ) on commit drop;
    truncate pg_temp.fit_result;
    insert into pg_temp.fit_result
    select i.series_id, i.data_hash, r.kind, r.format, r.updatable, r.parameters, coalesce(c.label, r.label), r.note, r.fell_back_from, r.reason,
        r.sqlstate, r.hint, r.length, r.first_step, r.last_step, r.gaps, r.forecast, gen_random_uuid(), coalesce(c.fitted_length, r.length),
        coalesce(c.fitted_id, case when c.data_length = c.fitted_length then c.id end), coalesce(c.fitted_at, clock_timestamp())
    from jsonb_array_elements(results) with ordinality as e (value, place)
    inner join pg_temp.series_input as i on i.ordinal = ordinals[e.place]
    -- An update keeps what its first fit was called, and how long that was.
    left join pg_temp.fit_todo as t on t.ordinal = i.ordinal
    left join cache.ml_models as c on c.id = t.known_id
    cross join lateral jsonb_to_record(e.value) as r (
        kind text, format int, updatable boolean, parameters jsonb, label text, note text, fell_back_from text, reason text, sqlstate text,
        hint text, length int, first_step bigint, last_step bigint, gaps int, forecast jsonb
    )
    where e.value <> 'null';
    get diagnostics stored_count = row_count;
    -- A fit of the same content that no longer counts (its time is over, or somebody said so) makes room; versions keep it.
    update cache.ml_models as c set invalidated_at = now()
    from pg_temp.fit_result as r
    where c.kind = definition.kind and c.options_hash = store_fits.options_hash and c.data_hash = r.data_hash and c.invalidated_at is null;
    -- Two series of the same content share one row.
    update pg_temp.fit_result as r set id = f.id
    from (select distinct on (x.data_hash) x.data_hash, x.id from pg_temp.fit_result as x order by x.data_hash, x.series_id) as f
    where f.data_hash = r.data_hash and f.id <> r.id;
    insert into cache.ml_models (id, model_name, kind, fitted_kind, options_hash, data_hash, parameters, signature, label, note, data_length, fitted_length,
        gap_count, first_data_date, last_data_date, version, supports_incremental, fall_back_reason, fitted_id, fitted_at, artifact_id, upload_id)
    select distinct on (r.id) r.id, definition.name, definition.kind, r.kind, store_fits.options_hash, r.data_hash, r.parameters,
        internal.sign_model(r.kind, r.version, r.data_hash, r.parameters::text), r.label, r.note, r.length, coalesce(r.fitted_length, r.length),
        r.gaps, internal.step_time(definition.grid, r.first_step), internal.step_time(definition.grid, r.last_step), r.version, r.updatable, r.reason, r.fitted_id,
        r.fitted_at, case when r.kind = definition.kind then store_fits.artifact_id end, internal.source_dataset(definition)
    from pg_temp.fit_result as r
    where r.parameters is not null
    order by r.id, r.series_id;
    insert into core.run_outcome (run_id, series_id, outcome, kind, label, reason, sqlstate, hint, note, ml_model_id, data_hash, observation_count,
        gap_count, first_time, last_time)
    select store_fits.run_id, r.series_id,
        case when r.parameters is null then 'failed' when r.fell_back_from is not null then 'fell_back' else store_fits.outcome end,
        r.kind, r.label, r.reason, r.sqlstate, r.hint, r.note, case when r.parameters is not null then r.id end, r.data_hash,
        coalesce(r.length, 0), coalesce(r.gaps, 0), internal.step_time(definition.grid, r.first_step), internal.step_time(definition.grid, r.last_step)
    from pg_temp.fit_result as r;
    -- Series mostly end at the same steps: each time is worked out once.
    insert into pg_temp.fit_forecast (series_id, step, target_time, forecast, lower_80, upper_80, lower_95, upper_95)
    with ends as (
        select x.last_step, max(jsonb_array_length(x.forecast -> 0)) as horizon
        from pg_temp.fit_result as x where x.parameters is not null
        group by x.last_step
    ), target as materialized (
        select e.last_step, k.step, internal.step_time(definition.grid, e.last_step + k.step) as target_time
        from ends as e
        cross join lateral generate_series(1, e.horizon) as k (step)
    )
    select r.series_id, t.step, g.target_time, t.mean::float8, t.l80::float8, t.u80::float8, t.l95::float8, t.u95::float8
    from pg_temp.fit_result as r
    cross join lateral rows from (
        jsonb_array_elements_text(r.forecast -> 0), jsonb_array_elements_text(r.forecast -> 1), jsonb_array_elements_text(r.forecast -> 2),
        jsonb_array_elements_text(r.forecast -> 3), jsonb_array_elements_text(r.forecast -> 4)
    ) with ordinality as t (mean, l80, u80, l95, u95, step)
    inner join target as g on g.last_step = r.last_step and g.step = t.step
    where r.parameters is not null;
    return stored_count;
end
$$;

comment on function internal.store_fits(bigint, core.model_definition, text, jsonb, int [], text, uuid) is
'Stores what a batch of fits gave: parameters by content, an outcome for each series, forecasts in pg_temp.fit_forecast.

results: as of internal.fit_series, one a series, null = none; ordinals: which series of pg_temp.series_input. Returns how many it stored.';

create function internal.settle_artifact(
    definition core.model_definition, complete jsonb, horizon int, refit boolean, continued core.model_versions
)
returns uuid
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
<<settle>>
declare
    traits jsonb := internal.kind_traits(definition.kind);
    options_hash text := encode(sha256(convert_to(complete::text, 'UTF8')), 'hex');
    collection_hash text;
    row_count bigint;
    series_count int;
    found uuid;
    previous cache.model_artifact;
    known uuid;
    learnt record;
begin
    if not (traits ->> 'learns')::boolean then
        return null;
    end if;
    if continued.id is not null then
        perform internal.load_artifact(continued.artifact_id);
        return continued.artifact_id;
    end if;
    select encode(sha256(convert_to(string_agg(i.data_hash, '|' order by i.ordinal), 'UTF8')), 'hex'), sum(i.row_count), count(*)
    into collection_hash, row_count, series_count
    from pg_temp.series_input as i;
    if not refit then
        select a.id into found
        from cache.model_artifact as a
        where a.kind = definition.kind and a.options_hash = settle.options_hash and a.data_hash = collection_hash and a.invalidated_at is null
          and a.trained_at > now() - definition.time_to_live
        order by a.trained_at desc limit 1;
        if found is null then
            select a.* into previous
            from core.model_versions as v
            inner join cache.model_artifact as a on a.id = v.artifact_id
            where v.model = definition.name and a.kind = definition.kind and a.options_hash = settle.options_hash and a.invalidated_at is null
              and a.trained_at > now() - definition.time_to_live
            order by v.version desc limit 1;
            -- Up to a tenth more than at its full fit: it goes on from there, or still serves. As much and yet other data is a past that
            -- changed: from that nothing goes on.
            if (traits ->> 'continues')::boolean and row_count > previous.data_length and row_count <= 1.1 * previous.fitted_length then
                known := previous.id;
            elsif not (traits ->> 'continues')::boolean and row_count between 0.9 * previous.fitted_length and 1.1 * previous.fitted_length then
                found := previous.id;
            end if;
        end if;
        if found is not null then
            perform internal.load_artifact(found);
            update cache.model_artifact as a set last_used_at = now() where a.id = found and a.last_used_at < now() - interval '1 hour';
            return found;
        end if;
    end if;
    perform internal.show_progress('learn', definition.name, 0, series_count);
    perform internal.load_series(definition);
    perform internal.load_artifact(known, for_learning => true);
    begin
        select l.* into learnt
        from (
            select string_agg(i.steps, ''::bytea order by i.ordinal) as steps, string_agg(i."values", ''::bytea order by i.ordinal) as "values",
                string_agg(int4send(octet_length(i.steps) / 8), ''::bytea order by i.ordinal) as counts,
                string_agg(i.feature_steps, ''::bytea order by i.ordinal) as feature_steps,
                string_agg(i.feature_values, ''::bytea order by i.ordinal) as feature_values,
                string_agg(int4send(coalesce(octet_length(i.feature_steps), 0) / 8), ''::bytea order by i.ordinal) as feature_counts
            from pg_temp.series_input as i
        ) as x
        cross join lateral internal.learn_series(definition.kind, complete -> 'kind_options', internal.call_options(definition, complete),
            internal.step_seconds(definition.grid), horizon, x.steps, x."values", x.counts, x.feature_steps, x.feature_values, x.feature_counts, known) as l;
    exception
        when sqlstate 'ML101' then
            -- Nothing to learn from: each series says so, and a baseline stands in.
            return null;
    end;
    -- One of the same content that no longer counts makes room; versions keep it.
    update cache.model_artifact as a set invalidated_at = now()
    where a.kind = definition.kind and a.options_hash = settle.options_hash and a.data_hash = collection_hash and a.invalidated_at is null;
    insert into cache.model_artifact (model_name, upload_id, kind, version, options_hash, data_hash, header, arrays, native, native_format, signature, label,
        data_length, fitted_length, continued_id)
    values (definition.name, internal.source_dataset(definition), definition.kind, learnt.form, settle.options_hash, collection_hash, learnt.header::jsonb,
        learnt.arrays, learnt.native, learnt.native_format,
        internal.sign_artifact(definition.kind, learnt.form, collection_hash, (learnt.header::jsonb)::text, learnt.arrays, learnt.native), learnt.label,
        row_count, case when known is null then row_count else previous.fitted_length end, known)
    returning id into found;
    perform internal.load_artifact(found);
    return found;
end
$$;

comment on function internal.settle_artifact(core.model_definition, jsonb, int, boolean, core.model_versions) is
'Gives what a kind learnt from all series in pg_temp.series_input: that of the same data, that of up to a tenth fewer (from which it
goes on, where it can), or learnt now. It is in the memory of the session then.

continued: a version whose artifact is kept whatever came since. NULL = the kind learns nothing from other series, or there is not
enough to learn from. Raises ML106 when the server lacks the library.';

create function internal.forecast_models(ids uuid [], horizon int, levels float8 [])
returns table (place int, step int, mean float8, lower float8 [], upper float8 [])
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    -- Asked once: inside the query it would be asked for every stored fit.
    missing uuid [] := internal.missing_in_memory(ids);
    fetched record;
    artifact_id uuid;
begin
    for artifact_id in
        select distinct c.artifact_id from cache.ml_models as c where c.id = any(ids) and c.artifact_id is not null
    loop
        perform internal.load_artifact(artifact_id);
    end loop;
    select array_agg(c.id) as id, array_agg(c.fitted_kind) as kind, array_agg(c.version) as version, array_agg(c.data_hash) as data_hash,
        array_agg(c.parameters::text) as parameters, array_agg(c.signature) as signature
    into fetched
    from cache.ml_models as c
    where c.id = any(missing);
    return query
    select f.place, f.step, f.mean, f.lower, f.upper
    from internal.forecast_stored(ids, horizon, levels, fetched.id, fetched.kind, fetched.version, fetched.data_hash, fetched.parameters, fetched.signature) as f;
end
$$;

comment on function internal.forecast_models(uuid [], int, float8 []) is
'Forecasts stored models from the memory of the session, and from the table what is not in it. Raises as internal.forecast_stored.';

create function internal.fit_run(version_id int)
returns bigint
language sql stable
return (select min(r.id) from core.training_run as r where r.version_id = fit_run.version_id and r.task = 'fit');

comment on function internal.fit_run(int) is 'Gives the run that made a version: its outcomes name the parameters of each series; NULL = none.';

create function internal.fit_relation(definition core.model_definition, run_id bigint, refit boolean, continued core.model_versions default null)
returns table (version_id int, is_new boolean, row_count bigint, series_count int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
set plan_cache_mode = force_custom_plan
as $$
<<fit>>
declare
    complete jsonb;
    horizon int;
    options_hash text;
    settled_id uuid;
    artifact_id uuid;
    call_options jsonb;
    version_hash text;
    task text;
    batch record;
    results jsonb;
    done_count int := 0;
    known_run bigint;
begin
    if continued.id is not null then
        -- It goes on as it was fitted, whatever the definition says by now: that is for the retraining.
        definition.kind := continued.options ->> 'kind';
        definition.options := continued.options;
        definition.grid := continued.options -> 'grid';
        definition.feature_columns := array(select jsonb_array_elements_text(continued.options -> 'features'));
        known_run := internal.fit_run(continued.id);
    end if;
    definition.grid := internal.settled_grid(definition);
    row_count := internal.hash_series(definition);
    select count(*) into series_count from pg_temp.series_input;
    if series_count = 0 then
        raise exception 'model % has nothing to learn from: its source has no two rows of a series with a time and a value', definition.name
            using errcode = 'ML101', hint = 'Load data first.';
    end if;
    -- (Holidays that were entered since are for the retraining.)
    complete := case when continued.id is null then internal.fit_options(definition) else continued.options - '{kind,grid}'::text [] end;
    horizon := (complete ->> 'horizon')::int;
    perform internal.remember_series(definition.name);
    settled_id := internal.settle_artifact(definition, complete, horizon, fit_relation.refit, continued);
    -- Where nothing was learnt from the others, a series is fitted as if it were alone.
    select a.id into artifact_id from cache.model_artifact as a where a.id = settled_id and a.header ->> 'learnt' is distinct from 'false';
    -- What was fitted with another artifact is another fit.
    options_hash := encode(sha256(convert_to(complete::text || coalesce(artifact_id::text, ''), 'UTF8')), 'hex');
    call_options := internal.call_options(definition, complete, artifact_id, learns_now => false);
    create temp table if not exists fit_forecast (
        series_id int, step int, target_time timestamptz, forecast float8, lower_80 float8, upper_80 float8, lower_95 float8, upper_95 float8
    ) on commit drop;
    truncate pg_temp.fit_forecast;
    create temp table if not exists fit_todo (ordinal int, known_id uuid) on commit drop;
    truncate pg_temp.fit_todo;
    perform internal.show_progress('fit', definition.name, 0, series_count);

    -- The same content was fitted before: nothing is computed.
    if continued.id is not null then
        insert into core.run_outcome (run_id, series_id, outcome, kind, label, reason, note, ml_model_id, data_hash, observation_count,
            gap_count, first_time, last_time)
        select fit_relation.run_id, i.series_id, 'cached', c.fitted_kind, c.label, c.fall_back_reason, o.note, c.id, o.data_hash,
            c.data_length, c.gap_count, c.first_data_date, c.last_data_date
        from pg_temp.series_input as i
        inner join core.run_outcome as o on o.run_id = known_run and o.series_id = i.series_id
        inner join cache.ml_models as c on c.id = o.ml_model_id
        where i.last_step <= internal.step_number(definition.grid, c.last_data_date);
        get diagnostics done_count = row_count;
    elsif not refit then
        insert into core.run_outcome (run_id, series_id, outcome, kind, label, reason, note, ml_model_id, data_hash, observation_count,
            gap_count, first_time, last_time)
        select fit_relation.run_id, i.series_id, 'cached', c.fitted_kind, c.label, c.fall_back_reason, c.note, c.id, c.data_hash,
            c.data_length, c.gap_count, c.first_data_date, c.last_data_date
        from pg_temp.series_input as i
        inner join cache.ml_models as c on c.kind = definition.kind and c.options_hash = fit.options_hash and c.data_hash = i.data_hash
            and c.invalidated_at is null and c.trained_at > now() - definition.time_to_live;
        get diagnostics done_count = row_count;
        update cache.ml_models as c set last_used_at = now()
        from core.run_outcome as o
        where o.run_id = fit_relation.run_id and c.id = o.ml_model_id and c.last_used_at < now() - interval '1 hour';
    end if;

    if done_count < series_count then
        -- What grew by no more than a tenth since its last full fit takes in what is new, if what was there is unchanged.
        insert into pg_temp.fit_todo (ordinal, known_id)
        select i.ordinal, p.id
        from pg_temp.series_input as i
        left join (
            -- All series at once: row by row the planner may look at every stored fit for each.
            select distinct on (o.series_id) o.series_id, c.id, c.last_data_date, c.data_length, c.fitted_length
            from core.run_outcome as o
            inner join core.model_series as x on x.id = o.series_id and x.model = definition.name
            inner join cache.ml_models as c on c.id = o.ml_model_id
            where not fit_relation.refit and c.kind = definition.kind and c.options_hash = fit.options_hash
              and c.supports_incremental and c.fitted_kind = c.kind
              and case when continued.id is null then c.invalidated_at is null and c.trained_at > now() - definition.time_to_live
                  else o.run_id = known_run end
            order by o.series_id, o.run_id desc
        ) as p on p.series_id = i.series_id
            and i.last_step - internal.step_number(definition.grid, p.last_data_date) + p.data_length
            between p.data_length + 1 and case when continued.id is null then 1.1 * p.fitted_length else 'infinity' end
        where not exists (select from core.run_outcome as o where o.run_id = fit_relation.run_id and o.series_id = i.series_id);
        delete from pg_temp.series_input as i
        where not exists (select from pg_temp.fit_todo as t where t.ordinal = i.ordinal);
        update pg_temp.series_input as i set prefix_step = internal.step_number(definition.grid, c.last_data_date)
        from pg_temp.fit_todo as t
        inner join cache.ml_models as c on c.id = t.known_id
        where t.ordinal = i.ordinal;
        perform internal.load_series(definition);
        update pg_temp.fit_todo as t set known_id = null
        from pg_temp.series_input as i, cache.ml_models as c
        where i.ordinal = t.ordinal and c.id = t.known_id and not (
            -- A past corrected since is for the next full fit: who goes on keeps what the parameters made of it.
            (i.prefix_hash = c.data_hash or continued.id is not null) and internal.is_signed_model(c.fitted_kind, c.version, c.data_hash, c.parameters::text, c.signature)
        );

        foreach task in array array['updated', 'fitted'] loop
            -- In batches: kernels work on many series at once, and progress shows between them.
            for batch in
                select b.number, array_agg(b.ordinal order by b.ordinal) as ordinals,
                    string_agg(b.steps, ''::bytea order by b.ordinal) as steps, string_agg(b."values", ''::bytea order by b.ordinal) as "values",
                    string_agg(int4send(octet_length(b.steps) / 8), ''::bytea order by b.ordinal) as counts,
                    string_agg(b.feature_steps, ''::bytea order by b.ordinal) as feature_steps,
                    string_agg(b.feature_values, ''::bytea order by b.ordinal) as feature_values,
                    string_agg(int4send(coalesce(octet_length(b.feature_steps), 0) / 8), ''::bytea order by b.ordinal) as feature_counts,
                    jsonb_agg(jsonb_build_object('kind', c.kind, 'parameters', c.parameters, 'length', c.data_length,
                        'last_step', internal.step_number(definition.grid, c.last_data_date)) order by b.ordinal) as known
                from (
                    select i.*, t.known_id, floor((sum(i.row_count) over (order by i.ordinal) - 1) / 20000) as number
                    from pg_temp.fit_todo as t
                    inner join pg_temp.series_input as i on i.ordinal = t.ordinal
                    where (t.known_id is not null) = (task = 'updated')
                ) as b
                left join cache.ml_models as c on c.id = b.known_id
                group by b.number
                order by b.number
            loop
                results := case
                    when task = 'updated' then internal.update_series(call_options, internal.step_seconds(definition.grid), horizon, batch.steps,
                        batch."values", batch.counts, batch.known, batch.feature_steps, batch.feature_values, batch.feature_counts)
                    else internal.fit_series(definition.kind, complete -> 'kind_options', call_options, internal.step_seconds(definition.grid), horizon,
                        batch.steps, batch."values", batch.counts, batch.feature_steps, batch.feature_values, batch.feature_counts)
                end::jsonb;
                -- What could not be updated is fitted in the second round.
                update pg_temp.fit_todo as t set known_id = null
                from jsonb_array_elements(results) with ordinality as e (value, place)
                where e.value = 'null' and t.ordinal = batch.ordinals[e.place];
                done_count := done_count + internal.store_fits(run_id, definition, options_hash, results, batch.ordinals, task,
                    artifact_id);
                perform internal.show_progress('fit', definition.name, done_count, series_count);
            end loop;
        end loop;
    end if;

    select encode(sha256(convert_to(concat_ws('|', definition.kind, options_hash, string_agg(concat_ws(':', o.series_id, o.data_hash), ',' order by o.series_id)),
        'UTF8')), 'hex')
    into version_hash
    from core.run_outcome as o where o.run_id = fit_relation.run_id;
    -- A series that fails as it did before changes nothing either.
    if not exists (select from core.run_outcome as o where o.run_id = fit_relation.run_id and o.outcome not in ('cached', 'failed')) then
        select v.id into version_id
        from core.model_versions as v
        where v.model = definition.name and v.status <> 'failed'
          and case when continued.id is null then v.data_hash = version_hash else v.id = continued.id end
        order by v.version desc limit 1;
    end if;
    is_new := version_id is null;
    if is_new then
        version_id := internal.add_version(definition.name, complete || jsonb_build_object('kind', definition.kind, 'grid', definition.grid), version_hash);
        update core.model_versions as v
        set series_count = p.fitted_count, window_start = p.first_time, window_end = p.last_time,
            status = case when p.fitted_count = 0 then 'failed' else 'trained' end,
            model_type = definition.kind, continued_version_id = continued.id, parameters_fitted_at = p.fitted_at, task = 'forecast',
            artifact_id = fit.settled_id
        from (
            select count(o.ml_model_id) as fitted_count, min(o.first_time) as first_time, max(o.last_time) as last_time, min(c.fitted_at) as fitted_at
            from core.run_outcome as o
            left join cache.ml_models as c on c.id = o.ml_model_id
            where o.run_id = fit_relation.run_id
        ) as p
        where v.id = fit_relation.version_id;
        insert into pg_temp.fit_forecast (series_id, step, target_time, forecast, lower_80, upper_80, lower_95, upper_95)
        select o.series_id[f.place], f.step, internal.step_time(definition.grid, o.last_step[f.place] + f.step), f.mean, f.lower[1], f.upper[1],
            f.lower[2], f.upper[2]
        from (
            select array_agg(x.series_id) as series_id, array_agg(x.ml_model_id) as ids,
                array_agg(internal.step_number(definition.grid, x.last_time)) as last_step
            from core.run_outcome as x
            where x.run_id = fit_relation.run_id and x.outcome = 'cached'
        ) as o
        cross join lateral internal.forecast_models(o.ids, horizon, array[0.8, 0.95]) as f
        where o.ids is not null;
        insert into core.forecast_ledger (version_id, series_id, issued_at, target_time, step, forecast, lower_80, upper_80, lower_95, upper_95)
        select fit_relation.version_id, f.series_id, now(), f.target_time, f.step, f.forecast, f.lower_80, f.upper_80, f.lower_95, f.upper_95
        from pg_temp.fit_forecast as f;
    end if;
    return next;
end
$$;

comment on function internal.fit_relation(core.model_definition, bigint, boolean, core.model_versions) is
'Fits all series of a model over a relation: an outcome for each, and a version with its forecasts unless nothing changed.

continued: a version whose parameters are kept, whatever their age, and take in what is newer; series it does not know, or cannot
go on with, are fitted. Returns the version; is_new false = the content is that of an earlier one (of the continued one). Raises ML101 when there is no row.';

create function internal.run_fit(model text, refit boolean, deploy boolean, run_id bigint, continued core.model_versions default null)
returns table (version_id int, is_new boolean)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition := internal.find_model(model);
    fit record;
    has_deployed boolean;
    failed_count int;
begin
    run_id := internal.open_run(definition.name, 'fit', jsonb_build_object('refit', refit, 'deploy', deploy)
        || case when continued.id is null then '{}' else jsonb_build_object('continued', continued.version) end, run_id);
    if internal.kind_traits(definition.kind) ->> 'family' = 'table' then
        select * into fit from internal.fit_table(definition, run_id, coalesce(refit, false));
    else
        select * into fit from internal.fit_relation(definition, run_id, coalesce(refit, false), continued);
    end if;
    update core.model_versions as v set duration_seconds = extract(epoch from clock_timestamp() - r.started_at)
    from core.training_run as r
    where r.id = run_fit.run_id and v.id = fit.version_id and fit.is_new;
    if fit.is_new then
        insert into core.model_event (model, version, event, details)
        select v.model, v.version, 'fitted', jsonb_build_object('series', v.series_count, 'run', run_fit.run_id)
        from core.model_versions as v where v.id = fit.version_id;
    end if;
    select exists (select from core.model_versions as v where v.model = definition.name and v.status = 'deployed') into has_deployed;
    if coalesce(deploy, not has_deployed) and (select v.status <> 'failed' from core.model_versions as v where v.id = fit.version_id) then
        perform internal.deploy(fit.version_id, 'deployed', case when has_deployed then 'asked for with the fit' else 'the first version' end);
    end if;
    perform internal.close_run(run_id, case when v.status = 'failed' then 'failed' else 'succeeded' end, fit.version_id, fit.series_count, fit.row_count,
        case when v.status = 'failed' then 'ML101' end, case when v.status = 'failed' then 'no series could be fitted' end,
        case when fit.is_new then internal.peak_memory() end)
    from core.model_versions as v where v.id = fit.version_id;
    select count(*) into failed_count from core.run_outcome as o where o.run_id = run_fit.run_id and o.outcome in ('failed', 'fell_back');
    if failed_count > 0 then
        raise warning '% of % series of model % could not be fitted as asked', failed_count, fit.series_count, definition.name
            using hint = format('select * from bi.fit_outcome where run_id = %s and outcome in (''failed'', ''fell_back'');', run_id);
    end if;
    version_id := fit.version_id;
    is_new := fit.is_new;
    return next;
end
$$;

comment on function internal.run_fit(text, boolean, boolean, bigint, core.model_versions) is
'Fits a model in the run given, or one of its own; see api.fit_model. continued: as for internal.fit_relation.';

create function api.fit_model(model text, refit boolean default false, deploy boolean default null)
returns table (
    version int, status text, run_id bigint, series_count int, fitted_count bigint, cached_count bigint, updated_count bigint,
    fell_back_count bigint, failed_count bigint, duration_seconds float8
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition := internal.find_model(model);
    fitted_version int;
    -- 1 where a whole table was: it has no series.
    table_count int := (definition.source is not null and definition.time_column is null)::int;
    made boolean := false;
begin
    if definition.kind = 'shrinkage_curve' then
        perform api.fit_shrinkage();
        select v.id into fitted_version from core.model_versions as v where v.model = definition.name and v.status = 'deployed';
    else
        select f.version_id, f.is_new into fitted_version, made from internal.run_fit(definition.name, refit, deploy, null) as f;
    end if;
    return query
    select v.version, v.status, r.id, r.series_count,
        count(*) filter (where o.outcome = 'fitted') + table_count * (made and v.continued_version_id is null)::int,
        count(*) filter (where o.outcome = 'cached') + table_count * (not made)::int,
        count(*) filter (where o.outcome = 'updated') + table_count * (made and v.continued_version_id is not null)::int, count(*) filter (where o.outcome = 'fell_back'), count(*) filter (where o.outcome = 'failed'),
        extract(epoch from clock_timestamp() - r.started_at)::float8
    from core.model_versions as v
    inner join lateral (
        select x.* from core.training_run as x where x.model = definition.name and x.task = 'fit' order by x.id desc limit 1
    ) as r on true
    left join core.run_outcome as o on o.run_id = r.id
    where v.id = fitted_version
    group by v.id, r.id, r.series_count, r.started_at;
end
$$;

comment on function api.fit_model(text, boolean, boolean) is
'Fits all series of a model and issues their forecasts: one version, one outcome row for each series (bi.fit_outcome).

refit: also what was fitted on the same data before. deploy: put the version in force; NULL = only when none is yet. Unchanged
data are cached (no version, nothing computed); a series that grew by at most a tenth is updated where its kind can; one that
cannot be fitted falls back to a baseline and never stops the others. A table counts as one that was fitted, cached or updated. All or nothing: a cancel leaves the deployed version as it
was. Others see the progress in bi.fit_progress. Raises 22023 for an unknown model, 55P03 while it is being fitted, ML101
without data. To have the attempt recorded even if it is cancelled: call api.run_fit.
Example: select * from api.fit_model(''sales'');';

create procedure api.run_fit(model text, refit boolean default false, deploy boolean default null)
language plpgsql
as $$
declare
    definition core.model_definition;
    run_id bigint;
begin
    set local search_path = pg_catalog, pg_temp;
    definition := internal.find_model(model);
    if definition.kind = 'shrinkage_curve' then
        perform api.fit_shrinkage();
        return;
    end if;
    run_id := internal.open_run(definition.name, 'fit', jsonb_build_object('refit', refit, 'deploy', deploy));
    -- Seen by all while it runs, and kept whatever happens.
    commit;
    set local search_path = pg_catalog, pg_temp;
    perform internal.run_fit(definition.name, refit, deploy, run_id);
end
$$;

comment on procedure api.run_fit(text, boolean, boolean) is
'Fits a model as api.fit_model does, with the run committed first: it shows in bi.training_run while it lasts, and stays there
as cancelled when the session is cancelled or killed. Not inside a transaction. Example: call api.run_fit(''sales'');';
