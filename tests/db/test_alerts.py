"""Alerts: each rule from rows made by hand; raised once, acknowledged, escalated, resolved; the outbox."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from loader import schema
from tests.conftest import ROOT
from tests.db.domain import Connection, Row, one, rows, value

TODAY = "2026-05-31"


def model(
    db: Connection, name: str = "sales", *, step: str = "day", deployed: str = "2026-01-01"
) -> None:
    """A model of daily or monthly steps whose first version is deployed, fitted and kept just now."""
    db.execute(
        "insert into core.model_definition (name, kind, source, time_column, value_column, grid) values"
        " (%s, 'naive', 'shop.sale', 'at', 'v', jsonb_build_object('unit', %s::text, 'count', 1, 'phase', 0, 'zone', 'UTC', 'is_local', false))",
        (name, step),
    )
    version(db, name, 1, "deployed", deployed)


def version(db: Connection, name: str, number: int, status: str, deployed: str) -> None:
    db.execute(
        "insert into core.model_versions (model, model_type, version, status, parameters, deployed_at, window_end, created_date)"
        " values (%s, 'naive', %s, %s, '{}', %s, now(), now())",
        (name, number, status, deployed),
    )


def measured(
    db: Connection,
    day: str = TODAY,
    *,
    name: str = "sales",
    number: int = 1,
    segment: str | None = None,
    n: int = 10,
    mape: float = 5,
    bias: float = 0,
    inside: int | None = None,
) -> None:
    """The metrics of one day, as sums of n forecasts."""
    inside = 8 * n // 10 if inside is None else inside
    db.execute(
        "insert into core.model_performance_metrics (model, version, day, segment_by, segment, n, percent_count, percent_error_sum,"
        " absolute_error_sum, squared_error_sum, error_sum, absolute_actual_sum, inside_80_count, inside_95_count)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, 1, 1, %s, 100, %s, %s)",
        (name, number, day, "series" if segment else None, segment, n, n, mape * n / 100, bias * n, inside, inside),
    )  # fmt: skip


def judge(db: Connection, on_day: str | None = None) -> tuple[int, int, int, int]:
    found = db.execute("select * from api.raise_alerts(%s)", (on_day,)).fetchone()
    assert found is not None
    return found  # type: ignore[return-value]


def open_alerts(db: Connection) -> dict[tuple[str, str], Row]:
    return {(row["rule"], row["subject"]): row for row in rows(db, "select * from bi.open_alerts")}


def open_rules(db: Connection) -> set[str]:
    return {rule for rule, _ in open_alerts(db)}


def refused(db: Connection, query: str, *parameters: object, state: str = "22023") -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        db.execute(query, parameters)
    assert caught.value.sqlstate == state, caught.value
    assert caught.value.diag.message_hint
    return caught.value


@pytest.fixture
def quiet(db: Connection) -> Connection:
    """No job has a schedule: what is overdue depends on nothing but the test."""
    db.execute("delete from core.job")
    return db


# ------------------------------------------------------------------------------------------ accuracy


@pytest.mark.parametrize(
    ("figures", "rule"),
    [
        ({"mape": 10}, None),
        ({"mape": 10.1}, "mape_warning"),
        ({"mape": 15}, "mape_warning"),
        ({"mape": 15.1}, "mape_critical"),
        ({"bias": 10000}, None),
        ({"bias": 10001}, "bias"),
        ({"bias": -10001}, "bias"),
        ({"n": 20, "inside": 12}, None),
        ({"n": 20, "inside": 11}, "coverage_low"),
        # Too few to tell.
        ({"n": 19, "inside": 0}, None),
    ],
)  # fmt: skip
def test_a_week_is_held_against_thresholds(
    quiet: Connection, figures: dict[str, Any], rule: str | None
) -> None:
    model(quiet)
    measured(quiet, **figures)
    judge(quiet)
    assert open_rules(quiet) == ({rule} if rule else set())
    assert value(
        quiet, "select coalesce(sum(alerts_raised), 0) from core.model_performance_metrics"
    ) == bool(rule)


def test_a_week_is_the_sum_of_its_days(quiet: Connection) -> None:
    """30 forecasts off by 20 % and 10 by 8 %: 17 %, not the mean of the days."""
    model(quiet)
    measured(quiet, "2026-05-25", n=30, mape=20)
    measured(quiet, "2026-05-31", n=10, mape=8)
    # Before the week.
    measured(quiet, "2026-05-24", n=1000, mape=17)
    judge(quiet)
    alert = open_alerts(quiet)["mape_critical", "model sales"]
    assert alert["value"] == pytest.approx(17)
    assert (alert["threshold"], alert["severity"], alert["model"], alert["version"]) == (
        15,
        "critical",
        "sales",
        1,
    )
    assert (
        "17 %" in alert["message"] and "2026-05-25 to 2026-05-31 (40 forecasts)" in alert["message"]
    )
    # As it was known a week before: 1000 forecasts.
    assert judge(quiet, "2026-05-24")[:3] == (0, 1, 0)
    assert "2026-05-24" in open_alerts(quiet)["mape_critical", "model sales"]["message"]


@pytest.mark.parametrize(
    ("before", "now", "broken"), [(5, 6, False), (5, 6.1, True), (6, 5, False), (0, 5, False)]
)
def test_worse_than_the_week_before(
    quiet: Connection, before: float, now: float, broken: bool
) -> None:
    model(quiet)
    measured(quiet, "2026-05-24", mape=before)
    measured(quiet, mape=now)
    measured(quiet, "2026-05-17", mape=1)
    judge(quiet)
    assert open_rules(quiet) == ({"mape_worse_percent"} if broken else set())


def test_months_are_held_against_the_month_before(quiet: Connection) -> None:
    model(quiet, step="month")
    for day, mape in (("2026-03-01", 9), ("2026-04-01", 4), ("2026-05-01", 5)):
        measured(quiet, day, mape=mape)
    judge(quiet)
    assert open_alerts(quiet)["mape_worse_percent", "model sales"]["value"] == pytest.approx(25)


def test_more_than_three_bad_segments(quiet: Connection) -> None:
    model(quiet)
    measured(quiet)
    for place, mape in enumerate((31, 32, 33, 30)):
        measured(quiet, segment=f"branch {place}", mape=mape)
    assert judge(quiet)[0] == 0
    measured(quiet, segment="branch 4", mape=90)
    judge(quiet)
    alert = open_alerts(quiet)["bad_segment_count", "model sales"]
    assert alert["value"] == 4
    assert "branch 4, branch 2, branch 1" in alert["message"]


def test_of_each_day_the_version_in_force_then_counts(quiet: Connection) -> None:
    model(quiet, deployed="2026-05-01")
    version(quiet, "sales", 2, "archived", "2026-05-30 12:00Z")
    version(quiet, "sales", 3, "trained", "2026-05-30 12:00Z")
    quiet.execute("update core.model_versions set deployed_at = null where version = 3")
    measured(quiet, "2026-05-29", number=1, mape=10)
    measured(quiet, "2026-05-30", number=1, mape=500)
    measured(quiet, "2026-05-30", number=2, mape=20)
    measured(quiet, "2026-05-31", number=2, mape=30)
    # What was never in force, and what is not in force any more.
    measured(quiet, "2026-05-31", number=3, mape=500)
    measured(quiet, "2026-05-29", number=2, mape=500)
    judge(quiet)
    alert = open_alerts(quiet)["mape_critical", "model sales"]
    assert (alert["value"], alert["version"]) == (pytest.approx(20), 2)


def test_forecasts_of_days_before_the_first_deployment_count(quiet: Connection) -> None:
    model(quiet, deployed="2026-11-01")
    measured(quiet, "2018-03-01", mape=12)
    judge(quiet)
    assert open_rules(quiet) == {"mape_warning"}


# ------------------------------------------------------------------------------------------ a life


def test_raised_once_seen_again_resolved_and_raised_again(quiet: Connection) -> None:
    model(quiet)
    measured(quiet, mape=12)
    assert judge(quiet) == (1, 0, 0, 1)
    first = open_alerts(quiet)["mape_warning", "model sales"]
    assert judge(quiet) == judge(quiet) == (0, 1, 0, 1)
    again = open_alerts(quiet)["mape_warning", "model sales"]
    assert again["last_seen_at"] > first["last_seen_at"]
    assert {k: v for k, v in again.items() if k not in ("last_seen_at",)} == {k: v for k, v in first.items() if k != "last_seen_at"}  # fmt: skip
    assert value(quiet, "select sum(alerts_raised) from core.model_performance_metrics") == 1
    quiet.execute("update core.model_performance_metrics set percent_error_sum = 1.3")
    judge(quiet)
    assert open_alerts(quiet)["mape_warning", "model sales"]["value"] == pytest.approx(13)
    quiet.execute("update core.model_performance_metrics set percent_error_sum = 0.9")
    assert judge(quiet) == (0, 0, 1, 0)
    assert judge(quiet) == (0, 0, 0, 0)
    over = one(quiet, "select * from bi.alert")
    assert (over["status"], over["resolved_by"]) == ("resolved", None) and over["resolved_at"]
    quiet.execute("update core.model_performance_metrics set percent_error_sum = 1.2")
    assert judge(quiet) == (1, 0, 0, 1)
    assert open_alerts(quiet)["mape_warning", "model sales"]["alert_id"] > first["alert_id"]
    assert value(quiet, "select sum(alerts_raised) from core.model_performance_metrics") == 2


def test_acknowledged_while_it_lasts(quiet: Connection) -> None:
    model(quiet)
    measured(quiet, mape=12)
    judge(quiet)
    (number,) = [row["alert_id"] for row in rows(quiet, "select * from bi.open_alerts")]
    said = one(quiet, "select * from api.acknowledge_alerts(%s, 'prices changed')", [number])
    assert said == {"acknowledged_count": 1, "already_count": 0}
    assert judge(quiet) == (0, 1, 0, 1)
    alert = one(quiet, "select * from bi.open_alerts")
    assert (alert["status"], alert["notes"]) == ("acknowledged", "prices changed")
    assert (
        alert["acknowledged_by"] == value(quiet, "select session_user::text")
        and alert["acknowledged_at"]
    )
    said = one(quiet, "select * from api.acknowledge_alerts(%s, 'again')", [number, number])
    assert said == {"acknowledged_count": 0, "already_count": 1}
    assert one(quiet, "select * from bi.open_alerts")["notes"] == "prices changed"
    quiet.execute("update core.model_performance_metrics set percent_error_sum = 0.1")
    assert judge(quiet) == (0, 0, 1, 0)


def test_resolved_by_a_person_and_raised_again_where_it_lasts(quiet: Connection) -> None:
    model(quiet)
    measured(quiet, mape=12)
    judge(quiet)
    number = value(quiet, "select alert_id from bi.open_alerts")
    assert one(quiet, "select * from api.resolve_alerts(%s, 'gone')", [number]) == {
        "resolved_count": 1,
        "already_count": 0,
    }
    assert one(quiet, "select * from api.resolve_alerts(%s)", [number]) == {
        "resolved_count": 0,
        "already_count": 1,
    }
    over = one(quiet, "select * from bi.alert")
    assert (over["resolved_by"], over["notes"]) == (
        value(quiet, "select session_user::text"),
        "gone",
    )
    # Acknowledging what is over changes nothing.
    assert one(quiet, "select * from api.acknowledge_alerts(%s)", [number]) == {
        "acknowledged_count": 0,
        "already_count": 1,
    }
    assert one(quiet, "select * from bi.alert") | {"open_hours": 0} == over | {"open_hours": 0}
    assert judge(quiet) == (1, 0, 0, 1)


@pytest.mark.parametrize("answer", ["acknowledge_alerts", "resolve_alerts"])
def test_unknown_alerts_are_named_and_nothing_changes(quiet: Connection, answer: str) -> None:
    number = value(quiet, "select api.raise_alert('data_late', 'a', 'b')")
    error = refused(quiet, f"select * from api.{answer}(%s)", [number, 987654321, 987654322])
    assert "987654321, 987654322" in str(error)
    refused(quiet, f"select * from api.{answer}('{{}}')")
    refused(quiet, f"select * from api.{answer}(null)")
    refused(quiet, f"select * from api.{answer}(array[null::bigint, {number}])")
    assert value(quiet, "select status from bi.alert") == "open"


def test_a_critical_alert_takes_the_place_of_the_warning(quiet: Connection) -> None:
    model(quiet)
    quiet.execute("select api.add_webhook('https://example.com/a')")
    measured(quiet, mape=12)
    judge(quiet)
    warning = one(quiet, "select * from bi.open_alerts")
    quiet.execute("select * from api.acknowledge_alerts(%s)", ([warning["alert_id"]],))
    quiet.execute("update core.model_performance_metrics set percent_error_sum = 2")
    assert judge(quiet) == (1, 0, 1, 1)
    critical = one(quiet, "select * from bi.open_alerts")
    assert (critical["rule"], critical["status"]) == ("mape_critical", "open")
    over = one(quiet, "select * from bi.alert where alert_id = %s", warning["alert_id"])
    assert (over["status"], over["resolved_by"], over["replaced_by_alert_id"]) == (
        "resolved",
        None,
        critical["alert_id"],
    )
    assert judge(quiet) == (0, 1, 0, 1)
    quiet.execute("update core.model_performance_metrics set percent_error_sum = 1.2")
    assert judge(quiet) == (1, 0, 1, 1)
    assert open_rules(quiet) == {"mape_warning"}
    told = rows(
        quiet,
        "select event, payload -> 'alert' as alert from core.webhook_delivery order by number",
    )
    assert [(row["event"], row["alert"]["rule"]) for row in told] == [
        ("raised", "mape_warning"), ("acknowledged", "mape_warning"), ("escalated", "mape_critical"),
        ("resolved", "mape_critical"), ("raised", "mape_warning"),
    ]  # fmt: skip
    assert told[2]["alert"]["replaced_alert_id"] == warning["alert_id"]


def test_a_model_has_thresholds_of_its_own(quiet: Connection) -> None:
    for name in ("sales", "stock"):
        model(quiet, name)
        measured(quiet, name=name, mape=20)
    for name, rule, threshold in (("sales", "mape_critical", 25), ("sales", "mape_warning", 21)):
        set_to = one(
            quiet, "select * from api.set_alert_rule(%s, %s, model => %s)", rule, threshold, name
        )
        assert set_to == {
            "rule_name": rule,
            "model_name": name,
            "rule_threshold": threshold,
            "rule_is_active": True,
        }
    judge(quiet)
    assert set(open_alerts(quiet)) == {("mape_critical", "model stock")}
    quiet.execute(
        "select * from api.set_alert_rule('mape_critical', is_active => false, model => 'stock')"
    )
    assert judge(quiet) == (1, 0, 1, 1)
    assert set(open_alerts(quiet)) == {("mape_warning", "model stock")}
    quiet.execute("select * from api.set_alert_rule('mape_warning', is_active => false)")
    assert judge(quiet) == (0, 0, 1, 0)
    assert value(quiet, "select api.reset_alert_rule('mape_critical', 'sales')") is True
    assert value(quiet, "select api.reset_alert_rule('mape_critical', 'sales')") is False
    judge(quiet)
    assert set(open_alerts(quiet)) == {("mape_critical", "model sales")}
    shown = {(row["rule"], row["model"]): (row["threshold"], row["is_active"]) for row in rows(quiet, "select * from bi.alert_rule where measure = 'mape'")}  # fmt: skip
    assert shown == {
        ("mape_critical", None): (15, True), ("mape_critical", "stock"): (15, False),
        ("mape_warning", None): (10, False), ("mape_warning", "sales"): (21, False),
    }  # fmt: skip


def test_setting_what_is_set_changes_no_row_and_leaves_a_trail(quiet: Connection) -> None:
    model(quiet)
    for query in (
        "select * from api.set_alert_rule('bias', 5)",
        "select * from api.set_alert_rule('bias', 6, false, 'sales')",
        "select api.add_webhook('https://example.com/secret-path', rules => '{bias}')",
    ):
        quiet.execute(query)
        stamps = "select array(select xmin::text from core.alert_rule union all select xmin::text from core.alert_rule_override"
        before = value(
            quiet,
            f"{stamps} union all select xmin::text from core.webhook), (select count(*) from core.audit_log)",
        )
        with quiet.transaction():
            quiet.execute(query)
        assert (
            value(
                quiet,
                f"{stamps} union all select xmin::text from core.webhook), (select count(*) from core.audit_log)",
            )
            == before
        )
    trail = rows(
        quiet,
        "select table_name, action, before::text as before, after::text as after from core.audit_log"
        " where table_name <> 'job' order by id",
    )
    assert [(row["table_name"], row["action"]) for row in trail] == [
        ("alert_rule", "update"), ("alert_rule_override", "insert"), ("webhook", "insert")
    ]  # fmt: skip
    assert not any("secret-path" in str(row) for row in trail)


NONSENSE = (
    "set_alert_rule('mape', 1)",
    "set_alert_rule(null, 1)",
    "set_alert_rule('mape_critical')",
    "set_alert_rule('mape_critical', -1)",
    "set_alert_rule('mape_critical', 'NaN')",
    "set_alert_rule('mape_critical', 'Infinity')",
    "set_alert_rule('mape_critical', 1, model => 'nothing')",
    "set_alert_rule('job_failed', 1, model => 'shrinkage')",
    "reset_alert_rule('mape', 'shrinkage')",
    "reset_alert_rule('mape_critical', 'nothing')",
    "add_alert_rule('Stock is negative', 'x')",
    "add_alert_rule('mine', ' ')",
    "add_alert_rule('mine', 'x', 'bad')",
    "add_alert_rule('mine', 'x', null)",
    "add_alert_rule('mine', 'x', 'warning', 'NaN')",
    "add_alert_rule('mine', 'x', 'warning', null)",
    "add_alert_rule('mape_critical', 'x')",
    "raise_alert('mine', 'x', 'y')",
    "raise_alert('data_late', ' ', 'y')",
    "raise_alert('data_late', 'x', null)",
    "raise_alert('data_late', 'x', 'y', severity => 'bad')",
    "raise_alert('data_late', 'x', 'y', value => 'NaN')",
    "raise_alert('data_late', 'x', 'y', value => '-Infinity')",
    "raise_alerts('infinity')",
    "list_alerts(status => 'new')",
    "list_alerts(severity => 'high')",
    "list_alerts(rule => 'mape')",
    "list_alerts(after => 'x')",
    "list_alerts(page_size => 0)",
    "remove_webhook(987654321)",
    "remove_webhook(null)",
    "add_webhook('https://example.com', 'high')",
    "add_webhook('https://example.com', null)",
    "add_webhook('https://example.com', rules => '{mape}')",
    "add_webhook('https://example.com', rules => '{}')",
    "add_webhook('https://example.com', models => '{nothing}')",
    "add_webhook('https://example.com', models => '{}')",
    "add_webhook('https://example.com', secret_name => 'PGPASSWORD')",
    "add_webhook('https://example.com', secret_name => 'hunter2')",
)


def test_what_makes_no_sense_is_refused(quiet: Connection) -> None:
    quiet.execute(
        "insert into core.alert (rule, subject, severity, message) values ('data_late', 'x', 'warning', 'x')"
    )
    tables = ("alert_rule", "alert_rule_override", "alert", "webhook", "webhook_delivery")
    contents = "select " + ", ".join(
        f"(select jsonb_agg(to_jsonb(t)) from core.{name} as t) as {name}" for name in tables
    )
    before = one(quiet, contents)
    for call in NONSENSE:
        refused(quiet, f"select * from api.{call}")
    assert one(quiet, contents) == before


# ------------------------------------------------------------------------- what is about no accuracy


def ran(
    db: Connection, status: str, step: str = "fit", *, job: str = "nightly", ago: str = "1 hour"
) -> None:
    db.execute(
        "insert into core.job_run (job, step, status, started_at, finished_at, error) values (%s, %s, %s, now() - %s::interval,"
        " now() - %s::interval, case when %s in ('failed', 'crashed') then 'disk full' end)",
        (job, step, status, ago, ago, status),
    )


def scheduled(db: Connection, job: str = "nightly", every: str = "1 day", **more: object) -> None:
    db.execute("delete from core.job where name = %s", (job,))
    names, values = (
        ["name", "task", "every", "starting", *more],
        [job, job, every, "2026-01-01", *more.values()],
    )
    db.execute(
        f"insert into core.job ({', '.join(names)}) values ({', '.join(['%s'] * len(values))})",
        values,
    )


def test_a_job_that_fails_is_given_up_and_works_again(quiet: Connection) -> None:
    scheduled(quiet, max_attempts=3)
    ran(quiet, "succeeded", "account")
    ran(quiet, "failed")
    assert judge(quiet) == (1, 0, 0, 1)
    alert = open_alerts(quiet)["job_failed", "job nightly"]
    assert alert["value"] == pytest.approx(100 / 3) and "fit: disk full" in alert["message"]
    ran(quiet, "crashed")
    # It is running now: how it ends is not known.
    quiet.execute("insert into core.job_run (job, step) values ('nightly', 'fit')")
    assert judge(quiet) == (0, 1, 0, 1)
    ran(quiet, "failed")
    assert judge(quiet) == (1, 0, 1, 1)
    assert open_rules(quiet) == {"job_given_up"}
    # The next window fails too: no new alert.
    ran(quiet, "failed")
    assert judge(quiet) == (0, 1, 0, 1)
    ran(quiet, "succeeded")
    assert judge(quiet) == (0, 0, 1, 0)


def test_a_step_a_job_no_longer_has_is_no_alert_for_ever(quiet: Connection) -> None:
    scheduled(quiet)
    ran(quiet, "failed", "old step", ago="49 hours")
    ran(quiet, "succeeded", "new step")
    assert judge(quiet)[0] == 0
    # By hand, of no schedule.
    ran(quiet, "failed", job="by hand")
    judge(quiet)
    assert set(open_alerts(quiet)) == {("job_failed", "job by hand")}


@pytest.mark.parametrize(
    ("last", "more", "broken"),
    [
        ("47 hours", {}, False),
        ("49 hours", {}, True),
        ("49 hours", {"is_paused": True}, False),
        (None, {}, True),
        (None, {"created_at": "now"}, False),
    ],
)
def test_a_job_that_finished_nothing_for_two_periods(
    quiet: Connection, last: str | None, more: dict[str, Any], broken: bool
) -> None:
    scheduled(quiet, **({"created_at": "2026-01-01"} | more))
    if last:
        ran(quiet, "succeeded", ago=last)
    ran(quiet, "succeeded", job="another")
    judge(quiet)
    assert open_rules(quiet) == ({"job_overdue"} if broken else set())


def test_a_retraining_that_failed_until_one_is_decided(quiet: Connection) -> None:
    model(quiet)
    for decision, broken in (
        ("failed", True),
        ("rejected", False),
        ("failed", True),
        ("deployed", False),
    ):
        quiet.execute(
            "insert into core.model_retraining_log (model, trigger, decision, decision_reason, error, finished_at)"
            " values ('sales', 'age', %s, 'so', 'out of memory', now())",
            (decision,),
        )
        judge(quiet)
        assert open_rules(quiet) == ({"retraining_failed"} if broken else set())
    assert "out of memory" in one(quiet, "select distinct message from bi.alert")["message"]


def test_a_model_that_nobody_looked_at_for_long_is_stale(quiet: Connection) -> None:
    model(quiet)
    quiet.execute(
        "update core.model_versions set created_date = now() - interval '37 days' where model = 'sales'"
    )
    judge(quiet)
    assert open_rules(quiet) == set()
    quiet.execute(
        "update core.model_versions set created_date = now() - interval '38 days' where model = 'sales'"
    )
    judge(quiet)
    assert open_rules(quiet) == {"model_stale"}
    policy = "insert into core.retraining_policy (model, max_age, is_active) values ('sales', %s, %s) on conflict (model) do update set max_age = excluded.max_age, is_active = excluded.is_active"
    for age, active, broken in (
        ("31 days", True, False),
        ("10 days", True, True),
        ("10 days", False, False),
    ):
        quiet.execute(policy, (age, active))
        judge(quiet)
        assert open_rules(quiet) == ({"model_stale"} if broken else set())
    quiet.execute(policy, ("10 days", True))
    # A challenger that lost: the old one is kept for good reasons.
    quiet.execute(
        "insert into core.model_retraining_log (model, trigger, decision, decision_reason, finished_at)"
        " values ('sales', 'age', 'rejected', 'no better', now())"
    )
    judge(quiet)
    assert open_rules(quiet) == set()


@pytest.mark.parametrize(
    ("step", "ago", "steps", "broken"),
    [("day", "2 days", 2, False), ("day", "3 days", 3, True), ("month", "3 months", 3, True)],
)
def test_rows_that_do_not_come(
    quiet: Connection, step: str, ago: str, steps: int, broken: bool
) -> None:
    model(quiet, step=step)
    quiet.execute(
        "update core.model_versions set window_end = date_trunc('month', now()) where model = 'sales'"
    )
    quiet.execute(f"update core.model_versions set window_end = date_trunc('{step}', now() at time zone 'UTC') at time zone 'UTC' - %s::interval where model = 'sales'", (ago,))  # fmt: skip
    judge(quiet)
    assert open_rules(quiet) == ({"data_late"} if broken else set())
    if broken:
        assert open_alerts(quiet)["data_late", "model sales"]["value"] == steps
    # What was observed since is known from its metrics.
    measured(quiet, value(quiet, "select (now() at time zone 'UTC')::date"))
    judge(quiet)
    assert open_rules(quiet) == set()


def test_files_that_do_not_come(quiet: Connection) -> None:
    assert judge(quiet)[0] == 0
    quiet.execute(
        "insert into core.source_data (file_name, file_hash, layout, size_bytes, upload_date)"
        " values ('x', repeat('0', 64), 'movements', 0, now() - interval '15 days')"
    )
    judge(quiet)
    assert set(open_alerts(quiet)) == {("import_late", "imports")}
    quiet.execute("update core.source_data set upload_date = now() - interval '13 days'")
    assert judge(quiet) == (0, 0, 1, 0)


def test_a_fit_somebody_changed_is_an_alert_until_it_is_right(db: Connection) -> None:
    db.execute("create schema shop")
    db.execute(
        "create table shop.sale as select date '2026-01-01' + t as at, t::float8 as v from generate_series(1, 30) as t"
    )
    db.execute("select * from api.create_model('sales', 'shop.sale', 'at', 'v', kind => 'naive')")
    db.execute("select * from api.fit_model('sales')")
    assert rows(db, "select * from api.verify_cache()") == []
    assert rows(db, "select * from bi.alert") == []
    db.execute("update cache.ml_models set parameters = jsonb_set(parameters, '{x}', '1')")
    for _ in range(2):
        assert len(rows(db, "select * from api.verify_cache()")) == 1
    alert = one(db, "select * from bi.open_alerts")
    assert (alert["rule"], alert["subject"], alert["severity"], alert["value"]) == (
        "tampered",
        "model sales",
        "critical",
        1,
    )
    # The other rules do not end it.
    db.execute("delete from core.job")
    judge(db)
    assert ("tampered", "model sales") in open_alerts(db)
    assert rows(db, "select * from api.verify_cache(adopt => true)") == []
    assert ("tampered", "model sales") not in open_alerts(db)


def test_rules_of_ones_own(quiet: Connection) -> None:
    add = "select api.add_alert_rule('stock_is_negative', 'Less than nothing.', 'critical')"
    quiet.execute(add)
    quiet.execute(add)
    refused(quiet, "select api.add_alert_rule('stock_is_negative', 'Something else.')")
    raised = "select api.raise_alert('stock_is_negative', 'item 7', 'it is %s kg', value => -3, segment => 'north')"
    number = value(quiet, raised.replace("%s", "-3"))
    assert value(quiet, raised.replace("%s", "-4")) == number
    assert judge(quiet)[2] == 0
    alert = one(quiet, "select * from bi.open_alerts")
    assert (alert["alert_id"], alert["message"], alert["severity"], alert["value"]) == (
        number,
        "it is -4 kg",
        "critical",
        -3,
    )
    assert (
        value(
            quiet,
            "select api.raise_alert('stock_is_negative', 'item 8', 'x', severity => 'warning')",
        )
        > number
    )
    quiet.execute("select * from api.set_alert_rule('stock_is_negative', is_active => false)")
    assert value(quiet, "select api.raise_alert('stock_is_negative', 'item 9', 'x')") is None
    assert value(quiet, "select count(*) from bi.open_alerts") == 2


def test_alerts_are_pages(quiet: Connection) -> None:
    for subject in "abcde":
        quiet.execute(
            "select api.raise_alert('data_late', %s, 'x', model => %s)", (subject, subject)
        )
    quiet.execute("select * from api.resolve_alerts(array[(select min(alert_id) from bi.alert)])")
    seen: list[str] = []
    after = None
    while page := rows(quiet, "select * from api.list_alerts(page_size => 2, after => %s)", after):
        seen += [row["subject"] for row in page]
        after = page[-1]["cursor"]
    assert seen == ["e", "d", "c", "b", "a"]
    for filters, subjects in (
        ("status => 'resolved'", ["a"]), ("status => 'open'", ["e", "d", "c", "b"]), ("model => 'c'", ["c"]),
        ("severity => 'critical'", []), ("rule => 'data_late', to_time => now() - interval '1 day'", []),
        ("rule => 'bias'", []), ("from_time => now() - interval '1 day', severity => 'warning'", ["e", "d", "c", "b", "a"]),
    ):  # fmt: skip
        found = rows(quiet, f"select * from api.list_alerts({filters})")
        assert [row["subject"] for row in found] == subjects, filters


# ------------------------------------------------------------------------------------------ the outbox


def test_the_outbox_holds_what_each_webhook_wants(quiet: Connection) -> None:
    model(quiet)
    for path, filters in (
        ("all", ""), ("critical", ", min_severity => 'critical'"), ("bias", ", rules => '{bias}'"),
        ("sales", ", models => '{sales}'"), ("off", ", is_active => false"),
    ):  # fmt: skip
        quiet.execute(f"select api.add_webhook('https://example.com/{path}?token=1'{filters})")
    quiet.execute("set timezone = 'Asia/Kathmandu'")
    quiet.execute("select api.raise_alert('data_late', 'prices', 'x')")
    quiet.execute("select api.raise_alert('tampered', 'model sales', 'x', model => 'sales')")
    quiet.execute(
        "select api.raise_alert('bias', 'model sales', 'x', model => 'sales', value => 3)"
    )
    told = rows(quiet, "select substring(w.url from 'com/([a-z]+)') as hook, a.rule, d.* from core.webhook_delivery as d join core.webhook as w on w.id = d.webhook_id join core.alert as a on a.id = d.alert_id")  # fmt: skip
    assert {(row["hook"], row["rule"]) for row in told} == {
        ("all", "data_late"), ("all", "tampered"), ("all", "bias"), ("critical", "tampered"),
        ("bias", "bias"), ("sales", "tampered"), ("sales", "bias"),
    }  # fmt: skip
    assert len({row["id"] for row in told}) == len(told) == 7
    for row in told:
        assert (row["payload"]["id"], row["payload"]["event"]) == (str(row["id"]), "raised")
        assert row["payload"]["alert"]["id"] == row["alert_id"] and row["status"] == "pending"
        raised = value(quiet, "select raised_at from core.alert where id = %s", row["alert_id"])
        assert (
            value(quiet, "select %s::timestamptz", row["payload"]["alert"]["raised_at"]) == raised
        )
        assert row["payload"]["alert"]["raised_at"].endswith("Z")
    # Neither path nor query is shown.
    shown = rows(quiet, "select url from bi.webhook union select url from bi.webhook_delivery")
    assert {row["url"] for row in shown} == {"https://example.com/…", "https://example.com"}
    number = value(quiet, "select min(webhook_id) from bi.webhook")
    assert value(quiet, "select api.remove_webhook(%s)", number) == 3
    left = rows(
        quiet,
        "select status, url, webhook_id from bi.webhook_delivery where last_error is not null",
    )
    assert left == [{"status": "given_up", "url": "https://example.com", "webhook_id": None}] * 3


def test_alert_and_outbox_are_kept_together_or_not_at_all(quiet: Connection) -> None:
    quiet.execute("select api.add_webhook('https://example.com/a')")
    with quiet.transaction(force_rollback=True):
        quiet.execute("select api.raise_alert('data_late', 'prices', 'x')")
        assert value(quiet, "select count(*) from core.webhook_delivery") == 1
    assert value(quiet, "select count(*) from core.webhook_delivery") == 0
    assert value(quiet, "select count(*) from core.alert") == 0


NO_URLS = (
    None,
    "",
    "example.com",
    "ftp://example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://",
    "https:///path",
    "https://user:password@example.com/",
    "https://user@example.com/",
    "https://example.com/a b",
    "https://example.com/\r\nHost: x",
    "https://example.com/\t",
    "https://example.com/#x",
    "https://example.com:99999/",
    "https://example.com:0/",
    "https://example.com:x/",
    "https://пример.рф/",
    "https://example.com/ю",
    " https://example.com",
    "https://example.com\\@evil.com/",
    "https://example.com/" + "a" * 2000,
    "HTTPS://example.com@evil",
)


def test_what_is_no_url_to_post_to_is_refused(quiet: Connection) -> None:
    for url in NO_URLS:
        error = refused(quiet, "select api.add_webhook(%s)", url)
        # It may be a secret.
        assert not url or url not in str(error)
        # Nor past the function (a port is looked at there alone).
        if url is not None and "example.com:" not in url:
            with pytest.raises(psycopg.errors.IntegrityError), quiet.transaction():
                quiet.execute("insert into core.webhook (url) values (%s)", (url,))
    assert value(quiet, "select count(*) from core.webhook") == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080",
        "https://example.com",
        "https://[::1]:8443/a?b=%20&c=d",
        "http://a_b.example-1.com?x",
    ],
)
def test_what_is_a_url_to_post_to_is_taken(quiet: Connection, url: str) -> None:
    number = value(quiet, "select api.add_webhook(%s)", url)
    assert value(quiet, "select api.add_webhook(%s, 'critical')", url) == number
    assert one(quiet, "select url, min_severity from core.webhook") == {
        "url": url,
        "min_severity": "critical",
    }


# ------------------------------------------------------------------------------------- many at once


def test_two_who_judge_at_once_raise_one_alert_and_wake_the_listener_once(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as db:
        db.execute("delete from core.job")
        model(db)
        measured(db, mape=20)
        db.execute("select api.add_webhook('https://example.com/a')")
    said: list[Any] = []
    gate = threading.Barrier(4)

    def session() -> None:
        with psycopg.connect(fresh_url) as db:
            db.execute("select 1")
            gate.wait()
            said.append(judge(db))

    with psycopg.connect(fresh_url, autocommit=True) as listening:
        listening.execute("listen weighhouse")
        threads = [threading.Thread(target=session) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = [note.payload for note in listening.notifies(timeout=0.5)]
    assert sorted(said) == [(0, 1, 0, 1)] * 3 + [(1, 0, 0, 1)]
    with psycopg.connect(fresh_url) as db:
        number = value(db, "select id from core.alert")
        assert value(db, "select count(*) from core.webhook_delivery") == 1
    assert heard == [f"alert {number}"]


ROLES = {
    "bi": ("select count(*) from bi.alert", "select count(*) from bi.webhook"),
    "analyst": ("select count(*) from api.list_alerts()", "select count(*) from core.alert", "select count(*) from core.webhook_delivery"),
    "fitter": (
        "select * from api.raise_alerts()", "select api.raise_alert('data_late', 'x', 'y')", "select api.add_webhook('https://example.com')",
        "select * from api.set_alert_rule('bias', 1)", "select api.add_alert_rule('mine', 'x')", "select count(*) from core.webhook",
        "select * from api.resolve_alerts(array[api.raise_alert('data_late', 'x', 'y')])",
        "update core.webhook_delivery set attempts = 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_who_may_what(quiet: Connection, role: str) -> None:
    """Each role may what those before it may, and not what only those after it may."""
    quiet.execute(f"set session authorization weighhouse_{role}")
    order = list(ROLES)
    for place, name in enumerate(order):
        for query in ROLES[name]:
            if place <= order.index(role):
                with quiet.transaction(force_rollback=True):
                    quiet.execute(query)
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege), quiet.transaction():
                    quiet.execute(query)


def test_rules_of_an_operator_outlive_a_migration_run_again(quiet: Connection) -> None:
    text = (ROOT / "migrations/versions/0014_alerts.py").read_text("utf-8")
    start = text.index("insert into core.alert_rule (")
    insert = text[start : text.index(";", start) + 1]
    quiet.execute("select * from api.set_alert_rule('bias', 5, false)")
    quiet.execute(insert)
    assert one(quiet, "select threshold, is_active from core.alert_rule where name = 'bias'") == {
        "threshold": 5,
        "is_active": False,
    }


def test_down_and_up_again_with_alerts_in_it(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as db:
        model(db)
        db.execute("select * from api.set_alert_rule('bias', 5, model => 'sales')")
        db.execute("select api.add_webhook('https://example.com/a')")
        db.execute("select api.raise_alert('data_late', 'prices', 'x')")
        db.execute("update core.settings set value = '7' where name = 'webhooks.max_attempts'")
    schema.downgrade(fresh_url, "0013")
    with psycopg.connect(fresh_url) as db:
        assert value(db, "select to_regclass('core.webhook_delivery')") is None
    schema.upgrade(fresh_url)
    with psycopg.connect(fresh_url) as db:
        assert value(db, "select count(*) from bi.alert") == 0
        assert value(db, "select internal.setting('webhooks.max_attempts')") == 7
        assert value(db, "select api.raise_alert('data_late', 'prices', 'x')") == 1
