create function api.metric_trend(model text, metric text default null, last int default 10)
returns table (
    at timestamptz, task text, metric text, version int, value float8, value_before float8, slope float8, trend text, runs_ago bigint, run_id bigint
)
language sql stable
begin atomic
    select m.time, m.task, m.metric, m.version, m.value, m.value_before,
        -- Over what is shown.
        regr_slope(m.value, -m.runs_ago) over (partition by m.metric),
        case sign(regr_slope(bi.metric_loss(m.metric, m.value), -m.runs_ago) over (partition by m.metric))
            when 1 then 'worsening' when -1 then 'improving' when 0 then 'stable' end,
        m.runs_ago, m.run_id
    from bi.metric_trend as m
    where m.model = (select d.name from internal.find_model(metric_trend.model) as d)
      and (metric_trend.metric is null or m.metric = metric_trend.metric)
      and m.runs_ago <= internal.page_size(metric_trend.last)
    order by m.metric, m.runs_ago;
end;

comment on function api.metric_trend(text, text, int) is
'Shows where the measures of a model go: its last evaluations by version, newest first, with their slope by linear regression.

metric: NULL = all. last: evaluations, 1 to 1000. slope: of these, a step an evaluation, NULL = fewer than two; trend: improving,
worsening or stable by what is better for the measure. value_before: of the evaluation before. Raises 22023 for an unknown model or a
last out of range. Example: select at, version, value, slope, trend from api.metric_trend(''sales'', ''mape'');';
