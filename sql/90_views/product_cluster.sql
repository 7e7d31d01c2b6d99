create or replace view bi.product_cluster as
select r.created_at as time, r.id as run_id, n.id as item_id, n.name as item, n.product_type, p.label as cluster, p.is_medoid,
    100 * p.rate as loss_percent_per_day, p.mean_age_days, 100 * p.variation as variation_percent, p.turnover_days,
    m.id as medoid_item_id, m.name as medoid_item, k.family as medoid_family, k.coefficient_a as medoid_a, k.coefficient_b as medoid_b,
    k.coefficient_c as medoid_c, r.cluster_count, r.silhouette
from core.cluster_runs as r
inner join core.product_clusters as p on p.run_id = r.id
inner join core.nomenclature as n on n.id = p.nomenclature_id
inner join core.product_clusters as q on q.run_id = p.run_id and q.label = p.label and q.is_medoid
inner join core.nomenclature as m on m.id = q.nomenclature_id
left join (
    select f.* from core.coefficients as f
    inner join core.model_versions as v on v.id = f.model_id and v.model = 'shrinkage' and v.status = 'deployed'
    where f.outcome <> 'failed'
) as k on k.nomenclature_id = q.nomenclature_id
where r.id = (select max(x.id) from core.cluster_runs as x);

comment on view bi.product_cluster is
'Which products shrink alike: the newest grouping (api.cluster_products), with the curve of the product that stands for each cluster.';
comment on column bi.product_cluster.time is 'When they were grouped.';
comment on column bi.product_cluster.run_id is 'Key of the grouping.';
comment on column bi.product_cluster.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.product_cluster.item is 'Name of the product.';
comment on column bi.product_cluster.product_type is 'Product type.';
comment on column bi.product_cluster.cluster is 'The cluster, from 0 on: the higher, the more it loses.';
comment on column bi.product_cluster.is_medoid is 'Whether the product stands for its cluster.';
comment on column bi.product_cluster.loss_percent_per_day is 'Loss per kg in stock and day, percent; at least what a count can tell.';
comment on column bi.product_cluster.mean_age_days is 'Mean age of the stock at counts, days; NULL = not known.';
comment on column bi.product_cluster.variation_percent is 'Coefficient of variation of the rate between periods, percent, at most 300.';
comment on column bi.product_cluster.turnover_days is 'Days the mean stock lasts at the pace it went out, at most 365.';
comment on column bi.product_cluster.medoid_item_id is 'Key of the product that stands for the cluster.';
comment on column bi.product_cluster.medoid_item is 'Name of that product.';
comment on column bi.product_cluster.medoid_family is 'Family of its deployed curve; NULL = none.';
comment on column bi.product_cluster.medoid_a is 'a of that curve, a fraction of mass; by family.';
comment on column bi.product_cluster.medoid_b is 'b of that curve, 1/day; by family.';
comment on column bi.product_cluster.medoid_c is 'c of that curve, fraction per day; by family.';
comment on column bi.product_cluster.cluster_count is 'Clusters of the grouping.';
comment on column bi.product_cluster.silhouette is 'How clear the grouping is: near 1 clear, near 0 not at all; NULL with one cluster.';
