create function internal.check_errors_exist(ids bigint [])
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
begin
    select string_agg(coalesce(u.id::text, 'NULL'), ', ' order by u.id) into unknown
    from (
        select distinct i.id from unnest(ids) as i (id)
        where not exists (select from core.validation_errors as e where e.id = i.id)
    ) as u;
    if unknown is not null then
        raise exception 'there is no finding %', unknown
            using errcode = '22023', hint = 'See validation_error_id of bi.review or api.list_errors; nothing was changed.';
    end if;
end
$$;

comment on function internal.check_errors_exist(bigint []) is 'Raises 22023 naming the ids that no finding has.';
