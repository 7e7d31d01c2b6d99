create function internal.find_errors(
    item text, product_type text, warehouse text, from_time timestamptz, to_time timestamptz, severity text, error_type text, flag text,
    reason text, import_id int, resolved boolean
)
returns setof core.validation_errors
language sql stable
begin atomic
    select e.*
    from core.validation_errors as e
    left join core.calculation_data as c on c.id = e.calculation_data_id and c.calculation_date = e.calculation_date
    left join core.nomenclature as n on n.id = c.nomenclature_id
    where (find_errors.item is null or c.nomenclature_id = (select internal.find_item(find_errors.item)))
      and (find_errors.product_type is null or n.product_type = (select internal.find_type(find_errors.product_type)))
      and (find_errors.warehouse is null or c.warehouse_id = (select internal.find_warehouse(find_errors.warehouse)))
      and (find_errors.from_time is null or e.detection_date >= find_errors.from_time)
      and (find_errors.to_time is null or e.detection_date < find_errors.to_time)
      and (find_errors.severity is null or e.severity_level = (
          select internal.one_of(find_errors.severity, '{info,low,medium,high,critical}', 'severity')
      ))
      and (find_errors.error_type is null or e.error_type = (
          select internal.one_of(find_errors.error_type, '{human_factor,validation_failure,data_inconsistency}', 'error type')
      ))
      and (find_errors.flag is null or e.flag = (
          select internal.one_of(find_errors.flag, array(select f.flag from core.quality_flag as f order by f.flag), 'flag')
      ))
      and (find_errors.reason is null or e.reason = find_errors.reason)
      and (find_errors.import_id is null or e.source_data_id = find_errors.import_id)
      and (find_errors.resolved is null or e.resolved = find_errors.resolved);
end;

comment on function internal.find_errors(text, text, text, timestamptz, timestamptz, text, text, text, text, int, boolean) is
'Finds flags of periods and rejected rows; each filter NULL = any. Raises 22023 for what no filter can mean.';
