"""Prediction intervals from forecast errors of earlier origins.

One-step errors within the sample are too small, and a model's own law of growth is that of a model
believed true. So the spread of errors is measured where the same method forecast from earlier
origins, several steps ahead; it grows with a power of the step, which is measured too, and the
errors are taken for Student's t. Few origins are helped out by the one-step errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weighhouse.forecasting.contract import Floats, Forecast

__all__ = ["extend", "measure", "surround"]

# The power of a random walk, and as how many origins it counts beside the measured one.
GROWTH = 0.5
GROWTH_ORIGINS = 2.0
STEEPEST = 1.5
# As how many origins the one-step errors count.
SPREAD_ORIGINS = 1.0
# A spread measured on few observations, of weights chosen with them, is too small by about
# FEW / n; measured within many it is rather too large, since weights have been chosen since.
FEW = 13.0
LEVEL = 0.77
# Errors of weights chosen with them are smaller by about this.
FITTED = 1.2
# (mean |z|^(1/2))^2 of a standard normal z: a spread that outliers move little.
ROOT_MEAN = 0.6760


def _spread(scaled: Floats) -> float:
    return float(np.mean(np.sqrt(np.abs(scaled)))) ** 2 / ROOT_MEAN


def _growth(past: Sequence[Floats]) -> float:
    """Compare the first and the last third of the steps."""
    longest = max((len(errors) for errors in past), default=0)
    past = [errors for errors in past if len(errors) == longest]
    if longest < 4:
        return GROWTH
    square = np.mean(np.square(np.stack(past)), axis=0)
    steps = np.arange(1.0, len(square) + 1)
    third = max(len(square) // 3, 1)
    near, far = float(np.mean(square[:third])), float(np.mean(square[-third:]))
    if not (near > 0.0 and far > 0.0):
        return GROWTH
    apart = np.log(np.mean(steps[-third:]) / np.mean(steps[:third]))
    measured = float(np.clip(0.5 * np.log(far / near) / apart, 0.0, STEEPEST))
    weight = len(past) / (len(past) + GROWTH_ORIGINS)
    return weight * measured + (1.0 - weight) * GROWTH


def measure(
    values: Floats, past: Sequence[Floats], spread: float, *, fitted: bool = False
) -> dict[str, Any]:
    """Measure the spread of forecast errors.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The whole series.
    past : sequence of ndarray, each of shape (steps,)
        Errors of forecasts from earlier origins; may be empty.
    spread : float
        Root mean square of the one-step errors within the sample.
    fitted : bool
        Whether the weights were chosen with the observations after the earlier origins too.

    Returns
    -------
    dict
        "spread" at the first step, in the unit of the series; "growth", the power of the step it
        grows with; "nonnegative", whether the series has no negative value.
    """
    growth = _growth(past)
    scale = spread
    if past:
        scaled = [errors / np.arange(1.0, len(errors) + 1) ** growth for errors in past]
        measured = _spread(np.concatenate(scaled))
        count = len(past)
        root = count * np.sqrt(measured) + SPREAD_ORIGINS * np.sqrt(spread)
        scale = float(root / (count + SPREAD_ORIGINS)) ** 2
    return {
        "spread": scale * LEVEL * (FITTED if fitted else 1.0) * (1.0 + FEW / len(values)),
        "growth": growth,
        "nonnegative": bool(np.min(values) >= 0.0),
    }


def extend(stored: dict[str, Any], values: Floats) -> dict[str, Any]:
    """Take in the next values: a negative one shows that there may be others."""
    if len(values) and float(np.min(values)) < 0.0:
        return stored | {"nonnegative": False}
    return stored


def quantile(probability: float) -> float:
    """Give a quantile of Student's t with four degrees of freedom.

    Forecast errors have fatter tails than the normal's.

    References
    ----------
    Shaw (2006), Sampling Student's T distribution, Journal of Computational Finance 9: with four
    degrees of freedom the quantile has a closed form.
    """
    inside = 4.0 * probability * (1.0 - probability)
    root = float(np.cos(np.arccos(min(np.sqrt(inside), 1.0)) / 3.0) / np.sqrt(inside))
    size = 2.0 * float(np.sqrt(max(root - 1.0, 0.0)))
    return size if probability >= 0.5 else -size


def surround(mean: Floats, stored: dict[str, Any], levels: Sequence[float]) -> Forecast:
    """Put intervals around expected values.

    Parameters
    ----------
    mean : ndarray, shape (horizon,)
    stored : dict
        Of `measure`.
    levels : sequence of float
        Coverage, each within (0, 1).

    Returns
    -------
    Forecast
        Where no observation was negative, nothing expected is.
    """
    steps = np.arange(1.0, len(mean) + 1) ** stored["growth"]
    sizes = np.array([quantile(0.5 + 0.5 * level) for level in levels])
    half = stored["spread"] * np.outer(sizes, steps)
    if stored["nonnegative"]:
        mean = np.maximum(mean, 0.0)
    lower, upper = mean - half, mean + half
    if stored["nonnegative"]:
        lower = np.maximum(lower, 0.0)
    return Forecast(mean, lower, upper)
