"""A quarter of a small chain, day by day: what happens, and what is done about it, as one story."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.db.quarter import BRANCHES, QUARTER_DAYS, Quarter

DRIFT, CRASH, KILL = 30, 65, 72
OPEN = (
    "select rule || ' of ' || subject from bi.open_alerts where rule <> 'coverage_low' order by 1"
)


@pytest.fixture
def chain(fresh_url: str) -> Iterator[Quarter]:
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        yield Quarter(connection)


def alerts(chain: Quarter) -> list[str]:
    """What is open now. (Whether intervals cover enough is another story.)"""
    return [row[0] for row in chain.connection.execute(OPEN).fetchall()]


def nights(chain: Quarter, until: int) -> list[list[str]]:
    """Live until a day: every night the monitoring, on Sundays the retraining after it."""
    seen = []
    while chain.day < until:
        chain.night(*(["monitoring", "retraining"] if chain.day % 7 == 6 else ["monitoring"]))
        seen.append(alerts(chain))
    return seen


def decisions(chain: Quarter) -> list[tuple[str, str]]:
    rows = chain.rows("select decision, reason from bi.retraining order by retraining_id")
    return [(row["decision"], row["reason"]) for row in rows]


def effects(chain: Quarter) -> dict[str, Any]:
    """What the nights left: forecasts with their actual values, metrics, versions, alerts."""
    return {
        "actuals": chain.one("select count(actual) from core.forecast_ledger"),
        "metrics": chain.one(
            "select md5(string_agg(m::text, '|' order by model, version, day, segment_by, segment))"
            " from bi.model_performance as m"
        ),
        "versions": chain.one("select count(*) from core.model_versions"),
        "alerts": chain.one("select count(*) from core.alert"),
    }


def test_a_quarter(chain: Quarter, fresh_url: str) -> None:
    # A year of sales is known, and a model of them in force. (The replay dates its nights back; how
    # old data and fits are by the clock means nothing in it.)
    chain.open()
    for rule in ("data_late", "model_stale"):
        chain.connection.execute("select api.set_alert_rule(%s, is_active => false)", (rule,))
    chain.connection.execute("select api.add_webhook('https://alerts.example.com/')")

    # Four quiet weeks: nobody is woken, and the Sundays find nothing to retrain.
    quiet = nights(chain, DRIFT)
    assert not any(
        "mape_warning" in alert or "mape_critical" in alert for day in quiet for alert in day
    )
    assert decisions(chain) == []
    assert chain.one("select bool_and(mape < naive_mape * 1.5) from bi.performance_window")

    # The north sells three times as much from one day to the next. Within a week that is critical,
    # once; on Sundays the model is retrained, until a challenger that has seen the new level is
    # better on the same days and comes into force.
    chain.factor["north"] = 3
    drifted = nights(chain, CRASH)
    critical = [
        day for day, seen in enumerate(drifted, 1) if "mape_critical of model sales" in seen
    ]
    assert critical and critical[0] <= 7
    assert chain.one("select count(*) from bi.alert where rule = 'mape_critical'") == 1
    worst = chain.rows(
        "select segment from bi.segment_performance where model = 'sales' and window_days = 30"
        " and segment_by = 'series' order by rank_worst limit 1"
    )
    assert worst == [{"segment": "north"}]
    # The first challenger has seen too little of it, and is rejected; a week later it wins.
    decided = decisions(chain)
    assert [decision for decision, _ in decided][-1] == "deployed" and len(decided) <= 3
    assert {decision for decision, _ in decided[:-1]} <= {"rejected"}
    assert all(reason.startswith("MAPE") for _, reason in decided)
    won = chain.rows("select * from bi.retraining order by retraining_id desc limit 1")[0]
    assert won["new_score"] < 0.7 * won["old_score"]
    assert won["compared_count"] == len(BRANCHES)
    # Both were held against the same days, and what they said then is kept.
    evidence = chain.rows(
        "select avg(abs(champion - actual) / actual) as old, avg(abs(challenger - actual) / actual) as new"
        " from bi.retraining_forecast where retraining_id = %s", won["retraining_id"],
    )[0]  # fmt: skip
    assert 100 * evidence["old"] == pytest.approx(won["old_score"])
    assert 100 * evidence["new"] == pytest.approx(won["new_score"])
    # Two weeks later the error is what it was, the alerts are over by themselves, and nobody retrained again.
    assert not [alert for alert in drifted[-1] if "mape" in alert]
    assert len([row for row in decisions(chain) if row[0] == "deployed"]) == 1

    # A job fails: a constraint nobody knew of. It is tried again later, and the alert says why.
    chain.sell(chain.day)
    chain.day += 1
    yesterday = chain.opened + timedelta(days=chain.day - 1)
    chain.connection.execute(
        f"alter table core.model_performance_metrics add constraint nobody_knew check (day <> '{yesterday}')"  # type: ignore[arg-type]
    )
    schedule(chain)
    tick(chain)
    assert steps(chain) == [
        ("record_actuals", 1, "succeeded"), ("find_anomalies", 1, "succeeded"), ("refresh_forecasts", 1, "succeeded"),
        ("calculate_metrics", 1, "failed"), ("raise_alerts", 1, "succeeded"),
    ]  # fmt: skip
    assert "job_failed of job monitoring" in alerts(chain)
    chain.connection.execute(
        "alter table core.model_performance_metrics drop constraint nobody_knew"
    )
    retry(chain)
    tick(chain)
    # What had succeeded was not done again; what failed, and what came after it, was.
    assert steps(chain)[5:] == [
        ("calculate_metrics", 2, "succeeded"),
        ("raise_alerts", 2, "succeeded"),
    ]
    assert "job_failed of job monitoring" not in alerts(chain)

    # A backend is killed in the middle of its step: seen at once, and done by the next tick.
    nights(chain, KILL)
    chain.sell(chain.day)
    chain.day += 1
    schedule(chain)
    with psycopg.connect(fresh_url) as blocking, psycopg.connect(fresh_url, autocommit=True) as own:
        blocking.execute("lock table core.model_performance_metrics in exclusive mode")
        ticking = threading.Thread(target=tick_and_die, args=(own,))
        ticking.start()
        wait_for(
            chain,
            "select 1 from core.job_run where step = 'calculate_metrics' and status = 'running'",
        )
        chain.connection.execute("select pg_terminate_backend(%s, 10000)", (own.info.backend_pid,))
        ticking.join(30)
    tick(chain)
    assert steps(chain) == [
        ("record_actuals", 1, "succeeded"), ("find_anomalies", 1, "succeeded"), ("refresh_forecasts", 1, "succeeded"), ("calculate_metrics", 1, "crashed"),
        ("calculate_metrics", 2, "succeeded"), ("raise_alerts", 2, "succeeded"),
    ]  # fmt: skip

    # The quarter ends quietly.
    nights(chain, QUARTER_DAYS)
    assert alerts(chain) == []
    assert (
        chain.one(
            "select count(*) from core.model_versions where status = 'deployed' and model = 'sales'"
        )
        == 1
    )
    # Nothing was done twice: each forecast stands once, each day is calculated once, each thing that
    # happened to an alert was sent once; and doing it all again changes nothing.
    assert (
        chain.rows(
            "select series_id, version_id, target_time from core.forecast_ledger group by 1, 2, 3 having count(*) > 1"
        )
        == []
    )
    assert (
        chain.rows(
            "select alert_id, event from core.webhook_delivery group by 1, 2 having count(*) > 1"
        )
        == []
    )
    before = effects(chain)
    assert before["actuals"] > QUARTER_DAYS * len(BRANCHES)
    chain.connection.execute("select * from api.calculate_metrics('2000-01-01')")
    for job in ("monitoring", "retraining"):
        chain.connection.execute("call api.run_job(%s)", (job,))
    assert effects(chain) == before


def schedule(chain: Quarter) -> None:
    """Let the monitoring be due; no other job."""
    chain.connection.execute("update core.job set is_paused = name <> 'monitoring'")
    chain.connection.execute(
        "update core.job set window_start = clock_timestamp() - interval '1 minute',"
        " next_at = clock_timestamp() - interval '1 minute', attempt = 0 where name = 'monitoring'"
    )
    chain.connection.execute("delete from core.job_run")


def retry(chain: Quarter) -> None:
    """Let the wait before another attempt be over."""
    chain.connection.execute("update core.job set next_at = clock_timestamp() where attempt > 0")


def tick(chain: Quarter) -> None:
    """What a clock does every minute."""
    started = chain.one("select clock_timestamp()")
    chain.connection.execute("call core.run_due_jobs()")
    chain.date_back(started, chain.opened + timedelta(days=chain.day))


def tick_and_die(own: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.Error):
        own.execute("call core.run_due_jobs()")


def steps(chain: Quarter) -> list[tuple[str, int, str]]:
    rows = chain.rows("select step, attempt, status from bi.job_run order by job_run_id")
    return [(row["step"], row["attempt"], row["status"]) for row in rows]


def wait_for(chain: Quarter, query: str) -> None:
    for _ in range(300):
        if chain.rows(query):
            return
        time.sleep(0.05)
    raise AssertionError(query)
