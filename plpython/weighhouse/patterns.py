"""Patterns in rates of shrinkage: the tests, each for many series at once.

A matrix holds series of equal length, one a row, oldest value first. Rates are kg lost per kg in
stock and day; a surplus is a negative rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.distributions import (
    f_tail,
    kendall_tail,
    kolmogorov_tail,
    normal_tail,
    t_tail,
)
from weighhouse.errors import BadOptions

__all__ = [
    "Pairs",
    "Scores",
    "Season",
    "Shift",
    "Trend",
    "correlate",
    "find_pairs",
    "find_season",
    "find_shift",
    "find_trend",
    "group_scores",
    "modified_z",
    "ranks",
    "shift_confidence",
    "stability",
    "theil_sen",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_CHUNK = 1 << 21  # numbers in a temporary array
_EXACT = 10  # up to this many values the distribution of Kendall's S is enumerated
SEED = 20250106


def never() -> None:
    """Look for no cancel."""


def _matrix(values: ArrayLike) -> Floats:
    matrix = np.asarray(values, dtype=float)
    if matrix.ndim != 2:
        raise BadOptions("series must be the rows of a matrix", hint="Give shape (series, length).")
    return matrix


# --------------------------------------------------------------------------------------- anomalies


@dataclass(frozen=True)
class Scores:
    """How far values are from the middle of their group.

    Attributes
    ----------
    z : ndarray of float, shape (n,)
        Modified z-scores; 0 where the group does not vary at all.
    median, spread : ndarray of float, shape (n,)
        Of the value's group, on its scale; the spread is the MAD, or 0.6745 times its stand-in.
    is_log : ndarray of bool, shape (n,)
        Whether the group is scored on logarithms.
    size : ndarray of int, shape (n,)
        Values in the group.
    """

    z: Floats
    median: Floats
    spread: Floats
    is_log: Bools
    size: Ints


def modified_z(values: ArrayLike) -> Floats:
    """Score values by 0.6745 (x - median) / MAD, along the last axis.

    Where the MAD is 0, the mean absolute deviation times 1.2533 stands in for MAD / 0.6745; where
    that is 0 too, all scores are 0.

    Parameters
    ----------
    values : array_like of float, shape (..., n)

    Returns
    -------
    ndarray of float, same shape

    References
    ----------
    Iglewicz, Hoaglin (1993), How to Detect and Handle Outliers; worked example E26.
    """
    x = np.asarray(values, dtype=float)
    distance = x - np.median(x, axis=-1, keepdims=True)
    deviation = np.abs(distance)
    mad = np.median(deviation, axis=-1, keepdims=True)
    scale = np.where(mad > 0, mad / 0.6745, 1.2533 * np.mean(deviation, axis=-1, keepdims=True))
    return np.asarray(np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0))


def _middle(sorted_values: Floats, begin: Ints, size: Ints) -> Floats:
    """Median of each group; its values stand in order, next to each other."""
    low, high = begin + (size - 1) // 2, begin + size // 2
    return np.asarray(0.5 * (sorted_values[low] + sorted_values[high]))


def group_scores(values: ArrayLike, group: ArrayLike) -> Scores:
    """Score each value within its group: on ln(x) where all of the group are positive, else on x.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Finite.
    group : array_like of int, shape (n,)

    Returns
    -------
    Scores
    """
    x = np.asarray(values, dtype=float).ravel()
    code = np.unique(np.asarray(group).ravel(), return_inverse=True)[1]
    if x.size != code.size:
        raise BadOptions(f"{x.size} values and {code.size} groups", hint="Give one group a value.")
    if x.size == 0:
        none = np.empty(0)
        return Scores(none, none, none, none.astype(bool), none.astype(np.int64))
    size = np.bincount(code)
    begin = np.cumsum(size) - size
    is_log = np.minimum.reduceat(x[np.lexsort((x, code))], begin) > 0
    scaled = np.where(is_log[code], np.log(np.where(x > 0, x, 1.0)), x)
    median = _middle(scaled[np.lexsort((scaled, code))], begin, size)
    deviation = np.abs(scaled - median[code])
    mad = _middle(deviation[np.lexsort((deviation, code))], begin, size)
    mean = np.bincount(code, deviation) / size
    scale = np.where(mad > 0, mad / 0.6745, 1.2533 * mean)[code]
    z = np.divide(scaled - median[code], scale, out=np.zeros_like(x), where=scale > 0)
    return Scores(z, median[code], 0.6745 * scale, is_log[code], size[code].astype(np.int64))


def stability(
    values: ArrayLike, of: ArrayLike, threshold: float, repeats: int = 199, seed: int = SEED
) -> Floats:
    """Tell how often values would be anomalies of their group, were its products drawn again.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The group, on the scale it is scored on.
    of : array_like of int, shape (k,)
        Places of the values asked about.
    threshold : float
        Of the modified z-score.
    repeats, seed : int
        Bootstrap samples of the whole group, with replacement.

    Returns
    -------
    ndarray of float, shape (k,)
        Share of the repeats in which the value, held against the sample, passes the threshold.
    """
    x = np.asarray(values, dtype=float)
    asked = x[np.asarray(of, dtype=np.int64)]
    passed = np.zeros(asked.size)
    rng = np.random.default_rng([seed, x.size])
    step = max(1, min(repeats, _CHUNK // max(1, x.size)))
    for done in range(0, repeats, step):
        sample = x[rng.integers(0, x.size, (min(step, repeats - done), x.size))]
        median = np.median(sample, axis=1, keepdims=True)
        deviation = np.abs(sample - median)
        mad = np.median(deviation, axis=1, keepdims=True)
        scale = np.where(mad > 0, mad / 0.6745, 1.2533 * deviation.mean(axis=1, keepdims=True))
        distance = np.abs(asked - median)
        # A sample in which nothing varies: whatever differs stands out.
        passed += np.sum(distance > threshold * scale, axis=0)
    return np.asarray(passed / repeats)


# ------------------------------------------------------------------------------------------ trends


@dataclass(frozen=True)
class Trend:
    """Whether series rise or fall.

    Attributes
    ----------
    s : ndarray of int, shape (m,)
        Mann and Kendall's S: pairs that rise less pairs that fall.
    p : ndarray of float, shape (m,)
        Of both sides.
    """

    s: Ints
    p: Floats


def _ties(values: Floats) -> Floats:
    """Sum of t (t - 1) (2 t + 5) over the groups of equal values of each row."""
    m, n = values.shape
    ordered = np.sort(values, axis=1)
    starts = np.ones((m, n), dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    begin = np.flatnonzero(starts.ravel())
    t = np.diff(np.append(begin, m * n)).astype(float)
    return np.bincount(begin // n, t * (t - 1) * (2 * t + 5), minlength=m).astype(float)


def find_trend(y: ArrayLike, tick: Callable[[], None] = never) -> Trend:
    """Test series for a monotone trend, by Mann and Kendall.

    Exact with up to 10 values and no ties; else by the normal approximation with the variance
    corrected for ties and S for continuity.

    Parameters
    ----------
    y : array_like of float, shape (m, n)
        Finite; n from 3 on.
    tick : callable
        Called at least every 100 ms.

    Returns
    -------
    Trend

    References
    ----------
    Mann (1945), Econometrica 13, 245-259; Kendall (1975), Rank Correlation Methods; Gilbert (1987),
    Statistical Methods for Environmental Pollution Monitoring, 16.4 (exact for short series).
    """
    matrix = _matrix(y)
    m, n = matrix.shape
    s = np.zeros(m, dtype=np.int64)
    step = max(1, _CHUNK // max(1, n))
    for done in range(0, m, step):
        part = matrix[done : done + step]
        for lag in range(1, n):
            s[done : done + step] += np.sign(part[:, lag:] - part[:, :-lag]).sum(1).astype(int)
            if lag % 4 == 0:
                tick()
        tick()
    ties = _ties(matrix)
    variance = np.maximum((n * (n - 1) * (2 * n + 5) - ties) / 18.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(s == 0, 0.0, (s - np.sign(s)) / np.sqrt(variance))
    p = normal_tail(z)
    if n <= _EXACT:
        p = np.where(ties > 0, p, kendall_tail(s, n))
    return Trend(s, p)


def theil_sen(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Fit a line by the median of all slopes.

    Parameters
    ----------
    x, y : array_like of float, shape (n,)
        x distinct.

    Returns
    -------
    slope, intercept : float
        The intercept is the median of y - slope x.

    References
    ----------
    Sen (1968), J. Am. Stat. Assoc. 63, 1379-1389.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    i, j = np.triu_indices(x.size, 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    return slope, float(np.median(y - slope * x))


# ------------------------------------------------------------------------------------- seasonality


@dataclass(frozen=True)
class Season:
    """What the month of the year does to series, beside a straight trend.

    Attributes
    ----------
    f, p : ndarray of float, shape (m,)
        F statistic and its upper tail; NaN and 1 where nothing is left to test with.
    effect : ndarray of float, shape (m, 12)
        Of each month against the mean over the months; NaN for a month without values.
    freedom : tuple of int
        Degrees of freedom of the numerator and the denominator.
    """

    f: Floats
    p: Floats
    effect: Floats
    freedom: tuple[int, int]


def find_season(month: ArrayLike, y: ArrayLike) -> Season:
    """Test series for effects of the month, by the F-test that these are all equal.

    A straight trend is in both models: without it a trend would hide the seasons of series that are
    not whole years, or pass for them.

    Parameters
    ----------
    month : array_like of int, shape (n,)
        Months since any January (a multiple of 12 is a January), the same for all series.
    y : array_like of float, shape (m, n)

    Returns
    -------
    Season
    """
    matrix = _matrix(y)
    at = np.asarray(month, dtype=np.int64)
    m, n = matrix.shape
    known, of = np.unique(at % 12, return_inverse=True)
    dummies = (of[:, None] == np.arange(known.size)).astype(float)
    time = (at - at.mean())[:, None].astype(float)
    line = np.linalg.qr(np.hstack([np.ones((n, 1)), time]))[0]
    full = np.hstack([dummies, time])
    rank = int(np.linalg.matrix_rank(full))
    freedom = (rank - 2, n - rank)
    effect = np.full((m, 12), np.nan)
    if freedom[0] < 1 or freedom[1] < 1:
        return Season(np.full(m, np.nan), np.ones(m), effect, freedom)
    basis, weights, _ = np.linalg.svd(full, full_matrices=False)
    basis = basis[:, weights > weights[0] * 1e-12]
    centred = matrix - matrix.mean(axis=1, keepdims=True)
    simple = np.sum(np.square(centred - centred @ line @ line.T), axis=1)
    rest = np.sum(np.square(centred - centred @ basis @ basis.T), axis=1)
    # What rounding leaves of a series that does not vary is no residual.
    noise = 1e-20 * np.sum(np.square(matrix), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = ((simple - rest) / freedom[0]) / (np.maximum(rest, noise) / freedom[1])
    f = np.where(simple <= noise, 0.0, np.maximum(f, 0.0))
    solution = np.linalg.lstsq(full, centred.T, rcond=None)[0][: known.size]
    effect[:, known] = (solution - solution.mean(axis=0)).T
    return Season(f, f_tail(f, *freedom), effect, freedom)


# ------------------------------------------------------------------------------------- correlation


def ranks(values: ArrayLike) -> Floats:
    """Rank each row from 1; equal values share the mean of their ranks."""
    matrix = _matrix(values)
    m, n = matrix.shape
    order = np.argsort(matrix, axis=1, kind="stable")
    ordered = np.take_along_axis(matrix, order, axis=1)
    starts = np.ones((m, n), dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    begin = np.flatnonzero(starts.ravel())
    t = np.diff(np.append(begin, m * n))
    shared = np.repeat(begin % n + 1 + (t - 1) / 2.0, t).reshape(m, n)
    result = np.empty((m, n))
    np.put_along_axis(result, order, shared, axis=1)
    return result


def correlate(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Give Spearman's rank correlation of each row of x with that of y.

    Parameters
    ----------
    x, y : array_like of float, shape (m, n)
        n from 4 on.

    Returns
    -------
    rho, p : ndarray of float, shape (m,)
        p of both sides, by Student's t with n - 2 degrees of freedom, but never below that of a
        perfect order, 2 / n!. NaN and 1 where a row does not vary.
    """
    one, other = ranks(x), ranks(y)
    n = one.shape[1]
    if one.shape != other.shape or n < 4:
        raise BadOptions("series to correlate must have the same length, from 4 values on")
    one = one - one.mean(axis=1, keepdims=True)
    other = other - other.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.sum(one * one, axis=1) * np.sum(other * other, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.clip(np.sum(one * other, axis=1) / norm, -1.0, 1.0)
        t = np.abs(rho) * np.sqrt((n - 2) / (1.0 - rho * rho))
    least = math.exp(math.log(2.0) - math.lgamma(n + 1.0))
    p = np.maximum(t_tail(np.where(np.isnan(t), 0.0, t), n - 2), least)
    return rho, np.where(np.isnan(rho), 1.0, p)


# ------------------------------------------------------------------------------------ level shifts


@dataclass(frozen=True)
class Shift:
    """Where series left their level.

    Attributes
    ----------
    at : ndarray of int, shape (m,)
        Place of the first value of the new level.
    statistic : ndarray of float, shape (m,)
        Largest |CUSUM| over noise and root n.
    p : ndarray of float, shape (m,)
    """

    at: Ints
    statistic: Floats
    p: Floats


def _cusum(z: Floats) -> tuple[Floats, Floats]:
    """Sums of z - mean(z) up to each place but the last, and noise times root n, by row.

    The noise is that of successive differences, which a shift hardly touches, and at least 1: what
    the model says of it. On few values an estimate below would make shifts of chance.
    """
    n = z.shape[-1]
    sums = np.cumsum(z - z.mean(axis=-1, keepdims=True), axis=-1)[..., :-1]
    difference = np.sqrt(np.mean(np.square(np.diff(z, axis=-1)), axis=-1) / 2.0)
    return sums, np.maximum(difference, 1.0) * math.sqrt(n)


def find_shift(z: ArrayLike) -> Shift:
    """Test series of standardised residuals for one lasting change of their level.

    Parameters
    ----------
    z : array_like of float, shape (m, n)
        (actual - expected) / standard deviation of one period, oldest first; n from 4 on.

    Returns
    -------
    Shift
        p by the limit of the CUSUM, a Brownian bridge: a little too large for short series.

    References
    ----------
    Page (1954), Biometrika 41, 100-115; Csorgo, Horvath (1997), Limit Theorems in Change-Point
    Analysis, 2.1. Noise from differences: von Neumann (1941), Ann. Math. Stat. 12, 367-395.
    """
    sums, scale = _cusum(_matrix(z))
    at = np.argmax(np.abs(sums), axis=1)
    statistic = np.abs(np.take_along_axis(sums, at[:, None], axis=1)[:, 0]) / scale
    return Shift(at + 1, statistic, kolmogorov_tail(statistic))


def shift_confidence(z: ArrayLike, repeats: int = 999, seed: int = SEED) -> float:
    """Give the share of random orders of a series whose CUSUM goes less far than its own.

    Parameters
    ----------
    z : array_like of float, shape (n,)
    repeats, seed : int

    Returns
    -------
    float
        In [0, 1]; ties count against.

    References
    ----------
    Taylor (2000), Change-Point Analysis.
    """
    series = np.asarray(z, dtype=float)
    own = float(find_shift(series[None, :]).statistic[0])
    rng = np.random.default_rng([seed, series.size])
    less = 0
    step = max(1, min(repeats, _CHUNK // series.size))
    for done in range(0, repeats, step):
        shape = (min(step, repeats - done), series.size)
        mixed = rng.permuted(np.broadcast_to(series, shape), axis=1)
        sums, scale = _cusum(mixed)
        less += int(np.sum(np.abs(sums).max(axis=1) / scale < own * (1 - 1e-12)))
    return less / repeats


# ------------------------------------------------------------------------------------------- pairs


@dataclass(frozen=True)
class Pairs:
    """Shortages and surpluses of one count that look like one product taken for another.

    Attributes
    ----------
    short, over : ndarray of int, shape (k,)
        Places of the two products.
    confidence : ndarray of float, shape (k,)
        Chance that no other shortage would have been as close in size.
    """

    short: Ints
    over: Ints
    confidence: Floats


def find_pairs(
    count: ArrayLike,
    pool: ArrayLike,
    loss: ArrayLike,
    expected: ArrayLike,
    sigma: ArrayLike,
    *,
    tolerance: float,
    similarity: float,
    cv: float,
    confidence: float,
) -> Pairs:
    """Find, within each count, a shortage and a surplus of similar size.

    What is compared is what drying does not explain: loss - expected. At least half of that of the
    surplus must have been found too much, not only not have dried; both must be more than 1.96
    standard deviations of a period. Each takes the partner closest in size; only mutual choices
    stand.

    Parameters
    ----------
    count, pool : array_like of int, shape (n,)
        Which count of like products (type, warehouse, time) a row is of, and which shortages chance
        could have brought instead (type, warehouse).
    loss, expected : array_like of float, shape (n,)
        kg, a surplus negative; expected NaN where no curve is known: then nothing is taken off.
    sigma : array_like of float, shape (n,)
        Standard deviation of the count, kg.
    tolerance : float
        Smaller differences are none, kg.
    similarity : float
        How far the sizes may differ, as a share of the larger.
    cv : float
        Relative standard deviation of a period's loss around its curve.
    confidence : float
        Pairs below are left out.

    Returns
    -------
    Pairs

    Notes
    -----
    Confidence: with share q of the shortages of the pool within the same distance of the surplus
    (counted with the pair itself left out and one added), and k shortages in this count,
    (1 - q)^k: what repeated draws of k shortages from the pool come to.
    """
    group, kind = np.asarray(count), np.asarray(pool)
    lost, spread = np.asarray(loss, dtype=float), np.asarray(sigma, dtype=float)
    drying = np.where(np.isnan(np.asarray(expected, dtype=float)), 0.0, expected)
    left = lost - drying
    real = np.abs(left) > np.maximum(1.96 * np.hypot(spread, cv * drying), tolerance)
    is_short = real & (left > 0) & (lost > tolerance)
    is_over = real & (lost < -tolerance) & (lost <= 0.5 * left)
    short, over = np.flatnonzero(is_short), np.flatnonzero(is_over)
    shared = np.intersect1d(group[short], group[over])
    found: list[tuple[int, int, float]] = []
    sizes: dict[int, Floats] = {}
    in_count = short[np.isin(group[short], shared)]
    in_count = in_count[np.argsort(group[in_count], kind="stable")]
    partners = over[np.isin(group[over], shared)]
    partners = partners[np.argsort(group[partners], kind="stable")]
    for code in shared:
        a = in_count[slice(*np.searchsorted(group[in_count], [code, code + 1]))]
        b = partners[slice(*np.searchsorted(group[partners], [code, code + 1]))]
        gap = np.abs(left[a][:, None] + left[b][None, :])
        allowed = similarity * np.maximum(left[a][:, None], -left[b][None, :])
        gap = np.where(gap <= np.maximum(allowed, 2.0 * tolerance), gap, np.inf)
        choice, back = gap.argmin(axis=0), gap.argmin(axis=1)
        for j, i in enumerate(choice):
            if back[i] != j or not np.isfinite(gap[i, j]):
                continue
            key = int(kind[a[i]])
            if key not in sizes:
                sizes[key] = np.sort(left[short[kind[short] == key]])
            width = max(float(gap[i, j]), float(np.hypot(spread[a[i]], spread[b[j]])))
            middle = -left[b[j]]
            low, high = np.searchsorted(sizes[key], [middle - width, middle + width])
            # The pair's own shortage is among them, as long as rounding does not put it outside.
            q = max(int(high - low), 1) / (sizes[key].size + 1)
            certainty = (1.0 - q) ** a.size
            if certainty >= confidence:
                found.append((int(a[i]), int(b[j]), certainty))
    found.sort()
    return Pairs(
        np.array([f[0] for f in found], dtype=np.int64),
        np.array([f[1] for f in found], dtype=np.int64),
        np.array([f[2] for f in found]),
    )
