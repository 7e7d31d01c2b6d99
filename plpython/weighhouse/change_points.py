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

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
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
# Variance and median of the square root of the absolute value of a standard normal.
_ROOT_VARIANCE = math.sqrt(2 / math.pi) - (2**0.25 * math.gamma(0.75) / math.sqrt(math.pi)) ** 2
_ROOT_MEDIAN = math.sqrt(0.67449)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a series.

    Attributes
    ----------
    at : int
        Place of the first value after it.
    kind : {"level", "spread"}
    before, after : float
        Median level of the segments beside it, seasons taken out (where a trend runs through, at
        this place); or their standard deviation. In the unit of the series.
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
    # Starts that may still be the best, in order; of `count` of them `known` is what they cost so
    # far. Beyond the end `until` a start can be the best no more.
    starts = np.zeros(n + 1, dtype=np.int64)
    known, sum_at = np.zeros(n + 1), np.zeros(n + 1)
    until = np.full(n + 1, n + 1, dtype=np.int64)
    known[0] = best[0]
    count = 1
    for end in range(least, n + 1):
        newest = end - least
        if newest >= least:
            starts[count], known[count] = newest, best[newest] - squares[newest]
            sum_at[count] = sums[newest]
            count += 1
        total = sums[end] - sum_at[:count]
        cost = known[:count] - total * total / (end - starts[:count])
        place = int(np.argmin(cost))
        origin[end] = starts[place]
        best[end] = cost[place] + penalty + squares[end]
        # Later ends that leave room for a segment from here are better served by one that begins
        # here; starts since then may still be.
        if end % 16 == 0:
            check()
            limit = until[:count]
            limit[cost > cost[place] + penalty] = np.minimum(
                limit[cost > cost[place] + penalty], end + least - 1
            )
            kept = np.flatnonzero(limit > end)
            if kept.size < count:
                for held in (starts, known, sum_at, until):
                    held[: kept.size] = held[kept]
                until[kept.size :] = n + 1
                count = kept.size
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
        float(_cost(sums, squares, np.array([a]), b)[0]) for a, b in itertools.pairwise(edges)
    )


def _noise(values: Floats) -> tuple[float, float]:
    """Tell how far the mean of values is off: standard deviation times the root of their number.

    From successive differences, which shifts hardly touch, and slopes not: those of independent
    values correlate by -1/2, of a random walk not at all. Between, as an autoregression of order 1,
    whose coefficient is the second number.
    """
    difference = np.diff(values)
    difference = difference - np.median(difference)
    size = np.abs(difference)
    middle = robust.MAD * float(np.median(size))
    if not middle > 0:
        return float(difference.std()) / math.sqrt(2.0), 0.0
    spread = max(middle, float(np.quantile(size, 0.95)) / 1.96)
    clipped = np.clip(difference, -LIMIT * spread, LIMIT * spread)
    correlation = float(clipped[1:] @ clipped[:-1]) / float(clipped @ clipped)
    rho = min(max(1.0 + 2.0 * correlation, 0.0), 0.98)
    return spread * math.sqrt((1.0 + rho) / 2.0) / (1.0 - rho), rho


def _trends(values: Floats) -> Iterator[tuple[int, Floats]]:
    """Give what may run through all levels: nothing, a line, a parabola; how many numbers each is.

    Of the medians of at most 100 blocks: the line by Theil and Sen, the parabola by least squares.
    """
    n = values.size
    yield 0, np.zeros(n)
    width = -(-n // 100)
    count = n // width
    blocks = np.median(values[: count * width].reshape(count, width), axis=1)
    at = (np.arange(count) * width + (width - 1) / 2) / n
    time = np.arange(n) / n
    yield 1, patterns.theil_sen(at, blocks)[0] * time
    square, slope, _ = np.polyfit(at, blocks, 2)
    yield 2, (square * time + slope) * time


def _drawn_in(values: Floats, window: int) -> Floats:
    """Draw outliers in to the running median: a lasting shift moves it, one value does not."""
    smooth = robust.running_median(values, window)
    rest = values - smooth
    spread = max(robust.deviation(rest), float(np.quantile(np.abs(rest), 0.95)) / 1.96)
    return smooth + np.clip(rest, -LIMIT * spread, LIMIT * spread) if spread > 0 else values


def _search(
    values: Floats, least: int, factor: float, check: Check
) -> tuple[list[int], Floats, Floats]:
    """Give where levels change, the trend all along, and the noise-scaled series without it."""
    clean = _drawn_in(values, 2 * min(least, LEAST) + 1)
    penalty = factor * math.log(values.size)
    # What rounding makes of a series that does not vary is no noise.
    noise = max(_noise(clean)[0], 1e-9 * float(np.abs(values).max(initial=0.0)))
    none = np.zeros(values.size)
    if not noise > 0:
        return [], none, none
    choices = []
    for numbers, trend in _trends(clean):
        z = (clean - trend) / noise
        found = divide(z, penalty, least, check)
        cost = _total(z, found, penalty) + numbers * penalty
        choices.append((cost, numbers, found, trend, z))
        if not found:
            break
    _, _, found, trend, z = min(choices, key=lambda choice: choice[:2])
    return found, trend, z


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
        The steps: 0 on the first level, then by how much each is above it, beside a trend.
    """
    found, trend, _ = _search(values, least, penalty, check)
    rest = values - trend
    edges = [0, *found, values.size]
    middle = [float(np.median(rest[a:b])) for a, b in itertools.pairwise(edges)]
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
        least = max([*[m for m in seasons if m <= LONGEST_LEAST][:1], LEAST])
    if least < 2 or not 0 < penalty < math.inf:
        raise BadOptions(
            "segments are not so short, or a penalty is not positive",
            hint="Give at least 2 steps, and a penalty as 3.",
        )
    # Seasons grow with the level; without any, a straight trend is straight as it is.
    log = bool(seasons) and may_log(values)
    z = np.log(values) if log else values
    rest = z - robust.seasonal(z, seasons)
    found, trend, scaled = _search(rest, least, penalty, check)
    limit = penalty * math.log(n)
    edges = [0, *found, n]
    spans = list(itertools.pairwise(edges))
    level = [float(np.median((rest - trend)[a:b])) for a, b in spans]
    changes: list[Change] = []
    for i, (gain, p) in enumerate(_gains(scaled, found, limit)):
        before, after = (one + float(trend[found[i]]) for one in level[i : i + 2])
        if log:
            before, after = math.exp(before), math.exp(after)
        changes.append(Change(found[i], "level", before, after, gain, p))
    course = np.repeat(level, np.diff(edges)) + trend
    unit = np.exp(course) if log else np.ones(n)
    changes += _spreads(rest - course, course, unit, least, penalty, check)
    return sorted(changes, key=lambda change: (change.at, change.kind))


def _spreads(
    left: Floats, course: Floats, unit: Floats, least: int, penalty: float, check: Check
) -> list[Change]:
    """Find where what is left beside the levels changes its spread.

    As levels of the square root of its size, which of normal noise is nearly normal itself. `unit`:
    what a standard deviation of 1 is at each place, in the unit of the series.
    """
    if not float(np.mean(np.abs(left))) > 1e-9 * float(np.abs(course).max(initial=0.0)):
        return []
    rho = _noise(left)[1]
    # What is new at each step: the size of residuals that hang together comes in waves.
    new = np.append(left[:1], left[1:] - rho * left[:-1])
    root = np.sqrt(np.abs(new))
    clean = _drawn_in(root, 2 * least + 1)
    # Never less than independent normal noise would have: few different values say little of it.
    noise = max(_noise(clean)[0], math.sqrt(_ROOT_VARIANCE) * float(np.median(root)) / _ROOT_MEDIAN)
    if not noise > 0:
        return []
    z = clean / noise
    limit = penalty * math.log(left.size)
    found = divide(z, limit, max(2 * least, 10), check)
    ends = [0, *found, left.size]
    size = [robust.deviation(left[a:b]) for a, b in itertools.pairwise(ends)]
    return [
        Change(at, "spread", size[i] * float(unit[at]), size[i + 1] * float(unit[at]), gain, p)
        for i, (at, (gain, p)) in enumerate(zip(found, _gains(z, found, limit), strict=True))
    ]
