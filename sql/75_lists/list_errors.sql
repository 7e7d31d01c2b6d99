create function api.list_errors(
    item text default null, product_type text default null, warehouse text default null, from_time timestamptz default null,
    to_time timestamptz default null, severity text default null, error_type text default null, flag text default null,
    reason text default null, import_id int default null, resolved boolean default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, validation_error_id bigint, severity text, error_type text, flag text, description text, item_id int, item text,
    product_type text, warehouse text, period_start timestamptz, period_end timestamptz, shortage_kg float8, file_name text, line int,
    column_name text, reason text, raw_text text, resolved boolean, resolution_date timestamptz, resolved_by text, notes text, cursor text
)
language sql stable
begin atomic
    select e.detection_date, e.id, e.severity_level, e.error_type, e.flag, e.description, n.id as item_id, n.name as item, n.product_type, w.name as warehouse,
        c.inventory_period_start, c.inventory_period_end, c.inventory_shrinkage_total::float8, coalesce(e.file_name, s.file_name), e.line,
        e.column_name, e.reason, e.raw_text, e.resolved, e.resolution_date, e.resolved_by, e.notes, internal.cursor(e.detection_date, e.id)
    from internal.find_errors(
        list_errors.item, list_errors.product_type, list_errors.warehouse, list_errors.from_time, list_errors.to_time, list_errors.severity,
        list_errors.error_type, list_errors.flag, list_errors.reason, list_errors.import_id, list_errors.resolved
    ) as e
    left join core.calculation_data as c on c.id = e.calculation_data_id and c.calculation_date = e.calculation_date
    left join core.nomenclature as n on n.id = c.nomenclature_id
    left join core.warehouses as w on w.id = c.warehouse_id
    left join core.source_data as s on s.id = e.source_data_id
    where (e.detection_date, e.id) < (internal.cursor_time(list_errors.after), internal.cursor_number(list_errors.after, 2))
    order by e.detection_date desc, e.id desc
    limit internal.page_size(list_errors.page_size);
end;

comment on function api.list_errors(
    text, text, text, timestamptz, timestamptz, text, text, text, text, int, boolean, int, text
) is
'Pages through what was found wrong: flags of periods and rejected rows, newest first, resolved ones too unless resolved => false.

Filters NULL = any; from_time inclusive, to_time exclusive. page_size 1 to 1000; after: the column cursor of the last row you have.
The product is NULL for a rejected row. Raises 22023 for an unknown product, warehouse, type, severity, flag, or cursor.
Example: select at, flag, item from api.list_errors(severity => ''high'', resolved => false);';
