create function api.suggested_coefficient(item text)
returns table (
    item_id int, item text, product_type text, source text, family text, a float8, b float8, c float8, from_item_id int, from_item text,
    cluster int, reason text
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    -- As in api.coefficient: an unknown product is refused also where there are none.
    with asked as materialized (
        select internal.find_item(suggested_coefficient.item) as id
    ), wanted as (
        select n.id, n.name, n.product_type
        from asked as q
        left join core.nomenclature as n on n.id = q.id
    ), deployed as (
        select m.id, m.parameters from core.model_versions as m where m.model = 'shrinkage' and m.status = 'deployed'
    ), curve as (
        select k.nomenclature_id, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c, k.outcome
        from core.coefficients as k
        inner join deployed as d on d.id = k.model_id
        where k.outcome <> 'failed' and k.family is not null
    ), own as (
        select case when k.outcome = 'type_curve' then 2 else 1 end as choice,
            case when k.outcome = 'type_curve' then 'type_curve' else 'own' end as source,
            k.family, k.a, k.b, k.c, null::int as from_item_id, null::int as cluster,
            case when k.outcome = 'type_curve' then 'it has no valid periods of its own: the curve of its type' end as reason
        from wanted as w
        inner join curve as k on k.nomenclature_id = w.id
    ), of_type as (
        -- The product is newer than the fit.
        select 3, 'type_curve', t.fit ->> 'family', (t.fit ->> 'a')::float8, (t.fit ->> 'b')::float8, (t.fit ->> 'c')::float8, null::int, null::int,
            'it came after the last fit: the curve of its type'
        from wanted as w
        cross join deployed as d
        cross join lateral (select d.parameters -> 'types' -> w.product_type as fit) as t
        where t.fit ->> 'family' is not null and coalesce((t.fit ->> 'n_periods')::int, 0) > 0
          and t.fit ->> 'a' is not null and t.fit ->> 'b' is not null and t.fit ->> 'c' is not null
    ), of_cluster as (
        -- The cluster most products of the type are in; for a type nobody counted yet, the largest.
        select 4, 'cluster_medoid', k.family, k.a, k.b, k.c, p.nomenclature_id, p.label,
            case when q.alike > 0 then 'its type has no curve: the product that stands for the cluster most of its type are in'
                else 'nothing of its type was counted: the product that stands for the largest cluster' end
        from (
            select z.run_id, z.label, count(*) as total, count(*) filter (where n.product_type = w.product_type) as alike
            from core.product_clusters as z
            inner join core.nomenclature as n on n.id = z.nomenclature_id
            cross join wanted as w
            where z.run_id = (select max(r.id) from core.cluster_runs as r)
            group by z.run_id, z.label
        ) as q
        inner join core.product_clusters as p on p.run_id = q.run_id and p.label = q.label and p.is_medoid
        inner join curve as k on k.nomenclature_id = p.nomenclature_id
        order by q.alike desc, q.total desc, q.label asc
        limit 1
    ), best as (
        select o.*
        from (
            select * from own
            union all
            select * from of_type
            union all
            select * from of_cluster
        ) as o
        order by o.choice
        limit 1
    )
    select w.id, w.name, w.product_type, coalesce(s.source, 'none'), s.family, s.a, s.b, s.c, s.from_item_id, n.name as from_name, s.cluster,
        case when s.source is null then 'nothing was fitted yet: run api.fit_shrinkage(), then api.cluster_products()' else s.reason end
    from wanted as w
    left join best as s on true
    left join core.nomenclature as n on n.id = s.from_item_id;
end;

comment on function api.suggested_coefficient(text) is
'Gives the coefficients to reckon with for a product, also for one that was never counted, and where they come from.

source: own (its own periods); type_curve (no periods: the curve of its type); cluster_medoid (its type has none either: the product
that stands for the cluster most of its type are in, else for the largest cluster; see api.cluster_products); none. a is a fraction,
b in 1/day, c a fraction a day, by family. One row. Raises 22023 for an unknown product.
Example: select source, a, b, c from api.suggested_coefficient(''СКУМБРИЯ Х/К'');';
