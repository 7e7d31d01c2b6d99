-- A view, here already: alerts look at it.
create or replace view bi.deployed_performance as
select distinct on (m.model, m.day) m.day::timestamp at time zone x.zone as time, m.model, m.version, m.day, m.mape, m.wape, m.mae,
    m.rmse, m.bias, m.coverage_80, m.coverage_95, m.n,
    case when m.naive_count = m.n then 100 * m.naive_percent_error_sum / nullif(m.percent_count, 0) end as naive_mape,
    case when m.naive_count = m.n then 100 * m.naive_absolute_error_sum / nullif(m.absolute_actual_sum, 0) end as naive_wape,
    m.percent_count, m.percent_error_sum, m.absolute_error_sum, m.squared_error_sum, m.error_sum, m.absolute_actual_sum, m.inside_80_count,
    m.inside_95_count, m.naive_count, m.naive_percent_error_sum, m.naive_absolute_error_sum
from core.model_performance_metrics as m
inner join core.model_definition as d on d.name = m.model
cross join lateral (select coalesce(d.grid ->> 'zone', 'UTC') as zone) as x
-- When each version came into force: the last time before the day was over, and the first time at all.
cross join lateral (
    select max(e.happened_at) filter (where e.happened_at < (m.day + 1)::timestamp at time zone x.zone) as last_at, min(e.happened_at) as first_at
    from (
        select e.happened_at
        from core.model_event as e
        where e.model = m.model and e.version = m.version and e.event in ('deployed', 'rolled_back')
        union all
        select v.deployed_at from core.model_versions as v where v.model = m.model and v.version = m.version and v.deployed_at is not null
    ) as e
    having count(*) > 0
) as e
where m.segment_by is null
-- The version in force that day; where it forecast nothing for it, the one before; and before any was, the first.
order by m.model asc, m.day asc, e.last_at desc nulls last, e.first_at asc, m.version asc;

comment on view bi.deployed_performance is
'How far the version in force was off, day by day over all series, with the sums that make any period exact.';
comment on column bi.deployed_performance.time is 'Start of the day forecast, in the zone of the model.';
comment on column bi.deployed_performance.model is 'The model.';
comment on column bi.deployed_performance.version is
'The version in force that day; where it forecast nothing for it the one before, and before any was in force the first.';
comment on column bi.deployed_performance.day is 'The day forecast.';
comment on column bi.deployed_performance.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.deployed_performance.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.deployed_performance.mae is 'Mean absolute error, unit of the series (shrinkage: kg).';
comment on column bi.deployed_performance.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.deployed_performance.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.deployed_performance.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.deployed_performance.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right; NULL = the model gives none.';
comment on column bi.deployed_performance.n is 'Forecasts with an actual value.';
comment on column bi.deployed_performance.naive_mape is 'MAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.deployed_performance.naive_wape is 'WAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.deployed_performance.percent_count is 'Forecasts a percentage can be taken of.';
comment on column bi.deployed_performance.percent_error_sum is 'Sum of |actual - forecast| / |actual| over these, as a fraction.';
comment on column bi.deployed_performance.absolute_error_sum is 'Sum of |actual - forecast|.';
comment on column bi.deployed_performance.squared_error_sum is 'Sum of (actual - forecast)^2.';
comment on column bi.deployed_performance.error_sum is 'Sum of actual - forecast.';
comment on column bi.deployed_performance.absolute_actual_sum is 'Sum of |actual|.';
comment on column bi.deployed_performance.inside_80_count is 'Actual values inside the 80 % interval.';
comment on column bi.deployed_performance.inside_95_count is 'Actual values inside the 95 % interval; NULL = the model gives none.';
comment on column bi.deployed_performance.naive_count is 'Forecasts beside which the seasonal naive one is known.';
comment on column bi.deployed_performance.naive_percent_error_sum is 'Sum of |actual - naive| / |actual| over these, as a fraction.';
comment on column bi.deployed_performance.naive_absolute_error_sum is 'Sum of |actual - naive| over these.';
