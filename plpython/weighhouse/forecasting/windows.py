"""Windows of many series on one scale: what networks learn from, and forecast from.

A window is the last values before an origin, less their level, in units of their own spread: a
network sees the same of a shop that sells kilograms and of one that sells tonnes. What is forecast
is in the same units. Constant windows have no spread; of them nothing can be learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.forecasting.contract import Floats

__all__ = ["Collection", "Scaled", "Shape", "pad", "scale"]

Indexes = NDArray[np.int64]

# A level is the mean of the last season, where that is short.
LONGEST_LEVEL = 24
# Spreads below this share of the values are rounding.
ROUNDING = 1e-13
# Further away than this from its level, in spreads, a value tells no more.
FARTHEST = 30.0
# Nor does a window teach more than this, in sizes of its series.
MOST_WORTH = 20.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network is made for.

    Attributes
    ----------
    window, horizon : int
        Steps it sees, and steps it forecasts at once.
    season, cycle : int
        The shortest and the longest season in steps; 1: none.
    """

    window: int
    horizon: int
    season: int = 1
    cycle: int = 1

    def dump(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scaled:
    """Windows on one scale.

    Attributes
    ----------
    values : ndarray, shape (..., window)
        Less the level, in spreads; 0 where there is no spread.
    level, spread : ndarray, shape (..., 1)
        In the unit of the series; a spread is 0 where it is no more than rounding.
    """

    values: Floats
    level: Floats
    spread: Floats


def pad(values: Floats, shape: Shape) -> Floats:
    """Give the last `window` values; before the first ones comes their season, or the first value.

    Returns
    -------
    ndarray, shape (window,)
    """
    missing = shape.window - len(values)
    if missing <= 0:
        return np.asarray(values[-shape.window :], dtype=float)
    season = shape.season if shape.season <= len(values) else 1
    return np.concatenate([values[np.arange(-missing, 0) % season], values]).astype(float)


def scale(windows: Floats, shape: Shape) -> Scaled:
    """Take level and spread out of windows, shape (..., window)."""
    season = shape.season if shape.season <= LONGEST_LEVEL else 1
    level = windows[..., -season:].mean(axis=-1, keepdims=True)
    away = windows - level
    spread = np.abs(away).mean(axis=-1, keepdims=True)
    size = np.abs(windows).max(axis=-1, keepdims=True)
    spread = np.where(spread > ROUNDING * size, spread, 0.0)
    scaled = np.divide(away, spread, out=np.zeros_like(away), where=spread > 0.0)
    return Scaled(np.clip(scaled, -FARTHEST, FARTHEST), level, spread)


class Collection:
    """Series to draw windows from.

    Attributes
    ----------
    lengths : ndarray of int, shape (series,)
    sizes : ndarray, shape (series,)
        Mean absolute change from season to season: what an error is measured by.
    """

    def __init__(self, series: Sequence[Floats], shape: Shape) -> None:
        self.shape = shape
        parts, sizes = [], []
        after = np.full(shape.horizon, np.nan)
        for values in series:
            before = pad(values, Shape(shape.window + len(values), 1, shape.season))
            parts += [before, after]
            lag = shape.season if shape.season < len(values) else 1
            change = np.abs(values[lag:] - values[:-lag]).mean() if len(values) > lag else 0.0
            sizes.append(float(change))
        self.lengths: Indexes = np.array([len(values) for values in series], dtype=np.int64)
        whole = self.lengths + shape.window + shape.horizon
        self._starts: Indexes = np.cumsum(whole) - whole
        self._values = np.concatenate(parts)
        self.sizes = np.array(sizes)

    def least(self, ends: Indexes) -> Indexes:
        """Say how many values come before the first origin, where only so many are looked at."""
        return np.minimum(max(self.shape.season, 3), np.maximum(ends // 2, 1))

    def take(self, series: Indexes, origins: Indexes, ends: Indexes) -> tuple[Scaled, Floats]:
        """Give windows and what came after them.

        Parameters
        ----------
        series, origins, ends : ndarray of int, one shape
            Of which series; how many values before the origin; how many values may be looked at.

        Returns
        -------
        Scaled
        ndarray, shape (..., horizon)
            In units of the windows; NaN: not to be looked at, or without a spread.
        """
        shape = self.shape
        first = (self._starts[series] + origins)[..., None]
        scaled = scale(self._values[first + np.arange(shape.window)], shape)
        steps = np.arange(shape.horizon)
        came = self._values[first + shape.window + steps]
        seen = (origins[..., None] + steps < ends[..., None]) & (scaled.spread > 0.0)
        units = np.where(scaled.spread > 0.0, scaled.spread, 1.0)
        return scaled, np.where(seen, (came - scaled.level) / units, np.nan)

    def weights(self, series: Indexes, spread: Floats) -> Floats:
        """Say what an error of one spread is worth: in sizes of the series, within bounds."""
        sizes = self.sizes[series][..., None]
        worth = np.divide(spread, sizes, out=np.ones_like(spread), where=sizes > 0.0)
        return np.asarray(np.minimum(worth, MOST_WORTH))
