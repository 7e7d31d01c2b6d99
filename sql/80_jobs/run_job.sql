create procedure api.run_job(job text)
language plpgsql
as $$
declare
    step record;
    run_id bigint;
    written_count bigint;
    done text;
    fault_state text;
    fault text;
    failed_steps text [];
begin
    set local search_path = pg_catalog, pg_temp;
    if not exists (select from internal.job_steps(job)) then
        raise exception 'unknown job %', coalesce(job, 'NULL') using errcode = '22023', hint = 'Known is nightly.';
    end if;
    for step in select s.step, s.statement, s.writes from internal.job_steps(job) as s order by s.place loop
        -- Held for a step at a time: a lock of the session would outlive a cancel. Steps of two runs that alternate do no harm.
        if not pg_try_advisory_xact_lock(x'5745494e'::int, hashtext(job)) then
            raise exception 'job % runs already', job using errcode = '55P03', hint = 'See bi.job_run.';
        end if;
        insert into core.job_run (job, step) values (job, step.step) returning id into run_id;
        -- Seen by all while it runs, and kept whatever happens.
        commit;
        set local search_path = pg_catalog, pg_temp;
        if not pg_try_advisory_xact_lock(x'5745494e'::int, hashtext(job)) then
            raise exception 'job % runs already', job using errcode = '55P03', hint = 'See bi.job_run.';
        end if;
        fault_state := null;
        fault := null;
        begin
            execute step.statement into written_count, done;
        exception
            when sqlstate 'ML101' or sqlstate 'ML201' then
                -- No data, or no curve, to work on yet.
                get stacked diagnostics fault_state = returned_sqlstate, fault = message_text;
                written_count := 0;
                done := null;
            when others then
                get stacked diagnostics fault_state = returned_sqlstate, fault = message_text;
                written_count := null;
                done := null;
                failed_steps := failed_steps || step.step;
        end;
        update core.job_run as r
        set status = case when fault_state is null then 'succeeded' when written_count = 0 then 'skipped' else 'failed' end, finished_at = clock_timestamp(), row_count = written_count,
            detail = done, sqlstate = fault_state, error = fault
        where r.id = run_id;
        commit;
        set local search_path = pg_catalog, pg_temp;
        -- The next step must not be planned for tables as small as they were. Only who may (the owner, a role with MAINTAIN); others
        -- wait for autovacuum.
        if written_count > 1000 then
            set local client_min_messages = error;
            execute format('analyze %s', step.writes);
            commit;
            set local search_path = pg_catalog, pg_temp;
        end if;
    end loop;
    if failed_steps is not null then
        raise exception 'job %: % failed', job, array_to_string(failed_steps, ', ')
            using errcode = 'ML301', hint = 'bi.job_run has the reasons; the other steps were done.';
    end if;
end
$$;

comment on procedure api.run_job(text) is
'Runs all steps of a job, each in a transaction of its own; one that fails does not stop the others.

nightly: accounts for the stock, holds what was expected against the counts, fits the curves, and looks for surplus, patterns and
groups. On unchanged data it changes nothing. Each step is a row of bi.job_run while it runs and after;
skipped = there is nothing it could work on yet. Raises 22023 for an unknown
job, 55P03 while another session runs it, ML301 at the end when steps failed. Not inside a transaction.
Example: call api.run_job(''nightly'');';
