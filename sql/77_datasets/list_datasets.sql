create function api.list_datasets(
    name text default null, owner text default null, status text default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, dataset_id bigint, owner text, name text, version int, status text, relation text, view text, row_count bigint, column_count int,
    size_bytes bigint, table_bytes bigint, expires_at timestamptz, file_name text, import_id int, refusal text, refused_line bigint,
    refused_column text, cursor text
)
language sql stable
begin atomic
    select d.uploaded_at, d.id, d.owner, d.name, d.version, d.status, d.relation, 'dataset.' || quote_ident(d.view_name), d.row_count, d.column_count,
        d.size_bytes, d.table_bytes, d.expires_at, d.file_name, d.source_data_id, d.refusal, d.refused_line, d.refused_column,
        internal.cursor(d.uploaded_at, d.id)
    from core.dataset as d
    where (list_datasets.name is null or d.name = list_datasets.name)
      and (list_datasets.owner is null or d.owner = list_datasets.owner)
      and (list_datasets.status is null or d.status = (select internal.one_of(list_datasets.status, '{ready,refused,dropped,expired}', 'status')))
      and (d.uploaded_at, d.id) < (internal.cursor_time(list_datasets.after), internal.cursor_number(list_datasets.after, 2))
    order by d.uploaded_at desc, d.id desc
    limit internal.page_size(list_datasets.page_size);
end;

comment on function api.list_datasets(text, text, text, int, text) is
'Pages through the uploads of datasets, newest first.

Filters NULL = any; status ready, refused, dropped or expired; page_size 1 to 1000; after: the column cursor of the last row you have. Sizes in
bytes; relation NULL = there is no table (any more). Raises 22023 for an unknown status or cursor.
Example: select at, name, version, status, row_count from api.list_datasets(status => ''ready'');';
