create function internal.is_decided(model text)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition := internal.find_model(model);
    last core.model_retraining_log;
    champion core.model_versions;
    challenger core.model_versions;
begin
    select l.* into last from core.model_retraining_log as l where l.model = definition.name order by l.id desc limit 1;
    if last.decision is distinct from 'rejected' then
        return false;
    end if;
    select v.* into champion from core.model_versions as v where v.model = definition.name and v.status = 'deployed';
    select v.* into challenger from core.model_versions as v where v.model = definition.name and v.version = coalesce(last.new_version, last.old_version);
    if champion.parameters_fitted_at is distinct from (
        select v.parameters_fitted_at from core.model_versions as v where v.model = definition.name and v.version = last.old_version
    ) or challenger.options is distinct from internal.fit_options(definition) || jsonb_build_object('kind', definition.kind, 'grid', definition.grid) then
        return false;
    end if;
    perform internal.hash_series(definition);
    return not internal.has_news(definition, challenger.id);
exception
    when others then
        -- A source that cannot be read is the retraining's to report.
        return false;
end
$$;

comment on function internal.is_decided(text) is
'Whether the last retraining of a model was rejected, and champion, definition and data are still what they were.';

create function internal.due_models()
returns table (model text, reason text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select d.model_name, d.reasons
    from (
        select r.model_name, string_agg(r.reason || coalesce(format(' %s above %s', trim_scale(round(r.value::numeric, 1)), r.threshold), ''), ', ' order by r.reason) as reasons
        from api.retraining_reasons() as r
        where r.is_due
        group by r.model_name
    ) as d
    where not internal.is_decided(d.model_name)
    order by d.model_name;
end
$$;

comment on function internal.due_models() is
'Lists the models to be retrained by themselves, and why. What was rejected on the same data is not tried again.';

create function internal.retrain_due_models()
returns table (count bigint, detail text) -- noqa: RF04
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    due record;
    done record;
    parts text [] := '{}';
begin
    count := 0;
    for due in select d.model, d.reason from internal.due_models() as d loop
        begin
            select r.* into done from internal.retrain(due.model, due.reason, false, null) as r;
            parts := parts || format('%s %s (%s)', due.model, done.decision, done.decision_reason);
            count := count + 1;
        exception
            when lock_not_available then
                parts := parts || format('%s is being fitted by another session', due.model);
        end;
    end loop;
    detail := coalesce(nullif(array_to_string(parts, '; '), ''), 'no model is due');
    return next;
end
$$;

comment on function internal.retrain_due_models() is
'Retrains every model that has a reason (bi.retraining_due) and an active policy; one that fails stops no other.

Returns the decisions made, failed ones among them, and each in words.';
