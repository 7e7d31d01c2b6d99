"""Theta against another library, and its equations by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.forecasting_series import AIR_PASSENGERS
from weighhouse.errors import BadOptions
from weighhouse.forecasting import theta
from weighhouse.forecasting.contract import Fit, Floats, Series, no_check
from weighhouse.forecasting.theta_lines import Lines, continue_lines, fit_lines, project_lines


def fitted(values: Floats, *seasons: int, horizon: int = 12, **options: Any) -> Fit:
    (result,) = theta.fit(
        [Series(values, seasons)], horizon, theta.check_options(options), no_check
    )
    assert isinstance(result, Fit), result
    return result


def test_dynamic_theta_of_the_air_passengers() -> None:
    one = fitted(AIR_PASSENGERS, 12)
    # statsforecast 2.1.1, DynamicOptimizedTheta(season_length=12), the first year ahead.
    expected = [442.927, 432.298, 495.482, 482.575, 487.866, 556.122]
    expected += [616.223, 616.110, 538.403, 470.411, 410.999, 463.477]
    mean = theta.forecast(one.parameters, 12, (0.8,)).mean
    np.testing.assert_allclose(mean, expected, rtol=1e-3)
    assert one.label == "dynamic optimised theta [12]"


def test_classical_theta_of_the_air_passengers() -> None:
    one = fitted(AIR_PASSENGERS, 12, model="classical")
    # statsforecast 2.1.1, Theta(season_length=12).
    expected = [440.969, 429.249, 490.693, 476.660, 480.631, 546.456]
    mean = theta.forecast(one.parameters, 6, (0.8,)).mean
    np.testing.assert_allclose(mean, expected, rtol=1e-3)


def test_a_line_goes_on() -> None:
    values = 5.0 + 2.0 * np.arange(20)
    mean = theta.forecast(fitted(values).parameters, 4, (0.8,)).mean
    np.testing.assert_allclose(mean, 5.0 + 2.0 * np.arange(20, 24), rtol=1e-6)


def test_one_step_by_hand() -> None:
    # y = 1, 2, 4: mean 7/3, slope 1.5, so the line is -2/3 + 1.5 t. With alpha = 0.5 and l_0 = 0,
    # l = 0.5, 1.25, 2.625. q = 1/8: ahead 2.625 + 0.5 (-2/3 / 8 + (1 - 1/16) / 0.5 * 1.5).
    lines = Lines(0.5, 0.5, True, 0.0, 2.625, 7.0, 17.0, 3, 3, 0.0)
    assert project_lines(lines, 1)[0] == pytest.approx(2.625 + 0.5 * (-1 / 12 + 1.875 * 1.5))


@pytest.mark.parametrize("dynamic", [True, False])
def test_continuing_is_filtering_the_whole(dynamic: bool) -> None:
    values = np.random.default_rng(2).normal(1.0, 0.2, 50)
    (whole,) = fit_lines([values], dynamic, 0.5, no_check)
    empty = Lines(whole.alpha, 0.5, dynamic, whole.start, whole.start, 0.0, 0.0, 0, 0, 0.0)
    again = continue_lines(continue_lines(empty, values[:20]), values[20:])
    assert again.level == pytest.approx(whole.level, rel=1e-9)
    if dynamic:
        assert again.total == pytest.approx(whole.total, rel=1e-12)
        assert again.moment == pytest.approx(whole.moment, rel=1e-12)
        np.testing.assert_allclose(project_lines(again, 5), project_lines(whole, 5), rtol=1e-9)


def test_the_search_finds_the_least_squares() -> None:
    values = np.cumsum(np.random.default_rng(3).normal(0.1, 1.0, 60)) / 10
    (best,) = fit_lines([values], True, None, no_check)

    def loss(alpha: float, share: float, start: float) -> float:
        lines = Lines(alpha, share, True, start, start, 0.0, 0.0, 0, 0, 0.0)
        errors = 0.0
        for t, y in enumerate(values):
            if t >= 2:
                errors += float(y - project_lines(lines, 1)[0]) ** 2
            lines = continue_lines(lines, values[t : t + 1])
        return errors

    least = loss(best.alpha, best.share, best.start)
    for alpha in (best.alpha * 0.97, min(best.alpha * 1.03, 0.999)):
        assert loss(alpha, best.share, best.start) >= least * (1 - 1e-6)
    assert loss(best.alpha, min(best.share + 0.05, 1.0), best.start) >= least * (1 - 1e-9)
    assert loss(best.alpha, best.share, best.start + 0.05) >= least * (1 - 1e-9)


def test_a_season_of_less_than_two_is_left_out_and_said() -> None:
    one = fitted(AIR_PASSENGERS[:20], 12)
    assert one.note is not None
    assert one.parameters["adjustment"]["figures"] == []


@pytest.mark.parametrize("options", [{"model": "old"}, {"log": 1}, {"season": "maybe"}, {"x": 1}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        theta.check_options(options)
    assert raised.value.hint
