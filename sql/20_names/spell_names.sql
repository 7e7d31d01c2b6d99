create function internal.spell_names(source regclass, block int default 0, after_row tid default null, upto_row tid default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Dynamic, for a statement that names both staging tables would wait for who empties the other.
    execute format(
        $statement$
        insert into staging.spelling
            (block, item, product_type, warehouse, document_type, item_group, line, quantity_count, negative_count)
        select $1, coalesce(r.item, ''), coalesce(r.product_type, ''), coalesce(r.warehouse, ''), coalesce(r.document_type, ''),
            min(r.item_group), min(r.line), count(r.quantity), count(*) filter (where r.quantity ~ '^\s*[-−–(]|-\s*$')
        from %s as r %s
        group by 2, 3, 4, 5
        $statement$,
        source, case when upto_row is not null then 'where r.ctid > $2 and r.ctid <= $3' end
    ) using block, after_row, upto_row;
end
$$;

comment on function internal.spell_names(regclass, int, tid, tid) is
'Lists the names in a block of staged rows in staging.spelling, each combination once.

source: staging.stream or staging.row; after_row (left out) and upto_row bound the rows that are meant, NULL = all.';
