create or replace view bi.shrinkage_day as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.sound_count as period_count,
    d.shortage_kg::float8 as shortage_kg, d.surplus_kg::float8 as surplus_kg, d.available_kg::float8 as available_kg,
    d.kg_days::float8 as kg_days, 100 * d.shortage_kg::float8 / nullif(d.available_kg, 0)::float8 as shortage_percent_of_available,
    1000 * d.shortage_kg::float8 / nullif(d.kg_days, 0)::float8 as shortage_grams_per_kg_day
from core.period_day as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
where d.sound_count > 0;

comment on view bi.shrinkage_day is 'How much was lost over the inventory periods closed each day: one row a product and warehouse.

Periods that something critical is wrong with are left out.';
comment on column bi.shrinkage_day.time is 'Start of the day in the zone of the warehouse.';
comment on column bi.shrinkage_day.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_day.item is 'Name of the product.';
comment on column bi.shrinkage_day.product_type is 'Product type, as it is now.';
comment on column bi.shrinkage_day.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_day.store is 'Name of the warehouse.';
comment on column bi.shrinkage_day.period_count is 'Inventory periods that a count closed and nothing critical is wrong with.';
comment on column bi.shrinkage_day.shortage_kg is 'Missing at their counts, kg.';
comment on column bi.shrinkage_day.surplus_kg is 'Too much at their counts, kg.';
comment on column bi.shrinkage_day.available_kg is 'Opening plus incoming of them, kg.';
comment on column bi.shrinkage_day.kg_days is 'Exposure of them, kg x days.';
comment on column bi.shrinkage_day.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_day.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';

create or replace view bi.shrinkage_week as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.sound_count as period_count,
    d.shortage_kg::float8 as shortage_kg, d.surplus_kg::float8 as surplus_kg, d.available_kg::float8 as available_kg,
    d.kg_days::float8 as kg_days, 100 * d.shortage_kg::float8 / nullif(d.available_kg, 0)::float8 as shortage_percent_of_available,
    1000 * d.shortage_kg::float8 / nullif(d.kg_days, 0)::float8 as shortage_grams_per_kg_day
from core.period_week as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
where d.sound_count > 0;

comment on view bi.shrinkage_week is 'How much was lost over the inventory periods closed each week: one row a product and warehouse.

Periods that something critical is wrong with are left out.';
comment on column bi.shrinkage_week.time is 'Start of the week in the zone of the warehouse; Monday.';
comment on column bi.shrinkage_week.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_week.item is 'Name of the product.';
comment on column bi.shrinkage_week.product_type is 'Product type, as it is now.';
comment on column bi.shrinkage_week.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_week.store is 'Name of the warehouse.';
comment on column bi.shrinkage_week.period_count is 'Inventory periods that a count closed and nothing critical is wrong with.';
comment on column bi.shrinkage_week.shortage_kg is 'Missing at their counts, kg.';
comment on column bi.shrinkage_week.surplus_kg is 'Too much at their counts, kg.';
comment on column bi.shrinkage_week.available_kg is 'Opening plus incoming of them, kg.';
comment on column bi.shrinkage_week.kg_days is 'Exposure of them, kg x days.';
comment on column bi.shrinkage_week.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_week.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';

create or replace view bi.shrinkage_month as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.sound_count as period_count,
    d.shortage_kg::float8 as shortage_kg, d.surplus_kg::float8 as surplus_kg, d.available_kg::float8 as available_kg,
    d.kg_days::float8 as kg_days, 100 * d.shortage_kg::float8 / nullif(d.available_kg, 0)::float8 as shortage_percent_of_available,
    1000 * d.shortage_kg::float8 / nullif(d.kg_days, 0)::float8 as shortage_grams_per_kg_day
from core.period_month as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
where d.sound_count > 0;

comment on view bi.shrinkage_month is 'How much was lost over the inventory periods closed each month: one row a product and warehouse.

Periods that something critical is wrong with are left out.';
comment on column bi.shrinkage_month.time is 'Start of the month in the zone of the warehouse.';
comment on column bi.shrinkage_month.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_month.item is 'Name of the product.';
comment on column bi.shrinkage_month.product_type is 'Product type, as it is now.';
comment on column bi.shrinkage_month.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_month.store is 'Name of the warehouse.';
comment on column bi.shrinkage_month.period_count is 'Inventory periods that a count closed and nothing critical is wrong with.';
comment on column bi.shrinkage_month.shortage_kg is 'Missing at their counts, kg.';
comment on column bi.shrinkage_month.surplus_kg is 'Too much at their counts, kg.';
comment on column bi.shrinkage_month.available_kg is 'Opening plus incoming of them, kg.';
comment on column bi.shrinkage_month.kg_days is 'Exposure of them, kg x days.';
comment on column bi.shrinkage_month.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_month.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
