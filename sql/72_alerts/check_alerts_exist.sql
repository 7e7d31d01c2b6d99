create function internal.check_alerts_exist(ids bigint [])
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
begin
    if ids is null or cardinality(ids) = 0 then
        raise exception 'nothing says which alerts' using errcode = '22023', hint = 'Give ids: alert_id of bi.open_alerts.';
    end if;
    select string_agg(coalesce(u.id::text, 'NULL'), ', ' order by u.id) into unknown
    from (
        select distinct i.id from unnest(ids) as i (id) where not exists (select from core.alert as a where a.id = i.id)
    ) as u;
    if unknown is not null then
        raise exception 'there is no alert %', unknown
            using errcode = '22023', hint = 'See alert_id of bi.alert or api.list_alerts; nothing was changed.';
    end if;
end
$$;

comment on function internal.check_alerts_exist(bigint []) is 'Raises 22023 naming the ids that no alert has, or when there are none.';
