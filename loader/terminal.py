"""What all commands share: the options before them, printing, and the connection."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from loader import database, schema


@dataclass
class Settings:
    """Options that stand before the command."""

    dsn: str | None = None
    service: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    color: bool = True
    yes: bool = False

    def resolved(self) -> str:
        """Give the DSN to connect to."""
        return database.resolve_dsn(self.dsn, self.service)


settings = Settings()


def plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def say(data: dict[str, Any] | list[Any], text: str | Callable[[], str]) -> None:
    """Print a result: the object with --json, else the text."""
    if settings.json:
        typer.echo(json.dumps(data, default=plain, ensure_ascii=False))
    else:
        typer.echo(text if isinstance(text, str) else text())


def note(text: str) -> None:
    """Print what is no result, to stderr."""
    if not settings.quiet:
        typer.echo(text, err=True)


def table(columns: list[str], rows: list[Any], *, title: str | None = None) -> str:
    """Lay rows out for a terminal."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        numeric = any(isinstance(row[place], (int, float, Decimal)) for row in rows)
        shown.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*("" if cell is None else _cell(cell) for cell in row))
    console = Console(
        width=None if sys.stdout.isatty() else 200, no_color=not settings.color, highlight=False
    )
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1e6 else f"{value:.6g}"
    return str(value)


class ProgressLine:
    """One line on stderr that is rewritten; without a terminal one line per ten seconds."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.shown = self.started
        self.live = sys.stderr.isatty()
        self.every = 0.2 if self.live else float(os.environ.get("WEIGHHOUSE_PROGRESS_SECONDS", 10))

    def __call__(self, name: str, done: int, size: int, rows: int, rejected: int) -> None:
        """Show how far a file is, with rate and time left."""
        now = time.monotonic()
        if now - self.shown < self.every:
            return
        self.shown = now
        elapsed = max(now - self.started, 1e-6)
        share = min(done / size, 1.0) if size else 1.0
        left = elapsed / share - elapsed if share > 0 else 0.0
        filled = int(share * 10)
        bar = "█" * filled + " " * (10 - filled)
        line = (
            f"{name}  {bar} {share:4.0%}  {count(rows)} rows  {count(rows / elapsed)}/s"
            f"  rejected {rejected}  ETA {int(left // 60)}:{int(left % 60):02d}"
        )
        sys.stderr.write(f"\r{line}\033[K" if self.live else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self.live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def count(number: float) -> str:
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return f"{number:.0f}"


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


@contextmanager
def connected() -> Iterator[psycopg.Connection[Any]]:
    """Connect to the chosen server for reading; server errors become readable."""
    with database.explaining(), database.connect(settings.resolved()) as connection:
        yield connection


@contextmanager
def ready() -> Iterator[psycopg.Connection[Any]]:
    """Connect to a database that is at this loader's revision."""
    with connected() as connection:
        schema.require_current(connection)
        yield connection
