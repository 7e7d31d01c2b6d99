create function internal.find_model(name text)
returns core.model_definition
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition;
    close_names text;
begin
    select d.* into definition from core.model_definition as d where d.name = find_model.name;
    if definition.name is null then
        select string_agg(n.name, ', ') into close_names
        from (
            select d.name from core.model_definition as d
            order by lower(d.name) like '%' || lower(left(find_model.name, 3)) || '%' desc, d.name
            limit 5
        ) as n;
        raise exception 'there is no model %', coalesce(name, 'NULL')
            using errcode = '22023', hint = format('There are: %s. Make one with api.create_model.', close_names);
    end if;
    return definition;
end
$$;

comment on function internal.find_model(text) is 'Gives the definition of a model. Raises 22023 with the names there are.';

create function internal.find_version(model text, version int)
returns core.model_versions
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    definition core.model_definition := internal.find_model(model);
    found_version core.model_versions;
begin
    select v.* into found_version
    from core.model_versions as v
    where v.model = definition.name and case when find_version.version is null then v.status = 'deployed' else v.version = find_version.version end;
    if found_version.id is null and find_version.version is null then
        raise exception 'model % has no deployed version', definition.name
            using errcode = 'ML201', hint = format('Fit it: select * from api.fit_model(%L);', definition.name);
    elsif found_version.id is null then
        raise exception 'model % has no version %', definition.name, version
            using errcode = '22023', hint = coalesce('It has ' || (
                select string_agg(v.version::text, ', ' order by v.version) from core.model_versions as v where v.model = definition.name
            ) || '.', 'It was never fitted.');
    end if;
    return found_version;
end
$$;

comment on function internal.find_version(text, int) is
'Gives a version of a model; NULL = the deployed one. Raises ML201 when none is deployed, 22023 when there is no such version.';
