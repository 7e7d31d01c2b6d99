create function internal.named_source(definition core.model_definition, source text)
returns core.model_definition
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    relation regclass;
begin
    begin
        relation := to_regclass(named_source.source);
    exception
        when syntax_error or invalid_name then
            relation := null;
    end;
    if relation is null and coalesce(named_source.source, '') !~* '^\s*(select|with|values|table)\M' then
        raise exception 'there is no relation %', coalesce(named_source.source, 'NULL')
            using errcode = '42P01', hint = 'Give schema.name of a table or view you may read, or a query that begins with SELECT or WITH.';
    end if;
    definition.source_is_query := relation is null;
    -- With its schema: who reads it later may have another search_path.
    definition.source := coalesce(
        (select format('%I.%I', n.nspname, c.relname) from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace where c.oid = relation),
        regexp_replace(named_source.source, '[\s;]+$', '')
    );
    return definition;
end
$$;

comment on function internal.named_source(core.model_definition, text) is
'Enters a relation or query, as people name it, as the source of a definition. Raises 42P01 when there is none.';
