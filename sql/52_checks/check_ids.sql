create function internal.check_ids(ids bigint [], relation regclass, what text, see text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
begin
    execute format(
        'select string_agg(coalesce(u.id::text, ''NULL''), '', '' order by u.id) '
        'from (select distinct i.id from unnest($1) as i (id) where not exists (select from %s as r where r.id = i.id)) as u', relation
    ) into unknown using ids;
    if unknown is not null then
        raise exception 'there is no % %', what, unknown using errcode = '22023', hint = format('See %s; nothing was changed.', see);
    end if;
end
$$;

comment on function internal.check_ids(bigint [], regclass, text, text) is
'Raises 22023 naming the ids that no row of a table has; no ids are fine.

what: what a row is called. see: where people find its ids.';
