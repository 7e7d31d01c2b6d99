create or replace view bi.balance_day as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.period_count,
    d.opening_kg::float8 as opening_kg, d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg,
    d.closing_kg::float8 as closing_kg, d.difference_kg::float8 as difference_kg, d.review_count
from core.period_day as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.balance_day is 'What was in stock, came, went and was counted over inventory periods closed each day: one row a product and warehouse.

A count at midnight closes the day before; days between counts have no row.';
comment on column bi.balance_day.time is 'Start of the day in the zone of the warehouse.';
comment on column bi.balance_day.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.balance_day.item is 'Name of the product.';
comment on column bi.balance_day.product_type is 'Product type, as it is now.';
comment on column bi.balance_day.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.balance_day.store is 'Name of the warehouse.';
comment on column bi.balance_day.period_count is 'Inventory periods that a count closed.';
comment on column bi.balance_day.opening_kg is 'Book at the start of the first of them, kg; NULL = not known.';
comment on column bi.balance_day.incoming_kg is 'Came in on documents over these periods, kg.';
comment on column bi.balance_day.outgoing_kg is 'Went out on documents over these periods, kg.';
comment on column bi.balance_day.closing_kg is 'Mass at the last count, kg; NULL = not known.';
comment on column bi.balance_day.difference_kg is 'Counted less book, kg.';
comment on column bi.balance_day.review_count is 'Of these, periods a person should look at.';

create or replace view bi.balance_week as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.period_count,
    d.opening_kg::float8 as opening_kg, d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg,
    d.closing_kg::float8 as closing_kg, d.difference_kg::float8 as difference_kg, d.review_count
from core.period_week as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.balance_week is 'What was in stock, came, went and was counted over inventory periods closed each week: one row a product and warehouse.

A count at midnight closes the week before; days between counts have no row.';
comment on column bi.balance_week.time is 'Start of the week in the zone of the warehouse; Monday.';
comment on column bi.balance_week.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.balance_week.item is 'Name of the product.';
comment on column bi.balance_week.product_type is 'Product type, as it is now.';
comment on column bi.balance_week.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.balance_week.store is 'Name of the warehouse.';
comment on column bi.balance_week.period_count is 'Inventory periods that a count closed.';
comment on column bi.balance_week.opening_kg is 'Book at the start of the first of them, kg; NULL = not known.';
comment on column bi.balance_week.incoming_kg is 'Came in on documents over these periods, kg.';
comment on column bi.balance_week.outgoing_kg is 'Went out on documents over these periods, kg.';
comment on column bi.balance_week.closing_kg is 'Mass at the last count, kg; NULL = not known.';
comment on column bi.balance_week.difference_kg is 'Counted less book, kg.';
comment on column bi.balance_week.review_count is 'Of these, periods a person should look at.';

create or replace view bi.balance_month as
select d.time, n.id as item_id, n.name as item, n.product_type, w.id as store_id, w.name as store, d.period_count,
    d.opening_kg::float8 as opening_kg, d.incoming_kg::float8 as incoming_kg, d.outgoing_kg::float8 as outgoing_kg,
    d.closing_kg::float8 as closing_kg, d.difference_kg::float8 as difference_kg, d.review_count
from core.period_month as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.balance_month is 'What was in stock, came, went and was counted over inventory periods closed each month: one row a product and warehouse.

A count at midnight closes the month before; days between counts have no row.';
comment on column bi.balance_month.time is 'Start of the month in the zone of the warehouse.';
comment on column bi.balance_month.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.balance_month.item is 'Name of the product.';
comment on column bi.balance_month.product_type is 'Product type, as it is now.';
comment on column bi.balance_month.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.balance_month.store is 'Name of the warehouse.';
comment on column bi.balance_month.period_count is 'Inventory periods that a count closed.';
comment on column bi.balance_month.opening_kg is 'Book at the start of the first of them, kg; NULL = not known.';
comment on column bi.balance_month.incoming_kg is 'Came in on documents over these periods, kg.';
comment on column bi.balance_month.outgoing_kg is 'Went out on documents over these periods, kg.';
comment on column bi.balance_month.closing_kg is 'Mass at the last count, kg; NULL = not known.';
comment on column bi.balance_month.difference_kg is 'Counted less book, kg.';
comment on column bi.balance_month.review_count is 'Of these, periods a person should look at.';
