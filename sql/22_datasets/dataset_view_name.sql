create function internal.dataset_view_name(owner text, name text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    taken text;
    wish text := name;
begin
    -- Once given, a view keeps its name: models read it.
    select d.view_name into taken from core.dataset as d
    where d.owner = dataset_view_name.owner and d.name = dataset_view_name.name and d.view_name is not null
    limit 1;
    if taken is not null then
        return taken;
    end if;
    -- Another owner's dataset of that name keeps the plain one; upload_N are the tables.
    if wish ~ '^upload_[0-9]+$' or exists (select from core.dataset as d where d.view_name = wish) then
        wish := name || '_' || owner;
    end if;
    if octet_length(wish) > 63 or wish ~ '[\u0001-\u001f\u007f]' or wish ~ '^upload_[0-9]+$' or exists (select from core.dataset as d where d.view_name = wish) then
        -- 40 bytes of it at most, not cut inside a letter.
        wish := (
            select max(left(x.plain, n.length))
            from (select regexp_replace(dataset_view_name.name, '[\u0001-\u001f\u007f]', ' ', 'g') as plain) as x
            cross join lateral generate_series(1, least(length(x.plain), 40)) as n (length)
            where octet_length(left(x.plain, n.length)) <= 40
        ) || '_' || left(md5(owner || E'\n' || name), 16);
    end if;
    return wish;
end
$$;

comment on function internal.dataset_view_name(text, text) is
'Gives the name of the view of the newest version of a dataset: the name itself where it is free and at most 63 bytes, else with its
owner, else cut, with a hash. Always the same for one owner and name, and never that of another.';
