create function api.remove_holidays(calendar text, days date [] default null, name text default null)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    removed_count int;
begin
    perform internal.check_calendars(array[calendar]);
    if name is not null and not exists (
        select from core.holiday as h where h.calendar = remove_holidays.calendar and h.name = remove_holidays.name
    ) then
        raise exception 'calendar % has no holiday %', calendar, name using errcode = '22023', hint = 'See bi.holiday.';
    end if;
    delete from core.holiday as h
    where h.calendar = remove_holidays.calendar
      and (remove_holidays.days is null or h.day = any(remove_holidays.days))
      and (remove_holidays.name is null or h.name = remove_holidays.name);
    get diagnostics removed_count = row_count;
    return removed_count;
end
$$;

comment on function api.remove_holidays(text, date [], text) is
'Removes holidays of a calendar; returns how many. days, name: NULL = any, so that the calendar alone removes all of it.

Models that were fitted keep what they learnt; the next fit reckons without. Raises 22023 for a calendar or a name that is not there.
Example: select api.add_holidays(''RU'', ''{2026-01-01}'', ''New Year''), api.remove_holidays(''RU'', name => ''New Year'');';
