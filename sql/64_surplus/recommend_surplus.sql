create function api.recommend_surplus(item text default null)
returns table (
    recommendation_id int, item_id int, item_name text, surplus float8, meaning text, applied float8, standard_error float8,
    confidence float8, method text, period_count int, rmse_kg float8, rmse_applied_kg float8
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
    started timestamptz := clock_timestamp();
    chosen_id int := case when recommend_surplus.item is not null then internal.find_item(recommend_surplus.item) end;
    deployed core.model_versions;
    read_count bigint;
    removed_count bigint;
    made_count bigint;
begin
    -- No accounting meanwhile: what is judged is one state of the periods.
    perform pg_advisory_xact_lock(x'57454949'::int);
    select m.* into deployed from core.model_versions as m where m.model = 'shrinkage' and m.status = 'deployed';
    if deployed.id is null then
        raise exception 'no shrinkage curves are in force'
            using errcode = 'ML201', hint = 'Run api.fit_shrinkage() first: a surplus is told apart from drying by its curve.';
    end if;

    -- The periods a fit uses. All of a type even for one product: its shape is judged together.
    create temp table if not exists surplus_period (
        product_type text, family text, nomenclature_id int, calculation_date timestamptz, warehouse_id int, has_ages boolean,
        difference float8, applied float8, weight float8, sigma float8, term_mass float8[], term_age_from float8[],
        term_age_to float8[], term_is_receipt boolean[], row_hash bigint
    ) on commit drop;
    truncate pg_temp.surplus_period;
    insert into pg_temp.surplus_period
    select n.product_type, k.family, c.nomenclature_id, c.calculation_date, c.warehouse_id, not 'no_batch_ages' = any(c.flags),
        c.difference_kg, c.surplus_applied_kg, c.inventory_confidence, c.count_sigma_kg,
        c.term_mass, c.term_age_from, c.term_age_to, c.term_is_receipt,
        hash_record_extended(row(c.warehouse_id, c.inventory_period_start, c.calculation_date, c.difference_kg, c.surplus_applied_kg,
            c.inventory_confidence, c.term_mass, c.term_age_from, c.term_age_to, c.term_is_receipt), 0)
    from core.calculation_data as c
    inner join core.nomenclature as n on n.id = c.nomenclature_id
    inner join core.coefficients as k on k.nomenclature_id = c.nomenclature_id and k.model_id = deployed.id and k.outcome <> 'failed'
    where c.is_valid_inventory_period and c.data_quality_flag <> 'filtered' and not c.flags && array['unit_jump', 'identity_residual']
      and c.difference_kg is not null and c.inventory_confidence is not null and c.count_sigma_kg is not null
      and (chosen_id is null or n.product_type = (select i.product_type from core.nomenclature as i where i.id = chosen_id))
      -- A case, since the planner takes such conditions for nearly never true, and would join row by row.
      and case
          when cardinality(c.term_mass) = cardinality(c.term_age_from) and cardinality(c.term_mass) = cardinality(c.term_age_to)
              and cardinality(c.term_mass) = cardinality(c.term_is_receipt)
              then array_position(c.term_mass || c.term_age_from || c.term_age_to, null) is null
                  and array_position(c.term_is_receipt, null) is null
          else false
      end;
    get diagnostics read_count = row_count;
    analyze pg_temp.surplus_period (product_type, family, nomenclature_id, has_ages);

    create temp table if not exists surplus_found (
        nomenclature_id int primary key, method text, surplus float8, confidence float8, started_at timestamptz, ended_at timestamptz,
        supporting_data jsonb
    ) on commit drop;
    truncate pg_temp.surplus_found;
    insert into pg_temp.surplus_found
    with kind as materialized (
        select p.product_type, p.family, bool_or(p.has_ages) as has_ages
        from pg_temp.surplus_period as p
        group by p.product_type, p.family
    ), numbered as materialized (
        -- Ages that start anew at each count make too low a curve: such periods take part only where a type has no others.
        select p.*, (dense_rank() over (partition by p.product_type, p.family order by p.nomenclature_id))::int - 1 as item
        from pg_temp.surplus_period as p
        inner join kind as t on t.product_type = p.product_type and t.family = p.family
        where p.has_ages or not t.has_ages
    ), product as materialized (
        select p.product_type, p.family, p.item, p.nomenclature_id, count(*) as period_count,
            encode(int8send(bit_xor(p.row_hash)), 'hex') as data_hash
        from numbered as p
        group by p.product_type, p.family, p.item, p.nomenclature_id
    ), curve as (
        select p.product_type, p.family, array_agg(k.coefficient_a order by p.item) as a, array_agg(k.coefficient_b order by p.item) as b,
            array_agg(k.coefficient_c order by p.item) as c
        from product as p
        inner join core.coefficients as k on k.nomenclature_id = p.nomenclature_id and k.model_id = deployed.id
        group by p.product_type, p.family
    ), period as (
        select p.product_type, p.family,
            string_agg(int4send(p.item), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as item,
            string_agg(float8send(extract(epoch from p.calculation_date)::float8), ''::bytea
                order by p.item, p.calculation_date, p.warehouse_id) as ended,
            string_agg(float8send(p.difference), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as difference,
            string_agg(float8send(p.applied), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as applied,
            string_agg(float8send(p.weight), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as weight,
            string_agg(float8send(p.sigma), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as sigma,
            string_agg(int4send(cardinality(p.term_mass)), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as counts,
            string_agg(array_send(p.term_mass), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_mass,
            string_agg(array_send(p.term_age_from), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_age_from,
            string_agg(array_send(p.term_age_to), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_age_to,
            string_agg(array_send(p.term_is_receipt), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_is_receipt
        from numbered as p
        group by p.product_type, p.family
    ), answer as materialized (
        select p.product_type, p.family, internal.find_surplus(
            p.item, p.ended, p.difference, p.applied, p.weight, p.sigma, p.counts, p.term_mass, p.term_age_from, p.term_age_to,
            p.term_is_receipt, k.a, k.b, k.c,
            jsonb_build_object(
                'family', p.family,
                'b_is_given', deployed.options ? 'b', 'c_is_given', deployed.options ? 'c',
                'type_level', coalesce(nullif((f.fit ->> 'a')::float8, 0), (f.fit ->> 'c')::float8),
                'level_error', (f.fit ->> 'level_spread')::float8,
                'cv', internal.setting('fit.cv'), 'least', internal.setting('surplus.least_share'),
                'least_t', internal.setting('surplus.least_t'), 'least_gain', internal.setting('surplus.least_gain'),
                'joint_periods', internal.setting('surplus.joint_periods'),
                'implied_periods', internal.setting('surplus.implied_periods'),
                'least_variation', internal.setting('surplus.least_variation'),
                'prior_periods', internal.setting('surplus.prior_periods'),
                'false_share', internal.setting('surplus.false_share')
            )
        )::jsonb as items
        from period as p
        inner join curve as k on k.product_type = p.product_type and k.family = p.family
        -- A product may have changed its type since the fit.
        cross join lateral (
            select case when deployed.parameters #>> array['types', p.product_type, 'family'] = p.family
                then deployed.parameters #> array['types', p.product_type] end as fit
        ) as f
    )
    select i.nomenclature_id, r.method, r.surplus, r.confidence, to_timestamp(r."from"), to_timestamp(r."to"),
        jsonb_build_object(
            'family', a.family, 'a', r.a, 'b', r.b, 'c', r.c, 'surplus_applied', r.applied, 'standard_error', r.se,
            'rmse_kg', r.rmse, 'rmse_applied_kg', r.rmse_applied, 'period_count', r.n_periods, 'model_version', deployed.version,
            'data_hash', i.data_hash,
            'periods', (
                select jsonb_agg(p.period - 'ended' || jsonb_build_object('period_end', to_timestamp((p.period ->> 'ended')::float8))
                    order by p.number)
                from jsonb_array_elements(r.periods) with ordinality as p (period, number)
            )
        )
    from answer as a
    cross join lateral jsonb_to_recordset(a.items) as r (
        item int, method text, surplus float8, applied float8, se float8, confidence float8, a float8, b float8, c float8, rmse float8,
        rmse_applied float8, n_periods int, is_recommended boolean, "from" float8, "to" float8, periods jsonb
    )
    inner join product as i on i.product_type = a.product_type and i.family = a.family and i.item = r.item
    where r.is_recommended and (chosen_id is null or i.nomenclature_id = chosen_id)
      -- What a person decided on these data is not asked again.
      and not exists (
          select from core.surplus_recommendations as d
          where d.nomenclature_id = i.nomenclature_id and d.is_accepted is not null and d.supporting_data ->> 'data_hash' = i.data_hash
      );

    delete from core.surplus_recommendations as o
    where o.is_accepted is null and (chosen_id is null or o.nomenclature_id = chosen_id)
      and not exists (
          select from pg_temp.surplus_found as f
          where f.nomenclature_id = o.nomenclature_id and f.surplus = o.recommended_surplus_percentage
            and f.method = o.calculation_method and f.supporting_data = o.supporting_data
      );
    get diagnostics removed_count = row_count;
    insert into core.surplus_recommendations
        (nomenclature_id, recommended_surplus_percentage, confidence_level, analysis_period_start, analysis_period_end,
            calculation_method, supporting_data)
    select f.nomenclature_id, f.surplus, f.confidence, coalesce(c.started_at, f.started_at), f.ended_at, f.method, f.supporting_data
    from pg_temp.surplus_found as f
    -- The first period looked at begins at the count before the one that ended it.
    left join lateral (
        select min(d.inventory_period_start) as started_at
        from core.calculation_data as d
        where d.nomenclature_id = f.nomenclature_id and d.calculation_date = f.started_at
    ) as c on true
    where not exists (
        select from core.surplus_recommendations as o where o.nomenclature_id = f.nomenclature_id and o.is_accepted is null
    )
    order by f.nomenclature_id;
    get diagnostics made_count = row_count;
    if removed_count + made_count > 0 then
        insert into core.data_lineage (process_name, input_records, output_records, status, execution_time_ms)
        values ('calculation', read_count, made_count, 'success', extract(epoch from clock_timestamp() - started) * 1000);
    end if;

    return query
    select o.id, n.id, n.name, o.recommended_surplus_percentage, bi.surplus_meaning(o.recommended_surplus_percentage),
        (o.supporting_data ->> 'surplus_applied')::float8, (o.supporting_data ->> 'standard_error')::float8, o.confidence_level,
        o.calculation_method, (o.supporting_data ->> 'period_count')::int, (o.supporting_data ->> 'rmse_kg')::float8,
        (o.supporting_data ->> 'rmse_applied_kg')::float8
    from core.surplus_recommendations as o
    inner join core.nomenclature as n on n.id = o.nomenclature_id
    where o.is_accepted is null and (chosen_id is null or o.nomenclature_id = chosen_id)
    order by o.confidence_level desc, n.name;
end
$$;

comment on function api.recommend_surplus(text) is
'Tells which products'' receipts bring more (or less) than documented, from what the counts found; stores recommendations.

item: one product, NULL = all. surplus is the TOTAL fraction, what is applied already (applied) included: a product whose
specification is right is not recommended. method joint: level and surplus fitted together over periods with varying receipts;
implied: median of what each period implies under the curve of the type. The errors (rmse_kg, with what is applied
rmse_applied_kg) are of the shortage of a period. Replaces open recommendations; decided ones stay, and are not repeated on the same
data. Call it after api.fit_shrinkage(). Raises 22023 for an unknown product, ML201 before any fit.
Example: select item_name, surplus, meaning from api.recommend_surplus();';
