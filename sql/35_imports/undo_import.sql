create function api.undo_import(import_id int)
returns table (movement_count bigint, balance_count bigint, shared_files text, norm_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Millions of rows may go: the audit trail gets one row for each table they go from. Back to what it was when this returns.
set "weighhouse.audit" = 'summary'
set "weighhouse.reason" = ''
as $$
begin
    if exists (select from core.source_data as s where s.id = import_id and s.layout = 'dataset') then
        raise exception 'import % made a dataset', import_id using errcode = '22023', hint = 'Drop it: api.drop_dataset.';
    end if;
    perform set_config('weighhouse.reason', format('import %s taken back', import_id), true);
    update core.source_data as s
    set undone_at = clock_timestamp()
    where s.id = import_id and s.undone_at is null;
    if not found then
        raise exception 'there is no import % to take back', import_id
            using errcode = '22023', hint = 'See bi.import_quality for the imports.';
    end if;

    delete from core.stock_movements as m where m.source_data_id = import_id;
    get diagnostics movement_count = row_count;
    delete from core.stock_balances as b where b.source_data_id = import_id;
    get diagnostics balance_count = row_count;
    delete from core.stock_layers as l where l.source_data_id = import_id;
    delete from core.norms as n where n.source_data_id = import_id;
    get diagnostics norm_count = row_count;
    -- Files that came later and repeated rows of this one do not own them: their rows are gone too.
    select string_agg(s.file_name, ', ' order by s.id) into shared_files
    from core.source_data as s
    where s.id > import_id and s.undone_at is null and s.duplicate_count > 0;
    insert into core.data_lineage (source_file_id, process_name, input_records, output_records, status, error_message)
    values (import_id, 'data_import', movement_count + balance_count + norm_count, 0, 'success', 'taken back');
    return next;
end
$$;

comment on function api.undo_import(int) is
'Takes the facts of an import back; the ledger row stays, marked undone, and the same bytes may be imported again.

Returns how many movements, balances and norms went, and later files that had repeated rows (counted there as duplicates): import
those again if they stood for themselves. The audit trail (bi.audit) says how many rows went, not which. Run api.account_stock()
afterwards to derive periods again. Raises 22023 for an
unknown import and for one that made a dataset. Example: select * from api.undo_import(3);';
