"""Likelihood of exponential smoothing models, made greatest for many models and series in lockstep.

A row is one model of one series. All rows of a kind of season go through time together, each with
one lane for its weights and one for each weight moved a little; the products of the differences are
summed on the way, and every row takes a Levenberg-Marquardt step of its own.

References
----------
Hyndman, Koehler, Ord, Snyder (2008), Forecasting with Exponential Smoothing, ch. 2 and 5.
Marquardt (1963), Journal of the Society for Industrial and Applied Mathematics 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weighhouse.forecasting.contract import Floats

__all__ = ["Row", "filter_row", "search"]

# alpha, beta / alpha, gamma / (1 - alpha), phi, level, slope.
WEIGHTS = 6
# The smoothing weights are searched as logits within these bounds.
LOW = np.array([1e-4, 1e-4, 1e-4, 0.8])
HIGH = np.array([0.9999, 0.9999, 0.9999, 0.98])
STEPS = 14
# Of a weight, to see how errors change with it.
DIFFERENCE = 1e-5
# An expected value of a series of size one: relative errors of less are not told apart.
LEAST = 1e-2
# Rows times lanes of one pass.
CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """One model of one series, of size one.

    Attributes
    ----------
    values : ndarray, shape (n,)
    season : str
        "none", "additive" or "multiplicative".
    relative : bool
        Whether errors are relative (a multiplicative error).
    trend : str
        "none", "additive" or "damped".
    alpha, beta, gamma, phi, level, slope : float
        Where the search starts, and what it found; beta and gamma as they enter the equations.
    figure : ndarray, shape (season,)
        Seasonal states before the first observation.
    loss : float
        Twice the negative log-likelihood, without its constant.
    """

    values: Floats
    season: str
    relative: bool
    trend: str
    alpha: float
    beta: float
    gamma: float
    phi: float
    level: float
    slope: float
    figure: Floats
    loss: float = np.inf


def _open(weights: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Map what is searched, (..., 6), to alpha, beta, gamma, phi, level and slope."""
    bounded = LOW + (HIGH - LOW) / (1.0 + np.exp(-np.clip(weights[..., :4], -30.0, 30.0)))
    alpha = bounded[..., 0]
    beta, gamma = alpha * bounded[..., 1], (1.0 - alpha) * bounded[..., 2]
    return alpha, beta, gamma, bounded[..., 3], weights[..., 4], weights[..., 5]


def _close(row: Row) -> Floats:
    """Undo `_open`."""
    inner = np.array(
        [
            row.alpha,
            row.beta / max(row.alpha, 1e-9),
            row.gamma / max(1.0 - row.alpha, 1e-9),
            row.phi,
        ]
    )
    share = np.clip((inner - LOW) / (HIGH - LOW), 0.01, 0.99)
    return np.concatenate([np.log(share / (1.0 - share)), [row.level, row.slope]])


def _free(row: Row) -> list[bool]:
    trend = row.trend != "none"
    return [True, trend, row.season != "none", row.trend == "damped", True, trend]


@dataclass(slots=True)
class _Sums:
    loss: Floats
    gradient: Floats
    products: Floats


def _evaluate(
    rows: Sequence[Row],
    values: Floats,
    alive: Sequence[int],
    weights: Floats,
    free: Floats,
    check: Callable[[], None],
) -> _Sums:
    """Filter each row at its weights and beside them; rows are sorted from the longest."""
    count = len(rows)
    season = rows[0].season
    lanes = np.repeat(weights[:, None, :], WEIGHTS + 1, axis=1)
    for i in range(WEIGHTS):
        lanes[:, i + 1, i] += DIFFERENCE
    alpha, beta, gamma, phi, level, slope = (np.array(x) for x in _open(lanes))
    trend = free[:, 1:2] > 0
    beta, slope = np.where(trend, beta, 0.0), np.where(trend, slope, 0.0)
    phi = np.where(free[:, 3:4] > 0, phi, 1.0)
    gamma = np.where(free[:, 2:3] > 0, gamma, 0.0)
    relative = np.array([row.relative for row in rows])[:, None]
    period = len(rows[0].figure) if season != "none" else 1
    ring = np.zeros((period, count, WEIGHTS + 1))
    if season != "none":
        ring[:] = np.stack([row.figure for row in rows], axis=1)[:, :, None]
    square, logs = np.zeros((count, WEIGHTS + 1)), np.zeros((count, WEIGHTS + 1))
    gradient = np.zeros((count, WEIGHTS))
    products = np.zeros((count, WEIGHTS, WEIGHTS))
    for t in range(values.shape[0]):
        if not t % 16:
            check()
        k = alive[t]
        y = values[t, :k, None]
        step = phi[:k] * slope[:k]
        base = level[:k] + step
        now = ring[t % period, :k]
        if season == "multiplicative":
            mean = base * now
        elif season == "additive":
            mean = base + now
        else:
            mean = base
        e = y - mean
        floor = np.maximum(mean, LEAST)
        r = np.where(relative[:k], e / floor, e)
        logs[:k] += np.where(relative[:k], np.log(floor), 0.0)
        square[:k] += r * r
        d = r[:, 1:] - r[:, :1]
        gradient[:k] += d * r[:, :1]
        products[:k] += d[:, :, None] * d[:, None, :]
        if season == "multiplicative":
            share = np.maximum(now, LEAST)
            level[:k] = base + alpha[:k] * e / share
            slope[:k] = step + beta[:k] * e / share
            ring[t % period, :k] = now + gamma[:k] * e / np.maximum(base, LEAST)
        else:
            level[:k] = base + alpha[:k] * e
            slope[:k] = step + beta[:k] * e
            ring[t % period, :k] = now + gamma[:k] * e
    lengths = np.array([len(row.values) for row in rows], dtype=float)
    total = np.maximum(square, 1e-30)
    loss = lengths * np.log(total[:, 0]) + 2.0 * logs[:, 0]
    # Relative errors times the geometric mean of what was expected: its change belongs to them.
    drift = (logs[:, 1:] - logs[:, :1]) / lengths[:, None]
    cross = gradient[:, :, None] * drift[:, None, :]
    products = products + cross + np.swapaxes(cross, 1, 2)
    products = products + total[:, 0, None, None] * drift[:, :, None] * drift[:, None, :]
    gradient = gradient + total[:, :1] * drift
    return _Sums(loss, gradient / DIFFERENCE, products / DIFFERENCE**2)


def _step(sums: _Sums, free: Floats, damping: Floats) -> Floats:
    """Give the Levenberg-Marquardt step of each row."""
    both = free[:, :, None] * free[:, None, :]
    products = sums.products * both
    diagonal = np.einsum("kii->ki", products)
    largest = np.maximum(np.max(diagonal, axis=1, keepdims=True), 1e-30)
    added = damping[:, None] * np.maximum(diagonal, 1e-6 * largest) + np.where(
        free > 0, 1e-12 * largest, largest
    )
    matrix = products + added[:, :, None] * np.eye(WEIGHTS)
    step = -np.linalg.solve(matrix, (sums.gradient * free)[:, :, None])[:, :, 0]
    # A logit is moved by at most two: beyond, the linear picture is none.
    return np.asarray(np.clip(step, -2.0, 2.0) * free)


def search(rows: Sequence[Row], check: Callable[[], None]) -> list[Row]:
    """Find the weights and first states of the greatest likelihood for each row."""
    found: list[Row | None] = [None] * len(rows)
    groups: dict[tuple[str, int], list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault((row.season, len(row.figure)), []).append(i)
    for members in groups.values():
        members.sort(key=lambda i: -len(rows[i].values))
        size = CHUNK // (WEIGHTS + 1)
        for first in range(0, len(members), size):
            part = members[first : first + size]
            for i, row in zip(part, _search([rows[i] for i in part], check), strict=True):
                found[i] = row
    return [row for row in found if row is not None]


def _search(rows: list[Row], check: Callable[[], None]) -> list[Row]:
    longest = len(rows[0].values)
    values = np.zeros((longest, len(rows)))
    alive = np.zeros(longest, dtype=int)
    for column, row in enumerate(rows):
        values[: len(row.values), column] = row.values
        alive[: len(row.values)] += 1
    counts = [int(x) for x in alive]
    free = np.array([_free(row) for row in rows], dtype=float)
    weights = np.stack([_close(row) for row in rows])
    best = _evaluate(rows, values, counts, weights, free, check)
    damping = np.full(len(rows), 1e-2)
    for _ in range(STEPS):
        trial = weights + _step(best, free, damping)
        found = _evaluate(rows, values, counts, trial, free, check)
        better = np.isfinite(found.loss) & (found.loss < best.loss)
        weights = np.where(better[:, None], trial, weights)
        best = _Sums(
            np.where(better, found.loss, best.loss),
            np.where(better[:, None], found.gradient, best.gradient),
            np.where(better[:, None, None], found.products, best.products),
        )
        damping = np.clip(np.where(better, damping * 0.2, damping * 8.0), 1e-9, 1e9)
    alpha, beta, gamma, phi, level, slope = _open(weights)
    return [
        Row(
            row.values,
            row.season,
            row.relative,
            row.trend,
            float(alpha[i]),
            float(beta[i] * free[i, 1]),
            float(gamma[i] * free[i, 2]),
            float(phi[i]) if free[i, 3] else 1.0,
            float(level[i]),
            float(slope[i] * free[i, 5]),
            row.figure,
            float(best.loss[i]),
        )
        for i, row in enumerate(rows)
    ]


# ------------------------------------------------------------------------------------ one series


@dataclass(slots=True)
class State:
    """Level, slope, and the seasonal states (of the next phase first; empty: none)."""

    level: float
    slope: float
    figure: list[float]


def filter_row(
    state: State,
    weights: Sequence[float],
    multiplicative: bool,
    values: Sequence[float],
    least: float,
) -> tuple[State, list[float]]:
    """Filter values through one model: state afterwards, expected values.

    Parameters
    ----------
    state : State
    weights : (alpha, beta, gamma, phi)
    multiplicative : bool
        Whether the season is.
    values : sequence of float
    least : float
        Of a level that a seasonal state is divided by.
    """
    alpha, beta, gamma, phi = weights
    level, slope, figure = state.level, state.slope, list(state.figure)
    period = len(figure)
    means = []
    for t, y in enumerate(values):
        step = phi * slope
        base = level + step
        if not period:
            e = y - base
            means.append(base)
            level, slope = base + alpha * e, step + beta * e
            continue
        now = figure[t % period]
        if multiplicative:
            mean = base * now
            e = y - mean
            share = max(now, LEAST)
            level, slope = base + alpha * e / share, step + beta * e / share
            figure[t % period] = now + gamma * e / max(base, least)
        else:
            mean = base + now
            e = y - mean
            level, slope = base + alpha * e, step + beta * e
            figure[t % period] = now + gamma * e
        means.append(mean)
    turn = len(values) % period if period else 0
    return State(level, slope, figure[turn:] + figure[:turn]), means
