"""What goes wrong is an alert: raised once, acknowledged, resolved, and sent to whoever asked."""

from loader.schema import run

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run(r"""
create table core.alert_rule (
    name text primary key,
    description text not null,
    measure text not null,
    severity text not null check (severity in ('warning', 'critical')),
    threshold float8 not null check (abs(threshold) < 'infinity'),
    comparison text not null default 'above' check (comparison in ('above', 'below')),
    about text not null check (about in ('model', 'job', 'import', 'other')),
    is_automatic boolean not null default true,
    is_active boolean not null default true,
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user
);
comment on table core.alert_rule is 'Holds what is worth an alert; thresholds are changed by api.set_alert_rule, rules of one''s own made by api.add_alert_rule.';
comment on column core.alert_rule.name is 'Name of the rule.';
comment on column core.alert_rule.description is 'What it says.';
comment on column core.alert_rule.measure is 'What is compared with the threshold; of the rules of one measure only the most severe one raises.';
comment on column core.alert_rule.severity is 'warning or critical.';
comment on column core.alert_rule.threshold is 'An alert is raised above (or below) it; in the unit of the measure.';
comment on column core.alert_rule.comparison is 'above or below: on which side of the threshold the rule is broken.';
comment on column core.alert_rule.about is 'What its alerts are about: model, job, import, other.';
comment on column core.alert_rule.is_automatic is 'Whether api.raise_alerts looks at it; false = who finds it broken says so with api.raise_alert.';
comment on column core.alert_rule.is_active is 'Whether it is looked at.';
comment on column core.alert_rule.changed_at is 'When somebody last changed it.';
comment on column core.alert_rule.changed_by is 'Database role that did.';
insert into core.alert_rule (name, description, measure, severity, threshold, comparison, about, is_automatic)
values
    ('mape_critical', 'MAPE of the last 7 days, percent.', 'mape', 'critical', 15, 'above', 'model', true),
    ('mape_warning', 'MAPE of the last 7 days, percent.', 'mape', 'warning', 10, 'above', 'model', true),
    ('mape_worse_percent', 'MAPE of the last 7 days against that of the 7 days before, percent worse.', 'mape_change', 'warning', 20, 'above', 'model', true),
    ('bad_segment_count', 'Series or products whose MAPE of the last 7 days is above the setting alerts.bad_segment_mape.', 'bad_segments', 'warning', 3, 'above',
        'model', true),
    ('bias', '|Mean of actual - forecast| of the last 7 days, unit of the series.', 'absolute_bias', 'warning', 10000, 'above', 'model', true),
    ('coverage_low', 'Share of actual values inside the 80 % interval in the last 7 days, percent.', 'coverage_80', 'warning', 60, 'below', 'model', true),
    ('data_late', 'Steps of the model begun since its last row.', 'data_age', 'warning', 2, 'above', 'model', true),
    -- The weekly retraining must have had its chance.
    ('model_stale', 'Age of the deployed version, or of the last decision to keep it, as a multiple of the maximum of its retraining policy.', 'model_age', 'warning',
        1.25, 'above', 'model', true),
    ('retraining_failed', 'Retrainings that failed since one was decided.', 'failed_retrainings', 'warning', 0, 'above', 'model', true),
    ('import_late', 'Days since a file was imported, once there was one.', 'import_age', 'warning', 14, 'above', 'import', true),
    ('job_failed', 'Attempts that failed since one succeeded, percent of those allowed.', 'failed_attempts', 'warning', 0, 'above', 'job', true),
    ('job_given_up', 'Attempts that failed since one succeeded, percent of those allowed.', 'failed_attempts', 'critical', 99, 'above', 'job', true),
    ('job_overdue', 'Periods of a job in which nothing finished.', 'job_age', 'critical', 2, 'above', 'job', true),
    ('tampered', 'Stored fits that this server did not sign (api.verify_cache).', 'tampered', 'critical', 0, 'above', 'model', false)
on conflict do nothing;

create table core.alert_rule_override (
    rule text not null references core.alert_rule on update cascade on delete cascade,
    model text not null references core.model_definition on update cascade on delete cascade,
    threshold float8 check (abs(threshold) < 'infinity'),
    is_active boolean,
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user,
    primary key (rule, model),
    check (num_nonnulls(threshold, is_active) > 0)
);
create index alert_rule_override_model_idx on core.alert_rule_override (model);
comment on index core.alert_rule_override_model_idx is 'Usage: renaming and dropping models.';
comment on table core.alert_rule_override is 'Holds what is otherwise for one model: rows are changed by api.set_alert_rule and api.reset_alert_rule.';
comment on column core.alert_rule_override.rule is 'The rule.';
comment on column core.alert_rule_override.model is 'The model.';
comment on column core.alert_rule_override.threshold is 'Its threshold; NULL = that of the rule.';
comment on column core.alert_rule_override.is_active is 'Whether the rule is looked at for it; NULL = as the rule says.';
comment on column core.alert_rule_override.changed_at is 'When somebody last changed it.';
comment on column core.alert_rule_override.changed_by is 'Database role that did.';

create table core.alert (
    id bigint generated always as identity primary key,
    rule text not null references core.alert_rule on update cascade,
    subject text not null,
    model text,
    version int,
    segment text,
    severity text not null check (severity in ('warning', 'critical')),
    message text not null,
    value float8,
    threshold float8,
    status text not null default 'open' check (status in ('open', 'acknowledged', 'resolved')),
    raised_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    resolved_by text,
    notes text,
    replaced_alert_id bigint references core.alert on delete set null,
    constraint figures_are_finite check (greatest(abs(value), abs(threshold)) < 'infinity')
);
create unique index alert_open_idx on core.alert (rule, subject) where status <> 'resolved';
create index alert_raised_at_idx on core.alert (raised_at, id);
comment on index core.alert_open_idx is 'Usage: what is open; raised once while it is.';
comment on index core.alert_raised_at_idx is 'Usage: the newest alerts.';
create index alert_replaced_alert_id_idx on core.alert (replaced_alert_id) where replaced_alert_id is not null;
comment on index core.alert_replaced_alert_id_idx is 'Usage: what an alert became; deleting alerts.';
comment on table core.alert is 'Holds what went wrong: raised once while open, acknowledged by a person, resolved by a person or when it is right again.';
comment on column core.alert.id is 'Key.';
comment on column core.alert.rule is 'The rule it breaks.';
comment on column core.alert.subject is 'What it is about: a model, a job.';
comment on column core.alert.model is 'The model; NULL = none.';
comment on column core.alert.version is 'Its version; NULL = none.';
comment on column core.alert.segment is 'The segment; NULL = over all.';
comment on column core.alert.severity is 'warning or critical.';
comment on column core.alert.message is 'What is wrong, in words, as it was last found.';
comment on column core.alert.value is 'The measure when the rule was last found broken; NULL = it has none.';
comment on column core.alert.threshold is 'The threshold then; NULL = it has none.';
comment on column core.alert.status is 'open, acknowledged, resolved.';
comment on column core.alert.raised_at is 'When it was raised.';
comment on column core.alert.last_seen_at is 'When the rule was last found broken.';
comment on column core.alert.acknowledged_at is 'When somebody took notice; NULL = nobody yet.';
comment on column core.alert.acknowledged_by is 'Who did.';
comment on column core.alert.resolved_at is 'When it was over; NULL = not yet.';
comment on column core.alert.resolved_by is 'Who said so; NULL = the rule is no longer broken, or not resolved.';
comment on column core.alert.notes is 'What people wrote about it.';
comment on column core.alert.replaced_alert_id is 'The warning it grew out of, resolved since; NULL = none.';

create table core.webhook (
    id int generated always as identity primary key,
    -- A host without user and password, no spaces, no control characters, no fragment.
    url text not null unique check (url ~ '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!-~]*)?$' and url !~ '#' and length(url) <= 2000),
    target text not null generated always as (substring(url from '^https?://[^/?]+')) stored,
    description text,
    min_severity text not null default 'warning' check (min_severity in ('warning', 'critical')),
    rules text[] check (cardinality(rules) > 0),
    models text[] check (cardinality(models) > 0),
    secret_name text check (secret_name ~ '^WEIGHHOUSE_WEBHOOK_[A-Z0-9_]+$'),
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    created_by text not null default session_user
);
comment on table core.webhook is 'Holds who is told of alerts; rows are made by api.add_webhook. A URL may be a secret: analysts see bi.webhook instead.';
comment on column core.webhook.id is 'Key.';
comment on column core.webhook.url is 'Where the loader posts to.';
comment on column core.webhook.target is 'Scheme and host of the URL: what may be shown.';
comment on column core.webhook.description is 'What it is for; NULL = nothing said.';
comment on column core.webhook.min_severity is 'warning = all alerts, critical = critical ones only.';
comment on column core.webhook.rules is 'Rules it wants; NULL = all.';
comment on column core.webhook.models is 'Models it wants; NULL = all, and what is about no model.';
comment on column core.webhook.secret_name is 'Environment variable of the worker that holds the key of the signature; NULL = not signed.';
comment on column core.webhook.is_active is 'Whether it is told of what happens from now on.';
comment on column core.webhook.created_at is 'When it was added.';
comment on column core.webhook.created_by is 'Database role that added it.';

create table core.webhook_delivery (
    id uuid primary key default gen_random_uuid(),
    number bigint generated always as identity,
    webhook_id int references core.webhook on delete set null,
    target text not null,
    alert_id bigint not null references core.alert on delete cascade,
    event text not null check (event in ('raised', 'acknowledged', 'resolved', 'escalated')),
    payload jsonb not null,
    status text not null default 'pending' check (status in ('pending', 'sent', 'failed', 'given_up')),
    attempts int not null default 0 check (attempts >= 0),
    created_at timestamptz not null default clock_timestamp(),
    next_attempt_at timestamptz default clock_timestamp(),
    last_error text,
    response_status int,
    sent_at timestamptz,
    check ((status in ('pending', 'failed')) = (next_attempt_at is not null)),
    check ((status = 'sent') = (sent_at is not null))
);
create index webhook_delivery_due_idx on core.webhook_delivery (next_attempt_at) where next_attempt_at is not null;
create index webhook_delivery_webhook_id_idx on core.webhook_delivery (webhook_id, alert_id, number);
create index webhook_delivery_alert_id_idx on core.webhook_delivery (alert_id);
create index webhook_delivery_number_idx on core.webhook_delivery (number);
comment on index core.webhook_delivery_due_idx is 'Usage: what is to be sent.';
comment on index core.webhook_delivery_webhook_id_idx is 'Usage: what a webhook was told of an alert, in order.';
comment on index core.webhook_delivery_alert_id_idx is 'Usage: who was told of an alert; deleting alerts.';
comment on index core.webhook_delivery_number_idx is 'Usage: the newest deliveries.';
comment on table core.webhook_delivery is 'Holds the outbox: what is to be posted to whom, written with the change of the alert, and what became of it.';
comment on column core.webhook_delivery.id is 'Key; sent along, so that the receiver knows a repetition.';
comment on column core.webhook_delivery.number is 'Counts deliveries in their order.';
comment on column core.webhook_delivery.webhook_id is 'The webhook; NULL = removed since.';
comment on column core.webhook_delivery.target is 'Scheme and host of its URL.';
comment on column core.webhook_delivery.alert_id is 'The alert.';
comment on column core.webhook_delivery.event is 'raised, acknowledged, resolved, escalated (raised in place of a warning).';
comment on column core.webhook_delivery.payload is 'What is posted: id, event and the alert as it was then.';
comment on column core.webhook_delivery.status is 'pending, failed (it will be tried again), sent, given_up.';
comment on column core.webhook_delivery.attempts is 'Attempts made.';
comment on column core.webhook_delivery.created_at is 'When it was queued.';
comment on column core.webhook_delivery.next_attempt_at is 'When it is due; NULL = it is sent or given up.';
comment on column core.webhook_delivery.last_error is 'Why the last attempt failed; NULL = none did.';
comment on column core.webhook_delivery.response_status is 'HTTP status of the last answer; NULL = there was none.';
comment on column core.webhook_delivery.sent_at is 'When the receiver confirmed it; NULL = not yet.';

-- No person changes anything here: the audit trail has nothing to tell.
alter table core.settings disable trigger record_change;
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('alerts.bad_segment_mape', '30', 'MAPE above which a series or product counts as a bad segment, percent.'),
    ('alerts.coverage_min_forecasts', '20', 'Forecasts needed before the coverage of intervals is judged.'),
    ('webhooks.max_attempts', '5', 'Attempts at a delivery before it is given up.'),
    ('webhooks.backoff_seconds', '60', 'Wait after the first failed attempt, seconds; doubled after each further one, +-12.5 %.'),
    ('webhooks.timeout_seconds', '10', 'How long a receiver may take to answer, seconds.')
) as s (name, value, description)
on conflict do nothing;
alter table core.settings enable trigger record_change;

create trigger record_change after insert or update or delete on core.alert_rule
    for each row execute function core.record_change('alert_rule', 'name', 'changed_at changed_by');
create trigger record_change after insert or update or delete on core.alert_rule_override
    for each row execute function core.record_change('alert_rule_override', 'rule model', 'changed_at changed_by');
-- A URL may be a secret; the trail shows its host.
create trigger record_change after insert or update or delete on core.webhook
    for each row execute function core.record_change('webhook', 'id', 'url');
""")


def downgrade() -> None:
    run(r"""
-- Settings stay: what a person set outlives the revision.
drop table core.webhook_delivery, core.webhook, core.alert, core.alert_rule_override, core.alert_rule;
""")
