"""Datasets as a user uploads them: the command, its exit codes, and what is left after a kill."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import psycopg
import pytest

from tests.conftest import ROOT, copied
from tests.loader.command_line import command, one, run
from tests.loader.test_import import start, wait_until

HEAD = "id,amount,city"
BUSY = (
    "select count(*) from pg_stat_activity where application_name = 'loader'"
    " and datname = current_database()"
)
LEFT = (
    "select (select count(*) from pg_class where relnamespace = 'dataset'::regnamespace)"
    " + (select count(*) from core.dataset) + (select count(*) from core.source_data)"
)


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    with copied(server_url, template) as copy:
        yield copy


def rows(path: Path, count: int, bad: int | None = None) -> Path:
    with path.open("w", encoding="utf-8") as out:
        out.write(f"{HEAD}\n")
        for i in range(count):
            amount = "12..5" if i == bad else f"{i / 4}"
            out.write(f"{i},{amount},город {i % 7}\n")
    return path


def test_from_import_to_drop(url: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "sales.csv", 50)
    done = run(url, "import", str(path), "--into", "dataset", "sales of May", "--keep", "30 days")
    assert done.returncode == 0, done.stderr
    assert 'dataset sales of May version 1  read it as dataset."sales of May"' in done.stdout
    assert "id bigint, amount float8, city text" in done.stdout
    done = run(url, "--json", "import", str(path), "--into=dataset", "sales of May")
    result = json.loads(done.stdout)
    assert (result["status"], result["version"], result["rows"]) == ("stored", 2, 50)
    assert result["columns"][2] == {
        "name": "city",
        "type": "text",
        "empty_count": 0,
        "distinct_count": 7,
    }
    listed = json.loads(run(url, "--json", "datasets", "list", "sales of May").stdout)
    assert [(row["version"], row["status"]) for row in listed] == [(2, "ready"), (1, "ready")]
    shown = json.loads(run(url, "--json", "datasets", "show", "sales of May").stdout)
    assert shown["version"] == 2 and len(shown["columns"]) == 3
    assert [event["event"] for event in shown["events"]] == ["uploaded"]
    assert "Columns" in run(url, "datasets", "show", "sales of May", "--version", "1").stdout
    assert "alike" in run(url, "datasets", "diff", "sales of May", "1", "2").stdout
    dropped = run(url, "--json", "--yes", "datasets", "drop", "sales of May", "--version", "2")
    assert json.loads(dropped.stdout)[0]["dropped_version"] == 2
    assert run(url, "--yes", "datasets", "drop", "sales of May").returncode == 0
    gone = run(url, "--yes", "datasets", "drop", "sales of May")
    assert gone.returncode == 4 and "hint" in gone.stderr
    assert "no dataset has expired" in run(url, "datasets", "expire").stdout


def test_an_unfit_file_ends_with_4_and_names_line_and_column(url: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "bad.csv", 100, bad=60)
    done = run(url, "import", str(path), "--into", "dataset", "bad")
    assert done.returncode == 4
    assert 'bad.csv:62 (amount): "12..5" is no float8' in done.stderr and "hint: " in done.stderr
    listed = json.loads(run(url, "--json", "datasets", "list", "bad").stdout)
    assert [(row["status"], row["refused_line"]) for row in listed] == [("refused", 62)]
    checked = run(url, "check", str(path), "--into", "dataset", "bad")
    assert checked.returncode == 4
    assert len(json.loads(run(url, "--json", "datasets", "list", "bad").stdout)) == 1
    done = run(url, "import", str(path), "--into", "dataset", "bad", "--type", "amount=text")
    assert done.returncode == 0 and "amount text" in done.stdout


def test_all_kinds_of_files(url: str, tmp_path: Path) -> None:
    text = rows(tmp_path / "m.csv", 30).read_text("utf-8")
    done = subprocess.run(
        command(url, "--json", "import", "-", "--into", "dataset", "kinds"),
        input=text.encode(),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert json.loads(done.stdout)["rows"] == 30
    packed = tmp_path / "m.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    foreign = tmp_path / "m.txt"
    foreign.write_bytes(text.replace(",", "\t").replace("\n", "\r\n").encode("cp1251"))
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in text.splitlines():
        cells = line.split(",")
        sheet.append([float(c) if c.replace(".", "").isdigit() else c for c in cells])
    book.save(tmp_path / "m.xlsx")
    for path, words in (
        (packed, ()),
        (foreign, ("--encoding", "cp1251")),
        (tmp_path / "m.xlsx", ()),
    ):
        done2 = run(url, "--json", "import", str(path), "--into", "dataset", "kinds", *words)
        result = json.loads(done2.stdout)
        assert result["rows"] == 30, done2.stderr
        assert [c["type"] for c in result["columns"]] == ["bigint", "float8", "text"]
    alike = json.loads(run(url, "--json", "datasets", "diff", "kinds", "1", "4").stdout)
    assert [row["figure"] for row in alike] == ["file hash"]


@pytest.mark.parametrize(
    "words",
    [
        ("--into", "dataset"),
        ("--into=dataset",),
        ("--into", "dataset", "--json"),
        ("--into", "dataset", "x", "--layout", "balances"),
        ("--into", "dataset", "x", "--type", "amount"),
        ("--into", "dataset", "x", "second.csv"),
        ("--into", "table"),
        ("--keep", "1 day"),
    ],
)
def test_words_that_mean_nothing(url: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    path = rows(tmp_path / "m.csv", 30)
    before = one(url, LEFT)
    done = run(url, "import", str(path), *words)
    assert done.returncode == 2 and "hint: " in done.stderr
    assert one(url, LEFT) == before


def test_killed_in_the_middle_nothing_is_left(fresh_url: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "big.csv", 60_000)
    for stage in ("judge_upload", "store_upload"):
        process = start(fresh_url, "import", str(path), "--into", "dataset", "big")
        wait_until(fresh_url, f"{BUSY} and query ~ '{stage}' and state = 'active'")
        process.kill()
        process.communicate()
        wait_until(fresh_url, BUSY, False)
        assert one(fresh_url, LEFT) == 0, stage
    assert run(fresh_url, "import", str(path), "--into", "dataset", "big").returncode == 0
    assert one(fresh_url, "select version from core.dataset") == 1


def test_a_long_file_takes_little_memory(url: str, tmp_path: Path) -> None:
    """60 MB of text: what is read is sent on, nothing is gathered."""
    path = tmp_path / "long.csv"
    with path.open("w") as out:
        out.write("id,note\n")
        for i in range(60):
            out.write("".join(f"{i},{'lorem ipsum ' * 80}\n" for _ in range(1000)))
    script = """
import re, sys
from loader import datasets
from loader.reading import ReadOptions
done = datasets.upload(sys.argv[1], sys.argv[2], "long", ReadOptions(), datasets.UploadOptions())
# (Not ru_maxrss, which a process inherits from the one that started it.)
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
print(done.rows, int(peak[1]) // 1024)
"""
    done = subprocess.run(
        [command(url)[0], "-c", script, url, str(path)],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        check=True,
    )
    count, megabytes = map(int, done.stdout.split())
    assert path.stat().st_size > 55_000_000 and count == 60_000
    assert megabytes < 150


def test_cancelled_in_the_middle_nothing_is_left(fresh_url: str, tmp_path: Path) -> None:
    path = rows(tmp_path / "big.csv", 60_000)
    process = start(fresh_url, "import", str(path), "--into", "dataset", "big")
    wait_until(fresh_url, f"{BUSY} and query ~ 'judge_upload' and state = 'active'")
    with psycopg.connect(fresh_url) as connection:
        connection.execute(
            "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'loader'"
            " and datname = current_database()"
        )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 4 and "cancelled" in errors
    deadline = time.monotonic() + 20
    while one(fresh_url, BUSY) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (
        one(fresh_url, "select count(*) from pg_class where relnamespace = 'dataset'::regnamespace")
        == 0
    )
