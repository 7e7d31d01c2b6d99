"""Norms of natural loss: the schedule, the storage term, which norm holds, within and above it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.db import domain
from tests.db.domain import Connection, movement
from tests.db.test_worked_examples import given

ITEM = "ГОВЯДИНА МОРОЖЕНАЯ"
JANUARY = "2025-01-"
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


def steady(db: Connection, days: int = 30, *, batch: str | None = None, **more: Any) -> None:
    """Sell 500 kg a day out of 2000 kg that come in as they go: E17."""
    inputs, _, _ = given("E17")
    each = inputs["turnover"] / inputs["period_days"]
    stock = inputs["sum_of_daily_balances"] / inputs["period_days"]
    rows = [movement("opening", ITEM, stock, "2025-01-01 00:00:00", batch=batch)]
    for day in range(1, days + 1):
        at = f"2025-01-{day:02} 12:00:00"
        rows.append(movement("receipt", ITEM, each, at, number=f"in {day}"))
        rows.append(movement("sale", ITEM, each, at, number=f"out {day}"))
    rows.append(movement("stock_take", ITEM, -inputs["shortage"], f"2025-01-{days + 1} 00:00:00"))
    domain.move(db, *rows)
    domain.account(db)


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


@pytest.mark.parametrize("batch", [None, "2024-12-27 12:00:00"])
def test_e17_term_and_split(db: Connection, batch: str | None) -> None:
    """The opening balance is of an unknown batch: averages; of a known one: what went out was
    4 days old on the average, half a day less or more."""
    _, expected, tolerance = given("E17")
    steady(db, batch=batch)
    profile(db, climate_group=1)
    norm = add(db, BEEF, kind="stepped", climate_group=1)
    found = cause(db)
    assert found["norm_id"] == norm
    assert found["storage_term_from"] == ("average" if batch is None else "batches")
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
