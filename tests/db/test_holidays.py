"""Calendars of holidays: filled, emptied, and laid on the steps of a grid."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.db import domain
from tests.db.domain import Connection

DAY = {
    "unit": "day",
    "count": 1,
    "phase": 0,
    "zone": "Europe/Moscow",
    "type": "date",
    "is_local": True,
}
WEEK = DAY | {"count": 7, "phase": 2}  # 2000-01-03 was a Monday
MONTH = DAY | {"unit": "month"}
HOUR = {
    "unit": "second",
    "count": 3600,
    "phase": 0,
    "zone": "Europe/Moscow",
    "type": "timestamptz",
    "is_local": False,
}


def add(db: Connection, calendar: str, days: list[str], name: str) -> int:
    return int(
        domain.value(db, "select api.add_holidays(%s, %s::date[], %s)", calendar, days, name)
    )


def steps(
    db: Connection, grid: dict[str, Any], first: str, last: str, *calendars: str
) -> list[tuple[str, str]]:
    """Name and local start of the steps between two local days."""
    query = """
        select s.name, to_char(internal.step_time(g, s.step) at time zone (g ->> 'zone'), 'YYYY-MM-DD HH24')
        from (select %s::jsonb as g) as q
        cross join lateral internal.holiday_steps(g, %s::text[],
            internal.step_number(g, %s::timestamp at time zone (g ->> 'zone')),
            internal.step_number(g, %s::timestamp at time zone (g ->> 'zone'))) as s
        order by 1, 2
    """
    return db.execute(query, (json.dumps(grid), list(calendars), first, last)).fetchall()


def test_days_are_added_once_and_removed(db: Connection) -> None:
    assert add(db, " RU ", ["2026-01-01", "2026-01-02", "2026-01-01"], " New Year ") == 2
    assert add(db, "RU", ["2026-01-02", "2026-01-03"], "New Year") == 1
    assert add(db, "RU", ["2026-05-09"], "Victory Day") == 1
    rows = db.execute("select calendar, day, name from bi.holiday order by day").fetchall()
    assert rows[0] == ("RU", date(2026, 1, 1), "New Year") and len(rows) == 4
    remove = "select api.remove_holidays('RU', %s::date[], %s)"
    assert domain.value(db, remove, ["2026-01-01"], None) == 1
    assert domain.value(db, remove, None, "New Year") == 2
    assert domain.value(db, remove, None, None) == 1
    assert domain.value(db, "select count(*) from core.holiday") == 0


@pytest.mark.parametrize(
    ("calendar", "days", "name"),
    [
        (" ", ["2026-01-01"], "X"),
        (None, ["2026-01-01"], "X"),
        ("RU", ["2026-01-01"], ""),
        ("RU", [], "X"),
        ("RU", None, "X"),
        ("RU", ["2026-01-01", None], "X"),
        ("RU", ["infinity"], "X"),
        ("RU", ["2026-01-01"], "X" * 201),
    ],
)
def test_what_is_no_holiday_is_refused(db: Connection, calendar: Any, days: Any, name: Any) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as raised, db.transaction():
        db.execute("select api.add_holidays(%s, %s::date[], %s)", (calendar, days, name))
    assert raised.value.diag.message_hint
    assert domain.value(db, "select count(*) from core.holiday") == 0


def test_what_is_not_there_cannot_be_removed(db: Connection) -> None:
    add(db, "RU", ["2026-01-01"], "New Year")
    for query in ("api.remove_holidays('BY')", "api.remove_holidays('RU', name => 'Easter')",
                  "internal.check_calendars('{RU,BY}')"):  # fmt: skip
        with pytest.raises(psycopg.errors.InvalidParameterValue) as raised, db.transaction():
            db.execute(f"select {query}")  # type: ignore[arg-type]
        assert raised.value.diag.message_hint
    assert domain.value(db, "select count(*) from core.holiday") == 1


def test_steps_of_days_weeks_and_months_that_hold_a_holiday(db: Connection) -> None:
    add(db, "RU", ["2026-01-01", "2026-01-02", "2026-05-09"], "off")
    add(db, "promotions", ["2026-01-02"], "sale")
    assert steps(db, DAY, "2026-01-02", "2026-12-31", "RU", "promotions") == [
        ("off", "2026-01-02 00"), ("off", "2026-05-09 00"), ("sale", "2026-01-02 00"),
    ]  # fmt: skip
    # 1 January 2026 is a Thursday: its week begins on 29 December; both days are in it, once.
    assert steps(db, WEEK, "2025-12-01", "2026-02-01", "RU") == [("off", "2025-12-29 00")]
    assert steps(db, MONTH, "2025-12-15", "2026-12-31", "RU") == [
        ("off", "2026-01-01 00"),
        ("off", "2026-05-01 00"),
    ]
    # The step in which the question begins counts as a whole.
    assert steps(db, WEEK, "2026-01-03", "2026-02-01", "RU") == [("off", "2025-12-29 00")]
    assert steps(db, DAY, "2026-01-01", "2026-12-31", "BY") == []


def test_a_holiday_is_all_hours_of_its_day_in_the_zone_of_the_grid(db: Connection) -> None:
    add(db, "RU", ["2026-01-01"], "off")
    found = steps(db, HOUR, "2025-12-01", "2026-02-01", "RU")
    assert [row[1] for row in found] == [f"2026-01-01 {hour:02}" for hour in range(24)]
    # The day clocks go forward in Berlin has 23 hours: reckoned here with zoneinfo.
    berlin = HOUR | {"zone": "Europe/Berlin"}
    add(db, "DE", ["2026-03-29"], "change")
    start = datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    hours = domain.value(
        db,
        "select array_agg(s.step order by s.step) from internal.holiday_steps(%s, '{DE}', 0, 1000000) as s",
        json.dumps(berlin),
    )
    first = int(start.timestamp()) // 3600
    assert hours == list(range(first, first + 23))
    assert start + timedelta(hours=23) == datetime(
        2026, 3, 30, tzinfo=ZoneInfo("Europe/Berlin")
    ).astimezone(UTC)


def test_changes_leave_a_trace_and_analysts_only_read(db: Connection) -> None:
    add(db, "RU", ["2026-01-01"], "off")
    trace = db.execute("select action from core.audit_log where table_name = 'holiday'").fetchall()
    assert trace == [("insert",)]
    db.execute("set local role weighhouse_analyst")
    assert domain.value(db, "select count(*) from bi.holiday") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        add(db, "RU", ["2026-01-02"], "off")
