create or replace view bi.preliminary_forecast as
select f.forecast_date as time, f.id as preliminary_forecast_id, n.id as item_id, n.name as item, n.product_type, w.id as warehouse_id,
    w.name as warehouse, f.status, f.is_backtest, f.opened_at, f.planned_end, f.forecast_period_days as period_days,
    f.stock_kg::float8 as stock_kg,
    case when f.pre_shrinkage_adjusted then f.adjusted_expected_shrinkage else f.expected_shrinkage end as expected_kg,
    f.expected_low as low_kg, f.expected_high as high_kg, f.pre_shrinkage_adjusted as has_ages,
    f.adjusted_expected_shrinkage as expected_with_ages_kg, f.expected_shrinkage as expected_fresh_kg, f.confidence_level as confidence,
    f.is_extrapolated, f.settled_calculation_date as counted_at,
    extract(epoch from f.settled_calculation_date - f.opened_at)::float8 / 86400 as counted_after_days,
    f.actual_shrinkage::float8 as actual_kg, x.expected_kg as expected_at_count_kg, f.actual_shrinkage::float8 - x.expected_kg as error_kg,
    f.forecast_accuracy as accuracy_percent, f.is_inside_80, v.version, f.created_date as made_at, coalesce(f.void_reason, f.notes) as reason,
    f.usual_kg_per_day * extract(epoch from f.settled_calculation_date - f.opened_at)::float8 / 86400 as expected_as_usual_at_count_kg
from core.preliminary_forecasts as f
inner join core.nomenclature as n on n.id = f.nomenclature_id
inner join core.warehouses as w on w.id = f.warehouse_id
left join core.model_versions as v on v.id = f.forecast_model_id
cross join lateral (
    select case when f.pre_shrinkage_adjusted then f.adjusted_expected_at_count else f.expected_at_count end as expected_kg
) as x;

comment on view bi.preliminary_forecast is
'What was expected at each next count, and what it found: open, settled and void forecasts, and backtests.';
comment on column bi.preliminary_forecast.time is 'The moment its data reach to: the opening count, or the last movement after it.';
comment on column bi.preliminary_forecast.preliminary_forecast_id is 'Key of the forecast.';
comment on column bi.preliminary_forecast.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.preliminary_forecast.item is 'Name of the product.';
comment on column bi.preliminary_forecast.product_type is 'Product type.';
comment on column bi.preliminary_forecast.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.preliminary_forecast.warehouse is 'Name of the warehouse.';
comment on column bi.preliminary_forecast.status is 'open: not counted yet; settled: counted; void: no count can settle it.';
comment on column bi.preliminary_forecast.is_backtest is 'True: made after the fact by the deployed curve, which may have seen the count.';
comment on column bi.preliminary_forecast.opened_at is 'The count that opened the period.';
comment on column bi.preliminary_forecast.planned_end is 'When the next count was expected.';
comment on column bi.preliminary_forecast.period_days is 'Days from the opening count to then.';
comment on column bi.preliminary_forecast.stock_kg is 'Book at that moment, kg.';
comment on column bi.preliminary_forecast.expected_kg is 'Loss expected to the planned end, kg: the figure that was issued.';
comment on column bi.preliminary_forecast.low_kg is 'Lower end of its 80 % band, kg.';
comment on column bi.preliminary_forecast.high_kg is 'Upper end of its 80 % band, kg.';
comment on column bi.preliminary_forecast.has_ages is 'Whether expected_kg is the figure with the ages of the batches.';
comment on column bi.preliminary_forecast.expected_with_ages_kg is 'The figure with ages, kg; NULL = ages not known.';
comment on column bi.preliminary_forecast.expected_fresh_kg is 'The figure as if every batch were fresh, kg.';
comment on column bi.preliminary_forecast.confidence is
'Confidence in the opening count times the share of past counts inside their band, 0 to 1; NULL = no past to judge by.';
comment on column bi.preliminary_forecast.is_extrapolated is 'Whether batches grow older than 1.5 times the oldest the fit saw.';
comment on column bi.preliminary_forecast.counted_at is 'The count that settled it; NULL = not settled.';
comment on column bi.preliminary_forecast.counted_after_days is 'Days from the opening count to it.';
comment on column bi.preliminary_forecast.actual_kg is 'What it found missing, kg; negative = a surplus; 0 within tolerance.';
comment on column bi.preliminary_forecast.expected_at_count_kg is 'The expectation to the day it was counted, kg.';
comment on column bi.preliminary_forecast.error_kg is 'actual_kg - expected_at_count_kg, kg.';
comment on column bi.preliminary_forecast.accuracy_percent is
'max(0, 1 - |expected - actual| / actual), percent; NULL within tolerance and for a surplus. Do not average it: see bi.forecast_accuracy_by_type.';
comment on column bi.preliminary_forecast.is_inside_80 is 'Whether the count fell into the band, held against the day it was counted.';
comment on column bi.preliminary_forecast.version is 'Version of the curves.';
comment on column bi.preliminary_forecast.made_at is 'When it was written.';
comment on column bi.preliminary_forecast.reason is 'Why it is void, or what to keep in mind; NULL = nothing.';
comment on column bi.preliminary_forecast.expected_as_usual_at_count_kg is
'What the curve expected of the four periods before, with all that came and went, for as many days, kg; NULL = not settled, or none.';

create or replace view bi.forecast_accuracy_by_type as
select n.product_type, f.is_backtest, count(*) as forecast_count, count(*) - count(f.forecast_accuracy) as without_accuracy_count,
    sum(f.actual_shrinkage)::float8 as actual_kg, sum(x.expected_kg) as expected_kg,
    100 * sum(abs(x.expected_kg - f.actual_shrinkage::float8)) / nullif(sum(abs(f.actual_shrinkage::float8)), 0) as wape,
    avg(abs(x.expected_kg - f.actual_shrinkage::float8)) as mae_kg, avg(x.expected_kg - f.actual_shrinkage::float8) as bias_kg,
    100 * avg(f.is_inside_80::int)::float8 as coverage_80, min(f.settled_calculation_date) as first_count, max(f.settled_calculation_date) as time,
    100 * sum(abs(y.kg - f.actual_shrinkage::float8)) / nullif(sum(abs(f.actual_shrinkage::float8)) filter (where y.kg is not null), 0) as wape_as_usual
from core.preliminary_forecasts as f
inner join core.nomenclature as n on n.id = f.nomenclature_id
cross join lateral (
    select case when f.pre_shrinkage_adjusted then f.adjusted_expected_at_count else f.expected_at_count end as expected_kg
) as x
cross join lateral (
    select f.usual_kg_per_day * extract(epoch from f.settled_calculation_date - f.opened_at)::float8 / 86400 as kg
) as y
where f.status = 'settled'
group by n.product_type, f.is_backtest;

comment on view bi.forecast_accuracy_by_type is
'How forecasts of the next count fared, by product type: settled ones, and apart from them backtests.';
comment on column bi.forecast_accuracy_by_type.product_type is 'Product type.';
comment on column bi.forecast_accuracy_by_type.is_backtest is 'False: issued before the count. True: made after the fact by a curve that may have seen it.';
comment on column bi.forecast_accuracy_by_type.forecast_count is 'Settled forecasts.';
comment on column bi.forecast_accuracy_by_type.without_accuracy_count is 'Of these, counts that found nothing beyond the tolerance, or a surplus.';
comment on column bi.forecast_accuracy_by_type.actual_kg is 'What the counts found missing, kg, surpluses taken off.';
comment on column bi.forecast_accuracy_by_type.expected_kg is 'What was expected to the days they were counted, kg.';
comment on column bi.forecast_accuracy_by_type.wape is
'Sum of |expected - found| over the sum of |found|, percent, all rows; NULL when nothing was found.';
comment on column bi.forecast_accuracy_by_type.mae_kg is 'Mean of |expected - found|, kg.';
comment on column bi.forecast_accuracy_by_type.bias_kg is 'Mean of expected - found, kg: positive is too much.';
comment on column bi.forecast_accuracy_by_type.coverage_80 is 'Counts inside the 80 % band, percent; 80 is right.';
comment on column bi.forecast_accuracy_by_type.first_count is 'The first of the counts.';
comment on column bi.forecast_accuracy_by_type.time is 'The last of them.';
comment on column bi.forecast_accuracy_by_type.wape_as_usual is
'WAPE of the expectation with trade as in the four periods before, percent, over the rows that have one; NULL when none has.';
