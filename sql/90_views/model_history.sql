create or replace view bi.model_event as
select e.happened_at as time, e.id as event_id, e.model, e.version, e.event, e.by_role, e.reason, e.details::text as details
from core.model_event as e;

comment on view bi.model_event is 'Who created, fitted, deployed, rolled back, invalidated or dropped which model, and why.';
comment on column bi.model_event.time is 'When.';
comment on column bi.model_event.event_id is 'Key.';
comment on column bi.model_event.model is 'The model; * = all.';
comment on column bi.model_event.version is 'The version; NULL = none.';
comment on column bi.model_event.event is 'created, fitted, deployed, rolled_back, invalidated, pruned, changed, dropped, adopted.';
comment on column bi.model_event.by_role is 'Database role.';
comment on column bi.model_event.reason is 'Why; NULL = not said.';
comment on column bi.model_event.details is 'Figures, as JSON text.';

create or replace view bi.ml_model_registry as
select v.id, v.model as model_name, v.version, v.model_type as algorithm_type, v.options::text as parameters, v.created_date as training_date,
    v.metrics::text as accuracy_metrics, v.status = 'deployed' as is_active, v.created_by, v.created_date, d.description as notes
from core.model_versions as v
inner join core.model_definition as d on d.name = v.model;

comment on view bi.ml_model_registry is 'The versions of the models under the names of the system before.';
comment on column bi.ml_model_registry.id is 'Key of the version.';
comment on column bi.ml_model_registry.model_name is 'The model.';
comment on column bi.ml_model_registry.version is 'The version.';
comment on column bi.ml_model_registry.algorithm_type is 'Kind of model.';
comment on column bi.ml_model_registry.parameters is 'Options it was fitted with, as JSON text.';
comment on column bi.ml_model_registry.training_date is 'When it was fitted.';
comment on column bi.ml_model_registry.accuracy_metrics is 'Measures of the last evaluation, as JSON text.';
comment on column bi.ml_model_registry.is_active is 'Whether it is deployed.';
comment on column bi.ml_model_registry.created_by is 'Database role that fitted it.';
comment on column bi.ml_model_registry.created_date is 'When it was fitted.';
comment on column bi.ml_model_registry.notes is 'What the model is for.';

create or replace view bi.ml_models as
select c.id::text as id, c.model_name, c.upload_id, c.data_hash, c.parameters::text as parameters, c.data_length, c.last_data_date, c.trained_at,
    c.last_used_at, c.version, c.supports_incremental, c.kind, c.label, c.invalidated_at
from cache.ml_models as c;

comment on view bi.ml_models is 'The fitted parameters that are stored, by content.';
comment on column bi.ml_models.id is 'Key (a UUID).';
comment on column bi.ml_models.model_name is 'The model it was first fitted for.';
comment on column bi.ml_models.upload_id is 'The uploaded dataset it was fitted on; NULL = a relation.';
comment on column bi.ml_models.data_hash is 'Hash of steps and values.';
comment on column bi.ml_models.parameters is 'Parameters, as JSON text.';
comment on column bi.ml_models.data_length is 'Steps taken in.';
comment on column bi.ml_models.last_data_date is 'Time of the last observation.';
comment on column bi.ml_models.trained_at is 'When it was fitted or updated.';
comment on column bi.ml_models.last_used_at is 'When it was last used, to the hour.';
comment on column bi.ml_models.version is 'Version of the form of the parameters.';
comment on column bi.ml_models.supports_incremental is 'Whether it can take in new observations.';
comment on column bi.ml_models.kind is 'Kind of model.';
comment on column bi.ml_models.label is 'What was chosen.';
comment on column bi.ml_models.invalidated_at is 'When it was declared void; NULL = valid.';

create or replace view bi.cache as
select coalesce(c.model, a.model) as model, coalesce(c.kind, a.kind) as kind, coalesce(c.entry_count, 0) as entry_count,
    coalesce(c.size_bytes, 0) as size_bytes, coalesce(c.invalidated_count, 0) as invalidated_count, coalesce(c.stale_count, 0) as stale_count,
    o.hit_count, o.miss_count, e.evicted_count as eviction_count, least(c.oldest_trained_at, a.oldest_trained_at) as oldest_trained_at,
    greatest(c.newest_trained_at, a.newest_trained_at) as newest_trained_at, least(c.used_at, a.used_at) as least_recently_used_at,
    coalesce(a.artifact_count, 0) as artifact_count, coalesce(a.size_bytes, 0) as artifact_bytes
from (
    select c.model_name as model, c.kind, count(*) as entry_count, sum(pg_column_size(c.parameters))::bigint as size_bytes,
        count(*) filter (where c.invalidated_at is not null) as invalidated_count,
        count(*) filter (where c.invalidated_at is null and c.trained_at <= now() - coalesce(d.time_to_live, interval '24 hours')) as stale_count,
        min(c.trained_at) as oldest_trained_at, max(c.trained_at) as newest_trained_at, min(c.last_used_at) as used_at
    from cache.ml_models as c
    left join core.model_definition as d on d.name = c.model_name
    group by c.model_name, c.kind
) as c
full join (
    select x.model_name as model, x.kind, count(*) as artifact_count,
        sum(octet_length(x.arrays) + coalesce(octet_length(x.native), 0))::bigint as size_bytes,
        min(x.trained_at) as oldest_trained_at, max(x.trained_at) as newest_trained_at, min(x.last_used_at) as used_at
    from cache.model_artifact as x
    group by x.model_name, x.kind
) as a on a.model = c.model and a.kind = c.kind
left join lateral (
    select count(*) filter (where x.outcome = 'cached') as hit_count, count(*) filter (where x.outcome in ('fitted', 'fell_back')) as miss_count
    from core.training_run as r
    inner join core.run_outcome as x on x.run_id = r.id
    where r.model = coalesce(c.model, a.model) and r.task = 'fit'
) as o on true
left join lateral (
    select sum((x.details ->> 'pruned')::bigint)::bigint as evicted_count
    from core.model_event as x
    where x.event = 'pruned' and x.model = coalesce(c.model, a.model)
) as e on true;

comment on view bi.cache is
'What is stored of fitted models, how often it spared a fit, and how old it is. The memory of a session is in api.cache_status().';
comment on column bi.cache.model is 'The model it was first fitted for.';
comment on column bi.cache.kind is 'Kind of model.';
comment on column bi.cache.entry_count is 'Fitted series stored.';
comment on column bi.cache.size_bytes is 'Size of their parameters.';
comment on column bi.cache.invalidated_count is 'Of these, declared void or replaced.';
comment on column bi.cache.stale_count is 'Of these, older than the model''s time to live.';
comment on column bi.cache.hit_count is 'Series of all runs that were found here: nothing was computed.';
comment on column bi.cache.miss_count is 'Series of all runs that had to be fitted.';
comment on column bi.cache.eviction_count is 'Fitted series that housekeeping removed; NULL = none yet.';
comment on column bi.cache.oldest_trained_at is 'When the oldest was fitted.';
comment on column bi.cache.newest_trained_at is 'When the newest was fitted.';
comment on column bi.cache.least_recently_used_at is 'When the least recently used was last used.';
comment on column bi.cache.artifact_count is 'Stored things that were learnt from the whole relation: nets, trees (bi.model_artifact).';
comment on column bi.cache.artifact_bytes is 'Size of these.';

create or replace view bi.model_artifact as
with kept as (
    select v.id, v.artifact_id from core.model_versions as v where v.status = 'deployed'
    union
    select v.id, v.artifact_id
    from core.model_versions as v
    inner join core.model_versions as d on d.status = 'deployed' and d.replaced_version_id = v.id
), needed as (
    select k.artifact_id as id from kept as k where k.artifact_id is not null
    union
    select o.ml_model_id
    from kept as k
    inner join core.training_run as r on r.version_id = k.id
    inner join core.run_outcome as o on o.run_id = r.id
    where o.ml_model_id is not null
)

select a.trained_at as time, a.id::text as id, a.model_name as model, 'model' as learnt_from, a.kind, a.version as form, a.label, a.data_hash, a.upload_id,
    a.header::text as parameters, (octet_length(a.arrays) + coalesce(octet_length(a.native), 0))::bigint as size_bytes, a.native_format,
    octet_length(a.native)::bigint as native_size_bytes, a.data_length, a.fitted_length, a.continued_id::text as continued_id, a.last_used_at,
    a.invalidated_at, a.id in (select n.id from needed as n) or exists (
        select from cache.ml_models as c where c.artifact_id = a.id and c.id in (select n.id from needed as n)
    ) as is_needed
from cache.model_artifact as a
union all
select c.trained_at, c.id::text, c.model_name, 'series', c.fitted_kind, c.version, c.label, c.data_hash, c.upload_id, c.parameters::text,
    pg_column_size(c.parameters)::bigint, null, null, c.data_length, c.fitted_length, c.artifact_id::text, c.last_used_at, c.invalidated_at,
    c.id in (select n.id from needed as n)
from cache.ml_models as c;

comment on view bi.model_artifact is 'All that was learnt and is stored: of whole relations (nets, trees, weights) and of single series.';
comment on column bi.model_artifact.time is 'When it was learnt.';
comment on column bi.model_artifact.id is 'Key (a UUID): api.delete_artifact.';
comment on column bi.model_artifact.model is 'The model it was first learnt for.';
comment on column bi.model_artifact.learnt_from is 'model: the whole relation; series: one series.';
comment on column bi.model_artifact.kind is 'Kind of model.';
comment on column bi.model_artifact.form is 'Version of the stored form.';
comment on column bi.model_artifact.label is 'What was learnt, for people.';
comment on column bi.model_artifact.data_hash is 'Hash of the data.';
comment on column bi.model_artifact.upload_id is 'The uploaded dataset it was learnt from; NULL = a relation.';
comment on column bi.model_artifact.parameters is 'What of it can be read, as JSON text; of whole relations without the arrays.';
comment on column bi.model_artifact.size_bytes is 'Size of all of it but the rest of its row.';
comment on column bi.model_artifact.native_format is 'Format of its library, as lightgbm or xgboost (loader models export); NULL = it has none.';
comment on column bi.model_artifact.native_size_bytes is 'Size in that format; NULL = it has none.';
comment on column bi.model_artifact.data_length is 'Observations or rows it has seen.';
comment on column bi.model_artifact.fitted_length is 'Those of the last full fit.';
comment on column bi.model_artifact.continued_id is 'What it goes on from: the artifact before, or of a series the one it was forecast with; NULL = nothing.';
comment on column bi.model_artifact.last_used_at is 'When it was last used, to the hour.';
comment on column bi.model_artifact.invalidated_at is 'When it was declared void or replaced; NULL = valid.';
comment on column bi.model_artifact.is_needed is 'Whether a version in force, or the one its rollback goes to, needs it: then it cannot be deleted.';
