create function api.list_movements(
    item text default null, product_type text default null, warehouse text default null, from_time timestamptz default null,
    to_time timestamptz default null, operation text default null, document_number text default null, import_id int default null,
    page_size int default 50, after text default null
)
returns table (
    at timestamptz, item_id int, item text, product_type text, warehouse_id int, warehouse text, operation text, document_number text,
    batch_received_at timestamptz, in_kg float8, out_kg float8, import_id int, line int, cursor text
)
language sql stable
begin atomic
    select m.posted_at, n.id as item_id, n.name as item, n.product_type, w.id as warehouse_id, w.name as warehouse, m.operation, m.document_number,
        m.batch_received_at, m.in_kg::float8,
        m.out_kg::float8, m.source_data_id, m.line, internal.cursor(m.posted_at, m.nomenclature_id, m.key_hash)
    from core.stock_movements as m
    inner join core.nomenclature as n on n.id = m.nomenclature_id
    inner join core.warehouses as w on w.id = m.warehouse_id
    where (list_movements.item is null or m.nomenclature_id = (select internal.find_item(list_movements.item)))
      and (list_movements.product_type is null or n.product_type = (select internal.find_type(list_movements.product_type)))
      and (list_movements.warehouse is null or m.warehouse_id = (select internal.find_warehouse(list_movements.warehouse)))
      and (list_movements.from_time is null or m.posted_at >= list_movements.from_time)
      and (list_movements.to_time is null or m.posted_at < list_movements.to_time)
      and (list_movements.operation is null or m.operation = (
          select internal.one_of(list_movements.operation,
              '{opening,receipt,sale,consumption,production,transfer_in,transfer_out,write_off,stock_take,regrading,return}', 'operation')
      ))
      and (list_movements.document_number is null or m.document_number = list_movements.document_number)
      and (list_movements.import_id is null or m.source_data_id = list_movements.import_id)
      and (m.posted_at, m.nomenclature_id, m.key_hash)
          < (internal.cursor_time(list_movements.after), internal.cursor_number(list_movements.after, 2), internal.cursor_number(list_movements.after, 3))
      and m.posted_at <= internal.cursor_time(list_movements.after)
    order by m.posted_at desc, m.nomenclature_id desc, m.key_hash desc
    limit internal.page_size(list_movements.page_size);
end;

comment on function api.list_movements(text, text, text, timestamptz, timestamptz, text, text, int, int, text) is
'Pages through the movements of stock, newest first, kg; batch_received_at is NULL where the batch is not known.

A product''s own are read from an index; without item a page sorts the newest chunk (a quarter of movements) it falls into: say
from_time and to_time. Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for
what no filter can mean. Example: select at, item, operation, out_kg from api.list_movements(operation => ''write_off'');';
