"""Jobs have a schedule, and every attempt at them leaves a row."""

from loader.schema import run

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run(r"""
create table core.job (
    name text primary key check (name = btrim(name) and name <> '' and length(name) <= 200),
    task text not null,
    arguments jsonb not null default '{}' check (jsonb_typeof(arguments) = 'object'),
    every interval not null check (every > '0'),
    starting timestamptz not null,
    time_zone text not null default 'UTC',
    is_paused boolean not null default false,
    max_attempts int not null default 5 check (max_attempts between 1 and 20),
    next_at timestamptz,
    window_start timestamptz,
    attempt int not null default 0,
    created_at timestamptz not null default now(),
    created_by text not null default session_user
);
comment on table core.job is 'Holds what runs by itself, and when; rows are changed by api.schedule, pause_job and resume_job, and outlive upgrades.';
comment on column core.job.name is 'Name of the job.';
comment on column core.job.task is 'What it does: one of the tasks of internal.job_steps.';
comment on column core.job.arguments is 'Arguments of the task.';
comment on column core.job.every is 'From one window to the next, reckoned in the calendar of time_zone.';
comment on column core.job.starting is 'The start of some window, any: Sunday 2000-01-02 03:00 in time_zone and 7 days = Sundays at 3.';
comment on column core.job.time_zone is 'Zone of the calendar.';
comment on column core.job.is_paused is 'Whether an operator stopped it.';
comment on column core.job.max_attempts is 'How often a window is tried before it is given up.';
comment on column core.job.next_at is 'When it is due; later than its window while it waits for another attempt; NULL = not reckoned yet.';
comment on column core.job.window_start is 'The window that is due or being tried; NULL = none yet.';
comment on column core.job.attempt is 'Attempts made at that window.';
comment on column core.job.created_at is 'When it was scheduled.';
comment on column core.job.created_by is 'Database role that scheduled it.';

alter table core.job_run
    add column window_start timestamptz,
    add column attempt int,
    drop constraint job_run_status_check,
    add constraint job_run_status_check check (status in ('running', 'succeeded', 'skipped', 'failed', 'crashed'));
comment on column core.job_run.status is 'running, succeeded, skipped (there is nothing it could work on), failed, crashed (its session ended before it did).';
comment on column core.job_run.window_start is 'The window it ran for; NULL = run by hand.';
comment on column core.job_run.attempt is 'Which attempt at the window, from 1; NULL = run by hand.';
""")


def downgrade() -> None:
    run(r"""
update core.job_run set status = 'failed' where status = 'crashed';
alter table core.job_run
    drop column window_start,
    drop column attempt,
    drop constraint job_run_status_check,
    add constraint job_run_status_check check (status in ('running', 'succeeded', 'skipped', 'failed'));
drop table core.job;
""")
