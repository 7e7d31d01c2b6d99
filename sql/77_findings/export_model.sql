create function api.export_model(model text, version int default null)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    chosen core.model_versions := internal.find_version(model, version);
    definition core.model_definition := internal.find_model(model);
    tampered uuid;
    whole jsonb;
    series jsonb;
begin
    -- The run that made it names the parameters of each series; a version that was evaluated has others, without.
    select c.id into tampered
    from core.run_outcome as o
    inner join cache.ml_models as c on c.id = o.ml_model_id
    where o.run_id = internal.fit_run(chosen.id) and not internal.is_signed_model(c.fitted_kind, c.version, c.data_hash, c.parameters::text, c.signature)
    limit 1;
    if tampered is not null then
        raise exception 'the stored model % is not what was signed', tampered using errcode = '55000',
            detail = 'Its parameters were changed, or the database was restored from another server.',
            hint = 'After a restore run: loader cache verify --adopt; else fit again.';
    end if;
    select jsonb_agg(jsonb_build_object('series', s.label, 'key', s.series_key, 'kind', c.fitted_kind, 'form', c.version, 'label', c.label,
        'note', c.note, 'reason', o.reason, 'first_time', o.first_time, 'last_time', o.last_time, 'observations', o.observation_count,
        'parameters', c.parameters) order by s.label, s.id)
    into series
    from core.run_outcome as o
    inner join core.model_series as s on s.id = o.series_id
    left join cache.ml_models as c on c.id = o.ml_model_id
    where o.run_id = internal.fit_run(chosen.id);
    if chosen.model_type = 'shrinkage_curve' then
        select jsonb_agg(jsonb_build_object('item', n.name, 'product_type', n.product_type, 'family', k.family, 'a', k.coefficient_a,
            'b', k.coefficient_b, 'c', k.coefficient_c, 'outcome', k.outcome) order by n.name, n.id)
        into series
        from core.coefficients as k
        inner join core.nomenclature as n on n.id = k.nomenclature_id
        where k.model_id = chosen.id;
    end if;
    select jsonb_build_object('id', a.id, 'kind', a.kind, 'form', a.version, 'label', a.label, 'header', a.header, 'native_format', a.native_format,
        'arrays', internal.export_arrays(a.id, a.kind, a.version, a.data_hash, a.header::text, a.arrays, a.native, a.signature,
            internal.setting('export.max_numbers')::int)::jsonb)
    into whole
    from cache.model_artifact as a
    where a.id = chosen.artifact_id;
    return jsonb_build_object(
        'format', 'weighhouse model', 'form', 1, 'model', chosen.model, 'version', chosen.version, 'kind', chosen.model_type, 'task', chosen.task,
        'status', chosen.status, 'fitted_at', chosen.created_date, 'fitted_by', chosen.created_by, 'data_hash', chosen.data_hash,
        'window', jsonb_build_object('from', chosen.window_start, 'to', chosen.window_end),
        'definition', jsonb_build_object('source', definition.source, 'time_column', definition.time_column, 'value_column', definition.value_column,
            'key_columns', definition.key_columns, 'feature_columns', definition.feature_columns, 'description', definition.description,
            'grid', definition.grid),
        'options', chosen.options, 'metrics', chosen.metrics, 'feature_importance', chosen.feature_importance, 'parameters', chosen.parameters,
        'artifact', whole, 'series', coalesce(series, '[]')
    );
end
$$;

comment on function api.export_model(text, int) is
'Writes a version of a model as one JSON object: its definition, options, metrics, and all that was learnt.

version: NULL = the deployed one. series: the parameters of each (NULL where it failed, or housekeeping removed them); of shrinkage the
coefficient of each product. artifact: what was learnt from the whole relation: header, and arrays by name with shape, type and
values; larger ones than the setting export.max_numbers as npy (base64 of numpy''s format). What is no number is "NaN", "Infinity" or
"-Infinity". Raises ML201 when none is deployed, 22023 for an unknown model or version, 55000 where what is stored is not what was
signed. Example: select jsonb_pretty(api.export_model(''sales'') -> ''options'');';

create function api.export_native(model text, version int default null)
returns table (native_format text, content bytea)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    chosen core.model_versions := internal.find_version(export_native.model, export_native.version);
begin
    return query
    select a.native_format, internal.export_native(a.id, a.kind, a.version, a.data_hash, a.header::text, a.arrays, a.native, a.signature)
    from cache.model_artifact as a
    where a.id = chosen.artifact_id;
    if not found then
        raise exception 'version % of % has nothing in the format of a library', chosen.version, chosen.model
            using errcode = '22023', hint = 'Export it as JSON: api.export_model.';
    end if;
end
$$;

comment on function api.export_native(text, int) is
'Gives a version of a model in the format of the library that learnt it, for use outside: lightgbm (model text), xgboost (UBJSON).

version: NULL = the deployed one. Kinds of scikit-learn and our own have no such format: 22023, and api.export_model gives everything as
JSON. Raises ML201 when none is deployed, 22023 for an unknown model or version, 55000 where what is stored is not what was signed.
Example: select native_format, length(content) from api.export_native(''spoilage'');';
