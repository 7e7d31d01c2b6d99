create function internal.lock_model(model text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if not pg_try_advisory_xact_lock(x'5745494d'::int, hashtext(model)) then
        raise exception 'model % is being fitted, evaluated or retrained already (%)', model, (
            -- Since when: of other roles' sessions only who may see them is told.
            select string_agg(concat_ws(' ', 'pid', l.pid, 'since ' || to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS')), ', ')
            from pg_locks as l
            left join pg_stat_activity as a on a.pid = l.pid
            where l.locktype = 'advisory' and l.classid = x'5745494d'::int::oid
              and l.objid::bigint = hashtext(lock_model.model)::bigint & x'ffffffff'::bigint and l.granted and l.database = (select d.oid from pg_database as d where d.datname = current_database())
        ) using errcode = '55P03', hint = 'Wait for it, or cancel it with pg_cancel_backend.';
    end if;
end
$$;

comment on function internal.lock_model(text) is
'Takes the lock of a model until the transaction ends: fits, evaluations and retrainings of it come one after the other.

Raises 55P03 while another session holds it.';

create function internal.open_run(model text, task text, options jsonb default '{}', run_id bigint default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform internal.lock_model(model);
    -- A run whose session is gone did not end: the lock just taken says that nobody else runs.
    update core.training_run as r
    set status = 'cancelled', finished_at = clock_timestamp(), error = 'its session ended before the run did'
    where r.model = open_run.model and r.status in ('queued', 'running') and r.id is distinct from open_run.run_id;
    if run_id is null then
        insert into core.training_run (model, task, options, upload_id)
        values (model, task, options, internal.source_dataset(internal.find_model(model)))
        returning id into run_id;
    end if;
    return run_id;
end
$$;

comment on function internal.open_run(text, text, jsonb, bigint) is
'Starts a run of a model: takes its lock until the transaction ends, and writes the row (or goes on with that of run_id).

Raises 55P03 while another session fits or evaluates the same model.';

create function internal.close_run(
    run_id bigint, status text, version_id int, series_count int, row_count bigint, sqlstate text default null, error text default null,
    peak_memory_mb float8 default null
)
returns void
language sql volatile
begin atomic
    update core.training_run as r
    set status = close_run.status, finished_at = clock_timestamp(), version_id = close_run.version_id, series_count = close_run.series_count,
        row_count = close_run.row_count, peak_memory_mb = close_run.peak_memory_mb, sqlstate = close_run.sqlstate, error = close_run.error
    where r.id = close_run.run_id;
end;

comment on function internal.close_run(bigint, text, int, int, bigint, text, text, float8) is
'Ends a run: succeeded or failed. peak_memory_mb: of internal.peak_memory where Python worked.';
