"""Rolling hold-out of the shrinkage fit: what it would have said, beside two simple rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.accuracy import mae, mbe, wape
from weighhouse.errors import BadOptions
from weighhouse.profile_fit import sums
from weighhouse.shrinkage import column, fit_type, never, predict_shortage, ragged

__all__ = ["Fold", "Holdout", "holdout"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """Errors on periods a fit had not seen, beside the two simple rules; kg unless percent.

    Attributes
    ----------
    fold : int
        0 is the earliest.
    n : int
        Periods predicted by all three.
    wape, mae, mbe : float
        Of the fit. `wape` in percent.
    coverage80 : float
        Share of the found shortages inside the 80 % band.
    wape_type_rate, mae_type_rate, mbe_type_rate : float
        Of the type's shortage per kg-day.
    wape_last_percent, mae_last_percent, mbe_last_percent : float
        Of the product's last percent of what was available.
    """

    fold: int
    n: int
    wape: float
    mae: float
    mbe: float
    coverage80: float
    wape_type_rate: float
    mae_type_rate: float
    mbe_type_rate: float
    wape_last_percent: float
    mae_last_percent: float
    mbe_last_percent: float


@dataclass(frozen=True)
class Holdout:
    """All folds, and the same measures over them together (its `fold` is -1).

    `is_better` says whether the fit beats both simple rules by WAPE.
    """

    folds: list[Fold]
    overall: Fold
    is_better: bool


def holdout(
    item: ArrayLike,
    shortage: ArrayLike,
    kg_days: ArrayLike,
    weight: ArrayLike,
    sigma_count: ArrayLike,
    term_offset: ArrayLike,
    term_mass: ArrayLike,
    term_age_from: ArrayLike,
    term_age_to: ArrayLike,
    *,
    folds: int = 3,
    n_items: int | None = None,
    family: str = "auto",
    default_b: float = 0.049,
    cv: float = 0.25,
    kappa: float = 20.0,
    tick: Callable[[], None] = never,
) -> Holdout:
    """Predict the last periods of each product from those before, as it would have happened.

    Fold f of F leaves the last F - f periods of each product out of the fit and predicts the first
    of them. A product takes part where at least one period remains to learn from.

    Parameters
    ----------
    item ... tick
        As for `fit_type`; the options b and c are never given here.
    folds : int
        How many periods back to go.

    Returns
    -------
    Holdout
        NaN measures where nothing could be predicted. The band is expected times exp of the 10 %
        and 90 % quantiles of ln(found / expected) in training, at least +-1.2816 cv.

    Raises
    ------
    BadOptions
        As for `fit_type`, or folds < 1.

    References
    ----------
    Domain model 5.6, 5.7.
    """
    if folds < 1:
        raise BadOptions("there must be at least one fold")
    ids = np.asarray(item, dtype=np.int64).ravel()
    n = ids.size
    observed = column("shortage", shortage, n)
    exposure = column("kg_days", kg_days, n)
    weights = column("weight", weight, n)
    sigma = column("sigma_count", sigma_count, n)
    mass = np.asarray(term_mass, dtype=float).ravel()
    start = column("term_age_from", term_age_from, mass.size)
    end = column("term_age_to", term_age_to, mass.size)
    counts = ragged(n, term_offset, mass.size)
    begins = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64) if n else counts
    offset = np.append(begins, mass.size).astype(np.int64) if n else np.zeros(1, dtype=np.int64)
    total = int(n_items if n_items is not None else (ids.max() + 1 if n else 0))
    finite = np.isfinite(mass) & np.isfinite(start) & np.isfinite(end)
    valid = np.isfinite(observed) & np.isfinite(exposure) & np.isfinite(weights) & (weights > 0)
    valid &= (counts > 0) & (sums((~finite).astype(float), begins, counts) == 0)
    available = sums(np.maximum(np.where(finite, mass, 0.0), 0.0), begins, counts)
    # How many valid periods of the product follow each.
    behind = np.full(n, -1)
    places = np.flatnonzero(valid)
    if places.size:
        of = ids[places]
        last = np.append(np.flatnonzero(np.diff(of)), of.size - 1)
        runs = np.diff(np.append(-1, last))
        behind[places] = np.repeat(last, runs) - np.arange(of.size)

    rows: list[tuple[int, Floats]] = []
    for fold in range(folds):
        left = folds - fold
        training = valid & (behind >= left)
        if not np.any(training):
            continue
        fit = fit_type(
            ids, observed, exposure, np.where(training, weights, 0.0), sigma, offset, mass, start,
            end, n_items=total, family=family, default_b=default_b, cv=cv, kappa=kappa, tick=tick,
        )  # fmt: skip
        learnt = np.unique(ids[training])
        tested = valid & (behind == left - 1) & np.isin(ids, learnt)
        if not np.any(tested):
            continue
        a, b, c = (np.array([getattr(row, key) for row in fit.items]) for key in "abc")
        expected = predict_shortage(fit.family, a[ids], b[ids], c[ids], offset, mass, start, end)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(observed / expected)[training & (observed > 0) & (expected > 0)]
        least = 1.2816 * cv
        low, high = -least, least
        if ratio.size >= 5:
            q10, q90 = np.quantile(ratio, [0.1, 0.9])
            low, high = min(low, float(q10)), max(high, float(q90))
        percent = np.full(total, np.nan)
        before = valid & (behind == left)
        percent[ids[before]] = observed[before] / np.where(available > 0, available, np.nan)[before]
        t = np.flatnonzero(tested)
        inside = (observed[t] >= expected[t] * np.exp(low)) & (
            observed[t] <= expected[t] * np.exp(high)
        )
        table = np.column_stack(
            [
                observed[t],
                expected[t],
                fit.rate * exposure[t],
                percent[ids[t]] * available[t],
                inside,
            ]
        )
        rows.append((fold, table[np.all(np.isfinite(table), axis=1)]))
    results = [_score(fold, table) for fold, table in rows]
    together = np.concatenate([table for _, table in rows]) if rows else np.empty((0, 5))
    overall = _score(-1, together)
    better = overall.wape < overall.wape_type_rate and overall.wape < overall.wape_last_percent
    return Holdout(results, overall, bool(better))


def _score(fold: int, table: Floats) -> Fold:
    actual, expected, by_rate, by_percent, inside = table.T
    return Fold(
        fold=fold,
        n=int(actual.size),
        wape=wape(actual, expected),
        mae=mae(actual, expected),
        mbe=mbe(actual, expected),
        coverage80=float(inside.mean()) if inside.size else float("nan"),
        wape_type_rate=wape(actual, by_rate),
        mae_type_rate=mae(actual, by_rate),
        mbe_type_rate=mbe(actual, by_rate),
        wape_last_percent=wape(actual, by_percent),
        mae_last_percent=mae(actual, by_percent),
        mbe_last_percent=mbe(actual, by_percent),
    )
