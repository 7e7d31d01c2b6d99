create or replace view bi.shrinkage_by_type as
select n.product_type, w.id as warehouse_id, w.name as warehouse, count(distinct d.nomenclature_id) as item_count,
    count(*) as period_count, sum(d.inventory_shrinkage_total)::float8 as shortage_kg, sum(d.surplus_kg)::float8 as surplus_kg,
    100 * sum(d.inventory_shrinkage_total)::float8
        / nullif(sum(d.initial_balance + d.incoming + d.surplus_applied_kg), 0)::float8 as shortage_percent_of_available,
    1000 * sum(d.inventory_shrinkage_total)::float8 / nullif(sum(d.kg_days), 0) as shortage_grams_per_kg_day,
    min(d.inventory_period_start) as period_start, max(d.inventory_period_end) as period_end
from core.calculation_data as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
where d.mode <> 'open' and d.data_quality_flag <> 'filtered' and d.inventory_shrinkage_total is not null
group by n.product_type, w.id, w.name;

comment on view bi.shrinkage_by_type is 'How much each product type loses, by warehouse, over all closed periods that nothing critical is wrong with.';
comment on column bi.shrinkage_by_type.product_type is 'Product type.';
comment on column bi.shrinkage_by_type.warehouse_id is 'Key of the warehouse.';
comment on column bi.shrinkage_by_type.warehouse is 'Name of the warehouse.';
comment on column bi.shrinkage_by_type.item_count is 'Products.';
comment on column bi.shrinkage_by_type.period_count is 'Closed inventory periods.';
comment on column bi.shrinkage_by_type.shortage_kg is 'Missing at counts, kg.';
comment on column bi.shrinkage_by_type.surplus_kg is 'Too much at counts, kg.';
comment on column bi.shrinkage_by_type.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_by_type.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams.';
comment on column bi.shrinkage_by_type.period_start is 'First period''s start.';
comment on column bi.shrinkage_by_type.period_end is 'Last count.';
