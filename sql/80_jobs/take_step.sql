create function internal.take_step(due_by timestamptz)
returns table (job text, run_id bigint, statement text, arguments jsonb, writes text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    candidate text;
    due core.job;
    step record;
    latest bigint;
    begins boolean;
begin
    for candidate in
        select j.name from core.job as j
        where not j.is_paused and (j.next_at is null or j.next_at <= due_by)
        order by j.next_at nulls first, j.name
    loop
        continue when not internal.try_lease(candidate);
        -- Once more, now that nobody else can run it.
        select j.* into due from core.job as j
        where j.name = candidate and not j.is_paused and (j.next_at is null or j.next_at <= due_by)
        for update;
        continue when not found;
        -- A step that was begun and is not run: its session is between two transactions, or is gone and internal.watch_jobs will see it.
        continue when exists (
            select from core.job_run as r
            where r.job = candidate and r.status = 'running' and (r.window_start is not null or internal.is_held(r.job, r.backend_pid, r.started_at))
        );
        if due.window_start is null then
            -- A new job waits for its time.
            due.window_start := internal.next_window(due.starting, due.every, due.time_zone, clock_timestamp());
            update core.job as j set window_start = due.window_start, next_at = due.window_start where j.name = due.name;
            continue;
        end if;
        begins := due.attempt_started_at is null;
        if begins then
            if due.attempt = 0 then
                latest := internal.window_number(due.starting, due.every, due.time_zone, clock_timestamp());
                due.missed_count := due.missed_count + coalesce(
                    latest - internal.window_number(due.starting, due.every, due.time_zone, due.window_start), 0
                );
                due.window_start := greatest(due.window_start, internal.window_time(due.starting, due.every, due.time_zone, latest));
            end if;
            due.attempt := due.attempt + 1;
            due.attempt_started_at := clock_timestamp();
            update core.job as j
            set window_start = due.window_start, missed_count = due.missed_count, attempt = due.attempt, attempt_started_at = due.attempt_started_at
            where j.name = due.name;
        end if;
        select s.* into step from internal.next_step(due) as s;
        if not found then
            perform internal.end_attempt(due.name);
            continue;
        end if;
        insert into core.job_run (job, step, window_start, attempt, detail)
        values (
            due.name, step.step, due.window_start, due.attempt,
            case when begins and due.missed_count > 0 then format('makes up for %s windows that were missed', due.missed_count) end
        )
        returning id into run_id;
        job := due.name;
        statement := step.statement;
        arguments := due.arguments;
        writes := step.writes;
        return next;
        return;
    end loop;
end
$$;

comment on function internal.take_step(timestamptz) is
'Finds a job that is due and that nobody runs, and begins its next step: takes the lease, and writes the row of the attempt.

due_by: jobs due later are left. Windows that were missed are made up for once, by the newest. No row = there is nothing to do.';
