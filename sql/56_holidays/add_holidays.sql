create function api.add_holidays(calendar text, days date [], name text)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    added_count int;
begin
    if coalesce(btrim(calendar), '') = '' or length(calendar) > 200 then
        raise exception 'the calendar has no name' using errcode = '22023', hint = 'As RU or promotions, at most 200 characters.';
    end if;
    if coalesce(btrim(name), '') = '' or length(name) > 200 then
        raise exception 'the holiday has no name'
            using errcode = '22023', hint = 'As New Year, at most 200 characters: days of one name have one effect.';
    end if;
    if coalesce(cardinality(days), 0) = 0 or exists (select from unnest(days) as d (day) where d.day is null or not isfinite(d.day)) then
        raise exception 'no days, or one that is none' using errcode = '22023', hint = 'As ''{2026-01-01,2027-01-01}''; nothing was added.';
    end if;
    insert into core.holiday (calendar, day, name)
    select distinct btrim(add_holidays.calendar), d.day, btrim(add_holidays.name) from unnest(days) as d (day)
    on conflict on constraint holiday_pkey do nothing;
    get diagnostics added_count = row_count;
    return added_count;
end
$$;

comment on function api.add_holidays(text, date [], text) is
'Adds days to a calendar of holidays under one name; returns how many were not there yet.

A calendar exists as long as it has days. Models that name it in their option holidays reckon with each name as one effect, so days
ahead of the data belong here too. Days are those of the time zone of the series. Raises 22023 for a blank name, no days, or NULL.
Example: select api.add_holidays(''RU'', ''{2026-01-01,2027-01-01}'', ''New Year'');';
