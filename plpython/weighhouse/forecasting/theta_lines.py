"""Theta models in state-space form, filtered for many series and smoothing weights at once.

The expectation of the next value adds to simple smoothing a share of the regression line through
what was seen so far (dynamic) or through the whole history (static):

    y_t = l_{t-1} + share (q_{t-1} A_{t-1} + (1 - q_t) / alpha B_{t-1}) + e_t,
    l_t = alpha y_t + (1 - alpha) l_{t-1},    q_t = (1 - alpha)^t,    share = 1 - 1 / theta.

For a given alpha the errors are linear in l_0 and in the share, so both are least squares and only
alpha is searched.

References
----------
Fiorucci, Pellegrini, Louzada, Petropoulos, Koehler (2016), Models for optimising the theta method
and their relationship to state space models, International Journal of Forecasting 32, eq. 9-18.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weighhouse.forecasting.contract import Floats
from weighhouse.forecasting.smoothing import by_length, in_chunks

__all__ = ["Lines", "continue_lines", "fit_lines", "project_lines"]

GRID = 25
ROUNDS = 5
RIDGE = 1e-9
# The first errors say nothing: there is no line through fewer than two points.
SKIPPED = 2


@dataclass(frozen=True, slots=True)
class Lines:
    """A theta model of a series without a season.

    Attributes
    ----------
    alpha, share : float
        Smoothing weight in (0, 1); share of the line in [0, 1], 1 - 1 / theta.
    dynamic : bool
    start : float
        Level before the first observation.
    level : float
        After the last one.
    total, moment : float
        Sums of y_t and of t y_t, t = 1 .. n: the line (through the first n for a static one).
    count : int
        Observations taken in.
    line_count : int
        Observations in the sums.
    spread : float
        Root mean square of the one-step errors.
    """

    alpha: float
    share: float
    dynamic: bool
    start: float
    level: float
    total: float
    moment: float
    count: int
    line_count: int
    spread: float


def _line(total: Floats, moment: Floats, count: int) -> tuple[Floats, Floats]:
    """Give the intercept (at time 0) and slope of the regression line through `count` points."""
    if count < 2:
        return total / max(count, 1), np.zeros_like(total)
    middle = (count + 1) / 2
    mean = total / count
    slope = (moment / count - middle * mean) * 12.0 / (count * count - 1.0)
    return mean - slope * middle, slope


def _pass(
    values: Floats,
    alive: Sequence[int],
    alpha: Floats,
    dynamic: bool,
    share: float | None,
    check: Callable[[], None],
) -> tuple[Floats, Floats, Floats, Floats]:
    """Filter; give loss, start, share and level at the end, each (series, weights)."""
    series, lanes = values.shape[1], alpha.shape[1]
    own = alpha.shape[0] > 1 or series == 1
    shape = (series, lanes)
    level = np.zeros(shape)
    power = np.ones(shape if own else (1, lanes))
    p11, p12, p22, c1, c2, square = (np.zeros(shape) for _ in range(6))
    final = np.zeros(shape)
    total, moment = np.zeros((series, 1)), np.zeros((series, 1))
    lengths = np.zeros(series, dtype=int)
    for t in range(values.shape[0]):
        lengths[: alive[t]] = t + 1
    if not dynamic:
        steps = np.arange(1.0, values.shape[0] + 1)
        for t in range(values.shape[0]):
            k = alive[t]
            total[:k, 0] += values[t, :k]
            moment[:k, 0] += steps[t] * values[t, :k]
        middle = (lengths + 1.0)[:, None] / 2
        mean = total / lengths[:, None]
        below = np.maximum(lengths.astype(float) ** 2 - 1.0, 1.0)[:, None]
        slope = (moment / lengths[:, None] - middle * mean) * 12.0 / below
        intercept = mean - slope * middle
    for t in range(values.shape[0]):
        if not t % 64:
            check()
        k, after = alive[t], alive[t + 1]
        row = slice(0, k if own else 1)
        y, a, q = values[t, :k, None], alpha[row], power[row]
        if dynamic:
            at, rise = _line(total[:k], moment[:k], t)
        else:
            at, rise = intercept[:k], slope[:k]
        if t >= SKIPPED:
            line = q * at + (1.0 - q * (1.0 - a)) / a * rise
            e = y - level[:k]
            p11[:k] += q * q
            p12[:k] += q * line
            p22[:k] += line * line
            c1[:k] += q * e
            c2[:k] += line * e
            square[:k] += e * e
        level[:k] = a * y + (1.0 - a) * level[:k]
        power[row] = q * (1.0 - a)
        if dynamic:
            total[:k] += y
            moment[:k] += (t + 1) * y
        if after < k:
            done = slice(after, k)
            final[done] = power[done if own else slice(0, 1)]
    p11, p22 = p11 + RIDGE, p22 + RIDGE
    if share is None:
        part = np.clip((c2 * p11 - c1 * p12) / np.maximum(p11 * p22 - p12 * p12, RIDGE**2), 0, 1)
    else:
        part = np.full(shape, share)
    start = (c1 - part * p12) / p11
    loss = square - 2.0 * (start * c1 + part * c2) + start * start * p11
    loss = loss + 2.0 * start * part * p12 + part * part * p22
    return np.maximum(loss, 1e-15 * square), start, part, level + final * start


def fit_lines(
    batch: Sequence[Floats], dynamic: bool, share: float | None, check: Callable[[], None]
) -> list[Lines]:
    """Fit a theta model to each series.

    Parameters
    ----------
    batch : sequence of ndarray, each of shape (n,), n >= 3
        All finite, of a size around one, without a season.
    dynamic : bool
        Whether the line is that of the history so far, or of all of it.
    share : float or None
        1 - 1 / theta; None: the best within [0, 1].
    check : callable

    Returns
    -------
    list of Lines
    """
    found: list[Lines | None] = [None] * len(batch)
    for members in in_chunks(batch, GRID):
        order, values, alive = by_length([batch[i] for i in members])
        count = len(order)
        rows = np.arange(count)
        grid = np.linspace(0.0, 1.0, GRID)[None]
        width = 1.0 / (GRID - 1)
        for _ in range(ROUNDS + 1):
            alpha = 0.001 + 0.998 * grid * grid
            loss, start, part, level = _pass(values, alive, alpha, dynamic, share, check)
            at = np.argmin(loss, axis=1)
            near = rows if grid.shape[0] > 1 else np.zeros(count, dtype=int)
            best = grid[near, at]
            weights = alpha[near, at]
            width *= 0.5
            offsets = np.array([-1.0, 0.0, 1.0]) * width
            grid = np.clip(best[:, None] + offsets, 0.0, 1.0)
        for column, i in enumerate(order):
            y = batch[members[i]]
            n = len(y)
            found[members[i]] = Lines(
                float(weights[column]),
                float(part[column, at[column]]),
                dynamic,
                float(start[column, at[column]]),
                float(level[column, at[column]]),
                *_sums(y, 0),
                n,
                n,
                float(np.sqrt(loss[column, at[column]] / max(n - SKIPPED - 2, 1))),
            )
    return [lines for lines in found if lines is not None]


def _sums(y: Floats, before: int) -> tuple[float, float]:
    """Sum y and t y, one after the other, as a filter that goes on later would."""
    total = moment = 0.0
    for t, value in enumerate(y.tolist(), before + 1):
        total += value
        moment += t * value
    return total, moment


def continue_lines(lines: Lines, values: Floats) -> Lines:
    """Take in the next values."""
    level, total, moment = lines.level, lines.total, lines.moment
    for t, y in enumerate(values.tolist(), lines.count + 1):
        level = lines.alpha * y + (1.0 - lines.alpha) * level
        if lines.dynamic:
            total += y
            moment += t * y
    count = lines.count + len(values)
    return Lines(
        lines.alpha,
        lines.share,
        lines.dynamic,
        lines.start,
        level,
        total,
        moment,
        count,
        count if lines.dynamic else lines.line_count,
        lines.spread,
    )


def project_lines(lines: Lines, horizon: int) -> Floats:
    """Give the expected values of the steps ahead: each is taken in before the next."""
    alpha, level, total, moment = lines.alpha, lines.level, lines.total, lines.moment
    power = (1.0 - alpha) ** lines.count
    mean = np.empty(horizon)
    count = lines.line_count
    at = slope = 0.0
    for step in range(horizon):
        if lines.dynamic or not step:
            middle = (count + 1) / 2
            slope = (moment / count - middle * total / count) * 12.0 / max(count * count - 1, 1)
            at = total / count - slope * middle
        y = level + lines.share * (power * at + (1.0 - power * (1.0 - alpha)) / alpha * slope)
        mean[step] = y
        level = alpha * y + (1.0 - alpha) * level
        power *= 1.0 - alpha
        if lines.dynamic:
            count += 1
            total += y
            moment += count * y
    return mean
