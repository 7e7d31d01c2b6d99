"""Shrinkage is described by coefficients, expected before a count, and corrected by surplus."""

from loader.schema import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run(r"""
create extension if not exists btree_gist schema public;

create table core.models (
    id int generated always as identity primary key,
    name text not null,
    model_type text not null,
    description text,
    version int not null,
    created_date timestamptz not null default now(),
    parameters jsonb not null default '{}',
    data_hash text,
    unique (name, version)
);
comment on table core.models is 'Holds models by name and version; a fit that changes nothing makes no version.';
comment on column core.models.id is 'Key.';
comment on column core.models.name is 'Name; shrinkage is the model of the curves.';
comment on column core.models.model_type is 'Kind of model.';
comment on column core.models.description is 'What it describes.';
comment on column core.models.version is 'Counts from 1 for each name; the highest is in force.';
comment on column core.models.created_date is 'When it was fitted.';
comment on column core.models.parameters is 'What was fitted for all products together (by product type), with standard errors.';
comment on column core.models.data_hash is 'Hash of the data and options the version was fitted on.';

create table core.coefficients (
    id bigint generated always as identity primary key,
    calculation_data_id bigint,
    calculation_data_date timestamptz,
    model_id int not null references core.models,
    nomenclature_id int not null references core.nomenclature,
    coefficient_a float8,
    coefficient_b float8,
    coefficient_c float8,
    accuracy_r2 float8,
    calculation_date timestamptz not null default now(),
    adjusted_for_pre_shrinkage boolean not null default false,
    pre_shrinkage_factor float8,
    effective_shrinkage_rate float8,
    family text not null,
    parameters jsonb not null default '{}',
    se_a float8,
    se_b float8,
    se_c float8,
    age_min float8,
    age_max float8,
    period_count int not null default 0,
    b_is_identified boolean not null default false,
    outcome text not null check (outcome in ('fitted', 'pooled', 'type_curve', 'failed')),
    reason text,
    unique (model_id, nomenclature_id),
    constraint coefficients_are_finite check (
        abs(coalesce(coefficient_a, 0)) < 'infinity' and abs(coalesce(coefficient_b, 0)) < 'infinity'
        and abs(coalesce(coefficient_c, 0)) < 'infinity'
    ),
    check ((calculation_data_id is null) = (calculation_data_date is null)),
    constraint figures_are_finite check (greatest(
        abs(accuracy_r2), abs(pre_shrinkage_factor), abs(effective_shrinkage_rate), abs(se_a), abs(se_b), abs(se_c),
        abs(age_min), abs(age_max)
    ) < 'infinity')
);
-- References to a hypertable carry its key but no constraint: a foreign key to a hypertable refuses rows whose parent is there
-- (github.com/timescale/timescaledb issues 8082 and 9250, seen here on 2.19). The accounting clears a reference with its row,
-- and api.check_facts lists any left over.
create index coefficients_nomenclature_id_idx on core.coefficients (nomenclature_id, model_id desc);
create index coefficients_calculation_data_id_idx on core.coefficients (calculation_data_id);
comment on index core.coefficients_nomenclature_id_idx is 'Usage: the newest coefficient of a product.';
comment on index core.coefficients_calculation_data_id_idx is 'Usage: following a period to its coefficient.';
comment on table core.coefficients is 'Holds the fitted curve of each product: one outcome row a product and model version.';
comment on column core.coefficients.id is 'Key.';
comment on column core.coefficients.calculation_data_date is 'The other half of that period''s key.';
comment on column core.coefficients.model_id is 'The version it belongs to.';
comment on column core.coefficients.nomenclature_id is 'The product.';
comment on column core.coefficients.calculation_date is 'When it was fitted.';
comment on column core.coefficients.family is 'Curve family: exp, exp_linear, linear, power, peleg, weibull.';
comment on column core.coefficients.parameters is 'All parameters of the family by name, and how far the curve was pulled toward its type.';
comment on column core.coefficients.se_b is 'Standard error of b (that of the type); NULL where it is not defined.';
comment on column core.coefficients.se_c is 'Standard error of c; NULL where it is not defined.';
comment on column core.coefficients.age_min is 'Smallest batch age the fit saw, days.';
comment on column core.coefficients.period_count is 'Inventory periods the product itself brought.';
comment on column core.coefficients.reason is 'Why not simply fitted; NULL = fitted.';
comment on column core.coefficients.calculation_data_id is 'The last period the fit used; NULL when it had none of its own.';
comment on column core.coefficients.coefficient_a is 'Loss the product tends to (fraction of mass); by family: linear 0, power a, peleg 1/k2.';
comment on column core.coefficients.coefficient_b is 'Speed, 1/day; by family: power n, peleg k1.';
comment on column core.coefficients.coefficient_c is 'Steady loss, fraction per day; by family: weibull n.';
comment on column core.coefficients.accuracy_r2 is 'R2 over the product''s own periods; NULL when fewer than 4 or nothing varies.';
comment on column core.coefficients.adjusted_for_pre_shrinkage is 'True when batch ages were used.';
comment on column core.coefficients.pre_shrinkage_factor is 'Expected loss with ages over expected loss from age 0, last period; 1 without ages.';
comment on column core.coefficients.effective_shrinkage_rate is 'Expected loss per day as a fraction of the opening mass, last period.';
comment on column core.coefficients.se_a is 'Standard error; NULL where it is not defined (on a bound, taken from the type).';
comment on column core.coefficients.age_max is 'Largest batch age the fit saw, days; beyond 1.5 times this an answer is extrapolation.';
comment on column core.coefficients.b_is_identified is 'Whether the data of the type tell b; if not, b is the default of the type.';
comment on column core.coefficients.outcome is 'fitted: from own periods; pooled: drawn toward the type; type_curve: no own periods; failed: see reason.';

create table core.forecasts (
    id bigint generated always as identity,
    coefficient_id bigint not null references core.coefficients,
    forecast_value float8 not null,
    actual_value float8,
    deviation float8 generated always as (actual_value - forecast_value) stored,
    forecast_date timestamptz not null,
    primary key (id, forecast_date),
    constraint figures_are_finite check (greatest(abs(forecast_value), abs(actual_value)) < 'infinity')
);
select public.create_hypertable('core.forecasts', public.by_range('forecast_date', interval '91 days'), create_default_indexes => false);
create index forecasts_coefficient_id_idx on core.forecasts (coefficient_id, forecast_date);
comment on index core.forecasts_coefficient_id_idx is 'Usage: what one coefficient forecast.';
comment on table core.forecasts is 'Holds forecasts of shrinkage, kg, and what happened.';
comment on column core.forecasts.id is 'Key, together with forecast_date.';
comment on column core.forecasts.coefficient_id is 'The curve it was made with.';
comment on column core.forecasts.forecast_value is 'Expected shrinkage, kg.';
comment on column core.forecasts.actual_value is 'What the count found, kg; NULL = not counted yet.';
comment on column core.forecasts.forecast_date is 'The day it is for.';
comment on column core.forecasts.deviation is 'actual - forecast, kg; NULL until the actual is known.';

create table core.ai_patterns (
    id bigint generated always as identity primary key,
    pattern_type text not null check (pattern_type in ('anomaly', 'trend', 'seasonality', 'correlation')),
    description text not null,
    confidence_level float8 check (confidence_level between 0 and 1),
    affected_nomenclature int[],
    discovery_date timestamptz not null default now(),
    pattern_data jsonb not null default '{}'
);
comment on table core.ai_patterns is 'Holds patterns found in the data.';
comment on column core.ai_patterns.id is 'Key.';
comment on column core.ai_patterns.pattern_type is 'anomaly, trend, seasonality or correlation.';
comment on column core.ai_patterns.description is 'What was found, in words.';
comment on column core.ai_patterns.confidence_level is 'How far it can be trusted, 0 to 1.';
comment on column core.ai_patterns.affected_nomenclature is 'Keys of the products concerned; NULL = all.';
comment on column core.ai_patterns.discovery_date is 'When it was found.';
comment on column core.ai_patterns.pattern_data is 'The figures behind it.';

create table core.priority_periods (
    id int generated always as identity primary key,
    period_start timestamptz not null,
    period_end timestamptz not null check (period_end > period_start),
    priority_level int not null check (priority_level between 1 and 10),
    description text,
    created_by text not null default 'user' check (created_by in ('user', 'system')),
    created_date timestamptz not null default now(),
    active boolean not null default true
);
comment on table core.priority_periods is 'Holds stretches of time that count more in fits and averages.';
comment on column core.priority_periods.id is 'Key.';
comment on column core.priority_periods.period_start is 'Start.';
comment on column core.priority_periods.period_end is 'End, exclusive.';
comment on column core.priority_periods.priority_level is '1 to 10; higher counts more.';
comment on column core.priority_periods.description is 'What is special about it.';
comment on column core.priority_periods.created_by is 'user or system.';
comment on column core.priority_periods.created_date is 'When it was entered.';
comment on column core.priority_periods.active is 'Whether it counts.';

create table core.preliminary_forecasts (
    id bigint generated always as identity primary key,
    calculation_data_id bigint,
    calculation_date timestamptz,
    forecast_model_id int references core.models,
    forecast_period_days int not null check (forecast_period_days > 0),
    expected_shrinkage numeric(14, 3) not null,
    confidence_level float8 check (confidence_level between 0 and 1),
    forecast_date timestamptz not null default now(),
    actual_shrinkage numeric(14, 3),
    forecast_accuracy float8,
    notes text,
    pre_shrinkage_adjusted boolean not null default false,
    adjusted_expected_shrinkage numeric(14, 3),
    batch_storage_history jsonb,
    constraint figures_are_finite check (greatest(
        abs(expected_shrinkage), abs(actual_shrinkage), abs(forecast_accuracy), abs(adjusted_expected_shrinkage)
    ) < 'infinity')
);
comment on table core.preliminary_forecasts is 'Holds what is expected at the next count of a period that a count opened.';
comment on column core.preliminary_forecasts.id is 'Key.';
comment on column core.preliminary_forecasts.calculation_data_id is 'The open period; NULL = none.';
comment on column core.preliminary_forecasts.calculation_date is 'The other half of that period''s key.';
comment on column core.preliminary_forecasts.forecast_model_id is 'The model version used; NULL = none.';
comment on column core.preliminary_forecasts.forecast_period_days is 'Days ahead.';
comment on column core.preliminary_forecasts.expected_shrinkage is 'Expected loss, kg.';
comment on column core.preliminary_forecasts.confidence_level is 'How far it can be trusted, 0 to 1.';
comment on column core.preliminary_forecasts.forecast_date is 'When it was made.';
comment on column core.preliminary_forecasts.actual_shrinkage is 'What the count found, kg; NULL = not counted yet.';
comment on column core.preliminary_forecasts.forecast_accuracy is 'Percent, 100 = exact; NULL until counted.';
comment on column core.preliminary_forecasts.notes is 'Remarks.';
comment on column core.preliminary_forecasts.pre_shrinkage_adjusted is 'Whether the ages of the batches were taken into account.';
comment on column core.preliminary_forecasts.adjusted_expected_shrinkage is 'Expected loss with the ages of the batches, kg.';
comment on column core.preliminary_forecasts.batch_storage_history is 'Array of the batches and their ages.';

create table core.surplus_specifications (
    id int generated always as identity primary key,
    nomenclature_id int not null references core.nomenclature,
    surplus_percentage float8 not null check (surplus_percentage > -0.5 and surplus_percentage < 1),
    specification_start_date date not null,
    specification_end_date date,
    is_active boolean not null default true,
    created_date timestamptz not null default now(),
    created_by text not null default session_user,
    notes text,
    check (specification_end_date >= specification_start_date),
    constraint no_overlap_of_active_specifications exclude using gist (
        nomenclature_id with =, daterange(specification_start_date, specification_end_date, '[]') with &&
    ) where (is_active)
);
comment on table core.surplus_specifications is 'Holds agreed surplus: receipts of the product in the interval really bring this fraction more than documented.';
comment on column core.surplus_specifications.id is 'Key.';
comment on column core.surplus_specifications.nomenclature_id is 'The product.';
comment on column core.surplus_specifications.specification_start_date is 'First day.';
comment on column core.surplus_specifications.is_active is 'Whether it counts.';
comment on column core.surplus_specifications.created_date is 'When it was entered.';
comment on column core.surplus_specifications.created_by is 'Database role that entered it.';
comment on column core.surplus_specifications.notes is 'Remarks.';
comment on column core.surplus_specifications.surplus_percentage is 'A FRACTION, in spite of its name: 0.05 = 5 %. Negative = systematic under-delivery.';
comment on column core.surplus_specifications.specification_end_date is 'Last day, inclusive; NULL = open.';

create table core.surplus_recommendations (
    id int generated always as identity primary key,
    nomenclature_id int not null references core.nomenclature,
    recommended_surplus_percentage float8 not null,
    confidence_level float8 check (confidence_level between 0 and 1),
    analysis_period_start timestamptz,
    analysis_period_end timestamptz,
    calculation_method text not null,
    supporting_data jsonb not null default '{}',
    created_date timestamptz not null default now(),
    is_accepted boolean,
    acceptance_date timestamptz,
    constraint figures_are_finite check (abs(recommended_surplus_percentage) < 'infinity')
);
comment on table core.surplus_recommendations is 'Holds surpluses the data suggest; is_accepted NULL = not decided.';
comment on column core.surplus_recommendations.id is 'Key.';
comment on column core.surplus_recommendations.nomenclature_id is 'The product.';
comment on column core.surplus_recommendations.recommended_surplus_percentage is 'A FRACTION, in spite of its name: 0.05 = 5 %.';
comment on column core.surplus_recommendations.confidence_level is 'How far it can be trusted, 0 to 1.';
comment on column core.surplus_recommendations.analysis_period_start is 'Start of the data looked at.';
comment on column core.surplus_recommendations.analysis_period_end is 'End of the data looked at.';
comment on column core.surplus_recommendations.calculation_method is 'How it was computed.';
comment on column core.surplus_recommendations.supporting_data is 'The figures behind it.';
comment on column core.surplus_recommendations.created_date is 'When it was made.';
comment on column core.surplus_recommendations.is_accepted is 'NULL = not decided.';
comment on column core.surplus_recommendations.acceptance_date is 'When it was decided; NULL = not yet.';

create table core.surplus_patterns (
    id int generated always as identity primary key,
    nomenclature_id int references core.nomenclature,
    product_type text,
    surplus_percentage float8 not null,
    pattern_condition text,
    is_active boolean not null default true,
    created_date timestamptz not null default now(),
    created_from_recommendation_id int references core.surplus_recommendations,
    validation_count int not null default 0,
    last_validated_date timestamptz,
    confidence_level float8 check (confidence_level between 0 and 1),
    feedback_count int not null default 0,
    last_feedback_date timestamptz,
    constraint figures_are_finite check (abs(surplus_percentage) < 'infinity')
);
comment on table core.surplus_patterns is 'Holds accepted surplus patterns; nomenclature_id NULL = for a product type, or all.';
comment on column core.surplus_patterns.id is 'Key.';
comment on column core.surplus_patterns.nomenclature_id is 'The product; NULL = all of product_type, or all.';
comment on column core.surplus_patterns.product_type is 'The type; NULL = one product, or all.';
comment on column core.surplus_patterns.surplus_percentage is 'A FRACTION, in spite of its name: 0.05 = 5 %.';
comment on column core.surplus_patterns.pattern_condition is 'When it applies, in words; NULL = always.';
comment on column core.surplus_patterns.is_active is 'Whether it counts.';
comment on column core.surplus_patterns.created_date is 'When it was made.';
comment on column core.surplus_patterns.created_from_recommendation_id is 'The recommendation it came from; NULL = none.';
comment on column core.surplus_patterns.last_validated_date is 'When it was last held against a new period.';
comment on column core.surplus_patterns.confidence_level is 'How far it can be trusted, 0 to 1.';
comment on column core.surplus_patterns.feedback_count is 'Answers of people to it.';
comment on column core.surplus_patterns.last_feedback_date is 'The last of them.';
comment on column core.surplus_patterns.validation_count is 'How many validations succeeded.';

create table core.pattern_validations (
    id int generated always as identity primary key,
    surplus_pattern_id int not null references core.surplus_patterns,
    validation_date timestamptz not null default now(),
    actual_surplus_percentage float8 not null,
    predicted_surplus_percentage float8 not null,
    deviation float8 generated always as (actual_surplus_percentage - predicted_surplus_percentage) stored,
    validation_result text not null check (validation_result in ('success', 'warning', 'failure')),
    user_feedback text,
    is_confirmed boolean,
    confirmation_date timestamptz,
    constraint figures_are_finite check (greatest(abs(actual_surplus_percentage), abs(predicted_surplus_percentage)) < 'infinity')
);
comment on table core.pattern_validations is 'Holds how each surplus pattern fared against new periods.';
comment on column core.pattern_validations.id is 'Key.';
comment on column core.pattern_validations.surplus_pattern_id is 'The pattern.';
comment on column core.pattern_validations.validation_date is 'When it was checked.';
comment on column core.pattern_validations.actual_surplus_percentage is 'What came, a FRACTION.';
comment on column core.pattern_validations.predicted_surplus_percentage is 'What the pattern says, a FRACTION.';
comment on column core.pattern_validations.deviation is 'actual - predicted.';
comment on column core.pattern_validations.validation_result is 'success, warning or failure.';
comment on column core.pattern_validations.user_feedback is 'What a person said; NULL = nobody did.';
comment on column core.pattern_validations.is_confirmed is 'Whether a person agreed; NULL = not asked.';
comment on column core.pattern_validations.confirmation_date is 'When; NULL = not yet.';

create table core.feedback_preferences (
    id int generated always as identity primary key,
    feedback_frequency text not null check (feedback_frequency in ('immediate', 'daily', 'weekly', 'monthly', 'manual')),
    auto_confirm_threshold float8 not null check (auto_confirm_threshold between 0 and 1),
    is_active boolean not null default true,
    created_date timestamptz not null default now(),
    updated_date timestamptz not null default now()
);
comment on table core.feedback_preferences is 'Holds how often people are asked, and when patterns confirm themselves.';
comment on column core.feedback_preferences.id is 'Key.';
comment on column core.feedback_preferences.feedback_frequency is 'immediate, daily, weekly, monthly or manual.';
comment on column core.feedback_preferences.auto_confirm_threshold is 'Patterns at least this certain confirm themselves, 0 to 1.';
comment on column core.feedback_preferences.is_active is 'Whether it counts.';
comment on column core.feedback_preferences.created_date is 'When it was entered.';
comment on column core.feedback_preferences.updated_date is 'When it was last changed.';
insert into core.feedback_preferences (feedback_frequency, auto_confirm_threshold) values ('weekly', 0.7);
""")


def downgrade() -> None:
    run(r"""
drop table core.feedback_preferences, core.pattern_validations, core.surplus_patterns, core.surplus_recommendations,
    core.surplus_specifications, core.preliminary_forecasts, core.priority_periods, core.ai_patterns;
drop table core.forecasts;
drop table core.coefficients, core.models;
-- Extensions stay: something else may use btree_gist by now.
""")
