create function internal.column_family(type regtype)
returns text
language sql stable parallel safe
return case
    when column_family.type in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype) then 'number'
    when column_family.type = 'bool'::regtype then 'boolean'
    when column_family.type in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) then 'time'
    when column_family.type = 'uuid'::regtype
        or (select t.typcategory in ('S', 'E') from pg_type as t where t.oid = column_family.type) then 'text'
end;

comment on function internal.column_family(regtype) is
'Tells how a column of a type is learnt from: number, boolean, time or text; NULL = not at all.';

create function internal.source_columns(source_clause text)
returns table (name text, family text, type regtype, place int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
#variable_conflict use_column
begin
    drop table if exists pg_temp.source_shape;
    begin
        execute format('create temp table source_shape on commit drop as select source.* from %s limit 0', source_columns.source_clause);
    exception
        when undefined_table then
            raise exception 'the query reads what is not there: %', sqlerrm
                using errcode = '42P01', hint = 'Write relations with their schema, as shop.sale: no search_path applies.';
    end;
    return query
    select a.attname::text, internal.column_family(a.atttypid::regtype), a.atttypid::regtype, a.attnum::int
    from pg_attribute as a
    where a.attrelid = 'pg_temp.source_shape'::regclass and a.attnum > 0 and not a.attisdropped
    order by a.attnum;
    drop table pg_temp.source_shape;
end
$$;

comment on function internal.source_columns(text) is
'Lists the columns of what stands after FROM, and how each is learnt from (internal.column_family). Raises 42P01.';

create function internal.number_expression(family text, type regtype, name text, zone text)
returns text
language sql immutable parallel safe
return case number_expression.family
    when 'number' then format('source.%I::float8', number_expression.name)
    when 'boolean' then format('source.%I::int::float8', number_expression.name)
    when 'time' then format('(extract(epoch from (source.%I%s)::timestamp) - 946684800)::float8', number_expression.name,
        case when number_expression.type = 'timestamptz'::regtype then format(' at time zone %L', number_expression.zone) else '' end)
    else format('source.%I::text', number_expression.name)
end;

comment on function internal.number_expression(text, regtype, text, text) is
'Writes how a column is sent: float8, times in seconds since 2000-01-01 of the zone; text as it is.';
