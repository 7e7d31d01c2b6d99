create function internal.spell_names()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    truncate staging.spelling, staging.meaning;
    insert into staging.spelling (number, item, product_type, warehouse, document_type, item_group)
    select row_number() over (order by min(r.line)),
        coalesce(r.item, ''), coalesce(r.product_type, ''), coalesce(r.warehouse, ''), coalesce(r.document_type, ''), coalesce(min(r.item_group), '')
    from staging.row as r
    group by coalesce(r.item, ''), coalesce(r.product_type, ''), coalesce(r.warehouse, ''), coalesce(r.document_type, '');
end
$$;

comment on function internal.spell_names() is
'Lists the names in staging.row in staging.spelling, each combination once.';
