"""Decomposition of long and double seasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighhouse.errors import BadOptions
from weighhouse.forecasting import adjustment, decomposition
from weighhouse.forecasting.contract import Fit, Floats, Series, no_check


def fitted(values: Floats, *seasons: int, horizon: int = 48, **options: Any) -> Fit:
    (result,) = decomposition.fit(
        [Series(values, seasons)], horizon, decomposition.check_options(options), no_check
    )
    assert isinstance(result, Fit), result
    return result


def hours(n: int, *, noise: float = 0.0) -> Floats:
    """A day and a week about a level, multiplied."""
    t = np.arange(n)
    day = 1.0 + 0.5 * np.sin(2 * np.pi * t / 24)
    week = np.where((t // 24) % 7 >= 5, 0.6, 1.0)
    rng = np.random.default_rng(8)
    return np.asarray(200.0 * day * week * np.exp(noise * rng.normal(size=n)))


def test_a_day_and_a_week_go_on() -> None:
    whole = hours(24 * 7 * 6)
    one = fitted(whole[: 24 * 7 * 5], 24, 168)
    mean = decomposition.forecast(one.parameters, 168, (0.8,)).mean
    # Exact up to the ends of the moving averages.
    np.testing.assert_allclose(mean, whole[24 * 7 * 5 :], rtol=0.03)
    assert "24, 168" in one.label


def test_noise_is_not_taken_for_season() -> None:
    whole = hours(24 * 7 * 6, noise=0.1)
    one = fitted(whole[: 24 * 7 * 5], 24, 168)
    mean = decomposition.forecast(one.parameters, 168, (0.8,)).mean
    errors = np.log(mean / hours(24 * 7 * 6)[24 * 7 * 5 :])
    # Less than the noise: each hour of the week is averaged over five weeks, 0.1 / sqrt(5) = 0.045,
    # and to that come the day's and the level's errors.
    assert float(np.sqrt(np.mean(errors**2))) < 0.07


def test_a_year_of_weeks() -> None:
    t = np.arange(52 * 5)
    values = 100 + 0.1 * t + 20 * np.cos(2 * np.pi * t / 52)
    one = fitted(values[:208], 52, horizon=13, log=False)
    mean = decomposition.forecast(one.parameters, 13, (0.8,)).mean
    np.testing.assert_allclose(mean, values[208:221], rtol=0.03)


def test_seasons_and_rest_add_up() -> None:
    values = np.log(hours(24 * 7 * 5 + 13, noise=0.1))
    seasons, rest = adjustment.changing_seasons(values, (24, 168), 11)
    np.testing.assert_allclose(seasons[24] + seasons[168] + rest, values, rtol=1e-12)


def test_classical_figure_by_hand() -> None:
    # Level 10 with 2, 0, -2 about it: every moving average of three is 10.
    values = np.tile([12.0, 10.0, 8.0], 4)
    np.testing.assert_allclose(
        adjustment.classical_figure(values, 3, False), [2.0, 0.0, -2.0], atol=1e-12
    )
    np.testing.assert_allclose(
        adjustment.classical_figure(values, 3, True), [1.2, 1.0, 0.8], atol=1e-12
    )


def test_update_goes_on_with_the_last_season() -> None:
    values = hours(24 * 7 * 6, noise=0.05)
    one = fitted(values[:-24], 24, 168)
    at_once = decomposition.update(one.parameters, values[-24:])
    by_hour = one.parameters
    for value in values[-24:]:
        by_hour = decomposition.update(by_hour, np.array([value]))
    expected = decomposition.forecast(at_once, 48, (0.8,))
    found = decomposition.forecast(by_hour, 48, (0.8,))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-9)
    # The next step after the update is at its own hour of the week.
    before = decomposition.forecast(one.parameters, 48, (0.8,)).mean
    np.testing.assert_allclose(expected.mean[:24], before[24:], rtol=0.3)


def test_zero_after_logarithms_is_taken_in() -> None:
    one = fitted(hours(24 * 7 * 5, noise=0.05), 24, 168)
    parameters = decomposition.update(one.parameters, np.array([0.0, -1.0]))
    ahead = decomposition.forecast(parameters, 24, (0.8, 0.95))
    assert np.isfinite(ahead.mean).all()


def test_short_of_two_seasons_is_said() -> None:
    one = fitted(hours(200), 24, 168)
    assert one.note is not None and "168" in one.note
    assert "24" in one.label


@pytest.mark.parametrize(
    "options", [{"window": 2}, {"window": True}, {"log": "yes"}, {"trend": "up"}, {"seasons": 3}]
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        decomposition.check_options(options)
    assert raised.value.hint
