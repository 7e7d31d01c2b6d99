create function api.schedule(
    job text, every interval default null, starting timestamptz default null, time_zone text default null, task text default null,
    arguments jsonb default null, max_attempts int default null
)
returns table (status text, next_time timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    before core.job;
    wanted core.job;
begin
    if job is null or job <> btrim(job) or job = '' or length(job) > 200 then
        raise exception 'a job cannot be called %', coalesce(quote_literal(job), 'NULL')
            using errcode = '22023', hint = 'A name has 1 to 200 characters, without space before or after it.';
    end if;
    -- Two calls for one new job: the second changes what the first made.
    perform pg_advisory_xact_lock(x'57454a42'::int, hashtext(job));
    select j.* into before from core.job as j where j.name = job for update;
    wanted := before;
    wanted.name := job;
    wanted.task := coalesce(task, before.task, job);
    wanted.arguments := coalesce(arguments, before.arguments, '{}');
    wanted.every := coalesce(every, before.every);
    wanted.time_zone := coalesce(time_zone, before.time_zone, 'UTC');
    wanted.max_attempts := coalesce(max_attempts, before.max_attempts, 5);
    if wanted.task not in (select t.name from internal.job_tasks() as t (name)) then
        raise exception 'there is no task %', wanted.task
            using errcode = '22023', hint = format('There are: %s.', (select string_agg(t.name, ', ') from internal.job_tasks() as t (name)));
    end if;
    if wanted.every is null then
        raise exception 'it is not said how often % is to run', job using errcode = '22023', hint = 'As every => ''1 day''.';
    end if;
    if wanted.every <= '0' or least(
        extract(year from wanted.every) * 12 + extract(month from wanted.every), extract(day from wanted.every),
        extract(epoch from wanted.every - date_trunc('day', wanted.every))
    ) < 0 or not isfinite(wanted.every) then
        raise exception 'a job cannot run every %', wanted.every using errcode = '22023', hint = 'As 15 minutes, 1 day, 7 days, 1 month.';
    end if;
    if wanted.max_attempts not between 1 and 20 then
        raise exception 'a window cannot be tried % times', wanted.max_attempts using errcode = '22023', hint = 'From 1 to 20.';
    end if;
    if jsonb_typeof(wanted.arguments) <> 'object' then
        raise exception 'the arguments of a job are an object, not %', jsonb_typeof(wanted.arguments)
            using errcode = '22023', hint = 'As {"model": "sales"}.';
    end if;
    if wanted.task = 'fit' then
        perform internal.find_model(wanted.arguments ->> 'model');
    end if;
    begin
        -- A day whose midnight is a Sunday's.
        wanted.starting := coalesce(starting, before.starting, '2000-01-02 00:00'::timestamp at time zone wanted.time_zone);
        if not isfinite(wanted.starting) then
            raise exception 'a job cannot start at %', wanted.starting using errcode = '22023', hint = 'As 2026-01-04 03:00+01.';
        end if;
        perform now() at time zone wanted.time_zone;
    exception
        when invalid_parameter_value then
            if not isfinite(wanted.starting) then
                raise;
            end if;
            raise exception 'there is no time zone %', wanted.time_zone using errcode = '22023', hint = 'As Europe/Moscow; all are in pg_timezone_names.';
    end;
    next_time := before.next_at;
    if before.name is null then
        next_time := internal.next_window(wanted.starting, wanted.every, wanted.time_zone, now());
        insert into core.job (name, task, arguments, every, starting, time_zone, max_attempts, window_start, next_at)
        values (
            job, wanted.task, wanted.arguments, wanted.every, wanted.starting, wanted.time_zone, wanted.max_attempts, next_time, next_time
        );
        status := 'created';
    elsif wanted is not distinct from before then
        status := 'unchanged';
    else
        -- Other times: what is being tried ends as it ends, and counts for nothing any more.
        if (wanted.every, wanted.starting, wanted.time_zone) is distinct from (before.every, before.starting, before.time_zone) then
            next_time := internal.next_window(wanted.starting, wanted.every, wanted.time_zone, now());
            wanted.window_start := next_time;
            wanted.attempt := 0;
            wanted.attempt_started_at := null;
            wanted.missed_count := 0;
            wanted.watched_since := now();
        end if;
        update core.job as j
        set task = wanted.task, arguments = wanted.arguments, every = wanted.every, starting = wanted.starting, time_zone = wanted.time_zone,
            max_attempts = wanted.max_attempts, window_start = wanted.window_start, next_at = next_time, attempt = wanted.attempt,
            attempt_started_at = wanted.attempt_started_at, missed_count = wanted.missed_count, watched_since = wanted.watched_since
        where j.name = job;
        status := 'changed';
    end if;
    if status <> 'unchanged' then
        perform pg_notify('weighhouse', 'jobs');
    end if;
    return next;
end
$$;

comment on function api.schedule(text, interval, timestamptz, text, text, jsonb, int) is
'Says what is to run by itself, and when; the same call again changes nothing. Survives upgrades.

every: from one window to the next. A day or more is reckoned in the calendar of time_zone: at the same local time, whatever the
clocks do; less than a day, in elapsed time. starting: the first window, from which the others are reckoned; default midnight of Sunday 2000-01-02.
time_zone: default UTC. task: what to do (nightly, monitoring, retraining, refresh, housekeeping, fit); default the name of the job.
arguments: of the task, as {"model": "sales"} of fit. max_attempts: at one window, default 5. What is left out (NULL) stays as it is.
A new job, or one whose times change, waits for its next window. Returns created, changed or unchanged, and when it is due. Raises 22023.
Example: select * from api.schedule(''evening'', every => ''1 day'', starting => ''2026-01-01 20:00+03'', time_zone => ''Europe/Moscow'', task => ''nightly'');';

create function api.unschedule(job text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform internal.find_job(job);
    delete from core.job as j where j.name = unschedule.job;
end
$$;

comment on function api.unschedule(text) is
'Forgets a job; what it did stays in bi.job_run, a step that runs is finished.

Raises 22023 for an unknown job. Example: select api.unschedule(''refresh'');';
