create function internal.check_table(definition core.model_definition)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    tasks jsonb := internal.kind_traits(definition.kind) -> 'tasks';
    target record;
    task text := definition.options ->> 'task';
    feature_count int;
    row_count bigint;
begin
    if definition.time_column is not null then
        raise exception 'kind % learns from rows: it has no time_column', definition.kind
            using errcode = '22023', hint = 'Leave time_column out; a time may be among the feature_columns.';
    end if;
    if definition.value_column is null and tasks ?| array['regression', 'classification'] then
        raise exception 'kind % needs a target', definition.kind using errcode = '22023', hint = 'Name its column as value_column.';
    end if;
    if definition.value_column is not null and not tasks ?| array['regression', 'classification'] then
        raise exception 'kind % learns without a target', definition.kind using errcode = '22023', hint = 'Leave value_column out.';
    end if;
    select count(*) into feature_count from internal.table_columns(definition) as c where c.name is distinct from definition.value_column;
    if feature_count = 0 then
        raise exception 'model % has no column to learn from', definition.name
            using errcode = '22023', hint = 'Its source needs numbers, booleans, times or text beside the target and the keys.';
    end if;
    select c.* into target from pg_temp.source_column as c where c.name = definition.value_column;
    if target.family in ('text', 'time') and (task = 'regression' or target.family = 'time' or not tasks ? 'classification') then
        raise exception 'column % is %, not a number', definition.value_column, target.type
            using errcode = '22023', hint = 'A number is predicted by regression, text and booleans as classes; a query can cast.';
    end if;
    execute format('select count(*) from %s', internal.source_clause(definition)) into row_count;
    return row_count;
end
$$;

comment on function internal.check_table(core.model_definition) is
'Checks the definition of a model of a table: kind, columns, target. Returns the rows of the source. Raises 22023, 42703, 42P01.';
