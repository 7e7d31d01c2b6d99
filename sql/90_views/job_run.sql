create or replace view bi.job_run as
select r.started_at as time, r.id as job_run_id, r.job, r.step,
    -- A session that runs a step holds the lock of the job (api.run_job).
    case when r.status = 'running' and not exists (
        select from pg_locks as l
        where l.locktype = 'advisory' and l.classid = x'5745494e'::int::oid and l.objid::bigint = hashtext(r.job)::bigint & x'ffffffff'::bigint
          and l.pid = r.backend_pid
    ) then 'cancelled' else r.status end as status,
    extract(epoch from r.finished_at - r.started_at)::float8 as duration_seconds, r.row_count, r.detail, r.sqlstate, r.error, r.requested_by
from core.job_run as r;

comment on view bi.job_run is 'What ran by itself or was asked for: one row a step, with how it ended.';
comment on column bi.job_run.time is 'Start.';
comment on column bi.job_run.job_run_id is 'Key of the row.';
comment on column bi.job_run.job is 'The job, as nightly.';
comment on column bi.job_run.step is 'Its step.';
comment on column bi.job_run.status is 'running, succeeded, skipped (there is nothing it could work on), failed, cancelled (its session no longer runs it).';
comment on column bi.job_run.duration_seconds is 'From start to end; NULL = it has not ended.';
comment on column bi.job_run.row_count is 'Rows written or changed; NULL = failed, or running.';
comment on column bi.job_run.detail is 'What was done, in words.';
comment on column bi.job_run.sqlstate is 'Of the error; NULL = none.';
comment on column bi.job_run.error is 'Why it failed or was skipped; NULL = it was not.';
comment on column bi.job_run.requested_by is 'Database role.';
