"""Norms of natural loss: the schedule, the storage term, which norm holds, within and above it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.db import domain
from tests.db.domain import Connection, balance, movement
from tests.db.test_worked_examples import given

ITEM = "ГОВЯДИНА МОРОЖЕНАЯ"
# The rows the domain quotes (order 252, section XXXII, frozen beef).
BEEF = [
    {"to": 1, "percent": 0},
    {"to": 2, "percent": 0.05},
    {"to": 3, "percent": 0.08},
    {"to": 10, "add_per_day": 0.01},
    {"to": 30, "add_per_day": 0.005},
]


def add(
    db: Connection,
    steps: Any = 0.4,
    *,
    group: str = "frozen",
    kind: str = "turnover",
    mode: str = "warehouse",
    **more: Any,
) -> int:
    """Enter a norm; by default 0.4 % of turnover for all that is frozen."""
    names = "".join(f", {name} => %s" for name in more)
    return int(
        domain.value(
            db, f"select api.add_norm(%s, %s, %s, %s{names})",
            group, kind, mode, json.dumps(steps), *more.values(),
        )
    )  # fmt: skip


def profile(db: Connection, mode: str = "warehouse", warehouse: str = "main", **more: Any) -> int:
    names = "".join(f", {name} => %s" for name in more)
    return int(
        domain.value(
            db, f"select api.set_norm_profile(%s, %s{names})", warehouse, mode, *more.values()
        )
    )


def causes(db: Connection, item: str = ITEM) -> list[domain.Row]:
    return domain.rows(
        db, "select * from bi.shrinkage_by_cause where item = %s order by time", item
    )


def cause(db: Connection, item: str = ITEM) -> domain.Row:
    (found,) = causes(db, item)
    return found


def week(db: Connection, item: str = ITEM, *, short: float = 0.1, kg: float = 20.0) -> None:
    """Keep 2 kg for a week in January, turn `kg` over on its fourth day, miss `short`."""
    domain.open_stock(db, item, 2.0 + short, "2025-01-06 00:00:00", batch="2025-01-06 00:00:00")
    domain.receive(db, item, kg, "2025-01-07 12:00:00")
    domain.sell(db, item, kg, "2025-01-09 12:00:00")
    domain.count(db, item, -short, "2025-01-13 00:00:00")
    domain.account(db)


def steady(db: Connection, *, batch: str | None = None) -> None:
    """Sell 500 kg a day out of 2000 kg that come in as they go, 30 days: E17."""
    inputs, _, _ = given("E17")
    days = inputs["period_days"]
    each = inputs["turnover"] / days
    stock = inputs["sum_of_daily_balances"] / days
    rows = []
    for day in range(1, days + 1):
        at = f"2025-01-{day:02} 12:00:00"
        rows.append(movement("receipt", ITEM, each, at, number=f"in {day}"))
        rows.append(movement("sale", ITEM, each, at, number=f"out {day}"))
    rows.append(movement("stock_take", ITEM, -inputs["shortage"], f"2025-01-{days + 1} 00:00:00"))
    if batch is None:
        unknown_batches(db, stock, "2025-01-01", "2025-01-31")
    else:
        rows.append(movement("opening", ITEM, stock, "2025-01-01 00:00:00", batch=batch))
    domain.move(db, *rows)
    domain.account(db)


def unknown_batches(db: Connection, kg: float, start: str, end: str) -> None:
    """State what is there, and not since when."""
    domain.statement(db, ITEM, start, end, (kg, 0, 0, kg), [])


# ------------------------------------------------------------------------------------ the schedule


def test_e17_percent_by_day(db: Connection) -> None:
    inputs, expected, tolerance = given("E17")
    names = {"days_to": "to", "pct": "percent", "add_per_day": "add_per_day"}
    steps = [{names[k]: v for k, v in step.items()} for step in inputs["schedule"]]
    assert steps == BEEF
    norm = add(db, steps, kind="stepped", climate_group=1)
    for day, percent in expected["pct_by_day"].items():
        found = domain.value(db, "select api.norm_percent(%s, %s)", norm, int(day))
        assert found == pytest.approx(percent, abs=tolerance), day
    assert domain.value(db, "select api.norm_percent(%s, 0)", norm) == 0
    shown = domain.rows(db, "select * from bi.norm where norm_id = %s order by step", norm)
    assert [(s["step_above"], s["step_to"]) for s in shown] == [
        (0, 1), (1, 2), (2, 3), (3, 10), (10, 30)
    ]  # fmt: skip
    assert [s["percent_first"] for s in shown] == pytest.approx([0, 0.05, 0.08, 0.09, 0.155])
    assert [s["percent_last"] for s in shown] == pytest.approx([0, 0.05, 0.08, 0.15, 0.25])


@pytest.mark.parametrize("source", ["flat file", "unknown batches", "batches"])
def test_e17_term_and_split(db: Connection, source: str) -> None:
    """By averages; and by batches: the opening stock goes in the first four days, at the age of 5
    to 8 days, all the rest at 4: 130 / 30 days."""
    _, expected, tolerance = given("E17")
    if source == "flat file":
        inputs = given("E17")[0]
        stock = inputs["sum_of_daily_balances"] / inputs["period_days"]
        row = balance(
            ITEM, stock, inputs["turnover"], inputs["turnover"], stock - inputs["shortage"],
            "2025-01-01", "2025-01-30",
        )  # fmt: skip
        domain.balances(db, row)
        domain.account(db)
    else:
        steady(db, batch="2024-12-27 12:00:00" if source == "batches" else None)
    profile(db, climate_group=1)
    norm = add(db, BEEF, kind="stepped", climate_group=1)
    found = cause(db)
    assert found["norm_id"] == norm
    assert found["storage_term_from"] == ("batches" if source == "batches" else "average")
    assert found["average_stock_kg"] == pytest.approx(expected["avg_daily_balance"], abs=tolerance)
    assert found["storage_term_days"] == expected["storage_term_days"]
    assert found["norm_percent"] == pytest.approx(expected["norm_pct"], abs=tolerance)
    assert found["norm_kg"] == pytest.approx(expected["norm_kg"], abs=tolerance)
    assert found["within_norm_kg"] == pytest.approx(expected["within_norm"], abs=tolerance)
    assert found["above_norm_kg"] == pytest.approx(expected["above_norm"], abs=tolerance)
    (answer,) = domain.rows(db, "select * from api.norm_loss(%s, 'main')", ITEM)
    assert answer["one_day_turnover_kg"] == pytest.approx(
        expected["one_day_turnover"], abs=tolerance
    )
    assert answer["norm_kg"] == found["norm_kg"] and answer["verdict"] == found["verdict"]


# ------------------------------------------------------------------------------------- the formulas


def test_turnover_before_a_day_that_ended_with_nothing_is_left_out(db: Connection) -> None:
    unknown_batches(db, 10.0, "2025-01-06", "2025-01-16")
    domain.sell(db, ITEM, 10.0, "2025-01-08")
    domain.receive(db, ITEM, 20.0, "2025-01-10")
    domain.sell(db, ITEM, 10.0, "2025-01-13")
    domain.count(db, ITEM, -0.1, "2025-01-16 00:00:00")
    domain.account(db)
    profile(db)
    add(db, BEEF, kind="stepped")
    found = cause(db)
    assert found["turnover_kg"] == 10
    # Since then 20 kg x 3 days + 10 kg x 2.5 days: 8.5 days, half up.
    assert found["storage_term_days"] == 9
    assert found["norm_kg"] == pytest.approx(10 * 0.14 / 100)


def test_stock_that_comes_the_day_the_last_is_sold_leaves_nothing_out(db: Connection) -> None:
    unknown_batches(db, 10.0, "2025-01-06", "2025-01-16")
    domain.sell(db, ITEM, 10.0, "2025-01-08 10:00:00")
    domain.receive(db, ITEM, 20.0, "2025-01-08 15:00:00")
    domain.count(db, ITEM, -0.1, "2025-01-16 00:00:00")
    domain.account(db)
    profile(db)
    add(db, BEEF, kind="stepped")
    assert cause(db)["turnover_kg"] == 10


def test_stock_that_is_sold_out_for_good_keeps_its_turnover(db: Connection) -> None:
    unknown_batches(db, 10.0, "2025-01-06", "2025-01-16")
    domain.sell(db, ITEM, 9.9, "2025-01-08")
    domain.count(db, ITEM, -0.1, "2025-01-16 00:00:00")
    domain.account(db)
    profile(db)
    add(db, BEEF, kind="stepped")
    assert cause(db)["turnover_kg"] == pytest.approx(9.9)


def test_a_term_is_no_longer_than_the_period(db: Connection) -> None:
    """Of batches each for itself: half went out a year old, half a day old; the period is a week."""
    domain.open_stock(db, ITEM, 10.1, "2025-01-06 00:00:00", batch="2024-01-06 00:00:00")
    domain.sell(db, ITEM, 10.0, "2025-01-09 12:00:00")
    domain.receive(db, ITEM, 10.0, "2025-01-11 12:00:00")
    domain.count(db, ITEM, -0.1, "2025-01-13 00:00:00")
    domain.sell(db, ITEM, 1.0, "2025-01-14")
    domain.account(db)
    profile(db)
    add(db, BEEF, kind="stepped")
    found = cause(db)
    assert (found["period_days"], found["storage_term_days"]) == (7, 7)
    assert found["norm_percent"] == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("hours", "half_day", "term"),
    [
        (11, False, 0),
        (12, False, 1),
        (11, True, 0.5),
        (12, True, 0.5),
        (13, True, 1),
        (35, True, 1),
    ],
)
def test_half_a_day_counts_for_perishable_goods(
    db: Connection, hours: int, half_day: bool, term: float
) -> None:
    domain.receive(db, ITEM, 10.1, "2025-01-06 00:00:00")
    domain.sell(db, ITEM, 10.0, f"2025-01-{6 + hours // 24:02} {hours % 24:02}:00:00")
    domain.count(db, ITEM, -0.1, "2025-01-13 00:00:00")
    domain.account(db)
    profile(db)
    add(
        db,
        [{"to": 0.5, "percent": 0.2}, {"to": 1, "percent": 0.3}],
        kind="stepped",
        half_day=half_day,
    )
    found = cause(db)
    assert found["storage_term_days"] == term
    assert found["norm_percent"] == {0: 0, 0.5: 0.2, 1: 0.3}[term]


def test_percent_of_turnover_whatever_the_time(db: Connection) -> None:
    week(db)
    profile(db, "retail")
    add(db, 0.4, mode="retail")
    found = cause(db)
    assert (found["norm_kg"], found["within_norm_kg"]) == (0.08, 0.08)
    assert found["above_norm_kg"] == pytest.approx(0.02)
    assert (found["storage_term_days"], found["storage_term_from"]) == (None, None)


def test_percent_per_month_of_the_average_stock(db: Connection) -> None:
    """100 kg through 60 days: the second month of storage by then; 100 x 60 / 30 x 0.06 %."""
    domain.open_stock(db, ITEM, 100.1, "2025-01-01 00:00:00", batch="2025-01-01 00:00:00")
    domain.count(db, ITEM, -0.1, "2025-03-02 00:00:00")
    domain.account(db)
    profile(db, "refrigerator")
    add(db, [{"to": 1, "percent": 0.08}, {"percent": 0.06}], kind="monthly", mode="refrigerator")
    found = cause(db)
    assert (found["period_days"], found["norm_percent"]) == (60, 0.06)
    assert found["norm_kg"] == pytest.approx(100.1 * 60 / 30 * 0.06 / 100, abs=0.0005)
    db.execute("update core.settings set value = '60' where name = 'norms.days_per_month'")
    assert cause(db)["norm_percent"] == 0.08
    assert cause(db)["norm_kg"] == pytest.approx(100.1 * 0.08 / 100, abs=0.0005)


def test_transport_by_distance(db: Connection) -> None:
    week(db)
    profile(db, "transport")
    bands = [{"from": 0, "to": 50, "percent": 0.1}, {"from": 50, "to": 100, "percent": 0.2}]
    add(db, bands, kind="transport", mode="transport")
    assert cause(db)["norm_kg"] is None and "distance" in cause(db)["reason"]
    for distance, percent in ((50, 0.1), (50.5, 0.2), (1000, 0.2)):
        profile(db, "transport", distance_km=distance)
        assert cause(db)["norm_kg"] == pytest.approx(20 * percent / 100)


def test_a_surplus_takes_nothing_from_the_norm(db: Connection) -> None:
    week(db, short=-0.5)
    profile(db)
    add(db)
    found = cause(db)
    assert (found["surplus_kg"], found["shortage_kg"]) == (0.5, 0)
    assert (found["within_norm_kg"], found["above_norm_kg"]) == (0, 0)
    assert found["norm_kg"] == 0.08


def test_nothing_turned_over_has_no_norm_by_days(db: Connection) -> None:
    domain.open_stock(db, ITEM, 10.1, "2025-01-06 00:00:00", batch="2025-01-06 00:00:00")
    domain.count(db, ITEM, -0.1, "2025-01-13 00:00:00")
    domain.account(db)
    profile(db)
    add(db, BEEF, kind="stepped")
    found = cause(db)
    assert (found["norm_kg"], found["above_norm_kg"], found["reason"]) == (0, 0.1, None)


# ------------------------------------------------------------------------------------ which norm


def test_the_closest_norm_counts(db: Connection) -> None:
    week(db)
    db.execute("update core.nomenclature set item_group = 'Мясо'")
    profile(db, climate_group=2)
    chosen = []
    for percent, more in enumerate(
        (
            {"matched_by": "type", "group": "frozen"},
            {"matched_by": "type", "group": "frozen", "climate_group": 2},
            {"matched_by": "group", "group": "мясо"},
            {"matched_by": "name", "group": r"\mговяд.*морож"},
            {"matched_by": "name", "group": r"\mговядина морож"},
            {"matched_by": "product", "group": "говядина мороженая"},
        ),
        1,
    ):
        add(db, percent, **more)  # type: ignore[arg-type]
        chosen.append(cause(db)["norm_percent"])
    assert chosen == [1, 2, 3, 4, 5, 6]
    assert {n["item_count"] for n in domain.rows(db, "select * from bi.norm")} == {1}


@pytest.mark.parametrize(
    ("norm", "place", "holds"),
    [
        ({}, {}, True),
        ({"mode": "retail"}, {}, False),
        ({"climate_group": 1}, {}, False),
        ({"climate_group": 1}, {"climate_group": 1}, True),
        ({"climate_group": 1}, {"climate_group": 2}, False),
        ({"store_group": "2"}, {"store_group": "2"}, True),
        ({"store_group": "2"}, {}, False),
        ({"packaging": "vacuum"}, {"packaging": "vacuum"}, True),
        ({"packaging": "vacuum"}, {"packaging": "box"}, False),
        ({"temperature_from": -20, "temperature_to": -15}, {"temperature": -18}, True),
        ({"temperature_from": -20, "temperature_to": -15}, {"temperature": -15}, False),
        ({"temperature_to": -15}, {"temperature": -40}, True),
        ({"temperature_to": -15}, {}, False),
        ({"season": "Q1"}, {}, True),
        ({"season": "1"}, {}, True),
        ({"season": "11-2"}, {}, True),
        ({"season": "зима"}, {}, True),
        ({"season": "II квартал"}, {}, False),
        ({"season": "2-12"}, {}, False),
        ({"valid_from": "2025-01-12"}, {}, True),
        ({"valid_from": "2025-01-13"}, {}, False),  # the count at midnight closes the 12th
        ({"valid_to": "2025-01-12"}, {}, True),
        ({"valid_to": "2025-01-11"}, {}, False),
        ({"group": "salted"}, {}, False),
    ],
)
def test_where_and_when_a_norm_holds(
    db: Connection, norm: dict[str, Any], place: dict[str, Any], holds: bool
) -> None:
    week(db)
    profile(db, **place)
    number = add(db, **norm)
    found = cause(db)
    assert found["norm_id"] == (number if holds else None)
    assert (found["verdict"] == "no_norm") is not holds
    assert found["reason"] == (None if holds else "no norm is for this product, place and day")


def test_seasons_and_validities_follow_each_other(db: Connection) -> None:
    for month in (1, 4):
        domain.receive(db, ITEM, 10.1, f"2025-0{month}-06 00:00:00")
        domain.sell(db, ITEM, 10.0, f"2025-0{month}-09")
        domain.count(db, ITEM, -0.1, f"2025-0{month}-13")
    domain.account(db)
    profile(db)
    for percent, quarter in enumerate(("Q1", "Q2", "Q3", "Q4"), 1):
        add(db, percent, season=quarter, valid_to="2025-04-12")
    add(db, 9, valid_from="2025-04-13")
    assert [found["norm_percent"] for found in causes(db)] == [1, 9]


def test_without_a_profile_no_norm_holds(db: Connection) -> None:
    week(db)
    add(db)
    found = cause(db)
    assert found["verdict"] == "no_norm" and "api.set_norm_profile" in found["reason"]
    assert (found["norm_kg"], found["within_norm_kg"], found["above_norm_kg"]) == (None,) * 3


# ------------------------------------------------------------------------------------- the verdict


def test_norm_model_and_fact_side_by_side(db: Connection) -> None:
    item = "ПЛОТВА ВЯЛЕНАЯ"
    rows = domain.weeks(item, 8, ages=(0, 9, 20))
    # Two kilograms were not sold the last time, and are not there either.
    rows[-2] = rows[-2] | {"outgoing": rows[-2]["outgoing"] - 2}
    rows[-1] = rows[-1] | {"outgoing": rows[-1]["outgoing"] + 2}
    domain.move(db, *rows)
    domain.account(db)
    domain.fit(db, family="exp")
    profile(db)
    seen = {found["verdict"] for found in causes(db, item)}
    assert seen == {"no_norm"}
    norm = add(db, 1.0, group="dried", document="order 252")
    found = causes(db, item)
    models = domain.rows(db, "select * from bi.shrinkage_unexplained order by time")
    assert len(found) == len(models) == 8
    for cause, model in zip(found, models, strict=True):
        assert (cause["norm_id"], cause["norm"]) == (norm, "dried, warehouse, order 252")
        for figure in ("shortage_kg", "expected_kg", "explained_up_to_kg", "unexplained_kg"):
            assert cause[figure] == model[figure], figure
        assert cause["within_norm_kg"] + cause["above_norm_kg"] == pytest.approx(
            cause["shortage_kg"]
        )
        assert cause["verdict"] == (
            "within_norm" if cause["shortage_kg"] <= cause["norm_kg"]
            else "unexplained" if cause["unexplained_kg"] > 0 else "above_norm_but_expected"
        )  # fmt: skip
    # Old batches lose less than the norm, young ones more; the theft is neither.
    assert {cause["verdict"] for cause in found[:-1]} == {"within_norm", "above_norm_but_expected"}
    assert found[-1]["verdict"] == "unexplained"
    assert 1 < found[-1]["unexplained_kg"] < 2
    domain.value(db, "select api.drop_norm(%s)", norm)
    add(db, 20.0, group="dried")
    assert {found["verdict"] for found in causes(db, item)} == {"within_norm"}


def test_losses_of_a_product_between_days(db: Connection) -> None:
    domain.move(db, *domain.weeks(ITEM, 4), *domain.weeks(ITEM, 2, start="2025-03-03"))
    domain.account(db)
    profile(db)
    add(db)

    def ask(*question: object) -> list[domain.Row]:
        return domain.rows(
            db, "select * from api.norm_loss(%s, %s, %s, %s)",
            *question, *[None] * (4 - len(question)),
        )  # fmt: skip

    assert len(ask(ITEM)) == len(ask(ITEM.lower(), " Main ")) == 6
    assert len(ask(ITEM, "main", "2025-01-12", "2025-01-26")) == 3
    assert len(ask(ITEM, None, "2025-01-13", "2025-01-25")) == 1
    assert len(ask(ITEM, None, None, "2025-02-28")) == 4
    wide = {row["time"]: row["norm_kg"] for row in causes(db)}
    assert {row["period_end"]: row["norm_kg"] for row in ask(ITEM)} == wide
    for wrong in ((ITEM, "cellar"), ("no such",), (ITEM, None, "2025-02-01", "2025-01-01")):
        refused(db, "22023", lambda wrong=wrong: ask(*wrong))


# --------------------------------------------------------------------------------------- bad input


def refused(db: Connection, sqlstate: str, attempt: Any) -> None:
    """The attempt raises the SQLSTATE with a hint, and changes nothing."""
    before = state(db)
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        attempt()
    assert caught.value.sqlstate == sqlstate, caught.value
    assert caught.value.diag.message_hint
    assert state(db) == before


def state(db: Connection) -> list[Any]:
    return [
        domain.value(
            db,
            f"select md5(coalesce(string_agg(t.ctid::text || t.xmin::text || t::text, '|' order by t.ctid), '')) from {table} as t",
        )
        for table in (
            "core.norms",
            "core.norm_steps",
            "core.norm_profiles",
            "core.validation_errors",
        )
    ]


BAD_NORMS: dict[str, dict[str, Any]] = {
    "gap": {"steps": [{"to": 1, "percent": 0}, {"from": 3, "to": 5, "percent": 0.1}]},
    "gap at the start": {"steps": [{"from": 2, "to": 5, "percent": 0.1}]},
    "overlap": {"steps": [{"to": 3, "percent": 0}, {"from": 3, "to": 5, "percent": 0.1}]},
    "the same end twice": {"steps": [{"to": 3, "percent": 0}, {"to": 3, "percent": 0.1}]},
    "two open ends": {"steps": [{"percent": 0}, {"percent": 0.1}]},
    "a step that ends before it starts": {"steps": [{"from": 3, "to": 2, "percent": 0}]},
    "negative percent": {"steps": -0.1},
    "negative addition": {"steps": [{"to": 3, "percent": 1, "add_per_day": -0.1}]},
    "more than all": {"steps": 100.1},
    "grows beyond all": {"steps": [{"to": 300, "add_per_day": 1}]},
    "no percent": {"steps": [{"to": 1}]},
    "no steps": {"steps": []},
    "steps of text": {"steps": [{"to": "1", "percent": 0}]},
    "steps misspelt": {"steps": [{"upto": 1, "percent": 0}]},
    "steps of turnover": {"kind": "turnover", "steps": [{"to": 1, "percent": 1}]},
    "unknown kind": {"kind": "yearly"},
    "no kind": {"kind": None},
    "unknown mode": {"mode": "cellar"},
    "distance on land": {"kind": "transport"},
    "no group": {"group": " "},
    "unknown match": {"matched_by": "colour"},
    "no pattern": {"matched_by": "name", "group": "("},
    "climate group": {"climate_group": 4},
    "season": {"season": "13"},
    "temperatures": {"temperature_from": 5, "temperature_to": 5},
    "absolute zero": {"temperature_from": -300},
    "not a temperature": {"temperature_from": float("nan")},
    "ends before it starts": {"valid_from": "2025-02-01", "valid_to": "2025-01-31"},
}


@pytest.mark.parametrize("case", BAD_NORMS)
def test_a_norm_that_cannot_be(db: Connection, case: str) -> None:
    wrong = {"steps": BEEF, "kind": "stepped"} | BAD_NORMS[case]
    refused(db, "22023", lambda: add(db, **wrong))


def test_norms_do_not_meet(db: Connection) -> None:
    first = add(db, valid_from="2025-01-01", valid_to="2025-06-30")
    refused(db, "23P01", lambda: add(db, 0.5, valid_from="2025-06-30"))
    refused(db, "23P01", lambda: add(db, BEEF, kind="stepped", valid_to="2025-01-01"))
    refused(db, "23P01", lambda: add(db, 0.5))
    later = add(db, 0.5, valid_from="2025-07-01")
    refused(db, "23P01", lambda: db.execute("select api.end_norm(%s, '2025-07-01')", (first,)))
    refused(db, "22023", lambda: db.execute("select api.end_norm(%s, '2024-12-31')", (first,)))
    refused(db, "22023", lambda: db.execute("select api.end_norm(%s, null)", (first,)))
    db.execute("select api.end_norm(%s, '2025-05-31')", (first,))
    assert (
        domain.value(db, "select valid_to::text from bi.norm where norm_id = %s", first)
        == "2025-05-31"
    )
    add(db, 0.6, valid_from="2025-06-01", valid_to="2025-06-30")
    add(db, 0.7, season="Q1")
    refused(db, "23P01", lambda: add(db, 0.8, season="12-1"))
    add(db, 0.8, temperature_to=-18)
    refused(db, "23P01", lambda: add(db, 0.8, temperature_from=-20, temperature_to=-10))
    add(db, 0.8, temperature_from=-18)
    db.execute("select api.drop_norm(%s)", (later,))
    for question in ("drop_norm(%s)", "end_norm(%s, '2025-01-01')", "norm_percent(%s, 1)"):
        refused(
            db, "22023", lambda question=question: db.execute(f"select api.{question}", (later,))
        )
    for days in (-1, None, float("nan"), float("inf")):
        refused(
            db,
            "22023",
            lambda days=days: db.execute("select api.norm_percent(%s, %s)", (first, days)),
        )


def test_the_tables_themselves_hold_no_gap_and_no_overlap(db: Connection) -> None:
    norm = add(db, BEEF, kind="stepped")
    step = (
        "insert into core.norm_steps (norm_id, step_above, step_to, percent) values (%s, %s, %s, 1)"
    )
    for above, to, sqlstate in (
        (40, 50, "23503"),
        (5, 7, "23503"),
        (10, 50, "23505"),
        (0, 99, "23505"),
    ):
        with pytest.raises(psycopg.Error) as caught, db.transaction():
            db.execute(step, (norm, above, to))
        assert caught.value.sqlstate == sqlstate
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        db.execute("delete from core.norm_steps where norm_id = %s and step_above = 2", (norm,))
    db.execute(step, (norm, 30, None))
    with pytest.raises(psycopg.errors.ExclusionViolation), db.transaction():
        db.execute(
            "insert into core.norms (product_group, match_key, kind, storage_mode) values ('x', 'frozen', 'turnover', 'warehouse')"
        )


@pytest.mark.parametrize(
    "profile_of",
    [
        {"warehouse": "cellar"}, {"mode": "cellar"}, {"mode": None}, {"climate_group": 0}, {"temperature": -300},
        {"distance_km": 5}, {"mode": "transport", "distance_km": 0}, {"mode": "transport", "distance_km": float("nan")},
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be(db: Connection, profile_of: dict[str, Any]) -> None:
    week(db)
    profile(db, climate_group=1)
    refused(db, "22023", lambda: profile(db, **profile_of))


def test_the_same_again_changes_nothing(db: Connection) -> None:
    week(db)
    profile(db, climate_group=1, store_group="2")
    norm = add(db, BEEF, kind="stepped", climate_group=1, season="Q1", temperature_from=-18)
    before = state(db)
    assert (
        add(db, BEEF, kind="stepped", climate_group=1, season="1-3", temperature_from=-18) == norm
    )
    profile(db, climate_group=1, store_group=" 2 ")
    db.execute("select api.end_norm(%s, '2025-12-31')", (norm,))
    after = state(db)
    assert after != before
    db.execute("select api.end_norm(%s, '2025-12-31')", (norm,))
    assert state(db) == after
