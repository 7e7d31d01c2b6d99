create procedure internal.run_due_jobs(clock text default null)
language plpgsql
as $$
declare
    began_at timestamptz;
    release_id bigint;
    step record;
    ran record;
begin
    set local search_path = pg_catalog, pg_temp;
    perform internal.watch_jobs(clock);
    if not internal.beat_clock(clock) then
        return;
    end if;
    began_at := clock_timestamp();
    select max(r.id) into release_id from core.release as r;
    commit;
    set local search_path = pg_catalog, pg_temp;
    loop
        -- After an upgrade the next tick, which is of the new code, goes on.
        exit when release_id is distinct from (select max(r.id) from core.release as r);
        -- Nothing is kept from one step to the next: what is to be done is in the rows, whoever comes by goes on from there.
        select s.* into step from internal.take_step(began_at) as s;
        exit when not found;
        -- Seen by all while it runs, and kept whatever happens.
        commit;
        set local search_path = pg_catalog, pg_temp;
        -- Waits for those who look whether the job is free; none of them runs it.
        perform pg_advisory_xact_lock(x'5745494e'::int, hashtext(step.job));
        perform from core.job_run as r where r.id = step.run_id and r.status = 'running' for update;
        if found then
            select r.* into ran from internal.run_step(step.run_id, step.statement, step.arguments) as r;
            perform internal.end_attempt(j.name)
            from core.job as j
            inner join core.job_run as r on r.id = step.run_id and r.window_start = j.window_start and r.attempt = j.attempt
            where j.name = step.job and not exists (select from internal.next_step(j));
        end if;
        commit;
        set local search_path = pg_catalog, pg_temp;
        -- Who was told to stop stops. What is left of the attempt is done at the next tick.
        exit when ran.is_cancelled;
        call internal.analyze_written(ran.row_count, step.writes);
        commit;
        set local search_path = pg_catalog, pg_temp;
    end loop;
end
$$;

comment on procedure internal.run_due_jobs(text) is
'Runs every job that is due now and that nobody else runs: one tick of a clock. Any number of sessions may tick at once.

clock: timescaledb, pg_cron, worker, which does nothing while it is stopped; NULL = called by hand. Each step is a transaction and a row of
bi.job_run. Every window is run at least once, a step that was done is not done again for the same window, no two sessions run
the same job; what fails is tried again later. Raises nothing because of a step. Not inside a transaction.';
