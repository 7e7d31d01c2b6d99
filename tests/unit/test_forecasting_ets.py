"""Exponential smoothing against another library, its likelihood by hand, and its choices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.unit.forecasting_series import AIR_PASSENGERS, NILE
from weighhouse.errors import BadOptions
from weighhouse.forecasting import ets, smoothing
from weighhouse.forecasting.contract import Fit, Floats, Series, no_check
from weighhouse.forecasting.ets_search import Row, State, filter_row, search


def fitted(values: Floats, *seasons: int, horizon: int = 6, **options: Any) -> Fit:
    (result,) = ets.fit([Series(values, seasons)], horizon, ets.check_options(options), no_check)
    assert isinstance(result, Fit), result
    return result


def ahead(one: Fit, horizon: int = 6) -> Floats:
    return ets.forecast(one.parameters, horizon, (0.8,)).mean


def test_simple_smoothing_of_the_nile() -> None:
    one = fitted(NILE, error="additive", trend="none")
    # statsforecast 2.1.1, AutoETS(model="ANN"): alpha 0.24524, level 1111.24, ahead 805.479.
    assert one.parameters["weights"]["alpha"] == pytest.approx(0.24524, abs=2e-3)
    assert one.parameters["start"]["level"] == pytest.approx(1111.24, abs=1.0)
    assert ahead(one)[0] == pytest.approx(805.479, abs=0.5)


def test_its_likelihood_is_at_least_the_other_librarys() -> None:
    size = float(np.mean(NILE))
    row = Row(NILE / size, "none", False, "none", 0.3, 0.0, 0.0, 1.0, 1.0, 0.0, np.zeros(0))
    (best,) = search([row], no_check)
    # The same model: log-likelihood -726.3905, of which ours lacks the scale of the series.
    assert best.loss + 2 * len(NILE) * math.log(size) <= 2 * 726.3905 + 1e-3


def test_the_air_passengers_have_a_multiplicative_season() -> None:
    one = fitted(AIR_PASSENGERS, 12)
    assert one.label.startswith("ETS(M,") and one.label.endswith(",M)[12]")
    # What came in the first half of 1961 by statsforecast 2.1.1's AutoETS, of the same kind.
    expected = [442.357, 428.267, 492.975, 477.370, 477.603, 535.858]
    np.testing.assert_allclose(ahead(one), expected, rtol=0.035)


def test_additive_season_of_the_air_passengers() -> None:
    one = fitted(AIR_PASSENGERS, 12, error="additive", trend="additive", season="additive")
    # statsforecast 2.1.1, AutoETS(model="AAA"); it also searches the first seasonal states.
    expected = [453.089, 427.477, 460.632, 497.037, 507.508, 567.922]
    np.testing.assert_allclose(ahead(one), expected, rtol=0.01)
    assert one.label == "ETS(A,A,A)[12]"


def test_holt_by_hand() -> None:
    # Level 10, slope 2; y = 13, 15: e = 1, 0.4; alpha 0.5, beta 0.1: 12.5, 2.1; 14.8, 2.14.
    state, means = filter_row(State(10.0, 2.0, []), (0.5, 0.1, 0.0, 1.0), False, [13.0, 15.0], 1e-9)
    assert means == pytest.approx([12.0, 14.6])
    assert (state.level, state.slope) == pytest.approx((14.8, 2.14))


def test_multiplicative_season_by_hand() -> None:
    # 10 x 0.8 = 8, e = 1: level 10 + 0.5 / 0.8, season 0.8 + 0.1 / 10; the other phase is next.
    state, means = filter_row(State(10.0, 0.0, [0.8, 1.2]), (0.5, 0.0, 0.1, 1.0), True, [9.0], 1e-9)
    assert means == pytest.approx([8.0])
    assert state.level == pytest.approx(10.625)
    assert state.figure == pytest.approx([1.2, 0.81])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"season": "none"},
        {"error": "additive", "season": "additive"},
        {"error": "multiplicative", "trend": "damped", "season": "additive"},
    ],
)
def test_update_is_filtering_the_whole_history(options: dict[str, str]) -> None:
    one = fitted(AIR_PASSENGERS[:120], 12, **options)
    updated = ets.update(one.parameters, AIR_PASSENGERS[120:])
    start, weights = one.parameters["start"], one.parameters["weights"]
    state, _ = filter_row(
        State(start["level"], start["slope"], start["season"]),
        [weights[name] for name in ("alpha", "beta", "gamma", "phi")],
        one.parameters["season"] == "multiplicative",
        AIR_PASSENGERS.tolist(),
        one.parameters["least"],
    )
    assert updated["state"]["level"] == pytest.approx(state.level, rel=1e-9)
    assert updated["state"]["slope"] == pytest.approx(state.slope, rel=1e-9, abs=1e-9)
    assert updated["state"]["season"] == pytest.approx(state.figure, rel=1e-9)


def test_noise_about_a_level_has_no_trend_and_no_season() -> None:
    values = 100 + np.random.default_rng(4).normal(0, 5, 80)
    assert fitted(values, 4).label in ("ETS(A,N,N)", "ETS(M,N,N)")


def test_zeros_leave_out_what_is_multiplicative() -> None:
    values = np.tile([0.0, 3.0, 5.0, 2.0], 12) + np.random.default_rng(5).uniform(0, 0.5, 48)
    values[::4] = 0.0
    assert fitted(values, 4).label.startswith("ETS(A,")
    (result,) = ets.fit(
        [Series(values, (4,))], 4, ets.check_options({"error": "multiplicative"}), no_check
    )
    assert isinstance(result, BadOptions)
    assert result.hint


def test_long_seasons_are_left_to_the_decomposition() -> None:
    values = 10 + np.sin(2 * np.pi * np.arange(150) / 52)
    one = fitted(values, 52)
    assert one.note is not None and "decomposition" in one.note


@pytest.mark.parametrize(
    "options",
    [
        {"error": "additive", "season": "multiplicative"},
        {"trend": "multiplicative"},
        {"damped": True},
        {"season": None},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        ets.check_options(options)
    assert raised.value.hint


def test_best_start_of_a_family_is_least_squares() -> None:
    # Errors are linear in the start: numpy's own least squares of a unit response gives it too.
    values = 1 + np.random.default_rng(6).normal(0, 0.1, 30)
    (found,) = smoothing.fit_families([values], ["holt"], no_check)
    best = found["holt"]
    _, errors = smoothing.continue_filter("holt", best.weights, (0.0, 0.0), values)
    responses = [
        -smoothing.continue_filter("holt", best.weights, unit, np.zeros(30))[1]
        for unit in ((1.0, 0.0), (0.0, 1.0))
    ]
    start, loss, *_ = np.linalg.lstsq(np.stack(responses, axis=1), errors, rcond=None)
    np.testing.assert_allclose(best.start, start, rtol=1e-5, atol=1e-7)
    assert best.loss == pytest.approx(float(loss[0]), rel=1e-6)


@pytest.mark.parametrize("family", sorted(smoothing.FAMILIES))
def test_state_of_a_search_is_that_of_the_filter(family: str) -> None:
    values = 1 + np.cumsum(np.random.default_rng(7).normal(0, 0.1, 40))
    batch = [values, values[:25], values[5:]]
    for y, found in zip(batch, smoothing.fit_families(batch, [family], no_check), strict=True):
        best = found[family]
        state, errors = smoothing.continue_filter(family, best.weights, best.start, y)
        np.testing.assert_allclose(best.state, state, rtol=1e-7, atol=1e-9)
        assert best.loss == pytest.approx(float(errors @ errors), rel=1e-6)
