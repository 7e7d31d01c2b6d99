create function api.list_priority_periods(
    active boolean default null, from_time timestamptz default null, to_time timestamptz default null, page_size int default 50,
    after text default null
)
returns table (
    at timestamptz, priority_period_id int, period_end timestamptz, priority_level int, description text, created_by text,
    created_at timestamptz, active boolean, cursor text
)
language sql stable
begin atomic
    select p.period_start, p.id, p.period_end, p.priority_level, p.description, p.created_by, p.created_date, p.active,
        internal.cursor(p.period_start, p.id)
    from core.priority_periods as p
    where (list_priority_periods.active is null or p.active = list_priority_periods.active)
      and (list_priority_periods.from_time is null or p.period_end > list_priority_periods.from_time)
      and (list_priority_periods.to_time is null or p.period_start < list_priority_periods.to_time)
      and (p.period_start, p.id) < (internal.cursor_time(list_priority_periods.after), internal.cursor_number(list_priority_periods.after, 2))
    order by p.period_start desc, p.id desc
    limit internal.page_size(list_priority_periods.page_size);
end;

comment on function api.list_priority_periods(boolean, timestamptz, timestamptz, int, text) is
'Pages through the stretches of time that count more, the latest start (at) first; from_time and to_time: those that overlap.

Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for what is no cursor.
Example: select at, period_end, priority_level from api.list_priority_periods(active => true);';
