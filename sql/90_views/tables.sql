create or replace view bi.table_performance as
select coalesce(r.finished_at, r.started_at) as time, r.model, v.version, v.status, v.task, m.fold, m.metric,
    max(m.value) filter (where m.method = 'model') as value,
    max(m.value) filter (where m.method = 'baseline') as baseline, max(m.row_count) as row_count, r.id as run_id,
    r.id = max(r.id) over (partition by r.model, v.version) as is_latest
from core.training_run as r
inner join core.backtest_metric as m on m.run_id = r.id and m.method in ('model', 'baseline') and m.series_id is null
inner join core.model_definition as d on d.name = r.model and d.source is not null and d.time_column is null
left join core.model_versions as v on v.id = r.version_id
where r.task = 'evaluate'
group by r.id, v.id, m.fold, m.metric;

comment on view bi.table_performance is 'How good models of tables were in cross-validation, by measure and fold, beside the mean or the shares of classes.';
comment on column bi.table_performance.time is 'End of the evaluation.';
comment on column bi.table_performance.model is 'The model.';
comment on column bi.table_performance.version is 'The version; NULL = none was fitted.';
comment on column bi.table_performance.status is 'Status of the version now.';
comment on column bi.table_performance.task is 'regression or classification; NULL = no version.';
comment on column bi.table_performance.fold is 'The fold; NULL = the mean over folds.';
comment on column bi.table_performance.metric is
'r2, mse, rmse, mae (unit of the target), mape (percent); accuracy, precision, recall, f1 (0 to 1), log_loss (nats).';
comment on column bi.table_performance.value is 'The measure; NULL = not defined.';
comment on column bi.table_performance.baseline is 'The same of the mean, or of the shares of the classes; NULL = not defined.';
comment on column bi.table_performance.row_count is 'Rows held out.';
comment on column bi.table_performance.run_id is 'The evaluation.';
comment on column bi.table_performance.is_latest is 'Whether it is the newest evaluation of its version.';

create or replace view bi.confusion_matrix as
select coalesce(r.finished_at, r.started_at) as time, r.model, v.version, c.actual_class, c.predicted_class, c.row_count,
    c.row_count::float8 / sum(c.row_count) over (partition by r.id, c.actual_class) as share, r.id as run_id
from core.confusion as c
inner join core.training_run as r on r.id = c.run_id
left join core.model_versions as v on v.id = r.version_id;

comment on view bi.confusion_matrix is 'What the classes were taken for in cross-validation; pairs that did not occur have no row.';
comment on column bi.confusion_matrix.time is 'End of the evaluation.';
comment on column bi.confusion_matrix.model is 'The model.';
comment on column bi.confusion_matrix.version is 'The version; NULL = none was fitted.';
comment on column bi.confusion_matrix.actual_class is 'What they were.';
comment on column bi.confusion_matrix.predicted_class is 'What they were taken for.';
comment on column bi.confusion_matrix.row_count is 'Rows.';
comment on column bi.confusion_matrix.share is 'Of the rows of actual_class, 0 to 1.';
comment on column bi.confusion_matrix.run_id is 'The evaluation.';

create or replace view bi.class_performance as
select coalesce(r.finished_at, r.started_at) as time, r.model, v.version, c.class, c.precision, c.recall, c.f1, c.row_count,
    c.row_count::float8 / nullif(sum(c.row_count) over (partition by r.id), 0) as share, r.id as run_id
from core.class_metric as c
inner join core.training_run as r on r.id = c.run_id
left join core.model_versions as v on v.id = r.version_id;

comment on view bi.class_performance is 'How well each class was found in cross-validation.';
comment on column bi.class_performance.time is 'End of the evaluation.';
comment on column bi.class_performance.model is 'The model.';
comment on column bi.class_performance.version is 'The version; NULL = none was fitted.';
comment on column bi.class_performance.class is 'The class.';
comment on column bi.class_performance.precision is 'Share of rows taken for it that were, 0 to 1; 0 when none were taken for it.';
comment on column bi.class_performance.recall is 'Share of its rows that were found, 0 to 1.';
comment on column bi.class_performance.f1 is 'Harmonic mean of the two.';
comment on column bi.class_performance.row_count is 'Its rows.';
comment on column bi.class_performance.share is 'Of all rows, 0 to 1: how uneven the classes are.';
comment on column bi.class_performance.run_id is 'The evaluation.';

create or replace view bi.feature_importance as
select coalesce(r.finished_at, r.started_at) as time, r.model, v.version, f.feature,
    rank() over (partition by r.id order by f.importance desc)::int as rank, f.importance, f.deviation, f.metric, r.id as run_id
from core.feature_importance as f
inner join core.training_run as r on r.id = f.run_id
left join core.model_versions as v on v.id = r.version_id;

comment on view bi.feature_importance is 'How much worse a model of a table predicts rows held out when a column is shuffled in them.';
comment on column bi.feature_importance.time is 'End of the evaluation.';
comment on column bi.feature_importance.model is 'The model.';
comment on column bi.feature_importance.version is 'The version; NULL = none was fitted.';
comment on column bi.feature_importance.feature is 'The column.';
comment on column bi.feature_importance.rank is '1 = the most important.';
comment on column bi.feature_importance.importance is 'Mean loss of the metric; about 0 = the column tells nothing.';
comment on column bi.feature_importance.deviation is 'Standard deviation of the loss over folds and shuffles.';
comment on column bi.feature_importance.metric is 'accuracy or r2.';
comment on column bi.feature_importance.run_id is 'The evaluation.';
