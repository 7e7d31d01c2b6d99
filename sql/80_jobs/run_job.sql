create procedure api.run_job(job text)
language plpgsql
as $$
declare
    chosen record;
    step record;
    ran record;
    run_id bigint;
    failed_steps text [];
begin
    set local search_path = pg_catalog, pg_temp;
    select x.task, x.arguments into chosen
    from (
        select 1 as place, j.task, j.arguments from core.job as j where j.name = run_job.job
        union all
        select 2, t.task, '{}' from internal.job_tasks() as t (task) where t.task = run_job.job
        order by place
        limit 1
    ) as x;
    if chosen.task is null then
        raise exception 'unknown job %', coalesce(job, 'NULL') using errcode = '22023', hint = format(
            'Known are %s.', (
                select string_agg(n.name, ', ' order by n.name)
                from (select j.name from core.job as j union select t.task from internal.job_tasks() as t (task)) as n
            )
        );
    end if;
    for step in
        select s.place, s.step, s.statement, s.writes from internal.job_steps(chosen.task) as s
        union all
        select 1, chosen.task, null, null where not exists (select from internal.job_steps(chosen.task))
        order by 1
    loop
        -- Held for a step at a time: a lock of the session would outlive a cancel. Steps of two runs that alternate do no harm.
        if not internal.try_lease(job) or exists (
            select from core.job_run as r
            where r.job = run_job.job and r.status = 'running' and r.backend_pid <> pg_backend_pid()
              and internal.is_held(r.job, r.backend_pid, r.started_at)
        ) then
            raise exception 'job % runs already', job using errcode = '55P03', hint = 'See bi.job_run.';
        end if;
        insert into core.job_run (job, step) values (job, step.step) returning id into run_id;
        -- Seen by all while it runs, and kept whatever happens.
        commit;
        set local search_path = pg_catalog, pg_temp;
        -- Waits for those who look whether the job is free; none of them runs it.
        perform pg_advisory_xact_lock(x'5745494e'::int, hashtext(job));
        select r.* into ran from internal.run_step(run_id, step.statement, chosen.arguments) as r;
        if ran.status = 'failed' then
            failed_steps := failed_steps || step.step;
        end if;
        commit;
        set local search_path = pg_catalog, pg_temp;
        call internal.analyze_written(ran.row_count, step.writes);
        commit;
        set local search_path = pg_catalog, pg_temp;
    end loop;
    if failed_steps is not null then
        raise exception 'job %: % failed', job, array_to_string(failed_steps, ', ')
            using errcode = 'ML301', hint = 'bi.job_run has the reasons; the other steps were done.';
    end if;
end
$$;

comment on procedure api.run_job(text) is
'Runs all steps of a job now, each in a transaction of its own; one that fails does not stop the others.

job: one of bi.job, with its arguments, or a task. nightly accounts for the stock, holds what was expected against the counts, fits the curves, and
looks for surplus, patterns and groups; on unchanged data it changes nothing. The schedule is left as it is: a run by hand is no window. Each step is a row of
bi.job_run while it runs and after; skipped = there is nothing it could work on yet. Raises 22023 for an unknown
job, 55P03 while another session runs it, ML301 at the end when steps failed. Not inside a transaction.
Example: call api.run_job(''nightly'');';
