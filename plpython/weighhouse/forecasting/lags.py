"""Series as rows for trees: what was known at an origin, what came some steps later.

One row is one origin of one series and one step ahead, all in the working space of the series
(logarithms where they suit) and in its own size of change, so that series of any scale teach each
other. Near its origin the series is rid of its season: each phase's mean deviation from the line
of its season, over the last few seasons, and only as far as these agree. The target is how far the
value lies from the last level with its season put back; columns are the recent levels, their means
and slopes, the same phase of earlier seasons, the calendar, and regressors at the target.

Each number of steps ahead is a column, not a model: a forecast needs no forecasts before it, and
one ensemble answers for all steps up to the horizon it learnt; beyond it, its own forecasts are
taken for observations.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions, MissingRegressor
from weighhouse.forecasting.adjustment import LEAST_SHARE, may_log
from weighhouse.forecasting.contract import Calendar, Floats, Regressors, Series

__all__ = ["Layout", "Prepared", "prepare", "require_ahead", "rows", "rows_ahead"]

Integers = NDArray[np.int64]

# Seasons whose figures are averaged.
SEASONS = 4
# The same phase of so many earlier seasons.
EARLIER = 3
# Windows of means, changes and slopes, in steps, besides one and two seasons.
WINDOWS = (2, 3, 4, 6, 8, 12)
# Drifts are slopes times the steps ahead: a tree cannot multiply.
DRIFTS = (3, 6, 12, 24)
# A season longer than this is averaged over in windows only once.
LONG = 60
# Numbers are rounded to so many digits, that noise of arithmetic decides no branch.
DIGITS = 6
# Changes smaller than this beside the values are none.
NOTHING = 1e-12
PARTS = ("month", "day", "weekday", "hour", "minute")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns rows have.

    Attributes
    ----------
    horizon : int
        Steps ahead that are learnt.
    seasons : tuple of int
        Seasons that some series has; the longest is taken out.
    lags : int
        Recent levels that are columns of their own.
    parts : tuple of str
        Of PARTS: what the calendar says of the target; empty: no calendar is known.
    regressors : tuple of str
        Names of regressors, in order.
    """

    horizon: int
    seasons: tuple[int, ...]
    lags: int
    parts: tuple[str, ...]
    regressors: tuple[str, ...]

    @property
    def season(self) -> int:
        """The season that is taken out; 1: none."""
        return self.seasons[-1] if self.seasons else 1

    @property
    def windows(self) -> tuple[int, ...]:
        """Windows of means, in steps."""
        m = self.season
        long = {m, 2 * m} if m <= LONG else {m}
        short = {x for x in self.seasons if x < m}
        return tuple(sorted({*WINDOWS, *short, *(long if m > 1 else ())}))

    @property
    def recent(self) -> int:
        """Observations before and at the origin that levels are taken from."""
        return max(self.lags, self.windows[-1] + 1, max(DRIFTS) + 1)

    @property
    def history(self) -> int:
        """Observations a forecast needs, at most."""
        longest = self.seasons[-1] if self.seasons else 0
        return max(self.recent, SEASONS * self.season, (EARLIER + 1) * longest)

    def dump(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {
            "horizon": self.horizon,
            "seasons": list(self.seasons),
            "lags": self.lags,
            "parts": list(self.parts),
            "regressors": list(self.regressors),
        }

    @staticmethod
    def load(stored: dict[str, Any]) -> Layout:
        """Undo `dump`."""
        return Layout(
            stored["horizon"],
            tuple(stored["seasons"]),
            stored["lags"],
            tuple(stored["parts"]),
            tuple(stored["regressors"]),
        )

    @staticmethod
    def of(collection: Sequence[Series], horizon: int, lags: int) -> Layout:
        """Choose the columns for series; raise BadOptions where their regressors differ."""
        seasons = sorted({m for series in collection for m in series.seasons})
        names = {
            series.regressors.names if series.regressors is not None else ()
            for series in collection
        }
        if len(names) > 1:
            raise BadOptions(
                "series of one model have different regressors",
                hint="Give all series of the model the same columns.",
            )
        calendars = [series.calendar for series in collection if series.calendar is not None]
        parts = _parts(calendars[0]) if calendars else ()
        return Layout(horizon, tuple(seasons), lags, parts, names.pop() if names else ())


def _parts(calendar: Calendar) -> tuple[str, ...]:
    """List the parts of a date that steps of this length differ in."""
    if calendar.unit == "month":
        return ("month",) if calendar.count % 12 else ()
    seconds = calendar.count * (86400 if calendar.unit == "day" else 1)
    found = ["month"]
    if seconds < 28 * 86400:
        found.append("day")
    if seconds % (7 * 86400):
        found.append("weekday")
    if seconds % 86400:
        found.append("hour")
    if seconds % 3600:
        found.append("minute")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A series in its working space.

    Attributes
    ----------
    z : ndarray, shape (n,)
        Values, or their logarithms.
    log : bool
    size : float
        Mean absolute change from step to step, or from season to season where that is less; 0: a
        constant series.
    floor : float
        Least value that is taken in where logarithms are.
    first : int
        Which step of the series z[0] is (its beginning may have been left out).
    calendar, regressors
        Of the series; values of regressors begin with step `first`.
    """

    z: Floats
    log: bool
    size: float
    floor: float
    first: int
    calendar: Calendar | None
    regressors: Regressors | None

    def back(self, z: Floats) -> Floats:
        """Bring numbers of the working space back to the unit of the series."""
        return np.asarray(np.exp(z) if self.log else z)


def prepare(series: Series, season: int) -> Prepared:
    """Choose the working space of a series and measure its changes."""
    values = np.asarray(series.values, dtype=float)
    log = may_log(values)
    floor = LEAST_SHARE * float(np.median(values)) if log else 0.0
    z = np.log(values) if log else values
    sizes = [
        float(np.mean(np.abs(z[lag:] - z[:-lag])))
        for lag in sorted({1, season})
        if len(z) >= lag + 2 or (lag == 1 and len(z) > 1)
    ]
    least = NOTHING * max(1.0 if log else float(np.max(np.abs(z))), 1e-300)
    sizes = [size for size in sizes if size > least]
    return Prepared(z, log, min(sizes, default=0.0), floor, 0, series.calendar, series.regressors)


def require_ahead(
    regressors: Regressors | None, calendar: Calendar | None, count: int, steps: int
) -> None:
    """Raise MissingRegressor unless all regressors are known so many steps ahead.

    count: steps of the series, after which rows of `regressors` are ahead.
    """
    if regressors is None:
        return
    ahead = regressors.values[count : count + steps]
    wrong = np.argwhere(~np.isfinite(ahead))
    if len(wrong):
        row, column = (int(x) for x in wrong[0])
    elif len(ahead) < steps:
        row, column = len(ahead), 0
    else:
        return
    when = f"step {row + 1} ahead"
    if calendar is not None:
        when = str(calendar.times(count + row, count + row + 1)[0]).replace("T", " ")
    raise MissingRegressor(
        f"{regressors.names[column]} is not known at {when}",
        detail=f"It is needed for {steps} steps ahead.",
        hint="Add rows with the columns the model learns from for the times ahead (their value may"
        " be NULL), or forecast fewer steps.",
    )


def _window(z: Floats, ends: Integers, width: int) -> Floats:
    """Take the last `width` numbers up to each end; NaN before the first."""
    padded = np.concatenate([np.full(width, np.nan), z])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[ends + 1]


def _figures(blocks: Floats, season: int) -> tuple[Floats, Floats]:
    """Give the figure of the season at each end, and how far its seasons agree.

    Parameters
    ----------
    blocks : ndarray, shape (ends, SEASONS * season)
        Up to each end; NaN before the first observation.
    season : int

    Returns
    -------
    ndarray, shape (ends, season)
        Phase 0 is the one after the end. Zero with fewer than two whole seasons.
    ndarray, shape (ends,)
        0: as noise, 1: alike.
    """
    blocks = blocks.reshape(len(blocks), SEASONS, season)
    means = blocks.mean(axis=2)
    whole = np.isfinite(means)
    count = whole.sum(axis=1)
    # The line through a season has the slope of the means around it.
    apart = np.diff(means, axis=1) / season
    slopes = np.full(means.shape, np.nan)
    slopes[:, 1:-1] = 0.5 * (apart[:, 1:] + apart[:, :-1])
    slopes[:, :-1] = np.where(np.isfinite(slopes[:, :-1]), slopes[:, :-1], apart)
    slopes[:, 1:] = np.where(np.isfinite(slopes[:, 1:]), slopes[:, 1:], apart)
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    place = np.arange(season) - 0.5 * (season - 1)
    deviation = blocks - means[:, :, None] - slopes[:, :, None] * place
    deviation = np.where(whole[:, :, None], deviation, 0.0)
    figure = deviation.sum(axis=1) / np.maximum(count, 1)[:, None]
    rest = np.where(whole[:, :, None], deviation - figure[:, None], 0.0)
    noise = np.sum(np.square(rest), axis=(1, 2)) / (season * np.maximum(count - 1, 1))
    square = np.mean(np.square(figure), axis=1)
    agreement = np.zeros(len(blocks))
    np.divide(noise, np.maximum(count, 1) * square, out=agreement, where=square > 0.0)
    agreement = np.where((count > 1) & (square > 0.0), np.clip(1.0 - agreement, 0.0, 1.0), 0.0)
    return figure * agreement[:, None], agreement


def rows(
    series: Prepared, origins: Integers, steps: Integers, layout: Layout
) -> tuple[Floats, Floats]:
    """Make rows.

    Parameters
    ----------
    series : Prepared
        Of a size above 0.
    origins : ndarray of int, shape (n,)
        Last observation that is known, counted from 0.
    steps : ndarray of int, shape (n,)
        Steps from there to the target, 1 to the layout's horizon.

    Returns
    -------
    ndarray, shape (n, columns)
        NaN: not known.
    ndarray, shape (n,)
        The level the target is measured from, in the working space.
    """
    z, m = series.z, layout.season
    ends, owner = np.unique(origins, return_inverse=True)
    target = origins + steps
    earlier = []
    for back in _back(steps, layout):
        place = target + back
        earlier.append(np.where(place >= 0, z[np.maximum(place, 0)], np.nan))
    known = _Known(
        np.full(len(ends), series.size),
        ends,
        _window(z, ends, layout.recent),
        _window(z, ends, SEASONS * m) if m > 1 else None,
    )
    beside = [
        *_calendar(series, target, layout),
        *_regressors(series, origins, target, layout),
    ]
    return _rows(known, owner, steps, earlier, beside, layout)


def rows_ahead(
    known: Sequence[Prepared], steps: Sequence[Integers], layout: Layout
) -> tuple[Floats, Floats]:
    """Make rows of what follows the last observation of each series; as `rows`, for all at once."""
    m, width = layout.season, layout.history
    past = np.full((len(known), width), np.nan)
    for row, series in zip(past, known, strict=True):
        z = series.z[-width:]
        row[width - len(z) :] = z
    owner = np.repeat(np.arange(len(known)), [len(own) for own in steps])
    step = np.concatenate(steps)
    earlier = [
        np.where(width - 1 + step + back >= 0, past[owner, width - 1 + step + back], np.nan)
        for back in _back(step, layout)
    ]
    ends = np.array([len(series.z) - 1 for series in known])
    beside: list[Floats] = []
    if layout.parts or layout.regressors:
        parts = []
        for series, end, own in zip(known, ends, steps, strict=True):
            target = end + own
            parts.append(
                [
                    *_calendar(series, target, layout),
                    *_regressors(series, np.full(len(own), end), target, layout),
                ]
            )
        beside = [np.concatenate(column) for column in zip(*parts, strict=True)]
    of = _Known(
        np.array([series.size for series in known]),
        ends,
        past[:, width - layout.recent :],
        past[:, width - SEASONS * m :] if m > 1 else None,
    )
    return _rows(of, owner, step, earlier, beside, layout)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known at the ends of rows: one entry an end; NaN before the first observation.

    Attributes
    ----------
    size : ndarray, shape (ends,)
    end : ndarray of int, shape (ends,)
        Which observation it is.
    recent : ndarray, shape (ends, layout.recent)
    seasons : ndarray, shape (ends, SEASONS * season), or None
    """

    size: Floats
    end: Integers
    recent: Floats
    seasons: Floats | None


def _back(steps: Integers, layout: Layout) -> list[Integers]:
    """Say how many observations lie between targets and the same phase of earlier seasons."""
    return [
        -(-(-steps // period) + back) * period
        for period in layout.seasons
        for back in range(EARLIER)
    ]


def _rows(
    known: _Known,
    owner: NDArray[np.intp],
    steps: Integers,
    earlier: Sequence[Floats],
    beside: Sequence[Floats],
    layout: Layout,
) -> tuple[Floats, Floats]:
    """Make rows, each of the end `owner`; `earlier`: values of that phase in earlier seasons."""
    m, recent, each = layout.season, known.recent, np.arange(len(known.end))
    size = known.size[owner]
    agreement = np.zeros(len(known.end))
    base = np.zeros(len(steps))
    season = []
    if known.seasons is not None:
        figure, agreement = _figures(known.seasons, m)
        recent = recent - figure[:, np.arange(-layout.recent, 0) % m]
        base = figure[owner, (steps - 1) % m]
        season = [base / size, (base - figure[owner, m - 1]) / size]
    level = recent[:, -1]
    level = np.where(np.isfinite(recent[:, -2]), 0.5 * (level + recent[:, -2]), level)
    base = base + level[owner]
    at_origin = _levels((recent - level[:, None]) / known.size[:, None], known.end, layout)
    drifts = []
    for span in DRIFTS:
        count = np.minimum(known.end, span)
        before = recent[each, layout.recent - 1 - count]
        slope = (recent[:, -1] - before) / (known.size * np.maximum(count, 1))
        drifts.append(slope[owner] * steps)
    columns = [
        steps.astype(float),
        *season,
        *drifts,
        *((value - base) / size for value in earlier),
        *(x[owner] for x in [*at_origin, agreement]),
        *beside,
    ]
    return np.round(np.stack(columns, axis=1), DIGITS) + 0.0, base


def _levels(recent: Floats, ends: Integers, layout: Layout) -> list[Floats]:
    """Describe the levels before each end, counted from the last one in sizes of change."""
    found = [recent[:, -1 - lag] for lag in range(layout.lags)]
    changes = np.abs(np.diff(recent, axis=1))
    with warnings.catch_warnings():
        # The mean of nothing but unknown levels is unknown.
        warnings.simplefilter("ignore", RuntimeWarning)
        for width in layout.windows:
            found.append(np.nanmean(recent[:, -width:], axis=1))
            found.append(np.nanmean(changes[:, -width:], axis=1))
            found.append((recent[:, -1] - recent[:, -1 - width]) / width)
    # No more than a forecast has: what is further back is not kept.
    found.append(np.log(np.minimum(ends + 1.0, layout.history)))
    return found


def _calendar(series: Prepared, target: Integers, layout: Layout) -> list[Floats]:
    if not layout.parts:
        return []
    if series.calendar is None or not len(target):
        return [np.full(len(target), np.nan) for _ in layout.parts]
    low, high = int(target.min()), int(target.max())
    times = series.calendar.times(series.first + low, series.first + high + 1)[target - low]
    days = times.astype("datetime64[D]")
    months = times.astype("datetime64[M]")
    number = {
        "month": months.astype(np.int64) % 12 + 1,
        "day": (days - months).astype(np.int64) + 1,
        # 1970-01-01 was a Thursday; 0 is Monday.
        "weekday": (days.astype(np.int64) + 3) % 7,
        "hour": (times - days).astype("timedelta64[h]").astype(np.int64),
        "minute": (times - days).astype("timedelta64[m]").astype(np.int64) % 60,
    }
    return [number[part].astype(float) for part in layout.parts]


def _regressors(
    series: Prepared, origins: Integers, target: Integers, layout: Layout
) -> list[Floats]:
    """Give regressors at the target, and beside what they were at the origin and before."""
    found: list[Floats] = []
    if not layout.regressors:
        return found
    if series.regressors is None:
        return [np.full(len(target), np.nan) for _ in range(3 * len(layout.regressors))]
    for values in series.regressors.values.T:
        sums = np.concatenate([[0.0], np.cumsum(values[: len(series.z)])])
        start = np.maximum(origins + 1 - layout.lags, 0)
        usual = (sums[origins + 1] - sums[start]) / (origins + 1 - start)
        found += [values[target], values[target] - values[origins], values[target] - usual]
    return found
