create function api.list_surplus_patterns(
    item text default null, product_type text default null, is_active boolean default null, from_time timestamptz default null,
    to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, surplus_pattern_id int, item_id int, item text, product_type text, surplus_fraction float8, condition text,
    is_active boolean, confidence float8, validation_count int, last_validated_at timestamptz, recommendation_id int, cursor text
)
language sql stable
begin atomic
    select p.created_date, p.id, n.id as item_id, n.name as item, coalesce(n.product_type, p.product_type), p.surplus_percentage,
        p.pattern_condition, p.is_active,
        p.confidence_level, p.validation_count, p.last_validated_date, p.created_from_recommendation_id, internal.cursor(p.created_date, p.id)
    from core.surplus_patterns as p
    left join core.nomenclature as n on n.id = p.nomenclature_id
    where (list_surplus_patterns.item is null or p.nomenclature_id = (select internal.find_item(list_surplus_patterns.item)))
      and (list_surplus_patterns.product_type is null
          or coalesce(n.product_type, p.product_type) = (select internal.find_type(list_surplus_patterns.product_type)))
      and (list_surplus_patterns.is_active is null or p.is_active = list_surplus_patterns.is_active)
      and (list_surplus_patterns.from_time is null or p.created_date >= list_surplus_patterns.from_time)
      and (list_surplus_patterns.to_time is null or p.created_date < list_surplus_patterns.to_time)
      and (p.created_date, p.id) < (internal.cursor_time(list_surplus_patterns.after), internal.cursor_number(list_surplus_patterns.after, 2))
    order by p.created_date desc, p.id desc
    limit internal.page_size(list_surplus_patterns.page_size);
end;

comment on function api.list_surplus_patterns(text, text, boolean, timestamptz, timestamptz, int, text) is
'Pages through the surplus patterns, newest first; the product is NULL for one of a type or of all; surplus_fraction 0.05 = 5 %.

Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for what no filter can mean.
Example: select item, product_type, surplus_fraction from api.list_surplus_patterns(is_active => true);';
