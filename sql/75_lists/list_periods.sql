create function api.list_periods(
    item text default null, product_type text default null, warehouse text default null, from_time timestamptz default null,
    to_time timestamptz default null, mode text default null, quality text default null, flag text default null,
    is_in_review boolean default null, import_id int default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, period_id bigint, period_start timestamptz, period_end timestamptz, item_id int, item text, product_type text,
    warehouse_id int, warehouse text, mode text, opening_kg float8, incoming_kg float8, outgoing_kg float8, closing_kg float8,
    shortage_kg float8, surplus_kg float8, storage_days int, confidence float8, quality text, flags text, is_in_review boolean, cursor text
)
language sql stable
begin atomic
    select c.calculation_date, c.id, c.inventory_period_start, c.inventory_period_end, n.id as item_id, n.name as item, n.product_type,
        w.id as warehouse_id, w.name as warehouse, c.mode,
        c.initial_balance::float8, c.incoming::float8, c.outgoing::float8, c.final_balance::float8, c.inventory_shrinkage_total::float8,
        c.surplus_kg::float8, c.storage_days, c.inventory_confidence, c.data_quality_flag, c.validation_errors, c.manual_review_required,
        internal.cursor(c.calculation_date, c.id)
    from core.calculation_data as c
    inner join core.nomenclature as n on n.id = c.nomenclature_id
    inner join core.warehouses as w on w.id = c.warehouse_id
    where (list_periods.item is null or c.nomenclature_id = (select internal.find_item(list_periods.item)))
      and (list_periods.product_type is null or n.product_type = (select internal.find_type(list_periods.product_type)))
      and (list_periods.warehouse is null or c.warehouse_id = (select internal.find_warehouse(list_periods.warehouse)))
      and (list_periods.from_time is null or c.calculation_date >= list_periods.from_time)
      and (list_periods.to_time is null or c.calculation_date < list_periods.to_time)
      and (list_periods.mode is null or c.mode = (select internal.one_of(list_periods.mode, '{posted,counted,open}', 'mode')))
      and (list_periods.quality is null or c.data_quality_flag = (
          select internal.one_of(list_periods.quality, '{clean,dirty,filtered,forecast}', 'quality')
      ))
      and (list_periods.flag is null or (
          select internal.one_of(list_periods.flag, array(select f.flag from core.quality_flag as f order by f.flag), 'flag')
      ) = any(c.flags))
      and (list_periods.is_in_review is null or c.manual_review_required = list_periods.is_in_review)
      and (list_periods.import_id is null or c.source_data_id = list_periods.import_id)
      and (c.calculation_date, c.id) < (internal.cursor_time(list_periods.after), internal.cursor_number(list_periods.after, 2))
      -- Says nothing new, but keeps later chunks out.
      and c.calculation_date <= internal.cursor_time(list_periods.after)
    order by c.calculation_date desc, c.id desc
    limit internal.page_size(list_periods.page_size);
end;

comment on function api.list_periods(
    text, text, text, timestamptz, timestamptz, text, text, text, boolean, int, int, text
) is
'Pages through the inventory periods, the last count first; at is the count (of an open period the last movement).

Filters NULL = any; from_time inclusive, to_time exclusive; mode posted, counted or open; quality clean, dirty, filtered or forecast.
Masses in kg. page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for what no filter can mean.
Example: select at, item, shortage_kg, cursor from api.list_periods(quality => ''clean'', page_size => 20);';
