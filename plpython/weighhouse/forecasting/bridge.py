"""Between SQL and the kernels: batches of series as bytes in, results as JSON out.

A series arrives as the numbers of its steps and its values; the JSON of a result is one object:

- `kind`, `format`, `updatable`, `parameters`, `label`, `note`: what was fitted;
- `fell_back_from`, `reason`, `sqlstate`, `hint`: why a baseline stands in, where one does;
- `length`, `first_step`, `last_step`, `gaps`: the steps that were used, those filled among them;
- `forecast`: five lists, one number a step: mean, lower and upper of 80 %, of 95 %;
- for a series that nothing can forecast: `reason`, `sqlstate`, `hint` alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse import pg
from weighhouse.errors import BadOptions, TooFewObservations, WeighhouseError
from weighhouse.forecasting import grid, kind
from weighhouse.forecasting.contract import Fit, Floats, Forecast, Kind, Parameters, Series

__all__ = [
    "LEVELS",
    "UnevenSteps",
    "backtest",
    "check_kind_options",
    "fit",
    "forecast",
    "forecast_rows",
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
class Ready:
    """A series the kernels can take, and where it lies on the grid."""

    series: Series
    first_step: int
    last_step: int
    gaps: int
    note: str | None


def _split(steps: bytes, values: bytes, counts: bytes) -> Iterator[tuple[Integers, Floats]]:
    step, value = pg.integers(steps), pg.floats(values)
    edges = np.concatenate([[0], np.cumsum(pg.integers(counts, 4))])
    if not edges[-1] == step.size == value.size:
        raise BadOptions(
            f"{step.size} steps and {value.size} values for {int(edges[-1])} observations"
        )
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield step[start:stop], value[start:stop]


def _ready(
    step: Integers, value: Floats, options: Mapping[str, Any], step_seconds: float
) -> Ready | WeighhouseError:
    """Place the observations of one series on its grid, and cut and fill it."""
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
    except WeighhouseError as error:
        return error
    n = prepared.values.size
    first = int(step[0]) + prepared.start
    usable = tuple(m for m in seasons if 2 * m <= n)
    return Ready(
        Series(prepared.values, usable), first, first + n - 1, prepared.filled, prepared.note
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


def _described(ready: Ready, model: Kind, parameters: Parameters, horizon: int) -> dict[str, Any]:
    return {
        "kind": model.NAME,
        "format": model.FORMAT,
        "updatable": model.CAN_UPDATE,
        "parameters": parameters,
        "length": int(ready.series.values.size),
        "first_step": ready.first_step,
        "last_step": ready.last_step,
        "gaps": ready.gaps,
        "forecast": _forecast(model.forecast(parameters, horizon, LEVELS)),
    }


def check_kind_options(kind_name: str, options: str) -> str:
    """Complete the options of a kind; JSON in and out. Raises BadOptions."""
    return json.dumps(kind(kind_name).check_options(json.loads(options)), allow_nan=False)


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
) -> str:
    """Fit a batch of series and forecast each.

    Parameters
    ----------
    kind_name, kind_options
        The kind and its own options, completed; JSON.
    options : str
        JSON object of `seasons` (list of int; absent or None: from the step), `max_gap` (steps;
        None: default), `missing` ("zero": a step without a row is 0).
    step_seconds : float
        Length of a step.
    horizon : int
        Steps to forecast.
    steps, values, counts : bytes
        int8send, float8send of the observations, one series after the other, ascending; int4send of
        how many each has.
    check : callable
        Raises when the caller cancels.

    Returns
    -------
    str
        JSON list, one object a series (see the module).
    """
    own: Mapping[str, Any] = json.loads(kind_options)
    given: Mapping[str, Any] = json.loads(options)
    results: list[dict[str, Any] | None] = []
    prepared: list[Ready] = []
    places: list[int] = []
    for place, (step, value) in enumerate(_split(steps, values, counts)):
        ready = _ready(step, value, given, step_seconds)
        if isinstance(ready, WeighhouseError):
            results.append(_failure(ready))
        else:
            results.append(None)
            prepared.append(ready)
            places.append(place)
        check()
    reasons: dict[int, WeighhouseError] = {}
    todo = list(range(len(prepared)))
    for name in (kind_name, *(b for b in BASELINES if b != kind_name)):
        if not todo:
            break
        model = kind(name)
        chosen = own if name == kind_name else model.check_options({})
        fits = model.fit([prepared[i].series for i in todo], horizon, chosen, check)
        for i, found in zip(todo, fits, strict=True):
            check()
            if not isinstance(found, Fit):
                reasons.setdefault(i, found)
                continue
            row = _described(prepared[i], model, found.parameters, horizon)
            row |= {"label": found.label, "note": _joined(prepared[i].note, found.note)}
            if i in reasons:
                row |= {"fell_back_from": kind_name, **_failure(reasons[i])}
            results[places[i]] = row
        todo = [i for i in todo if results[places[i]] is None]
    for i in todo:
        results[places[i]] = _failure(reasons[i])
    return json.dumps(results, allow_nan=False)


def update(
    options: str,
    step_seconds: float,
    horizon: int,
    steps: bytes,
    values: bytes,
    counts: bytes,
    known: str,
    check: Check,
) -> str:
    """Take new observations into fitted series, parameters fixed, and forecast each.

    Parameters
    ----------
    known : str
        JSON list, for each series `kind`, `parameters`, `length` (steps taken in so far),
        `last_step` (the last of them).
    options, step_seconds, horizon, steps, values, counts, check
        As of `fit`; the whole history.

    Returns
    -------
    str
        JSON list as of `fit`; None for a series that must be fitted anew: its past looks different
        now (a long gap since, a gap at the start).
    """
    results: list[dict[str, Any] | None] = []
    given = json.loads(options)
    pairs = zip(_split(steps, values, counts), json.loads(known), strict=True)
    for (step, value), old in pairs:
        check()
        ready = _ready(step, value, given, step_seconds)
        length = int(old["length"])
        if isinstance(ready, WeighhouseError) or ready.first_step + length - 1 != int(
            old["last_step"]
        ):
            results.append(None)
            continue
        model = kind(old["kind"])
        parameters = model.update(old["parameters"], ready.series.values[length:])
        row = _described(ready, model, parameters, horizon)
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
    return kind(kind_name).forecast(parameters, horizon, levels)


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
    for place, (step, value) in enumerate(_split(steps, values, counts)):
        found = _ready(step, value, given, step_seconds)
        if isinstance(found, WeighhouseError):
            failures.append([place, None, *_failure(found).values()])
            continue
        seen = np.zeros(found.series.values.size, dtype=bool)
        inside = step[step >= found.first_step] - found.first_step
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
