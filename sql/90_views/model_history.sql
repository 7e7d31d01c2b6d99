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
select c.model_name as model, c.kind, count(*) as entry_count, sum(pg_column_size(c.parameters))::bigint as size_bytes,
    count(*) filter (where c.invalidated_at is not null) as invalidated_count,
    count(*) filter (where c.invalidated_at is null and c.trained_at <= now() - coalesce(d.time_to_live, interval '24 hours')) as stale_count,
    max(o.hit_count) as hit_count, max(o.miss_count) as miss_count, max(e.evicted_count) as eviction_count,
    min(c.trained_at) as oldest_trained_at, max(c.trained_at) as newest_trained_at, min(c.last_used_at) as least_recently_used_at
from cache.ml_models as c
left join core.model_definition as d on d.name = c.model_name
left join lateral (
    select count(*) filter (where x.outcome = 'cached') as hit_count, count(*) filter (where x.outcome in ('fitted', 'fell_back')) as miss_count
    from core.training_run as r
    inner join core.run_outcome as x on x.run_id = r.id
    where r.model = c.model_name and r.task = 'fit'
) as o on true
left join lateral (
    select sum((x.details ->> 'pruned')::bigint)::bigint as evicted_count from core.model_event as x where x.event = 'pruned' and x.model = c.model_name
) as e on true
group by c.model_name, c.kind;

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
