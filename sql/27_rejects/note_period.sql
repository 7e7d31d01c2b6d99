create function internal.note_period(source_data_id int, first_time timestamptz, last_time timestamptz)
returns void
language sql volatile
begin atomic
    update core.source_data as s
    set period_start = least(s.period_start, note_period.first_time), period_end = greatest(s.period_end, note_period.last_time)
    where s.id = note_period.source_data_id and note_period.first_time is not null
      and (s.period_start, s.period_end) is distinct from
        (least(s.period_start, note_period.first_time), greatest(s.period_end, note_period.last_time));
end;

comment on function internal.note_period(int, timestamptz, timestamptz) is
'Widens the time the rows of a file speak of (core.source_data) by that of some more of them; NULL = of none.';

create function internal.note_movements(
    source_data_id int, nomenclature_ids int [], warehouse_ids int [], first_times timestamptz [], last_times timestamptz []
)
returns void
language sql volatile
begin atomic
    insert into core.rollup_pending (source, key_1, key_2, from_time, to_time)
    select 'movement', u.nomenclature_id, u.warehouse_id, u.first_time, u.last_time
    from unnest(
        note_movements.nomenclature_ids, note_movements.warehouse_ids, note_movements.first_times, note_movements.last_times
    ) as u (nomenclature_id, warehouse_id, first_time, last_time);
    select internal.note_period(
        note_movements.source_data_id, (select min(u.at) from unnest(note_movements.first_times) as u (at)),
        (select max(u.at) from unnest(note_movements.last_times) as u (at))
    );
end;

comment on function internal.note_movements(int, int [], int [], timestamptz [], timestamptz []) is
'Notes that a file brought movements of some products in warehouses, between the first and the last time of each.

For who inserts into core.stock_movements with weighhouse.noted = yes: no trigger notes it then.';
