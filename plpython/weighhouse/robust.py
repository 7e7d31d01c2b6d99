"""Trend, seasons and spread by medians: a first look at a series that outliers do not bend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["deviation", "outliers", "running_median", "season", "seasonal"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Half of normal values lie within 0.6745 standard deviations.
MAD = 1.4826
_CHUNK = 1 << 20  # numbers in a temporary array


def deviation(values: Floats) -> float:
    """Estimate a standard deviation by the median absolute deviation from the median."""
    if not values.size:
        return 0.0
    return MAD * float(np.median(np.abs(values - np.median(values))))


def running_median(values: Floats, window: int) -> Floats:
    """Smooth by medians over a window; at both ends its course goes on with its slope there.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite.
    window : int
        An even one is made odd; longer than the series: the median of all.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    n = values.size
    width = min(window | 1, n if n % 2 else n - 1)
    if width < 3:
        return np.full(n, np.median(values)) if n else values.copy()
    half = width // 2
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    # Of wide windows not each: neighbours hardly differ.
    apart = max(1, width // 12)
    count = windows.shape[0]
    places = np.unique(np.append(np.arange(0, count, apart), count - 1))
    step = max(1, _CHUNK // width)
    medians = np.concatenate(
        [np.median(windows[places[at : at + step]], axis=1) for at in range(0, places.size, step)]
    )
    inner = np.interp(np.arange(count), places, medians) if apart > 1 else medians
    if inner.size < 2:
        return np.full(n, inner[0])
    reach = min(inner.size, width)
    slopes = inner[reach - 1] - inner[0], inner[-1] - inner[-reach]
    before, after = (slope / (reach - 1) for slope in slopes)
    steps = np.arange(1.0, half + 1)
    return np.concatenate([inner[0] - before * steps[::-1], inner, inner[-1] + after * steps])


def season(values: Floats, period: int) -> Floats:
    """Give what each phase adds to the trend, by medians; its mean is 0.

    Parameters
    ----------
    values : ndarray of float64, shape (n,), n >= 2 period

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    n = values.size
    cycles = -(-n // period)
    table = np.full(cycles * period, np.nan)
    table[:n] = values - running_median(values, max(period, 3))
    figure = np.nanmedian(table.reshape(cycles, period), axis=0)
    return np.tile(figure - figure.mean(), cycles)[:n]


def seasonal(values: Floats, periods: Sequence[int]) -> Floats:
    """Give several seasons together; the shortest is taken out first."""
    total = np.zeros(values.size)
    for period in sorted(periods):
        total += season(values - total, period)
    return total


def outliers(rest: Floats, limit: float) -> Flags:
    """Tell which residuals are further from 0 than `limit` standard deviations.

    Where most are 0, and the median absolute deviation too, the mean one stands in (Iglewicz,
    Hoaglin 1993).
    """
    size = np.abs(rest)
    spread = MAD * float(np.median(size)) or 1.2533 * float(np.mean(size))
    return np.asarray(size > limit * spread) if spread > 0 else np.zeros(rest.size, dtype=bool)
