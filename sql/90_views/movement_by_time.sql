create or replace view bi.movement_day as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.movement_count,
    d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg, d.received_kg::float8 as received_kg,
    d.sold_kg::float8 as sold_kg, d.written_off_kg::float8 as written_off_kg, d.transferred_in_kg::float8 as transferred_in_kg,
    d.transferred_out_kg::float8 as transferred_out_kg, d.opening_kg::float8 as opening_kg, d.found_kg::float8 as found_kg,
    d.missing_kg::float8 as missing_kg
from core.movement_day as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.movement_day is 'What moved each day: one row a product and warehouse; always as the movements say now.';
comment on column bi.movement_day.time is 'Start of the day in the zone of the warehouse.';
comment on column bi.movement_day.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.movement_day.item is 'Name of the product.';
comment on column bi.movement_day.product_type is 'Product type, as it is now.';
comment on column bi.movement_day.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.movement_day.store is 'Name of the warehouse.';
comment on column bi.movement_day.movement_count is 'Movements.';
comment on column bi.movement_day.incoming_kg is 'Came in on documents, kg (opening balances and stock-takes not included).';
comment on column bi.movement_day.outgoing_kg is 'Went out on documents, kg (stock-takes not included).';
comment on column bi.movement_day.received_kg is 'Of what came in: receipts, kg.';
comment on column bi.movement_day.sold_kg is 'Of what went out: sales less returns, kg.';
comment on column bi.movement_day.written_off_kg is 'Of what went out: written off, kg.';
comment on column bi.movement_day.transferred_in_kg is 'Of what came in: from other warehouses, kg.';
comment on column bi.movement_day.transferred_out_kg is 'Of what went out: to other warehouses, kg.';
comment on column bi.movement_day.opening_kg is 'Opening balances entered, kg.';
comment on column bi.movement_day.found_kg is 'Stock-takes found too much, kg.';
comment on column bi.movement_day.missing_kg is 'Stock-takes found missing, kg.';

create or replace view bi.movement_week as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.movement_count,
    d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg, d.received_kg::float8 as received_kg,
    d.sold_kg::float8 as sold_kg, d.written_off_kg::float8 as written_off_kg, d.transferred_in_kg::float8 as transferred_in_kg,
    d.transferred_out_kg::float8 as transferred_out_kg, d.opening_kg::float8 as opening_kg, d.found_kg::float8 as found_kg,
    d.missing_kg::float8 as missing_kg
from core.movement_week as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.movement_week is 'What moved each week: one row a product and warehouse; always as the movements say now.';
comment on column bi.movement_week.time is 'Start of the week in the zone of the warehouse; Monday.';
comment on column bi.movement_week.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.movement_week.item is 'Name of the product.';
comment on column bi.movement_week.product_type is 'Product type, as it is now.';
comment on column bi.movement_week.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.movement_week.store is 'Name of the warehouse.';
comment on column bi.movement_week.movement_count is 'Movements.';
comment on column bi.movement_week.incoming_kg is 'Came in on documents, kg (opening balances and stock-takes not included).';
comment on column bi.movement_week.outgoing_kg is 'Went out on documents, kg (stock-takes not included).';
comment on column bi.movement_week.received_kg is 'Of what came in: receipts, kg.';
comment on column bi.movement_week.sold_kg is 'Of what went out: sales less returns, kg.';
comment on column bi.movement_week.written_off_kg is 'Of what went out: written off, kg.';
comment on column bi.movement_week.transferred_in_kg is 'Of what came in: from other warehouses, kg.';
comment on column bi.movement_week.transferred_out_kg is 'Of what went out: to other warehouses, kg.';
comment on column bi.movement_week.opening_kg is 'Opening balances entered, kg.';
comment on column bi.movement_week.found_kg is 'Stock-takes found too much, kg.';
comment on column bi.movement_week.missing_kg is 'Stock-takes found missing, kg.';

create or replace view bi.movement_month as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.movement_count,
    d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg, d.received_kg::float8 as received_kg,
    d.sold_kg::float8 as sold_kg, d.written_off_kg::float8 as written_off_kg, d.transferred_in_kg::float8 as transferred_in_kg,
    d.transferred_out_kg::float8 as transferred_out_kg, d.opening_kg::float8 as opening_kg, d.found_kg::float8 as found_kg,
    d.missing_kg::float8 as missing_kg
from core.movement_month as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.movement_month is 'What moved each month: one row a product and warehouse; always as the movements say now.';
comment on column bi.movement_month.time is 'Start of the month in the zone of the warehouse.';
comment on column bi.movement_month.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.movement_month.item is 'Name of the product.';
comment on column bi.movement_month.product_type is 'Product type, as it is now.';
comment on column bi.movement_month.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.movement_month.store is 'Name of the warehouse.';
comment on column bi.movement_month.movement_count is 'Movements.';
comment on column bi.movement_month.incoming_kg is 'Came in on documents, kg (opening balances and stock-takes not included).';
comment on column bi.movement_month.outgoing_kg is 'Went out on documents, kg (stock-takes not included).';
comment on column bi.movement_month.received_kg is 'Of what came in: receipts, kg.';
comment on column bi.movement_month.sold_kg is 'Of what went out: sales less returns, kg.';
comment on column bi.movement_month.written_off_kg is 'Of what went out: written off, kg.';
comment on column bi.movement_month.transferred_in_kg is 'Of what came in: from other warehouses, kg.';
comment on column bi.movement_month.transferred_out_kg is 'Of what went out: to other warehouses, kg.';
comment on column bi.movement_month.opening_kg is 'Opening balances entered, kg.';
comment on column bi.movement_month.found_kg is 'Stock-takes found too much, kg.';
comment on column bi.movement_month.missing_kg is 'Stock-takes found missing, kg.';
