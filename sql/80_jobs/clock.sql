create function internal.has_pg_cron()
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('cron.job') is not null then
        return has_schema_privilege('cron', 'usage');
    end if;
    -- It runs in one database of a server, and only where it was preloaded is it known which.
    return (select r.rolsuper from pg_roles as r where r.rolname = current_user)
        and coalesce(current_setting('cron.database_name', true) = current_database(), false);
end
$$;

comment on function internal.has_pg_cron() is
'Says whether pg_cron can run jobs of this database: it is installed in it, or the caller may install it.';

create function internal.drop_scheduler_entries(kind text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if kind = 'timescaledb' and exists (select from bi.scheduler_entries() as e where e.kind = 'timescaledb') then
        execute 'select public.delete_job(j.job_id) from timescaledb_information.jobs as j '
            'where j.proc_schema = ''core'' and j.proc_name in (''run_due_jobs'', ''watch_jobs'', ''refresh_storage'')';
    elsif kind = 'pg_cron' and exists (select from bi.scheduler_entries() as e where e.kind = 'pg_cron') then
        execute 'select cron.unschedule(j.jobid) from cron.job as j where j.jobname like ''weighhouse %'' and j.database = current_database()';
    end if;
end
$$;

comment on function internal.drop_scheduler_entries(text) is 'Takes back what TimescaleDB or pg_cron was told to run for us.';

create function internal.add_scheduler_entries(kind text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    -- Two that run, so that what takes minutes does not wait for a night's work; one that watches while both are at it.
    entry record;
begin
    if kind = 'timescaledb' then
        for entry in
            execute
            -- A continuous aggregate can be refreshed outside a transaction alone, which a step of a job is.
            'select p.procedure, p.period from (values (''run_due_jobs'', 2, interval ''1 minute''), (''watch_jobs'', 1, interval ''1 minute''), '
            '(''refresh_storage'', 1, interval ''15 minutes'')) as p (procedure, wanted, period) '
            'cross join lateral generate_series(1, p.wanted - ('
            '    select count(*) from timescaledb_information.jobs as j where j.proc_schema = ''core'' and j.proc_name = p.procedure and j.scheduled'
            ')::int)'
        loop
            -- It tries again after an error as soon as it would run anyway.
            execute 'select public.alter_job(public.add_job($1::regproc, $2, config => ''{"clock": "timescaledb"}'', fixed_schedule => false), '
                'retry_period => $2)' using 'core.' || entry.procedure, entry.period;
        end loop;
    elsif kind = 'pg_cron' then
        create extension if not exists pg_cron;
        execute
            'select cron.schedule(e.name, ''* * * * *'', format(''call core.%s(config => %L)'', e.procedure, ''{"clock": "pg_cron"}'')) '
            'from (values (''weighhouse run 1'', ''run_due_jobs''), (''weighhouse run 2'', ''run_due_jobs''), (''weighhouse watch'', ''watch_jobs'')) '
            'as e (name, procedure)';
    end if;
end
$$;

comment on function internal.add_scheduler_entries(text) is
'Tells TimescaleDB or pg_cron to call core.run_due_jobs (twice, side by side) and core.watch_jobs every minute; adds what is missing.

TimescaleDB also to refresh the continuous aggregates, every 15 minutes (core.refresh_storage).';

create function api.start_clock(kind text default null)
returns table (clock text, status text, hint text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    other text;
begin
    clock := coalesce(kind, case when internal.edition() = 'community' then 'timescaledb' when internal.has_pg_cron() then 'pg_cron' else 'worker' end);
    if clock not in ('timescaledb', 'pg_cron', 'worker') then
        raise exception 'there is no clock %', clock using errcode = '22023', hint = 'There are timescaledb, pg_cron and worker.';
    end if;
    if clock = 'timescaledb' and internal.edition() <> 'community' then
        raise exception 'TimescaleDB runs no jobs here' using errcode = '0A000',
            hint = 'Its Community edition does. Let api.start_clock() choose, or run loader worker.';
    elsif clock = 'pg_cron' and not internal.has_pg_cron() then
        raise exception 'pg_cron cannot run jobs of this database' using errcode = '0A000',
            hint = 'It must be preloaded with cron.database_name = this database, and a superuser must start it. Or run loader worker.';
    end if;
    perform pg_advisory_xact_lock(x'57454a43'::int, 0);
    for other in
        select c.kind from core.clock as c where c.kind <> clock and c.stopped_at is null
    loop
        perform internal.drop_scheduler_entries(other);
        update core.clock as c set stopped_at = now() where c.kind = other;
    end loop;
    status := case
        when exists (select from core.clock as c where c.kind = clock and c.stopped_at is null) then 'runs already' else 'started'
    end;
    -- Also where it runs: entries may have been lost, in a restore for example.
    perform internal.add_scheduler_entries(clock);
    insert into core.clock as c (kind) values (clock)
    on conflict on constraint clock_pkey do update
    set started_at = now(), started_by = session_user, stopped_at = null
    where c.stopped_at is not null;
    hint := case when clock = 'worker' then 'Keep loader worker running: it runs what is due.' end;
    return next;
end
$$;

comment on function api.start_clock(text) is
'Lets jobs run by themselves: every minute something calls core.run_due_jobs. The same call again changes nothing.

kind: timescaledb (the scheduler of its Community edition), pg_cron (where it is preloaded for this database), worker (the command
loader worker, anywhere); NULL = the first of these that can be had. Another one that ran is stopped. Returns which, whether it was started now, and
what is left to do (NULL = nothing). Raises 22023 for an unknown kind, 0A000 for one that cannot be had.
Example: select * from api.start_clock(''worker'');';

create function api.stop_clock()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(x'57454a43'::int, 0);
    perform internal.drop_scheduler_entries(k.kind) from unnest('{timescaledb,pg_cron}'::text []) as k (kind);
    update core.clock as c set stopped_at = now() where c.stopped_at is null;
    -- A row says that somebody decided: upgrades start nothing then.
    insert into core.clock (kind, stopped_at) select 'worker', now() where not exists (select from core.clock);
end
$$;

comment on function api.stop_clock() is
'Keeps all jobs from running by themselves, until api.start_clock; a step that runs is finished. Upgrades leave it so.

Example: select api.stop_clock();';
