create or replace view bi.shrinkage_unexplained as
with curve as (
    select k.nomenclature_id, k.id as coefficient_id, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c, m.version
    from core.coefficients as k
    inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
    where k.outcome <> 'failed'
), setting as (
    select max((s.value #>> '{}')::float8) filter (where s.name = 'fit.cv') as cv from core.settings as s
)
select d.calculation_date as time, d.inventory_period_start as period_start, n.id as item_id, n.name as item, n.product_type,
    w.id as warehouse_id, w.name as warehouse, d.inventory_shrinkage_total::float8 as shortage_kg, e.expected_kg,
    bi.explained_up_to(e.expected_kg, d.count_sigma_kg, s.cv) as explained_up_to_kg,
    greatest(0, d.inventory_shrinkage_total::float8 - bi.explained_up_to(e.expected_kg, d.count_sigma_kg, s.cv)) as unexplained_kg,
    d.inventory_confidence as confidence, d.validation_errors as flags, d.manual_review_required as is_in_review, curve.version
from core.calculation_data as d
inner join core.nomenclature as n on n.id = d.nomenclature_id
inner join core.warehouses as w on w.id = d.warehouse_id
inner join curve on curve.nomenclature_id = d.nomenclature_id
cross join setting as s
left join core.period_expectation as x on x.calculation_data_id = d.id and x.coefficient_id = curve.coefficient_id
cross join lateral (
    -- The limit keeps it from being worked out wherever it is used.
    select coalesce(x.expected_kg, bi.expected_loss(curve.family, curve.a, curve.b, curve.c, d.term_mass, d.term_age_from, d.term_age_to)) as expected_kg
    order by 1
    limit 1
) as e
where d.mode <> 'open' and d.inventory_shrinkage_total is not null;

comment on view bi.shrinkage_unexplained is 'How much of each shortage drying explains, by the newest curve, and how much is left.';
comment on column bi.shrinkage_unexplained.time is 'The count.';
comment on column bi.shrinkage_unexplained.period_start is 'The count before.';
comment on column bi.shrinkage_unexplained.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_unexplained.item is 'Name of the product.';
comment on column bi.shrinkage_unexplained.product_type is 'Product type.';
comment on column bi.shrinkage_unexplained.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_unexplained.warehouse is 'Name of the warehouse.';
comment on column bi.shrinkage_unexplained.shortage_kg is 'Missing at the count, kg; 0 within tolerance.';
comment on column bi.shrinkage_unexplained.expected_kg is 'Loss by drying the curve expects, kg, with the true ages of the batches.';
comment on column bi.shrinkage_unexplained.explained_up_to_kg is 'Upper 95 % bound of what drying and the resolution of the count explain, kg.';
comment on column bi.shrinkage_unexplained.unexplained_kg is 'Shortage above that bound, kg: other losses.';
comment on column bi.shrinkage_unexplained.confidence is 'How far the difference can be trusted, 0 to 1.';
comment on column bi.shrinkage_unexplained.flags is 'What is wrong with the period; NULL = nothing.';
comment on column bi.shrinkage_unexplained.is_in_review is 'Whether a person should look.';
comment on column bi.shrinkage_unexplained.version is 'Version of the curves.';
