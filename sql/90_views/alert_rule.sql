create or replace view bi.alert_rule as
select r.name as rule, o.model, r.description, r.severity, r.comparison, coalesce(o.threshold, r.threshold) as threshold,
    coalesce(o.is_active, r.is_active) as is_active, r.is_automatic, r.about, r.measure, coalesce(o.changed_at, r.changed_at) as changed_at,
    coalesce(o.changed_by, r.changed_by) as changed_by
from core.alert_rule as r
left join (
    select x.rule, x.model, x.threshold, x.is_active, x.changed_at, x.changed_by from core.alert_rule_override as x
    union all
    select x.name, null, null, null, null, null from core.alert_rule as x
) as o on o.rule = r.name;

comment on view bi.alert_rule is 'What is worth an alert: one row a rule, and one for each model for which it is otherwise.';
comment on column bi.alert_rule.rule is 'Name of the rule.';
comment on column bi.alert_rule.model is 'The model it is so for; NULL = all others.';
comment on column bi.alert_rule.description is 'What is measured, with its unit.';
comment on column bi.alert_rule.severity is 'warning or critical.';
comment on column bi.alert_rule.comparison is 'above or below: on which side of the threshold the rule is broken.';
comment on column bi.alert_rule.threshold is 'The threshold, in the unit of the measure.';
comment on column bi.alert_rule.is_active is 'Whether it is looked at.';
comment on column bi.alert_rule.is_automatic is 'Whether api.raise_alerts looks at it; false = who finds it broken says so.';
comment on column bi.alert_rule.about is 'What its alerts are about: model, job, import, other.';
comment on column bi.alert_rule.measure is 'What is measured; of the rules of one measure only the most severe one raises.';
comment on column bi.alert_rule.changed_at is 'When somebody last changed it.';
comment on column bi.alert_rule.changed_by is 'Database role that did.';
