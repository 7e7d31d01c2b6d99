create function internal.fit_seconds(model text, row_count bigint)
returns float8
language sql stable
return (
    select extract(epoch from r.finished_at - r.started_at)::float8 / nullif(r.row_count, 0) * fit_seconds.row_count
    from core.training_run as r
    where r.model = fit_seconds.model and r.task = 'fit' and r.status = 'succeeded'
      and exists (select from core.run_outcome as o where o.run_id = r.id and o.outcome = 'fitted')
      and not exists (select from core.run_outcome as o where o.run_id = r.id and o.outcome in ('cached', 'updated'))
    order by r.id desc limit 1
);

comment on function internal.fit_seconds(text, bigint) is
'Estimates how long a full fit of a model takes, seconds, from the last one and the observations it read; NULL = there was none.';

create function internal.retrain(model text, reason text, dry_run boolean, run_id bigint)
returns table (
    decision text, decision_reason text, old_version int, new_version int, metric text, old_score float8, new_score float8, baseline_score float8,
    improvement_percent float8, window_from timestamptz, window_to timestamptz, forecast_count bigint, seconds float8, log_id bigint
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(retrain.model);
    policy core.retraining_policy;
    champion core.model_versions;
    challenger core.model_versions;
    log core.model_retraining_log;
    blank core.model_retraining_log;
    contest record;
    score record;
    run_options jsonb;
    challenger_id int;
begin
    if definition.time_column is null and definition.source is not null then
        raise exception 'model % is not retrained this way', definition.name
            using errcode = '22023', hint = 'It predicts rows: api.fit_model fits it anew, api.compare_versions compares.';
    elsif definition.source is null then
        raise exception 'model % is not retrained this way', definition.name
            using errcode = '22023', hint = 'Its fit is in force at once: api.fit_shrinkage. How well it predicts what it had not seen is in bi.fit_holdout.';
    end if;
    log.model := definition.name;
    log.trigger := coalesce(nullif(btrim(retrain.reason), ''), 'asked for by hand');
    log.started_at := clock_timestamp();
    run_options := jsonb_build_object('retrain', log.trigger);
    perform internal.lock_model(definition.name);
    select p.* into policy from core.retraining_policy as p where p.model = definition.name or p.model is null order by p.model nulls last limit 1;
    select v.* into champion from core.model_versions as v where v.model = definition.name and v.status = 'deployed';
    log.old_version := champion.version;
    blank := log;
    begin
        definition.grid := coalesce(definition.grid, internal.find_grid(definition));
        if champion.id is null then
            log.decision := 'deployed';
            log.decision_reason := 'nothing was in force';
        else
            select * into contest from internal.hold_contest(definition, champion);
            log.series_count := contest.series_count;
            log.compared_count := 0;
            if contest.compared_count = 0 then
                log.decision := 'rejected';
                log.decision_reason := format(case when contest.is_refitted then 'too few observations to compare with version %s'
                    else 'no new data since the parameters of version %s were fitted' end, champion.version);
            else
                select * into score from internal.score_contest();
                log.is_refitted := contest.is_refitted;
                log.metric := score.metric;
                log.old_score := score.old_score;
                log.new_score := score.new_score;
                log.baseline_score := score.baseline_score;
                log.compared_count := coalesce(score.series_count, 0);
                log.forecast_count := coalesce(score.forecast_count, 0);
                log.window_from := internal.step_time(definition.grid, score.window_from);
                log.window_to := internal.step_time(definition.grid, score.window_to);
                select j.decision, j.decision_reason, j.improvement_percent into log.decision, log.decision_reason, log.improvement_percent
                from internal.judge_challenger(log.old_score, log.new_score, policy.significant_percent, policy.minor_percent) as j;
            end if;
        end if;
        -- Without a step the champion has not seen a fit would only be what is there.
        if not retrain.dry_run and (log.old_version is null or log.compared_count > 0 or log.forecast_count is not null) then
            log.run_id := internal.open_run(definition.name, 'fit', run_options, retrain.run_id);
            select f.version_id into challenger_id from internal.run_fit(definition.name, true, false, log.run_id) as f;
            select v.* into challenger from core.model_versions as v where v.id = challenger_id;
            log.new_version := challenger.version;
            if challenger.status = 'failed' then
                log.decision := 'failed';
                log.decision_reason := 'no series could be fitted';
                log.sqlstate := 'ML101';
                log.error := log.decision_reason;
            end if;
        elsif retrain.run_id is not null then
            log.run_id := internal.open_run(definition.name, 'fit', run_options, retrain.run_id);
            perform internal.close_run(log.run_id, 'succeeded', champion.id, contest.series_count, contest.row_count);
        end if;
    exception
        when others then
            if retrain.dry_run then
                raise;
            end if;
            -- What was done in the block is undone; the champion serves on.
            log := blank;
            get stacked diagnostics log.sqlstate = returned_sqlstate, log.error = message_text;
            log.decision := 'failed';
            log.decision_reason := 'the challenger could not be fitted or compared';
            log.run_id := internal.fail_run(definition.name, run_options, retrain.run_id, log.sqlstate, log.error);
            challenger := null;
    end;
    log.finished_at := clock_timestamp();
    seconds := extract(epoch from log.finished_at - log.started_at);
    if retrain.dry_run then
        -- Comparing was paid for; a real run would also fit all data.
        seconds := seconds + case when log.forecast_count is not null then coalesce(internal.fit_seconds(definition.name, contest.row_count), 0) else 0 end;
        log.decision_reason := format('would be %s: %s', log.decision, log.decision_reason);
        log.decision := 'dry_run';
    else
        insert into core.model_retraining_log (model, trigger, old_version, new_version, metric, old_score, new_score, baseline_score, improvement_percent,
            decision, decision_reason, started_at, finished_at, error, run_id, is_refitted, window_from, window_to, series_count, compared_count,
            forecast_count, sqlstate)
        values (log.model, log.trigger, log.old_version, log.new_version, log.metric, log.old_score, log.new_score, log.baseline_score,
            log.improvement_percent, log.decision, log.decision_reason, log.started_at, log.finished_at, log.error, log.run_id, log.is_refitted,
            log.window_from, log.window_to, log.series_count, log.compared_count, log.forecast_count, log.sqlstate)
        returning id into log.id;
        if log.forecast_count is not null then
            insert into core.retraining_forecast (retraining_id, series_id, fold, step, origin_time, target_time, actual, champion, champion_lower_80,
                champion_upper_80, champion_lower_95, champion_upper_95, challenger, challenger_lower_80, challenger_upper_80, challenger_lower_95,
                challenger_upper_95, seasonal_naive)
            select log.id, c.series_id, c.fold, c.step, o.step_time, t.step_time, c.actual, c.champion, c.champion_lower_80,
                c.champion_upper_80, c.champion_lower_95, c.champion_upper_95, c.challenger, c.challenger_lower_80, c.challenger_upper_80,
                c.challenger_lower_95, c.challenger_upper_95, c.seasonal_naive
            from pg_temp.contest as c
            -- Series mostly end at the same steps: each time is worked out once.
            inner join (
                select x.step, internal.step_time(definition.grid, x.step) as step_time from (select distinct y.origin_step as step from pg_temp.contest as y) as x
            ) as o on o.step = c.origin_step
            inner join (
                select x.step, internal.step_time(definition.grid, x.step) as step_time from (select distinct y.target_step as step from pg_temp.contest as y) as x
            ) as t on t.step = c.target_step;
            update core.model_versions as v set metrics = score.challenger_metrics || jsonb_build_object('retraining', log.id)
            where v.id = challenger.id and score.challenger_metrics is not null;
        end if;
        if log.decision = 'deployed' then
            perform internal.deploy(challenger.id, 'deployed', format('retraining %s, %s: %s', log.id, log.trigger, log.decision_reason));
        elsif log.decision = 'rejected' then
            update core.model_versions as v set status = 'archived' where v.id = challenger.id;
        end if;
    end if;
    decision := log.decision;
    decision_reason := log.decision_reason;
    old_version := log.old_version;
    new_version := log.new_version;
    metric := log.metric;
    old_score := log.old_score;
    new_score := log.new_score;
    baseline_score := log.baseline_score;
    improvement_percent := log.improvement_percent;
    window_from := log.window_from;
    window_to := log.window_to;
    forecast_count := log.forecast_count;
    log_id := log.id;
    return next;
end
$$;

comment on function internal.retrain(text, text, boolean, bigint) is
'Retrains a model in the run given, or one of its own; see api.retrain_model.';

create function api.retrain_model(model text, reason text default null, dry_run boolean default false)
returns table (
    decision text, decision_reason text, old_version int, new_version int, metric text, old_score float8, new_score float8, baseline_score float8,
    improvement_percent float8, window_from timestamptz, window_to timestamptz, forecast_count bigint, seconds float8, log_id bigint
)
language sql volatile
begin atomic
    select r.decision, r.decision_reason, r.old_version, r.new_version, r.metric, r.old_score, r.new_score, r.baseline_score, r.improvement_percent,
        r.window_from, r.window_to, r.forecast_count, r.seconds, r.log_id
    from internal.retrain(retrain_model.model, retrain_model.reason, coalesce(retrain_model.dry_run, false), null) as r;
end;

comment on function api.retrain_model(text, text, boolean) is
'Fits a challenger and puts it in force if it forecasts better than the version in force: both on the same newest windows.

The champion forecasts with its own parameters, only steps these have not seen; the challenger''s kind and options are fitted on what
was known at the origin of each window (where kind or options differ from the champion''s, so are his). What comes into force is then
the fit on all data. The measure is MAPE over all forecasts, WAPE where a fifth of the actual values are 0; how much better is
enough are rows (api.set_retraining_policy). decision: deployed, rejected (the challenger is archived), failed (the champion serves on;
the error is in bi.retraining); with dry_run: dry_run, nothing is stored, and seconds is what a real run would take. forecast_count:
forecasts that count, NULL = nothing to compare: no challenger is fitted. Scores are NULL then. The evidence is in
bi.retraining_evidence. Undo with api.rollback_model. Raises 22023 for an unknown model and for shrinkage, 55P03 while the
model is being fitted or retrained. Others see the progress in bi.fit_progress.
Example: select decision, decision_reason from api.retrain_model(''sales'');';

create procedure api.run_retraining(model text, reason text default null)
language plpgsql
as $$
declare
    definition core.model_definition;
    run_id bigint;
begin
    set local search_path = pg_catalog, pg_temp;
    definition := internal.find_model(model);
    if definition.time_column is not null then
        run_id := internal.open_run(definition.name, 'fit', jsonb_build_object('retrain', coalesce(reason, 'asked for by hand')));
        -- Seen by all while it runs, and kept whatever happens.
        commit;
        set local search_path = pg_catalog, pg_temp;
    end if;
    perform internal.retrain(definition.name, reason, false, run_id);
end
$$;

comment on procedure api.run_retraining(text, text) is
'Retrains a model as api.retrain_model does, with the run committed first: it shows in bi.training_run while it lasts, and stays
there as cancelled when the session is cancelled or killed. The decision is the newest row of bi.retraining. Not inside a
transaction. Example: call api.run_retraining(''sales'');';
