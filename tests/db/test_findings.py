"""Anomalies, change points and what moved between two periods, as people ask for them."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any

import psycopg
import pytest

from tests.db.domain import rows, value
from tests.db.test_models import create, fit, one, refused, sold

Connection = psycopg.Connection[Any]

# A year of days: a week's course, a little noise that is the same each time.
DAYS = [100 + 20 * math.sin(2 * math.pi * t / 7) + (t * 7919 % 101 - 50) / 10 for t in range(364)]


def day(number: int) -> str:
    """The date of a day of 2020, counted from 0."""
    return f"('2020-01-01'::date + {number})"


def odd(**changes: float) -> list[float]:
    """The course with some days changed, as d50=80."""
    values = list(DAYS)
    for name, change in changes.items():
        values[int(name[1:])] += change
    return values


def search(db: Connection, words: str = "") -> dict[str, Any]:
    found = rows(db, f"select * from api.find_anomalies('sales'{words})")
    return {row["searched"]: row for row in found}


def open_ones(db: Connection, method: str = "history") -> list[tuple[str, int]]:
    found = rows(
        db,
        "select series, time::date - '2020-01-01'::date as day from bi.anomaly"
        f" where status = 'open' and method = '{method}' order by time, series",
    )
    return [(row["series"], row["day"]) for row in found]


# ---------------------------------------------------------------------------------------- history


def test_history_tells_what_was_not_to_be_expected(db: Connection) -> None:
    sold(
        db,
        {"north": odd(d50=80, d300=-70), "south": odd(d363=90), "tiny": DAYS[:5], "east": DAYS},
        step="1 day",
    )
    create(db)
    found = search(db, ", method => 'history'")["history"]
    assert (found["series_count"], found["skipped_count"]) == (3, 1)
    assert (found["found_count"], found["new_count"], found["resolved_count"]) == (3, 3, 0)
    assert open_ones(db) == [("north", 50), ("north", 300), ("south", 363)]
    first = one(db, "select * from bi.anomaly where series = 'north' order by time limit 1")
    assert first["actual"] == pytest.approx(DAYS[50] + 80)
    assert first["expected"] == pytest.approx(DAYS[50], rel=0.15)
    assert first["difference"] == pytest.approx(first["actual"] - first["expected"])
    assert first["score"] > first["threshold"] == 5 and first["version"] is None


def test_searching_again_changes_nothing_and_what_was_corrected_is_resolved(db: Connection) -> None:
    sold(db, {"north": odd(d50=80, d300=-70)}, step="1 day")
    create(db)
    search(db)
    stamps = rows(db, "select xmin::text, * from core.anomaly order by id")
    again = search(db)["history"]
    assert (again["found_count"], again["new_count"], again["resolved_count"]) == (2, 0, 0)
    assert rows(db, "select xmin::text, * from core.anomaly order by id") == stamps
    db.execute(f"update shop.sale set quantity = quantity - 80 where at = {day(50)}")
    # Later steps only: what lies before stays as it is.
    assert search(db, f", since => {day(100)}")["history"]["resolved_count"] == 0
    gone = search(db)["history"]
    assert (gone["found_count"], gone["new_count"], gone["resolved_count"]) == (1, 0, 1)
    assert open_ones(db) == [("north", 300)]
    assert value(db, "select resolved_at is not null from bi.anomaly where status = 'resolved'")
    # And it comes back when it is there again.
    db.execute(f"update shop.sale set quantity = quantity + 80 where at = {day(50)}")
    search(db)
    assert len(open_ones(db)) == 2 and value(db, "select count(*) from core.anomaly") == 2


def test_one_series_since_a_time_beyond_a_threshold(db: Connection) -> None:
    sold(db, {"north": odd(d50=80, d300=-70), "south": odd(d60=80)}, step="1 day")
    create(db)
    fit(db)
    assert search(db, ", 'south'")["history"]["found_count"] == 1
    assert open_ones(db) == [("south", 60)]
    search(db, f", since => {day(200)}")
    assert open_ones(db) == [("south", 60), ("north", 300)]
    assert search(db, ", threshold => 1000, method => 'history'")["history"]["resolved_count"] == 2
    assert open_ones(db) == []


def test_a_model_has_its_own_threshold(db: Connection) -> None:
    sold(db, {"north": odd(d50=80)}, step="1 day")
    create(db)
    assert value(db, "select api.set_anomaly_threshold('sales', 1000)") == 1000
    assert search(db, ", method => 'history'")["history"]["found_count"] == 0
    assert value(db, "select api.set_anomaly_threshold('sales', null)") == 5
    assert search(db, ", method => 'history'")["history"]["found_count"] == 1
    trail = rows(db, "select action from core.audit_log where table_name = 'anomaly_threshold'")
    assert [row["action"] for row in trail] == ["insert", "delete"]
    db.execute("update core.settings set value = '2000' where name = 'anomalies.threshold'")
    assert search(db, ", method => 'history'")["history"]["found_count"] == 0


def test_a_hole_in_the_data_is_no_anomaly_and_nothing_sold_may_be_one(db: Connection) -> None:
    values: list[float | None] = list(DAYS)
    values[100] = None
    sold(db, {"north": values}, step="1 day")
    create(db)
    search(db, ", method => 'history'")
    assert open_ones(db) == []
    db.execute("select * from api.drop_model('sales')")
    create(db, step="1 day", missing="zero")
    search(db, ", method => 'history'")
    assert open_ones(db) == [("north", 100)]


# --------------------------------------------------------------------------------------- forecasts


def test_what_came_otherwise_than_forecast_is_an_anomaly(db: Connection) -> None:
    sold(db, {"north": DAYS, "south": DAYS}, step="1 day")
    create(db, kind="seasonal_naive", horizon=14)
    fit(db)
    db.execute(
        "insert into shop.sale select at + 364, branch, quantity + case when branch = 'north' and"
        f" at = {day(3)} then 500 else 0 end from shop.sale where at < {day(10)}"
    )
    db.execute("select * from api.record_actuals('sales')")
    found = search(db, ", method => 'forecast'")["forecast"]
    assert (found["series_count"], found["found_count"], found["new_count"]) == (2, 1, 1)
    assert open_ones(db, "forecast") == [("north", 367)]
    row = one(db, "select * from bi.anomaly")
    ledger = one(
        db,
        "select forecast, upper_95 from core.forecast_ledger as f inner join core.model_series as s"
        f" on s.id = f.series_id where s.label = 'north' and target_time::date = {day(367)}",
    )
    # By hand: distance over half a 95 % interval over 1.96.
    deviation = (ledger["upper_95"] - ledger["forecast"]) / 1.959964
    assert row["score"] == pytest.approx((row["actual"] - ledger["forecast"]) / deviation)
    assert row["expected"] == ledger["forecast"] and row["version"] == 1
    # The actual is corrected.
    db.execute(
        f"update shop.sale set quantity = quantity - 500 where at = {day(367)} and branch = 'north'"
    )
    db.execute("select * from api.record_actuals('sales')")
    assert search(db)["forecast"]["resolved_count"] == 1
    assert open_ones(db, "forecast") == []


def test_the_monitoring_job_looks_and_too_many_are_an_alert(db: Connection) -> None:
    sold(db, {name: DAYS for name in "abcde"}, step="1 day")
    create(db, kind="seasonal_naive", horizon=14)
    fit(db)
    db.execute(
        "insert into shop.sale select at + 364, branch, quantity + 500 from shop.sale"
        f" where at < {day(1)}"
    )
    steps = [
        row["step"]
        for row in rows(db, "select step from internal.job_steps('monitoring') order by place")
    ]
    assert steps.index("find_anomalies") == steps.index("record_actuals") + 1
    db.execute("select * from internal.record_all_actuals()")
    done = one(db, "select * from internal.find_all_anomalies()")
    assert (done["count"], done["detail"]) == (5, "5 new, 0 resolved, 1 models")
    assert one(db, "select * from internal.find_all_anomalies()")["count"] == 0
    db.execute("select * from api.raise_alerts()")
    alert = one(db, "select * from bi.open_alerts where rule = 'anomalies'")
    assert alert["model"] == "sales" and alert["value"] == 5 and "5 anomalies" in alert["message"]
    ids = [row["anomaly_id"] for row in rows(db, "select anomaly_id from bi.anomaly")]
    known = one(db, "select * from api.acknowledge_anomalies(%s, 'a fair')", ids[:2])
    assert (known["acknowledged_count"], known["already_count"]) == (2, 0)
    db.execute("select * from api.raise_alerts()")
    assert value(db, "select status from core.alert where rule = 'anomalies'") == "resolved"
    # What somebody knows of stays known.
    search(db, ", method => 'forecast'")
    noted = rows(db, "select notes, acknowledged_by from bi.anomaly where status = 'acknowledged'")
    assert [row["notes"] for row in noted] == ["a fair"] * 2
    assert one(db, "select * from api.acknowledge_anomalies(%s)", ids[:3])["already_count"] == 2


def test_anomalies_are_paged_the_newest_first(db: Connection) -> None:
    sold(db, {"north": odd(d50=80, d100=80, d300=-70), "south": odd(d100=80)}, step="1 day")
    create(db)
    search(db, ", method => 'history'")
    everything = rows(db, "select at, anomaly_id from api.list_anomalies('sales')")
    assert len(everything) == 4 and everything == sorted(
        everything, key=lambda row: (row["at"], row["anomaly_id"]), reverse=True
    )
    pages, after = [], None
    while page := rows(db, "select * from api.list_anomalies(page_size => 1, after => %s)", after):
        pages.append({key: page[0][key] for key in ("at", "anomaly_id")})
        after = page[0]["cursor"]
    assert pages == everything
    assert (
        len(rows(db, "select * from api.list_anomalies(series => 'south', status => 'open')")) == 1
    )
    assert rows(db, f"select * from api.list_anomalies(to_time => {day(50)})") == []


@pytest.mark.parametrize(
    ("state", "query"),
    [
        ("22023", "select * from api.find_anomalies('nothing')"),
        ("22023", "select * from api.find_anomalies('shrinkage')"),
        ("22023", "select * from api.find_anomalies('sales', 'nowhere')"),
        ("22023", "select * from api.find_anomalies('sales', threshold => 0)"),
        ("22023", "select * from api.find_anomalies('sales', threshold => 'NaN')"),
        ("22023", "select * from api.find_anomalies('sales', method => 'guess')"),
        ("22023", "select api.set_anomaly_threshold('sales', -1)"),
        ("22023", "select api.set_anomaly_threshold('nothing', 1)"),
        ("22023", "select * from api.acknowledge_anomalies('{}')"),
        ("22023", "select * from api.acknowledge_anomalies('{1000000}')"),
        ("22023", "select * from api.list_anomalies(status => 'new')"),
        ("22023", "select * from api.list_anomalies('nothing')"),
        ("22023", "select * from api.list_anomalies(after => 'x')"),
        ("22023", "select * from api.find_change_points('sales', min_length => 1)"),
        ("22023", "select * from api.find_change_points('sales', penalty => 'NaN')"),
        ("22023", "select * from api.find_change_points('sales', 'nowhere')"),
        ("22023", "select * from api.find_change_points('shrinkage')"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_changes_nothing(
    db: Connection, state: str, query: str
) -> None:
    sold(db, {"north": odd(d50=80)}, step="1 day")
    create(db)
    search(db, ", method => 'history'")
    before = rows(db, "select xmin::text, * from core.anomaly")
    refused(db, state, query)
    assert rows(db, "select xmin::text, * from core.anomaly") == before
    assert value(db, "select count(*) from core.anomaly_threshold") == 0


# ----------------------------------------------------------------------------------- change points


def test_a_level_that_changed_is_found_with_its_day(db: Connection) -> None:
    moved = [v + (30 if t >= 200 else 0) for t, v in enumerate(DAYS)]
    sold(db, {"north": moved, "south": DAYS, "tiny": DAYS[:5]}, step="1 day")
    create(db)
    found = rows(db, "select * from api.find_change_points('sales')")
    assert [(row["label"], row["kind"]) for row in found] == [("north", "level"), ("tiny", None)]
    change, short = found
    assert abs((change["time"].date() - date(2020, 1, 1)).days - 200) <= 2
    assert change["after"] - change["before"] == pytest.approx(30, abs=5)
    assert change["change_percent"] == pytest.approx(100 * (change["after"] / change["before"] - 1))
    assert change["gain"] > 1 and change["p"] < 0.001 and change["note"] is None
    assert "12 needed" in short["note"] and short["time"] is None
    assert rows(db, "select * from api.find_change_points('sales', 'south')") == []


# -------------------------------------------------------------------------------------- what moved

SHOP = """
    create schema shop;
    create table shop.sale as
    select * from (values
        ('2026-01-05'::timestamptz, 'north', 'milk', 10.0), ('2026-01-06', 'north', 'bread', 5),
        ('2026-01-07', 'south', 'milk', 20), ('2026-01-08', 'south', 'ice', 4),
        ('2026-02-05', 'north', 'milk', 12), ('2026-02-06', 'north', 'bread', 25),
        ('2026-02-07', 'south', 'milk', 13), ('2026-02-08', 'south', 'salt', 1),
        ('2026-02-09', null, 'milk', 2), ('2026-02-10', 'north', 'milk', null),
        ('2026-02-11', 'north', 'milk', 'NaN'), ('2026-03-01', 'north', 'milk', 100)
    ) as s (at, branch, item, quantity)"""
PERIODS = "'2026-01-01', '2026-02-01', '2026-02-01', '2026-03-01'"


def explain(db: Connection, words: str = "", keys: str = "{branch,item}") -> list[dict[str, Any]]:
    return rows(
        db,
        f"select * from api.explain_change('shop.sale', 'quantity', '{keys}', 'at', {PERIODS}{words})",
    )


def test_segments_say_what_moved(db: Connection) -> None:
    db.execute(SHOP)
    found = explain(db)
    total = found[0]
    # By hand: 39 in January, 53 in February.
    assert (total["segment_by"], total["state"]) == (None, "total")
    assert (total["total_1"], total["total_2"], total["difference"]) == (39, 53, 14)
    by = {(row["segment_by"], row["segment"]): row for row in found[1:]}
    assert by["branch", "north"]["difference"] == 22 and by["branch", "north"]["rank"] == 1
    assert by["branch", "north"]["share_percent"] == pytest.approx(100 * 22 / 14)
    assert by["branch", "south"]["change_percent"] == pytest.approx(100 * (14 - 24) / 24)
    assert (by["branch", "-"]["state"], by["branch", "-"]["change_percent"]) == ("new", None)
    assert by["item", "ice"]["state"] == "gone" and by["item", "salt"]["state"] == "new"
    assert by["item", "milk"]["state"] == "both"
    assert by["branch / item", "north / bread"]["difference"] == 20
    assert by["branch / item", "north / bread"]["rank"] == 1
    assert (by["item", "milk"]["row_count_1"], by["item", "milk"]["row_count_2"]) == (2, 3)


@pytest.mark.parametrize("top", [1, 2, 1000])
def test_each_level_of_segments_adds_up_to_the_total(db: Connection, top: int) -> None:
    db.execute(SHOP)
    db.execute(
        "insert into shop.sale select '2026-01-01'::timestamptz + i % 59 * interval '1 day',"
        " 'b' || i % 7, 'i' || i % 11, i % 13 - 4 from generate_series(1, 500) as i"
    )
    db.execute("alter table shop.sale add column day text")
    db.execute("update shop.sale set day = extract(dow from at)::text")
    found = explain(db, f", {top}", "{branch,item,day}")
    total = found[0]
    levels = {row["segment_by"] for row in found[1:]}
    assert levels == {"branch", "item", "day", "branch / item", "branch / day", "item / day"}
    for level in levels:
        own = [row for row in found if row["segment_by"] == level]
        assert len([row for row in own if row["state"] != "others"]) <= top
        for name in ("difference", "total_1", "total_2", "row_count_1", "row_count_2"):
            assert sum(row[name] for row in own) == pytest.approx(total[name]), (level, name)
        assert sum(row["share_percent"] for row in own) == pytest.approx(100)


def test_rows_are_counted_and_queries_read(db: Connection) -> None:
    db.execute(SHOP)
    counted = rows(
        db,
        "select * from api.explain_change('select at::date as on_day, upper(branch) as b from shop.sale'"
        f", null, '{{b}}', 'on_day', {PERIODS})",
    )
    assert [(row["segment"], row["total_1"], row["total_2"]) for row in counted] == [
        (None, 4, 7), ("NORTH", 2, 4), ("-", 0, 1), ("SOUTH", 2, 2),
    ]  # fmt: skip


def test_periods_with_nothing_in_them_have_no_rows(db: Connection) -> None:
    db.execute(SHOP)
    far = "'1990-01-01', '1990-02-01', '1991-01-01', '1991-02-01'"
    assert rows(db, f"select * from api.explain_change('shop.sale', 'quantity', '{{item}}', 'at', {far})") == []  # fmt: skip


def test_a_model_knows_its_columns_and_its_zone(db: Connection) -> None:
    sold(db, {"north": DAYS, "south": [2 * v for v in DAYS]}, step="1 day")
    create(db, time_zone="Asia/Vladivostok")
    found = rows(
        db,
        "select * from api.explain_model_change('sales', '2020-01-01 00:00+10', '2020-02-01 00:00+10',"
        " '2020-02-01 00:00+10', '2020-03-01 00:00+10')",
    )
    assert [row["segment_by"] for row in found] == [None, "branch", "branch"]
    assert found[0]["total_1"] == pytest.approx(3 * sum(DAYS[:31]))
    assert found[0]["total_2"] == pytest.approx(3 * sum(DAYS[31:60]))
    assert found[1]["segment"] == "south" and found[1]["row_count_1"] == 31


@pytest.mark.parametrize(
    ("state", "query"),
    [
        ("42P01", f"select * from api.explain_change('shop.none', 'quantity', '{{item}}', 'at', {PERIODS})"),
        ("42P01", f"select * from api.explain_change(null, 'quantity', '{{item}}', 'at', {PERIODS})"),
        ("42703", f"select * from api.explain_change('shop.sale', 'amount', '{{item}}', 'at', {PERIODS})"),
        ("42703", f"select * from api.explain_change('shop.sale', 'quantity', '{{\"a; drop table shop.sale\"}}', 'at', {PERIODS})"),
        ("42703", f"select * from api.explain_change('shop.sale', 'quantity', '{{item}}', null, {PERIODS})"),
        ("22023", f"select * from api.explain_change('shop.sale', 'item', '{{item}}', 'at', {PERIODS})"),
        ("22023", f"select * from api.explain_change('shop.sale', 'quantity', '{{item}}', 'branch', {PERIODS})"),
        ("22023", f"select * from api.explain_change('shop.sale', 'quantity', '{{}}', 'at', {PERIODS})"),
        ("22023", f"select * from api.explain_change('shop.sale', 'quantity', '{{item,item}}', 'at', {PERIODS})"),
        ("22023", f"select * from api.explain_change('shop.sale', 'quantity', '{{item}}', 'at', {PERIODS}, 0)"),
        ("22023", "select * from api.explain_change('shop.sale', 'quantity', '{item}', 'at', '2026-02-01', '2026-02-01', '2026-02-01', '2026-03-01')"),
        ("22023", "select * from api.explain_change('shop.sale', 'quantity', '{item}', 'at', '-infinity', '2026-02-01', '2026-02-01', '2026-03-01')"),
        ("22023", f"select * from api.explain_model_change('shrinkage', {PERIODS})"),
        ("22023", f"select * from api.explain_model_change('nothing', {PERIODS})"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_refused(db: Connection, state: str, query: str) -> None:
    db.execute(SHOP)
    refused(db, state, query)
    assert value(db, "select count(*) from shop.sale") == 12


def test_options_of_the_model_reach_the_search(db: Connection) -> None:
    """Without the season of 5 steps the course looks like noise, and what stands out is lost."""
    values = [100 + 50 * (t % 5 == 0) + (t * 7919 % 101 - 50) / 50 for t in range(200)]
    values[101] += 30
    sold(db, {"north": values}, step="1 day")
    found = {}
    for seasons in ([5], []):
        create(db, name=json.dumps(seasons), seasons=seasons)
        rows(db, "select * from api.find_anomalies(%s, method => 'history')", json.dumps(seasons))
        found[len(seasons)] = value(
            db, f"select count(*) from bi.anomaly where model = '{json.dumps(seasons)}'"
        )
    assert found == {1: 1, 0: 0}
