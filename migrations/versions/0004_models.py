"""Models of any relation have versions, runs, stored parameters and a ledger of forecasts."""

from loader.schema import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run(r"""
alter table core.python_module add column bytecode bytea, add column interpreter text;
comment on column core.python_module.bytecode is 'The module compiled, so that a session need not; NULL = not yet.';
comment on column core.python_module.interpreter is 'The Python it was compiled by; another compiles the source.';

create table core.model_definition (
    name text primary key check (name = btrim(name) and name <> '' and length(name) <= 200),
    kind text not null,
    description text,
    source text,
    source_is_query boolean not null default false,
    time_column text,
    value_column text,
    key_columns text[] not null default '{}',
    options jsonb not null default '{}' check (jsonb_typeof(options) = 'object'),
    grid jsonb,
    time_to_live interval not null default '24 hours' check (time_to_live > '0'),
    created_at timestamptz not null default now(),
    created_by text not null default session_user,
    check ((source is null) = (time_column is null) and (source is null) = (value_column is null))
);
comment on table core.model_definition is 'Holds what each model reads and how: one row a model, whatever its kind.';
comment on column core.model_definition.name is 'Name, as callers write it.';
comment on column core.model_definition.kind is 'Kind of model: auto, ets, theta, arima ...; shrinkage_curve reads the inventory periods.';
comment on column core.model_definition.description is 'What it is for; NULL = nothing said.';
comment on column core.model_definition.source is 'Relation (schema.name) or query it reads; NULL = the kind knows its tables.';
comment on column core.model_definition.source_is_query is 'Whether source is a query.';
comment on column core.model_definition.time_column is 'Column of the time.';
comment on column core.model_definition.value_column is 'Column of the value, in the unit of the series.';
comment on column core.model_definition.key_columns is 'Columns that tell the series apart; empty = one series.';
comment on column core.model_definition.options is 'Options as given: step, time_zone, seasons, horizon, aggregate, missing, max_gap, folds, kind.';
comment on column core.model_definition.grid is 'Steps of the series: unit (second, day, month), count, phase, zone, type of the time column, is_local; NULL = not known before the first rows are there.';
comment on column core.model_definition.time_to_live is 'Age at which a fit counts as stale.';
comment on column core.model_definition.created_at is 'When it was created.';
comment on column core.model_definition.created_by is 'Database role that created it.';
insert into core.model_definition (name, kind, description)
values ('shrinkage', 'shrinkage_curve', 'Loss by drying as a function of age, one curve a product.');

alter table core.models rename to model_versions;
alter table core.model_versions rename column name to model;
alter table core.model_versions
    add column status text not null default 'trained' check (status in ('trained', 'deployed', 'archived', 'failed')),
    add column options jsonb not null default '{}',
    add column metrics jsonb not null default '{}',
    add column feature_importance jsonb,
    add column window_start timestamptz,
    add column window_end timestamptz,
    add column series_count int not null default 0,
    add column duration_seconds float8 check (duration_seconds < 'infinity' and duration_seconds >= 0),
    add column created_by text not null default session_user,
    add column deployed_at timestamptz,
    add column retired_at timestamptz,
    add column replaced_version_id int references core.model_versions on delete set null,
    add constraint model_versions_model_fkey foreign key (model) references core.model_definition on update cascade;
update core.model_versions as v
set status = case when v.version = newest.version then 'deployed' else 'archived' end, deployed_at = v.created_date
from (select m.model, max(m.version) as version from core.model_versions as m group by m.model) as newest
where newest.model = v.model;
create unique index model_versions_deployed_idx on core.model_versions (model) where status = 'deployed';
comment on index core.model_versions_deployed_idx is 'Usage: the deployed version of a model; at most one.';
comment on table core.model_versions is 'Holds the versions of the models; a fit that changes nothing makes none.';
comment on column core.model_versions.id is 'Key.';
comment on column core.model_versions.model is 'The model.';
comment on column core.model_versions.model_type is 'Kind it was fitted with.';
comment on column core.model_versions.version is 'Counts from 1 for each model.';
comment on column core.model_versions.parameters is 'What was fitted for all series together (shrinkage: by product type); each series has its own in ml_models or coefficients.';
comment on column core.model_versions.status is 'trained, deployed (at most one a model), archived, failed.';
comment on column core.model_versions.options is 'All options it was fitted with (hyperparameters), defaults filled in.';
comment on column core.model_versions.metrics is 'Measures by name, of the last evaluation; {} = not evaluated.';
comment on column core.model_versions.feature_importance is 'Importance by feature; NULL = the kind has none.';
comment on column core.model_versions.window_start is 'First observation used; NULL = not recorded.';
comment on column core.model_versions.window_end is 'Last observation used; NULL = not recorded.';
comment on column core.model_versions.series_count is 'Series it can forecast.';
comment on column core.model_versions.duration_seconds is 'How long the fit took; NULL = not recorded.';
comment on column core.model_versions.created_by is 'Database role that fitted it.';
comment on column core.model_versions.deployed_at is 'When it was last deployed; NULL = never.';
comment on column core.model_versions.retired_at is 'When another was deployed in its place; NULL = never.';
comment on column core.model_versions.replaced_version_id is 'The version it replaced when deployed: where a rollback goes; NULL = none.';

create table core.model_series (
    id int generated always as identity primary key,
    model text not null references core.model_definition on update cascade on delete cascade,
    series_key text[] not null,
    label text not null,
    unique (model, series_key)
);
create index model_series_label_idx on core.model_series (model, label);
comment on index core.model_series_label_idx is 'Usage: a series by its name.';
comment on table core.model_series is 'Holds the series of the models.';
comment on column core.model_series.id is 'Key.';
comment on column core.model_series.model is 'The model.';
comment on column core.model_series.series_key is 'Values of the key columns, as text, in their order.';
comment on column core.model_series.label is 'The key in one text, as people write it: "north / milk".';

create table core.training_run (
    id bigint generated always as identity primary key,
    model text not null references core.model_definition on update cascade on delete cascade,
    task text not null check (task in ('fit', 'evaluate')),
    status text not null default 'running' check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    requested_by text not null default session_user,
    backend_pid int not null default pg_backend_pid(),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    version_id int references core.model_versions on delete set null,
    options jsonb not null default '{}',
    series_count int not null default 0,
    row_count bigint not null default 0,
    peak_memory_mb float8 check (peak_memory_mb < 'infinity' and peak_memory_mb >= 0),
    sqlstate text,
    error text
);
create index training_run_model_idx on core.training_run (model, id desc);
create index training_run_version_id_idx on core.training_run (version_id);
comment on index core.training_run_model_idx is 'Usage: the last runs of a model.';
comment on index core.training_run_version_id_idx is 'Usage: the run that made a version; deleting versions.';
comment on table core.training_run is 'Holds each fit and evaluation of a model: when, by whom, how long, with what end.';
comment on column core.training_run.id is 'Key.';
comment on column core.training_run.model is 'The model.';
comment on column core.training_run.task is 'fit or evaluate.';
comment on column core.training_run.status is 'queued, running, succeeded, failed or cancelled; running without its session is cancelled (bi.training_run says so).';
comment on column core.training_run.requested_by is 'Database role that asked.';
comment on column core.training_run.backend_pid is 'Process of the session that ran it.';
comment on column core.training_run.started_at is 'Start.';
comment on column core.training_run.finished_at is 'End; NULL = not ended.';
comment on column core.training_run.version_id is 'The version it made or evaluated; a fit of unchanged data names the version that was there.';
comment on column core.training_run.options is 'Options of this call.';
comment on column core.training_run.series_count is 'Series asked for.';
comment on column core.training_run.row_count is 'Observations read.';
comment on column core.training_run.peak_memory_mb is 'Largest memory of the session so far, MB; NULL = not known.';
comment on column core.training_run.sqlstate is 'Of the error; NULL = none.';
comment on column core.training_run.error is 'Why it failed; NULL = it did not.';

create table cache.ml_models (
    id uuid primary key default gen_random_uuid(),
    model_name text not null,
    upload_id bigint,
    kind text not null,
    fitted_kind text not null,
    options_hash text not null,
    data_hash text not null,
    parameters jsonb not null,
    signature bytea not null,
    label text not null,
    note text,
    data_length int not null check (data_length > 0),
    fitted_length int not null check (fitted_length > 0),
    gap_count int not null default 0,
    first_data_date timestamptz not null,
    last_data_date timestamptz not null,
    trained_at timestamptz not null default clock_timestamp(),
    last_used_at timestamptz not null default now(),
    version int not null,
    supports_incremental boolean not null,
    fall_back_reason text,
    invalidated_at timestamptz
);
create unique index ml_models_content_idx on cache.ml_models (kind, options_hash, data_hash) where invalidated_at is null;
comment on index cache.ml_models_content_idx is 'Usage: the valid fit of a content.';
create index ml_models_last_used_at_idx on cache.ml_models (last_used_at);
comment on index cache.ml_models_last_used_at_idx is 'Usage: what was not used for long, for housekeeping.';
comment on table cache.ml_models is 'Holds fitted parameters by content: kind, options and data decide; equal content is fitted once, for whatever model.';
comment on column cache.ml_models.id is 'Key.';
comment on column cache.ml_models.model_name is 'The model it was first fitted for.';
comment on column cache.ml_models.upload_id is 'The uploaded dataset it was fitted on; NULL = a relation.';
comment on column cache.ml_models.kind is 'Kind asked for.';
comment on column cache.ml_models.fitted_kind is 'Kind of the parameters: kind, or the baseline that stands in.';
comment on column cache.ml_models.options_hash is 'SHA-256 of the options that decide the fit.';
comment on column cache.ml_models.data_hash is 'SHA-256 of the times and values.';
comment on column cache.ml_models.parameters is 'Everything a forecast needs.';
comment on column cache.ml_models.signature is 'HMAC-SHA-256 of kind, form, data hash and parameters; the key is a file of the server.';
comment on column cache.ml_models.label is 'What was chosen, for people.';
comment on column cache.ml_models.note is 'What to know about the fit; NULL = nothing.';
comment on column cache.ml_models.data_length is 'Steps taken in, filled gaps included.';
comment on column cache.ml_models.fitted_length is 'Steps the last full fit had; the rest came by updates.';
comment on column cache.ml_models.gap_count is 'Gaps filled among data_length.';
comment on column cache.ml_models.first_data_date is 'Time of the first step taken in.';
comment on column cache.ml_models.last_data_date is 'Time of the last observation.';
comment on column cache.ml_models.trained_at is 'When it was fitted or updated.';
comment on column cache.ml_models.last_used_at is 'When it was last used, to the hour.';
comment on column cache.ml_models.version is 'Version of the form of the parameters.';
comment on column cache.ml_models.supports_incremental is 'Whether it can take in new observations without a fit.';
comment on column cache.ml_models.fall_back_reason is 'Why kind failed where a baseline stands in; NULL = it did not.';
comment on column cache.ml_models.invalidated_at is 'When somebody declared it void; NULL = valid.';

create table core.run_outcome (
    run_id bigint not null references core.training_run on delete cascade,
    -- Rows of runs go with their run, and a model's series with its runs: a key of its own would be checked for every row.
    series_id int not null,
    outcome text not null check (outcome in ('fitted', 'cached', 'updated', 'fell_back', 'failed')),
    kind text,
    label text,
    reason text,
    sqlstate text,
    hint text,
    note text,
    ml_model_id uuid references cache.ml_models,
    data_hash text,
    observation_count int not null default 0,
    gap_count int not null default 0,
    first_time timestamptz,
    last_time timestamptz,
    primary key (run_id, series_id),
    check ((outcome = 'failed') = (ml_model_id is null))
);
create index run_outcome_series_id_idx on core.run_outcome (series_id, run_id desc);
create index run_outcome_ml_model_id_idx on core.run_outcome (ml_model_id);
comment on index core.run_outcome_series_id_idx is 'Usage: what became of one series, newest first.';
comment on index core.run_outcome_ml_model_id_idx is 'Usage: whether stored parameters are still needed.';
comment on table core.run_outcome is 'Holds one row for each series a run was asked for.';
comment on column core.run_outcome.run_id is 'The run.';
comment on column core.run_outcome.series_id is 'The series.';
comment on column core.run_outcome.outcome is 'fitted; cached: same content, nothing computed; updated: took in new observations; fell_back: a baseline stands in; failed.';
comment on column core.run_outcome.kind is 'Kind that forecasts it; NULL = none.';
comment on column core.run_outcome.label is 'What was chosen, for people; NULL = failed.';
comment on column core.run_outcome.reason is 'Why it fell back or failed; NULL = it did not.';
comment on column core.run_outcome.sqlstate is 'SQLSTATE of the reason.';
comment on column core.run_outcome.hint is 'What to do about it.';
comment on column core.run_outcome.note is 'What to know about the data or the fit (gaps filled, history cut); NULL = nothing.';
comment on column core.run_outcome.ml_model_id is 'The stored parameters; NULL = failed.';
comment on column core.run_outcome.data_hash is 'SHA-256 of the times and values.';
comment on column core.run_outcome.observation_count is 'Steps used, gaps filled included.';
comment on column core.run_outcome.gap_count is 'Of these, filled ones.';
comment on column core.run_outcome.first_time is 'First step used.';
comment on column core.run_outcome.last_time is 'Last observation.';

create table core.forecast_ledger (
    version_id int not null,
    series_id int not null,
    issued_at timestamptz not null,
    target_time timestamptz not null,
    step int not null check (step > 0),
    forecast float8 not null,
    lower_80 float8 not null,
    upper_80 float8 not null,
    lower_95 float8 not null,
    upper_95 float8 not null,
    actual float8,
    actual_at timestamptz,
    constraint figures_are_finite check (
        greatest(abs(forecast), abs(lower_80), abs(upper_80), abs(lower_95), abs(upper_95), abs(actual)) < 'infinity'
    ),
    constraint intervals_are_nested check (
        lower_95 <= lower_80 and lower_80 <= forecast and forecast <= upper_80 and upper_80 <= upper_95
    )
);
select public.create_hypertable('core.forecast_ledger', public.by_range('target_time', interval '182 days'), create_default_indexes => false);
create unique index forecast_ledger_key_idx on core.forecast_ledger (series_id, version_id, target_time, issued_at);
create index forecast_ledger_open_idx on core.forecast_ledger (version_id, target_time) where actual is null;
comment on index core.forecast_ledger_key_idx is 'Usage: what a version says of a series.';
comment on index core.forecast_ledger_open_idx is 'Usage: forecasts whose actual is not known yet.';
comment on table core.forecast_ledger is 'Holds every forecast that was issued: when, for when, by which version; and what happened.';
comment on column core.forecast_ledger.version_id is 'The version (its run names the data hash of each series).';
comment on column core.forecast_ledger.series_id is 'The series.';
comment on column core.forecast_ledger.issued_at is 'When it was issued.';
comment on column core.forecast_ledger.target_time is 'Start of the step it is for.';
comment on column core.forecast_ledger.step is 'Steps after the last observation.';
comment on column core.forecast_ledger.forecast is 'Expected value, in the unit of the series.';
comment on column core.forecast_ledger.lower_80 is 'Lower end of the 80 % interval.';
comment on column core.forecast_ledger.upper_80 is 'Upper end of the 80 % interval.';
comment on column core.forecast_ledger.lower_95 is 'Lower end of the 95 % interval.';
comment on column core.forecast_ledger.upper_95 is 'Upper end of the 95 % interval.';
comment on column core.forecast_ledger.actual is 'What was observed; NULL = not known yet.';
comment on column core.forecast_ledger.actual_at is 'When the actual was joined; NULL = not yet.';

create table core.backtest_forecast (
    run_id bigint not null references core.training_run on delete cascade,
    series_id int not null,
    fold int not null,
    step int not null,
    origin_time timestamptz not null,
    target_time timestamptz not null,
    actual float8,
    forecast float8 not null,
    lower_80 float8 not null,
    upper_80 float8 not null,
    lower_95 float8 not null,
    upper_95 float8 not null,
    naive float8,
    seasonal_naive float8,
    primary key (run_id, series_id, fold, step),
    constraint figures_are_finite check (greatest(abs(actual), abs(forecast), abs(lower_80), abs(upper_80), abs(lower_95), abs(upper_95),
        abs(naive), abs(seasonal_naive)) < 'infinity')
);
comment on table core.backtest_forecast is 'Holds the forecasts of evaluations, one row a fold and step, beside what happened and the baselines.';
comment on column core.backtest_forecast.run_id is 'The evaluation.';
comment on column core.backtest_forecast.series_id is 'The series.';
comment on column core.backtest_forecast.fold is 'Fold, 1 = the oldest.';
comment on column core.backtest_forecast.step is 'Steps after the last observation the fold was fitted on, the gap not counted.';
comment on column core.backtest_forecast.origin_time is 'Last observation the fold was fitted on.';
comment on column core.backtest_forecast.target_time is 'Step it is for.';
comment on column core.backtest_forecast.actual is 'What was observed; NULL = a gap.';
comment on column core.backtest_forecast.forecast is 'Expected value.';
comment on column core.backtest_forecast.lower_80 is 'Lower end of the 80 % interval.';
comment on column core.backtest_forecast.upper_80 is 'Upper end of the 80 % interval.';
comment on column core.backtest_forecast.lower_95 is 'Lower end of the 95 % interval.';
comment on column core.backtest_forecast.upper_95 is 'Upper end of the 95 % interval.';
comment on column core.backtest_forecast.naive is 'The last observation.';
comment on column core.backtest_forecast.seasonal_naive is 'The observation one season before; the last one where there is no season.';

create table core.backtest_metric (
    run_id bigint not null references core.training_run on delete cascade,
    series_id int,
    fold int,
    method text not null check (method in ('model', 'naive', 'seasonal_naive')),
    metric text not null,
    value float8,
    row_count int not null,
    unique nulls not distinct (run_id, series_id, fold, method, metric),
    constraint figures_are_finite check (abs(value) < 'infinity')
);
comment on table core.backtest_metric is 'Holds the measures of evaluations in long form, those of the baselines beside those of the model.';
comment on column core.backtest_metric.run_id is 'The evaluation.';
comment on column core.backtest_metric.series_id is 'The series; NULL = all.';
comment on column core.backtest_metric.fold is 'The fold; NULL = all.';
comment on column core.backtest_metric.method is 'model, naive or seasonal_naive.';
comment on column core.backtest_metric.metric is 'mape, smape, wape (percent), mase, mae, rmse, bias (unit of the series), coverage_80, coverage_95 (percent), interval_score_80, interval_score_95 (Winkler).';
comment on column core.backtest_metric.value is 'The measure; NULL = not defined (no row counts, or the scale is 0).';
comment on column core.backtest_metric.row_count is 'Forecasts that count.';

create table core.model_event (
    id bigint generated always as identity primary key,
    model text not null,
    version int,
    event text not null check (event in ('created', 'fitted', 'deployed', 'rolled_back', 'invalidated', 'pruned', 'changed', 'dropped', 'adopted')),
    happened_at timestamptz not null default clock_timestamp(),
    by_role text not null default session_user,
    reason text,
    details jsonb not null default '{}'
);
create index model_event_model_idx on core.model_event (model, id desc);
comment on index core.model_event_model_idx is 'Usage: the history of a model.';
comment on table core.model_event is 'Holds who did what to which model, for good: rows outlive the model.';
comment on column core.model_event.id is 'Key.';
comment on column core.model_event.model is 'The model; * = all.';
comment on column core.model_event.version is 'The version; NULL = none.';
comment on column core.model_event.event is 'What was done.';
comment on column core.model_event.happened_at is 'When.';
comment on column core.model_event.by_role is 'Database role.';
comment on column core.model_event.reason is 'Why; NULL = not said.';
comment on column core.model_event.details is 'Figures: counts, the version before.';

create table core.model_retraining_log (
    id bigint generated always as identity primary key,
    model text not null references core.model_definition on update cascade on delete cascade,
    trigger text not null,
    old_version int,
    new_version int,
    metric text,
    old_score float8,
    new_score float8,
    baseline_score float8,
    improvement_percent float8,
    decision text not null check (decision in ('deployed', 'rejected', 'failed')),
    decision_reason text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    error text,
    constraint figures_are_finite check (greatest(abs(old_score), abs(new_score), abs(baseline_score), abs(improvement_percent)) < 'infinity')
);
create index model_retraining_log_model_idx on core.model_retraining_log (model, id desc);
comment on index core.model_retraining_log_model_idx is 'Usage: the last decisions about a model.';
comment on table core.model_retraining_log is 'Holds each retraining: the champion and the challenger on the same windows, and the decision.';
comment on column core.model_retraining_log.id is 'Key.';
comment on column core.model_retraining_log.model is 'The model.';
comment on column core.model_retraining_log.trigger is 'Why it was retrained.';
comment on column core.model_retraining_log.old_version is 'The champion; NULL = there was none.';
comment on column core.model_retraining_log.new_version is 'The challenger; NULL = it could not be fitted.';
comment on column core.model_retraining_log.metric is 'The measure that decides.';
comment on column core.model_retraining_log.old_score is 'Of the champion; smaller is better.';
comment on column core.model_retraining_log.new_score is 'Of the challenger.';
comment on column core.model_retraining_log.baseline_score is 'Of the seasonal naive forecast on the same windows.';
comment on column core.model_retraining_log.improvement_percent is '100 (old - new) / old.';
comment on column core.model_retraining_log.decision is 'deployed, rejected or failed.';
comment on column core.model_retraining_log.decision_reason is 'In words.';
comment on column core.model_retraining_log.started_at is 'Start.';
comment on column core.model_retraining_log.finished_at is 'End.';
comment on column core.model_retraining_log.error is 'Why it failed; NULL = it did not.';
""")


def downgrade() -> None:
    run(r"""
drop table core.model_retraining_log, core.model_event, core.backtest_metric, core.backtest_forecast, core.run_outcome;
drop table core.forecast_ledger;
drop table cache.ml_models, core.training_run, core.model_series;
delete from core.model_versions where model <> 'shrinkage';
drop index core.model_versions_deployed_idx;
alter table core.model_versions
    drop constraint model_versions_model_fkey,
    drop column status, drop column options, drop column metrics, drop column feature_importance, drop column window_start,
    drop column window_end, drop column series_count, drop column duration_seconds, drop column created_by, drop column deployed_at,
    drop column retired_at, drop column replaced_version_id;
alter table core.model_versions rename column model to name;
alter table core.model_versions rename to models;
drop table core.model_definition;
alter table core.python_module drop column bytecode, drop column interpreter;
comment on table core.models is 'Holds models by name and version; a fit that changes nothing makes no version.';
comment on column core.models.name is 'Name; shrinkage is the model of the curves.';
comment on column core.models.model_type is 'Kind of model.';
comment on column core.models.version is 'Counts from 1 for each name; the highest is in force.';
comment on column core.models.parameters is 'What was fitted for all products together (by product type), with standard errors.';
""")
