"""Rolling-origin evaluation: forecasts of a kind from earlier points, beside two baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions, TooFewObservations, WeighhouseError
from weighhouse.forecasting import kind as kind_of
from weighhouse.forecasting import metrics
from weighhouse.forecasting.applied import Applied, learn
from weighhouse.forecasting.contract import Floats, Forecast, Series, no_check

__all__ = ["METHODS", "Backtest", "Failure", "Fold", "Rows", "Score", "folds", "run", "summarise"]

Integers = NDArray[np.int64]

METHODS = ("model", "naive", "seasonal_naive")


@dataclass(frozen=True, slots=True)
class Fold:
    """Half-open ranges of steps: what is known, and what is forecast."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int


def folds(
    n: int,
    horizon: int,
    *,
    count: int = 3,
    step: int | None = None,
    gap: int = 0,
    window: int | None = None,
    minimum: int = 2,
) -> list[Fold]:
    """Place the folds of a series; the last one ends with the last observation.

    Parameters
    ----------
    n : int
        Observations.
    horizon : int
        Steps forecast in a fold.
    count : int
        Folds wanted; those that would leave fewer than `minimum` to learn from are left out.
    step : int, optional
        Steps between the origins; by default the horizon: no observation is tested twice.
    gap : int
        Steps left out between what is known and what is forecast.
    window : int, optional
        Steps known at most; by default everything before the origin.
    minimum : int
        Steps known at least.

    Returns
    -------
    list of Fold
        Oldest first, at least one, at most `count`.

    Raises
    ------
    TooFewObservations
        Not even one fold fits.
    BadOptions
        A count, step, horizon, gap or window that is impossible.
    """
    step = horizon if step is None else step
    for name, value, least in (
        ("horizon", horizon, 1),
        ("count", count, 1),
        ("step", step, 1),
        ("gap", gap, 0),
        ("minimum", minimum, 1),
        ("window", minimum if window is None else window, minimum),
    ):
        if value < least:
            raise BadOptions(f"{name} is {value}", hint=f"Give at least {least}.")
    result = []
    for back in reversed(range(count)):
        test_end = n - back * step
        train_end = test_end - horizon - gap
        if train_end < minimum:
            continue
        train_start = 0 if window is None else max(0, train_end - window)
        result.append(Fold(train_start, train_end, test_end - horizon, test_end))
    if not result:
        raise TooFewObservations(
            f"{n} observations, {minimum + gap + horizon} needed for one fold",
            hint="Give a longer history or a shorter horizon.",
        )
    return result


@dataclass(frozen=True, slots=True)
class Rows:
    """Forecasts beside what happened, one row for each series, fold and step.

    Attributes
    ----------
    series, fold, step : ndarray of int, shape (rows,)
        Place in the batch; number of the fold, the last one `count` - 1; steps after the end of
        what was known, from 1 (from `gap` + 1 with a gap).
    actual, mean, naive, seasonal_naive : ndarray of float64, shape (rows,)
        What happened; the forecast of the kind, the last known value, the value a season ago (the
        last value where there is no season). In the unit of the series.
    lower, upper : ndarray of float64, shape (levels, rows)
    scale : ndarray of float64, shape (rows,)
        `metrics.mase_scale` of what was known.
    """

    series: Integers
    fold: Integers
    step: Integers
    actual: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    naive: Floats
    seasonal_naive: Floats
    scale: Floats


@dataclass(frozen=True, slots=True)
class Failure:
    """A series that a fold could not fit; `fold` None: no fold of it was possible."""

    series: int
    fold: int | None
    error: WeighhouseError


@dataclass(frozen=True, slots=True)
class Backtest:
    """What `run` found.

    Attributes
    ----------
    rows : Rows
    failures : list of Failure
    levels : tuple of float
        Of the intervals, in the order of `rows.lower`.
    """

    rows: Rows
    failures: list[Failure]
    levels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """The rows of one series in one fold."""

    series: int
    fold: int
    actual: Floats
    forecast: Forecast
    naive: Floats
    seasonal_naive: Floats
    scale: float


def _cut(series: Series, fold: Fold) -> Series:
    """Cut a series to what a fold knows; of regressors it knows what came after, too."""
    start, end = fold.train_start, fold.train_end
    values = series.values[start:end]
    calendar, regressors = series.calendar, series.regressors
    if calendar is not None:
        calendar = replace(calendar, first=calendar.times(start, start + 1)[0])
    if regressors is not None:
        regressors = replace(regressors, values=regressors.values[start : fold.test_end])
    return replace(
        series,
        values=values,
        seasons=tuple(season for season in series.seasons if 2 * season <= values.size),
        calendar=calendar,
        regressors=regressors,
    )


def _baselines(known: Series, season: int, steps: int) -> tuple[Floats, Floats]:
    y = known.values
    naive = np.full(steps, y[-1])
    if season < 2 or season > y.size:
        return naive, naive
    return naive, y[y.size - season + np.arange(steps) % season]


def run(
    kind_name: str,
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any] | None = None,
    levels: Sequence[float] = (0.8, 0.95),
    *,
    count: int = 3,
    step: int | None = None,
    gap: int = 0,
    window: int | None = None,
    minimum: int | None = None,
    check: Callable[[], None] = no_check,
) -> Backtest:
    """Forecast each series from several earlier points; the series of a fold are fitted together.

    Parameters
    ----------
    kind_name : str
        Of `weighhouse.forecasting.KINDS`.
    batch : sequence of Series
    horizon : int
    options : mapping, optional
        Of the kind, not yet completed.
    levels : sequence of float
        Coverage of the intervals, each within (0, 1).
    count, step, gap, window : int
        See `folds`.
    minimum : int, optional
        Steps known at least; by default, and at least, what the kind needs.
    check : callable
        Looks for interrupts.

    Returns
    -------
    Backtest
        A series that fails is among the failures and stops no other.

    Raises
    ------
    BadOptions
        An unknown kind, an option it does not know, a level that is none, or impossible folds.
    """
    model = kind_of(kind_name)
    complete = model.check_options({} if options is None else options)
    for level in levels:
        if not 0 < level < 1:
            raise BadOptions(f"level {level} is not within 0 and 1", hint="Give 0.8 for 80 %.")
    least = max(model.MINIMUM, minimum or 1)
    failures: list[Failure] = []
    places: dict[int, list[tuple[int, Fold]]] = {}
    for index, series in enumerate(batch):
        try:
            found = folds(
                series.values.size,
                horizon,
                count=count,
                step=step,
                gap=gap,
                window=window,
                minimum=least,
            )
        except TooFewObservations as error:
            failures.append(Failure(index, None, error))
            continue
        for number, fold in enumerate(found, start=count - len(found)):
            places.setdefault(number, []).append((index, fold))
    blocks: list[_Block] = []
    for number in sorted(places):
        known = [_cut(batch[index], fold) for index, fold in places[number]]
        check()
        try:
            # What a fold learns from the other series ends where the fold's own knowledge ends.
            learnt = learn(kind_name, known, horizon + gap, complete, check)
        except TooFewObservations as error:
            failures += [Failure(index, number, error) for index, _ in places[number]]
            continue
        applied = Applied(kind_name, learnt)
        fits = applied.fit(known, horizon + gap, complete, check)
        for (index, fold), cut, fitted in zip(places[number], known, fits, strict=True):
            check()
            if isinstance(fitted, WeighhouseError):
                failures.append(Failure(index, number, fitted))
                continue
            try:
                ahead = applied.forecast(fitted.parameters, horizon + gap, levels)
            except WeighhouseError as error:
                failures.append(Failure(index, number, error))
                continue
            season = min(batch[index].seasons, default=1)
            naive, seasonal = _baselines(cut, season, horizon + gap)
            scale = metrics.mase_scale(cut.values, season if season < cut.values.size else 1)
            blocks.append(
                _Block(
                    index,
                    number,
                    batch[index].values[fold.test_start : fold.test_end],
                    Forecast(ahead.mean[gap:], ahead.lower[:, gap:], ahead.upper[:, gap:]),
                    naive[gap:],
                    seasonal[gap:],
                    scale,
                )
            )
    blocks.sort(key=lambda block: (block.series, block.fold))
    failures.sort(key=lambda failure: (failure.series, failure.fold or 0))
    return Backtest(_rows(blocks, horizon, gap, len(levels)), failures, tuple(levels))


def _rows(blocks: Sequence[_Block], horizon: int, gap: int, levels: int) -> Rows:
    def joined(parts: list[Floats]) -> Floats:
        return np.concatenate(parts) if parts else np.zeros(0)

    def wide(parts: list[Floats]) -> Floats:
        return np.concatenate(parts, axis=1) if parts else np.zeros((levels, 0))

    series = np.array([block.series for block in blocks], dtype=np.int64)
    fold = np.array([block.fold for block in blocks], dtype=np.int64)
    return Rows(
        series=np.repeat(series, horizon),
        fold=np.repeat(fold, horizon),
        step=np.tile(np.arange(gap + 1, gap + horizon + 1, dtype=np.int64), len(blocks)),
        actual=joined([block.actual for block in blocks]),
        mean=joined([block.forecast.mean for block in blocks]),
        lower=wide([block.forecast.lower for block in blocks]),
        upper=wide([block.forecast.upper for block in blocks]),
        naive=joined([block.naive for block in blocks]),
        seasonal_naive=joined([block.seasonal_naive for block in blocks]),
        scale=np.repeat(np.array([block.scale for block in blocks], dtype=float), horizon),
    )


@dataclass(frozen=True, slots=True)
class Score:
    """One measure of one method.

    Attributes
    ----------
    series : int or None
        Place in the batch; None: all series together, only for measures without a unit.
    fold : int or None
        None: all folds together.
    method : str
        One of `METHODS`.
    metric : str
        A name of `metrics.measure`; those of intervals carry the level in percent ("coverage_80").
    value : float or None
        None: not defined.
    n : int
        Rows behind it.
    """

    series: int | None
    fold: int | None
    method: str
    metric: str
    value: float | None
    n: int


def _measure(
    rows: Rows, chosen: Integers, levels: Sequence[float], method: str
) -> Iterator[tuple[str, float | None, int]]:
    forecasts = {
        "model": rows.mean,
        "naive": rows.naive,
        "seasonal_naive": rows.seasonal_naive,
    }[method]
    actual, mean = rows.actual[chosen], forecasts[chosen]
    measured = metrics.measure(actual, mean, scale=rows.scale[chosen])
    n = int(measured.pop("n") or 0)
    for name, value in measured.items():
        yield name, value, n
    if method != "model":
        return
    for i, level in enumerate(levels):
        low, high = rows.lower[i, chosen], rows.upper[i, chosen]
        yield f"coverage_{100 * level:g}", metrics.coverage(actual, low, high), n
        yield (
            f"interval_score_{100 * level:g}",
            metrics.interval_score(actual, low, high, level),
            n,
        )


def summarise(backtest: Backtest, *, check: Callable[[], None] = no_check) -> list[Score]:
    """Measure a backtest in long form: by series and fold, by series, by fold, over all.

    Parameters
    ----------
    backtest : Backtest
    check : callable
        Looks for interrupts.

    Returns
    -------
    list of Score
        The baselines are measured on the same rows as the model.
    """
    rows = backtest.rows
    scores: list[Score] = []

    def add(series: int | None, fold: int | None, chosen: Integers) -> None:
        check()
        for method in METHODS:
            for name, value, n in _measure(rows, chosen, backtest.levels, method):
                if series is not None or name.split("_")[0] in metrics.RELATIVE:
                    scores.append(Score(series, fold, method, name, value, n))

    # Rows are sorted by series and fold.
    series_ends = np.flatnonzero(np.diff(rows.series)) + 1
    for part in np.split(np.arange(rows.series.size), series_ends):
        if not part.size:
            continue
        number = int(rows.series[part[0]])
        for one in np.split(part, np.flatnonzero(np.diff(rows.fold[part])) + 1):
            add(number, int(rows.fold[one[0]]), one)
        add(number, None, part)
    for number in np.unique(rows.fold):
        add(None, int(number), np.flatnonzero(rows.fold == number))
    if rows.series.size:
        add(None, None, np.arange(rows.series.size))
    return scores
