create function internal.run_step(run_id bigint, statement text, arguments jsonb)
returns table (status text, row_count bigint, is_cancelled boolean)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    run core.job_run;
    done text;
    fault_state text;
    fault text;
begin
    select r.* into run from core.job_run as r where r.id = run_step.run_id;
    begin
        if statement is null then
            raise exception 'there is nothing to do yet' using errcode = 'ML101';
        end if;
        execute statement into row_count, done using arguments;
        status := 'succeeded';
    exception
        when sqlstate 'ML101' or sqlstate 'ML201' then
            -- No data, or no curve, to work on yet.
            get stacked diagnostics fault_state = returned_sqlstate, fault = message_text;
            status := 'skipped';
            row_count := 0;
            done := null;
        when query_canceled then
            -- Who runs a job by hand has cancelled his own call; of a clock it was one step, by the operator or its time was over.
            if run.window_start is null then
                raise;
            end if;
            get stacked diagnostics fault_state = returned_sqlstate, fault = message_text;
            if clock_timestamp() - run.started_at > make_interval(secs => internal.setting('jobs.step_timeout_seconds')::float8) then
                fault := format('ran longer than %s seconds (jobs.step_timeout_seconds)', internal.setting('jobs.step_timeout_seconds'));
            end if;
            status := 'failed';
            row_count := null;
            done := null;
            is_cancelled := true;
        when others then
            get stacked diagnostics fault_state = returned_sqlstate, fault = message_text;
            status := 'failed';
            row_count := null;
            done := null;
    end;
    is_cancelled := coalesce(is_cancelled, false);
    update core.job_run as r
    set status = run_step.status, finished_at = clock_timestamp(), row_count = run_step.row_count,
        detail = nullif(concat_ws('; ', r.detail, done), ''), sqlstate = fault_state, error = fault
    where r.id = run_step.run_id;
    return next;
end
$$;

comment on function internal.run_step(bigint, text, jsonb) is
'Runs the statement of a step and writes how it ended into its row of core.job_run. The caller holds the lease of the job.

statement: gives rows written and what was done; NULL = the task has no steps, which is skipped. A cancelled step of a clock has
failed (is_cancelled); one that was run by hand is not caught.';
