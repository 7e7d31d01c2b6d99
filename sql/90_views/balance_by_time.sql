do $do$
declare
    grain text;
begin
    foreach grain in array array['day', 'week', 'month'] loop
        execute replace($view$
create or replace view bi.balance_{grain} as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.period_count,
    d.opening_kg::float8 as opening_kg, d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg,
    d.closing_kg::float8 as closing_kg, d.difference_kg::float8 as difference_kg, d.review_count
from core.period_{grain} as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.balance_{grain} is 'What was in stock, came, went and was counted over inventory periods closed each {grain}: one row a product and warehouse.

A count at midnight closes the {grain} before; days between counts have no row.';
comment on column bi.balance_{grain}.time is 'Start of the {grain} in the zone of the warehouse; a week starts on Monday.';
comment on column bi.balance_{grain}.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.balance_{grain}.item is 'Name of the product.';
comment on column bi.balance_{grain}.product_type is 'Product type, as it is now.';
comment on column bi.balance_{grain}.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.balance_{grain}.store is 'Name of the warehouse.';
comment on column bi.balance_{grain}.period_count is 'Inventory periods that a count closed.';
comment on column bi.balance_{grain}.opening_kg is 'Book at the start of the first of them, kg; NULL = not known.';
comment on column bi.balance_{grain}.incoming_kg is 'Came in on documents over these periods, kg.';
comment on column bi.balance_{grain}.outgoing_kg is 'Went out on documents over these periods, kg.';
comment on column bi.balance_{grain}.closing_kg is 'Mass at the last count, kg; NULL = not known.';
comment on column bi.balance_{grain}.difference_kg is 'Counted less book, kg.';
comment on column bi.balance_{grain}.review_count is 'Of these, periods a person should look at.';
$view$, '{grain}', grain);
    end loop;
end
$do$;
