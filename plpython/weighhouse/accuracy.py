"""How good predictions were. Rows where either side is NaN do not count, in any measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.errors import BadOptions

__all__ = ["Accuracy", "forecast_accuracy", "mae", "mbe", "measure", "smape", "wape"]

Floats = NDArray[np.float64]


def _pairs(actual: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    y = np.asarray(actual, dtype=float).ravel()
    p = np.asarray(predicted, dtype=float).ravel()
    if y.size != p.size:
        raise BadOptions(
            f"{y.size} actual and {p.size} predicted values", hint="Give one for each."
        )
    known = ~(np.isnan(y) | np.isnan(p))
    return y[known], p[known]


def wape(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Sum of |predicted - actual| over sum of |actual|, percent; NaN when nothing happened."""
    y, p = _pairs(actual, predicted)
    total = float(np.sum(np.abs(y)))
    return 100.0 * float(np.sum(np.abs(p - y))) / total if total > 0 else float("nan")


def mae(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of |predicted - actual|, in their unit; NaN without rows."""
    y, p = _pairs(actual, predicted)
    return float(np.mean(np.abs(p - y))) if y.size else float("nan")


def mbe(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of predicted - actual, in their unit: positive is too much; NaN without rows."""
    y, p = _pairs(actual, predicted)
    return float(np.mean(p - y)) if y.size else float("nan")


def smape(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of 2 |predicted - actual| / (|actual| + |predicted|), percent; 0 / 0 counts as 0."""
    y, p = _pairs(actual, predicted)
    if not y.size:
        return float("nan")
    size = np.abs(y) + np.abs(p)
    return 100.0 * float(
        np.mean(np.where(size > 0, 2 * np.abs(p - y) / np.where(size > 0, size, 1), 0))
    )


@dataclass(frozen=True)
class Accuracy:
    """All measures of one set of predictions; NaN where one is not defined.

    Attributes
    ----------
    n : int
        Rows that count.
    sse, r2, rmse, rmse_dof, chi2_reduced, mae, mbe : float
        `r2` is NaN when all actual values are equal, `rmse_dof` and `chi2_reduced` (SSE over n - k)
        when n <= k.
    mape_pct, wape_pct, smape_pct : float
        Percent. `mape_pct` over rows with actual above the threshold.
    mape_left_out : int
        Rows at or below the threshold.
    aic, aicc, bic : float
        With K = k + 1, the error variance counted. `aicc` is NaN when n <= K + 1, all when SSE = 0.
    """

    n: int
    sse: float
    r2: float
    rmse: float
    rmse_dof: float
    chi2_reduced: float
    mae: float
    mbe: float
    mape_pct: float
    mape_left_out: int
    wape_pct: float
    smape_pct: float
    aic: float
    aicc: float
    bic: float


def measure(
    actual: ArrayLike, predicted: ArrayLike, *, parameters: int = 0, threshold: float = 0.0
) -> Accuracy:
    """Compare predictions with what happened.

    Parameters
    ----------
    actual, predicted : array_like of float, shape (n,)
        In one unit. NaN in either: the row does not count.
    parameters : int
        k, fitted parameters, for the measures that charge for them.
    threshold : float
        A relative error is formed only above this actual value.

    Returns
    -------
    Accuracy

    Raises
    ------
    BadOptions
        Lengths differ.

    References
    ----------
    Domain model 5.15; worked example E15.
    """
    y, p = _pairs(actual, predicted)
    n = int(y.size)
    nan = float("nan")
    error = p - y
    sse = float(error @ error)
    sst = float(np.sum(np.square(y - y.mean()))) if n else 0.0
    large = np.abs(y) > threshold
    k = parameters + 1
    aic = aicc = bic = nan
    if n and sse > 0:
        base = n * float(np.log(sse / n))
        aic = base + 2 * k
        bic = base + k * float(np.log(n))
        if n - k - 1 > 0:
            aicc = aic + 2 * k * (k + 1) / (n - k - 1)
    spare = n - parameters
    return Accuracy(
        n=n,
        sse=sse if n else nan,
        r2=1.0 - sse / sst if sst > 0 else nan,
        rmse=float(np.sqrt(sse / n)) if n else nan,
        rmse_dof=float(np.sqrt(sse / spare)) if spare > 0 else nan,
        chi2_reduced=sse / spare if spare > 0 else nan,
        mae=mae(y, p),
        mbe=mbe(y, p),
        mape_pct=100.0 * float(np.mean(np.abs(error[large] / y[large]))) if large.any() else nan,
        mape_left_out=n - int(large.sum()),
        wape_pct=wape(y, p),
        smape_pct=smape(y, p),
        aic=aic,
        aicc=aicc,
        bic=bic,
    )


def forecast_accuracy(expected: ArrayLike, actual: ArrayLike, threshold: float = 0.005) -> Floats:
    """Accuracy of each forecast: max(0, 1 - |expected - actual| / actual), percent.

    Parameters
    ----------
    expected, actual : array_like of float, shape (n,)
        kg.
    threshold : float
        kg; at or below it (also for a surplus, a negative actual) the accuracy is NaN.

    Returns
    -------
    ndarray of float, shape (n,)

    References
    ----------
    Domain model 5.7; worked examples E21, E22.
    """
    e = np.asarray(expected, dtype=float)
    a = np.asarray(actual, dtype=float)
    known = a > threshold
    ratio = np.abs(e - a) / np.where(known, a, 1.0)
    return np.asarray(np.where(known, 100.0 * np.maximum(0.0, 1.0 - ratio), np.nan))
