"""When a model is retrained, and how much better a challenger must be, are rows; the log keeps the evidence."""

from loader.schema import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run(r"""
create table core.retraining_policy (
    model text unique nulls not distinct references core.model_definition on update cascade on delete cascade,
    mape_threshold float8 not null default 15 check (mape_threshold > 0 and mape_threshold < 'infinity'),
    max_age interval not null default '30 days' check (max_age > '0'),
    max_new_observations int not null default 1000 check (max_new_observations > 0),
    significant_percent float8 not null default 5 check (significant_percent between 0 and 100),
    minor_percent float8 not null default 1 check (minor_percent between 0 and 100),
    is_active boolean not null default true,
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user,
    check (minor_percent <= significant_percent)
);
insert into core.retraining_policy (model) values (null);
comment on table core.retraining_policy is 'Holds when models are retrained and how much better a challenger must be; rows are changed by api.set_retraining_policy.';
comment on column core.retraining_policy.model is 'The model; NULL = every model without a row of its own.';
comment on column core.retraining_policy.mape_threshold is 'MAPE of the deployed version above which it is retrained, percent.';
comment on column core.retraining_policy.max_age is 'Age of its fit above which it is retrained.';
comment on column core.retraining_policy.max_new_observations is 'Observations scored since its fit above which it is retrained.';
comment on column core.retraining_policy.significant_percent is 'Improvement above which a challenger is deployed as significantly better, percent.';
comment on column core.retraining_policy.minor_percent is 'Improvement above which it is deployed as a little better, percent.';
comment on column core.retraining_policy.is_active is 'Whether it is retrained by itself; by hand always.';
comment on column core.retraining_policy.changed_at is 'When somebody last changed it.';
comment on column core.retraining_policy.changed_by is 'Database role that did.';
""")


def downgrade() -> None:
    run(r"""
drop table core.retraining_policy;
""")
