"""Calendars of holidays, which models of series may reckon with."""

from loader.schema import run

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run(r"""
create table core.holiday (
    calendar text not null check (calendar = btrim(calendar) and calendar <> ''),
    day date not null,
    name text not null check (name = btrim(name) and name <> ''),
    added_by text not null default session_user,
    added_at timestamptz not null default now(),
    check (isfinite(day)),
    primary key (calendar, day, name)
);
comment on table core.holiday is 'Holds the holidays of calendars, which users fill.';
comment on column core.holiday.calendar is 'Calendar it belongs to, as RU or promotions.';
comment on column core.holiday.day is 'The day, in the time zone of the series.';
comment on column core.holiday.name is 'Its name; days of one name have one effect.';
comment on column core.holiday.added_by is 'Database role that added it.';
comment on column core.holiday.added_at is 'When it was added.';
create trigger record_change after insert or update or delete on core.holiday
    for each row execute function core.record_change('holiday', 'calendar day name', 'added_by added_at');
""")


def downgrade() -> None:
    run(r"""
drop table core.holiday;
""")
