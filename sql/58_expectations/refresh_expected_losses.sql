create function internal.refresh_expected_losses()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    stored_count bigint;
begin
    perform pg_advisory_xact_lock(x'57454949'::int);
    -- Of curves no longer in force, and of periods that are gone.
    delete from core.period_expectation as e
    where not exists (
        select from core.coefficients as k
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where k.id = e.coefficient_id
    ) or not exists (select from core.calculation_data as c where c.id = e.calculation_data_id);
    -- By a couple of hundred products a call: a column of bytes may hold a gigabyte, and one session's memory less.
    with due as materialized (
        select c.id, c.nomenclature_id, k.id as coefficient_id, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c,
            c.term_mass, c.term_age_from, c.term_age_to
        from core.calculation_data as c
        inner join core.coefficients as k on k.nomenclature_id = c.nomenclature_id and k.outcome <> 'failed'
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where c.mode <> 'open' and c.inventory_shrinkage_total is not null
          and not exists (select from core.period_expectation as e where e.calculation_data_id = c.id)
          and case
              when cardinality(c.term_mass) = cardinality(c.term_age_from) and cardinality(c.term_mass) = cardinality(c.term_age_to)
                  then array_position(c.term_mass || c.term_age_from || c.term_age_to, null) is null
              else false
          end
    )
    insert into core.period_expectation (calculation_data_id, coefficient_id, expected_kg)
    select u.id, u.coefficient_id, u.kg
    from (
        select array_agg(d.id order by d.id) as ids, array_agg(d.coefficient_id order by d.id) as coefficient_ids, internal.expect_losses(d.family,
                string_agg(float8send(coalesce(d.a, 'NaN')), ''::bytea order by d.id),
                string_agg(float8send(coalesce(d.b, 'NaN')), ''::bytea order by d.id),
                string_agg(float8send(coalesce(d.c, 'NaN')), ''::bytea order by d.id),
                string_agg(int4send(cardinality(d.term_mass)), ''::bytea order by d.id),
                string_agg(array_send(d.term_mass), ''::bytea order by d.id),
                string_agg(array_send(d.term_age_from), ''::bytea order by d.id),
                string_agg(array_send(d.term_age_to), ''::bytea order by d.id)) as kgs
        from due as d
        group by d.family, d.nomenclature_id / 256
    ) as g
    cross join lateral unnest(g.ids, g.coefficient_ids, g.kgs) as u (id, coefficient_id, kg)
    where u.kg is not null;
    get diagnostics stored_count = row_count;
    return stored_count;
end
$$;

comment on function internal.refresh_expected_losses() is
'Stores what the deployed curves expect of the closed periods (core.period_expectation) where it is not stored yet.

Returns how many it stored. Views read what is stored and work out the rest: nothing is wrong before it ran, only slower.';
