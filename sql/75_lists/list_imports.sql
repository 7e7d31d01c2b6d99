create function api.list_imports(
    layout text default null, loaded_by text default null, from_time timestamptz default null, to_time timestamptz default null,
    is_undone boolean default null, has_rejects boolean default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, import_id int, file_name text, layout text, period_start timestamptz, period_end timestamptz, read_count bigint,
    loaded_count bigint, duplicate_count bigint, rejected_count bigint, quality_score float8, duration_seconds float8,
    undone_at timestamptz, loaded_by text, cursor text
)
language sql stable
begin atomic
    select s.upload_date, s.id, s.file_name, s.layout, s.period_start, s.period_end, s.read_count, s.loaded_count, s.duplicate_count,
        s.rejected_count, s.quality_score, s.duration_seconds, s.undone_at, s.loaded_by, internal.cursor(s.upload_date, s.id)
    from core.source_data as s
    where (list_imports.layout is null or s.layout = (select internal.one_of(list_imports.layout, '{balances,movements,statement}', 'layout')))
      and (list_imports.loaded_by is null or s.loaded_by = list_imports.loaded_by)
      and (list_imports.from_time is null or s.upload_date >= list_imports.from_time)
      and (list_imports.to_time is null or s.upload_date < list_imports.to_time)
      and (list_imports.is_undone is null or (s.undone_at is not null) = list_imports.is_undone)
      and (list_imports.has_rejects is null or (s.rejected_count > 0) = list_imports.has_rejects)
      and (s.upload_date, s.id) < (internal.cursor_time(list_imports.after), internal.cursor_number(list_imports.after, 2))
    order by s.upload_date desc, s.id desc
    limit internal.page_size(list_imports.page_size);
end;

comment on function api.list_imports(text, text, timestamptz, timestamptz, boolean, boolean, int, text) is
'Pages through the imported files, newest first.

Filters NULL = any; layout balances, movements or statement; page_size 1 to 1000; after: the column cursor of the last row you have.
Raises 22023 for an unknown layout or cursor. Example: select at, file_name, rejected_count from api.list_imports(has_rejects => true);';
