create function api.list_forecasts(
    item text default null, product_type text default null, warehouse text default null, from_time timestamptz default null,
    to_time timestamptz default null, status text default null, is_backtest boolean default false, page_size int default 50, after text default null
)
returns table (
    at timestamptz, forecast_id bigint, item_id int, item text, product_type text, warehouse_id int, warehouse text,
    opened_at timestamptz, days_ahead int, expected_kg float8, adjusted_expected_kg float8, confidence float8, actual_kg float8,
    accuracy_percent float8, status text, is_backtest boolean, version int, notes text, cursor text
)
language sql stable
begin atomic
    select f.forecast_date, f.id, n.id as item_id, n.name as item, n.product_type, w.id as warehouse_id, w.name as warehouse,
        f.opened_at, f.forecast_period_days,
        f.expected_shrinkage::float8, f.adjusted_expected_shrinkage::float8, f.confidence_level, f.actual_shrinkage::float8, f.forecast_accuracy,
        f.status, f.is_backtest, m.version, f.notes, internal.cursor(f.forecast_date, f.id)
    from core.preliminary_forecasts as f
    inner join core.nomenclature as n on n.id = f.nomenclature_id
    inner join core.warehouses as w on w.id = f.warehouse_id
    left join core.model_versions as m on m.id = f.forecast_model_id
    where (list_forecasts.item is null or f.nomenclature_id = (select internal.find_item(list_forecasts.item)))
      and (list_forecasts.product_type is null or n.product_type = (select internal.find_type(list_forecasts.product_type)))
      and (list_forecasts.warehouse is null or f.warehouse_id = (select internal.find_warehouse(list_forecasts.warehouse)))
      and (list_forecasts.from_time is null or f.forecast_date >= list_forecasts.from_time)
      and (list_forecasts.to_time is null or f.forecast_date < list_forecasts.to_time)
      and (list_forecasts.status is null or f.status = (select internal.one_of(list_forecasts.status, '{open,settled,void}', 'status')))
      and (list_forecasts.is_backtest is null or f.is_backtest = list_forecasts.is_backtest)
      and (f.forecast_date, f.id) < (internal.cursor_time(list_forecasts.after), internal.cursor_number(list_forecasts.after, 2))
    order by f.forecast_date desc, f.id desc
    limit internal.page_size(list_forecasts.page_size);
end;

comment on function api.list_forecasts(text, text, text, timestamptz, timestamptz, text, boolean, int, text) is
'Pages through what was expected at the next count (preliminary forecasts), newest first, kg; actual_kg is NULL until counted.

is_backtest NULL = also what was reckoned after the fact. Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last
row you have. Raises 22023 for what no filter can mean. Example: select * from api.list_forecasts(status => ''open'');';
