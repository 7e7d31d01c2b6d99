create function internal.gather_usual_loss(every_count boolean)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    max_age float8 := internal.setting('stock.max_age_days');
    gathered_count bigint;
begin
    create temp table if not exists usual_loss (
        nomenclature_id int, warehouse_id int, counted_at timestamptz, kg_per_day float8, primary key (nomenclature_id, warehouse_id, counted_at)
    ) on commit drop;
    truncate pg_temp.usual_loss;
    insert into pg_temp.usual_loss
    with pair as materialized (
        select a.nomenclature_id, a.warehouse_id, max(a.opened_at) as opened_at from pg_temp.awaited as a group by a.nomenclature_id, a.warehouse_id
    ), chosen as materialized (
        select c.id, c.calculation_date
        from pair as p
        cross join lateral (
            select d.id, d.calculation_date
            from core.calculation_data as d
            where d.nomenclature_id = p.nomenclature_id and d.warehouse_id = p.warehouse_id and d.inventory_period_start < p.opened_at
              and d.mode <> 'open' and d.calculation_date > d.inventory_period_start and d.data_quality_flag <> 'filtered'
            order by d.inventory_period_start desc
            limit case when every_count then null else 4 end
        ) as c
    )
    select distinct on (p.nomenclature_id, p.warehouse_id, p.calculation_date) p.nomenclature_id, p.warehouse_id, p.calculation_date,
        sum(p.kg) over recent / sum(p.days) over recent
    from (
        select c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.calculation_date,
            extract(epoch from c.calculation_date - c.inventory_period_start)::float8 / 86400 as days,
            greatest(0, case when k.adjusted_for_pre_shrinkage then e.with_ages else e.from_fresh end) as kg
        from chosen as h
        inner join core.calculation_data as c on c.id = h.id and c.calculation_date = h.calculation_date
        inner join core.coefficients as k on k.nomenclature_id = c.nomenclature_id and k.outcome <> 'failed'
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        cross join lateral internal.expect_loss(
            k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, c.term_mass, c.term_age_from, c.term_age_to, 0, max_age
        ) as e
    ) as p
    window recent as (partition by p.nomenclature_id, p.warehouse_id order by p.inventory_period_start rows between 3 preceding and current row)
    order by p.nomenclature_id, p.warehouse_id, p.calculation_date, p.inventory_period_start desc;
    get diagnostics gathered_count = row_count;
    analyze pg_temp.usual_loss;
    return gathered_count;
end
$$;

comment on function internal.gather_usual_loss(boolean) is
'Gathers what a product usually loses while trade goes on, kg a day, into pg_temp.usual_loss: one row a count.

The mean, over the four periods up to the count, of what the deployed curve expects of everything that was in stock, came and went.
For the products of pg_temp.awaited; every_count: of each count, otherwise of the last. Returns how many.';
