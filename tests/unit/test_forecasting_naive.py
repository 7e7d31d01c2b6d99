"""Naive kinds by hand, and the intervals that all simple kinds share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighhouse.errors import BadOptions
from weighhouse.forecasting import intervals, kind
from weighhouse.forecasting.contract import Fit, Forecast, Series, no_check

LEVELS = (0.8, 0.95)


def fitted(name: str, values: Any, *seasons: int, horizon: int = 3, **options: Any) -> Fit:
    model = kind(name)
    series = Series(np.asarray(values, dtype=float), seasons)
    (result,) = model.fit([series], horizon, model.check_options(options), no_check)
    assert isinstance(result, Fit), result
    return result


def ahead(name: str, values: Any, *seasons: int, horizon: int = 3, **options: Any) -> Forecast:
    one = fitted(name, values, *seasons, horizon=horizon, **options)
    return kind(name).forecast(one.parameters, horizon, LEVELS)


def test_naive_repeats_the_last_value() -> None:
    np.testing.assert_allclose(ahead("naive", [3.0, 1.0, 5.0]).mean, [5.0, 5.0, 5.0])


def test_drift_goes_on_with_the_mean_change() -> None:
    # (8 - 2) / 3 = 2 a step.
    np.testing.assert_allclose(ahead("drift", [2.0, 5.0, 3.0, 8.0]).mean, [10.0, 12.0, 14.0])


def test_seasonal_naive_repeats_the_last_season() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    np.testing.assert_allclose(ahead("seasonal_naive", values, 4, horizon=5).mean, [5, 6, 7, 8, 5])


def test_seasonal_naive_of_two_seasons_takes_the_one_asked() -> None:
    values = np.arange(12.0)
    assert ahead("seasonal_naive", values, 2, 6, horizon=6).mean.tolist() == [6, 7, 8, 9, 10, 11]
    short = ahead("seasonal_naive", values, 2, 6, horizon=4, season="shortest")
    assert short.mean.tolist() == [10, 11, 10, 11]


def test_seasonal_naive_without_a_whole_season_is_naive() -> None:
    one = fitted("seasonal_naive", [1.0, 2.0, 3.0], 12)
    assert one.note is not None
    assert kind("seasonal_naive").forecast(one.parameters, 2, LEVELS).mean.tolist() == [3, 3]


@pytest.mark.parametrize("name", ["naive", "seasonal_naive"])
def test_update_is_a_fit_of_the_whole(name: str) -> None:
    values = np.random.default_rng(1).normal(10, 1, 40)
    model = kind(name)
    parameters = model.update(fitted(name, values[:31], 4).parameters, values[31:])
    np.testing.assert_allclose(
        model.forecast(parameters, 8, LEVELS).mean,
        ahead(name, values, 4, horizon=8).mean,
        rtol=1e-12,
    )


def test_one_observation_is_enough_for_naive() -> None:
    one = ahead("naive", [4.0])
    assert one.mean.tolist() == [4.0, 4.0, 4.0]


def test_quantiles_of_t_with_four_degrees_of_freedom() -> None:
    # Published tables of Student's t: 1.533, 2.776, 8.610.
    found = [intervals.quantile(p) for p in (0.5, 0.9, 0.975, 0.9995, 0.025)]
    np.testing.assert_allclose(found, [0.0, 1.5332, 2.7764, 8.6103, -2.7764], atol=1e-4)


def test_intervals_of_a_random_walk_cover_what_comes() -> None:
    rng = np.random.default_rng(7)
    walks = 100 + np.cumsum(rng.normal(size=(300, 72)), axis=1)
    model = kind("naive")
    fits = model.fit([Series(walk[:60]) for walk in walks], 12, {}, no_check)
    inside = []
    for walk, one in zip(walks, fits, strict=True):
        assert isinstance(one, Fit)
        there = model.forecast(one.parameters, 12, LEVELS)
        inside.append([(there.lower <= walk[60:]) & (walk[60:] <= there.upper)])
    narrow, wide = np.mean(np.concatenate(inside), axis=(0, 2))
    assert 0.72 < narrow < 0.90
    assert 0.90 < wide < 0.995


def test_nothing_below_zero_is_expected_of_what_never_was() -> None:
    values = [9.0, 7.0, 6.0, 4.0, 3.0, 1.0]
    there = ahead("drift", values)
    assert there.mean.tolist() == [0.0, 0.0, 0.0]
    assert (there.lower == 0.0).all()
    model = kind("drift")
    below = model.update(fitted("drift", values).parameters, np.array([-1.0]))
    assert model.forecast(below, 1, LEVELS).mean[0] == pytest.approx(-2.6)


def test_growth_of_errors_is_measured() -> None:
    steps = np.arange(1.0, 13)
    far = float(np.mean(np.log(steps)))
    signs = np.where(np.arange(12) % 2 == 0, 1.0, -1.0)
    # One step is as wrong as all; errors of one size are spread as a normal of 1 / 0.676 is.
    flat = intervals.measure(np.ones(100), [signs] * 4, 1.0 / 0.676)
    assert flat["growth"] == pytest.approx(0.0, abs=1e-4)
    # Nearer and farther errors are alike, but one step is half as wrong: two origins against four.
    apart = intervals.measure(np.ones(100), [signs] * 4, 0.5 / 0.676)
    assert apart["growth"] == pytest.approx(2 / 6 * np.log(2.0) / far, rel=1e-4)
    steep = intervals.measure(np.ones(100), [signs * steps] * 4, 1.0 / 0.676)
    assert steep["growth"] == pytest.approx(1.0, abs=0.07)
    # Nothing was measured: a random walk.
    assert intervals.measure(np.ones(100), [], 1.0)["growth"] == 0.5


def test_errors_that_grow_with_the_level_are_shares_of_it() -> None:
    rng = np.random.default_rng(3)
    means = [np.geomspace(50.0, 200.0, 12) for _ in range(4)]
    errors = [0.1 * mean * rng.normal(size=12) for mean in means]
    shares = intervals.measure(np.full(100, 100.0), errors, 10.0, means=means)
    assert shares["level"] == pytest.approx(np.mean(means[0]))
    wide = intervals.surround(np.array([50.0, 200.0]), shares | {"growth": 0.0}, (0.8,))
    width = wide.upper[0] - wide.lower[0]
    assert width[1] == pytest.approx(4 * width[0])
    # Errors of one size stay so, and so do those of a series that is not always above zero.
    even = [rng.normal(size=12) for _ in means]
    assert "level" not in intervals.measure(np.full(100, 100.0), even, 1.0, means=means)
    assert "level" not in intervals.measure(np.r_[0.0, np.ones(99)], errors, 10.0, means=means)


@pytest.mark.parametrize("walk", [0.0, 1.0])
def test_every_step_is_covered(walk: float) -> None:
    """Of a steady series and of a random walk 80 % come within the interval, near and far."""
    rng = np.random.default_rng(11)
    inside = np.zeros(12)
    model = kind("ets")
    batch, came = [], []
    for _ in range(150):
        noise = rng.normal(size=132)
        values = 100.0 + (np.cumsum(noise) if walk else noise)
        batch.append(Series(values[:120]))
        came.append(values[120:])
    options = model.check_options({})
    for one, y in zip(model.fit(batch, 12, options, no_check), came, strict=True):
        assert isinstance(one, Fit)
        found = model.forecast(one.parameters, 12, (0.8,))
        inside += (found.lower[0] <= y) & (y <= found.upper[0])
    share = inside / len(batch)
    # Of 150 series 80 % are 73 to 87 nineteen times in twenty.
    assert 0.73 < share[0] < 0.90
    assert 0.73 < np.mean(share[4:8]) < 0.91
    assert 0.73 < np.mean(share[-4:]) < 0.91


def test_a_wrong_value_of_an_option_names_the_right_ones() -> None:
    with pytest.raises(BadOptions) as raised:
        kind("seasonal_naive").check_options({"season": 12})
    assert raised.value.hint is not None and "longest" in raised.value.hint
