create function api.coefficient(item text, at timestamptz default now())
returns table (
    item_id int, item text, product_type text, a float8, b float8, c float8, family text, se_a float8, se_b float8, se_c float8,
    age_min_days float8, age_max_days float8, period_count int, r2 float8, outcome text, b_is_identified boolean, version int,
    fitted_at timestamptz, reason text
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    -- Materialized and outside the inner join: else a plan may never ask which product is meant where there are none.
    with wanted as materialized (
        select internal.find_item(coefficient.item) as id
    )
    select n.id, n.name, n.product_type, k.coefficient_a, k.coefficient_b, k.coefficient_c, k.family, k.se_a, k.se_b, k.se_c,
        k.age_min, k.age_max, k.period_count, k.accuracy_r2, k.outcome, k.b_is_identified, k.version, k.created_date,
        case
            when k.family is null then 'no curve was fitted by then: run api.fit_shrinkage()'
            when k.coefficient_a is null and k.coefficient_c is null then coalesce(k.reason, 'the fit failed')
            else k.reason
        end
    from wanted as w
    left join core.nomenclature as n on n.id = w.id
    left join lateral (
        select f.*, m.version, m.created_date
        from core.coefficients as f
        inner join core.model_versions as m on m.id = f.model_id
        where f.nomenclature_id = n.id and m.model = 'shrinkage' and m.deployed_at <= coefficient.at
        order by m.status = 'deployed' desc, m.deployed_at desc, m.version desc
        limit 1
    ) as k on true;
end;

comment on function api.coefficient(text, timestamptz) is
'Gives the shrinkage coefficients of a product that were in force at a time.

item: name, id or any spelling seen. a is a fraction of mass, b in 1/day, c a fraction per day; other families map their own
(see core.coefficients). One row; the figures are NULL with a reason when there are none. Raises 22023 for an unknown product.
Example: select a, b, c from api.coefficient(''СКУМБРИЯ Х/К'');';
