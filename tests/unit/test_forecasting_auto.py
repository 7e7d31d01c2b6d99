"""The combination: weights from past errors, and what it makes of odd series."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from tests.unit.forecasting_series import AIR_PASSENGERS
from weighhouse.errors import BadOptions
from weighhouse.forecasting import auto, rolling
from weighhouse.forecasting.contract import Fit, Floats, Series, no_check
from weighhouse.forecasting.recipe import RECIPES, fit_recipes, forecast_recipe


def fitted(values: Floats, *seasons: int, horizon: int = 12, **options: Any) -> Fit:
    (result,) = auto.fit([Series(values, seasons)], horizon, auto.check_options(options), no_check)
    assert isinstance(result, Fit), result
    return result


def weights(one: Fit) -> dict[str, float]:
    return {member["method"]: member["weight"] for member in one.parameters["members"]}


def test_weights_are_the_squared_inverse_of_past_errors() -> None:
    names = ["naive", "theta", "damped"]
    one = fitted(AIR_PASSENGERS, 12, methods=names, origins=2)
    errors = []
    for name in names:
        away = []
        for n in (132, 120):
            (parameters,) = fit_recipes(
                [(Series(AIR_PASSENGERS[:n], (12,)), RECIPES[name])], no_check
            )
            ahead = forecast_recipe(parameters, 12)
            away.append(np.mean(np.abs(ahead - AIR_PASSENGERS[n : n + 12])))
        errors.append(np.mean(away))
    expected = np.array(errors) ** -2.0
    expected /= expected.sum()
    found = weights(one)
    # A weight of less than a fiftieth of the greatest is dropped.
    for name, weight in zip(names, expected, strict=True):
        if weight > 0.05:
            assert found[name] == pytest.approx(weight, rel=0.05)
    assert sum(found.values()) == pytest.approx(1.0)


def test_forecast_is_the_weighted_mean_of_its_members() -> None:
    one = fitted(AIR_PASSENGERS, 12)
    mean = sum(
        member["weight"] * forecast_recipe(member["parameters"], 12)
        for member in one.parameters["members"]
    )
    np.testing.assert_allclose(auto.forecast(one.parameters, 12, (0.8,)).mean, mean)


def test_sharpness_of_nothing_weighs_all_alike() -> None:
    found = weights(fitted(AIR_PASSENGERS, 12, sharpness=0))
    assert max(found.values()) == pytest.approx(min(found.values()))


def test_what_has_no_season_gets_no_seasonal_method() -> None:
    values = np.cumsum(np.random.default_rng(9).normal(0.5, 1.0, 60)) + 100
    assert not {"last_season", "stable_season", "levels_raw"} & set(weights(fitted(values)))


def test_hours_use_the_week() -> None:
    t = np.arange(24 * 7 * 5)
    rng = np.random.default_rng(10)
    values = 100 + 20 * np.sin(2 * np.pi * t / 24) + 15 * ((t // 24) % 7 >= 5)
    values = values + rng.normal(size=len(t))
    one = fitted(values[:-48], 24, 168, horizon=48)
    mean = auto.forecast(one.parameters, 48, (0.8,)).mean
    # Noise of 1; the day alone would miss the weekend by 15.
    assert float(np.mean(np.abs(mean - values[-48:]))) < 2.0
    assert any(name.startswith("levels") for name in weights(one))


def test_a_straight_line_goes_on() -> None:
    values = 50.0 + 3.0 * np.arange(40)
    mean = auto.forecast(fitted(values, horizon=5).parameters, 5, (0.8,)).mean
    np.testing.assert_allclose(mean, 50.0 + 3.0 * np.arange(40, 45), rtol=0.01)


def test_update_moves_every_member() -> None:
    one = fitted(AIR_PASSENGERS[:120], 12)
    updated = auto.update(one.parameters, AIR_PASSENGERS[120:])
    assert [m["weight"] for m in updated["members"]] == list(weights(one).values())
    assert {m["parameters"]["count"] for m in updated["members"]} == {144}
    # 1961 as a fit of all the years sees it, and not as one of the first ten does.
    after = auto.forecast(updated, 12, (0.8,)).mean
    again = auto.forecast(fitted(AIR_PASSENGERS, 12).parameters, 12, (0.8,)).mean
    np.testing.assert_allclose(after, again, rtol=0.05)


def test_earlier_origins() -> None:
    # A horizon apart; closer where the series is short for that; fewer steps for the very short.
    assert rolling.cuts(100, 12, 4) == [(88, 12), (76, 12), (64, 12), (52, 12)]
    assert rolling.cuts(14, 6, 4) == [(12, 2), (10, 4), (8, 6)]
    assert rolling.cuts(5, 6, 4) == [(4, 1), (3, 2), (2, 3)]
    assert rolling.cuts(1, 6, 4) == []


def test_a_short_history_still_answers() -> None:
    for n in range(1, 6):
        one = auto.forecast(fitted(np.arange(1.0, n + 1)).parameters, 12, (0.8, 0.95))
        assert np.isfinite(one.upper).all()


def test_forecasting_is_quick() -> None:
    t = np.arange(800)
    one = fitted(100 + 10 * np.sin(t / 24 * 2 * np.pi) + np.cos(t / 168 * 2 * np.pi), 24, 168)
    taken = []
    for _ in range(10):
        started = time.process_time()
        auto.forecast(one.parameters, 48, (0.8, 0.95))
        taken.append(time.process_time() - started)
    # A millisecond is meant; a loaded machine is slower.
    assert min(taken) < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"methods": []},
        {"methods": ["prophet"]},
        {"methods": "theta"},
        {"origins": 0},
        {"origins": 2.5},
        {"sharpness": -1},
        {"sharpness": "high"},
        {"season": 12},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        auto.check_options(options)
    assert raised.value.hint
