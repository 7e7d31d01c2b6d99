create function internal.sided_operations()
returns table (operation text, incoming text, outgoing text, quantity text, is_signed boolean, settled text, in_from text, out_from text, opens_batch boolean)
language sql stable
begin atomic
    -- One amount stands for all of its sign, and tells by its value where it went.
    with sign as (
        select * from (
            values ('n', null::numeric, null::numeric, null::numeric), ('0', 0, 0, 0), ('+', 2, 3, 5), ('-', null, null, -5)
        ) as v (sign, incoming, outgoing, quantity)
    ), word as (
        select m.operation, bool_or(m.operation in ('sale', 'consumption', 'write_off', 'transfer_out')) as goes_out
        from core.operation_mapping as m
        group by m.operation
        union all
        select '', false
    ), named as (
        select w.operation, i.sign as incoming, o.sign as outgoing, q.sign as quantity, s.is_signed,
            internal.named_operation(w.operation, i.incoming, o.outgoing) as named,
            internal.side_kg(i.incoming, o.outgoing, q.quantity * case when w.goes_out and not s.is_signed then -1 else 1 end) as in_kg,
            internal.side_kg(o.outgoing, i.incoming, - q.quantity * case when w.goes_out and not s.is_signed then -1 else 1 end) as out_kg
        from word as w
        cross join (select g.* from sign as g where g.sign <> '-') as i
        cross join (select h.* from sign as h where h.sign <> '-') as o
        cross join sign as q
        cross join (values (false), (true)) as s (is_signed)
        where coalesce(i.incoming, o.outgoing, q.quantity) is not null
    )
    select n.operation, n.incoming, n.outgoing, n.quantity, n.is_signed, internal.settled_operation(n.named, n.in_kg, n.out_kg),
        case n.in_kg when 2 then 'incoming' when 5 then 'quantity' end, case n.out_kg when 3 then 'outgoing' when 5 then 'quantity' end,
        n.in_kg > 0 and n.named <> 'stock_take'
    from named as n
    where n.named is not null;
end;

comment on function internal.sided_operations() is
'Gives, for each operation a file may name and the signs of its amounts, what internal.movement_verdicts makes of such a row.

operation: of core.operation_mapping, empty = none named. incoming, outgoing, quantity: n (none), 0, + or -; is_signed: a quantity that
goes out is negative in the file. settled: the operation. in_from, out_from: the column whose amount, without its sign, came in or
went out; NULL = nothing did. opens_batch: where the row names no batch, it is one. What is not listed needs a closer look.';

create function internal.spelled_movements(first_spelling int)
returns table (spelling int, nomenclature_id int, warehouse_id int, operation text, goes_out boolean)
language sql stable
begin atomic
    select m.spelling, m.nomenclature_id, m.warehouse_id, o.operation, o.goes_out
    from staging.meaning as m
    inner join internal.spelled_operations(spelled_movements.first_spelling) as o on o.spelling = m.spelling
    where m.spelling >= spelled_movements.first_spelling;
end;

comment on function internal.spelled_movements(int) is
'Gives what the names in staging.spelling stand for, from a number on.

nomenclature_id: NULL = the product has no name. operation, goes_out: as in internal.spelled_operations.';

create function internal.plain_days(days text [], time_zone text)
returns text []
language sql stable
begin atomic
    with changed as materialized (
        select now() + interval '1 day' as latest, internal.clock_changes(plain_days.time_zone, now() + interval '1 day') as clock_changes
    ), read as materialized (
        select u.day, internal.plain_stamp(u.day) as at from unnest(plain_days.days) as u (day)
    )
    select coalesce(array_agg(r.day), '{}')
    from read as r
    cross join changed as c
    where internal.is_one_moment(r.at, c.latest, c.clock_changes) and internal.is_one_moment(r.at + interval '24 hours', c.latest, c.clock_changes);
end;

comment on function internal.plain_days(text [], text) is
'Gives those of some days, as files write them, whose every time can be cast: not in the future, and no clocks are set.

To be called in the time zone given, with DateStyle DMY.';
