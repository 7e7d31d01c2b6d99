"""Prophet: fitted by the library, scored by numpy; equal to the library, cancelled, cleaned up."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.unit.forecasting_series import AIR_PASSENGERS
from weighhouse.errors import BadOptions, MissingRegressor, TooFewObservations
from weighhouse.forecasting import prophet, traits
from weighhouse.forecasting.contract import Calendar, Fit, Regressors, Series, no_check

HORIZON = 24
LEVELS = (0.5, 0.8, 0.95)
MONTHS = Calendar("month", 1, np.datetime64("1949-01-01", "s"))
DAYS = Calendar("day", 1, np.datetime64("2025-01-01", "s"))
AIR = Series(AIR_PASSENGERS, (12,), MONTHS)

pytestmark = pytest.mark.filterwarnings("default")


def fitted(series: Series, **options: Any) -> Fit:
    (found,) = prophet.fit([series], HORIZON, prophet.check_options(options), no_check)
    assert isinstance(found, Fit), found
    return found


@cache
def air() -> Fit:
    return fitted(AIR)


def shop(n: int = 100, ahead: int = HORIZON) -> Series:
    """Daily sales with a week, a price, and two holidays: one doubles sales, one never was yet."""
    rng = np.random.default_rng(8)
    feast = np.zeros(n + ahead)
    feast[[10, 40, 70, n + 3]] = 1.0
    never = np.zeros(n + ahead)
    never[n + 5] = 1.0
    price = 10 + rng.normal(0, 1, n + ahead)
    t = np.arange(n + ahead)
    values = 100 + 0.3 * t + 15 * np.sin(2 * np.pi * t / 7) + 80 * feast - 8 * (price - 10)
    values = values + rng.normal(0, 2, n + ahead)
    names = ("holiday: feast", "price", "holiday: never")
    known = Regressors(names, np.stack([feast, price, never], axis=1))
    return Series(values[:n], (7,), DAYS, known)


@cache
def sold() -> Fit:
    return fitted(shop())


def test_is_a_kind_of_one_series_with_regressors() -> None:
    assert traits("prophet") == {
        "family": "series",
        "learns": False,
        "continues": False,
        "regressors": True,
    }
    assert prophet.check_options(prophet.check_options({})) == prophet.check_options({})
    with pytest.raises(BadOptions):
        prophet.update(air().parameters, np.ones(1))


@pytest.mark.parametrize(
    "options",
    [
        {"no": 1},
        {"growth": "logistic"},
        {"changepoint_prior_scale": 0},
        {"n_changepoints": 2.5},
        {"changepoint_range": 1.1},
        {"weekly_seasonality": "yes"},
        {"yearly_seasonality": -1},
        {"seasonality_prior_scale": True},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        prophet.check_options(options)
    assert raised.value.hint


def reference(series: Series, **options: Any) -> Any:
    """Fit with Prophet itself, its own child process and all, the same seasons."""
    import pandas
    from prophet import Prophet

    logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)
    n = len(series.values)
    assert series.calendar is not None
    times = pandas.DatetimeIndex(series.calendar.times(0, n + HORIZON))
    frame = pandas.DataFrame({"ds": times[:n], "y": series.values})
    holidays = None
    if series.regressors is not None:
        holidays = pandas.DataFrame(
            {"holiday": "feast", "ds": times[series.regressors.values[:, 0] == 1.0]}
        )
    model = Prophet(holidays=holidays, yearly_seasonality=False, **options)
    future = pandas.DataFrame({"ds": times[n:]})
    if series.regressors is not None:
        model.add_regressor("price")
        frame["price"] = series.regressors.values[:n, 1]
        future["price"] = series.regressors.values[n:, 1]
    else:
        model.add_seasonality("yearly", 365.25, 6)
    np.random.seed(1)
    return model.fit(frame, seed=1).predict(future), model


@pytest.mark.parametrize(
    ("series", "options"),
    [
        (AIR, {}),
        (AIR, {"seasonality_mode": "multiplicative", "changepoint_prior_scale": 0.5}),
        (AIR, {"growth": "flat"}),
        (shop(), {}),
    ],
)
def test_forecasts_are_those_of_the_library(series: Series, options: dict[str, Any]) -> None:
    """Means from its own parameters to 1e-6, fitted ones nearly; intervals by statistics."""
    theirs, model = reference(series, **options)
    ours = fitted(series, **options)
    own = ours.parameters | {
        "k": float(model.params["k"][0, 0]),
        "m": float(model.params["m"][0, 0]),
        "sigma": float(model.params["sigma_obs"][0, 0]),
        "delta": model.params["delta"][0].tolist(),
        "beta": model.params["beta"][0].tolist(),
    }
    mean = theirs["yhat"].to_numpy()
    ahead = prophet.forecast(own, HORIZON, LEVELS)
    np.testing.assert_allclose(ahead.mean, mean, rtol=1e-6)
    width = (theirs["yhat_upper"] - theirs["yhat_lower"]).to_numpy()
    ours_width = ahead.upper[1] - ahead.lower[1]
    # A thousand draws each: a few percent either way.
    assert 0.93 < float(np.mean(ours_width / width)) < 1.07
    fit_mean = prophet.forecast(ours.parameters, HORIZON, LEVELS).mean
    np.testing.assert_allclose(fit_mean, mean, rtol=0.02)


def test_same_data_same_result_and_json() -> None:
    again = fitted(AIR)
    assert again == air()
    back = json.loads(json.dumps(again.parameters, allow_nan=False))
    assert back == again.parameters
    first = prophet.forecast(back, HORIZON, LEVELS)
    np.testing.assert_array_equal(
        first.lower, prophet.forecast(air().parameters, HORIZON, LEVELS).lower
    )
    # Nobody else's random numbers were touched.
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    fitted(replace(AIR, values=AIR.values[:40]))
    assert np.random.random() == expected


def test_intervals_are_nested_and_do_not_depend_on_the_horizon() -> None:
    ahead = prophet.forecast(air().parameters, 100, LEVELS)
    bounds = np.vstack([ahead.lower[::-1], ahead.mean[None], ahead.upper])
    assert (np.diff(bounds, axis=0) >= 0.0).all() and (ahead.lower >= 0.0).all()
    short = prophet.forecast(air().parameters, 1, LEVELS)
    np.testing.assert_allclose(short.mean, ahead.mean[:1], rtol=1e-12)
    # The chance of a bend is that of an average month; it differs a little by horizon.
    np.testing.assert_allclose(short.upper, ahead.upper[:, :1], rtol=0.01)


def test_constant_zero_short_and_huge_series() -> None:
    for value in (7.0, 0.0, -3.25):
        found = fitted(Series(np.full(50, value), (12,), MONTHS))
        assert found.note == "constant series"
        ahead = prophet.forecast(found.parameters, 12, LEVELS)
        np.testing.assert_allclose(ahead.mean, value, atol=1e-6)
    for n in (prophet.MINIMUM, 9, 25):
        ahead = prophet.forecast(
            fitted(Series(AIR_PASSENGERS[:n], (), MONTHS)).parameters, 12, LEVELS
        )
        assert np.isfinite(ahead.mean).all()
    for factor in (1e12, 1e-9):
        huge = fitted(replace(AIR, values=AIR.values * factor))
        mean = prophet.forecast(huge.parameters, 12, LEVELS).mean
        expected = prophet.forecast(air().parameters, 12, LEVELS).mean * factor
        np.testing.assert_allclose(mean, expected, rtol=1e-3)


def test_errors_stand_in_place() -> None:
    batch = [Series(np.ones(3), (), MONTHS), Series(AIR_PASSENGERS), AIR]
    short, timeless, good = prophet.fit(batch, 12, prophet.check_options({}), no_check)
    assert isinstance(short, TooFewObservations) and short.hint
    assert isinstance(timeless, BadOptions) and timeless.hint
    assert isinstance(good, Fit) and good.label == "Prophet(linear, yearly)"


def test_holidays_and_regressors_have_their_effects() -> None:
    found = sold()
    assert found.label == "Prophet(linear, weekly, 1 holidays, 1 regressors)"
    ahead = prophet.forecast(found.parameters, HORIZON, LEVELS)
    series = shop()
    assert series.regressors is not None
    rows = series.regressors.values.copy()
    rows[103, 0] = 0.0
    without = prophet.forecast(
        fitted(replace(series, regressors=Regressors(series.regressors.names, rows))).parameters,
        HORIZON,
        LEVELS,
    )
    # The feast adds 80; what comes on other days is the same.
    assert ahead.mean[3] - without.mean[3] == pytest.approx(80, abs=8)
    np.testing.assert_allclose(np.delete(ahead.mean - without.mean, 3), 0.0, atol=1.0)


def test_a_regressor_that_is_not_known_ahead_is_named() -> None:
    series = shop(ahead=10)
    found = fitted(series)
    with pytest.raises(MissingRegressor) as raised:
        prophet.forecast(found.parameters, 11, LEVELS)
    # 110 days after 1 January 2025.
    assert "2025-04-21" in str(raised.value) and raised.value.hint
    assert prophet.forecast(found.parameters, 10, LEVELS).mean.shape == (10,)


class Cancelled(BaseException):
    """Not an Exception, as a cancelled statement is not."""


def left(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith("weighhouse_prophet_")]


def children() -> set[str]:
    return set(Path("/proc/self/task").joinpath(str(_thread()), "children").read_text().split())


def _thread() -> int:
    import threading

    return threading.get_native_id()


def test_a_cancel_ends_the_child_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A fit of seconds, cancelled in its midst."""
    air()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rng = np.random.default_rng(1)
    long = Series(np.cumsum(rng.normal(size=20_000)), (7,), DAYS)
    options = prophet.check_options({"n_changepoints": 1000, "changepoint_prior_scale": 10.0})
    before = children()
    seen: list[set[str]] = []
    started = [time.perf_counter()]

    def check() -> None:
        running = children() - before
        if running:
            seen.append(running)
            if len(seen) > 5:
                started.append(time.perf_counter())
                raise Cancelled

    with pytest.raises(Cancelled):
        prophet.fit([long], 12, options, check)
    assert time.perf_counter() - started[-1] < 2.0
    assert seen and children() == before
    assert left(tmp_path) == []


def test_a_cancel_before_and_after_comes_through() -> None:
    def after(calls: int) -> Callable[[], None]:
        counter = [calls]

        def check() -> None:
            counter[0] -= 1
            if counter[0] < 0:
                raise Cancelled

        return check

    for calls in (0, 1, 2):
        with pytest.raises(Cancelled):
            prophet.fit([AIR], 12, prophet.check_options({}), after(calls))


def test_says_nothing_and_leaves_no_files(tmp_path: Path) -> None:
    """In a process of its own: what it prints would be in the server's log."""
    program = """
import numpy as np
from tests.unit.test_forecasting_prophet import AIR, fitted
print(fitted(AIR).label)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'plpython'}", "TMPDIR": str(tmp_path)},
    )
    assert done.stdout == "Prophet(linear, yearly)\n"
    assert done.stderr == ""
    assert left(tmp_path) == []


def test_scores_without_the_library() -> None:
    program = f"""
import json, sys
from weighhouse.forecasting import kind
parameters = json.loads({json.dumps(sold().parameters)!r})
ahead = kind("prophet").forecast(parameters, {HORIZON}, {LEVELS})
heavy = {{"prophet", "pandas", "scipy", "sklearn", "cmdstanpy"}} & set(sys.modules)
print(json.dumps([sorted(heavy), ahead.mean.tolist()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "plpython")},
    )
    heavy, mean = json.loads(done.stdout)
    assert heavy == []
    expected = prophet.forecast(sold().parameters, HORIZON, LEVELS).mean
    np.testing.assert_array_equal(mean, expected)
