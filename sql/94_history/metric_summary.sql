create function api.metric_summary(model text default null, last int default null)
returns table (
    model text, task text, metric text, method text, run_count bigint, average float8, best float8, best_version int, p50 float8, p90 float8
)
language sql stable
begin atomic
    select m.model, m.task, m.metric, m.method, count(*), avg(m.value), (array_agg(m.value order by m.loss asc, m.time asc))[1],
        (array_agg(m.version order by m.loss asc, m.time asc))[1], percentile_cont(0.5) within group (order by m.value),
        percentile_cont(0.9) within group (order by m.value)
    from (
        select x.*, row_number() over (partition by x.model, x.metric, x.method order by x.time desc, x.run_id desc) as place
        from bi.metric_value as x
        where metric_summary.model is null or x.model = (select d.name from internal.find_model(metric_summary.model) as d)
    ) as m
    where m.place <= case when metric_summary.last is null then m.place else internal.page_size(metric_summary.last) end
    group by m.model, m.task, m.metric, m.method
    order by m.model, m.metric, m.method;
end;

comment on function api.metric_summary(text, int) is
'Sums the evaluations of a model up: count, average, best value and its version, median and 90 % quantile by measure and task, those of
the baselines beside them (method).

model: NULL = all. last: evaluations of each model that count, 1 to 1000, NULL = all (bi.metric_summary). Raises 22023 for an unknown
model or a last out of range. Example: select metric, average, best, p50, p90 from api.metric_summary(''sales'') where method = ''model'';';
