create function internal.find_item(item text)
returns int
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_ids int[];
    close_names text;
begin
    if item ~ '^\d{1,9}$' then
        select array_agg(n.id) into found_ids from core.nomenclature as n where n.id = item::int;
    end if;
    if found_ids is null then
        select array_agg(n.id order by n.id) into found_ids from core.nomenclature as n where n.name_key = internal.name_key(item);
    end if;
    if found_ids is null then
        select array_agg(distinct a.nomenclature_id) into found_ids
        from core.nomenclature_alias as a where a.raw_name = item;
    end if;
    if cardinality(found_ids) = 1 then
        return found_ids[1];
    end if;
    if cardinality(found_ids) > 1 then
        raise exception 'several products are called %', item
            using errcode = '22023', hint = format('Name one by its id: %s.', array_to_string(found_ids, ', '));
    end if;
    select string_agg(c.name, ', ') into close_names
    from (
        select n.name
        from core.nomenclature as n
        order by (
            select count(*) from unnest(string_to_array(internal.name_key(item), ' ')) as w (word)
            where n.name_key like '%' || left(w.word, greatest(3, length(w.word) - 2)) || '%'
        ) desc, n.name
        limit 3
    ) as c;
    raise exception 'unknown product %', coalesce(item, 'NULL')
        using errcode = '22023', hint = coalesce(format('Close names: %s.', close_names), 'Nothing was imported yet.');
end
$$;

comment on function internal.find_item(text) is
'Finds a product by its id, its name or any spelling seen in files.

Raises 22023 for an unknown or ambiguous one, with close names.';
