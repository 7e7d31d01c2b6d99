create function internal.table_columns(definition core.model_definition)
returns table (name text, family text, type regtype, place int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    missing text;
    unfit record;
begin
    create temp table if not exists source_column (name text, family text, type regtype, place int) on commit drop;
    truncate pg_temp.source_column;
    insert into pg_temp.source_column select c.* from internal.source_columns(internal.source_clause(definition)) as c;
    select string_agg(quote_ident(coalesce(n.name, 'NULL')), ', ') into missing
    from unnest(definition.key_columns || definition.feature_columns || definition.value_column || (definition.options ->> 'order_by')) with ordinality as n (name, place)
    where not exists (select from pg_temp.source_column as c where c.name = n.name)
      and (n.name is not null or n.place <= cardinality(definition.key_columns) + cardinality(definition.feature_columns));
    if missing is not null then
        raise exception '% has no column %', definition.source, missing
            using errcode = '42703', hint = 'value_column, feature_columns, key_columns and order_by name columns of the source.';
    end if;
    select c.* into unfit
    from pg_temp.source_column as c
    where c.family is null and (c.name = definition.value_column or c.name = any(definition.feature_columns))
    order by c.place limit 1;
    if unfit.name is not null then
        raise exception 'column % is %: nothing is learnt from that', unfit.name, unfit.type
            using errcode = '22023', hint = 'Use numbers, booleans, times or text; a query can cast.';
    end if;
    if definition.value_column = any(definition.feature_columns) then
        raise exception 'column % is both target and feature', definition.value_column
            using errcode = '22023', hint = 'A feature must be known before the target is.';
    end if;
    return query
    select c.name, c.family, c.type, (row_number() over (order by c.name is distinct from definition.value_column, array_position(definition.feature_columns, c.name), c.place))::int
    from pg_temp.source_column as c
    where c.family is not null and (
        c.name is not distinct from definition.value_column
        or case
            when cardinality(definition.feature_columns) > 0 then c.name = any(definition.feature_columns)
            else c.name <> all(definition.key_columns) and c.name is distinct from definition.options ->> 'order_by'
        end
    )
    order by 4;
end
$$;

comment on function internal.table_columns(core.model_definition) is
'Lists the columns a model of a table learns from: the target first, where there is one, then the features.

Without feature_columns all others are: but key columns, the column rows are ordered by, and types nothing is learnt from. Raises
42703 for a column that is not there, 22023 for one that cannot be.';
