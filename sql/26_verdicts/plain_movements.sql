create function internal.plain_movements(
    place staging.block, guarded boolean, decimal_mark text, latest timestamptz, clock_changes tstzmultirange
)
returns table (
    line int, spelling int, posted_at timestamptz, operation text, document_number text, batch_received_at timestamptz, in_kg numeric, out_kg numeric
)
language sql stable
begin atomic
    -- Each level computes once what the next uses several times; `offset 0` keeps the planner from merging them.
    with kind as materialized (
        select o.spelling, o.operation, case when o.goes_out and not (plain_movements.place).is_signed then -1 else 1 end::numeric as direction
        from internal.spelled_operations((plain_movements.place).first_spelling) as o
    ), parsed as (
        select s.line, s.spelling, k.operation, s.document_number, s.unit, s.batch is null as has_no_batch,
            internal.plain_stamp(s.posted_at, plain_movements.guarded) as posted_at,
            internal.plain_stamp(s.batch, plain_movements.guarded) as batch_at,
            coalesce(internal.plain_number(s.incoming, plain_movements.guarded, plain_movements.decimal_mark),
                case when s.incoming is not null then 'NaN'::numeric end) as incoming,
            coalesce(internal.plain_number(s.outgoing, plain_movements.guarded, plain_movements.decimal_mark),
                case when s.outgoing is not null then 'NaN'::numeric end) as outgoing,
            coalesce(internal.plain_number(s.quantity, plain_movements.guarded, plain_movements.decimal_mark),
                case when s.quantity is not null then 'NaN'::numeric end) * k.direction as quantity
        from internal.block_rows(plain_movements.place) as s
        inner join kind as k on k.spelling = s.spelling
        where k.operation is not null and coalesce(s.incoming, s.outgoing, s.quantity) is not null
        limit all offset 0 -- noqa: AM09
    ), sided as (
        select q.line, q.spelling, q.document_number, q.has_no_batch,
            case when internal.is_one_moment(q.posted_at, plain_movements.latest, plain_movements.clock_changes) then q.posted_at end as posted_at,
            case when internal.is_one_moment(q.batch_at, plain_movements.latest, plain_movements.clock_changes) then q.batch_at end as batch_at,
            internal.named_operation(q.operation, q.incoming, q.outgoing) as operation,
            case when q.unit is null then internal.side_kg(q.incoming, q.outgoing, q.quantity)
                else internal.side_kg(q.incoming, q.outgoing, q.quantity) * internal.unit_factor(q.unit) end as in_kg,
            case when q.unit is null then internal.side_kg(q.outgoing, q.incoming, - q.quantity)
                else internal.side_kg(q.outgoing, q.incoming, - q.quantity) * internal.unit_factor(q.unit) end as out_kg
        from parsed as q
        limit all offset 0 -- noqa: AM09
    )
    select t.line, t.spelling, t.posted_at, internal.settled_operation(t.operation, t.in_kg, t.out_kg), coalesce(t.document_number, ''),
        case when t.batch_at is null and t.in_kg > 0 and t.operation <> 'stock_take' then t.posted_at else t.batch_at end,
        t.in_kg, t.out_kg
    from sided as t
    where t.posted_at is not null and (t.batch_at is not null or t.has_no_batch) and t.operation is not null
        and t.in_kg <= 99999999999 and t.out_kg <= 99999999999;
end;

comment on function internal.plain_movements(staging.block, boolean, text, timestamptz, tstzmultirange) is
'Gives the rows of a block of staging.stream that casts alone can read, with their values.

The others need a closer look: internal.movement_verdicts, which gives what is given here the same values. guarded: texts that
look like values but are none do not raise. latest, clock_changes: as in internal.read_stamps. Times are cast in the zone and
DateStyle of the session.';
