create function api.deploy_version(model text, version int, reason text default null)
returns table (deployed_version int, version_before int, deployed_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    chosen core.model_versions := internal.find_version(deploy_version.model, coalesce(deploy_version.version, -1));
    before int;
begin
    if chosen.status = 'failed' then
        raise exception 'version % of model % failed: it forecasts nothing', chosen.version, chosen.model
            using errcode = '22023', hint = 'Deploy another, or fit again.';
    end if;
    select v.version into before from core.model_versions as v where v.model = chosen.model and v.status = 'deployed';
    perform internal.deploy(chosen.id, 'deployed', deploy_version.reason);
    return query
    select v.version, nullif(before, v.version), v.deployed_at from core.model_versions as v where v.id = chosen.id;
end
$$;

comment on function api.deploy_version(text, int, text) is
'Puts a version of a model in force; the one before is archived. Readers see the old or the new one, never a mixture.

reason goes to the audit trail (bi.model_event). Raises 22023 for an unknown or failed version.
Example: select * from api.deploy_version(''sales'', 3);';

create function api.rollback_model(model text, reason text default null)
returns table (deployed_version int, version_before int, deployed_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    current core.model_versions := internal.find_version(rollback_model.model, null);
begin
    if current.replaced_version_id is null then
        raise exception 'version % of model % replaced none', current.version, current.model
            using errcode = '22023', hint = 'Choose one yourself: api.deploy_version.';
    end if;
    perform internal.deploy(current.replaced_version_id, 'rolled_back', rollback_model.reason);
    return query
    select v.version, current.version, v.deployed_at from core.model_versions as v where v.id = current.replaced_version_id;
end
$$;

comment on function api.rollback_model(text, text) is
'Puts the version in force that the deployed one replaced; again: the one before that.

reason goes to the audit trail. Raises ML201 when none is deployed, 22023 when it replaced none.
Example: select * from api.rollback_model(''sales'', ''bias since Monday'');';

create function api.drop_model(model text)
returns table (version_count bigint, series_count bigint, forecast_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(drop_model.model);
begin
    if definition.kind = 'shrinkage_curve' then
        raise exception 'model % belongs to the system', definition.name using errcode = '22023', hint = 'Only models made by api.create_model can be dropped.';
    end if;
    -- Nobody fits it meanwhile.
    perform internal.open_run(definition.name, 'fit', '{"drop": true}');
    select (select count(*) from core.model_versions as v where v.model = definition.name),
        (select count(*) from core.model_series as s where s.model = definition.name)
    into version_count, series_count;
    delete from core.forecast_ledger as f using core.model_versions as v where v.model = definition.name and f.version_id = v.id;
    get diagnostics forecast_count = row_count;
    -- Another model of that name would begin with version 1 too.
    delete from core.model_performance_metrics as m where m.model = definition.name;
    delete from core.training_run as r where r.model = definition.name;
    delete from core.model_series as s where s.model = definition.name;
    delete from core.model_versions as v where v.model = definition.name;
    delete from core.model_definition as d where d.name = definition.name;
    delete from cache.ml_models as c
    where c.model_name = definition.name and not exists (select from core.run_outcome as o where o.ml_model_id = c.id);
    delete from cache.model_artifact as a
    where a.model_name = definition.name and not exists (select from core.model_versions as v where v.artifact_id = a.id)
      and not exists (select from cache.ml_models as m where m.artifact_id = a.id);
    insert into core.model_event (model, event, details)
    values (definition.name, 'dropped', jsonb_build_object('versions', version_count, 'series', series_count, 'forecasts', forecast_count));
    return next;
end
$$;

comment on function api.drop_model(text) is
'Removes a model with its versions, runs and forecasts; its source stays, and so does the audit trail. Returns what went.

Raises 22023 for an unknown model and for shrinkage, 55P03 while it is being fitted. Example: select * from api.drop_model(''sales'');';
