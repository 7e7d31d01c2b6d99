create function internal.remove_dataset(dataset_id bigint, status text, reason text default null)
returns core.dataset_event
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    removed core.dataset_event;
    gone core.dataset;
begin
    removed.needed_count := 0;
    -- What a deployed version needs, and the one a rollback would go to, is never removed.
    create temp table if not exists needed_version (id int primary key) on commit drop;
    truncate pg_temp.needed_version;
    insert into pg_temp.needed_version
    select v.id from core.model_versions as v where v.status = 'deployed'
    union
    select v.replaced_version_id from core.model_versions as v where v.status = 'deployed' and v.replaced_version_id is not null;
    delete from core.training_run as r
    where r.upload_id = dataset_id and r.status not in ('queued', 'running')
      and (r.version_id is null or not exists (select from pg_temp.needed_version as n where n.id = r.version_id));
    get diagnostics removed.run_count = row_count;
    delete from cache.ml_models as c
    where c.upload_id = dataset_id and not exists (select from core.run_outcome as o where o.ml_model_id = c.id)
      -- The full fit behind an update says what its parameters have seen.
      and not exists (
          select from cache.ml_models as u where u.fitted_id = c.id and u.id <> c.id
            and (u.upload_id is distinct from dataset_id or exists (select from core.run_outcome as o where o.ml_model_id = u.id))
      );
    get diagnostics removed.fit_count = row_count;
    delete from cache.model_artifact as a
    where a.upload_id = dataset_id and not exists (select from cache.ml_models as c where c.artifact_id = a.id)
      and not exists (
          select from core.model_versions as v inner join pg_temp.needed_version as n on n.id = v.id where v.artifact_id = a.id
      );
    get diagnostics removed.artifact_count = row_count;
    select (select count(*) from core.training_run as r where r.upload_id = dataset_id)
        + (select count(*) from cache.ml_models as c where c.upload_id = dataset_id)
        + (select count(*) from cache.model_artifact as a where a.upload_id = dataset_id) into removed.needed_count;
    update core.dataset as d set status = remove_dataset.status, relation = null, removed_at = clock_timestamp()
    where d.id = dataset_id and d.status = 'ready'
    returning d.* into gone;
    -- The view goes back to the version before, or goes.
    perform internal.show_newest_dataset(gone.view_name);
    perform internal.drop_dataset_table(dataset_id);
    insert into core.dataset_event (dataset_id, event, reason, row_count, table_bytes, run_count, artifact_count, fit_count, needed_count)
    values (dataset_id, remove_dataset.status, remove_dataset.reason, gone.row_count, gone.table_bytes, removed.run_count, removed.artifact_count,
        removed.fit_count, removed.needed_count)
    returning * into removed;
    insert into core.data_lineage (source_file_id, process_name, input_records, output_records, status, error_message)
    values (gone.source_data_id, 'data_import', gone.row_count, 0, 'success', 'dataset ' || remove_dataset.status);
    return removed;
end
$$;

comment on function internal.remove_dataset(bigint, text, text) is
'Removes the table of a ready dataset, the runs that read it and what was fitted from it, but what a deployed version or its rollback
needs; record, profile and file hash stay. status: dropped or expired. Raises 2BP01 when a view stands on it, 55P03 while it is read.';
