-- Sums of bi.shrinkage_by_month, so that every report counts the same periods.
create or replace view bi.shrinkage_by_item as
select m.item_id, m.item, m.product_type, count(distinct m.warehouse_id) as warehouse_count, sum(m.period_count)::bigint as period_count,
    sum(m.shortage_kg) as shortage_kg, sum(m.surplus_kg) as surplus_kg, sum(m.available_kg) as available_kg, sum(m.kg_days) as kg_days,
    100 * sum(m.shortage_kg) / nullif(sum(m.available_kg), 0) as shortage_percent_of_available,
    1000 * sum(m.shortage_kg) / nullif(sum(m.kg_days), 0) as shortage_grams_per_kg_day,
    min(m.period_start) as period_start, max(m.period_end) as period_end
from bi.shrinkage_by_month as m
group by m.item_id, m.item, m.product_type;

comment on view bi.shrinkage_by_item is 'How much each product loses, over all closed periods that nothing critical is wrong with.';
comment on column bi.shrinkage_by_item.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_by_item.item is 'Name of the product.';
comment on column bi.shrinkage_by_item.product_type is 'Product type.';
comment on column bi.shrinkage_by_item.warehouse_count is 'Warehouses it was counted in.';
comment on column bi.shrinkage_by_item.period_count is 'Closed inventory periods.';
comment on column bi.shrinkage_by_item.shortage_kg is 'Missing at counts, kg.';
comment on column bi.shrinkage_by_item.surplus_kg is 'Too much at counts, kg.';
comment on column bi.shrinkage_by_item.available_kg is 'Opening plus incoming of the periods, kg; NULL = no opening is known.';
comment on column bi.shrinkage_by_item.kg_days is 'Exposure, kg x days.';
comment on column bi.shrinkage_by_item.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_by_item.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
comment on column bi.shrinkage_by_item.period_start is 'First period''s start.';
comment on column bi.shrinkage_by_item.period_end is 'Last count.';

create or replace view bi.shrinkage_by_warehouse as
select m.warehouse_id, m.warehouse, count(distinct m.item_id) as item_count, sum(m.period_count)::bigint as period_count,
    sum(m.shortage_kg) as shortage_kg, sum(m.surplus_kg) as surplus_kg, sum(m.available_kg) as available_kg, sum(m.kg_days) as kg_days,
    100 * sum(m.shortage_kg) / nullif(sum(m.available_kg), 0) as shortage_percent_of_available,
    1000 * sum(m.shortage_kg) / nullif(sum(m.kg_days), 0) as shortage_grams_per_kg_day,
    min(m.period_start) as period_start, max(m.period_end) as period_end
from bi.shrinkage_by_month as m
group by m.warehouse_id, m.warehouse;

comment on view bi.shrinkage_by_warehouse is 'How much each warehouse loses, over all closed periods that nothing critical is wrong with.';
comment on column bi.shrinkage_by_warehouse.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_by_warehouse.warehouse is 'Name of the warehouse.';
comment on column bi.shrinkage_by_warehouse.item_count is 'Products counted there.';
comment on column bi.shrinkage_by_warehouse.period_count is 'Closed inventory periods.';
comment on column bi.shrinkage_by_warehouse.shortage_kg is 'Missing at counts, kg.';
comment on column bi.shrinkage_by_warehouse.surplus_kg is 'Too much at counts, kg.';
comment on column bi.shrinkage_by_warehouse.available_kg is 'Opening plus incoming of the periods, kg; NULL = no opening is known.';
comment on column bi.shrinkage_by_warehouse.kg_days is 'Exposure, kg x days.';
comment on column bi.shrinkage_by_warehouse.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_by_warehouse.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
comment on column bi.shrinkage_by_warehouse.period_start is 'First period''s start.';
comment on column bi.shrinkage_by_warehouse.period_end is 'Last count.';
