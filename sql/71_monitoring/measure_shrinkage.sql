create function internal.measure_shrinkage(from_date date, to_date date)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
set client_min_messages = warning
as $$
declare
    tolerance float8 := internal.setting('stock.tolerance_kg');
    is_range boolean := from_date is not null or to_date is not null;
begin
    create temp table if not exists settled_forecast (
        version_id int, version int, day date, settled_at timestamptz, item text, warehouse text, product_type text, expected float8, actual float8,
        is_inside_80 boolean
    ) on commit drop;
    truncate pg_temp.settled_forecast;
    -- Backtests may have seen the count: they say nothing about how well forecasts do.
    insert into pg_temp.settled_forecast
    select v.id, v.version, (f.settled_calculation_date at time zone w.time_zone)::date, f.settled_at, n.name, w.name, coalesce(n.product_type, '-'),
        case when f.pre_shrinkage_adjusted then f.adjusted_expected_at_count else f.expected_at_count end, f.actual_shrinkage, f.is_inside_80
    from core.preliminary_forecasts as f
    inner join core.model_versions as v on v.id = f.forecast_model_id
    inner join core.nomenclature as n on n.id = f.nomenclature_id
    inner join core.warehouses as w on w.id = f.warehouse_id
    where f.status = 'settled' and not f.is_backtest
      and case when f.pre_shrinkage_adjusted then f.adjusted_expected_at_count else f.expected_at_count end is not null;
    insert into pg_temp.metric_scope (version_id, version, day, actual_until)
    select s.version_id, coalesce(s.version, m.version), coalesce(s.day, m.day), s.settled_at
    from (
        select f.version_id, f.version, f.day, count(*) as n, max(f.settled_at) as settled_at
        from pg_temp.settled_forecast as f
        group by f.version_id, f.version, f.day
    ) as s
    full join (
        select x.version, x.day, x.n from core.model_performance_metrics as x where x.model = 'shrinkage' and x.segment_by is null
    ) as m on m.version = s.version and m.day = s.day
    left join core.metrics_calculation as c on c.version_id = s.version_id
    -- One that is settled no more leaves no stamp: the days are counted.
    where case when is_range then coalesce(s.day, m.day) between coalesce(from_date, '-infinity') and coalesce(to_date, 'infinity')
        else s.n is distinct from m.n or s.settled_at > coalesce(c.actual_until, '-infinity') end;
    insert into pg_temp.metric
    select 'shrinkage', f.version, f.day,
        case when f.item is not null then 'item' when f.warehouse is not null then 'warehouse' when f.product_type is not null then 'product_type' end,
        coalesce(f.item, f.warehouse, f.product_type), count(*), count(*) filter (where f.actual > tolerance),
        coalesce(sum(abs(f.actual - f.expected) / f.actual) filter (where f.actual > tolerance), 0), sum(abs(f.actual - f.expected)),
        sum((f.actual - f.expected) * (f.actual - f.expected)), sum(f.actual - f.expected), sum(abs(f.actual)), count(*) filter (where f.is_inside_80),
        null, 0, 0, 0
    from pg_temp.settled_forecast as f
    inner join pg_temp.metric_scope as d on d.version = f.version and d.day = f.day
    group by grouping sets ((f.version, f.day), (f.version, f.day, f.item), (f.version, f.day, f.warehouse), (f.version, f.day, f.product_type));
end
$$;

comment on function internal.measure_shrinkage(date, date) is
'Measures settled forecasts of the next count as internal.measure_forecasts does those of series, kg; backtests are left out.

Days are those of the counts, in the zone of the warehouse. Segments: item, warehouse, product_type. A percentage is taken of what was
found missing beyond the tolerance. There is no 95 % band and no naive forecast.';
