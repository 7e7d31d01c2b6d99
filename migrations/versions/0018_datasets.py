"""Uploaded files become typed tables: datasets with versions, limits, profiles and a time to live; raw files are archived."""

from loader.schema import run

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run(r"""
create schema dataset;
comment on schema dataset is 'Holds the tables of uploaded datasets, and for each name a view of its newest version.';

alter table core.source_data drop constraint source_data_layout_check;
alter table core.source_data
    add constraint source_data_layout_check check (layout in ('balances', 'movements', 'statement', 'norms', 'dataset')),
    add column archive_url text;
comment on column core.source_data.layout is 'balances, movements, statement, norms or dataset.';
comment on column core.source_data.archive_url is 'Where the raw file is archived; NULL = it is not.';
-- A dataset is uploaded as often as somebody likes.
drop index core.source_data_file_hash_idx;
create unique index source_data_file_hash_idx on core.source_data (file_hash) where undone_at is null and layout <> 'dataset';
comment on index core.source_data_file_hash_idx is 'Usage: the same bytes are imported once (datasets: as often as they are uploaded).';

create table core.dataset (
    id bigint generated always as identity primary key,
    owner text not null default session_user,
    name text not null check (name = btrim(name) and name <> '' and length(name) <= 200),
    version int not null check (version > 0),
    relation text,
    view_name text,
    status text not null default 'ready' check (status in ('ready', 'refused', 'dropped', 'expired')),
    source_data_id int references core.source_data,
    file_name text not null,
    file_hash text not null check (file_hash ~ '^[0-9a-f]{64}$'),
    size_bytes bigint not null check (size_bytes >= 0),
    row_count bigint check (row_count >= 0),
    column_count int check (column_count >= 0),
    table_bytes bigint check (table_bytes >= 0),
    refusal text,
    refusal_hint text,
    refused_line bigint,
    refused_column text,
    uploaded_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    removed_at timestamptz,
    unique (owner, name, version),
    check ((status = 'ready') = (relation is not null)),
    check ((status = 'refused') = (refusal is not null)),
    check ((status in ('dropped', 'expired')) = (removed_at is not null))
);
create index dataset_expires_at_idx on core.dataset (expires_at) where status = 'ready';
create index dataset_source_data_id_idx on core.dataset (source_data_id);
create unique index dataset_relation_idx on core.dataset (relation) where relation is not null;
create index dataset_view_name_idx on core.dataset (view_name, version desc) where view_name is not null;
comment on index core.dataset_expires_at_idx is 'Usage: what has expired.';
comment on index core.dataset_source_data_id_idx is 'Usage: the dataset an import made.';
comment on index core.dataset_relation_idx is 'Usage: the dataset a model reads.';
comment on index core.dataset_view_name_idx is 'Usage: the newest version of a name.';
comment on table core.dataset is 'Holds each upload of a dataset: every upload of a name is its next version, also of the same bytes.';
comment on column core.dataset.id is 'Key.';
comment on column core.dataset.owner is 'Database role that uploaded it.';
comment on column core.dataset.name is 'Name, as callers write it.';
comment on column core.dataset.version is 'Counts from 1 for each owner and name, refused uploads too.';
comment on column core.dataset.relation is 'The table, as schema.name; NULL = there is none: refused, dropped or expired.';
comment on column core.dataset.view_name is 'View in schema dataset of the newest version of the name, one for each owner and name; NULL = refused.';
comment on column core.dataset.status is 'ready, refused (nothing was stored), dropped, expired.';
comment on column core.dataset.source_data_id is 'The import that brought it; NULL = refused.';
comment on column core.dataset.file_name is 'Name of the file.';
comment on column core.dataset.file_hash is 'SHA-256 of the bytes as they came, hexadecimal.';
comment on column core.dataset.size_bytes is 'Size of the file, bytes.';
comment on column core.dataset.row_count is 'Rows; NULL = refused.';
comment on column core.dataset.column_count is 'Columns; NULL = refused.';
comment on column core.dataset.table_bytes is 'Size of the table when it was stored, bytes; NULL = refused.';
comment on column core.dataset.refusal is 'Why it was refused; NULL = it was not.';
comment on column core.dataset.refusal_hint is 'What to do about it.';
comment on column core.dataset.refused_line is 'Line of the file it was refused for; NULL = none in particular.';
comment on column core.dataset.refused_column is 'Column it was refused for; NULL = none in particular.';
comment on column core.dataset.uploaded_at is 'When it was uploaded.';
comment on column core.dataset.expires_at is 'When it expires; NULL = never.';
comment on column core.dataset.removed_at is 'When its table was removed; NULL = it was not.';

create table core.dataset_column (
    dataset_id bigint not null references core.dataset on delete cascade,
    position int not null check (position > 0),
    name text not null,
    type text not null,
    empty_count bigint not null check (empty_count >= 0),
    distinct_count bigint not null check (distinct_count >= 0),
    minimum text,
    maximum text,
    mean float8,
    stddev float8,
    outlier_count bigint,
    most_frequent text,
    most_frequent_count bigint,
    primary key (dataset_id, position),
    constraint figures_are_finite check (greatest(abs(mean), abs(stddev)) < 'infinity')
);
comment on table core.dataset_column is 'Holds the profile of each dataset, one row a column; it outlives the table.';
comment on column core.dataset_column.dataset_id is 'The dataset.';
comment on column core.dataset_column.position is 'Place in the table, from 1.';
comment on column core.dataset_column.name is 'Name of the column.';
comment on column core.dataset_column.type is 'Type found from the data or asked for.';
comment on column core.dataset_column.empty_count is 'Rows without a value.';
comment on column core.dataset_column.distinct_count is 'Different values.';
comment on column core.dataset_column.minimum is 'Least value as text, 200 characters at most; NULL = no value.';
comment on column core.dataset_column.maximum is 'Greatest value as text, 200 characters at most; NULL = no value.';
comment on column core.dataset_column.mean is 'Mean; NULL = no numbers.';
comment on column core.dataset_column.stddev is 'Standard deviation of the sample; NULL = fewer than two numbers.';
comment on column core.dataset_column.outlier_count is 'Numbers further than 1.5 interquartile ranges from the quartiles; NULL = no numbers.';
comment on column core.dataset_column.most_frequent is 'Most frequent value as text, 200 characters at most; of several the least; NULL = no value.';
comment on column core.dataset_column.most_frequent_count is 'Rows that have it.';

create table core.dataset_event (
    id bigint generated always as identity primary key,
    dataset_id bigint not null references core.dataset on delete cascade,
    event text not null check (event in ('uploaded', 'refused', 'dropped', 'expired', 'kept')),
    happened_at timestamptz not null default clock_timestamp(),
    by_role text not null default session_user,
    reason text,
    row_count bigint,
    table_bytes bigint,
    run_count bigint,
    artifact_count bigint,
    fit_count bigint,
    needed_count bigint
);
create index dataset_event_dataset_id_idx on core.dataset_event (dataset_id, id);
comment on index core.dataset_event_dataset_id_idx is 'Usage: the history of a dataset.';
comment on table core.dataset_event is 'Holds what became of each dataset, and what went with it; rows are only ever added.';
comment on column core.dataset_event.id is 'Key.';
comment on column core.dataset_event.dataset_id is 'The dataset.';
comment on column core.dataset_event.event is 'uploaded, refused, dropped, expired; kept: its time was over, but it could not be removed.';
comment on column core.dataset_event.happened_at is 'When.';
comment on column core.dataset_event.by_role is 'Database role.';
comment on column core.dataset_event.reason is 'Why; NULL = nothing said.';
comment on column core.dataset_event.row_count is 'Rows stored or removed.';
comment on column core.dataset_event.table_bytes is 'Size of the table stored or removed, bytes.';
comment on column core.dataset_event.run_count is 'Training runs removed; NULL = nothing was to be removed.';
comment on column core.dataset_event.artifact_count is 'Artifacts removed.';
comment on column core.dataset_event.fit_count is 'Stored fits removed.';
comment on column core.dataset_event.needed_count is 'Runs, artifacts and fits kept for a deployed version or where a rollback would go.';

create index training_run_upload_id_idx on core.training_run (upload_id) where upload_id is not null;
create index ml_models_upload_id_idx on cache.ml_models (upload_id) where upload_id is not null;
create index model_artifact_upload_id_idx on cache.model_artifact (upload_id) where upload_id is not null;
comment on index core.training_run_upload_id_idx is 'Usage: the runs that read a dataset.';
comment on index cache.ml_models_upload_id_idx is 'Usage: the fits of a dataset.';
comment on index cache.model_artifact_upload_id_idx is 'Usage: what was learnt from a dataset.';

-- No person changes anything here: the audit trail has nothing to tell.
alter table core.settings disable trigger record_change;
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('dataset.keep_days', '90', 'Days after which a dataset expires unless its upload said otherwise.'),
    ('dataset.max_megabytes', '4096', 'Largest file of a dataset, also unpacked, MB (10^6 bytes).'),
    ('dataset.max_columns', '500', 'Most columns of a dataset.'),
    ('dataset.min_rows', '10', 'Fewest rows of a dataset.'),
    ('dataset.max_empty_percent', '50', 'Largest share of empty cells of a dataset, percent.'),
    ('dataset.max_bad_percent', '10', 'Up to this share, cells that do not fit the type of their column are errors; above it the column is text, percent.'),
    ('dataset.empty_words', '["NA", "N/A", "#N/A", "NULL", "null", "NaN", "nan", "None", "none", "-"]',
        'Words that stand for an empty cell where a column is not text.'),
    ('archive.url', 'null', 'Where raw files are archived when loader import does not say: a directory or s3://bucket/prefix; null = nowhere.')
) as s (name, value, description)
on conflict (name) do nothing;
alter table core.settings enable trigger record_change;
""")


def downgrade() -> None:
    run(r"""
drop index core.training_run_upload_id_idx, cache.ml_models_upload_id_idx, cache.model_artifact_upload_id_idx;
do $do$
declare
    gone text;
begin
    select string_agg(format('%I.%I', 'dataset', c.relname), ', ') into gone
    from pg_class as c where c.relnamespace = 'dataset'::regnamespace and c.relkind = 'v';
    if gone is not null then
        execute 'drop view ' || gone;
    end if;
    select string_agg(d.relation, ', ') into gone from core.dataset as d where d.relation is not null;
    if gone is not null then
        execute 'drop table ' || gone;
    end if;
end
$do$;
drop table core.dataset_event, core.dataset_column, core.dataset;
drop schema dataset;
-- The ledger keeps no rows of a layout it does not know: their tables are gone as well.
delete from core.data_lineage where source_file_id in (select s.id from core.source_data as s where s.layout = 'dataset');
delete from core.source_data where layout = 'dataset';
drop index core.source_data_file_hash_idx;
create unique index source_data_file_hash_idx on core.source_data (file_hash) where undone_at is null;
comment on index core.source_data_file_hash_idx is 'Usage: the same bytes are imported once.';
alter table core.source_data drop constraint source_data_layout_check, drop column archive_url;
alter table core.source_data add constraint source_data_layout_check check (layout in ('balances', 'movements', 'statement', 'norms'));
comment on column core.source_data.layout is 'balances, movements, statement or norms.';
""")
