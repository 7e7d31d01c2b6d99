create function api.refresh_analytics()
returns table (changed_count bigint, removed_count bigint, row_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    has_priority boolean := exists (select from core.priority_periods as p where p.active);
    priority_hash bigint;
begin
    perform pg_advisory_xact_lock(x'57454949'::int);
    select bit_xor(hash_record_extended(row(p.period_start, p.period_end, p.priority_level, internal.setting('priority.max_multiplier')), p.id))
    into priority_hash from core.priority_periods as p where p.active;

    -- What a month is computed from, as one number: only months whose number differs are computed again. Hashes carry the key of
    -- the row, so that equal rows do not cancel.
    create temp table if not exists analytic_month (
        nomenclature_id int, month date, model_id int, coefficient_id bigint, content_hash bigint, primary key (nomenclature_id, month)
    ) on commit drop;
    truncate pg_temp.analytic_month;
    insert into pg_temp.analytic_month
    with curve as materialized (
        select k.nomenclature_id, k.id, k.model_id
        from core.coefficients as k
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where k.outcome <> 'failed'
    ), content as (
        select c.nomenclature_id,
            -- A count at midnight closes the day, and the month, before.
            date_trunc('month', (c.calculation_date - interval '1 second') at time zone w.time_zone)::date as month,
            hash_record_extended(row(c.id, c.calculation_date, c.inventory_period_start, c.inventory_shrinkage_total, c.initial_balance,
                c.incoming, c.surplus_applied_kg, c.inventory_confidence, c.term_mass, c.term_age_from, c.term_age_to), 0) as hash
        from core.calculation_data as c
        inner join core.warehouses as w on w.id = c.warehouse_id
        where c.mode <> 'open' and c.inventory_shrinkage_total is not null
        union all
        select f.nomenclature_id,
            date_trunc('month', (f.settled_calculation_date - interval '1 second') at time zone w.time_zone)::date,
            hash_record_extended(row(f.id, f.settled_calculation_date, f.actual_shrinkage, f.expected_at_count, f.adjusted_expected_at_count), 1)
        from core.preliminary_forecasts as f
        inner join core.warehouses as w on w.id = f.warehouse_id
        where f.status = 'settled' and not f.is_backtest
    )
    select c.nomenclature_id, c.month, k.model_id, k.id, bit_xor(c.hash) # hash_record_extended(row(k.id, priority_hash), 2)
    from content as c
    inner join curve as k on k.nomenclature_id = c.nomenclature_id
    group by c.nomenclature_id, c.month, k.model_id, k.id;
    analyze pg_temp.analytic_month;

    delete from core.analytics as a
    where not exists (
        select from pg_temp.analytic_month as m where m.nomenclature_id = a.nomenclature_id and m.month = a.period_start and m.model_id = a.model_id
    );
    get diagnostics removed_count = row_count;
    delete from pg_temp.analytic_month as m
    using core.analytics as a
    where a.nomenclature_id = m.nomenclature_id and a.period_start = m.month and a.model_id = m.model_id and a.content_hash = m.content_hash;
    analyze pg_temp.analytic_month;

    perform internal.refresh_expected_losses();
    with due as materialized (
        select c.id, c.nomenclature_id, m.month, k.id as coefficient_id, c.inventory_shrinkage_total::float8 as actual_kg,
            case when c.calculation_date > c.inventory_period_start
                then c.inventory_shrinkage_total::float8 / nullif(c.initial_balance + c.incoming + c.surplus_applied_kg, 0)::float8 end as rate,
            coalesce(c.inventory_confidence, 0)
            * case when has_priority then internal.priority_factor(c.inventory_period_start, c.calculation_date) else 1 end as weight
        from core.calculation_data as c
        inner join core.warehouses as w on w.id = c.warehouse_id
        inner join pg_temp.analytic_month as m on m.nomenclature_id = c.nomenclature_id
            and m.month = date_trunc('month', (c.calculation_date - interval '1 second') at time zone w.time_zone)::date
        inner join core.coefficients as k on k.id = m.coefficient_id
        where c.mode <> 'open' and c.inventory_shrinkage_total is not null
    ), period as (
        select d.nomenclature_id, d.month, d.actual_kg, d.rate, d.weight,
            case when d.actual_kg > 0 and e.expected_kg is not null
                then greatest(0, 100 * (1 - abs(e.expected_kg - d.actual_kg) / d.actual_kg)) end as accuracy
        from due as d
        left join core.period_expectation as e on e.calculation_data_id = d.id and e.coefficient_id = d.coefficient_id
    ), described as (
        select p.nomenclature_id, p.month, avg(p.accuracy) as accuracy, avg(p.rate) as rate, count(*) as n,
            sum(p.weight * p.accuracy) / nullif(sum(p.weight) filter (where p.accuracy is not null), 0) as weighted_accuracy,
            sum(p.weight * p.rate) / nullif(sum(p.weight) filter (where p.rate is not null), 0) as weighted_rate
        from period as p
        group by p.nomenclature_id, p.month
    ), foreseen as (
        select f.nomenclature_id, date_trunc('month', (f.settled_calculation_date - interval '1 second') at time zone w.time_zone)::date as month,
            count(*) as n, 100 * sum(abs(x.kg - f.actual_shrinkage::float8)) / nullif(sum(abs(f.actual_shrinkage::float8)), 0) as wape
        from core.preliminary_forecasts as f
        inner join core.warehouses as w on w.id = f.warehouse_id
        cross join lateral (
            select case when f.pre_shrinkage_adjusted then f.adjusted_expected_at_count else f.expected_at_count end as kg
        ) as x
        where f.status = 'settled' and not f.is_backtest
        group by 1, 2
    ), stored as (
        insert into core.analytics as a
            (nomenclature_id, model_id, period_start, period_end, avg_accuracy, weighted_accuracy, total_calculations, mean_rate, weighted_rate,
                forecast_count, forecast_wape, content_hash)
        select m.nomenclature_id, m.model_id, m.month, (m.month + interval '1 month' - interval '1 day')::date, d.accuracy, d.weighted_accuracy,
            coalesce(d.n, 0), d.rate, d.weighted_rate, coalesce(f.n, 0), f.wape, m.content_hash
        from pg_temp.analytic_month as m
        left join described as d on d.nomenclature_id = m.nomenclature_id and d.month = m.month
        left join foreseen as f on f.nomenclature_id = m.nomenclature_id and f.month = m.month
        on conflict (nomenclature_id, model_id, period_start) do update
        set avg_accuracy = excluded.avg_accuracy, weighted_accuracy = excluded.weighted_accuracy, total_calculations = excluded.total_calculations,
            mean_rate = excluded.mean_rate, weighted_rate = excluded.weighted_rate, forecast_count = excluded.forecast_count,
            forecast_wape = excluded.forecast_wape, content_hash = excluded.content_hash, last_updated = now()
        returning 1
    )
    select count(*) into changed_count from stored;
    select count(*) into row_count from core.analytics;
    return next;
end
$$;

comment on function api.refresh_analytics() is
'Brings bi.analytics up to date: by product and month how close the deployed curve comes to the counts, and how forecasts fared.

Only months are computed in which a period, a settled forecast, the curve or a priority period changed since; on the same data nothing
is written. Returns rows computed, rows removed (no such month, or an older version), and rows there are.
Example: select * from api.refresh_analytics();';
