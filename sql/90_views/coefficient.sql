create or replace view bi.coefficient as
select n.id as item_id, n.name as item, n.product_type, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c,
    k.se_a, k.se_b, k.se_c, k.age_min as age_min_days, k.age_max as age_max_days, k.period_count, k.accuracy_r2 as r2, k.outcome,
    k.b_is_identified,
    100 * bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, 7) as loss_percent_7_days,
    100 * bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, 14) as loss_percent_14_days,
    100 * bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, 30) as loss_percent_30_days,
    k.reason, m.version, m.created_date as time
from core.coefficients as k
inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
inner join core.nomenclature as n on n.id = k.nomenclature_id;

comment on view bi.coefficient is 'Which coefficient describes each product: the deployed curve, with its standard errors and what it means in percent.';
comment on column bi.coefficient.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.coefficient.item is 'Name of the product.';
comment on column bi.coefficient.product_type is 'Product type; b and the family are shared within it.';
comment on column bi.coefficient.family is 'Curve family: exp, exp_linear, linear, power, peleg, weibull.';
comment on column bi.coefficient.a is 'Loss the product tends to, fraction of mass; by family: linear 0, peleg 1/k2.';
comment on column bi.coefficient.b is 'Speed, 1/day; by family: power n, peleg k1.';
comment on column bi.coefficient.c is 'Steady loss, fraction per day; by family: weibull n.';
comment on column bi.coefficient.se_a is 'Standard error of a; NULL where not defined.';
comment on column bi.coefficient.se_b is 'Standard error of b (that of the type); NULL where not defined.';
comment on column bi.coefficient.se_c is 'Standard error of c; NULL where not defined.';
comment on column bi.coefficient.age_min_days is 'Smallest batch age seen, days.';
comment on column bi.coefficient.age_max_days is 'Largest batch age seen, days.';
comment on column bi.coefficient.period_count is 'Inventory periods the product itself brought.';
comment on column bi.coefficient.r2 is
'R2 on the product''s own training periods; NULL below 4 or when nothing varies. Not a forecast accuracy: see bi.fit_holdout.';
comment on column bi.coefficient.outcome is
'fitted, pooled (drawn toward the type), type_curve (no periods of its own), failed, restored (figures of an earlier version).';
comment on column bi.coefficient.b_is_identified is 'False: the data cannot tell b; the default of the type stands in.';
comment on column bi.coefficient.loss_percent_7_days is 'Loss of a fresh batch in 7 days, percent.';
comment on column bi.coefficient.loss_percent_14_days is 'Loss of a fresh batch in 14 days, percent.';
comment on column bi.coefficient.loss_percent_30_days is 'Loss of a fresh batch in 30 days, percent.';
comment on column bi.coefficient.reason is 'Why not simply fitted; NULL = fitted.';
comment on column bi.coefficient.version is 'Version of the fit.';
comment on column bi.coefficient.time is 'When it was fitted.';
