create or replace view bi.dataset as
select d.uploaded_at as time, d.id as dataset_id, d.owner, d.name, d.version, d.status, d.relation, 'dataset.' || quote_ident(d.view_name) as view_name,
    d.status = 'ready' and not exists (
        select from core.dataset as n where n.owner = d.owner and n.name = d.name and n.status = 'ready' and n.version > d.version
    ) as is_newest,
    d.row_count, d.column_count, 100.0::float8 * (select sum(c.empty_count) from core.dataset_column as c where c.dataset_id = d.id)
        / nullif(d.row_count * d.column_count, 0) as empty_percent,
    d.file_name, d.file_hash, d.size_bytes, d.table_bytes, d.source_data_id as import_id, d.expires_at, d.refusal, d.refusal_hint, d.refused_line,
    d.refused_column, d.removed_at, e.run_count as removed_run_count, e.artifact_count as removed_artifact_count, e.fit_count as removed_fit_count,
    e.needed_count
from core.dataset as d
left join core.dataset_event as e on e.dataset_id = d.id and e.event in ('dropped', 'expired');

comment on view bi.dataset is 'Every upload of a dataset: what became of it, and where its rows are read.';
comment on column bi.dataset.time is 'When it was uploaded.';
comment on column bi.dataset.dataset_id is 'Key of the upload.';
comment on column bi.dataset.owner is 'Database role that uploaded it.';
comment on column bi.dataset.name is 'Name of the dataset.';
comment on column bi.dataset.version is 'Counts from 1 for each owner and name, refused uploads too.';
comment on column bi.dataset.status is 'ready, refused, dropped or expired.';
comment on column bi.dataset.relation is 'Table of this version; NULL = there is none (any more).';
comment on column bi.dataset.view_name is 'View of the newest version of the name; NULL = refused.';
comment on column bi.dataset.is_newest is 'Whether the view shows this version.';
comment on column bi.dataset.row_count is 'Rows; NULL = refused.';
comment on column bi.dataset.column_count is 'Columns; NULL = refused.';
comment on column bi.dataset.empty_percent is 'Empty cells of all cells, percent; NULL = refused.';
comment on column bi.dataset.file_name is 'Name of the file.';
comment on column bi.dataset.file_hash is 'SHA-256 of the file, hexadecimal.';
comment on column bi.dataset.size_bytes is 'Size of the file, bytes.';
comment on column bi.dataset.table_bytes is 'Size of the table when it was stored, bytes; NULL = refused.';
comment on column bi.dataset.import_id is 'Number of the import (loader imports show N); NULL = refused.';
comment on column bi.dataset.expires_at is 'When it expires; NULL = never, or refused.';
comment on column bi.dataset.refusal is 'Why it was refused; NULL = it was not.';
comment on column bi.dataset.refusal_hint is 'What to do about it.';
comment on column bi.dataset.refused_line is 'Line of the file it was refused for; NULL = none in particular.';
comment on column bi.dataset.refused_column is 'Column it was refused for; NULL = none in particular.';
comment on column bi.dataset.removed_at is 'When its table was removed; NULL = it was not.';
comment on column bi.dataset.removed_run_count is 'Training runs that went with it; NULL = it was not removed.';
comment on column bi.dataset.removed_artifact_count is 'Artifacts that went with it.';
comment on column bi.dataset.removed_fit_count is 'Stored fits that went with it.';
comment on column bi.dataset.needed_count is 'Runs, artifacts and fits that stayed for a deployed version or where a rollback would go.';

create or replace view bi.dataset_column as
select d.uploaded_at as time, d.id as dataset_id, d.owner, d.name, d.version, c.position, c.name as column_name, c.type, c.empty_count,
    100.0::float8 * c.empty_count / nullif(d.row_count, 0) as empty_percent, c.distinct_count, c.minimum, c.maximum, c.mean, c.stddev,
    c.outlier_count, c.most_frequent, c.most_frequent_count
from core.dataset_column as c
inner join core.dataset as d on d.id = c.dataset_id;

comment on view bi.dataset_column is 'The profile of each dataset, one row a column.';
comment on column bi.dataset_column.time is 'When the dataset was uploaded.';
comment on column bi.dataset_column.dataset_id is 'Key of the upload.';
comment on column bi.dataset_column.owner is 'Database role that uploaded it.';
comment on column bi.dataset_column.name is 'Name of the dataset.';
comment on column bi.dataset_column.version is 'Its version.';
comment on column bi.dataset_column.position is 'Place in the table, from 1.';
comment on column bi.dataset_column.column_name is 'Name of the column.';
comment on column bi.dataset_column.type is 'Its type.';
comment on column bi.dataset_column.empty_count is 'Rows without a value.';
comment on column bi.dataset_column.empty_percent is 'The same in percent.';
comment on column bi.dataset_column.distinct_count is 'Different values.';
comment on column bi.dataset_column.minimum is 'Least value as text; NULL = no value.';
comment on column bi.dataset_column.maximum is 'Greatest value as text; NULL = no value.';
comment on column bi.dataset_column.mean is 'Mean; NULL = no numbers.';
comment on column bi.dataset_column.stddev is 'Standard deviation of the sample; NULL = fewer than two numbers.';
comment on column bi.dataset_column.outlier_count is 'Numbers further than 1.5 interquartile ranges from the quartiles; NULL = no numbers.';
comment on column bi.dataset_column.most_frequent is 'Most frequent value as text; NULL = no value.';
comment on column bi.dataset_column.most_frequent_count is 'Rows that have it.';
