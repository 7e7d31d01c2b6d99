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
