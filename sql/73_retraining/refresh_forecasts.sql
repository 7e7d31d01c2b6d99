create function internal.continue_version(champion core.model_versions)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition := internal.find_model(champion.model);
    attempt int;
    fit record;
begin
    perform internal.lock_model(definition.name);
    definition.grid := champion.options -> 'grid';
    perform internal.hash_series(definition);
    if not internal.has_news(definition, champion.id) then
        return 'unchanged';
    end if;
    -- The same data were taken in before, and then not put in force or taken back by somebody.
    select v.id into attempt from core.model_versions as v where v.continued_version_id = champion.id order by v.version desc limit 1;
    if attempt is not null and not internal.has_news(definition, attempt) then
        return 'unchanged';
    end if;
    select * into fit from internal.run_fit(definition.name, false, false, null, champion);
    if not fit.is_new then
        return 'unchanged';
    end if;
    -- A series that is new, or for which a baseline stood in, competes with nothing that is in force.
    if exists (select from core.model_versions as v where v.id = fit.version_id and v.status = 'failed') or exists (
        select from core.run_outcome as k
        inner join cache.ml_models as c on c.id = k.ml_model_id and c.fitted_kind = c.kind
        inner join core.run_outcome as o on o.series_id = k.series_id and o.run_id = internal.fit_run(fit.version_id)
        where k.run_id = internal.fit_run(champion.id) and o.outcome not in ('cached', 'updated')
    ) then
        return 'left to the retraining';
    end if;
    perform internal.deploy(fit.version_id, 'deployed', 'same parameters, newer data');
    -- It stands where the other stood: a rollback goes to the parameters before, not to yesterday's data.
    update core.model_versions as v set replaced_version_id = champion.replaced_version_id where v.id = fit.version_id;
    return 'continued';
end
$$;

comment on function internal.continue_version(core.model_versions) is
'Takes new observations into a deployed version, its parameters held fixed, and puts the result in force.

Returns continued; unchanged: there is nothing newer; left to the retraining: a series could not go on with its parameters, the
new version stays trained. Raises 55P03 while the model is being fitted.';

create function internal.refresh_forecasts()
returns table (count bigint, detail text) -- noqa: RF04
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    champion core.model_versions;
    ended text;
    fault_state text;
    fault text;
    faults text [] := '{}';
    continued_count int := 0;
    left_count int := 0;
    unchanged_count int := 0;
begin
    for champion in
        select v.*
        from core.model_versions as v
        inner join core.model_definition as d on d.name = v.model and d.time_column is not null
        where v.status = 'deployed'
        order by v.model
    loop
        begin
            ended := internal.continue_version(champion);
            continued_count := continued_count + (ended = 'continued')::int;
            left_count := left_count + (ended = 'left to the retraining')::int;
            unchanged_count := unchanged_count + (ended = 'unchanged')::int;
        exception
            when lock_not_available then
                faults := faults || format('%s is being fitted by another session', champion.model);
            when others then
                get stacked diagnostics fault_state = returned_sqlstate, fault = message_text;
                faults := faults || format('%s: %s', champion.model, fault);
                perform internal.fail_run(champion.model, jsonb_build_object('continued', champion.version), null, fault_state, fault);
        end;
    end loop;
    count := continued_count + left_count;
    detail := format('%s models continued, %s unchanged, %s left to the retraining, %s failed', continued_count, unchanged_count, left_count,
        cardinality(faults)) || coalesce(': ' || nullif(array_to_string(faults, '; '), ''), '');
    return next;
end
$$;

comment on function internal.refresh_forecasts() is
'Brings the deployed version of every model up to its newest observations: same parameters, new states, new forecasts.

Whatever the age of the parameters and the growth of the data: both are reasons to retrain, and what was retrained and rejected
must not come into force by the back door. A version of its own (bi.models), with the age of the fit it goes on from. Where
parameters cannot go on (a long gap since, a kind that cannot update) all is fitted, and the version stays trained: the retraining
decides. A model that fails stops no other: detail names it, and its run is in bi.training_run. Without new observations nothing
changes. Returns the versions made, and what was done in words.';
