"""Measures of forecasts, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighhouse import accuracy
from weighhouse.errors import BadOptions
from weighhouse.forecasting import metrics

NAN = float("nan")
ACTUAL = [100.0, 50.0, 200.0, 0.0]
MEAN = [110.0, 40.0, 200.0, 5.0]


def test_by_hand() -> None:
    found = metrics.measure(ACTUAL, MEAN, scale=5.0)
    assert found == {
        "n": 4,
        # 10 %, 20 %, 0 %; the zero does not count.
        "mape": pytest.approx(10.0),
        # 200 x 10/210, 10/90, 0/400, 5/5 over 4.
        "smape": pytest.approx(200 * (10 / 210 + 10 / 90 + 0 + 1) / 4),
        "wape": pytest.approx(100 * 25 / 350),
        "mase": pytest.approx(25 / 4 / 5),
        "mae": 6.25,
        "rmse": pytest.approx(np.sqrt(225 / 4)),
        "bias": 1.25,
    }


def test_rows_with_gaps_do_not_count() -> None:
    with_gaps = metrics.measure([NAN, *ACTUAL, 7.0], [3.0, *MEAN, NAN], scale=5.0)
    assert with_gaps == metrics.measure(ACTUAL, MEAN, scale=5.0)


def test_what_is_not_defined_is_none() -> None:
    nothing = metrics.measure([NAN], [1.0], scale=1.0, lower=[0.0], upper=[2.0], level=0.8)
    assert nothing.pop("n") == 0
    assert set(nothing.values()) == {None}
    zeros = metrics.measure([0.0, 0.0], [0.0, 1.0])
    assert (zeros["mape"], zeros["wape"], zeros["mase"]) == (None, None, None)
    assert zeros["smape"] == 100
    # A history that never changed has no scale.
    assert metrics.measure(ACTUAL, MEAN, scale=0.0)["mase"] is None
    assert metrics.measure(ACTUAL, MEAN, scale=NAN)["mase"] is None


def test_scale_by_row() -> None:
    found = metrics.measure([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], scale=[1.0, 4.0, 0.0])
    assert found["mase"] == pytest.approx((1 / 1 + 2 / 4) / 2)


def test_scale_of_a_history() -> None:
    y = [1.0, 4.0, 2.0, 8.0, 3.0]
    assert metrics.mase_scale(y) == (3 + 2 + 6 + 5) / 4
    assert metrics.mase_scale(y, 2) == (1 + 4 + 1) / 3
    assert metrics.mase_scale([1.0, NAN, 2.0, 4.0]) == 2
    assert metrics.mase_scale([5.0, 5.0]) == 0
    assert np.isnan(metrics.mase_scale([5.0]))
    assert np.isnan(metrics.mase_scale([5.0, 6.0], 2))


def test_intervals_by_hand() -> None:
    actual = [5.0, 12.0, -1.0, NAN]
    lower, upper = [0.0, 0.0, 0.0, 0.0], [10.0, 10.0, 10.0, 10.0]
    found = metrics.measure(actual, actual, lower=lower, upper=upper, level=0.8)
    assert found["coverage"] == pytest.approx(100 / 3)
    # Width 10, and 2 / 0.2 = 10 for each unit outside: 10, 30, 20.
    assert found["interval_score"] == pytest.approx(20)
    assert "interval_score" not in metrics.measure(actual, actual, lower=lower, upper=upper)
    # On a bound is inside.
    assert metrics.coverage([0.0, 10.0], [0.0, 0.0], [10.0, 10.0]) == 100
    assert np.isnan(metrics.coverage([], [], []))
    assert np.isnan(metrics.interval_score([], [], [], 0.5))


def test_the_score_is_best_at_the_true_interval() -> None:
    y = np.random.default_rng(0).normal(size=20_000)
    scores = [
        metrics.interval_score(y, np.full(y.size, -w), np.full(y.size, w), 0.8)
        for w in (0.8, 1.2816, 1.9)
    ]
    assert scores[1] == min(scores)


def test_impossible_arguments() -> None:
    with pytest.raises(BadOptions):
        metrics.measure([1.0, 2.0], [1.0])
    with pytest.raises(BadOptions):
        metrics.coverage([1.0], [0.0, 0.0], [1.0])
    for level in (0.0, 1.0, 80.0):
        with pytest.raises(BadOptions):
            metrics.interval_score([1.0], [0.0], [1.0], level)


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)), min_size=1, max_size=30))
def test_agrees_with_the_other_measures(rows: list[tuple[float, float]]) -> None:
    actual, mean = zip(*rows, strict=True)
    ours = metrics.measure(actual, mean)
    theirs = accuracy.measure(actual, mean)
    assert ours["mape"] == pytest.approx(theirs.mape_pct)
    assert ours["rmse"] == pytest.approx(theirs.rmse)
    assert ours["bias"] == theirs.mbe
