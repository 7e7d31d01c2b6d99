create or replace view bi.next_count as
select f.planned_end as time, f.id as preliminary_forecast_id, n.id as item_id, n.name as item, n.product_type, w.id as warehouse_id,
    w.name as warehouse, f.opened_at, f.forecast_date as as_of, f.forecast_period_days as period_days, f.stock_kg::float8 as stock_kg,
    x.expected_kg, f.expected_low as low_kg, f.expected_high as high_kg, 100 * x.expected_kg / nullif(f.stock_kg, 0)::float8 as expected_percent,
    f.confidence_level as confidence, f.pre_shrinkage_adjusted as has_ages, f.is_extrapolated, v.version, f.notes as reason,
    f.usual_kg_per_day * f.forecast_period_days as expected_as_usual_kg
from core.preliminary_forecasts as f
inner join core.nomenclature as n on n.id = f.nomenclature_id
inner join core.warehouses as w on w.id = f.warehouse_id
left join core.model_versions as v on v.id = f.forecast_model_id
cross join lateral (
    select case when f.pre_shrinkage_adjusted then f.adjusted_expected_shrinkage else f.expected_shrinkage end as expected_kg
) as x
where f.status = 'open' and not f.is_backtest;

comment on view bi.next_count is
'What the next count of each product should find missing: one row a product and warehouse, from api.forecast_next_count().

Drying only. expected_kg takes it that nothing comes or goes until then, expected_as_usual_kg that trade goes on as
in the last four periods: where much is sold and bought between counts the latter is nearer (compare bi.forecast_accuracy_by_type).';
comment on column bi.next_count.time is 'When the count is expected.';
comment on column bi.next_count.preliminary_forecast_id is 'Key of the forecast (bi.preliminary_forecast).';
comment on column bi.next_count.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.next_count.item is 'Name of the product.';
comment on column bi.next_count.product_type is 'Product type.';
comment on column bi.next_count.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.next_count.warehouse is 'Name of the warehouse.';
comment on column bi.next_count.opened_at is 'The count before.';
comment on column bi.next_count.as_of is 'The last movement it knows of.';
comment on column bi.next_count.period_days is 'Days from the count before to the one expected.';
comment on column bi.next_count.stock_kg is 'Book at that movement, kg.';
comment on column bi.next_count.expected_kg is 'Loss by drying between the two counts, kg, of what was in stock or had moved as_of.';
comment on column bi.next_count.low_kg is 'Lower end of the 80 % band, kg.';
comment on column bi.next_count.high_kg is 'Upper end of the 80 % band, kg.';
comment on column bi.next_count.expected_percent is 'expected_kg in percent of stock_kg; NULL when nothing is left.';
comment on column bi.next_count.confidence is
'Confidence in the count before times the share of past counts inside their band, 0 to 1; NULL = no past to judge by.';
comment on column bi.next_count.has_ages is 'Whether the ages of the batches were used; if not, every batch is taken as fresh.';
comment on column bi.next_count.is_extrapolated is 'Whether batches grow older than 1.5 times the oldest the fit saw.';
comment on column bi.next_count.version is 'Version of the curves.';
comment on column bi.next_count.reason is 'What to keep in mind; NULL = nothing.';
comment on column bi.next_count.expected_as_usual_kg is
'What the curve expected of the last four periods, with all that came and went, for as many days, kg; NULL = there are none.';
