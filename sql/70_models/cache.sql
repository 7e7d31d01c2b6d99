create function api.cache_status()
returns table (level text, entry_count bigint, size_bytes bigint, hit_count bigint, miss_count bigint, eviction_count bigint, oldest_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'memory of this session', m.entries, m.bytes, m.hits, m.misses, m.evictions, null::timestamptz from internal.memory_figures() as m
    union all
    select 'table', coalesce(sum(c.entry_count), 0)::bigint, coalesce(sum(c.size_bytes), 0)::bigint, coalesce(sum(c.hit_count), 0)::bigint,
        coalesce(sum(c.miss_count), 0)::bigint, coalesce(sum(c.eviction_count), 0)::bigint, min(c.oldest_trained_at)
    from bi.cache as c;
end
$$;

comment on function api.cache_status() is
'Counts the fitted models in the memory of this session and in the table all sessions share; by model: bi.cache.

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

create function api.prune_cache(unused interval default '30 days', keep_versions int default 10)
returns table (model text, version_count bigint, entry_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if unused is null or unused < interval '0' or keep_versions is null or keep_versions < 0 then
        raise exception 'cannot prune what was unused for % and keep % versions', unused, keep_versions
            using errcode = '22023', hint = 'As 30 days and 10.';
    end if;
    create temp table if not exists pruned_version (id int, model text) on commit drop;
    truncate pg_temp.pruned_version;
    -- Never the deployed version, nor where a rollback would go.
    insert into pg_temp.pruned_version
    select v.id, v.model
    from (
        select x.*, row_number() over (partition by x.model order by x.version desc) as place
        from core.model_versions as x
        where x.model_type <> 'shrinkage_curve'
    ) as v
    where v.place > keep_versions and v.status <> 'deployed'
      and not exists (select from core.model_versions as d where d.status = 'deployed' and d.replaced_version_id = v.id);
    -- What such a version forecast stays in the ledger, with its row; its fitted series go.
    delete from core.run_outcome as o
    using core.training_run as r, pg_temp.pruned_version as p
    where r.version_id = p.id and o.run_id = r.id;
    return query
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
    ), counted as (
        select x.model, sum(x.versions)::bigint as versions, sum(x.entries)::bigint as entries
        from (
            select p.model, count(*) as versions, 0 as entries from pg_temp.pruned_version as p group by p.model
            union all
            select g.model_name, 0, count(*) from gone as g group by g.model_name
        ) as x
        group by x.model
    ), noted as (
        insert into core.model_event (model, event, details)
        select k.model, 'pruned', jsonb_build_object('pruned', k.entries, 'versions', k.versions) from counted as k where k.entries > 0
    )
    select k.model, k.versions, k.entries from counted as k where k.entries > 0 order by k.model;
end
$$;

comment on function api.prune_cache(interval, int) is
'Housekeeping: removes stored fits that no kept version needs and nobody used for a time.

unused: how long. keep_versions: newest versions of each model that keep their fits, besides the deployed one and the one a rollback
would go to, which always do. Older versions keep their forecasts in the ledger, and can no longer be computed from. Returns what
went, by model. Raises 22023. Example: select * from api.prune_cache();';
