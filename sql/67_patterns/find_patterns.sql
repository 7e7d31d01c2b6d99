create function api.find_patterns()
returns table (
    period_count bigint, found_count bigint, new_count bigint, changed_count bigint, closed_count bigint, decided_count bigint,
    duration_seconds float8
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    started timestamptz := clock_timestamp();
    options jsonb;
    findings jsonb;
begin
    -- Two searches at once would each close what the other opens.
    perform pg_advisory_xact_lock(x'57454950'::int);
    select jsonb_object_agg(substr(s.name, length('patterns.') + 1), s.value)
        || jsonb_build_object('tolerance_kg', internal.setting('stock.tolerance_kg'), 'cv', internal.setting('fit.cv'))
    into options
    from core.settings as s where s.name like 'patterns.%';

    -- The periods a fit would use, whether or not their size is certain; a misplaced decimal point is in review already, and
    -- would pass for a trend, a season or a shift.
    create temp table if not exists pattern_period (
        place int, series int, nomenclature_id int, warehouse_id int, started_at timestamptz, counted_at timestamptz, day date,
        loss float8, counted float8, kg_days float8, sigma float8, term_mass float8[], term_age_from float8[], term_age_to float8[]
    ) on commit drop;
    truncate pg_temp.pattern_period;
    insert into pg_temp.pattern_period
    select row_number() over (order by c.nomenclature_id, c.warehouse_id, c.calculation_date, c.inventory_period_start) - 1,
        dense_rank() over (order by c.nomenclature_id, c.warehouse_id) - 1, c.nomenclature_id, c.warehouse_id, c.inventory_period_start,
        c.calculation_date,
        -- A count at midnight closes the day, and the month, before.
        ((c.calculation_date - interval '1 second') at time zone w.time_zone)::date,
        (c.surplus_applied_kg - c.difference_kg)::float8, c.final_balance::float8, c.kg_days, c.count_sigma_kg,
        -- Without terms of equal length there is nothing to expect.
        case when t.is_whole then c.term_mass else '{}' end, case when t.is_whole then c.term_age_from else '{}' end,
        case when t.is_whole then c.term_age_to else '{}' end
    from core.calculation_data as c
    inner join core.warehouses as w on w.id = c.warehouse_id
    cross join lateral (
        select coalesce(case
            when cardinality(c.term_mass) = cardinality(c.term_age_from) and cardinality(c.term_mass) = cardinality(c.term_age_to)
                then array_position(c.term_mass || c.term_age_from || c.term_age_to, null) is null
        end, false) as is_whole
        offset 0
    ) as t
    where c.is_valid_inventory_period and c.data_quality_flag <> 'filtered' and not c.flags && array['unit_jump', 'identity_residual']
      and c.difference_kg is not null and c.kg_days > 0 and c.count_sigma_kg is not null;
    get diagnostics period_count = row_count;
    analyze pg_temp.pattern_period (place, series);

    create temp table if not exists pattern_series (
        series int primary key, nomenclature_id int, warehouse_id int, kind int, family text, a float8, b float8, c float8
    ) on commit drop;
    truncate pg_temp.pattern_series;
    insert into pg_temp.pattern_series
    select s.series, s.nomenclature_id, s.warehouse_id, dense_rank() over (order by n.product_type) - 1, k.family, k.coefficient_a,
        k.coefficient_b, k.coefficient_c
    from (select distinct p.series, p.nomenclature_id, p.warehouse_id from pg_temp.pattern_period as p) as s
    inner join core.nomenclature as n on n.id = s.nomenclature_id
    left join (
        select f.* from core.coefficients as f
        inner join core.model_versions as m on m.id = f.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where f.outcome <> 'failed'
    ) as k on k.nomenclature_id = s.nomenclature_id;
    analyze pg_temp.pattern_series;

    select internal.search_patterns(
        p.series, p.kind, p.warehouse, p.started_at, p.counted_at, p.day, p.loss, p.counted, p.kg_days, p.sigma, p.counts, p.term_mass,
        p.term_age_from, p.term_age_to, s.family, s.a, s.b, s.c, r.warehouse, r.time, r.temperature, r.humidity, options
    )::jsonb
    into findings
    from (
        select string_agg(int4send(q.series), ''::bytea order by q.place) as series,
            string_agg(int4send(k.kind), ''::bytea order by q.place) as kind,
            string_agg(int4send(q.warehouse_id), ''::bytea order by q.place) as warehouse,
            string_agg(float8send(extract(epoch from q.started_at)::float8), ''::bytea order by q.place) as started_at,
            string_agg(float8send(extract(epoch from q.counted_at)::float8), ''::bytea order by q.place) as counted_at,
            string_agg(int4send(q.day - date '1970-01-01'), ''::bytea order by q.place) as day,
            string_agg(float8send(q.loss), ''::bytea order by q.place) as loss,
            string_agg(float8send(coalesce(q.counted, 'nan')), ''::bytea order by q.place) as counted,
            string_agg(float8send(q.kg_days), ''::bytea order by q.place) as kg_days,
            string_agg(float8send(q.sigma), ''::bytea order by q.place) as sigma,
            string_agg(int4send(cardinality(q.term_mass)), ''::bytea order by q.place) as counts,
            string_agg(array_send(q.term_mass), ''::bytea order by q.place) as term_mass,
            string_agg(array_send(q.term_age_from), ''::bytea order by q.place) as term_age_from,
            string_agg(array_send(q.term_age_to), ''::bytea order by q.place) as term_age_to
        from pg_temp.pattern_period as q
        inner join pg_temp.pattern_series as k on k.series = q.series
    ) as p
    cross join (
        select array_agg(x.family order by x.series) as family, array_agg(x.a order by x.series) as a,
            array_agg(x.b order by x.series) as b, array_agg(x.c order by x.series) as c
        from pg_temp.pattern_series as x
    ) as s
    cross join (
        select string_agg(int4send(x.warehouse_id), ''::bytea order by x.warehouse_id, x.time) as warehouse,
            string_agg(float8send(extract(epoch from x.time)::float8), ''::bytea order by x.warehouse_id, x.time) as time,
            string_agg(float8send(coalesce(x.temperature_c, 'nan')), ''::bytea order by x.warehouse_id, x.time) as temperature,
            string_agg(float8send(coalesce(x.humidity_percent, 'nan')), ''::bytea order by x.warehouse_id, x.time) as humidity
        from core.climate_readings as x
    ) as r;

    create temp table if not exists pattern_found (
        pattern_key text primary key, pattern_type text, subtype text, description text, confidence_level float8,
        affected_nomenclature int[], warehouse_id int, period_start timestamptz, period_end timestamptz, pattern_data jsonb
    ) on commit drop;
    truncate pg_temp.pattern_found;
    insert into pg_temp.pattern_found
    select concat_ws('/', f.subtype, s.nomenclature_id, s.warehouse_id,
            case f.subtype
                when 'rate' then extract(epoch from p.counted_at)::bigint::text
                when 'misgrading' then o.nomenclature_id || '/' || extract(epoch from p.counted_at)::bigint
                -- Where exactly the level changed moves a little with every new count.
                when 'level_shift' then
                    case when (f.data ->> 'actual_after_kg')::float8 - (f.data ->> 'expected_after_kg')::float8 > 0 then 'up/' else 'down/' end
                    || extract(year from p.day)
                when 'temperature' then sign((f.data ->> 'rho')::float8)::text
                when 'humidity' then sign((f.data ->> 'rho')::float8)::text
            end),
        f.data ->> 'type', f.subtype,
        internal.describe_pattern(f.data, n.name, m.name, w.name, coalesce(b.day, e.first_day), coalesce(p.day, e.last_day)),
        (f.data ->> 'confidence')::float8, array_remove(array[s.nomenclature_id, o.nomenclature_id], null), s.warehouse_id,
        case when f.subtype = 'level_shift' then p.counted_at else coalesce(b.started_at, p.started_at, e.started_at) end,
        case when f.subtype <> 'level_shift' then coalesce(p.counted_at, e.counted_at) end,
        f.data - 'type' - 'subtype' - 'confidence' - 'row' - 'row_from' - 'other_row' - 'series' || jsonb_build_object('thresholds', options)
    from (
        select v.data, v.data ->> 'subtype' as subtype, (v.data ->> 'row')::int as place, (v.data ->> 'row_from')::int as place_from,
            (v.data ->> 'other_row')::int as other_place, (v.data ->> 'series')::int as series
        from jsonb_array_elements(findings) as v (data)
    ) as f
    left join pg_temp.pattern_period as p on p.place = f.place
    left join pg_temp.pattern_period as b on b.place = f.place_from
    left join pg_temp.pattern_period as o on o.place = f.other_place
    inner join pg_temp.pattern_series as s on s.series = coalesce(f.series, p.series)
    inner join core.nomenclature as n on n.id = s.nomenclature_id
    left join core.nomenclature as m on m.id = o.nomenclature_id
    inner join core.warehouses as w on w.id = s.warehouse_id
    left join (
        select q.series, min(q.day) as first_day, max(q.day) as last_day, min(q.started_at) as started_at, max(q.counted_at) as counted_at
        from pg_temp.pattern_period as q
        group by q.series
    ) as e on e.series = s.series;
    get diagnostics found_count = row_count;
    analyze pg_temp.pattern_found;

    select count(*) filter (where a.id is null), count(*) filter (where a.decided_by is not null)
    into new_count, decided_count
    from pg_temp.pattern_found as f
    left join core.ai_patterns as a on a.pattern_key = f.pattern_key;

    -- A change of level and a mix-up are events of one count, as odd rates are: anomalies by type, told apart by subtype.
    -- What a person closed or accepted stays as it is; what is seen again after it had gone is open again.
    insert into core.ai_patterns as a (pattern_key, pattern_type, subtype, description, confidence_level, affected_nomenclature,
        warehouse_id, period_start, period_end, pattern_data)
    select f.pattern_key, f.pattern_type, f.subtype, f.description, f.confidence_level, f.affected_nomenclature, f.warehouse_id,
        f.period_start, f.period_end, f.pattern_data
    from pg_temp.pattern_found as f
    order by f.pattern_key
    on conflict (pattern_key) do update
    set description = excluded.description, confidence_level = excluded.confidence_level, period_start = excluded.period_start,
        period_end = excluded.period_end, pattern_data = excluded.pattern_data, status = 'open', closed_at = null
    where a.decided_by is null and (
        (a.description, a.confidence_level, a.period_start, a.period_end, a.pattern_data)
        is distinct from
        (excluded.description, excluded.confidence_level, excluded.period_start, excluded.period_end, excluded.pattern_data)
        or a.status <> 'open'
    );
    get diagnostics changed_count = row_count;
    changed_count := changed_count - new_count;

    update core.ai_patterns as a
    set status = 'closed', closed_at = clock_timestamp()
    where a.status = 'open' and not exists (select from pg_temp.pattern_found as f where f.pattern_key = a.pattern_key);
    get diagnostics closed_count = row_count;
    duration_seconds := extract(epoch from clock_timestamp() - started);
    return next;
end
$$;

comment on function api.find_patterns() is
'Looks through the valid inventory periods of all products for what people should know; the result is in bi.pattern.

Anomalies (a rate beside those of its type, warehouse and week or month), lasting changes of level, pairs of products that may have
been taken for each other, trends, seasons, correlations with the climate (api.add_climate_readings). Thresholds: core.settings,
patterns.%. Finding the same again changes nothing; what is no longer found is closed; what a person closed or accepted stays.
Returns periods looked at; patterns found, of these new, changed, and decided by a person before; closed; seconds. One search runs at
a time; it can be cancelled. Example: select * from api.find_patterns();';
