"""Groups of rows: k-means on standardised features, as many clusters as the silhouette says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weighhouse import clusters
from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task

__all__ = ["CONTINUES", "FORMAT", "NAME", "TAKES_MISSING", "TASKS", "check_options", "fit", "score"]

NAME = "kmeans"
FORMAT = 1
TASKS: tuple[Task, ...] = ("clustering",)
CONTINUES = False
TAKES_MISSING = False

MOST = 10
# Rows that decide how many clusters there are: the silhouette takes all distances between them.
SAMPLE = 2_000
SEED = 20250106
_BLOCK = 65_536


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        clusters: how many, 1 to 1000, or None (the default): by the largest mean silhouette;
        most: how many are tried then, 2 to 50 (10).
    """
    given = {"clusters": None, "most": MOST} | dict(options)
    unknown = sorted(set(given) - {"clusters", "most"})
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of {NAME}", hint="Known are clusters and most."
        )
    for name, low, high in (("clusters", 1, 1000), ("most", 2, 50)):
        value = given[name]
        if value is None and name == "clusters":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadOptions(
                f"{name} is not a whole number from {low} to {high}", hint="Leave it out."
            )
    return given


def _standardised(x: Floats, arrays: Mapping[str, Floats]) -> Floats:
    # Divided first: the squares of huge numbers are none any more.
    scaled = np.nan_to_num(x / arrays["unit"], posinf=1e150, neginf=-1e150)
    return np.asarray((np.clip(scaled, -1e150, 1e150) - arrays["mean"]) * arrays["weight"])


def fit(
    x: Floats,
    y: Floats | None,
    task: Task,
    class_count: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    """Group rows; see `contract.TableKind.fit`.

    A column that does not vary has no say. How many clusters is decided on a sample of 2,000 rows.

    Raises
    ------
    TooFewObservations
        No row.
    BadOptions
        More clusters are asked for than there are different rows.
    """
    given = check_options(options)
    n, d = x.shape
    if n == 0:
        raise TooFewObservations("no row to group", hint="Load data first.")
    unit = np.abs(x).max(axis=0, initial=0.0)
    unit = np.where(unit > 0, unit, 1.0)
    scaled = x / unit
    mean = scaled.mean(axis=0)
    check()
    deviation = scaled.std(axis=0)
    weight = np.divide(1.0, deviation, out=np.zeros(d), where=deviation > 1e-12)
    scale = {"unit": unit, "mean": mean, "weight": weight}
    points = _standardised(x, scale)
    check()
    rng = np.random.default_rng(SEED)
    chosen = np.arange(n) if n <= SAMPLE else np.sort(rng.choice(n, SAMPLE, replace=False))
    sample = points[chosen]
    distinct = np.unique(sample, axis=0).shape[0]
    wanted = given["clusters"]
    if wanted is not None and wanted > distinct and n > SAMPLE:
        distinct = np.unique(points, axis=0).shape[0]
    if wanted is not None and wanted > distinct:
        raise BadOptions(
            f"{wanted} clusters of {distinct} different rows",
            hint=f"Ask for 1 to {distinct}, or for none: then the silhouette decides.",
        )
    tried: dict[str, float] = {}
    k = wanted or 1
    if wanted is None:
        for groups in range(2, min(int(given["most"]), distinct, sample.shape[0] - 1) + 1):
            value = clusters.silhouette(sample, clusters.k_means(sample, groups, check))
            check()
            tried[str(groups)] = value
            if k == 1 or value > tried[str(k)] + 1e-12:
                k = groups
    label = clusters.k_means(points, k, check)
    sizes = np.bincount(label, minlength=k)
    centres = np.column_stack(
        [np.bincount(label, column, minlength=k) / sizes for column in points.T]
        or [np.zeros((k, 0))]
    )
    # The largest first; of equal ones the one whose centre is smaller.
    order = np.lexsort((*centres.T[::-1], -sizes))
    sizes, centres = sizes[order], centres[order]
    label = np.argsort(order)[label]
    quality = clusters.silhouette(sample, label[chosen]) if k > 1 else float("nan")
    inertia = float(np.sum(np.square(points - centres[label])))
    header: dict[str, Any] = {
        "clusters": k,
        "sizes": sizes.tolist(),
        "silhouette": None if np.isnan(quality) else quality,
        "silhouette_rows": int(chosen.size),
        "tried": tried,
        "inertia": inertia,
    }
    shown = "" if np.isnan(quality) else f", silhouette {quality:.2f}"
    return Learnt(
        header, {**scale, "centres": centres}, label=f"{k} clusters of {d} features{shown}"
    )


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Give the number of the nearest cluster, 0 the largest; see `contract.TableKind.score`."""
    found = np.empty(x.shape[0])
    for start in range(0, x.shape[0], _BLOCK):
        check()
        points = _standardised(x[start : start + _BLOCK], learnt.arrays)
        distance = clusters.squared_distances(points, learnt.arrays["centres"])
        found[start : start + _BLOCK] = distance.argmin(axis=1)
    return found
