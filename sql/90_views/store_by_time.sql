create or replace view bi.store_day as
select d.time, w.id as store_id, w.name as store, d.product_type, d.movement_count, d.incoming_kg::float8 as incoming_kg,
    d.outgoing_kg::float8 as outgoing_kg, d.received_kg::float8 as received_kg, d.sold_kg::float8 as sold_kg,
    d.written_off_kg::float8 as written_off_kg, d.transferred_in_kg::float8 as transferred_in_kg,
    d.transferred_out_kg::float8 as transferred_out_kg, d.opening_kg::float8 as opening_kg, d.found_kg::float8 as found_kg,
    d.missing_kg::float8 as missing_kg, d.period_count, d.review_count, d.sound_count, d.shortage_kg::float8 as shortage_kg,
    d.surplus_kg::float8 as surplus_kg, d.available_kg::float8 as available_kg, d.kg_days::float8 as kg_days,
    100 * d.shortage_kg::float8 / nullif(d.available_kg, 0)::float8 as shortage_percent_of_available,
    1000 * d.shortage_kg::float8 / nullif(d.kg_days, 0)::float8 as shortage_grams_per_kg_day
from core.store_day as d
inner join core.warehouses as w on w.id = d.warehouse_id;

comment on view bi.store_day is 'What moved and what was lost each day: one row a warehouse and product type.';
comment on column bi.store_day.time is 'Start of the day in the zone of the warehouse.';
comment on column bi.store_day.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.store_day.store is 'Name of the warehouse.';
comment on column bi.store_day.product_type is 'Product type, as it is now.';
comment on column bi.store_day.movement_count is 'Movements.';
comment on column bi.store_day.incoming_kg is 'Came in on documents, kg (opening balances and stock-takes not included).';
comment on column bi.store_day.outgoing_kg is 'Went out on documents, kg (stock-takes not included).';
comment on column bi.store_day.received_kg is 'Of what came in: receipts, kg.';
comment on column bi.store_day.sold_kg is 'Of what went out: sales less returns, kg.';
comment on column bi.store_day.written_off_kg is 'Of what went out: written off, kg.';
comment on column bi.store_day.transferred_in_kg is 'Of what came in: from other warehouses, kg.';
comment on column bi.store_day.transferred_out_kg is 'Of what went out: to other warehouses, kg.';
comment on column bi.store_day.opening_kg is 'Opening balances entered, kg.';
comment on column bi.store_day.found_kg is 'Stock-takes found too much, kg.';
comment on column bi.store_day.missing_kg is 'Stock-takes found missing, kg.';
comment on column bi.store_day.period_count is 'Inventory periods that a count closed.';
comment on column bi.store_day.review_count is 'Of these, periods a person should look at.';
comment on column bi.store_day.sound_count is 'Of these, periods that nothing critical is wrong with: shrinkage is reckoned of them.';
comment on column bi.store_day.shortage_kg is 'Missing at their counts, kg.';
comment on column bi.store_day.surplus_kg is 'Too much at their counts, kg.';
comment on column bi.store_day.available_kg is 'Opening plus incoming of them, kg.';
comment on column bi.store_day.kg_days is 'Exposure of them, kg x days.';
comment on column bi.store_day.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.store_day.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';

do $do$
declare
    grain text;
begin
    foreach grain in array array['week', 'month'] loop
        execute replace($view$
create or replace view bi.store_{grain} as
select date_trunc('{grain}', d.time at time zone w.time_zone) at time zone w.time_zone as time, w.id as store_id, w.name as store,
    d.product_type, sum(d.movement_count)::bigint as movement_count, sum(d.incoming_kg)::float8 as incoming_kg,
    sum(d.outgoing_kg)::float8 as outgoing_kg, sum(d.received_kg)::float8 as received_kg, sum(d.sold_kg)::float8 as sold_kg,
    sum(d.written_off_kg)::float8 as written_off_kg, sum(d.transferred_in_kg)::float8 as transferred_in_kg,
    sum(d.transferred_out_kg)::float8 as transferred_out_kg, sum(d.opening_kg)::float8 as opening_kg, sum(d.found_kg)::float8 as found_kg,
    sum(d.missing_kg)::float8 as missing_kg, sum(d.period_count)::bigint as period_count, sum(d.review_count)::bigint as review_count,
    sum(d.sound_count)::bigint as sound_count, sum(d.shortage_kg)::float8 as shortage_kg, sum(d.surplus_kg)::float8 as surplus_kg,
    sum(d.available_kg)::float8 as available_kg, sum(d.kg_days)::float8 as kg_days,
    100 * sum(d.shortage_kg)::float8 / nullif(sum(d.available_kg), 0)::float8 as shortage_percent_of_available,
    1000 * sum(d.shortage_kg)::float8 / nullif(sum(d.kg_days), 0)::float8 as shortage_grams_per_kg_day
from core.store_day as d
inner join core.warehouses as w on w.id = d.warehouse_id
group by date_trunc('{grain}', d.time at time zone w.time_zone) at time zone w.time_zone, w.id, d.product_type;

comment on view bi.store_{grain} is 'What moved and what was lost each {grain}: one row a warehouse and product type.';
comment on column bi.store_{grain}.time is 'Start of the {grain} in the zone of the warehouse; a week starts on Monday.';
comment on column bi.store_{grain}.store_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.store_{grain}.store is 'Name of the warehouse.';
comment on column bi.store_{grain}.product_type is 'Product type, as it is now.';
comment on column bi.store_{grain}.movement_count is 'Movements.';
comment on column bi.store_{grain}.incoming_kg is 'Came in on documents, kg (opening balances and stock-takes not included).';
comment on column bi.store_{grain}.outgoing_kg is 'Went out on documents, kg (stock-takes not included).';
comment on column bi.store_{grain}.received_kg is 'Of what came in: receipts, kg.';
comment on column bi.store_{grain}.sold_kg is 'Of what went out: sales less returns, kg.';
comment on column bi.store_{grain}.written_off_kg is 'Of what went out: written off, kg.';
comment on column bi.store_{grain}.transferred_in_kg is 'Of what came in: from other warehouses, kg.';
comment on column bi.store_{grain}.transferred_out_kg is 'Of what went out: to other warehouses, kg.';
comment on column bi.store_{grain}.opening_kg is 'Opening balances entered, kg.';
comment on column bi.store_{grain}.found_kg is 'Stock-takes found too much, kg.';
comment on column bi.store_{grain}.missing_kg is 'Stock-takes found missing, kg.';
comment on column bi.store_{grain}.period_count is 'Inventory periods that a count closed.';
comment on column bi.store_{grain}.review_count is 'Of these, periods a person should look at.';
comment on column bi.store_{grain}.sound_count is 'Of these, periods that nothing critical is wrong with: shrinkage is reckoned of them.';
comment on column bi.store_{grain}.shortage_kg is 'Missing at their counts, kg.';
comment on column bi.store_{grain}.surplus_kg is 'Too much at their counts, kg.';
comment on column bi.store_{grain}.available_kg is 'Opening plus incoming of them, kg.';
comment on column bi.store_{grain}.kg_days is 'Exposure of them, kg x days.';
comment on column bi.store_{grain}.shortage_percent_of_available is 'Shortage in percent of opening plus incoming; NULL when nothing was there.';
comment on column bi.store_{grain}.shortage_grams_per_kg_day is 'Shortage per kg in stock and day, grams; NULL without exposure.';
$view$, '{grain}', grain);
    end loop;
end
$do$;
