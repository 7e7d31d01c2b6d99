create function internal.movement_verdicts(
    decimal_mark text, is_signed boolean, latest timestamptz, clock_changes tstzmultirange
)
returns table (
    line int, nomenclature_id int, warehouse_id int, posted_at timestamptz, operation text, document_number text,
    batch_received_at timestamptz, in_kg numeric, out_kg numeric, key_hash bigint, reason text, column_name text
)
language sql stable
begin atomic
    -- Each level computes once what the next uses several times; `offset 0` keeps the planner from merging them.
    with kind as materialized (
        select o.spelling, o.operation, case when o.goes_out and not movement_verdicts.is_signed then -1 else 1 end::numeric as direction
        from internal.spelled_operations() as o
    ), parsed as (
        select r.line, n.nomenclature_id, n.warehouse_id, k.operation, coalesce(r.document_number, '') as document_number, r.unit,
            case when movement_verdicts.clock_changes is not null then internal.plain_stamp(r.posted_at) end as posted_at,
            case when movement_verdicts.clock_changes is not null then internal.plain_stamp(r.batch) end as batch_at,
            p.at as read_posted_at, case when r.posted_at is null then 'missing_date' else p.problem end as posted_problem,
            b.at as read_batch_at, b.problem as batch_problem,
            coalesce(internal.plain_number(r.incoming, movement_verdicts.decimal_mark),
                case when r.incoming is not null then internal.read_number(r.incoming, movement_verdicts.decimal_mark) end) as incoming,
            coalesce(internal.plain_number(r.outgoing, movement_verdicts.decimal_mark),
                case when r.outgoing is not null then internal.read_number(r.outgoing, movement_verdicts.decimal_mark) end) as outgoing,
            coalesce(internal.plain_number(r.quantity, movement_verdicts.decimal_mark),
                case when r.quantity is not null then internal.read_number(r.quantity, movement_verdicts.decimal_mark) end) * k.direction as quantity
        from staging.row as r
        left join kind as k on k.spelling = r.spelling
        left join staging.meaning as n on n.spelling = r.spelling
        left join staging.stamp as p on p.value = r.posted_at
        left join staging.stamp as b on b.value = r.batch
        limit all offset 0 -- noqa: AM09
    ), sided as (
        select q.line, q.nomenclature_id, q.warehouse_id, q.document_number, q.unit, q.incoming, q.outgoing, q.quantity,
            -- Where the clocks are set a local time may be two moments or none: staging.stamp knows.
            case when internal.is_one_moment(q.posted_at, movement_verdicts.latest, movement_verdicts.clock_changes)
                then q.posted_at else q.read_posted_at end as posted_at,
            case when internal.is_one_moment(q.batch_at, movement_verdicts.latest, movement_verdicts.clock_changes)
                then q.batch_at else q.read_batch_at end as batch_at,
            q.posted_problem, q.batch_problem, internal.named_operation(q.operation, q.incoming, q.outgoing) as operation,
            internal.side_kg(q.incoming, q.outgoing, q.quantity) * internal.unit_factor(q.unit) as in_kg,
            internal.side_kg(q.outgoing, q.incoming, - q.quantity) * internal.unit_factor(q.unit) as out_kg
        from parsed as q
        limit all offset 0 -- noqa: AM09
    ), judged as (
        select t.line, t.nomenclature_id, t.warehouse_id, t.posted_at, t.document_number, t.in_kg, t.out_kg,
            internal.settled_operation(t.operation, t.in_kg, t.out_kg) as operation,
            case when t.batch_at is null and t.in_kg > 0 and t.operation <> 'stock_take' then t.posted_at else t.batch_at end as batch_received_at,
            case
                when t.nomenclature_id is null then 'missing_item'
                when t.posted_problem is not null then t.posted_problem
                when t.batch_problem is not null then t.batch_problem
                when t.operation is null then 'unknown_operation'
                when internal.unit_factor(t.unit) is null then 'unit_not_mass'
                when 'NaN' in (t.incoming, t.outgoing, t.quantity) then 'not_a_number'
                when coalesce(t.incoming, t.outgoing, t.quantity) is null then 'missing_quantity'
                when t.posted_at is null then 'missing_date'
                when t.in_kg > 99999999999 or t.out_kg > 99999999999 then 'too_large'
            end as reason,
            case when t.incoming = 'NaN' then 'incoming' when t.outgoing = 'NaN' then 'outgoing' when t.quantity is not null then 'quantity'
                when t.in_kg > 99999999999 then 'incoming' when t.out_kg > 99999999999 then 'outgoing' else 'quantity' end as quantity_column
        from sided as t
        limit all offset 0 -- noqa: AM09
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

comment on function internal.movement_verdicts(text, boolean, timestamptz, tstzmultirange) is
'Gives the rows of staging.row their values, or the reason to reject them.

Names and operations come from staging.meaning and staging.spelling, times from staging.stamp where casts do not settle them; NULL
clock_changes = all times come from there. A row that the loader can store by itself (internal.sided_operations,
internal.plain_days) gets the same values here. is_signed: a quantity that goes out is negative in the file. latest, clock_changes: as in internal.read_stamps.';
