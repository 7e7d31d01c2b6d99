create or replace view bi.surplus_recommendation as
select r.created_date as time, r.id as recommendation_id, n.id as item_id, n.name as item, n.product_type,
    r.recommended_surplus_percentage as surplus, 100 * r.recommended_surplus_percentage as surplus_percent,
    bi.surplus_meaning(r.recommended_surplus_percentage) as meaning,
    (r.supporting_data ->> 'surplus_applied')::float8 as applied, (r.supporting_data ->> 'standard_error')::float8 as standard_error,
    r.confidence_level as confidence, r.calculation_method as method, (r.supporting_data ->> 'period_count')::int as period_count,
    (r.supporting_data ->> 'rmse_kg')::float8 as rmse_kg, (r.supporting_data ->> 'rmse_applied_kg')::float8 as rmse_applied_kg,
    r.analysis_period_start as period_start, r.analysis_period_end as period_end,
    case when r.is_accepted then 'accepted' when not r.is_accepted then 'rejected' else 'open' end as decision,
    r.is_accepted, r.acceptance_date as decided_at, r.decided_by, r.notes, (r.supporting_data ->> 'model_version')::int as version
from core.surplus_recommendations as r
inner join core.nomenclature as n on n.id = r.nomenclature_id;

comment on view bi.surplus_recommendation is 'Which products'' receipts bring more or less than documented, as the counts tell, and what was decided.';
comment on column bi.surplus_recommendation.time is 'When it was recommended.';
comment on column bi.surplus_recommendation.recommendation_id is 'Key of the recommendation.';
comment on column bi.surplus_recommendation.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.surplus_recommendation.item is 'Name of the product.';
comment on column bi.surplus_recommendation.product_type is 'Product type.';
comment on column bi.surplus_recommendation.surplus is
'What receipts bring beyond their documents, in all, a fraction: 0.05 = 5 % more; negative = less.';
comment on column bi.surplus_recommendation.surplus_percent is 'The same in percent.';
comment on column bi.surplus_recommendation.meaning is 'surplus or under-delivery.';
comment on column bi.surplus_recommendation.applied is 'Fraction the accounting applied already; 0 = none.';
comment on column bi.surplus_recommendation.standard_error is 'Standard error of the surplus, a fraction.';
comment on column bi.surplus_recommendation.confidence is 'How far it can be trusted, 0 to 1.';
comment on column bi.surplus_recommendation.method is
'joint: fitted together with the curve; implied: median of what each period implies under the curve of the type.';
comment on column bi.surplus_recommendation.period_count is 'Inventory periods it rests on.';
comment on column bi.surplus_recommendation.rmse_kg is 'Root mean square error of the shortage of a period with it, kg.';
comment on column bi.surplus_recommendation.rmse_applied_kg is 'The same with what is applied already, kg.';
comment on column bi.surplus_recommendation.period_start is 'Start of the data looked at.';
comment on column bi.surplus_recommendation.period_end is 'End of the data looked at.';
comment on column bi.surplus_recommendation.decision is 'open, accepted or rejected.';
comment on column bi.surplus_recommendation.is_accepted is 'NULL = not decided.';
comment on column bi.surplus_recommendation.decided_at is 'When it was decided; NULL = not yet.';
comment on column bi.surplus_recommendation.decided_by is 'Database role that decided; NULL = not yet.';
comment on column bi.surplus_recommendation.notes is 'Remarks of whoever decided; NULL = none.';
comment on column bi.surplus_recommendation.version is 'Version of the shrinkage fit it rests on.';

create or replace view bi.surplus_pattern as
select p.created_date as time, p.id as pattern_id, p.nomenclature_id as item_id, n.name as item,
    coalesce(p.product_type, n.product_type) as product_type, p.condition_month as month, p.valid_from, p.pattern_condition as condition,
    p.surplus_percentage as surplus, 100 * p.surplus_percentage as surplus_percent, bi.surplus_meaning(p.surplus_percentage) as meaning,
    p.confidence_level as confidence, p.initial_confidence, p.validation_count as success_count, v.validation_count, v.warning_count,
    v.failure_count, p.last_validated_date as last_validated_at, p.feedback_count, p.last_feedback_date as last_feedback_at,
    p.is_active, p.is_confirmed, p.confirmation_date as confirmed_at, p.deactivation_reason,
    -- By the preference in force: there is something nobody judged, and the last answer is old enough.
    p.is_active and coalesce(v.open_count, 0) > 0 and coalesce(case f.feedback_frequency
        when 'immediate' then true
        when 'daily' then coalesce(p.last_feedback_date, p.created_date) <= now() - interval '1 day'
        when 'weekly' then coalesce(p.last_feedback_date, p.created_date) <= now() - interval '7 days'
        when 'monthly' then coalesce(p.last_feedback_date, p.created_date) <= now() - interval '1 month'
        else false
    end, false) as is_feedback_due,
    p.created_from_recommendation_id as recommendation_id, p.superseded_by_id, p.created_by, p.notes
from core.surplus_patterns as p
left join core.nomenclature as n on n.id = p.nomenclature_id
left join core.feedback_preferences as f on f.is_active
left join lateral (
    select count(*) as validation_count, count(*) filter (where w.validation_result = 'warning') as warning_count,
        count(*) filter (where w.validation_result = 'failure') as failure_count, count(*) filter (where w.is_confirmed is null) as open_count
    from core.pattern_validations as w
    where w.surplus_pattern_id = p.id and w.calculation_data_id is not null
) as v on true;

comment on view bi.surplus_pattern is 'Which surplus was accepted for which receipts, how it fared since, and whether it applies.';
comment on column bi.surplus_pattern.time is 'When it was accepted.';
comment on column bi.surplus_pattern.pattern_id is 'Key of the pattern.';
comment on column bi.surplus_pattern.item_id is 'Key of the product; NULL = for a type, or all.';
comment on column bi.surplus_pattern.item is 'Name of the product; NULL = for a type, or all.';
comment on column bi.surplus_pattern.product_type is 'Product type; NULL = for all.';
comment on column bi.surplus_pattern.month is 'Month of receipts it applies to, 1 to 12; NULL = all.';
comment on column bi.surplus_pattern.valid_from is 'First day of receipts it applies to; NULL = always.';
comment on column bi.surplus_pattern.condition is 'The condition in words.';
comment on column bi.surplus_pattern.surplus is 'A fraction: 0.05 = 5 % more than documented; negative = less.';
comment on column bi.surplus_pattern.surplus_percent is 'The same in percent.';
comment on column bi.surplus_pattern.meaning is 'surplus or under-delivery.';
comment on column bi.surplus_pattern.confidence is 'How far it can be trusted now, 0 to 1.';
comment on column bi.surplus_pattern.initial_confidence is 'How far when it was accepted.';
comment on column bi.surplus_pattern.success_count is 'Periods that bore it out, by the rule or by a person.';
comment on column bi.surplus_pattern.validation_count is 'Periods it was held against.';
comment on column bi.surplus_pattern.warning_count is 'Of these, within twice the tolerance.';
comment on column bi.surplus_pattern.failure_count is 'Of these, beyond.';
comment on column bi.surplus_pattern.last_validated_at is 'When it was last held against a period; NULL = never.';
comment on column bi.surplus_pattern.feedback_count is 'Answers of people.';
comment on column bi.surplus_pattern.last_feedback_at is 'The last of them; NULL = none.';
comment on column bi.surplus_pattern.is_active is 'Whether the accounting applies it, where nothing closer does.';
comment on column bi.surplus_pattern.is_confirmed is 'Whether it proved itself, or a person said so.';
comment on column bi.surplus_pattern.confirmed_at is 'When; NULL = not.';
comment on column bi.surplus_pattern.deactivation_reason is 'Why it no longer applies; NULL = it does.';
comment on column bi.surplus_pattern.is_feedback_due is 'Whether a person should be asked now, by the preferences set.';
comment on column bi.surplus_pattern.recommendation_id is 'The recommendation it came from; NULL = none.';
comment on column bi.surplus_pattern.superseded_by_id is 'The pattern accepted in its place; NULL = none.';
comment on column bi.surplus_pattern.created_by is 'Database role that accepted it.';
comment on column bi.surplus_pattern.notes is 'Remarks; NULL = none.';

create or replace view bi.surplus_specification as
select s.created_date as time, s.id as specification_id, n.id as item_id, n.name as item, n.product_type, s.surplus_percentage as surplus,
    100 * s.surplus_percentage as surplus_percent, bi.surplus_meaning(s.surplus_percentage) as meaning,
    s.specification_start_date as first_day, s.specification_end_date as last_day, s.is_active,
    b.batch_count, b.documented_kg, b.undocumented_kg, s.created_by, s.created_from_pattern_id as pattern_id, s.notes
from core.surplus_specifications as s
inner join core.nomenclature as n on n.id = s.nomenclature_id
left join lateral (
    select count(*) as batch_count, sum(t.documented_kg)::float8 as documented_kg,
        sum(t.documented_kg::float8 * t.surplus_applied) as undocumented_kg
    from core.batches as t
    where t.nomenclature_id = s.nomenclature_id and t.surplus_source = 'specification ' || s.id
) as b on true;

comment on view bi.surplus_specification is 'Which surplus was agreed or measured for which product and days, and what it came to.';
comment on column bi.surplus_specification.time is 'When it was entered.';
comment on column bi.surplus_specification.specification_id is 'Key of the specification.';
comment on column bi.surplus_specification.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.surplus_specification.item is 'Name of the product.';
comment on column bi.surplus_specification.product_type is 'Product type.';
comment on column bi.surplus_specification.surplus is 'A fraction: 0.05 = 5 % more than documented; negative = less.';
comment on column bi.surplus_specification.surplus_percent is 'The same in percent.';
comment on column bi.surplus_specification.meaning is 'surplus or under-delivery.';
comment on column bi.surplus_specification.first_day is 'First day of receipts.';
comment on column bi.surplus_specification.last_day is 'Last day, inclusive; NULL = open.';
comment on column bi.surplus_specification.is_active is 'Whether it counts.';
comment on column bi.surplus_specification.batch_count is 'Batches it was applied to by the last accounting.';
comment on column bi.surplus_specification.documented_kg is 'Their mass on documents, kg; NULL = no batches.';
comment on column bi.surplus_specification.undocumented_kg is 'What they brought beyond, kg; negative = less; NULL = no batches.';
comment on column bi.surplus_specification.created_by is 'Database role that entered it.';
comment on column bi.surplus_specification.pattern_id is 'The pattern it was accepted with; NULL = entered by itself.';
comment on column bi.surplus_specification.notes is 'Remarks; NULL = none.';

create or replace view bi.pattern_validation as
select v.validation_date as time, v.id as validation_id, v.surplus_pattern_id as pattern_id, n.id as item_id, n.name as item,
    c.warehouse_id, w.name as warehouse, c.inventory_period_start as period_start, v.calculation_data_date as period_end, v.incoming_kg,
    v.actual_surplus_percentage as actual, v.predicted_surplus_percentage as predicted, v.deviation,
    bi.surplus_meaning(v.actual_surplus_percentage) as meaning, v.validation_result as result, v.confidence_after as confidence,
    v.is_confirmed, v.user_feedback as feedback, v.confirmation_date as confirmed_at, v.confirmed_by
from core.pattern_validations as v
inner join core.surplus_patterns as p on p.id = v.surplus_pattern_id
left join core.calculation_data as c on c.id = v.calculation_data_id and c.calculation_date = v.calculation_data_date
left join core.nomenclature as n on n.id = coalesce(c.nomenclature_id, p.nomenclature_id)
left join core.warehouses as w on w.id = c.warehouse_id;

comment on view bi.pattern_validation is 'How each surplus pattern fared against the periods since, and what people said.';
comment on column bi.pattern_validation.time is 'When it was checked.';
comment on column bi.pattern_validation.validation_id is 'Key of the validation.';
comment on column bi.pattern_validation.pattern_id is 'The pattern (bi.surplus_pattern).';
comment on column bi.pattern_validation.item_id is 'Key of the product; NULL = a verdict on a pattern for many.';
comment on column bi.pattern_validation.item is 'Name of the product; NULL = a verdict on a pattern for many.';
comment on column bi.pattern_validation.warehouse_id is 'Key of the warehouse; NULL = a person''s verdict on the pattern as such.';
comment on column bi.pattern_validation.warehouse is 'Name of the warehouse; NULL likewise.';
comment on column bi.pattern_validation.period_start is 'Start of the period; NULL likewise.';
comment on column bi.pattern_validation.period_end is 'The count that closed it; NULL likewise.';
comment on column bi.pattern_validation.incoming_kg is 'Documented receipts of the period, kg; NULL likewise.';
comment on column bi.pattern_validation.actual is 'What came beyond the documents, a fraction; NULL likewise.';
comment on column bi.pattern_validation.predicted is 'What the pattern says, a fraction.';
comment on column bi.pattern_validation.deviation is 'actual - predicted; NULL where there is no actual.';
comment on column bi.pattern_validation.meaning is 'surplus, under-delivery or as documented: what came; NULL where there is no actual.';
comment on column bi.pattern_validation.result is 'success, warning or failure, by the rule; of a verdict on the pattern as such what the person said.';
comment on column bi.pattern_validation.confidence is 'Confidence of the pattern after it, 0 to 1.';
comment on column bi.pattern_validation.is_confirmed is 'Whether a person agreed; NULL = nobody said.';
comment on column bi.pattern_validation.feedback is 'What the person said; NULL = nothing.';
comment on column bi.pattern_validation.confirmed_at is 'When; NULL = nobody did.';
comment on column bi.pattern_validation.confirmed_by is 'Database role; NULL = nobody.';
