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

MODULES = (
    "import_rows",
    "coefficients",
    "nightly",
    "forecasts",
    "kinds",
    "rows",
    "models",
    "monitoring",
    "storage",
)
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


def line(row: dict[str, Any]) -> str:
    """Write a row of the table."""
    return "| " + " | ".join(cell(row.get(name)) for name in COLUMNS) + " |"


def merged(measured: list[str], before: str) -> list[str]:
    """Put what was measured in the place of what an earlier page says of the same things."""
    found = {text.split(" | ")[0]: text for text in measured}
    old = [text for text in before.splitlines() if text.startswith("| ")][2:]
    kept = [found.pop(text.split(" | ")[0], text) for text in old]
    return kept + list(found.values())


def page(dsn: str, lines: list[str]) -> str:
    """Write the page."""
    head = [
        "# Measurements",
        "",
        "Written by `make bench`, or `python -m bench MODULE` for some of the rows. Times move by"
        " tens of percent on a shared machine: the ratio (how many times better ours is, in one"
        " run) is the figure.",
        "",
        f"- {machine()}; load while measuring {os.getloadavg()[1]:.1f}",
        f"- {versions(dsn)}",
        f"- {datetime.now(UTC):%Y-%m-%d}",
        "",
        "| what | ours | peer | ratio | target | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *lines, ""])


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
    lines: list[str] = []
    for name in given.modules:
        for row in importlib.import_module(f"bench.{name}").run(given.dsn):
            lines.append(line(row))
            print(lines[-1], flush=True)
    if set(given.modules) < set(MODULES):
        lines = merged(lines, PAGE.read_text("utf-8"))
    PAGE.write_text(page(given.dsn, lines), "utf-8")


if __name__ == "__main__":
    main()
