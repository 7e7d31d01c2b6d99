"""How well each version forecast is known for each day, over all and by segment."""

from loader.schema import run

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run(r"""
create table core.model_performance_metrics (
    model text not null,
    version int not null,
    day date not null,
    segment_by text,
    segment text,
    n int not null check (n > 0),
    percent_count int not null,
    percent_error_sum float8 not null,
    absolute_error_sum float8 not null,
    squared_error_sum float8 not null,
    error_sum float8 not null,
    absolute_actual_sum float8 not null,
    inside_80_count int not null,
    inside_95_count int,
    naive_count int not null default 0,
    naive_percent_error_sum float8 not null default 0,
    naive_absolute_error_sum float8 not null default 0,
    alerts_raised int not null default 0,
    calculated_at timestamptz not null default now(),
    mape float8 generated always as (100 * percent_error_sum / nullif(percent_count, 0)) stored,
    wape float8 generated always as (100 * absolute_error_sum / nullif(absolute_actual_sum, 0)) stored,
    mae float8 generated always as (absolute_error_sum / n) stored,
    rmse float8 generated always as (sqrt(squared_error_sum / n)) stored,
    bias float8 generated always as (error_sum / n) stored,
    coverage_80 float8 generated always as (100::float8 * inside_80_count / n) stored,
    coverage_95 float8 generated always as (100::float8 * inside_95_count / n) stored,
    check ((segment_by is null) = (segment is null)),
    constraint figures_are_finite check (greatest(
        abs(percent_error_sum), abs(absolute_error_sum), abs(squared_error_sum), abs(error_sum), abs(absolute_actual_sum), abs(naive_percent_error_sum),
        abs(naive_absolute_error_sum)
    ) < 'infinity')
);
select public.create_hypertable('core.model_performance_metrics', public.by_range('day', interval '182 days'), create_default_indexes => false);
create unique index model_performance_metrics_key_idx on core.model_performance_metrics (model, version, day, segment_by, segment) nulls not distinct;
create index model_performance_metrics_over_all_idx on core.model_performance_metrics (model, day desc) where segment_by is null;
comment on index core.model_performance_metrics_over_all_idx is 'Usage: the last days of a model over all series, whatever the version.';
comment on index core.model_performance_metrics_key_idx is 'Usage: the days of a version in order, and its segments; a day is stored once.';
comment on table core.model_performance_metrics is 'Holds how far the forecasts of each version were off, for each day, over all series and by segment; recalculating a day changes nothing.';
comment on column core.model_performance_metrics.model is 'The model.';
comment on column core.model_performance_metrics.version is 'The version that forecast.';
comment on column core.model_performance_metrics.day is 'The day forecast, in the zone of the model.';
comment on column core.model_performance_metrics.segment_by is 'What the segment is a value of: a key column, or series for one series; NULL = over all.';
comment on column core.model_performance_metrics.segment is 'The segment; NULL = over all.';
comment on column core.model_performance_metrics.n is 'Forecasts with an actual value.';
comment on column core.model_performance_metrics.percent_count is 'Of these, with an actual value other than 0: the ones a percentage can be taken of.';
comment on column core.model_performance_metrics.percent_error_sum is 'Sum of |actual - forecast| / |actual| over these, as a fraction.';
comment on column core.model_performance_metrics.absolute_error_sum is 'Sum of |actual - forecast|, unit of the series.';
comment on column core.model_performance_metrics.squared_error_sum is 'Sum of (actual - forecast)^2.';
comment on column core.model_performance_metrics.error_sum is 'Sum of actual - forecast; above 0 = forecast too low.';
comment on column core.model_performance_metrics.absolute_actual_sum is 'Sum of |actual|.';
comment on column core.model_performance_metrics.inside_80_count is 'Actual values inside the 80 % interval.';
comment on column core.model_performance_metrics.inside_95_count is 'Actual values inside the 95 % interval; NULL = the model gives none (shrinkage).';
comment on column core.model_performance_metrics.naive_count is 'Of the n, with a seasonal naive forecast of the same target (core.forecast_ledger.naive).';
comment on column core.model_performance_metrics.naive_percent_error_sum is 'Sum of |actual - naive| / |actual| over these, as a fraction.';
comment on column core.model_performance_metrics.naive_absolute_error_sum is 'Sum of |actual - naive| over these, unit of the series.';
comment on column core.model_performance_metrics.alerts_raised is 'Alerts raised over this day and segment.';
comment on column core.model_performance_metrics.calculated_at is 'When its figures last changed.';
comment on column core.model_performance_metrics.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column core.model_performance_metrics.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column core.model_performance_metrics.mae is 'Mean absolute error, unit of the series.';
comment on column core.model_performance_metrics.rmse is 'Root of the mean squared error, unit of the series.';
comment on column core.model_performance_metrics.bias is 'Mean of actual - forecast, unit of the series.';
comment on column core.model_performance_metrics.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column core.model_performance_metrics.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right; NULL = the model gives none.';

-- Null when the forecast is issued, so that issuing one costs nothing.
alter table core.forecast_ledger add column naive float8 constraint naive_is_finite check (abs(naive) < 'infinity');
create index forecast_ledger_actual_at_idx on core.forecast_ledger (version_id, actual_at) where actual_at is not null;
comment on column core.forecast_ledger.naive is 'What was observed one season before (the last season known when it was issued); joined with the actual. NULL = no such observation, or no actual yet.';
comment on index core.forecast_ledger_actual_at_idx is 'Usage: which forecasts of a version got an actual since its metrics were last calculated.';

create table core.metrics_calculation (
    version_id int primary key references core.model_versions on delete cascade,
    actual_until timestamptz not null
);
comment on table core.metrics_calculation is 'Holds up to which actual values the daily metrics of each version are calculated.';
comment on column core.metrics_calculation.version_id is 'The version.';
comment on column core.metrics_calculation.actual_until is 'The newest actual_at (shrinkage: settled_at) that was taken in.';

create table core.model_data (
    model text primary key references core.model_definition on update cascade on delete cascade,
    data_until timestamptz not null
);
comment on table core.model_data is 'Holds how far the source of each model reached when actual values were last joined.';
comment on column core.model_data.model is 'The model.';
comment on column core.model_data.data_until is 'Start of the newest step observed.';

-- No person changes anything here: the audit trail has nothing to tell.
alter table core.settings disable trigger record_change;
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('monitoring.coverage_95_warning', '85', 'Share of actual values inside the 95 % interval over 30 days below which a model is in warning, percent.'),
    ('monitoring.coverage_min_count', '20', 'Forecasts it takes to judge the coverage.'),
    ('monitoring.stable_percent', '5', 'A MAPE that differs by at most this from that of the window before is stable, percent.'),
    ('monitoring.data_warning_steps', '3', 'Data are late when their newest step began this many steps ago.'),
    ('monitoring.data_critical_steps', '7', 'And critically late from this many.'),
    ('monitoring.data_least_hours', '48', 'Data younger than this are never late, whatever the step, hours.'),
    ('monitoring.movement_step_hours', '24', 'How often movements are expected, hours.'),
    ('monitoring.count_step_hours', '168', 'How often counts are expected, hours.'),
    ('monitoring.job_grace_minutes', '15', 'A job that is due for longer than this is late, minutes.')
) as s (name, value, description)
on conflict (name) do nothing;
alter table core.settings enable trigger record_change;
""")


def downgrade() -> None:
    run(r"""
drop table core.model_data, core.metrics_calculation;
drop index core.forecast_ledger_actual_at_idx;
alter table core.forecast_ledger drop column naive;
drop table core.model_performance_metrics;
""")
