create or replace view bi.forecast as
select f.target_time as time, v.model, s.id as series_id, s.label as series, f.step, f.forecast as yhat, f.lower_80 as yhat_lo_80,
    f.upper_80 as yhat_hi_80, f.lower_95 as yhat_lo, f.upper_95 as yhat_hi, v.version, f.issued_at as made_at
from core.model_versions as v
inner join core.model_series as s on s.model = v.model
inner join core.forecast_ledger as f on f.series_id = s.id and f.version_id = v.id
where v.status = 'deployed';

comment on view bi.forecast is 'What the deployed models expect: one row a series and step ahead.';
comment on column bi.forecast.time is 'Start of the step it is for.';
comment on column bi.forecast.model is 'The model.';
comment on column bi.forecast.series_id is 'Key of the series.';
comment on column bi.forecast.series is 'The series.';
comment on column bi.forecast.step is 'Steps after the last observation.';
comment on column bi.forecast.yhat is 'Expected value, in the unit of the series.';
comment on column bi.forecast.yhat_lo_80 is 'Lower end of the 80 % interval.';
comment on column bi.forecast.yhat_hi_80 is 'Upper end of the 80 % interval.';
comment on column bi.forecast.yhat_lo is 'Lower end of the 95 % interval.';
comment on column bi.forecast.yhat_hi is 'Upper end of the 95 % interval.';
comment on column bi.forecast.version is 'The deployed version.';
comment on column bi.forecast.made_at is 'When it was issued.';

create or replace view bi.actual_vs_forecast as
select f.target_time as time, v.model, s.id as series_id, s.label as series, v.version, v.status, f.issued_at as made_at, f.step, f.forecast as yhat,
    f.lower_95 as yhat_lo, f.upper_95 as yhat_hi, f.actual, f.actual - f.forecast as error,
    100 * abs(f.actual - f.forecast) / nullif(abs(f.actual), 0) as error_percent, f.actual between f.lower_80 and f.upper_80 as is_inside_80,
    f.actual between f.lower_95 and f.upper_95 as is_inside_95
from core.forecast_ledger as f
inner join core.model_versions as v on v.id = f.version_id
inner join core.model_series as s on s.id = f.series_id;

comment on view bi.actual_vs_forecast is 'What was forecast when, by which version, and what happened: every forecast ever issued.';
comment on column bi.actual_vs_forecast.time is 'Start of the step it was for.';
comment on column bi.actual_vs_forecast.model is 'The model.';
comment on column bi.actual_vs_forecast.series_id is 'Key of the series.';
comment on column bi.actual_vs_forecast.series is 'The series.';
comment on column bi.actual_vs_forecast.version is 'The version that forecast.';
comment on column bi.actual_vs_forecast.status is 'Status of that version now.';
comment on column bi.actual_vs_forecast.made_at is 'When it was issued.';
comment on column bi.actual_vs_forecast.step is 'Steps after the last observation there was then.';
comment on column bi.actual_vs_forecast.yhat is 'Expected value, in the unit of the series.';
comment on column bi.actual_vs_forecast.yhat_lo is 'Lower end of the 95 % interval.';
comment on column bi.actual_vs_forecast.yhat_hi is 'Upper end of the 95 % interval.';
comment on column bi.actual_vs_forecast.actual is 'What was observed; NULL = not known yet (api.record_actuals joins it).';
comment on column bi.actual_vs_forecast.error is 'actual - forecast; NULL without an actual.';
comment on column bi.actual_vs_forecast.error_percent is '|error| over |actual|, percent; NULL where actual is 0 or not known.';
comment on column bi.actual_vs_forecast.is_inside_80 is 'Whether the actual lies inside the 80 % interval.';
comment on column bi.actual_vs_forecast.is_inside_95 is 'Whether the actual lies inside the 95 % interval.';

create or replace view bi.backtest_forecast as
select f.target_time as time, r.model, f.run_id, s.id as series_id, s.label as series, f.fold, f.step, f.origin_time, f.actual, f.forecast as yhat,
    f.lower_80 as yhat_lo_80, f.upper_80 as yhat_hi_80, f.lower_95 as yhat_lo, f.upper_95 as yhat_hi, f.naive, f.seasonal_naive
from core.backtest_forecast as f
inner join core.training_run as r on r.id = f.run_id
inner join core.model_series as s on s.id = f.series_id;

comment on view bi.backtest_forecast is 'What a model would have said at earlier points, beside what happened and two naive forecasts.';
comment on column bi.backtest_forecast.time is 'Step it is for.';
comment on column bi.backtest_forecast.model is 'The model.';
comment on column bi.backtest_forecast.run_id is 'The evaluation.';
comment on column bi.backtest_forecast.series_id is 'Key of the series.';
comment on column bi.backtest_forecast.series is 'The series.';
comment on column bi.backtest_forecast.fold is 'Fold, the last one ends with the last observation.';
comment on column bi.backtest_forecast.step is 'Steps after the origin.';
comment on column bi.backtest_forecast.origin_time is 'Last observation it was fitted on.';
comment on column bi.backtest_forecast.actual is 'What was observed; NULL = a gap.';
comment on column bi.backtest_forecast.yhat is 'Expected value, in the unit of the series.';
comment on column bi.backtest_forecast.yhat_lo_80 is 'Lower end of the 80 % interval.';
comment on column bi.backtest_forecast.yhat_hi_80 is 'Upper end of the 80 % interval.';
comment on column bi.backtest_forecast.yhat_lo is 'Lower end of the 95 % interval.';
comment on column bi.backtest_forecast.yhat_hi is 'Upper end of the 95 % interval.';
comment on column bi.backtest_forecast.naive is 'The last observation before.';
comment on column bi.backtest_forecast.seasonal_naive is 'The observation one season before.';

create or replace view bi.backtest_metric as
select r.started_at as time, r.model, m.run_id, v.version, s.id as series_id, s.label as series, m.fold, m.method, m.metric, m.value, m.row_count
from core.backtest_metric as m
inner join core.training_run as r on r.id = m.run_id
left join core.model_versions as v on v.id = r.version_id
left join core.model_series as s on s.id = m.series_id;

comment on view bi.backtest_metric is 'How well models did at earlier points, in long form, the naive forecasts beside them.';
comment on column bi.backtest_metric.time is 'When it was evaluated.';
comment on column bi.backtest_metric.model is 'The model.';
comment on column bi.backtest_metric.run_id is 'The evaluation.';
comment on column bi.backtest_metric.version is 'The version whose kind and options were evaluated; NULL = none was there.';
comment on column bi.backtest_metric.series_id is 'Key of the series; NULL = all.';
comment on column bi.backtest_metric.series is 'The series; NULL = all.';
comment on column bi.backtest_metric.fold is 'The fold; NULL = all.';
comment on column bi.backtest_metric.method is 'model, naive or seasonal_naive.';
comment on column bi.backtest_metric.metric is
'mape, smape, wape (percent), coverage_80, coverage_95 (percent too), mase, mae, rmse, bias, interval_score_80, interval_score_95.';
comment on column bi.backtest_metric.value is 'The measure; NULL = not defined.';
comment on column bi.backtest_metric.row_count is 'Forecasts that count.';
