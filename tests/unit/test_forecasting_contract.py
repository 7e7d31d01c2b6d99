"""The list every kind of forecasting model passes."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from tests import timing
from weighhouse import artifacts, forecasting
from weighhouse.errors import BadOptions, TooFewObservations, WeighhouseError
from weighhouse.forecasting import KINDS
from weighhouse.forecasting.applied import Applied, learn, learns
from weighhouse.forecasting.contract import (
    Calendar,
    Fit,
    Floats,
    Forecast,
    Kind,
    Parameters,
    Result,
    Series,
    no_check,
)
from weighhouse.learnt import pack

HORIZON = 6
LEVELS = (0.8, 0.95)
# f(y + c) = f(y) + c: not for kinds that may choose something multiplicative.
SHIFTING = {"naive", "seasonal_naive", "drift", "arima"}

# Where torch is not, tests/db/test_kinds.py runs these in a server that has it.
NO_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed here"
)
# Prophet does what its pandas will not do for ever.
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MARKS = {"lstm": NO_TORCH, "gru": NO_TORCH, "nhits": NO_TORCH, "prophet": OLD}

pytestmark = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=MARKS.get(name, ())) for name in KINDS]
)


class Together:
    """A kind that learns, called like one that does not: it learns from each batch it is given."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(forecasting.kind(self.name), attribute)

    def fit(
        self,
        batch: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
    ) -> list[Result]:
        try:
            learnt = learn(self.name, batch, horizon, options, check)
        except TooFewObservations as error:
            return [error for _ in batch]
        assert learnt is not None
        # The same content has the same name.
        id = hashlib.sha256(json.dumps(learnt.header).encode() + pack(learnt.arrays)).hexdigest()
        artifacts.ARTIFACTS.put(id, learnt, 0)
        return Applied(self.name, learnt, id).fit(batch, horizon, options, check)

    def forecast(self, parameters: Parameters, horizon: int, levels: Sequence[float]) -> Forecast:
        return Applied.of(self.name, parameters).forecast(parameters, horizon, levels)

    def update(self, parameters: Parameters, values: Floats) -> Parameters:
        return Applied.of(self.name, parameters).update(parameters, values)


def kind(name: str) -> Kind:
    return cast(Kind, Together(name)) if learns(name) else forecasting.kind(name)


@pytest.fixture(autouse=True)
def forget(name: str) -> None:
    artifacts.ARTIFACTS.clear()


def monthly(n: int = 60, seed: int = 1, level: float = 100.0) -> Floats:
    """Trend, season of 12 and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    wave = 0.1 * level * np.sin(2 * np.pi * t / 12)
    return np.asarray(level + 0.002 * level * t + wave + rng.normal(0, 0.03 * level, n))


def series(values: Any, *seasons: int) -> Series:
    calendar = Calendar("month", 1, np.datetime64("2015-01-01", "s"))
    return Series(np.asarray(values, dtype=float), seasons, calendar)


def fit_one(model: Kind, one: Series, horizon: int = HORIZON) -> Fit:
    (result,) = model.fit([one], horizon, model.check_options({}), no_check)
    if isinstance(result, WeighhouseError):
        raise result
    return result


def forecast_one(model: Kind, one: Series, horizon: int = HORIZON) -> Forecast:
    ahead = model.forecast(fit_one(model, one, horizon).parameters, horizon, LEVELS)
    check_form(ahead, horizon)
    return ahead


def check_form(ahead: Forecast, horizon: int, levels: int = len(LEVELS)) -> None:
    assert ahead.mean.shape == (horizon,)
    assert ahead.lower.shape == ahead.upper.shape == (levels, horizon)
    for values in (ahead.mean, ahead.lower, ahead.upper):
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
    assert (ahead.lower <= ahead.mean).all()
    assert (ahead.mean <= ahead.upper).all()


def same(a: Forecast, b: Forecast, *, relative: float = 0.0) -> None:
    size = float(np.max(np.abs(a.mean))) * relative
    np.testing.assert_allclose(a.mean, b.mean, rtol=relative, atol=size)
    np.testing.assert_allclose(a.lower, b.lower, rtol=relative, atol=size)
    np.testing.assert_allclose(a.upper, b.upper, rtol=relative, atol=size)


def varied() -> list[Series]:
    """A batch of different lengths, seasons and levels."""
    return [
        series(monthly(), 12),
        series(monthly(47, 2, 5.0), 12),
        series(monthly(60, 3, 1e6), 12),
        series(monthly(30, 4)),
        series(np.cumsum(np.random.default_rng(5).normal(size=40)), 4),
        series(np.full(40, 3.0), 12),
        series(monthly(96, 6), 12),
    ]


def test_has_the_names_of_a_kind(name: str) -> None:
    model = kind(name)
    assert name == model.NAME
    assert model.FORMAT >= 1
    assert model.MINIMUM >= 1
    assert isinstance(model.CAN_UPDATE, bool)
    assert isinstance(model.check_options({}), dict)
    # Completed options are options.
    assert model.check_options(model.check_options({})) == model.check_options({})


@pytest.mark.parametrize("seasons", [(), (12,)])
def test_constant_series_stays_constant(name: str, seasons: tuple[int, ...]) -> None:
    for value in (7.0, -3.25, 0.1):
        ahead = forecast_one(kind(name), series(np.full(50, value), *seasons))
        np.testing.assert_allclose(ahead.mean, value, rtol=1e-6)


@pytest.mark.parametrize("seasons", [(), (12,)])
def test_all_zero_stays_zero(name: str, seasons: tuple[int, ...]) -> None:
    ahead = forecast_one(kind(name), series(np.zeros(50), *seasons))
    np.testing.assert_allclose(ahead.mean, 0.0, atol=1e-12)


def test_too_short_is_an_error_in_its_place(name: str) -> None:
    model = kind(name)
    short = series(np.arange(1.0, model.MINIMUM))
    long = series(monthly(), 12)
    first, second = model.fit([short, long], HORIZON, model.check_options({}), no_check)
    assert isinstance(first, TooFewObservations)
    assert first.hint
    assert isinstance(second, Fit)


@pytest.mark.parametrize("seasons", [(), (4, 12)])
def test_every_length_from_the_minimum_on(name: str, seasons: tuple[int, ...]) -> None:
    model = kind(name)
    values = monthly(40)
    # A program of its own runs for each series of Prophet.
    lengths = (1, 2, 3, 11, 12, 23, 24, 40) if name == "prophet" else range(1, 41)
    batch = [series(values[:n], *seasons) for n in lengths]
    results = model.fit(batch, HORIZON, model.check_options({}), no_check)
    for n, result in zip(lengths, results, strict=True):
        if n < model.MINIMUM:
            assert isinstance(result, TooFewObservations)
        elif isinstance(result, Fit):
            check_form(model.forecast(result.parameters, HORIZON, LEVELS), HORIZON)
        else:
            # The season may need more; then it says so.
            assert isinstance(result, TooFewObservations)
            assert seasons


@pytest.mark.parametrize("factor", [1e12, 1e-9, 1000.0, 0.37])
def test_scale_equivariance(name: str, factor: float) -> None:
    model = kind(name)
    before = forecast_one(model, series(monthly(), 12))
    after = forecast_one(model, series(monthly() * factor, 12))
    scaled = Forecast(before.mean * factor, before.lower * factor, before.upper * factor)
    same(after, scaled, relative=1e-6)


def test_shift_equivariance(name: str) -> None:
    if name not in SHIFTING:
        assert name in {"ets", "theta", "decomposition", "auto", "prophet"} or learns(name)
        return
    model = kind(name)
    before = forecast_one(model, series(monthly(), 12))
    after = forecast_one(model, series(monthly() + 1000, 12))
    moved = Forecast(before.mean + 1000, before.lower + 1000, before.upper + 1000)
    same(after, moved, relative=1e-6)


def test_negative_values(name: str) -> None:
    forecast_one(kind(name), series(-monthly(), 12))
    forecast_one(kind(name), series(monthly() - 105, 12))


def test_one_outlier(name: str) -> None:
    for where in (0, 30, 59):
        values = monthly()
        values[where] *= 1e4
        forecast_one(kind(name), series(values, 12))


ODD = {
    "line": np.arange(50.0),
    "pure season": np.tile(np.arange(12.0), 5),
    "zeros, then one": np.r_[np.zeros(49), 1.0],
    "one, then zeros": np.r_[1.0, np.zeros(49)],
    "step": np.r_[np.zeros(25), np.ones(25)],
    "intermittent": np.tile([0.0, 0.0, 0.0, 5.0], 15),
    "alternating": np.where(np.arange(60) % 2 == 0, 1.0, -1.0),
    "exponential": np.exp(0.2 * np.arange(60)),
    "noise on a large level": 1e12 + np.random.default_rng(0).normal(size=60),
    "near unit root": 0.999 ** np.arange(60),
    "integrated twice": np.cumsum(np.cumsum(np.random.default_rng(0).normal(size=80))),
}


@pytest.mark.parametrize("seasons", [(), (12,)])
def test_odd_series_are_forecast(name: str, seasons: tuple[int, ...]) -> None:
    model = kind(name)
    batch = [series(values, *seasons) for values in ODD.values()]
    results = model.fit(batch, 24, model.check_options({}), no_check)
    for (what, values), result in zip(ODD.items(), results, strict=True):
        assert isinstance(result, Fit), what
        ahead = model.forecast(result.parameters, 24, LEVELS)
        check_form(ahead, 24)
        assert np.max(np.abs(ahead.mean)) < 1e4 * max(1.0, float(np.max(np.abs(values)))), what


def test_same_input_same_output(name: str) -> None:
    model = kind(name)
    assert fit_one(model, series(monthly(), 12)) == fit_one(model, series(monthly(), 12))


def test_a_series_does_not_depend_on_its_batch(name: str) -> None:
    options = kind(name).check_options({})
    batch = varied()
    # What is learnt depends on all; what is then made of a series does not.
    model = Applied(name, learn(name, batch, HORIZON, options, no_check))
    together = model.fit(batch, HORIZON, options, no_check)
    backwards = model.fit(batch[::-1], HORIZON, options, no_check)[::-1]
    for one, result, other in zip(batch, together, backwards, strict=True):
        assert isinstance(result, Fit)
        assert isinstance(other, Fit)
        assert result.label == other.label
        (alone,) = model.fit([one], HORIZON, options, no_check)
        assert isinstance(alone, Fit)
        for twin in (other, alone):
            same(
                model.forecast(result.parameters, HORIZON, LEVELS),
                model.forecast(twin.parameters, HORIZON, LEVELS),
                relative=1e-9,
            )


def test_no_batch_no_result(name: str) -> None:
    model = kind(name)
    assert model.fit([], HORIZON, model.check_options({}), no_check) == []


def test_what_is_given_is_not_changed(name: str) -> None:
    model = kind(name)
    given = monthly()
    given.flags.writeable = False
    fitted = fit_one(model, series(given, 12))
    text = json.dumps(fitted.parameters)
    model.forecast(fitted.parameters, HORIZON, LEVELS)
    assert json.dumps(fitted.parameters) == text


def test_any_horizon(name: str) -> None:
    model = kind(name)
    results = model.fit(varied(), HORIZON, model.check_options({}), no_check)
    for result in results:
        assert isinstance(result, Fit)
        first = model.forecast(result.parameters, 1, LEVELS)
        far = model.forecast(result.parameters, 400, LEVELS)
        check_form(first, 1)
        check_form(far, 400)
        np.testing.assert_allclose(far.mean[0], first.mean[0], rtol=1e-12)


@pytest.mark.parametrize("horizon", [1, 400])
def test_fitted_for_any_horizon(name: str, horizon: int) -> None:
    forecast_one(kind(name), series(monthly(), 12), horizon)


def test_a_higher_level_is_wider(name: str) -> None:
    model = kind(name)
    fitted = fit_one(model, series(monthly(), 12))
    levels = (0.99, 0.5, 0.8, 0.95)
    ahead = model.forecast(fitted.parameters, HORIZON, levels)
    check_form(ahead, HORIZON, len(levels))
    width = (ahead.upper - ahead.lower)[np.argsort(levels)]
    assert (np.diff(width, axis=0) > 0).all()
    check_form(model.forecast(fitted.parameters, HORIZON, ()), HORIZON, 0)


def test_parameters_survive_json(name: str) -> None:
    model = kind(name)
    for fitted in model.fit(varied(), HORIZON, model.check_options({}), no_check):
        assert isinstance(fitted, Fit)
        back = json.loads(json.dumps(fitted.parameters, allow_nan=False))
        assert back == fitted.parameters
        same(
            model.forecast(back, HORIZON, LEVELS),
            model.forecast(fitted.parameters, HORIZON, LEVELS),
        )
        assert fitted.label
        assert fitted.note is None or fitted.note


def test_update_in_parts_equals_update_at_once(name: str) -> None:
    model = kind(name)
    if not model.CAN_UPDATE:
        return
    values = monthly(72)
    fitted = fit_one(model, series(values[:50], 12))
    before = json.dumps(fitted.parameters)
    once = model.update(fitted.parameters, values[50:])
    assert json.dumps(fitted.parameters) == before
    parts = fitted.parameters
    for at in range(50, 72):
        parts = model.update(parts, values[at : at + 1])
    json.dumps(once, allow_nan=False)
    same(model.forecast(once, 24, LEVELS), model.forecast(parts, 24, LEVELS), relative=1e-9)
    untouched = model.update(fitted.parameters, values[:0])
    same(
        model.forecast(untouched, 24, LEVELS),
        model.forecast(fitted.parameters, 24, LEVELS),
        relative=1e-9,
    )


def test_update_forgets_nothing_of_a_constant_series(name: str) -> None:
    model = kind(name)
    if not model.CAN_UPDATE:
        return
    fitted = fit_one(model, series(np.full(50, 7.0), 12))
    ahead = model.forecast(model.update(fitted.parameters, np.full(5, 7.0)), HORIZON, LEVELS)
    check_form(ahead, HORIZON)
    np.testing.assert_allclose(ahead.mean, 7.0, rtol=1e-6)


def test_unknown_option_names_the_known(name: str) -> None:
    with pytest.raises(BadOptions) as raised:
        kind(name).check_options({"no_such_option": 1})
    assert raised.value.hint


class Cancelled(BaseException):
    """Not an Exception, as a cancelled statement is not."""


def after(calls: int) -> Callable[[], None]:
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    return check


def test_a_cancel_comes_through(name: str) -> None:
    model = kind(name)
    batch = [series(monthly(60, seed), 12) for seed in range(4)]
    for calls in (0, 1, 3):
        with pytest.raises(Cancelled):
            model.fit(batch, HORIZON, model.check_options({}), after(calls))


def test_looks_for_interrupts_often(name: str) -> None:
    model = kind(name)
    rng = np.random.default_rng(3)
    t = np.arange(504)
    hourly = 50 + 10 * np.sin(2 * np.pi * t / 24) + 5 * np.sin(2 * np.pi * t / 168)
    batch = [
        *(series(monthly(100, seed), 12) for seed in range(3)),
        series(hourly + rng.normal(size=t.size), 24, 168),
        series(100 + np.cumsum(rng.normal(size=1500)), 7),
    ]
    model.fit(batch[:1], HORIZON, model.check_options({}), no_check)

    def longest() -> float:
        seen = [time.perf_counter()]
        model.fit(batch, HORIZON, model.check_options({}), lambda: seen.append(time.perf_counter()))
        return float(max(np.diff([*seen, time.perf_counter()])))

    # 100 ms is the rule; a shared machine takes its breaks.
    assert timing.best(longest, 0.5) < 0.5
