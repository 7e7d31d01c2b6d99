create or replace view bi.storage as
with chunk as materialized (
    select format('%I.%I', c.hypertable_schema, c.hypertable_name) as table_name, count(*) as chunk_count,
        count(*) filter (where c.is_compressed) as compressed_chunk_count
    from timescaledb_information.chunks as c
    group by 1
)
select t.table_name, 'hypertable' as kind, d.time_interval::text as chunk_interval, t.chunk_interval_reason, coalesce(c.chunk_count, 0) as chunk_count,
    public.hypertable_size(r.oid) as size_bytes,
    case when (select e.edition from core.edition as e) = 'community' and not exists (
        select from pg_trigger as g where g.tgrelid = r.oid and g.tgoldtable is not null and g.tgtype & 8 > 0 and g.tgname <> 'note_delete'
    ) then 'available' else 'not available' end as compression,
    coalesce(c.compressed_chunk_count, 0) as compressed_chunk_count, 100.0::float8 * c.compressed_chunk_count / c.chunk_count as compressed_percent,
    t.compress_after::text as compress_after, t.drop_after::text as drop_after, t.dropped_before, t.is_kept_whole,
    (
        select count(*) from core.rollup_pending as p
        where t.table_name = 'core.' || case p.source when 'movement' then 'stock_movements' when 'period' then 'calculation_data' else 'forecast_ledger' end
    ) as pending_count,
    t.changed_at, t.changed_by
from core.storage_policy as t
inner join timescaledb_information.dimensions as d on format('%I.%I', d.hypertable_schema, d.hypertable_name) = t.table_name
inner join pg_class as r on r.relnamespace = 'core'::regnamespace and 'core.' || r.relname = t.table_name
left join chunk as c on c.table_name = t.table_name
union all
select format('%I.%I', r.relnamespace::regnamespace, r.relname), 'rollup', null, 'One table: no row of it is ever dropped.', 0, pg_total_relation_size(r.oid),
    'not available', 0, null, null, null, null, true, null, null, null
from pg_class as r
where r.relnamespace = 'core'::regnamespace and r.relkind = 'r' and r.relname ~ '_(day|week|month)_stored$'
union all
select format('%I.%I', a.view_schema, a.view_name), 'continuous aggregate', d.time_interval::text, 'Ten times that of its hypertable, as TimescaleDB has it.',
    coalesce(c.chunk_count, 0), public.hypertable_size(r.oid),
    'available', coalesce(c.compressed_chunk_count, 0), 100.0::float8 * c.compressed_chunk_count / c.chunk_count, null, null, null, true, null, null, null
from timescaledb_information.continuous_aggregates as a
inner join pg_class as r on r.relname = a.materialization_hypertable_name and r.relnamespace = '_timescaledb_internal'::regnamespace
left join timescaledb_information.dimensions as d
    on d.hypertable_schema = a.materialization_hypertable_schema and d.hypertable_name = a.materialization_hypertable_name
left join chunk as c on c.table_name = format('%I.%I', a.materialization_hypertable_schema, a.materialization_hypertable_name)
where a.view_schema = 'core';

comment on view bi.storage is 'How hypertables and stored sums are kept: chunks, size, what is compressed or dropped when, and what this edition can do.';
comment on column bi.storage.table_name is 'The table, schema first.';
comment on column bi.storage.kind is 'hypertable, rollup (a table of stored sums) or continuous aggregate.';
comment on column bi.storage.chunk_interval is 'How much time a chunk holds; NULL = it has no chunks.';
comment on column bi.storage.chunk_interval_reason is 'Why that long.';
comment on column bi.storage.chunk_count is 'Chunks.';
comment on column bi.storage.size_bytes is 'Size with indexes, bytes.';
comment on column bi.storage.compression is 'available, or not available: the Apache edition cannot, nor a table whose deleted rows the audit trail counts.';
comment on column bi.storage.compressed_chunk_count is 'Compressed chunks.';
comment on column bi.storage.compressed_percent is 'Share of compressed chunks, percent; NULL without chunks.';
comment on column bi.storage.compress_after is 'Age at which chunks are compressed; NULL = never. Set by api.set_storage_policy.';
comment on column bi.storage.drop_after is 'Age at which chunks are dropped; NULL = never.';
comment on column bi.storage.dropped_before is 'Rows before this time are gone, their sums are kept; NULL = none is.';
comment on column bi.storage.is_kept_whole is 'Whether no row of it may be dropped.';
comment on column bi.storage.pending_count is 'Changes not stored as sums yet; NULL for the sums themselves.';
comment on column bi.storage.changed_at is 'When its policy was last changed.';
comment on column bi.storage.changed_by is 'Database role that did.';
