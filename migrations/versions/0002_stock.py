"""Stock moves, is counted, and has batches; periods run from count to count."""

from loader.schema import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run(r"""
create table core.stock_movements (
    posted_at timestamptz not null,
    nomenclature_id int not null,
    warehouse_id int not null,
    operation text not null,
    document_number text not null default '',
    batch_received_at timestamptz,
    in_kg numeric(14, 3) not null default 0,
    out_kg numeric(14, 3) not null default 0,
    source_data_id int not null,
    line int not null,
    key_hash bigint not null,
    -- numeric(14, 3) holds no infinity; NaN, which it does hold, is greater than every number.
    constraint kg_are_numbers check (in_kg < 'NaN' and out_kg < 'NaN')
);
-- One chunk holds a quarter: a trader's year of a hundred thousand movements stays in a handful of chunks, ten million
-- rows a year in a few chunks of two to three million, each with its index in memory.
select public.create_hypertable('core.stock_movements', public.by_range('posted_at', interval '91 days'), create_default_indexes => false);
-- No foreign keys here: their per-row triggers cost more than the load itself (three of them tripled the time for a
-- million rows). Ids come only from the accept functions, and internal.check_facts lists any that point nowhere.
-- The rest of the natural key as one number: half the size and twice the speed of an index over four more columns.
create unique index stock_movements_key_idx on core.stock_movements (nomenclature_id, posted_at, key_hash);
comment on index core.stock_movements_key_idx is 'Usage: all movements of a product in order; the same movement is stored once.';
comment on table core.stock_movements is 'Holds every movement of stock, one row a document, product and batch.';
comment on column core.stock_movements.nomenclature_id is 'The product.';
comment on column core.stock_movements.warehouse_id is 'The warehouse.';
comment on column core.stock_movements.source_data_id is 'The file that brought it.';
comment on column core.stock_movements.posted_at is 'When the document was posted.';
comment on column core.stock_movements.operation is 'opening, receipt, sale, consumption, production, transfer_in, transfer_out, write_off, stock_take, regrading, return.';
comment on column core.stock_movements.document_number is 'Number of the document; empty where the file has none.';
comment on column core.stock_movements.batch_received_at is 'When the batch came in: its age counts from here. NULL = not known.';
comment on column core.stock_movements.in_kg is 'Mass that came in, kg; stock_take: found too much.';
comment on column core.stock_movements.out_kg is 'Mass that went out, kg; stock_take: found missing.';
comment on column core.stock_movements.key_hash is 'Hash of warehouse, operation, document number and batch: with product and time, what makes a movement the same one.';
comment on column core.stock_movements.line is 'Line of the file the movement came from.';

-- A file of movements is staged by a session of its own, and judged there as far as casts go, while what it staged before is
-- stored. Nothing here outlives an import: who imports next empties it.
create unlogged table staging.stream (like staging.row including comments) with (autovacuum_enabled = false);
comment on table staging.stream is 'Holds the rows of a file of movements; empty between imports.';

create unlogged table staging.spelling (
    number int primary key,
    item text not null,
    product_type text not null,
    warehouse text not null,
    document_type text not null,
    item_group text not null
) with (autovacuum_enabled = false);
comment on table staging.spelling is 'Holds the names in the rows of a file, each combination once, as the file spells them; empty where it names none.';
comment on column staging.spelling.number is 'Stands for the names in staging.stream and staging.row.';
comment on column staging.spelling.item is 'Name of the product.';
comment on column staging.spelling.product_type is 'Type of the product.';
comment on column staging.spelling.warehouse is 'Warehouse.';
comment on column staging.spelling.document_type is 'Kind of document.';
comment on column staging.spelling.item_group is 'Group of the product.';

create unlogged table staging.meaning (
    spelling int primary key,
    nomenclature_id int,
    warehouse_id int
) with (autovacuum_enabled = false);
comment on table staging.meaning is 'Holds what the names in the rows now judged stand for.';
comment on column staging.meaning.spelling is 'The names, in staging.spelling.';
comment on column staging.meaning.nomenclature_id is 'The product; NULL for an empty name.';
comment on column staging.meaning.warehouse_id is 'The warehouse.';

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

create unlogged table staging.stamp (
    value text not null,
    at timestamptz,
    problem text
) with (autovacuum_enabled = false);
comment on table staging.stamp is 'Holds dates and times of a block of rows, each spelling once, with the moment it means.';
comment on column staging.stamp.value is 'As the file spells it.';
comment on column staging.stamp.at is 'The moment; NULL where there is a problem.';
comment on column staging.stamp.problem is 'What is wrong with it: not_a_date, date_out_of_range, date_in_future, time_not_unique, ambiguous_date.';

create table core.stock_balances (
    id bigint generated always as identity primary key,
    source_data_id int not null references core.source_data,
    nomenclature_id int not null references core.nomenclature,
    warehouse_id int not null references core.warehouses,
    period_start timestamptz not null,
    period_end timestamptz not null check (period_end >= period_start),
    opening_kg numeric(14, 3),
    incoming_kg numeric(14, 3) not null default 0,
    outgoing_kg numeric(14, 3) not null default 0,
    closing_kg numeric(14, 3),
    storage_days numeric,
    is_detailed boolean not null,
    line int not null,
    unique (nomenclature_id, warehouse_id, period_start, period_end, is_detailed),
    constraint figures_are_finite check (greatest(abs(opening_kg), abs(incoming_kg), abs(outgoing_kg), abs(closing_kg), abs(storage_days)) < 'infinity')
);
create index stock_balances_source_data_id_idx on core.stock_balances (source_data_id);
comment on index core.stock_balances_source_data_id_idx is 'Usage: undo of an import.';
comment on table core.stock_balances is 'Holds balances as files state them: opening, in, out, closing of a product over a period.';
comment on column core.stock_balances.id is 'Key.';
comment on column core.stock_balances.source_data_id is 'The file that states it.';
comment on column core.stock_balances.nomenclature_id is 'The product.';
comment on column core.stock_balances.warehouse_id is 'The warehouse.';
comment on column core.stock_balances.incoming_kg is 'Came in over the period, kg.';
comment on column core.stock_balances.outgoing_kg is 'Went out over the period, kg.';
comment on column core.stock_balances.line is 'Line of the file.';
comment on column core.stock_balances.period_start is 'Midnight at the start of the first day, in the warehouse''s zone.';
comment on column core.stock_balances.period_end is 'Midnight after the last day, in the warehouse''s zone.';
comment on column core.stock_balances.opening_kg is 'NULL = the file did not say.';
comment on column core.stock_balances.closing_kg is 'The count (flat files) or the book after the count (statements); NULL = the file did not say.';
comment on column core.stock_balances.storage_days is 'Storage term as the file states it, days.';
comment on column core.stock_balances.is_detailed is 'True when documents came with it (statement): then movements count, and this is the control.';

create table core.stock_layers (
    source_data_id int not null references core.source_data,
    nomenclature_id int not null references core.nomenclature,
    warehouse_id int not null references core.warehouses,
    boundary text not null check (boundary in ('opening', 'closing')),
    as_of timestamptz not null,
    batch_received_at timestamptz not null,
    kg numeric(14, 3) not null,
    primary key (nomenclature_id, warehouse_id, as_of, boundary, batch_received_at),
    constraint figures_are_finite check (abs(kg) < 'infinity')
);
create index stock_layers_source_data_id_idx on core.stock_layers (source_data_id);
comment on index core.stock_layers_source_data_id_idx is 'Usage: undo of an import.';
comment on table core.stock_layers is 'Holds the batches in stock as statements state them, at the start and at the end of their period.';
comment on column core.stock_layers.source_data_id is 'The file that states it.';
comment on column core.stock_layers.nomenclature_id is 'The product.';
comment on column core.stock_layers.warehouse_id is 'The warehouse.';
comment on column core.stock_layers.boundary is 'opening or closing: which end of the statement.';
comment on column core.stock_layers.as_of is 'The moment it was in stock.';
comment on column core.stock_layers.batch_received_at is 'When the batch came in.';
comment on column core.stock_layers.kg is 'Mass in stock, kg.';

create table core.batches (
    id bigint generated always as identity primary key,
    nomenclature_id int not null references core.nomenclature,
    warehouse_id int not null references core.warehouses,
    received_at timestamptz not null,
    supplier text,
    documented_kg numeric(14, 3) not null,
    surplus_applied float8 not null default 0,
    unique (nomenclature_id, warehouse_id, received_at),
    constraint figures_are_finite check (greatest(abs(documented_kg), abs(surplus_applied)) < 'infinity')
);
comment on table core.batches is 'Holds what was received when: derived from receipts, recomputed by the accounting.';
comment on column core.batches.id is 'Key.';
comment on column core.batches.nomenclature_id is 'The product.';
comment on column core.batches.warehouse_id is 'The warehouse.';
comment on column core.batches.received_at is 'When it came in.';
comment on column core.batches.supplier is 'Who delivered it; NULL = the file did not say.';
comment on column core.batches.documented_kg is 'Mass on the documents, kg.';
comment on column core.batches.surplus_applied is 'Fraction of surplus taken into account (0.05 = 5 % more came than documented).';

create table core.calculation_data (
    id bigint generated always as identity,
    source_data_id int references core.source_data,
    nomenclature_id int not null references core.nomenclature,
    warehouse_id int not null references core.warehouses,
    initial_balance numeric(14, 3),
    incoming numeric(14, 3) not null default 0,
    outgoing numeric(14, 3) not null default 0,
    final_balance numeric(14, 3),
    storage_days int,
    calculation_date timestamptz not null,
    data_quality_flag text not null check (data_quality_flag in ('clean', 'dirty', 'filtered', 'forecast')),
    inventory_confidence float8 check (inventory_confidence between 0 and 1),
    inventory_period_start timestamptz not null,
    inventory_period_end timestamptz,
    is_valid_inventory_period boolean not null default false,
    is_preliminary_forecast boolean not null default false,
    preliminary_period_end timestamptz,
    human_error_probability float8 check (human_error_probability between 0 and 1),
    validation_errors text,
    manual_review_required boolean not null default false,
    pre_shrinkage_days float8,
    pre_shrinkage_amount numeric(14, 3),
    adjusted_shrinkage_rate float8,
    inventory_shrinkage_total numeric(14, 3),
    actual_deduction_batch timestamptz,
    fifo_principle_applied boolean not null default false,
    fifo_batch_sequence jsonb,
    mode text not null check (mode in ('posted', 'counted', 'open')),
    difference_kg numeric(14, 3),
    surplus_kg numeric(14, 3),
    surplus_applied_kg numeric(14, 3) not null default 0,
    kg_days float8,
    flags text[] not null default '{}',
    count_sigma_kg float8,
    has_opening_count boolean not null default false,
    term_mass float8[],
    term_age_from float8[],
    term_age_to float8[],
    term_is_receipt boolean[],
    primary key (id, calculation_date),
    constraint figures_are_finite check (greatest(
        abs(initial_balance), abs(incoming), abs(outgoing), abs(final_balance), abs(inventory_confidence),
        abs(human_error_probability), abs(pre_shrinkage_days), abs(pre_shrinkage_amount), abs(adjusted_shrinkage_rate),
        abs(inventory_shrinkage_total), abs(difference_kg), abs(surplus_kg), abs(surplus_applied_kg), abs(kg_days),
        abs(count_sigma_kg)
    ) < 'infinity')
);
select public.create_hypertable('core.calculation_data', public.by_range('calculation_date', interval '364 days'), create_default_indexes => false);
create unique index calculation_data_key_idx on core.calculation_data
    (nomenclature_id, warehouse_id, inventory_period_start, calculation_date);
comment on index core.calculation_data_key_idx is 'Usage: the periods of a product in order; a period is stored once.';
comment on table core.calculation_data is 'Holds one row a product, warehouse and inventory period, derived from movements and balances; recomputing it changes nothing.';
comment on column core.calculation_data.id is 'Key, together with calculation_date.';
comment on column core.calculation_data.nomenclature_id is 'The product.';
comment on column core.calculation_data.warehouse_id is 'The warehouse.';
comment on column core.calculation_data.inventory_period_start is 'Start of the period: the count before.';
comment on column core.calculation_data.preliminary_period_end is 'Last movement of a period that is still open; NULL once it is closed.';
comment on column core.calculation_data.manual_review_required is 'Whether a person should look.';
comment on column core.calculation_data.flags is 'What is wrong (core.quality_flag); empty = nothing.';
comment on column core.calculation_data.has_opening_count is 'Whether a count opened the period.';
comment on column core.calculation_data.source_data_id is 'The file that brought the period''s last row.';
comment on column core.calculation_data.initial_balance is 'Book at the start of the period, kg; NULL = not known.';
comment on column core.calculation_data.incoming is 'Came in on documents, kg (stock-take surplus not included).';
comment on column core.calculation_data.outgoing is 'Went out on documents, kg (stock-take shortage not included).';
comment on column core.calculation_data.final_balance is 'Counted mass, kg; the book where the period is still open.';
comment on column core.calculation_data.storage_days is 'Mass-weighted age of the stock at the count, calendar days, rounded half up.';
comment on column core.calculation_data.calculation_date is 'The count that closed the period; for an open period the last movement.';
comment on column core.calculation_data.data_quality_flag is 'clean: nothing above low; dirty: medium or high; filtered: critical, left out of fits; forecast: period still open.';
comment on column core.calculation_data.inventory_confidence is 'How far the difference can be trusted, 0 to 1.';
comment on column core.calculation_data.inventory_period_end is 'NULL while the period is open.';
comment on column core.calculation_data.is_valid_inventory_period is 'Both counts known, length within bounds, no overlap, no negative layer.';
comment on column core.calculation_data.is_preliminary_forecast is 'True when a count only opened the period.';
comment on column core.calculation_data.human_error_probability is 'Logistic over the flags.';
comment on column core.calculation_data.validation_errors is 'The flags as text, comma separated; NULL = none.';
comment on column core.calculation_data.pre_shrinkage_days is 'Mass-weighted age at the start of the period, days; NULL = ages not known.';
comment on column core.calculation_data.pre_shrinkage_amount is 'What the opening stock had lost before the period, kg, by the product''s curve; NULL until one is fitted.';
comment on column core.calculation_data.adjusted_shrinkage_rate is 'Expected loss over the period as a fraction of the opening mass, ages taken into account; NULL until a curve is fitted.';
comment on column core.calculation_data.inventory_shrinkage_total is 'Shortage the count found, kg, surplus specifications applied; 0 within tolerance; NULL where it cannot be told.';
comment on column core.calculation_data.actual_deduction_batch is 'Batch the posted shortage was taken from first (an accounting fact).';
comment on column core.calculation_data.fifo_principle_applied is 'False where an issue could not be covered by layers, or no batches are known.';
comment on column core.calculation_data.fifo_batch_sequence is 'Array of {batch, received_at, opening, in, out, closing}, kg, oldest first.';
comment on column core.calculation_data.mode is 'posted: the count is a document; counted: final is the count; open: no closing count yet.';
comment on column core.calculation_data.difference_kg is 'Count minus book, raw, kg.';
comment on column core.calculation_data.surplus_kg is 'What the count found too much, kg; 0 within tolerance.';
comment on column core.calculation_data.surplus_applied_kg is 'Undocumented mass that came with receipts by specification, kg; part of the shortage.';
comment on column core.calculation_data.kg_days is 'Integral of the book over the period, kg x days: the exposure.';
comment on column core.calculation_data.count_sigma_kg is 'Standard deviation of the count from its resolution, kg.';
comment on column core.calculation_data.term_mass is 'Mass changes of batches within the period, kg, physical, signed: expected shortage = sum(m (1 - g(age_to) / g(age_from))).';
comment on column core.calculation_data.term_age_from is 'Age of the batch at each change, days.';
comment on column core.calculation_data.term_age_to is 'Age of the batch at the closing count, days.';
comment on column core.calculation_data.term_is_receipt is 'Which changes are documented receipts.';

create table core.validation_errors (
    id bigint generated always as identity primary key,
    calculation_data_id bigint,
    calculation_date timestamptz,
    error_type text not null check (error_type in ('human_factor', 'validation_failure', 'data_inconsistency')),
    description text not null,
    severity_level text not null check (severity_level in ('info', 'low', 'medium', 'high', 'critical')),
    detected_by text not null default 'validation_rule' check (detected_by in ('AI', 'manual_review', 'validation_rule')),
    detection_date timestamptz not null default now(),
    resolved boolean not null default false,
    resolution_date timestamptz,
    notes text,
    flag text references core.quality_flag,
    source_data_id int references core.source_data,
    file_name text,
    line int,
    raw_text text,
    reason text,
    column_name text,
    staged jsonb,
    check ((calculation_data_id is null) = (calculation_date is null))
);
create unique index validation_errors_period_idx on core.validation_errors (calculation_data_id, calculation_date, flag)
    where calculation_data_id is not null;
create index validation_errors_source_data_id_idx on core.validation_errors (source_data_id, line);
comment on index core.validation_errors_period_idx is 'Usage: a flag stands once for a period.';
comment on index core.validation_errors_source_data_id_idx is 'Usage: rejected rows of a file.';
comment on table core.validation_errors is 'Lists what was found wrong: flags of periods, and rejected rows of files with their raw text.';
comment on column core.validation_errors.id is 'Key.';
comment on column core.validation_errors.calculation_date is 'The other half of the period''s key.';
comment on column core.validation_errors.error_type is 'human_factor, validation_failure or data_inconsistency.';
comment on column core.validation_errors.description is 'What is wrong, in words.';
comment on column core.validation_errors.severity_level is 'info, low, medium, high or critical.';
comment on column core.validation_errors.detected_by is 'AI, manual_review or validation_rule.';
comment on column core.validation_errors.detection_date is 'When it was found.';
comment on column core.validation_errors.resolved is 'Whether it was dealt with.';
comment on column core.validation_errors.resolution_date is 'When it was dealt with; NULL = not yet.';
comment on column core.validation_errors.notes is 'Remarks of whoever dealt with it.';
comment on column core.validation_errors.flag is 'Which check found it; NULL for a rejected row.';
comment on column core.validation_errors.source_data_id is 'The file concerned; NULL = none.';
comment on column core.validation_errors.file_name is 'Name of the file of a rejected row.';
comment on column core.validation_errors.line is 'Line of a rejected row.';
comment on column core.validation_errors.column_name is 'Column of a rejected row.';
comment on column core.validation_errors.calculation_data_id is 'The period concerned; NULL for a row that was rejected before it became one.';
comment on column core.validation_errors.reason is 'Why the row was rejected, a code.';
comment on column core.validation_errors.staged is 'The row as it was staged, for loader rejects retry; NULL where it could not even be split into columns.';
comment on column core.validation_errors.raw_text is 'The row as it stands in the file.';
""")


def downgrade() -> None:
    run(r"""
drop table core.validation_errors;
drop table core.calculation_data;  -- TimescaleDB drops a hypertable only by itself
drop table core.stock_movements;
drop table core.batches, core.stock_layers, core.stock_balances;
drop table staging.stamp, staging.block, staging.judged, staging.meaning, staging.spelling, staging.stream;
""")
