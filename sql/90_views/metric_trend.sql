create or replace view bi.metric_value as
select r.started_at as time, r.model, coalesce(v.task, 'forecast') as task, v.version, m.method, m.metric, m.value, m.row_count, r.id as run_id,
    bi.metric_loss(m.metric, m.value) as loss
from core.training_run as r
left join core.model_versions as v on v.id = r.version_id
-- By run: over all series there are few rows among those of each.
cross join lateral (
    select b.method, b.metric, b.value, b.row_count from core.backtest_metric as b
    where b.run_id = r.id and b.series_id is null and b.fold is null and b.value is not null
    order by b.method, b.metric
    offset 0
) as m
where r.task = 'evaluate' and r.status = 'succeeded'
union all
select v.created_date, v.model, coalesce(v.task, 'other'), v.version, coalesce(k.found[2], 'model'), k.found[1], (k.value #>> '{}')::float8, null, null,
    bi.metric_loss(k.found[1], (k.value #>> '{}')::float8)
from core.model_versions as v
-- Those of series come from their evaluations.
cross join lateral (
    select regexp_match(j.key, '^(.*?)(?:_(seasonal_naive|naive|baseline))?$') as found, j.value
    from jsonb_each(v.metrics) as j
    where jsonb_typeof(j.value) = 'number' and not v.metrics ? 'run'
) as k;

comment on view bi.metric_value is
'How well models did each time they were evaluated: one row an evaluation, method and metric; of tables, when the version was fitted.';
comment on column bi.metric_value.time is 'When it was evaluated.';
comment on column bi.metric_value.model is 'The model.';
comment on column bi.metric_value.task is 'forecast, regression, classification, anomaly, clustering; other.';
comment on column bi.metric_value.version is 'The version; NULL = the model was not fitted yet.';
comment on column bi.metric_value.method is 'model; naive, seasonal_naive, baseline: what it is held against.';
comment on column bi.metric_value.metric is 'The measure.';
comment on column bi.metric_value.value is 'Its value, over all series or rows.';
comment on column bi.metric_value.row_count is 'Forecasts that count; NULL = not recorded.';
comment on column bi.metric_value.run_id is 'The evaluation; NULL = the fit made it.';
comment on column bi.metric_value.loss is 'The same so that smaller is better, whatever the metric.';

create or replace view bi.metric_trend as
select m.time, m.model, m.task, m.metric, m.version, m.value,
    row_number() over newest as runs_ago,
    lag(m.value) over oldest as value_before,
    m.value - lag(m.value) over oldest as change,
    -- Over places in their order: evaluations are not made at equal times.
    regr_slope(m.value, m.place) over (oldest rows between 9 preceding and current row) as slope,
    case sign(regr_slope(m.loss, m.place) over (oldest rows between 9 preceding and current row))
        when 1 then 'worsening' when -1 then 'improving' when 0 then 'stable' end as trend,
    m.run_id
from (
    select x.*, row_number() over (partition by x.model, x.metric order by x.time, x.version, x.run_id) as place
    from bi.metric_value as x
    where x.method = 'model'
) as m
window newest as (partition by m.model, m.metric order by m.place desc), oldest as (partition by m.model, m.metric order by m.place);

comment on view bi.metric_trend is 'Where the measures of each model go: by version, each beside the evaluation before, with the slope over the last ten.';
comment on column bi.metric_trend.time is 'When it was evaluated.';
comment on column bi.metric_trend.model is 'The model.';
comment on column bi.metric_trend.task is 'forecast, regression, classification, anomaly, clustering; other.';
comment on column bi.metric_trend.metric is 'The measure.';
comment on column bi.metric_trend.version is 'The version; NULL = the model was not fitted yet.';
comment on column bi.metric_trend.value is 'Its value.';
comment on column bi.metric_trend.runs_ago is '1 = the newest evaluation.';
comment on column bi.metric_trend.value_before is 'Of the evaluation before; NULL = there was none.';
comment on column bi.metric_trend.change is 'value - value_before.';
comment on column bi.metric_trend.slope is
'Linear regression of the value on the evaluations, over this and up to nine before, a step each; NULL = fewer than two.';
comment on column bi.metric_trend.trend is 'improving, worsening or stable, by the slope of what is better for this measure; NULL = fewer than two.';
comment on column bi.metric_trend.run_id is 'The evaluation; NULL = the fit made it.';

create or replace view bi.metric_summary as
select m.model, m.task, m.metric, m.method, count(*) as run_count, avg(m.value) as average,
    (array_agg(m.value order by m.loss asc, m.time asc))[1] as best, (array_agg(m.version order by m.loss asc, m.time asc))[1] as best_version,
    percentile_cont(0.5) within group (order by m.value) as p50, percentile_cont(0.9) within group (order by m.value) as p90,
    (array_agg(m.value order by m.time desc, m.run_id desc))[1] as newest, max(m.time) as time
from bi.metric_value as m
group by m.model, m.task, m.metric, m.method;

comment on view bi.metric_summary is 'What the measures of each model are over all its evaluations: count, average, best, median and 90 % quantile.';
comment on column bi.metric_summary.model is 'The model.';
comment on column bi.metric_summary.task is 'forecast, regression, classification, anomaly, clustering; other.';
comment on column bi.metric_summary.metric is 'The measure.';
comment on column bi.metric_summary.method is 'model; naive, seasonal_naive, baseline: what it is held against.';
comment on column bi.metric_summary.run_count is 'Evaluations.';
comment on column bi.metric_summary.average is 'Mean.';
comment on column bi.metric_summary.best is
'Best value: the largest of r2, accuracy and their like, the nearest of coverage, of bias the nearest to 0, else the smallest.';
comment on column bi.metric_summary.best_version is 'The version that reached it first; NULL = the model was not fitted then.';
comment on column bi.metric_summary.p50 is 'Median.';
comment on column bi.metric_summary.p90 is '90 % quantile.';
comment on column bi.metric_summary.newest is 'Value of the last evaluation.';
comment on column bi.metric_summary.time is 'When that was.';
