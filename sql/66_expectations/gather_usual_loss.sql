create function internal.gather_usual_loss(every_count boolean)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
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
    ), due as materialized (
        -- A curve fitted without ages starts anew at each count.
        select c.id, c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.calculation_date, k.family, k.coefficient_a as a,
            k.coefficient_b as b, k.coefficient_c as c, c.term_mass,
            case when k.adjusted_for_pre_shrinkage then c.term_age_from
                else array_fill(0::float8, array[cardinality(c.term_mass)]) end as age_from,
            case when k.adjusted_for_pre_shrinkage then c.term_age_to
                else (
                    select array_agg(t.age_to - t.age_from order by t.place)
                    from unnest(c.term_age_from, c.term_age_to) with ordinality as t (age_from, age_to, place)
                ) end as age_to
        from chosen as h
        inner join core.calculation_data as c on c.id = h.id and c.calculation_date = h.calculation_date
        inner join core.coefficients as k on k.nomenclature_id = c.nomenclature_id and k.outcome <> 'failed'
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where case
            when cardinality(c.term_mass) = cardinality(c.term_age_from) and cardinality(c.term_mass) = cardinality(c.term_age_to)
                then cardinality(c.term_mass) > 0 and array_position(c.term_mass || c.term_age_from || c.term_age_to, null) is null
            else false
        end
    ), expected as materialized (
        select u.id, greatest(0, u.kg) as kg
        from (
            select array_agg(d.id order by d.id) as ids, internal.expect_losses(d.family,
                    string_agg(float8send(coalesce(d.a, 'NaN')), ''::bytea order by d.id),
                    string_agg(float8send(coalesce(d.b, 'NaN')), ''::bytea order by d.id),
                    string_agg(float8send(coalesce(d.c, 'NaN')), ''::bytea order by d.id),
                    string_agg(int4send(cardinality(d.term_mass)), ''::bytea order by d.id),
                    string_agg(array_send(d.term_mass), ''::bytea order by d.id),
                    string_agg(array_send(d.age_from), ''::bytea order by d.id),
                    string_agg(array_send(d.age_to), ''::bytea order by d.id)) as kgs
            from due as d
            group by d.family, d.nomenclature_id / 256
        ) as g
        cross join lateral unnest(g.ids, g.kgs) as u (id, kg)
        where u.kg is not null  -- greatest passes over NULL
    )
    select distinct on (d.nomenclature_id, d.warehouse_id, d.calculation_date) d.nomenclature_id, d.warehouse_id, d.calculation_date,
        sum(e.kg) over recent / sum(extract(epoch from d.calculation_date - d.inventory_period_start)::float8 / 86400) over recent
    from due as d
    inner join expected as e on e.id = d.id
    window recent as (partition by d.nomenclature_id, d.warehouse_id order by d.inventory_period_start rows between 3 preceding and current row)
    order by d.nomenclature_id, d.warehouse_id, d.calculation_date, d.inventory_period_start desc;
    get diagnostics gathered_count = row_count;
    analyze pg_temp.usual_loss;
    return gathered_count;
end
$$;

comment on function internal.gather_usual_loss(boolean) is
'Gathers what a product usually loses while trade goes on, kg a day, into pg_temp.usual_loss: one row a count.

The mean, over the four periods up to the count, of what the deployed curve expects of everything that was in stock, came and went.
For the products of pg_temp.awaited; every_count: of each count, otherwise of the last. Returns how many.';
