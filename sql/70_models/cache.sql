create function api.cache_status()
returns table (level text, entry_count bigint, size_bytes bigint, hit_count bigint, miss_count bigint, eviction_count bigint, oldest_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'memory of this session', m.entries, m.bytes, m.hits, m.misses, m.evictions, null::timestamptz from internal.memory_figures() as m
    union all
    select 'table, learnt from all', count(*), coalesce(sum(octet_length(a.arrays) + coalesce(octet_length(a.native), 0)), 0)::bigint, null::bigint, null::bigint,
        null::bigint, min(a.trained_at)
    from cache.model_artifact as a
    union all
    select 'table', coalesce(sum(c.entry_count), 0)::bigint, coalesce(sum(c.size_bytes), 0)::bigint, coalesce(sum(c.hit_count), 0)::bigint,
        coalesce(sum(c.miss_count), 0)::bigint, coalesce(sum(c.eviction_count), 0)::bigint, min(c.oldest_trained_at)
    from bi.cache as c;
end
$$;

comment on function api.cache_status() is
'Counts the fitted models in the memory of this session and in the tables all sessions share, there also what was learnt from whole
relations; by model: bi.cache.

Example: select * from api.cache_status();';

create function api.invalidate_cache(model text default null, reason text default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    done_count bigint;
    artifact_count bigint;
begin
    if model is not null then
        perform internal.find_model(model);
    end if;
    update cache.ml_models as c set invalidated_at = now()
    where c.invalidated_at is null and (invalidate_cache.model is null or c.model_name = invalidate_cache.model);
    get diagnostics done_count = row_count;
    update cache.model_artifact as a set invalidated_at = now()
    where a.invalidated_at is null and (invalidate_cache.model is null or a.model_name = invalidate_cache.model);
    get diagnostics artifact_count = row_count;
    done_count := done_count + artifact_count;
    insert into core.model_event (model, event, reason, details)
    values (coalesce(model, '*'), 'invalidated', reason, jsonb_build_object('invalidated', done_count));
    return done_count;
end
$$;

comment on function api.invalidate_cache(text, text) is
'Declares stored fits void: the next fit of their model computes them anew. What is deployed goes on forecasting.

model: NULL = all. Returns how many. Raises 22023 for an unknown model. Example: select api.invalidate_cache(''sales'');';

create function internal.kept_versions()
returns setof int
language sql stable
begin atomic
    select v.id from core.model_versions as v where v.status = 'deployed'
    union
    select v.replaced_version_id from core.model_versions as v where v.status = 'deployed' and v.replaced_version_id is not null;
end;

comment on function internal.kept_versions() is 'Lists the versions in force and those a rollback would go to: what they need is never removed.';

create function api.prune_cache(unused interval default '30 days', keep_versions int default null)
returns table (model text, version_count bigint, entry_count bigint, artifact_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    keep int := coalesce(prune_cache.keep_versions, internal.setting('cache.max_artifacts')::int);
begin
    if unused is null or unused < interval '0' or keep < 0 then
        raise exception 'cannot prune what was unused for % and keep % versions', unused, keep
            using errcode = '22023', hint = 'As 30 days and 10.';
    end if;
    create temp table if not exists pruned_version (id int, model text) on commit drop;
    create temp table if not exists pruned_entry (model text) on commit drop;
    truncate pg_temp.pruned_version, pg_temp.pruned_entry;
    -- Never the deployed version, nor where a rollback would go.
    insert into pg_temp.pruned_version
    select v.id, v.model
    from (
        select x.*, row_number() over (partition by x.model order by x.version desc) as place
        from core.model_versions as x
        where x.model_type <> 'shrinkage_curve'
    ) as v
    where v.place > keep and v.id not in (select k.id from internal.kept_versions() as k (id));
    -- What such a version forecast stays in the ledger, with its row; its fitted series go.
    delete from core.run_outcome as o
    using core.training_run as r, pg_temp.pruned_version as p
    where r.version_id = p.id and o.run_id = r.id;
    update core.model_versions as v set artifact_id = null
    from pg_temp.pruned_version as p
    where v.id = p.id and v.artifact_id is not null;
    with gone as (
        delete from cache.ml_models as c
        where not exists (select from core.run_outcome as o where o.ml_model_id = c.id)
          -- The full fit behind an update says what its parameters have seen.
          and not exists (select from cache.ml_models as u where u.fitted_id = c.id)
          and (
              c.last_used_at < now() - prune_cache.unused or c.invalidated_at is not null
              or exists (select from pg_temp.pruned_version as p where p.model = c.model_name)
          )
        returning c.model_name
    )
    insert into pg_temp.pruned_entry (model) select g.model_name from gone as g;
    return query
    with gone as (
        delete from cache.model_artifact as a
        using (
            select x.id, row_number() over (partition by x.model_name order by x.trained_at desc, x.id) as place
            from cache.model_artifact as x
            where not exists (select from core.model_versions as v where v.artifact_id = x.id)
              and not exists (select from cache.ml_models as c where c.artifact_id = x.id)
        ) as unneeded
        where a.id = unneeded.id and (
            unneeded.place > keep or a.last_used_at < now() - prune_cache.unused or a.invalidated_at is not null
            or exists (select from pg_temp.pruned_version as p where p.model = a.model_name)
        )
        returning a.model_name
    ), counted as (
        select x.model, sum(x.versions)::bigint as versions, sum(x.entries)::bigint as entries, sum(x.artifacts)::bigint as artifacts
        from (
            select p.model, count(*) as versions, 0 as entries, 0 as artifacts from pg_temp.pruned_version as p group by p.model
            union all
            select e.model, 0, count(*), 0 from pg_temp.pruned_entry as e group by e.model
            union all
            select g.model_name, 0, 0, count(*) from gone as g group by g.model_name
        ) as x
        group by x.model
    ), noted as (
        insert into core.model_event (model, event, details)
        select k.model, 'pruned', jsonb_build_object('pruned', k.entries, 'versions', k.versions, 'artifacts', k.artifacts)
        from counted as k
        where k.entries + k.artifacts > 0
    )
    select k.model, k.versions, k.entries, k.artifacts from counted as k where k.entries + k.artifacts > 0 order by k.model;
end
$$;

comment on function api.prune_cache(interval, int) is
'Housekeeping: removes stored fits, and what was learnt from whole relations, that no kept version needs and nobody used for a time.

unused: how long. keep_versions: newest versions of each model that keep their fits, NULL = the setting cache.max_artifacts; beside
them the deployed one and the one a rollback would go to always do; as many artifacts that no version needs stay until they are unused
so long. Older versions keep their forecasts in the ledger, and can no longer be computed from. Returns what went, by model: versions
that lost theirs, fitted series, artifacts. Raises 22023. Example: select * from api.prune_cache();';

create function api.delete_artifact(id uuid, reason text default null)
returns table (model text, entry_count bigint, artifact_count bigint, size_bytes bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    is_whole boolean := exists (select from cache.model_artifact as a where a.id = delete_artifact.id);
    entries uuid [];
    needed text;
begin
    -- The series that were forecast with what was learnt go with it.
    entries := array(select c.id from cache.ml_models as c where c.id = delete_artifact.id or c.artifact_id = delete_artifact.id);
    if not is_whole and cardinality(entries) = 0 then
        raise exception 'there is no artifact %', coalesce(delete_artifact.id::text, 'NULL') using errcode = '22023', hint = 'See id of bi.model_artifact.';
    end if;
    select string_agg(distinct format('version %s of %s (%s)', v.version, v.model, case v.status when 'deployed' then 'in force' else 'a rollback goes to it' end), ', ')
    into needed
    from core.model_versions as v
    where v.id in (select k.id from internal.kept_versions() as k (id)) and (
        v.artifact_id = delete_artifact.id or exists (
            select from core.training_run as r inner join core.run_outcome as o on o.run_id = r.id where r.version_id = v.id and o.ml_model_id = any(entries)
        )
    );
    if needed is not null then
        raise exception 'artifact % is needed: %', delete_artifact.id, needed
            using errcode = '55006', hint = 'Deploy another version twice, or drop the model; to have it fitted anew: api.invalidate_cache.';
    end if;
    select coalesce(a.model_name, c.model_name), coalesce(octet_length(a.arrays) + coalesce(octet_length(a.native), 0), pg_column_size(c.parameters))
    into model, size_bytes
    from (select delete_artifact.id as id) as x
    left join cache.model_artifact as a on a.id = x.id
    left join cache.ml_models as c on c.id = x.id;
    delete from core.run_outcome as o where o.ml_model_id = any(entries);
    delete from cache.ml_models as c where c.id = any(entries);
    get diagnostics entry_count = row_count;
    delete from cache.model_artifact as a where a.id = delete_artifact.id;
    get diagnostics artifact_count = row_count;
    insert into core.model_event (model, event, reason, details)
    values (model, 'pruned', delete_artifact.reason, jsonb_build_object('artifact', delete_artifact.id, 'pruned', entry_count, 'artifacts', artifact_count));
    return next;
end
$$;

comment on function api.delete_artifact(uuid, text) is
'Removes one thing that was learnt (bi.model_artifact), and the fitted series that hang on it; the reason goes to the audit trail.

What the version in force or its rollback target needs is refused (55006). Other versions that lose theirs keep their forecasts in the
ledger, and can no longer be computed from. Returns its model, the fitted series and artifacts removed, and its size. Raises 22023 for
an unknown one. Example: select * from api.delete_artifact((select a.id::uuid from bi.model_artifact as a where not a.is_needed limit 1));';
