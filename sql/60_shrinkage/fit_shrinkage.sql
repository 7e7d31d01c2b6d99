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
begin
    if jsonb_typeof(options) is distinct from 'object' then
        raise exception 'options are not an object' using errcode = '22023', hint = 'As {"family": "exp"}.';
    end if;
    select string_agg(k.key, ', ') into unknown
    from jsonb_object_keys(options) as k (key) where k.key not in ('family', 'b', 'c', 'cv', 'kappa', 'default_b');
    if unknown is not null then
        raise exception 'unknown option %', unknown using errcode = '22023', hint = 'Known are family, b, c, cv, kappa, default_b.';
    end if;
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
    fit jsonb;
    fits jsonb := '{}';
    hash text;
    known_model core.models;
    new_model_id int;
begin
    perform internal.check_fit_options(options);
    if not pg_try_advisory_xact_lock(x'5745494a'::int) then
        raise exception 'a fit of shrinkage is running already'
            using errcode = '55P03', hint = 'Wait for it: its version will be the newest.';
    end if;
    complete := jsonb_build_object(
        'family', internal.setting_text('fit.family'), 'cv', internal.setting('fit.cv'), 'kappa', internal.setting('fit.kappa_kg_days'),
        'default_b', internal.setting('fit.default_b')
    ) || options;

    -- Content decides: the same periods, options and code are the same version, and nothing is fitted.
    select encode(sha256(convert_to(complete::text || coalesce((select m.sha256 from core.python_module as m limit 1), ''), 'UTF8')
        || coalesce(string_agg(p.row_hash, ''::bytea order by p.nomenclature_id, p.warehouse_id, p.inventory_period_start, p.calculation_date), '')), 'hex')
    into hash
    from (
        select c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.calculation_date,
            sha256(convert_to(concat_ws('|', extract(epoch from c.inventory_period_start), extract(epoch from c.calculation_date), c.difference_kg,
                c.surplus_applied_kg, c.inventory_confidence, c.count_sigma_kg, c.kg_days, c.is_valid_inventory_period, c.data_quality_flag), 'UTF8')
                || coalesce(array_send(c.term_mass) || array_send(c.term_age_from) || array_send(c.term_age_to), '')) as row_hash
        from core.calculation_data as c
        union all
        select n.id, 0, null, null, sha256(convert_to(concat_ws('|', n.product_type, n.name), 'UTF8')) from core.nomenclature as n
    ) as p;

    select m.* into known_model from core.models as m where m.name = 'shrinkage' order by m.version desc limit 1;
    if known_model.data_hash = hash then
        version := known_model.version;
        status := 'cached';
    else
        insert into core.models (name, model_type, description, version, data_hash)
        values ('shrinkage', 'shrinkage_curve', 'Loss by drying as a function of age, one curve a product.',
            coalesce(known_model.version, 0) + 1, hash)
        returning models.id, models.version into new_model_id, version;
        status := 'fitted';

        create temp table if not exists fit_item (
            nomenclature_id int, product_type text, item int, given_b float8, given_c float8
        ) on commit drop;
        truncate pg_temp.fit_item;
        insert into pg_temp.fit_item
        select n.id, n.product_type, (row_number() over (partition by n.product_type order by n.id))::int - 1,
            internal.given_coefficient(complete -> 'b', n.name, n.product_type), internal.given_coefficient(complete -> 'c', n.name, n.product_type)
        from core.nomenclature as n;
        analyze pg_temp.fit_item;

        for type_row in
            select i.product_type, count(*)::int as n_items,
                array_agg(i.given_b order by i.item) as given_b, array_agg(i.given_c order by i.item) as given_c,
                (
                    select m.factor_b from core.product_type_mapping as m
                    where m.product_type = i.product_type order by m.rule_order limit 1
                ) as factor_b
            from pg_temp.fit_item as i
            group by i.product_type
            order by i.product_type
        loop
            -- Valid periods that nothing critical is wrong with; the confidence is the weight.
            select internal.fit_curves(
                p.item, p.loss, p.kg_days, p.weight, p.sigma, p.counts, p.term_mass, p.term_age_from, p.term_age_to, type_row.n_items,
                complete || jsonb_build_object('default_b', (complete ->> 'default_b')::float8 * coalesce(type_row.factor_b, 1)),
                type_row.given_b, type_row.given_c
            )::jsonb
            into fit
            from (
                select string_agg(int4send(i.item), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as item,
                    string_agg(float8send((c.surplus_applied_kg - c.difference_kg)::float8), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as loss,
                    string_agg(float8send(c.kg_days), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as kg_days,
                    string_agg(float8send(c.inventory_confidence), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as weight,
                    string_agg(float8send(c.count_sigma_kg), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as sigma,
                    string_agg(int4send(cardinality(c.term_mass)), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as counts,
                    string_agg(array_send(c.term_mass), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as term_mass,
                    string_agg(array_send(c.term_age_from), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as term_age_from,
                    string_agg(array_send(c.term_age_to), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as term_age_to
                from pg_temp.fit_item as i
                inner join core.calculation_data as c on c.nomenclature_id = i.nomenclature_id
                where i.product_type = type_row.product_type and c.is_valid_inventory_period and c.data_quality_flag <> 'filtered'
                  and not c.flags && array['unit_jump', 'identity_residual']
            ) as p;

            insert into core.coefficients
                (model_id, nomenclature_id, calculation_data_id, calculation_data_date, coefficient_a, coefficient_b, coefficient_c,
                    accuracy_r2, adjusted_for_pre_shrinkage, pre_shrinkage_factor, effective_shrinkage_rate, family, parameters,
                    se_a, se_b, se_c, age_min, age_max, period_count, b_is_identified, outcome, reason)
            select new_model_id, i.nomenclature_id, l.id, l.calculation_date, r.a, r.b, r.c, r.r2,
                coalesce(l.pre_shrinkage_days is not null, false),
                case when l.pre_shrinkage_days is null then 1 else
                    internal.batch_loss(r.family, r.a, r.b, r.c, l.pre_shrinkage_days, l.days)
                        / nullif(internal.batch_loss(r.family, r.a, r.b, r.c, 0, l.days), 0) end,
                internal.batch_loss(r.family, r.a, r.b, r.c, coalesce(l.pre_shrinkage_days, 0), l.days) / nullif(l.days, 0),
                r.family, coalesce(r.parameters, '{}') || jsonb_build_object('pull', r.pull), r.se_a, r.se_b, r.se_c, r.age_min, r.age_max,
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
                order by c.inventory_period_start desc limit 1
            ) as l on r.n_periods > 0;

            fits := fits || jsonb_build_object(type_row.product_type, fit - 'items');
        end loop;
        update core.models as m set parameters = jsonb_build_object('options', complete, 'types', fits) where m.id = new_model_id;
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
    inner join core.models as m on m.id = c.model_id
    where m.name = 'shrinkage' and m.version = fit_shrinkage.version;
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
