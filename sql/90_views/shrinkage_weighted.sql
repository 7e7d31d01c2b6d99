create or replace view bi.shrinkage_weighted as
with setting as (
    select max((s.value #>> '{}')::float8) filter (where s.name = 'priority.max_multiplier') as max_multiplier from core.settings as s
), period as (
    select n.product_type, c.inventory_confidence * coalesce(p.factor, 1) as weight, coalesce(p.factor, 1) as factor, c.kg_days,
        c.inventory_shrinkage_total::float8 / nullif(c.initial_balance + c.incoming + c.surplus_applied_kg, 0)::float8 as rate,
        c.inventory_shrinkage_total::float8 as shortage_kg
    from core.calculation_data as c
    inner join core.nomenclature as n on n.id = c.nomenclature_id
    cross join setting as s
    left join lateral (
        select 1 + o.overlap * (o.multiplier - 1) as factor
        from (
            select extract(epoch from least(y.period_end, c.calculation_date) - greatest(y.period_start, c.inventory_period_start))::float8
                    / extract(epoch from c.calculation_date - c.inventory_period_start)::float8 as overlap,
                1 + (y.priority_level - 1) / 9.0::float8 * (s.max_multiplier - 1) as multiplier
            from core.priority_periods as y
            where y.active and y.period_start < c.calculation_date and y.period_end > c.inventory_period_start
        ) as o
        order by o.overlap * o.multiplier desc, o.multiplier desc
        limit 1
    ) as p on true
    where c.mode <> 'open' and c.data_quality_flag <> 'filtered' and c.inventory_shrinkage_total is not null
      and c.calculation_date > c.inventory_period_start
)
select p.product_type, count(*) as period_count, count(*) filter (where p.factor <> 1) as priority_period_count, avg(p.rate) as mean_rate,
    sum(p.weight * p.rate) / nullif(sum(p.weight) filter (where p.rate is not null), 0) as weighted_rate,
    1000 * sum(p.shortage_kg) / nullif(sum(p.kg_days), 0) as grams_per_kg_day,
    1000 * sum(p.weight * p.shortage_kg) / nullif(sum(p.weight * p.kg_days), 0) as weighted_grams_per_kg_day, sum(p.weight) as weight
from period as p
group by p.product_type;

comment on view bi.shrinkage_weighted is
'How much each product type loses, weighted and not: a period counts by its confidence, and more inside a priority period.

Closed periods that nothing critical is wrong with. The fit uses the same weights.';
comment on column bi.shrinkage_weighted.product_type is 'Product type.';
comment on column bi.shrinkage_weighted.period_count is 'Closed inventory periods.';
comment on column bi.shrinkage_weighted.priority_period_count is 'Of these, how many a priority period lifts.';
comment on column bi.shrinkage_weighted.mean_rate is 'Mean of shortage / available over the periods, a fraction; NULL when nothing was there.';
comment on column bi.shrinkage_weighted.weighted_rate is 'The same, weighted; NULL when every weight is 0.';
comment on column bi.shrinkage_weighted.grams_per_kg_day is 'Shortage per kg in stock and day, grams.';
comment on column bi.shrinkage_weighted.weighted_grams_per_kg_day is 'The same, weighted.';
comment on column bi.shrinkage_weighted.weight is 'Sum of the weights: confidence x priority.';
