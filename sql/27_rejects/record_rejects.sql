create function internal.record_rejects(source_data_id int)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    recorded bigint := 0;
begin
    if exists (select from pg_temp.judged as j where j.reason is not null) then
        insert into core.validation_errors
            (error_type, severity_level, description, source_data_id, file_name, line, reason, column_name, staged)
        select 'validation_failure', 'high', internal.reject_description(j.reason), record_rejects.source_data_id,
            f.file_name, j.line, j.reason, j.column_name, jsonb_strip_nulls(coalesce(s.names, '{}') || jsonb_strip_nulls(to_jsonb(r))) - 'spelling'
        from pg_temp.judged as j
        inner join staging.row as r on r.line = j.line
        left join lateral (
            select jsonb_build_object(
                'item', nullif(n.item, ''), 'product_type', nullif(n.product_type, ''), 'warehouse', nullif(n.warehouse, ''),
                'document_type', nullif(n.document_type, ''), 'item_group', nullif(n.item_group, '')
            ) as names
            from staging.spelling as n
            where n.number = r.spelling
        ) as s on true
        inner join core.source_data as f on f.id = record_rejects.source_data_id
        where j.reason is not null
        order by j.line;
        get diagnostics recorded = row_count;
    end if;
    return recorded;
end
$$;

comment on function internal.record_rejects(int) is
'Writes the rejected rows of the block just judged (pg_temp.judged) to core.validation_errors.

Returns how many; the raw text is filled in by the loader, which has the file.';
