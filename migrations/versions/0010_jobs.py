"""What runs by itself leaves a row for each step."""

from loader.schema import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run(r"""
create table core.job_run (
    id bigint generated always as identity primary key,
    job text not null,
    step text not null,
    status text not null default 'running' check (status in ('running', 'succeeded', 'skipped', 'failed')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    requested_by text not null default session_user,
    backend_pid int not null default pg_backend_pid(),
    row_count bigint,
    detail text,
    sqlstate text,
    error text,
    check ((status = 'running') = (finished_at is null))
);
create index job_run_job_idx on core.job_run (job, step, id desc);
comment on index core.job_run_job_idx is 'Usage: the last runs of a step.';
comment on table core.job_run is 'Holds one row for each step of each run of a job.';
comment on column core.job_run.id is 'Key.';
comment on column core.job_run.job is 'The job.';
comment on column core.job_run.step is 'Its step.';
comment on column core.job_run.status is 'running, succeeded, skipped (there is nothing it could work on), failed.';
comment on column core.job_run.started_at is 'Start.';
comment on column core.job_run.finished_at is 'End; NULL = running, or its session ended before it did.';
comment on column core.job_run.requested_by is 'Database role that ran it.';
comment on column core.job_run.backend_pid is 'Process of the session.';
comment on column core.job_run.row_count is 'Rows it wrote or changed; NULL = it does not count, or failed.';
comment on column core.job_run.detail is 'What it did, in words.';
comment on column core.job_run.sqlstate is 'SQLSTATE of the error; NULL = none.';
comment on column core.job_run.error is 'Why it failed or was skipped; NULL = it was not.';
""")


def downgrade() -> None:
    run(r"""
drop table core.job_run;
""")
