create or replace view bi.accuracy_day as
select date_trunc('day', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC') as time, d.model, d.version, d.segment_by,
    d.segment, sum(d.n)::bigint as n, 100 * sum(d.percent_error_sum) / nullif(sum(d.percent_count), 0) as mape,
    100 * sum(d.absolute_error_sum) / nullif(sum(d.absolute_actual_sum), 0) as wape, sum(d.absolute_error_sum) / sum(d.n) as mae,
    sqrt(sum(d.squared_error_sum) / sum(d.n)) as rmse, sum(d.error_sum) / sum(d.n) as bias,
    100.0::float8 * sum(d.inside_80_count) / sum(d.n) as coverage_80, 100.0::float8 * sum(d.inside_95_count) / sum(d.n) as coverage_95,
    sum(d.alerts_raised)::bigint as alerts_raised
from core.model_performance_metrics as d
inner join core.model_definition as z on z.name = d.model
group by date_trunc('day', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC'), d.model, d.version, d.segment_by, d.segment;

comment on view bi.accuracy_day is 'How far forecasts were off each day: one row a version, over all and by segment.';
comment on column bi.accuracy_day.time is 'Start of the day in the zone of the model.';
comment on column bi.accuracy_day.model is 'The model.';
comment on column bi.accuracy_day.version is 'The version that forecast.';
comment on column bi.accuracy_day.segment_by is 'What the segment is a value of; NULL = over all.';
comment on column bi.accuracy_day.segment is 'The segment; NULL = over all.';
comment on column bi.accuracy_day.n is 'Forecasts with an actual value.';
comment on column bi.accuracy_day.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_day.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_day.mae is 'Mean absolute error, unit of the series.';
comment on column bi.accuracy_day.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.accuracy_day.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.accuracy_day.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.accuracy_day.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right.';
comment on column bi.accuracy_day.alerts_raised is 'Alerts raised over these days.';

create or replace view bi.accuracy_week as
select date_trunc('week', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC') as time, d.model, d.version, d.segment_by,
    d.segment, sum(d.n)::bigint as n, 100 * sum(d.percent_error_sum) / nullif(sum(d.percent_count), 0) as mape,
    100 * sum(d.absolute_error_sum) / nullif(sum(d.absolute_actual_sum), 0) as wape, sum(d.absolute_error_sum) / sum(d.n) as mae,
    sqrt(sum(d.squared_error_sum) / sum(d.n)) as rmse, sum(d.error_sum) / sum(d.n) as bias,
    100.0::float8 * sum(d.inside_80_count) / sum(d.n) as coverage_80, 100.0::float8 * sum(d.inside_95_count) / sum(d.n) as coverage_95,
    sum(d.alerts_raised)::bigint as alerts_raised
from core.model_performance_metrics as d
inner join core.model_definition as z on z.name = d.model
group by date_trunc('week', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC'), d.model, d.version, d.segment_by, d.segment;

comment on view bi.accuracy_week is 'How far forecasts were off each week: one row a version, over all and by segment.';
comment on column bi.accuracy_week.time is 'Start of the week in the zone of the model; Monday.';
comment on column bi.accuracy_week.model is 'The model.';
comment on column bi.accuracy_week.version is 'The version that forecast.';
comment on column bi.accuracy_week.segment_by is 'What the segment is a value of; NULL = over all.';
comment on column bi.accuracy_week.segment is 'The segment; NULL = over all.';
comment on column bi.accuracy_week.n is 'Forecasts with an actual value.';
comment on column bi.accuracy_week.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_week.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_week.mae is 'Mean absolute error, unit of the series.';
comment on column bi.accuracy_week.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.accuracy_week.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.accuracy_week.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.accuracy_week.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right.';
comment on column bi.accuracy_week.alerts_raised is 'Alerts raised over these days.';

create or replace view bi.accuracy_month as
select date_trunc('month', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC') as time, d.model, d.version, d.segment_by,
    d.segment, sum(d.n)::bigint as n, 100 * sum(d.percent_error_sum) / nullif(sum(d.percent_count), 0) as mape,
    100 * sum(d.absolute_error_sum) / nullif(sum(d.absolute_actual_sum), 0) as wape, sum(d.absolute_error_sum) / sum(d.n) as mae,
    sqrt(sum(d.squared_error_sum) / sum(d.n)) as rmse, sum(d.error_sum) / sum(d.n) as bias,
    100.0::float8 * sum(d.inside_80_count) / sum(d.n) as coverage_80, 100.0::float8 * sum(d.inside_95_count) / sum(d.n) as coverage_95,
    sum(d.alerts_raised)::bigint as alerts_raised
from core.model_performance_metrics as d
inner join core.model_definition as z on z.name = d.model
group by date_trunc('month', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC'), d.model, d.version, d.segment_by, d.segment;

comment on view bi.accuracy_month is 'How far forecasts were off each month: one row a version, over all and by segment.';
comment on column bi.accuracy_month.time is 'Start of the month in the zone of the model.';
comment on column bi.accuracy_month.model is 'The model.';
comment on column bi.accuracy_month.version is 'The version that forecast.';
comment on column bi.accuracy_month.segment_by is 'What the segment is a value of; NULL = over all.';
comment on column bi.accuracy_month.segment is 'The segment; NULL = over all.';
comment on column bi.accuracy_month.n is 'Forecasts with an actual value.';
comment on column bi.accuracy_month.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_month.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_month.mae is 'Mean absolute error, unit of the series.';
comment on column bi.accuracy_month.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.accuracy_month.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.accuracy_month.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.accuracy_month.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right.';
comment on column bi.accuracy_month.alerts_raised is 'Alerts raised over these days.';
