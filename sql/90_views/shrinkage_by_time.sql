do $do$
declare
    grain text;
begin
    foreach grain in array array['day', 'week', 'month'] loop
        execute replace($view$
create or replace view bi.shrinkage_{grain} as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.sound_count as period_count,
    d.shortage_kg::float8 as shortage_kg, d.surplus_kg::float8 as surplus_kg, d.available_kg::float8 as available_kg,
    d.kg_days::float8 as kg_days, 100 * d.shortage_kg::float8 / nullif(d.available_kg, 0)::float8 as shortage_percent_of_available,
    1000 * d.shortage_kg::float8 / nullif(d.kg_days, 0)::float8 as shortage_grams_per_kg_day
from core.period_{grain} as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
where d.sound_count > 0;

comment on view bi.shrinkage_{grain} is 'How much was lost over the inventory periods closed each {grain}: one row a product and warehouse.

Periods that something critical is wrong with are left out.';
comment on column bi.shrinkage_{grain}.time is 'Start of the {grain} in the zone of the warehouse; a week starts on Monday.';
comment on column bi.shrinkage_{grain}.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_{grain}.item is 'Name of the product.';
comment on column bi.shrinkage_{grain}.product_type is 'Product type, as it is now.';
comment on column bi.shrinkage_{grain}.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_{grain}.store is 'Name of the warehouse.';
comment on column bi.shrinkage_{grain}.period_count is 'Inventory periods that a count closed and nothing critical is wrong with.';
comment on column bi.shrinkage_{grain}.shortage_kg is 'Missing at their counts, kg.';
comment on column bi.shrinkage_{grain}.surplus_kg is 'Too much at their counts, kg.';
comment on column bi.shrinkage_{grain}.available_kg is 'Opening plus incoming of them, kg.';
comment on column bi.shrinkage_{grain}.kg_days is 'Exposure of them, kg x days.';
comment on column bi.shrinkage_{grain}.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.shrinkage_{grain}.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
$view$, '{grain}', grain);
    end loop;
end
$do$;
