create function api.list_items(
    words text default null, product_type text default null, item_group text default null, from_time timestamptz default null,
    to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, item_id int, item text, product_type text, product_type_code text, item_group text, last_count timestamptz,
    cursor text
)
language sql stable
begin atomic
    select n.created_date, n.id as item_id, n.name as item, n.product_type, n.product_type_code, n.item_group,
        (select max(c.inventory_period_end) from core.calculation_data as c where c.nomenclature_id = n.id), internal.cursor(n.created_date, n.id)
    from core.nomenclature as n
    where (list_items.words is null or n.search_words @@ (select internal.search_query(list_items.words)))
      and (list_items.product_type is null or n.product_type = (select internal.find_type(list_items.product_type)))
      and (list_items.item_group is null or n.item_group = list_items.item_group)
      and (list_items.from_time is null or n.created_date >= list_items.from_time)
      and (list_items.to_time is null or n.created_date < list_items.to_time)
      and (n.created_date, n.id) < (internal.cursor_time(list_items.after), internal.cursor_number(list_items.after, 2))
    order by n.created_date desc, n.id desc
    limit internal.page_size(list_items.page_size);
end;

comment on function api.list_items(text, text, text, timestamptz, timestamptz, int, text) is
'Pages through the products, the one first seen last comes first; last_count is NULL for one that was never counted.

words are looked for as api.search does; filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have.
Raises 22023 for an unknown type or cursor. Example: select item, last_count from api.list_items(product_type => ''dried'');';
