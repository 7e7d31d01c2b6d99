create function internal.prune_job_runs()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    done_count bigint;
begin
    delete from core.job_run as r where r.finished_at < now() - make_interval(days => internal.setting('jobs.keep_days')::int);
    get diagnostics done_count = row_count;
    -- pg_cron keeps a row of every tick, for ever. Only who may: it belongs to the role that made the extension.
    if to_regclass('cron.job_run_details') is not null and has_schema_privilege('cron', 'usage')
       and has_table_privilege('cron.job_run_details', 'delete') then
        execute 'delete from cron.job_run_details as d using cron.job as j where j.jobid = d.jobid and j.jobname like ''weighhouse %'' '
            'and d.database = current_database() and d.end_time < now() - interval ''7 days''';
    end if;
    return done_count;
end
$$;

comment on function internal.prune_job_runs() is
'Removes rows of steps that ended longer ago than the setting jobs.keep_days; returns how many. What pg_cron noted of our ticks goes after 7 days.';
