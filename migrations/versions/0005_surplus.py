"""Surplus is recommended from the data, accepted as a pattern, and held against new periods."""

from loader.schema import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run(r"""
insert into core.settings (name, value, default_value, description)
select s.name, s.value::jsonb, s.value::jsonb, s.description
from (values
    ('surplus.least_share', '0.005', 'A surplus is recommended from this difference to what is applied on, a fraction of receipts.'),
    ('surplus.least_t', '2', 'And from this many standard errors on.'),
    ('surplus.least_gain', '0.2', 'And when the root mean square error falls by at least this fraction.'),
    ('surplus.false_share', '0.1', 'Share of the recommendations of a product type that may be chance (Benjamini-Hochberg).'),
    ('surplus.joint_periods', '6', 'Periods with varying receipts from which level and surplus are fitted together.'),
    ('surplus.implied_periods', '3', 'Periods with receipts from which a surplus is told under the curve of the type.'),
    ('surplus.least_variation', '0.05', 'Coefficient of variation from which receipts count as varying.'),
    ('surplus.prior_periods', '3', 'n0 of the confidence n / (n + n0) of a recommendation.'),
    ('surplus.tolerance_share', '0.005', 'A pattern succeeds within this deviation, a fraction of receipts, or the next, whichever is more.'),
    ('surplus.tolerance_relative', '0.15', 'A pattern succeeds within this part of itself.'),
    ('surplus.learning_rate', '0.2', 'How far one validation moves the confidence of a pattern toward its outcome.'),
    ('surplus.deactivate_below', '0.4', 'A pattern whose confidence falls below this is no longer applied.'),
    ('surplus.failures_in_a_row', '3', 'After this many failures in a row a pattern is no longer applied.'),
    ('surplus.confirm_after', '3', 'Validations, none of them a failure, after which a pattern may confirm itself.')
) as s (name, value, description)
-- Settings outlive a downgrade.
on conflict (name) do nothing;

alter table core.batches add column surplus_source text;
comment on column core.batches.surplus_source is 'What said so: specification 3, pattern 7 (both, if its receipts differ); NULL = nothing, none applied.';

alter table core.surplus_specifications add column created_from_pattern_id int references core.surplus_patterns;
comment on column core.surplus_specifications.created_from_pattern_id is 'The pattern it was accepted with; NULL = entered by itself.';

create unique index surplus_recommendations_open_idx on core.surplus_recommendations (nomenclature_id) where is_accepted is null;
comment on index core.surplus_recommendations_open_idx is 'Usage: the open recommendation of a product; at most one.';
alter table core.surplus_recommendations add column decided_by text, add column notes text;
comment on column core.surplus_recommendations.decided_by is 'Database role that decided; NULL = not decided.';
comment on column core.surplus_recommendations.notes is 'Remarks of whoever decided.';

alter table core.surplus_patterns
    add column condition_month int check (condition_month between 1 and 12),
    add column valid_from date,
    add column is_confirmed boolean not null default false,
    add column confirmation_date timestamptz,
    add column initial_confidence float8 not null default 0.5 check (initial_confidence between 0 and 1),
    add column deactivation_reason text,
    add column superseded_by_id int references core.surplus_patterns,
    add column created_by text not null default session_user,
    add column notes text,
    add constraint surplus_is_a_share check (surplus_percentage > -0.5 and surplus_percentage < 1),
    add constraint one_kind_of_condition check (nomenclature_id is null or product_type is null),
    add constraint inactive_has_a_reason check (is_active = (deactivation_reason is null));
create unique index surplus_patterns_active_idx on core.surplus_patterns (nomenclature_id, product_type, condition_month)
    nulls not distinct where is_active;
comment on index core.surplus_patterns_active_idx is 'Usage: the active pattern of a condition; at most one.';
comment on column core.surplus_patterns.condition_month is 'Month of the receipt, 1 to 12; NULL = all year.';
comment on column core.surplus_patterns.valid_from is 'First day of receipts it applies to; NULL = always.';
comment on column core.surplus_patterns.is_confirmed is 'Whether it proved itself, or a person said so.';
comment on column core.surplus_patterns.confirmation_date is 'When it was confirmed; NULL = not confirmed.';
comment on column core.surplus_patterns.initial_confidence is 'Confidence before any validation, 0 to 1.';
comment on column core.surplus_patterns.deactivation_reason is 'Why it is no longer applied; NULL = it is.';
comment on column core.surplus_patterns.superseded_by_id is 'The pattern accepted in its place; NULL = none.';
comment on column core.surplus_patterns.created_by is 'Database role that accepted it.';
comment on column core.surplus_patterns.notes is 'Remarks.';
create index surplus_patterns_recommendation_idx on core.surplus_patterns (created_from_recommendation_id);
comment on index core.surplus_patterns_recommendation_idx is 'Usage: what came of a recommendation.';

alter table core.pattern_validations
    add column calculation_data_id bigint,
    add column calculation_data_date timestamptz,
    add column incoming_kg float8,
    add column confidence_after float8 check (confidence_after between 0 and 1),
    add column confirmed_by text,
    alter column actual_surplus_percentage drop not null,
    add constraint period_key_is_whole check ((calculation_data_id is null) = (calculation_data_date is null)),
    add constraint actual_or_a_person check (actual_surplus_percentage is not null or is_confirmed is not null),
    add constraint incoming_is_finite check (abs(incoming_kg) < 'infinity');
create unique index pattern_validations_period_idx on core.pattern_validations (surplus_pattern_id, calculation_data_id, calculation_data_date)
    where calculation_data_id is not null;
comment on index core.pattern_validations_period_idx is 'Usage: a pattern is held against a period once.';
comment on column core.pattern_validations.calculation_data_id is 'The period; NULL = a person''s verdict on the pattern as such.';
comment on column core.pattern_validations.calculation_data_date is 'The other half of that period''s key.';
comment on column core.pattern_validations.incoming_kg is 'Documented receipts of the period, kg; NULL = no period.';
comment on column core.pattern_validations.confidence_after is 'Confidence of the pattern after it, 0 to 1.';
comment on column core.pattern_validations.confirmed_by is 'Database role that said so; NULL = nobody did.';
comment on column core.pattern_validations.actual_surplus_percentage is 'What came, a FRACTION; NULL = a person''s verdict on the pattern as such.';

create unique index feedback_preferences_active_idx on core.feedback_preferences (is_active) where is_active;
comment on index core.feedback_preferences_active_idx is 'Usage: the preferences in force; at most one row.';
""")


def downgrade() -> None:
    run(r"""
drop index core.feedback_preferences_active_idx;
drop index core.pattern_validations_period_idx;
delete from core.pattern_validations where actual_surplus_percentage is null;
alter table core.pattern_validations
    drop constraint period_key_is_whole,
    drop constraint actual_or_a_person,
    drop constraint incoming_is_finite,
    drop column calculation_data_id,
    drop column calculation_data_date,
    drop column incoming_kg,
    drop column confidence_after,
    drop column confirmed_by,
    alter column actual_surplus_percentage set not null;
comment on column core.pattern_validations.actual_surplus_percentage is 'What came, a FRACTION.';
alter table core.surplus_specifications drop column created_from_pattern_id;
drop index core.surplus_patterns_active_idx, core.surplus_patterns_recommendation_idx;
alter table core.surplus_patterns
    drop constraint surplus_is_a_share,
    drop constraint one_kind_of_condition,
    drop constraint inactive_has_a_reason,
    drop column condition_month,
    drop column valid_from,
    drop column is_confirmed,
    drop column confirmation_date,
    drop column initial_confidence,
    drop column deactivation_reason,
    drop column superseded_by_id,
    drop column created_by,
    drop column notes;
drop index core.surplus_recommendations_open_idx;
alter table core.surplus_recommendations drop column decided_by, drop column notes;
alter table core.batches drop column surplus_source;
""")
