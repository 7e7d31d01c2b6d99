do $do$
declare
    grain text;
begin
    foreach grain in array array['day', 'week', 'month'] loop
        execute replace($view$
create or replace view bi.forecast_{grain} as
select d.time, v.model, v.version, s.id as series_id, s.label as series, d.forecast_count, d.actual_count,
    d.forecast_sum::float8 as forecast_sum, d.forecast_with_actual_sum::float8 as forecast_with_actual_sum,
    d.actual_sum::float8 as actual_sum, (d.absolute_error_sum / nullif(d.actual_count, 0))::float8 as mae,
    sqrt((d.squared_error_sum / nullif(d.actual_count, 0))::float8) as rmse, (d.error_sum / nullif(d.actual_count, 0))::float8 as bias,
    100 * (d.absolute_error_sum / nullif(d.absolute_actual_sum, 0))::float8 as wape,
    100.0::float8 * d.inside_80_count / nullif(d.actual_count, 0) as coverage_80,
    100.0::float8 * d.inside_95_count / nullif(d.actual_count, 0) as coverage_95
from core.forecast_{grain} as d
inner join core.model_versions as v on v.id = d.version_id
inner join core.model_series as s on s.id = d.series_id;

comment on view bi.forecast_{grain} is 'What was forecast for each {grain}, and what happened: one row a version and series.';
comment on column bi.forecast_{grain}.time is 'Start of the {grain} in the zone of the model; a week starts on Monday.';
comment on column bi.forecast_{grain}.model is 'The model.';
comment on column bi.forecast_{grain}.version is 'The version that forecast.';
comment on column bi.forecast_{grain}.series_id is 'Key of the series.';
comment on column bi.forecast_{grain}.series is 'The series.';
comment on column bi.forecast_{grain}.forecast_count is 'Forecasts, each as often as it was issued.';
comment on column bi.forecast_{grain}.actual_count is 'Of these, with an actual value.';
comment on column bi.forecast_{grain}.forecast_sum is 'Sum of the forecasts, unit of the series.';
comment on column bi.forecast_{grain}.forecast_with_actual_sum is 'Sum of the forecasts with an actual value.';
comment on column bi.forecast_{grain}.actual_sum is 'Sum of the actual values.';
comment on column bi.forecast_{grain}.mae is 'Mean of |actual - forecast|; NULL without an actual value.';
comment on column bi.forecast_{grain}.rmse is 'Root of the mean squared error; NULL without an actual value.';
comment on column bi.forecast_{grain}.bias is 'Mean of actual - forecast; above 0 = forecast too low.';
comment on column bi.forecast_{grain}.wape is 'Sum of errors over sum of actual values, percent; NULL where that is 0.';
comment on column bi.forecast_{grain}.coverage_80 is 'Share of actual values inside the 80 % interval, percent.';
comment on column bi.forecast_{grain}.coverage_95 is 'Share of actual values inside the 95 % interval, percent.';
$view$, '{grain}', grain);
    end loop;
end
$do$;
