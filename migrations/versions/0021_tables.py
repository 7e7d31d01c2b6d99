"""Evaluations of models of tables: confusion, figures by class, importance of features."""

from loader.schema import run

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run(r"""
alter table core.backtest_metric
    drop constraint backtest_metric_method_check,
    add constraint backtest_metric_method_check check (method in ('model', 'naive', 'seasonal_naive', 'baseline'));
comment on column core.backtest_metric.method is 'model, naive or seasonal_naive; of tables model or baseline (the mean, or the shares of the classes).';
comment on column core.backtest_metric.metric is 'mape, smape, wape (percent), mase, mae, rmse, bias (unit of the series), coverage_80, coverage_95 (percent), interval_score_80, interval_score_95 (Winkler); of tables r2, mse, rmse, mae, mape, or accuracy, precision, recall, f1 (0 to 1, mean over classes), log_loss (nats).';

create table core.confusion (
    run_id bigint not null references core.training_run on delete cascade,
    actual_class text not null,
    predicted_class text not null,
    row_count int not null check (row_count > 0),
    primary key (run_id, actual_class, predicted_class)
);
comment on table core.confusion is 'Holds what classes were taken for in evaluations, all folds together; no row = none were.';
comment on column core.confusion.run_id is 'The evaluation.';
comment on column core.confusion.actual_class is 'What they were.';
comment on column core.confusion.predicted_class is 'What they were taken for.';
comment on column core.confusion.row_count is 'Rows.';

create table core.class_metric (
    run_id bigint not null references core.training_run on delete cascade,
    class text not null,
    "precision" float8 not null check ("precision" between 0 and 1),
    recall float8 not null check (recall between 0 and 1),
    f1 float8 not null check (f1 between 0 and 1),
    row_count int not null,
    primary key (run_id, class)
);
comment on table core.class_metric is 'Holds the figures of each class in evaluations, all folds together.';
comment on column core.class_metric.run_id is 'The evaluation.';
comment on column core.class_metric.class is 'The class.';
comment on column core.class_metric."precision" is 'Share of rows taken for it that were; 0 when none were taken for it.';
comment on column core.class_metric.recall is 'Share of its rows that were found.';
comment on column core.class_metric.f1 is 'Harmonic mean of the two.';
comment on column core.class_metric.row_count is 'Its rows.';

create table core.feature_importance (
    run_id bigint not null references core.training_run on delete cascade,
    feature text not null,
    importance float8 not null,
    deviation float8 not null,
    metric text not null,
    primary key (run_id, feature),
    constraint figures_are_finite check (greatest(abs(importance), abs(deviation)) < 'infinity')
);
comment on table core.feature_importance is 'Holds how much worse evaluations were with a column shuffled in the rows held out.';
comment on column core.feature_importance.run_id is 'The evaluation.';
comment on column core.feature_importance.feature is 'The column.';
comment on column core.feature_importance.importance is 'Mean loss of the metric over folds and shuffles; about 0 = the column tells nothing.';
comment on column core.feature_importance.deviation is 'Standard deviation of that.';
comment on column core.feature_importance.metric is 'accuracy or r2.';
""")


def downgrade() -> None:
    run(r"""
drop table core.confusion, core.class_metric, core.feature_importance;
delete from core.backtest_metric where method = 'baseline';
alter table core.backtest_metric
    drop constraint backtest_metric_method_check,
    add constraint backtest_metric_method_check check (method in ('model', 'naive', 'seasonal_naive'));
comment on column core.backtest_metric.method is 'model, naive or seasonal_naive.';
comment on column core.backtest_metric.metric is 'mape, smape, wape (percent), mase, mae, rmse, bias (unit of the series), coverage_80, coverage_95 (percent), interval_score_80, interval_score_95 (Winkler).';
""")
