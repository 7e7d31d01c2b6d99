create or replace view bi.alert as
select a.raised_at as time, a.id as alert_id, a.rule, a.subject, a.model, a.version, a.segment, a.severity, a.message, a.value, a.threshold, a.status,
    a.last_seen_at, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.resolved_by, a.notes,
    extract(epoch from coalesce(a.resolved_at, now()) - a.raised_at)::float8 / 3600 as open_hours, a.replaced_alert_id,
    n.id as replaced_by_alert_id
from core.alert as a
left join core.alert as n on n.replaced_alert_id = a.id;

comment on view bi.alert is 'What went wrong: one row an alert, raised once while it is open.';
comment on column bi.alert.time is 'When it was raised.';
comment on column bi.alert.alert_id is 'Key.';
comment on column bi.alert.rule is 'The rule it breaks.';
comment on column bi.alert.subject is 'What it is about, as model sales, job nightly.';
comment on column bi.alert.model is 'The model; NULL = none.';
comment on column bi.alert.version is 'Its version; NULL = none.';
comment on column bi.alert.segment is 'The segment; NULL = over all.';
comment on column bi.alert.severity is 'warning or critical.';
comment on column bi.alert.message is 'What is wrong, in words, as it was last found.';
comment on column bi.alert.value is 'The measure when the rule was last found broken; NULL = it has none.';
comment on column bi.alert.threshold is 'The threshold then; NULL = it has none.';
comment on column bi.alert.status is 'open, acknowledged (somebody knows), resolved.';
comment on column bi.alert.last_seen_at is 'When the rule was last found broken.';
comment on column bi.alert.acknowledged_at is 'When somebody took notice; NULL = nobody did.';
comment on column bi.alert.acknowledged_by is 'Who did.';
comment on column bi.alert.resolved_at is 'When it was over; NULL = it is not.';
comment on column bi.alert.resolved_by is 'Who said so; NULL = the rule is no longer broken, or it is not over.';
comment on column bi.alert.notes is 'What people wrote about it.';
comment on column bi.alert.open_hours is 'From when it was raised until it was over, or until now, hours.';
comment on column bi.alert.replaced_alert_id is 'The warning it grew out of; NULL = none.';
comment on column bi.alert.replaced_by_alert_id is 'The critical alert it became; NULL = none.';

create or replace view bi.open_alerts as
select a.time, a.alert_id, a.severity, a.subject, a.message, a.status, a.rule, a.model, a.version, a.segment, a.value, a.threshold, a.last_seen_at,
    a.acknowledged_at, a.acknowledged_by, a.notes, a.open_hours
from bi.alert as a
where a.status <> 'resolved';

comment on view bi.open_alerts is 'What is wrong now: alerts that are not over, those somebody knows of too.';
comment on column bi.open_alerts.time is 'When it was raised.';
comment on column bi.open_alerts.alert_id is 'Key.';
comment on column bi.open_alerts.severity is 'warning or critical.';
comment on column bi.open_alerts.subject is 'What it is about, as model sales, job nightly.';
comment on column bi.open_alerts.message is 'What is wrong, in words, as it was last found.';
comment on column bi.open_alerts.status is 'open or acknowledged.';
comment on column bi.open_alerts.rule is 'The rule it breaks.';
comment on column bi.open_alerts.model is 'The model; NULL = none.';
comment on column bi.open_alerts.version is 'Its version; NULL = none.';
comment on column bi.open_alerts.segment is 'The segment; NULL = over all.';
comment on column bi.open_alerts.value is 'The measure when the rule was last found broken; NULL = it has none.';
comment on column bi.open_alerts.threshold is 'The threshold then; NULL = it has none.';
comment on column bi.open_alerts.last_seen_at is 'When the rule was last found broken.';
comment on column bi.open_alerts.acknowledged_at is 'When somebody took notice; NULL = nobody did.';
comment on column bi.open_alerts.acknowledged_by is 'Who did.';
comment on column bi.open_alerts.notes is 'What people wrote about it.';
comment on column bi.open_alerts.open_hours is 'Since when it was raised, hours.';
