"""What kinds that boost trees over the lags of all series have in common; each brings its library.

Rounds are chosen, and errors measured, on the last steps of each series, which a first ensemble did
not see; the ensemble that forecasts is then fitted to everything. Intervals are the quantiles of
those errors, each in its series' own size of change, over a spread that grows with a power of the
step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting.contract import (
    Calendar,
    Fit,
    Floats,
    Forecast,
    Learnt,
    Parameters,
    Regressors,
    Result,
    Series,
)
from weighhouse.forecasting.intervals import quantile
from weighhouse.forecasting.lags import Layout, Prepared, prepare, require_ahead, rows, rows_ahead
from weighhouse.forecasting.rolling import note, too_few
from weighhouse.trees import Trees

__all__ = [
    "FORMAT",
    "MINIMUM",
    "Library",
    "Sample",
    "complete",
    "draw",
    "fit",
    "forecast",
    "keep",
    "kept",
    "learn",
    "project",
    "recent",
    "update",
]

FORMAT = 1
MINIMUM = 4
DEFAULTS: dict[str, Any] = {"rounds": 200, "learning_rate": 0.05, "leaves": 31, "lags": 6}
LIMITS = {"rounds": (1, 5000), "learning_rate": (1e-3, 1.0), "leaves": (2, 1024), "lags": (1, 400)}
# Rows an ensemble learns from, of all series together: enough, and a minute at most.
ROWS = 60_000
# A tree sees shares of rows and columns, drawn anew for each; a leaf has so many rows at least;
# a column so many bins.
SHARE, COLUMNS, LEAF, BINS = 0.7, 0.6, 50, 127
SEED = 20_261
# Rounds between two looks at the withheld steps.
JUDGED = 10
# Of each origin so many steps are drawn, spread over the horizon.
DRAWN = 6
# Origins within the withheld steps from which errors are measured, besides their beginning.
LATER = 3
# Withheld steps are at most this share of a series.
WITHHELD = 0.34
# Going on from what is known: rounds and rows, as a share of those of a full fit.
CONTINUED = 0.1
CONTINUED_ROWS = 0.15
# Then the last part of each series is learnt from: the rest is known.
RECENT = 0.3
# Probabilities at which quantiles of errors are kept.
PROBABILITIES = (0.02, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99, 0.995)
# Errors of so many series count as much as what Student's t says.
ENOUGH = 8.0
GROWTH = 0.5
STEEPEST = 1.5
# Forecasts leave what was seen by at most so many times its range.
OUTSIDE = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to learn from.

    Attributes
    ----------
    x : ndarray, shape (n, columns)
        NaN: not known.
    y, weight : ndarray, shape (n,)
    """

    x: Floats
    y: Floats
    weight: Floats


class Library(Protocol):
    """What a library of trees must do; absolute errors, one thread, the same for the same data."""

    NAME: str

    def boost(
        self,
        sample: Sample,
        rounds: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        known: bytes | None,
        judge: Callable[[int, Floats], None] | None,
        test: Floats | None,
        /,
    ) -> tuple[bytes, Trees]:
        """Fit `rounds` trees, on from `known` (native).

        judge, where there is a test: called after each tenth round with the rounds so far and the
        scores of the rows of `test`.
        """


def complete(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete options; see `boosting.check_options`."""
    unknown = sorted(set(options) - set(DEFAULTS))
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of {kind}", hint=f"Known are {', '.join(DEFAULTS)}."
        )
    given = DEFAULTS | dict(options)
    for name, (least, most) in LIMITS.items():
        value = given[name]
        whole = isinstance(DEFAULTS[name], int)
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else (int, float))
            or not least <= value <= most
        ):
            raise BadOptions(
                f"option {name} of {kind} is {value!r}",
                hint=f"Give a {'whole ' if whole else ''}number from {least:g} to {most:g}.",
            )
    return given


# --------------------------------------------------------------------------------------- learning


def _cut(n: int, horizon: int) -> int:
    """Give how many observations are left when the last ones are withheld."""
    return n - max(min(horizon, int(WITHHELD * n)), 1)


def _places(
    n: int, layout: Layout, most: int, first: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw origins, and steps to targets from `first` on among n observations."""
    # The first origins know next to nothing, unless there are no others.
    begin = min(2 * layout.season if layout.season > 1 else 2, n - layout.horizon - 1)
    origins = np.arange(max(begin, 1, first - layout.horizon), n - 1)
    each = min(DRAWN, layout.horizon)
    if len(origins) * each > most:
        origins = np.sort(rng.choice(origins, max(most // each, 1), replace=False))
    origin = np.repeat(origins, each)
    # One step of each part of the horizon.
    part = np.tile(np.arange(each), len(origins)) + rng.random(len(origin))
    step = (part * layout.horizon / each).astype(np.int64) + 1
    there = (origin + step < n) & (origin + step >= first)
    return origin[there], step[there]


def _joined(parts: list[tuple[Floats, Floats, Floats]]) -> Sample | None:
    if not parts:
        return None
    x, y, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sample(x, y, weight / weight.mean())


def draw(
    known: Sequence[tuple[Prepared, int, int]],
    layout: Layout,
    most: int,
    check: Callable[[], None],
) -> Sample | None:
    """Draw rows of series, of each its first `n` observations, targets from `first` on."""
    rng = np.random.default_rng(SEED)
    parts = []
    each = max(most // max(len(known), 1), 1)
    for series, n, first in known:
        check()
        origin, step = _places(n, layout, each, first, rng)
        if not len(origin):
            continue
        x, base = rows(series, origin, step, layout)
        y = (series.z[origin + step] - base) / series.size
        # A long series says more than a short one, but not in proportion.
        parts.append((x, y, np.full(len(y), len(y) ** -0.5)))
    return _joined(parts)


def _withheld(
    known: Sequence[Prepared], layout: Layout, check: Callable[[], None]
) -> tuple[Sample, NDArray[np.int64]] | None:
    """Make rows of the withheld steps, from their beginning and a few later origins."""
    parts, steps = [], []
    ahead = np.arange(1, layout.horizon + 1)
    for series in known:
        check()
        n = len(series.z)
        cut = _cut(n, layout.horizon)
        later = max((n - cut) // (LATER + 1), 1)
        origins = np.arange(cut - 1, n - 1, later)
        origin, step = (grid.ravel() for grid in np.meshgrid(origins, ahead, indexing="ij"))
        there = origin + step < n
        origin, step = origin[there], step[there]
        x, base = rows(series, origin, step, layout)
        y = (series.z[origin + step] - base) / series.size
        parts.append((x, y, np.full(len(y), 1.0 / len(y))))
        steps.append(step)
    sample = _joined(parts)
    return None if sample is None else (sample, np.concatenate(steps))


def _spread(errors: Floats, steps: NDArray[np.int64], series_count: int) -> dict[str, Any]:
    """Measure errors in sizes of change: their spread by step, and quantiles about it."""
    found = np.unique(steps)
    spread = np.array([max(np.median(np.abs(errors[steps == h])), 1e-9) for h in found])
    weight = np.sqrt([np.count_nonzero(steps == h) for h in found])
    growth = GROWTH
    if len(found) > 2:
        x, y = np.log(found), np.log(spread)
        x = x - np.average(x, weights=weight)
        measured = float(np.sum(weight * x * y) / np.sum(weight * x * x))
        share = series_count / (series_count + ENOUGH)
        growth = share * float(np.clip(measured, 0.0, STEEPEST)) + (1.0 - share) * GROWTH
    first = float(np.exp(np.average(np.log(spread / found**growth), weights=weight)))
    size = np.sort(np.abs(errors) / (first * steps**growth))
    # A new error is beyond the greatest of n with a chance of 1 in n + 1.
    place = np.clip(np.array(PROBABILITIES) * (len(size) + 1) / len(size), 0.0, 1.0)
    measured_sizes = np.quantile(size, place)
    usual = np.array([quantile(0.5 + 0.5 * p) for p in PROBABILITIES]) / quantile(0.75)
    share = series_count / (series_count + ENOUGH)
    sizes = np.maximum.accumulate(share * measured_sizes + (1.0 - share) * usual)
    return {"first": first, "growth": growth, "sizes": sizes.tolist()}


def learn(
    library: Library,
    collection: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    """Learn from all series; see `contract.LearningKind.learn`."""
    given = complete(library.NAME, options)
    long = [series for series in collection if len(series.values) >= MINIMUM]
    if not long:
        raise TooFewObservations(
            f"none of {len(collection)} series has {MINIMUM} observations",
            hint="Wait for more, or fit the kind naive.",
        )
    if known is None:
        layout = Layout.of(long, horizon, given["lags"])
    else:
        layout = Layout.load(known.header["layout"])
        if Layout.of(long, horizon, given["lags"]).regressors != layout.regressors:
            raise BadOptions(
                "the series have other regressors than what was learnt before",
                hint="Learn from nothing: refit => true.",
            )
    prepared = []
    for series in long:
        check()
        ready = prepare(series, layout.season)
        if ready.size > 0.0:
            prepared.append(ready)
    if known is not None and known.native is not None:
        return _continue(library, prepared, layout, given, check, known)
    spread = _spread(np.zeros(1), np.ones(1, dtype=np.int64), 0)
    rounds = given["rounds"]
    cuts = [(series, _cut(len(series.z), layout.horizon), 0) for series in prepared]
    sample = draw(cuts, layout, ROWS, check)
    withheld = _withheld(prepared, layout, check)
    if sample is not None and withheld is not None:
        test, steps = withheld
        losses: list[tuple[float, int, Floats]] = []

        def judge(done: int, scores: Floats) -> None:
            away = test.y - scores
            losses.append((float(np.mean(test.weight * np.abs(away))), done, away))

        judge(0, np.zeros(len(test.y)))
        library.boost(sample, rounds, given, check, None, judge, test.x)
        _, rounds, errors = min(losses, key=lambda loss: loss[:2])
        spread = _spread(errors, steps, len(prepared))
    full = draw([(series, len(series.z), 0) for series in prepared], layout, ROWS, check)
    native, trees = None, _no_trees()
    if full is not None and rounds > 0:
        native, trees = library.boost(full, rounds, given, check, None, None, None)
    header = {
        "layout": layout.dump(),
        "spread": spread,
        "series": len(prepared),
        "rounds": rounds,
        "trees": trees.facts(),
    }
    columns = 0 if full is None else full.x.shape[1]
    label = f"{trees.count} trees of {columns} lags and features, from {len(prepared)} series"
    return Learnt(header, trees.arrays(), native, label)


def _no_trees() -> Trees:
    """Give an ensemble of no trees: what is left is the last level and the season."""
    integers = np.zeros(0, dtype=np.int32)
    return Trees(
        integers,
        np.zeros(0),
        integers,
        np.zeros(0, dtype=bool),
        np.zeros((0, 1)),
        np.zeros(0, dtype=np.int64),
        integers,
        np.zeros(1),
    )


def _continue(
    library: Library,
    prepared: Sequence[Prepared],
    layout: Layout,
    given: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt,
) -> Learnt:
    """Add rounds fitted to what the newest part of each series adds."""
    newest = [(s, len(s.z), int((1.0 - RECENT) * len(s.z))) for s in prepared]
    sample = draw(newest, layout, int(CONTINUED_ROWS * ROWS), check)
    if sample is None:
        return known
    rounds = max(int(CONTINUED * known.header["rounds"]), 1)
    native, trees = library.boost(sample, rounds, given, check, known.native, None, None)
    header = known.header | {"trees": trees.facts(), "series": len(prepared)}
    label = (
        f"{trees.count} trees of {sample.x.shape[1]} lags and features, {rounds} of them added,"
        f" from {len(prepared)} series"
    )
    return Learnt(header, trees.arrays(), native, label)


# -------------------------------------------------------------------------------------- forecasts


def _sum(learnt: Learnt, x: Floats) -> Floats:
    """Sum the trees for a few rows, all trees side by side.

    `Trees.raw` takes many rows through one tree after the other; the steps of one forecast are few.
    """
    arrays = learnt.arrays
    feature, child = arrays["trees_feature"], arrays["trees_child"]
    root = arrays["trees_root"]
    if not len(root):
        return np.zeros(len(x))
    threshold, missing_left = arrays["trees_threshold"], arrays["trees_missing_left"]
    x = np.ascontiguousarray(x, dtype=threshold.dtype)
    row = np.repeat(np.arange(len(x)), len(root))
    start = np.tile(root, len(x))
    place = start.copy()
    active = np.arange(len(place))
    while True:
        column = feature[place[active]]
        inner = column >= 0
        active, column = active[inner], column[inner]
        if not len(active):
            break
        at = place[active]
        number = x[row[active], column]
        left = np.where(np.isnan(number), missing_left[at], number <= threshold[at])
        place[active] = start[active] + child[at] + ~left
    leaf = arrays["trees_value"][child[place], 0].astype(float).reshape(len(x), len(root))
    return np.asarray(leaf.sum(axis=1) + float(arrays["trees_base"][0]))


def fit(
    library: Library,
    batch: Sequence[Series],
    options: Mapping[str, Any],
    check: Callable[[], None],
    learnt: Learnt,
) -> list[Result]:
    """Keep of each series what a forecast needs; see `contract.LearningKind.fit`."""
    complete(library.NAME, options)
    layout = Layout.load(learnt.header["layout"])
    results: list[Result] = []
    for series in batch:
        check()
        n = len(series.values)
        if n < MINIMUM:
            results.append(too_few(n, MINIMUM))
            continue
        names = series.regressors.names if series.regressors is not None else ()
        if names != layout.regressors:
            results.append(
                BadOptions(
                    "the series has other regressors than what was learnt",
                    hint="Learn again from all series: refit => true.",
                )
            )
            continue
        results.append(Fit(keep(series, layout), library.NAME, note(series)))
    return results


def keep(series: Series, layout: Layout) -> Parameters:
    """Keep of a series what its forecast needs; JSON only."""
    n = len(series.values)
    ready = prepare(series, layout.season)
    parameters = {
        "log": ready.log,
        "size": ready.size,
        "floor": ready.floor,
        "nonnegative": bool(np.min(series.values) >= 0.0),
        "count": n,
        # A short history grows until there is this much of it.
        "most": layout.history,
        "history": np.asarray(series.values, dtype=float)[-layout.history :].tolist(),
        "calendar": None if series.calendar is None else _dump_calendar(series.calendar),
        "regressors": None,
    }
    if series.regressors is not None:
        first = n - len(parameters["history"])
        parameters["regressors"] = _dump_rows(series.regressors.values[first:])
    return parameters


def recent(series: Series, layout: Layout) -> Prepared:
    """Give what `keep` would keep of a series without regressors."""
    ready = prepare(series, layout.season)
    first = max(len(ready.z) - layout.history, 0)
    return replace(ready, z=ready.z[first:], first=first)


def _dump_calendar(calendar: Calendar) -> dict[str, Any]:
    return {"unit": calendar.unit, "count": calendar.count, "first": str(calendar.first)}


def _dump_rows(values: Floats) -> list[list[float | None]]:
    return [[x if np.isfinite(x) else None for x in row] for row in values.tolist()]


def kept(parameters: Parameters, layout: Layout) -> Prepared:
    """Give a series as `keep` kept it."""
    values = np.array(parameters["history"], dtype=float)
    log = bool(parameters["log"])
    z = np.log(np.maximum(values, parameters["floor"])) if log else values
    calendar, given = parameters["calendar"], parameters["regressors"]
    regressors = None
    if given is not None:
        numbers = np.array(given, dtype=float).reshape(len(given), len(layout.regressors))
        regressors = Regressors(layout.regressors, numbers)
    return Prepared(
        z,
        log,
        float(parameters["size"]),
        float(parameters["floor"]),
        int(parameters["count"]) - len(values),
        None
        if calendar is None
        else Calendar(calendar["unit"], calendar["count"], np.datetime64(calendar["first"], "s")),
        regressors,
    )


def forecast(
    parameters: Parameters, horizon: int, levels: Sequence[float], learnt: Learnt
) -> Forecast:
    """Forecast; see `contract.LearningKind.forecast`."""
    layout = Layout.load(learnt.header["layout"])
    series = kept(parameters, layout)
    _require(series, horizon)
    (ahead,) = project([series], [horizon], layout, partial(_sum, learnt))
    spread = learnt.header["spread"]
    sizes = np.interp(levels, PROBABILITIES, spread["sizes"]) if levels else np.zeros(0)
    for i, level in enumerate(levels):
        if level > PROBABILITIES[-1]:
            sizes[i] *= quantile(0.5 + 0.5 * level) / quantile(0.5 + 0.5 * PROBABILITIES[-1])
        elif level < PROBABILITIES[0]:
            sizes[i] *= level / PROBABILITIES[0]
    steps = np.arange(1.0, horizon + 1) ** spread["growth"]
    half = series.size * spread["first"] * np.outer(sizes, steps)
    # What is far beyond everything is beyond numbers too.
    lower, upper = (
        series.back(
            np.clip(ahead + side * half, -600.0, 600.0) if series.log else ahead + side * half
        )
        for side in (-1.0, 1.0)
    )
    mean = series.back(ahead)
    if parameters["nonnegative"]:
        mean, lower, upper = (np.maximum(each, 0.0) for each in (mean, lower, upper))
    return Forecast(mean, np.minimum(lower, mean), np.maximum(upper, mean))


def project(
    known: Sequence[Prepared],
    horizons: Sequence[int],
    layout: Layout,
    score: Callable[[Floats], Floats],
) -> list[Floats]:
    """Give what is expected of series, each so many steps ahead, in their working spaces.

    Beyond the steps that were learnt, forecasts are taken for observations. score: sums the trees
    for rows of all series together.
    """
    paths = [series.z for series in known]
    for step in _blocks(max(horizons, default=0), layout.horizon):
        moving, given = [], []
        for i, series in enumerate(known):
            own = step[: max(horizons[i] - (len(paths[i]) - len(series.z)), 0)]
            if not len(own):
                continue
            if series.size <= 0.0:
                paths[i] = np.concatenate([paths[i], np.full(len(own), series.z[-1])])
                continue
            moving.append(i)
            given.append(own)
        if not moving:
            continue
        x, base = rows_ahead([replace(known[i], z=paths[i]) for i in moving], given, layout)
        ends = np.cumsum([len(own) for own in given])[:-1]
        parts = np.split(score(x), ends)
        for i, own_base, scores in zip(moving, np.split(base, ends), parts, strict=True):
            z = known[i].z
            low, high = float(z.min()), float(z.max())
            room = OUTSIDE * (high - low)
            ahead = np.clip(own_base + known[i].size * scores, low - room, high + room)
            paths[i] = np.concatenate([paths[i], ahead])
    return [path[len(series.z) :] for path, series in zip(paths, known, strict=True)]


def _require(series: Prepared, horizon: int) -> None:
    """Raise MissingRegressor unless regressors are known so far ahead."""
    calendar = series.calendar
    if calendar is not None:
        first = calendar.times(series.first, series.first + 1)[0]
        calendar = replace(calendar, first=first)
    require_ahead(series.regressors, calendar, len(series.z), horizon)


def _blocks(horizon: int, learnt: int) -> Iterator[NDArray[np.int64]]:
    """Part the steps ahead into runs of those that were learnt."""
    for start in range(0, horizon, learnt):
        yield np.arange(1, min(learnt, horizon - start) + 1, dtype=np.int64)


def update(
    parameters: Parameters, values: Floats, regressors: Regressors | None = None
) -> Parameters:
    """Take in the next observations; see `contract.LearningKind.update`."""
    keep = len(parameters["history"])
    count = len(values)
    history = [*parameters["history"], *values.tolist()]
    given = parameters["regressors"]
    if given is not None:
        before = given[:keep]
        # Unless they are told anew, what was said of the steps ahead holds.
        later = given[keep:] if regressors is None else _dump_rows(regressors.values)
        if len(later) < count or any(x is None for row in later[:count] for x in row):
            raise BadOptions(
                "regressors of the new observations are missing",
                hint="Give a row of regressors for each new observation.",
            )
        given = [*before, *later]
    drop = max(len(history) - parameters["most"], 0)
    return parameters | {
        "history": history[drop:],
        "regressors": None if given is None else given[drop:],
        "count": parameters["count"] + count,
        "nonnegative": parameters["nonnegative"] and (count == 0 or bool(np.min(values) >= 0.0)),
    }
