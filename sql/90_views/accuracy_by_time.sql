do $do$
declare
    grain text;
begin
    foreach grain in array array['day', 'week', 'month'] loop
        execute replace($view$
create or replace view bi.accuracy_{grain} as
select date_trunc('{grain}', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC') as time, d.model, d.version, d.segment_by,
    d.segment, sum(d.n)::bigint as n, 100 * sum(d.percent_error_sum) / nullif(sum(d.percent_count), 0) as mape,
    100 * sum(d.absolute_error_sum) / nullif(sum(d.absolute_actual_sum), 0) as wape, sum(d.absolute_error_sum) / sum(d.n) as mae,
    sqrt(sum(d.squared_error_sum) / sum(d.n)) as rmse, sum(d.error_sum) / sum(d.n) as bias,
    100.0::float8 * sum(d.inside_80_count) / sum(d.n) as coverage_80, 100.0::float8 * sum(d.inside_95_count) / sum(d.n) as coverage_95,
    sum(d.alerts_raised)::bigint as alerts_raised
from core.model_performance_metrics as d
inner join core.model_definition as z on z.name = d.model
group by date_trunc('{grain}', d.day::timestamp) at time zone coalesce(z.grid ->> 'zone', 'UTC'), d.model, d.version, d.segment_by, d.segment;

comment on view bi.accuracy_{grain} is 'How far forecasts were off each {grain}: one row a version, over all and by segment.';
comment on column bi.accuracy_{grain}.time is 'Start of the {grain} in the zone of the model; a week starts on Monday.';
comment on column bi.accuracy_{grain}.model is 'The model.';
comment on column bi.accuracy_{grain}.version is 'The version that forecast.';
comment on column bi.accuracy_{grain}.segment_by is 'What the segment is a value of; NULL = over all.';
comment on column bi.accuracy_{grain}.segment is 'The segment; NULL = over all.';
comment on column bi.accuracy_{grain}.n is 'Forecasts with an actual value.';
comment on column bi.accuracy_{grain}.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_{grain}.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.accuracy_{grain}.mae is 'Mean absolute error, unit of the series.';
comment on column bi.accuracy_{grain}.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.accuracy_{grain}.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.accuracy_{grain}.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.accuracy_{grain}.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right.';
comment on column bi.accuracy_{grain}.alerts_raised is 'Alerts raised over these days.';
$view$, '{grain}', grain);
    end loop;
end
$do$;
