create function internal.job_backoff(attempt int)
returns interval
language sql volatile
return make_interval(secs => (
    least(internal.setting('jobs.backoff_seconds') * 2 ^ least(job_backoff.attempt - 1, 30), internal.setting('jobs.backoff_most_seconds'))::float8
    * (0.875 + 0.25 * random())
));

comment on function internal.job_backoff(int) is
'Gives how long to wait after an attempt, numbered from 1: doubled each time, up to a limit, and 12.5 % more or less by chance, so that
what failed together is not tried again together.';

create function internal.end_attempt(name text, is_crashed boolean default false)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    job core.job;
    outcome text;
    latest bigint;
    following timestamptz;
begin
    select j.* into job from core.job as j where j.name = end_attempt.name for update;
    if job.attempt_started_at is null then
        return;
    end if;
    select case
        when is_crashed then 'crashed'
        when bool_or(r.status in ('failed', 'crashed') and r.attempt = job.attempt) then 'failed'
        when bool_or(r.status = 'succeeded') then 'succeeded'
        else 'skipped'
    end into outcome
    from core.job_run as r
    where r.job = job.name and r.window_start = job.window_start;
    if outcome in ('failed', 'crashed') and job.attempt < job.max_attempts then
        update core.job as j
        set last_status = outcome, last_started_at = j.attempt_started_at, last_finished_at = clock_timestamp(), failure_count = j.failure_count + 1,
            attempt_started_at = null,
            -- A session that was killed once says nothing about the job: it goes on at the next tick.
            next_at = clock_timestamp() + case
                when outcome = 'failed' then internal.job_backoff(j.attempt) when j.attempt > 1 then internal.job_backoff(j.attempt - 1) else '0'
            end
        where j.name = job.name;
        return;
    end if;
    if outcome in ('failed', 'crashed') then
        outcome := 'given up';
        update core.job_run as r set detail = format('given up after %s attempts', job.attempt)
        where r.job = job.name and r.window_start = job.window_start and r.attempt = job.attempt and r.status in ('failed', 'crashed');
    end if;
    -- Windows that began meanwhile are made up for once, by the newest of them.
    latest := internal.window_number(job.starting, job.every, job.time_zone, clock_timestamp());
    following := internal.window_time(job.starting, job.every, job.time_zone, latest);
    if following is null or following <= job.window_start then
        following := internal.next_window(job.starting, job.every, job.time_zone, greatest(job.window_start, clock_timestamp()));
        latest := null;
    end if;
    update core.job as j
    set last_status = outcome, last_started_at = j.attempt_started_at, last_finished_at = clock_timestamp(), attempt_started_at = null,
        failure_count = case when outcome = 'given up' then j.failure_count + 1 else 0 end,
        last_done_at = case when outcome = 'given up' then j.last_done_at else clock_timestamp() end,
        window_start = following, next_at = following, attempt = 0,
        missed_count = coalesce(latest - internal.window_number(j.starting, j.every, j.time_zone, j.window_start) - 1, 0)
    where j.name = job.name;
end
$$;

comment on function internal.end_attempt(text, boolean) is
'Closes the attempt a job is at: done and on to the next window, or another attempt after a wait, or given up.

is_crashed: its session has ended. Nothing happens where no attempt is under way.';
