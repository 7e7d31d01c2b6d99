create or replace view bi.shrinkage_by_month as
select date_trunc('month', (d.calculation_date - interval '1 second') at time zone w.time_zone)::date as month, n.id as item_id, n.name as item,
    n.product_type, w.id as warehouse_id, w.name as warehouse, count(*) as period_count, sum(d.inventory_shrinkage_total)::float8 as shortage_kg,
    sum(d.surplus_kg)::float8 as surplus_kg, sum(d.initial_balance + d.incoming + d.surplus_applied_kg)::float8 as available_kg,
    sum(d.kg_days) as kg_days,
    100 * sum(d.inventory_shrinkage_total)::float8
        / nullif(sum(d.initial_balance + d.incoming + d.surplus_applied_kg), 0)::float8 as shortage_percent_of_available,
    1000 * sum(d.inventory_shrinkage_total)::float8 / nullif(sum(d.kg_days), 0) as shortage_grams_per_kg_day,
    min(d.inventory_period_start) as period_start, max(d.inventory_period_end) as period_end
from core.calculation_data as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
where d.mode <> 'open' and d.data_quality_flag <> 'filtered' and d.inventory_shrinkage_total is not null
-- A count at midnight closes the day, and the month, before.
group by date_trunc('month', (d.calculation_date - interval '1 second') at time zone w.time_zone), n.id, w.id;

comment on view bi.shrinkage_by_month is
'How much each product loses in each warehouse and calendar month, over the closed periods that nothing critical is wrong with.

A period belongs to the month of its closing count, in the zone of the warehouse.';
comment on column bi.shrinkage_by_month.month is 'First day of the month.';
comment on column bi.shrinkage_by_month.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_by_month.item is 'Name of the product.';
comment on column bi.shrinkage_by_month.product_type is 'Product type.';
comment on column bi.shrinkage_by_month.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_by_month.warehouse is 'Name of the warehouse.';
comment on column bi.shrinkage_by_month.period_count is 'Closed inventory periods.';
comment on column bi.shrinkage_by_month.shortage_kg is 'Missing at counts, kg.';
comment on column bi.shrinkage_by_month.surplus_kg is 'Too much at counts, kg.';
comment on column bi.shrinkage_by_month.available_kg is 'Opening plus incoming of the periods, kg; NULL = no opening is known.';
comment on column bi.shrinkage_by_month.kg_days is 'Exposure, kg x days.';
comment on column bi.shrinkage_by_month.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_by_month.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
comment on column bi.shrinkage_by_month.period_start is 'First period''s start.';
comment on column bi.shrinkage_by_month.period_end is 'Last count.';
