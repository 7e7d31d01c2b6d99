create function internal.derive_periods()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    tolerance bigint := (internal.setting('stock.tolerance_kg') * 1000)::bigint;
    max_age int := internal.setting('stock.max_age_days')::int;
    opening_counts boolean := internal.setting_text('stock.opening_balance_is_count')::boolean;
    derived_count bigint;
begin
    create temp table if not exists derived (
        nomenclature_id int, warehouse_id int, mode text, source_data_id int,
        period_start timestamptz, period_end timestamptz, is_open boolean, has_opening_count boolean, is_proven_start boolean,
        opening_kg numeric, incoming_kg numeric, outgoing_kg numeric, closing_kg numeric, difference_kg numeric,
        surplus_applied_kg numeric, loss_kg numeric, shortage_kg numeric, surplus_kg numeric, storage_days int, kg_days float8,
        pre_shrinkage_days float8, fifo_principle_applied boolean, deduction_batch timestamptz, flags text[], batch_sequence jsonb,
        term_mass float8[], term_age_from float8[], term_age_to float8[], term_is_receipt boolean[]
    ) on commit drop;
    truncate pg_temp.derived;

    -- Movements: one call for each product, warehouse and unbroken run of statements. A statement that does not follow the
    -- one before opens a new run from its own batches; movements without statements are one run.
    insert into pg_temp.derived
    with run as materialized (
        select b.nomenclature_id, b.warehouse_id, b.period_start as starts_at, b.opening_kg,
            coalesce(lead(b.period_start) over by_product, 'infinity') as ends_at
        from (
            select s.nomenclature_id, s.warehouse_id, s.period_start, s.opening_kg,
                lag(s.period_end) over (partition by s.nomenclature_id, s.warehouse_id order by s.period_start) as previous_end
            from core.stock_balances as s where s.is_detailed
        ) as b
        where b.previous_end is null or b.previous_end < b.period_start
        window by_product as (partition by b.nomenclature_id, b.warehouse_id order by b.period_start)
    ), opening as materialized (
        select r.nomenclature_id, r.warehouse_id, r.starts_at,
            array_agg(extract(epoch from l.batch_received_at at time zone w.time_zone)::bigint order by l.batch_received_at) as batch,
            array_agg((l.kg * 1000)::bigint order by l.batch_received_at) as grams
        from run as r
        inner join core.warehouses as w on w.id = r.warehouse_id
        inner join core.stock_layers as l
            on l.nomenclature_id = r.nomenclature_id and l.warehouse_id = r.warehouse_id and l.as_of = r.starts_at and l.boundary = 'opening'
        group by r.nomenclature_id, r.warehouse_id, r.starts_at
    ), in_force as materialized (
        select f.* from internal.surplus_in_force() as f
    ), moved as materialized (
        select m.nomenclature_id, m.warehouse_id, r.starts_at,
            array_agg(extract(epoch from m.posted_at at time zone w.time_zone)::bigint order by m.posted_at, m.line) as moved_at,
            array_agg(m.operation order by m.posted_at, m.line) as operation,
            array_agg(extract(epoch from m.batch_received_at at time zone w.time_zone)::bigint order by m.posted_at, m.line) as batch_at,
            array_agg((m.in_kg * 1000)::bigint order by m.posted_at, m.line) as in_grams,
            array_agg((m.out_kg * 1000)::bigint order by m.posted_at, m.line) as out_grams,
            array_agg(s.surplus order by m.posted_at, m.line) as surplus
        from core.stock_movements as m
        inner join core.warehouses as w on w.id = m.warehouse_id
        left join run as r
            on r.nomenclature_id = m.nomenclature_id and r.warehouse_id = m.warehouse_id
            and m.posted_at >= r.starts_at and m.posted_at < r.ends_at
        left join in_force as s
            on m.operation = 'receipt' and s.nomenclature_id = m.nomenclature_id
            and (m.posted_at at time zone w.time_zone)::date between s.first_day and s.last_day
            and (s.month is null or s.month = extract(month from m.posted_at at time zone w.time_zone))
        group by m.nomenclature_id, m.warehouse_id, r.starts_at
    ), stock as materialized (
        select coalesce(m.nomenclature_id, r.nomenclature_id) as nomenclature_id, coalesce(m.warehouse_id, r.warehouse_id) as warehouse_id,
            coalesce(m.starts_at, r.starts_at) as starts_at, r.opening_kg, m.moved_at, m.operation, m.batch_at, m.in_grams, m.out_grams, m.surplus
        from moved as m
        full join run as r on r.nomenclature_id = m.nomenclature_id and r.warehouse_id = m.warehouse_id and r.starts_at = m.starts_at
    )
    select s.nomenclature_id, s.warehouse_id, case when p.is_open then 'open' else 'posted' end, null::int,
        (timestamp 'epoch' + p.period_start * interval '1 second') at time zone w.time_zone,
        (timestamp 'epoch' + p.period_end * interval '1 second') at time zone w.time_zone,
        p.is_open, p.has_opening_count,
        -- A count closed the period before; the first opening balance of a file is only taken for one.
        row_number() over (partition by s.nomenclature_id, s.warehouse_id, s.starts_at order by p.period_start, p.period_end) > 1,
        p.opening_grams / 1000.0, p.incoming_grams / 1000.0, p.outgoing_grams / 1000.0, p.closing_grams / 1000.0,
        p.difference_grams / 1000.0, p.surplus_applied_grams / 1000.0, p.loss_grams / 1000.0, p.shortage_grams / 1000.0,
        p.surplus_grams / 1000.0, p.storage_days, p.kg_days, p.pre_shrinkage_days, p.fifo_principle_applied,
        (timestamp 'epoch' + p.deduction_batch * interval '1 second') at time zone w.time_zone,
        p.flags, p.batch_sequence::jsonb, p.term_mass, p.term_age_from, p.term_age_to, p.term_is_receipt
    from stock as s
    inner join core.warehouses as w on w.id = s.warehouse_id
    left join opening as o
        on o.nomenclature_id = s.nomenclature_id and o.warehouse_id = s.warehouse_id and o.starts_at = s.starts_at
    cross join lateral internal.account_item(
        case when s.opening_kg is not null then coalesce(o.batch, case when s.opening_kg > 0 then array[null::bigint] else '{}' end) end,
        case when s.opening_kg is not null then coalesce(o.grams, case when s.opening_kg > 0 then array[(s.opening_kg * 1000)::bigint] else '{}' end) end,
        s.moved_at, s.operation, s.batch_at, s.in_grams, s.out_grams, s.surplus,
        extract(epoch from s.starts_at at time zone w.time_zone)::bigint, opening_counts, tolerance, max_age
    ) as p;

    -- Flat balances, where no movements tell more.
    insert into pg_temp.derived
    with in_force as materialized (
        select f.* from internal.surplus_in_force() as f
    ), balance as materialized (
        select b.nomenclature_id, b.warehouse_id, w.time_zone,
            array_agg(extract(epoch from b.period_start at time zone w.time_zone)::bigint order by b.period_start) as starts,
            array_agg(extract(epoch from b.period_end at time zone w.time_zone)::bigint order by b.period_start) as ends,
            array_agg((b.opening_kg * 1000)::bigint order by b.period_start) as opening,
            array_agg((b.incoming_kg * 1000)::bigint order by b.period_start) as incoming,
            array_agg((b.outgoing_kg * 1000)::bigint order by b.period_start) as outgoing,
            array_agg((b.closing_kg * 1000)::bigint order by b.period_start) as closing,
            array_agg(s.surplus order by b.period_start) as surplus
        from core.stock_balances as b
        inner join core.warehouses as w on w.id = b.warehouse_id
        left join in_force as s
            on s.nomenclature_id = b.nomenclature_id
            and ((b.period_end - interval '1 second') at time zone w.time_zone)::date between s.first_day and s.last_day
            and (s.month is null or s.month = extract(month from (b.period_end - interval '1 second') at time zone w.time_zone))
        where not b.is_detailed
          and not exists (
              select from core.stock_movements as m
              where m.nomenclature_id = b.nomenclature_id and m.warehouse_id = b.warehouse_id
                and m.posted_at >= b.period_start and m.posted_at < b.period_end
          )
        group by b.nomenclature_id, b.warehouse_id, w.time_zone
    )
    select b.nomenclature_id, b.warehouse_id, 'counted', null::int,
        (timestamp 'epoch' + p.period_start * interval '1 second') at time zone b.time_zone,
        (timestamp 'epoch' + p.period_end * interval '1 second') at time zone b.time_zone,
        p.is_open, p.has_opening_count,
        row_number() over (partition by b.nomenclature_id, b.warehouse_id order by p.period_start) > 1,
        p.opening_grams / 1000.0, p.incoming_grams / 1000.0, p.outgoing_grams / 1000.0, p.closing_grams / 1000.0,
        p.difference_grams / 1000.0, p.surplus_applied_grams / 1000.0, p.loss_grams / 1000.0, p.shortage_grams / 1000.0,
        p.surplus_grams / 1000.0, p.storage_days, p.kg_days, p.pre_shrinkage_days, p.fifo_principle_applied, null::timestamptz,
        p.flags, p.batch_sequence::jsonb, p.term_mass, p.term_age_from, p.term_age_to, p.term_is_receipt
    from balance as b
    cross join lateral internal.account_rows(
        b.starts, b.ends, b.opening, b.incoming, b.outgoing, b.closing, b.surplus, opening_counts, tolerance
    ) as p;

    -- Which file brought the count, or the balance.
    update pg_temp.derived as d
    set source_data_id = m.source_data_id
    from (
        select distinct on (c.nomenclature_id, c.warehouse_id, c.posted_at)
            c.nomenclature_id, c.warehouse_id, c.posted_at, c.source_data_id
        from core.stock_movements as c
        order by c.nomenclature_id, c.warehouse_id, c.posted_at, c.source_data_id desc
    ) as m
    where d.mode <> 'counted' and m.nomenclature_id = d.nomenclature_id and m.warehouse_id = d.warehouse_id and m.posted_at = d.period_end;
    update pg_temp.derived as d
    set source_data_id = b.source_data_id
    from core.stock_balances as b
    where d.mode = 'counted' and not b.is_detailed and b.nomenclature_id = d.nomenclature_id and b.warehouse_id = d.warehouse_id
      and b.period_start = d.period_start and b.period_end = d.period_end;

    analyze pg_temp.derived;
    select count(*) into derived_count from pg_temp.derived;
    return derived_count;
end
$$;

comment on function internal.derive_periods() is
'Derives every inventory period from movements and balances, into pg_temp.derived.

Reads facts and settings only: the same facts give the same periods. Returns how many.';
