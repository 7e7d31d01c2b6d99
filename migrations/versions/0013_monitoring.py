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
    inside_95_count int not null,
    alerts_raised int not null default 0,
    calculated_at timestamptz not null default now(),
    mape float8 generated always as (100 * percent_error_sum / nullif(percent_count, 0)) stored,
    wape float8 generated always as (100 * absolute_error_sum / nullif(absolute_actual_sum, 0)) stored,
    mae float8 generated always as (absolute_error_sum / n) stored,
    rmse float8 generated always as (sqrt(squared_error_sum / n)) stored,
    bias float8 generated always as (error_sum / n) stored,
    coverage_80 float8 generated always as (100.0 * inside_80_count / n) stored,
    coverage_95 float8 generated always as (100.0 * inside_95_count / n) stored,
    check ((segment_by is null) = (segment is null)),
    constraint figures_are_finite check (greatest(percent_error_sum, absolute_error_sum, squared_error_sum, abs(error_sum), absolute_actual_sum) < 'infinity')
);
select public.create_hypertable('core.model_performance_metrics', public.by_range('day', interval '182 days'), create_default_indexes => false);
create unique index model_performance_metrics_key_idx on core.model_performance_metrics (model, version, segment_by, segment, day) nulls not distinct;
comment on index core.model_performance_metrics_key_idx is 'Usage: the days of a version or segment in order; a day is stored once.';
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
comment on column core.model_performance_metrics.inside_95_count is 'Actual values inside the 95 % interval.';
comment on column core.model_performance_metrics.alerts_raised is 'Alerts raised over this day and segment.';
comment on column core.model_performance_metrics.calculated_at is 'When its figures last changed.';
comment on column core.model_performance_metrics.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column core.model_performance_metrics.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column core.model_performance_metrics.mae is 'Mean absolute error, unit of the series.';
comment on column core.model_performance_metrics.rmse is 'Root of the mean squared error, unit of the series.';
comment on column core.model_performance_metrics.bias is 'Mean of actual - forecast, unit of the series.';
comment on column core.model_performance_metrics.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column core.model_performance_metrics.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right.';
""")


def downgrade() -> None:
    run(r"""
drop table core.model_performance_metrics;
""")
