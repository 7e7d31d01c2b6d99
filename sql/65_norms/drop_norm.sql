create function api.drop_norm(norm_id int)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform internal.find_norm(norm_id);
    delete from core.norms as n where n.id = drop_norm.norm_id;
end
$$;

comment on function api.drop_norm(int) is
'Removes a norm of natural loss with its steps, as if it had never held. One that was replaced is better ended: api.end_norm().

Raises 22023 for an unknown norm. Example: select api.drop_norm(n.norm_id) from bi.norm as n where n.product_group = ''typing error'';';
