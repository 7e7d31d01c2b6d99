create or replace view bi.data_freshness as
select s.source, s.model, s.data_until as time, extract(epoch from now() - s.data_until)::float8 / 3600 as age_hours, s.step_hours,
    extract(epoch from now() - s.data_until)::float8 / 3600 / s.step_hours as age_steps,
    case
        when s.data_until is null then 'warning'
        when extract(epoch from now() - s.data_until) / 3600 <= greatest(l.least_hours, l.warning_steps * s.step_hours) then 'healthy'
        when extract(epoch from now() - s.data_until) / 3600 <= greatest(l.least_hours, l.critical_steps * s.step_hours) then 'warning'
        else 'critical'
    end as status
from (
    select coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.data_warning_steps'), 3) as warning_steps,
        coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.data_critical_steps'), 7) as critical_steps,
        coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.data_least_hours'), 48) as least_hours,
        coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.movement_step_hours'), 24) as movement_hours,
        coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.count_step_hours'), 168) as count_hours
    from core.settings as c
    where c.name like 'monitoring.%'
) as l
cross join lateral (
    -- The ledger of files knows how far they reach; the facts need not be searched.
    select 'movements' as source, null as model, max(i.period_end) as data_until, l.movement_hours as step_hours
    from core.source_data as i
    where i.undone_at is null and i.layout in ('movements', 'statement')
    having count(*) > 0
    union all
    select 'counts', null, max(i.period_end), l.count_hours
    from core.source_data as i
    where i.undone_at is null and i.layout in ('balances', 'statement')
    having count(*) > 0
    union all
    select 'model ' || d.name, d.name, greatest(v.window_end, x.data_until),
        (d.grid ->> 'count')::float8 * case d.grid ->> 'unit' when 'second' then 1.0 / 3600 when 'day' then 24 else 365.25 * 24 / 12 end
    from core.model_definition as d
    inner join core.model_versions as v on v.model = d.name and v.status = 'deployed'
    left join core.model_data as x on x.model = d.name
    where d.source is not null and d.grid is not null
) as s;

comment on view bi.data_freshness is 'How far the data reach: movements, counts, and the source of each deployed model.';
comment on column bi.data_freshness.source is 'movements, counts, or model and its name.';
comment on column bi.data_freshness.model is 'The model; NULL = stock.';
comment on column bi.data_freshness.time is
'The newest time the files speak of (bi.import_quality); of a model the start of the newest step when actual values were last joined, or it was fitted.';
comment on column bi.data_freshness.age_hours is 'Hours since then.';
comment on column bi.data_freshness.step_hours is
'How often new data are expected, hours: settings monitoring.movement_step_hours and count_step_hours; the step of the model.';
comment on column bi.data_freshness.age_steps is 'age_hours in such steps. A step has begun 1 to 2 steps ago when it is the newest complete one.';
comment on column bi.data_freshness.status is
'healthy; warning, critical: older than so many steps (settings monitoring.data_warning_steps, data_critical_steps; never below data_least_hours).';

create or replace view bi.health as
with limits as (
    select coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.coverage_95_warning'), 85) as coverage_warning,
        coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.coverage_min_count'), 20) as coverage_count,
        coalesce(max((c.value #>> '{}')::float8) filter (where c.name = 'monitoring.job_grace_minutes'), 15) as job_minutes
    from core.settings as c
    where c.name like 'monitoring.%'
), deployed as materialized (
    select v.model, v.version, coalesce(v.parameters_fitted_at, v.created_date) as fitted_at, d.time_column is not null as has_source, l.last_day, w.mape,
        w.coverage_95, w.coverage_count
    from core.model_versions as v
    inner join core.model_definition as d on d.name = v.model
    left join lateral (
        select max(m.day) as last_day from core.model_performance_metrics as m where m.model = v.model and m.segment_by is null
    ) as l on true
    left join lateral (
        select 100 * sum(p.percent_error_sum) filter (where p.day > l.last_day - 7)
                / nullif(sum(p.percent_count) filter (where p.day > l.last_day - 7), 0) as mape,
            100 * sum(p.inside_95_count)::float8 / nullif(sum(p.n) filter (where p.inside_95_count is not null), 0) as coverage_95,
            sum(p.n) filter (where p.inside_95_count is not null) as coverage_count
        from bi.deployed_performance as p
        where p.model = v.model and p.day > l.last_day - 30
    ) as w on true
    where v.status = 'deployed'
), job as materialized (
    select j.name, j.is_paused, j.every, j.next_at, j.max_attempts, r.started_at, r.window_start, r.attempt, f.failed_steps, f.crashed
    from core.job as j
    left join lateral (
        select x.id, x.started_at, x.window_start, x.attempt
        from core.job_run as x
        where x.job = j.name and x.window_start is not null
        order by x.id desc
        limit 1
    ) as r on true
    left join lateral (
        -- Steps of one attempt are written one after the other, those of other jobs between them.
        select string_agg(x.step, ', ' order by x.id) as failed_steps, bool_or(x.status = 'crashed') as crashed
        from core.job_run as x
        where x.id > r.id - 1000 and x.job = j.name and x.window_start = r.window_start and x.attempt = r.attempt and x.status in ('failed', 'crashed')
    ) as f on true
)
select 'accuracy ' || d.model as component, d.model,
    case when d.mape > t.critical then 'critical' when d.mape > t.warning then 'warning' else 'healthy' end as status,
    case
        when d.last_day is null then format('version %s: no forecast has met its actual value yet', d.version)
        when d.mape is null then format('version %s: every actual value of the 7 days to %s was 0', d.version, d.last_day)
        else format('MAPE %s %% over the 7 days to %s', round(d.mape::numeric, 2), d.last_day)
    end as reason,
    d.mape as value, case when d.mape > t.critical then t.critical else t.warning end as threshold
from deployed as d
-- What is worth an alert is not healthy; a rule that is off says nothing.
cross join lateral (
    select min(coalesce(o.threshold, r.threshold)) filter (where r.name = 'mape_warning') as warning,
        min(coalesce(o.threshold, r.threshold)) filter (where r.name = 'mape_critical') as critical
    from core.alert_rule as r
    left join core.alert_rule_override as o on o.rule = r.name and o.model = d.model
    where r.name in ('mape_warning', 'mape_critical') and coalesce(o.is_active, r.is_active)
) as t
union all
select 'coverage ' || d.model, d.model,
    case when d.coverage_95 < l.coverage_warning and d.coverage_count >= l.coverage_count then 'warning' else 'healthy' end,
    format('%s %% of %s actual values inside the 95 %% interval over 30 days', round(d.coverage_95::numeric, 1), d.coverage_count),
    d.coverage_95, l.coverage_warning
from deployed as d
cross join limits as l
where d.coverage_95 is not null
union all
select 'age ' || d.model, d.model,
    case when g.age > 2 * p.max_age then 'critical' when g.age > p.max_age then 'warning' else 'healthy' end,
    format('version %s was fitted, or last kept by a retraining, %s days ago', d.version, floor(extract(epoch from g.age) / 86400)),
    extract(epoch from g.age)::float8 / 86400, extract(epoch from p.max_age)::float8 / 86400
from deployed as d
cross join lateral (
    select now() - greatest(d.fitted_at, max(r.finished_at)) as age from core.model_retraining_log as r where r.model = d.model and r.decision <> 'failed'
) as g
cross join lateral (
    select x.max_age from core.retraining_policy as x where x.model = d.model or x.model is null order by x.model nulls last limit 1
) as p
union all
select 'model ' || d.name, d.name, 'warning', 'no version is deployed', null, null
from core.model_definition as d
where d.source is not null and not exists (select from core.model_versions as v where v.model = d.name and v.status = 'deployed')
union all
select 'data ' || coalesce(f.model, f.source), f.model, f.status,
    case when f.time is null then 'no data yet' else format('newest %s: %s, %s steps ago', case when f.model is null then f.source else 'step' end,
        to_char(f.time at time zone 'UTC', 'YYYY-MM-DD HH24:MI"Z"'), round(f.age_steps::numeric, 1)) end,
    f.age_hours, f.step_hours
from bi.data_freshness as f
union all
select 'job ' || j.name, null,
    case
        when j.is_paused then 'warning'
        when j.failed_steps is not null and j.attempt >= j.max_attempts then 'critical'
        when j.next_at = '-infinity' or j.next_at < now() - 2 * j.every then 'critical'
        when j.failed_steps is not null then 'warning'
        when j.next_at < now() - make_interval(mins => l.job_minutes::int) then 'warning'
        else 'healthy'
    end,
    case
        when j.is_paused then 'paused'
        when j.failed_steps is not null and j.attempt >= j.max_attempts then format('gave up after %s attempts: %s', j.attempt, j.failed_steps)
        when j.next_at < now() - 2 * j.every
            then format('due since %s: not run for two periods', to_char(j.next_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI"Z"'))
        when j.failed_steps is not null then format('attempt %s of %s %s: %s', j.attempt, j.max_attempts, case when j.crashed then 'crashed' else 'failed' end,
            j.failed_steps)
        when j.next_at < now() - make_interval(mins => l.job_minutes::int)
            then format('due since %s', to_char(j.next_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI"Z"'))
        else 'as scheduled'
    end,
    case when j.next_at > '-infinity' and j.next_at < now() then extract(epoch from now() - j.next_at)::float8 / 60 end, l.job_minutes
from job as j
cross join limits as l
union all
-- Jobs are due and none ran: nothing drives them.
select 'scheduler', null, 'critical', format('%s jobs are due and none has run since %s: is the worker, or the scheduler, alive?', count(*),
    coalesce(to_char(max(j.started_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI"Z"'), 'ever')), count(*), 0
from job as j
where not j.is_paused
having bool_and(j.next_at < now() - interval '1 hour') and not coalesce(max(j.started_at) > now() - interval '1 hour', false)
union all
select 'alerts', null, case when count(*) filter (where a.severity = 'critical') > 0 then 'critical' when count(*) > 0 then 'warning' else 'healthy' end,
    case when count(*) = 0 then 'none is open'
        else format('%s open, %s of them critical', count(*), count(*) filter (where a.severity = 'critical')) end, count(*), 0
from core.alert as a
where a.status = 'open'
union all
-- What was written cannot lie ahead.
select 'clock', null, 'critical', 'the clock was set back: the newest run of a job lies ahead', extract(epoch from r.started_at - now())::float8, 300
from (select x.started_at from core.job_run as x order by x.id desc limit 1) as r
where r.started_at > now() + interval '5 minutes';

comment on view bi.health is 'What is healthy, what not, and why: one row for each thing that is watched.';
comment on column bi.health.component is
'What is watched: accuracy, coverage, age of each deployed model, data of each source, each job, the scheduler, alerts, the clock.';
comment on column bi.health.model is 'The model; NULL = none.';
comment on column bi.health.status is 'healthy, warning or critical.';
comment on column bi.health.reason is 'Why, in words.';
comment on column bi.health.value is
'What was measured: MAPE or coverage, percent; age, days; age of data, hours; how late a job is, minutes; open alerts; NULL = nothing to measure.';
comment on column bi.health.threshold is 'What it is held against, in the same unit; NULL = nothing.';

create or replace view bi.model_status as
select d.name as model, d.kind, v.version, extract(epoch from now() - f.fitted_at)::float8 / 86400 as age_days, f.fitted_at,
    v.deployed_at, v.series_count, v.window_end as fitted_until, a.time as data_until, a.age_hours as data_age_hours, s.n as scored_count,
    l.last_day as last_metrics_day, h.mape as mape_7_days, h.status, h.reason
from core.model_definition as d
left join core.model_versions as v on v.model = d.name and v.status = 'deployed'
left join bi.data_freshness as a on a.model = d.name
cross join lateral (select coalesce(v.parameters_fitted_at, v.created_date) as fitted_at) as f
left join lateral (
    select max(m.day) as last_day from core.model_performance_metrics as m where m.model = d.name and m.segment_by is null
) as l on true
left join lateral (
    select sum(m.n) as n from core.model_performance_metrics as m where m.model = d.name and m.version = v.version and m.segment_by is null
) as s on true
left join (
    select x.model, max(x.value) filter (where x.component = 'accuracy ' || x.model) as mape,
        case when bool_or(x.status = 'critical') then 'critical' when bool_or(x.status = 'warning') then 'warning' else 'healthy' end as status,
        string_agg(x.component || ': ' || x.reason, '; ' order by x.status, x.component) filter (where x.status <> 'healthy') as reason
    from bi.health as x
    where x.model is not null
    group by x.model
) as h on h.model = d.name;

comment on view bi.model_status is 'How each model stands: the version in force, its age, its data, how far it was off, and whether that is healthy.';
comment on column bi.model_status.model is 'The model.';
comment on column bi.model_status.kind is 'Kind of model.';
comment on column bi.model_status.version is 'The version in force; NULL = none.';
comment on column bi.model_status.age_days is 'Days since its parameters were fitted; taking in newer data does not make it younger.';
comment on column bi.model_status.fitted_at is 'When its parameters were fitted.';
comment on column bi.model_status.deployed_at is 'When it was put in force.';
comment on column bi.model_status.series_count is 'Series it can forecast.';
comment on column bi.model_status.fitted_until is 'Last observation it was fitted on; NULL = not recorded.';
comment on column bi.model_status.data_until is 'How far its source reached when that was last looked at.';
comment on column bi.model_status.data_age_hours is 'Hours since then.';
comment on column bi.model_status.scored_count is 'Observations its forecasts were held against; NULL = none yet.';
comment on column bi.model_status.last_metrics_day is 'Last day with metrics; NULL = none yet.';
comment on column bi.model_status.mape_7_days is 'MAPE of the version in force over the 7 days to then, percent; NULL = not known.';
comment on column bi.model_status.status is 'healthy, warning, critical; NULL = nothing is deployed and nothing expected.';
comment on column bi.model_status.reason is 'What is not healthy (bi.health); NULL = nothing.';

create or replace view bi.metrics as
select 'weighhouse_health_status' as name,
    format('component="%s"', replace(replace(h.component, '\', '\\'), '"', '\"')) as labels,
    case h.status when 'healthy' then 0.0 when 'warning' then 1.0 else 2.0 end::float8 as value
from bi.health as h
union all
select 'weighhouse_model_' || x.metric, format('model="%s"', replace(replace(s.model, '\', '\\'), '"', '\"')), x.value
from bi.model_status as s
cross join lateral (
    values ('mape_percent', s.mape_7_days), ('age_days', s.age_days), ('data_age_hours', s.data_age_hours), ('version', s.version::float8),
        ('scored_forecasts', s.scored_count::float8)
) as x (metric, value)
where x.value is not null
union all
select 'weighhouse_data_age_hours', format('source="%s"', f.source), f.age_hours
from bi.data_freshness as f
where f.model is null and f.age_hours is not null
union all
select 'weighhouse_open_alerts', format('severity="%s"', s.severity), count(a.id)::float8
from (values ('warning'), ('critical')) as s (severity)
left join core.alert as a on a.severity = s.severity and a.status <> 'resolved'
group by s.severity;

comment on view bi.metrics is 'Figures for a monitoring system as Prometheus: name, labels, value.';
comment on column bi.metrics.name is 'Name of the metric, with its unit.';
comment on column bi.metrics.labels is 'Labels as Prometheus writes them: model="sales".';
comment on column bi.metrics.value is 'The value; of weighhouse_health_status 0 = healthy, 1 = warning, 2 = critical.';
