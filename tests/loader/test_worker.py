"""`loader worker` and `loader jobs` as an operator types them; a worker ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import IO, Any

import psycopg
import pytest

from tests.conftest import ROOT
from tests.loader.command_line import command, run

SLOW = """
create or replace function internal.job_steps(task text)
returns table (place int, step text, statement text, writes text)
language sql immutable
begin atomic
    select 1, 'slow', 'select 1::bigint, ''slept'' from pg_sleep(60)', 'core.job_run';
end;
"""


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def one(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return row and (row[0] if len(row) == 1 else row)


def wait_for(url: str, query: str, wanted: Any) -> None:
    deadline = time.monotonic() + 30
    while (found := one(url, query)) != wanted:
        assert time.monotonic() < deadline, (query, found)
        time.sleep(0.05)


DUE = (
    "update core.job set window_start = now() - interval '1 minute', next_at = now()"
    " where name = '{}'"
)


@pytest.fixture
def worker(fresh_url: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A worker that has begun."""
    running = subprocess.Popen(
        command(fresh_url, "worker", "--every", "0.2"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        wait_for(fresh_url, "select is_alive from bi.clock where kind = 'worker'", True)
        yield fresh_url, running
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()


def next_line(stream: IO[str] | None, *words: str) -> str:
    """Read until a line has all these words."""
    assert stream is not None
    for line in stream:
        if all(word in line for word in words):
            return line
    raise AssertionError(f"no line with {words}")


def test_once_runs_what_is_due_and_says_so(fresh_url: str) -> None:
    done = run(fresh_url, "--json", "worker", "--once")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"runs": [], "webhooks": 0})
    execute(fresh_url, DUE.format("housekeeping"))
    done = run(fresh_url, "worker", "--once")
    assert done.returncode == 0, done.stderr
    assert "housekeeping prune_cache succeeded" in done.stderr
    assert "5 steps run" in done.stdout
    execute(fresh_url, "update core.settings set value = '\"x\"' where name = 'jobs.keep_days'")
    execute(fresh_url, DUE.format("housekeeping"))
    done = run(fresh_url, "worker", "--once")
    assert done.returncode == 1
    assert "prune_job_runs failed" in done.stderr


def test_a_worker_runs_jobs_listens_and_ends_when_told(
    worker: tuple[str, subprocess.Popen[str]],
) -> None:
    url, running = worker
    execute(url, DUE.format("housekeeping"))
    next_line(running.stderr, "housekeeping prune_cache succeeded")
    next_line(running.stderr, "housekeeping prune_job_runs succeeded")
    # A step that runs is stopped with the worker, and is tried again later.
    execute(url, SLOW)
    execute(url, DUE.format("nightly"))
    wait_for(url, "select status from bi.job where job = 'nightly'", "running")
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 143, said
    assert "Traceback" not in said
    state = "select status, last_status, running_step from bi.job where job = 'nightly'"
    assert one(url, state) == ("waiting to try again", "failed", None)
    assert one(url, "select sqlstate from bi.job_run where job = 'nightly'") == "57014"


def test_a_worker_comes_back_after_its_sessions_were_ended(
    worker: tuple[str, subprocess.Popen[str]],
) -> None:
    url, running = worker
    sessions = (
        "from pg_stat_activity where datname = current_database() and application_name = 'loader'"
    )
    assert one(url, f"select count(pg_terminate_backend(pid)) {sessions}") >= 1
    next_line(running.stderr, "trying again in 1 s")
    next_line(running.stderr, "the server is back")
    execute(url, DUE.format("housekeeping"))
    next_line(running.stderr, "housekeeping prune_job_runs succeeded")
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130, said
    assert "Traceback" not in said


def test_what_an_operator_types(fresh_url: str) -> None:
    listed = json.loads(run(fresh_url, "--json", "jobs", "list").stdout)
    assert {row["job"] for row in listed["jobs"]} == {
        "nightly", "monitoring", "retraining", "refresh", "housekeeping"
    }  # fmt: skip
    shown = run(fresh_url, "jobs", "list").stdout
    assert "nothing runs jobs by itself: loader jobs start" in shown
    started = run(fresh_url, "jobs", "start", "worker")
    assert started.stdout.startswith("worker: started") and "loader worker" in started.stdout
    assert "which does not run" in run(fresh_url, "jobs", "list").stdout
    assert run(fresh_url, "jobs", "pause", "nightly").returncode == 0
    assert one(fresh_url, "select is_paused from bi.job where job = 'nightly'") is True
    assert run(fresh_url, "jobs", "resume", "nightly").returncode == 0
    made = run(
        fresh_url, "jobs", "schedule", "evening", "--every", "1 day", "--starting",
        "2026-01-01 20:00+03", "--timezone", "Europe/Moscow", "--task", "nightly",
    )  # fmt: skip
    assert made.stdout.startswith("evening created: due "), made.stderr
    assert one(fresh_url, "select time_zone from bi.job where job = 'evening'") == "Europe/Moscow"
    assert run(fresh_url, "jobs", "unschedule", "evening").returncode == 0
    refused = run(fresh_url, "jobs", "resume", "evening")
    assert refused.returncode == 4 and "hint: There are: " in refused.stderr
    assert run(fresh_url, "jobs", "stop").returncode == 0
    assert one(fresh_url, "select count(*) from bi.clock where is_started") == 0


def test_an_upgrade_starts_a_clock_once_and_says_which(empty_url: str) -> None:
    clock = "select string_agg(kind || ' ' || is_started, ',') from bi.clock"
    first = run(empty_url, "db", "upgrade")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0].startswith("upgraded: ")
    kind = one(empty_url, "select kind from bi.clock where is_started")
    assert kind in first.stdout.splitlines()[1]
    assert run(empty_url, "jobs", "stop").returncode == 0
    # What an operator stopped stays so.
    again = run(empty_url, "--json", "db", "upgrade", "--force")
    assert json.loads(again.stdout)["clock"].startswith("nothing runs jobs by itself")
    assert one(empty_url, clock) == f"{kind} false"
