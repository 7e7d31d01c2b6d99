create function api.list_artifacts(
    model text default null, learnt_from text default null, kind text default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, id uuid, model text, learnt_from text, kind text, label text, size_bytes bigint, native_format text, data_length bigint,
    last_used_at timestamptz, invalidated_at timestamptz, is_needed boolean, data_hash text, cursor text
)
language sql stable
begin atomic
    select a.time, a.id::uuid, a.model, a.learnt_from, a.kind, a.label, a.size_bytes, a.native_format, a.data_length, a.last_used_at, a.invalidated_at,
        a.is_needed, a.data_hash, internal.cursor(a.time, a.high, a.low)
    from (
        -- A key of 128 bits is two of 64.
        select x.*, ('x' || left(replace(x.id, '-', ''), 16))::bit(64)::bigint as high, ('x' || right(replace(x.id, '-', ''), 16))::bit(64)::bigint as low
        from bi.model_artifact as x
    ) as a
    where (list_artifacts.model is null or a.model = list_artifacts.model)
      and (list_artifacts.learnt_from is null or a.learnt_from = (
          select internal.one_of(list_artifacts.learnt_from, '{model,series}', 'learnt_from')
      ))
      and (list_artifacts.kind is null or a.kind = list_artifacts.kind)
      and (a.time, a.high, a.low) < (
          internal.cursor_time(list_artifacts.after), internal.cursor_number(list_artifacts.after, 2), internal.cursor_number(list_artifacts.after, 3)
      )
    order by a.time desc, a.high desc, a.low desc
    limit internal.page_size(list_artifacts.page_size);
end;

comment on function api.list_artifacts(text, text, text, int, text) is
'Pages through what was learnt and is stored, the newest first: of whole relations (learnt_from model) and of single series (series).

Filters NULL = any. is_needed: a version in force or its rollback target needs it: api.delete_artifact would refuse. page_size 1 to
1000; after: the column cursor of the last row you have. Raises 22023 for an unknown learnt_from or cursor.
Example: select at, kind, label, size_bytes, is_needed from api.list_artifacts(''sales'');';
