"""What the next count should find is written down when a count opens a period; some periods count more."""

from loader.schema import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run(r"""
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('priority.max_multiplier', '3', 'A period wholly inside a priority period of level 10 counts this many times; level 1 counts once.'),
    ('forecast.horizon_days', '7', 'Days from one count to the next where no warehouse has been counted twice yet.'),
    ('forecast.min_history', '20', 'How many past counts of a product type it takes to draw the band and the coverage from them.'),
    ('forecast.no_ages_widening', '1.5', 'The 80 % band of a forecast is this many times as wide where the ages of the batches are not known.')
) as s (name, value, description)
on conflict (name) do nothing;

-- What is expected is no stock: grams of a fraction matter where a product loses ten.
alter table core.preliminary_forecasts
    alter column expected_shrinkage type float8,
    alter column adjusted_expected_shrinkage type float8,
    add column nomenclature_id int not null references core.nomenclature,
    add column warehouse_id int not null references core.warehouses,
    add column coefficient_id bigint not null references core.coefficients,
    add column opened_at timestamptz not null,
    add column planned_end timestamptz not null,
    add column created_date timestamptz not null default now(),
    add column is_backtest boolean not null default false,
    add column stock_kg numeric(14, 3) not null,
    add column expected_low float8 not null,
    add column expected_high float8 not null,
    add column usual_kg_per_day float8,
    add column is_extrapolated boolean not null default false,
    add column term_mass float8[] not null,
    add column term_age_from float8[] not null,
    add column term_age_to float8[] not null,
    add column status text not null default 'open' check (status in ('open', 'settled', 'void')),
    add column void_reason text,
    add column settled_at timestamptz,
    add column settled_calculation_data_id bigint,
    add column settled_calculation_date timestamptz,
    add column expected_at_count float8,
    add column adjusted_expected_at_count float8,
    add column is_inside_80 boolean,
    add constraint one_forecast_for_a_count unique (nomenclature_id, warehouse_id, opened_at, is_backtest),
    add constraint ends_after_it_opened check (planned_end > opened_at),
    add constraint settled_with_a_count check ((status = 'settled') = (actual_shrinkage is not null)),
    drop constraint figures_are_finite,
    add constraint figures_are_finite check (greatest(
        abs(expected_shrinkage), abs(adjusted_expected_shrinkage), abs(actual_shrinkage), abs(forecast_accuracy), abs(stock_kg),
        abs(expected_low), abs(expected_high), abs(expected_at_count), abs(adjusted_expected_at_count),
        abs(usual_kg_per_day)
    ) < 'infinity');
comment on table core.preliminary_forecasts is 'Holds what is expected at the next count of a period that a count opened, and what that count found.';
comment on column core.preliminary_forecasts.calculation_data_id is 'The period, open or since closed; NULL = nothing is written of it yet, or the accounting has replaced it since.';
comment on column core.preliminary_forecasts.forecast_period_days is 'Days from the opening count to the planned end.';
comment on column core.preliminary_forecasts.forecast_date is 'The moment its data reach to: the opening count, or the last movement after it.';
comment on column core.preliminary_forecasts.expected_shrinkage is 'Expected loss to the planned end, kg, as if every batch were fresh: sum of M S(h).';
comment on column core.preliminary_forecasts.adjusted_expected_shrinkage is 'The same with the ages of the batches: sum of M (S(t+h) - S(t)) / (1 - S(t)), kg; NULL = ages not known.';
comment on column core.preliminary_forecasts.pre_shrinkage_adjusted is 'Which of the two counts: true = the one with ages.';
comment on column core.preliminary_forecasts.confidence_level is
'Confidence in the opening count times the share of past counts that fell inside the band, 0 to 1; NULL = no past to judge by.';
comment on column core.preliminary_forecasts.actual_shrinkage is 'What the count found, kg; negative = a surplus; NULL = not counted yet.';
comment on column core.preliminary_forecasts.forecast_accuracy is
'max(0, 1 - |expected - actual| / actual) x 100, expected at the day of the count; NULL until counted, within tolerance, and for a surplus.';
comment on column core.preliminary_forecasts.batch_storage_history is
'Array of {batch, kg, age_days, expected_kg}: the layers in stock at forecast_date, and what each loses from then to the planned end.';
comment on column core.preliminary_forecasts.nomenclature_id is 'The product.';
comment on column core.preliminary_forecasts.warehouse_id is 'The warehouse.';
comment on column core.preliminary_forecasts.coefficient_id is 'The curve it was made with.';
comment on column core.preliminary_forecasts.opened_at is 'The count that opened the period.';
comment on column core.preliminary_forecasts.planned_end is 'When the next count is expected.';
comment on column core.preliminary_forecasts.created_date is 'When it was written, or made anew.';
comment on column core.preliminary_forecasts.is_backtest is 'True: made after the fact, to see what would have been said.';
comment on column core.preliminary_forecasts.stock_kg is 'Book at forecast_date, kg.';
comment on column core.preliminary_forecasts.expected_low is 'Lower end of the 80 % band of the expectation that counts, kg.';
comment on column core.preliminary_forecasts.expected_high is 'Upper end of it, kg.';
comment on column core.preliminary_forecasts.usual_kg_per_day is
'What the product usually loses while trade goes on, kg a day: by the curve, over the last four periods with all that moved; NULL = none yet.';
comment on column core.preliminary_forecasts.is_extrapolated is 'True where batches grow older than 1.5 times the oldest the fit saw.';
comment on column core.preliminary_forecasts.term_mass is 'Changes of mass since the opening count, kg, signed; see core.calculation_data.';
comment on column core.preliminary_forecasts.term_age_from is 'Age of the batch at each change, days.';
comment on column core.preliminary_forecasts.term_age_to is 'Age of the batch at forecast_date, days.';
comment on column core.preliminary_forecasts.status is 'open: not counted yet; settled: counted; void: no count can settle it, see void_reason.';
comment on column core.preliminary_forecasts.void_reason is 'Why no count can settle it; NULL = open or settled.';
comment on column core.preliminary_forecasts.settled_at is 'When the result was written; NULL = not settled.';
comment on column core.preliminary_forecasts.settled_calculation_data_id is 'The period whose count settled it; NULL = not settled.';
comment on column core.preliminary_forecasts.settled_calculation_date is 'The count that settled it, and the other half of that period''s key; NULL = not settled.';
comment on column core.preliminary_forecasts.expected_at_count is 'expected_shrinkage to the day it was really counted, kg; NULL = not settled.';
comment on column core.preliminary_forecasts.adjusted_expected_at_count is 'adjusted_expected_shrinkage to that day, kg; NULL = not settled, or ages not known.';
comment on column core.preliminary_forecasts.is_inside_80 is 'Whether the count fell into the band, held against the day it was counted, give or take the tolerance; NULL = not settled.';

alter table core.forecasts add column preliminary_forecast_id bigint;
alter table core.forecasts add constraint forecasts_preliminary_forecast_id_fkey
    foreign key (preliminary_forecast_id) references core.preliminary_forecasts on delete cascade;
create index forecasts_preliminary_forecast_id_idx on core.forecasts (preliminary_forecast_id);
comment on index core.forecasts_preliminary_forecast_id_idx is 'Usage: following a preliminary forecast to its row here.';
comment on column core.forecasts.preliminary_forecast_id is 'The preliminary forecast it comes from; NULL = none.';

create table core.analytics (
    nomenclature_id int not null references core.nomenclature,
    model_id int not null references core.model_versions,
    period_start date not null,
    period_end date not null,
    avg_accuracy float8,
    weighted_accuracy float8,
    total_calculations int not null,
    mean_rate float8,
    weighted_rate float8,
    forecast_count int not null default 0,
    forecast_wape float8,
    content_hash bigint not null,
    last_updated timestamptz not null default now(),
    primary key (nomenclature_id, model_id, period_start),
    constraint figures_are_finite check (greatest(
        abs(avg_accuracy), abs(weighted_accuracy), abs(mean_rate), abs(weighted_rate), abs(forecast_wape)
    ) < 'infinity')
);
comment on table core.analytics is 'Holds how close the deployed curve of each product comes to its counts, by calendar month; kept by api.refresh_analytics().';
comment on column core.analytics.nomenclature_id is 'The product.';
comment on column core.analytics.model_id is 'The model version.';
comment on column core.analytics.period_start is 'First day of the month, in the zone of the warehouse.';
comment on column core.analytics.period_end is 'Last day of the month.';
comment on column core.analytics.avg_accuracy is 'Mean of max(0, 1 - |expected - actual| / actual) x 100 over the counts that found a shortage; NULL when none did. In-sample.';
comment on column core.analytics.weighted_accuracy is 'The same, weighted by confidence and priority periods.';
comment on column core.analytics.total_calculations is 'Closed inventory periods of the month.';
comment on column core.analytics.mean_rate is 'Mean of shortage / available over the periods, a fraction; NULL when nothing was there.';
comment on column core.analytics.weighted_rate is 'The same, weighted by confidence and priority periods.';
comment on column core.analytics.forecast_count is 'Forecasts that counts of the month settled (backtests left out).';
comment on column core.analytics.forecast_wape is 'Sum of |expected - found| over the sum of |found| of these forecasts, percent; NULL = none, or nothing was missing.';
comment on column core.analytics.content_hash is 'Hash of what the row was computed from: a row is computed again when it differs.';
comment on column core.analytics.last_updated is 'When the row was computed.';
""")


def downgrade() -> None:
    run(r"""
drop table core.analytics;
-- Earlier releases write neither table; without product and count the rows say nothing.
delete from core.forecasts where preliminary_forecast_id is not null;
alter table core.forecasts drop column preliminary_forecast_id;
delete from core.preliminary_forecasts;
alter table core.preliminary_forecasts
    drop constraint figures_are_finite,
    drop constraint settled_with_a_count,
    drop constraint ends_after_it_opened,
    drop constraint one_forecast_for_a_count,
    drop column nomenclature_id, drop column warehouse_id, drop column coefficient_id, drop column opened_at, drop column planned_end,
    drop column created_date, drop column is_backtest, drop column stock_kg, drop column expected_low, drop column expected_high, drop column usual_kg_per_day,
    drop column is_extrapolated, drop column term_mass, drop column term_age_from, drop column term_age_to, drop column status,
    drop column void_reason, drop column settled_at, drop column settled_calculation_data_id, drop column settled_calculation_date,
    drop column expected_at_count, drop column adjusted_expected_at_count, drop column is_inside_80,
    alter column expected_shrinkage type numeric(14, 3),
    alter column adjusted_expected_shrinkage type numeric(14, 3),
    add constraint figures_are_finite check (greatest(
        abs(expected_shrinkage), abs(actual_shrinkage), abs(forecast_accuracy), abs(adjusted_expected_shrinkage)
    ) < 'infinity');
comment on table core.preliminary_forecasts is 'Holds what is expected at the next count of a period that a count opened.';
comment on column core.preliminary_forecasts.calculation_data_id is 'The open period; NULL = none.';
comment on column core.preliminary_forecasts.forecast_period_days is 'Days ahead.';
comment on column core.preliminary_forecasts.expected_shrinkage is 'Expected loss, kg.';
comment on column core.preliminary_forecasts.confidence_level is 'How far it can be trusted, 0 to 1.';
comment on column core.preliminary_forecasts.forecast_date is 'When it was made.';
comment on column core.preliminary_forecasts.actual_shrinkage is 'What the count found, kg; NULL = not counted yet.';
comment on column core.preliminary_forecasts.forecast_accuracy is 'Percent, 100 = exact; NULL until counted.';
comment on column core.preliminary_forecasts.pre_shrinkage_adjusted is 'Whether the ages of the batches were taken into account.';
comment on column core.preliminary_forecasts.adjusted_expected_shrinkage is 'Expected loss with the ages of the batches, kg.';
comment on column core.preliminary_forecasts.batch_storage_history is 'Array of the batches and their ages.';
-- Settings stay, with what people set them to: an earlier release does not read them.
""")
