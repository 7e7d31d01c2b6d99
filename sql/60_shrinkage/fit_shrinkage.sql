create function internal.given_coefficient(given jsonb, item_name text, product_type text)
returns float8
language sql immutable parallel safe
return case jsonb_typeof(given_coefficient.given)
    when 'number' then (given_coefficient.given #>> '{}')::float8
    when 'object' then coalesce(
        (given_coefficient.given ->> given_coefficient.item_name)::float8, (given_coefficient.given ->> given_coefficient.product_type)::float8
    )
end;

comment on function internal.given_coefficient(jsonb, text, text) is
'Reads a coefficient the caller knows: one number for all, or an object by product or product type. NULL where none is given.';

create function internal.check_fit_options(options jsonb)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
    name text;
begin
    if jsonb_typeof(options) is distinct from 'object' then
        raise exception 'options are not an object' using errcode = '22023', hint = 'As {"family": "exp"}.';
    end if;
    select string_agg(k.key, ', ') into unknown
    from jsonb_object_keys(options) as k (key) where k.key not in ('family', 'b', 'c', 'cv', 'kappa', 'default_b');
    if unknown is not null then
        raise exception 'unknown option %', unknown using errcode = '22023', hint = 'Known are family, b, c, cv, kappa, default_b.';
    end if;
    if options ? 'family' and not coalesce(
        options ->> 'family' in ('auto', 'linear', 'exp', 'exp_linear', 'power', 'peleg', 'weibull'), false
    ) then
        raise exception 'unknown curve family %', coalesce(options ->> 'family', 'NULL')
            using errcode = '22023', hint = 'Use auto, linear, exp, exp_linear, power, peleg or weibull.';
    end if;
    foreach name in array array['cv', 'kappa', 'default_b'] loop
        if options ? name and (jsonb_typeof(options -> name) <> 'number' or not (options ->> name)::numeric between 0 and 1e6
            or name = 'default_b' and (options ->> name)::numeric = 0)
        then
            raise exception '% cannot be %', name, options -> name using errcode = '22023', hint = 'Give a number, not negative; default_b more than 0.';
        end if;
    end loop;
    foreach name in array array['b', 'c'] loop
        if options ? name and jsonb_typeof(options -> name) not in ('number', 'object') or exists (
            select
            from jsonb_each(case when jsonb_typeof(options -> name) = 'object' then options -> name else jsonb_build_object('', options -> name) end) as e
            where e.value <> 'null' and (
                jsonb_typeof(e.value) <> 'number' or not (e.value #>> '{}')::numeric between 0 and 1000 or name = 'b' and (e.value #>> '{}')::numeric = 0
            )
        ) then
            raise exception '% cannot be %', name, options -> name
                using errcode = '22023', hint = 'Give one number, or an object of numbers by product or product type; b 1/day, c a fraction a day.';
        end if;
    end loop;
end
$$;

comment on function internal.check_fit_options(jsonb) is 'Raises 22023 for options api.fit_shrinkage does not know.';

create function api.fit_shrinkage(options jsonb default '{}')
returns table (
    version int, status text, item_count bigint, fitted_count bigint, pooled_count bigint, type_curve_count bigint,
    failed_count bigint, duration_seconds float8
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    started timestamptz := clock_timestamp();
    complete jsonb;
    type_row record;
    type_options jsonb;
    fit jsonb;
    fits jsonb := '{}';
    held_out jsonb;
    hash text;
    unknown text;
    run_id bigint;
    known_model core.model_versions;
    new_model_id int;
    has_priority boolean := exists (select from core.priority_periods as p where p.active);
begin
    perform internal.check_fit_options(options);
    if not pg_try_advisory_xact_lock(x'5745494a'::int) then
        raise exception 'a fit of shrinkage is running already'
            using errcode = '55P03', hint = 'Wait for it: its version will be the newest.';
    end if;
    -- No accounting meanwhile: what is fitted, referred to and filled in are the same periods.
    perform pg_advisory_xact_lock(x'57454949'::int);
    select string_agg(k.key, ', ' order by k.key) into unknown
    from (select options -> 'b' as given union all select options -> 'c') as o
    cross join jsonb_object_keys(case when jsonb_typeof(o.given) = 'object' then o.given else '{}' end) as k (key)
    where not exists (select from core.nomenclature as n where k.key in (n.name, n.product_type));
    if unknown is not null then
        raise exception 'b or c is given for what is neither product nor type: %', unknown
            using errcode = '22023', hint = 'Names as in bi.dim_item.';
    end if;
    complete := jsonb_build_object(
        'family', internal.setting_text('fit.family'), 'cv', internal.setting('fit.cv'), 'kappa', internal.setting('fit.kappa_kg_days'),
        'default_b', internal.setting('fit.default_b')
    ) || options;

    -- Content decides: the same periods, options and code are the same version, and nothing is fitted. Rows are hashed to 64
    -- bits each, with their key inside, and need no order: a fifth of the time that SHA-256 over sorted rows takes.
    select encode(sha256(convert_to(concat_ws('|', complete, (select m.sha256 from core.python_module as m limit 1), p.row_count, p.row_hash,
        n.row_count, n.row_hash, f.row_hash, y.row_hash), 'UTF8')), 'hex')
    into hash
    from (
        select count(*) as row_count, bit_xor(hash_record_extended(row(c.nomenclature_id, c.warehouse_id, c.inventory_period_start,
            c.calculation_date, c.difference_kg, c.surplus_applied_kg, c.inventory_confidence, c.count_sigma_kg, c.kg_days,
            c.pre_shrinkage_days, c.is_valid_inventory_period, c.data_quality_flag, c.flags, c.term_mass, c.term_age_from, c.term_age_to), 0)) as row_hash
        from core.calculation_data as c
    ) as p
    cross join (
        select count(*) as row_count, bit_xor(hash_record_extended(row(i.id, i.product_type, i.name), 0)) as row_hash from core.nomenclature as i
    ) as n
    cross join (
        select bit_xor(hash_record_extended(row(m.id, m.rule_order, m.product_type, m.factor_b), 0)) as row_hash from core.product_type_mapping as m
    ) as f
    cross join (
        -- NULL without priority periods: they leave no trace in the hash then.
        select bit_xor(hash_record_extended(row(t.id, t.period_start, t.period_end, t.priority_level,
            internal.setting('priority.max_multiplier')), 0)) as row_hash
        from core.priority_periods as t where t.active
    ) as y;

    run_id := internal.open_run('shrinkage', 'fit', options);
    select m.* into known_model from core.model_versions as m where m.model = 'shrinkage' order by m.version desc limit 1;
    if known_model.data_hash = hash then
        version := known_model.version;
        status := 'cached';
        new_model_id := known_model.id;
        perform internal.deploy(new_model_id, 'deployed', 'the same data and options') where known_model.status <> 'deployed';
    else
        new_model_id := internal.add_version('shrinkage', complete, hash);
        select m.version into version from core.model_versions as m where m.id = new_model_id;
        status := 'fitted';

        create temp table if not exists fit_item (
            nomenclature_id int primary key, product_type text, item int, given_b float8, given_c float8
        ) on commit drop;
        truncate pg_temp.fit_item;
        insert into pg_temp.fit_item
        select n.id, n.product_type, (row_number() over (partition by n.product_type order by n.id))::int - 1,
            internal.given_coefficient(complete -> 'b', n.name, n.product_type), internal.given_coefficient(complete -> 'c', n.name, n.product_type)
        from core.nomenclature as n;
        analyze pg_temp.fit_item;

        -- Valid periods that nothing critical is wrong with, gathered in one pass; the weight is the confidence, and more
        -- inside a priority period.
        create temp table if not exists fit_period (
            product_type text, item int, calculation_date timestamptz, warehouse_id int, has_ages boolean, loss float8, kg_days float8,
            weight float8, sigma float8, term_mass float8[], term_age_from float8[], term_age_to float8[]
        ) on commit drop;
        truncate pg_temp.fit_period;
        insert into pg_temp.fit_period
        select i.product_type, i.item, c.calculation_date, c.warehouse_id, not 'no_batch_ages' = any(c.flags),
            (c.surplus_applied_kg - c.difference_kg)::float8, c.kg_days,
            c.inventory_confidence * case when has_priority then internal.priority_factor(c.inventory_period_start, c.calculation_date) else 1 end,
            c.count_sigma_kg, c.term_mass, c.term_age_from, c.term_age_to
        from core.calculation_data as c
        inner join pg_temp.fit_item as i on i.nomenclature_id = c.nomenclature_id
        where c.is_valid_inventory_period and c.data_quality_flag <> 'filtered' and not c.flags && array['unit_jump', 'identity_residual']
          and c.difference_kg is not null and c.kg_days is not null and c.inventory_confidence is not null and c.count_sigma_kg is not null
          -- A case, since the planner takes such conditions for nearly never true, and would join row by row.
          and case
              when cardinality(c.term_mass) = cardinality(c.term_age_from) and cardinality(c.term_mass) = cardinality(c.term_age_to)
                  then array_position(c.term_mass || c.term_age_from || c.term_age_to, null) is null
              else false
          end;
        analyze pg_temp.fit_period (product_type, item, has_ages);

        for type_row in
            select i.product_type, count(*)::int as n_items,
                array_agg(i.given_b order by i.item) as given_b, array_agg(i.given_c order by i.item) as given_c,
                count(i.given_b) + count(i.given_c) > 0 as is_given,
                coalesce(bool_or(p.has_ages), false) as has_ages,
                -- About four thousand periods tell how good a fit is.
                greatest(1, ceil(sum(p.period_count) / 4000.0))::int as step,
                (
                    select m.factor_b from core.product_type_mapping as m
                    where m.product_type = i.product_type order by m.rule_order limit 1
                ) as factor_b
            from pg_temp.fit_item as i
            left join (
                select v.product_type, v.item, count(*) as period_count, bool_or(v.has_ages) as has_ages
                from pg_temp.fit_period as v
                group by v.product_type, v.item
            ) as p on p.product_type = i.product_type and p.item = i.item
            group by i.product_type
            order by i.product_type
        loop
            type_options := complete || jsonb_build_object('default_b', (complete ->> 'default_b')::float8 * coalesce(type_row.factor_b, 1));
            -- A period whose batches are not known starts the ages anew (too low a curve, by 7 to 29 %): it takes part only where
            -- the type has none with ages. The second time round a sample, to be predicted from the periods before.
            select
                max(case when not s.is_sample then internal.fit_curves(
                    p.item, p.loss, p.kg_days, p.weight, p.sigma, p.counts, p.term_mass, p.term_age_from, p.term_age_to, type_row.n_items,
                    type_options, type_row.given_b, type_row.given_c
                ) end)::jsonb,
                max(case when s.is_sample then internal.holdout_curves(
                    p.item, p.loss, p.kg_days, p.weight, p.sigma, p.counts, p.term_mass, p.term_age_from, p.term_age_to,
                    (type_row.n_items - 1) / type_row.step + 1, type_options
                ) end)::jsonb
            into fit, held_out
            from (values (false), (true)) as s (is_sample)
            cross join lateral (
                select string_agg(int4send(case when s.is_sample then p.item / type_row.step else p.item end),
                    ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as item,
                    string_agg(float8send(p.loss), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as loss,
                    string_agg(float8send(p.kg_days), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as kg_days,
                    string_agg(float8send(p.weight), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as weight,
                    string_agg(float8send(p.sigma), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as sigma,
                    string_agg(int4send(cardinality(p.term_mass)), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as counts,
                    string_agg(array_send(p.term_mass), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_mass,
                    string_agg(array_send(p.term_age_from), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_age_from,
                    string_agg(array_send(p.term_age_to), ''::bytea order by p.item, p.calculation_date, p.warehouse_id) as term_age_to
                from pg_temp.fit_period as p
                where p.product_type = type_row.product_type and (p.has_ages or not type_row.has_ages)
                  and (not s.is_sample or p.item % type_row.step = 0)
            ) as p
            where not (s.is_sample and type_row.is_given);

            insert into core.coefficients
                (model_id, nomenclature_id, calculation_data_id, calculation_data_date, coefficient_a, coefficient_b, coefficient_c,
                    accuracy_r2, adjusted_for_pre_shrinkage, pre_shrinkage_factor, effective_shrinkage_rate, family, parameters,
                    se_a, se_b, se_c, age_min, age_max, period_count, b_is_identified, outcome, reason)
            select new_model_id, i.nomenclature_id, l.id, l.calculation_date, r.a, r.b, r.c, r.r2,
                r.outcome <> 'failed' and type_row.has_ages,
                case when l.pre_shrinkage_days is null then 1
                    when internal.batch_loss(r.family, r.a, r.b, r.c, 0, l.days) > 1e-12 then
                        internal.batch_loss(r.family, r.a, r.b, r.c, l.pre_shrinkage_days, l.days)
                        / internal.batch_loss(r.family, r.a, r.b, r.c, 0, l.days) end,
                internal.batch_loss(r.family, r.a, r.b, r.c, coalesce(l.pre_shrinkage_days, 0), l.days) / nullif(l.days, 0),
                r.family, coalesce(r.parameters, '{}') || jsonb_build_object('pull', r.pull), r.se_a, r.se_b, r.se_c,
                -- Of a product without periods: the ages its type saw.
                coalesce(r.age_min, case when r.a is not null then (fit ->> 'age_min')::float8 end),
                coalesce(r.age_max, case when r.a is not null then (fit ->> 'age_max')::float8 end),
                r.n_periods, coalesce((fit ->> 'b_is_identified')::boolean, false), r.outcome, r.reason
            from jsonb_to_recordset(fit -> 'items') as r (
                item int, a float8, b float8, c float8, family text, parameters jsonb, se_a float8, se_b float8, se_c float8, r2 float8,
                n_periods int, age_min float8, age_max float8, pull float8, outcome text, reason text
            )
            inner join pg_temp.fit_item as i on i.product_type = type_row.product_type and i.item = r.item
            left join lateral (
                select c.id, c.calculation_date, c.pre_shrinkage_days,
                    extract(epoch from c.calculation_date - c.inventory_period_start)::float8 / 86400 as days
                from core.calculation_data as c
                where c.nomenclature_id = i.nomenclature_id and c.is_valid_inventory_period and c.data_quality_flag <> 'filtered'
                  and not c.flags && array['unit_jump', 'identity_residual'] and not (type_row.has_ages and 'no_batch_ages' = any(c.flags))
                order by c.inventory_period_start desc limit 1
            ) as l on r.n_periods > 0;

            fits := fits || jsonb_build_object(type_row.product_type, (fit - 'items') || jsonb_build_object('holdout', held_out));
        end loop;
        update core.model_versions as m
        set parameters = jsonb_build_object('options', complete, 'types', fits), series_count = p.item_count, window_start = p.first,
            window_end = p.last
        from (
            select (select count(*) from core.coefficients as k where k.model_id = new_model_id and k.outcome <> 'failed') as item_count,
                min(f.calculation_date) as first, max(f.calculation_date) as last
            from pg_temp.fit_period as f
        ) as p
        where m.id = new_model_id;
        perform internal.deploy(new_model_id, 'deployed', 'a fit of shrinkage is in force at once');
        perform internal.fill_expectations();
        insert into core.data_lineage (process_name, input_records, output_records, status, execution_time_ms)
        select 'calculation', (select count(*) from core.calculation_data), count(*), 'success',
            extract(epoch from clock_timestamp() - started) * 1000
        from core.coefficients as c where c.model_id = new_model_id;
    end if;

    select count(*), count(*) filter (where c.outcome = 'fitted'), count(*) filter (where c.outcome = 'pooled'),
        count(*) filter (where c.outcome = 'type_curve'), count(*) filter (where c.outcome = 'failed')
    into item_count, fitted_count, pooled_count, type_curve_count, failed_count
    from core.coefficients as c
    where c.model_id = new_model_id;
    perform internal.close_run(run_id, 'succeeded', new_model_id, item_count::int,
        (select count(*) from core.calculation_data as c where c.is_valid_inventory_period),
        peak_memory_mb => case when status = 'fitted' then internal.peak_memory() end);
    duration_seconds := extract(epoch from clock_timestamp() - started);
    return next;
end
$$;

comment on function api.fit_shrinkage(jsonb) is
'Fits the shrinkage curve of every product, by product type, from all valid inventory periods; stores a version.

options: family (auto, exp, exp_linear, linear, power, peleg, weibull), b and c where they are known (1/day; fraction a day: one
number, or an object by product or product type), cv, kappa, default_b. Returns the version, status fitted or cached (same
periods, options and code: nothing is fitted), and how many products had which outcome. Raises 22023 for bad options, 55P03
while another fit runs. Can be cancelled; the version before stays. Example: select * from api.fit_shrinkage();';
