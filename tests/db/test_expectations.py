"""What the next count should find, and what it found: forecasts, their settlement, what is said of them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from loader import schema
from tests.db import domain
from tests.db.domain import Connection, balance, movement
from tests.db.test_worked_examples import given

ITEM = "СКУМБРИЯ"
OPENED = "2025-03-03 12:00:00"


def deploy(db: Connection, version: int = 1, **curve: Any) -> None:
    """Put one curve in force for every product, without a fit."""
    db.execute("update core.model_versions set status = 'archived' where model = 'shrinkage'")
    db.execute(
        "insert into core.model_versions (model, model_type, version, status, deployed_at)"
        " values ('shrinkage', 'x', %s, 'deployed', now())",
        (version,),
    )
    values = {"a": 0.0, "b": 0.0, "c": 0.0, "family": "exp_linear", "age_max": 60.0} | curve
    db.execute(
        "insert into core.coefficients (model_id, nomenclature_id, coefficient_a, coefficient_b,"
        " coefficient_c, family, outcome, adjusted_for_pre_shrinkage, age_max)"
        " select m.id, n.id, %(a)s, %(b)s, %(c)s, %(family)s, 'fitted', true, %(age_max)s"
        " from core.model_versions as m cross join core.nomenclature as n"
        " where m.model = 'shrinkage' and m.status = 'deployed'",
        values,
    )


def forecast(db: Connection, **arguments: Any) -> domain.Row:
    words = ", ".join(f"{name} => %s" for name in arguments)
    return domain.one(
        db, f"select * from api.forecast_next_count({words})", *arguments.values()
    )  # fmt: skip


def settle(db: Connection) -> domain.Row:
    return domain.one(db, "select * from api.settle_forecasts()")


def digest(db: Connection) -> list[str]:
    """Each row of the tables concerned, with where it stands and who wrote it."""
    return [
        row["t"]
        for table in ("core.preliminary_forecasts", "core.forecasts", "core.analytics", "core.priority_periods")
        for row in domain.rows(
            db, f"select t.ctid::text || t.xmin::text || t.cmin::text || t::text as t from {table} as t order by t.tableoid, t.ctid"
        )
    ]  # fmt: skip


def test_e21_before_the_count(db: Connection) -> None:
    inputs, expected, tolerance = given("E21")
    old, young = inputs["layers"]
    domain.move(
        db,
        movement("opening", ITEM, old["kg"] + 0.1, "2025-02-24", batch="2025-02-18"),
        movement("transfer_in", ITEM, young["kg"], "2025-03-02", batch="2025-03-01"),
        movement("stock_take", ITEM, -0.1, OPENED),
    )
    domain.account(db)
    deploy(db, **{name: inputs[name] for name in "abc"})
    done = forecast(db, horizon_days=inputs["horizon_days"])
    assert (done["new_count"], done["without_curve_count"], done["open_count"]) == (1, 0, 1)
    row = domain.one(db, "select * from core.preliminary_forecasts")
    assert row["adjusted_expected_shrinkage"] == pytest.approx(
        expected["expected_shrinkage"], abs=tolerance
    )
    assert row["expected_shrinkage"] == pytest.approx(
        expected["unadjusted_expected"], abs=tolerance
    )
    assert row["pre_shrinkage_adjusted"] and row["forecast_period_days"] == inputs["horizon_days"]
    assert row["expected_low"] == pytest.approx(expected["low80"], abs=tolerance)
    assert row["expected_high"] == pytest.approx(expected["high80"], abs=tolerance)
    layers = row["batch_storage_history"]
    assert [(layer["kg"], layer["age_days"]) for layer in layers] == [
        (layer["kg"], layer["age_days"]) for layer in inputs["layers"]
    ]
    assert [layer["expected_kg"] for layer in layers] == pytest.approx(
        expected["expected_by_batch"], abs=tolerance
    )
    issued = domain.one(db, "select * from core.forecasts")
    assert issued["forecast_value"] == pytest.approx(expected["expected_shrinkage"], abs=tolerance)
    assert issued["forecast_date"] == row["planned_end"]

    # The count comes on the day.
    domain.count(db, ITEM, -inputs["actual"], "2025-03-10 12:00:00")
    domain.account(db)
    assert settle(db)["settled_count"] == 1
    row = domain.one(db, "select * from bi.preliminary_forecast")
    assert row["actual_kg"] == inputs["actual"]
    assert row["expected_at_count_kg"] == pytest.approx(row["expected_kg"], abs=1e-12)
    assert row["accuracy_percent"] == pytest.approx(expected["forecast_accuracy_pct"], abs=1e-4)
    assert row["is_inside_80"] is False
    assert domain.value(db, "select deviation from core.forecasts") == pytest.approx(
        inputs["actual"] - expected["expected_shrinkage"], abs=tolerance
    )


def test_e22_accuracy_by_type(db: Connection) -> None:
    inputs, expected, tolerance = given("E22")
    # One percent of the fresh mass a day, ten days: a hundredth of ten times the expectation.
    for number, row in enumerate(inputs["rows"]):
        domain.receive(db, f"КЕТА {number}", 10 * row["expected"], OPENED)
        domain.count(db, f"КЕТА {number}", 0.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db, horizon_days=10)
    for number, row in enumerate(inputs["rows"]):
        domain.count(db, f"КЕТА {number}", -row["actual"], "2025-03-13 12:00:00")
    domain.account(db)
    settle(db)
    found = domain.rows(
        db, "select * from bi.preliminary_forecast where status = 'settled' order by item"
    )
    assert [row["expected_kg"] for row in found] == pytest.approx(
        [row["expected"] for row in inputs["rows"]]
    )
    assert [row["accuracy_percent"] for row in found] == [
        value if value is None else pytest.approx(value, abs=1e-4) for value in expected["accuracy_pct"]
    ]  # fmt: skip
    total = domain.one(db, "select * from bi.forecast_accuracy_by_type")
    assert total["wape"] == pytest.approx(expected["wape_pct"], abs=max(tolerance, 1e-6))
    assert (total["forecast_count"], total["without_accuracy_count"]) == (4, 1)
    assert total["is_backtest"] is False
    # 0.95 lies in 1.1 -+ 32 %; 0 does not in 0.02 -+ 32 %, by more than 5 g; the others are far off.
    assert [row["is_inside_80"] for row in found] == [True, False, False, False]
    assert total["coverage_80"] == 25


def test_a_count_on_another_day_is_held_against_that_day(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db, horizon_days=7)
    domain.count(db, ITEM, -1.0, "2025-03-13 12:00:00")
    domain.account(db)
    settle(db)
    row = domain.one(db, "select * from bi.preliminary_forecast")
    assert (row["expected_kg"], row["expected_at_count_kg"]) == pytest.approx((0.7, 1.0))
    assert row["counted_after_days"] == 10
    assert row["accuracy_percent"] == pytest.approx(100)
    # As it was issued, the forecast stays.
    kept = domain.one(db, "select forecast_value, actual_value, deviation from core.forecasts")
    assert list(kept.values()) == pytest.approx([0.7, 1.0, 0.3])


def test_what_moved_since_the_count_is_part_of_it(db: Connection) -> None:
    # 10 kg counted, 4 sold after five days: E10 to the tenth day.
    inputs, expected, tolerance = given("E10")
    domain.receive(db, ITEM, inputs["received_kg"], OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.sell(db, ITEM, inputs["sale"]["kg"], "2025-03-08 12:00:00")
    domain.account(db)
    deploy(db, a=inputs["a"], b=inputs["b"], family="exp")
    forecast(db, horizon_days=inputs["count_day"])
    row = domain.one(db, "select * from bi.next_count")
    assert row["expected_kg"] == pytest.approx(expected["shortage"], abs=tolerance)
    assert row["stock_kg"] == expected["book"]
    assert f"{row['as_of']:%F}" == "2025-03-08"


def test_trade_as_usual_stands_beside_it(db: Connection) -> None:
    # A batch each Monday, sold out each Sunday: nothing is left to dry, yet the next week will.
    domain.move(db, *domain.weeks(ITEM, 6))
    domain.account(db)
    deploy(db, a=0.1, b=0.1, family="exp")
    domain.receive(db, ITEM, 0.001, "2025-02-17 08:00:00")
    domain.account(db)
    forecast(db, horizon_days=7)
    row = domain.one(db, "select * from bi.next_count")
    assert row["expected_kg"] < 0.001
    lost = [p for p in domain.closed(db, ITEM)][-4:]
    days = (
        sum((p["calculation_date"] - p["inventory_period_start"]).total_seconds() for p in lost)
        / 86400
    )
    usual = float(sum(p["inventory_shrinkage_total"] for p in lost)) * 7 / days
    assert row["expected_as_usual_kg"] == pytest.approx(usual, rel=1e-3)
    domain.receive(db, ITEM, 20.0, "2025-02-17 08:00:01")
    domain.count(db, ITEM, -round(usual, 3), "2025-02-23 20:00:00")
    domain.account(db)
    settle(db)
    report = domain.one(db, "select * from bi.forecast_accuracy_by_type")
    assert report["wape"] > 99
    assert report["wape_as_usual"] < 1


def test_a_surplus_is_a_negative_result(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db, horizon_days=7)
    domain.count(db, ITEM, 0.4, "2025-03-10 12:00:00")
    domain.account(db)
    settle(db)
    row = domain.one(db, "select * from bi.preliminary_forecast")
    assert (row["actual_kg"], row["accuracy_percent"], row["is_inside_80"]) == (-0.4, None, False)


def test_the_usual_interval_of_the_warehouse(db: Connection) -> None:
    for warehouse, days in (("north", 7), ("south", 10)):
        domain.receive(db, ITEM, 10.0, OPENED, warehouse=warehouse)
        for number in range(4):
            day = 3 + days * number
            at = f"2025-03-{day:02} 20:00:00" if day < 32 else f"2025-04-{day - 31:02} 20:00:00"
            domain.count(db, ITEM, -0.05, at, warehouse=warehouse)
    domain.receive(db, ITEM, 10.0, "2025-04-01 12:00:00", warehouse="new")
    domain.account(db)
    deploy(db, c=0.001, family="linear")
    forecast(db)
    found = {
        row["warehouse"]: row["period_days"]
        for row in domain.rows(db, "select * from bi.next_count")
    }
    assert found == {"north": 7, "south": 10, "new": found["new"]}
    assert 7 <= found["new"] <= 10  # the median over all


def test_where_nothing_was_counted_twice_a_setting_says_when(db: Connection) -> None:
    domain.open_stock(db, ITEM, 10.0, OPENED)
    domain.account(db)
    deploy(db, c=0.001, family="linear")
    db.execute("update core.settings set value = '5' where name = 'forecast.horizon_days'")
    forecast(db)
    assert domain.value(db, "select period_days from bi.next_count") == 5


def test_an_overdue_count_is_expected_at_the_next_usual_date(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.sell(db, ITEM, 1.0, "2025-03-12 12:00:00")
    domain.account(db)
    deploy(db, c=0.001, family="linear")
    forecast(db, horizon_days=7)
    row = domain.one(db, "select * from bi.next_count")
    assert (row["period_days"], f"{row['time']:%F}") == (14, "2025-03-17")


def test_the_same_call_changes_nothing_until_it_is_asked_to(db: Connection) -> None:
    domain.move(db, *domain.weeks(ITEM, 3))
    domain.receive(db, ITEM, 12.0, "2025-01-27 08:00:00")
    domain.account(db)
    deploy(db, a=0.1, b=0.1, family="exp")
    assert forecast(db)["new_count"] == 1
    settle(db)
    before = digest(db)
    assert len(before) == 2
    assert forecast(db)["new_count"] == 0
    assert settle(db)["changed_count"] == 0
    assert forecast(db, refresh=True)["renewed_count"] == 0
    assert digest(db) == before

    # A newer curve and a sale: only when asked.
    deploy(db, version=2, a=0.2, b=0.1, family="exp")
    domain.sell(db, ITEM, 2.0, "2025-01-28 08:00:00")
    domain.account(db)
    settle(db)
    first = domain.one(db, "select * from bi.next_count")
    assert (forecast(db)["new_count"], first["version"]) == (0, 1)
    done = forecast(db, refresh=True)
    assert (done["new_count"], done["renewed_count"]) == (0, 1)
    second = domain.one(db, "select * from bi.next_count")
    assert (second["version"], second["stock_kg"]) == (2, 10.0)
    assert second["expected_kg"] > first["expected_kg"]
    assert second["preliminary_forecast_id"] == first["preliminary_forecast_id"]
    assert domain.value(db, "select forecast_value from core.forecasts") == second["expected_kg"]
    assert domain.rows(db, "select * from api.check_facts()") == []


def test_a_changed_count_settles_anew_and_a_lost_one_opens_again(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db, horizon_days=7)
    first = domain.count(db, ITEM, -0.5, "2025-03-10 12:00:00")
    domain.account(db)
    assert settle(db)["changed_count"] == 1
    # A second count of that day: together they are one.
    domain.count(db, ITEM, -0.2, "2025-03-10 12:30:00")
    domain.account(db)
    settle(db)
    row = domain.one(db, "select * from bi.preliminary_forecast")
    assert (row["status"], row["actual_kg"]) == ("settled", 0.7)
    assert domain.value(db, "select actual_value from core.forecasts") == 0.7
    db.execute("delete from core.stock_movements where source_data_id >= %s", (first,))
    domain.account(db)
    settle(db)
    row = domain.one(db, "select * from bi.preliminary_forecast")
    assert (row["status"], row["actual_kg"], row["accuracy_percent"]) == ("open", None, None)
    assert row["expected_at_count_kg"] is None and row["is_inside_80"] is None
    assert row["counted_at"] is None
    assert domain.value(db, "select actual_value from core.forecasts") is None
    # And without the count that opened the period there is nothing to wait for.
    db.execute("delete from core.stock_movements")
    domain.account(db)
    assert settle(db)["void_count"] == 1
    assert domain.value(db, "select void_reason from core.preliminary_forecasts") is not None
    assert domain.rows(db, "select * from bi.next_count") == []


def test_a_count_that_cannot_be_used_settles_nothing(db: Connection) -> None:
    domain.open_stock(db, ITEM, 10.0, OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.account(db)
    deploy(db, c=0.001, family="linear")
    forecast(db, horizon_days=7)
    # 11 kg missing of 10.
    domain.count(db, ITEM, -11.0, "2025-03-10 12:00:00")
    domain.account(db)
    done = settle(db)
    assert (done["settled_count"], done["void_count"]) == (0, 1)
    row = domain.one(db, "select * from bi.preliminary_forecast")
    assert row["actual_kg"] is None and "shortage_over_available" in row["reason"]


def test_balances_without_batches_are_taken_as_fresh_with_a_wider_band(db: Connection) -> None:
    domain.balances(db, balance(ITEM, 10.0, 0.0, 0.0, 9.5))
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db)
    row = domain.one(db, "select * from bi.next_count")
    # 9.5 kg, seven days, a percent a day; 1.5 times 1.2816 x 0.25 around it.
    assert (row["has_ages"], row["period_days"]) == (False, 7)
    assert row["expected_kg"] == pytest.approx(9.5 * 0.07)
    assert row["low_kg"] == pytest.approx(9.5 * 0.07 * (1 - 1.5 * 1.2816 * 0.25))
    assert row["high_kg"] == pytest.approx(9.5 * 0.07 * (1 + 1.5 * 1.2816 * 0.25))
    assert row["reason"]
    domain.balances(db, balance(ITEM, 9.5, 0.0, 0.0, 9.0, "2025-01-13", "2025-01-19"))
    domain.account(db)
    assert settle(db)["settled_count"] == 1
    assert domain.value(db, "select actual_kg from bi.preliminary_forecast") == 0.5
    row = domain.one(db, "select * from core.preliminary_forecasts")
    assert row["adjusted_expected_shrinkage"] is row["adjusted_expected_at_count"] is None
    assert row["expected_at_count"] == pytest.approx(9.5 * 0.07)


def test_products_without_a_curve_are_counted_not_invented(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    domain.receive(db, "НОВИНКА", 10.0, OPENED)
    domain.account(db)
    done = forecast(db, horizon_days=7)
    assert (done["new_count"], done["without_curve_count"]) == (1, 1)


def test_one_product_alone(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.receive(db, "ЛЕЩ", 10.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    assert forecast(db, item="лещ")["new_count"] == 1
    assert domain.value(db, "select item from bi.next_count") == "ЛЕЩ"


# --------------------------------------------------------------------------------------- bands, past


def test_the_past_gives_the_band_its_width(db: Connection) -> None:
    domain.move(db, movement("opening", ITEM, 20.0, "2025-01-01"))
    for week in range(30):
        factor = {3: 0.3, 4: 2.5}.get(week % 5, 1.0)
        day = f"2025-{1 + (6 + 7 * week) // 28:02}-{1 + (6 + 7 * week) % 28:02} 12:00:00"
        domain.count(db, ITEM, round(-0.1 * factor, 3), day)
    domain.account(db)
    deploy(db, c=0.0008, family="linear")
    done = domain.one(db, "select * from api.backfill_forecasts('-infinity')")
    assert done["new_count"] == done["settled_count"] >= 25
    report = domain.one(db, "select * from bi.forecast_accuracy_by_type")
    assert report["is_backtest"] and report["forecast_count"] == done["settled_count"]
    assert report["wape"] > 30
    ratios = sorted(
        row["r"] for row in domain.rows(
            db, "select actual_kg / expected_at_count_kg as r from bi.preliminary_forecast where is_backtest")
    )  # fmt: skip
    place = [0.1 * (len(ratios) - 1), 0.9 * (len(ratios) - 1)]
    low, high = (
        ratios[int(p)] + (p - int(p)) * (ratios[int(p) + 1] - ratios[int(p)]) for p in place
    )
    forecast(db)
    row = domain.one(db, "select * from bi.next_count")
    assert row["low_kg"] / row["expected_kg"] == pytest.approx(min(low, 1 - 1.2816 * 0.25))
    assert row["high_kg"] / row["expected_kg"] == pytest.approx(max(high, 1 + 1.2816 * 0.25))
    assert low < 0.5 and high > 2
    # Confidence: that of the last count, times the share of backtests inside their band.
    last = domain.closed(db, ITEM)[-1]["inventory_confidence"]
    assert row["confidence"] == pytest.approx(last * report["coverage_80"] / 100)
    before = digest(db)
    again = domain.one(db, "select * from api.backfill_forecasts('-infinity')")
    assert (again["new_count"], again["settled_count"]) == (0, 0)
    assert digest(db) == before


def test_settled_forecasts_give_the_band_before_backtests_do(db: Connection) -> None:
    found = (-0.35, -0.7, -1.4, 0.0)
    for number in range(5):
        domain.open_stock(db, f"КЕТА {number}", 10.0, OPENED)
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db, horizon_days=7)
    for number, difference in enumerate(found):
        domain.count(db, f"КЕТА {number}", difference, "2025-03-10 12:00:00")
    domain.account(db)
    settle(db)
    db.execute("update core.settings set value = '4' where name = 'forecast.min_history'")
    forecast(db, refresh=True)
    row = domain.one(db, "select * from bi.next_count where item = 'КЕТА 0'")
    # Found / expected is 0, 1/2, 1, 2: the deciles by linear interpolation are 0.15 and 1.7.
    assert row["low_kg"] / row["expected_kg"] == pytest.approx(0.15)
    assert row["high_kg"] / row["expected_kg"] == pytest.approx(1.7)
    # One of the four fell into its band.
    confidence = domain.closed(db, "КЕТА 0")[-1]["inventory_confidence"]
    assert row["confidence"] == pytest.approx(confidence / 4)


def test_backtests_are_no_forecasts(db: Connection) -> None:
    domain.move(db, *domain.weeks(ITEM, 4, ages=(0.0, 3.0)))
    domain.account(db)
    deploy(db, a=0.1, b=0.1, family="exp")
    domain.one(db, "select * from api.backfill_forecasts('2025-01-12')")
    assert domain.rows(db, "select * from core.forecasts") == []
    assert domain.rows(db, "select * from bi.next_count") == []


# ------------------------------------------------------------------------------------------ priority


def test_e25_priority_periods_are_weights(db: Connection) -> None:
    inputs, expected, tolerance = given("E25")
    # Each observation a product of its own, ten days from a count to a count, 100 kg.
    for number, case in enumerate(inputs["observations"]):
        domain.receive(db, f"ТРЕСКА {number}", 100.0, f"2025-0{number + 2}-01 12:00:00")
        domain.count(db, f"ТРЕСКА {number}", 0.0, f"2025-0{number + 2}-01 12:00:00")
        domain.count(db, f"ТРЕСКА {number}", -100 * case["rate"], f"2025-0{number + 2}-11 12:00:00")
    domain.account(db)
    for number, case in enumerate(inputs["observations"]):
        db.execute(
            "update core.calculation_data as c set inventory_confidence = %s from core.nomenclature as n"
            " where n.id = c.nomenclature_id and n.name = %s and c.mode = 'posted'",
            (case["conf"], f"ТРЕСКА {number}"),
        )
        if case["overlap"]:
            db.execute(
                "select api.add_priority_period(%s::timestamp at time zone 'Europe/Moscow',"
                " %s::timestamp at time zone 'Europe/Moscow', %s)",
                (f"2025-0{number + 2}-{1 if case['overlap'] == 1 else 6:02} 12:00:00",
                 f"2025-0{number + 2}-20", case["level"]),
            )  # fmt: skip
    view = domain.one(db, "select * from bi.shrinkage_weighted")
    assert view["mean_rate"] == pytest.approx(expected["unweighted_mean"], abs=tolerance)
    assert view["weighted_rate"] == pytest.approx(expected["weighted_rate"], abs=tolerance)
    assert view["weight"] == pytest.approx(sum(expected["weights"]), abs=tolerance)
    assert view["priority_period_count"] == 2
    # The fit takes the very same weights.
    domain.fit(db, family="linear")
    weights = [
        row["weight"]
        for row in domain.rows(db, "select weight from pg_temp.fit_period order by item")
    ]
    assert weights == pytest.approx(expected["weights"], abs=tolerance)


def test_of_several_the_largest_product_decides(db: Connection) -> None:
    db.execute("select api.add_priority_period('2025-03-01Z', '2025-03-11Z', 5)")
    db.execute("select api.add_priority_period('2025-03-05Z', '2025-03-11Z', 10)")
    found = "select internal.priority_factor('2025-03-01Z', '2025-03-11Z')"
    # 1 x 17/9 beats 0.6 x 3.
    assert domain.value(db, found) == pytest.approx(17 / 9)
    db.execute("select api.add_priority_period('2025-03-04Z', 'infinity', 10)")
    assert domain.value(db, found) == pytest.approx(1 + 0.7 * 2)
    db.execute("update core.settings set value = '5' where name = 'priority.max_multiplier'")
    assert domain.value(db, found) == pytest.approx(1 + 0.7 * 4)


def test_priority_periods_make_a_version_and_ending_them_another(db: Connection) -> None:
    for number in range(3):
        domain.move(
            db, *domain.weeks(f"ЩУКА {number}", 8, a=0.1 + 0.02 * number, ages=(0.0, 5.0, 11.0))
        )
    domain.account(db)
    first = domain.fit(db)
    assert domain.fit(db)["status"] == "cached"
    number = domain.value(
        db, "select api.add_priority_period('2025-01-20', '2025-02-03', 9, 'holidays')"
    )
    second = domain.fit(db)
    assert (second["status"], second["version"]) == ("fitted", first["version"] + 1)
    assert domain.value(db, "select api.end_priority_period(%s)", number) is True
    before = digest(db)
    assert domain.value(db, "select api.end_priority_period(%s)", number) is False
    assert digest(db) == before
    hashes = [
        row["data_hash"]
        for row in domain.rows(
            db,
            "select data_hash from core.model_versions where model = 'shrinkage' order by version",
        )
    ]
    domain.fit(db)
    third = domain.value(
        db,
        "select data_hash from core.model_versions where model = 'shrinkage' order by version desc limit 1",
    )
    assert third == hashes[0] != hashes[1]


@pytest.mark.parametrize(
    "call",
    [
        "api.add_priority_period('2025-03-01', '2025-04-01', 11)",
        "api.add_priority_period('2025-03-01', '2025-04-01', 0)",
        "api.add_priority_period('2025-03-01', '2025-04-01', null)",
        "api.add_priority_period('2025-03-02', '2025-03-01', 5)",
        "api.add_priority_period('2025-03-01', '2025-03-01', 5)",
        "api.add_priority_period(null, '2025-03-01', 5)",
        "api.end_priority_period(4711)",
        "api.end_priority_period(null)",
        "api.forecast_next_count(horizon_days => 0)",
        "api.forecast_next_count(horizon_days => 93)",
        "api.forecast_next_count(item => 'НЕТ ТАКОЙ')",
        "api.backfill_forecasts(null)",
        "api.backfill_forecasts('-infinity', 'НЕТ ТАКОЙ')",
    ],
)
def test_bad_input_changes_nothing(db: Connection, call: str) -> None:
    domain.move(db, *domain.weeks(ITEM, 2))
    domain.receive(db, ITEM, 5.0, "2025-01-20 08:00:00")
    domain.account(db)
    deploy(db, a=0.1, b=0.1, family="exp")
    forecast(db)
    db.execute("select api.add_priority_period('2025-01-01', '2025-02-01', 2)")
    before = digest(db)
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        db.execute(f"select * from {call}")
    assert caught.value.sqlstate == "22023"
    assert caught.value.diag.message_hint
    assert digest(db) == before


def test_without_a_curve_nothing_is_expected(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.account(db)
    for call in ("api.forecast_next_count()", "api.backfill_forecasts('-infinity')"):
        with pytest.raises(psycopg.Error) as caught, db.transaction():
            db.execute(f"select * from {call}")
        assert (caught.value.sqlstate, bool(caught.value.diag.message_hint)) == ("ML201", True)


# ----------------------------------------------------------------------------------------- analytics


def refresh(db: Connection) -> domain.Row:
    return domain.one(db, "select * from api.refresh_analytics()")


def test_analytics_are_computed_where_something_changed(db: Connection) -> None:
    for number in range(2):
        domain.move(db, *domain.weeks(f"ЩУКА {number}", 8))
    domain.account(db)
    deploy(db, a=0.1, b=0.1, family="exp")
    # Eight counts from 12 January to 2 March: three months of two products.
    assert refresh(db) == {"changed_count": 6, "removed_count": 0, "row_count": 6}
    before = digest(db)
    assert refresh(db)["changed_count"] == 0
    assert digest(db) == before
    rows = domain.rows(db, "select * from bi.analytics order by nomenclature_id, period_start")
    assert [row["total_calculations"] for row in rows] == [3, 4, 1] * 2
    assert all(row["avg_accuracy"] > 99 and row["forecast_count"] == 0 for row in rows)
    # One more count in March touches one row.
    domain.receive(db, "ЩУКА 1", 10.0, "2025-03-03 08:00:00")
    domain.count(db, "ЩУКА 1", -0.437, "2025-03-09 20:00:00")
    domain.account(db)
    assert refresh(db) == {"changed_count": 1, "removed_count": 0, "row_count": 6}
    # A priority period may touch any; a new version replaces all.
    db.execute("select api.add_priority_period('2025-01-06', '2025-01-13', 10)")
    assert refresh(db)["changed_count"] == 6
    deploy(db, version=2, a=0.2, b=0.1, family="exp")
    assert refresh(db) == {"changed_count": 6, "removed_count": 6, "row_count": 6}


def test_analytics_hold_the_weighted_rate_and_what_was_foretold(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, OPENED)
    domain.count(db, ITEM, 0.0, OPENED)
    domain.count(db, ITEM, -0.5, "2025-03-10 12:00:00")
    domain.account(db)
    deploy(db, c=0.01, family="linear")
    forecast(db, horizon_days=7)
    domain.count(db, ITEM, -0.95, "2025-03-20 12:00:00")
    domain.account(db)
    settle(db)
    db.execute("select api.add_priority_period('2025-03-10 09:00Z', '2025-03-20 09:00Z', 10)")
    refresh(db)
    row = domain.one(db, "select * from bi.analytics")
    first, second = (
        p for p in domain.closed(db, ITEM) if p["calculation_date"] > p["inventory_period_start"]
    )
    weights = [first["inventory_confidence"], 3 * second["inventory_confidence"]]
    assert row["mean_rate"] == pytest.approx((0.05 + 0.1) / 2)
    assert row["weighted_rate"] == pytest.approx(
        (weights[0] * 0.05 + weights[1] * 0.1) / sum(weights)
    )
    # Ten days of a batch a week old: 9.5 kg x 0.10 / 0.93.
    assert row["forecast_count"] == 1
    assert row["forecast_wape"] == pytest.approx(100 * (9.5 * 0.1 / 0.93 - 0.95) / 0.95)


# ---------------------------------------------------------------------------------------- migration


def test_down_and_up_again_with_forecasts_in_it(fresh_url: str) -> None:
    with domain.connect(fresh_url) as db:
        domain.open_stock(db, ITEM, 10.0, OPENED)
        domain.account(db)
        deploy(db, c=0.01, family="linear")
        db.execute("update core.settings set value = '9' where name = 'forecast.horizon_days'")
        assert forecast(db)["new_count"] == 1
        refresh(db)
    schema.downgrade(fresh_url, "0006")
    schema.upgrade(fresh_url)
    with domain.connect(fresh_url) as db:
        assert digest(db) == []
        assert forecast(db)["new_count"] == 1
        assert domain.value(db, "select period_days from bi.next_count") == 9
