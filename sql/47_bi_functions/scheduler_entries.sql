create or replace function bi.scheduler_entries()
returns table (kind text, entry_count int, next_start timestamptz, is_lost boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Asked late: an update of either extension makes its views anew, which a view of ours on them would not allow; and pg_cron need
    -- not be there, nor show itself to everyone.
    if to_regclass('timescaledb_information.jobs') is not null then
        return query execute
            -- What runs has no next start either.
            'select ''timescaledb'', count(*)::int, min(j.next_start) filter (where isfinite(j.next_start)), '
            'coalesce(bool_or(j.next_start = ''-infinity'' and s.job_status is distinct from ''Running''), false) '
            'from timescaledb_information.jobs as j left join timescaledb_information.job_stats as s on s.job_id = j.job_id where j.proc_schema = ''core'' and j.proc_name in (''run_due_jobs'', ''watch_jobs'', ''refresh_storage'') and j.scheduled '
            'having count(*) > 0';
    end if;
    if to_regclass('cron.job') is not null and has_schema_privilege('cron', 'usage') and has_table_privilege('cron.job', 'select') then
        return query execute
            'select ''pg_cron'', count(*)::int, null::timestamptz, false from cron.job as j '
            'where j.jobname like ''weighhouse %'' and j.database = current_database() and j.active having count(*) > 0';
    end if;
end
$$;

comment on function bi.scheduler_entries() is
'Counts what TimescaleDB and pg_cron have been told to run for us; no row = nothing, or nothing the caller may see.

is_lost: TimescaleDB keeps an entry it will not start again (next_start = -infinity, after a crash of the server).';
