create function internal.beat_clock(clock text)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if clock is null then
        return true;
    end if;
    if clock not in ('timescaledb', 'pg_cron', 'worker') then
        raise exception 'there is no clock %', clock using errcode = '22023', hint = 'There are timescaledb, pg_cron and worker.';
    end if;
    if clock = 'worker' then
        -- Who starts a worker where nothing else runs jobs wants it to run them.
        insert into core.clock (kind) select 'worker' where not exists (select from core.clock) on conflict (kind) do nothing;
    end if;
    update core.clock as c set last_tick_at = clock_timestamp() where c.kind = clock;
    return exists (select from core.clock as c where c.kind = clock and c.stopped_at is null);
end
$$;

comment on function internal.beat_clock(text) is
'Notes that a clock is alive; says whether it is the one that runs jobs. NULL = called by hand, which always may.

Raises 22023 for an unknown clock.';

create function internal.watch_jobs(clock text default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    run core.job_run;
begin
    perform internal.beat_clock(clock);
    for run in
        select r.* from core.job_run as r
        where r.status = 'running' and r.window_start is not null and not internal.is_held(r.job, r.backend_pid, r.started_at)
    loop
        -- With the lease nobody can begin to run it between this look and the update.
        if internal.try_lease(run.job) then
            update core.job_run as r
            set status = 'crashed', finished_at = clock_timestamp(), error = 'its session ended before the step did'
            where r.id = run.id and r.status = 'running';
            if found then
                perform internal.end_attempt(j.name, true) from core.job as j
                where j.name = run.job and j.window_start = run.window_start and j.attempt = run.attempt;
            end if;
        end if;
    end loop;
    -- Only the session itself could stop a step on the second; somebody else's cancel comes with the next look. The lock is looked at
    -- in the same breath: what ended meanwhile is not cancelled, unless it ends right now, and then its job is merely tried again.
    begin
        perform pg_cancel_backend(r.backend_pid)
        from core.job_run as r
        where r.status = 'running' and r.window_start is not null
          and r.started_at < clock_timestamp() - make_interval(secs => internal.setting('jobs.step_timeout_seconds')::float8)
          and internal.is_held(r.job, r.backend_pid, r.started_at);
    exception
        when insufficient_privilege then
            raise warning 'a step runs longer than jobs.step_timeout_seconds, in a session of a role that % may not cancel', current_user;
    end;
end
$$;

comment on function internal.watch_jobs(text) is
'Looks after what runs: notes that the clock is alive, marks steps whose session is gone as crashed, and cancels those that run too long.

clock: timescaledb, pg_cron, worker; NULL = called by hand. Raises 22023 for another.';
