create function internal.source_clause(definition core.model_definition)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    relation regclass;
    gone core.dataset;
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
        select d.* into gone from core.dataset as d
        where d.status in ('expired', 'dropped') and definition.source in (format('dataset.upload_%s', d.id), 'dataset.' || quote_ident(d.view_name))
        order by d.version desc limit 1;
        if gone.id is not null then
            raise exception 'model % reads dataset %, whose version % %', definition.name, gone.name, gone.version, case gone.status
                when 'expired' then 'expired on ' else 'was dropped on ' end || to_char(gone.removed_at at time zone 'UTC', 'YYYY-MM-DD')
                using errcode = '42P01', hint = format('Upload it again (loader import FILE --into dataset "%s"%s), or create the model anew on another relation.',
                    gone.name, case when definition.source like 'dataset.upload\_%' then ', of which dataset.' || quote_ident(gone.view_name) || ' always shows the newest' else '' end);
        end if;
        raise exception 'model % reads %, which is not there', definition.name, definition.source
            using errcode = '42P01', hint = 'Make it again, or create the model anew on another relation.';
    end if;
    return format('%s as source', relation);
end
$$;

comment on function internal.source_clause(core.model_definition) is
'Writes what stands after FROM to read the source of a model, named source. Raises 42P01 when it is gone.';
