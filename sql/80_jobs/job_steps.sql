create function internal.job_steps(job text)
returns table (place int, step text, statement text)
language sql immutable
begin atomic
    -- Each statement gives one row: rows written, and what was done, in words. A step uses what those before it left.
    select s.place, s.step, s.statement
    from (values
        ('nightly', 1, 'account_stock', $$
            select a.changed_count + a.removed_count, format('%s periods, %s changed, %s in review', a.period_count, a.changed_count, a.review_count)
            from api.account_stock() as a $$),
        ('nightly', 2, 'fit_shrinkage', $$
            select case when f.status = 'fitted' then f.item_count else 0 end, format('version %s %s: %s products', f.version, f.status, f.item_count)
            from api.fit_shrinkage() as f $$)
    ) as s (job, place, step, statement)
    where s.job = job_steps.job;
end;

comment on function internal.job_steps(text) is 'Lists the steps of a job in their order: what each is called and the statement it runs.';
