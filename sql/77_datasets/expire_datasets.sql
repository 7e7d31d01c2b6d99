create function api.expire_datasets()
returns table (
    dataset_id bigint, owner text, name text, version int, event text, reason text, row_count bigint, table_bytes bigint, run_count bigint,
    artifact_count bigint, fit_count bigint, needed_count bigint
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    chosen record;
    removed core.dataset_event;
    -- Older versions first: the view changes once.
    due cursor for
        select d.id, d.owner, d.name, d.version from core.dataset as d
        where d.status = 'ready' and d.expires_at <= now() order by d.owner, d.name, d.version;
begin
    -- A table at a time: one that is in use must not keep the others.
    for chosen in due loop
        begin
            removed := internal.remove_dataset(chosen.id, 'expired', null);
        exception
            when dependent_objects_still_exist or lock_not_available then
                insert into core.dataset_event (dataset_id, event, reason) values (chosen.id, 'kept', sqlerrm) returning * into removed;
        end;
        return query
        select chosen.id, chosen.owner, chosen.name, chosen.version, removed.event, removed.reason, removed.row_count, removed.table_bytes,
            removed.run_count, removed.artifact_count, removed.fit_count, removed.needed_count;
    end loop;
end
$$;

comment on function api.expire_datasets() is
'Removes the datasets whose time is over: tables, the runs that read them and what was fitted from them, but what a deployed version or its
rollback needs. Returns one row a dataset: expired, or kept with the reason (a view stands on it, or it is being read); sizes in bytes.

A step of the job housekeeping; core.dataset_event keeps what it says. Example: select * from api.expire_datasets();';
