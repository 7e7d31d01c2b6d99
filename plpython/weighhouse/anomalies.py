"""Values of a series that its trend, seasons and levels do not explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weighhouse import change_points, robust
from weighhouse.errors import TooFewObservations
from weighhouse.forecasting.adjustment import changing_seasons, may_log, smooth_trend

__all__ = ["MINIMUM", "MOST", "Residuals", "decompose"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MINIMUM = 12
# Scores go no further: a series that never varied makes any change infinite.
MOST = 1e6
# Values further off, in standard deviations, do not bend what is expected.
LIMIT = 3.0
WINDOW = 11


@dataclass(frozen=True, slots=True)
class Residuals:
    """How far values are from what is expected.

    Attributes
    ----------
    expected : ndarray of float64, shape (n,)
        Trend, level and seasons, in the unit of the series.
    score : ndarray of float64, shape (n,)
        Difference in robust standard deviations (of logarithms where these are taken), with its
        sign, at most 1e6; 0 where nothing was observed.
    """

    expected: Floats
    score: Floats


def never() -> None:
    """Look for no cancel."""


def _spread(rest: Floats) -> float:
    """Standard deviation of residuals, such that at most one in twenty is far off.

    The larger of the median absolute deviation and the 95 % quantile, as multiples of those of a
    normal distribution: what happens every tenth step (sales of a slow mover) is no anomaly. Where
    both are 0, the mean absolute deviation.
    """
    size = np.abs(rest)
    middle = robust.MAD * float(np.median(size))
    wide = float(np.quantile(size, 0.95)) / 1.96
    return max(middle, wide) or 1.2533 * float(size.mean())


def _smooth(z: Floats, seasons: Sequence[int]) -> Floats:
    """Smooth course of a series with its seasons; outliers must be gone."""
    if not seasons:
        return smooth_trend(z, WINDOW)
    rest = changing_seasons(z, seasons, WINDOW)[1]
    return z - rest + smooth_trend(rest, int(1.5 * max(seasons)) | 1)


def _leverage(n: int, seasons: Sequence[int]) -> float:
    """Estimate how much of a value is found again in its own expectation, on average."""
    # Hutchinson (1990): the trace of a linear smoother from one vector of random signs.
    signs = np.random.default_rng(n).choice([-1.0, 1.0], n)
    return min(max(float(signs @ _smooth(signs, seasons)) / n, 0.0), 0.8)


def decompose(
    values: Floats,
    observed: Flags,
    seasons: Sequence[int] = (),
    check: Callable[[], None] = never,
) -> Residuals:
    """Score each value of a series against its own trend, seasons and levels.

    Medians give a first course, which outliers do not bend; these are put aside, lasting changes of
    the level taken out, and the rest decomposed by moving averages, twice.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        At equal steps, oldest first; finite.
    observed : ndarray of bool, shape (n,)
        False where a gap was filled: no evidence.
    seasons : sequence of int
        Lengths in steps, each at most n / 2.
    check : callable
        Raises when the caller cancels.

    Returns
    -------
    Residuals

    Raises
    ------
    TooFewObservations
        Fewer than 12 observed values.
    """
    count = int(observed.sum())
    if count < MINIMUM:
        raise TooFewObservations(
            f"{count} observations, {MINIMUM} needed", hint="Wait for a longer history."
        )
    log = may_log(values)
    z = np.log(values) if log else values.astype(float)
    check()
    season = robust.seasonal(z, seasons)
    longest = max(seasons, default=0)
    rough = season + robust.running_median(z - season, max(longest, 7))
    clean = np.where(robust.outliers(z - rough, LIMIT) | ~observed, rough, z)
    check()
    least = max(longest if longest <= change_points.LONGEST_LEAST else 0, 7)
    steps = change_points.levels(clean - season, least, check=check)[1]
    expected = rough
    for _ in range(2):
        expected = steps + _smooth(clean - steps, seasons)
        check()
        rest = z - expected
        aside = robust.outliers(rest, LIMIT)
        clean = np.where(aside | ~observed, expected, z)
    rest = np.where(observed, z - expected, 0.0)
    # What rounding leaves of a series that fits exactly is no residual.
    noise = 1e-9 * float(np.abs(z).max(initial=0.0))
    rest[np.abs(rest) <= noise] = 0.0
    spread = _spread(rest[observed])
    # What had no part in its own expectation is further from it than what had.
    rest[aside] *= 1.0 - _leverage(z.size, seasons)
    score = rest / spread if spread > 0 else np.zeros(z.size)
    with np.errstate(over="ignore"):
        course = np.exp(expected) if log else expected
    return Residuals(course, np.clip(score, -MOST, MOST))
