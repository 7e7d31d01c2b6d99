"""Speed of an import: a million movements from a CSV into the hypertable, verdicts and ledger on.

    python -m bench.import_rows --dsn postgresql://postgres@127.0.0.1:5432/postgres

Measured are `loader import` as a user starts it (a process of its own, from its start to its end,
with its greatest memory), beside

- COPY of the same rows, clean and typed, into a hypertable with the same index: what remains when
  nothing is read, judged or looked up;
- pgloader (Debian package) of the same CSV into the same hypertable, where it is installed;

on files in the order of products, in the order of time, and as a Russian ERP writes dates and
numbers; and how the time grows with the rows. Databases of its own are made on the server and
dropped afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql

from loader import schema

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
HEAD = (
    "sku",
    "product_type",
    "doc_type",
    "doc_number",
    "doc_time",
    "batch_received_at",
    "in_kg",
    "out_kg",
)
PRODUCTS = 2000
ZONE = "Europe/Moscow"
FIRST = datetime(2024, 1, 1)
TARGET = "at least 150 000 rows/s, at most 150 MB"
COLUMNS = (
    "posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at,"
    " in_kg, out_kg, source_data_id, line, key_hash"
)


# --------------------------------------------------------------------------------------- the files


def movements(rows: int) -> list[tuple[str, str, str, datetime, datetime, float, float]]:
    """Make a year of a shop: per product a receipt, then nine sales from it, and again."""
    chance = random.Random(1)
    per = max(rows // PRODUCTS, 1)
    made = []
    for product in range(min(PRODUCTS, rows)):
        item = f"ТОВАР {product:04d} Х/К"
        batch = FIRST
        for k in range(per):
            at = FIRST + timedelta(
                minutes=int(k * 365 * 1440 / per), seconds=chance.randrange(3600)
            )
            if k % 10 == 0:
                batch = at
                mass = chance.randrange(4000, 12000, 2) / 1000
                made.append((item, "receipt", f"{k:09d}", at, batch, mass, 0.0))
            else:
                mass = chance.randrange(2, 900, 2) / 1000
                made.append((item, "sale", f"{k:09d}", at, batch, 0.0, mass))
    return made


def write_csv(path: Path, rows: int, *, by_time: bool = False, russian: bool = False) -> int:
    """Write movements as a CSV; give how many."""
    made = movements(rows)
    if by_time:
        made.sort(key=lambda row: row[3])
    names = {"receipt": "Приходная накладная", "sale": "Отчет о розничных продажах"}
    mark = ";" if russian else ","
    with path.open("w", encoding="utf-8") as out:
        out.write(mark.join(HEAD) + "\n")
        for item, kind, number, at, batch, incoming, outgoing in made:
            if russian:
                stamps = (
                    f"{moment:%d.%m.%Y} {moment.hour}:{moment:%M:%S}" for moment in (at, batch)
                )
                masses = [f"{mass:.3f}".replace(".", ",") for mass in (incoming, outgoing)]
                kind = names[kind]
            else:
                stamps = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (at, batch))
                masses = [f"{mass:g}" for mass in (incoming, outgoing)]
            out.write(mark.join((item, "cold_smoked", kind, number, *stamps, *masses)) + "\n")
    return len(made)


# ------------------------------------------------------------------------------------- the servers


@contextmanager
def database(dsn: str) -> Iterator[str]:
    """Make a migrated database and drop it afterwards."""
    name = f"wh_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        url = conninfo.make_conninfo(dsn, dbname=name)
        try:
            schema.upgrade(url)
            yield url
        finally:
            admin.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


def import_seconds(url: str, path: Path) -> tuple[float, float, float]:
    """Import a file as a user does; give the seconds, those the command itself counts, and MB."""
    words = ["--no-progress", "--json", "--dsn", url, "import", str(path), "--timezone", ZONE]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", *words], cwd=ROOT, stdout=subprocess.PIPE
    )
    peak = 0.0
    # Its own mark: what the system keeps of a child that has ended counts the parent's memory too.
    while process.poll() is None:
        with suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            peak = float(found[1]) / 1024 if found else peak
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    output, _ = process.communicate()
    result = json.loads(output)
    if process.returncode or result["loaded"] != result["read"]:
        raise RuntimeError(f"the import failed: {result}")
    return seconds, float(result["seconds"]), peak


def empty(url: str) -> None:
    """Forget what was imported, so that the next run meets the same."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("truncate core.stock_movements")
        connection.execute("update core.source_data set undone_at = now() where undone_at is null")
        connection.execute("checkpoint")


def copy_seconds(url: str, spool: Path) -> float:
    """Copy the rows just imported, typed and clean, into an empty hypertable of the same shape."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table public.raw (like core.stock_movements including constraints)"
        )
        connection.execute(
            "select create_hypertable('public.raw', by_range('posted_at', interval '91 days'),"
            " create_default_indexes => false)"
        )
        connection.execute(
            "create unique index on public.raw (nomenclature_id, posted_at, key_hash)"
        )
        if not spool.exists():
            with (
                connection.cursor() as cursor,
                spool.open("wb") as out,
                cursor.copy(
                    f"copy (select {COLUMNS} from core.stock_movements order by line) to stdout"
                ) as rows,
            ):
                for piece in rows:
                    out.write(piece)
        started = time.perf_counter()
        with connection.cursor() as cursor, spool.open("rb") as file:
            with cursor.copy(f"copy public.raw ({COLUMNS}) from stdin") as stream:
                while piece := file.read(1 << 20):
                    stream.write(piece)
            seconds = time.perf_counter() - started
            connection.execute("drop table public.raw")
    return seconds


def pgloader_seconds(url: str, path: Path, folder: Path) -> float | None:
    """Load the CSV with pgloader into a hypertable of its columns; None where it is not there."""
    if shutil.which("pgloader") is None:
        return None
    parts = conninfo.conninfo_to_dict(url)
    target = (
        f"postgresql://{parts.get('user', 'postgres')}@{parts.get('host', 'localhost')}:"
        f"{parts.get('port', '5432')}/{parts['dbname']}"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table public.plain (sku text, product_type text, doc_type text,"
            " doc_number text, doc_time timestamptz not null, batch_received_at timestamptz,"
            " in_kg numeric(14, 3), out_kg numeric(14, 3))"
        )
        connection.execute(
            "select create_hypertable('public.plain', by_range('doc_time', interval '91 days'),"
            " create_default_indexes => false)"
        )
        connection.execute("create unique index on public.plain (sku, doc_time, doc_number)")
        command = folder / "pgloader.load"
        command.write_text(
            f"load csv from '{path}' having fields ({', '.join(HEAD)})\n"
            f"into {target} target table public.plain\n"
            "with skip header = 1, fields terminated by ','\n"
            f"set timezone to '{ZONE}';\n",
            encoding="utf-8",
        )
        started = time.perf_counter()
        subprocess.run(
            ["pgloader", "--root-dir", str(folder), str(command)],
            check=True,
            stdout=subprocess.DEVNULL,
            # It reads no password file; without any password it stops.
            env={**os.environ, "PGPASSWORD": connection.info.password or "none"},
        )
        seconds = time.perf_counter() - started
        loaded = connection.execute("select count(*) from public.plain").fetchone()
        connection.execute("drop table public.plain")
    if loaded is None or not loaded[0]:
        return None
    return seconds


# ------------------------------------------------------------------------------------ the measures


def rate(rows: int, seconds: float) -> str:
    """Say how fast."""
    return f"{rows / seconds:,.0f} rows/s ({seconds:.1f} s)".replace(",", " ")


def run(dsn: str, *, rows: int = 1_000_000, repeats: int = 3, ten_times: bool = False) -> list[Row]:
    """Measure imports on a server where databases can be made.

    Returns
    -------
    list of dict
        name, ours, peer, ratio (how many times better ours is), target, note; None: not compared.
        Of `repeats` runs, ours and the peer's in turn, the fastest counts.
    """
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="weighhouse-") as name, database(dsn) as url:
        folder = Path(name)
        path, spool = folder / "movements.csv", folder / "typed.txt"
        count = write_csv(path, rows)
        ours: list[tuple[float, float, float]] = []
        copies: list[float] = []
        for _ in range(repeats):
            empty(url)
            ours.append(import_seconds(url, path))
            copies.append(copy_seconds(url, spool))
        best, copy = min(ours), min(copies)
        found.append(
            {
                "name": f"import, {count:,} movements, against COPY of typed rows".replace(
                    ",", " "
                ),
                "ours": rate(count, best[0]),
                "peer": rate(count, copy),
                "ratio": copy / best[0],
                "target": TARGET + "; half of COPY",
                "note": f"whole process; {best[2]:.0f} MB at most; {best[0] - best[1]:.1f} s of it"
                " start and look at the file",
            }
        )
        peer = pgloader_seconds(url, path, folder)
        if peer is not None:
            found.append(
                {
                    "name": "the same, against pgloader",
                    "ours": rate(count, best[0]),
                    "peer": rate(count, peer),
                    "ratio": peer / best[0],
                    "target": "faster",
                    "note": "pgloader casts only: no verdicts, no names, no ledger",
                }
            )
        for title, options in (
            ("in the order of time", {"by_time": True}),
            ("Russian dates, document types and decimal commas", {"russian": True}),
        ):
            other = folder / "other.csv"
            write_csv(other, rows, **options)
            times = []
            for _ in range(repeats):
                empty(url)
                times.append(import_seconds(url, other))
            fastest = min(times)
            found.append(
                {
                    "name": f"import, {title}",
                    "ours": rate(count, fastest[0]),
                    "peer": None,
                    "ratio": best[0] / fastest[0],
                    "target": "at least half as fast",
                    "note": "ratio: to the file in the order of products",
                }
            )
        sizes = {rows // 10: 0.0, rows: best[0]}
        if ten_times:
            sizes[rows * 10] = 0.0
        for size in sizes:
            if not sizes[size]:
                other = folder / "other.csv"
                write_csv(other, size)
                empty(url)
                sizes[size] = import_seconds(url, other)[0]
        least, most = min(sizes), max(sizes)
        found.append(
            {
                "name": "import, exponent of time against rows",
                "ours": f"{math.log(sizes[most] / sizes[least]) / math.log(most / least):.2f}",
                "peer": None,
                "ratio": None,
                "target": "at most 1.05",
                "note": "; ".join(
                    f"{size:,} rows {seconds:.1f} s".replace(",", " ")
                    for size, seconds in sizes.items()
                ),
            }
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dsn", default=os.environ.get("TEST_SERVER_URL"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ten-times", action="store_true", help="also ten times the rows")
    given = parser.parse_args()
    if given.dsn is None:
        from loader import server

        given.dsn = server.dsn()
    for row in run(given.dsn, rows=given.rows, repeats=given.repeats, ten_times=given.ten_times):
        print({key: value for key, value in row.items() if value is not None})


if __name__ == "__main__":
    main()
