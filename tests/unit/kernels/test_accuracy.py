"""Accuracy measures: worked examples E15, E21, E22, and what is not defined."""

from __future__ import annotations

import numpy as np
import pytest

from weighhouse.accuracy import forecast_accuracy, mae, mbe, measure, smape, wape
from weighhouse.errors import BadOptions


def test_e15_all_measures() -> None:
    y = [0.01, 0.02, 0.03, 0.05, 0.06, 0.08]
    predicted = [0.012, 0.018, 0.033, 0.047, 0.061, 0.078]
    told = measure(y, predicted, parameters=2)
    expected = {
        "sse": 3.1e-05, "r2": 0.991100478, "rmse": 0.00227303, "rmse_dof": 0.002783882,
        "chi2_reduced": 7.75e-06, "mbe": -0.000166666667, "mae": 0.002166667,
        "mape_pct": 8.361111, "wape_pct": 5.2, "aic": -67.039697, "aicc": -55.039697,
        "bic": -67.664419,
    }  # fmt: skip
    for name, value in expected.items():
        assert getattr(told, name) == pytest.approx(value, abs=1e-6), name
    assert (told.n, told.mape_left_out) == (6, 0)


def test_e21_e22_accuracy_of_forecasts() -> None:
    assert forecast_accuracy(0.306757599, 0.7) == pytest.approx(43.822514, abs=1e-6)
    expected, actual = [1.1, 0.02, 0.4, 3.0], [0.95, 0.0, 1.2, 1.0]
    told = forecast_accuracy(expected, actual)
    assert told[[0, 2, 3]] == pytest.approx([84.210526, 33.333333, 0.0], abs=1e-6)
    assert np.isnan(told[1])
    assert wape(actual, expected) == pytest.approx(94.285714, abs=1e-6)
    assert np.isnan(forecast_accuracy(1.0, -0.2))  # a surplus


def test_gaps_do_not_count() -> None:
    told = measure([1.0, np.nan, 3.0, 2.0], [1.5, 2.0, np.nan, 2.0])
    assert told.n == 2
    assert told.mae == 0.25


def test_nothing_to_measure() -> None:
    told = measure([], [])
    assert told.n == 0
    assert all(np.isnan(x) for x in (told.rmse, told.r2, told.mae, told.wape_pct, told.aic))
    assert np.isnan(wape([0.0], [1.0])) and np.isnan(mae([], [])) and np.isnan(mbe([], []))
    assert np.isnan(smape([], []))
    assert smape([0.0, 1.0], [0.0, 1.0]) == 0.0
    assert np.isnan(measure([2.0, 2.0], [1.0, 2.0]).r2)


def test_small_actuals_are_counted_apart() -> None:
    told = measure([0.001, 1.0], [0.5, 1.1], threshold=0.005)
    assert told.mape_pct == pytest.approx(10.0)
    assert told.mape_left_out == 1


def test_lengths_must_agree() -> None:
    with pytest.raises(BadOptions):
        measure([1.0], [1.0, 2.0])
