create function api.account_stock()
returns table (period_count bigint, changed_count bigint, removed_count bigint, review_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    started timestamptz := clock_timestamp();
    shortage_factor float8 := internal.setting('quality.shortage_factor');
    max_days float8 := internal.setting('stock.max_period_days');
    min_days float8 := internal.setting('stock.min_period_days');
    full_after float8 := internal.setting('confidence.full_after_days');
    review_from float8 := internal.setting('quality.review_probability');
    identity_tolerance numeric := internal.setting('stock.identity_tolerance_kg');
    tolerance numeric := internal.setting('stock.tolerance_kg');
begin
    -- Two accountings at once would each remove what the other adds.
    perform pg_advisory_xact_lock(x'57454949'::int);
    period_count := internal.derive_periods();

    create temp table if not exists flagged (
        like core.calculation_data, item_type text, resolution_kg numeric, mean_rate float8, is_proven_start boolean, loss_kg numeric
    ) on commit drop;
    truncate pg_temp.flagged;

    -- What statements say, to check against.
    create temp table if not exists control (
        nomenclature_id int, warehouse_id int, period_start timestamptz, period_end timestamptz, has_residual boolean, is_gap boolean,
        closing_layers text[], primary key (nomenclature_id, warehouse_id, period_start)
    ) on commit drop;
    truncate pg_temp.control;
    insert into pg_temp.control
    select b.nomenclature_id, b.warehouse_id, b.period_start, b.period_end,
        abs(b.opening_kg + b.incoming_kg - b.outgoing_kg - b.closing_kg) > identity_tolerance,
        coalesce(lag(b.closing_kg) over p <> b.opening_kg, false), l.layers
    from core.stock_balances as b
    left join (
        select y.nomenclature_id, y.warehouse_id, y.as_of,
            array_agg(row(y.batch_received_at, y.kg)::text order by y.batch_received_at) as layers
        from core.stock_layers as y
        where y.boundary = 'closing'
        group by y.nomenclature_id, y.warehouse_id, y.as_of
    ) as l on l.nomenclature_id = b.nomenclature_id and l.warehouse_id = b.warehouse_id and l.as_of = b.period_end
    where b.is_detailed
    window p as (partition by b.nomenclature_id, b.warehouse_id order by b.period_start);
    analyze pg_temp.control;

    -- Days on which anything was counted, in the calendar of the warehouse.
    create temp table if not exists counted_day (warehouse_id int, day date, primary key (warehouse_id, day)) on commit drop;
    truncate pg_temp.counted_day;
    insert into pg_temp.counted_day
    select distinct m.warehouse_id, (m.posted_at at time zone w.time_zone)::date
    from core.stock_movements as m
    inner join core.warehouses as w on w.id = m.warehouse_id
    where m.operation = 'stock_take';
    analyze pg_temp.counted_day;

    insert into pg_temp.flagged
        (id, source_data_id, nomenclature_id, warehouse_id, initial_balance, incoming, outgoing, final_balance, storage_days,
            calculation_date, data_quality_flag, inventory_period_start, inventory_period_end, is_valid_inventory_period,
            is_preliminary_forecast, pre_shrinkage_days, inventory_shrinkage_total, actual_deduction_batch, fifo_principle_applied,
            fifo_batch_sequence, mode, difference_kg, surplus_kg, surplus_applied_kg, kg_days, flags, count_sigma_kg, has_opening_count,
            term_mass, term_age_from, term_age_to, term_is_receipt, item_type, resolution_kg, mean_rate, is_proven_start, loss_kg,
            adjusted_shrinkage_rate, manual_review_required)
    with resolution as materialized (
        -- The coarsest step that every count of a type in a warehouse is a multiple of; a count of nothing says nothing.
        select q.product_type, q.warehouse_id, coalesce(max(q.step) filter (where q.divides_all), 0.001) as step
        from (
            select n.product_type, d.warehouse_id, r.step, bool_and(mod(d.closing_kg, r.step) = 0) as divides_all
            from pg_temp.derived as d
            inner join core.nomenclature as n on n.id = d.nomenclature_id
            cross join unnest(array[1, 0.5, 0.1, 0.05, 0.01, 0.002, 0.001]::numeric []) as r (step)
            where not d.is_open and d.closing_kg <> 0
            group by n.product_type, d.warehouse_id, r.step
        ) as q
        group by q.product_type, q.warehouse_id
    ), rate as materialized (
        -- What the type usually loses, from the data alone: no fitted curve, so that accounting does not hang on a fit.
        -- Where most counts find nothing the median is 0 and the mean stands in.
        select n.product_type, coalesce(
                nullif(percentile_cont(0.5) within group (order by d.shortage_kg / d.kg_days), 0), sum(d.shortage_kg) / sum(d.kg_days)
            ) as usual_rate
        from pg_temp.derived as d
        inner join core.nomenclature as n on n.id = d.nomenclature_id
        where d.kg_days > 0 and d.shortage_kg is not null
        group by n.product_type
        having count(*) >= 5
    ), suspect_file as materialized (
        -- Every row balances to zero: the differences were posted before the file was made. A difference within tolerance, but
        -- not zero, shows that they were not.
        select d.source_data_id
        from pg_temp.derived as d
        where d.mode = 'counted' and d.difference_kg is not null
        group by d.source_data_id
        having bool_and(abs(d.difference_kg) <= identity_tolerance)
    )
    select 0, d.source_data_id, d.nomenclature_id, d.warehouse_id, d.opening_kg, d.incoming_kg, d.outgoing_kg, d.closing_kg, d.storage_days,
        d.period_end, 'clean', d.period_start, case when d.is_open then null else d.period_end end, false,
        d.is_open, d.pre_shrinkage_days, case when f.source_data_id is null then d.shortage_kg end, d.deduction_batch, d.fifo_principle_applied,
        d.batch_sequence, d.mode, d.difference_kg, case when f.source_data_id is null then d.surplus_kg end, d.surplus_applied_kg, d.kg_days,
        array_remove(d.flags || array[
            case when f.source_data_id is not null then 'posted_without_documents' end,
            case when n.product_type = 'unknown' then 'unknown_product_type' end,
            case when d.shortage_kg > greatest(d.opening_kg + d.incoming_kg + d.surplus_applied_kg, 0) then 'shortage_over_available' end,
            case when d.surplus_kg > 0 then 'surplus_over_tolerance' end,
            case when d.mode <> 'open' and abs(d.difference_kg) > tolerance
                and internal.is_unit_jump(d.closing_kg, d.closing_kg - d.difference_kg) then 'unit_jump' end,
            case when d.kg_days > 0 and d.shortage_kg > shortage_factor * t.usual_rate * d.kg_days + tolerance then 'shortage_over_5x' end,
            case when d.mode <> 'open' and d.closing_kg > 0 and mod(d.closing_kg, 1) = 0 then 'round_count' end,
            case when (d.mode = 'posted' or d.mode = 'open' and d.closing_kg > 0) and exists (
                select from pg_temp.counted_day as c
                where c.warehouse_id = d.warehouse_id and c.day > (d.period_start at time zone w.time_zone)::date
                  and (c.day < (d.period_end at time zone w.time_zone)::date or d.is_open)
            ) then 'not_counted' end,
            case when d.mode = 'posted' and exists (
                select from pg_temp.control as s
                where s.nomenclature_id = d.nomenclature_id and s.warehouse_id = d.warehouse_id and s.has_residual
                  and s.period_start < d.period_end and s.period_end > d.period_start
            ) then 'identity_residual' end,
            case when d.mode = 'posted' and exists (
                select from pg_temp.control as s
                where s.nomenclature_id = d.nomenclature_id and s.warehouse_id = d.warehouse_id and s.is_gap
                  and s.period_start >= d.period_start and s.period_start < d.period_end
            ) and not 'gap_between_periods' = any(d.flags) then 'gap_between_periods' end,
            -- The statement closes right after this count: its batches must be ours.
            case when d.mode = 'posted' and exists (
                select from pg_temp.control as s
                where s.nomenclature_id = d.nomenclature_id and s.warehouse_id = d.warehouse_id and s.closing_layers is not null
                  and s.period_end > d.period_end and s.period_end <= d.period_end + interval '1 day'
                  and not exists (
                      select from core.stock_movements as m
                      where m.nomenclature_id = d.nomenclature_id and m.warehouse_id = d.warehouse_id
                        and m.posted_at > d.period_end and m.posted_at < s.period_end
                  )
                  and s.closing_layers is distinct from (
                      select array_agg(row((timestamp 'epoch' + (b.layer ->> 'received_at')::bigint * interval '1 second') at time zone w.time_zone,
                          (b.layer ->> 'closing')::numeric(14, 3))::text order by (b.layer ->> 'received_at')::bigint)
                      from jsonb_array_elements(d.batch_sequence) as b (layer)
                      where (b.layer ->> 'closing')::numeric > 0
                  )
            ) then 'layer_mismatch' end,
            case when d.mode = 'counted' and (o.latest_end > d.period_start or o.next_start < d.period_end) then 'overlapping_period' end,
            case when d.mode = 'counted' and (o.previous_end < d.period_start or o.previous_closing <> d.opening_kg) then 'gap_between_periods' end
        ], null),
        internal.count_sigma(coalesce(r.step, 0.001)), d.has_opening_count,
        d.term_mass, d.term_age_from, d.term_age_to, d.term_is_receipt, n.product_type, r.step, t.usual_rate, d.is_proven_start, d.loss_kg,
        null, false
    from pg_temp.derived as d
    inner join core.nomenclature as n on n.id = d.nomenclature_id
    inner join core.warehouses as w on w.id = d.warehouse_id
    left join resolution as r on r.product_type = n.product_type and r.warehouse_id = d.warehouse_id
    left join rate as t on t.product_type = n.product_type
    left join suspect_file as f on f.source_data_id = d.source_data_id and d.mode = 'counted'
    left join (
        select c.nomenclature_id, c.warehouse_id, c.period_start, c.period_end,
            lag(c.period_end) over q as previous_end, lag(c.closing_kg) over q as previous_closing,
            -- The one before may lie inside a longer one.
            max(c.period_end) over (q rows between unbounded preceding and 1 preceding) as latest_end, lead(c.period_start) over q as next_start
        from pg_temp.derived as c where c.mode = 'counted'
        window q as (partition by c.nomenclature_id, c.warehouse_id order by c.period_start, c.period_end)
    ) as o on o.nomenclature_id = d.nomenclature_id and o.warehouse_id = d.warehouse_id
        and o.period_start = d.period_start and o.period_end = d.period_end and d.mode = 'counted';

    -- Few combinations of flags occur: each is judged once.
    with verdict as materialized (
        select k.flags, internal.human_error_probability(k.flags) as probability,
            (
                select coalesce(max(array_position(array['low', 'medium', 'high', 'critical'], f.severity)), 0)
                from core.quality_flag as f where f.flag = any(k.flags)
            ) as worst
        from (select distinct d.flags from pg_temp.flagged as d) as k
    )
    update pg_temp.flagged as g
    set human_error_probability = p.probability,
        validation_errors = nullif(array_to_string(g.flags, ', '), ''),
        manual_review_required = p.probability >= review_from or p.worst >= 4,
        data_quality_flag = case
            when g.mode = 'open' then 'forecast' when p.worst >= 4 then 'filtered' when p.worst >= 2 then 'dirty' else 'clean' end,
        is_valid_inventory_period = g.mode <> 'open' and g.has_opening_count and g.difference_kg is not null
            and extract(epoch from g.inventory_period_end - g.inventory_period_start) / 86400 between min_days - 0.01 and max_days
            and not g.flags && array['overlapping_period', 'negative_stock', 'negative_value', 'posted_without_documents'],
        inventory_confidence = internal.inventory_confidence(
            g.is_proven_start and not 'gap_between_periods' = any(g.flags), g.mode <> 'open' and g.difference_kg is not null,
            extract(epoch from g.calculation_date - g.inventory_period_start) / 86400, g.count_sigma_kg,
            coalesce(g.loss_kg, 0)::float8, p.probability, full_after)
    from verdict as p
    where p.flags = g.flags;

    create temp table if not exists resolved_flag (
        nomenclature_id int, warehouse_id int, inventory_period_start timestamptz, flag text, resolution_date timestamptz, resolved_by text, notes text
    ) on commit drop;
    truncate pg_temp.resolved_flag;
    with gone as (
        delete from core.calculation_data as c
        where not exists (
            select from pg_temp.flagged as g
            where g.nomenclature_id = c.nomenclature_id and g.warehouse_id = c.warehouse_id
              and g.inventory_period_start = c.inventory_period_start and g.calculation_date = c.calculation_date
        )
        returning c.id, c.calculation_date, c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.mode
    ), cleared as (
        delete from core.validation_errors as e using gone as o
        where e.calculation_data_id = o.id and e.calculation_date = o.calculation_date
        returning o.nomenclature_id, o.warehouse_id, o.inventory_period_start, o.mode, e.flag, e.resolved, e.resolution_date, e.resolved_by, e.notes
    ), kept as (
        -- An open period is another row as soon as something moves; what a person said of it still holds.
        insert into pg_temp.resolved_flag
        select d.nomenclature_id, d.warehouse_id, d.inventory_period_start, d.flag, d.resolution_date, d.resolved_by, d.notes
        from cleared as d
        where d.mode = 'open' and d.resolved and d.flag is not null
    ), unlinked as (
        update core.coefficients as k set calculation_data_id = null, calculation_data_date = null
        from gone as o where k.calculation_data_id = o.id and k.calculation_data_date = o.calculation_date
    ), unlinked_forecast as (
        update core.preliminary_forecasts as f set calculation_data_id = null, calculation_date = null
        from gone as o where f.calculation_data_id = o.id and f.calculation_date = o.calculation_date
    )
    select count(*) into removed_count from gone;

    with stored as (
        insert into core.calculation_data as c
            (source_data_id, nomenclature_id, warehouse_id, initial_balance, incoming, outgoing, final_balance, storage_days,
                calculation_date, data_quality_flag, inventory_confidence, inventory_period_start, inventory_period_end,
                is_valid_inventory_period, is_preliminary_forecast, human_error_probability, validation_errors, manual_review_required,
                pre_shrinkage_days, inventory_shrinkage_total, actual_deduction_batch, fifo_principle_applied, fifo_batch_sequence, mode,
                difference_kg, surplus_kg, surplus_applied_kg, kg_days, flags, count_sigma_kg, has_opening_count,
                term_mass, term_age_from, term_age_to, term_is_receipt)
        -- A count at the very start closes a period of no length; what is open after it has the same key until something moves.
        select distinct on (g.nomenclature_id, g.warehouse_id, g.inventory_period_start, g.calculation_date)
            g.source_data_id, g.nomenclature_id, g.warehouse_id, g.initial_balance, g.incoming, g.outgoing, g.final_balance,
            g.storage_days, g.calculation_date, g.data_quality_flag, g.inventory_confidence, g.inventory_period_start,
            g.inventory_period_end, g.is_valid_inventory_period, g.is_preliminary_forecast, g.human_error_probability,
            g.validation_errors, g.manual_review_required, g.pre_shrinkage_days, g.inventory_shrinkage_total, g.actual_deduction_batch,
            g.fifo_principle_applied, g.fifo_batch_sequence, g.mode, g.difference_kg, g.surplus_kg, g.surplus_applied_kg, g.kg_days,
            g.flags, g.count_sigma_kg, g.has_opening_count, g.term_mass, g.term_age_from, g.term_age_to, g.term_is_receipt
        from pg_temp.flagged as g
        order by g.nomenclature_id, g.warehouse_id, g.inventory_period_start, g.calculation_date, g.mode desc
        on conflict (nomenclature_id, warehouse_id, inventory_period_start, calculation_date) do update
        set source_data_id = excluded.source_data_id, initial_balance = excluded.initial_balance, incoming = excluded.incoming,
            outgoing = excluded.outgoing, final_balance = excluded.final_balance, storage_days = excluded.storage_days,
            data_quality_flag = excluded.data_quality_flag, inventory_confidence = excluded.inventory_confidence,
            inventory_period_end = excluded.inventory_period_end, is_valid_inventory_period = excluded.is_valid_inventory_period,
            is_preliminary_forecast = excluded.is_preliminary_forecast, human_error_probability = excluded.human_error_probability,
            validation_errors = excluded.validation_errors, manual_review_required = excluded.manual_review_required,
            pre_shrinkage_days = excluded.pre_shrinkage_days, inventory_shrinkage_total = excluded.inventory_shrinkage_total,
            actual_deduction_batch = excluded.actual_deduction_batch, fifo_principle_applied = excluded.fifo_principle_applied,
            fifo_batch_sequence = excluded.fifo_batch_sequence, mode = excluded.mode, difference_kg = excluded.difference_kg,
            surplus_kg = excluded.surplus_kg, surplus_applied_kg = excluded.surplus_applied_kg, kg_days = excluded.kg_days,
            flags = excluded.flags, count_sigma_kg = excluded.count_sigma_kg, has_opening_count = excluded.has_opening_count,
            term_mass = excluded.term_mass, term_age_from = excluded.term_age_from, term_age_to = excluded.term_age_to,
            term_is_receipt = excluded.term_is_receipt,
            -- What a curve said of the old figures no longer holds; the next fit fills it again.
            pre_shrinkage_amount = null, adjusted_shrinkage_rate = null
        where (c.source_data_id, c.initial_balance, c.incoming, c.outgoing, c.final_balance, c.difference_kg, c.surplus_applied_kg,
                c.inventory_shrinkage_total, c.flags, c.inventory_confidence, c.is_valid_inventory_period, c.has_opening_count,
                c.fifo_batch_sequence, c.term_mass, c.term_age_from, c.term_age_to, c.mode, c.pre_shrinkage_days, c.manual_review_required,
                c.count_sigma_kg, c.data_quality_flag, c.inventory_period_end, c.storage_days)
            is distinct from
            (excluded.source_data_id, excluded.initial_balance, excluded.incoming, excluded.outgoing, excluded.final_balance,
                excluded.difference_kg, excluded.surplus_applied_kg, excluded.inventory_shrinkage_total, excluded.flags,
                excluded.inventory_confidence, excluded.is_valid_inventory_period, excluded.has_opening_count,
                excluded.fifo_batch_sequence, excluded.term_mass, excluded.term_age_from, excluded.term_age_to, excluded.mode,
                excluded.pre_shrinkage_days, excluded.manual_review_required, excluded.count_sigma_kg, excluded.data_quality_flag,
                excluded.inventory_period_end, excluded.storage_days)
        returning id
    ), forgotten as (
        -- Nor does what a curve expects of them.
        delete from core.period_expectation as e using stored as s where e.calculation_data_id = s.id
    )
    select count(*) into changed_count from stored;

    -- One row a flag and period; what is no longer flagged and was not dealt with by a person goes.
    delete from core.validation_errors as e
    using core.calculation_data as c
    where e.calculation_data_id = c.id and e.calculation_date = c.calculation_date and not e.resolved
      and e.detected_by = 'validation_rule' and not e.flag = any(c.flags);
    insert into core.validation_errors
        (calculation_data_id, calculation_date, error_type, description, severity_level, flag, source_data_id)
    select c.id, c.calculation_date, f.error_type, f.description, f.severity, f.flag, c.source_data_id
    from core.calculation_data as c
    cross join lateral unnest(c.flags) as u (flag)
    inner join core.quality_flag as f on f.flag = u.flag
    on conflict (calculation_data_id, calculation_date, flag) where calculation_data_id is not null do nothing;
    update core.validation_errors as e
    set resolved = true, resolution_date = r.resolution_date, resolved_by = r.resolved_by, notes = r.notes
    from pg_temp.resolved_flag as r
    inner join core.calculation_data as c
        on c.nomenclature_id = r.nomenclature_id and c.warehouse_id = r.warehouse_id and c.inventory_period_start = r.inventory_period_start
    where e.calculation_data_id = c.id and e.calculation_date = c.calculation_date and e.flag = r.flag and not e.resolved;

    delete from core.batches as b
    where not exists (
        select from core.stock_movements as m
        where m.nomenclature_id = b.nomenclature_id and m.warehouse_id = b.warehouse_id and m.operation = 'receipt'
          and m.batch_received_at = b.received_at
    );
    insert into core.batches as b (nomenclature_id, warehouse_id, received_at, documented_kg, surplus_applied, surplus_source)
    with in_force as materialized (
        select f.* from internal.surplus_in_force() as f
    )
    select m.nomenclature_id, m.warehouse_id, m.batch_received_at, sum(m.in_kg),
        -- Receipts of one batch on different days may differ: then by mass.
        case
            when min(coalesce(s.surplus, 0)) = max(coalesce(s.surplus, 0)) then min(coalesce(s.surplus, 0))
            else coalesce((sum(m.in_kg * s.surplus::numeric) / nullif(sum(m.in_kg), 0))::float8, 0)
        end,
        case when min(s.source) < max(s.source) then min(s.source) || ', ' || max(s.source) else min(s.source) end
    from core.stock_movements as m
    inner join core.warehouses as w on w.id = m.warehouse_id
    left join in_force as s
        on s.nomenclature_id = m.nomenclature_id
        and (m.posted_at at time zone w.time_zone)::date between s.first_day and s.last_day
        and (s.month is null or s.month = extract(month from m.posted_at at time zone w.time_zone))
    where m.operation = 'receipt' and m.batch_received_at is not null
    group by m.nomenclature_id, m.warehouse_id, m.batch_received_at
    on conflict (nomenclature_id, warehouse_id, received_at) do update
        set documented_kg = excluded.documented_kg, surplus_applied = excluded.surplus_applied, surplus_source = excluded.surplus_source
        where (b.documented_kg, b.surplus_applied, b.surplus_source)
            is distinct from (excluded.documented_kg, excluded.surplus_applied, excluded.surplus_source);

    -- Share of the mass in rows nothing is wrong with.
    update core.source_data as s
    set processed = true, quality_score = coalesce(q.score, 0)
    from (
        select c.source_data_id,
            sum((coalesce(c.initial_balance, 0) + c.incoming)::float8) filter (where c.data_quality_flag in ('clean', 'forecast'))
                / nullif(sum((coalesce(c.initial_balance, 0) + c.incoming)::float8), 0) as score
        from core.calculation_data as c
        where c.source_data_id is not null
        group by c.source_data_id
    ) as q
    where q.source_data_id = s.id and (not s.processed or s.quality_score is distinct from coalesce(q.score, 0));
    update core.source_data as s set processed = true where not s.processed and s.undone_at is null;

    select count(*) into review_count from core.calculation_data as c where c.manual_review_required;
    if changed_count + removed_count > 0 then
        insert into core.data_lineage (process_name, input_records, output_records, status, execution_time_ms)
        values ('calculation', period_count, changed_count, 'success', extract(epoch from clock_timestamp() - started) * 1000);
    end if;
    return next;
end
$$;

comment on function api.account_stock() is
'Derives every inventory period from the facts: FIFO, shortages, flags, confidence; writes calculation_data, batches, validation_errors.

Recomputing changes nothing: a row is written only where a figure differs. Returns the periods derived, rows changed, rows
removed because their facts are gone, and rows in review. One accounting runs at a time. Example: select * from api.account_stock();';
