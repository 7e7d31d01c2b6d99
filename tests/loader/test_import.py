"""Imports as a user runs them: what is left behind, kills at the worst moments, progress."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests.conftest import ROOT
from tests.loader.command_line import command, one, run
from tests.loader.test_cli import HEAD, movements

STAGED = (
    "select (select count(*) from staging.row) + (select count(*) from staging.stamp)"
    " + (select count(*) from staging.spelling) + (select count(*) from staging.meaning)"
)
BUSY = (
    "select count(*) from pg_stat_activity where application_name = 'loader'"
    " and datname = current_database()"
)
STORING = BUSY + " and query ~ '^copy core.stock_movements' and state = 'active'"
ROWS = 120_000


def wait_until(url: str, query: str, wanted: bool = True, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while bool(one(url, query)) is not wanted:
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


def start(url: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(url, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return movements(tmp_path_factory.mktemp("import") / "big.csv", ROWS)


def test_the_staging_tables_are_empty_whatever_became_of_the_file(
    fresh_url: str, tmp_path: Path
) -> None:
    path = movements(tmp_path / "m.csv", 500)
    assert run(fresh_url, "check", str(path), "--timezone", "UTC").returncode == 0
    assert one(fresh_url, STAGED) == 0
    refused = run(fresh_url, "import", str(path))  # no zone
    assert refused.returncode == 4 and "--timezone" in refused.stderr
    assert one(fresh_url, STAGED) == 0
    assert run(fresh_url, "import", str(path), "--timezone", "UTC").returncode == 0
    assert one(fresh_url, STAGED) == 0
    balances = tmp_path / "b.csv"
    balances.write_text("Номенклатура;Начальный остаток;Конечный остаток\nЛЕЩ;2;1\n")
    words = ("--timezone", "UTC", "--period", "2025-01-01..2025-01-07")
    assert run(fresh_url, "import", str(balances), *words).returncode == 0
    assert one(fresh_url, STAGED) == 0


@pytest.mark.slow
def test_killed_while_rows_are_stored_nothing_is_left_and_a_rerun_completes(
    fresh_url: str, big: Path
) -> None:
    chance = random.Random(2)
    for _ in range(8):
        process = start(fresh_url, "import", str(big), "--timezone", "UTC")
        wait_until(fresh_url, STORING)
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
        process.communicate()
        wait_until(fresh_url, BUSY, False)
        loaded = one(fresh_url, "select count(*) from core.stock_movements")
        if loaded:  # it was quicker than the kill
            assert loaded == ROWS
            assert run(fresh_url, "imports", "undo", "1").returncode == 0
            continue
        assert one(fresh_url, "select count(*) from core.source_data where undone_at is null") == 0
    done = run(fresh_url, "import", str(big), "--timezone", "UTC")
    assert done.returncode == 0
    assert one(fresh_url, "select count(*) from core.stock_movements") == ROWS
    assert one(fresh_url, "select count(distinct line) from core.stock_movements") == ROWS
    assert one(fresh_url, STAGED) == 0


def test_the_session_may_be_lost(fresh_url: str, big: Path) -> None:
    process = start(fresh_url, "import", str(big), "--timezone", "UTC")
    wait_until(fresh_url, STORING)
    ended = one(
        fresh_url,
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where application_name = 'loader' and datname = current_database()",
    )
    out, errors = process.communicate(timeout=120)
    loaded = one(fresh_url, "select count(*) from core.stock_movements")
    assert "Traceback" not in errors
    if process.returncode == 0:
        assert loaded == ROWS and "read 120 000 = loaded 120 000" in out
    else:
        assert ended and process.returncode == 3
        assert "nothing of big.csv was loaded" in errors and loaded == 0
    assert one(fresh_url, "select count(*) from core.source_data") == (loaded > 0)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_rows_are_stored(
    fresh_url: str, big: Path, number: int, code: int
) -> None:
    process = start(fresh_url, "import", str(big), "--timezone", "UTC")
    wait_until(fresh_url, STORING)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in errors
    wait_until(fresh_url, BUSY, False)
    assert one(fresh_url, "select count(*) from core.stock_movements") == 0
    assert one(fresh_url, "select count(*) from core.source_data") == 0


def test_progress_without_a_terminal_is_plain_lines_on_stderr(fresh_url: str, big: Path) -> None:
    environment = {"WEIGHHOUSE_PROGRESS_SECONDS": "0"}
    done = run(fresh_url, "import", str(big), "--timezone", "UTC", env=environment)
    lines = done.stderr.splitlines()
    assert len(lines) >= 3
    assert all(
        re.fullmatch(
            r"big\.csv  .{10} +\d+%  [\d.]+ [kM] rows  .+/s  rejected 0  ETA \d+:\d\d", line
        )
        for line in lines
    )
    assert "\r" not in done.stderr and "\x1b" not in done.stderr
    assert done.stdout.count("\n") == 1
    quiet = run(fresh_url, "--no-progress", "import", str(big), "--timezone", "UTC")
    assert quiet.stderr == ""


def test_the_ledger_and_the_rejects_for_machines(fresh_url: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(
        HEAD
        + "A,receipt,1,2025-01-05 10:00:00,,5,0\n"
        + '"=HYPERLINK(""x"")",sale,2,soon,,0,1\n'
        + "@x,Дегустация,3,2025-01-05 11:00:00,,0,1\n"
        + "B,sale,4,2025-01-05 11:00:00,,0,1,too,many,cells\n",
        "utf-8",
    )
    imported = json.loads(run(fresh_url, "--json", "import", str(path), "--timezone", "UTC").stdout)
    assert (imported["read"], imported["loaded"], imported["rejected"]) == (4, 1, 3)
    number = str(imported["import_id"])
    listed = json.loads(run(fresh_url, "--json", "imports", "list").stdout)
    assert [row["file"] for row in listed] == ["some.csv"]
    shown = json.loads(run(fresh_url, "--json", "imports", "show", number).stdout)
    assert shown["read_count"] == 4 and shown["lineage"][0]["status"] == "partial"
    rejects = json.loads(run(fresh_url, "--json", "rejects", "show", number).stdout)
    assert [(row["line"], row["reason"]) for row in rejects] == [
        (3, "not_a_date"),
        (4, "unknown_operation"),
        (5, "unreadable"),
    ]
    exported = tmp_path / "rejects.csv"
    assert run(fresh_url, "rejects", "export", number, "-o", str(exported)).returncode == 0
    rows = list(csv.reader(io.StringIO(exported.read_text("utf-8"))))
    assert not any(cell[:1] in ("=", "+", "-", "@") for row in rows for cell in row)
    with psycopg.connect(fresh_url) as connection:
        connection.execute("insert into core.operation_mapping values ('дегустация', 'write_off')")
    again = json.loads(run(fresh_url, "--json", "rejects", "retry", number).stdout)
    assert (again["read"], again["loaded"], again["rejected"]) == (2, 1, 1)
    left = json.loads(run(fresh_url, "--json", "rejects", "show", number).stdout)
    assert [(row["line"], row["raw_text"]) for row in left] == [
        (3, '"=HYPERLINK(""x"")",sale,2,soon,,0,1'),
        (5, "B,sale,4,2025-01-05 11:00:00,,0,1,too,many,cells"),
    ]
    undone = json.loads(run(fresh_url, "--json", "imports", "undo", number).stdout)
    assert undone["movements"] == 2
    assert json.loads(run(fresh_url, "--json", "imports", "list").stdout) == []
    assert run(fresh_url, "imports", "undo", number).returncode != 0


def test_how_many_rejects_are_allowed(fresh_url: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    rows = [f"A,sale,{i},2025-01-05 10:00:00,,0,{'x' if i < 2 else 1}" for i in range(20)]
    path.write_text(HEAD + "\n".join(rows) + "\n")
    for limit, code in (("1", 4), ("9%", 4), ("many", 2), ("10%", 0)):
        done = run(fresh_url, "import", str(path), "--timezone", "UTC", "--max-rejects", limit)
        assert done.returncode == code, limit
        assert (one(fresh_url, "select count(*) from core.stock_movements") > 0) == (code == 0)


def test_a_conflict_may_fail_the_file(fresh_url: str, tmp_path: Path) -> None:
    row = "A,sale,1,2025-01-05 10:00:00,,0,"
    for number, mass in enumerate("12"):
        (tmp_path / f"{number}.csv").write_text(f"{HEAD}{row}{mass}\n")
    words = ("--timezone", "UTC", "--on-conflict", "fail")
    assert run(fresh_url, "import", str(tmp_path / "0.csv"), *words).returncode == 0
    done = run(fresh_url, "import", str(tmp_path / "1.csv"), *words)
    assert done.returncode == 4
    assert "line 2 has another quantity" in done.stderr and "  hint: " in done.stderr
    assert one(fresh_url, "select sum(out_kg)::int from core.stock_movements") == 1


def test_a_password_is_never_shown(fresh_url: str, tmp_path: Path) -> None:
    path = movements(tmp_path / "m.csv", 5)
    parts = conninfo.conninfo_to_dict(fresh_url)
    url = f"postgresql://postgres:open-sesame@{parts['host']}:{parts['port']}/{parts['dbname']}"
    broken = url.replace(str(parts["dbname"]), "no_such_database")
    for words in (
        ("-v", "import", str(path), "--timezone", "UTC"),
        ("--json", "import", str(tmp_path / "none.csv")),
        ("imports", "list"),
    ):
        for dsn in (url, broken):
            done = run(dsn, *words)
            assert "open-sesame" not in done.stdout + done.stderr


def test_output_that_nobody_reads_is_no_failure(fresh_url: str, tmp_path: Path) -> None:
    path = movements(tmp_path / "m.csv", 50)
    words = shlex.join(command(fresh_url, "import", str(path), "--timezone", "UTC"))
    done = subprocess.run(
        f"{words} | true", shell=True, capture_output=True, encoding="utf-8", cwd=ROOT, check=False
    )
    assert "Traceback" not in done.stderr and "Error" not in done.stderr
    assert one(fresh_url, "select count(*) from core.stock_movements") == 50


def test_bytes_that_are_no_text_are_met_late_and_nothing_is_loaded(
    fresh_url: str, tmp_path: Path
) -> None:
    path = movements(tmp_path / "m.csv", 50_000)  # more than a block before it
    with path.open("ab") as file:
        file.write("ЛЕЩ Г/К".encode("cp1251"))
    done = run(fresh_url, "import", str(path), "--timezone", "UTC")
    assert done.returncode == 4
    assert "m.csv:50002: byte 0xCB at position" in done.stderr and "--encoding" in done.stderr
    assert one(fresh_url, "select count(*) from core.stock_movements") == 0
    assert one(fresh_url, "select count(*) from core.source_data") == 0
    assert one(fresh_url, STAGED) == 0
