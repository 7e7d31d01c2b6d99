"""`loader worker`: a clock for jobs where the server has none, and the sender of webhooks.

It decides nothing: what is due, who may run it and what becomes of failures is in the database
(`core.run_due_jobs`), the same for every clock. Any number of workers may run, on any machine.

The main thread watches, listens on the channel `weighhouse` and sends webhooks; a few more, each
with a session of its own, run what is due, so that a night's work holds up nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import psycopg
import typer

from loader import database, schema
from loader.errors import ConnectionFailed
from loader.terminal import note, say, settings

CHANNEL = "weighhouse"
CONFIG = json.dumps({"clock": "worker"})
LONGEST_WAIT = 30.0
STOP_SECONDS = 10.0

FINISHED = """
select r.id, r.job, r.step, r.status,
       extract(epoch from r.finished_at - r.started_at)::float8, coalesce(r.error, r.detail)
from core.job_run as r
where r.id = any(%s) and r.status <> 'running'
order by r.finished_at, r.id
"""


def send_webhooks(connection: psycopg.Connection[Any]) -> int:
    """Send what alerts have put into the outbox, where this release can."""
    if importlib.util.find_spec("loader.webhooks") is None:
        return 0
    return int(importlib.import_module("loader.webhooks").send_due(connection))


class Reports:
    """Says of each step that ended how it went; nothing of what ended before we came."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self.open: set[int] = set()

    def of(self, connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
        """List the steps of all sessions that ended since the last call."""
        if self.newest is None:
            row = connection.execute("select coalesce(max(id), 0) from core.job_run").fetchone()
            self.newest = row[0] if row else 0
        fresh = connection.execute(
            "select id from core.job_run where id > %s order by id", (self.newest,)
        ).fetchall()
        self.open |= {number for (number,) in fresh}
        self.newest = max([self.newest, *self.open])
        found = connection.execute(FINISHED, (list(self.open),)).fetchall()
        self.open -= {row[0] for row in found}
        names = ("job_run_id", "job", "step", "status", "duration_seconds", "detail")
        return [dict(zip(names, row, strict=True)) for row in found]


def line_of(run: dict[str, Any]) -> str:
    """Write the line of a step that ended."""
    seconds = run["duration_seconds"] or 0.0
    said = f"  {run['detail']}" if run["detail"] else ""
    return f"{run['job']} {run['step']} {run['status']}  {seconds:.1f} s{said}"


def tick(connection: psycopg.Connection[Any]) -> None:
    """Run what is due, now, in this session."""
    connection.execute("call core.run_due_jobs(config => %s)", (CONFIG,))


class Runner(threading.Thread):
    """A session that runs what is due, whenever it is woken."""

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self.dsn = dsn
        self.awake = threading.Event()
        self.ending = threading.Event()
        self.connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Tick until told to end; a lost server is the main thread's to tell of."""
        while True:
            self.awake.wait()
            self.awake.clear()
            if self.ending.is_set():
                break
            try:
                if self.connection is None:
                    self.connection = database.connect(self.dsn, autocommit=True)
                tick(self.connection)
            except (psycopg.Error, ConnectionFailed) as error:
                if not self.ending.is_set():
                    note(f"a tick ended early: {str(error).strip().splitlines()[0]}")
                self._close()
        self._close()

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def end(self) -> None:
        """Stop the step that runs: it has failed, and is tried again by whoever comes next."""
        self.ending.set()
        self.awake.set()
        connection = self.connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)


def serve(dsn: str, every: float, concurrency: int) -> None:
    """Run jobs until a signal ends it."""
    runners = [Runner(dsn) for _ in range(concurrency)]
    reports = Reports()
    for runner in runners:
        runner.start()
    failures = 0
    try:
        while True:
            try:
                with database.connect(dsn, autocommit=True) as connection:
                    if failures:
                        note("the server is back")
                    connection.execute(f"listen {CHANNEL}")
                    failures = 0
                    while True:
                        _look(connection, runners, reports)
                        _wait(connection, every, lambda: _report(connection, reports))
            except (psycopg.OperationalError, ConnectionFailed) as error:
                failures += 1
                pause = min(LONGEST_WAIT, 2.0 ** (failures - 1)) * random.uniform(0.875, 1.125)
                first = str(error).strip().splitlines()[0]
                note(f"{first}; trying again in {pause:.0f} s")
                time.sleep(pause)
    finally:
        for runner in runners:
            runner.end()
        until = time.monotonic() + STOP_SECONDS
        for runner in runners:
            runner.join(max(0.0, until - time.monotonic()))


def _look(connection: psycopg.Connection[Any], runners: list[Runner], reports: Reports) -> None:
    """Let the others run what is due, while we watch them."""
    _report(connection, reports)
    try:
        connection.execute("call core.watch_jobs(config => %s)", (CONFIG,))
        for runner in runners:
            runner.awake.set()
        send_webhooks(connection)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        # An upgrade in the middle, say: the next look is another.
        note(str(error).strip().splitlines()[0])


def _report(connection: psycopg.Connection[Any], reports: Reports) -> None:
    for run in reports.of(connection):
        note(line_of(run))


def _wait(connection: psycopg.Connection[Any], every: float, work: Callable[[], None]) -> None:
    """Wait for the next look, or for somebody to say that there is something to do."""
    until = time.monotonic() + every
    while (left := until - time.monotonic()) > 0:
        for _ in connection.notifies(timeout=min(left, 1.0), stop_after=1):
            return
        work()


def worker(
    once: Annotated[bool, typer.Option("--once", help="Run what is due now, and end.")] = False,
    every: Annotated[float, typer.Option(help="Seconds from one look to the next.")] = 15.0,
    concurrency: Annotated[int, typer.Option(help="Jobs run side by side.")] = 2,
) -> None:
    """Runs jobs when they are due and sends webhooks, until it is stopped.

    For servers without a scheduler of their own (bi.clock says what runs jobs); beside one that
    has, it sends webhooks only. With --once exit code 1 when a step failed.
    """
    if every <= 0 or concurrency < 1:
        raise typer.BadParameter("--every and --concurrency are above zero")
    dsn = settings.resolved()
    with (
        database.explaining(),
        database.connect(dsn, autocommit=True) as connection,
    ):
        schema.require_current(connection)
        if once:
            reports = Reports()
            reports.of(connection)
            tick(connection)
            ran = reports.of(connection)
            sent = send_webhooks(connection)
            for run in ran:
                note(line_of(run))
            say({"runs": ran, "webhooks": sent}, f"{len(ran)} steps run, {sent} webhooks sent")
            if any(run["status"] in ("failed", "crashed") for run in ran):
                raise typer.Exit(1)
            return
        row = connection.execute(
            "select kind from core.clock where stopped_at is null and kind <> 'worker'"
        ).fetchone()
        if row is not None:
            note(f"jobs are run by {row[0]}; this worker sends webhooks")
    note(f"worker started: looks every {every:g} s, {concurrency} jobs side by side")
    serve(dsn, every, concurrency)
