create function internal.table_options(definition core.model_definition)
returns jsonb
language sql stable
return jsonb_build_object(
    'task', table_options.definition.options -> 'task', 'order_by', table_options.definition.options -> 'order_by',
    'levels', coalesce((table_options.definition.options ->> 'levels')::int, 32), 'time_zone', internal.table_zone(table_options.definition),
    'kind_options', table_options.definition.options -> 'kind_options'
);

comment on function internal.table_options(core.model_definition) is
'Gives all options that decide the fit of a table, defaults filled in; task NULL = found from the target.';

create function internal.fit_table(definition core.model_definition, run_id bigint, refit boolean)
returns table (version_id int, is_new boolean, row_count bigint, series_count int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
#variable_conflict use_variable
declare
    names text [];
    families text [];
    types regtype [];
    content record;
    past record;
    packed record;
    fitted record;
    known cache.model_artifact;
    chosen cache.model_artifact;
    complete jsonb := internal.table_options(definition);
    options_hash text;
    version_hash text;
    seen_length bigint;
begin
    select array_agg(c.name order by c.place), array_agg(c.family order by c.place), array_agg(c.type order by c.place) into names, families, types
    from internal.table_columns(definition) as c;
    if names is null or cardinality(names) = (definition.value_column is not null)::int then
        raise exception 'model % has no column to learn from', definition.name
            using errcode = '22023', hint = 'Its source needs numbers, booleans, times or text beside the target and the keys.';
    end if;
    options_hash := encode(sha256(convert_to(complete::text, 'UTF8')), 'hex');
    select h.* into content from internal.hash_table(definition, names, families, types) as h;
    row_count := content.row_count;
    series_count := 0;
    if row_count = 0 then
        raise exception 'model % has nothing to be fitted on: its source has no rows', definition.name using errcode = 'ML101', hint = 'Load data first.';
    end if;
    if not refit then
        select a.* into chosen
        from cache.model_artifact as a
        where a.kind = definition.kind and a.options_hash = options_hash and a.data_hash = content.data_hash and a.invalidated_at is null
          and a.trained_at > now() - definition.time_to_live
        order by a.trained_at desc limit 1;
    end if;
    version_hash := encode(sha256(convert_to(concat_ws('|', definition.kind, options_hash, content.data_hash), 'UTF8')), 'hex');
    if chosen.id is not null then
        update cache.model_artifact as a set last_used_at = now() where a.id = chosen.id and a.last_used_at < now() - interval '1 hour';
        select v.id into version_id
        from core.model_versions as v
        where v.model = definition.name and v.status <> 'failed' and v.artifact_id = chosen.id
        order by v.version desc limit 1;
        is_new := version_id is null;
    else
        -- Rows that were there are there still, and at most a tenth came: trees and rounds are added.
        if not refit and definition.options ->> 'order_by' is not null and (internal.kind_traits(definition.kind) ->> 'continues')::boolean then
            select a.* into known
            from cache.model_artifact as a
            where a.kind = definition.kind and a.options_hash = options_hash and a.model_name = definition.name and a.invalidated_at is null
              and a.trained_at > now() - definition.time_to_live and a.header ->> 'newest' is not null
            order by a.trained_at desc limit 1;
            if known.id is not null and (row_count > 1.1 * known.fitted_length or row_count <= known.data_length) then
                known := null;
            elsif known.id is not null then
                select h.* into past from internal.hash_table(definition, names, families, types, known.header ->> 'newest') as h;
                if past.data_hash <> known.data_hash then
                    known := null;
                end if;
            end if;
            perform internal.load_artifact(known.id, true);
        end if;
        perform internal.show_progress('fit', definition.name, 0, 1);
        select p.* into packed from internal.pack_table(definition, names, families, types) as p;
        select f.* into fitted
        from internal.fit_rows(definition.kind, complete ->> 'task', complete -> 'kind_options', (complete ->> 'levels')::int,
            definition.value_column is not null, names, families, packed.numbers, packed.texts, known.id) as f;
        perform internal.show_progress('fit', definition.name, 1, 1);
        if not fitted.is_continued then
            known := null;
        end if;
        seen_length := coalesce(known.fitted_length, row_count);
        -- What was fitted on the same content before, and is asked for again or too old, makes room.
        update cache.model_artifact as a set invalidated_at = now()
        where a.kind = definition.kind and a.options_hash = options_hash and a.data_hash = content.data_hash and a.invalidated_at is null;
        insert into cache.model_artifact (model_name, upload_id, kind, version, options_hash, data_hash, header, arrays, native, native_format, signature, label,
            data_length, fitted_length, continued_id)
        select definition.name, internal.source_dataset(definition), definition.kind, fitted.version, options_hash, content.data_hash, h.header, fitted.arrays,
            fitted.native,
            fitted.native_format,
            internal.sign_artifact(definition.kind, fitted.version, content.data_hash, h.header::text, fitted.arrays, fitted.native),
            fitted.label, row_count, seen_length, known.id
        from (
            select fitted.header::jsonb || jsonb_build_object('newest', content.newest, 'note', fitted.note, 'rows', fitted.row_count) as header
        ) as h
        returning * into chosen;
        is_new := true;
    end if;
    if is_new then
        version_id := internal.add_version(definition.name, complete || jsonb_build_object('kind', definition.kind, 'target', definition.value_column,
            'features', to_jsonb(names[1 + (definition.value_column is not null)::int :]), 'key_columns', to_jsonb(definition.key_columns)), version_hash);
        update core.model_versions as v
        set series_count = 0, status = 'trained', model_type = definition.kind, artifact_id = chosen.id, task = chosen.header ->> 'task',
            parameters = jsonb_strip_nulls(jsonb_build_object('label', chosen.label, 'note', chosen.header -> 'note', 'rows', chosen.header -> 'rows',
                'classes', chosen.header -> 'classes')),
            parameters_fitted_at = chosen.trained_at,
            continued_version_id = (
                select max(x.id) from core.model_versions as x where x.model = definition.name and x.artifact_id = chosen.continued_id
            )
        where v.id = version_id;
    end if;
    return next;
end
$$;

comment on function internal.fit_table(core.model_definition, bigint, boolean) is
'Fits a model of a table: an artifact (cache.model_artifact) and a version, unless the content is that of an earlier one.

Content is the kind, the options, the columns and the rows in whatever order. Where rows are ordered by a column (option order_by),
those there were are unchanged and at most a tenth came, the kind goes on from what it learnt where it can. Raises ML101 without rows.';
