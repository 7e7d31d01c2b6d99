"""Calendars of holidays from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loader import holidays
from loader.errors import Refused
from tests.loader.command_line import one, run

FILE = (
    "\ufeffCalendar;Day;Name\nRU;2026-01-01;Новый год\nRU;2027-01-01;Новый год\n\n"
    "RU;2026-05-09;День Победы\n"
)


def test_a_file_is_added_listed_and_removed(fresh_url: str, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text(FILE, encoding="utf-8")
    done = run(fresh_url, "holidays", "import", str(path))
    assert "added 3 holidays; 0 were there already" in done.stdout, done.stderr
    assert (
        "added 0 holidays; 3 were" in run(fresh_url, "holidays", "import", "-", input=FILE).stdout
    )
    listed = json.loads(run(fresh_url, "--json", "holidays", "list", "--calendar", "RU").stdout)
    assert [(row["day"], row["name"]) for row in listed] == [
        ("2026-01-01", "Новый год"), ("2026-05-09", "День Победы"), ("2027-01-01", "Новый год"),
    ]  # fmt: skip
    assert "removed 1" in run(fresh_url, "holidays", "remove", "RU", "--day", "2026-05-09").stdout
    assert "removed 2" in run(fresh_url, "holidays", "remove", "RU").stdout
    assert run(fresh_url, "holidays", "remove", "RU").returncode == 4
    assert run(fresh_url, "holidays", "remove", "RU", "--day", "soon").returncode == 2


def test_a_bad_row_keeps_the_whole_file_out(fresh_url: str) -> None:
    text = "calendar,day,name\nRU,2026-01-01,off\nRU,32.01.2026,off\n,2026-01-02,off\n"
    done = run(fresh_url, "holidays", "import", "-", input=text)
    assert done.returncode == 4
    assert "line 3, column day" in done.stderr and "line 4, column calendar" in done.stderr
    assert one(fresh_url, "select count(*) from core.holiday") == 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "calendar"),
        ("calendar,name\nRU,off\n", "day"),
        ("calendar,day,name,day\n", "two columns"),
        ("calendar,day,name\nRU,2026-01-01,off,more\n", "cells"),
    ],
)
def test_what_is_no_file_of_holidays_is_refused(text: str, named: str) -> None:
    with pytest.raises(Refused) as raised:
        holidays.read(text)
    assert named in f"{raised.value} {raised.value.detail}" and raised.value.hint
