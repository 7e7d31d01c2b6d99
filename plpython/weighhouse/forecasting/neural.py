"""What the networks have in common as kinds: learning from all series, and forecasting each.

The last steps of every series are withheld first: they say when to stop learning, and the errors
there how wide intervals are. Then the nets learn from those steps too, at a lower rate. Where nets
go on from earlier weights they learn only in that second way, and the measured errors stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting import intervals
from weighhouse.forecasting.contract import (
    Fit,
    Floats,
    Forecast,
    Learnt,
    Parameters,
    Regressors,
    Result,
    Series,
)
from weighhouse.forecasting.networks import Network, Numpy
from weighhouse.forecasting.rolling import note, too_few
from weighhouse.forecasting.training import Learner
from weighhouse.forecasting.windows import Collection, Indexes, Scaled, Shape, pad, scale

__all__ = ["MINIMUM", "Nets", "check_options", "fit", "forecast", "learn", "update"]

MINIMUM = 3

# Least and most of each option; None: chosen.
OPTIONS: dict[str, tuple[int, int, int | None]] = {
    "steps": (1, 100_000, None),
    "nets": (1, 20, 3),
    "window": (2, 2000, None),
    "seed": (0, 2**31 - 1, 1),
}
# Most steps a window has where none is named.
LONGEST = 504
EVERY, PATIENCE = 50, 4
# Withheld windows that are enough to judge by.
JUDGED = 2000
# Shares of the steps: learning from what was withheld, and going on from earlier weights.
FINISH, CONTINUE = 0.25, 0.2
# Of the rate, then.
GENTLE = 0.3
# Earlier origins at which a series shows how wrong the nets are about it, and as how many they
# count that all series have in common.
ORIGINS, COMMON = 4, 3.0
# Of absolute errors, in their mean; as how many of them Student's t counts beside.
SHARES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99])
STUDENT = 60.0
GROWTH = 0.5
STEEPEST = 1.0
# How many ranges of its window a forecast may lie outside of it: an explosion, not a trend.
OUTSIDE = 3.0


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options: steps, nets, window (NULL: chosen), seed.

    Raises
    ------
    BadOptions
    """
    for key, value in options.items():
        if key not in OPTIONS:
            raise BadOptions(
                f"unknown option {key} of {name}", hint=f"Known are {', '.join(OPTIONS)}."
            )
        least, most, default = OPTIONS[key]
        if value is None and default is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadOptions(
                f"{key} of {name} cannot be {value!r}",
                hint=f"A whole number from {least} to {most}"
                + ("; null: chosen." if default is None else "."),
            )
    return {key: options.get(key, default) for key, (_, _, default) in OPTIONS.items()}


def _shape(collection: Sequence[Series], horizon: int, window: int | None, cycles: int) -> Shape:
    """Choose a window: two horizons and two of the longest season that most series have.

    cycles: so many of it where there is a shorter one too, and series are that long.
    """
    seasons = [series.seasons for series in collection]
    common = max(sorted(set(seasons)), key=seasons.count)
    longest = int(np.median([len(series.values) for series in collection]))
    there = [m for m in common if 2 * m <= longest] or [1]
    if window is None:
        long = len(there) > 1 and cycles * there[-1] + horizon <= longest
        window = max(2 * horizon, (cycles if long else 2) * there[-1], 4)
        window = max(min(window, LONGEST), 2)
    fitting = [m for m in there if m <= window] or [1]
    return Shape(window, horizon, fitting[0], fitting[-1])


# --------------------------------------------------------------------------------------- learning


def learn(
    network: Network,
    name: str,
    collection: Sequence[Series],
    horizon: int,
    given: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    """Learn weights, and how wrong they are; see `contract.LearningKind.learn`."""
    check()
    usable = [series for series in collection if len(series.values) > MINIMUM]
    if not usable:
        raise TooFewObservations(
            f"no series is long enough to learn {name} from",
            hint=f"At least one needs more than {MINIMUM} observations.",
        )
    shape = _shape(usable, horizon, given["window"], network.cycles)
    windows = Collection([series.values for series in usable], shape)
    steps = given["steps"] or network.steps
    if known is not None and _continues(known, name, shape, given):
        # Other windows than last time, and still the same for the same data.
        rng = np.random.default_rng([given["seed"], int(known.header["rounds"])])
        learner = Learner.begin(network, windows, _weights(known.arrays), rng, check)
        more = max(round(CONTINUE * steps), 1)
        learner.learn(windows.lengths, more, GENTLE * network.rate)
        header = known.header | {"rounds": known.header["rounds"] + 1, "series": len(usable)}
        errors = {key: known.arrays[key] for key in ("sizes", "shares")}
        return Learnt(header, learner.dump() | errors, None, known.label)
    rng = np.random.default_rng(given["seed"])
    weights = network.start(shape, given["nets"], rng)
    learner = Learner.begin(network, windows, weights, rng, check)
    ends = windows.lengths - np.minimum(horizon, np.maximum(windows.lengths // 3, 1))
    scaled, came = windows.take(np.arange(len(ends)), ends, windows.lengths)
    judged = np.linspace(0, len(ends) - 1, min(len(ends), JUDGED)).astype(np.int64)
    worth = windows.weights(judged, scaled.spread[judged])

    def judge() -> float:
        error = np.abs(learner.forecast(scaled.values[judged]) - came[judged]) * worth
        return float(np.nanmean(error)) if np.isfinite(error).any() else 0.0

    best = learner.learn(ends, steps, network.rate, EVERY, judge, PATIENCE)
    measured = _measure(learner, windows, ends, scaled, came)
    learner.learn(windows.lengths, max(round(FINISH * steps), 1), GENTLE * network.rate)
    header = {
        "network": name,
        "shape": shape.dump(),
        "options": dict(given),
        "steps": best,
        "rounds": 1,
        "series": len(usable),
        "growth": measured.pop("growth"),
    }
    label = f"{given['nets']} nets of {network.size} units, window {shape.window}"
    return Learnt(header, learner.dump() | measured, None, label)


def _continues(known: Learnt, name: str, shape: Shape, given: Mapping[str, Any]) -> bool:
    """Tell whether earlier weights are of the same nets."""
    header = known.header
    return (
        header.get("network") == name
        and header.get("shape") == shape.dump()
        and header.get("options") == dict(given)
    )


def _weights(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for name, x in arrays.items() if name not in ("sizes", "shares")}


def _measure(
    learner: Learner, windows: Collection, ends: Indexes, scaled: Scaled, came: Floats
) -> dict[str, Any]:
    """Measure withheld errors: how they grow with the step, and how they are distributed.

    Returns
    -------
    dict
        sizes: mean absolute error at each step, in spreads, shape (horizon,); shares: quantiles of
        the errors in these sizes and the own factor of the series, at SHARES; growth: the power
        of the step, beyond the horizon.
    """
    horizon = windows.shape.horizon
    error = np.abs(learner.forecast(scaled.values) - came)
    steps = np.arange(1.0, horizon + 1)
    sizes, growth = np.ones(horizon), GROWTH
    count = np.isfinite(error).sum(axis=0)
    if count.any() and np.nansum(error) > 0.0:
        seen = count > 0
        mean = np.array([np.nanmean(error[:, k]) if seen[k] else 0.0 for k in range(horizon)])
        some = seen & (mean > 0.0)
        if some.sum() >= 3:
            weight = np.sqrt(count[some])
            slope = np.polyfit(np.log(steps[some]), np.log(mean[some]), 1, w=weight)[0]
            growth = float(np.clip(slope, 0.0, STEEPEST))
        law = float((mean * count)[seen].sum() / (steps**growth * count)[seen].sum())
        sizes = law * steps**growth
        # Each step as it was measured, as far as that was often.
        trust = count / (count + 50.0)
        sizes = np.where(seen, trust * mean + (1.0 - trust) * sizes, sizes)
        # An interval does not narrow from step to step.
        sizes = np.maximum.accumulate(np.maximum(sizes, 1e-9))
    factors = np.ones(len(ends))
    for i, end in enumerate(ends.tolist()):
        if i % 64 == 0:
            learner.check()
        factors[i] = _factor(windows, i, end, sizes, learner.forecast)
    relative = error / sizes / factors[:, None]
    relative = np.sort(relative[np.isfinite(relative)])
    student = np.array([intervals.quantile(0.5 + 0.5 * p) for p in SHARES])
    # The mean of |t| with four degrees of freedom is 1.
    shares = student
    if len(relative):
        # Errors of one series are much alike: it counts as one.
        trust = len(ends) / (len(ends) + STUDENT)
        shares = trust * np.quantile(relative, SHARES) + (1.0 - trust) * student
    shares = np.maximum.accumulate(shares) + 1e-6 * np.arange(len(SHARES))
    return {"sizes": sizes, "shares": shares, "growth": growth}


def _factor(
    windows: Collection, i: int, end: int, sizes: Floats, run: Callable[[Floats], Floats]
) -> float:
    """Say how much more wrong the nets were about one series before `end` than about others."""
    horizon = len(sizes)
    apart = max(min(horizon, end // (ORIGINS + 2)), 1)
    origins = np.array([end - apart * k for k in range(1, ORIGINS + 1)], dtype=np.int64)
    origins = origins[origins >= min(MINIMUM, end - 1)]
    if not len(origins):
        return 1.0
    which = np.full(len(origins), i)
    scaled, came = windows.take(which, origins, np.full(len(origins), end))
    relative = np.abs(run(scaled.values) - came) / sizes
    if not np.isfinite(relative).any():
        return 1.0
    count = np.isfinite(relative).any(axis=1).sum()
    return float((np.nanmean(relative) * count + COMMON) / (count + COMMON))


# ------------------------------------------------------------------------------------- forecasting


class _Nets:
    """What was learnt, ready to forecast with numpy."""

    def __init__(self, network: Network, learnt: Learnt) -> None:
        self.network = network
        self.shape = Shape(**learnt.header["shape"])
        self.fixed = network.fixed(self.shape)
        self.weights = {name: x.astype(float) for name, x in _weights(learnt.arrays).items()}
        self.sizes = learnt.arrays["sizes"]
        self.shares = learnt.arrays["shares"]
        self.growth = float(learnt.header["growth"])

    def run(self, windows: Floats) -> Floats:
        """Forecast scaled windows, shape (n, window): the median of the nets, (n, horizon)."""
        ahead = self.network.run(Numpy, self.weights, self.fixed, windows[None])
        return np.asarray(np.median(ahead, axis=0))


_READY: list[tuple[Learnt, _Nets]] = []


def _ready(network: Network, learnt: Learnt) -> _Nets:
    """Make nets ready, or take those of the last call: a model is forecast series by series."""
    if not _READY or _READY[0][0] is not learnt:
        _READY[:] = [(learnt, _Nets(network, learnt))]
    return _READY[0][1]


def fit(
    network: Network,
    batch: Sequence[Series],
    check: Callable[[], None],
    learnt: Learnt,
) -> list[Result]:
    """Keep of each series its last window and its own factor; see `contract.LearningKind.fit`."""
    nets = _ready(network, learnt)
    results: list[Result] = []
    for series in batch:
        check()
        values = series.values
        if len(values) < MINIMUM:
            results.append(too_few(len(values), MINIMUM))
            continue
        own = Collection([values[-(nets.shape.window + ORIGINS * len(nets.sizes)) :]], nets.shape)
        factor = _factor(own, 0, int(own.lengths[0]), nets.sizes, nets.run)
        parameters = {
            "window": pad(values, nets.shape).tolist(),
            "factor": factor,
            "nonnegative": bool(values.min() >= 0.0),
        }
        results.append(Fit(parameters, learnt.label, note(series)))
    return results


def forecast(
    network: Network,
    parameters: Parameters,
    horizon: int,
    levels: Sequence[float],
    learnt: Learnt,
) -> Forecast:
    """Forecast; beyond what the nets were made for, from their own forecasts."""
    nets = _ready(network, learnt)
    window = np.array(parameters["window"])
    low, high = float(window.min()), float(window.max())
    margin = OUTSIDE * (high - low)
    least = max(low - margin, 0.0) if parameters["nonnegative"] else low - margin
    spread = float(scale(window, nets.shape).spread[0])
    parts: list[Floats] = []
    for _ in range(-(-horizon // nets.shape.horizon)):
        scaled = scale(window, nets.shape)
        ahead = nets.run(scaled.values[None])[0] * scaled.spread + scaled.level
        parts.append(np.clip(ahead, least, high + margin))
        window = np.concatenate([window, parts[-1]])[-nets.shape.window :]
    mean = np.concatenate(parts)[:horizon]
    reach = len(nets.sizes)
    steps = np.arange(1.0, horizon + 1)
    sizes = np.append(nets.sizes, np.full(max(horizon - reach, 0), nets.sizes[-1]))[:horizon]
    sizes = sizes * np.maximum(steps / reach, 1.0) ** max(nets.growth, GROWTH)
    times = np.array([_share(nets.shares, level) for level in levels])
    half = np.outer(times, sizes) * spread * parameters["factor"]
    lower, upper = mean - half, mean + half
    if parameters["nonnegative"]:
        lower = np.maximum(lower, 0.0)
    return Forecast(mean, lower, upper)


def _share(shares: Floats, level: float) -> float:
    """Give a quantile of absolute errors; outside of what was measured, in proportion to t."""
    if SHARES[0] <= level <= SHARES[-1]:
        return float(np.interp(level, SHARES, shares))
    end = 0 if level < SHARES[0] else -1
    ratio = intervals.quantile(0.5 + 0.5 * level) / intervals.quantile(0.5 + 0.5 * SHARES[end])
    return float(shares[end] * ratio)


def update(parameters: Parameters, values: Floats) -> Parameters:
    """Move the window on; weights and factor are held fixed."""
    window = np.append(np.array(parameters["window"]), values)[-len(parameters["window"]) :]
    nonnegative = parameters["nonnegative"] and not bool((values < 0.0).any())
    return parameters | {"window": window.tolist(), "nonnegative": nonnegative}


@dataclass(frozen=True)
class Nets:
    """A kind of nets: what `contract.LearningKind` asks for, of one architecture."""

    NAME: str
    network: Network
    FORMAT: ClassVar[int] = 1
    MINIMUM: ClassVar[int] = MINIMUM
    CAN_UPDATE: ClassVar[bool] = True
    LEARNS: ClassVar[Literal[True]] = True
    CONTINUES: ClassVar[bool] = True
    USES_REGRESSORS: ClassVar[bool] = False

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the options; see `check_options`."""
        return check_options(self.NAME, options)

    def learn(
        self,
        collection: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        known: Learnt | None = None,
    ) -> Learnt:
        """Learn weights from all series; see `learn`."""
        given = self.check_options(options)
        return learn(self.network, self.NAME, collection, horizon, given, check, known)

    def fit(
        self,
        batch: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        learnt: Learnt,
    ) -> list[Result]:
        """Keep the last window of each series; see `fit`."""
        return fit(self.network, batch, check, learnt)

    def forecast(
        self, parameters: Parameters, horizon: int, levels: Sequence[float], learnt: Learnt
    ) -> Forecast:
        """Forecast with numpy alone; see `forecast`."""
        return forecast(self.network, parameters, horizon, levels, learnt)

    def update(
        self, parameters: Parameters, values: Floats, regressors: Regressors | None = None
    ) -> Parameters:
        """Move the window on; see `update`."""
        return update(parameters, values)
