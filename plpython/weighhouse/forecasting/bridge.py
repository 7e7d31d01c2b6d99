"""Between SQL and the kernels: batches of series as bytes in, results as JSON out.

A series arrives as the numbers of its steps and its values; the JSON of a result is one object:

- `kind`, `format`, `updatable`, `parameters`, `label`, `note`: what was fitted;
- `fell_back_from`, `reason`, `sqlstate`, `hint`: why a baseline stands in, where one does;
- `length`, `first_step`, `last_step`, `gaps`: the steps that were used, those filled among them;
- `forecast`: five lists, one number a step: mean, lower and upper of 80 %, of 95 %;
- for a series that nothing can forecast: `reason`, `sqlstate`, `hint` alone.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse import artifacts, pg
from weighhouse.errors import BadOptions, TooFewObservations, WeighhouseError
from weighhouse.forecasting import grid, kind
from weighhouse.forecasting.applied import Applied, learn, learns
from weighhouse.forecasting.contract import (
    Calendar,
    Fit,
    Floats,
    Forecast,
    Parameters,
    Regressors,
    Series,
)
from weighhouse.learnt import pack

__all__ = [
    "LEVELS",
    "UnevenSteps",
    "backtest",
    "calendar",
    "check_kind_options",
    "fit",
    "forecast",
    "forecast_rows",
    "learn_all",
    "update",
]

Integers = NDArray[np.int64]
Check = Callable[[], None]

# The ledger holds these two; other levels are computed when they are asked for.
LEVELS = (0.8, 0.95)
# What stands in where a kind cannot be fitted, in this order.
BASELINES = ("seasonal_naive", "naive")
# A gap of this many steps between two observations is a typing mistake in a date, not a gap.
LONGEST = 1_000_000


class UnevenSteps(WeighhouseError):
    """Observations are not on the grid of the series."""

    sqlstate = "ML002"


@dataclass(frozen=True, slots=True)
class Columns:
    """What a source holds beside the values of one series.

    Attributes
    ----------
    steps : ndarray of int64, shape (m,)
        Ascending; also steps after the last value.
    values : ndarray of float64, shape (m, features)
        NaN: not known.
    """

    steps: Integers
    values: Floats


@dataclass(frozen=True, slots=True)
class Observed:
    """One series as it comes from its source."""

    step: Integers
    value: Floats
    columns: Columns | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A series the kernels can take, and where it lies on the grid."""

    series: Series
    first_step: int
    last_step: int
    gaps: int
    note: str | None
    problem: WeighhouseError | None = None
    """Why a kind that takes regressors cannot take it; a baseline needs none."""


def _edges(counts: bytes) -> Integers:
    return np.concatenate([[0], np.cumsum(pg.integers(counts, 4))])


def _split(
    steps: bytes,
    values: bytes,
    counts: bytes,
    options: Mapping[str, Any],
    features: tuple[bytes | None, bytes | None, bytes | None] = (None, None, None),
) -> Iterator[Observed]:
    step, value, edges = pg.integers(steps), pg.floats(values), _edges(counts)
    if not edges[-1] == step.size == value.size:
        raise BadOptions(
            f"{step.size} steps and {value.size} values for {int(edges[-1])} observations"
        )
    width = len(options.get("features") or ())
    column_step, column_value = pg.integers(features[0]), pg.floats(features[1])
    column_edges = _edges(features[2] or b"") if width else np.zeros(edges.size, dtype=np.int64)
    if not (column_edges.size == edges.size and column_edges[-1] == column_step.size) or (
        column_value.size != column_step.size * width
    ):
        raise BadOptions(f"{column_value.size} values of {width} features for {edges.size} series")
    for i, (start, stop) in enumerate(itertools.pairwise(edges.tolist())):
        columns = None
        if width:
            first, last = int(column_edges[i]), int(column_edges[i + 1])
            table = column_value[first * width : last * width].reshape(-1, width)
            columns = Columns(column_step[first:last], table)
        yield Observed(step[start:stop], value[start:stop], columns)


def calendar(grid_of: Mapping[str, Any] | None, step: int) -> Calendar | None:
    """Tell when a step of the grid is; None where the grid is not known."""
    if not grid_of:
        return None
    count, unit = int(grid_of["count"]), grid_of["unit"]
    units = step * count + int(grid_of.get("phase") or 0)
    if unit == "second":
        zone = None if grid_of.get("is_local") else grid_of.get("zone")
        return Calendar("second", count, np.datetime64(units, "s"), zone)
    if unit == "day":
        first = np.datetime64("2000-01-01", "D") + np.timedelta64(units, "D")
    else:
        # Months are counted from the year 0.
        first = np.datetime64(units - 12 * 1970, "M").astype("datetime64[D]")
    return Calendar(unit, count, first.astype("datetime64[s]"))


def _fill_columns(values: Floats, n: int, names: Sequence[str]) -> int:
    """Carry what is known of the past forward, then backward; give how many numbers were filled.

    Raises
    ------
    TooFewObservations
        A column has no value in the past at all.
    """
    filled = 0
    for j, name in enumerate(names):
        past = values[:n, j]
        missing = np.isnan(past)
        if missing.all():
            raise TooFewObservations(
                f"the regressor {name} has no value in the past of the series",
                hint="Fill the column, or create the model without it.",
            )
        if missing.any():
            known = np.flatnonzero(~missing)
            # The last known before each step; the first known where there is none.
            before = np.searchsorted(known, np.arange(n), side="right") - 1
            past[missing] = past[known[np.maximum(before, 0)]][missing]
            filled += int(np.count_nonzero(missing))
    return filled


def _regressors(
    columns: Columns | None, first: int, n: int, options: Mapping[str, Any], horizon: int
) -> tuple[Regressors | None, str | None]:
    """Place columns and holidays on the steps of a series and those ahead; say what was filled."""
    names = tuple(options.get("features") or ())
    holidays: Mapping[str, Sequence[int]] = options.get("holiday_steps") or {}
    if not names and not holidays:
        return None, None
    length, note = n + horizon, None
    if columns is not None and columns.steps.size:
        length = max(length, int(columns.steps[-1]) - first + 1)
    values = np.full((length, len(names) + len(holidays)), np.nan)
    if columns is not None:
        inside = (columns.steps >= first) & (columns.steps < first + length)
        values[columns.steps[inside] - first, : len(names)] = columns.values[inside]
        filled = _fill_columns(values[:, : len(names)], n, names)
        if filled:
            note = f"{filled} missing values of regressors were carried forward"
    for j, days in enumerate(holidays.values(), start=len(names)):
        values[:, j] = 0.0
        at = np.asarray(days, dtype=np.int64) - first
        values[at[(at >= 0) & (at < length)], j] = 1.0
    labels = (*names, *(f"holiday: {name}" for name in holidays))
    return Regressors(labels, values), note


def _ready(
    observed: Observed, options: Mapping[str, Any], step_seconds: float, horizon: int
) -> Ready | WeighhouseError:
    """Place the observations of one series on its grid, and cut and fill it."""
    step, value = observed.step, observed.value
    try:
        if not step.size:
            raise TooFewObservations("no observation", hint="Give a longer history.")
        if np.any(np.diff(step) <= 0):
            twice = int(step[1:][np.diff(step) <= 0][0])
            count = int(np.count_nonzero(np.diff(step) <= 0))
            raise UnevenSteps(
                f"{count} steps have more than one row",
                detail=f"The first is step {twice}.",
                hint='Say how rows of one step come together, as {"aggregate": "sum"},'
                " or name the key columns that tell them apart.",
            )
        span = int(step[-1] - step[0]) + 1
        if span > LONGEST:
            raise UnevenSteps(
                f"the series spans {span} steps",
                hint="Look for a mistyped date, or give a longer step.",
            )
        values = np.full(span, np.nan)
        values[step - step[0]] = value
        if options.get("missing") == "zero":
            values[np.isnan(values)] = 0.0
        given = options.get("seasons")
        seasons = (
            grid.default_seasons(step_seconds, span)
            if given is None
            else tuple(sorted({int(m) for m in given}))
        )
        prepared = grid.prepare(values, seasons, max_gap=options.get("max_gap"))
        n = prepared.values.size
        first = int(step[0]) + prepared.start
    except WeighhouseError as error:
        return error
    regressors, note, problem = None, None, None
    try:
        regressors, note = _regressors(observed.columns, first, n, options, horizon)
    except WeighhouseError as error:
        problem = error
    usable = tuple(m for m in seasons if 2 * m <= n)
    series = Series(prepared.values, usable, calendar(options.get("grid"), first), regressors)
    return Ready(
        series, first, first + n - 1, prepared.filled, _joined(prepared.note, note), problem
    )


def _numbers(values: Floats) -> list[float]:
    return [float(x) for x in values]


def _forecast(forecast: Forecast) -> list[list[float]]:
    return [
        _numbers(forecast.mean),
        _numbers(forecast.lower[0]),
        _numbers(forecast.upper[0]),
        _numbers(forecast.lower[1]),
        _numbers(forecast.upper[1]),
    ]


def _failure(error: WeighhouseError) -> dict[str, Any]:
    return {
        "reason": " ".join(filter(None, [f"{error}.", error.detail])),
        "sqlstate": error.sqlstate,
        "hint": error.hint,
    }


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None


def _described(
    ready: Ready, applied: Applied, parameters: Parameters, horizon: int
) -> dict[str, Any]:
    return {
        "kind": applied.name,
        "format": applied.module.FORMAT,
        "updatable": applied.module.CAN_UPDATE,
        "parameters": parameters,
        "length": int(ready.series.values.size),
        "first_step": ready.first_step,
        "last_step": ready.last_step,
        "gaps": ready.gaps,
        "forecast": _forecast(applied.forecast(parameters, horizon, LEVELS)),
    }


def check_kind_options(kind_name: str, options: str) -> str:
    """Complete the options of a kind; JSON in and out. Raises BadOptions."""
    return json.dumps(kind(kind_name).check_options(json.loads(options)), allow_nan=False)


def _prepare(
    observed: Iterator[Observed],
    options: Mapping[str, Any],
    step_seconds: float,
    horizon: int,
    check: Check,
) -> list[Ready | WeighhouseError]:
    result = []
    for one in observed:
        result.append(_ready(one, options, step_seconds, horizon))
        check()
    return result


def learn_all(
    kind_name: str,
    kind_options: str,
    options: str,
    step_seconds: float,
    horizon: int,
    steps: bytes,
    values: bytes,
    counts: bytes,
    feature_steps: bytes | None,
    feature_values: bytes | None,
    feature_counts: bytes | None,
    known: str | None,
    check: Check,
) -> dict[str, Any]:
    """Learn from all series of a model what its kind learns from them together.

    Parameters
    ----------
    known : str or None
        Artifact to go on from, which is in memory; None: from nothing.
    kind_name, kind_options, options, step_seconds, horizon, steps, values, counts, check
        As of `fit`; all series at once.
    feature_steps, feature_values, feature_counts
        As of `fit`.

    Returns
    -------
    dict
        form, header (JSON text), arrays, native, native_format, label: a row of the artifacts.

    Raises
    ------
    TooFewObservations
        There is nothing to learn from.
    """
    given: Mapping[str, Any] = json.loads(options)
    features = (feature_steps, feature_values, feature_counts)
    split = _split(steps, values, counts, given, features)
    ready = _prepare(split, given, step_seconds, horizon, check)
    collection = [one.series for one in ready if isinstance(one, Ready) and not one.problem]
    before = None if known is None else artifacts.find(known)
    learnt = learn(kind_name, collection, horizon, json.loads(kind_options), check, before)
    if learnt is None:
        raise BadOptions(f"{kind_name} learns nothing from other series")
    module = kind(kind_name)
    return {
        "form": module.FORMAT,
        "header": json.dumps(learnt.header, allow_nan=False),
        "arrays": pack(learnt.arrays),
        "native": learnt.native,
        "native_format": None
        if learnt.native is None
        else getattr(module, "NATIVE_FORMAT", kind_name),
        "label": learnt.label,
    }


def fit(
    kind_name: str,
    kind_options: str,
    options: str,
    step_seconds: float,
    horizon: int,
    steps: bytes,
    values: bytes,
    counts: bytes,
    check: Check,
    feature_steps: bytes | None = None,
    feature_values: bytes | None = None,
    feature_counts: bytes | None = None,
) -> str:
    """Fit a batch of series and forecast each.

    Parameters
    ----------
    kind_name, kind_options
        The kind and its own options, completed; JSON.
    options : str
        JSON object of `seasons` (list of int; absent or None: from the step), `max_gap` (steps;
        None: default), `missing` ("zero": a step without a row is 0), `grid` (when the steps are),
        `features` (names of the regressors), `holiday_steps` (steps by the name of a holiday),
        `artifact` (what the kind learnt, in memory; None: nothing; absent: a kind that learns does
        so from this batch).
    step_seconds : float
        Length of a step.
    horizon : int
        Steps to forecast.
    steps, values, counts : bytes
        int8send, float8send of the observations, one series after the other, ascending; int4send of
        how many each has.
    check : callable
        Raises when the caller cancels.
    feature_steps, feature_values, feature_counts : bytes, optional
        The same of the regressors: for each step as many numbers as there are `features`, NaN where
        one is not known; also of steps ahead.

    Returns
    -------
    str
        JSON list, one object a series (see the module).
    """
    own: Mapping[str, Any] = json.loads(kind_options)
    given: Mapping[str, Any] = json.loads(options)
    features = (feature_steps, feature_values, feature_counts)
    split = _split(steps, values, counts, given, features)
    ready = _prepare(split, given, step_seconds, horizon, check)
    results: list[dict[str, Any] | None] = [
        _failure(one) if isinstance(one, WeighhouseError) else None for one in ready
    ]
    prepared = {place: one for place, one in enumerate(ready) if isinstance(one, Ready)}
    reasons = {place: one.problem for place, one in prepared.items() if one.problem}
    for name in (kind_name, *(b for b in BASELINES if b != kind_name)):
        todo = [place for place in prepared if results[place] is None]
        if name == kind_name:
            todo = [place for place in todo if place not in reasons]
        if not todo:
            continue
        batch = [prepared[place].series for place in todo]
        chosen = own if name == kind_name else kind(name).check_options({})
        try:
            applied = _applied(name, given, batch, horizon, chosen, check)
        except TooFewObservations as error:
            reasons |= {place: error for place in todo}
            continue
        fits = applied.fit(batch, horizon, chosen, check)
        for place, found in zip(todo, fits, strict=True):
            check()
            if not isinstance(found, Fit):
                reasons.setdefault(place, found)
                continue
            try:
                row = _described(prepared[place], applied, found.parameters, horizon)
            except WeighhouseError as error:
                # Fitted, but what must be known ahead is not.
                reasons.setdefault(place, error)
                continue
            row |= {"label": found.label, "note": _joined(prepared[place].note, found.note)}
            if place in reasons:
                row |= {"fell_back_from": kind_name, **_failure(reasons[place])}
            results[place] = row
    for place in prepared:
        if results[place] is None:
            results[place] = _failure(reasons[place])
    return json.dumps(results, allow_nan=False)


def _applied(
    name: str,
    given: Mapping[str, Any],
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Check,
) -> Applied:
    """Take a kind with what it learnt before, or learns now.

    What is learnt now is stored nowhere: this session alone can forecast from such parameters.
    """
    if not learns(name):
        return Applied(name)
    artifact: str | None = given.get("artifact")
    if artifact is None and "artifact" in given:
        if not hasattr(kind(name), "NOTHING"):
            raise TooFewObservations(
                f"{name} has nothing to learn from", hint="Give more or longer series."
            )
        return Applied(name)
    if artifact is None:
        learnt = learn(name, batch, horizon, options, check)
        assert learnt is not None
        artifact = str(uuid.uuid4())
        artifacts.ARTIFACTS.put(artifact, learnt, sum(a.nbytes for a in learnt.arrays.values()))
    return Applied(name, artifacts.find(artifact), artifact)


def update(
    options: str,
    step_seconds: float,
    horizon: int,
    steps: bytes,
    values: bytes,
    counts: bytes,
    known: str,
    check: Check,
    feature_steps: bytes | None = None,
    feature_values: bytes | None = None,
    feature_counts: bytes | None = None,
) -> str:
    """Take new observations into fitted series, parameters fixed, and forecast each.

    Parameters
    ----------
    known : str
        JSON list, for each series `kind`, `parameters`, `length` (steps taken in so far),
        `last_step` (the last of them).
    options, step_seconds, horizon, steps, values, counts, check
        As of `fit`; the whole history.
    feature_steps, feature_values, feature_counts
        As of `fit`.

    Returns
    -------
    str
        JSON list as of `fit`; None for a series that must be fitted anew: its past looks different
        now (a long gap since, a gap at the start).
    """
    results: list[dict[str, Any] | None] = []
    given = json.loads(options)
    features = (feature_steps, feature_values, feature_counts)
    split = _split(steps, values, counts, given, features)
    for observed, old in zip(split, json.loads(known), strict=True):
        check()
        ready = _ready(observed, given, step_seconds, horizon)
        length = int(old["length"])
        if isinstance(ready, WeighhouseError) or (
            ready.problem or ready.first_step + length - 1 != int(old["last_step"])
        ):
            results.append(None)
            continue
        applied = Applied.of(old["kind"], old["parameters"])
        series, regressors = ready.series, ready.series.regressors
        if regressors is not None:
            regressors = Regressors(regressors.names, regressors.values[length:])
        try:
            parameters = applied.update(old["parameters"], series.values[length:], regressors)
            row = _described(ready, applied, parameters, horizon)
        except WeighhouseError:
            # The fit says why, and a baseline stands in.
            results.append(None)
            continue
        results.append(row | {"note": ready.note})
    return json.dumps(results, allow_nan=False)


def forecast(
    kind_name: str, parameters: Parameters, horizon: int, levels: Sequence[float]
) -> Forecast:
    """Forecast from stored parameters.

    Raises
    ------
    BadOptions
        The horizon or a level is impossible.
    """
    if not 1 <= horizon <= 100_000:
        raise BadOptions(f"horizon is {horizon}", hint="Give a number of steps from 1 to 100000.")
    for level in levels:
        if not 0 < level < 1:
            raise BadOptions(f"level is {level}", hint="Give a coverage between 0 and 1, as 0.95.")
    return Applied.of(kind_name, parameters).forecast(parameters, horizon, levels)


def forecast_rows(
    kind_name: str, parameters: Parameters, horizon: int, levels: Sequence[float]
) -> list[tuple[int, float, list[float], list[float]]]:
    """Forecast as rows: step from 1, mean, lower and upper by level. Raises as `forecast`."""
    made = forecast(kind_name, parameters, horizon, levels)
    return [
        (i + 1, float(made.mean[i]), made.lower[:, i].tolist(), made.upper[:, i].tolist())
        for i in range(horizon)
    ]


def backtest(
    kind_name: str,
    kind_options: str,
    options: str,
    step_seconds: float,
    horizon: int,
    folds: str,
    steps: bytes,
    values: bytes,
    counts: bytes,
    check: Check,
    feature_steps: bytes | None = None,
    feature_values: bytes | None = None,
    feature_counts: bytes | None = None,
) -> str:
    """Evaluate a kind on a batch of series by rolling origin.

    Parameters
    ----------
    folds : str
        JSON object of `count`, `step` (None: the horizon), `gap`, `window` (None: expanding).
    kind_name, kind_options, options, step_seconds, horizon, steps, values, counts, check
        As of `fit`.

    Returns
    -------
    str
        JSON object. `forecasts`: lists of place of the series from 0, fold from 1, step, numbers of
        the origin's and the target's step, actual (None: a gap), mean, lower and upper of 80 %, of
        95 %, naive, seasonal naive. `scores`: place, fold (None: all), method, metric, value (None:
        not defined), rows. `failures`: place, fold (None: all), reason, sqlstate, hint.
    """
    # Who only forecasts does not pay for it.
    from weighhouse.forecasting import backtest as rolling

    own, given, where = json.loads(kind_options), json.loads(options), json.loads(folds)
    ready: list[tuple[int, Ready]] = []
    observed: list[NDArray[np.bool_]] = []
    failures: list[list[Any]] = []
    features = (feature_steps, feature_values, feature_counts)
    for place, one in enumerate(_split(steps, values, counts, given, features)):
        # Regressors ahead of the data are not needed: a fold knows those of its own steps.
        found = _ready(one, given, step_seconds, 0)
        problem = found.problem if isinstance(found, Ready) else found
        if problem is not None or not isinstance(found, Ready):
            assert problem is not None
            failures.append([place, None, *_failure(problem).values()])
            continue
        seen = np.zeros(found.series.values.size, dtype=bool)
        inside = one.step[one.step >= found.first_step] - found.first_step
        seen[inside] = True
        ready.append((place, found))
        observed.append(seen | (given.get("missing") == "zero"))
        check()
    count, gap = int(where["count"]), int(where.get("gap") or 0)
    apart = int(where.get("step") or horizon)
    result = rolling.run(
        kind_name,
        [found.series for _, found in ready],
        horizon,
        own,
        LEVELS,
        count=count,
        step=apart,
        gap=gap,
        window=where.get("window"),
        check=check,
    )
    rows = result.rows
    index = np.arange(rows.series.size)
    lengths = np.array([found.series.values.size for _, found in ready], dtype=np.int64)
    ends = lengths[rows.series] - (count - 1 - rows.fold) * apart if index.size else rows.fold
    origins = ends - horizon - gap - 1
    targets = origins + rows.step
    for i in index.tolist():
        # What was filled in is known to no one: it tests nothing.
        if not observed[int(rows.series[i])][int(targets[i])]:
            rows.actual[i] = np.nan
    forecasts = []
    for i in index.tolist():
        place, found = ready[int(rows.series[i])]
        actual = float(rows.actual[i])
        forecasts.append(
            [
                place,
                int(rows.fold[i]) + 1,
                int(rows.step[i]),
                found.first_step + int(origins[i]),
                found.first_step + int(targets[i]),
                None if np.isnan(actual) else actual,
                float(rows.mean[i]),
                float(rows.lower[0, i]),
                float(rows.upper[0, i]),
                float(rows.lower[1, i]),
                float(rows.upper[1, i]),
                float(rows.naive[i]),
                float(rows.seasonal_naive[i]),
            ]
        )
    scores = [
        [
            ready[score.series][0],
            None if score.fold is None else score.fold + 1,
            score.method,
            score.metric,
            score.value,
            score.n,
        ]
        for score in rolling.summarise(result, check=check)
        if score.series is not None
    ]
    for failure in result.failures:
        fold = None if failure.fold is None else failure.fold + 1
        failures.append([ready[failure.series][0], fold, *_failure(failure.error).values()])
    return json.dumps(
        {"forecasts": forecasts, "scores": scores, "failures": failures}, allow_nan=False
    )
