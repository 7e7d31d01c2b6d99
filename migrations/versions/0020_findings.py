"""Anomalies of the series of models, where they begin, and what is asked of artifacts."""

from loader.schema import run

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run(r"""
create table core.anomaly (
    id bigint generated always as identity primary key,
    model text not null references core.model_definition on update cascade on delete cascade,
    -- Rows go with their model, as its series do.
    series_id int not null,
    target_time timestamptz not null,
    method text not null check (method in ('forecast', 'history')),
    actual float8 not null,
    expected float8 not null,
    score float8 not null,
    threshold float8 not null,
    version int,
    status text not null default 'open' check (status in ('open', 'acknowledged', 'resolved')),
    found_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    notes text,
    unique (model, series_id, target_time, method),
    constraint figures_are_finite check (greatest(abs(actual), abs(expected), abs(score), abs(threshold)) < 'infinity')
);
create index anomaly_target_time_idx on core.anomaly (target_time, id);
create index anomaly_model_idx on core.anomaly (model, target_time) where status = 'open';
comment on index core.anomaly_target_time_idx is 'Usage: the newest anomalies.';
comment on index core.anomaly_model_idx is 'Usage: the open anomalies of the last days of a model.';
comment on table core.anomaly is 'Holds values of the series of models that were not to be expected; a search that finds them again changes nothing.';
comment on column core.anomaly.id is 'Key.';
comment on column core.anomaly.model is 'The model.';
comment on column core.anomaly.series_id is 'The series.';
comment on column core.anomaly.target_time is 'Start of the step.';
comment on column core.anomaly.method is 'forecast: against the forecast issued for it; history: against the course of the series itself.';
comment on column core.anomaly.actual is 'What was observed, in the unit of the series.';
comment on column core.anomaly.expected is 'What was expected.';
comment on column core.anomaly.score is 'Difference in standard deviations, with its sign; at most 1e6.';
comment on column core.anomaly.threshold is 'Score beyond which it was an anomaly.';
comment on column core.anomaly.version is 'The version that forecast; NULL = none did.';
comment on column core.anomaly.status is 'open, acknowledged (somebody knows), resolved (a later search did not find it any more).';
comment on column core.anomaly.found_at is 'When it was first found.';
comment on column core.anomaly.changed_at is 'When its figures or its status last changed.';
comment on column core.anomaly.acknowledged_at is 'When somebody took notice; NULL = nobody did.';
comment on column core.anomaly.acknowledged_by is 'Who did.';
comment on column core.anomaly.resolved_at is 'When it was no longer found; NULL = it is.';
comment on column core.anomaly.notes is 'What people wrote about it.';

create table core.anomaly_threshold (
    model text primary key references core.model_definition on update cascade on delete cascade,
    threshold float8 not null check (threshold > 0 and threshold < 'infinity'),
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user
);
comment on table core.anomaly_threshold is 'Holds where anomalies begin for one model, otherwise than by the setting; rows are made by api.set_anomaly_threshold.';
comment on column core.anomaly_threshold.model is 'The model.';
comment on column core.anomaly_threshold.threshold is 'Score beyond which a value is an anomaly, standard deviations.';
comment on column core.anomaly_threshold.changed_at is 'When somebody last changed it.';
comment on column core.anomaly_threshold.changed_by is 'Database role that did.';
create trigger record_change after insert or update or delete on core.anomaly_threshold
    for each row execute function core.record_change('anomaly_threshold', 'model', 'changed_at changed_by');

-- No person changes anything here: the audit trail has nothing to tell.
alter table core.settings disable trigger record_change;
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('anomalies.threshold', '5', 'Score beyond which a value is an anomaly, standard deviations; of one model: api.set_anomaly_threshold.'),
    ('anomalies.days', '35', 'How far back the monitoring job holds actual values against forecasts, days before the newest row of a model (at least 3 steps).'),
    ('cache.max_artifacts', '10', 'Newest versions of a model that keep what was fitted, and newest artifacts without a version, beside what is in force and its rollback target.'),
    ('export.max_numbers', '1000000', 'Numbers of an array an export writes out; larger ones leave as the base64 of their .npz.')
) as s (name, value, description)
on conflict (name) do nothing;
alter table core.settings enable trigger record_change;

alter table core.alert_rule disable trigger record_change;
insert into core.alert_rule (name, description, measure, severity, threshold, comparison, about, is_automatic)
values ('anomalies', 'Open anomalies of the last 7 days of a model (api.acknowledge_anomalies).', 'open_anomalies', 'warning', 3, 'above', 'model', true)
on conflict (name) do nothing;
alter table core.alert_rule enable trigger record_change;
""")


def downgrade() -> None:
    run(r"""
-- Settings and the rule stay: what a person set outlives the revision.
drop table core.anomaly_threshold, core.anomaly;
""")
