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

from weighhouse.errors import BadOptions, MissingLibrary, TooFewObservations
from weighhouse.forecasting import auto, boosted, rolling, traits
from weighhouse.forecasting.contract import Fit, Floats, Learnt, Parameters, Series, no_check
from weighhouse.forecasting.pooled import continue_pooled, project_pooled
from weighhouse.forecasting.together import Group, learn_group
from weighhouse.learnt import pack, unpack

HORIZON = 6
LEVELS = (0.8, 0.95)


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


def member(one: Fit) -> dict[str, Any]:
    (found,) = [m for m in one.parameters["members"] if m["method"] == "boosting"]
    return dict(found)


def group_of(learnt: Learnt, *seasons: int) -> Group:
    found = Group.find(learnt, seasons)
    assert found is not None
    return found


def origins(series: Series) -> list[tuple[int, int]]:
    return rolling.cuts(len(series.values), HORIZON, 4)


# ------------------------------------------------------------------------------------- the method


def test_trees_are_those_of_the_kind(learnt: Learnt) -> None:
    """Its forecast is what the kind `boosting` says by the same trees."""
    group = group_of(learnt, 12)
    known = Learnt(
        {
            "layout": group.layout.dump(),
            "spread": {"first": 1.0, "growth": 0.5, "sizes": [1.0] * len(boosted.PROBABILITIES)},
        },
        group.now.arrays(),
    )
    for series in COLLECTION[:5]:
        kept = group.keep(series)
        np.testing.assert_allclose(
            group.forecast(kept, 15), boosted.forecast(kept, 15, (), known).mean, rtol=1e-12
        )


def test_looking_back_knows_nothing_of_what_came_since(learnt: Learnt) -> None:
    group = group_of(learnt, 12)
    assert group.origin == 4
    before = group.look_back(COLLECTION[:6], [origins(s) for s in COLLECTION[:6]], no_check)
    moved = []
    for series in COLLECTION[:6]:
        values = series.values.copy()
        values[origins(series)[1][0] :] *= 1.5
        moved.append(Series(values, series.seasons))
    after = group.look_back(moved, [origins(s) for s in moved], no_check)
    for own, others in zip(before, after, strict=True):
        assert len(own) == 4
        assert not np.allclose(own[0], others[0])
        for k in (1, 2, 3):
            np.testing.assert_array_equal(own[k], others[k])


def test_where_the_trees_know_too_much_nothing_is_said(learnt: Learnt) -> None:
    group = group_of(learnt, 12)
    (found,) = group.look_back(
        [COLLECTION[0]], [[(54, 6), (48, 6), (3, 6), (42, 6), (36, 4)]], no_check
    )
    assert [len(ahead) for ahead in found] == [6, 6, 6, 6, 4]
    assert [bool(np.isfinite(ahead).all()) for ahead in found] == [True, True, False, True, False]


def test_the_earliest_origin_that_half_of_the_series_have() -> None:
    long = [Series(sold(60, seed), (12,)) for seed in range(6)]
    short = [Series(sold(16, seed), (12,)) for seed in range(6, 10)]
    for batch, enough, origin in (
        (long + short, 2, 4),
        (long[:3] + short, 2, 3),
        (long, 7, 0),
    ):
        cut = [[n for n, _ in rolling.cuts(len(s.values), 12, 4)] for s in batch]
        found = learn_group(batch, cut, 12, enough, no_check)
        assert found is not None
        assert found.origin == origin, cut
        assert (found.before is None) == (origin == 0)


@pytest.mark.parametrize(("n", "count"), [(60, 100), (59, 35)])
def test_short_series_grow_few_trees(n: int, count: int) -> None:
    batch = [Series(sold(n, seed), (12,)) for seed in range(6)]
    found = learn_group(batch, [[n - 12] for _ in batch], HORIZON, 2, no_check)
    assert found is not None
    assert found.before is not None
    assert (found.now.count, found.before.count) == (count, count)


def test_odd_series_teach_nothing_and_break_nothing() -> None:
    odd = [Series(v) for v in (np.full(30, 5.0), np.zeros(30), np.array([1.0]), np.ones(3))]
    cut = [[n for n, _ in origins(series)] for series in odd]
    assert learn_group(odd, cut, HORIZON, 2, no_check) is None
    outlier = sold(60, 3)
    outlier[30] *= 1e6
    batch = [*odd, Series(outlier), Series(np.r_[np.zeros(49), 1.0]), Series(sold(60, 4))]
    found = learn_group(batch, [[n for n, _ in origins(s)] for s in batch], HORIZON, 2, no_check)
    assert found is not None
    for series in batch[4:]:
        assert np.isfinite(found.forecast(found.keep(series), 20)).all()


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
    assert learnt.label == "100 trees of 40 series"
    assert len(fits) == 8
    for one in fits:
        assert sum(m["weight"] for m in one.parameters["members"]) == pytest.approx(1.0)
    # These series are forecast by what all have in common better than by most methods.
    assert np.mean([member(one)["weight"] for one in fits]) > 0.05


def test_what_comes_later_is_not_seen(learnt: Learnt) -> None:
    """An earlier origin's trees know nothing of the steps after it."""
    moved = []
    for i, series in enumerate(COLLECTION):
        values = series.values.copy()
        values[-4 * HORIZON :] += np.random.default_rng(100 + i).normal(0, 100, 4 * HORIZON)
        moved.append(Series(values, series.seasons))
    asked = auto.check_options({"learn": True})
    other = auto.learn(moved, HORIZON, asked, no_check, None)
    same = {name: np.array_equal(learnt.arrays[name], other.arrays[name]) for name in other.arrays}
    assert all(same[name] for name in same if name.startswith("before_0_"))
    assert not same["now_0_value"]


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


def own_ways(count: int) -> list[Series]:
    """Each repeats a pattern of its own, and of its own length: no other series tells it."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(1000 + seed)
        pattern = rng.normal(0, 5, int(rng.integers(3, 8)))
        found.append(Series(100 + np.tile(pattern, 20)[:60] + rng.normal(0, 0.3, 60)))
    return found


def test_what_does_harm_is_not_kept() -> None:
    batch = own_ways(40)
    nothing = auto.learn(batch, HORIZON, OPTIONS, no_check, None)
    assert nothing.header == {"learnt": False}
    assert not nothing.arrays
    assert nothing.label == "what the series have in common forecasts them worse"
    assert auto.fit(batch[:3], HORIZON, OPTIONS, no_check, nothing) == auto.fit(
        batch[:3], HORIZON, OPTIONS, no_check
    )
    # Who asks for it gets it.
    asked = auto.check_options({"learn": True})
    assert auto.learn(batch, HORIZON, asked, no_check, None).header["groups"][0]["series"] == 40


def test_groups_decide_apart(learnt: Learnt) -> None:
    both = auto.learn([*own_ways(40), *COLLECTION], HORIZON, OPTIONS, no_check, None)
    assert [group["seasons"] for group in both.header["groups"]] == [[12]]
    assert pack(both.arrays) == pack(learnt.arrays)


def test_one_origin_decides_nothing() -> None:
    """Weights of an only origin would be judged by the errors they come from."""
    single = auto.check_options({"origins": 1})
    assert not auto.learn(COLLECTION, HORIZON, single, no_check, None).header["learnt"]


def test_seasons_learn_apart(learnt: Learnt) -> None:
    weekly = [Series(sold(60, 200 + i), (7,)) for i in range(30)]
    both = auto.learn([*COLLECTION, *weekly], HORIZON, OPTIONS, no_check, None)
    assert [group["seasons"] for group in both.header["groups"]] == [[7], [12]]
    for name in ("now_{}_value", "before_{}_value"):
        np.testing.assert_array_equal(both.arrays[name.format(1)], learnt.arrays[name.format(0)])
    # Who has other seasons gets nothing of it.
    (one,) = auto.fit([Series(sold(60, 1))], HORIZON, OPTIONS, no_check, both)
    assert isinstance(one, Fit)
    assert "boosting" not in {m["method"] for m in one.parameters["members"]}


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


def test_the_first_form_is_forecast(learnt: Learnt) -> None:
    """Parameters of form 1 name no seasons and no method learnt from others."""
    (one,) = auto.fit(COLLECTION[:1], HORIZON, OPTIONS, no_check)
    assert isinstance(one, Fit)
    assert set(one.parameters) == {"members", "intervals"}
    np.testing.assert_array_equal(
        auto.forecast(one.parameters, HORIZON, LEVELS, learnt).mean,
        auto.forecast(one.parameters, HORIZON, LEVELS).mean,
    )


def linear() -> tuple[Floats, Parameters, Floats]:
    """What the second form held: weights of three lags for two steps, a series, its values."""
    weights = np.zeros((5, 2), dtype=np.float32)
    weights[0], weights[3] = [0.5, 0.25], [0.0, 2.0]
    values = np.array([-1.0, 4.0, 2.0, 8.0, 5.0, 7.0])
    parameters = {
        "lags": 3,
        "tail": [2.0, 8.0, 5.0, 7.0],
        "first": -1.0,
        "count": 6,
        "log": False,
        "bounds": [-40.0, 40.0],
        "spread": 2.0,
    }
    return weights, parameters, values


def test_the_linear_method_of_before_is_forecast_and_goes_on() -> None:
    weights, parameters, _ = linear()
    mean = project_pooled(parameters, weights, 4)
    # z - z1 = 2; the mean change is (7 + 1) / 5 = 1.6.
    assert mean[:2].tolist() == pytest.approx([7 + 0.5 * 2, 7 + 0.25 * 2 + 2 * 1.6])
    # On from 8 and 10.7, as if they had been seen: a change of 2.7, a mean one of 11.7 / 7.
    assert mean[2:].tolist() == pytest.approx([10.7 + 0.5 * 2.7, 10.7 + 0.25 * 2.7 + 2 * 11.7 / 7])
    later = continue_pooled(parameters, np.array([8.0, 10.7]))
    assert (later["tail"], later["count"]) == ([5.0, 7.0, 8.0, 10.7], 8)
    np.testing.assert_allclose(project_pooled(later, weights, 2), mean[2:])


def test_the_second_form_is_forecast_and_goes_on() -> None:
    weights, parameters, values = linear()
    old = Learnt(
        {"learnt": True, "groups": [{"seasons": [12], "series": 40, "lags": 3}]},
        {"pooled_0": np.stack([weights] * 5)},
    )
    (one,) = auto.fit([Series(values, (12,))], 2, OPTIONS, no_check)
    assert isinstance(one, Fit)
    halved = [m | {"weight": 0.5 * m["weight"]} for m in one.parameters["members"]]
    known = one.parameters | {
        "members": [*halved, {"method": "pooled", "weight": 0.5, "parameters": parameters}],
        "seasons": [12],
    }
    alone = auto.forecast(one.parameters, 2, LEVELS).mean
    np.testing.assert_allclose(
        auto.forecast(known, 2, LEVELS, old).mean,
        0.5 * alone + 0.5 * project_pooled(parameters, weights, 2),
    )
    later = auto.update(known, np.array([8.0, 9.0]))
    assert np.isfinite(auto.forecast(later, 2, LEVELS, old).upper).all()
    # Another series that is fitted beside is so as if it were alone.
    assert auto.fit(COLLECTION[:2], HORIZON, OPTIONS, no_check, old) == auto.fit(
        COLLECTION[:2], HORIZON, OPTIONS, no_check
    )
    for wrong in (auto.NOTHING, Learnt({"learnt": True, "groups": []})):
        with pytest.raises(BadOptions):
            auto.forecast(known, 2, LEVELS, wrong)


def test_without_what_was_learnt_it_says_so(fits: list[Fit]) -> None:
    with pytest.raises(BadOptions) as raised:
        auto.forecast(fits[0].parameters, HORIZON, LEVELS)
    assert raised.value.hint == "Fit the model again."


def test_without_the_library_nothing_is_learnt_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, learnt: Learnt, fits: list[Fit]
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    nothing = auto.learn(COLLECTION, HORIZON, OPTIONS, no_check, None)
    assert nothing.header == {"learnt": False}
    assert "lightgbm is missing" in nothing.label
    assert auto.fit(COLLECTION[:2], HORIZON, OPTIONS, no_check, nothing) == auto.fit(
        COLLECTION[:2], HORIZON, OPTIONS, no_check
    )
    with pytest.raises(MissingLibrary) as raised:
        auto.learn(COLLECTION, HORIZON, auto.check_options({"learn": True}), no_check, None)
    assert raised.value.sqlstate == "ML106"
    assert "libgomp1" in (raised.value.hint or "")
    # What was learnt before serves on.
    assert auto.fit(COLLECTION[:8], HORIZON, OPTIONS, no_check, learnt) == fits


def test_an_origin_without_its_forecast_is_weighed_by_the_others() -> None:
    """Errors of 1 and 3 of the others, 2 where it forecast: half of the usual 4 of that origin."""
    actual = [np.zeros(2), np.zeros(2)]
    forecasts = [
        np.array([[2.0, 2.0], [6.0, 6.0], [2.0, 2.0]]),
        np.array([[0.0, 0.0], [0.0, 0.0], [np.nan, np.nan]]),
    ]
    rolled = rolling.Rolled([], forecasts, actual)
    names = ["naive", "drift", "boosting"]
    weights = auto._weigh(Series(np.zeros(4)), rolled, names, 1.0)
    # Errors 1, 3 and half of their median: 1; the last counts twice.
    np.testing.assert_allclose(weights, np.array([1.0, 1 / 3, 2.0]) / (1 + 1 / 3 + 2))
    np.testing.assert_allclose(auto._mean(weights, np.array([[1.0], [5.0], [np.nan]])), [2.0])


class Cancelled(BaseException):
    """Not an Exception, as a cancelled statement is not."""


def after(calls: int) -> Callable[[], None]:
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    return check


@pytest.mark.parametrize("calls", [0, 5, 41, 60, 120, 200, 300])
def test_a_cancel_comes_through(calls: int) -> None:
    with pytest.raises(Cancelled):
        auto.learn(COLLECTION, HORIZON, OPTIONS, after(calls), None)


def test_scores_with_numpy_alone(learnt: Learnt, tmp_path: Path) -> None:
    (tmp_path / "header").write_text(json.dumps(learnt.header))
    (tmp_path / "arrays").write_bytes(pack(learnt.arrays))
    code = (
        "import json, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from weighhouse.forecasting import auto\n"
        "from weighhouse.forecasting.contract import Series, no_check\n"
        "from weighhouse.learnt import Learnt, unpack\n"
        "here = Path(sys.argv[1])\n"
        "header = json.loads((here / 'header').read_text())\n"
        "l = Learnt(header, unpack((here / 'arrays').read_bytes()))\n"
        "rng = np.random.default_rng(1)\n"
        "c = Series(100 + np.cumsum(rng.normal(size=40)), (12,))\n"
        "(one,) = auto.fit([c], 4, auto.check_options({}), no_check, l)\n"
        "assert 'boosting' in {m['method'] for m in one.parameters['members']}\n"
        "auto.forecast(auto.update(one.parameters, np.ones(2)), 4, (0.8,), l)\n"
        "heavy = {'scipy', 'sklearn', 'pandas', 'lightgbm', 'torch', 'xgboost'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    package = Path(auto.__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        env={"PYTHONPATH": str(package)},
        timeout=60,
    )
