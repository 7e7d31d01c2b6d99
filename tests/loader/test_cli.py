"""The command as a user types it: output, exit codes, and what is left after it was killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from loader import ingest
from tests.conftest import EXAMPLES, ROOT
from tests.loader.command_line import command, one, run, run_process

STATEMENT = EXAMPLES / "vedomost/vedomost_2025-01-06.csv"
READ_IT = ("--encoding", "cp1251", "--timezone", "Europe/Moscow")
HEAD = "sku,doc_type,doc_number,doc_time,batch,in_kg,out_kg\n"


def movements(path: Path, rows: int) -> Path:
    """Write a movements file of so many rows, each another document."""
    with path.open("w", encoding="utf-8") as out:
        out.write(HEAD)
        for i in range(rows):
            out.write(
                f"ТОВАР {i % 50:03} Г/К,sale,{i},2025-01-{1 + i % 28:02} 10:{i % 60:02}:00,"
                f"2025-01-01 08:00:00,0,{(i % 400 + 1) / 1000}\n"
            )
    return path


def test_one_line_a_file_and_the_same_bytes_only_once(fresh_url: str, tmp_path: Path) -> None:
    done = run_process(fresh_url, "import", str(STATEMENT), *READ_IT)
    assert done.returncode == 0
    assert "read 585 = loaded 585 + duplicate 0 + rejected 0" in done.stdout
    renamed = tmp_path / "renamed.csv"
    renamed.write_bytes(STATEMENT.read_bytes())
    before = one(fresh_url, "select count(*) from core.stock_movements")
    done = run(fresh_url, "import", str(renamed), *READ_IT)
    assert done.returncode == 0
    assert "already imported on" in done.stdout and STATEMENT.name in done.stdout
    assert one(fresh_url, "select count(*) from core.stock_movements") == before
    assert one(fresh_url, "select count(*) from core.source_data") == 1


def test_json_has_the_fields_of_the_line(fresh_url: str) -> None:
    done = run(fresh_url, "--json", "import", str(STATEMENT), *READ_IT)
    result = json.loads(done.stdout)
    assert result["read"] == result["loaded"] == 585
    assert (result["duplicate"], result["rejected"], result["status"]) == (0, 0, "loaded")


def test_errors_have_detail_and_hint_and_their_exit_codes(fresh_url: str, tmp_path: Path) -> None:
    done = run_process(fresh_url, "import", str(STATEMENT))
    assert done.returncode == 4
    lines = done.stderr.splitlines()
    assert lines[0].startswith("loader: error: vedomost_2025-01-06.csv")
    assert lines[1].startswith("  detail: ")
    assert lines[2].startswith("  hint: ") and "--encoding cp1251" in lines[2]
    assert run(fresh_url, "import", str(tmp_path / "none.csv")).returncode == 2
    assert run(fresh_url, "import", str(STATEMENT), "--decimal", "x").returncode == 2
    assert run_process(fresh_url, "frobnicate").returncode == 2
    gone = run_process("postgresql://nobody:secret-word@127.0.0.1:1/none", "imports", "list")
    assert gone.returncode == 3
    assert "secret-word" not in gone.stderr + gone.stdout


def test_a_database_without_the_schema_is_named(empty_url: str) -> None:
    done = run(empty_url, "import", str(STATEMENT), *READ_IT)
    assert done.returncode == 5
    assert "loader db upgrade" in done.stderr


def test_one_bad_file_does_not_keep_the_others_out(fresh_url: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("what,is,this\n1,2,3\n")
    good = movements(tmp_path / "good.csv", 10)
    done = run(fresh_url, "import", str(bad), str(good), "--timezone", "UTC")
    assert done.returncode == 4
    assert "bad.csv" in done.stderr and "read 10 = loaded 10" in done.stdout


def test_standard_input_gzip_and_workbooks(fresh_url: str, tmp_path: Path) -> None:
    text = movements(tmp_path / "m.csv", 20).read_bytes()
    done = subprocess.run(
        command(fresh_url, "import", "-", "--timezone", "UTC"),
        input=text,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0 and b"read 20 = loaded 20" in done.stdout
    packed = tmp_path / "m.csv.gz"
    packed.write_bytes(gzip.compress(text))
    done2 = run(fresh_url, "import", str(packed), "--timezone", "UTC")
    assert "read 20 = loaded 0 + duplicate 20" in done2.stdout
    book = run(
        fresh_url, "import", str(STATEMENT.with_suffix(".xlsx")), "--timezone", "Europe/Moscow"
    )
    assert "read 585 = loaded 585" in book.stdout


def test_the_workbook_gives_the_facts_of_its_csv(fresh_url: str) -> None:
    facts = (
        "select md5(string_agg(concat_ws('|', posted_at, nomenclature_id, operation,"
        " document_number, batch_received_at, in_kg, out_kg), ','"
        " order by nomenclature_id, posted_at, key_hash))"
        " from core.stock_movements"
    )
    layers = (
        "select md5(string_agg(concat_ws('|', nomenclature_id, boundary, as_of,"
        " batch_received_at, kg), ',' order by nomenclature_id, boundary, batch_received_at))"
        " from core.stock_layers"
    )
    run(fresh_url, "import", str(STATEMENT), *READ_IT)
    csv = one(fresh_url, facts), one(fresh_url, layers)
    run(fresh_url, "imports", "undo", "1")
    run(fresh_url, "import", str(STATEMENT.with_suffix(".xlsx")), "--timezone", "Europe/Moscow")
    assert (one(fresh_url, facts), one(fresh_url, layers)) == csv


def test_check_judges_and_leaves_nothing(fresh_url: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(
        HEAD + "A,sale,1,2025-01-05 10:00:00,,0,1\nA,sale,2,2025-01-05 11:00:00,,0,one\n"
    )
    done = run(fresh_url, "check", str(path), "--timezone", "UTC")
    assert done.returncode == 1
    assert "read 2 = loaded 1 + duplicate 0 + rejected 1" in done.stdout
    assert "some.csv:3 (outgoing): not a number" in done.stderr
    assert one(fresh_url, "select count(*) from core.source_data") == 0
    assert one(fresh_url, "select count(*) from core.validation_errors") == 0
    assert one(fresh_url, "select count(*) from core.data_lineage") == 0


def test_rejects_are_shown_exported_harmless_and_counted(fresh_url: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(HEAD + "=1+1,sale,1,tomorrow,,0,1\nA,sale,2,2025-01-05 11:00:00,,0,1\n")
    strict = run(fresh_url, "import", str(path), "--timezone", "UTC", "--strict")
    assert strict.returncode == 1
    assert "(loader rejects show 1)" in strict.stdout
    assert "some.csv:2 (posted_at): not a date" in run(fresh_url, "rejects", "show", "1").stdout
    exported = run(fresh_url, "rejects", "export", "1").stdout
    assert "'=1+1" in exported
    assert run(fresh_url, "rejects", "show", "99").returncode == 2
    refused = run(
        fresh_url,
        "import",
        str(path),
        "--timezone",
        "Europe/Moscow",
        "--max-rejects",
        "0",
        "--force",
    )
    assert refused.returncode == 2  # the bytes are known: --force says so instead of skipping
    run(fresh_url, "imports", "undo", "1")
    refused = run(fresh_url, "import", str(path), "--timezone", "UTC", "--max-rejects", "0")
    assert refused.returncode == 4 and "nothing of this file was loaded" in refused.stderr
    assert one(fresh_url, "select count(*) from core.stock_movements") == 0


def test_five_at_once_load_the_file_once(fresh_url: str, tmp_path: Path) -> None:
    path = movements(tmp_path / "same.csv", 3000)
    running = [
        subprocess.Popen(
            command(fresh_url, "import", str(path), "--timezone", "UTC"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=ROOT,
        )
        for _ in range(5)
    ]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 5
    assert sum("already imported" in out for out, _ in outputs) == 4
    assert one(fresh_url, "select count(*) from core.stock_movements") == 3000


def test_who_cannot_wait_for_the_lock_is_told_who_holds_it(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as holder:
        holder.execute("select pg_advisory_lock(%s)", (ingest.LOCK,))
        options = ingest.ImportOptions(time_zone="Europe/Moscow", lock_wait_seconds=1)
        with pytest.raises(ingest.Busy, match=f"pid {holder.info.backend_pid}"):
            ingest.import_file(
                fresh_url, str(STATEMENT), ingest.ReadOptions(encoding="cp1251"), options
            )


@pytest.mark.slow
def test_killed_at_any_moment_all_or_nothing_and_a_rerun_completes(
    fresh_url: str, tmp_path: Path
) -> None:
    rows = 60_000
    path = movements(tmp_path / "big.csv", rows)
    words = ("import", str(path), "--timezone", "UTC")
    chance = random.Random(1)
    killed = 0
    for _ in range(8):
        process = subprocess.Popen(
            command(fresh_url, *words),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        time.sleep(chance.uniform(0.3, 2.5))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        for _ in range(100):  # the server notices, and rolls back
            if not one(
                fresh_url,
                "select count(*) from pg_stat_activity where application_name = 'loader'"
                " and datname = current_database()",
            ):
                break
            time.sleep(0.1)
        loaded = one(fresh_url, "select count(*) from core.stock_movements")
        ledger = one(fresh_url, "select count(*) from core.source_data")
        assert (loaded, ledger) in ((0, 0), (rows, 1))
        if loaded:
            break
    assert killed
    done = run(fresh_url, *words)
    assert done.returncode == 0
    assert one(fresh_url, "select count(*) from core.stock_movements") == rows
    assert one(fresh_url, "select sum(loaded_count) from core.source_data") == rows


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_rolls_back_and_says_so_by_its_exit_code(
    fresh_url: str, tmp_path: Path, number: int, code: int
) -> None:
    path = movements(tmp_path / "big.csv", 150_000)
    process = subprocess.Popen(
        command(fresh_url, "import", str(path), "--timezone", "UTC"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not one(
        fresh_url,
        "select count(*) from pg_stat_activity where application_name = 'loader'"
        " and datname = current_database() and backend_xid is not null",
    ):
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert one(fresh_url, "select count(*) from core.stock_movements") == 0


def test_a_terminated_backend_is_survived_or_named(fresh_url: str, tmp_path: Path) -> None:
    path = movements(tmp_path / "big.csv", 100_000)
    process = subprocess.Popen(
        command(fresh_url, "import", str(path), "--timezone", "UTC"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not one(
        fresh_url,
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where application_name = 'loader' and datname = current_database()"
        " and backend_xid is not null",
    ):
        time.sleep(0.02)
    out, errors = process.communicate(timeout=120)
    loaded = one(fresh_url, "select count(*) from core.stock_movements")
    if process.returncode == 0:
        assert loaded == 100_000 and "read 100 000 = loaded 100 000" in out
    else:
        assert process.returncode == 3 and "nothing of big.csv was loaded" in errors
        assert loaded == 0


def test_a_reader_that_goes_away_is_no_failure(fresh_url: str) -> None:
    done = subprocess.run(
        f"{shlex.join(command(fresh_url, 'describe'))} | head -1",
        shell=True,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        check=False,
    )
    assert done.stdout.startswith("# Catalogue")
    assert "Traceback" not in done.stderr


def test_an_ascii_locale_prints_names_all_the_same(fresh_url: str) -> None:
    run(fresh_url, "import", str(STATEMENT), *READ_IT)
    done = run_process(fresh_url, "fit", env={**os.environ, "LANG": "C", "LC_ALL": "C"})
    assert done.returncode == 0
    done = run_process(fresh_url, "report", env={**os.environ, "LANG": "C", "LC_ALL": "C"})
    assert done.returncode == 0 and "СКУМБРИЯ Х/К" in done.stdout and "\x1b[" not in done.stdout


def test_fitting_twice_fits_nothing_the_second_time(fresh_url: str) -> None:
    run(fresh_url, "import", str(STATEMENT), *READ_IT)
    assert " fitted: 24 products" in run(fresh_url, "fit").stdout
    assert " cached: 24 products" in run(fresh_url, "fit").stdout
    assert run(fresh_url, "fit", "--family", "banana").returncode == 4


def test_help_says_what_each_command_does() -> None:
    for words in ((), ("import",), ("db", "upgrade"), ("server", "start"), ("rejects", "retry")):
        done = subprocess.run(
            [sys.executable, "-m", "loader", *words, "--help"],
            capture_output=True,
            encoding="utf-8",
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0 and "Usage:" in done.stdout
