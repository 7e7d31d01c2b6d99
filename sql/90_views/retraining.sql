create or replace view bi.retraining as
select l.started_at as time, l.id as retraining_id, l.model, l.trigger as reason, l.old_version, l.new_version, l.metric, l.old_score, l.new_score,
    l.baseline_score, l.improvement_percent, l.decision, l.decision_reason, l.is_refitted, l.window_from, l.window_to, l.series_count, l.compared_count,
    l.forecast_count, extract(epoch from l.finished_at - l.started_at)::float8 as duration_seconds, l.requested_by, l.run_id, l.sqlstate, l.error
from core.model_retraining_log as l;

comment on view bi.retraining is 'Each retraining: champion and challenger on the same windows, and what was decided.';
comment on column bi.retraining.time is 'Start.';
comment on column bi.retraining.retraining_id is 'Key.';
comment on column bi.retraining.model is 'The model.';
comment on column bi.retraining.reason is 'Why it was retrained.';
comment on column bi.retraining.old_version is 'The champion; NULL = there was none.';
comment on column bi.retraining.new_version is 'The challenger; NULL = none was made.';
comment on column bi.retraining.metric is 'The measure that decides: mape, or wape where many actual values are 0; NULL = nothing was compared.';
comment on column bi.retraining.old_score is 'Of the champion, percent; smaller is better.';
comment on column bi.retraining.new_score is 'Of the challenger, percent.';
comment on column bi.retraining.baseline_score is 'Of the seasonal naive forecast on the same windows, percent.';
comment on column bi.retraining.improvement_percent is '100 (old - new) / old; NULL = not defined.';
comment on column bi.retraining.decision is 'deployed, rejected or failed.';
comment on column bi.retraining.decision_reason is 'In words.';
comment on column bi.retraining.is_refitted is
'Whether the champion was fitted anew at each origin, since kind or options differ; false = it forecast with its own parameters.';
comment on column bi.retraining.window_from is 'First step forecast.';
comment on column bi.retraining.window_to is 'Last step forecast.';
comment on column bi.retraining.series_count is 'Series there were.';
comment on column bi.retraining.compared_count is 'Series both could forecast: the others decide nothing.';
comment on column bi.retraining.forecast_count is 'Forecasts that count; NULL = nothing to compare.';
comment on column bi.retraining.duration_seconds is 'From start to end.';
comment on column bi.retraining.requested_by is 'Database role that asked.';
comment on column bi.retraining.run_id is 'Run that fitted the challenger (bi.training_run); NULL = none.';
comment on column bi.retraining.sqlstate is 'SQLSTATE of the error; NULL = none.';
comment on column bi.retraining.error is 'Why it failed; NULL = it did not.';

create or replace view bi.model_retraining_log as
select l.id, l.model, l.trigger, l.trigger as reason, l.old_version, l.new_version, l.metric, l.old_score, l.new_score, l.baseline_score,
    l.improvement_percent, l.decision, l.decision_reason, l.started_at, l.finished_at, l.error
from core.model_retraining_log as l;

comment on view bi.model_retraining_log is 'The retrainings under the names of the system before; bi.retraining has more.';
comment on column bi.model_retraining_log.id is 'Key.';
comment on column bi.model_retraining_log.model is 'The model.';
comment on column bi.model_retraining_log.trigger is 'Why it was retrained.';
comment on column bi.model_retraining_log.reason is 'The same.';
comment on column bi.model_retraining_log.old_version is 'The champion; NULL = there was none.';
comment on column bi.model_retraining_log.new_version is 'The challenger; NULL = none was made.';
comment on column bi.model_retraining_log.metric is 'The measure that decides.';
comment on column bi.model_retraining_log.old_score is 'Of the champion, percent; smaller is better.';
comment on column bi.model_retraining_log.new_score is 'Of the challenger, percent.';
comment on column bi.model_retraining_log.baseline_score is 'Of the seasonal naive forecast on the same windows, percent.';
comment on column bi.model_retraining_log.improvement_percent is '100 (old - new) / old.';
comment on column bi.model_retraining_log.decision is 'deployed, rejected or failed.';
comment on column bi.model_retraining_log.decision_reason is 'In words.';
comment on column bi.model_retraining_log.started_at is 'Start.';
comment on column bi.model_retraining_log.finished_at is 'End.';
comment on column bi.model_retraining_log.error is 'Why it failed; NULL = it did not.';

create or replace view bi.retraining_forecast as
select f.target_time as time, f.retraining_id, l.model, s.id as series_id, s.label as series, f.fold, f.step, f.origin_time, f.actual, f.champion,
    f.champion_lower_80, f.champion_upper_80, f.champion_lower_95, f.champion_upper_95, f.challenger, f.challenger_lower_80, f.challenger_upper_80,
    f.challenger_lower_95, f.challenger_upper_95, f.seasonal_naive,
    f.actual is not null and f.champion is not null and f.challenger is not null as is_counted
from core.retraining_forecast as f
inner join core.model_retraining_log as l on l.id = f.retraining_id
inner join core.model_series as s on s.id = f.series_id;

comment on view bi.retraining_forecast is 'What champion and challenger said of the same steps, from the same origins, beside what happened.';
comment on column bi.retraining_forecast.time is 'Step it is for.';
comment on column bi.retraining_forecast.retraining_id is 'The retraining.';
comment on column bi.retraining_forecast.model is 'The model.';
comment on column bi.retraining_forecast.series_id is 'Key of the series.';
comment on column bi.retraining_forecast.series is 'The series.';
comment on column bi.retraining_forecast.fold is 'Window, 1 = the oldest.';
comment on column bi.retraining_forecast.step is 'Steps after the origin.';
comment on column bi.retraining_forecast.origin_time is 'Last step either of them knew.';
comment on column bi.retraining_forecast.actual is 'What was observed; NULL = a gap.';
comment on column bi.retraining_forecast.champion is 'Forecast of the version in force; NULL = it had none.';
comment on column bi.retraining_forecast.champion_lower_80 is 'Lower end of its 80 % interval.';
comment on column bi.retraining_forecast.champion_upper_80 is 'Upper end of its 80 % interval.';
comment on column bi.retraining_forecast.champion_lower_95 is 'Lower end of its 95 % interval.';
comment on column bi.retraining_forecast.champion_upper_95 is 'Upper end of its 95 % interval.';
comment on column bi.retraining_forecast.challenger is 'Forecast of a fit on what was known at the origin; NULL = it had none.';
comment on column bi.retraining_forecast.challenger_lower_80 is 'Lower end of its 80 % interval.';
comment on column bi.retraining_forecast.challenger_upper_80 is 'Upper end of its 80 % interval.';
comment on column bi.retraining_forecast.challenger_lower_95 is 'Lower end of its 95 % interval.';
comment on column bi.retraining_forecast.challenger_upper_95 is 'Upper end of its 95 % interval.';
comment on column bi.retraining_forecast.seasonal_naive is 'The value one season before; NULL = none.';
comment on column bi.retraining_forecast.is_counted is 'Whether it counts: both forecasts and the actual value are there.';

create or replace view bi.retraining_evidence as
select l.started_at as time, f.retraining_id, l.model, s.id as series_id, s.label as series, f.fold, min(f.origin_time) as origin_time, m.method,
    case m.method when 'champion' then l.old_version when 'challenger' then l.new_version end as version, count(*) as row_count,
    100 * avg(abs((m.forecast - f.actual) / nullif(f.actual, 0))) as mape,
    100 * sum(abs(m.forecast - f.actual)) / nullif(sum(abs(f.actual)), 0) as wape,
    avg(abs(m.forecast - f.actual)) as mae, sqrt(avg((m.forecast - f.actual) * (m.forecast - f.actual))) as rmse, avg(m.forecast - f.actual) as bias,
    avg(abs(m.forecast - f.actual)) / nullif(avg(abs(f.seasonal_naive - f.actual)), 0) as relative_mae,
    100 * avg((f.actual between m.lower_80 and m.upper_80)::int)::float8 as coverage_80,
    100 * avg((f.actual between m.lower_95 and m.upper_95)::int)::float8 as coverage_95
from core.retraining_forecast as f
inner join core.model_retraining_log as l on l.id = f.retraining_id
inner join core.model_series as s on s.id = f.series_id
cross join lateral (
    values
    ('champion', f.champion, f.champion_lower_80, f.champion_upper_80, f.champion_lower_95, f.champion_upper_95),
    ('challenger', f.challenger, f.challenger_lower_80, f.challenger_upper_80, f.challenger_lower_95, f.challenger_upper_95),
    ('seasonal_naive', f.seasonal_naive, null, null, null, null)
) as m (method, forecast, lower_80, upper_80, lower_95, upper_95)
where f.actual is not null and f.champion is not null and f.challenger is not null and m.forecast is not null
group by l.started_at, f.retraining_id, l.model, s.id, s.label, f.fold, m.method, l.old_version, l.new_version;

comment on view bi.retraining_evidence is
'How well champion, challenger and seasonal naive forecast did in each retraining, by series and window, on the same rows.';
comment on column bi.retraining_evidence.time is 'Start of the retraining.';
comment on column bi.retraining_evidence.retraining_id is 'The retraining.';
comment on column bi.retraining_evidence.model is 'The model.';
comment on column bi.retraining_evidence.series_id is 'Key of the series.';
comment on column bi.retraining_evidence.series is 'The series.';
comment on column bi.retraining_evidence.fold is 'Window, 1 = the oldest.';
comment on column bi.retraining_evidence.origin_time is 'Last step known to those who forecast.';
comment on column bi.retraining_evidence.method is 'champion, challenger or seasonal_naive.';
comment on column bi.retraining_evidence.version is 'Version of the champion, and the one the challenger became; NULL = none.';
comment on column bi.retraining_evidence.row_count is 'Forecasts that count.';
comment on column bi.retraining_evidence.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.retraining_evidence.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.retraining_evidence.mae is 'Mean absolute error, unit of the series.';
comment on column bi.retraining_evidence.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.retraining_evidence.bias is 'Mean of forecast - actual, unit of the series.';
comment on column bi.retraining_evidence.relative_mae is 'MAE over that of the seasonal naive forecast; below 1 beats it; NULL = that made no error.';
comment on column bi.retraining_evidence.coverage_80 is 'Share of actual values inside the 80 % interval, percent; NULL = it has none.';
comment on column bi.retraining_evidence.coverage_95 is 'Share of actual values inside the 95 % interval, percent; NULL = it has none.';

create or replace view bi.retraining_policy as
select d.name as model, p.model is null as is_default, p.mape_threshold, extract(epoch from p.max_age)::float8 / 86400 as max_age_days,
    p.max_new_observations, p.significant_percent, p.minor_percent, p.is_active, p.changed_at, p.changed_by
from core.model_definition as d
cross join lateral (
    select x.* from core.retraining_policy as x where x.model = d.name or x.model is null order by x.model nulls last limit 1
) as p
where d.time_column is not null
union all
select null, true, p.mape_threshold, extract(epoch from p.max_age)::float8 / 86400, p.max_new_observations, p.significant_percent, p.minor_percent,
    p.is_active, p.changed_at, p.changed_by
from core.retraining_policy as p
where p.model is null;

comment on view bi.retraining_policy is 'When each model is retrained by itself, and how much better a challenger must be.';
comment on column bi.retraining_policy.model is 'The model; NULL = what holds for those without rules of their own.';
comment on column bi.retraining_policy.is_default is 'Whether the default holds.';
comment on column bi.retraining_policy.mape_threshold is 'MAPE above which it is retrained, percent.';
comment on column bi.retraining_policy.max_age_days is 'Age of its full fit above which it is retrained, days.';
comment on column bi.retraining_policy.max_new_observations is 'Observations since its full fit above which it is retrained.';
comment on column bi.retraining_policy.significant_percent is 'Improvement above which a challenger is significantly better, percent.';
comment on column bi.retraining_policy.minor_percent is 'Improvement above which it comes into force, percent.';
comment on column bi.retraining_policy.is_active is 'Whether it is retrained by itself; by hand always.';
comment on column bi.retraining_policy.changed_at is 'When somebody last changed it.';
comment on column bi.retraining_policy.changed_by is 'Database role that did.';

create or replace view bi.training_history as
select r.started_at as time, r.model, v.version, v.status, r.id as run_id, r.status as run_status,
    coalesce(
        l.trigger, r.options ->> 'retrain', 'same parameters, newer data, of version ' || (r.options ->> 'continued'),
        case when r.options ->> 'refit' = 'true' then 'fitted anew by hand' else 'fitted' end
    ) as reason,
    extract(epoch from r.finished_at - r.started_at)::float8 as duration_seconds, r.series_count, r.row_count, r.peak_memory_mb,
    coalesce(v.parameters_fitted_at, v.created_date) as parameters_fitted_at, b.version as continued_version, v.window_start, v.window_end,
    (v.metrics ->> 'mape')::float8 as mape, (v.metrics ->> 'wape')::float8 as wape, (v.metrics ->> 'mase')::float8 as mase,
    (v.metrics ->> 'coverage_80')::float8 as coverage_80, (v.metrics ->> 'coverage_95')::float8 as coverage_95,
    l.id as retraining_id, l.decision, l.decision_reason, l.improvement_percent, v.deployed_at, v.retired_at, r.requested_by, r.sqlstate, r.error
from core.training_run as r
left join core.model_versions as v on v.id = r.version_id
left join core.model_versions as b on b.id = v.continued_version_id
left join core.model_retraining_log as l on l.run_id = r.id
where r.task = 'fit' and r.status <> 'running' and r.status <> 'queued';

comment on view bi.training_history is 'Every fit that ended: why, how long, what became of its version, and how well it did.';
comment on column bi.training_history.time is 'Start.';
comment on column bi.training_history.model is 'The model.';
comment on column bi.training_history.version is 'Version it made or found unchanged; NULL = none.';
comment on column bi.training_history.status is 'Status of that version now: trained, deployed, archived, failed.';
comment on column bi.training_history.run_id is 'Key of the run (bi.training_run, bi.fit_outcome).';
comment on column bi.training_history.run_status is 'succeeded, failed, cancelled.';
comment on column bi.training_history.reason is 'Why: fitted, fitted anew by hand, the trigger of a retraining, or which version it goes on from.';
comment on column bi.training_history.duration_seconds is 'From start to end.';
comment on column bi.training_history.series_count is 'Series asked for.';
comment on column bi.training_history.row_count is 'Observations read.';
comment on column bi.training_history.peak_memory_mb is 'Largest memory of the session, MB; NULL = nothing was computed.';
comment on column bi.training_history.parameters_fitted_at is 'When the oldest of its parameters were fitted.';
comment on column bi.training_history.continued_version is 'Version it goes on from with the same parameters; NULL = none.';
comment on column bi.training_history.window_start is 'First observation used.';
comment on column bi.training_history.window_end is 'Last observation used.';
comment on column bi.training_history.mape is 'MAPE of the last evaluation or retraining, percent; NULL = not evaluated.';
comment on column bi.training_history.wape is 'WAPE of the same, percent.';
comment on column bi.training_history.mase is 'MASE of the last evaluation.';
comment on column bi.training_history.coverage_80 is 'Share of actual values inside the 80 % interval then, percent.';
comment on column bi.training_history.coverage_95 is 'Share of actual values inside the 95 % interval then, percent.';
comment on column bi.training_history.retraining_id is 'The retraining it was for (bi.retraining); NULL = none.';
comment on column bi.training_history.decision is 'deployed, rejected, failed; NULL = no retraining.';
comment on column bi.training_history.decision_reason is 'In words.';
comment on column bi.training_history.improvement_percent is 'How much better than the champion, percent.';
comment on column bi.training_history.deployed_at is 'When the version was last put in force; NULL = never.';
comment on column bi.training_history.retired_at is 'When another took its place; NULL = none did.';
comment on column bi.training_history.requested_by is 'Database role.';
comment on column bi.training_history.sqlstate is 'SQLSTATE of the error; NULL = none.';
comment on column bi.training_history.error is 'Why it failed; NULL = it did not.';
