"""Taking scale and season out of a series before it is smoothed, and putting them back.

A season is a figure: one number for each phase. Short single seasons have one figure for the whole
history (classical decomposition); long or double ones are decomposed by moving averages whose
figures may change over time, of which the last is used for what comes.

References
----------
Kendall, Stuart (1983), The advanced theory of statistics 3 (classical decomposition).
Bandara, Hyndman, Bergmeir (2021), MSTL, arXiv:2107.13462.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weighhouse.forecasting.contract import Floats

__all__ = [
    "Adjustment",
    "adjust",
    "changing_seasons",
    "classical_figure",
    "is_seasonal",
    "may_log",
    "readjust",
    "smooth_trend",
]

# Longest season that is taken out with one figure for the whole history.
LONGEST_FIXED = 24
# Share of the median below which a value is too small for logarithms: it would be an outlier.
LEAST_SHARE = 0.02
# 90 % two-sided.
CRITICAL = 1.645


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How a series was brought to size one and rid of its seasons.

    Attributes
    ----------
    scale : float
        Mean absolute value, divided by first; positive.
    log : bool
        Whether logarithms were taken next.
    multiplicative : bool
        Whether figures were divided by (else subtracted).
    figures : tuple of ndarray
        One for each season, of its length; element t % length belongs to time t, from 0.
    """

    scale: float
    log: bool
    multiplicative: bool
    figures: tuple[Floats, ...]

    def dump(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {
            "scale": self.scale,
            "log": self.log,
            "multiplicative": self.multiplicative,
            "figures": [figure.tolist() for figure in self.figures],
        }

    @staticmethod
    def load(stored: dict[str, Any]) -> Adjustment:
        """Undo `dump`."""
        return Adjustment(
            stored["scale"],
            stored["log"],
            stored["multiplicative"],
            tuple(np.array(figure) for figure in stored["figures"]),
        )

    def season(self, first: int, count: int) -> Floats:
        """Give the figures together at times first .. first + count - 1."""
        times = np.arange(first, first + count)
        if self.multiplicative:
            factor = np.ones(count)
            for figure in self.figures:
                factor = factor * figure[times % len(figure)]
            return factor
        term = np.zeros(count)
        for figure in self.figures:
            term = term + figure[times % len(figure)]
        return term

    def apply(self, values: Floats, first: int, floor: float) -> Floats:
        """Adjust values that follow, from time `first` on; logarithms are at least `floor`."""
        z = values / self.scale
        if self.log:
            z = np.maximum(np.log(np.maximum(z, np.exp(floor))), floor)
        season = self.season(first, len(values))
        return np.asarray(z / season if self.multiplicative else z - season)


def may_log(values: Floats) -> bool:
    """Tell whether logarithms suit: all positive, none tiny beside the median."""
    least = float(values.min())
    if not least > 0.0:
        return False
    middle = len(values) // 2
    return least >= LEAST_SHARE * float(np.partition(values, middle)[middle])


def is_seasonal(values: Floats, period: int) -> bool:
    """Test the autocorrelation at the season, as the M4 competition did for its benchmarks."""
    n = len(values)
    if n < 2 * period or n < 5:
        return False
    deviations = values - np.mean(values)
    below = float(deviations @ deviations)
    if below <= 1e-20 * float(values @ values):
        return False
    lagged = [float(deviations[k:] @ deviations[:-k]) / below for k in range(1, period + 1)]
    limit = CRITICAL * np.sqrt((1.0 + 2.0 * sum(r * r for r in lagged[:-1])) / n)
    return bool(abs(lagged[-1]) > limit)


def moving_average(values: Floats, period: int) -> Floats:
    """Centre a moving average over a season; n - 2 (period // 2) values."""
    if period % 2:
        weights = np.full(period, 1.0 / period)
    else:
        weights = np.r_[0.5, np.ones(period - 1), 0.5] / period
    return np.convolve(values, weights, mode="valid")


def classical_figure(values: Floats, period: int, multiplicative: bool) -> Floats:
    """Give one figure for the whole history, from time 0; needs two seasons."""
    half = period // 2
    trend = moving_average(values, period)
    inner = values[half : half + len(trend)]
    ratio = inner / trend if multiplicative else inner - trend
    phases = (np.arange(len(trend)) + half) % period
    count = np.maximum(np.bincount(phases, minlength=period), 1)
    figure = np.bincount(phases, ratio, period) / count
    if multiplicative:
        return np.asarray(figure / np.mean(figure))
    return np.asarray(figure - np.mean(figure))


# ------------------------------------------------------------------- seasons that change over time


def _extended_average(values: Floats, period: int) -> Floats:
    """Continue a moving average to both ends of the series with its slope there."""
    half = period // 2
    inner = moving_average(values, period)
    reach = min(len(inner), period)
    steps = np.arange(1.0, half + 1)
    after = (inner[-1] - inner[-reach]) / max(reach - 1, 1)
    before = (inner[reach - 1] - inner[0]) / max(reach - 1, 1)
    return np.concatenate([inner[0] - before * steps[::-1], inner, inner[-1] + after * steps])


def _smooth_cycles(values: Floats, period: int, window: int) -> Floats:
    """Smooth each phase over the seasons, with tricube weights over `window` seasons."""
    n = len(values)
    cycles = -(-n // period)
    missing = cycles * period - n
    # The first season, where incomplete, borrows from the second.
    table = np.concatenate([values[period - missing : period] if missing else [], values])
    distance = np.abs(np.subtract.outer(np.arange(cycles), np.arange(cycles)))
    weights = np.maximum(1.0 - (2.0 * distance / (window + 1.0)) ** 3, 0.0) ** 3
    weights /= np.sum(weights, axis=1, keepdims=True)
    return np.asarray((weights @ table.reshape(cycles, period)).ravel()[missing:])


def smooth_trend(values: Floats, window: int) -> Floats:
    """Smooth by local linear regression with tricube weights over `window` values."""
    half = max(window // 2, 1)
    distance = np.arange(-half, half + 1.0)
    kernel = (1.0 - (np.abs(distance) / (half + 1.0)) ** 3) ** 3

    def moment(z: Floats, power: int) -> Floats:
        weights = (kernel * distance**power)[::-1]
        return np.convolve(z, weights)[half : half + len(z)]

    ones = np.ones(len(values))
    s0, s1, s2 = moment(ones, 0), moment(ones, 1), moment(ones, 2)
    t0, t1 = moment(values, 0), moment(values, 1)
    return np.asarray((s2 * t0 - s1 * t1) / (s0 * s2 - s1 * s1))


def changing_seasons(
    values: Floats, periods: Sequence[int], window: int
) -> tuple[dict[int, Floats], Floats]:
    """Decompose into seasons that change over time, and the rest with its trend.

    Parameters
    ----------
    values : ndarray, shape (n,), n >= 2 max(periods)
    periods : sequence of int
    window : int
        Seasons over which a phase is smoothed.

    Returns
    -------
    seasons : dict of int to ndarray of shape (n,)
    rest : ndarray of shape (n,)
        The values without the seasons.
    """
    seasons = {period: np.zeros(len(values)) for period in periods}
    trend: Floats | None = None
    for _ in range(2):
        for period in periods:
            other = values - sum(seasons[p] for p in periods if p != period)
            along = other - (_extended_average(other, period) if trend is None else trend)
            smooth = _smooth_cycles(along, period, window)
            seasons[period] = smooth - _extended_average(smooth, period)
        rest = values - sum(seasons.values())
        trend = smooth_trend(rest, int(1.5 * max(periods)) | 1)
    return seasons, np.asarray(rest)


# ------------------------------------------------------------------------------------- one series


def adjust(
    values: Floats, seasons: Sequence[int], *, log: bool, method: str = "fixed", window: int = 11
) -> tuple[Adjustment, Floats]:
    """Bring a series to size one and take its seasons out.

    Parameters
    ----------
    values : ndarray, shape (n,)
    seasons : sequence of int
        Those that are there; each at most n / 2.
    log : bool
        Take logarithms; only where `may_log`.
    method : {"fixed", "changing"}
        One figure for the whole history where there is one short season ("fixed"), or figures that
        change over time, of which the last counts.
    window : int
        Seasons over which a changing figure is smoothed.

    Returns
    -------
    Adjustment, ndarray of shape (n,)
    """
    scale = float(np.abs(values).mean())
    if not scale > 0.0:
        scale = 1.0
    z = values / scale
    if log:
        z = np.log(z)
    if not seasons:
        return Adjustment(scale, log, False, ()), z
    if method == "fixed" and len(seasons) == 1 and seasons[0] <= LONGEST_FIXED:
        (period,) = seasons
        multiplicative = not log and may_log(values)
        figure = classical_figure(z, period, multiplicative)
        adjustment = Adjustment(scale, log, multiplicative, (figure,))
        season = adjustment.season(0, len(z))
        return adjustment, np.asarray(z / season if multiplicative else z - season)
    found, rest = changing_seasons(z, seasons, window)
    figures = []
    for period, season in found.items():
        phases = np.arange(len(z) - period, len(z)) % period
        figure = np.empty(period)
        figure[phases] = season[-period:]
        figures.append(figure)
    return Adjustment(scale, log, False, tuple(figures)), rest


def readjust(adjustment: Adjustment, mean: Floats, first: int) -> Floats:
    """Put season, logarithm and scale back to expected values from time `first` on."""
    if not adjustment.figures:
        return np.asarray((np.exp(mean) if adjustment.log else mean) * adjustment.scale)
    season = adjustment.season(first, len(mean))
    z = mean * season if adjustment.multiplicative else mean + season
    return np.asarray((np.exp(z) if adjustment.log else z) * adjustment.scale)
