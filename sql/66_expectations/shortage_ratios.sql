create function internal.shortage_ratios()
returns table (product_type text, low_ratio float8, high_ratio float8, coverage float8)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    least_count bigint := internal.setting('forecast.min_history');
    tolerance float8 := internal.setting('stock.tolerance_kg');
begin
    return query
    -- Of ratios, not of their logarithms: the quantiles are the same, and a count that found nothing (or a surplus) has one: 0.
    with settled as materialized (
        select n.product_type, f.is_backtest, count(*) as n, avg(f.is_inside_80::int)::float8 as inside,
            percentile_cont(array[0.1, 0.9]) within group (order by greatest(f.actual_shrinkage, 0)::float8 / e.kg)
                filter (where e.kg > tolerance) as quantile,
            count(*) filter (where e.kg > tolerance) as ratio_count
        from core.preliminary_forecasts as f
        inner join core.nomenclature as n on n.id = f.nomenclature_id
        cross join lateral (
            select case when f.pre_shrinkage_adjusted then f.adjusted_expected_at_count else f.expected_at_count end as kg
        ) as e
        where f.status = 'settled'
        group by n.product_type, f.is_backtest
    ), untold as materialized (
        -- Nothing of the type is settled: what past periods lost beside their own curves. Twenty-five products, twenty
        -- periods of each, tell enough.
        select k.product_type, percentile_cont(array[0.1, 0.9]) within group (order by k.ratio) as quantile, count(*) as ratio_count
        from (
            select p.product_type, p.inventory_shrinkage_total::float8 / p.expected_kg as ratio
            from (
                select r.product_type, r.inventory_shrinkage_total,
                    bi.expected_loss(c.family, c.coefficient_a, c.coefficient_b, c.coefficient_c, r.term_mass, r.term_age_from, r.term_age_to)
                        as expected_kg
                from (
                    select n.product_type, n.id as nomenclature_id, l.*
                    from (
                        select i.id, i.product_type, row_number() over (partition by i.product_type order by i.id) as place
                        from core.nomenclature as i
                        where exists (
                            select from core.coefficients as c
                            inner join core.model_versions as m on m.id = c.model_id and m.model = 'shrinkage' and m.status = 'deployed'
                            where c.nomenclature_id = i.id and c.outcome <> 'failed'
                        ) and not exists (select from settled as s where s.product_type = i.product_type and s.ratio_count >= least_count)
                    ) as n
                    cross join lateral (
                        select d.inventory_shrinkage_total, d.term_mass, d.term_age_from, d.term_age_to
                        from core.calculation_data as d
                        where d.nomenclature_id = n.id and d.is_valid_inventory_period and d.data_quality_flag <> 'filtered'
                          and d.inventory_shrinkage_total is not null
                        order by d.calculation_date desc
                        limit 20
                    ) as l
                    where n.place <= 25
                ) as r
                inner join core.coefficients as c on c.nomenclature_id = r.nomenclature_id and c.outcome <> 'failed'
                inner join core.model_versions as m on m.id = c.model_id and m.model = 'shrinkage' and m.status = 'deployed'
                offset 0  -- each expected_loss once
            ) as p
            where p.expected_kg > tolerance
        ) as k
        group by k.product_type
    ), held_out as (
        select t.key as product_type, (t.value -> 'holdout' ->> 'coverage80')::float8 as inside
        from core.model_versions as m
        cross join lateral jsonb_each(m.parameters -> 'types') as t
        where m.model = 'shrinkage' and m.status = 'deployed' and jsonb_typeof(t.value -> 'holdout') = 'object'
          and (t.value -> 'holdout' ->> 'n')::int > 0
    )
    select y.product_type, q.quantile[1], q.quantile[2], v.inside
    from (select distinct n.product_type from core.nomenclature as n) as y
    left join lateral (
        select u.quantile
        from (
            select s.quantile, s.ratio_count, case when s.is_backtest then 2 else 1 end as place
            from settled as s where s.product_type = y.product_type
            union all
            select p.quantile, p.ratio_count, 3 from untold as p where p.product_type = y.product_type
        ) as u
        where u.ratio_count >= least_count
        order by u.place
        limit 1
    ) as q on true
    left join lateral (
        select u.inside
        from (
            -- The hold-out of a fit knows what was sold; a forecast does not, and so covers less.
            select s.inside, case when s.is_backtest then 2 else 1 end as place
            from settled as s where s.product_type = y.product_type and s.n >= least_count
            union all
            select h.inside, 3 from held_out as h where h.product_type = y.product_type
        ) as u
        where u.inside is not null
        order by u.place
        limit 1
    ) as v on true;
end
$$;

comment on function internal.shortage_ratios() is
'Tells, by product type, how counts came out beside what was expected: one row a type.

low_ratio, high_ratio: 10 % and 90 % quantiles of found / expected, from settled forecasts, else backtests, else past periods beside
the deployed curves (setting forecast.min_history: how many it takes). coverage: share of counts inside the 80 % band, from settled
forecasts, else backtests, else the hold-out of the fit. NULL where the past does not tell.';
