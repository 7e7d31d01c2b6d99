create or replace view bi.anomaly as
select a.target_time as time, a.id as anomaly_id, a.model, a.series_id, s.label as series, a.actual, a.expected, a.actual - a.expected as difference,
    a.score, a.threshold, a.method, a.version, a.status, a.found_at, a.changed_at, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.notes
from core.anomaly as a
inner join core.model_series as s on s.id = a.series_id;

comment on view bi.anomaly is 'Which values of the series of models were not to be expected (api.find_anomalies).';
comment on column bi.anomaly.time is 'Start of the step.';
comment on column bi.anomaly.anomaly_id is 'Key.';
comment on column bi.anomaly.model is 'The model.';
comment on column bi.anomaly.series_id is 'Key of the series.';
comment on column bi.anomaly.series is 'The series.';
comment on column bi.anomaly.actual is 'What was observed, unit of the series.';
comment on column bi.anomaly.expected is 'What was expected, unit of the series.';
comment on column bi.anomaly.difference is 'actual - expected, unit of the series.';
comment on column bi.anomaly.score is 'Difference in standard deviations, with its sign; at most 1e6.';
comment on column bi.anomaly.threshold is 'Score beyond which it was an anomaly.';
comment on column bi.anomaly.method is 'forecast: against the forecast issued for it; history: against the course of the series itself.';
comment on column bi.anomaly.version is 'The version that forecast; NULL = none did.';
comment on column bi.anomaly.status is 'open, acknowledged (somebody knows), resolved (a later search did not find it any more).';
comment on column bi.anomaly.found_at is 'When it was first found.';
comment on column bi.anomaly.changed_at is 'When its figures or its status last changed.';
comment on column bi.anomaly.acknowledged_at is 'When somebody took notice; NULL = nobody did.';
comment on column bi.anomaly.acknowledged_by is 'Who did.';
comment on column bi.anomaly.resolved_at is 'When it was no longer found; NULL = it is.';
comment on column bi.anomaly.notes is 'What people wrote about it.';
