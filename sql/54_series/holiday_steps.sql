create function internal.holiday_steps(grid jsonb, calendars text [], first_step bigint, last_step bigint)
returns table (name text, step bigint)
language sql stable parallel safe
begin atomic
    select distinct h.name, s.step
    from core.holiday as h
    -- All steps that share a moment with the day, by the clock of the grid.
    cross join lateral generate_series(
        internal.step_number(holiday_steps.grid, h.day::timestamp at time zone (holiday_steps.grid ->> 'zone')),
        internal.step_number(holiday_steps.grid,
            (h.day + 1)::timestamp at time zone (holiday_steps.grid ->> 'zone') - interval '1 microsecond')
    ) as s (step)
    where h.calendar = any(holiday_steps.calendars)
      and h.day >= (internal.step_time(holiday_steps.grid, holiday_steps.first_step) at time zone (holiday_steps.grid ->> 'zone'))::date
      and h.day <= (internal.step_time(holiday_steps.grid, holiday_steps.last_step + 1) at time zone (holiday_steps.grid ->> 'zone'))::date
      and s.step between holiday_steps.first_step and holiday_steps.last_step
    order by h.name, s.step;
end;

comment on function internal.holiday_steps(jsonb, text [], bigint, bigint) is
'Gives the steps of a grid, from one to another, that hold a holiday of these calendars: the day itself, the week or month it lies in,
all hours of the day.

Days are those of the zone of the grid. A name that several calendars have is one holiday.';

create function internal.check_calendars(calendars text [])
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
begin
    select string_agg(coalesce(c.name, 'NULL'), ', ' order by c.name) into unknown
    from unnest(calendars) as c (name)
    where not exists (select from core.holiday as h where h.calendar = c.name);
    if unknown is not null then
        raise exception 'there is no calendar of holidays %', unknown
            using errcode = '22023', hint = coalesce('Known are ' || (
                select string_agg(distinct h.calendar, ', ' order by h.calendar) from core.holiday as h
            ) || '.', 'Fill one: api.add_holidays(calendar, days, name).');
    end if;
end
$$;

comment on function internal.check_calendars(text []) is 'Raises 22023 naming the calendars that have no holiday; none asked is fine.';
