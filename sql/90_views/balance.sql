create or replace view bi.balance as
select c.calculation_date as time, c.inventory_period_start as period_start, c.inventory_period_end as period_end,
    n.id as item_id, n.name as item, n.product_type, w.id as warehouse_id, w.name as warehouse, c.mode,
    c.initial_balance::float8 as opening_kg, c.incoming::float8 as incoming_kg, c.outgoing::float8 as outgoing_kg,
    c.final_balance::float8 as closing_kg, (c.final_balance - c.difference_kg)::float8 as book_kg,
    c.inventory_shrinkage_total::float8 as shortage_kg, c.surplus_kg::float8 as surplus_kg,
    100 * c.inventory_shrinkage_total::float8 / nullif(c.initial_balance, 0)::float8 as shortage_percent_of_opening,
    100 * c.inventory_shrinkage_total::float8
        / nullif(c.initial_balance + c.incoming + c.surplus_applied_kg, 0)::float8 as shortage_percent_of_available,
    1000 * c.inventory_shrinkage_total::float8 / nullif(c.kg_days, 0) as shortage_grams_per_kg_day,
    c.storage_days, c.inventory_confidence as confidence, c.data_quality_flag as quality, c.validation_errors as flags,
    c.manual_review_required as is_in_review
from core.calculation_data as c
inner join core.nomenclature as n on n.id = c.nomenclature_id
inner join core.warehouses as w on w.id = c.warehouse_id;

comment on view bi.balance is 'What was in stock, came, went and was counted: one row a product, warehouse and inventory period.';
comment on column bi.balance.time is 'When the period was closed by a count (open periods: last movement).';
comment on column bi.balance.period_start is 'Start of the period: the count before.';
comment on column bi.balance.period_end is 'The closing count; NULL while open.';
comment on column bi.balance.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.balance.item is 'Name of the product.';
comment on column bi.balance.product_type is 'Product type.';
comment on column bi.balance.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.balance.warehouse is 'Name of the warehouse.';
comment on column bi.balance.mode is 'posted: the stock-take is a document; counted: the closing balance is the count; open: not counted yet.';
comment on column bi.balance.opening_kg is 'Book at the start, kg; NULL = the file did not say.';
comment on column bi.balance.incoming_kg is 'Came in on documents, kg.';
comment on column bi.balance.outgoing_kg is 'Went out on documents, kg.';
comment on column bi.balance.closing_kg is 'Counted mass, kg; the book while open.';
comment on column bi.balance.book_kg is 'Book right before the count, kg; NULL while open.';
comment on column bi.balance.shortage_kg is 'Missing at the count, kg, surplus specifications applied; 0 within tolerance; NULL where it cannot be told.';
comment on column bi.balance.surplus_kg is 'Too much at the count, kg; 0 within tolerance.';
comment on column bi.balance.shortage_percent_of_opening is 'Shortage in percent of the opening; NULL when that is 0.';
comment on column bi.balance.shortage_percent_of_available is 'Shortage in percent of opening plus incoming.';
comment on column bi.balance.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams.';
comment on column bi.balance.storage_days is 'Mass-weighted age of the stock at the count, days.';
comment on column bi.balance.confidence is 'How far the difference can be trusted, 0 to 1.';
comment on column bi.balance.quality is 'clean, dirty, filtered (left out of fits) or forecast (open).';
comment on column bi.balance.flags is 'What is wrong, comma separated; NULL = nothing.';
comment on column bi.balance.is_in_review is 'Whether a person should look.';
