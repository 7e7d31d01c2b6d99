"""Commands of the work that runs by itself: run it now, see how it went."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import dict_row

from loader import database, schema
from loader.errors import LoaderError
from loader.terminal import ready, say, settings, table

jobs_app = typer.Typer(help="What runs by itself, and how it went.", no_args_is_help=True)

COLUMNS = ["job_run_id", "time", "job", "step", "status", "duration_seconds", "row_count"]
COLUMNS += ["detail", "error"]
LISTED = ["job", "task", "every", "time", "status", "last_status", "last_finished_at"]
LISTED += ["last_duration_seconds", "failure_count", "is_overdue"]

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


@jobs_app.command("list")
def jobs_list() -> None:
    """Lists the jobs: when each is due, how it went last; and what runs them."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        jobs = cursor.execute("select * from bi.job order by time, job").fetchall()
        clocks = cursor.execute("select * from bi.clock order by kind").fetchall()

    def text() -> str:
        shown = table(LISTED, [[row[name] for name in LISTED] for row in jobs])
        return f"{shown}\n\n{clock_line(clocks)}"

    say({"jobs": jobs, "clocks": clocks}, text)


def clock_line(clocks: list[Row]) -> str:
    """Say in one line what runs jobs."""
    started = [clock for clock in clocks if clock["is_started"]]
    if not started:
        return "nothing runs jobs by itself: loader jobs start" + (
            " (it was stopped)" if clocks else ""
        )
    kind, seen = started[0]["kind"], started[0]["last_tick_at"]
    if started[0]["is_alive"]:
        return f"jobs are run by {kind}, last seen {seen:%Y-%m-%d %H:%M:%S}"
    if kind == "worker":
        return "jobs are run by loader worker, which does not run: start it and keep it running"
    return f"jobs are run by {kind}, " + (
        f"which was last seen {seen:%Y-%m-%d %H:%M:%S}" if seen else "from the next minute on"
    )


def ensure_clock(dsn: str) -> str:
    """Let jobs run by themselves, where nobody has decided about it; say what runs them.

    Never fails: a database without a clock is a database all the same.
    """
    try:
        with (
            database.connect(dsn, autocommit=True) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            # A worker that never came may have been all there was: there may be better by now.
            cursor.execute(
                "select from core.clock where stopped_at is not null or last_tick_at is not null"
                " or kind <> 'worker'"
            )
            if cursor.fetchone() is None:
                cursor.execute("select * from api.start_clock()")
            return clock_line(cursor.execute("select * from bi.clock").fetchall())
    except (psycopg.Error, LoaderError) as error:
        return f"nothing runs jobs by itself: {str(error).strip().splitlines()[0]}"


def _do(statement: str, *parameters: object) -> Row:
    """Call a function that changes something; give its row."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement, parameters).fetchone()
    assert row is not None
    return row


@jobs_app.command("pause")
def jobs_pause(job: Annotated[str, typer.Argument(help="Name of the job.")]) -> None:
    """Keeps a job from being run by itself, until it is resumed."""
    _do("select api.pause_job(%s)", job)
    say({"job": job, "is_paused": True}, f"{job} is paused")


@jobs_app.command("resume")
def jobs_resume(job: Annotated[str, typer.Argument(help="Name of the job.")]) -> None:
    """Lets a paused job run by itself again; what was missed is made up for once."""
    _do("select api.resume_job(%s)", job)
    say({"job": job, "is_paused": False}, f"{job} runs by itself")


@jobs_app.command("schedule")
def jobs_schedule(
    job: Annotated[str, typer.Argument(help="Name of the job, new or known.")],
    every: Annotated[str | None, typer.Option(help="As '15 minutes', '1 day', '7 days'.")] = None,
    starting: Annotated[
        str | None, typer.Option(help="The first time, as '2026-01-04 03:00+01'.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of the calendar, as Europe/Moscow; default UTC.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="What it does; default the task of its name.")
    ] = None,
    arguments: Annotated[
        str | None, typer.Option(help='Of the task, as \'{"model": "sales"}\'.')
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(help="How often a window is tried; default 5.")
    ] = None,
) -> None:
    """Says what is to run by itself, and when; what is left out stays as it is."""
    row = _do(
        "select * from api.schedule(%s, %s::text::interval, %s::text::timestamptz, %s, %s,"
        " %s::text::jsonb, %s)",
        *(job, every, starting, timezone, task, arguments, max_attempts),
    )
    say({"job": job, **row}, f"{job} {row['status']}: due {row['next_time']:%Y-%m-%d %H:%M %Z}")


@jobs_app.command("unschedule")
def jobs_unschedule(job: Annotated[str, typer.Argument(help="Name of the job.")]) -> None:
    """Forgets a job; its history stays."""
    _do("select api.unschedule(%s)", job)
    say({"job": job}, f"{job} is forgotten")


@jobs_app.command("start")
def jobs_start(
    kind: Annotated[
        str | None, typer.Argument(help="timescaledb, pg_cron or worker; default the best here.")
    ] = None,
) -> None:
    """Lets jobs run by themselves."""
    row = _do("select * from api.start_clock(%s)", kind)
    say(row, f"{row['clock']}: {row['status']}" + (f"\n  {row['hint']}" if row["hint"] else ""))


@jobs_app.command("stop")
def jobs_stop() -> None:
    """Keeps all jobs from running by themselves, until they are started again."""
    _do("select api.stop_clock()")
    say({"stopped": True}, "nothing runs by itself now")


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
