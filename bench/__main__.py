"""Run every measurement and write bench/README.md: `python -m bench [MODULE...] [--dsn DSN]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from loader import __version__

MODULES = ("import_rows", "coefficients", "nightly", "forecasts", "models")
PAGE = Path(__file__).with_name("README.md")
COLUMNS = ("name", "ours", "peer", "ratio", "target", "note")


def machine() -> str:
    """Describe the machine: processors and memory."""
    model = platform.machine()
    memory = 0.0
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
            if line.startswith("MemTotal"):
                memory = int(line.split()[1]) / 1024 / 1024
    except OSError:
        pass
    return f"{os.cpu_count()} x {model}, {memory:.0f} GB"


def versions(dsn: str) -> str:
    """Name what was measured."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select current_setting('server_version'), (select default_version"
            " from pg_available_extensions where name = 'timescaledb'),"
            " current_setting('shared_buffers')"
        ).fetchone()
    assert row is not None
    return (
        f"PostgreSQL {row[0]} (shared_buffers {row[2]}), TimescaleDB {row[1]},"
        f" Python {platform.python_version()}, Weighhouse {__version__}"
    )


def cell(value: Any) -> str:
    """Write a value of the table."""
    if value is None:
        return ""
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")


def page(dsn: str, rows: list[dict[str, Any]]) -> str:
    """Write the page."""
    lines = [
        "# Measurements",
        "",
        "Written by `make bench`. Times move by tens of percent on a shared machine: the ratio (how"
        " many times better ours is, in one run) is the figure.",
        "",
        f"- {machine()}; load while measuring {os.getloadavg()[1]:.1f}",
        f"- {versions(dsn)}",
        f"- {datetime.now(UTC):%Y-%m-%d}",
        "",
        "| what | ours | peer | ratio | target | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += ["| " + " | ".join(cell(row.get(name)) for name in COLUMNS) + " |" for row in rows]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print as it comes, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", default=MODULES, metavar="MODULE")
    parser.add_argument("--dsn", default=os.environ.get("TEST_SERVER_URL"))
    given = parser.parse_args()
    if given.dsn is None:
        from loader import server

        server.start(progress=lambda text: print(text, file=sys.stderr))
        given.dsn = server.dsn()
    rows: list[dict[str, Any]] = []
    for name in given.modules:
        for row in importlib.import_module(f"bench.{name}").run(given.dsn):
            rows.append(row)
            print(" | ".join(cell(row.get(column)) for column in COLUMNS), flush=True)
    if set(given.modules) >= set(MODULES):
        PAGE.write_text(page(given.dsn, rows), "utf-8")


if __name__ == "__main__":
    main()
