create function api.drop_dataset(name text, version int default null, owner text default null, reason text default null)
returns table (
    dataset_id bigint, dropped_version int, row_count bigint, table_bytes bigint, run_count bigint, artifact_count bigint, fit_count bigint,
    needed_count bigint
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    whose text := coalesce(drop_dataset.owner, session_user);
    -- Another's dataset is dropped by who names its owner.
    found_dataset core.dataset := internal.find_dataset(drop_dataset.name, drop_dataset.version, whose);
begin
    return query
    with chosen as materialized (
        select d.id, d.version
        from core.dataset as d
        where d.owner = whose and d.name = found_dataset.name and d.status = 'ready' and coalesce(d.version = drop_dataset.version, true)
        order by d.version
    )
    select r.dataset_id, c.version, r.row_count, r.table_bytes, r.run_count, r.artifact_count, r.fit_count, r.needed_count
    from chosen as c
    cross join lateral internal.remove_dataset(c.id, 'dropped', drop_dataset.reason) as r
    order by c.version;
end
$$;

comment on function api.drop_dataset(text, int, text, text) is
'Drops a dataset: its table, the runs that read it and what was fitted from it, but what a deployed version or its rollback needs.

version: NULL = all versions that are ready. owner: NULL = yourself. Its record and profile stay (bi.dataset). Sizes in bytes; needed_count
= runs, artifacts and fits that stay. Raises 22023 for an unknown dataset, 2BP01 when a view stands on it, 55P03 while it is read.
Example: select * from api.drop_dataset(''churn'', 1);';
