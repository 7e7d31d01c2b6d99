create function internal.find_table_version(model text, version int)
returns core.model_versions
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition := internal.find_model(find_table_version.model);
    chosen core.model_versions;
begin
    if definition.source is null or definition.time_column is not null then
        raise exception 'model % predicts no rows', definition.name using errcode = '22023',
            hint = case when definition.source is null then 'Its answers come from api.shrinkage.'
                else format('It forecasts series: api.forecast(%L).', definition.name) end;
    end if;
    chosen := internal.find_version(definition.name, find_table_version.version);
    if chosen.artifact_id is null then
        raise exception 'what version % of model % learnt is gone', chosen.version, definition.name
            using errcode = '22023', hint = 'Housekeeping removed it. Fit again, or take a newer version.';
    end if;
    return chosen;
end
$$;

comment on function internal.find_table_version(text, int) is
'Gives a version of a model of a table that can score; NULL = the deployed one. Raises 22023, and ML201 when none is deployed.';

create function api.predict(model text, features jsonb, version int default null)
returns table (prediction text, value float8, probability float8, probabilities jsonb, model_version int, note text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    chosen core.model_versions := internal.find_table_version(predict.model, predict.version);
begin
    if predict.features is null or jsonb_typeof(predict.features) <> 'object' then
        raise exception 'features are not an object' using errcode = '22023', hint = 'As {"weight": 1.2, "kind": "hake"}.';
    end if;
    perform internal.load_artifact(chosen.artifact_id);
    return query
    select s.prediction, s.value, s.probability, s.probabilities::jsonb, chosen.version, nullif(concat_ws('; ', s.note, (
        select format('stale: fitted %s ago', date_trunc('minute', now() - chosen.created_date))
        from core.model_definition as d where d.name = chosen.model and chosen.created_date < now() - d.time_to_live
    )), '')
    from internal.score_row(chosen.model_type, chosen.artifact_id, predict.features) as s;
end
$$;

comment on function api.predict(text, jsonb, int) is
'Predicts one row of a model of a table from its features by name.

features: an object of columns and values; one that is missing or null is an empty cell. version: NULL = the deployed one. prediction:
the class, the number as text, anomaly or normal, the number of the cluster. value: the number, or the score of an anomaly (greater is
stranger); NULL = a class. probability: of the class, 0 to 1; probabilities: of each; NULL = no classes. note: what is stale or was not
seen before. Raises 22023 for an unknown model or feature, or a value that is not of its type, ML201 when nothing is deployed, 55000 when what was
stored was tampered with. Example: select prediction, probability from api.predict(''spoilage'', ''{"weight": 1.2}'');';

create function api.predict_rows(model text, source text, version int default null)
returns table (
    key text [], row_number bigint, prediction text, value float8, probability float8, is_anomaly boolean, model_version int, note text -- noqa: RF04
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set max_parallel_workers_per_gather = 0
set client_min_messages = warning
as $$
#variable_conflict use_column
declare
    chosen core.model_versions := internal.find_table_version(predict_rows.model, predict_rows.version);
    asked core.model_definition := internal.find_model(predict_rows.model);
    header jsonb;
    classes text [];
    names text [];
    families text [];
    types regtype [];
    missing text;
    keys text [] := '{}';
begin
    asked := internal.named_source(asked, predict_rows.source);
    asked.key_columns := array(select jsonb_array_elements_text(chosen.options -> 'key_columns'));
    perform internal.load_artifact(chosen.artifact_id);
    select a.header into header from cache.model_artifact as a where a.id = chosen.artifact_id;
    classes := case header ->> 'task' when 'anomaly' then '{normal,anomaly}' else array(select jsonb_array_elements_text(header -> 'classes')) end;
    create temp table if not exists scored_column (name text, family text, type regtype) on commit drop;
    truncate pg_temp.scored_column;
    insert into pg_temp.scored_column select c.name, c.family, c.type from internal.source_columns(internal.source_clause(asked)) as c;
    select string_agg(quote_ident(f.name), ', ') into missing
    from jsonb_array_elements_text(chosen.options -> 'features') as f (name)
    where not exists (select from pg_temp.scored_column as c where c.name = f.name and c.family is not null);
    if missing is not null then
        raise exception 'the source has no column %', missing
            using errcode = '42703', hint = format('Version %s of the model learnt from it; select NULL as its name where nothing is known.', chosen.version);
    end if;
    select array_agg(c.name order by f.place), array_agg(c.family order by f.place), array_agg(c.type order by f.place) into names, families, types
    from jsonb_array_elements_text(chosen.options -> 'features') with ordinality as f (name, place)
    inner join pg_temp.scored_column as c on c.name = f.name;
    if asked.key_columns <@ array(select c.name from pg_temp.scored_column as c) then
        keys := asked.key_columns;
    end if;
    -- Rows become arrays in one pass, keys too: what comes back is in the same order, and nothing is kept aside or joined.
    return query execute format(
        $statement$
        select %1$s, u.n, coalesce($5[u.class_number], case $6 when 'clustering' then (u.value::int)::text else u.value::text end), u.value, u.probability,
            case when $6 = 'anomaly' then u.class_number = 2 end, $7, $8
        from (
            select count(*)::int as count, %2$s as numbers, %3$s as texts %4$s
            from (select %5$s from %6$s) as s
        ) as p
        cross join lateral internal.score_rows($1, $2, $3, $4, p.numbers, p.texts, p.count) as x
        cross join lateral unnest(%7$s x.value::float8[], x.class_number::int[], x.probability::float8[])
            with ordinality as u (%8$s value, class_number, probability, n)
        where p.count > 0
        $statement$,
        case when cardinality(keys) > 0 then (select format('array[%s]', string_agg(format('u.k%s', k.place), ', ' order by k.place)) from unnest(keys) with ordinality as k (name, place))
            else 'null::text[]' end,
        (select coalesce('array[' || string_agg(format('string_agg(float8send(coalesce(s.c%s, ''NaN'')), ''''::bytea)', n.place), ', ' order by n.place) || ']', '''{}''::bytea[]')
            from unnest(families) with ordinality as n (family, place) where n.family <> 'text'),
        (select coalesce('array[' || string_agg(format('array_agg(s.c%s)', n.place), ', ' order by n.place) || ']', '''{}''::text[]')
            from unnest(families) with ordinality as n (family, place) where n.family = 'text'),
        (select string_agg(format(', array_agg(s.k%1$s) as k%1$s', k.place), '' order by k.place) from unnest(keys) with ordinality as k (name, place)),
        (select string_agg(format('%s as c%s', internal.number_expression(n.family, n.type, n.name, internal.table_zone(asked)), n.place), ', ' order by n.place)
            from unnest(names, families, types) with ordinality as n (name, family, type, place))
        || (select coalesce(string_agg(format(', source.%I::text as k%s', k.name, k.place), '' order by k.place), '') from unnest(keys) with ordinality as k (name, place)),
        internal.source_clause(asked),
        (select string_agg(format('p.k%s,', k.place), ' ' order by k.place) from unnest(keys) with ordinality as k (name, place)),
        (select string_agg(format('k%s,', k.place), ' ' order by k.place) from unnest(keys) with ordinality as k (name, place))
    ) using chosen.model_type, chosen.artifact_id, names, families, classes, header ->> 'task', chosen.version,
        case when chosen.created_date < now() - asked.time_to_live then format('stale: fitted %s ago', date_trunc('minute', now() - chosen.created_date)) end;
end
$$;

comment on function api.predict_rows(text, text, int) is
'Predicts all rows of a table, view or query with a model of a table, in one pass.

source: schema.name, or a query (SELECT ...), with the columns the model learnt from, by name. version: NULL = the deployed one. key: the
model''s key columns of the row, NULL = it has none, or the source lacks them. row_number: rows as they were read. prediction, value,
probability: as in api.predict. is_anomaly: NULL = no model of anomalies. note: stale fits. A level that was never seen is "other", an
infinite number an empty cell. Raises 22023 for an unknown model or a column whose type changed, 42703 for a missing column, 42P01, ML201, 55000.
Example: select row_number, prediction from api.predict_rows(''spoilage'', ''shop.box'');';
