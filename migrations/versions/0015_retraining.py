"""When a model is retrained, and how much better a challenger must be, are rows; the log keeps the evidence."""

from loader.schema import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run(r"""
create table core.retraining_policy (
    model text unique nulls not distinct references core.model_definition on update cascade on delete cascade,
    mape_threshold float8 not null default 15 check (mape_threshold > 0 and mape_threshold < 'infinity'),
    max_age interval not null default '30 days' check (max_age > '0'),
    max_new_observations int not null default 1000 check (max_new_observations > 0),
    significant_percent float8 not null default 5 check (significant_percent between 0 and 100),
    minor_percent float8 not null default 1 check (minor_percent between 0 and 100),
    is_active boolean not null default true,
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user,
    check (minor_percent <= significant_percent)
);
insert into core.retraining_policy (model) values (null) on conflict do nothing;
comment on table core.retraining_policy is 'Holds when models are retrained and how much better a challenger must be; rows are changed by api.set_retraining_policy.';
comment on column core.retraining_policy.model is 'The model; NULL = every model without a row of its own.';
comment on column core.retraining_policy.mape_threshold is 'MAPE of the deployed version above which it is retrained, percent.';
comment on column core.retraining_policy.max_age is 'Age of its fit above which it is retrained.';
comment on column core.retraining_policy.max_new_observations is 'Observations scored since its fit above which it is retrained.';
comment on column core.retraining_policy.significant_percent is 'Improvement above which a challenger is deployed as significantly better, percent.';
comment on column core.retraining_policy.minor_percent is 'Improvement above which it is deployed as a little better, percent.';
comment on column core.retraining_policy.is_active is 'Whether it is retrained by itself; by hand always.';
comment on column core.retraining_policy.changed_at is 'When somebody last changed it.';
comment on column core.retraining_policy.changed_by is 'Database role that did.';
create trigger record_change after insert or update or delete on core.retraining_policy
    for each row execute function core.record_change('retraining_policy', 'model', '');

-- Parameters that only took in new observations are as old as the fit they come from.
alter table cache.ml_models
    add column fitted_at timestamptz not null default clock_timestamp(),
    add column fitted_id uuid references cache.ml_models on delete set null;
update cache.ml_models set fitted_at = trained_at;
create index ml_models_fitted_id_idx on cache.ml_models (fitted_id) where fitted_id is not null;
comment on index cache.ml_models_fitted_id_idx is 'Usage: whether a full fit is still needed by its updates.';
comment on column cache.ml_models.fitted_at is 'When its parameters were fitted; an update keeps them.';
comment on column cache.ml_models.fitted_id is 'The full fit it updates; NULL = it is one, or that fit is gone.';

alter table core.model_versions
    add column continued_version_id int references core.model_versions on delete set null,
    add column parameters_fitted_at timestamptz;
update core.model_versions set parameters_fitted_at = created_date where series_count > 0;
create index model_versions_continued_idx on core.model_versions (continued_version_id) where continued_version_id is not null;
comment on index core.model_versions_continued_idx is 'Usage: the versions with the same parameters and newer data.';
comment on column core.model_versions.continued_version_id is 'The version it goes on from with the same parameters and newer data; NULL = none.';
comment on column core.model_versions.parameters_fitted_at is 'When the oldest of its parameters were fitted: its age counts from here; NULL = when it was created.';

alter table core.model_retraining_log
    add column run_id bigint references core.training_run on delete set null,
    add column requested_by text not null default session_user,
    add column is_refitted boolean,
    add column window_from timestamptz,
    add column window_to timestamptz,
    add column series_count int,
    add column compared_count int,
    add column forecast_count bigint,
    add column sqlstate text;
create index model_retraining_log_run_id_idx on core.model_retraining_log (run_id);
comment on index core.model_retraining_log_run_id_idx is 'Usage: the decision about what a run fitted; deleting runs.';
comment on column core.model_retraining_log.run_id is 'The run that fitted the challenger; NULL = none was fitted.';
comment on column core.model_retraining_log.requested_by is 'Database role that asked.';
comment on column core.model_retraining_log.is_refitted is
'Whether the champion was fitted anew for the windows, since kind or options differ; false = its own parameters; NULL = nothing was compared.';
comment on column core.model_retraining_log.window_from is 'First step forecast.';
comment on column core.model_retraining_log.window_to is 'Last step forecast.';
comment on column core.model_retraining_log.series_count is 'Series there were.';
comment on column core.model_retraining_log.compared_count is 'Series both could forecast.';
comment on column core.model_retraining_log.forecast_count is 'Forecasts that count: both there, and the actual value known.';
comment on column core.model_retraining_log.sqlstate is 'SQLSTATE of the error; NULL = none.';

create table core.retraining_forecast (
    retraining_id bigint not null references core.model_retraining_log on delete cascade,
    -- As in core.run_outcome: rows go with their retraining, and that with the model.
    series_id int not null,
    fold int not null,
    step int not null,
    origin_time timestamptz not null,
    target_time timestamptz not null,
    actual float8,
    champion float8,
    champion_lower_80 float8,
    champion_upper_80 float8,
    champion_lower_95 float8,
    champion_upper_95 float8,
    challenger float8,
    challenger_lower_80 float8,
    challenger_upper_80 float8,
    challenger_lower_95 float8,
    challenger_upper_95 float8,
    seasonal_naive float8,
    primary key (retraining_id, series_id, fold, step),
    constraint figures_are_finite check (greatest(abs(actual), abs(champion), abs(champion_lower_80), abs(champion_upper_80), abs(champion_lower_95),
        abs(champion_upper_95), abs(challenger), abs(challenger_lower_80), abs(challenger_upper_80), abs(challenger_lower_95),
        abs(challenger_upper_95), abs(seasonal_naive)) < 'infinity')
);
comment on table core.retraining_forecast is 'Holds the evidence of retrainings: what champion and challenger said of the same steps, beside what happened.';
comment on column core.retraining_forecast.retraining_id is 'The retraining.';
comment on column core.retraining_forecast.series_id is 'The series.';
comment on column core.retraining_forecast.fold is 'Window, 1 = the oldest.';
comment on column core.retraining_forecast.step is 'Steps after the origin.';
comment on column core.retraining_forecast.origin_time is 'Last step either of them knew.';
comment on column core.retraining_forecast.target_time is 'Step it is for.';
comment on column core.retraining_forecast.actual is 'What was observed; NULL = a gap: it counts for nothing.';
comment on column core.retraining_forecast.champion is 'Forecast of the version in force; NULL = it had none.';
comment on column core.retraining_forecast.champion_lower_80 is 'Lower end of its 80 % interval.';
comment on column core.retraining_forecast.champion_upper_80 is 'Upper end of its 80 % interval.';
comment on column core.retraining_forecast.champion_lower_95 is 'Lower end of its 95 % interval.';
comment on column core.retraining_forecast.champion_upper_95 is 'Upper end of its 95 % interval.';
comment on column core.retraining_forecast.challenger is 'Forecast of a fit on what was known at the origin; NULL = it had none.';
comment on column core.retraining_forecast.challenger_lower_80 is 'Lower end of its 80 % interval.';
comment on column core.retraining_forecast.challenger_upper_80 is 'Upper end of its 80 % interval.';
comment on column core.retraining_forecast.challenger_lower_95 is 'Lower end of its 95 % interval.';
comment on column core.retraining_forecast.challenger_upper_95 is 'Upper end of its 95 % interval.';
comment on column core.retraining_forecast.seasonal_naive is 'The value one season before; NULL = none.';
""")


def downgrade() -> None:
    run(r"""
drop table core.retraining_forecast, core.retraining_policy;
alter table core.model_retraining_log
    drop column run_id, drop column requested_by, drop column is_refitted, drop column window_from, drop column window_to, drop column series_count,
    drop column compared_count, drop column forecast_count, drop column sqlstate;
alter table core.model_versions drop column continued_version_id, drop column parameters_fitted_at;
alter table cache.ml_models drop column fitted_at, drop column fitted_id;
""")
