create function internal.source_clause(definition core.model_definition)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    relation regclass;
begin
    if definition.source is null then
        raise exception 'model % reads its own tables: it has no series', definition.name
            using errcode = '22023', hint = 'Models made by api.create_model have.';
    end if;
    if definition.source_is_query then
        return format('(%s) as source', definition.source);
    end if;
    relation := to_regclass(definition.source);
    if relation is null then
        raise exception 'model % reads %, which is not there', definition.name, definition.source
            using errcode = '42P01', hint = 'Make it again, or create the model anew on another relation.';
    end if;
    return format('%s as source', relation);
end
$$;

comment on function internal.source_clause(core.model_definition) is
'Writes what stands after FROM to read the source of a model, named source. Raises 42P01 when it is gone.';
