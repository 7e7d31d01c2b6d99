create function internal.store_metrics(model text)
returns table (day_count bigint, row_count bigint, changed_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    first_day date;
    last_day date;
    part_count bigint;
begin
    select min(s.day), max(s.day), count(distinct s.day) into first_day, last_day, day_count from pg_temp.metric_scope as s;
    select count(*) into row_count from pg_temp.metric;
    -- (A null is no hash key; no segment is called ''.)
    delete from core.model_performance_metrics as m
    using pg_temp.metric_scope as s
    where m.model = store_metrics.model and m.day between first_day and last_day and m.version = s.version and m.day = s.day
      and not exists (
        select from pg_temp.metric as f
        where f.version = m.version and f.day = m.day and coalesce(f.segment_by, '') = coalesce(m.segment_by, '')
          and coalesce(f.segment, '') = coalesce(m.segment, '')
    );
    get diagnostics changed_count = row_count;
    -- Sums of the same numbers in another order differ in their last digits: that is no change.
    update core.model_performance_metrics as m
    set n = f.n, percent_count = f.percent_count, percent_error_sum = f.percent_error_sum, absolute_error_sum = f.absolute_error_sum,
        squared_error_sum = f.squared_error_sum, error_sum = f.error_sum, absolute_actual_sum = f.absolute_actual_sum,
        inside_80_count = f.inside_80_count, inside_95_count = f.inside_95_count, naive_count = f.naive_count,
        naive_percent_error_sum = f.naive_percent_error_sum, naive_absolute_error_sum = f.naive_absolute_error_sum, calculated_at = now()
    from pg_temp.metric as f
    where m.model = store_metrics.model and m.day between first_day and last_day and m.version = f.version and m.day = f.day
      and coalesce(m.segment_by, '') = coalesce(f.segment_by, '') and coalesce(m.segment, '') = coalesce(f.segment, '')
      and (
        (m.n, m.percent_count, m.inside_80_count, m.inside_95_count, m.naive_count)
            is distinct from (f.n, f.percent_count, f.inside_80_count, f.inside_95_count, f.naive_count)
        or abs(m.percent_error_sum - f.percent_error_sum) > 1e-10 * f.percent_error_sum
        or abs(m.absolute_error_sum - f.absolute_error_sum) > 1e-10 * f.absolute_error_sum
        or abs(m.squared_error_sum - f.squared_error_sum) > 1e-10 * f.squared_error_sum
        or abs(m.error_sum - f.error_sum) > 1e-10 * f.absolute_error_sum
        or abs(m.absolute_actual_sum - f.absolute_actual_sum) > 1e-10 * f.absolute_actual_sum
        or abs(m.naive_percent_error_sum - f.naive_percent_error_sum) > 1e-10 * f.naive_percent_error_sum
        or abs(m.naive_absolute_error_sum - f.naive_absolute_error_sum) > 1e-10 * f.naive_absolute_error_sum
    );
    get diagnostics part_count = row_count;
    changed_count := changed_count + part_count;
    insert into core.model_performance_metrics (model, version, day, segment_by, segment, n, percent_count, percent_error_sum, absolute_error_sum,
        squared_error_sum, error_sum, absolute_actual_sum, inside_80_count, inside_95_count, naive_count, naive_percent_error_sum,
        naive_absolute_error_sum)
    select f.*
    from (
        select f.model, f.version, f.day, f.segment_by, f.segment, f.n, f.percent_count, f.percent_error_sum, f.absolute_error_sum, f.squared_error_sum,
            f.error_sum, f.absolute_actual_sum, f.inside_80_count, f.inside_95_count, f.naive_count, f.naive_percent_error_sum,
            f.naive_absolute_error_sum
        from pg_temp.metric as f
    ) as f
    where not exists (
        select from core.model_performance_metrics as m
        where m.model = store_metrics.model and m.day between first_day and last_day and m.version = f.version and m.day = f.day
          and coalesce(m.segment_by, '') = coalesce(f.segment_by, '') and coalesce(m.segment, '') = coalesce(f.segment, '')
    );
    get diagnostics part_count = row_count;
    changed_count := changed_count + part_count;
    return next;
end
$$;

comment on function internal.store_metrics(text) is
'Brings the stored metrics of a model to what pg_temp.metric says for the versions and days of pg_temp.metric_scope.

Rows that are right already are not touched. Returns days, rows measured, and rows written, changed or removed.';
