create function internal.job_steps(task text)
returns table (place int, step text, statement text, writes text)
language sql immutable
begin atomic
    -- Each statement gives one row: rows written, and what was done, in words; $1 are the arguments of the job. A step uses what
    -- those before it left, and finds nothing to do when it is run again on the same data: a step may run twice.
    select s.place, s.step, s.statement, s.writes
    from (values
        ('nightly', 1, 'account_stock', $$
            select a.changed_count + a.removed_count, format('%s periods, %s changed, %s in review', a.period_count, a.changed_count, a.review_count)
            from api.account_stock() as a $$, 'core.calculation_data, core.validation_errors, core.batches'),
        ('nightly', 2, 'validate_surplus', $$
            select count(*), format('%s periods held against patterns, %s failed', count(*), count(*) filter (where v.result = 'failure'))
            from api.validate_surplus() as v $$, 'core.pattern_validations'),
        ('nightly', 3, 'fit_shrinkage', $$
            select case when f.status = 'fitted' then f.item_count else 0 end, format('version %s %s: %s products', f.version, f.status, f.item_count)
            from api.fit_shrinkage() as f $$, 'core.calculation_data, core.coefficients'),
        ('nightly', 4, 'recommend_surplus', $$
            -- The table is read as it was before the function wrote.
            select count(*) filter (where r.id is null), format('%s recommended, %s of them new', count(*), count(*) filter (where r.id is null))
            from api.recommend_surplus() as s
            left join core.surplus_recommendations as r on r.id = s.recommendation_id $$, 'core.surplus_recommendations'),
        ('nightly', 5, 'settle_forecasts', $$
            select f.changed_count, format('%s settled, %s open', f.settled_count, f.open_count) from api.settle_forecasts() as f $$,
            'core.preliminary_forecasts, core.forecasts'),
        ('nightly', 6, 'forecast_next_count', $$
            select f.new_count + f.renewed_count, format('%s new, %s renewed, %s open, %s without a curve', f.new_count, f.renewed_count, f.open_count,
                f.without_curve_count)
            from api.forecast_next_count() as f $$, 'core.preliminary_forecasts, core.forecasts'),
        ('nightly', 7, 'refresh_analytics', $$
            select a.changed_count + a.removed_count, format('%s months of products, %s changed', a.row_count, a.changed_count)
            from api.refresh_analytics() as a $$, 'core.analytics, core.period_expectation'),
        ('nightly', 8, 'find_patterns', $$
            select p.new_count + p.changed_count + p.closed_count, format('%s found, %s new, %s gone', p.found_count, p.new_count, p.closed_count)
            from api.find_patterns() as p $$, 'core.ai_patterns'),
        ('nightly', 9, 'cluster_products', $$
            select case when c.status = 'cached' then 0 else c.product_count end,
                format('%s products in %s groups, %s', c.product_count, c.cluster_count, c.status)
            from api.cluster_products() as c $$,
            'core.product_clusters'),
        ('monitoring', 1, 'record_actuals', $$
            select r.joined_count, r.detail from internal.record_all_actuals() as r $$, 'core.forecast_ledger'),
        ('monitoring', 2, 'find_anomalies', $$
            select a.count, a.detail from internal.find_all_anomalies() as a $$, 'core.anomaly'),
        ('monitoring', 3, 'refresh_forecasts', $$
            select f.count, f.detail from internal.refresh_forecasts() as f $$, 'core.forecast_ledger, core.run_outcome, cache.ml_models'),
        ('monitoring', 4, 'calculate_metrics', $$
            select m.changed_count, format('%s days, %s rows, %s changed', m.day_count, m.row_count, m.changed_count)
            from api.calculate_metrics() as m $$, 'core.model_performance_metrics'),
        ('monitoring', 5, 'raise_alerts', $$
            select r.raised_count + r.resolved_count, format('%s raised, %s resolved, %s open', r.raised_count, r.resolved_count, r.open_count)
            from api.raise_alerts() as r $$, 'core.alert, core.webhook_delivery'),
        ('retraining', 1, 'retrain_models', $$
            select r.count, r.detail from internal.retrain_due_models() as r $$, 'core.forecast_ledger, core.run_outcome, cache.ml_models'),
        ('refresh', 1, 'refresh_rollups', $$
            select r.count, r.detail from internal.refresh_rollups() as r $$, ''),
        ('housekeeping', 1, 'apply_storage_policies', $$
            select r.count, r.detail from internal.apply_storage_policies() as r $$, ''),
        ('fit', 1, 'fit_model', $$
            select f.fitted_count + f.updated_count, format('version %s %s: %s series, %s fitted, %s failed', f.version, f.status, f.series_count,
                f.fitted_count + f.updated_count, f.failed_count)
            from api.fit_model($1 ->> 'model') as f $$, 'core.run_outcome, cache.ml_models'),
        ('housekeeping', 2, 'prune_cache', $$
            select coalesce(sum(p.entry_count), 0)::bigint, format('%s stored fits of %s models removed', coalesce(sum(p.entry_count), 0), count(*))
            from api.prune_cache() as p $$, 'cache.ml_models'),
        ('housekeeping', 3, 'prune_job_runs', $$
            select p.row_count, format('%s rows of old steps removed', p.row_count) from internal.prune_job_runs() as p (row_count) $$, 'core.job_run'),
        ('housekeeping', 4, 'verify_cache', $$
            select count(*), format('%s stored fits are not as they were signed', count(*)) from api.verify_cache() $$, ''),
        ('housekeeping', 5, 'expire_datasets', $$
            select count(*) filter (where e.event = 'expired'), format('%s datasets expired with %s rows, %s runs, %s artifacts and %s fits; %s kept',
                count(*) filter (where e.event = 'expired'), coalesce(sum(e.row_count), 0), coalesce(sum(e.run_count), 0),
                coalesce(sum(e.artifact_count), 0), coalesce(sum(e.fit_count), 0), count(*) filter (where e.event = 'kept'))
            from api.expire_datasets() as e $$, 'core.dataset')
    ) as s (task, place, step, statement, writes)
    where s.task = job_steps.task;
end;

comment on function internal.job_steps(text) is
'Lists the steps of a task in their order: what each is called, the statement it runs ($1 = the arguments of the job), and the tables
it writes. None: the task has nothing to do here yet.';

create function internal.job_tasks()
returns setof text
language sql immutable
return unnest('{nightly,monitoring,retraining,refresh,housekeeping,fit}'::text []);

comment on function internal.job_tasks() is 'Lists what a job can do.';
