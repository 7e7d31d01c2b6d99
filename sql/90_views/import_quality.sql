create or replace view bi.import_quality as
select s.upload_date as time, s.id as import_id, s.file_name, s.layout, s.read_count, s.loaded_count, s.duplicate_count,
    s.rejected_count, s.skipped_count, 100.0::float8 * s.rejected_count / nullif(s.read_count, 0) as rejected_percent,
    s.quality_score, s.processed as is_accounted, s.duration_seconds, s.read_count / nullif(s.duration_seconds, 0) as rows_per_second,
    s.undone_at, s.loaded_by
from core.source_data as s;

comment on view bi.import_quality is 'How good each imported file was: rows read = loaded + duplicate + rejected, and the share of clean mass.';
comment on column bi.import_quality.time is 'When the file was imported.';
comment on column bi.import_quality.import_id is 'Number of the import (loader imports show N).';
comment on column bi.import_quality.file_name is 'Name of the file.';
comment on column bi.import_quality.layout is 'balances, movements, statement or norms.';
comment on column bi.import_quality.read_count is 'Data rows read.';
comment on column bi.import_quality.loaded_count is 'Rows whose facts were stored, or whose control figures agree.';
comment on column bi.import_quality.duplicate_count is 'Rows known already.';
comment on column bi.import_quality.rejected_count is 'Rows not accepted (loader rejects show N).';
comment on column bi.import_quality.skipped_count is 'Rows that are no data: headings, blank lines, totals of flat files.';
comment on column bi.import_quality.rejected_percent is 'Rejected rows in percent; NULL for an empty file.';
comment on column bi.import_quality.quality_score is 'Share of the mass in clean periods, 0 to 1; NULL before accounting.';
comment on column bi.import_quality.is_accounted is 'Whether the accounting has taken it in.';
comment on column bi.import_quality.duration_seconds is 'How long the import took, seconds.';
comment on column bi.import_quality.rows_per_second is 'Rows read per second.';
comment on column bi.import_quality.undone_at is 'When it was taken back; NULL = in force.';
comment on column bi.import_quality.loaded_by is 'Database role that imported it.';
