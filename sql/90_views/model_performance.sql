create or replace view bi.model_performance as
select m.day::timestamp at time zone coalesce(d.grid ->> 'zone', 'UTC') as time, m.model, m.version, m.segment_by, m.segment, m.mape, m.wape, m.mae,
    m.rmse, m.bias, m.coverage_80, m.coverage_95, m.n,
    case when m.naive_count = m.n then 100 * m.naive_percent_error_sum / nullif(m.percent_count, 0) end as naive_mape,
    case when m.naive_count = m.n then 100 * m.naive_absolute_error_sum / nullif(m.absolute_actual_sum, 0) end as naive_wape,
    v.status, m.day, m.alerts_raised, m.calculated_at
from core.model_performance_metrics as m
inner join core.model_definition as d on d.name = m.model
left join core.model_versions as v on v.model = m.model and v.version = m.version;

comment on view bi.model_performance is
'How far the forecasts of each version were off, day by day, over all series and by segment, the seasonal naive forecast beside them.';
comment on column bi.model_performance.time is 'Start of the day forecast, in the zone of the model.';
comment on column bi.model_performance.model is 'The model.';
comment on column bi.model_performance.version is 'The version that forecast.';
comment on column bi.model_performance.segment_by is
'What the segment is a value of: a key column, or series for one series; of shrinkage item, warehouse, product_type; NULL = over all.';
comment on column bi.model_performance.segment is 'The segment; NULL = over all.';
comment on column bi.model_performance.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.model_performance.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.model_performance.mae is 'Mean absolute error, unit of the series (shrinkage: kg).';
comment on column bi.model_performance.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.model_performance.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.model_performance.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.model_performance.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right; NULL = the model gives none.';
comment on column bi.model_performance.n is 'Forecasts with an actual value.';
comment on column bi.model_performance.naive_mape is 'MAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.model_performance.naive_wape is 'WAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.model_performance.status is 'Status of the version now.';
comment on column bi.model_performance.day is 'The day forecast.';
comment on column bi.model_performance.alerts_raised is 'Alerts raised over this day and segment.';
comment on column bi.model_performance.calculated_at is 'When the figures last changed.';

-- Under the name and the columns users know; core has the table.
create or replace view bi.model_performance_metrics as
select m.model, m.version, m.day, m.segment, m.mape, m.mae, m.rmse, m.bias, m.n, m.alerts_raised, m.segment_by, m.wape, m.coverage_80, m.coverage_95,
    m.calculated_at
from core.model_performance_metrics as m;

comment on view bi.model_performance_metrics is 'How far the forecasts of each version were off, day by day, under the names of the table.';
comment on column bi.model_performance_metrics.model is 'The model.';
comment on column bi.model_performance_metrics.version is 'The version that forecast.';
comment on column bi.model_performance_metrics.day is 'The day forecast.';
comment on column bi.model_performance_metrics.segment is 'The segment; NULL = over all.';
comment on column bi.model_performance_metrics.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.model_performance_metrics.mae is 'Mean absolute error, unit of the series (shrinkage: kg).';
comment on column bi.model_performance_metrics.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.model_performance_metrics.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.model_performance_metrics.n is 'Forecasts with an actual value.';
comment on column bi.model_performance_metrics.alerts_raised is 'Alerts raised over this day and segment.';
comment on column bi.model_performance_metrics.segment_by is
'What the segment is a value of: a key column, or series for one series; of shrinkage item, warehouse, product_type; NULL = over all.';
comment on column bi.model_performance_metrics.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.model_performance_metrics.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.model_performance_metrics.coverage_95 is
'Share of actual values inside the 95 % interval, percent; 95 is right; NULL = the model gives none.';
comment on column bi.model_performance_metrics.calculated_at is 'When the figures last changed.';

create or replace view bi.accuracy as
select p.time, p.model, x.metric, x.value
from bi.deployed_performance as p
cross join lateral (
    values ('mape', p.mape), ('wape', p.wape), ('mae', p.mae), ('rmse', p.rmse), ('bias', p.bias), ('coverage_80', p.coverage_80),
        ('coverage_95', p.coverage_95), ('naive_mape', p.naive_mape), ('naive_wape', p.naive_wape)
) as x (metric, value)
where x.value is not null;

comment on view bi.accuracy is 'How far the version in force was off, day by day over all series, in long form.';
comment on column bi.accuracy.time is 'Start of the day forecast.';
comment on column bi.accuracy.model is 'The model.';
comment on column bi.accuracy.metric is 'mape, wape, coverage_80, coverage_95, naive_mape, naive_wape (percent), mae, rmse, bias (unit of the series).';
comment on column bi.accuracy.value is 'The measure.';

create or replace view bi.performance_window as
select w.model, w.window_days, w.last_day::timestamp at time zone w.zone as time, w.from_day, w.last_day as to_day, w.version, w.day_count, w.n, w.mape, w.wape,
    w.mae, w.rmse, w.bias, w.coverage_80::float8 as coverage_80, w.coverage_95::float8 as coverage_95, w.naive_mape, w.naive_wape, w.mape_before,
    100 * (w.mape - w.mape_before) / nullif(w.mape_before, 0) as change_percent, w.trend_per_day,
    case
        when w.mape is null or w.mape_before is null then 'unknown'
        when w.mape > w.mape_before * (1 + s.share) then 'worsening'
        when w.mape < w.mape_before * (1 - s.share) then 'improving'
        else 'stable'
    end as trend
from (
    select l.model, w.days as window_days, l.zone, l.last_day, l.last_day - w.days + 1 as from_day,
        (array_agg(p.version order by p.day desc))[1] as version, count(*) filter (where x.is_inside) as day_count, sum(p.n) filter (where x.is_inside) as n,
        100 * sum(p.percent_error_sum) filter (where x.is_inside) / nullif(sum(p.percent_count) filter (where x.is_inside), 0) as mape,
        100 * sum(p.absolute_error_sum) filter (where x.is_inside) / nullif(sum(p.absolute_actual_sum) filter (where x.is_inside), 0) as wape,
        sum(p.absolute_error_sum) filter (where x.is_inside) / nullif(sum(p.n) filter (where x.is_inside), 0) as mae,
        sqrt(sum(p.squared_error_sum) filter (where x.is_inside) / nullif(sum(p.n) filter (where x.is_inside), 0)) as rmse,
        sum(p.error_sum) filter (where x.is_inside) / nullif(sum(p.n) filter (where x.is_inside), 0) as bias,
        100.0 * sum(p.inside_80_count) filter (where x.is_inside) / nullif(sum(p.n) filter (where x.is_inside), 0) as coverage_80,
        100.0 * sum(p.inside_95_count) filter (where x.is_inside) / nullif(sum(p.n) filter (where x.is_inside), 0) as coverage_95,
        case when sum(p.naive_count) filter (where x.is_inside) = sum(p.n) filter (where x.is_inside)
            then 100 * sum(p.naive_percent_error_sum) filter (where x.is_inside) / nullif(sum(p.percent_count) filter (where x.is_inside), 0) end as naive_mape,
        case when sum(p.naive_count) filter (where x.is_inside) = sum(p.n) filter (where x.is_inside)
            then 100 * sum(p.naive_absolute_error_sum) filter (where x.is_inside) / nullif(sum(p.absolute_actual_sum) filter (where x.is_inside), 0)
        end as naive_wape,
        100 * sum(p.percent_error_sum) filter (where not x.is_inside) / nullif(sum(p.percent_count) filter (where not x.is_inside), 0) as mape_before,
        regr_slope(p.mape, p.day - l.last_day) filter (where x.is_inside) as trend_per_day
    from (
        select d.name as model, coalesce(d.grid ->> 'zone', 'UTC') as zone, (
            select max(m.day) from core.model_performance_metrics as m where m.model = d.name and m.segment_by is null
        ) as last_day
        from core.model_definition as d
        -- Once a model, not once a row.
        order by d.name
        offset 0
    ) as l
    cross join (values (7), (30), (90), (365)) as w (days)
    inner join bi.deployed_performance as p on p.model = l.model and p.day between l.last_day - 2 * w.days + 1 and l.last_day
    cross join lateral (select p.day > l.last_day - w.days as is_inside) as x
    group by l.model, l.zone, w.days, l.last_day
) as w
cross join (
    select coalesce((select (c.value #>> '{}')::float8 from core.settings as c where c.name = 'monitoring.stable_percent'), 5) / 100 as share
) as s;

comment on view bi.performance_window is
'How far the version in force was off in the last 7, 30, 90 and 365 days with metrics of each model, and whether it gets better.

Figures are those of all forecasts of the window, not means of days. The windows end with the last day calculated, not today.';
comment on column bi.performance_window.model is 'The model.';
comment on column bi.performance_window.window_days is 'Length of the window: 7, 30, 90, 365 days.';
comment on column bi.performance_window.time is 'Start of its last day.';
comment on column bi.performance_window.from_day is 'First day of the window.';
comment on column bi.performance_window.to_day is 'Last day of the window: the last day calculated.';
comment on column bi.performance_window.version is 'The version in force on the last day.';
comment on column bi.performance_window.day_count is 'Days of the window with metrics.';
comment on column bi.performance_window.n is 'Forecasts with an actual value.';
comment on column bi.performance_window.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.performance_window.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.performance_window.mae is 'Mean absolute error, unit of the series (shrinkage: kg).';
comment on column bi.performance_window.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.performance_window.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.performance_window.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.performance_window.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right; NULL = the model gives none.';
comment on column bi.performance_window.naive_mape is 'MAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.performance_window.naive_wape is 'WAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.performance_window.mape_before is 'MAPE of the window before, of equal length; NULL = nothing is known of it.';
comment on column bi.performance_window.change_percent is '100 (mape - mape_before) / mape_before; above 0 = worse.';
comment on column bi.performance_window.trend_per_day is
'Slope of the linear regression of the daily MAPE, percentage points a day; above 0 = getting worse; NULL = fewer than two days.';
comment on column bi.performance_window.trend is
'improving, stable, worsening against the window before (by more than the setting monitoring.stable_percent); unknown.';

create or replace view bi.segment_performance as
select s.model, s.window_days, s.last_day::timestamp at time zone s.zone as time, s.segment_by, s.segment, s.n, s.mape, s.wape, s.mae, s.rmse, s.bias,
    s.coverage_80::float8 as coverage_80, s.coverage_95::float8 as coverage_95, s.naive_mape, s.naive_wape,
    case when s.mape is not null then rank() over (partition by s.model, s.window_days, s.segment_by order by s.mape nulls last) end as rank_best,
    case when s.mape is not null then rank() over (partition by s.model, s.window_days, s.segment_by order by s.mape desc nulls last) end as rank_worst
from (
    select l.model, l.zone, l.last_day, w.days as window_days, m.segment_by, m.segment, sum(m.n)::bigint as n,
        100 * sum(m.percent_error_sum) / nullif(sum(m.percent_count), 0) as mape,
        100 * sum(m.absolute_error_sum) / nullif(sum(m.absolute_actual_sum), 0) as wape,
        sum(m.absolute_error_sum) / nullif(sum(m.n), 0) as mae,
        sqrt(sum(m.squared_error_sum) / nullif(sum(m.n), 0)) as rmse,
        sum(m.error_sum) / nullif(sum(m.n), 0) as bias,
        100.0 * sum(m.inside_80_count) / nullif(sum(m.n), 0) as coverage_80,
        100.0 * sum(m.inside_95_count) / nullif(sum(m.n), 0) as coverage_95,
        case when sum(m.naive_count) = sum(m.n)
            then 100 * sum(m.naive_percent_error_sum) / nullif(sum(m.percent_count), 0) end as naive_mape,
        case when sum(m.naive_count) = sum(m.n)
            then 100 * sum(m.naive_absolute_error_sum) / nullif(sum(m.absolute_actual_sum), 0)
        end as naive_wape
    from (
        select d.name as model, coalesce(d.grid ->> 'zone', 'UTC') as zone, (
            select max(m.day) from core.model_performance_metrics as m where m.model = d.name and m.segment_by is null
        ) as last_day
        from core.model_definition as d
        -- Once a model, not once a row.
        order by d.name
        offset 0
    ) as l
    -- Each window by itself: who asks for the last week reads a week.
    cross join (values (7), (30), (90), (365)) as w (days)
    cross join lateral (
        select p.version, p.day from bi.deployed_performance as p where p.model = l.model and p.day > l.last_day - w.days
    ) as p
    inner join core.model_performance_metrics as m on m.model = l.model and m.version = p.version and m.day = p.day
    where m.segment_by is not null
    group by l.model, l.zone, l.last_day, w.days, m.segment_by, m.segment
) as s;

comment on view bi.segment_performance is
'How far the version in force was off in the last 7, 30, 90 and 365 days with metrics, by segment, the best and the worst ranked.';
comment on column bi.segment_performance.model is 'The model.';
comment on column bi.segment_performance.window_days is 'Length of the window: 7, 30, 90, 365 days.';
comment on column bi.segment_performance.time is 'Start of its last day.';
comment on column bi.segment_performance.segment_by is
'What the segment is a value of: a key column, or series for one series; of shrinkage item, warehouse, product_type.';
comment on column bi.segment_performance.segment is 'The segment.';
comment on column bi.segment_performance.n is 'Forecasts with an actual value.';
comment on column bi.segment_performance.mape is 'Mean absolute percentage error, percent; NULL = every actual value was 0.';
comment on column bi.segment_performance.wape is 'Sum of errors over sum of actual values, percent; NULL = every actual value was 0.';
comment on column bi.segment_performance.mae is 'Mean absolute error, unit of the series (shrinkage: kg).';
comment on column bi.segment_performance.rmse is 'Root of the mean squared error, unit of the series.';
comment on column bi.segment_performance.bias is 'Mean of actual - forecast, unit of the series; above 0 = forecast too low.';
comment on column bi.segment_performance.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.segment_performance.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right; NULL = the model gives none.';
comment on column bi.segment_performance.naive_mape is 'MAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.segment_performance.naive_wape is 'WAPE of the seasonal naive forecast of the same targets; NULL = not known for each of them.';
comment on column bi.segment_performance.rank_best is '1 = smallest MAPE among the segments of its kind; NULL = no MAPE.';
comment on column bi.segment_performance.rank_worst is '1 = largest MAPE among the segments of its kind; NULL = no MAPE.';
