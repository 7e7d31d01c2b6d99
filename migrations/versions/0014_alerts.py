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
    is_active boolean not null default true,
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user
);
comment on table core.alert_rule is 'Holds what is worth an alert; thresholds are changed by api.set_alert_rule.';
comment on column core.alert_rule.name is 'Name of the rule.';
comment on column core.alert_rule.description is 'What it says.';
comment on column core.alert_rule.measure is 'What is compared with the threshold.';
comment on column core.alert_rule.severity is 'warning or critical.';
comment on column core.alert_rule.threshold is 'An alert is raised above it; in the unit of the measure.';
comment on column core.alert_rule.is_active is 'Whether it is looked at.';
comment on column core.alert_rule.changed_at is 'When somebody last changed it.';
comment on column core.alert_rule.changed_by is 'Database role that did.';

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
    constraint figures_are_finite check (greatest(abs(value), abs(threshold)) < 'infinity')
);
create unique index alert_open_idx on core.alert (rule, subject) where status <> 'resolved';
create index alert_raised_at_idx on core.alert (raised_at desc);
comment on index core.alert_open_idx is 'Usage: what is open; raised once while it is.';
comment on index core.alert_raised_at_idx is 'Usage: the newest alerts.';
comment on table core.alert is 'Holds what went wrong: raised once while open, acknowledged by a person, resolved by a person or when it is right again.';
comment on column core.alert.id is 'Key.';
comment on column core.alert.rule is 'The rule it breaks.';
comment on column core.alert.subject is 'What it is about: a model, a job.';
comment on column core.alert.model is 'The model; NULL = none.';
comment on column core.alert.version is 'Its version; NULL = none.';
comment on column core.alert.segment is 'The segment; NULL = over all.';
comment on column core.alert.severity is 'warning or critical.';
comment on column core.alert.message is 'What is wrong, in words.';
comment on column core.alert.value is 'The measure when it was raised; NULL = it has none.';
comment on column core.alert.threshold is 'The threshold then; NULL = it has none.';
comment on column core.alert.status is 'open, acknowledged, resolved.';
comment on column core.alert.raised_at is 'When it was raised.';
comment on column core.alert.last_seen_at is 'When the rule was last found broken.';
comment on column core.alert.acknowledged_at is 'When somebody took notice; NULL = nobody yet.';
comment on column core.alert.acknowledged_by is 'Who did.';
comment on column core.alert.resolved_at is 'When it was over; NULL = not yet.';
comment on column core.alert.resolved_by is 'Who said so; NULL = the rule is no longer broken, or not resolved.';
comment on column core.alert.notes is 'What people wrote about it.';
""")


def downgrade() -> None:
    run(r"""
drop table core.alert, core.alert_rule;
""")
