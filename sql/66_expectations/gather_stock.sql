create function internal.gather_stock(item_id int, opened_since timestamptz, refresh boolean)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    max_age float8 := internal.setting('stock.max_age_days');
    gathered_count bigint;
begin
    create temp table if not exists awaited (
        nomenclature_id int, warehouse_id int, time_zone text, calculation_data_id bigint, calculation_date timestamptz, opened_at timestamptz,
        as_of timestamptz, ages_known boolean, stock_kg numeric, layers jsonb, term_mass float8[], term_age_from float8[], term_age_to float8[],
        opening_confidence float8
    ) on commit drop;
    truncate pg_temp.awaited;

    insert into pg_temp.awaited
    -- By the columns of one index, so that finding the last of each takes no look at the rows themselves.
    with chosen as materialized (
        select q.*
        from (
            select distinct on (c.nomenclature_id, c.warehouse_id) c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.calculation_date
            from core.calculation_data as c
            where opened_since is null and (item_id is null or c.nomenclature_id = item_id)
            order by c.nomenclature_id, c.warehouse_id, c.inventory_period_start desc, c.calculation_date desc
        ) as q
        union all
        select q.*
        from (
            select distinct on (c.nomenclature_id, c.warehouse_id, c.inventory_period_start)
                c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.calculation_date
            from core.calculation_data as c
            where c.inventory_period_start >= opened_since and c.mode <> 'open' and c.calculation_date > c.inventory_period_start
              and (item_id is null or c.nomenclature_id = item_id)
            order by c.nomenclature_id, c.warehouse_id, c.inventory_period_start, c.calculation_date
        ) as q
    ), moment as materialized (
        -- stage: which side of which layers. A period that is still open: what is in stock now, and what moved since the count.
        -- A count nothing moved after: what it left. The past: what the count before left.
        select c.*, w.time_zone, s.stage,
            case s.stage when 'counted' then c.calculation_date else c.inventory_period_start end as opened_at,
            case s.stage when 'past' then c.inventory_period_start else c.calculation_date end as as_of,
            case s.stage when 'past' then c.initial_balance else c.final_balance end as kg
        from chosen as k
        inner join core.calculation_data as c
            on c.nomenclature_id = k.nomenclature_id and c.warehouse_id = k.warehouse_id
            and c.inventory_period_start = k.inventory_period_start and c.calculation_date = k.calculation_date
        inner join core.warehouses as w on w.id = c.warehouse_id
        cross join lateral (
            select case when opened_since is not null then 'past' when c.mode = 'open' then 'open' else 'counted' end as stage
        ) as s
        -- The count must be one: not a balance that was adjusted before the file was made, nor a closing nobody stated.
        where case s.stage when 'counted' then c.difference_kg is not null and not 'posted_without_documents' = any(c.flags)
            else c.has_opening_count end
          -- What was said of an opening count stays, unless it is to be said anew, or a surplus has been settled since and the curves
          -- know of it: then the count itself stands in another light.
          and (refresh or not exists (
              select from core.preliminary_forecasts as f
              where f.nomenclature_id = c.nomenclature_id and f.warehouse_id = c.warehouse_id and f.is_backtest = (s.stage = 'past')
                and f.opened_at = case s.stage when 'counted' then c.calculation_date else c.inventory_period_start end
                and not exists (
                    select
                    from (
                        select p.created_date from core.surplus_patterns as p where p.nomenclature_id = f.nomenclature_id
                        union all
                        select p.created_date from core.surplus_specifications as p where p.nomenclature_id = f.nomenclature_id
                    ) as d
                    where f.status = 'open' and d.created_date > f.created_date and d.created_date < (
                        select m.deployed_at from core.model_versions as m where m.model = 'shrinkage' and m.status = 'deployed'
                    )
                )
          ))
    )
    select m.nomenclature_id, m.warehouse_id, m.time_zone,
        case when m.stage <> 'counted' then m.id end, case when m.stage <> 'counted' then m.calculation_date end, m.opened_at, m.as_of,
        m.fifo_batch_sequence is not null and not 'no_batch_ages' = any(m.flags), m.kg,
        case when m.fifo_batch_sequence is null
            then jsonb_build_array(jsonb_build_object('batch', null, 'kg', m.kg, 'age_days', null)) else coalesce(l.layers, '[]') end,
        case when m.stage = 'open' then m.term_mass when m.fifo_batch_sequence is not null then l.mass when m.kg > 0 then array[m.kg::float8] end,
        case when m.stage = 'open' then m.term_age_from when m.fifo_batch_sequence is not null then l.age else array[0::float8] end,
        case when m.stage = 'open' then m.term_age_to when m.fifo_batch_sequence is not null then l.age else array[0::float8] end,
        null
    from moment as m
    left join lateral (
        select array_agg(a.kg order by a.received_at) as mass, array_agg(a.age order by a.received_at) as age,
            jsonb_agg(jsonb_build_object('batch', a.batch, 'kg', a.kg, 'age_days', a.age) order by a.received_at) as layers
        from (
            select j.batch, j.received_at, case m.stage when 'past' then j.opening else j.closing end as kg,
                least(max_age, greatest(0, (extract(epoch from m.as_of at time zone m.time_zone)::float8 - j.received_at) / 86400)) as age
            from jsonb_to_recordset(m.fifo_batch_sequence) as j (batch text, received_at bigint, opening float8, closing float8)
        ) as a
        where a.kg > 0
    ) as l on m.fifo_batch_sequence is not null;

    delete from pg_temp.awaited as a where a.term_mass is null or a.term_mass = '{}' or a.stock_kg is null;
    -- The first opening balance of a file is only taken for a count: half the confidence, as in the accounting.
    analyze pg_temp.awaited;
    update pg_temp.awaited as a
    set opening_confidence = coalesce(q.inventory_confidence, 0.5)
    from (
        select distinct on (b.nomenclature_id, b.warehouse_id, b.opened_at) b.nomenclature_id, b.warehouse_id, b.opened_at, c.inventory_confidence
        from pg_temp.awaited as b
        left join core.calculation_data as c
            on c.nomenclature_id = b.nomenclature_id and c.warehouse_id = b.warehouse_id and c.calculation_date = b.opened_at and c.mode <> 'open'
        order by b.nomenclature_id, b.warehouse_id, b.opened_at, c.inventory_period_start desc nulls last
    ) as q
    where a.nomenclature_id = q.nomenclature_id and a.warehouse_id = q.warehouse_id and a.opened_at = q.opened_at;
    select count(*) into gathered_count from pg_temp.awaited;
    return gathered_count;
end
$$;

comment on function internal.gather_stock(int, timestamptz, boolean) is
'Gathers what waits for its next count and has no forecast yet, into pg_temp.awaited: one row a product, warehouse and opening count.

opened_since NULL: what is in stock now. Otherwise: what every count from then on left in stock that another count followed.
item_id NULL = all products. refresh: also what has a forecast. Returns how many.';
