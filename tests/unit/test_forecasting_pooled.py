"""What `auto` learns from the other series of a model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting import auto, traits
from weighhouse.forecasting.contract import Fit, Floats, Learnt, Parameters, Series, no_check
from weighhouse.forecasting.pooled import (
    choose_lags,
    continue_pooled,
    fit_pooled,
    learn_pooled,
    project_pooled,
)
from weighhouse.learnt import pack, unpack

HORIZON = 6
LEVELS = (0.8, 0.95)


def autoregressive(n: int, seed: int, *, scale: float = 1.0) -> Floats:
    """Changes follow the last two by weights all series have in common; noise."""
    rng = np.random.default_rng(seed)
    z = [0.0, 0.0, 0.0]
    for _ in range(n - 3):
        z.append(z[-1] + 0.6 * (z[-1] - z[-2]) - 0.3 * (z[-2] - z[-3]) + rng.normal())
    return scale * np.array(z)


def sold(n: int, seed: int) -> Floats:
    """Like the sales of an item: level, season of 12, trend and noise of their own."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    wave = rng.uniform(5, 30) * np.sin(2 * np.pi * t / 12 + rng.uniform(0, 6))
    return np.asarray(200 + rng.normal() * t + wave + rng.normal(0, 8, n))


COLLECTION = [Series(sold(60, seed), (12,)) for seed in range(40)]
OPTIONS = auto.check_options({})


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    return auto.learn(COLLECTION, HORIZON, OPTIONS, no_check, None)


@pytest.fixture(scope="module")
def fits(learnt: Learnt) -> list[Fit]:
    found = auto.fit(COLLECTION[:8], HORIZON, OPTIONS, no_check, learnt)
    return [one for one in found if isinstance(one, Fit)]


def pooled(one: Fit) -> dict[str, Any]:
    (member,) = [m for m in one.parameters["members"] if m["method"] == "pooled"]
    return dict(member)


# ------------------------------------------------------------------------------------- the method


@pytest.mark.parametrize("scale", [1.0, 1e9, 1e-9])
def test_finds_the_weights_series_have_in_common(scale: float) -> None:
    batch = [autoregressive(120, seed, scale=scale) for seed in range(60)]
    weights = learn_pooled(batch, 3, 2, no_check)
    assert weights is not None
    assert weights.shape == (5, 2)
    # One step: 0.6 (z - z1) - 0.3 (z1 - z2) = 0.9 (z - z1) - 0.3 (z - z2).
    np.testing.assert_allclose(weights[:3, 0], [0.9, -0.3, 0.0], atol=0.06)
    # Two steps: the change after next is 0.6 d - 0.3 (z - z1) for the next change d.
    # 1.6 d - 0.3 (z - z1) = 1.14 (z - z1) - 0.48 (z - z2).
    np.testing.assert_allclose(weights[:3, 1], [1.14, -0.48, 0.0], atol=0.1)


def test_forecasts_are_the_regressions() -> None:
    weights = np.zeros((5, 2), dtype=np.float32)
    weights[0], weights[3] = [0.5, 0.25], [0.0, 2.0]
    values = np.array([-1.0, 4.0, 2.0, 8.0, 5.0, 7.0])
    mean = project_pooled(fit_pooled(values, weights), weights, 4)
    # z - z1 = 2; the mean change is (7 + 1) / 5 = 1.6.
    assert mean[:2].tolist() == pytest.approx([7 + 0.5 * 2, 7 + 0.25 * 2 + 2 * 1.6])
    # On from 8 and 10.7, as if they had been seen: a change of 2.7, a mean one of 11.7 / 7.
    assert mean[2:].tolist() == pytest.approx([10.7 + 0.5 * 2.7, 10.7 + 0.25 * 2.7 + 2 * 11.7 / 7])


@pytest.mark.parametrize("n", [1, 2, 4, 9, 30])
def test_update_is_a_fit_with_the_same_weights(n: int) -> None:
    weights = np.full((7, 3), 0.05, dtype=np.float32)
    values = sold(40, 1)
    known = continue_pooled(fit_pooled(values[:n], weights), values[n:])
    again = fit_pooled(values, weights)
    assert known["count"] == again["count"]
    assert known["first"] == again["first"]
    if known["log"] == again["log"]:
        np.testing.assert_allclose(known["tail"], again["tail"])


def test_scale_changes_nothing() -> None:
    batch = [sold(60, seed) for seed in range(10)]
    weights = learn_pooled(batch, 12, 4, no_check)
    mixed = learn_pooled([v * 10.0 ** (i - 5) for i, v in enumerate(batch)], 12, 4, no_check)
    assert weights is not None
    assert mixed is not None
    np.testing.assert_allclose(mixed, weights, rtol=1e-4, atol=1e-6)


def test_odd_series_teach_nothing_and_break_nothing() -> None:
    odd = [np.full(30, 5.0), np.zeros(30), np.array([1.0]), 1e12 + np.arange(30) * 1e-3]
    assert learn_pooled(odd, 6, 4, no_check) is None
    outlier = sold(60, 3)
    outlier[30] *= 1e6
    found = learn_pooled([*odd, outlier, np.r_[np.zeros(49), 1.0], sold(60, 4)], 6, 4, no_check)
    assert found is not None
    assert np.isfinite(found).all()


def test_lags() -> None:
    assert choose_lags([120], (12,)) == 25
    assert choose_lags([900], (7,)) == 29
    assert choose_lags([2000], (24, 168)) == 337
    # A third of the series where that is less.
    assert choose_lags([44], (4,)) == 14
    assert choose_lags([19, 19, 41], ()) == 6


# ------------------------------------------------------------------------------ as a part of auto


def test_traits() -> None:
    assert traits("auto") == {
        "family": "series",
        "learns": True,
        "continues": False,
        "regressors": False,
    }


def test_what_was_learnt_takes_part(learnt: Learnt, fits: list[Fit]) -> None:
    assert learnt.header["learnt"]
    assert learnt.label == "20 lags of 40 series"
    assert len(fits) == 8
    for one in fits:
        assert sum(m["weight"] for m in one.parameters["members"]) == pytest.approx(1.0)
    # These series are forecast by the seasons of all better than by most methods.
    assert np.mean([pooled(one)["weight"] for one in fits]) > 0.05


def test_what_comes_later_is_not_seen(learnt: Learnt) -> None:
    """An earlier origin's method knows nothing of the steps after it."""
    moved = []
    for i, series in enumerate(COLLECTION):
        values = series.values.copy()
        values[-HORIZON:] += np.random.default_rng(100 + i).normal(0, 100, HORIZON)
        moved.append(Series(values, series.seasons))
    other = auto.learn(moved, HORIZON, OPTIONS, no_check, None)
    before, after = learnt.arrays["pooled_0"], other.arrays["pooled_0"]
    assert before.shape == (5, 22, HORIZON)
    assert not np.allclose(before[0], after[0])
    np.testing.assert_array_equal(before[1:], after[1:])


def test_same_data_same_result(learnt: Learnt, fits: list[Fit]) -> None:
    again = auto.learn(COLLECTION, HORIZON, OPTIONS, no_check, None)
    assert again.header == learnt.header
    assert pack(again.arrays) == pack(learnt.arrays)
    assert auto.fit(COLLECTION[:8], HORIZON, OPTIONS, no_check, again) == fits


def test_survives_being_stored(learnt: Learnt, fits: list[Fit]) -> None:
    back = Learnt(json.loads(json.dumps(learnt.header)), unpack(pack(learnt.arrays)))
    for one in fits:
        kept = json.loads(json.dumps(one.parameters, allow_nan=False))
        old = auto.forecast(one.parameters, 20, LEVELS, learnt)
        new = auto.forecast(kept, 20, LEVELS, back)
        np.testing.assert_array_equal(old.mean, new.mean)
        np.testing.assert_array_equal(old.upper, new.upper)
        assert (old.lower[1] <= old.lower[0]).all()
        assert (old.upper[0] <= old.upper[1]).all()


def test_any_horizon(learnt: Learnt, fits: list[Fit]) -> None:
    for one in fits:
        far = auto.forecast(one.parameters, 300, LEVELS, learnt).mean
        assert np.isfinite(far).all()
        np.testing.assert_allclose(
            far[:2], auto.forecast(one.parameters, 2, LEVELS, learnt).mean, rtol=1e-12
        )


def test_update_in_parts_equals_update_at_once(learnt: Learnt, fits: list[Fit]) -> None:
    new = sold(5, 77)
    once = auto.update(fits[0].parameters, new)
    parts: Parameters = fits[0].parameters
    for value in new:
        parts = auto.update(parts, np.array([value]))
    np.testing.assert_allclose(
        auto.forecast(once, 9, LEVELS, learnt).mean,
        auto.forecast(parts, 9, LEVELS, learnt).mean,
        rtol=1e-9,
    )


def test_too_few_series_change_nothing() -> None:
    few = COLLECTION[:29]
    nothing = auto.learn(few, HORIZON, OPTIONS, no_check, None)
    assert nothing.header == {"learnt": False}
    assert auto.fit(few[:3], HORIZON, OPTIONS, no_check, nothing) == auto.fit(
        few[:3], HORIZON, OPTIONS, no_check
    )


def test_learn_as_asked() -> None:
    off = auto.check_options({"learn": False})
    assert not auto.learn(COLLECTION, HORIZON, off, no_check, None).header["learnt"]
    asked = auto.check_options({"learn": True})
    assert auto.learn(COLLECTION[:2], HORIZON, asked, no_check, None).header["learnt"]
    with pytest.raises(TooFewObservations) as raised:
        auto.learn(COLLECTION[:1], HORIZON, asked, no_check, None)
    assert raised.value.hint
    with pytest.raises(BadOptions) as wrong:
        auto.check_options({"learn": "sometimes"})
    assert wrong.value.hint


def walks(count: int) -> list[Series]:
    """Random walks: what comes next no other series tells."""
    return [
        Series(500 + np.cumsum(np.random.default_rng(seed).normal(size=50)))
        for seed in range(count)
    ]


def test_what_does_not_help_is_not_kept() -> None:
    batch = walks(40)
    nothing = auto.learn(batch, HORIZON, OPTIONS, no_check, None)
    assert nothing.header == {"learnt": False}
    assert not nothing.arrays
    assert nothing.label == "what the series have in common forecasts them no better"
    assert auto.fit(batch[:3], HORIZON, OPTIONS, no_check, nothing) == auto.fit(
        batch[:3], HORIZON, OPTIONS, no_check
    )
    # Who asks for it gets it.
    asked = auto.check_options({"learn": True})
    assert auto.learn(batch, HORIZON, asked, no_check, None).header["groups"][0]["series"] == 40


def test_groups_decide_apart(learnt: Learnt) -> None:
    both = auto.learn([*walks(40), *COLLECTION], HORIZON, OPTIONS, no_check, None)
    assert [group["seasons"] for group in both.header["groups"]] == [[12]]
    assert list(both.arrays) == ["pooled_0"]
    np.testing.assert_array_equal(both.arrays["pooled_0"], learnt.arrays["pooled_0"])


def test_one_origin_decides_nothing() -> None:
    """Weights of an only origin would be judged by the errors they come from."""
    single = auto.check_options({"origins": 1})
    assert not auto.learn(COLLECTION, HORIZON, single, no_check, None).header["learnt"]


def test_seasons_learn_apart(learnt: Learnt) -> None:
    weekly = [Series(sold(60, 200 + i), (7,)) for i in range(30)]
    both = auto.learn([*COLLECTION, *weekly], HORIZON, OPTIONS, no_check, None)
    assert [group["seasons"] for group in both.header["groups"]] == [[7], [12]]
    np.testing.assert_array_equal(both.arrays["pooled_1"], learnt.arrays["pooled_0"])
    # Who has other seasons gets nothing of it.
    (one,) = auto.fit([Series(sold(60, 1))], HORIZON, OPTIONS, no_check, both)
    assert isinstance(one, Fit)
    assert "pooled" not in {m["method"] for m in one.parameters["members"]}


def test_series_of_any_length_and_form(learnt: Learnt) -> None:
    batch = [Series(sold(40, 1)[:n], (12,)) for n in range(1, 41)]
    batch += [Series(v, (12,)) for v in (np.zeros(40), np.full(40, 3.0), -sold(40, 2))]
    for series, one in zip(batch, auto.fit(batch, HORIZON, OPTIONS, no_check, learnt), strict=True):
        assert isinstance(one, Fit)
        ahead = auto.forecast(one.parameters, HORIZON, LEVELS, learnt)
        assert np.isfinite(ahead.upper).all()
        assert np.max(np.abs(ahead.mean)) <= 20 * np.max(np.abs(series.values))
    zero, same = (
        auto.forecast(one.parameters, 4, LEVELS, learnt).mean
        for one in [
            x
            for x in auto.fit(batch[40:42], HORIZON, OPTIONS, no_check, learnt)
            if isinstance(x, Fit)
        ]
    )
    np.testing.assert_allclose(zero, 0.0, atol=1e-12)
    np.testing.assert_allclose(same, 3.0, rtol=1e-6)


def test_scale_of_a_series(learnt: Learnt) -> None:
    values = COLLECTION[0].values
    for factor in (1e12, 1e-9):
        one, other = auto.fit(
            [Series(values, (12,)), Series(values * factor, (12,))],
            HORIZON,
            OPTIONS,
            no_check,
            learnt,
        )
        assert isinstance(one, Fit)
        assert isinstance(other, Fit)
        np.testing.assert_allclose(
            auto.forecast(other.parameters, HORIZON, LEVELS, learnt).mean,
            auto.forecast(one.parameters, HORIZON, LEVELS, learnt).mean * factor,
            rtol=1e-6,
        )


def test_forms_of_before_are_forecast(learnt: Learnt) -> None:
    """Parameters of form 1 name no seasons and no method learnt from others."""
    (one,) = auto.fit(COLLECTION[:1], HORIZON, OPTIONS, no_check)
    assert isinstance(one, Fit)
    assert set(one.parameters) == {"members", "intervals"}
    np.testing.assert_array_equal(
        auto.forecast(one.parameters, HORIZON, LEVELS, learnt).mean,
        auto.forecast(one.parameters, HORIZON, LEVELS).mean,
    )


def test_without_what_was_learnt_it_says_so(fits: list[Fit]) -> None:
    with pytest.raises(BadOptions) as raised:
        auto.forecast(fits[0].parameters, HORIZON, LEVELS)
    assert raised.value.hint == "Fit the model again."


class Cancelled(BaseException):
    """Not an Exception, as a cancelled statement is not."""


def after(calls: int) -> Callable[[], None]:
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    return check


@pytest.mark.parametrize("calls", [0, 5, 41, 60, 120, 500, 1000])
def test_a_cancel_comes_through(calls: int) -> None:
    with pytest.raises(Cancelled):
        auto.learn(COLLECTION, HORIZON, OPTIONS, after(calls), None)


def test_needs_numpy_alone() -> None:
    code = (
        "import sys, numpy as np\n"
        "from weighhouse.forecasting import auto\n"
        "from weighhouse.forecasting.contract import Series, no_check\n"
        "rng = np.random.default_rng(1)\n"
        "c = [Series(100 + np.cumsum(rng.normal(size=40)), ()) for _ in range(30)]\n"
        "o = auto.check_options({'learn': True})\n"
        "l = auto.learn(c, 4, o, no_check, None)\n"
        "auto.forecast(auto.fit(c[:1], 4, o, no_check, l)[0].parameters, 4, (0.8,), l)\n"
        "heavy = {'scipy', 'sklearn', 'pandas', 'lightgbm', 'torch', 'xgboost'}\n"
        "assert l.header['learnt'] and not heavy & set(sys.modules)\n"
    )
    package = Path(auto.__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(package)}, timeout=60
    )
