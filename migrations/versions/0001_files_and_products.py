"""Files are known by their bytes; products, types, warehouses and settings have a home."""

from loader.schema import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run(r"""
create schema if not exists staging;
create schema if not exists cache;
comment on schema core is 'Holds the facts: files, stock, coefficients, forecasts, what was rejected and why. Never dropped.';
comment on schema staging is 'Holds rows of a file as they came, as text, until a verdict is given. May be emptied.';
comment on schema cache is 'Holds what can be computed again.';

do $do$
declare
    role_name text;
begin
    foreach role_name in array array['weighhouse_owner', 'weighhouse_fitter', 'weighhouse_analyst', 'weighhouse_bi'] loop
        begin
            if to_regrole(role_name) is null then
                execute format('create role %I nologin', role_name);
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this server made it at the same moment
        end;
    end loop;
end
$do$;

comment on table core.revision is 'Names the revision of the state; Alembic keeps it.';
comment on column core.revision.version_num is 'The revision.';

create table core.release (
    id int generated always as identity primary key,
    version text not null,
    revision text not null,
    code_sha256 text not null,
    git_commit text,
    migrated_at timestamptz not null default now(),
    duration_seconds float8,
    constraint figures_are_finite check (abs(duration_seconds) < 'infinity')
);
comment on table core.release is 'Tells what this database runs: one row for each upgrade that changed something; the newest counts.';
comment on column core.release.id is 'Key; the highest is the newest.';
comment on column core.release.migrated_at is 'When the upgrade was made.';
comment on column core.release.version is 'Version of the loader that upgraded.';
comment on column core.release.revision is 'Revision of the state (migrations/) reached.';
comment on column core.release.code_sha256 is 'SHA-256 over sql/ and plpython/ as built.';
comment on column core.release.git_commit is 'Commit of the source tree; NULL when installed from a package.';
comment on column core.release.duration_seconds is 'How long the upgrade took, seconds.';

create table core.python_module (
    name text primary key,
    source text not null,
    is_package boolean not null,
    sha256 text not null
);
comment on table core.python_module is 'Holds the Python that runs in the database; written by loader db upgrade, read by internal.load_code. Only its owner may write it.';
comment on column core.python_module.name is 'Dotted module name.';
comment on column core.python_module.source is 'Source text, UTF-8.';
comment on column core.python_module.is_package is 'Whether the module is a package (its __init__).';
comment on column core.python_module.sha256 is 'SHA-256 of the whole set the module belongs to; all rows carry the same.';

create table core.settings (
    name text primary key,
    value jsonb not null,
    default_value jsonb not null,
    description text not null
);
comment on table core.settings is 'Holds every threshold of the domain as a row; change value, default_value tells what it was.';
comment on column core.settings.name is 'What it is about, a dot, what it sets.';
comment on column core.settings.value is 'The value in force.';
comment on column core.settings.default_value is 'The value it came with.';
comment on column core.settings.description is 'What it does, with its unit.';

insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('stock.tolerance_kg', '0.005', 'A difference at the count up to this many kg is modelled as zero; the raw figure is kept.'),
    ('stock.identity_tolerance_kg', '0.001', 'How far opening + incoming - outgoing - closing of a posted statement may be from zero, kg.'),
    ('stock.max_age_days', '365', 'Ages of batches are capped here (transferred remnants), days.'),
    ('stock.max_period_days', '92', 'A longer inventory period is not valid.'),
    ('stock.min_period_days', '1', 'A shorter inventory period is not valid.'),
    ('stock.opening_balance_is_count', 'true', 'Whether the first opening balance of a file counts as a stock-take; its confidence is halved all the same.'),
    ('confidence.full_after_days', '3', 'Periods shorter than this many days lose confidence in proportion.'),
    ('quality.shortage_factor', '5', 'A shortage above this many times the type''s median rate is flagged.'),
    ('quality.human_error_intercept', '-3.0', 'Intercept of the logistic human-error model.'),
    ('quality.review_probability', '0.5', 'Manual review is required from this human-error probability on.'),
    ('fit.family', '"auto"', 'Curve family: auto, or one of linear, exp, exp_linear, power, peleg, weibull.'),
    ('fit.default_b', '0.049', 'b (1/day) used where the data cannot tell it, before the multiplier of the type.'),
    ('fit.cv', '0.25', 'Relative standard deviation of one period''s shortage around the curve.'),
    ('fit.kappa_kg_days', '20', 'Weight of the type''s rate in pooling, kg-days, where the spread cannot be estimated.'),
    ('fit.extrapolation_factor', '1.5', 'Ages beyond this multiple of the largest fitted age are flagged as extrapolation.'),
    ('import.time_zone', 'null', 'Time zone of stamps that carry none, when --timezone is not given; null = ask.'),
    ('import.max_rejects', '"100%"', 'A file with more rejected rows (a number, or a share as 5%) is refused as a whole.')
) as s (name, value, description);

create table core.quality_flag (
    flag text primary key,
    severity text not null check (severity in ('info', 'low', 'medium', 'high', 'critical')),
    error_type text not null check (error_type in ('human_factor', 'validation_failure', 'data_inconsistency')),
    human_error_weight float8 not null default 0,
    description text not null,
    constraint figures_are_finite check (abs(human_error_weight) < 'infinity')
);
comment on table core.quality_flag is 'Lists what can be wrong with a period or a row, how severe it is, and what it says about human error.';
comment on column core.quality_flag.flag is 'Name of the flag.';
comment on column core.quality_flag.severity is 'info, low, medium, high or critical; critical leaves the period out of fits.';
comment on column core.quality_flag.error_type is 'human_factor, validation_failure or data_inconsistency.';
comment on column core.quality_flag.description is 'What is wrong, in words.';
comment on column core.quality_flag.human_error_weight is 'Added to the logit of the human-error probability.';

insert into core.quality_flag (flag, severity, error_type, human_error_weight, description) values
('missing_opening', 'medium', 'data_inconsistency', 0, 'No opening balance: the stock before the first movement was inferred from what was issued.'),
('missing_closing', 'high', 'data_inconsistency', 0, 'No closing balance.'),
('negative_value', 'critical', 'validation_failure', 0, 'A quantity is negative where it cannot be.'),
('negative_stock', 'high', 'data_inconsistency', 2.0, 'More was issued than was in stock.'),
('identity_residual', 'high', 'data_inconsistency', 1.5, 'Opening + incoming - outgoing differs from closing although the count is posted.'),
('shortage_over_available', 'critical', 'validation_failure', 0, 'More is missing than was there.'),
('shortage_over_5x', 'high', 'human_factor', 1.5, 'The shortage is several times what the type usually loses.'),
('surplus_over_tolerance', 'medium', 'human_factor', 1.0, 'The count found more than the book.'),
('unit_jump', 'high', 'human_factor', 2.5, 'The count is about 10 or 1000 times the book: a misplaced decimal point or unit.'),
('duplicate_row', 'critical', 'human_factor', 2.5, 'The same product and period stands twice.'),
('date_mismatch', 'medium', 'data_inconsistency', 1.0, 'The dates of the row do not agree.'),
('overlapping_period', 'high', 'data_inconsistency', 0, 'The period overlaps another of the same product.'),
('gap_between_periods', 'medium', 'data_inconsistency', 0, 'The opening differs from the previous closing, or days are missing between them.'),
('date_in_future', 'high', 'validation_failure', 0, 'The date lies in the future.'),
('age_capped', 'low', 'data_inconsistency', 0, 'A batch is older than the cap on ages (transferred remnants).'),
('unknown_product_type', 'low', 'data_inconsistency', 0, 'No rule tells the type of the product from its name.'),
('not_counted', 'low', 'data_inconsistency', 0, 'Others were counted in between, this product has no stock-take row: no difference, or not counted.'),
('round_count', 'info', 'human_factor', 0.7, 'The counted mass is a round number.'),
('no_batch_ages', 'info', 'data_inconsistency', 0, 'No batches are known: ages are taken from the period alone.'),
('posted_without_documents', 'critical', 'data_inconsistency', 0, 'All rows of a flat file balance to zero: the differences were posted before it was made, so it cannot show shrinkage.'),
('total_mismatch', 'medium', 'data_inconsistency', 0, 'A total of the statement is not the sum of its rows.'),
('layer_mismatch', 'medium', 'data_inconsistency', 0, 'Closing batches of the statement differ from FIFO.');

create table core.product_type_mapping (
    id int generated always as identity primary key,
    rule_order int not null,
    keywords text not null,
    product_type text not null,
    code text not null,
    adjustment_factor float8 not null default 1,
    factor_b float8 not null default 1,
    factor_c float8 not null default 1,
    constraint figures_are_finite check (greatest(abs(adjustment_factor), abs(factor_b), abs(factor_c)) < 'infinity')
);
comment on table core.product_type_mapping is 'Tells a product''s type from words in its name; the first rule (rule_order) that matches wins. Edit freely; unknown must stay.';
comment on column core.product_type_mapping.id is 'Key.';
comment on column core.product_type_mapping.rule_order is 'Rules are tried in this order.';
comment on column core.product_type_mapping.product_type is 'The type the rule gives.';
comment on column core.product_type_mapping.code is 'Code of the type.';
comment on column core.product_type_mapping.keywords is 'Regular expression over the normalised name (upper case, Е for Ё, / for \, single spaces); \m and \M are word bounds.';
comment on column core.product_type_mapping.adjustment_factor is 'Multiplies the default coefficient a where nothing was fitted.';
comment on column core.product_type_mapping.factor_b is 'Multiplies the default b of a type whose own b the data cannot tell.';
comment on column core.product_type_mapping.factor_c is 'Multiplies the default c.';
insert into core.product_type_mapping (rule_order, keywords, product_type, code, adjustment_factor, factor_b, factor_c) values
(10, '\mС/С\M|СЛАБОСОЛ|СЛАБ\.? ?СОЛ|\mСОЛЕН', 'salted', 'fish_salt_cured', 0.7, 0.8, 0.85),
(20, '\mГ/К\M|\mГК\M|ГОРЯЧ|ГОР\.? ?КОП', 'hot_smoked', 'fish_hot_smoked', 0.75, 0.85, 0.8),
(30, '\mХ/К\M|\mХК\M|ХОЛОД|ХОЛ\.? ?КОП', 'cold_smoked', 'fish_cold_smoked', 0.85, 0.95, 0.85),
(40, 'КОПЧ', 'smoked', 'fish_smoked', 0.8, 0.9, 0.9),
(50, '\mВЯЛ|\mСУШ', 'dried', 'fish_dried', 0.6, 0.7, 0.8),
(60, 'МОРОЖ|\mС/М\M|Б/Г ЗАМ', 'frozen', 'fish_frozen', 1, 1, 1),
(70, '\mСВЕЖ|\mОХЛ', 'fresh', 'fish_fresh', 1, 1, 1),
(1000, '', 'unknown', 'unknown', 1, 1, 1);

create table core.operation_mapping (
    document_type text primary key,
    operation text not null check (operation in ('opening', 'receipt', 'sale', 'consumption', 'production', 'transfer_in',
        'transfer_out', 'transfer', 'write_off', 'stock_take', 'regrading', 'return'))
);
comment on table core.operation_mapping is 'Translates document types of an ERP (lower case, single spaces, е for ё) into our operations; transfer becomes in or out by the side the mass stands on.';
comment on column core.operation_mapping.document_type is 'Name of the document as files spell it.';
comment on column core.operation_mapping.operation is 'What it does to the stock.';
insert into core.operation_mapping (document_type, operation) values
('opening', 'opening'), ('начальный остаток', 'opening'), ('ввод остатков', 'opening'), ('opening balance', 'opening'),
('receipt', 'receipt'), ('приходная накладная', 'receipt'), ('поступление', 'receipt'), ('поступление товаров', 'receipt'), ('101', 'receipt'),
('purchase', 'receipt'), ('in', 'receipt'), ('приход', 'receipt'),
('sale', 'sale'), ('issue', 'sale'), ('отчет отдела о розничных продажах', 'sale'), ('отчет о розничных продажах', 'sale'), ('реализация', 'sale'),
('реализация товаров', 'sale'), ('601', 'sale'), ('251', 'sale'), ('out', 'sale'), ('расход', 'sale'), ('продажа', 'sale'),
('расходная накладная', 'sale'),
('consumption', 'consumption'), ('требование', 'consumption'), ('комплектация', 'consumption'), ('261', 'consumption'),
('production', 'production'),
('transfer', 'transfer'), ('перемещение', 'transfer'), ('301', 'transfer'), ('311', 'transfer'), ('transfer_in', 'transfer_in'),
('transfer_out', 'transfer_out'),
('write_off', 'write_off'), ('write-off', 'write_off'), ('списание', 'write_off'), ('551', 'write_off'), ('552', 'write_off'), ('scrap', 'write_off'),
('stock_take', 'stock_take'), ('stocktake', 'stock_take'), ('inventory', 'stock_take'), ('инвентаризация', 'stock_take'), ('оприходование', 'stock_take'),
('701', 'stock_take'), ('702', 'stock_take'), ('711', 'stock_take'), ('712', 'stock_take'), ('count', 'stock_take'),
('regrading', 'regrading'), ('re-grading', 'regrading'), ('пересортица', 'regrading'), ('309', 'regrading'),
('return', 'return'), ('возврат', 'return'), ('возврат от покупателя', 'return'), ('122', 'return'), ('651', 'return');

create table core.source_data (
    id int generated always as identity primary key,
    file_name text not null,
    file_path text,
    upload_date timestamptz not null default clock_timestamp(),
    file_hash text not null check (file_hash ~ '^[0-9a-f]{64}$'),
    processed boolean not null default false,
    quality_score float8 check (quality_score between 0 and 1),
    layout text not null check (layout in ('balances', 'movements', 'statement')),
    size_bytes bigint not null check (size_bytes >= 0),
    encoding text,
    options jsonb not null default '{}',
    period_start timestamptz,
    period_end timestamptz,
    read_count bigint not null default 0 check (read_count >= 0),
    loaded_count bigint not null default 0 check (loaded_count >= 0),
    duplicate_count bigint not null default 0 check (duplicate_count >= 0),
    rejected_count bigint not null default 0 check (rejected_count >= 0),
    skipped_count bigint not null default 0 check (skipped_count >= 0),
    duration_seconds float8,
    loaded_by text not null default session_user,
    undone_at timestamptz,
    constraint every_row_accounted_for check (read_count = loaded_count + duplicate_count + rejected_count),
    constraint figures_are_finite check (greatest(abs(duration_seconds), abs(quality_score)) < 'infinity')
);
comment on table core.source_data is 'The ledger of files: one row a file, written in the same transaction as its facts.';
comment on column core.source_data.id is 'Key; the number of the import.';
comment on column core.source_data.file_name is 'Name of the file.';
comment on column core.source_data.file_path is 'Where it was read from; NULL = stdin.';
comment on column core.source_data.upload_date is 'When it was imported.';
comment on column core.source_data.layout is 'balances, movements or statement.';
comment on column core.source_data.size_bytes is 'Size of the file, bytes.';
comment on column core.source_data.encoding is 'Encoding it was read with; NULL for a workbook.';
comment on column core.source_data.period_start is 'Earliest time its rows speak of; NULL = none.';
comment on column core.source_data.period_end is 'Latest time its rows speak of; NULL = none.';
comment on column core.source_data.loaded_count is 'Rows whose facts were stored, or whose control figures agree.';
comment on column core.source_data.rejected_count is 'Rows that were not accepted; core.validation_errors says why.';
comment on column core.source_data.duration_seconds is 'How long the import took, seconds.';
comment on column core.source_data.loaded_by is 'Database role that imported it.';
comment on column core.source_data.file_hash is 'SHA-256 of the bytes as they came, hexadecimal.';
comment on column core.source_data.processed is 'Whether the stock accounting has taken the file in.';
comment on column core.source_data.quality_score is 'Share of quantity-weighted rows that are clean, 0 to 1; NULL before accounting.';
comment on column core.source_data.read_count is 'Data rows read = loaded + duplicate + rejected (enforced).';
comment on column core.source_data.duplicate_count is 'Rows whose fact was known already from another row or file.';
comment on column core.source_data.skipped_count is 'Rows that are no data: headings, blank lines, group totals of flat files.';
comment on column core.source_data.undone_at is 'When the import was taken back; NULL while its facts count.';
comment on column core.source_data.options is 'The reading options the file was imported with.';
create unique index source_data_file_hash_idx on core.source_data (file_hash) where undone_at is null;
comment on index core.source_data_file_hash_idx is 'Usage: the same bytes are imported once.';

create table core.warehouses (
    id int generated always as identity primary key,
    name text not null unique check (name <> ''),
    time_zone text not null default 'UTC'
);
comment on table core.warehouses is 'Holds the places where stock is kept and counted.';
comment on column core.warehouses.id is 'Key.';
comment on column core.warehouses.name is 'Name.';
comment on column core.warehouses.time_zone is 'Zone of the warehouse''s calendar days, a tz database name.';

create table core.nomenclature (
    id int generated always as identity primary key,
    name text not null check (name <> ''),
    product_type text not null default 'unknown',
    product_type_code text not null default 'unknown',
    created_date timestamptz not null default now(),
    validation_flags jsonb not null default '[]',
    item_group text,
    unit text not null default 'kg',
    name_key text not null,
    unique (name, product_type)
);
comment on table core.nomenclature is 'Holds the products, one row a product.';
comment on column core.nomenclature.id is 'Key.';
comment on column core.nomenclature.product_type_code is 'Code of the type.';
comment on column core.nomenclature.created_date is 'When a file first named it.';
comment on column core.nomenclature.item_group is 'Group the file put it in; NULL = none.';
comment on column core.nomenclature.unit is 'Unit of mass; kg.';
comment on column core.nomenclature.name is 'Name as first seen, outer and double spaces removed; unique within product_type.';
comment on column core.nomenclature.product_type is 'fresh, salted, hot_smoked, cold_smoked, smoked, dried, frozen, unknown or the user''s own.';
comment on column core.nomenclature.validation_flags is 'Array of quality flags that concern the product itself.';
comment on column core.nomenclature.name_key is 'Name as matched: upper case, Е for Ё, / for \, Cyrillic for look-alike Latin letters in Cyrillic words.';
create unique index nomenclature_name_key_idx on core.nomenclature (name_key, product_type);
comment on index core.nomenclature_name_key_idx is 'Usage: files that spell a product differently meet in one row.';

create table core.nomenclature_alias (
    raw_name text not null,
    raw_type text not null default '',
    nomenclature_id int not null references core.nomenclature on delete cascade,
    primary key (raw_name, raw_type)
);
create index nomenclature_alias_nomenclature_id_idx on core.nomenclature_alias (nomenclature_id);
comment on index core.nomenclature_alias_nomenclature_id_idx is 'Usage: all spellings of a product.';
comment on table core.nomenclature_alias is 'Remembers each spelling of a product in files; point a row at another product to merge a renamed one.';
comment on column core.nomenclature_alias.raw_name is 'The spelling, as it stands in files.';
comment on column core.nomenclature_alias.raw_type is 'The product type the file states with it; empty = none.';
comment on column core.nomenclature_alias.nomenclature_id is 'The product it means.';

create table core.data_lineage (
    id bigint generated always as identity primary key,
    source_file_id int references core.source_data,
    calculation_data_id bigint,
    process_name text not null check (process_name in ('data_import', 'calculation', 'validation')),
    process_timestamp timestamptz not null default clock_timestamp(),
    user_id text not null default session_user,
    input_records bigint,
    output_records bigint,
    status text not null check (status in ('success', 'failed', 'partial')),
    error_message text,
    execution_time_ms float8,
    version text,
    constraint figures_are_finite check (abs(execution_time_ms) < 'infinity')
);
comment on table core.data_lineage is 'Tells what each step read and wrote: imports, accounting, fits, undo.';
comment on column core.data_lineage.id is 'Key.';
comment on column core.data_lineage.source_file_id is 'The file concerned; NULL when it was all of them.';
comment on column core.data_lineage.calculation_data_id is 'The period concerned; NULL when it was many.';
comment on column core.data_lineage.process_name is 'data_import, calculation or validation.';
comment on column core.data_lineage.process_timestamp is 'When the step ended.';
comment on column core.data_lineage.user_id is 'Database role that ran it.';
comment on column core.data_lineage.input_records is 'Rows read.';
comment on column core.data_lineage.output_records is 'Rows written.';
comment on column core.data_lineage.status is 'success, failed or partial.';
comment on column core.data_lineage.error_message is 'What went wrong, or a remark; NULL = nothing.';
comment on column core.data_lineage.execution_time_ms is 'How long it took, milliseconds.';
comment on column core.data_lineage.version is 'Version of the code that ran.';
create index data_lineage_source_file_id_idx on core.data_lineage (source_file_id);
comment on index core.data_lineage_source_file_id_idx is 'Usage: the history of one file.';

create unlogged table staging.row (
    line int not null,
    spelling int,
    document_number text,
    posted_at text,
    batch text,
    incoming text,
    outgoing text,
    quantity text,
    unit text,
    record text,
    warehouse text,
    item_group text,
    item text,
    product_type text,
    document_type text,
    supplier text,
    period_start text,
    period_end text,
    storage_days text,
    opening text,
    closing text,
    note text
);
comment on table staging.row is 'Holds one block of one file while it is judged; empty between imports.';
comment on column staging.row.spelling is 'Number of its names in staging.spelling, where they stand there.';
comment on column staging.row.warehouse is 'Name of the warehouse.';
comment on column staging.row.item_group is 'Group of the product.';
comment on column staging.row.item is 'Name of the product.';
comment on column staging.row.product_type is 'Type of the product, where the file states one.';
comment on column staging.row.unit is 'Unit of the quantities.';
comment on column staging.row.document_type is 'Kind of document.';
comment on column staging.row.document_number is 'Number of the document.';
comment on column staging.row.posted_at is 'When the document was posted.';
comment on column staging.row.batch is 'When the batch came in.';
comment on column staging.row.supplier is 'Who delivered it.';
comment on column staging.row.period_start is 'First day of the period.';
comment on column staging.row.period_end is 'Last day of the period.';
comment on column staging.row.storage_days is 'Storage term.';
comment on column staging.row.opening is 'Balance at the start.';
comment on column staging.row.incoming is 'What came in.';
comment on column staging.row.outgoing is 'What went out.';
comment on column staging.row.closing is 'Balance at the end.';
comment on column staging.row.quantity is 'Quantity of a file with one column for both directions.';
comment on column staging.row.note is 'Remark.';
comment on column staging.row.line is 'Physical line (CSV) or row (xlsx) where the record starts.';
comment on column staging.row.record is 'Level of a statement row: warehouse, group, item, document, batch, grand_total; NULL for flat layouts.';
""")


def downgrade() -> None:
    run(r"""
drop table staging.row;
drop table core.data_lineage, core.nomenclature_alias, core.nomenclature, core.warehouses, core.source_data,
    core.operation_mapping, core.product_type_mapping, core.quality_flag, core.settings, core.python_module, core.release;
drop schema cache;
drop schema staging;
-- Roles belong to the server, not to this database: they stay.
""")
