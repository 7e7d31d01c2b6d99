"""Prediction intervals from forecast errors of earlier origins.

A model's own law of growth is that of a model believed true. So the spread of errors is measured
where the same method forecast from earlier origins, several steps ahead, and grows with a power of
the step. That power follows from what is known of both ends: errors of one step within the sample,
which are many, and those of all steps from the earlier origins; and from the nearer and the farther
of the latter, where there are several origins. Where errors grow with what is expected, as those of
multiplicative models do, they are shares of it. Errors are taken for Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weighhouse.forecasting.contract import Floats, Forecast

__all__ = ["extend", "measure", "surround"]

# The power of a random walk: where nothing was measured.
GROWTH = 0.5
STEEPEST = 1.5
# As how many origins the growth from one step to all counts beside that from near to far.
GROWTH_ORIGINS = 2.0
# Steps as far ahead as this (their mean logarithm) tell a growth.
FAR = 0.3
# How much narrower and wider than at the usual level an interval of shares gets.
NARROWEST, WIDEST = 0.2, 5.0
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


def _growth(past: Sequence[Floats], one: float, all_steps: float) -> float:
    """Measure the power of the step that errors grow with.

    From the spread of one step (`one`) to that of all, and from the first to the last third.
    """
    far = float(np.mean(np.concatenate([_logarithms(errors) for errors in past])))
    growth = GROWTH
    if far > FAR and one > 0.0 and all_steps > 0.0:
        growth = float(np.clip(np.log(all_steps / one) / far, 0.0, STEEPEST))
    longest = max(len(errors) for errors in past)
    past = [errors for errors in past if len(errors) == longest]
    if longest < 4:
        return growth
    square = np.mean(np.square(np.stack(past)), axis=0)
    third = max(longest // 3, 1)
    near, last = float(np.mean(square[:third])), float(np.mean(square[-third:]))
    if not (near > 0.0 and last > 0.0):
        return growth
    steps = np.arange(1.0, longest + 1)
    apart = np.log(np.mean(steps[-third:]) / np.mean(steps[:third]))
    measured = float(np.clip(0.5 * np.log(last / near) / apart, 0.0, STEEPEST))
    weight = len(past) / (len(past) + GROWTH_ORIGINS)
    return weight * measured + (1.0 - weight) * growth


def _logarithms(errors: Floats) -> Floats:
    return np.asarray(np.log(np.arange(1.0, len(errors) + 1)))


def _shares(mean: Floats, level: float) -> Floats:
    return np.asarray(np.clip(np.abs(mean) / level, NARROWEST, WIDEST))


def _relative(
    values: Floats, past: Sequence[Floats], means: Sequence[Floats]
) -> tuple[Sequence[Floats], float | None]:
    """Make errors relative to what was expected where they are the steadier for it.

    Returns
    -------
    list of ndarray, float or None
        Errors as at the usual level, and that level; None: errors as they were.
    """
    level = float(np.mean(np.abs(np.concatenate(means)))) if means else 0.0
    if not (float(np.min(values)) > 0.0 and level > 0.0):
        return past, None
    shares = [_shares(mean, level) for mean in means]
    even = [errors / share for errors, share in zip(past, shares, strict=True)]
    before, after = _spread(np.concatenate(past)), _spread(np.concatenate(even))
    # The likelihood of a scale, with the shares' own change of unit.
    change = float(np.mean(np.log(np.concatenate(shares))))
    if not (after > 0.0 and np.log(after) + change < np.log(before)):
        return past, None
    return even, level


def measure(
    values: Floats,
    past: Sequence[Floats],
    spread: float,
    *,
    means: Sequence[Floats] = (),
    fitted: bool = False,
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
    means : sequence of ndarray, each of shape (steps,)
        Those forecasts; empty: errors are not taken for shares of them.
    fitted : bool
        Whether the weights were chosen with the observations after the earlier origins too.

    Returns
    -------
    dict
        "spread" at the first step, in the unit of the series; "growth", the power of the step it
        grows with; "nonnegative", whether the series has no negative value; "level" at which the
        spread holds, where it is proportional to what is expected.
    """
    growth, scale, level = GROWTH, spread, None
    if past:
        past, level = _relative(values, past, means)
        more = FITTED if fitted else 1.0
        growth = _growth(past, spread, more * _spread(np.concatenate(past)))
        scaled = [errors / np.exp(growth * _logarithms(errors)) for errors in past]
        measured = more * _spread(np.concatenate(scaled))
        count = len(past)
        root = count * np.sqrt(measured) + SPREAD_ORIGINS * np.sqrt(spread)
        scale = float(root / (count + SPREAD_ORIGINS)) ** 2
    found: dict[str, Any] = {
        "spread": scale * LEVEL * (1.0 + FEW / len(values)),
        "growth": growth,
        "nonnegative": bool(np.min(values) >= 0.0),
    }
    return found if level is None else found | {"level": level}


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
    if stored["nonnegative"]:
        mean = np.maximum(mean, 0.0)
    if "level" in stored:
        steps = steps * _shares(mean, stored["level"])
    half = stored["spread"] * np.outer(sizes, steps)
    lower, upper = mean - half, mean + half
    if stored["nonnegative"]:
        lower = np.maximum(lower, 0.0)
    return Forecast(mean, lower, upper)
