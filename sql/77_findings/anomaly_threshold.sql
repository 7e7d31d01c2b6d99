create function internal.anomaly_threshold(model text, threshold float8)
returns float8
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    chosen float8 := coalesce(
        threshold, (select t.threshold from core.anomaly_threshold as t where t.model = anomaly_threshold.model),
        internal.setting('anomalies.threshold')::float8
    );
begin
    if not (chosen > 0 and chosen < 'infinity') then
        raise exception 'threshold must be a number above 0, not %', chosen
            using errcode = '22023', hint = 'In standard deviations, as 5; smaller finds more.';
    end if;
    return chosen;
end
$$;

comment on function internal.anomaly_threshold(text, float8) is
'Gives the score beyond which values of a model are anomalies: as asked, else that of the model, else the setting. Raises 22023 unless
it is a number above 0.';

create function api.set_anomaly_threshold(model text, threshold float8)
returns float8
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(set_anomaly_threshold.model);
begin
    if set_anomaly_threshold.threshold is null then
        delete from core.anomaly_threshold as t where t.model = definition.name;
    else
        perform internal.anomaly_threshold(definition.name, set_anomaly_threshold.threshold);
        insert into core.anomaly_threshold as t (model, threshold) values (definition.name, set_anomaly_threshold.threshold)
        on conflict on constraint anomaly_threshold_pkey do update
        set threshold = excluded.threshold, changed_at = now(), changed_by = session_user
        where t.threshold <> excluded.threshold;
    end if;
    return internal.anomaly_threshold(definition.name, null);
end
$$;

comment on function api.set_anomaly_threshold(text, float8) is
'Says where anomalies of a model begin, otherwise than the setting anomalies.threshold; it leaves an audit row. Returns what holds now.

threshold: score beyond which a value is an anomaly, standard deviations; NULL = as the setting says. Raises 22023 for an unknown model,
or a threshold that is not above 0. Example: select api.set_anomaly_threshold(''sales'', 4);';
