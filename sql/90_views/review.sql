create or replace view bi.review as
select e.detection_date as time, e.id as validation_error_id, e.severity_level as severity, e.error_type, e.flag, e.description,
    n.id as item_id, n.name as item, w.name as warehouse, c.inventory_period_start as period_start, c.inventory_period_end as period_end,
    c.inventory_shrinkage_total::float8 as shortage_kg, c.human_error_probability, c.manual_review_required as is_in_review,
    coalesce(e.file_name, s.file_name) as file_name, e.line, e.column_name, e.reason, e.raw_text
from core.validation_errors as e
left join core.calculation_data as c on c.id = e.calculation_data_id and c.calculation_date = e.calculation_date
left join core.nomenclature as n on n.id = c.nomenclature_id
left join core.warehouses as w on w.id = c.warehouse_id
left join core.source_data as s on s.id = e.source_data_id
where not e.resolved;

comment on view bi.review is 'What was found wrong and is not resolved: flags of periods, and rejected rows of files.';
comment on column bi.review.time is 'When it was found.';
comment on column bi.review.validation_error_id is 'Key of the finding.';
comment on column bi.review.severity is 'info, low, medium, high or critical.';
comment on column bi.review.error_type is 'human_factor, validation_failure or data_inconsistency.';
comment on column bi.review.flag is 'Which check (core.quality_flag); NULL for a rejected row.';
comment on column bi.review.description is 'What is wrong, in words.';
comment on column bi.review.item_id is 'Key of the product; NULL for a rejected row.';
comment on column bi.review.item is 'Name of the product; NULL for a rejected row.';
comment on column bi.review.warehouse is 'Name of the warehouse.';
comment on column bi.review.period_start is 'Start of the period.';
comment on column bi.review.period_end is 'The closing count; NULL while open.';
comment on column bi.review.shortage_kg is 'Shortage of the period, kg.';
comment on column bi.review.human_error_probability is 'Probability that a person erred, 0 to 1.';
comment on column bi.review.is_in_review is 'Whether the period needs a person: probability from 0.5 on, or anything critical.';
comment on column bi.review.file_name is 'The file it came from.';
comment on column bi.review.line is 'Line of a rejected row.';
comment on column bi.review.column_name is 'Column of a rejected row.';
comment on column bi.review.reason is 'Why a row was rejected, a code.';
comment on column bi.review.raw_text is 'The rejected row as it stands in the file.';
