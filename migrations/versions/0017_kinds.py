"""Models learn from whole relations: what they learnt is stored once, and what they read may have features."""

from loader.schema import run

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run(r"""
alter table core.model_definition
    drop constraint model_definition_check,
    add column feature_columns text[] not null default '{}',
    add constraint model_definition_columns_check check (source is not null or (time_column is null and value_column is null));
comment on column core.model_definition.time_column is 'Column of the time; NULL = a model of the rows of a table, or the kind knows its tables.';
comment on column core.model_definition.value_column is 'Column of the value or target, in the unit of the series; NULL = there is none (anomalies, clusters).';
comment on column core.model_definition.feature_columns is 'Columns it learns from: regressors of series, features of tables; {} = none (series), or all others (tables).';

create table cache.model_artifact (
    id uuid primary key default gen_random_uuid(),
    model_name text not null,
    upload_id bigint,
    kind text not null,
    version int not null,
    options_hash text not null,
    data_hash text not null,
    header jsonb not null,
    arrays bytea not null,
    native bytea,
    native_format text check ((native is null) = (native_format is null)),
    signature bytea not null,
    label text not null,
    data_length bigint not null check (data_length > 0),
    fitted_length bigint not null check (fitted_length > 0),
    continued_id uuid references cache.model_artifact on delete set null,
    trained_at timestamptz not null default clock_timestamp(),
    last_used_at timestamptz not null default now(),
    invalidated_at timestamptz
);
alter table cache.model_artifact alter column arrays set storage external, alter column native set storage main;
create unique index model_artifact_content_idx on cache.model_artifact (kind, options_hash, data_hash) where invalidated_at is null and continued_id is null;
create index model_artifact_model_name_idx on cache.model_artifact (model_name, trained_at desc);
create index model_artifact_continued_id_idx on cache.model_artifact (continued_id) where continued_id is not null;
comment on index cache.model_artifact_content_idx is 'Usage: the valid artifact of a content.';
comment on index cache.model_artifact_model_name_idx is 'Usage: the newest artifacts of a model.';
comment on index cache.model_artifact_continued_id_idx is 'Usage: what went on from an artifact; deleting artifacts.';
comment on table cache.model_artifact is 'Holds what kinds learnt from a whole relation (nets, trees, weights), by content: kind, options and data decide.';
comment on column cache.model_artifact.id is 'Key.';
comment on column cache.model_artifact.model_name is 'The model it was first learnt for.';
comment on column cache.model_artifact.upload_id is 'The uploaded dataset it was learnt from; NULL = a relation.';
comment on column cache.model_artifact.kind is 'Kind of the model.';
comment on column cache.model_artifact.version is 'Version of the form of header and arrays.';
comment on column cache.model_artifact.options_hash is 'SHA-256 of the options that decide the fit.';
comment on column cache.model_artifact.data_hash is 'SHA-256 of the data: of all series, or of all rows.';
comment on column cache.model_artifact.header is 'What JSON can hold of it.';
comment on column cache.model_artifact.arrays is 'Its arrays, as .npz; what scores.';
comment on column cache.model_artifact.native is 'The safe format of its library, to go on learning from and to export; NULL = it has none.';
comment on column cache.model_artifact.native_format is 'lightgbm (text), xgboost (UBJSON) ...; NULL = native is.';
comment on column cache.model_artifact.signature is 'HMAC-SHA-256 of all that is parsed; the key is a file of the server.';
comment on column cache.model_artifact.label is 'What was learnt, for people.';
comment on column cache.model_artifact.data_length is 'Observations or rows it has seen.';
comment on column cache.model_artifact.fitted_length is 'Those of the last full fit; the rest came by going on from it.';
comment on column cache.model_artifact.continued_id is 'The artifact it went on from; NULL = it was learnt from nothing, or that one is gone.';
comment on column cache.model_artifact.trained_at is 'When it was learnt.';
comment on column cache.model_artifact.last_used_at is 'When it was last used, to the hour.';
comment on column cache.model_artifact.invalidated_at is 'When somebody declared it void; NULL = valid.';

alter table cache.ml_models add column artifact_id uuid references cache.model_artifact;
create index ml_models_artifact_id_idx on cache.ml_models (artifact_id) where artifact_id is not null;
comment on index cache.ml_models_artifact_id_idx is 'Usage: whether an artifact is still needed.';
comment on column cache.ml_models.artifact_id is 'What its kind learnt from all series together; NULL = nothing.';

alter table core.model_versions
    add column artifact_id uuid references cache.model_artifact on delete set null,
    add column task text check (task in ('forecast', 'regression', 'classification', 'anomaly', 'clustering'));
create index model_versions_artifact_id_idx on core.model_versions (artifact_id) where artifact_id is not null;
comment on index core.model_versions_artifact_id_idx is 'Usage: whether an artifact is still needed.';
comment on column core.model_versions.artifact_id is 'What was learnt from the whole relation; NULL = nothing, or housekeeping removed it.';
comment on column core.model_versions.task is 'forecast (series), regression, classification, anomaly, clustering (tables); NULL = shrinkage curves.';
update core.model_versions set task = 'forecast' where model_type <> 'shrinkage_curve';

alter table core.training_run add column upload_id bigint;
comment on column core.training_run.upload_id is 'The uploaded dataset it read; NULL = a relation.';
""")


def downgrade() -> None:
    run(r"""
alter table core.training_run drop column upload_id;
delete from core.model_versions as v
using core.model_definition as d
where d.name = v.model and d.source is not null and (d.time_column is null or d.value_column is null);
alter table core.model_versions drop column artifact_id, drop column task;
alter table cache.ml_models drop column artifact_id;
drop table cache.model_artifact;
delete from core.model_definition where source is not null and (time_column is null or value_column is null);
alter table core.model_definition
    drop constraint model_definition_columns_check,
    drop column feature_columns,
    add check ((source is null) = (time_column is null) and (source is null) = (value_column is null));
""")
