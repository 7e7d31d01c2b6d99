"""Norms of natural loss stand beside what the curves expect."""

from loader.schema import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run(r"""
create table core.norms (
    id int generated always as identity primary key,
    product_group text not null check (product_group <> ''),
    matched_by text not null default 'type' check (matched_by in ('product', 'name', 'group', 'type')),
    match_key text not null check (match_key <> '' and length(match_key) <= 500),
    kind text not null check (kind in ('turnover', 'stepped', 'monthly', 'transport')),
    storage_mode text not null check (storage_mode in ('warehouse', 'retail', 'refrigerator', 'transport')),
    climate_group int check (climate_group between 1 and 3),
    store_group text check (store_group <> ''),
    month_from int check (month_from between 1 and 12),
    month_to int check (month_to between 1 and 12),
    packaging text check (packaging <> ''),
    temperature_from numeric(5, 1) check (temperature_from between -273 and 200),
    temperature_to numeric(5, 1) check (temperature_to between -273 and 200),
    valid_from date check (isfinite(valid_from)),
    valid_to date check (isfinite(valid_to)),
    half_day boolean not null default false,
    document text,
    source_data_id int references core.source_data,
    line int,
    created_date timestamptz not null default now(),
    created_by text not null default session_user,
    months int4multirange not null generated always as (
        case
            when month_from is null then int4multirange(int4range(1, 12, '[]'))
            when month_from <= month_to then int4multirange(int4range(month_from, month_to, '[]'))
            else int4multirange(int4range(month_from, 12, '[]'), int4range(1, month_to, '[]'))
        end
    ) stored,
    constraint a_season_has_two_ends check ((month_from is null) = (month_to is null)),
    constraint temperatures_rise check (temperature_from < temperature_to),
    constraint validity_does_not_end_before_it_starts check (valid_from <= valid_to),
    constraint distances_belong_to_transport check ((kind = 'transport') = (storage_mode = 'transport')),
    -- NULL stands for any, and a norm that says more goes before one that says less: only equals may not meet.
    constraint one_norm_at_a_time exclude using gist (
        matched_by with =, match_key with =, storage_mode with =, coalesce(climate_group, 0) with =, coalesce(store_group, '') with =,
        coalesce(packaging, '') with =,
        (case when temperature_from is null and temperature_to is null then 0 else 1 end) with =,
        numrange(temperature_from, temperature_to) with &&,
        (case when month_from is null then 0 else 1 end) with =, months with &&,
        daterange(valid_from, valid_to, '[]') with &&
    )
);
create index norms_source_data_id_idx on core.norms (source_data_id);
comment on index core.norms_source_data_id_idx is 'Usage: undo of an import.';
comment on table core.norms is 'Holds norms of natural loss, one row a group of products and a way of keeping them; their percents are in core.norm_steps. Official tables are loaded by the user.';
comment on column core.norms.id is 'Key.';
comment on column core.norms.product_group is 'What the norm is for, as its table words it.';
comment on column core.norms.matched_by is 'How products are found, the closest first: product (its name), name (a regular expression over the normalised name), group (the file''s group of products), type (product type).';
comment on column core.norms.match_key is 'What is compared: the normalised name or group, the regular expression, the product type.';
comment on column core.norms.kind is 'What the percent is of: turnover (whatever the time), stepped (of turnover, by days of storage), monthly (of the average stock, for a month), transport (of what is carried, by km).';
comment on column core.norms.storage_mode is 'Where it holds: warehouse, retail, refrigerator or transport.';
comment on column core.norms.climate_group is 'Climate group, 1 to 3; NULL = any.';
comment on column core.norms.store_group is 'Group of stores; NULL = any.';
comment on column core.norms.month_from is 'First month of the season, 1 to 12; NULL = the whole year.';
comment on column core.norms.month_to is 'Last month of the season; before the first = over New Year; NULL = the whole year.';
comment on column core.norms.packaging is 'Packaging; NULL = any.';
comment on column core.norms.temperature_from is 'Lower end of the temperature band, C, inclusive; NULL = none.';
comment on column core.norms.temperature_to is 'Upper end of the temperature band, C, exclusive; NULL = none.';
comment on column core.norms.valid_from is 'First day in force; NULL = since ever.';
comment on column core.norms.valid_to is 'Last day in force, inclusive; NULL = open.';
comment on column core.norms.half_day is 'Perishable goods: a storage term of up to half a day counts as 0.5 and not as 0.';
comment on column core.norms.document is 'The order the norm is from.';
comment on column core.norms.source_data_id is 'The file it came with; NULL = entered by hand.';
comment on column core.norms.line is 'Line of its first step in the file.';
comment on column core.norms.created_date is 'When it was entered.';
comment on column core.norms.created_by is 'Database role that entered it.';
comment on column core.norms.months is 'The months of the season, computed.';

-- A step begins where another ends: the foreign key leaves no gap, and since each begins elsewhere none overlaps.
create table core.norm_steps (
    norm_id int not null references core.norms on delete cascade,
    step_above numeric(8, 1) not null check (step_above >= 0 and step_above < 'NaN'),
    step_to numeric(8, 1) check (step_to > step_above and step_to < 'NaN'),
    percent numeric(9, 6) not null check (percent between -100 and 100),
    add_per_day numeric(9, 6) not null default 0 check (add_per_day between 0 and 100),
    previous_to numeric(8, 1) generated always as (nullif(step_above, 0)) stored,
    primary key (norm_id, step_above),
    constraint one_step_ends_there unique (norm_id, step_to),
    constraint no_gap_between_steps foreign key (norm_id, previous_to) references core.norm_steps (norm_id, step_to),
    -- A first day of 0.05 that grows by 0.10 a day starts below zero; no percent that is asked for may.
    constraint no_percent_below_zero check (percent + add_per_day * least(1, coalesce(step_to - step_above, 1)) >= 0),
    constraint no_percent_above_100 check (percent + add_per_day * coalesce(step_to - step_above, 0) <= 100)
);
comment on table core.norm_steps is 'Holds the percents of norms: within a step percent + add_per_day x (x - step_above), x being days, months or km; after the last step its last value.';
comment on column core.norm_steps.norm_id is 'The norm.';
comment on column core.norm_steps.step_above is 'Where the step begins, exclusive: days (stepped), months (monthly), km (transport); 0 = the first.';
comment on column core.norm_steps.step_to is 'Where it ends, inclusive; NULL = goes on.';
comment on column core.norm_steps.percent is 'Percent; of a step that grows, its value at step_above.';
comment on column core.norm_steps.add_per_day is 'What each day (month, km) adds, percent; 0 = none.';
comment on column core.norm_steps.previous_to is 'The end of the step before, computed; NULL = the first.';

create table core.norm_profiles (
    warehouse_id int primary key references core.warehouses,
    storage_mode text not null check (storage_mode in ('warehouse', 'retail', 'refrigerator', 'transport')),
    climate_group int check (climate_group between 1 and 3),
    store_group text check (store_group <> ''),
    packaging text check (packaging <> ''),
    temperature numeric(5, 1) check (temperature between -273 and 200),
    distance_km numeric(8, 1) check (distance_km > 0 and distance_km < 'NaN'),
    constraint a_distance_belongs_to_transport check (distance_km is null or storage_mode = 'transport')
);
comment on table core.norm_profiles is 'Tells how a warehouse keeps its goods: which norms of natural loss hold there. Without a row none does.';
comment on column core.norm_profiles.warehouse_id is 'The warehouse.';
comment on column core.norm_profiles.storage_mode is 'warehouse, retail, refrigerator or transport.';
comment on column core.norm_profiles.climate_group is 'Climate group of the place, 1 to 3; NULL = only norms for any.';
comment on column core.norm_profiles.store_group is 'Group of stores; NULL = only norms for any.';
comment on column core.norm_profiles.packaging is 'How goods are packed there; NULL = only norms for any.';
comment on column core.norm_profiles.temperature is 'Storage temperature, C; NULL = only norms for any.';
comment on column core.norm_profiles.distance_km is 'Of transport: how far it carries, km; NULL = not known.';

alter table core.source_data drop constraint source_data_layout_check;
alter table core.source_data add constraint source_data_layout_check check (layout in ('balances', 'movements', 'statement', 'norms'));
comment on column core.source_data.layout is 'balances, movements, statement or norms.';

insert into core.settings (name, value, default_value, description)
values ('norms.days_per_month', '30', '30', 'A norm per month of storage is charged by the day: days of storage divided by this.')
on conflict do nothing;

create unlogged table staging.norm (
    line int not null,
    product_group text,
    matched_by text,
    match_key text,
    kind text,
    storage_mode text,
    climate_group text,
    store_group text,
    season text,
    packaging text,
    temperature_from text,
    temperature_to text,
    valid_from text,
    valid_to text,
    half_day text,
    step_from text,
    step_to text,
    percent text,
    add_per_day text,
    document text
);
comment on table staging.norm is 'Holds the rows of a file of norms while they are judged; empty between imports.';
comment on column staging.norm.line is 'Physical line where the record starts.';
comment on column staging.norm.product_group is 'What the norm is for.';
comment on column staging.norm.matched_by is 'How products are found: product, name, group, type.';
comment on column staging.norm.match_key is 'What is compared; NULL = product_group.';
comment on column staging.norm.kind is 'turnover, stepped, monthly or transport.';
comment on column staging.norm.storage_mode is 'warehouse, retail, refrigerator or transport.';
comment on column staging.norm.climate_group is 'Climate group.';
comment on column staging.norm.store_group is 'Group of stores.';
comment on column staging.norm.season is 'Month, months, quarter or season.';
comment on column staging.norm.packaging is 'Packaging.';
comment on column staging.norm.temperature_from is 'Lower end of the temperature band.';
comment on column staging.norm.temperature_to is 'Upper end of the temperature band.';
comment on column staging.norm.valid_from is 'First day in force.';
comment on column staging.norm.valid_to is 'Last day in force.';
comment on column staging.norm.half_day is 'Whether terms of half a day count.';
comment on column staging.norm.step_from is 'First day, month or km of the step.';
comment on column staging.norm.step_to is 'Last day, month or km of the step.';
comment on column staging.norm.percent is 'Percent.';
comment on column staging.norm.add_per_day is 'What each day adds, percent.';
comment on column staging.norm.document is 'The order the norm is from.';
""")


def downgrade() -> None:
    run(r"""
drop table staging.norm, core.norm_profiles, core.norm_steps, core.norms;
-- The setting stays: it may have been changed, and means nothing without the norms.
-- The ledger keeps no rows of a layout it does not know: their norms are gone as well.
delete from core.validation_errors where source_data_id in (select s.id from core.source_data as s where s.layout = 'norms');
delete from core.data_lineage where source_file_id in (select s.id from core.source_data as s where s.layout = 'norms');
delete from core.source_data where layout = 'norms';
alter table core.source_data drop constraint source_data_layout_check;
alter table core.source_data add constraint source_data_layout_check check (layout in ('balances', 'movements', 'statement'));
comment on column core.source_data.layout is 'balances, movements or statement.';
""")
