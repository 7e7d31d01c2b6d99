create or replace view bi.retraining_due as
with recursive line as (
    -- The versions with the parameters in force: the deployed one and those it goes on from.
    select v.id as deployed_id, v.id as version_id, v.version, v.continued_version_id
    from core.model_versions as v
    inner join core.model_definition as d on d.name = v.model and d.time_column is not null
    where v.status = 'deployed'
    union all
    select l.deployed_id, v.id, v.version, v.continued_version_id
    from line as l
    inner join core.model_versions as v on v.id = l.continued_version_id
)

select v.model, v.version, r.reason, r.value, r.threshold, r.unit, coalesce(r.is_due, false) as is_due, p.is_active
from core.model_versions as v
inner join core.model_definition as d on d.name = v.model and d.time_column is not null
cross join lateral (
    select x.* from core.retraining_policy as x where x.model = v.model or x.model is null order by x.model nulls last limit 1
) as p
left join lateral (
    -- The last days that were scored (a source may lag behind the clock), as far as these parameters were in force on them.
    select 100 * sum(m.percent_error_sum) / nullif(sum(m.percent_count), 0) as mape
    from bi.deployed_performance as m
    inner join line as l on l.deployed_id = v.id and l.version = m.version
    where m.model = v.model and m.day > (
        select max(n.day) from core.model_performance_metrics as n where n.model = v.model and n.segment_by is null
    ) - 7
) as e on true
left join lateral (
    select sum(c.data_length - c.fitted_length) as taken_in
    from core.run_outcome as o
    inner join cache.ml_models as c on c.id = o.ml_model_id
    where o.run_id = (select min(t.id) from core.training_run as t where t.version_id = v.id and t.task = 'fit')
) as k on true
left join lateral (
    select count(*) as scored from core.forecast_ledger as f where f.version_id = v.id and f.actual is not null
) as s on true
cross join lateral (
    values
    ('MAPE', e.mape, p.mape_threshold, 'percent', e.mape > p.mape_threshold),
    ('age of the fit', greatest(0, extract(epoch from now() - coalesce(v.parameters_fitted_at, v.created_date))::float8 / 86400),
        extract(epoch from p.max_age)::float8 / 86400, 'days', now() - coalesce(v.parameters_fitted_at, v.created_date) > p.max_age),
    ('new observations', (coalesce(k.taken_in, 0) + s.scored)::float8, p.max_new_observations::float8, 'observations',
        coalesce(k.taken_in, 0) + s.scored > p.max_new_observations),
    ('changed definition', null, null, null, d.kind <> v.options ->> 'kind' or d.grid is distinct from v.options -> 'grid' or exists (
        select from unnest('{seasons,max_gap,aggregate,kind_options,missing,horizon}'::text []) as n (name)
        where nullif(d.options -> n.name, 'null') is distinct from nullif(v.options -> n.name, 'null')
            -- Defaults are filled in when it is fitted.
            and not (n.name = 'missing' and d.options ->> 'missing' is null and v.options ->> 'missing' = 'gap')
            and not (n.name = 'horizon' and d.options ->> 'horizon' is null)
    )),
    ('cannot go on', null, null, null, exists (
        select from core.model_versions as x where x.continued_version_id = v.id and x.status = 'trained'
    ))
) as r (reason, value, threshold, unit, is_due)
where v.status = 'deployed';

comment on view bi.retraining_due is 'Why each model in force would be retrained, one row a model and reason, and whether it is due.';
comment on column bi.retraining_due.model is 'The model.';
comment on column bi.retraining_due.version is 'The version in force.';
comment on column bi.retraining_due.reason is
'MAPE (last 7 days scored), age of the fit, new observations (taken in or scored since), changed definition, cannot go on (with its parameters).';
comment on column bi.retraining_due.value is 'What it is now; NULL = not known, or a yes or no.';
comment on column bi.retraining_due.threshold is 'Above which it is due (bi.retraining_policy).';
comment on column bi.retraining_due.unit is 'Unit of value and threshold.';
comment on column bi.retraining_due.is_due is 'Whether this is a reason now.';
comment on column bi.retraining_due.is_active is 'Whether the model is retrained by itself; by hand always.';
