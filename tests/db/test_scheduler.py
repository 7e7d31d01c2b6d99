"""The scheduler: windows of a calendar, leases, attempts, retries, clocks; the same for every clock."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row, tuple_row

from loader import schema
from tests.conftest import copy_database, drop_database, in_database

Row = dict[str, Any]

# Steps that leave a trace, in place of those of the product: what runs them is under test, not what they do. Task `fit` is free for it:
# its arguments say how each of two steps goes.
STEPS = """
create schema trial;
create table trial.effect (at timestamptz default clock_timestamp(), job text, step text);
create or replace function internal.job_steps(task text)
returns table (place int, step text, statement text, writes text)
language sql immutable
begin atomic
    select s.place, s.step, s.statement, s.writes
    from (values
        ('fit', 1, 'first', 'select trial.work($1, ''first'')::bigint, ''first done''', 'trial.effect'),
        ('fit', 2, 'second', 'select trial.work($1, ''second'')::bigint, ''second done''', 'trial.effect'),
        ('nightly', 1, 'only', 'select trial.work($1, ''only'')::bigint, ''done''', 'trial.effect')
    ) as s (task, place, step, statement, writes)
    where s.task = job_steps.task;
end;
create function trial.work(arguments jsonb, step text) returns int language plpgsql volatile as $$
begin
    insert into trial.effect (job, step) values (arguments ->> 'name', step);
    perform pg_sleep((arguments -> step ->> 'seconds')::float8);
    if arguments -> step ->> 'error' is not null then
        raise exception 'it did not work' using errcode = arguments -> step ->> 'error';
    end if;
    return 1;
end $$;
delete from core.job;
"""
DAILY = "2000-01-02 00:00 UTC"


@pytest.fixture(scope="module")
def scheduler_url(server_url: str, template: str) -> Iterator[str]:
    """A database whose steps leave a trace."""
    name = f"wh_jobs_{uuid.uuid4().hex[:8]}"
    copy_database(server_url, template, name)
    url = in_database(server_url, name)
    with psycopg.connect(url) as connection:
        connection.execute(STEPS)
    yield url
    drop_database(server_url, name)


@pytest.fixture
def jobs(scheduler_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The same with no jobs yet."""
    with psycopg.connect(scheduler_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(
            "delete from core.job; delete from core.job_run; delete from core.clock;"
            " delete from trial.effect; update core.settings set value = default_value"
        )
        yield connection


def add(
    connection: psycopg.Connection[Any],
    name: str,
    task: str = "nightly",
    *,
    age: timedelta = timedelta(minutes=1),
    every: str = "1 day",
    **steps: Any,
) -> None:
    """Put a job there whose window began some time ago, and that is due."""
    connection.execute(
        "insert into core.job (name, task, arguments, every, starting, window_start, next_at, max_attempts)"
        " select %(name)s, %(task)s, %(arguments)s, %(every)s, w.at, w.at, w.at, 3"
        " from (select clock_timestamp() - %(age)s as at) as w",
        {
            "name": name,
            "task": task,
            "arguments": psycopg.types.json.Jsonb({"name": name, **steps}),
            "every": every,
            "age": age,
        },
    )


def tick(connection: psycopg.Connection[Any]) -> None:
    connection.execute("call core.run_due_jobs()")


def due(connection: psycopg.Connection[Any]) -> None:
    """Let the wait before another attempt be over."""
    connection.execute("update core.job set next_at = clock_timestamp() where attempt > 0")


def rows(connection: psycopg.Connection[Any], query: str, *parameters: object) -> list[Any]:
    return connection.cursor(row_factory=tuple_row).execute(query, parameters).fetchall()


def history(connection: psycopg.Connection[Any]) -> list[Any]:
    return rows(connection, "select step, attempt, status from bi.job_run order by job_run_id")


def job(connection: psycopg.Connection[Any], name: str) -> Row:
    row = connection.execute("select * from bi.job where job = %s", (name,)).fetchone()
    assert row is not None
    return dict(row)


def session(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)


class Tick(threading.Thread):
    """A tick in a session of its own; `error` is how it ended."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.connection = session(url)
        self.pid = self.connection.info.backend_pid
        self.error: psycopg.Error | None = None
        self.start()

    def run(self) -> None:
        try:
            tick(self.connection)
        except psycopg.Error as error:
            self.error = error
        finally:
            self.connection.close()


def wait_for(connection: psycopg.Connection[Any], query: str) -> None:
    """Wait until a query has a row."""
    deadline = time.monotonic() + 20
    while not connection.execute(query).fetchall():
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


RUNNING = "select from core.job_run where status = 'running' and exists (select from pg_stat_activity as a where a.pid = backend_pid and a.wait_event = 'PgSleep')"


# ----------------------------------------------------------------------------------------- windows


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "every", "starting", "first", "expected"),
    [
        # At three local time, whatever the clocks do.
        ("Europe/Berlin", "1 day", "2000-01-02 03:00+01", "2026-03-27 12:00+00",
         ["2026-03-28 02:00+00", "2026-03-29 01:00+00", "2026-03-30 01:00+00"]),
        ("Europe/Berlin", "1 day", "2000-01-02 03:00+01", "2026-10-23 12:00+00",
         ["2026-10-24 01:00+00", "2026-10-25 02:00+00", "2026-10-26 02:00+00"]),
        # 02:30 is left out on March 29: that day 03:30, and 02:30 again after it. In October it comes twice: the second.
        ("Europe/Berlin", "1 day", "2000-01-02 02:30+01", "2026-03-28 12:00+00",
         ["2026-03-29 01:30+00", "2026-03-30 00:30+00"]),
        ("Europe/Berlin", "1 day", "2000-01-02 02:30+01", "2026-10-24 12:00+00",
         ["2026-10-25 01:30+00", "2026-10-26 01:30+00"]),
        # A quarter of an hour is one: none is lost and none doubled when the clocks change.
        ("America/New_York", "15 minutes", "2000-01-02 00:00+00", "2026-11-01 05:40+00",
         ["2026-11-01 05:45+00", "2026-11-01 06:00+00", "2026-11-01 06:15+00"]),
        ("Asia/Kathmandu", "1 day", "2000-01-02 01:00+05:45", "2026-05-01 00:00+00",
         ["2026-05-01 19:15+00", "2026-05-02 19:15+00"]),
        # December 30 was left out there: no window twice, none before its time.
        ("Pacific/Apia", "1 day", "2000-01-02 03:00-11", "2011-12-29 00:00+00",
         ["2011-12-29 13:00+00", "2011-12-30 13:00+00", "2011-12-31 13:00+00"]),
        ("Europe/Moscow", "7 days", "2000-01-02 03:00+03", "2026-11-21 12:00+00",
         ["2026-11-22 00:00+00", "2026-11-29 00:00+00"]),
        # The 31st is the last of each month, and the 31st again where there is one.
        ("UTC", "1 month", "2000-01-31 03:00+00", "2026-02-01 00:00+00",
         ["2026-02-28 03:00+00", "2026-03-31 03:00+00", "2026-04-30 03:00+00"]),
        ("UTC", "1 year", "2000-02-29 00:00+00", "2027-01-01 00:00+00",
         ["2027-02-28 00:00+00", "2028-02-29 00:00+00"]),
        # There is none before the first.
        ("UTC", "1 day", "2030-01-01 05:00+00", "2026-01-01 00:00+00",
         ["2030-01-01 05:00+00", "2030-01-02 05:00+00"]),
    ],
)  # fmt: skip
def test_windows_keep_local_time(
    db: psycopg.Connection[Any],
    zone: str,
    every: str,
    starting: str,
    first: str,
    expected: list[str],
) -> None:
    at = moment(first)
    found = []
    for _ in expected:
        row = db.execute(
            "select internal.next_window(%s, %s::interval, %s, %s)", (starting, every, zone, at)
        ).fetchone()
        assert row is not None
        at = row[0]
        found.append(at.astimezone(UTC))
    assert found == [moment(text) for text in expected]


def test_windows_are_numbered_without_a_gap(db: psycopg.Connection[Any]) -> None:
    """Each window is the last one begun at its start, and just before the next: over 30 years."""
    wrong = db.execute(
        """
        select s.every, s.zone, n
        from (values (interval '1 day', 'Europe/Berlin'), ('7 days', 'America/New_York'), ('1 month', 'Africa/Casablanca'),
            ('3 months 2 days', 'UTC'), ('1 year', 'Asia/Kolkata'), ('45 minutes', 'Europe/Berlin')) as s (every, zone)
        cross join lateral (select '2000-01-31 02:30+00'::timestamptz as starting) as b
        cross join lateral generate_series(0, 10000, case when s.every >= '7 days' then 11 else 37 end) as n
        cross join lateral (
            select internal.window_time(b.starting, s.every, s.zone, n) as this, internal.window_time(b.starting, s.every, s.zone, n + 1) as next
        ) as w
        where w.this < '2030-01-01' and (
            internal.window_number(b.starting, s.every, s.zone, w.this) <> n
            or internal.window_number(b.starting, s.every, s.zone, w.next - interval '1 microsecond') <> n
        )
        """
    ).fetchall()
    assert wrong == []


# ------------------------------------------------------------------------------- due, done, missed


def test_a_window_is_run_once_and_the_next_waits(jobs: psycopg.Connection[Any]) -> None:
    add(jobs, "a", "fit")
    tick(jobs)
    assert history(jobs) == [("first", 1, "succeeded"), ("second", 1, "succeeded")]
    tick(jobs)
    assert len(history(jobs)) == 2
    shown = job(jobs, "a")
    assert (shown["status"], shown["last_status"], shown["failure_count"]) == ("waiting", "succeeded", 0)  # fmt: skip
    ran = rows(jobs, "select distinct window_time, requested_by from bi.job_run")
    assert len(ran) == 1
    assert shown["time"] == shown["window_time"] == ran[0][0] + timedelta(days=1)


def test_a_new_job_waits_for_its_window(jobs: psycopg.Connection[Any]) -> None:
    jobs.execute(f"insert into core.job (name, task, every, starting) values ('a', 'nightly', '1 day', '{DAILY}')")  # fmt: skip
    tick(jobs)
    assert history(jobs) == []
    assert rows(jobs, "select time > now(), time <= now() + interval '1 day' from bi.job") == [(True, True)]  # fmt: skip


def test_what_was_missed_is_made_up_for_once(jobs: psycopg.Connection[Any]) -> None:
    add(jobs, "a", "fit", age=timedelta(days=3, minutes=5))
    tick(jobs)
    tick(jobs)
    shown = rows(jobs, "select step, detail, now() - window_time < interval '1 day' from bi.job_run order by job_run_id")  # fmt: skip
    assert shown == [
        ("first", "makes up for 3 windows that were missed; first done", True),
        ("second", "second done", True),
    ]


def test_what_was_missed_in_a_pause_is_made_up_for_once(jobs: psycopg.Connection[Any]) -> None:
    add(jobs, "a", age=timedelta(hours=5, minutes=30), every="1 hour")
    jobs.execute("select api.pause_job('a')")
    tick(jobs)
    assert history(jobs) == []
    assert (job(jobs, "a")["status"], job(jobs, "a")["is_overdue"]) == ("paused", False)
    jobs.execute("select api.resume_job('a')")
    tick(jobs)
    tick(jobs)
    assert history(jobs) == [("only", 1, "succeeded")]
    assert job(jobs, "a")["time"] > datetime.now(UTC)


def test_a_task_without_steps_is_skipped(jobs: psycopg.Connection[Any]) -> None:
    add(jobs, "a", "retraining")
    tick(jobs)
    assert history(jobs) == [("retraining", 1, "skipped")]
    assert job(jobs, "a")["last_status"] == "skipped"


# ---------------------------------------------------------------------------------------- failures


def test_a_failed_step_is_tried_again_and_what_was_done_is_not(
    jobs: psycopg.Connection[Any],
) -> None:
    add(jobs, "a", "fit", second={"error": "22012"})
    tick(jobs)
    shown = job(jobs, "a")
    assert (shown["status"], shown["last_status"], shown["failure_count"]) == ("waiting to try again", "failed", 1)  # fmt: skip
    assert 50 < shown["backoff_seconds"] <= 67.5
    tick(jobs)
    assert len(history(jobs)) == 2
    jobs.execute("""update core.job set arguments = '{"name": "a"}'""")
    due(jobs)
    tick(jobs)
    assert history(jobs) == [
        ("first", 1, "succeeded"), ("second", 1, "failed"), ("second", 2, "succeeded")
    ]  # fmt: skip
    assert rows(jobs, "select sqlstate from bi.job_run where status = 'failed'") == [("22012",)]
    shown = job(jobs, "a")
    assert (shown["status"], shown["last_status"], shown["failure_count"]) == ("waiting", "succeeded", 0)  # fmt: skip


def test_what_a_failed_step_left_without_work_is_tried_again_with_it(
    jobs: psycopg.Connection[Any],
) -> None:
    add(jobs, "a", "fit", first={"error": "22012"}, second={"error": "ML101"})
    tick(jobs)
    assert history(jobs) == [("first", 1, "failed"), ("second", 1, "skipped")]
    jobs.execute("""update core.job set arguments = '{"name": "a"}'""")
    due(jobs)
    tick(jobs)
    assert history(jobs)[2:] == [("first", 2, "succeeded"), ("second", 2, "succeeded")]


def test_what_ran_without_a_failed_step_runs_again_with_it(
    jobs: psycopg.Connection[Any],
) -> None:
    add(jobs, "a", "fit", first={"error": "22012"})
    tick(jobs)
    assert history(jobs) == [("first", 1, "failed"), ("second", 1, "succeeded")]
    due(jobs)
    tick(jobs)
    # It failed again: nothing is new for what comes after it.
    assert history(jobs)[2:] == [("first", 2, "failed")]
    jobs.execute("""update core.job set arguments = '{"name": "a"}'""")
    due(jobs)
    tick(jobs)
    assert history(jobs)[3:] == [("first", 3, "succeeded"), ("second", 3, "succeeded")]
    due(jobs)
    tick(jobs)
    assert len(history(jobs)) == 5


def test_a_window_is_given_up_after_its_attempts(jobs: psycopg.Connection[Any]) -> None:
    add(jobs, "a", first={"error": "22012"}, only={"error": "22012"})
    for _ in range(5):
        tick(jobs)
        due(jobs)
    assert history(jobs) == [("only", 1, "failed"), ("only", 2, "failed"), ("only", 3, "failed")]
    assert rows(jobs, "select detail from bi.job_run order by job_run_id") == [
        (None,), (None,), ("given up after 3 attempts",)
    ]  # fmt: skip
    shown = job(jobs, "a")
    assert (shown["last_status"], shown["failure_count"], shown["last_done_at"]) == ("given up", 3, None)  # fmt: skip
    assert shown["time"] > datetime.now(UTC)
    assert shown["attempt"] == 0


def test_waits_double_up_to_a_limit_and_differ_by_chance(db: psycopg.Connection[Any]) -> None:
    found = db.execute(
        "select n, min(s), max(s), count(distinct s) from generate_series(1, 12) as n, generate_series(1, 200) as g,"
        " lateral (select extract(epoch from internal.job_backoff(n + 0 * g))::float8 as s) as b group by n order by n"
    ).fetchall()
    for attempt, least, most, different in found:
        middle = min(60 * 2 ** (attempt - 1), 3600)
        assert 0.875 * middle <= least < 0.9 * middle < 1.1 * middle < most <= 1.125 * middle
        assert different > 150


def test_a_step_that_runs_too_long_is_cancelled_and_has_failed(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", "fit", first={"seconds": 30})
    running = Tick(scheduler_url)
    wait_for(jobs, RUNNING)
    jobs.execute("call core.watch_jobs()")
    assert job(jobs, "a")["status"] == "running"
    time.sleep(0.1)
    jobs.execute("update core.settings set value = '0.05' where name = 'jobs.step_timeout_seconds'")
    jobs.execute("call core.watch_jobs()")
    running.join(10)
    assert running.error is None
    assert history(jobs) == [("first", 1, "failed")]
    assert rows(jobs, "select sqlstate, error from bi.job_run") == [
        ("57014", "ran longer than 0.05 seconds (jobs.step_timeout_seconds)")
    ]
    # What is left of the attempt is done by the next tick; then the job waits.
    jobs.execute("update core.settings set value = default_value")
    tick(jobs)
    tick(jobs)
    assert history(jobs) == [("first", 1, "failed"), ("second", 1, "succeeded")]
    assert job(jobs, "a")["status"] == "waiting to try again"


def test_a_step_cancelled_by_an_operator_has_failed(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", only={"seconds": 30})
    running = Tick(scheduler_url)
    wait_for(jobs, RUNNING)
    jobs.execute("select pg_cancel_backend(%s)", (running.pid,))
    running.join(10)
    assert running.error is None
    assert history(jobs) == [("only", 1, "failed")]
    assert rows(jobs, "select count(*) from trial.effect") == [(0,)]


def test_a_killed_session_is_seen_at_once_and_its_step_done_by_the_next_tick(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", "fit", second={"seconds": 30})
    running = Tick(scheduler_url)
    wait_for(jobs, RUNNING)
    jobs.execute("select pg_terminate_backend(%s, 10000)", (running.pid,))
    running.join(10)
    assert running.error is not None
    assert history(jobs) == [("first", 1, "succeeded"), ("second", 1, "crashed")]
    jobs.execute("""update core.job set arguments = '{"name": "a"}'""")
    tick(jobs)
    assert history(jobs) == [
        ("first", 1, "succeeded"), ("second", 1, "crashed"), ("second", 2, "succeeded")
    ]  # fmt: skip
    assert rows(jobs, "select step, count(*) from trial.effect group by step order by step") == [
        ("first", 1), ("second", 1)
    ]  # fmt: skip
    assert rows(jobs, "select status, error from core.job_run where status = 'crashed'") == [
        ("crashed", "its session ended before the step did")
    ]


def test_a_session_killed_again_and_again_is_given_up(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", only={"seconds": 30})
    for _ in range(3):
        running = Tick(scheduler_url)
        wait_for(jobs, RUNNING)
        jobs.execute("select pg_terminate_backend(%s, 10000)", (running.pid,))
        running.join(10)
        jobs.execute("call core.watch_jobs()")
        due(jobs)
    tick(jobs)
    assert history(jobs) == [("only", n, "crashed") for n in (1, 2, 3)]
    assert job(jobs, "a")["last_status"] == "given up"


# ----------------------------------------------------------------------------------- several clocks


def test_ticks_at_once_share_the_jobs_and_run_none_twice(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    for number in range(40):
        add(jobs, f"job {number}", "fit", first={"seconds": 0.01})
    running = [Tick(scheduler_url) for _ in range(4)]
    for one in running:
        one.join(60)
    assert [one.error for one in running] == [None] * 4
    counts = "select min(n), max(n), count(*) from (select count(*) as n from trial.effect group by job, step) as e"  # fmt: skip
    assert rows(jobs, counts) == [(1, 1, 80)]
    assert rows(jobs, "select count(distinct backend_pid) > 1, bool_and(status = 'succeeded'), count(*) from core.job_run") == [(True, True, 80)]  # fmt: skip
    # Never two steps of one job at a time, and in their order.
    overlapping = """
        select from core.job_run as a inner join core.job_run as b on b.job = a.job and b.id > a.id
        where b.started_at < a.finished_at or a.step <> 'first'"""
    assert rows(jobs, overlapping) == []


def test_a_job_run_by_hand_is_left_alone_by_a_tick_and_the_other_way_round(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", only={"seconds": 1})
    running = Tick(scheduler_url)
    wait_for(jobs, RUNNING)
    with pytest.raises(psycopg.Error) as refused:
        jobs.execute("call api.run_job('a')")
    assert (refused.value.sqlstate, bool(refused.value.diag.message_hint)) == ("55P03", True)
    tick(jobs)
    assert len(history(jobs)) == 1
    running.join(10)
    before = job(jobs, "a")
    jobs.execute("""update core.job set arguments = '{"name": "by hand"}'""")
    jobs.execute("call api.run_job('a')")
    # A run by hand is no window: with the job's arguments, beside its schedule.
    assert job(jobs, "a") == before | {"arguments": '{"name": "by hand"}'}
    assert history(jobs) == [("only", 1, "succeeded"), ("only", None, "succeeded")]
    assert rows(jobs, "select count(*) from trial.effect where job = 'by hand'") == [(1,)]


def test_a_job_whose_times_change_while_it_runs_goes_by_the_new_ones(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", only={"seconds": 0.5})
    running = Tick(scheduler_url)
    wait_for(jobs, RUNNING)
    changed = rows(jobs, "select * from api.schedule('a', every => '7 days')")
    running.join(10)
    assert running.error is None
    assert history(jobs) == [("only", 1, "succeeded")]
    assert changed[0][0] == "changed"
    assert job(jobs, "a")["time"] == changed[0][1]


# -------------------------------------------------------------------------------- what people call


def test_a_schedule_is_made_changed_and_left_alone(jobs: psycopg.Connection[Any]) -> None:
    audited = rows(jobs, "select coalesce(max(id), 0) from core.audit_log")[0][0]
    call = "select * from api.schedule('nightly', every => '1 day', starting => '2026-01-01 20:00+03', time_zone => 'Europe/Moscow')"
    made = rows(jobs, call)
    assert made[0][0] == "created"
    assert made[0][1].astimezone(UTC).hour == 17
    before = rows(jobs, "select xmin::text, * from core.job")
    assert rows(jobs, call) == [("unchanged", made[0][1])]
    assert rows(jobs, "select * from api.schedule('nightly')") == [("unchanged", made[0][1])]
    assert rows(jobs, "select xmin::text, * from core.job") == before
    # Attempts are no times: the window stays.
    assert rows(jobs, "select * from api.schedule('nightly', max_attempts => 2)") == [("changed", made[0][1])]  # fmt: skip
    assert rows(jobs, "select time_zone, max_attempts from bi.job") == [("Europe/Moscow", 2)]
    jobs.execute("select api.unschedule('nightly')")
    assert rows(jobs, "select count(*) from bi.job") == [(0,)]
    # Only what a person decided is in the trail.
    tick(jobs)
    trail = rows(jobs, "select action from core.audit_log where id > %s order by id", audited)
    assert trail == [("insert",), ("update",), ("delete",)]


@pytest.mark.parametrize(
    "call",
    [
        "select * from api.schedule('', every => '1 day')",
        "select * from api.schedule(null, every => '1 day')",
        "select * from api.schedule(' nightly', every => '1 day')",
        "select * from api.schedule('nightly')",
        "select * from api.schedule('weekly', every => '7 days')",
        "select * from api.schedule('nightly', every => '0')",
        "select * from api.schedule('nightly', every => '-1 day')",
        "select * from api.schedule('nightly', every => '1 month -20 days')",
        "select * from api.schedule('nightly', every => '1 day', starting => 'infinity')",
        "select * from api.schedule('nightly', every => '1 day', time_zone => 'Mars/Olympus')",
        "select * from api.schedule('nightly', every => '1 day', max_attempts => 0)",
        "select * from api.schedule('nightly', every => '1 day', arguments => '[1]')",
        "select * from api.schedule('x', every => '1 day', task => 'fit', arguments => '{\"model\": \"none\"}')",
        "select api.unschedule('none')",
        "select api.pause_job('none')",
        "select api.resume_job(null)",
        "call api.run_job('none')",
        'call core.run_due_jobs(config => \'{"clock": "sundial"}\')',
        "select * from api.start_clock('sundial')",
    ],
)
def test_what_makes_no_sense_is_refused(jobs: psycopg.Connection[Any], call: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        jobs.execute(call)
    assert refused.value.sqlstate == "22023"
    assert refused.value.diag.message_hint
    for table in ("job", "job_run", "clock"):
        assert rows(jobs, f"select count(*) from core.{table}") == [(0,)]


def test_the_watchdog_shows_what_has_not_run_for_two_periods(jobs: psycopg.Connection[Any]) -> None:
    for name in ("late", "paused", "new", "failing"):
        add(jobs, name, every="1 hour", only={"error": "22012"} if name == "failing" else {})
    jobs.execute(
        "update core.job set watched_since = now() - interval '121 minutes' where name <> 'new'"
    )
    jobs.execute(
        "update core.job set last_done_at = now() - interval '119 minutes' where name = 'late'"
    )
    jobs.execute("select api.pause_job('paused')")
    overdue = "select job from bi.job where is_overdue order by job"
    assert rows(jobs, overdue) == [("failing",)]
    jobs.execute(
        "update core.job set last_done_at = now() - interval '121 minutes' where name = 'late'"
    )
    assert rows(jobs, overdue) == [("failing",), ("late",)]
    tick(jobs)
    # Trying is not doing.
    assert rows(jobs, overdue) == [("failing",)]


def test_old_rows_go_after_their_time(jobs: psycopg.Connection[Any]) -> None:
    jobs.execute(
        "insert into core.job_run (job, step, status, started_at, finished_at)"
        " select 'a', 'b', 'succeeded', t, t from unnest(array[now() - interval '401 days', now() - interval '399 days']) as t"
    )
    assert rows(jobs, "select internal.prune_job_runs()") == [(1,)]
    assert rows(jobs, "select count(*) from core.job_run where job = 'a'") == [(1,)]


# ------------------------------------------------------------------------------- upgrades and roles


def test_what_an_operator_decided_and_what_is_being_tried_outlive_a_deploy(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(fresh_url) as connection:
        connection.execute("select api.pause_job('nightly')")
        connection.execute("select * from api.schedule('refresh', every => '5 minutes')")
        connection.execute(
            "select * from api.schedule('mine', every => '1 day', task => 'nightly')"
        )
        connection.execute("select api.unschedule('monitoring')")
        connection.execute("select api.stop_clock()")
        connection.execute("update core.job set attempt = 2, next_at = now() + interval '1 minute' where name = 'retraining'")  # fmt: skip
        before = rows(connection, "select xmin::text, * from core.job order by name")
        procedure = "select 'core.run_due_jobs'::regproc::oid::int"
        entry = rows(connection, procedure)
    for name in ("sql", "plpython", "migrations"):
        shutil.copytree(schema.resource(name), tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    steps = tmp_path / "sql/80_jobs/job_steps.sql"
    steps.write_text(steps.read_text("utf-8").replace("'prune_job_runs'", "'prune_it'"), "utf-8")
    monkeypatch.setattr(schema, "resource", lambda name: tmp_path / name)
    assert schema.upgrade(fresh_url).changed
    with session(fresh_url) as connection:
        assert rows(connection, "select xmin::text, * from core.job order by name") == before
        assert rows(connection, procedure) == entry
        assert rows(connection, "select count(*) from bi.clock where is_started") == [(0,)]
        connection.execute("update core.job set window_start = now(), next_at = now() where name = 'housekeeping'")  # fmt: skip
        tick(connection)
        assert ("prune_it", 1, "succeeded") in history(connection)


def test_a_deploy_between_two_steps_ends_the_tick_and_the_next_goes_on(
    jobs: psycopg.Connection[Any], scheduler_url: str
) -> None:
    add(jobs, "a", "fit", first={"seconds": 0.5})
    running = Tick(scheduler_url)
    wait_for(jobs, RUNNING)
    jobs.execute("insert into core.release (version, revision, code_sha256) select version, revision, code_sha256 from core.release limit 1")  # fmt: skip
    running.join(10)
    assert history(jobs) == [("first", 1, "succeeded")]
    tick(jobs)
    assert history(jobs) == [("first", 1, "succeeded"), ("second", 1, "succeeded")]


def test_fitters_schedule_and_tick_and_readers_look(jobs: psycopg.Connection[Any]) -> None:
    jobs.execute("grant usage on schema trial to weighhouse_fitter; grant all on all tables in schema trial to weighhouse_fitter")  # fmt: skip
    add(jobs, "a")
    calls = (
        "select * from api.schedule('b', every => '1 day', task => 'nightly')", "select api.pause_job('b')",
        "select api.resume_job('b')", "select * from api.start_clock('worker')",
        "call core.watch_jobs()", "call core.run_due_jobs()", "select api.stop_clock()", "select api.unschedule('b')",
    )  # fmt: skip
    for role in ("weighhouse_bi", "weighhouse_analyst"):
        jobs.execute(f"set role {role}")
        for call in calls:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                jobs.execute(call)
        assert rows(jobs, "select job, status from bi.job") == [("a", "waiting")]
        assert rows(jobs, "select * from bi.clock") == []
        jobs.execute("reset role")
    jobs.execute("set role weighhouse_fitter")
    for call in calls:
        jobs.execute(call)
    jobs.execute("reset role")
    assert history(jobs) == [("only", 1, "succeeded")]


# ------------------------------------------------------------------------------------------ clocks


def clock(connection: psycopg.Connection[Any]) -> list[Any]:
    return rows(connection, "select kind, is_started, is_alive from bi.clock order by kind")


def test_a_clock_that_is_stopped_runs_nothing(jobs: psycopg.Connection[Any]) -> None:
    add(jobs, "a")
    beat = """call core.run_due_jobs(config => '{"clock": "worker"}')"""
    jobs.execute("select api.stop_clock()")
    jobs.execute(beat)
    assert history(jobs) == []
    assert clock(jobs) == [("worker", False, False)]
    started = "select clock, status from api.start_clock('worker')"
    assert rows(jobs, started) == [("worker", "started")]
    assert rows(jobs, started) == [("worker", "runs already")]
    jobs.execute(beat)
    assert history(jobs) == [("only", 1, "succeeded")]
    assert clock(jobs) == [("worker", True, True)]
    jobs.execute("update core.clock set last_tick_at = now() - interval '181 seconds'")
    assert clock(jobs) == [("worker", True, False)]


def test_a_worker_where_nothing_runs_jobs_is_the_clock(jobs: psycopg.Connection[Any]) -> None:
    jobs.execute("""call core.watch_jobs(config => '{"clock": "worker"}')""")
    assert clock(jobs) == [("worker", True, True)]


def test_a_clock_that_cannot_be_had_is_refused(jobs: psycopg.Connection[Any]) -> None:
    has = rows(jobs, "select internal.edition() = 'community', internal.has_pg_cron()")[0]
    for kind, there in zip(("timescaledb", "pg_cron"), has, strict=True):
        if not there:
            with pytest.raises(psycopg.Error) as refused:
                jobs.execute("select * from api.start_clock(%s)", (kind,))
            assert (refused.value.sqlstate, bool(refused.value.diag.message_hint)) == ("0A000", True)  # fmt: skip
    assert clock(jobs) == []
    expected = "timescaledb" if has[0] else "pg_cron" if has[1] else "worker"
    assert rows(jobs, "select clock from api.start_clock()") == [(expected,)]
    jobs.execute("select api.stop_clock()")
    assert clock(jobs) == [(expected, False, False)]


@pytest.mark.community
def test_timescaledb_runs_jobs_by_itself(jobs: psycopg.Connection[Any]) -> None:
    if rows(jobs, "select internal.edition()")[0][0] != "community":
        pytest.skip("TimescaleDB is of the Apache edition: it runs no jobs")
    add(jobs, "a", "fit")
    assert rows(jobs, "select clock, status from api.start_clock()") == [("timescaledb", "started")]
    entries = "select job_id from timescaledb_information.jobs where proc_schema = 'core' order by job_id"  # fmt: skip
    first = rows(jobs, entries)
    assert len(first) == 4
    assert rows(jobs, "select status from api.start_clock()") == [("runs already",)]
    assert rows(jobs, entries) == first
    wait_for(jobs, "select from core.job where last_status = 'succeeded'")
    assert history(jobs) == [("first", 1, "succeeded"), ("second", 1, "succeeded")]
    assert clock(jobs) == [("timescaledb", True, True)]
    assert rows(jobs, "select entry_count, is_lost from bi.clock") == [(4, False)]
    # An entry that was lost comes back.
    jobs.execute("select public.delete_job(%s)", first[0])
    jobs.execute("select * from api.start_clock()")
    assert len(rows(jobs, entries)) == 4
    jobs.execute("select api.stop_clock()")
    assert rows(jobs, entries) == []


def test_pg_cron_runs_jobs_by_itself(jobs: psycopg.Connection[Any]) -> None:
    """As it is on the embedded server; there is one database for it on a server."""
    if not rows(jobs, "select internal.has_pg_cron()")[0][0]:
        pytest.skip("pg_cron is not preloaded for this database (cron.database_name)")
    add(jobs, "a")
    jobs.execute("select * from api.start_clock('pg_cron')")
    assert rows(jobs, "select entry_count from bi.clock") == [(3,)]
    jobs.execute("select api.stop_clock()")
