create function internal.find_dataset(name text, version int default null, owner text default null, is_there boolean default true)
returns core.dataset
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    who text := owner;
    chosen core.dataset;
begin
    if who is null then
        -- One's own first; another's where there is but one of that name.
        select case when bool_or(d.owner = session_user) then session_user::text when count(distinct d.owner) = 1 then min(d.owner) end into who
        from core.dataset as d where d.name = find_dataset.name;
    end if;
    if who is null and exists (select from core.dataset as d where d.name = find_dataset.name) then
        raise exception 'several owners have a dataset %', name using errcode = '22023', hint = 'Name one: owner => ' || (
            select string_agg(distinct quote_literal(d.owner), ' or ') from core.dataset as d where d.name = find_dataset.name
        ) || '.';
    end if;
    select d.* into chosen from core.dataset as d
    where d.owner = who and d.name = find_dataset.name
      and case when find_dataset.version is null then not is_there or d.status = 'ready' else d.version = find_dataset.version end
    order by d.version desc limit 1;
    if chosen.id is null then
        raise exception 'there is no dataset %', coalesce(name, 'NULL') || coalesce(' version ' || version, '') || coalesce(' of ' || owner, '')
            using errcode = '22023', hint = coalesce('There are: ' || (
                select string_agg(format('%s version %s %s', d.name, d.version, d.status), ', ' order by d.name, d.version desc)
                from (
                    select x.name, x.version, x.status from core.dataset as x
                    order by x.name = find_dataset.name desc nulls last, x.name, x.version desc limit 5
                ) as d
            ) || '. See api.list_datasets.', 'Upload one: loader import FILE --into dataset NAME.');
    end if;
    if is_there and chosen.status <> 'ready' then
        raise exception 'version % of dataset % is %', chosen.version, chosen.name, chosen.status using errcode = '22023',
            hint = coalesce(chosen.refusal, 'Its table is gone; its profile is in bi.dataset_column.');
    end if;
    return chosen;
end
$$;

comment on function internal.find_dataset(text, int, text, boolean) is
'Gives a dataset; version NULL = the newest that is ready. owner NULL = one''s own, else the only one of that name. is_there: its table
is needed. Raises 22023 with the names there are.';
