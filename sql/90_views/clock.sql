create or replace view bi.clock as
select c.kind, c.started_at as time, c.started_by, c.stopped_at is null as is_started, c.stopped_at, c.last_tick_at,
    c.stopped_at is null and coalesce(c.last_tick_at > now() - interval '3 minutes', false) as is_alive, e.entry_count, e.next_start,
    case when c.kind = 'timescaledb' then coalesce(e.is_lost, false) else false end as is_lost
from core.clock as c
left join bi.scheduler_entries() as e on e.kind = c.kind;

comment on view bi.clock is 'What calls the jobs when they are due, and whether it is alive. No row = nothing was ever started.';
comment on column bi.clock.kind is 'timescaledb, pg_cron or worker.';
comment on column bi.clock.time is 'When it was started.';
comment on column bi.clock.started_by is 'Database role that started it.';
comment on column bi.clock.is_started is 'Whether it is the one that is to run jobs.';
comment on column bi.clock.stopped_at is 'When it was stopped, or another took its place; NULL = it was not.';
comment on column bi.clock.last_tick_at is 'When it was last heard of; NULL = never.';
comment on column bi.clock.is_alive is 'Whether it is started, and was heard of within three minutes.';
comment on column bi.clock.entry_count is 'What the scheduler was told to run, 3 when all is well; NULL = nothing, it cannot be seen, or it is a worker.';
comment on column bi.clock.next_start is 'When TimescaleDB starts the next; NULL = it does not say.';
comment on column bi.clock.is_lost is 'TimescaleDB will not start an entry again by itself: api.stop_clock, then api.start_clock.';
