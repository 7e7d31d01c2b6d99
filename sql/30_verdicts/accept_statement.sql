create function internal.accept_statement(source_data_id int, options jsonb default '{}')
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    decimal_mark text := options ->> 'decimal';
    zone text := options ->> 'time_zone';
    default_warehouse text := coalesce(options ->> 'warehouse', 'main');
    on_conflict text := coalesce(options ->> 'on_conflict', 'skip');
    noted text := coalesce(current_setting('weighhouse.noted', true), '');
    result internal.accepted;
    inserted_count bigint;
    offending record;
begin
    perform internal.spell_names();
    perform internal.remember_names(default_warehouse, zone);
    perform internal.read_stamps(options);

    create temp table if not exists statement_row (
        line int, record text, nomenclature_id int, warehouse_id int, operation text, document_type text, document_number text,
        posted_at timestamptz, batch_at timestamptz, period_start timestamptz, period_end timestamptz,
        opening numeric, incoming numeric, outgoing numeric, closing numeric, document_line int, reason text, column_name text
    ) on commit drop;
    truncate pg_temp.statement_row;

    insert into pg_temp.statement_row
    with parsed as materialized (
        select r.line, r.record, a.nomenclature_id, w.id as warehouse_id, m.operation, r.document_type,
            coalesce(r.document_number, '') as document_number,
            p.at as posted_at, b.at as batch_at, s.at as period_start,
            case when zone is null then e.at + interval '1 day' else ((e.at at time zone zone) + interval '1 day') at time zone zone end as period_end,
            internal.read_number(r.opening, decimal_mark) as opening, internal.read_number(r.incoming, decimal_mark) as incoming,
            internal.read_number(r.outgoing, decimal_mark) as outgoing, internal.read_number(r.closing, decimal_mark) as closing,
            max(case when r.record in ('item', 'document') then r.line end) over (order by r.line) as document_line,
            r.item, p.problem as posted_problem, b.problem as batch_problem, coalesce(s.problem, e.problem) as period_problem,
            r.period_start is null as has_no_period
        from staging.row as r
        left join core.nomenclature_alias as a on a.raw_name = r.item and a.raw_type = coalesce(r.product_type, '')
        left join core.warehouses as w on w.name = coalesce(internal.normalize_name(r.warehouse), default_warehouse)
        left join staging.stamp as p on p.value = r.posted_at
        left join staging.stamp as b on b.value = r.batch
        left join staging.stamp as s on s.value = r.period_start
        left join staging.stamp as e on e.value = r.period_end
        left join core.operation_mapping as m
            on m.document_type = replace(lower(internal.normalize_name(r.document_type)), 'ё', 'е')
    )
    select q.line, q.record, q.nomenclature_id, q.warehouse_id,
        case when q.operation = 'transfer' then case when q.incoming > 0 then 'transfer_in' else 'transfer_out' end else q.operation end,
        q.document_type, q.document_number, q.posted_at, q.batch_at, q.period_start, q.period_end,
        coalesce(q.opening, 0), coalesce(q.incoming, 0), coalesce(q.outgoing, 0), coalesce(q.closing, 0), q.document_line,
        case
            when 'NaN' in (q.opening, q.incoming, q.outgoing, q.closing) then 'not_a_number'
            when q.has_no_period then 'missing_period'
            when q.period_problem is not null then q.period_problem
            when q.record not in ('item', 'document', 'batch') then null
            when q.nomenclature_id is null then 'missing_item'
            when q.record = 'item' then null
            when q.posted_problem is not null then q.posted_problem
            when q.operation is null then 'unknown_operation'
            when q.record = 'document' then null
            when q.batch_at is null and q.batch_problem is null then 'missing_date'
            when q.batch_problem is not null then q.batch_problem
        end,
        case
            when q.opening = 'NaN' then 'opening' when q.incoming = 'NaN' then 'incoming'
            when q.outgoing = 'NaN' then 'outgoing' when q.closing = 'NaN' then 'closing'
            when q.has_no_period or q.period_problem is not null then 'period_start'
            when q.nomenclature_id is null and q.record in ('item', 'document', 'batch') then 'item'
            when q.posted_problem is not null then 'posted_at'
            when q.operation is null and q.record in ('document', 'batch') then 'document_type'
            else 'batch'
        end
    from parsed as q;

    select count(*) into result.read_count from pg_temp.statement_row;
    result.duplicate_count := 0;

    -- Control totals: a document must be the sum of its batches, a product that of its documents, all lines equal the
    -- grand total. What disagrees is named; the finer level counts.
    update pg_temp.statement_row as d
    set reason = 'control_total', column_name = case when d.incoming <> b.incoming then 'incoming' else 'outgoing' end
    from (
        select r.document_line, sum(r.incoming) as incoming, sum(r.outgoing) as outgoing
        from pg_temp.statement_row as r where r.record = 'batch' and r.reason is null group by r.document_line
    ) as b
    where d.record = 'document' and d.line = b.document_line and d.reason is null
      and (d.incoming, d.outgoing) <> (b.incoming, b.outgoing);

    update pg_temp.statement_row as i
    set reason = 'control_total', column_name = case when i.incoming <> d.incoming then 'incoming' else 'outgoing' end
    from (
        select r.nomenclature_id, r.warehouse_id, r.period_start, sum(r.incoming) as incoming, sum(r.outgoing) as outgoing
        from pg_temp.statement_row as r where r.record = 'document' group by r.nomenclature_id, r.warehouse_id, r.period_start
    ) as d
    where i.record = 'item' and i.reason is null and i.nomenclature_id = d.nomenclature_id and i.warehouse_id = d.warehouse_id
      and i.period_start = d.period_start and (i.incoming, i.outgoing) <> (d.incoming, d.outgoing);

    update pg_temp.statement_row as g
    set reason = 'control_total', column_name = case
        when g.opening <> t.opening then 'opening' when g.incoming <> t.incoming then 'incoming'
        when g.outgoing <> t.outgoing then 'outgoing' else 'closing' end
    from (
        select sum(r.opening) filter (where r.record = 'item') as opening, sum(r.closing) filter (where r.record = 'item') as closing,
            coalesce(sum(r.incoming) filter (where r.record = 'document'), 0) as incoming,
            coalesce(sum(r.outgoing) filter (where r.record = 'document'), 0) as outgoing
        from pg_temp.statement_row as r
    ) as t
    where g.record = 'grand_total' and g.reason is null
      and (g.opening, g.incoming, g.outgoing, g.closing) <> (t.opening, t.incoming, t.outgoing, t.closing);

    -- A row that contradicts its own arithmetic is no use whatever the totals say.
    update pg_temp.statement_row as r
    set reason = 'control_total', column_name = 'closing'
    where r.reason is null and abs(r.opening + r.incoming - r.outgoing - r.closing) > internal.setting('stock.identity_tolerance_kg')
      and r.record in ('batch', 'document');

    -- Facts: what moved, by document and batch.
    if on_conflict = 'fail' then
        select r.line into offending
        from pg_temp.statement_row as r
        inner join core.stock_movements as m
            on m.nomenclature_id = r.nomenclature_id and m.posted_at = r.posted_at
            and m.key_hash = internal.movement_key(r.warehouse_id, r.operation, r.document_number, r.batch_at)
        where r.record = 'batch' and r.reason is null and (r.incoming, r.outgoing) <> (0, 0)
          and (m.in_kg, m.out_kg) <> (r.incoming, r.outgoing)
        order by r.line limit 1;
        if found then
            raise exception 'line % has another quantity than stored for the same document, product and batch', offending.line
                using errcode = '23505', hint = 'Use --on-conflict skip or update.';
        end if;
    end if;
    perform set_config('weighhouse.noted', 'yes', true);
    with moved as (
        insert into core.stock_movements as m
            (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line)
        select distinct on (r.nomenclature_id, r.posted_at, k.key_hash)
            r.posted_at, r.nomenclature_id, r.warehouse_id, r.operation, r.document_number, r.batch_at, r.incoming, r.outgoing,
            accept_statement.source_data_id, r.line
        from pg_temp.statement_row as r
        cross join lateral (
            select internal.movement_key(r.warehouse_id, r.operation, r.document_number, r.batch_at) as key_hash
        ) as k
        where r.record = 'batch' and r.reason is null and (r.incoming, r.outgoing) <> (0, 0)
        order by r.nomenclature_id, r.posted_at, k.key_hash, r.line
        on conflict (nomenclature_id, posted_at, key_hash) do update
            set in_kg = excluded.in_kg, out_kg = excluded.out_kg, source_data_id = excluded.source_data_id, line = excluded.line
            where on_conflict = 'update' and (m.in_kg, m.out_kg) <> (excluded.in_kg, excluded.out_kg)
        returning m.nomenclature_id, m.warehouse_id, m.posted_at
    ), changed as (
        insert into core.rollup_pending (source, key_1, key_2, from_time, to_time)
        select 'movement', v.nomenclature_id, v.warehouse_id, min(v.posted_at), max(v.posted_at)
        from moved as v
        group by v.nomenclature_id, v.warehouse_id
    )
    select count(*) into inserted_count from moved;
    perform set_config('weighhouse.noted', noted, true);
    select count(*) - inserted_count into result.duplicate_count
    from pg_temp.statement_row as r
    where r.record = 'batch' and r.reason is null and (r.incoming, r.outgoing) <> (0, 0);

    if result.duplicate_count > 0 and on_conflict <> 'update' then
        update pg_temp.statement_row as r
        set reason = 'conflict', column_name = 'quantity'
        from core.stock_movements as m
        where r.record = 'batch' and r.reason is null and (r.incoming, r.outgoing) <> (0, 0)
          and m.nomenclature_id = r.nomenclature_id and m.posted_at = r.posted_at
          and m.key_hash = internal.movement_key(r.warehouse_id, r.operation, r.document_number, r.batch_at)
          and (m.source_data_id, m.line) <> (accept_statement.source_data_id, r.line)
          and (m.in_kg, m.out_kg) <> (r.incoming, r.outgoing);
        get diagnostics inserted_count = row_count;
        result.duplicate_count := result.duplicate_count - inserted_count;
    end if;

    -- Batches in stock at both ends: what the first document of a product opens with, what its last closes with.
    insert into core.stock_layers (source_data_id, nomenclature_id, warehouse_id, boundary, as_of, batch_received_at, kg)
    with document as (
        select r.line, r.nomenclature_id, r.warehouse_id, r.period_start, r.period_end,
            row_number() over (partition by r.nomenclature_id, r.warehouse_id, r.period_start order by r.posted_at, r.line) as rank_first,
            row_number() over (partition by r.nomenclature_id, r.warehouse_id, r.period_start order by r.posted_at desc, r.line desc) as rank_last
        from pg_temp.statement_row as r
        where r.record = 'document' and r.nomenclature_id is not null and r.posted_at is not null
    )
    select accept_statement.source_data_id, l.nomenclature_id, l.warehouse_id, l.boundary, l.as_of, l.batch_at, l.kg
    from (
        select d.nomenclature_id, d.warehouse_id, 'opening' as boundary, d.period_start as as_of, b.batch_at, sum(b.opening) as kg
        from document as d
        inner join pg_temp.statement_row as b on b.record = 'batch' and b.document_line = d.line and b.batch_at is not null
        where d.rank_first = 1 and b.opening <> 0 group by d.nomenclature_id, d.warehouse_id, d.period_start, b.batch_at
        union all
        select d.nomenclature_id, d.warehouse_id, 'closing', d.period_end, b.batch_at, sum(b.closing)
        from document as d
        inner join pg_temp.statement_row as b on b.record = 'batch' and b.document_line = d.line and b.batch_at is not null
        where d.rank_last = 1 and b.closing <> 0 group by d.nomenclature_id, d.warehouse_id, d.period_end, b.batch_at
    ) as l
    on conflict (nomenclature_id, warehouse_id, as_of, boundary, batch_received_at) do update
        set kg = excluded.kg, source_data_id = excluded.source_data_id where on_conflict = 'update';

    insert into core.stock_balances as m
        (source_data_id, nomenclature_id, warehouse_id, period_start, period_end, opening_kg, incoming_kg, outgoing_kg, closing_kg,
            is_detailed, line)
    select distinct on (r.nomenclature_id, r.warehouse_id, r.period_start)
        accept_statement.source_data_id, r.nomenclature_id, r.warehouse_id, r.period_start, r.period_end,
        r.opening, r.incoming, r.outgoing, r.closing, true, r.line
    from pg_temp.statement_row as r
    where r.record = 'item' and r.nomenclature_id is not null and r.period_start is not null
    order by r.nomenclature_id, r.warehouse_id, r.period_start, r.line
    on conflict (nomenclature_id, warehouse_id, period_start, period_end, is_detailed) do update
        set source_data_id = excluded.source_data_id, opening_kg = excluded.opening_kg, incoming_kg = excluded.incoming_kg,
            outgoing_kg = excluded.outgoing_kg, closing_kg = excluded.closing_kg, line = excluded.line
        where on_conflict = 'update';

    create temp table if not exists judged (line int, reason text, column_name text) on commit drop;
    truncate pg_temp.judged;
    insert into pg_temp.judged (line, reason, column_name)
    select r.line, r.reason, r.column_name from pg_temp.statement_row as r where r.reason is not null;
    result.rejected_count := internal.record_rejects(accept_statement.source_data_id);
    perform internal.note_period(accept_statement.source_data_id, min(r.period_start), max(r.period_end)) from pg_temp.statement_row as r;
    -- Rows without a movement (totals, untouched batches) count as loaded: their figures were checked, and agree.
    result.loaded_count := result.read_count - result.duplicate_count - result.rejected_count;
    return result;
end
$$;

comment on function internal.accept_statement(int, jsonb) is
'Gives every staging row of a batch statement its verdict, and stores movements, batches in stock and balances.

options: time_zone, date_format, decimal, dst, warehouse, on_conflict. Totals that contradict the rows below them, and rows
that contradict their own arithmetic, are rejected as control_total; the finer level counts.';
