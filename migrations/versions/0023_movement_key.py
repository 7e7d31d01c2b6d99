"""The key of a movement is made by its table, and who stores many at once notes them at once."""

# All chunks of the movements are written anew (none is compressed: the triggers of the audit trail do not allow it). What the
# kind auto learnt with this release is void for the one before, which reads form 2 of it.
from loader.schema import run

revision = "0023"
down_revision = "0022"

COMMENTS = """
comment on index core.stock_movements_key_idx is 'Usage: all movements of a product in order; the same movement is stored once.';
comment on column core.stock_movements.key_hash is 'Hash of warehouse, operation, document number and batch: with product and time, what makes a movement the same one.';
"""
STAGING = r"""
create unlogged table staging.stream (like staging.row including comments) with (autovacuum_enabled = false);
comment on table staging.stream is 'Holds the rows of a file of movements; empty between imports.';
create unlogged table staging.judged (
    line int not null,
    spelling int not null,
    posted_at timestamptz not null,
    batch_received_at timestamptz,
    in_kg numeric(14, 3) not null,
    out_kg numeric(14, 3) not null,
    operation text not null,
    document_number text not null
) with (autovacuum_enabled = false);
comment on table staging.judged is 'Holds the rows of staging.stream that casts alone could read, with their values; empty between imports.';
comment on column staging.judged.line is 'Line of the file.';
comment on column staging.judged.spelling is 'The names, in staging.spelling.';
comment on column staging.judged.posted_at is 'When the document was posted.';
comment on column staging.judged.batch_received_at is 'When the batch came in; NULL = not known.';
comment on column staging.judged.in_kg is 'Mass that came in, kg.';
comment on column staging.judged.out_kg is 'Mass that went out, kg.';
comment on column staging.judged.operation is 'The operation.';
comment on column staging.judged.document_number is 'Number of the document; empty where the file has none.';

create unlogged table staging.block (
    number int primary key,
    first_spelling int not null,
    last_spelling int not null,
    row_count int not null,
    last_line int not null,
    after_row tid not null,
    upto_row tid not null,
    stray_rows tid [],
    after_judged tid not null,
    upto_judged tid not null,
    stray_judged tid [],
    is_signed boolean not null
) with (autovacuum_enabled = false);
comment on table staging.block is 'Holds the blocks of rows staged so far; empty between imports.';
comment on column staging.block.number is 'Counts from 1.';
comment on column staging.block.first_spelling is 'Its rows have no names before this one of staging.spelling.';
comment on column staging.block.last_spelling is 'Nor any after this one.';
comment on column staging.block.row_count is 'How many rows it has.';
comment on column staging.block.last_line is 'The line of its last row.';
comment on column staging.block.after_row is 'Its rows of staging.stream stand after this place.';
comment on column staging.block.upto_row is 'They stand up to this place.';
comment on column staging.block.stray_rows is 'Rows that found room among those of blocks before; NULL = none.';
comment on column staging.block.after_judged is 'Its rows of staging.judged stand after this place.';
comment on column staging.block.upto_judged is 'They stand up to this place.';
comment on column staging.block.stray_judged is 'The same of staging.judged.';
comment on column staging.block.is_signed is 'True where a quantity that goes out is negative.';
comment on column staging.spelling.number is 'Stands for the names in staging.stream and staging.row.';
"""
VOID = """
update cache.ml_models as m set invalidated_at = now()
where m.fitted_kind = 'auto' and m.version > 2 and m.invalidated_at is null;
update core.model_versions as v set artifact_id = null
from cache.model_artifact as a
where a.id = v.artifact_id and a.kind = 'auto' and a.version > 2;
update cache.model_artifact as a set invalidated_at = now()
where a.kind = 'auto' and a.version > 2 and a.invalidated_at is null;
"""
INDEX = "create unique index stock_movements_key_idx on core.stock_movements (nomenclature_id, posted_at, key_hash);"


def upgrade() -> None:
    run(
        f"""
alter table core.stock_movements drop column key_hash;
-- As internal.movement_key; a function of ours would tie the table to code that is dropped and made again.
alter table core.stock_movements add column key_hash bigint not null generated always as (
    hashtextextended(document_number, hashtextextended(operation,
        warehouse_id + coalesce(interval_hash_extended(batch_received_at - timestamptz '2000-01-01 00:00+00', 0), 0)))
) stored;
{INDEX}
{COMMENTS}
drop table staging.stream, staging.judged, staging.block;
comment on column staging.spelling.number is 'Stands for the names in staging.row.';

-- A transition table holds every row once more, which made a quarter of the work of a large import. Who stores many rows notes
-- them itself (internal.note_movements); rows of anybody else are noted one by one.
drop trigger note_insert on core.stock_movements;
create function core.note_stock_movements_insert()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into core.rollup_pending (source, key_1, key_2, from_time, to_time)
    values ('movement', new.nomenclature_id, new.warehouse_id, new.posted_at, new.posted_at);
    return null;
end
$$;
comment on function core.note_stock_movements_insert() is 'Notes that a row of core.stock_movements was inserted. Trigger function, for transactions that do not set weighhouse.noted to yes: whoever sets it notes what it inserts.';
create trigger note_insert after insert on core.stock_movements
for each row when (current_setting('weighhouse.noted', true) is distinct from 'yes')
execute function core.note_stock_movements_insert();
-- (Last: TimescaleDB makes the triggers of chunks as the owner of the table, who does not own the function yet.)
revoke all on function core.note_stock_movements_insert() from public;
"""
    )


def downgrade() -> None:
    run(
        """
drop trigger note_insert on core.stock_movements;
drop function core.note_stock_movements_insert();
create trigger note_insert after insert on core.stock_movements referencing new table as becomes
for each statement execute function core.note_movement_change();
alter table core.stock_movements alter column key_hash drop expression;
"""
        + STAGING
        + VOID
    )
