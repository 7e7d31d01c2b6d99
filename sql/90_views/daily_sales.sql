create or replace view bi.daily_sales as
select date_trunc('day', m.posted_at at time zone w.time_zone) at time zone w.time_zone as time, n.id as item_id, n.name as item, n.product_type,
    w.id as store_id, w.name as store, sum(m.out_kg - m.in_kg)::float8 as sold_kg, count(*) as movement_count
from core.stock_movements as m
inner join core.nomenclature as n on n.id = m.nomenclature_id
inner join core.warehouses as w on w.id = m.warehouse_id
where m.operation in ('sale', 'return')
group by date_trunc('day', m.posted_at at time zone w.time_zone), n.id, w.id;

comment on view bi.daily_sales is 'What was sold each day: one row a product, warehouse and day with sales; returns count against them.';
comment on column bi.daily_sales.time is 'Start of the day in the zone of the warehouse.';
comment on column bi.daily_sales.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.daily_sales.item is 'Name of the product.';
comment on column bi.daily_sales.product_type is 'Product type.';
comment on column bi.daily_sales.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.daily_sales.store is 'Name of the warehouse.';
comment on column bi.daily_sales.sold_kg is 'Sold less returned, kg.';
comment on column bi.daily_sales.movement_count is 'Sales and returns.';
