"""LSTM, GRU and N-HiTS: the list every kind passes, the arithmetic of the nets, and learning."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from tests import timing
from weighhouse.errors import BadOptions, MissingLibrary, TooFewObservations, WeighhouseError
from weighhouse.forecasting import kind, networks, neural, traits
from weighhouse.forecasting.contract import (
    Fit,
    Floats,
    Forecast,
    LearningKind,
    Learnt,
    Series,
    no_check,
)
from weighhouse.forecasting.networks import Network, Numpy
from weighhouse.forecasting.windows import Collection, Shape, pad, scale
from weighhouse.learnt import pack, unpack

NETWORKS = {"lstm": networks.LSTM, "gru": networks.GRU, "nhits": networks.NHITS}
HORIZON = 6
LEVELS = (0.8, 0.95)
NO_TORCH = "learning needs torch (the tests in the server learn with its own)"

every_kind = pytest.mark.parametrize("name", NETWORKS)


def model_of(name: str) -> LearningKind:
    return cast(LearningKind, kind(name))


def monthly(n: int = 60, seed: int = 1, level: float = 100.0) -> Floats:
    """Trend, season of 12 and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    wave = 0.1 * level * np.sin(2 * np.pi * t / 12)
    return np.asarray(level + 0.002 * level * t + wave + rng.normal(0, 0.03 * level, n))


def series(values: Any, *seasons: int) -> Series:
    return Series(np.asarray(values, dtype=float), seasons)


def made(name: str, shape: Shape | None = None, nets: int = 3) -> Learnt:
    """Give nets with weights drawn at random: what forecasts need, without learning."""
    shape = shape or Shape(24, HORIZON, 12, 12)
    rng = np.random.default_rng(5)
    weights = NETWORKS[name].start(shape, nets, rng)
    arrays = {
        key: (x + 0.02 * rng.normal(size=x.shape)).astype(np.float32) for key, x in weights.items()
    }
    arrays["sizes"] = 0.5 * np.sqrt(np.arange(1.0, shape.horizon + 1))
    arrays["shares"] = np.linspace(0.1, 4.0, len(neural.SHARES))
    header = {"network": name, "shape": shape.dump(), "growth": 0.5, "rounds": 1}
    return Learnt(header, arrays, None, "nets of a test")


def fit_one(name: str, one: Series, learnt: Learnt) -> Fit:
    (result,) = model_of(name).fit([one], HORIZON, {}, no_check, learnt)
    if isinstance(result, WeighhouseError):
        raise result
    return result


def forecast_one(name: str, one: Series, learnt: Learnt, horizon: int = HORIZON) -> Forecast:
    fitted = fit_one(name, one, learnt)
    ahead = model_of(name).forecast(fitted.parameters, horizon, LEVELS, learnt)
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
    for one, other in ((a.mean, b.mean), (a.lower, b.lower), (a.upper, b.upper)):
        np.testing.assert_allclose(one, other, rtol=relative, atol=size)


# ------------------------------------------------------------------- the list, without any learning


@every_kind
def test_has_the_names_of_a_kind(name: str) -> None:
    model = model_of(name)
    assert name == model.NAME
    assert (model.FORMAT, model.CAN_UPDATE, model.LEARNS, model.CONTINUES) == (1, True, True, True)
    found = traits(name)
    assert found == {"family": "series", "learns": True, "continues": True, "regressors": False}
    assert model.check_options(model.check_options({})) == model.check_options({})


@every_kind
@pytest.mark.parametrize(
    "options", [{"no_such": 1}, {"steps": 0}, {"nets": 2.5}, {"seed": None}, {"window": True}]
)
def test_impossible_options_name_the_possible(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        model_of(name).check_options(options)
    assert raised.value.hint


@every_kind
@pytest.mark.parametrize("seasons", [(), (12,)])
def test_a_constant_series_stays_constant(name: str, seasons: tuple[int, ...]) -> None:
    for value in (7.0, -3.25, 0.1, 0.0, 1e12):
        ahead = forecast_one(name, series(np.full(50, value), *seasons), made(name))
        np.testing.assert_allclose(ahead.mean, value, rtol=1e-9)
        np.testing.assert_allclose(ahead.upper, value, rtol=1e-9)


@every_kind
def test_every_length_from_the_minimum_on(name: str) -> None:
    model, learnt = model_of(name), made(name)
    values = monthly(40)
    batch = [series(values[:n], 12) for n in range(1, 41)]
    for n, result in enumerate(model.fit(batch, HORIZON, {}, no_check, learnt), start=1):
        if n < model.MINIMUM:
            assert isinstance(result, TooFewObservations)
            assert result.hint
        else:
            assert isinstance(result, Fit)
            check_form(model.forecast(result.parameters, HORIZON, LEVELS, learnt), HORIZON)


@every_kind
@pytest.mark.parametrize("factor", [1e12, 1e-9, 1000.0, 0.37])
def test_scale_equivariance(name: str, factor: float) -> None:
    before = forecast_one(name, series(monthly(), 12), made(name))
    after = forecast_one(name, series(monthly() * factor, 12), made(name))
    scaled = Forecast(before.mean * factor, before.lower * factor, before.upper * factor)
    same(after, scaled, relative=1e-9)


@every_kind
def test_shift_equivariance(name: str) -> None:
    before = forecast_one(name, series(monthly(), 12), made(name))
    after = forecast_one(name, series(monthly() + 1000, 12), made(name))
    moved = Forecast(before.mean + 1000, before.lower + 1000, before.upper + 1000)
    same(after, moved, relative=1e-9)


@every_kind
def test_what_was_never_negative_is_not_expected_to_be(name: str) -> None:
    learnt = made(name)
    sparse = np.tile([0.0, 0.0, 0.0, 5.0], 15)
    ahead = forecast_one(name, series(sparse), learnt, 30)
    assert (ahead.lower >= 0.0).all()
    fitted = fit_one(name, series(sparse), learnt)
    returned = model_of(name).update(fitted.parameters, np.array([-5.0]))
    assert model_of(name).forecast(returned, HORIZON, LEVELS, learnt).lower.min() < 0.0


ODD = {
    "line": np.arange(50.0),
    "pure season": np.tile(np.arange(12.0), 5),
    "zeros, then one": np.r_[np.zeros(49), 1.0],
    "one, then zeros": np.r_[1.0, np.zeros(49)],
    "step": np.r_[np.zeros(25), np.ones(25)],
    "alternating": np.where(np.arange(60) % 2 == 0, 1.0, -1.0),
    "exponential": np.exp(0.2 * np.arange(60)),
    "noise on a large level": 1e12 + np.random.default_rng(0).normal(size=60),
    "one outlier": np.r_[monthly(), 1e6, monthly()],
    "integrated twice": np.cumsum(np.cumsum(np.random.default_rng(0).normal(size=80))),
}


@every_kind
@pytest.mark.parametrize("what", ODD)
def test_odd_series_are_forecast(name: str, what: str) -> None:
    ahead = forecast_one(name, series(ODD[what], 12), made(name), 400)
    # Its own forecasts feed it sixty times over: it neither explodes nor fails.
    assert np.max(np.abs(ahead.mean)) < 1e4 * max(1.0, float(np.max(np.abs(ODD[what]))))


@every_kind
def test_a_series_does_not_depend_on_its_batch(name: str) -> None:
    model, learnt = model_of(name), made(name)
    batch = [series(monthly(47 + seed, seed, 10.0**seed), 12) for seed in range(1, 6)]
    together = model.fit(batch, HORIZON, {}, no_check, learnt)
    backwards = model.fit(batch[::-1], HORIZON, {}, no_check, learnt)[::-1]
    for one, result, other in zip(batch, together, backwards, strict=True):
        assert isinstance(result, Fit)
        assert result == other == fit_one(name, one, learnt)
    assert model.fit([], HORIZON, {}, no_check, learnt) == []


@every_kind
def test_what_is_given_is_not_changed(name: str) -> None:
    learnt = made(name)
    given = monthly()
    given.flags.writeable = False
    for array in learnt.arrays.values():
        array.flags.writeable = False
    fitted = fit_one(name, series(given, 12), learnt)
    text = json.dumps(fitted.parameters)
    model_of(name).forecast(fitted.parameters, HORIZON, LEVELS, learnt)
    model_of(name).update(fitted.parameters, given)
    assert json.dumps(fitted.parameters) == text


@every_kind
def test_any_horizon(name: str) -> None:
    near = forecast_one(name, series(monthly(), 12), made(name), 1)
    far = forecast_one(name, series(monthly(), 12), made(name), 400)
    np.testing.assert_allclose(far.mean[0], near.mean[0], rtol=1e-12)
    # The upper half: the lower one ends at zero.
    assert (np.diff(far.upper[0] - far.mean) >= -1e-9).all()


@every_kind
def test_a_higher_level_is_wider(name: str) -> None:
    learnt = made(name)
    fitted = fit_one(name, series(monthly(), 12), learnt)
    levels = (0.999, 0.5, 0.8, 0.05, 0.95)
    ahead = model_of(name).forecast(fitted.parameters, HORIZON, levels, learnt)
    check_form(ahead, HORIZON, len(levels))
    width = (ahead.upper - ahead.lower)[np.argsort(levels)]
    assert (np.diff(width, axis=0) > 0).all()
    check_form(model_of(name).forecast(fitted.parameters, HORIZON, (), learnt), HORIZON, 0)


@every_kind
def test_stored_forms_say_the_same(name: str) -> None:
    learnt = made(name)
    fitted = fit_one(name, series(monthly(), 12), learnt)
    header = json.loads(json.dumps(learnt.header, allow_nan=False))
    back = Learnt(header, unpack(pack(learnt.arrays)), None, learnt.label)
    parameters = json.loads(json.dumps(fitted.parameters, allow_nan=False))
    assert parameters == fitted.parameters
    same(
        model_of(name).forecast(parameters, HORIZON, LEVELS, back),
        model_of(name).forecast(fitted.parameters, HORIZON, LEVELS, learnt),
    )


@every_kind
def test_update_moves_the_window_on(name: str) -> None:
    model, learnt = model_of(name), made(name)
    values = monthly(72)
    fitted = fit_one(name, series(values[:50], 12), learnt)
    once = model.update(fitted.parameters, values[50:])
    parts = fitted.parameters
    for at in range(50, 72):
        parts = model.update(parts, values[at : at + 1])
    assert parts == once
    assert model.update(fitted.parameters, values[:0]) == fitted.parameters
    # The weights have not changed, so it says what a fit to all of it says, but for the factor.
    whole = fit_one(name, series(values, 12), learnt)
    np.testing.assert_array_equal(
        model.forecast(once, HORIZON, LEVELS, learnt).mean,
        model.forecast(whole.parameters, HORIZON, LEVELS, learnt).mean,
    )


@every_kind
def test_a_series_that_is_harder_has_wider_intervals(name: str) -> None:
    shape = Shape(24, HORIZON, 12, 12)
    learnt = made(name, shape)
    for key in learnt.arrays.keys() - {"sizes", "shares"}:
        learnt.arrays[key] = np.zeros_like(learnt.arrays[key])
    # They repeat the last season, which is right of the calm one.
    learnt.arrays["direct"] = networks._last_season(shape, 3)
    calm = np.tile(np.sin(np.arange(12.0)), 8)
    wild = calm.copy()
    wild[60:72] += np.random.default_rng(1).normal(0, 3.0, 12)
    factors = [fit_one(name, series(x, 12), learnt).parameters["factor"] for x in (calm, wild)]
    assert factors[0] < factors[1]


@every_kind
def test_forecasting_imports_numpy_alone(name: str) -> None:
    lines = (
        "import sys, json",
        "import numpy as np",
        "before = set(sys.modules)",
        "from tests.unit.test_forecasting_neural import made",
        "learnt, = made(sys.argv[1]),",
        "from weighhouse.forecasting import kind",
        "from weighhouse.forecasting.contract import Series, no_check",
        "model = kind(sys.argv[1])",
        "found, = model.fit([Series(np.arange(40.0), (12,))], 6, {}, no_check, learnt)",
        "model.forecast(model.update(found.parameters, np.arange(3.0)), 6, (0.8,), learnt)",
        "heavy = {'torch', 'scipy', 'pandas', 'sklearn'} & set(sys.modules)",
        "assert not heavy, heavy",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines), name], check=True)


@every_kind
def test_without_torch_it_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibrary) as raised:
        model_of(name).learn([series(monthly(), 12)], HORIZON, {}, no_check, None)
    assert raised.value.sqlstate == "ML106"
    assert "--with neural" in (raised.value.hint or "")
    forecast_one(name, series(monthly(), 12), made(name))


@every_kind
def test_nothing_to_learn_from(name: str) -> None:
    for collection in ([], [series([1.0, 2.0, 3.0])]):
        with pytest.raises(TooFewObservations) as raised:
            model_of(name).learn(collection, HORIZON, {}, no_check, None)
        assert raised.value.hint


# ------------------------------------------------------------------------------ windows by hand


def test_padding_repeats_the_first_season() -> None:
    shape = Shape(8, 2, 3, 3)
    assert pad(np.array([1.0, 2.0, 3.0, 4.0]), shape).tolist() == [3, 1, 2, 3, 1, 2, 3, 4]
    assert pad(np.array([1.0, 2.0]), shape).tolist() == [1, 1, 1, 1, 1, 1, 1, 2]
    assert pad(np.arange(20.0), shape).tolist() == list(range(12, 20))


def test_a_window_is_measured_from_its_last_season() -> None:
    scaled = scale(np.array([0.0, 0.0, 2.0, 4.0]), Shape(4, 2, 2, 2))
    # Level: mean of 2 and 4; spread: mean of 3, 3, 1 and 1.
    assert (scaled.level[0], scaled.spread[0]) == (3.0, 2.0)
    assert scaled.values.tolist() == [-1.5, -1.5, -0.5, 0.5]


def test_what_comes_after_the_end_is_not_looked_at() -> None:
    shape = Shape(4, 3, 1, 1)
    windows = Collection([np.arange(10.0), np.arange(5.0)], shape)
    scaled, came = windows.take(np.array([0, 1]), np.array([6, 4]), np.array([8, 5]))
    assert scaled.values[0, -1] == 0.0
    assert (came[0] * scaled.spread[0] + scaled.level[0])[:2].tolist() == [6.0, 7.0]
    assert np.isnan(came[0, 2])
    assert (came[1] * scaled.spread[1] + scaled.level[1])[0] == 4.0
    assert np.isnan(came[1, 1:]).all()
    # Errors count in mean absolute changes, here 1.
    assert windows.weights(np.array([0]), np.array([[2.5]])).tolist() == [[2.5]]


def test_groups_and_lines() -> None:
    assert networks._pool(5, 2).T.tolist() == [
        [1, 0, 0, 0, 0],
        [0, 0.5, 0.5, 0, 0],
        [0, 0, 0, 0.5, 0.5],
    ]
    found = np.array([1.0, 3.0, 2.0]) @ networks._interpolate(3, 7)
    np.testing.assert_allclose(found, np.interp(np.linspace(0, 2, 7), [0, 1, 2], [1, 3, 2]))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_nets_that_learnt_nothing_repeat_the_last_season(name: str) -> None:
    network, shape = NETWORKS[name], Shape(24, 15, 12, 12)
    weights = network.start(shape, 2, np.random.default_rng(0))
    weights = {key: x if key == "direct" else np.zeros_like(x) for key, x in weights.items()}
    window = np.random.default_rng(1).normal(size=(1, 1, 24))
    ahead = network.run(Numpy, weights, network.fixed(shape), window)
    np.testing.assert_array_equal(
        ahead[:, 0], np.tile(np.r_[window[0, 0, 12:], window[0, 0, 12:15]], (2, 1))
    )


def test_windows_have_three_weeks_of_hours_where_series_are_that_long() -> None:
    def window(values: int, cycles: int, *seasons: int) -> int:
        return neural._shape([series(np.arange(float(values)), *seasons)], 48, None, cycles).window

    assert networks.NHITS.cycles == 3 and networks.LSTM.cycles == 2
    assert [window(n, 3, 24, 168) for n in (600, 552, 551)] == [504, 504, 336]
    assert window(600, 2, 24, 168) == 336
    assert window(600, 3, 52) == 104


def test_nhits_starts_from_the_mean_week_of_hours_else_from_nothing() -> None:
    hours, days = Shape(336, 30, 24, 168), Shape(28, 14, 7, 7)
    rng = np.random.default_rng(0)
    window = rng.normal(size=336)
    found = window @ networks.NHITS.start(hours, 2, rng)["direct"]
    np.testing.assert_allclose(found, np.tile(0.5 * (window[:30] + window[168:198]), (2, 1)))
    assert not networks.NHITS.start(days, 2, rng)["direct"].any()


def test_shares_beyond_what_was_measured_follow_t() -> None:
    shares = np.linspace(0.1, 4.0, len(neural.SHARES))
    assert neural._share(shares, 0.8) == pytest.approx(shares[7])
    # Quantiles of Student's t with four degrees of freedom, from its table: 99.5 % and 99.95 %.
    assert neural._share(shares, 0.999) == pytest.approx(4.0 * 8.610 / 4.604, rel=1e-3)


# ------------------------------------------------------------------------------------- with torch


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason=NO_TORCH)


def shops(n: int = 72, count: int = 16) -> list[Series]:
    """Series of one kind: a season of 12 of their own size, a trend, and noise with a memory."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        noise = np.zeros(n)
        for t in range(1, n):
            noise[t] = 0.8 * noise[t - 1] + rng.normal(0, 3.0)
        wave = 15 * np.sin(2 * np.pi * (np.arange(n) + seed) / 12)
        level = 10.0 ** rng.uniform(0, 6)
        found.append(series(level * (100 + 0.3 * np.arange(n) + wave + noise) / 100, 12))
    return found


STEPS = 100
# Seconds and looks for interrupts that learning from nothing took.
COST: dict[str, tuple[float, int]] = {}


def counted(
    name: str, collection: list[Series], known: Learnt | None
) -> tuple[Learnt, tuple[float, int]]:
    """Learn, and say what it cost: seconds of processor time, looks for interrupts."""
    turns = [0]

    def count() -> None:
        turns[0] += 1

    started = time.process_time()
    model = model_of(name)
    found = model.learn(collection, HORIZON, model.check_options({"steps": STEPS}), count, known)
    return found, (time.process_time() - started, turns[0])


@pytest.fixture(scope="module")
def learnt(torch: Any) -> dict[str, Learnt]:
    """Each kind, learnt from all but the last six months."""
    begun = [series(one.values[:-HORIZON], 12) for one in shops()]
    found = {}
    for name in NETWORKS:
        found[name], COST[name] = counted(name, begun, None)
    return found


@every_kind
def test_numpy_says_what_torch_says(name: str, torch: Any) -> None:
    network: Network = NETWORKS[name]
    for shape in (Shape(24, 6, 12, 12), Shape(336, 48, 24, 168), Shape(4, 1)):
        learnt = made(name, shape)
        weights = {key: x for key, x in learnt.arrays.items() if key not in ("sizes", "shares")}
        windows = np.random.default_rng(2).normal(size=(1, 7, shape.window))
        fixed = network.fixed(shape)
        ours = network.run(Numpy, weights, fixed, windows)

        def tensors(given: dict[str, Any]) -> dict[str, Any]:
            return {key: torch.tensor(x, dtype=torch.float32) for key, x in given.items()}

        theirs = network.run(
            torch, tensors(weights), tensors(fixed), torch.tensor(windows, dtype=torch.float32)
        )
        size = float(np.abs(ours).max())
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-5 * size)


@pytest.mark.parametrize(
    ("name", "order"), [("lstm", ("input", "new", "forget", "output")), ("gru", ())]
)
def test_cells_are_those_of_torch(name: str, order: tuple[str, ...], torch: Any) -> None:
    shape, units = Shape(30, 5, 1, 1), networks.CELL_UNITS
    weights = {key: x[:1] for key, x in made(name, shape, 1).arrays.items()}
    width = 30 // 15
    cell = getattr(torch.nn, name.upper())(width, units, batch_first=True)
    gates = ("input", "forget", "new", "output") if order else ("reset", "keep", "new")
    ours = order or gates

    def arranged(x: Any) -> Any:
        blocks = {gate: x[..., i * units : (i + 1) * units] for i, gate in enumerate(ours)}
        return torch.tensor(np.concatenate([blocks[gate] for gate in gates], axis=-1))

    windows = np.random.default_rng(2).normal(size=(4, 30)).astype(np.float32)
    with torch.no_grad():
        cell.weight_ih_l0.copy_(arranged(weights["input"][0]).T)
        cell.weight_hh_l0.copy_(arranged(weights["state"][0]).T)
        cell.bias_ih_l0.copy_(arranged(weights["bias"][0, 0]))
        cell.bias_hh_l0.copy_(arranged(weights["state_bias"][0, 0]))
        states, _ = cell(torch.tensor(windows).reshape(4, 15, width))
        state = states[:, -1].numpy()
    expected = windows @ weights["direct"][0] + state @ weights["head"][0] + weights["head_bias"][0]
    network = NETWORKS[name]
    found = network.run(Numpy, weights, network.fixed(shape), windows[None].astype(float))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@every_kind
def test_the_same_data_give_the_same_weights(name: str, torch: Any) -> None:
    begun = shops(48, 6)
    model = model_of(name)
    first = model.learn(begun, HORIZON, {"steps": 15}, no_check, None)
    state = torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    again = model.learn(begun, HORIZON, {"steps": 15}, no_check, None)
    assert again.header == first.header
    assert pack(again.arrays) == pack(first.arrays)
    # Whoever draws from the global generators draws what he would have drawn.
    assert torch.equal(state, torch.random.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # type: ignore[index]
    other = model.learn(begun, HORIZON, {"steps": 15, "seed": 2}, no_check, None)
    assert pack(other.arrays) != pack(again.arrays)


def errors(name: str, learnt: Learnt) -> tuple[Floats, Floats, Floats]:
    """Errors of the last six months in changes over a year, ours and repeated; what is inside."""
    found, repeated, inside = [], [], []
    for one in shops():
        past, future = one.values[:-HORIZON], one.values[-HORIZON:]
        size = np.abs(past[12:] - past[:-12]).mean()
        ahead = forecast_one(name, series(past, 12), learnt)
        found.append(np.abs(ahead.mean - future) / size)
        repeated.append(np.abs(past[-12 : -12 + HORIZON] - future) / size)
        inside.append((ahead.lower <= future) & (future <= ahead.upper))
    return np.array(found), np.array(repeated), np.array(inside).mean(axis=(0, 2))


@every_kind
def test_it_learns_more_than_to_repeat(name: str, learnt: dict[str, Learnt]) -> None:
    found, repeated, inside = errors(name, learnt[name])
    assert found.mean() < 0.85 * repeated.mean()
    # 96 errors, those of a series much alike.
    assert inside[0] == pytest.approx(0.80, abs=0.13)
    assert inside[1] == pytest.approx(0.95, abs=0.07)


@every_kind
def test_going_on_is_nearly_as_good_as_anew_and_much_faster(
    name: str, learnt: dict[str, Learnt]
) -> None:
    grown = [series(one.values[:-HORIZON], 12) for one in shops()]
    # Ten per cent fewer observations before.
    begun = [series(one.values[:-6], 12) for one in grown]
    known, _ = counted(name, begun, None)
    further, (seconds, short) = counted(name, grown, known)
    whole, turns = COST[name]
    assert 5 * short <= turns
    # A loaded machine measures badly: the rule is a fifth.
    limit = 0.3 * whole
    if seconds >= limit:
        seconds = timing.best(lambda: counted(name, grown, known)[1][0], limit)
    assert seconds < limit
    assert further.header["rounds"] == 2
    assert not np.array_equal(further.arrays["direct"], known.arrays["direct"])
    assert errors(name, further)[0].mean() < 1.05 * errors(name, learnt[name])[0].mean()


def test_other_nets_cannot_go_on(torch: Any) -> None:
    model = model_of("gru")
    begun = shops(40, 3)
    known = model.learn(begun, HORIZON, {"steps": 2}, no_check, None)
    for horizon, options in ((HORIZON, {"steps": 3}), (HORIZON + 1, {"steps": 2})):
        assert model.learn(begun, horizon, options, no_check, known).header["rounds"] == 1
    assert model.learn(begun, HORIZON, {"steps": 2}, no_check, known).header["rounds"] == 2
    other = model_of("lstm").learn(begun, HORIZON, {"steps": 2}, no_check, known)
    assert (other.header["network"], other.header["rounds"]) == ("lstm", 1)


@every_kind
def test_odd_collections_are_learnt_from(name: str, torch: Any) -> None:
    constant = [series(np.full(30, 5.0), 12)]
    mixed = [*(series(x, 12) for x in ODD.values()), series(monthly(5)), series([1.0])]
    for collection in (constant, mixed, [series(monthly(4) * 1e-9)]):
        learnt = model_of(name).learn(collection, HORIZON, {"steps": 20}, no_check, None)
        assert all(np.isfinite(x).all() for x in learnt.arrays.values())
        json.dumps(learnt.header, allow_nan=False)
        forecast_one(name, series(monthly(), 12), learnt)
        forecast_one(name, series(np.full(30, 5.0), 12), learnt)


class Cancelled(BaseException):
    """Not an Exception, as a cancelled statement is not."""


def after(calls: int) -> Callable[[], None]:
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    return check


@every_kind
def test_a_cancel_comes_through(name: str, torch: Any, learnt: dict[str, Learnt]) -> None:
    model, collection = model_of(name), shops(40, 3)
    for calls in (0, 1, 3, 20):
        with pytest.raises(Cancelled):
            model.learn(collection, HORIZON, {"steps": 40}, after(calls), None)
    with pytest.raises(Cancelled):
        model.learn(shops()[:3], HORIZON, {"steps": STEPS}, after(2), learnt[name])
    with pytest.raises(Cancelled):
        model.fit(collection, HORIZON, {}, after(1), learnt[name])


@every_kind
def test_looks_for_interrupts_often(name: str, torch: Any) -> None:
    rng = np.random.default_rng(3)
    t = np.arange(700)
    hourly = 50 + 10 * np.sin(2 * np.pi * t / 24) + 5 * np.sin(2 * np.pi * t / 168)
    collection = [series(hourly + rng.normal(size=t.size), 24, 168) for _ in range(8)]

    def longest() -> float:
        seen = [time.perf_counter()]
        model_of(name).learn(
            collection, 48, {"steps": 4}, lambda: seen.append(time.perf_counter()), None
        )
        return float(max(np.diff([*seen, time.perf_counter()])))

    assert timing.best(longest, 1.0) < 1.0
