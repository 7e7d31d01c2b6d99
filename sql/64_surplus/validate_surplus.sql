create function api.validate_surplus()
returns table (
    validation_id int, pattern_id int, item_id int, item text, period_end timestamptz, actual float8, predicted float8, deviation float8,
    result text, confidence float8, is_confirmed boolean, is_active boolean
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
    started timestamptz := clock_timestamp();
    removed_count bigint;
    made_ids int[];
    read_count bigint;
begin
    perform pg_advisory_xact_lock(x'57454949'::int);
    -- Periods whose facts are gone say nothing any more.
    delete from core.pattern_validations as v
    where v.calculation_data_id is not null and not exists (
        select from core.calculation_data as c where c.id = v.calculation_data_id and c.calculation_date = v.calculation_data_date
    );
    get diagnostics removed_count = row_count;

    with pattern as materialized (
        select p.id, p.surplus_percentage, p.condition_month, p.valid_from, p.nomenclature_id, n.id as item_id,
            coalesce(r.analysis_period_end, p.created_date) as known_until, r.supporting_data as known
        from core.surplus_patterns as p
        inner join core.nomenclature as n
            on n.id = p.nomenclature_id or p.nomenclature_id is null and coalesce(p.product_type = n.product_type, true)
        left join core.surplus_recommendations as r on r.id = p.created_from_recommendation_id
        where p.is_active
          -- A pattern for many is not judged by a product that has a closer one.
          and (p.nomenclature_id is not null or not exists (
              select from core.surplus_patterns as o where o.is_active and o.nomenclature_id = n.id
          ) and not exists (
              select from core.surplus_specifications as o where o.is_active and o.nomenclature_id = n.id
          ))
    ), curve as materialized (
        select k.nomenclature_id, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c
        from core.coefficients as k
        inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where k.outcome <> 'failed'
    ), due as materialized (
        select p.id as pattern_id, p.surplus_percentage, c.id, c.calculation_date, c.warehouse_id, c.difference_kg::float8 as difference,
            c.surplus_applied_kg::float8 as applied, c.count_sigma_kg, c.term_mass, c.term_age_from, c.term_age_to, c.term_is_receipt,
            -- The curve the surplus was told with: the one in force may have been fitted before it was applied, and then hides it.
            s.family, s.a, s.b, s.c
        from pattern as p
        inner join core.calculation_data as c on c.nomenclature_id = p.item_id
        inner join core.warehouses as w on w.id = c.warehouse_id
        left join curve as k on k.nomenclature_id = p.item_id
        cross join lateral (
            select case when p.nomenclature_id is not null and p.known ? 'family' then p.known else to_jsonb(k) end as found
        ) as f
        cross join lateral (
            select f.found ->> 'family' as family, (f.found ->> 'a')::float8 as a, (f.found ->> 'b')::float8 as b, (f.found ->> 'c')::float8 as c
        ) as s
        where c.mode <> 'open' and c.is_valid_inventory_period and c.data_quality_flag <> 'filtered'
          and not c.flags && array['unit_jump', 'identity_residual'] and c.difference_kg is not null
          and c.calculation_date > p.known_until
          and (p.valid_from is null or (c.inventory_period_start at time zone w.time_zone)::date >= p.valid_from)
          -- A condition on the month is tried on periods that lie within it.
          and (p.condition_month is null
              or extract(month from c.inventory_period_start at time zone w.time_zone) = p.condition_month
              and extract(month from (c.calculation_date - interval '1 second') at time zone w.time_zone) = p.condition_month)
          and not exists (
              select from core.pattern_validations as v
              where v.surplus_pattern_id = p.id and v.calculation_data_id = c.id and v.calculation_data_date = c.calculation_date
          )
    ), told as materialized (
        select d.pattern_id, d.surplus_percentage, d.id, d.calculation_date, d.warehouse_id, t.documented,
            -- (difference + expected) / incoming, with the incoming mass as it weighs at the count: E19 without its first order.
            (d.difference + t.expected) / nullif(t.remaining, 0) as actual, d.count_sigma_kg
        from due as d
        cross join lateral (
            select sum(m.mass) filter (where m.is_receipt) as physical
            from unnest(d.term_mass, d.term_is_receipt) as m (mass, is_receipt)
        ) as r
        cross join lateral (
            select r.physical - d.applied as documented,
                sum(x.stated * x.lost) as expected, sum(x.stated * (1 - x.lost)) filter (where x.is_receipt) as remaining
            from (
                select m.is_receipt, m.mass * case when m.is_receipt then (r.physical - d.applied) / nullif(r.physical, 0) else 1 end as stated,
                    (least(bi.curve_loss(d.family, d.a, d.b, d.c, m.age_to), 1)
                        - least(bi.curve_loss(d.family, d.a, d.b, d.c, m.age_from), 1))
                        / greatest(1 - bi.curve_loss(d.family, d.a, d.b, d.c, m.age_from), 0.02) as lost
                from unnest(d.term_mass, d.term_age_from, d.term_age_to, d.term_is_receipt) as m (mass, age_from, age_to, is_receipt)
            ) as x
        ) as t
        where r.physical - d.applied > 0
    ), made as (
        insert into core.pattern_validations
            (surplus_pattern_id, actual_surplus_percentage, predicted_surplus_percentage, validation_result, calculation_data_id,
                calculation_data_date, incoming_kg)
        select t.pattern_id, t.actual, t.surplus_percentage, internal.surplus_verdict(t.actual, t.surplus_percentage), t.id,
            t.calculation_date, t.documented
        from told as t
        -- Where a scale step is more than the tolerance the period cannot tell.
        where abs(t.actual) < 'infinity' and t.count_sigma_kg <= internal.surplus_tolerance(t.surplus_percentage) * t.documented
        order by t.pattern_id, t.calculation_date, t.warehouse_id, t.id
        returning id
    )
    select coalesce(array_agg(m.id), '{}'), (select count(*) from due) into made_ids, read_count from made as m;

    perform internal.replay_patterns();
    if removed_count + cardinality(made_ids) > 0 then
        insert into core.data_lineage (process_name, input_records, output_records, status, execution_time_ms)
        values ('validation', read_count, cardinality(made_ids), 'success', extract(epoch from clock_timestamp() - started) * 1000);
    end if;
    return query
    select v.id, p.id, n.id, n.name, v.calculation_data_date, v.actual_surplus_percentage, v.predicted_surplus_percentage, v.deviation,
        v.validation_result, v.confidence_after, p.is_confirmed, p.is_active
    from core.pattern_validations as v
    inner join core.surplus_patterns as p on p.id = v.surplus_pattern_id
    inner join core.calculation_data as c on c.id = v.calculation_data_id and c.calculation_date = v.calculation_data_date
    inner join core.nomenclature as n on n.id = c.nomenclature_id
    where v.id = any(made_ids)
    order by v.id;
end
$$;

comment on function api.validate_surplus() is
'Holds every active surplus pattern against the periods counted since: what came, beside what it predicts; a period is tried once.

actual is what the period implies under the curve the surplus was recommended with (else the one in force): a fraction. result:
success within max(0.005, 0.15 x predicted), warning within twice that, failure beyond; the confidence of the pattern follows, and
may confirm it or take it out of force (with the next api.account_stock()). Periods without receipts, or with receipts too small for
the scale, tell nothing. Returns the new validations; calling it again returns none. Example: select * from api.validate_surplus();';
