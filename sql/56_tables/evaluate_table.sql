create function internal.evaluate_table(definition core.model_definition, complete jsonb, folds int, seed int, repeats int, run_id bigint)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    names text [];
    families text [];
    types regtype [];
    packed record;
    result jsonb;
begin
    if definition.value_column is null then
        raise exception 'model % has no target to be held against', definition.name
            using errcode = '22023', hint = 'What it found is in api.predict_rows.';
    end if;
    if folds not between 2 and 100 or repeats not between 0 and 100 then
        raise exception 'these folds are impossible: folds %, repeats %', folds, repeats
            using errcode = '22023', hint = 'folds from 2 to 100, repeats from 0 to 100.';
    end if;
    definition.options := definition.options || jsonb_strip_nulls(complete);
    select array_agg(c.name order by c.place), array_agg(c.family order by c.place), array_agg(c.type order by c.place) into names, families, types
    from internal.table_columns(definition) as c;
    perform internal.show_progress('evaluate', definition.name, 0, folds);
    select p.* into packed from internal.pack_table(definition, names, families, types) as p;
    if packed.row_count = 0 then
        raise exception 'model % has nothing to be evaluated on: its source has no rows', definition.name using errcode = 'ML101', hint = 'Load data first.';
    end if;
    result := internal.evaluate_rows(complete ->> 'kind', complete ->> 'task', complete -> 'kind_options', (complete ->> 'levels')::int, names, families,
        packed.numbers, packed.texts, folds, seed, repeats)::jsonb;
    insert into core.backtest_metric (run_id, series_id, fold, method, metric, value, row_count)
    select evaluate_table.run_id, null, (s.value ->> 0)::int, s.value ->> 1, s.value ->> 2, (s.value ->> 3)::float8, (s.value ->> 4)::int
    from jsonb_array_elements(result -> 'scores') as s (value);
    insert into core.confusion (run_id, actual_class, predicted_class, row_count)
    select evaluate_table.run_id, s.value ->> 0, s.value ->> 1, (s.value ->> 2)::int
    from jsonb_array_elements(result -> 'confusion') as s (value);
    insert into core.class_metric (run_id, class, "precision", recall, f1, row_count)
    select evaluate_table.run_id, s.value ->> 0, (s.value ->> 1)::float8, (s.value ->> 2)::float8, (s.value ->> 3)::float8, (s.value ->> 4)::int
    from jsonb_array_elements(result -> 'classes') as s (value);
    insert into core.feature_importance (run_id, feature, importance, deviation, metric)
    select evaluate_table.run_id, s.value ->> 0, (s.value ->> 1)::float8, (s.value ->> 2)::float8, s.value ->> 3
    from jsonb_array_elements(result -> 'importance') as s (value);
    return (result ->> 'row_count')::bigint;
end
$$;

comment on function internal.evaluate_table(core.model_definition, jsonb, int, int, int, bigint) is
'Cross-validates a model of a table; rows go to core.backtest_metric, confusion, class_metric and feature_importance. Returns the rows.

complete: kind and options of a version. seed: of shuffled folds, NULL = in the order of the rows. repeats: how often each column is
shuffled to measure its importance. Raises 22023 without a target or for impossible folds.';
