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
    created_by text not null default session_user,
    attempt_started_at timestamptz,
    missed_count bigint not null default 0,
    last_status text check (last_status in ('succeeded', 'skipped', 'failed', 'crashed', 'given up')),
    last_started_at timestamptz,
    last_finished_at timestamptz,
    last_done_at timestamptz,
    failure_count int not null default 0,
    watched_since timestamptz not null default now()
);
comment on table core.job is 'Holds what runs by itself, and when; rows are changed by api.schedule, pause_job and resume_job, and outlive upgrades.';
comment on column core.job.name is 'Name of the job.';
comment on column core.job.task is 'What it does: one of the tasks of internal.job_steps.';
comment on column core.job.arguments is 'Arguments of the task.';
comment on column core.job.every is
'From one window to the next. Days, weeks and months are those of the calendar of time_zone; hours and minutes alone are as long as they are.';
comment on column core.job.starting is
'Start of the first window, from which all others are reckoned: Sunday 2000-01-02 03:00 in time_zone and 7 days = Sundays at 3.';
comment on column core.job.time_zone is 'Zone of the calendar.';
comment on column core.job.is_paused is 'Whether an operator stopped it.';
comment on column core.job.max_attempts is 'How often a window is tried before it is given up.';
comment on column core.job.next_at is 'When it is due; later than its window while it waits for another attempt; NULL = not reckoned yet.';
comment on column core.job.window_start is 'The window that is due or being tried; NULL = none yet.';
comment on column core.job.attempt is 'Attempts made at that window.';
comment on column core.job.created_at is 'When it was scheduled.';
comment on column core.job.created_by is 'Database role that scheduled it.';
comment on column core.job.attempt_started_at is 'Start of the attempt under way; NULL = none is.';
comment on column core.job.missed_count is 'Windows before window_start that nobody ran, for which it stands.';
comment on column core.job.last_status is 'How the last attempt ended: succeeded, skipped (there was nothing to do), failed, crashed, given up; NULL = none ended yet.';
comment on column core.job.last_started_at is 'Start of the attempt that ended last.';
comment on column core.job.last_finished_at is 'When the last attempt ended.';
comment on column core.job.last_done_at is 'When a window was last done (succeeded or skipped).';
comment on column core.job.failure_count is 'Attempts that failed since a window was last done.';
comment on column core.job.watched_since is 'Before this nothing is expected of it: when it was scheduled, changed or resumed.';

alter table core.job_run
    add column window_start timestamptz,
    add column attempt int,
    drop constraint job_run_status_check,
    add constraint job_run_status_check check (status in ('running', 'succeeded', 'skipped', 'failed', 'crashed'));
comment on column core.job_run.status is 'running, succeeded, skipped (there is nothing it could work on), failed, crashed (its session ended before it did).';
comment on column core.job_run.window_start is 'The window it ran for; NULL = run by hand.';
comment on column core.job_run.attempt is 'Which attempt at the window, from 1; NULL = run by hand.';
create index job_run_window_start_idx on core.job_run (job, window_start, id) where window_start is not null;
create index job_run_running_idx on core.job_run (job, id) where status = 'running';
comment on index core.job_run_window_start_idx is 'Usage: what was done of a window.';
comment on index core.job_run_running_idx is 'Usage: what runs.';

create table core.clock (
    kind text primary key check (kind in ('timescaledb', 'pg_cron', 'worker')),
    started_at timestamptz not null default now(),
    started_by text not null default session_user,
    stopped_at timestamptz,
    last_tick_at timestamptz
);
comment on table core.clock is 'Holds what calls core.run_due_jobs every minute: at most one kind at a time; rows are changed by api.start_clock and stop_clock.';
comment on column core.clock.kind is 'timescaledb (its scheduler, Community edition), pg_cron, or worker (the command loader worker).';
comment on column core.clock.started_at is 'When it was started.';
comment on column core.clock.started_by is 'Database role that started it.';
comment on column core.clock.stopped_at is 'When it was stopped, or another took its place; NULL = it runs, or should.';
comment on column core.clock.last_tick_at is 'When it was last heard of; NULL = never.';

-- State, since the schedulers name them: code is dropped and built again by every upgrade, and these go on.
create procedure core.run_due_jobs(job_id int default null, config jsonb default null)
language plpgsql
as $$
begin
    set local search_path = pg_catalog, pg_temp;
    call internal.run_due_jobs(config ->> 'clock');
end
$$;
comment on procedure core.run_due_jobs(int, jsonb) is
'Runs what is due: what a clock calls every minute. Not inside a transaction.

The arguments are those TimescaleDB passes; config names the clock, as {"clock": "worker"}; NULL = called by hand.';

create procedure core.watch_jobs(job_id int default null, config jsonb default null)
language plpgsql
as $$
begin
    set local search_path = pg_catalog, pg_temp;
    perform internal.watch_jobs(config ->> 'clock');
end
$$;
comment on procedure core.watch_jobs(int, jsonb) is
'Looks after what runs, without running anything: what a clock calls every minute, also while its other sessions work.

The arguments are those of core.run_due_jobs.';
revoke all on procedure core.run_due_jobs(int, jsonb), core.watch_jobs(int, jsonb) from public;
grant execute on procedure core.run_due_jobs(int, jsonb), core.watch_jobs(int, jsonb) to weighhouse_owner, weighhouse_fitter;

-- No person changes anything here: the audit trail has nothing to tell.
alter table core.settings disable trigger record_change;
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('jobs.backoff_seconds', '60', 'Wait before the second attempt at a job, seconds; it doubles with each attempt, and differs by up to 12.5 % by chance.'),
    ('jobs.backoff_most_seconds', '3600', 'The wait before another attempt grows no longer than this, seconds.'),
    ('jobs.step_timeout_seconds', '3600', 'A step of a job that runs longer than this, seconds, is cancelled and has failed; it is seen within a minute.'),
    ('jobs.keep_days', '400', 'Rows of finished steps of jobs are kept this many days.')
) as s (name, value, description)
on conflict (name) do nothing;
alter table core.settings enable trigger record_change;

insert into core.job (name, task, every, starting)
values
    ('nightly', 'nightly', '1 day', '2000-01-02 01:00 UTC'),
    ('monitoring', 'monitoring', '1 day', '2000-01-02 02:00 UTC'),
    ('retraining', 'retraining', '7 days', '2000-01-02 03:00 UTC'),
    ('refresh', 'refresh', '15 minutes', '2000-01-02 00:00 UTC'),
    ('housekeeping', 'housekeeping', '1 day', '2000-01-02 04:00 UTC')
on conflict (name) do nothing;

-- What a run leaves in the row is no news: core.job_run has it.
create trigger record_change after insert or update or delete on core.job
    for each row execute function core.record_change(
        'job', 'name',
        'next_at window_start attempt attempt_started_at missed_count last_status last_started_at last_finished_at last_done_at failure_count watched_since'
    );
""")


def downgrade() -> None:
    run(r"""
-- An entry of a scheduler whose procedure is gone would fail every minute. Read late: neither need be there.
do $do$
declare
    entry record;
begin
    if to_regclass('timescaledb_information.jobs') is not null then
        for entry in execute
            'select j.job_id from timescaledb_information.jobs as j where j.proc_schema = ''core'' and j.proc_name in (''run_due_jobs'', ''watch_jobs'')'
        loop
            execute 'select public.delete_job($1)' using entry.job_id;
        end loop;
    end if;
    if to_regclass('cron.job') is not null then
        execute
            'select cron.unschedule(j.jobid) from cron.job as j where j.jobname like ''weighhouse %'' and j.database = current_database()';
    end if;
end
$do$;
-- Settings stay: what somebody chose is in force again when the tables come back.
drop procedure core.run_due_jobs(int, jsonb), core.watch_jobs(int, jsonb);
drop table core.clock;
update core.job_run set status = 'failed' where status = 'crashed';
drop index core.job_run_window_start_idx, core.job_run_running_idx;
alter table core.job_run
    drop column window_start,
    drop column attempt,
    drop constraint job_run_status_check,
    add constraint job_run_status_check check (status in ('running', 'succeeded', 'skipped', 'failed'));
comment on column core.job_run.status is 'running, succeeded, skipped (there is nothing it could work on), failed.';
drop table core.job;
""")
