"""Where a series left its level or its spread: the best division into segments, for a penalty.

Seasons and a straight trend are no changes, single outliers neither, and a series whose values hang
together needs more to convince than one of independent values.

References
----------
Killick, Fearnhead, Eckley (2012), Optimal detection of changepoints with a linear computational
cost, J. Am. Stat. Assoc. 107, 1590-1598 (PELT).
Zhang, Siegmund (2007), Biometrics 63, 22-32 (a penalty of 3 ln n a change).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from weighhouse import patterns, robust
from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting.adjustment import may_log

__all__ = ["MINIMUM", "Change", "divide", "find", "levels"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Check = Callable[[], None]

MINIMUM = 12
# A penalty is this many ln n.
PENALTY = 3.0
# Segments are not shorter than the shortest season, of those up to this.
LONGEST_LEAST = 14
LEAST = 5
# Values further from the running median, in standard deviations, are drawn in to it.
LIMIT = 3.0
# Mean and variance of the square root of the absolute value of a standard normal.
_ROOT_VARIANCE = math.sqrt(2 / math.pi) - (2**0.25 * math.gamma(0.75) / math.sqrt(math.pi)) ** 2


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a series.

    Attributes
    ----------
    at : int
        Place of the first value after it.
    kind : {"level", "spread"}
    before, after : float
        Median level of the segments beside it, the seasons taken out (where there is a trend, as it
        is at `at`); or their standard deviation. In the unit of the series.
    gain : float
        By how much the division without it would be worse, in multiples of the penalty; above 1.
    p : float
        Of the test for one shift (`patterns.find_shift`) over the two segments.
    """

    at: int
    kind: Literal["level", "spread"]
    before: float
    after: float
    gain: float
    p: float


def never() -> None:
    """Look for no cancel."""


def _cost(sums: Floats, squares: Floats, low: Integers, high: int) -> Floats:
    """Sum of squares about the mean of [low, high)."""
    total = sums[high] - sums[low]
    return np.asarray(squares[high] - squares[low] - total * total / (high - low))


def _sums(z: Floats) -> tuple[Floats, Floats]:
    # About the median: the differences of large sums would be rounding.
    centred = z - np.median(z)
    return np.append(0.0, np.cumsum(centred)), np.append(0.0, np.cumsum(centred * centred))


def divide(z: Floats, penalty: float, least: int = 1, check: Check = never) -> list[int]:
    """Divide a series into segments: least sum of squares within them plus a penalty a change.

    Exact, by PELT.

    Parameters
    ----------
    z : ndarray of float64, shape (n,)
        Finite, of noise with standard deviation 1.
    penalty : float
        Not negative.
    least : int
        Values a segment has at least.
    check : callable
        Called each few steps.

    Returns
    -------
    list of int
        Where segments but the first begin, ascending.
    """
    n = z.size
    if n < 2 * least:
        return []
    sums, squares = _sums(z)
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    origin = np.zeros(n + 1, dtype=np.int64)
    # Beyond this end a start can be the best no more.
    until = np.full(n + 1, n + 1, dtype=np.int64)
    starts = np.zeros(1, dtype=np.int64)
    for end in range(least, n + 1):
        if end % 64 == 0:
            check()
        newest = end - least
        if newest >= least:
            starts = np.append(starts, newest)
        starts = starts[until[starts] >= end]
        cost = best[starts] + _cost(sums, squares, starts, end)
        place = int(np.argmin(cost))
        best[end] = cost[place] + penalty
        origin[end] = starts[place]
        # Later ends that leave room for a segment from here are better served by one that begins
        # here; starts since then may still be.
        beaten = starts[cost > best[end]]
        until[beaten] = np.minimum(until[beaten], end + least - 1)
    found: list[int] = []
    end = n
    while origin[end] > 0:
        end = int(origin[end])
        found.append(end)
    return found[::-1]


def _total(z: Floats, found: Sequence[int], penalty: float) -> float:
    sums, squares = _sums(z)
    edges = [0, *found, z.size]
    return penalty * len(found) + sum(
        float(_cost(sums, squares, np.array([a]), b)[0])
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    )


def _long_run(values: Floats) -> float:
    """Standard deviation that the mean of many values has times the root of their number.

    From successive differences, which shifts hardly touch: those of independent values correlate
    by -1/2, of a random walk not at all. Between, as an autoregression of order 1.
    """
    difference = np.diff(values)
    spread = robust.deviation(difference) or 1.2533 * float(np.mean(np.abs(difference)))
    if not spread > 0:
        return 0.0
    clipped = np.clip(difference, -LIMIT * spread, LIMIT * spread)
    below = float(clipped @ clipped)
    correlation = float(clipped[1:] @ clipped[:-1]) / below if below > 0 else -0.5
    rho = min(max(1.0 + 2.0 * correlation, 0.0), 0.98)
    return spread * math.sqrt((1.0 + rho) / 2.0) / (1.0 - rho)


def _slope(values: Floats) -> float:
    """Slope a step by Theil and Sen, of at most 200 block medians."""
    n = values.size
    edges = np.linspace(0, n, min(n, 200) + 1).astype(int)
    blocks = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    middle = np.array([(a + b - 1) / 2 for a, b in blocks])
    return patterns.theil_sen(middle, np.array([np.median(values[a:b]) for a, b in blocks]))[0]


def _drawn_in(values: Floats, window: int) -> Floats:
    """Draw outliers in to the running median: a lasting shift moves it, one value does not."""
    smooth = robust.running_median(values, window)
    rest = values - smooth
    spread = robust.deviation(rest)
    return smooth + np.clip(rest, -LIMIT * spread, LIMIT * spread) if spread > 0 else smooth


def _search(
    values: Floats, least: int, factor: float, check: Check
) -> tuple[list[int], float, Floats]:
    """Give where levels change, the slope all along, and the noise-scaled series without it."""
    clean = _drawn_in(values, 2 * min(least, LEAST) + 1)
    penalty = factor * math.log(values.size)
    # What rounding makes of a series that does not vary is no noise.
    floor = 1e-9 * float(np.abs(values).max(initial=0.0))
    choices = []
    for slope in (0.0, _slope(clean)):
        level = clean - slope * np.arange(clean.size)
        noise = max(_long_run(level), floor)
        if not noise > 0:
            return [], 0.0, np.zeros(values.size)
        z = level / noise
        found = divide(z, penalty, least, check)
        # A slope is one number more.
        cost = _total(z, found, penalty) + (penalty if slope else 0.0)
        choices.append((cost, found, slope, z))
        if not found:
            break
    _, found, slope, z = min(choices, key=lambda choice: choice[0])
    return found, slope, z


def _gains(z: Floats, found: Sequence[int], penalty: float) -> list[tuple[float, float]]:
    """Give for each change what it gains, and the p of one shift over its two segments."""
    edges = [0, *found, z.size]
    sums, squares = _sums(z)
    gains = []
    for a, b, c in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        apart = _cost(sums, squares, np.array([a]), b) + _cost(sums, squares, np.array([b]), c)
        whole = _cost(sums, squares, np.array([a]), c)
        p = float(patterns.find_shift(z[None, a:c]).p[0])
        gains.append((float(whole[0] - apart[0]) / penalty, p))
    return gains


def levels(
    values: Floats, least: int, penalty: float = PENALTY, check: Check = never
) -> tuple[list[int], Floats]:
    """Find where a series without seasons leaves its level.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite.
    least : int
        Values a level has at least, from 2 on.
    penalty : float
        Of a change, in ln n.

    Returns
    -------
    list of int
        Where levels but the first begin.
    ndarray of float64, shape (n,)
        The steps: 0 on the first level, then by how much each is above it, beside the slope.
    """
    found, slope, _ = _search(values, least, penalty, check)
    rest = values - slope * np.arange(values.size)
    edges = [0, *found, values.size]
    middle = [float(np.median(rest[a:b])) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return found, np.repeat(np.array(middle) - middle[0], np.diff(edges))


def find(
    values: Floats,
    seasons: Sequence[int] = (),
    *,
    least: int | None = None,
    penalty: float = PENALTY,
    check: Check = never,
) -> list[Change]:
    """Find where a series left its level or its spread.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        At equal steps, oldest first; finite.
    seasons : sequence of int
        Lengths in steps, each at most n / 2; taken out by medians.
    least : int, optional
        Values a segment has at least; by default the shortest season of up to 14 steps, at least 5.
    penalty : float
        Of a change, in ln n; greater finds fewer.
    check : callable
        Raises when the caller cancels.

    Returns
    -------
    list of Change
        By place.

    Raises
    ------
    TooFewObservations
        Fewer than 12 values.
    BadOptions
        `least` below 2, or a penalty that is not positive.
    """
    n = values.size
    if n < MINIMUM:
        raise TooFewObservations(f"{n} observations, {MINIMUM} needed", hint="Give more history.")
    if least is None:
        least = max([m for m in seasons if m <= LONGEST_LEAST][:1] + [LEAST])
    if least < 2 or not 0 < penalty < math.inf:
        raise BadOptions(
            "segments are not so short, or a penalty is not positive",
            hint="Give at least 2 steps, and a penalty as 3.",
        )
    log = may_log(values)
    z = np.log(values) if log else values
    rest = z - robust.seasonal(z, seasons)
    found, slope, scaled = _search(rest, least, penalty, check)
    limit = penalty * math.log(n)
    edges = [0, *found, n]
    spans = list(zip(edges[:-1], edges[1:], strict=True))
    time = np.arange(n)
    level = [float(np.median(rest[a:b] - slope * time[a:b])) for a, b in spans]
    changes: list[Change] = []
    for i, (gain, p) in enumerate(_gains(scaled, found, limit)):
        before, after = (one + slope * found[i] for one in level[i : i + 2])
        if log:
            before, after = math.exp(before), math.exp(after)
        changes.append(Change(found[i], "level", before, after, gain, p))
    left = rest - slope * time - np.repeat(level, np.diff(edges))
    changes += _spreads(left, level, edges, slope, log, least, penalty, check)
    return sorted(changes, key=lambda change: (change.at, change.kind))


def _spreads(
    left: Floats,
    level: Sequence[float],
    edges: Sequence[int],
    slope: float,
    log: bool,
    least: int,
    penalty: float,
    check: Check,
) -> list[Change]:
    """Find where what is left beside the levels changes its spread.

    As levels of the square root of its size, which of normal noise is nearly normal itself.
    """
    root = np.sqrt(np.abs(left))
    overall = float(np.mean(np.abs(left)))
    if not overall > 1e-9 * float(np.abs(level).max(initial=0.0)):
        return []
    clean = _drawn_in(root, 2 * least + 1)
    # Never less than independent normal noise would have: what rounding left says nothing.
    local = math.sqrt(_ROOT_VARIANCE) * float(np.median(root)) / 0.8218
    noise = max(_long_run(clean), local)
    if not noise > 0:
        return []
    z = clean / noise
    found = divide(z, penalty * math.log(left.size), max(2 * least, 10), check)
    ends = [0, *found, left.size]
    spans = list(zip(ends[:-1], ends[1:], strict=True))
    changes = []
    for i, (gain, p) in enumerate(_gains(z, found, penalty * math.log(left.size))):
        at = found[i]
        size = [robust.deviation(left[a:b]) for a, b in spans[i : i + 2]]
        if log:
            here = float(np.searchsorted(edges[1:-1], at, side="right"))
            unit = math.exp(level[int(here)] + slope * at)
            size = [unit * one for one in size]
        changes.append(Change(at, "spread", size[0], size[1], gain, p))
    return changes
