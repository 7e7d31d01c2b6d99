create function internal.find_norm(norm_id int)
returns core.norms
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    norm core.norms;
begin
    select n.* into norm from core.norms as n where n.id = find_norm.norm_id;
    if not found then
        raise exception 'there is no norm %', coalesce(find_norm.norm_id::text, 'NULL')
            using errcode = '22023', hint = 'See bi.norm for the norms.';
    end if;
    return norm;
end
$$;

comment on function internal.find_norm(int) is
'Gives a norm of natural loss by its id; raises 22023 for an unknown one.';
