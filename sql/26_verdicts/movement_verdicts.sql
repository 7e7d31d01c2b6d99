create function internal.movement_verdicts(
    plain boolean, guarded boolean, decimal_mark text, is_signed boolean, latest timestamptz, clock_changes tstzmultirange,
    after_row tid default null, upto_row tid default null
)
returns table (
    line int, nomenclature_id int, warehouse_id int, posted_at timestamptz, operation text, document_number text,
    batch_received_at timestamptz, in_kg numeric, out_kg numeric, key_hash bigint, reason text, column_name text
)
language sql stable
begin atomic
    -- Each level computes once what the next uses several times; `offset 0` keeps the planner from merging them.
    with staged as (
        select s.line, s.item, s.product_type, s.warehouse, s.document_type, s.document_number, s.unit, s.posted_at, s.batch,
            s.incoming, s.outgoing, s.quantity,
            null::timestamptz as read_posted_at, null::text as posted_problem, null::timestamptz as read_batch_at, null::text as batch_problem
        from staging.stream as s
        where movement_verdicts.plain and s.ctid > movement_verdicts.after_row and s.ctid <= movement_verdicts.upto_row
        union all
        select w.line, w.item, w.product_type, w.warehouse, w.document_type, w.document_number, w.unit, w.posted_at, w.batch,
            w.incoming, w.outgoing, w.quantity,
            p.at as read_posted_at, p.problem as posted_problem, b.at as read_batch_at, b.problem as batch_problem
        from staging.row as w
        left join staging.stamp as p on p.value = w.posted_at
        left join staging.stamp as b on b.value = w.batch
        where not movement_verdicts.plain
    ), parsed as (
        select r.line, n.nomenclature_id, n.warehouse_id, n.operation, r.document_type is not null as names_operation,
            coalesce(r.document_number, '') as document_number, r.unit, r.posted_at is null as has_no_date, r.batch is not null as has_batch,
            case when movement_verdicts.clock_changes is not null and internal.is_plain_stamp(r.posted_at)
                and (not movement_verdicts.guarded or pg_input_is_valid(r.posted_at, 'timestamptz')) then r.posted_at::timestamptz end as posted_at,
            case when movement_verdicts.clock_changes is not null and internal.is_plain_stamp(r.batch)
                and (not movement_verdicts.guarded or pg_input_is_valid(r.batch, 'timestamptz')) then r.batch::timestamptz end as batch_at,
            r.read_posted_at, r.posted_problem, r.read_batch_at, r.batch_problem,
            case when r.incoming is not null then coalesce(
                internal.plain_number(r.incoming, movement_verdicts.guarded, movement_verdicts.decimal_mark),
                case when movement_verdicts.plain then 'NaN' else internal.read_number(r.incoming, movement_verdicts.decimal_mark) end
            ) end as incoming,
            case when r.outgoing is not null then coalesce(
                internal.plain_number(r.outgoing, movement_verdicts.guarded, movement_verdicts.decimal_mark),
                case when movement_verdicts.plain then 'NaN' else internal.read_number(r.outgoing, movement_verdicts.decimal_mark) end
            ) end as outgoing,
            case when r.quantity is not null then coalesce(
                internal.plain_number(r.quantity, movement_verdicts.guarded, movement_verdicts.decimal_mark),
                case when movement_verdicts.plain then 'NaN' else internal.read_number(r.quantity, movement_verdicts.decimal_mark) end
            ) end as quantity
        from staged as r
        left join staging.meaning as n
            on n.item = r.item and n.product_type = coalesce(r.product_type, '') and n.warehouse = coalesce(r.warehouse, '')
            and n.document_type = coalesce(r.document_type, '')
        offset 0 -- noqa: AM09
    ), sided as (
        select q.line, q.nomenclature_id, q.warehouse_id, q.document_number, q.has_batch, q.unit, q.incoming, q.outgoing, q.quantity,
            -- Where the clocks are set a local time may be two moments or none: staging.stamp knows.
            case
                when q.posted_at <= movement_verdicts.latest
                    and (q.posted_at >= upper(movement_verdicts.clock_changes) or not movement_verdicts.clock_changes @> q.posted_at)
                    then q.posted_at
                else q.read_posted_at
            end as posted_at,
            case
                when q.batch_at <= movement_verdicts.latest
                    and (q.batch_at >= upper(movement_verdicts.clock_changes) or not movement_verdicts.clock_changes @> q.batch_at)
                    then q.batch_at
                else q.read_batch_at
            end as batch_at,
            case when q.has_no_date then 'missing_date' else q.posted_problem end as posted_problem, q.batch_problem,
            case
                when q.names_operation then q.operation
                -- Without a document type the side says what it is.
                when q.incoming <> 0 and coalesce(q.outgoing, 0) = 0 then 'receipt'
                when q.outgoing <> 0 and coalesce(q.incoming, 0) = 0 then 'sale'
                when q.incoming is not null and q.outgoing is null then 'receipt'
                when q.outgoing is not null and q.incoming is null then 'sale'
            end as operation,
            -- Negative on one side is positive on the other: a return, or a correction. A single quantity counts in the
            -- direction of its operation, unless the file signs what goes out.
            case
                when q.quantity is null and q.incoming >= 0 and q.outgoing >= 0 then q.incoming
                when q.quantity is null then greatest(coalesce(q.incoming, 0), 0) - least(coalesce(q.outgoing, 0), 0)
                when q.operation in ('sale', 'consumption', 'write_off', 'transfer_out') and not movement_verdicts.is_signed
                    then greatest(-q.quantity, 0)
                else greatest(q.quantity, 0)
            end * case when q.unit is null then 1 else internal.unit_factor(q.unit) end as in_kg,
            case
                when q.quantity is null and q.incoming >= 0 and q.outgoing >= 0 then q.outgoing
                when q.quantity is null then greatest(coalesce(q.outgoing, 0), 0) - least(coalesce(q.incoming, 0), 0)
                when q.operation in ('sale', 'consumption', 'write_off', 'transfer_out') and not movement_verdicts.is_signed
                    then greatest(q.quantity, 0)
                else greatest(-q.quantity, 0)
            end * case when q.unit is null then 1 else internal.unit_factor(q.unit) end as out_kg
        from parsed as q
        offset 0 -- noqa: AM09
    ), judged as (
        select t.line, t.nomenclature_id, t.warehouse_id, t.posted_at, t.document_number, t.in_kg, t.out_kg,
            case t.operation
                when 'transfer' then case when t.in_kg > 0 then 'transfer_in' else 'transfer_out' end
                when 'sale' then case when t.in_kg > 0 and t.out_kg = 0 then 'return' else 'sale' end
                else t.operation
            end as operation,
            case when t.batch_at is null and t.in_kg > 0 and t.operation <> 'stock_take' then t.posted_at else t.batch_at end as batch_received_at,
            case
                when t.nomenclature_id is not null and t.posted_at is not null
                    and (t.batch_at is not null or not t.has_batch or (not movement_verdicts.plain and t.batch_problem is null))
                    and t.operation is not null and t.in_kg <= 99999999999 and t.out_kg <= 99999999999
                    and (t.incoming is not null or t.outgoing is not null or t.quantity is not null)
                    then null
                when movement_verdicts.plain then 'look_closer'
                when t.nomenclature_id is null then 'missing_item'
                when t.posted_problem is not null then t.posted_problem
                when t.batch_problem is not null then t.batch_problem
                when t.operation is null then 'unknown_operation'
                when t.unit is not null and internal.unit_factor(t.unit) is null then 'unit_not_mass'
                when 'NaN' in (t.incoming, t.outgoing, t.quantity) then 'not_a_number'
                when t.incoming is null and t.outgoing is null and t.quantity is null then 'missing_quantity'
                when t.posted_at is null then 'missing_date'
                else 'too_large'
            end as reason,
            case when t.incoming = 'NaN' then 'incoming' when t.outgoing = 'NaN' then 'outgoing' when t.quantity is not null then 'quantity'
                when t.in_kg > 99999999999 then 'incoming' when t.out_kg > 99999999999 then 'outgoing' else 'quantity' end as quantity_column
        from sided as t
        offset 0 -- noqa: AM09
    )
    select j.line, j.nomenclature_id, j.warehouse_id, j.posted_at, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
        internal.movement_key(j.warehouse_id, j.operation, j.document_number, j.batch_received_at),
        j.reason,
        case
            when j.reason is null then null
            when j.reason = 'missing_item' then 'item'
            when j.reason = 'unknown_operation' then 'document_type'
            when j.reason = 'unit_not_mass' then 'unit'
            when j.reason in ('not_a_number', 'missing_quantity', 'too_large') then j.quantity_column
            when j.posted_at is null then 'posted_at'
            else 'batch'
        end
    from judged as j;
end;

comment on function internal.movement_verdicts(boolean, boolean, text, boolean, timestamptz, tstzmultirange, tid, tid) is
'Gives staged movements their values, or the reason to reject them; the names and operations come from staging.meaning.

plain: rows of staging.stream from after_row to upto_row, read with casts alone: a reason then only says that the row needs a
closer look. Otherwise the rows of staging.row, with the times of staging.stamp. Both run this one query: what the first
accepts the second accepts with the same values. guarded: texts that look like values but are none do not raise. is_signed:
a quantity that goes out is negative in the file. latest, clock_changes: as in internal.read_stamps; NULL clock_changes = all
times come from staging.stamp. Times are cast in the zone and DateStyle of the session.';
