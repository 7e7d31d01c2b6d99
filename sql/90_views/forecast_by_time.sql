create or replace view bi.forecast_day as
select d.time, v.model, v.version, s.id as series_id, s.label as series, d.forecast_count, d.actual_count,
    d.forecast_sum::float8 as forecast_sum, d.forecast_with_actual_sum::float8 as forecast_with_actual_sum,
    d.actual_sum::float8 as actual_sum, (d.absolute_error_sum / nullif(d.actual_count, 0))::float8 as mae,
    sqrt((d.squared_error_sum / nullif(d.actual_count, 0))::float8) as rmse, (d.error_sum / nullif(d.actual_count, 0))::float8 as bias,
    100 * (d.absolute_error_sum / nullif(d.absolute_actual_sum, 0))::float8 as wape,
    100.0::float8 * d.inside_80_count / nullif(d.actual_count, 0) as coverage_80,
    100.0::float8 * d.inside_95_count / nullif(d.actual_count, 0) as coverage_95
from core.forecast_day as d
inner join core.model_versions as v on v.id = d.version_id
inner join core.model_series as s on s.id = d.series_id;

comment on view bi.forecast_day is 'What was forecast for each day, and what happened: one row a version and series.';
comment on column bi.forecast_day.time is 'Start of the day in the zone of the model.';
comment on column bi.forecast_day.model is 'The model.';
comment on column bi.forecast_day.version is 'The version that forecast.';
comment on column bi.forecast_day.series_id is 'Key of the series.';
comment on column bi.forecast_day.series is 'The series.';
comment on column bi.forecast_day.forecast_count is 'Forecasts, each as often as it was issued.';
comment on column bi.forecast_day.actual_count is 'Of these, with an actual value.';
comment on column bi.forecast_day.forecast_sum is 'Sum of the forecasts, unit of the series.';
comment on column bi.forecast_day.forecast_with_actual_sum is 'Sum of the forecasts with an actual value.';
comment on column bi.forecast_day.actual_sum is 'Sum of the actual values.';
comment on column bi.forecast_day.mae is 'Mean of |actual - forecast|; NULL without an actual value.';
comment on column bi.forecast_day.rmse is 'Root of the mean squared error; NULL without an actual value.';
comment on column bi.forecast_day.bias is 'Mean of actual - forecast; above 0 = forecast too low.';
comment on column bi.forecast_day.wape is 'Sum of errors over sum of actual values, percent; NULL where that is 0.';
comment on column bi.forecast_day.coverage_80 is 'Share of actual values inside the 80 % interval, percent.';
comment on column bi.forecast_day.coverage_95 is 'Share of actual values inside the 95 % interval, percent.';

create or replace view bi.forecast_week as
select d.time, v.model, v.version, s.id as series_id, s.label as series, d.forecast_count, d.actual_count,
    d.forecast_sum::float8 as forecast_sum, d.forecast_with_actual_sum::float8 as forecast_with_actual_sum,
    d.actual_sum::float8 as actual_sum, (d.absolute_error_sum / nullif(d.actual_count, 0))::float8 as mae,
    sqrt((d.squared_error_sum / nullif(d.actual_count, 0))::float8) as rmse, (d.error_sum / nullif(d.actual_count, 0))::float8 as bias,
    100 * (d.absolute_error_sum / nullif(d.absolute_actual_sum, 0))::float8 as wape,
    100.0::float8 * d.inside_80_count / nullif(d.actual_count, 0) as coverage_80,
    100.0::float8 * d.inside_95_count / nullif(d.actual_count, 0) as coverage_95
from core.forecast_week as d
inner join core.model_versions as v on v.id = d.version_id
inner join core.model_series as s on s.id = d.series_id;

comment on view bi.forecast_week is 'What was forecast for each week, and what happened: one row a version and series.';
comment on column bi.forecast_week.time is 'Start of the week in the zone of the model; Monday.';
comment on column bi.forecast_week.model is 'The model.';
comment on column bi.forecast_week.version is 'The version that forecast.';
comment on column bi.forecast_week.series_id is 'Key of the series.';
comment on column bi.forecast_week.series is 'The series.';
comment on column bi.forecast_week.forecast_count is 'Forecasts, each as often as it was issued.';
comment on column bi.forecast_week.actual_count is 'Of these, with an actual value.';
comment on column bi.forecast_week.forecast_sum is 'Sum of the forecasts, unit of the series.';
comment on column bi.forecast_week.forecast_with_actual_sum is 'Sum of the forecasts with an actual value.';
comment on column bi.forecast_week.actual_sum is 'Sum of the actual values.';
comment on column bi.forecast_week.mae is 'Mean of |actual - forecast|; NULL without an actual value.';
comment on column bi.forecast_week.rmse is 'Root of the mean squared error; NULL without an actual value.';
comment on column bi.forecast_week.bias is 'Mean of actual - forecast; above 0 = forecast too low.';
comment on column bi.forecast_week.wape is 'Sum of errors over sum of actual values, percent; NULL where that is 0.';
comment on column bi.forecast_week.coverage_80 is 'Share of actual values inside the 80 % interval, percent.';
comment on column bi.forecast_week.coverage_95 is 'Share of actual values inside the 95 % interval, percent.';

create or replace view bi.forecast_month as
select d.time, v.model, v.version, s.id as series_id, s.label as series, d.forecast_count, d.actual_count,
    d.forecast_sum::float8 as forecast_sum, d.forecast_with_actual_sum::float8 as forecast_with_actual_sum,
    d.actual_sum::float8 as actual_sum, (d.absolute_error_sum / nullif(d.actual_count, 0))::float8 as mae,
    sqrt((d.squared_error_sum / nullif(d.actual_count, 0))::float8) as rmse, (d.error_sum / nullif(d.actual_count, 0))::float8 as bias,
    100 * (d.absolute_error_sum / nullif(d.absolute_actual_sum, 0))::float8 as wape,
    100.0::float8 * d.inside_80_count / nullif(d.actual_count, 0) as coverage_80,
    100.0::float8 * d.inside_95_count / nullif(d.actual_count, 0) as coverage_95
from core.forecast_month as d
inner join core.model_versions as v on v.id = d.version_id
inner join core.model_series as s on s.id = d.series_id;

comment on view bi.forecast_month is 'What was forecast for each month, and what happened: one row a version and series.';
comment on column bi.forecast_month.time is 'Start of the month in the zone of the model.';
comment on column bi.forecast_month.model is 'The model.';
comment on column bi.forecast_month.version is 'The version that forecast.';
comment on column bi.forecast_month.series_id is 'Key of the series.';
comment on column bi.forecast_month.series is 'The series.';
comment on column bi.forecast_month.forecast_count is 'Forecasts, each as often as it was issued.';
comment on column bi.forecast_month.actual_count is 'Of these, with an actual value.';
comment on column bi.forecast_month.forecast_sum is 'Sum of the forecasts, unit of the series.';
comment on column bi.forecast_month.forecast_with_actual_sum is 'Sum of the forecasts with an actual value.';
comment on column bi.forecast_month.actual_sum is 'Sum of the actual values.';
comment on column bi.forecast_month.mae is 'Mean of |actual - forecast|; NULL without an actual value.';
comment on column bi.forecast_month.rmse is 'Root of the mean squared error; NULL without an actual value.';
comment on column bi.forecast_month.bias is 'Mean of actual - forecast; above 0 = forecast too low.';
comment on column bi.forecast_month.wape is 'Sum of errors over sum of actual values, percent; NULL where that is 0.';
comment on column bi.forecast_month.coverage_80 is 'Share of actual values inside the 80 % interval, percent.';
comment on column bi.forecast_month.coverage_95 is 'Share of actual values inside the 95 % interval, percent.';
