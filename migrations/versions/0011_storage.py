"""Old chunks are compressed and dropped as rows say; days, weeks and months are summed once."""

from loader.schema import run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run(r"""
create table core.storage_policy (
    table_name text primary key,
    compress_after interval check (compress_after > '0'),
    drop_after interval check (drop_after > '0'),
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user
);
comment on table core.storage_policy is 'Holds what becomes of the old chunks of each hypertable; rows are changed by api.set_storage_policy.';
comment on column core.storage_policy.table_name is 'The hypertable, as core.name.';
comment on column core.storage_policy.compress_after is 'Age at which a chunk is compressed (columnstore); NULL = never. The Apache edition cannot.';
comment on column core.storage_policy.drop_after is 'Age at which a chunk is dropped; NULL = never.';
comment on column core.storage_policy.changed_at is 'When somebody last changed it.';
comment on column core.storage_policy.changed_by is 'Database role that did.';
""")


def downgrade() -> None:
    run(r"""
drop table core.storage_policy;
""")
