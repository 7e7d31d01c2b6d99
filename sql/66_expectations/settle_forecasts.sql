create function api.settle_forecasts()
returns table (changed_count bigint, settled_count bigint, open_count bigint, void_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    tolerance float8 := internal.setting('stock.tolerance_kg');
    max_age float8 := internal.setting('stock.max_age_days');
begin
    perform pg_advisory_xact_lock(x'57454949'::int);
    with period as materialized (
        select c.nomenclature_id, c.warehouse_id, c.inventory_period_start as opened_at, c.calculation_date, c.id, c.mode,
            case when c.inventory_shrinkage_total > 0 then c.inventory_shrinkage_total else -coalesce(c.surplus_kg, 0) end as found_kg,
            c.is_valid_inventory_period and c.data_quality_flag <> 'filtered' and c.inventory_shrinkage_total is not null as is_usable,
            c.validation_errors
        from core.calculation_data as c
    ), closing as materialized (
        -- The first count after the opening one closes the period it opened.
        select distinct on (p.nomenclature_id, p.warehouse_id, p.opened_at) p.*
        from period as p
        where p.mode <> 'open' and p.calculation_date > p.opened_at
        order by p.nomenclature_id, p.warehouse_id, p.opened_at, p.calculation_date, p.id
    ), last_count as materialized (
        select p.nomenclature_id, p.warehouse_id, max(p.calculation_date) as counted_at from period as p where p.mode <> 'open' group by 1, 2
    ), opening as materialized (
        -- What a count opened, and the counts nothing was written of since.
        select p.nomenclature_id, p.warehouse_id, p.opened_at, max(p.id) filter (where p.mode = 'open') as id,
            max(p.calculation_date) filter (where p.mode = 'open') as calculation_date
        from (
            select p.nomenclature_id, p.warehouse_id, p.opened_at, p.id, p.calculation_date, p.mode from period as p
            union all
            select p.nomenclature_id, p.warehouse_id, p.calculation_date, null, null, p.mode from period as p where p.mode <> 'open'
        ) as p
        group by p.nomenclature_id, p.warehouse_id, p.opened_at
    ), verdict as (
        select f.id, f.is_backtest, v.status,
            case when v.status = 'void' then
                case
                    when c.id is not null then concat_ws(': ', 'the count cannot be used', c.validation_errors)
                    when o.opened_at is null then 'the count that opened the period is not there any more'
                    else 'the next count closes a period that another one opened'
                end
            end as void_reason,
            coalesce(c.id, o.id) as period_id, coalesce(c.calculation_date, o.calculation_date) as period_date,
            case when v.status = 'settled' then c.id end as settled_id, case when v.status = 'settled' then c.calculation_date end as counted_at,
            case when v.status = 'settled' then c.found_kg end as found_kg
        from core.preliminary_forecasts as f
        left join closing as c on c.nomenclature_id = f.nomenclature_id and c.warehouse_id = f.warehouse_id and c.opened_at = f.opened_at
        left join opening as o on o.nomenclature_id = f.nomenclature_id and o.warehouse_id = f.warehouse_id and o.opened_at = f.opened_at
        left join last_count as l on l.nomenclature_id = f.nomenclature_id and l.warehouse_id = f.warehouse_id
        cross join lateral (
            select case
                when c.id is not null and c.is_usable then 'settled'
                when c.id is not null or o.opened_at is null or l.counted_at > f.opened_at then 'void'
                else 'open'
            end as status
        ) as v
    ), differing as materialized (
        select v.*
        from verdict as v
        inner join core.preliminary_forecasts as f on f.id = v.id
        where (f.status, f.void_reason, f.calculation_data_id, f.calculation_date, f.settled_calculation_data_id,
                f.settled_calculation_date, f.actual_shrinkage)
            is distinct from (v.status, v.void_reason, v.period_id, v.period_date, v.settled_id, v.counted_at, v.found_kg)
    ), result as (
        -- (greatest passes over NULL.)
        select d.*, case when d.status = 'settled' then greatest(0, e.from_fresh) end as fresh_kg,
            case when d.status = 'settled' and f.adjusted_expected_shrinkage is not null then greatest(0, e.with_ages) end as aged_kg, x.kg,
            -- The band is a share of what is expected, so it moves with the day.
            d.found_kg between f.expected_low * x.share - tolerance and f.expected_high * x.share + tolerance as is_inside
        from differing as d
        inner join core.preliminary_forecasts as f on f.id = d.id
        inner join core.coefficients as k on k.id = f.coefficient_id
        inner join core.warehouses as w on w.id = f.warehouse_id
        cross join lateral internal.expect_loss(
            k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, f.term_mass, f.term_age_from, f.term_age_to,
            extract(epoch from (d.counted_at at time zone w.time_zone) - (f.forecast_date at time zone w.time_zone))::float8 / 86400, max_age
        ) as e
        cross join lateral (
            select y.kg, coalesce(y.kg / nullif(y.planned_kg, 0), 0) as share
            from (
                select greatest(0, case when f.pre_shrinkage_adjusted then e.with_ages else e.from_fresh end) as kg,
                    case when f.pre_shrinkage_adjusted then f.adjusted_expected_shrinkage else f.expected_shrinkage end as planned_kg
            ) as y
        ) as x
    ), settled as (
        update core.preliminary_forecasts as f
        set status = r.status, void_reason = r.void_reason, calculation_data_id = r.period_id, calculation_date = r.period_date,
            settled_calculation_data_id = r.settled_id, settled_calculation_date = r.counted_at,
            settled_at = case when r.status = 'settled' then now() end, actual_shrinkage = r.found_kg,
            expected_at_count = r.fresh_kg, adjusted_expected_at_count = r.aged_kg,
            is_inside_80 = r.is_inside,
            forecast_accuracy = case when r.found_kg > tolerance then greatest(0, 1 - abs(r.kg - r.found_kg) / r.found_kg) * 100 end
        from result as r
        where f.id = r.id
        returning f.id
    ), followed as (
        update core.forecasts as o
        set actual_value = d.found_kg
        from differing as d
        where o.preliminary_forecast_id = d.id and o.actual_value is distinct from d.found_kg
    )
    select count(*) into changed_count from settled;
    select count(*) filter (where f.status = 'settled'), count(*) filter (where f.status = 'open'), count(*) filter (where f.status = 'void')
    into settled_count, open_count, void_count
    from core.preliminary_forecasts as f
    where not f.is_backtest;
    return next;
end
$$;

comment on function api.settle_forecasts() is
'Holds forecasts against the counts that came since: found kg (negative: a surplus), accuracy, whether the band held it.

The count that closes the period settles it; where it came on another day than planned, the expectation is worked out to that day and
kept beside the one that was issued. A forecast whose count cannot be used, or whose opening count is gone, is void. When the
accounting changes a period, the next call settles it anew; on the same data it changes nothing. Returns rows changed (backtests too),
and how many forecasts are settled, open and void. Example: select * from api.settle_forecasts();';
