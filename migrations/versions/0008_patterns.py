"""Patterns in the data have a key and a verdict; products that shrink alike form clusters; warehouses have a climate."""

from loader.schema import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run(r"""
alter table core.ai_patterns
    add column pattern_key text,
    add column subtype text check (subtype in (
        'rate', 'level_shift', 'misgrading', 'rising', 'falling', 'month', 'temperature', 'humidity'
    )),
    add column status text not null default 'open' check (status in ('open', 'closed', 'accepted')),
    add column closed_at timestamptz,
    add column decided_by text,
    add column notes text,
    add column warehouse_id int references core.warehouses,
    add column period_start timestamptz,
    add column period_end timestamptz;
update core.ai_patterns set pattern_key = 'entered/' || id;
alter table core.ai_patterns
    alter column pattern_key set not null,
    add constraint ai_patterns_pattern_key_key unique (pattern_key),
    add constraint what_is_not_open_was_ended check ((status = 'open') = (closed_at is null)),
    add constraint a_person_ends_or_accepts check (decided_by is null or status <> 'open'),
    add constraint only_persons_accept check (status <> 'accepted' or decided_by is not null);
comment on column core.ai_patterns.pattern_key is 'What makes a pattern the same one at the next search: what it is, of which product, where, and of a single event when.';
comment on column core.ai_patterns.subtype is
'anomaly: rate (one count beside its like), level_shift (losses left the curve for good), misgrading (two products of one count); trend: rising, falling; seasonality: month; correlation: temperature, humidity.';
comment on column core.ai_patterns.status is 'open; closed: by a person, or because it is no longer seen; accepted: a person holds it for true.';
comment on column core.ai_patterns.closed_at is 'When it was closed or accepted; NULL while open.';
comment on column core.ai_patterns.decided_by is 'Database role that closed or accepted it: no search touches it again; NULL = nobody.';
comment on column core.ai_patterns.notes is 'Remarks of whoever decided.';
comment on column core.ai_patterns.warehouse_id is 'The warehouse.';
comment on column core.ai_patterns.period_start is 'Start of the data it is about.';
comment on column core.ai_patterns.period_end is 'End of the data it is about; NULL = lasting.';
comment on table core.ai_patterns is 'Holds patterns found in the data, one row each for good: a search renews what is open, and closes what it no longer finds.';
comment on column core.ai_patterns.pattern_data is 'The figures behind it: inputs, statistics, thresholds.';

create table core.climate_readings (
    warehouse_id int not null,
    time timestamptz not null,
    temperature_c float8,
    humidity_percent float8,
    primary key (warehouse_id, time),
    constraint something_was_read check (num_nonnulls(temperature_c, humidity_percent) > 0),
    constraint readings_are_possible check (
        (temperature_c is null or temperature_c between -90 and 90) and (humidity_percent is null or humidity_percent between 0 and 100)
    )
);
select public.create_hypertable('core.climate_readings', public.by_range('time', interval '364 days'), create_default_indexes => false);
comment on table core.climate_readings is 'Holds what the air in warehouses was like.';
comment on column core.climate_readings.warehouse_id is 'The warehouse.';
comment on column core.climate_readings.time is 'When it was read.';
comment on column core.climate_readings.temperature_c is 'Temperature, degrees Celsius; NULL = not read.';
comment on column core.climate_readings.humidity_percent is 'Relative humidity, percent; NULL = not read.';

create table core.cluster_runs (
    id int generated always as identity primary key,
    created_at timestamptz not null default clock_timestamp(),
    asked_count int,
    product_count int not null,
    cluster_count int not null check (cluster_count > 0),
    silhouette float8 check (silhouette between -1 and 1),
    wcss float8 not null,
    data_hash text not null,
    constraint figures_are_finite check (abs(wcss) < 'infinity')
);
comment on table core.cluster_runs is 'Holds each grouping of products; the newest counts.';
comment on column core.cluster_runs.id is 'Key; the highest is the newest.';
comment on column core.cluster_runs.created_at is 'When it was made.';
comment on column core.cluster_runs.asked_count is 'Clusters asked for; NULL = the silhouette decided.';
comment on column core.cluster_runs.product_count is 'Products grouped.';
comment on column core.cluster_runs.cluster_count is 'Clusters found.';
comment on column core.cluster_runs.silhouette is 'Mean silhouette: near 1 clear groups, near 0 none; NULL with one cluster.';
comment on column core.cluster_runs.wcss is 'Sum of squares within the clusters: of standardised features, with fewer than 10 products of ln(rate).';
comment on column core.cluster_runs.data_hash is 'SHA-256 of the data and options: the same make no new run.';

create table core.product_clusters (
    run_id int not null references core.cluster_runs on delete cascade,
    nomenclature_id int not null references core.nomenclature,
    label int not null check (label >= 0),
    is_medoid boolean not null,
    rate float8 not null,
    mean_age_days float8,
    variation float8,
    turnover_days float8,
    primary key (run_id, nomenclature_id),
    constraint figures_are_finite check (greatest(abs(rate), abs(mean_age_days), abs(variation), abs(turnover_days)) < 'infinity')
);
create unique index product_clusters_medoid_idx on core.product_clusters (run_id, label) where is_medoid;
comment on index core.product_clusters_medoid_idx is 'Usage: the product that stands for a cluster; there is one.';
create index product_clusters_nomenclature_id_idx on core.product_clusters (nomenclature_id, run_id desc);
comment on index core.product_clusters_nomenclature_id_idx is 'Usage: the cluster of a product, newest first.';
comment on table core.product_clusters is 'Holds the cluster of each product, by run.';
comment on column core.product_clusters.run_id is 'The run.';
comment on column core.product_clusters.nomenclature_id is 'The product.';
comment on column core.product_clusters.label is 'The cluster, from 0 on: the higher, the more it loses.';
comment on column core.product_clusters.is_medoid is 'Whether it stands for its cluster: the product nearest to the middle.';
comment on column core.product_clusters.rate is 'Loss per kg in stock and day, a fraction; at least what a count can tell.';
comment on column core.product_clusters.mean_age_days is 'Mean age of the stock at counts, days; NULL = not known.';
comment on column core.product_clusters.variation is 'Coefficient of variation of the rate between periods, at most 3; NULL with one period.';
comment on column core.product_clusters.turnover_days is 'Days the mean stock lasts at the pace it went out, at most 365.';

insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('patterns.z', '3.5', 'A rate whose modified z-score among its like is beyond this is an anomaly.'),
    ('patterns.min_group', '8', 'Like products (type, warehouse) are compared within the week of a count, or within its month where the week has fewer periods than this.'),
    ('patterns.significance', '0.05', 'A trend, season or level shift must be less likely than this by chance.'),
    ('patterns.false_discovery_rate', '0.1', 'Of the trends claimed at once about this share may be wrong; of seasons, correlations and level shifts likewise.'),
    ('patterns.min_periods', '6', 'Periods a trend needs.'),
    ('patterns.max_periods', '260', 'Newest periods looked at for trends, correlations and level shifts.'),
    ('patterns.min_months', '24', 'Months with counts a season needs.'),
    ('patterns.min_climate_periods', '10', 'Periods with readings a correlation with the climate needs.'),
    ('patterns.min_shift_periods', '8', 'Periods a level shift needs.'),
    ('patterns.pair_similarity', '0.2', 'How far a shortage and a surplus may differ to pass for one product taken for another, as a share of the larger.'),
    ('patterns.pair_confidence', '0.4', 'Pairs less certain than this are left out; where one count is all there is, a pair among up to five shortages passes.'),
    ('clusters.min_periods', '3', 'Valid periods a product needs to be put into a cluster.')
) as s (name, value, description)
on conflict (name) do nothing;
""")


def downgrade() -> None:
    run(r"""
-- Settings stay: what somebody chose is in force again when the tables come back.
drop table core.product_clusters, core.cluster_runs;
drop table core.climate_readings;
alter table core.ai_patterns
    drop column pattern_key, drop column subtype, drop column status, drop column closed_at, drop column decided_by, drop column notes,
    drop column warehouse_id, drop column period_start, drop column period_end;
comment on table core.ai_patterns is 'Holds patterns found in the data.';
comment on column core.ai_patterns.pattern_data is 'The figures behind it.';
""")
