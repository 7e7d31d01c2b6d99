create or replace view bi.analytics as
select a.nomenclature_id, a.model_id, a.avg_accuracy, a.total_calculations::bigint as total_calculations, a.period_start, a.period_end,
    a.last_updated, a.weighted_accuracy, a.mean_rate, a.weighted_rate, a.forecast_count, a.forecast_wape
from core.analytics as a;

comment on view bi.analytics is
'How close the deployed curve of each product comes to its counts, by calendar month: one row a product, model and month.

In-sample, up to the forecasts: the curve was fitted on these very counts, so this says how well it describes them. How well it
forecasts, forecast_wape says. As of the last api.refresh_analytics().';
comment on column bi.analytics.nomenclature_id is 'Key of the product (bi.dim_item).';
comment on column bi.analytics.model_id is 'Key of the model version (bi.models).';
comment on column bi.analytics.avg_accuracy is
'Mean of 100 (1 - |expected - actual| / actual) over the counts that found a shortage, percent, each at least 0; NULL when none did. In-sample.';
comment on column bi.analytics.total_calculations is 'Closed inventory periods of the month.';
comment on column bi.analytics.period_start is 'First day of the month, in the zone of the warehouse.';
comment on column bi.analytics.period_end is 'Last day of the month.';
comment on column bi.analytics.last_updated is 'When the row was computed.';
comment on column bi.analytics.weighted_accuracy is 'avg_accuracy weighted by confidence and priority periods. In-sample.';
comment on column bi.analytics.mean_rate is 'Mean of shortage / available over the periods, a fraction; NULL when nothing was there.';
comment on column bi.analytics.weighted_rate is 'mean_rate weighted by confidence and priority periods.';
comment on column bi.analytics.forecast_count is 'Forecasts that counts of the month settled; backtests are left out.';
comment on column bi.analytics.forecast_wape is
'Out of sample: sum of |expected - found| over the sum of |found| of these forecasts, percent; NULL = none, or nothing was missing.';
