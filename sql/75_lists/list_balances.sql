create function api.list_balances(
    item text default null, product_type text default null, warehouse text default null, from_time timestamptz default null,
    to_time timestamptz default null, import_id int default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, balance_id bigint, item_id int, item text, product_type text, warehouse_id int, warehouse text,
    period_start timestamptz, opening_kg float8, incoming_kg float8, outgoing_kg float8, closing_kg float8, is_detailed boolean,
    import_id int, line int, cursor text
)
language sql stable
begin atomic
    select b.period_end, b.id, n.id as item_id, n.name as item, n.product_type, w.id as warehouse_id, w.name as warehouse, b.period_start,
        b.opening_kg::float8, b.incoming_kg::float8,
        b.outgoing_kg::float8, b.closing_kg::float8, b.is_detailed, b.source_data_id, b.line, internal.cursor(b.period_end, b.id)
    from core.stock_balances as b
    inner join core.nomenclature as n on n.id = b.nomenclature_id
    inner join core.warehouses as w on w.id = b.warehouse_id
    where (list_balances.item is null or b.nomenclature_id = (select internal.find_item(list_balances.item)))
      and (list_balances.product_type is null or n.product_type = (select internal.find_type(list_balances.product_type)))
      and (list_balances.warehouse is null or b.warehouse_id = (select internal.find_warehouse(list_balances.warehouse)))
      and (list_balances.from_time is null or b.period_end >= list_balances.from_time)
      and (list_balances.to_time is null or b.period_end < list_balances.to_time)
      and (list_balances.import_id is null or b.source_data_id = list_balances.import_id)
      and (b.period_end, b.id) < (internal.cursor_time(list_balances.after), internal.cursor_number(list_balances.after, 2))
    order by b.period_end desc, b.id desc
    limit internal.page_size(list_balances.page_size);
end;

comment on function api.list_balances(text, text, text, timestamptz, timestamptz, int, int, text) is
'Pages through balances as files state them, newest first, kg; NULL where the file did not say; is_detailed: documents came with it.

Filters NULL = any; from_time and to_time are about the end of the period. page_size 1 to 1000; after: the column cursor of the last
row you have. Raises 22023 for what no filter can mean. Example: select at, item, closing_kg from api.list_balances(page_size => 10);';
