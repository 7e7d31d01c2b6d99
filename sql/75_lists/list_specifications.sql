create function api.list_specifications(
    item text default null, product_type text default null, is_active boolean default null, on_date date default null,
    page_size int default 50, after text default null
)
returns table (
    at timestamptz, specification_id int, item_id int, item text, product_type text, surplus_fraction float8, from_date date,
    to_date date, is_active boolean, created_by text, notes text, cursor text
)
language sql stable
begin atomic
    select s.created_date, s.id, n.id as item_id, n.name as item, n.product_type, s.surplus_percentage, s.specification_start_date, s.specification_end_date,
        s.is_active, s.created_by, s.notes, internal.cursor(s.created_date, s.id)
    from core.surplus_specifications as s
    inner join core.nomenclature as n on n.id = s.nomenclature_id
    where (list_specifications.item is null or s.nomenclature_id = (select internal.find_item(list_specifications.item)))
      and (list_specifications.product_type is null or n.product_type = (select internal.find_type(list_specifications.product_type)))
      and (list_specifications.is_active is null or s.is_active = list_specifications.is_active)
      and (list_specifications.on_date is null
          or list_specifications.on_date between s.specification_start_date and coalesce(s.specification_end_date, 'infinity'))
      and (s.created_date, s.id) < (internal.cursor_time(list_specifications.after), internal.cursor_number(list_specifications.after, 2))
    order by s.created_date desc, s.id desc
    limit internal.page_size(list_specifications.page_size);
end;

comment on function api.list_specifications(text, text, boolean, date, int, text) is
'Pages through the agreed surpluses, newest first; surplus_fraction 0.05 = 5 %; to_date NULL = open; on_date: those that cover the day.

Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for what no filter can mean.
Example: select item, surplus_fraction, from_date from api.list_specifications(is_active => true);';
