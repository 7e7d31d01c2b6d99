"""How good forecasts were, in long form: a name and a value for each measure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse import accuracy
from weighhouse.errors import BadOptions

__all__ = ["POINT", "RELATIVE", "coverage", "interval_score", "mase_scale", "measure"]

Floats = NDArray[np.float64]

# Measures of the mean; those of intervals are only there with intervals.
POINT = ("mape", "smape", "wape", "mase", "mae", "rmse", "bias")
# Those that can be averaged over series of different units.
RELATIVE = ("mape", "smape", "mase", "coverage")


def mase_scale(history: ArrayLike, season: int = 1) -> float:
    """Mean absolute error of the seasonal naive forecast within the history.

    Parameters
    ----------
    history : array_like of float, shape (n,)
        What the model was fitted on, in the unit of the series. NaN is a gap: pairs with it do not
        count.
    season : int
        Steps of the season; 1: none.

    Returns
    -------
    float
        In the unit of the series. NaN when no pair is a season apart; 0 when all pairs are equal.

    References
    ----------
    Hyndman, Koehler (2006), Another look at measures of forecast accuracy, eq. 3; M4 competition.
    """
    y = np.asarray(history, dtype=float).ravel()
    return accuracy.mae(y[season:], y[:-season]) if y.size > season else math.nan


def _known(*columns: ArrayLike) -> list[Floats]:
    """Leave out the rows in which any column is NaN."""
    rows = [np.asarray(column, dtype=float).ravel() for column in columns]
    if len({row.size for row in rows}) > 1:
        raise BadOptions("columns of different lengths", hint="Give one value for each row.")
    good = ~np.isnan(rows).any(axis=0)
    return [row[good] for row in rows]


def coverage(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of actual values within [lower, upper], percent; NaN without rows."""
    y, low, high = _known(actual, lower, upper)
    return 100.0 * float(np.mean((low <= y) & (y <= high))) if y.size else math.nan


def interval_score(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, level: float) -> float:
    """Mean of width + 2 / (1 - level) times the distance outside, in the unit of the series.

    Winkler (1972); Gneiting, Raftery (2007), Strictly proper scoring rules, eq. 43. Smaller is
    better. NaN without rows.
    """
    if not 0 < level < 1:
        raise BadOptions(f"level {level} is not within 0 and 1", hint="Give 0.8 for 80 %.")
    y, low, high = _known(actual, lower, upper)
    if not y.size:
        return math.nan
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return float(np.mean(high - low + 2.0 / (1.0 - level) * outside))


def measure(
    actual: ArrayLike,
    mean: ArrayLike,
    *,
    scale: ArrayLike | None = None,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    level: float | None = None,
) -> dict[str, float | None]:
    """Compare forecasts with what happened.

    Parameters
    ----------
    actual, mean : array_like of float, shape (n,)
        In one unit. A row in which either is NaN does not count.
    scale : float or array_like of float, shape (n,), optional
        `mase_scale` of the history behind each forecast.
    lower, upper : array_like of float, shape (n,), optional
        Bounds of the interval; a NaN among them leaves the row out of the interval's measures.
    level : float, optional
        Coverage the interval is meant to have, within (0, 1).

    Returns
    -------
    dict of str to float or None
        None: not defined.

        n: rows that count. mape: percent, over rows whose actual value is not 0. smape: percent,
        as in M4 (0 / 0 counts as 0). wape: sum of errors over sum of actual values, percent; None
        when all are 0. mase: mean of |error| / scale over rows with a scale above 0; None when
        there is none, that is also when the history never changed. mae, rmse, bias (mean -
        actual): in their unit. With bounds: coverage, percent; with a level also interval_score,
        in their unit.

    Raises
    ------
    BadOptions
        Lengths differ, or the level is none.

    References
    ----------
    `weighhouse.accuracy`; Makridakis, Spiliotis, Assimakopoulos (2020), The M4 Competition, 2.
    """
    y, p = _known(actual, mean)
    values: dict[str, float] = {}
    error = p - y
    different = y != 0
    values["mape"] = (
        100.0 * float(np.mean(np.abs(error[different] / y[different])))
        if different.any()
        else math.nan
    )
    values["smape"] = accuracy.smape(y, p)
    values["wape"] = accuracy.wape(y, p)
    values["mase"] = math.nan
    if scale is not None:
        every = np.broadcast_to(np.asarray(scale, dtype=float).ravel(), np.size(actual))
        scaled_y, scaled_p, size = _known(actual, mean, every)
        usable = size > 0
        values["mase"] = accuracy.mae(
            scaled_y[usable] / size[usable], scaled_p[usable] / size[usable]
        )
    values["mae"] = accuracy.mae(y, p)
    values["rmse"] = float(np.sqrt(np.mean(np.square(error)))) if y.size else math.nan
    values["bias"] = accuracy.mbe(y, p)
    if lower is not None and upper is not None:
        values["coverage"] = coverage(actual, lower, upper)
        if level is not None:
            values["interval_score"] = interval_score(actual, lower, upper, level)
    return {"n": float(y.size)} | {
        name: value if math.isfinite(value) else None for name, value in values.items()
    }
