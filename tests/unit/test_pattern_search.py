"""Patterns of many products at once: what goes in as bytes, and what is made of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from weighhouse import pattern_search
from weighhouse.errors import BadOptions
from weighhouse.pattern_search import Climate, Periods, climate_means, search

OPTIONS: dict[str, Any] = {
    "z": Decimal("3.5"), "min_group": 8, "significance": 0.05, "false_discovery_rate": 0.1,
    "min_periods": 6, "max_periods": 260, "min_months": 24, "min_climate_periods": 10,
    "min_shift_periods": 8, "pair_similarity": 0.2, "pair_confidence": 0.4, "tolerance_kg": 0.005,
    "cv": 0.25,
}  # fmt: skip
NO_CLIMATE = Climate(np.empty(0, dtype=np.int64), *[np.empty(0)] * 3)
WEEK = 7 * 86400.0


def never() -> None:
    pass


def periods(rates: Any, kg_days: float = 700.0, expected: float = np.nan) -> Periods:
    """Weeks of several products of one type and warehouse, a row of rates each."""
    rate = np.atleast_2d(np.asarray(rates, dtype=float))
    m, n = rate.shape
    week = np.tile(np.arange(n), m)
    same = np.zeros(m * n, dtype=np.int64)
    return Periods(
        np.repeat(np.arange(m), n), same, same, WEEK * week, WEEK * (week + 1), 7 * week + 3,
        rate.ravel() * kg_days, np.full(m * n, 100.0), np.full(m * n, kg_days),
        np.full(m * n, 0.001), np.full(m * n, expected),
    )  # fmt: skip


def found(what: Periods, climate: Climate = NO_CLIMATE, **changed: float) -> list[dict[str, Any]]:
    options = {name: float(value) for name, value in (OPTIONS | changed).items()}
    return list(search(what, climate, options, never))


def test_readings_are_averaged_over_the_period_they_fall_into() -> None:
    """A reading at the count belongs to the period it closes; other warehouses have their own."""
    climate = Climate(
        np.array([1, 1, 1, 1, 2]), np.array([30.0, 10, 20, 40, 15]),
        np.array([3.0, 1, 2, np.nan, 50]), np.full(5, np.nan),
    )  # fmt: skip
    warehouse = np.array([1, 1, 1, 2, 3])
    start, end = np.array([10.0, 0, 30, 0, 0]), np.array([30.0, 10, 40, 100, 100])
    means = climate_means(warehouse, start, end, climate, climate.temperature)
    assert means == pytest.approx([2.5, 1, np.nan, 50, np.nan], nan_ok=True)
    assert np.isnan(climate_means(warehouse, start, end, climate, climate.humidity)).all()


def test_one_trend_among_many_series_must_be_clearer_than_one_alone() -> None:
    rng = np.random.default_rng(0)
    trend = [0.0010, 0.0012, 0.0011, 0.0014, 0.0013, 0.0015, 0.0016]
    assert [row["subtype"] for row in found(periods(trend))] == ["rising"]
    crowd = rng.permuted(np.tile(np.linspace(0.001, 0.002, 7), (300, 1)), axis=1)
    alone = found(periods(np.vstack([trend, crowd])), z=1e9)
    assert [row["series"] for row in alone if row["type"] == "trend"] == []


def test_only_the_newest_periods_count() -> None:
    rates = np.append(np.linspace(0.001, 0.02, 30), [0.01, 0.0101] * 5)
    assert found(periods(rates), max_periods=10, z=1e9) == []
    assert found(periods(rates), max_periods=40, z=1e9)[0]["period_count"] == 40


def test_a_deviation_the_scale_cannot_tell_or_the_own_curve_explains_is_no_anomaly() -> None:
    rates = 0.001 + 0.00002 * np.arange(9)[:, None]
    rates[4] = 0.004
    assert [row["row"] for row in found(periods(rates))] == [4]
    assert found(periods(rates, kg_days=2.0)) == []  # 6 g
    what = periods(rates)
    explained = Periods(**{**vars(what), "expected": what.loss * 1.2})
    assert found(explained) == []
    low = rates.copy()
    low[4] = 0.0001
    assert [row["row"] for row in found(periods(low))] == [4]
    what = periods(low)
    sold_out = Periods(**{**vars(what), "counted": np.zeros(9)})
    assert found(sold_out) == []


def column(code: str, values: Any) -> bytes:
    return struct.pack(f">{len(values)}{code}", *values)


def call(tick: Callable[[], None] = never, families: Any = ("linear",)) -> str:
    """Ten weeks of 10 kg of one product that loses 1 % a day, without climate."""
    n = 10
    array = struct.pack(">iiiii", 1, 0, 701, 1, 1)
    terms = [(array + struct.pack(">id", 8, value)) * n for value in (10.0, 0.0, 7.0)]
    days = np.arange(n)
    loss = [0.7] * 5 + [2.1] * 5
    return pattern_search.find(
        column("i", [0] * n), column("i", [0] * n), column("i", [1] * n), column("d", WEEK * days),
        column("d", WEEK * (days + 1)), column("i", 7 * days), column("d", loss),
        column("d", [9.0] * n), column("d", [70.0] * n), column("d", [0.001] * n),
        column("i", [1] * n), *terms, list(families), [0.0], [0.0], [0.01], None, None, None, None,
        OPTIONS, tick,
    )  # fmt: skip


def test_what_is_expected_comes_from_the_curve_and_the_terms() -> None:
    answer = {row["subtype"]: row for row in json.loads(call())}
    assert answer["level_shift"]["row"] == 5
    assert answer["level_shift"]["expected_before_kg"] == pytest.approx(5 * 10 * 0.07)
    assert answer["level_shift"]["actual_after_kg"] == pytest.approx(5 * 2.1)
    assert "level_shift" not in {row["subtype"] for row in json.loads(call(families=[None]))}
    with pytest.raises(BadOptions):
        call(families=[])


def test_nothing_in_nothing_out_and_a_cancel_goes_through() -> None:
    nothing = pattern_search.find(
        *[None] * 14, None, None, None, None, *[None] * 4, OPTIONS, never
    )  # fmt: skip
    assert nothing == "[]"

    class Cancelled(Exception):
        pass

    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        call(cancel)
