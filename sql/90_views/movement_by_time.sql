do $do$
declare
    grain text;
begin
    foreach grain in array array['day', 'week', 'month'] loop
        execute replace($view$
create or replace view bi.movement_{grain} as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.movement_count,
    d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg, d.received_kg::float8 as received_kg,
    d.sold_kg::float8 as sold_kg, d.written_off_kg::float8 as written_off_kg, d.transferred_in_kg::float8 as transferred_in_kg,
    d.transferred_out_kg::float8 as transferred_out_kg, d.opening_kg::float8 as opening_kg, d.found_kg::float8 as found_kg,
    d.missing_kg::float8 as missing_kg
from core.movement_{grain} as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.movement_{grain} is 'What moved each {grain}: one row a product and warehouse; always as the movements say now.';
comment on column bi.movement_{grain}.time is 'Start of the {grain} in the zone of the warehouse; a week starts on Monday.';
comment on column bi.movement_{grain}.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.movement_{grain}.item is 'Name of the product.';
comment on column bi.movement_{grain}.product_type is 'Product type, as it is now.';
comment on column bi.movement_{grain}.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.movement_{grain}.store is 'Name of the warehouse.';
comment on column bi.movement_{grain}.movement_count is 'Movements.';
comment on column bi.movement_{grain}.incoming_kg is 'Came in on documents, kg (opening balances and stock-takes not included).';
comment on column bi.movement_{grain}.outgoing_kg is 'Went out on documents, kg (stock-takes not included).';
comment on column bi.movement_{grain}.received_kg is 'Of what came in: receipts, kg.';
comment on column bi.movement_{grain}.sold_kg is 'Of what went out: sales less returns, kg.';
comment on column bi.movement_{grain}.written_off_kg is 'Of what went out: written off, kg.';
comment on column bi.movement_{grain}.transferred_in_kg is 'Of what came in: from other warehouses, kg.';
comment on column bi.movement_{grain}.transferred_out_kg is 'Of what went out: to other warehouses, kg.';
comment on column bi.movement_{grain}.opening_kg is 'Opening balances entered, kg.';
comment on column bi.movement_{grain}.found_kg is 'Stock-takes found too much, kg.';
comment on column bi.movement_{grain}.missing_kg is 'Stock-takes found missing, kg.';
$view$, '{grain}', grain);
    end loop;
end
$do$;
