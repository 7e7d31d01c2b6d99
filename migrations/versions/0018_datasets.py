"""Uploaded files become typed tables: datasets with versions, limits, profiles and a time to live."""

from loader.schema import run

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run(r"""
create schema dataset;
comment on schema dataset is 'Holds the tables of uploaded datasets, and for each name a view of its newest version.';

create table core.dataset (
    id bigint generated always as identity primary key,
    owner text not null default session_user,
    name text not null check (name = btrim(name) and name <> '' and length(name) <= 200),
    version int not null check (version > 0),
    relation text,
    unique (owner, name, version)
);
comment on table core.dataset is 'Holds each upload of a dataset: every upload of a name is its next version, also of the same bytes.';
comment on column core.dataset.id is 'Key.';
comment on column core.dataset.owner is 'Database role that uploaded it.';
comment on column core.dataset.name is 'Name, as callers write it.';
comment on column core.dataset.version is 'Counts from 1 for each owner and name.';
comment on column core.dataset.relation is 'The table, as schema.name; NULL = there is none: refused, dropped or expired.';
""")


def downgrade() -> None:
    run(r"""
drop table core.dataset;
drop schema dataset;
""")
