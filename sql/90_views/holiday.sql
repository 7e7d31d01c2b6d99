create or replace view bi.holiday as
select h.day::timestamp at time zone 'UTC' as time, h.calendar, h.day, h.name, h.added_by, h.added_at
from core.holiday as h;

comment on view bi.holiday is 'The holidays of all calendars: one row a day and name.';
comment on column bi.holiday.time is 'Start of the day in UTC: where charts place it.';
comment on column bi.holiday.calendar is 'Calendar it belongs to.';
comment on column bi.holiday.day is 'The day, in the time zone of the series.';
comment on column bi.holiday.name is 'Its name; days of one name have one effect.';
comment on column bi.holiday.added_by is 'Database role that added it.';
comment on column bi.holiday.added_at is 'When it was added.';
