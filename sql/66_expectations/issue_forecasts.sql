create function internal.issue_forecasts(horizon_days int, as_backtest boolean)
returns table (new_count bigint, renewed_count bigint, without_curve_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    max_age float8 := internal.setting('stock.max_age_days');
    cv float8 := internal.setting('fit.cv');
    far float8 := internal.setting('fit.extrapolation_factor');
    widening float8 := internal.setting('forecast.no_ages_widening');
    usual_days int := internal.setting('forecast.horizon_days');
begin
    select count(*) into without_curve_count
    from pg_temp.awaited as a
    where not exists (
        select from core.coefficients as k
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where k.nomenclature_id = a.nomenclature_id and k.outcome <> 'failed'
    );

    with pace as materialized (
        -- Days from count to count: the median of the warehouse, else of all.
        select c.warehouse_id, case when count(*) > 0 then greatest(1, round(percentile_cont(0.5) within group (
                order by extract(epoch from c.calculation_date - c.inventory_period_start)::float8 / 86400)))::int end as days
        from core.calculation_data as c
        where c.is_valid_inventory_period and exists (select from pg_temp.awaited)
        group by grouping sets ((c.warehouse_id), ())
    ), ratio as materialized (
        select r.* from internal.shortage_ratios() as r where exists (select from pg_temp.awaited)
    ), planned as (
        select a.*, n.product_type, d.days, y.kg_per_day, (p.local_end at time zone a.time_zone) as planned_end,
            extract(epoch from p.local_end - l.as_of)::float8 / 86400 as days_left
        from pg_temp.awaited as a
        inner join core.nomenclature as n on n.id = a.nomenclature_id
        left join pace as w on w.warehouse_id = a.warehouse_id
        left join pace as g on g.warehouse_id is null
        left join pg_temp.usual_loss as y
            on y.nomenclature_id = a.nomenclature_id and y.warehouse_id = a.warehouse_id and y.counted_at = a.opened_at
        cross join lateral (select a.opened_at at time zone a.time_zone as opened_at, a.as_of at time zone a.time_zone as as_of) as l
        cross join lateral (select coalesce(issue_forecasts.horizon_days, w.days, g.days, usual_days) as length) as t
        -- A count that is overdue is expected at the next of the usual dates.
        cross join lateral (
            select t.length * (1 + floor(extract(epoch from l.as_of - l.opened_at)::float8 / 86400 / t.length)::int) as days
        ) as d
        cross join lateral (select l.opened_at + make_interval(days => d.days) as local_end) as p
    ), expected as (
        select p.*, k.id as coefficient_id, k.model_id, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c, k.reason,
            -- A curve fitted without ages starts anew at each count; ages would be counted twice.
            u.use_ages, greatest(e.from_fresh, 0) as fresh_kg, case when p.ages_known then greatest(e.with_ages, 0) end as aged_kg,
            greatest(0, case when u.use_ages then e.with_ages else e.from_fresh end) as kg,
            coalesce((select max(least(t.age + p.days_left, max_age)) from unnest(p.term_age_to) as t (age)) > k.age_max * far, true) as is_extrapolated
        from planned as p
        inner join core.coefficients as k on k.nomenclature_id = p.nomenclature_id and k.outcome <> 'failed'
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        cross join lateral (select p.ages_known and k.adjusted_for_pre_shrinkage as use_ages) as u
        cross join lateral internal.expect_loss(
            k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, p.term_mass, p.term_age_from, p.term_age_to, p.days_left, max_age
        ) as e
        where e.with_ages is not null
    ), banded as (
        select e.*, r.coverage,
            greatest(0, e.kg * (1 - w.factor * (1 - least(coalesce(r.low_ratio, 1), 1 - 1.2816 * cv)))) as low_kg,
            e.kg * (1 + w.factor * (greatest(coalesce(r.high_ratio, 1), 1 + 1.2816 * cv) - 1)) as high_kg
        from expected as e
        left join ratio as r on r.product_type = e.product_type
        cross join lateral (select case when e.ages_known then 1 else widening end as factor) as w
    ), stored as (
        insert into core.preliminary_forecasts as f
            (nomenclature_id, warehouse_id, calculation_data_id, calculation_date, coefficient_id, forecast_model_id, opened_at, forecast_date,
                planned_end, forecast_period_days, stock_kg, expected_shrinkage, adjusted_expected_shrinkage, pre_shrinkage_adjusted,
                expected_low, expected_high, usual_kg_per_day, confidence_level, is_extrapolated, is_backtest, notes, batch_storage_history,
                term_mass, term_age_from, term_age_to)
        select b.nomenclature_id, b.warehouse_id, b.calculation_data_id, b.calculation_date, b.coefficient_id, b.model_id, b.opened_at, b.as_of,
            b.planned_end, b.days, b.stock_kg, b.fresh_kg, b.aged_kg, b.use_ages, b.low_kg, b.high_kg, b.kg_per_day, b.opening_confidence * b.coverage,
            b.is_extrapolated, as_backtest,
            nullif(concat_ws('; ',
                case when as_backtest then 'made after the fact, by a curve that may have seen the count' end,
                case when not b.ages_known then 'ages of the batches are not known: every batch taken as fresh, the band widened' end,
                case when b.ages_known and not b.use_ages then 'the curve was fitted without ages: every batch taken as fresh' end,
                case when b.is_extrapolated then 'beyond the ages the fit saw' end, b.reason), ''),
            h.layers, b.term_mass, b.term_age_from, b.term_age_to
        from banded as b
        cross join lateral (
            select coalesce(jsonb_agg(jsonb_build_object('batch', j.batch, 'kg', j.kg, 'age_days', j.age_days, 'expected_kg', j.kg
                * internal.batch_loss(b.family, b.a, b.b, b.c, case when b.use_ages then j.age_days else 0 end, b.days_left))), '[]') as layers
            from jsonb_to_recordset(b.layers) as j (batch text, kg float8, age_days float8)
        ) as h
        on conflict (nomenclature_id, warehouse_id, opened_at, is_backtest) do update
        set calculation_data_id = excluded.calculation_data_id, calculation_date = excluded.calculation_date,
            coefficient_id = excluded.coefficient_id, forecast_model_id = excluded.forecast_model_id, forecast_date = excluded.forecast_date,
            planned_end = excluded.planned_end, forecast_period_days = excluded.forecast_period_days, stock_kg = excluded.stock_kg,
            expected_shrinkage = excluded.expected_shrinkage, adjusted_expected_shrinkage = excluded.adjusted_expected_shrinkage,
            pre_shrinkage_adjusted = excluded.pre_shrinkage_adjusted, expected_low = excluded.expected_low,
            expected_high = excluded.expected_high, usual_kg_per_day = excluded.usual_kg_per_day, confidence_level = excluded.confidence_level,
            is_extrapolated = excluded.is_extrapolated, notes = excluded.notes, batch_storage_history = excluded.batch_storage_history,
            term_mass = excluded.term_mass, term_age_from = excluded.term_age_from, term_age_to = excluded.term_age_to, created_date = now()
        where f.status = 'open'
          and (f.coefficient_id, f.forecast_date, f.planned_end, f.stock_kg, f.expected_shrinkage, f.adjusted_expected_shrinkage,
              f.pre_shrinkage_adjusted, f.expected_low, f.expected_high, f.confidence_level, f.batch_storage_history, f.notes, f.usual_kg_per_day)
          is distinct from (excluded.coefficient_id, excluded.forecast_date, excluded.planned_end, excluded.stock_kg,
              excluded.expected_shrinkage, excluded.adjusted_expected_shrinkage, excluded.pre_shrinkage_adjusted, excluded.expected_low,
              excluded.expected_high, excluded.confidence_level, excluded.batch_storage_history, excluded.notes,
              excluded.usual_kg_per_day)
        returning f.id, f.xmax = 0 as is_new, f.coefficient_id, f.planned_end,
            case when f.pre_shrinkage_adjusted then f.adjusted_expected_shrinkage else f.expected_shrinkage end as kg
    ), replaced as (
        -- Not updated: a row does not move from one chunk to another.
        delete from core.forecasts as o using stored as s where o.preliminary_forecast_id = s.id and not s.is_new
    ), written as (
        insert into core.forecasts (coefficient_id, forecast_value, forecast_date, preliminary_forecast_id)
        select s.coefficient_id, s.kg, s.planned_end, s.id from stored as s where not as_backtest
    )
    select count(*) filter (where s.is_new), count(*) filter (where not s.is_new) into new_count, renewed_count from stored as s;
    return next;
end
$$;

comment on function internal.issue_forecasts(int, boolean) is
'Writes what the next count should find for each row of pg_temp.awaited, with pg_temp.usual_loss; an open forecast is renewed.

One statement over all products. Returns how many are new, how many were renewed, and how many products have no curve.';
