create function internal.add_version(model text, options jsonb, data_hash text)
returns int
language sql volatile
begin atomic
    insert into core.model_versions (model, model_type, description, version, options, data_hash)
    select d.name, d.kind, d.description, coalesce((select max(v.version) from core.model_versions as v where v.model = d.name), 0) + 1,
        add_version.options, add_version.data_hash
    from core.model_definition as d
    where d.name = add_version.model
    returning id;
end;

comment on function internal.add_version(text, jsonb, text) is
'Makes the next version of a model, trained; gives its key. The caller holds the lock of the model.';

create function internal.deploy(version_id int, event text, reason text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    chosen core.model_versions;
    current core.model_versions;
begin
    select v.* into chosen from core.model_versions as v where v.id = version_id;
    select v.* into current from core.model_versions as v where v.model = chosen.model and v.status = 'deployed' for update;
    if current.id = version_id then
        return;
    end if;
    update core.model_versions as v set status = 'archived', retired_at = now() where v.id = current.id;
    update core.model_versions as v
    set status = 'deployed', deployed_at = now(), retired_at = null,
        -- A rollback goes back along this chain; it does not lengthen it.
        replaced_version_id = case when event = 'rolled_back' then v.replaced_version_id else current.id end
    where v.id = version_id;
    insert into core.model_event (model, version, event, reason, details)
    values (chosen.model, chosen.version, event, reason, jsonb_build_object('version_before', current.version));
end
$$;

comment on function internal.deploy(int, text, text) is
'Puts a version in force, archives the one before, and leaves an audit row; nothing happens when it is in force already.

event: deployed or rolled_back.';
