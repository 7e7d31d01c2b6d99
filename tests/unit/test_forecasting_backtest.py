"""Rolling origins: where the folds are, what is forecast in them, and how it is summed up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting import backtest
from weighhouse.forecasting.backtest import Fold, folds
from weighhouse.forecasting.contract import Floats, Series


def noise(n: int, seed: int = 0) -> Floats:
    return np.asarray(50 + np.random.default_rng(seed).normal(size=n))


def test_folds_end_with_the_last_observation() -> None:
    assert folds(20, 4, count=3) == [
        Fold(0, 8, 8, 12),
        Fold(0, 12, 12, 16),
        Fold(0, 16, 16, 20),
    ]
    assert folds(20, 4, count=2, step=1) == [Fold(0, 15, 15, 19), Fold(0, 16, 16, 20)]
    assert folds(20, 4, count=1, gap=2) == [Fold(0, 14, 16, 20)]
    assert folds(20, 4, count=2, window=6) == [Fold(6, 12, 12, 16), Fold(10, 16, 16, 20)]


def test_folds_with_too_little_before_them_are_left_out() -> None:
    assert folds(20, 4, count=3, minimum=10) == folds(20, 4, count=2)
    assert len(folds(20, 4, count=99, minimum=4)) == 4
    with pytest.raises(TooFewObservations):
        folds(5, 4, minimum=2)


def test_impossible_folds() -> None:
    for options in (
        {"horizon": 0}, {"count": 0}, {"step": 0}, {"gap": -1}, {"window": 1}, {"minimum": 0},
    ):  # fmt: skip
        with pytest.raises(BadOptions) as raised:
            folds(20, **{"horizon": 4, **options})
        assert raised.value.hint


@given(
    st.integers(10, 200), st.integers(1, 8), st.integers(1, 6), st.integers(1, 9), st.integers(0, 3)
)
def test_nothing_known_is_tested(n: int, horizon: int, count: int, step: int, gap: int) -> None:
    try:
        found = folds(n, horizon, count=count, step=step, gap=gap, minimum=3)
    except TooFewObservations:
        return
    assert found[-1].test_end == n
    for fold in found:
        assert 0 <= fold.train_start < fold.train_end <= fold.test_start < fold.test_end
        assert fold.test_start - fold.train_end == gap
        assert fold.test_end - fold.test_start == horizon
    assert {b.test_end - a.test_end for a, b in itertools.pairwise(found)} <= {step}


def test_rows_stand_beside_what_happened() -> None:
    batch = [Series(np.arange(20.0) ** 2), Series(noise(30), (4,))]
    found = backtest.run("naive", batch, 3, levels=(0.8,), count=2)
    rows = found.rows
    assert found.failures == []
    assert rows.series.tolist() == [0] * 6 + [1] * 6
    assert rows.fold.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert rows.step.tolist() == [1, 2, 3] * 4
    np.testing.assert_array_equal(rows.actual[:6], np.arange(14.0, 20.0) ** 2)
    np.testing.assert_allclose(rows.mean, rows.naive)
    np.testing.assert_array_equal(rows.naive[:6], [169.0] * 3 + [256.0] * 3)
    # Without a season the last value; with one the value a season ago.
    np.testing.assert_array_equal(rows.seasonal_naive[:6], rows.naive[:6])
    np.testing.assert_array_equal(rows.seasonal_naive[9:], batch[1].values[23:26])
    # Differences of squares up to 13: 1, 3, ..., 25.
    assert rows.scale[0] == pytest.approx(13.0)
    assert rows.lower.shape == rows.upper.shape == (1, 12)
    assert (rows.lower[0] < rows.mean).all()


def test_a_gap_is_forecast_but_not_tested() -> None:
    y = np.r_[np.arange(20.0), 99.0]
    with_gap = backtest.run("drift", [Series(y[:20])], 2, levels=(), count=1, gap=3).rows
    assert with_gap.step.tolist() == [4, 5]
    np.testing.assert_allclose(with_gap.mean, [18, 19])
    np.testing.assert_allclose(with_gap.naive, [14, 14])


def test_the_future_is_not_known() -> None:
    y = noise(40)
    other = y.copy()
    other[34:] += 1000
    for name in ("naive", "arima"):
        a = backtest.run(name, [Series(y)], 6, count=2).rows
        b = backtest.run(name, [Series(other)], 6, count=2).rows
        np.testing.assert_array_equal(a.mean, b.mean)
        np.testing.assert_array_equal(a.scale, b.scale)


def test_a_series_that_fails_stops_no_other() -> None:
    batch = [Series(noise(3)), Series(noise(13)), Series(noise(40))]
    found = backtest.run("arima", batch, 4, {"p": 5, "d": 0, "q": 0}, count=2)
    # 3: no fold at all. 13: 9 known, one fold; five coefficients need 10.
    assert [(f.series, f.fold) for f in found.failures] == [(0, None), (1, 1)]
    assert {type(f.error) for f in found.failures} == {TooFewObservations}
    assert set(found.rows.series.tolist()) == {2}


def test_impossible_arguments() -> None:
    y = [Series(noise(40))]
    with pytest.raises(BadOptions):
        backtest.run("no_such_kind", y, 4)
    with pytest.raises(BadOptions):
        backtest.run("arima", y, 4, {"no_such_option": 1})
    with pytest.raises(BadOptions):
        backtest.run("arima", y, 4, levels=(80,))
    with pytest.raises(BadOptions):
        backtest.run("arima", y, 0)


def test_a_cancel_comes_through() -> None:
    def cancelled() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest.run("naive", [Series(noise(40))], 4, check=cancelled)


def test_summary_by_hand() -> None:
    y = np.array([2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 3.0, 5.0])
    found = backtest.run("naive", [Series(y, (2,))], 1, levels=(0.8,), count=2)
    scores = {
        (s.series, s.fold, s.method, s.metric): (s.value, s.n) for s in backtest.summarise(found)
    }
    # Fold 0: 4 known, 3 happened; a season ago 2. Fold 1: 3 known, 5 happened; a season ago 4.
    assert scores[0, 0, "model", "mae"] == (1, 1)
    assert scores[0, 1, "model", "mae"] == (2, 1)
    assert scores[0, None, "model", "mae"] == (1.5, 2)
    assert scores[0, None, "naive", "bias"] == (-0.5, 2)
    assert scores[0, None, "seasonal_naive", "mae"] == (1, 2)
    mape = scores[0, None, "model", "mape"][0]
    assert mape == pytest.approx(100 * (1 / 3 + 2 / 5) / 2)
    # Fold 0: the season repeats itself: no scale. Fold 1: changes 0 0 0 0 1.
    assert scores[0, 0, "model", "mase"][0] is None
    assert scores[0, None, "model", "mase"][0] == pytest.approx(2 / 0.2)
    assert (0, None, "model", "coverage_80") in scores
    assert (0, None, "model", "interval_score_80") in scores
    assert (0, None, "naive", "coverage_80") not in scores
    # Over all series only what has no unit.
    assert scores[None, None, "model", "mape"][0] == mape
    assert scores[None, 1, "model", "mape"][0] == pytest.approx(100 * 2 / 5)
    assert (None, None, "model", "coverage_80") in scores
    assert not any(k[0] is None and k[3] in {"mae", "rmse", "bias", "wape"} for k in scores)


def test_nothing_to_sum_up() -> None:
    found = backtest.run("naive", [], 4)
    assert backtest.summarise(found) == []
    assert found.rows.lower.shape == (2, 0)
