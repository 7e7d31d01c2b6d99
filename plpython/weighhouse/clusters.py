"""Groups of products that shrink alike: k-means, and the exact optimum on one feature."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse import pg
from weighhouse.errors import BadOptions, TooFewObservations

__all__ = [
    "FEATURES",
    "Clustering",
    "cluster",
    "cut",
    "features",
    "find",
    "k_means",
    "silhouette",
    "squared_distances",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURES = ("rate", "mean_age_days", "variation", "turnover_days")
_IS_LOG = (True, False, False, True)

_FEW = 10  # products below: one feature, exact
_MOST = 8  # clusters tried
_SAMPLE = 2_000  # products that decide how many clusters there are
_RESTARTS = 10
SEED = 20250106


@dataclass(frozen=True)
class Clustering:
    """Products in groups.

    Attributes
    ----------
    label : ndarray of int, shape (n,)
        From 0 on, by the mean of ln(rate).
    centre : ndarray of float, shape (k, d)
        Means, on the scale of the points.
    medoid : ndarray of int, shape (k,)
        Place of the product nearest to each centre.
    wcss : float
        Sum of squares within the clusters.
    silhouette : float
        Mean, -1 to 1; NaN with one cluster.
    """

    label: Ints
    centre: Floats
    medoid: Ints
    wcss: float
    silhouette: float


def features(
    loss: Floats, kg_days: Floats, age: Floats, outgoing: Floats, item: Ints, *, tolerance: float
) -> Floats:
    """Describe products by what their periods say.

    Parameters
    ----------
    loss, kg_days, age, outgoing : ndarray of float, shape (m,)
        By period: kg, kg x days, mass-weighted age at the count in days (NaN: not known), kg.
    item : ndarray of int, shape (m,)
        Product of each period, from 0 without gaps.
    tolerance : float
        The least loss a count can tell, kg: that of a product without any.

    Returns
    -------
    ndarray of float, shape (n, 4)
        ln of the rate (kg per kg-day); mean age, weighted by kg-days; coefficient of variation of
        the rate between periods, weighted alike, at most 3 (a mean near 0 says nothing); ln of the
        days the mean stock lasts, at most a year. NaN where not known.
    """
    weight = np.bincount(item, kg_days)
    rate = np.bincount(item, loss) / weight
    least = tolerance / weight
    known = ~np.isnan(age)
    aged = np.bincount(item[known], kg_days[known], minlength=weight.size)
    ages = np.bincount(item[known], (kg_days * age)[known], minlength=weight.size)
    scatter = np.bincount(item, kg_days * np.square(loss / kg_days - rate[item])) / weight
    counted = np.bincount(item)
    sold = np.bincount(item, outgoing)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_age = np.where(aged > 0, ages / aged, np.nan)
        variation = np.where(
            counted > 1, np.minimum(np.sqrt(scatter) / np.maximum(rate, least), 3.0), np.nan
        )
        turnover = np.log(np.clip(np.where(sold > 0, weight / sold, 365.0), 1e-3, 365.0))
    return np.column_stack([np.log(np.maximum(rate, least)), mean_age, variation, turnover])


def _standardise(points: Floats) -> Floats:
    """Give each column mean 0 and deviation 1; a gap is the median, a constant column goes."""
    kept = []
    for column in points.T:
        known = column[~np.isnan(column)]
        if known.size == 0:
            continue
        filled = np.where(np.isnan(column), np.median(known), column)
        deviation = filled.std()
        if deviation > 1e-12 * max(1.0, float(np.abs(filled).max())):
            kept.append((filled - filled.mean()) / deviation)
    return np.column_stack(kept) if kept else np.zeros((points.shape[0], 1))


def cut(values: ArrayLike, k: int) -> Ints:
    """Divide numbers into k groups with the least sum of squares within them: exact.

    Parameters
    ----------
    values : array_like of float, shape (n,)
    k : int
        At most the number of distinct values.

    Returns
    -------
    ndarray of int, shape (n,)
        Group of each, 0 the smallest values.

    References
    ----------
    Wang, Song (2011), Ckmeans.1d.dp, The R Journal 3(2), 29-33; worked example E27.
    """
    x = np.asarray(values, dtype=float)
    order = np.argsort(x, kind="stable")
    ordered = x[order] - x.mean()
    n = x.size
    sums, squares = np.append(0, np.cumsum(ordered)), np.append(0, np.cumsum(ordered**2))

    def within(low: Ints, high: int) -> Floats:
        return np.asarray(
            squares[high] - squares[low] - (sums[high] - sums[low]) ** 2 / (high - low)
        )

    best = np.full((k + 1, n + 1), np.inf)
    begin = np.zeros((k + 1, n + 1), dtype=np.int64)
    best[0, 0] = 0.0
    for groups in range(1, k + 1):
        for high in range(groups, n + 1):
            low = np.arange(groups - 1, high)
            cost = best[groups - 1, low] + within(low, high)
            begin[groups, high] = low[int(np.argmin(cost))]
            best[groups, high] = cost.min()
    label = np.empty(n, dtype=np.int64)
    last = n
    for group in range(k, 0, -1):
        first = int(begin[group, last])
        label[order[first:last]] = group - 1
        last = first
    return label


def squared_distances(points: Floats, centres: Floats) -> Floats:
    """Squared distances, shape (n, k)."""
    cross = points @ centres.T
    square = np.sum(points**2, axis=1)[:, None] - 2 * cross + np.sum(centres**2, axis=1)
    return np.asarray(np.maximum(square, 0.0))


def k_means(points: Floats, k: int, tick: Callable[[], None]) -> Ints:
    """Lloyd's algorithm from k-means++ starts; the best of several.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        On scales that can be compared.
    k : int
        At most the number of different points.
    tick : callable
        Called each round.

    Returns
    -------
    ndarray of int, shape (n,)
        From 0; each cluster has a point.

    References
    ----------
    Lloyd (1982), IEEE Trans. Inf. Theory 28, 129-137; Arthur, Vassilvitskii (2007), SODA.
    """
    rng = np.random.default_rng([SEED, k])
    n = points.shape[0]
    best, best_cost = np.zeros(n, dtype=np.int64), np.inf
    for _ in range(_RESTARTS):
        chosen = [int(rng.integers(n))]
        nearest = squared_distances(points, points[chosen])[:, 0]
        while len(chosen) < k:
            total = nearest.sum()
            # Points so close that rounding takes their distance for none: any other will do.
            odds = (
                nearest / total if total > 0 else ~np.isin(np.arange(n), chosen) / (n - len(chosen))
            )
            chosen.append(int(rng.choice(n, p=odds)))
            nearest = np.minimum(nearest, squared_distances(points, points[chosen[-1:]])[:, 0])
        centres = points[chosen]
        label = np.full(n, -1)
        for _ in range(300):
            tick()
            distance = squared_distances(points, centres)
            renewed = distance.argmin(axis=1)
            counts = np.bincount(renewed, minlength=k)
            for empty in np.flatnonzero(counts == 0):
                # The point farthest from its centre makes a cluster of its own.
                far = int(distance[np.arange(n), renewed].argmax())
                renewed[far] = empty
                distance[far] = 0.0
            counts = np.bincount(renewed, minlength=k)
            if np.array_equal(renewed, label):
                break
            label = renewed
            centres = np.column_stack(
                [np.bincount(label, column, minlength=k) / counts for column in points.T]
            )
        cost = float(np.sum(np.square(points - centres[label])))
        if cost < best_cost * (1 - 1e-12):
            best, best_cost = label.copy(), cost
    return best


def silhouette(points: ArrayLike, label: ArrayLike) -> float:
    """Mean silhouette: how much nearer points are to their own cluster than to the next.

    Parameters
    ----------
    points : array_like of float, shape (n, d)
    label : array_like of int, shape (n,)

    Returns
    -------
    float
        In [-1, 1]; a point alone in its cluster counts 0. NaN with fewer than two clusters.

    References
    ----------
    Rousseeuw (1987), J. Comput. Appl. Math. 20, 53-65.
    """
    x = np.asarray(points, dtype=float)
    of = np.unique(np.asarray(label), return_inverse=True)[1]
    counts = np.bincount(of)
    if counts.size < 2:
        return float("nan")
    distance = np.sqrt(squared_distances(x, x))
    np.fill_diagonal(distance, 0.0)
    sums = distance @ (of[:, None] == np.arange(counts.size)).astype(float)
    own = np.arange(of.size), of
    alone = counts[of] == 1
    inside = sums[own] / np.maximum(counts[of] - 1, 1)
    means = sums / counts
    means[own] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    score = np.divide(outside - inside, larger, out=np.zeros_like(larger), where=larger > 0)
    return float(np.where(alone, 0.0, score).mean())


def cluster(
    points: ArrayLike,
    k: int | None = None,
    usable: ArrayLike | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Clustering:
    """Group products by their features, the first of which is ln(rate).

    Fewer than 10 products are cut on ln(rate) alone, exactly; more are grouped by k-means on all
    features, standardised.

    Parameters
    ----------
    points : array_like of float, shape (n, d)
        NaN is a gap, but not in the first column.
    k : int, optional
        How many clusters; by the largest mean silhouette of 2 to 8 where not given.
    usable : array_like of bool, shape (n,), optional
        Which products may stand for their cluster; where none of a cluster may, any.
    tick : callable

    Returns
    -------
    Clustering

    Raises
    ------
    BadOptions
        k is less than 1 or more than there are different products.
    TooFewObservations
        No product.
    """
    raw = np.asarray(points, dtype=float)
    n = raw.shape[0]
    if n == 0:
        raise TooFewObservations("no product to group", hint="Import counts, and account.")
    is_few = n < _FEW
    x = raw[:, :1] if is_few else _standardise(raw)
    distinct = np.unique(x, axis=0).shape[0]
    if k is not None and not 1 <= k <= distinct:
        raise BadOptions(
            f"{k} clusters of {distinct} different products",
            hint=f"Ask for 1 to {distinct}, or for none: then the silhouette decides.",
        )

    def divide(groups: int) -> Ints:
        return cut(x[:, 0], groups) if is_few else k_means(x, groups, tick)

    rng = np.random.default_rng(SEED)
    sample = np.arange(n) if n <= _SAMPLE else np.sort(rng.choice(n, _SAMPLE, replace=False))

    def score(of: Ints) -> float:
        tick()
        return silhouette(x[sample], of[sample])

    if k is not None:
        label = divide(k)
        chosen = score(label)
    else:
        label, chosen = np.zeros(n, dtype=np.int64), float("nan")
        for groups in range(2, min(_MOST, distinct, n - 1) + 1):
            candidate = divide(groups)
            value = score(candidate)
            if np.isnan(chosen) or value > chosen + 1e-12:
                label, chosen = candidate, value
    label = np.unique(label, return_inverse=True)[1]
    counts = np.bincount(label)
    rank = np.argsort(np.argsort(np.bincount(label, raw[:, 0]) / counts, kind="stable"))
    label = rank[label]
    counts = np.bincount(label)
    centre = np.column_stack([np.bincount(label, column) / counts for column in x.T])
    distance = np.sum(np.square(x - centre[label]), axis=1)
    may = np.ones(n, dtype=bool) if usable is None else np.asarray(usable, dtype=bool)
    medoid = np.empty(counts.size, dtype=np.int64)
    for group in range(counts.size):
        members = np.flatnonzero(label == group)
        preferred = members[may[members]]
        # The member with the least sum of squared distances to all is the one nearest to the mean.
        members = preferred if preferred.size else members
        medoid[group] = members[int(distance[members].argmin())]
    return Clustering(label, centre, medoid, float(distance.sum()), chosen)


def find(
    item: bytes | None,
    loss: bytes | None,
    kg_days: bytes | None,
    age: bytes | None,
    outgoing: bytes | None,
    usable: bytes | None,
    k: int | None,
    tolerance: float,
    tick: Callable[[], None],
) -> str:
    """Group products as the database asks for it, see `features` and `cluster`.

    Parameters
    ----------
    item : bytes
        int4send of the product's number, a period each.
    loss, kg_days, age, outgoing : bytes
        float8send, a period each.
    usable : bytes
        int4send, a product each: 1 where it may be a medoid.

    Returns
    -------
    str
        JSON: k, silhouette, wcss, and `items`: label, is_medoid and features of each, in order.
    """
    described = features(
        pg.floats(loss),
        pg.floats(kg_days),
        pg.floats(age),
        pg.floats(outgoing),
        pg.integers(item, 4),
        tolerance=float(tolerance),
    )
    found = cluster(described, k, pg.integers(usable, 4) > 0, tick)
    medoids = set(found.medoid.tolist())
    shown = np.where(_IS_LOG, np.exp(np.where(_IS_LOG, described, 0.0)), described)
    items: list[dict[str, Any]] = [
        {
            "item": number,
            "label": int(label),
            "is_medoid": number in medoids,
            **{
                name: None if np.isnan(value) else float(f"{value:.9g}")
                for name, value in zip(FEATURES, row, strict=True)
            },
        }
        for number, (label, row) in enumerate(zip(found.label, shown, strict=True))
    ]
    answer = {
        "k": int(found.medoid.size),
        "silhouette": None if np.isnan(found.silhouette) else found.silhouette,
        "wcss": found.wcss,
        "items": items,
    }
    return json.dumps(answer, allow_nan=False)
