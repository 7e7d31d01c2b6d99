create or replace view bi.job_run as
select r.started_at as time, r.id as job_run_id, r.job, r.step,
    -- A session that runs a step holds the lock of the job (api.run_job).
    case when r.status = 'running' and not exists (
        select from pg_locks as l
        where l.locktype = 'advisory' and l.classid = x'5745494e'::int::oid and l.objid::bigint = hashtext(r.job)::bigint & x'ffffffff'::bigint
          and l.pid = r.backend_pid
    ) then case when r.window_start is null then 'cancelled' else 'crashed' end else r.status end as status,
    extract(epoch from r.finished_at - r.started_at)::float8 as duration_seconds, r.row_count, r.detail, r.sqlstate, r.error, r.requested_by,
    r.window_start as window_time, r.attempt
from core.job_run as r;

comment on view bi.job_run is 'What ran by itself or was asked for: one row a step, with how it ended.';
comment on column bi.job_run.time is 'Start.';
comment on column bi.job_run.job_run_id is 'Key of the row.';
comment on column bi.job_run.job is 'The job, as nightly.';
comment on column bi.job_run.step is 'Its step.';
comment on column bi.job_run.status is
'running, succeeded, skipped (nothing to work on yet), failed; cancelled (by hand) or crashed (of a clock): its session no longer runs it.';
comment on column bi.job_run.duration_seconds is 'From start to end; NULL = it has not ended.';
comment on column bi.job_run.row_count is 'Rows written or changed; NULL = failed, crashed, or running.';
comment on column bi.job_run.detail is 'What was done, in words.';
comment on column bi.job_run.sqlstate is 'Of the error; NULL = none.';
comment on column bi.job_run.error is 'Why it failed or was skipped; NULL = it was not.';
comment on column bi.job_run.requested_by is 'Database role.';
comment on column bi.job_run.window_time is 'The window it ran for; NULL = run by hand.';
comment on column bi.job_run.attempt is 'Which attempt at the window, from 1; NULL = run by hand.';

create or replace view bi.job as
select j.name as job, j.task, ltrim(j.every::text, '@ ') as every, j.time_zone,
    coalesce(j.next_at, case when j.starting > now() then j.starting end) as time, j.window_start as window_time,
    case
        when running.step is not null then 'running' when j.is_paused then 'paused' when j.attempt > 0 then 'waiting to try again' else 'waiting'
    end as status,
    running.step as running_step, j.is_paused, j.attempt, j.max_attempts, j.last_status, j.last_finished_at, j.last_done_at,
    extract(epoch from j.last_finished_at - j.last_started_at)::float8 as last_duration_seconds, j.failure_count,
    case when j.attempt > 0 and j.attempt_started_at is null then greatest(extract(epoch from j.next_at - now()), 0)::float8 end as backoff_seconds,
    not j.is_paused and now() > greatest(j.last_done_at, j.watched_since) + 2 * j.every as is_overdue,
    j.arguments::text as arguments, j.created_by
from core.job as j
left join lateral (
    select r.step from bi.job_run as r where r.job = j.name and r.status = 'running' order by r.job_run_id desc limit 1
) as running on true;

comment on view bi.job is 'What runs by itself: when it is due, how it went last, and what has not run for too long.';
comment on column bi.job.job is 'Name of the job.';
comment on column bi.job.task is 'What it does.';
comment on column bi.job.every is 'From one window to the next.';
comment on column bi.job.time_zone is 'Zone of its calendar.';
comment on column bi.job.time is 'When it is due; NULL = no clock has ticked yet.';
comment on column bi.job.window_time is 'The window that is due or being tried; NULL = not reckoned yet (no clock has run).';
comment on column bi.job.status is 'running, paused, waiting, waiting to try again.';
comment on column bi.job.running_step is 'Step that runs now, by a clock or by hand; NULL = none.';
comment on column bi.job.is_paused is 'Whether an operator stopped it (api.pause_job).';
comment on column bi.job.attempt is 'Attempts made at the window.';
comment on column bi.job.max_attempts is 'After so many the window is given up.';
comment on column bi.job.last_status is 'How the last attempt ended: succeeded, skipped, failed, crashed, given up; NULL = none did.';
comment on column bi.job.last_finished_at is 'When it ended.';
comment on column bi.job.last_done_at is 'When a window was last done.';
comment on column bi.job.last_duration_seconds is 'How long the last attempt took.';
comment on column bi.job.failure_count is 'Attempts that failed since a window was last done.';
comment on column bi.job.backoff_seconds is 'How long it still waits before another attempt; NULL = it does not.';
comment on column bi.job.is_overdue is 'The watchdog: no window was done for two periods, and nobody paused it.';
comment on column bi.job.arguments is 'Arguments of the task, as text.';
comment on column bi.job.created_by is 'Database role that scheduled it.';
