create or replace view bi.shrinkage_trend as
with counted as (
    select d.calculation_date as time, d.inventory_period_start as period_start, n.id as item_id, n.name as item, n.product_type,
        w.id as warehouse_id, w.name as warehouse, d.inventory_shrinkage_total::float8 as shortage_kg, d.kg_days,
        1000 * d.inventory_shrinkage_total::float8 / nullif(d.kg_days, 0) as grams_per_kg_day,
        date_trunc('month', (d.calculation_date - interval '1 second') at time zone w.time_zone) as month
    from core.calculation_data as d
    inner join core.nomenclature as n on n.id = d.nomenclature_id
    inner join core.warehouses as w on w.id = d.warehouse_id
    where d.mode <> 'open' and d.data_quality_flag <> 'filtered' and d.inventory_shrinkage_total is not null
)
select c.time, c.period_start, c.item_id, c.item, c.product_type, c.warehouse_id, c.warehouse, c.shortage_kg, c.kg_days, c.grams_per_kg_day,
    lag(c.grams_per_kg_day) over by_count as previous_grams_per_kg_day,
    c.grams_per_kg_day - lag(c.grams_per_kg_day) over by_count as change_grams_per_kg_day,
    -- Of the sums: a period with little in stock counts little.
    1000 * sum(c.shortage_kg) over last_four / nullif(sum(c.kg_days) over last_four, 0) as average_of_4_grams_per_kg_day,
    count(*) over last_four as averaged_count,
    sum(c.shortage_kg) over (
        partition by c.item_id, c.warehouse_id, date_trunc('year', c.month) order by c.time, c.period_start
        rows between unbounded preceding and current row
    ) as shortage_kg_this_year,
    rank() over (partition by c.product_type, c.warehouse_id, c.month order by c.grams_per_kg_day desc nulls last) as rank_in_type,
    count(*) over (partition by c.product_type, c.warehouse_id, c.month) as ranked_count
from counted as c
window by_count as (partition by c.item_id, c.warehouse_id order by c.time, c.period_start),
    last_four as (by_count rows between 3 preceding and current row);

comment on view bi.shrinkage_trend is
'How the loss of each product moves from count to count in each warehouse: one row a closed period that nothing critical is wrong with.';
comment on column bi.shrinkage_trend.time is 'The count.';
comment on column bi.shrinkage_trend.period_start is 'The count before.';
comment on column bi.shrinkage_trend.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_trend.item is 'Name of the product.';
comment on column bi.shrinkage_trend.product_type is 'Product type.';
comment on column bi.shrinkage_trend.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_trend.warehouse is 'Name of the warehouse.';
comment on column bi.shrinkage_trend.shortage_kg is 'Missing at the count, kg.';
comment on column bi.shrinkage_trend.kg_days is 'Exposure, kg x days.';
comment on column bi.shrinkage_trend.grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
comment on column bi.shrinkage_trend.previous_grams_per_kg_day is 'The same of the count before; NULL = there was none.';
comment on column bi.shrinkage_trend.change_grams_per_kg_day is 'This one less the one before.';
comment on column bi.shrinkage_trend.average_of_4_grams_per_kg_day is
'Loss over exposure of this count and the three before (fewer at the start: averaged_count).';
comment on column bi.shrinkage_trend.averaged_count is 'Counts in the moving average, 1 to 4.';
comment on column bi.shrinkage_trend.shortage_kg_this_year is 'Missing since the start of the calendar year, this count included, kg.';
comment on column bi.shrinkage_trend.rank_in_type is 'Place among the counts of the same type, warehouse and calendar month by grams_per_kg_day; 1 loses most.';
comment on column bi.shrinkage_trend.ranked_count is 'How many are ranked.';
