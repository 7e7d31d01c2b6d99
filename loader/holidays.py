"""Commands of the calendars of holidays, which models of series reckon with."""

from __future__ import annotations

import csv
import io
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from psycopg.rows import dict_row

from loader.errors import Refused, UsageError
from loader.models import call, show
from loader.terminal import ready, say

holidays_app = typer.Typer(help="Calendars of holidays that models know.", no_args_is_help=True)

COLUMNS = ("calendar", "day", "name")
# Errors that are named one by one.
NAMED = 10

Days = dict[tuple[str, str], set[date]]


def read(text: str) -> Days:
    """Read a file of holidays: days by calendar and name.

    Raises Refused naming line and column of each row that cannot be.
    """
    lines = io.StringIO(text, newline="")
    first = lines.readline()
    lines.seek(0)
    rows = csv.reader(lines, delimiter=";" if first.count(";") > first.count(",") else ",")
    header = [cell.strip().lower() for cell in next(rows, [])]
    missing = [column for column in COLUMNS if column not in header]
    if missing or len(set(header)) < len(header):
        raise Refused(
            f"the file has no column {missing[0]}" if missing else "two columns have one name",
            hint="the first line names the columns: calendar,day,name",
        )
    found: Days = defaultdict(set)
    wrong = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        day = None
        for column in COLUMNS:
            problem = None
            value = cells.get(column, "")
            if not value:
                problem = "is empty"
            elif len(value) > 200:
                problem = "has more than 200 characters"
            elif column == "day":
                try:
                    day = date.fromisoformat(value)
                except ValueError:
                    problem = f"is {value!r}, no day as 2026-01-31"
            if problem:
                wrong.append(f"line {rows.line_num}, column {column} {problem}")
        if len(row) > len(header):
            wrong.append(f"line {rows.line_num} has {len(row)} cells, the header {len(header)}")
        if day is not None:
            found[cells.get("calendar", ""), cells.get("name", "")].add(day)
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise Refused(
            f"{len(wrong)} cells cannot be read; nothing was added",
            detail="; ".join(wrong[:NAMED]) + more,
            hint="correct them, and import the file again",
        )
    return found


@holidays_app.command("import")
def holidays_import(
    file: Annotated[str, typer.Argument(help="CSV of calendar, day and name; - is stdin.")],
) -> None:
    """Adds the holidays of a file, all or none; what is there already stays."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"line {line} is not UTF-8", hint="save the file as UTF-8") from error
    holidays = read(text)
    added = 0
    with ready() as connection:
        for (calendar, name), days in sorted(holidays.items()):
            row = connection.execute(
                "select api.add_holidays(%s, %s, %s)", (calendar, sorted(days), name)
            ).fetchone()
            added += row[0] if row else 0
    given = sum(len(days) for days in holidays.values())
    say(
        {"added": added, "known": given - added},
        f"added {added} holidays; {given - added} were there already",
    )


@holidays_app.command("list")
def holidays_list(
    calendar: Annotated[str | None, typer.Option(help="One calendar.")] = None,
) -> None:
    """Lists holidays by calendar and day."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select h.calendar, h.day, h.name from bi.holiday as h"
            " where %(calendar)s::text is null or h.calendar = %(calendar)s"
            " order by h.calendar, h.day, h.name",
            {"calendar": calendar},
        ).fetchall()
    show(rows, empty="there is no holiday")


@holidays_app.command("remove")
def holidays_remove(
    calendar: Annotated[str, typer.Argument(help="The calendar.")],
    day: Annotated[
        list[str] | None, typer.Option(help="One day, as 2026-01-31 (repeatable).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Days of this name.")] = None,
) -> None:
    """Removes holidays of a calendar: all of it, a day, a name."""
    days = None
    try:
        days = [date.fromisoformat(each) for each in day] if day else None
    except ValueError as error:
        raise UsageError(f"--day: {error}", hint="as 2026-01-31") from error
    (row,) = call("remove_holidays", calendar=calendar, days=days, name=name)
    say({"removed": row["remove_holidays"]}, f"removed {row['remove_holidays']} holidays")
