"""Commands of the work that runs by itself: run it now, see how it went."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import dict_row

from loader import database, schema
from loader.terminal import ready, say, settings, table

jobs_app = typer.Typer(help="What runs by itself, and how it went.", no_args_is_help=True)

COLUMNS = ["job_run_id", "time", "job", "step", "status", "duration_seconds", "row_count"]
COLUMNS += ["detail", "error"]

Row = dict[str, Any]


def _rows(connection: psycopg.Connection[Any], job: str | None, after: int, most: int) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"select {', '.join(COLUMNS)} from bi.job_run where (%(job)s::text is null"
            " or job = %(job)s) and job_run_id > %(after)s order by job_run_id desc limit %(most)s",
            {"job": job, "after": after, "most": most},
        ).fetchall()
    return rows[::-1]


def _show(rows: list[Row], empty: str) -> None:
    shown = [name for name in COLUMNS if name != "job_run_id"]
    say(
        rows,
        lambda: table(shown, [[row[name] for name in shown] for row in rows]) if rows else empty,
    )


@jobs_app.command("run")
def jobs_run(job: Annotated[str, typer.Argument(help="Name of the job.")] = "nightly") -> None:
    """Runs all steps of a job now; exit code 1 when a step failed (the others are done)."""
    failed = False
    with (
        database.explaining(),
        database.connect(settings.resolved(), autocommit=True) as connection,
    ):
        schema.require_current(connection)
        last = connection.execute("select coalesce(max(id), 0) from core.job_run").fetchone()
        assert last is not None
        # A server that is to look for us stops soon after we are gone.
        connection.execute("set client_connection_check_interval = '1s'")
        try:
            connection.execute("call api.run_job(%s)", (job,))
        except psycopg.Error as error:
            if error.sqlstate != "ML301":
                raise
            failed = True
        rows = _rows(connection, job, last[0], 1000)
    _show(rows, "nothing to do")
    if failed:
        raise typer.Exit(1)


@jobs_app.command("history")
def jobs_history(
    job: Annotated[str | None, typer.Argument(help="One job; default all.")] = None,
    most: Annotated[int, typer.Option(help="How many steps, the newest.")] = 30,
) -> None:
    """Shows the last steps that ran."""
    with ready() as connection:
        rows = _rows(connection, job, 0, most)
    _show(rows, "nothing has run yet")
