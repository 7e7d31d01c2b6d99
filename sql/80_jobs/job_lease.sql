create function internal.try_lease(job text)
returns boolean
language sql volatile
return pg_try_advisory_xact_lock(x'5745494e'::int, hashtext(try_lease.job));

comment on function internal.try_lease(text) is
'Takes the lease of a job until the transaction ends; false while another session has it.

The lease is an advisory lock, not a row with a heartbeat: the server itself gives it up the moment the session ends, however it
ends, and never while the session works. There is nothing to renew, and no time to wait until it is believed to be dead.';

create function internal.is_held(job text, backend_pid int, started_at timestamptz)
returns boolean
language sql stable
begin atomic
    select exists (
        select from pg_locks as l
        where l.locktype = 'advisory' and l.classid = x'5745494e'::int::oid and l.objid::bigint = hashtext(is_held.job)::bigint & x'ffffffff'::bigint
          and l.granted and l.pid = is_held.backend_pid
    -- Between the commit that shows the row and the transaction that runs the step nobody has the lock.
    ) or is_held.started_at > clock_timestamp() - interval '5 seconds' and exists (
        select from pg_stat_activity as a where a.pid = is_held.backend_pid
    );
end;

comment on function internal.is_held(text, int, timestamptz) is 'Says whether the session that began a step of a job, at a time, still runs it.';
