create function internal.alert_measures(on_day date default null)
returns table (measure text, about text, subject text, model text, version int, day date, value float8, finding text)
language sql stable
begin atomic
    with line as (
        select p.model, p.version, p.day, p.n, p.percent_count, p.percent_error_sum, p.error_sum, p.inside_80_count
        from bi.deployed_performance as p
        where p.day <= coalesce(alert_measures.on_day, 'infinity')
    ),

    last_days as (select l.model, max(l.day) as last_day from line as l group by l.model),

    -- The last 7 days, and the 7 before them that have data: models of weeks or months are compared with the step before.
    weeks as (
        select s.model, s.last_day, max(l.day) as day_before
        from last_days as s
        left join line as l on l.model = s.model and l.day <= s.last_day - 7
        group by s.model, s.last_day
    ),

    figures as (
        select w.model, w.last_day, min(l.day) filter (where l.day > w.last_day - 7) as first_day,
            max(l.version) filter (where l.day = w.last_day) as version,
            sum(l.n) filter (where l.day > w.last_day - 7) as n,
            100 * sum(l.percent_error_sum) filter (where l.day > w.last_day - 7)
                / nullif(sum(l.percent_count) filter (where l.day > w.last_day - 7), 0) as mape,
            100 * sum(l.percent_error_sum) filter (where l.day <= w.day_before)
                / nullif(sum(l.percent_count) filter (where l.day <= w.day_before), 0) as mape_before,
            sum(l.error_sum) filter (where l.day > w.last_day - 7) / sum(l.n) filter (where l.day > w.last_day - 7) as bias,
            100.0 * sum(l.inside_80_count) filter (where l.day > w.last_day - 7) / sum(l.n) filter (where l.day > w.last_day - 7) as coverage_80
        from weeks as w
        inner join line as l on l.model = w.model and (l.day > w.last_day - 7 or l.day > w.day_before - 7 and l.day <= w.day_before)
        group by w.model, w.last_day
    ),

    segments as (
        select s.model, s.segment, 100 * sum(s.percent_error_sum) / nullif(sum(s.percent_count), 0) as mape
        from last_days as w
        inner join line as l on l.model = w.model and l.day > w.last_day - 7
        inner join core.model_performance_metrics as s on s.model = l.model and s.version = l.version and s.day = l.day
        where s.segment_by in ('series', 'item')
        group by s.model, s.segment
    ),

    bad as (
        select s.model, count(*) as bad_count, (array_agg(s.segment order by s.mape desc, s.segment asc))[:3] as worst
        from segments as s
        where s.mape > internal.setting('alerts.bad_segment_mape')
        group by s.model
    ),

    -- The steps of a job, and how often each failed since it last did not; those it no longer has fall away.
    steps as (
        select r.job, r.step, max(r.started_at) as last_at, max(r.id) filter (where r.status in ('succeeded', 'skipped')) as good_id
        from core.job_run as r
        where r.status <> 'running'
        group by r.job, r.step
    ),

    failures as (
        select s.job, s.step, count(*) as failed_count, (array_agg(r.error order by r.id desc))[1] as error
        from steps as s
        inner join core.job_run as r on r.job = s.job and r.step = s.step and r.status in ('failed', 'crashed') and r.id > coalesce(s.good_id, 0)
        left join core.job as j on j.name = s.job
        where s.last_at > now() - coalesce(greatest(2 * j.every, '1 day'), '7 days')
        group by s.job, s.step
    ),

    jobs as (
        select f.job, max(f.failed_count) as failed_count, string_agg(f.step || coalesce(': ' || left(f.error, 200), ''), '; ' order by f.step) as errors
        from failures as f
        group by f.job
    ),

    -- What is known of a model's newest row without reading its source: what it was fitted on, and the last day with an actual value.
    ages as (
        select d.name as model, d.grid, greatest(
            (select max(v.window_end) from core.model_versions as v where v.model = d.name),
            ((l.last_day + 1)::timestamp at time zone coalesce(d.grid ->> 'zone', 'UTC')) - interval '1 microsecond'
        ) as last_at
        from core.model_definition as d
        left join last_days as l on l.model = d.name
        where d.grid is not null
    ),

    decisions as (
        select r.model, max(r.id) filter (where r.decision <> 'failed') as decided_id,
            max(coalesce(r.finished_at, r.started_at)) filter (where r.decision <> 'failed') as decided_at
        from core.model_retraining_log as r
        group by r.model
    ),

    anomalies as (
        select n.model, n.data_until at time zone coalesce(d.grid ->> 'zone', 'UTC') as last_time,
            count(distinct concat_ws(' ', a.series_id, a.target_time)) as open_count,
            (array_agg(a.id order by abs(a.score) desc, a.id asc))[1] as strangest_id
        from core.model_data as n
        inner join core.model_definition as d on d.name = n.model
        inner join core.anomaly as a on a.model = n.model and a.status = 'open' and a.target_time > n.data_until - interval '7 days'
        group by n.model, d.name
    ),

    fits as (
        select v.model, v.version, greatest(coalesce(v.parameters_fitted_at, v.created_date), r.decided_at) as looked_at, p.max_age
        from core.model_versions as v
        inner join core.model_definition as d on d.name = v.model and d.time_column is not null
        cross join lateral (
            select p.max_age, p.is_active from core.retraining_policy as p
            where p.model = d.name or p.model is null order by p.model nulls last limit 1
        ) as p
        left join decisions as r on r.model = d.name
        where v.status = 'deployed' and p.is_active
    )

    select k.measure, 'model', 'model ' || f.model, f.model, f.version, f.last_day, k.value, k.finding
    from figures as f
    left join bad as b on b.model = f.model
    cross join lateral (values
        ('mape', f.mape, format('MAPE is %s %%', internal.rounded(f.mape))),
        ('mape_change', 100 * (f.mape - f.mape_before) / nullif(f.mape_before, 0),
            format('MAPE went from %s to %s %%', internal.rounded(f.mape_before), internal.rounded(f.mape))),
        ('bad_segments', b.bad_count::float8, format('%s segments have a MAPE above %s %%, the worst %s', b.bad_count,
            internal.setting('alerts.bad_segment_mape'), array_to_string(b.worst, ', '))),
        ('absolute_bias', abs(f.bias), format('forecasts are too %s by %s on average', case when f.bias > 0 then 'low' else 'high' end,
            internal.rounded(abs(f.bias)))),
        ('coverage_80', case when f.n >= internal.setting('alerts.coverage_min_forecasts') then f.coverage_80 end,
            format('the 80 %% interval covers %s %%', internal.rounded(f.coverage_80)))
    ) as x (measure, value, words)
    cross join lateral (
        select x.measure, x.value, format('%s from %s to %s (%s forecasts)', x.words, f.first_day, f.last_day, f.n) as finding
    ) as k
    union all
    select 'data_age', 'model', 'model ' || a.model, a.model, null, null,
        (internal.step_number(a.grid, now()) - internal.step_number(a.grid, a.last_at))::float8,
        format('the last row known is of %s, %s steps ago', (a.last_at at time zone coalesce(a.grid ->> 'zone', 'UTC'))::date,
            internal.step_number(a.grid, now()) - internal.step_number(a.grid, a.last_at))
    from ages as a
    where a.last_at is not null
    union all
    select 'model_age', 'model', 'model ' || f.model, f.model, f.version, null, extract(epoch from now() - f.looked_at) / extract(epoch from f.max_age),
        format('version %s was fitted or last kept %s days ago; at most %s days are wanted', f.version,
            floor(extract(epoch from now() - f.looked_at) / 86400), internal.rounded((extract(epoch from f.max_age) / 86400)::float8))
    from fits as f
    union all
    select 'failed_retrainings', 'model', 'model ' || r.model, r.model, max(r.old_version), null, count(*),
        'retraining failed: ' || left((array_agg(coalesce(r.error, r.decision_reason) order by r.id desc))[1], 500)
    from core.model_retraining_log as r
    inner join decisions as n on n.model = r.model
    where r.decision = 'failed' and r.id > coalesce(n.decided_id, 0)
    group by r.model
    union all
    select 'open_anomalies', 'model', 'model ' || f.model, f.model, null, null, f.open_count,
        format('%s anomalies from %s to %s, the strangest %s with %s instead of %s', f.open_count, f.last_time::date - 6, f.last_time::date, s.label,
            internal.rounded(a.actual), internal.rounded(a.expected))
    from anomalies as f
    inner join core.anomaly as a on a.id = f.strangest_id
    inner join core.model_series as s on s.id = a.series_id
    union all
    select 'import_age', 'import', 'imports', null, null, null, extract(epoch from now() - max(s.upload_date)) / 86400,
        format('the last file was imported %s days ago', floor(extract(epoch from now() - max(s.upload_date)) / 86400))
    from core.source_data as s
    where s.undone_at is null and s.layout <> 'dataset'
    having max(s.upload_date) is not null
    union all
    select 'failed_attempts', 'job', 'job ' || j.job, null, null, null, 100.0 * j.failed_count / coalesce(k.max_attempts, 5), 'failed ' || j.failed_count
        || case when j.failed_count = 1 then ' time: ' else ' times: ' end || j.errors
    from jobs as j
    left join core.job as k on k.name = j.job
    union all
    select 'job_age', 'job', 'job ' || j.name, null, null, null, extract(epoch from now() - r.last_at) / extract(epoch from j.every),
        format('nothing finished since %s, every %s is wanted', to_char(r.last_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), j.every)
    from core.job as j
    cross join lateral (
        select greatest(j.created_at, max(r.finished_at)) as last_at from core.job_run as r
        where r.job = j.name and r.status in ('succeeded', 'skipped', 'failed')
    ) as r
    where not j.is_paused;
end;

comment on function internal.alert_measures(date) is
'Measures what alert rules are about: one row a measure and subject, with what was found in words; value NULL = not known.

Accuracy is that of the last 7 days with data up to on_day (NULL = all), as sums over the days, of the version in force on each; the
change is against the 7 days before. Everything else is as of now.';
