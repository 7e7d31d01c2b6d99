create or replace view bi.training_run as
select r.started_at as time, r.id as run_id, r.model, r.task,
    -- Who runs a model holds its lock (internal.open_run): a session may outlive the run that was cancelled in it.
    case when r.status in ('queued', 'running') and not exists (
        select from pg_locks as l
        where l.locktype = 'advisory' and l.classid = x'5745494d'::int::oid and l.objid::bigint = hashtext(r.model)::bigint & x'ffffffff'::bigint
          and l.pid = r.backend_pid
    ) then 'cancelled' else r.status end as status,
    r.requested_by, v.version,
    extract(epoch from coalesce(r.finished_at, case when r.status = 'running' then now() end) - r.started_at)::float8 as duration_seconds,
    r.series_count, count(o.series_id) filter (where o.outcome = 'fitted') as fitted_count,
    count(o.series_id) filter (where o.outcome = 'cached') as cached_count, count(o.series_id) filter (where o.outcome = 'updated') as updated_count,
    count(o.series_id) filter (where o.outcome = 'fell_back') as fell_back_count, count(o.series_id) filter (where o.outcome = 'failed') as failed_count,
    r.row_count, r.peak_memory_mb, r.sqlstate, r.error
from core.training_run as r
left join core.model_versions as v on v.id = r.version_id
left join core.run_outcome as o on o.run_id = r.id
group by r.id, v.version;

comment on view bi.training_run is 'What was fitted or evaluated when, by whom, how long it took, and how it ended.';
comment on column bi.training_run.time is 'Start.';
comment on column bi.training_run.run_id is 'Key of the run.';
comment on column bi.training_run.model is 'The model.';
comment on column bi.training_run.task is 'fit or evaluate.';
comment on column bi.training_run.status is 'queued, running, succeeded, failed, cancelled (also: its session no longer runs it).';
comment on column bi.training_run.requested_by is 'Database role that asked.';
comment on column bi.training_run.version is 'Version it made or evaluated; NULL = none.';
comment on column bi.training_run.duration_seconds is 'From start to end, or until now.';
comment on column bi.training_run.series_count is 'Series asked for.';
comment on column bi.training_run.fitted_count is 'Series fitted anew.';
comment on column bi.training_run.cached_count is 'Series whose content was fitted before: nothing was computed.';
comment on column bi.training_run.updated_count is 'Series that took in new observations with their parameters held fixed.';
comment on column bi.training_run.fell_back_count is 'Series for which a baseline stands in.';
comment on column bi.training_run.failed_count is 'Series that nothing could forecast, or a fold could not evaluate.';
comment on column bi.training_run.row_count is 'Observations read, or forecasts evaluated.';
comment on column bi.training_run.peak_memory_mb is 'Largest memory of the session, MB; NULL = nothing was computed.';
comment on column bi.training_run.sqlstate is 'Of the error; NULL = none.';
comment on column bi.training_run.error is 'Why it failed; NULL = it did not.';

create or replace view bi.fit_outcome as
select r.started_at as time, o.run_id, r.model, s.id as series_id, s.label as series, o.outcome, o.kind, o.label as fitted, o.reason, o.sqlstate, o.hint,
    o.note, o.observation_count, o.gap_count, o.first_time, o.last_time, o.data_hash
from core.run_outcome as o
inner join core.training_run as r on r.id = o.run_id
inner join core.model_series as s on s.id = o.series_id;

comment on view bi.fit_outcome is 'What became of each series of each run: fitted, cached, updated, fell back and why, failed and why.';
comment on column bi.fit_outcome.time is 'Start of the run.';
comment on column bi.fit_outcome.run_id is 'Key of the run.';
comment on column bi.fit_outcome.model is 'The model.';
comment on column bi.fit_outcome.series_id is 'Key of the series.';
comment on column bi.fit_outcome.series is 'The series.';
comment on column bi.fit_outcome.outcome is 'fitted, cached, updated, fell_back (a baseline stands in), failed.';
comment on column bi.fit_outcome.kind is 'Kind that forecasts it; NULL = none.';
comment on column bi.fit_outcome.fitted is 'What was chosen, as ETS(A,Ad,N); NULL = nothing.';
comment on column bi.fit_outcome.reason is 'Why it fell back or failed; NULL = it did not.';
comment on column bi.fit_outcome.sqlstate is 'SQLSTATE of the reason.';
comment on column bi.fit_outcome.hint is 'What to do about it.';
comment on column bi.fit_outcome.note is 'What to know about data or fit: gaps filled, history cut; NULL = nothing.';
comment on column bi.fit_outcome.observation_count is 'Steps used, gaps filled included.';
comment on column bi.fit_outcome.gap_count is 'Of these, filled ones.';
comment on column bi.fit_outcome.first_time is 'First step used.';
comment on column bi.fit_outcome.last_time is 'Last observation.';
comment on column bi.fit_outcome.data_hash is 'Hash of steps and values.';

create or replace view bi.fit_progress as
select a.xact_start as time, d.name as model, m.found[1] as task, m.found[2]::int as done_count, m.found[3]::int as series_count,
    100.0 * m.found[2]::int / nullif(m.found[3]::int, 0)::float8 as percent, a.pid::int as pid, a.usename::text as requested_by,
    extract(epoch from clock_timestamp() - a.query_start)::float8 as running_seconds
from pg_stat_activity as a
cross join lateral (select regexp_match(a.application_name, '^weighhouse (\w+) (\d+)/(\d+) ([0-9a-f]{16})$') as found) as m
inner join core.model_definition as d on left(md5(d.name), 16) = m.found[4]
where a.datname = current_database();

comment on view bi.fit_progress is
'What is being fitted or evaluated right now, and how far it is; seen as it happens (of other roles with pg_read_all_stats).';
comment on column bi.fit_progress.time is 'Start of the transaction.';
comment on column bi.fit_progress.model is 'The model.';
comment on column bi.fit_progress.task is 'fit or evaluate.';
comment on column bi.fit_progress.done_count is 'Series done.';
comment on column bi.fit_progress.series_count is 'Series asked for.';
comment on column bi.fit_progress.percent is 'Share done, percent.';
comment on column bi.fit_progress.pid is 'Process of the session: pg_cancel_backend(pid) stops it.';
comment on column bi.fit_progress.requested_by is 'Database role.';
comment on column bi.fit_progress.running_seconds is 'Seconds since its statement began.';
