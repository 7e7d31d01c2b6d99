"""Daily metrics, windows and trends, health: the numbers by hand, and what a second time changes."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.db import domain
from tests.db.domain import Connection, Row, movement, rows, value
from tests.db.test_expectations import deploy, forecast, settle
from tests.db.test_models import create, fit, one, refused, sold
from tests.db.test_worked_examples import given

NORTH = [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
SOUTH = [20.0] * 8
# The first day forecast: the eighth after 2026-01-01.
FIRST = date(2026, 1, 9)


def calculate(db: Connection, *arguments: object, **named: object) -> Row:
    words = [*(["%s"] * len(arguments)), *(f"{name} => %s" for name in named)]
    query = f"select * from api.calculate_metrics({', '.join(words)})"
    return one(db, query, *arguments, *named.values())


def record(db: Connection, model: str = "sales") -> int:
    found = one(db, "select * from api.record_actuals(%s)", model)
    return int(found["joined_count"])


def observed(db: Connection, values: dict[str, Sequence[float]], first: date = FIRST) -> None:
    """What happened on the days from the first one forecast."""
    for branch, series in values.items():
        for back, quantity in enumerate(series):
            db.execute(
                "insert into shop.sale values (%s, %s, %s)",
                (first + timedelta(days=back), branch, quantity),
            )


def stored(db: Connection) -> dict[tuple[Any, ...], str]:
    """Every row of metrics, whatever of it could change, and who wrote it last."""
    return {
        (row["model"], row["version"], row["day"], row["segment_by"], row["segment"]): row["t"]
        for row in rows(
            db,
            "select m.*, m.ctid::text || m.xmin::text || m.cmin::text || m::text as t"
            " from core.model_performance_metrics as m",
        )
    }


def changed(before: dict[tuple[Any, ...], str], after: dict[tuple[Any, ...], str]) -> set[Any]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def over_all(db: Connection, day: date, model: str = "sales") -> Row:
    return one(
        db,
        "select * from bi.model_performance where segment_by is null and day = %s and model = %s",
        day,
        model,
    )


@pytest.fixture
def shop(db: Connection) -> Connection:
    """Two branches of daily sales, each forecast to stay as it was, and three days that followed."""
    sold(db, {"north": NORTH, "south": SOUTH}, step="1 day", first="2026-01-01")
    create(db, "naive", horizon=3)
    fit(db)
    db.execute(
        "update core.forecast_ledger set lower_80 = forecast - 1, upper_80 = forecast + 1,"
        " lower_95 = forecast - 3, upper_95 = forecast + 3"
    )
    observed(db, {"north": [12.0, 10.5, 16.0], "south": [0.0, 19.0, 25.0]})
    assert record(db) == 6
    return db


# ------------------------------------------------------------------------------------ the day itself


def test_a_day_by_hand(shop: Connection) -> None:
    """North was forecast at 10 and sold 12, south at 20 and sold nothing."""
    done = calculate(shop)
    assert done == {"day_count": 3, "row_count": 9, "changed_count": 9}
    day = over_all(shop, FIRST)
    assert (day["n"], day["version"], day["status"]) == (2, 1, "deployed")
    assert day["mape"] == pytest.approx(100 * 2 / 12)
    assert day["wape"] == pytest.approx(100 * 22 / 12)
    assert day["mae"] == pytest.approx(11)
    assert day["rmse"] == pytest.approx(math.sqrt((2**2 + 20**2) / 2))
    assert day["bias"] == pytest.approx((2 - 20) / 2)
    assert (day["coverage_80"], day["coverage_95"]) == (0, 50)
    # A week before the first day, north had sold 4 and south 20.
    assert day["naive_mape"] == pytest.approx(100 * 8 / 12)
    assert day["naive_wape"] == pytest.approx(100 * 28 / 12)
    south = one(
        shop,
        "select * from bi.model_performance where segment_by = 'series' and segment = 'south' and day = %s",
        FIRST,
    )
    assert (south["mape"], south["wape"], south["mae"], south["n"]) == (None, None, 20, 1)
    second = over_all(shop, FIRST + timedelta(days=1))
    assert second["mape"] == pytest.approx(100 * (0.5 / 10.5 + 1 / 19) / 2)
    assert second["coverage_80"] == 100
    long = rows(shop, "select metric, value from bi.accuracy where time::date = '2026-01-09'")
    assert {row["metric"] for row in long} == {
        "mape", "wape", "mae", "rmse", "bias", "coverage_80", "coverage_95", "naive_mape", "naive_wape"
    }  # fmt: skip


def test_a_day_calculated_again_changes_nothing(shop: Connection) -> None:
    calculate(shop)
    before = stored(shop)
    shop.execute(
        "update core.model_performance_metrics set alerts_raised = 2 where day = %s", (FIRST,)
    )
    marked = stored(shop)
    assert len(changed(before, marked)) == 3
    assert calculate(shop) == {"day_count": 0, "row_count": 0, "changed_count": 0}
    assert record(shop) == 0
    for arguments in ({}, {"from_date": FIRST}, {"to_date": date(2026, 2, 1)}, {"model": "sales"},
                      {"from_date": FIRST, "to_date": FIRST, "model": "sales"}):  # fmt: skip
        assert calculate(shop, **arguments)["changed_count"] == 0
    # Rows that lie in another order are added up in another order.
    shop.execute("update core.forecast_ledger set step = step where series_id % 2 = 0")
    assert calculate(shop, FIRST)["row_count"] == 9
    assert stored(shop) == marked


def test_a_changed_actual_changes_its_day_alone(shop: Connection) -> None:
    calculate(shop)
    before = stored(shop)
    second = FIRST + timedelta(days=1)
    shop.execute(
        "update core.model_performance_metrics set alerts_raised = 1 where day = %s", (second,)
    )
    before = stored(shop)
    shop.execute("update shop.sale set quantity = 30 where at = %s and branch = 'south'", (second,))
    assert record(shop) == 1
    assert calculate(shop) == {"day_count": 1, "row_count": 3, "changed_count": 2}
    assert changed(before, stored(shop)) == {
        ("sales", 1, second, None, None),
        ("sales", 1, second, "series", "south"),
    }
    day = over_all(shop, second)
    assert (day["mae"], day["alerts_raised"]) == (5.25, 1)
    assert calculate(shop)["day_count"] == 0


def test_what_came_later_is_taken_in_whatever_the_clock_says(shop: Connection) -> None:
    """A stamp never lies behind one that was taken in; and another writer's is found."""
    calculate(shop)
    shop.execute("update core.metrics_calculation set actual_until = now() + interval '1 hour'")
    shop.execute("update shop.sale set quantity = 11 where at = %s and branch = 'south'", (FIRST,))
    assert record(shop) == 1
    assert calculate(shop)["changed_count"] == 2
    shop.execute(
        "update core.forecast_ledger set actual = 7, actual_at = now() + interval '2 hours'"
        " where series_id = (select id from core.model_series where label = 'north') and step = 3"
    )
    assert calculate(shop) == {"day_count": 1, "row_count": 3, "changed_count": 2}


def test_metrics_of_forecasts_that_are_gone_go(shop: Connection) -> None:
    calculate(shop)
    before = stored(shop)
    shop.execute("delete from core.forecast_ledger where step = 2")
    second = FIRST + timedelta(days=1)
    assert calculate(shop, FIRST, FIRST)["changed_count"] == 0
    assert calculate(shop, FIRST)["changed_count"] == 3
    assert changed(before, stored(shop)) == {key for key in before if key[2] == second}
    shop.execute("select * from api.drop_model('sales')")
    assert stored(shop) == {}


def test_metrics_outlive_a_ledger_that_was_shortened(shop: Connection) -> None:
    """What drop_chunks took is not measured any more, and stays as it was."""
    calculate(shop)
    before = stored(shop)
    observed_later = date(2027, 8, 1)
    shop.execute(
        "insert into core.forecast_ledger select version_id, series_id, issued_at, %s, 600, forecast, lower_80, upper_80, lower_95, upper_95"
        " from core.forecast_ledger where step = 1",
        (observed_later,),
    )
    shop.execute("select public.drop_chunks('core.forecast_ledger', '2027-06-01'::timestamptz)")
    assert value(shop, "select count(*) from core.forecast_ledger") == 2
    assert calculate(shop, FIRST) == {"day_count": 0, "row_count": 0, "changed_count": 0}
    assert stored(shop) == before


def test_each_version_is_measured_by_itself(shop: Connection) -> None:
    """Days of one version are not those of another; both forecast the third day."""
    calculate(shop)
    shop.execute("delete from shop.sale where at > %s", (FIRST,))
    fit(shop, deploy="true")
    observed(shop, {"north": [10.5, 16.0], "south": [19.0, 25.0]}, FIRST + timedelta(days=1))
    record(shop)
    assert calculate(shop)["day_count"] == 2
    found = rows(
        shop,
        "select version, day, mae from bi.model_performance where segment_by is null order by version, day",
    )
    assert [(row["version"], row["day"].day, row["mae"]) for row in found] == [
        (1, 9, 11), (1, 10, 0.75), (1, 11, 5.5), (2, 10, 10.25), (2, 11, 14.5)
    ]  # fmt: skip


def test_days_are_those_of_the_zone(db: Connection) -> None:
    """The Sunday on which Berlin's clocks go forward has 23 hours."""
    db.execute("create schema shop")
    db.execute(
        "create table shop.sale as select t as at, 'north' as branch, 1.0::float8 as quantity"
        " from generate_series('2026-03-26 00:00 Europe/Berlin'::timestamptz, '2026-03-27 23:00 Europe/Berlin', '1 hour') as t"
    )
    create(db, time_zone="Europe/Berlin", horizon=48)
    fit(db)
    db.execute(
        "insert into shop.sale select t, 'north', 2 from generate_series("
        "'2026-03-28 00:00 Europe/Berlin'::timestamptz, '2026-03-30 23:00 Europe/Berlin', '1 hour') as t"
    )
    assert record(db) == 48
    calculate(db)
    found = rows(
        db,
        "select day, n, time at time zone 'Europe/Berlin' as local from bi.model_performance"
        " where segment_by is null order by day",
    )
    assert [(f"{row['day']:%m-%d}", row["n"], f"{row['local']:%d %H}") for row in found] == [
        ("03-28", 24, "28 00"), ("03-29", 23, "29 00"), ("03-30", 1, "30 00")
    ]  # fmt: skip
    # One day of a range is that day of the zone, too.
    assert calculate(db, date(2026, 3, 29), date(2026, 3, 29))["row_count"] == 2


def test_segments_are_the_values_of_the_key_columns(db: Connection) -> None:
    db.execute("create schema shop")
    db.execute(
        "create table shop.sale as select '2026-01-01'::date + t as at, branch, item, 10.0::float8 as quantity"
        " from generate_series(0, 8) as t, unnest('{north,south}'::text[]) as branch, unnest('{cod,eel,null}'::text[]) as item"
    )
    db.execute(
        "select * from api.create_model('sales', 'shop.sale', 'at', 'quantity', '{branch,item}', 'naive', '{\"horizon\": 1}')"
    )
    fit(db)
    # North is off by 1 in everything, eel by 4 more.
    db.execute(
        "insert into shop.sale select distinct '2026-01-10'::date, branch, item,"
        " 10 + (branch = 'north')::int + 4 * coalesce((item = 'eel')::int, 0) from shop.sale"
    )
    assert record(db) == 6
    assert calculate(db)["row_count"] == 1 + 6 + 2 + 3
    found = rows(
        db,
        "select segment_by, segment, n, bias from bi.model_performance where segment_by <> 'series' order by 1, 2",
    )
    assert [(r["segment_by"], r["segment"], r["n"], r["bias"]) for r in found] == [
        ("branch", "north", 3, pytest.approx(7 / 3)),
        ("branch", "south", 3, pytest.approx(4 / 3)),
        ("item", "-", 2, 0.5),
        ("item", "cod", 2, 0.5),
        ("item", "eel", 2, 4.5),
    ]
    series = "select segment from bi.model_performance where segment_by = 'series' order by 1"
    assert "north / eel" in [row["segment"] for row in rows(db, series)]
    worst = one(
        db,
        "select segment, n from bi.segment_performance where segment_by = 'item' and window_days = 30 and rank_worst = 1",
    )
    assert (worst["segment"], worst["n"]) == ("eel", 2)


def test_a_figure_no_square_can_hold_stops_nothing(shop: Connection) -> None:
    shop.execute(
        "update shop.sale set quantity = 1e300 where at = %s and branch = 'south'", (FIRST,)
    )
    record(shop)
    calculate(shop)
    day = over_all(shop, FIRST)
    assert (day["n"], day["mae"]) == (1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        "'2026-02-01', '2026-01-01'",
        "'infinity'",
        "null, '-infinity'",
        "model => 'sells'",
    ],
)
def test_what_cannot_be_calculated_is_refused(shop: Connection, arguments: str) -> None:
    before = stored(shop)
    refused(shop, "22023", f"select * from api.calculate_metrics({arguments})")
    refused(shop, "22023", "select * from api.health('sells')")
    assert stored(shop) == before


def test_one_model_that_fails_stops_no_other(shop: Connection) -> None:
    db = shop
    db.execute("create table shop.other as select * from shop.sale")
    db.execute(
        "select * from api.create_model('broken', 'shop.other', 'at', 'quantity', '{branch}', 'naive', '{\"horizon\": 2}')"
    )
    fit(db, name="broken")
    db.execute("drop table shop.other")
    db.execute("update shop.sale set quantity = quantity + 1 where at = %s", (FIRST,))
    done = one(db, "select * from internal.record_all_actuals()")
    assert done["joined_count"] == 2
    assert "broken" in done["detail"] and "shop.other" in done["detail"]
    again = one(db, "select * from internal.record_all_actuals()")
    assert again["joined_count"] == 0


# ---------------------------------------------------------------------------------------- shrinkage


def test_forecasts_of_the_next_count_are_measured_in_kg(db: Connection) -> None:
    """Counted: 0.15 kg less where 0.1 were expected, and nothing missing of the other."""
    for item in ("ЛЕЩ", "ВОБЛА"):
        domain.move(db, movement("opening", item, 10, "2025-03-01"))
        domain.move(db, movement("stock_take", item, 0, "2025-03-03 12:00:00"))
    domain.account(db)
    deploy(db, a=0.01, b=1.0)
    assert forecast(db)["new_count"] == 2
    for item, found in (("ЛЕЩ", -0.15), ("ВОБЛА", 0.0)):
        domain.move(db, movement("stock_take", item, found, "2025-03-10 01:30:00"))
    domain.account(db)
    settle(db)
    expected = {
        row["item"]: row
        for row in rows(db, "select * from bi.preliminary_forecast where status = 'settled'")
    }
    assert len(expected) == 2
    done = calculate(db)
    assert done["day_count"] == 1
    # Half past one in Moscow: in London it is the 9th.
    day = over_all(db, date(2025, 3, 10), "shrinkage")
    bream, roach = expected["ЛЕЩ"], expected["ВОБЛА"]
    assert bream["actual_kg"] == pytest.approx(0.15)
    assert day["n"] == 2
    assert day["mape"] == pytest.approx(100 * abs(bream["error_kg"]) / 0.15)
    assert day["mae"] == pytest.approx((abs(bream["error_kg"]) + abs(roach["error_kg"])) / 2)
    assert day["bias"] == pytest.approx((bream["error_kg"] + roach["error_kg"]) / 2)
    assert day["coverage_80"] == 50 * sum(row["is_inside_80"] for row in expected.values())
    assert day["coverage_95"] is None and day["naive_mape"] is None
    kinds = rows(
        db,
        "select segment_by, count(*) as n from bi.model_performance where model = 'shrinkage' group by 1",
    )
    assert {row["segment_by"]: row["n"] for row in kinds}["item"] == 2
    before = stored(db)
    assert calculate(db)["changed_count"] == calculate(db, date(2025, 1, 1))["changed_count"] == 0
    assert stored(db) == before
    # One that is settled no more counts no more, though it leaves no stamp.
    db.execute(
        "delete from core.preliminary_forecasts where id = %s", (roach["preliminary_forecast_id"],)
    )
    assert calculate(db)["day_count"] == 1
    assert over_all(db, date(2025, 3, 10), "shrinkage")["n"] == 1
    assert calculate(db)["day_count"] == 0


# ------------------------------------------------------------------------- windows, trends, health


def deployed(db: Connection, model: str = "sales") -> None:
    """A model with one version in force, and nothing else."""
    db.execute("create schema if not exists shop")
    db.execute("create table if not exists shop.sale (at date, branch text, quantity float8)")
    db.execute(
        "insert into core.model_definition (name, kind, source, time_column, value_column, key_columns, grid)"
        " values (%s, 'naive', 'shop.sale', 'at', 'quantity', '{branch}', '{\"unit\": \"day\", \"count\": 1, \"zone\": \"UTC\", \"phase\": 0}')",
        (model,),
    )
    db.execute(
        "insert into core.model_versions (model, model_type, version, status, window_end)"
        " values (%s, 'naive', 1, 'trained', now() - interval '1 day')",
        (model,),
    )
    db.execute("select internal.deploy(max(id), 'deployed', null) from core.model_versions")


def measured(
    db: Connection,
    mapes: Iterable[float],
    *,
    last: date | None = None,
    segment: str | None = None,
    version: int = 1,
    n: int = 10,
    inside: int = 9,
) -> None:
    """Metrics of consecutive days that end with `last`, each of n forecasts of actual values of 100."""
    found = list(mapes)
    last = last or date.today() - timedelta(days=1)
    for back, mape in enumerate(reversed(found)):
        db.execute(
            "insert into core.model_performance_metrics (model, version, day, segment_by, segment, n, percent_count, percent_error_sum,"
            " absolute_error_sum, squared_error_sum, error_sum, absolute_actual_sum, inside_80_count, inside_95_count)"
            " values ('sales', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (version, last - timedelta(days=back), segment and "series", segment, n, n, n * mape / 100, n * mape, n * mape**2, -n * mape,
             100 * n, inside - 1, inside),
        )  # fmt: skip


def window(db: Connection, days: int) -> Row:
    return one(db, "select * from bi.performance_window where window_days = %s", days)


def test_windows_and_trends_by_hand(db: Connection) -> None:
    deployed(db)
    measured(db, [10, 10, 10, 10, 10, 10, 10], last=date(2026, 5, 7), n=20)
    measured(db, [12, 14, 16, 18, 20, 22, 24], last=date(2026, 5, 14))
    week = window(db, 7)
    assert (week["from_day"], week["to_day"], week["day_count"], week["n"]) == (
        date(2026, 5, 8), date(2026, 5, 14), 7, 70
    )  # fmt: skip
    assert week["mape"] == pytest.approx(18)
    assert week["wape"] == pytest.approx(18) and week["mae"] == pytest.approx(18)
    assert week["rmse"] == pytest.approx(math.sqrt(sum(x * x for x in range(12, 25, 2)) / 7))
    assert (week["bias"], week["coverage_80"], week["coverage_95"]) == (-18, 80, 90)
    assert (week["mape_before"], week["change_percent"]) == (pytest.approx(10), pytest.approx(80))
    # Two points a day, up.
    assert (week["trend_per_day"], week["trend"]) == (pytest.approx(2), "worsening")
    month = window(db, 30)
    # 140 forecasts off by 10 %, 70 by 18 %: days with more forecasts weigh more.
    assert month["mape"] == pytest.approx((140 * 10 + 70 * 18) / 210)
    assert (month["mape_before"], month["trend"]) == (None, "unknown")
    measured(db, [17.5] * 7, last=date(2026, 5, 21))
    assert (window(db, 7)["trend"], window(db, 7)["trend_per_day"]) == ("stable", pytest.approx(0))
    measured(db, [9.0] * 7, last=date(2026, 5, 28))
    assert window(db, 7)["trend"] == "improving"


def test_the_best_and_the_worst_segments(db: Connection) -> None:
    deployed(db)
    measured(db, [20] * 40)
    for name, mapes in {"a": [5] * 40, "b": [40] * 33 + [10] * 7, "c": [30] * 40}.items():
        measured(db, mapes, segment=name, n=3, inside=3)
    found = {
        (row["window_days"], row["segment"]): row
        for row in rows(db, "select * from bi.segment_performance")
    }
    assert len(found) == 12
    assert [found[7, name]["rank_worst"] for name in "abc"] == [3, 2, 1]
    assert [found[90, name]["rank_best"] for name in "abc"] == [1, 3, 2]
    assert found[30, "b"]["mape"] == pytest.approx((23 * 40 + 7 * 10) / 30)
    assert found[365, "b"]["n"] == 120


def test_the_line_follows_what_was_in_force(db: Connection) -> None:
    """Version 2 took over on the 10th and was taken back on the 20th."""
    deployed(db)
    db.execute(
        "insert into core.model_versions (model, model_type, version, status) values ('sales', 'naive', 2, 'archived'), ('sales', 'naive', 3, 'trained')"
    )
    db.execute("delete from core.model_event")
    db.execute("update core.model_versions set deployed_at = null where model = 'sales'")
    for version, event, at in ((1, "deployed", "2026-05-03"), (2, "deployed", "2026-05-10 12:00"), (1, "rolled_back", "2026-05-20 12:00")):  # fmt: skip
        db.execute(
            "insert into core.model_event (model, version, event, happened_at) values ('sales', %s, %s, %s)",
            (version, event, at + "+00"),
        )
    measured(db, [10] * 30, last=date(2026, 5, 30))
    measured(db, [20] * 15, last=date(2026, 5, 28), version=2)
    measured(db, [30] * 30, last=date(2026, 5, 30), version=3)
    line = {
        row["day"].day: row["version"] for row in rows(db, "select * from bi.deployed_performance")
    }
    # Version 2 says nothing of days before the 14th; version 3 was never in force.
    assert line == {day: 2 if 14 <= day <= 19 else 1 for day in range(1, 31)}


def health(db: Connection, component: str) -> Row:
    return one(db, "select * from api.health() where component = %s", component)


def test_all_is_well(db: Connection) -> None:
    db.execute("delete from core.job")
    deployed(db)
    measured(db, [5] * 30, inside=10)
    found = rows(db, "select * from api.health()")
    assert {row["status"] for row in found} == {"healthy"}
    assert found[0]["component"] == "overall" and found[0]["reason"]
    assert {row["component"] for row in found} == {
        "overall", "accuracy sales", "coverage sales", "age sales", "data sales", "alerts"
    }  # fmt: skip
    assert len(rows(db, "select * from api.health('sales')")) == 5
    status = one(db, "select * from bi.model_status where model = 'sales'")
    assert (status["status"], status["version"], status["scored_count"]) == ("healthy", 1, 300)
    assert status["mape_7_days"] == pytest.approx(5)


@pytest.mark.parametrize(
    ("component", "status", "change"),
    [
        ("accuracy sales", "warning", "update core.model_performance_metrics set percent_error_sum = 1.2"),
        ("accuracy sales", "critical", "update core.model_performance_metrics set percent_error_sum = 1.6"),
        ("coverage sales", "warning", "update core.model_performance_metrics set inside_95_count = 8"),
        ("age sales", "warning", "update core.model_versions set created_date = now() - interval '31 days', parameters_fitted_at = now() - interval '31 days'"),
        ("age sales", "critical", "update core.model_versions set created_date = now() - interval '61 days', parameters_fitted_at = now() - interval '61 days'"),
        ("data sales", "warning", "update core.model_versions set window_end = now() - interval '5 days'"),
        ("data sales", "critical", "update core.model_versions set window_end = now() - interval '8 days'"),
        ("model idle", "warning", "insert into core.model_definition (name, kind, source, time_column, value_column) values ('idle', 'naive', 'shop.sale', 'at', 'quantity')"),
        ("job night", "warning", "update core.job set next_at = now() - interval '20 minutes'"),
        ("job night", "critical", "update core.job set next_at = now() - interval '50 hours'"),
        ("job night", "warning", "update core.job set is_paused = true"),
        ("job night", "warning", "insert into core.job_run (job, step, status, finished_at, window_start, attempt) values ('night', 'a', 'failed', now(), now(), 2), ('night', 'b', 'succeeded', now(), now(), 2)"),
        ("job night", "critical", "insert into core.job_run (job, step, status, finished_at, window_start, attempt) values ('night', 'a', 'failed', now(), now(), 5), ('night', 'b', 'succeeded', now(), now(), 5)"),
        ("scheduler", "critical", "update core.job set next_at = now() - interval '2 hours'"),
        ("clock", "critical", "insert into core.job_run (job, step, started_at) values ('night', 'a', now() + interval '1 hour')"),
        ("data movements", "critical", "insert into core.source_data (file_name, file_hash, layout, size_bytes, period_end) values ('x', repeat('a', 64), 'movements', 0, now() - interval '9 days')"),
        ("data counts", "warning", "insert into core.source_data (file_name, file_hash, layout, size_bytes, period_end) values ('x', repeat('a', 64), 'balances', 0, now() - interval '30 days')"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(db: Connection, component: str, status: str, change: str) -> None:
    db.execute("delete from core.job")
    deployed(db)
    measured(db, [5] * 30, inside=10)
    db.execute(
        "insert into core.job (name, task, every, starting, next_at) values ('night', 'nightly', '1 day', '2000-01-01', now() + interval '1 hour')"
    )
    assert one(db, "select status from api.health() limit 1") == {"status": "healthy"}
    db.execute(change)
    found = health(db, component)
    assert found["status"] == status and found["reason"]
    overall = rows(db, "select * from api.health()")[0]
    assert overall["component"] == "overall" and component in overall["reason"]
    assert overall["status"] in (status, "critical")
    metric = "select value from bi.metrics where name = 'weighhouse_health_status' and labels = %s"
    assert value(db, metric, f'component="{component}"') == [
        "healthy",
        "warning",
        "critical",
    ].index(status)


def test_open_alerts_and_their_rules_count(db: Connection) -> None:
    deployed(db)
    measured(db, [5] * 30, inside=10)
    db.execute(
        "select api.set_alert_rule('mape_warning', 4), api.set_alert_rule('mape_critical', 8)"
    )
    found = health(db, "accuracy sales")
    assert (found["status"], found["threshold"]) == ("warning", 4)
    db.execute("select api.set_alert_rule('mape_critical', 4.5, model => 'sales')")
    assert health(db, "accuracy sales")["status"] == "critical"
    db.execute("select api.set_alert_rule('mape_critical', is_active => false)")
    db.execute("select api.reset_alert_rule('mape_critical', 'sales')")
    assert health(db, "accuracy sales")["status"] == "warning"
    for severity in ("warning", "critical"):
        db.execute(
            "insert into core.alert (rule, subject, severity, message) values ('mape_warning', %s, %s, 'm')",
            (severity, severity),
        )
        assert health(db, "alerts")["status"] == severity
    db.execute("update core.alert set status = 'acknowledged'")
    assert health(db, "alerts")["status"] == "healthy"


def test_who_may_ask_and_who_may_calculate(shop: Connection) -> None:
    db = shop
    calculate(db)
    db.execute("grant usage on schema shop to weighhouse_fitter")
    db.execute("grant select on shop.sale to weighhouse_fitter")
    # What one role made in this transaction another may not empty.
    db.execute(
        "drop table pg_temp.metric, pg_temp.metric_scope, pg_temp.settled_forecast, pg_temp.observed, pg_temp.observed_step"
    )
    db.execute("set role weighhouse_fitter")
    assert calculate(db, FIRST)["row_count"] == 9
    db.execute("select * from internal.record_all_actuals()")
    db.execute("set role weighhouse_analyst")
    assert rows(db, "select * from api.health()")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
        calculate(db)
    # As a user of a BI tool finds it, without a schema.
    db.execute("set role weighhouse_bi")
    columns = "model, version, day, segment, mape, mae, rmse, bias, n, alerts_raised"
    assert len(rows(db, f"select {columns} from model_performance_metrics")) == 9
    for view in ("accuracy", "performance_window", "segment_performance", "model_status",
                 "data_freshness", "health", "metrics", "deployed_performance"):  # fmt: skip
        assert rows(db, f"select * from bi.{view}"), view
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
        db.execute("select * from api.health()")


# ------------------------------------------------------------------------- months of eight branches


def told_the_year(db: Connection, series: dict[str, dict[date, float]], year: int) -> None:
    """Fit a naive and an automatic model on what was before a year; then the year comes."""
    db.execute("create schema shop")
    db.execute("create table shop.turnover (month date, branch text, sold float8)")
    with db.cursor().copy("copy shop.turnover from stdin") as copy:
        for branch, months in series.items():
            for month, sum_ in months.items():
                copy.write_row((month, branch, sum_))
    db.execute("create table shop.today (day date)")
    db.execute("insert into shop.today values (%s)", (date(year, 1, 1),))
    db.execute(
        "create view shop.known as select t.* from shop.turnover as t, shop.today as d where t.month < d.day"
    )
    for kind in ("seasonal_naive", "auto"):
        db.execute(
            "select * from api.create_model(%s, 'shop.known', 'month', 'sold', '{branch}', %s, %s)",
            (kind, kind, json.dumps({"step": "1 month", "horizon": 12})),
        )
        fit(db, name=kind)
    db.execute("update shop.today set day = day + interval '1 year'")
    done = one(db, "select * from internal.record_all_actuals()")
    assert done["joined_count"] == 2 * 12 * len(series)
    assert calculate(db, date(year, 1, 1), date(year, 12, 31))["day_count"] == 24


def branch_mapes(db: Connection) -> dict[str, float]:
    found = rows(
        db,
        "select segment, mape from bi.segment_performance where model = 'seasonal_naive' and segment_by = 'series' and window_days = 365",
    )
    return {row["segment"]: row["mape"] for row in found}


def year_of(db: Connection, model: str) -> Row:
    return one(
        db, "select * from bi.performance_window where model = %s and window_days = 365", model
    )


def test_e32_is_what_monitoring_says(db: Connection, shared_data: Path) -> None:
    """Turnover by state of the Australian Bureau of Statistics; the figures are published beside it."""
    _, expected, tolerance = given("E32")
    series: dict[str, dict[date, float]] = {}
    with gzip.open(shared_data / "retail_aus_state_industry_month.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            month = date.fromisoformat(row["month"])
            if month < date(2019, 1, 1):
                state = series.setdefault(row["branch_state"], {})
                state[month] = state.get(month, 0.0) + float(row["turnover_mln_aud"])
    told_the_year(db, series, 2018)
    assert branch_mapes(db) == {
        state: pytest.approx(mape, abs=tolerance) for state, mape in expected["mape_pct"].items()
    }
    naive, auto = year_of(db, "seasonal_naive"), year_of(db, "auto")
    assert naive["wape"] == pytest.approx(expected["wape_pct"], abs=tolerance)
    # The same row stands beside every model.
    assert auto["naive_wape"] == pytest.approx(naive["wape"])
    assert naive["naive_wape"] == pytest.approx(naive["wape"])
    assert auto["naive_mape"] == pytest.approx(naive["mape"])
    assert auto["wape"] < naive["wape"]


def test_eight_made_up_branches(db: Connection) -> None:
    """Trend and season, so that the year before is too low by what a branch grows in a year."""
    series = {
        f"branch {number}": {
            date(2012 + t // 12, t % 12 + 1, 1): (100 + 50 * number)
            * (1 + 0.004 * t)
            * (1 + 0.2 * math.sin(math.pi * t / 6))
            for t in range(7 * 12)
        }
        for number in range(8)
    }
    told_the_year(db, series, 2018)
    expected = {
        name: 100 / 12 * sum(
            abs(months[date(2018, m, 1)] - months[date(2017, m, 1)]) / months[date(2018, m, 1)]
            for m in range(1, 13)
        )
        for name, months in series.items()
    }  # fmt: skip
    assert branch_mapes(db) == {name: pytest.approx(mape) for name, mape in expected.items()}
    naive, auto = year_of(db, "seasonal_naive"), year_of(db, "auto")
    assert auto["naive_wape"] == pytest.approx(naive["wape"])
    assert auto["wape"] < naive["wape"] / 2


def test_health_reads_indexes_alone(db: Connection) -> None:
    """A year of daily metrics of 200 series: nothing is read from end to end."""
    deployed(db)
    measured(db, [5] * 365)
    db.execute(
        "insert into core.model_performance_metrics (model, version, day, segment_by, segment, n, percent_count, percent_error_sum, absolute_error_sum,"
        " squared_error_sum, error_sum, absolute_actual_sum, inside_80_count, inside_95_count)"
        " select 'sales', 1, m.day, 'series', 's' || s, 1, 1, 0.1, 1, 1, 1, 10, 1, 1 from core.model_performance_metrics as m,"
        " generate_series(1, 200) as s where m.segment_by is null"
    )
    db.execute("analyze core.model_performance_metrics")
    plan = "\n".join(row[0] for row in db.execute("explain select * from bi.health").fetchall())
    assert "Seq Scan on _hyper" not in plan
    chunks = [line for line in plan.splitlines() if "_hyper_" in line]
    assert chunks and all("over_all_idx" in line for line in chunks)
