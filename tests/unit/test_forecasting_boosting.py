"""Kinds that boost trees over the lags of all series: LightGBM's and XGBoost's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest

from tests import timing
from tests.conftest import ROOT
from weighhouse.errors import BadOptions, MissingRegressor, TooFewObservations
from weighhouse.forecasting import boosted, kind, lags, traits
from weighhouse.forecasting.contract import (
    Calendar,
    Fit,
    Floats,
    Forecast,
    LearningKind,
    Regressors,
    Series,
    no_check,
)
from weighhouse.learnt import Learnt, pack, unpack
from weighhouse.trees import Trees

HORIZON = 6
LEVELS = (0.5, 0.8, 0.95, 0.999)
NAMES = ("boosting", "xgboost_lags")
OPTIONS = {"rounds": 20, "learning_rate": 0.15, "leaves": 12}

pytestmark = pytest.mark.parametrize("name", NAMES)


def module(name: str) -> LearningKind:
    return cast(LearningKind, kind(name))


def monthly(n: int, seed: int, level: float = 100.0) -> Floats:
    """Trend, season of 12 and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    wave = 0.2 * level * np.sin(2 * np.pi * (t + seed) / 12)
    return np.asarray(level + 0.003 * level * t + wave + rng.normal(0, 0.03 * level, n))


@cache
def collection() -> tuple[Series, ...]:
    """Series of several levels and lengths, and the odd ones of a shop."""
    usual = [Series(monthly(60 + i % 30, i, 10.0 ** (i % 7 - 2)), (12,)) for i in range(14)]
    odd = [
        Series(np.full(40, 7.0), (12,)),
        Series(np.zeros(40), (12,)),
        Series(-monthly(60, 50), (12,)),
        Series(monthly(20, 51)),
        Series(np.arange(1.0, 4.0)),
        Series(monthly(60, 52, 1e12), (12,)),
        Series(np.tile([0.0, 0.0, 0.0, 5.0], 15), (12,)),
        Series(np.r_[monthly(59, 53), 1e6], (12,)),
    ]
    return (*usual, *odd)


@cache
def learnt(name: str) -> Learnt:
    model = module(name)
    return model.learn(collection(), HORIZON, model.check_options(OPTIONS), no_check, None)


def forecasts(name: str, series: Series, known: Learnt, horizon: int = HORIZON) -> Forecast:
    model = module(name)
    (fitted,) = model.fit([series], horizon, model.check_options({}), no_check, known)
    assert isinstance(fitted, Fit), fitted
    return model.forecast(fitted.parameters, horizon, LEVELS, known)


def same(a: Forecast, b: Forecast, tolerance: float = 0.0) -> None:
    for one, other in zip((a.mean, a.lower, a.upper), (b.mean, b.lower, b.upper), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_says_what_it_can(name: str) -> None:
    found = traits(name)
    assert found == {"family": "series", "learns": True, "continues": True, "regressors": True}
    model = module(name)
    assert model.check_options(model.check_options({})) == model.check_options({})


@pytest.mark.parametrize(
    "options",
    [{"no": 1}, {"rounds": 0}, {"rounds": 2.5}, {"leaves": True}, {"learning_rate": "x"}],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        module(name).check_options(options)
    assert raised.value.hint


def test_same_data_same_result(name: str) -> None:
    model = module(name)
    few = collection()[10:]
    first, again = (
        model.learn(few, HORIZON, model.check_options(OPTIONS), no_check, None) for _ in range(2)
    )
    assert again.header == first.header
    assert pack(again.arrays) == pack(first.arrays)
    assert again.native == first.native


def test_survives_json_and_pack(name: str) -> None:
    model = module(name)
    known = learnt(name)
    header = json.loads(json.dumps(known.header, allow_nan=False))
    back = Learnt(header, unpack(pack(known.arrays)), known.native, known.label)
    fits = model.fit(collection(), HORIZON, model.check_options({}), no_check, known)
    for series, fitted in zip(collection(), fits, strict=True):
        if len(series.values) < model.MINIMUM:
            assert isinstance(fitted, TooFewObservations) and fitted.hint
            continue
        assert isinstance(fitted, Fit)
        parameters = json.loads(json.dumps(fitted.parameters, allow_nan=False))
        assert parameters == fitted.parameters
        same(
            model.forecast(parameters, HORIZON, LEVELS, back),
            model.forecast(fitted.parameters, HORIZON, LEVELS, known),
        )


def test_forecasts_have_the_form_and_intervals_are_nested(name: str) -> None:
    for series in collection():
        if len(series.values) < boosted.MINIMUM:
            continue
        for horizon in (1, 2 * HORIZON + 1):
            ahead = forecasts(name, series, learnt(name), horizon)
            assert ahead.mean.shape == (horizon,)
            assert ahead.lower.shape == ahead.upper.shape == (len(LEVELS), horizon)
            for values in (ahead.mean, ahead.lower, ahead.upper):
                assert np.isfinite(values).all()
            bounds = np.vstack([ahead.lower[::-1], ahead.mean[None], ahead.upper])
            assert (np.diff(bounds, axis=0) >= 0.0).all()
            if float(np.min(series.values)) >= 0.0:
                assert (ahead.lower >= 0.0).all()


def test_constant_series_stay_constant(name: str) -> None:
    for value in (7.0, 0.0, -3.25):
        ahead = forecasts(name, Series(np.full(30, value), (12,)), learnt(name))
        np.testing.assert_allclose(ahead.mean, value)
        np.testing.assert_allclose(ahead.upper, value)


@pytest.mark.parametrize("factor", [1e9, 1e-6])
def test_scale_does_not_matter(name: str, factor: float) -> None:
    series = collection()[3]
    before = forecasts(name, series, learnt(name))
    after = forecasts(name, replace(series, values=series.values * factor), learnt(name))
    np.testing.assert_allclose(after.mean, before.mean * factor, rtol=1e-6)
    np.testing.assert_allclose(after.lower, before.lower * factor, rtol=1e-6)


def test_every_length_from_the_minimum_on(name: str) -> None:
    for n in range(boosted.MINIMUM, 40):
        ahead = forecasts(name, Series(monthly(n, 1), (12,)), learnt(name))
        assert np.isfinite(ahead.mean).all()


def test_nothing_to_learn_from(name: str) -> None:
    model = module(name)
    with pytest.raises(TooFewObservations) as raised:
        model.learn([Series(np.ones(2))], 3, model.check_options({}), no_check, None)
    assert raised.value.hint
    constant = model.learn([Series(np.ones(30))], 3, model.check_options({}), no_check, None)
    np.testing.assert_allclose(forecasts(name, Series(np.full(9, 2.0)), constant).mean, 2.0)


def test_one_short_series_is_enough(name: str) -> None:
    model = module(name)
    series = Series(monthly(14, 3))
    known = model.learn([series], HORIZON, model.check_options(OPTIONS), no_check, None)
    assert np.isfinite(forecasts(name, series, known).mean).all()


def test_numpy_scores_as_the_library_does(name: str) -> None:
    """Of the trees' sum, and against the library itself on what it stored."""
    known = learnt(name)
    layout = lags.Layout.load(known.header["layout"])
    series = lags.prepare(collection()[2], layout.season)
    steps = np.arange(1, HORIZON + 1)
    x, _ = lags.rows(series, np.full(HORIZON, len(series.z) - 1), steps, layout)
    ours = boosted._sum(known, x)
    trees = Trees.restore(known.arrays, known.header["trees"])
    assert known.native is not None and trees.count == known.header["rounds"]
    np.testing.assert_allclose(ours, trees.predict(x, no_check), rtol=1e-5, atol=1e-6)
    if name == "boosting":
        import lightgbm

        theirs = lightgbm.Booster(model_str=known.native.decode()).predict(x)
    else:
        import xgboost

        theirs = xgboost.Booster(model_file=bytearray(known.native)).predict(xgboost.DMatrix(x))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_rows_by_hand(name: str) -> None:
    """A line in units of its step: no season, each slope 1, a drift of the steps ahead."""
    series = lags.prepare(Series(np.arange(-20.0, 20.0)), 1)
    layout = lags.Layout(4, (), 2, (), ())
    assert (series.log, series.size) == (False, 1.0)
    x, base = lags.rows(series, np.array([30, 39]), np.array([1, 4]), layout)
    # The level is the mean of the last two, 9.5 and 18.5 of the line.
    np.testing.assert_allclose(base, [9.5, 18.5])
    np.testing.assert_allclose(x[:, 0], [1, 4])
    np.testing.assert_allclose(x[0, 1:5], 1.0)
    np.testing.assert_allclose(x[1, 1:5], 4.0)
    np.testing.assert_allclose(x[:, 5:7], [[0.5, -0.5], [0.5, -0.5]])


def test_no_row_knows_what_comes_after_its_origin(name: str) -> None:
    values = monthly(60, 5)
    layout = lags.Layout(HORIZON, (4, 12), 6, (), ())
    series = lags.prepare(Series(values, (4, 12)), 12)
    origins, steps = np.full(HORIZON, 40), np.arange(1, HORIZON + 1)
    x, base = lags.rows(series, origins, steps, layout)
    other = replace(series, z=np.r_[series.z[:41], np.zeros(19)])
    y, level = lags.rows(other, origins, steps, layout)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(base, level)


def test_rows_are_the_same_from_what_a_forecast_keeps(name: str) -> None:
    """What trees learn from knows of no more history than what they forecast from."""
    layout = lags.Layout(HORIZON, (12,), 6, (), ())
    whole = lags.prepare(Series(monthly(200, 5), (12,)), 12)
    kept = replace(whole, z=whole.z[-layout.history :])
    assert len(kept.z) < len(whole.z)
    steps = np.arange(1, HORIZON + 1)
    x, base = lags.rows(whole, np.full(HORIZON, 199), steps, layout)
    y, level = lags.rows(kept, np.full(HORIZON, len(kept.z) - 1), steps, layout)
    np.testing.assert_allclose(x, y, atol=2e-6)
    np.testing.assert_allclose(base, level)


def test_update_is_as_if_fitted_to_all(name: str) -> None:
    model = module(name)
    known = learnt(name)
    values = collection()[1].values
    (short,) = model.fit([Series(values[:30], (12,))], HORIZON, {}, no_check, known)
    assert isinstance(short, Fit)
    before = json.dumps(short.parameters)
    once = model.update(short.parameters, values[30:])
    assert json.dumps(short.parameters) == before
    parts = short.parameters
    for i in range(30, len(values)):
        parts = model.update(parts, values[i : i + 1])
    assert parts == once and once["count"] == len(values)
    (full,) = model.fit([Series(values, (12,))], HORIZON, {}, no_check, known)
    assert isinstance(full, Fit)
    # The size of change is what was measured before.
    fixed = full.parameters | {k: once[k] for k in ("size", "floor")}
    same(
        model.forecast(once, HORIZON, LEVELS, known),
        model.forecast(fixed, HORIZON, LEVELS, known),
    )


# ------------------------------------------------------------------------- regressors and calendar


def promoted(seed: int, n: int = 120, ahead: int = HORIZON) -> Series:
    """Daily sales that a promotion doubles, and Sundays halve; promotions ahead are known."""
    rng = np.random.default_rng(seed)
    promotion = (rng.random(n + ahead) < 0.2).astype(float)
    calendar = Calendar("day", 1, np.datetime64("2026-01-01", "s"))
    weekday = (calendar.times(0, n + ahead).astype("datetime64[D]").astype(int) + 3) % 7
    usual = 50.0 * (1 + seed) * np.where(weekday == 6, 0.5, 1.0)
    values = usual * (1 + promotion) * np.exp(rng.normal(0, 0.03, n + ahead))
    return Series(values[:n], (7,), calendar, Regressors(("promotion",), promotion[:, None].copy()))


@cache
def learnt_promotions(name: str) -> Learnt:
    model = module(name)
    batch = [promoted(seed) for seed in range(12)]
    return model.learn(
        batch, HORIZON, model.check_options({"rounds": 50, "learning_rate": 0.15}), no_check, None
    )


def test_a_promotion_ahead_raises_the_forecast(name: str) -> None:
    series = promoted(3)
    assert series.regressors is not None
    known = learnt_promotions(name)
    means = []
    for value in (0.0, 1.0):
        rows = series.regressors.values.copy()
        rows[120:] = value
        changed = replace(series, regressors=Regressors(("promotion",), rows))
        means.append(forecasts(name, changed, known).mean)
    # It doubles sales; trees of few rounds see most of it.
    assert (means[1] > 1.5 * means[0]).all()


def test_a_regressor_that_is_not_known_ahead_is_named(name: str) -> None:
    series = promoted(3)
    assert series.regressors is not None
    known = learnt_promotions(name)
    values = series.regressors.values.copy()
    values[122] = np.nan
    for rows, when in ((values, "2026-05-03"), (values[:121], "2026-05-02")):
        wrong = replace(series, regressors=Regressors(("promotion",), rows))
        with pytest.raises(MissingRegressor) as raised:
            forecasts(name, wrong, known)
        assert "promotion" in str(raised.value) and when in str(raised.value)
        assert raised.value.hint and raised.value.sqlstate == "ML105"
    assert forecasts(name, replace(series, regressors=wrong.regressors), known, 1).mean.shape == (
        1,
    )


def test_update_takes_regressors_from_what_was_ahead(name: str) -> None:
    model = module(name)
    known = learnt_promotions(name)
    series = promoted(3)
    assert series.regressors is not None
    (fitted,) = model.fit([series], HORIZON, {}, no_check, known)
    assert isinstance(fitted, Fit)
    told = series.regressors.values[120:]
    alone = model.update(fitted.parameters, np.full(2, 90.0))
    again = model.update(fitted.parameters, np.full(2, 90.0), Regressors(("promotion",), told))
    assert alone == again
    model.forecast(alone, HORIZON - 2, LEVELS, known)
    with pytest.raises(MissingRegressor):
        model.forecast(alone, HORIZON, LEVELS, known)


def test_other_regressors_than_learnt_are_refused(name: str) -> None:
    model = module(name)
    (found,) = model.fit([collection()[0]], 3, {}, no_check, learnt_promotions(name))
    assert isinstance(found, BadOptions) and found.hint
    mixed = [collection()[0], promoted(1)]
    with pytest.raises(BadOptions):
        model.learn(mixed, HORIZON, model.check_options({}), no_check, None)


# -------------------------------------------------------------------------- going on and cancelling


def test_going_on_costs_little_and_is_no_worse(name: str) -> None:
    """10 % more data: rounds added to what is known, against learning again from nothing."""
    model = module(name)
    options = model.check_options({"rounds": 60, "learning_rate": 0.1})
    whole = [Series(monthly(120, i, 10.0 ** (i % 5)), (12,)) for i in range(12)]
    cut = [replace(series, values=series.values[:100]) for series in whole]
    more = [replace(series, values=series.values[:110]) for series in whole]
    known = model.learn(cut, 10, options, no_check, None)

    def timed(known: Learnt | None) -> tuple[float, Learnt]:
        started = time.process_time()
        result = model.learn(more, 10, options, no_check, known)
        return time.process_time() - started, result

    full, again = timed(None)
    added, on = timed(known)
    assert timing.cheaper(
        added,
        full,
        again=lambda: (timed(known)[0], timed(None)[0]),
        enough=lambda added, full: added <= full / 5,
    )
    assert len(on.arrays["trees_root"]) > len(known.arrays["trees_root"])
    error = {}
    for label, result in (("again", again), ("on", on)):
        away = [
            np.mean(np.abs(forecasts(name, short, result, 10).mean - series.values[110:]))
            / np.mean(series.values)
            for short, series in zip(more, whole, strict=True)
        ]
        error[label] = float(np.mean(away))
    assert error["on"] <= 1.05 * error["again"]


class Cancelled(BaseException):
    """Not an Exception, as a cancelled statement is not."""


def after(seconds: float) -> Callable[[], None]:
    end = time.perf_counter() + seconds

    def check() -> None:
        if time.perf_counter() >= end:
            raise Cancelled

    return check


def test_a_cancel_comes_through_within_two_seconds(name: str) -> None:
    model = module(name)
    many = [Series(monthly(100, i), (12,)) for i in range(100)]
    options = model.check_options({"rounds": 5000})
    # The library is imported: what a session pays once is not measured.
    learnt(name)
    for seconds in (0.0, 1.0):

        def cancelled(seconds: float = seconds) -> float:
            started = time.perf_counter()
            with pytest.raises(Cancelled):
                model.learn(many, 12, options, after(seconds), None)
            return time.perf_counter() - started

        assert timing.best(cancelled, seconds + 2.0) < seconds + 2.0


def test_scores_without_the_library(name: str) -> None:
    model = module(name)
    known = learnt(name)
    (fitted,) = model.fit([collection()[0]], HORIZON, {}, no_check, known)
    assert isinstance(fitted, Fit)
    program = f"""
import io, json, sys
import numpy as np
from weighhouse.forecasting import kind
from weighhouse.learnt import Learnt, unpack
header, parameters, levels = json.loads({json.dumps([known.header, fitted.parameters, LEVELS])!r})
arrays = unpack(sys.stdin.buffer.read())
ahead = kind({name!r}).forecast(parameters, {HORIZON}, levels, Learnt(header, arrays))
heavy = {{"lightgbm", "xgboost", "prophet", "pandas", "scipy", "sklearn"}} & set(sys.modules)
print(json.dumps([sorted(heavy), ahead.mean.tolist()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pack(known.arrays),
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "plpython")},
    )
    heavy, mean = json.loads(done.stdout)
    assert heavy == []
    np.testing.assert_array_equal(mean, forecasts(name, collection()[0], known).mean)


def test_intervals_hold_what_they_say(name: str) -> None:
    """Coverage on steps nobody learnt from, of many series; within 10 points at this size."""
    model = module(name)
    whole = [Series(monthly(90, i), (12,)) for i in range(40)]
    cut = [replace(series, values=series.values[:-12]) for series in whole]
    known = model.learn(cut, 12, model.check_options(OPTIONS), no_check, None)
    inside = []
    for short, series in zip(cut, whole, strict=True):
        ahead = forecasts(name, short, known, 12)
        actual = series.values[-12:]
        inside.append((ahead.lower <= actual) & (actual <= ahead.upper))
    share = np.concatenate(inside, axis=1).mean(axis=1)
    np.testing.assert_allclose(share[:3], LEVELS[:3], atol=0.1)
