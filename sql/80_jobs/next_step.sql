create function internal.next_step(job core.job)
returns table (step text, statement text, writes text)
language sql stable
begin atomic
    with planned as (
        select s.place, s.step, s.statement, s.writes from internal.job_steps((next_step.job).task) as s
        union all
        -- A task without steps leaves a row too.
        select 1, (next_step.job).task, null, null where not exists (select from internal.job_steps((next_step.job).task))
    ), ran as (
        select r.id, r.step, r.status, r.attempt from core.job_run as r
        where r.job = (next_step.job).name and r.window_start = (next_step.job).window_start
    )
    select p.step, p.statement, p.writes
    from planned as p
    where not exists (
        select from ran as r
        where r.step = p.step
          and (
              r.attempt = (next_step.job).attempt
              -- What ran without a step before it, which had failed then, runs again once that one is done.
              or r.status in ('succeeded', 'skipped') and not exists (
                  select from ran as f
                  inner join ran as g on g.step = f.step and g.attempt > f.attempt and g.status in ('succeeded', 'skipped')
                  where f.attempt = r.attempt and f.id < r.id and f.status in ('failed', 'crashed')
              )
          )
    )
    order by p.place
    limit 1;
end;

comment on function internal.next_step(core.job) is
'Gives the next step of the attempt a job is at; no row when none is left.

Left out are steps this attempt has run, and those that were done for the same window before, with all that comes before them.';
