"""One linear forecast for all series: regressions on lags whose weights the series have in common.

A short series tells few weights; many series together tell a step's weight of each lag well. Every
series takes part in its own scale, by differences from its last value (of logarithms where all of
it is well above zero), so the same weights serve small and large ones; each step ahead has its
own regression, weighted again a few times so that it follows the absolute errors.

What a series needs for its forecast are its last values: the weights are stored once.

References
----------
Montero-Manso, Hyndman (2021), Principles and algorithms for forecasting groups of time series:
locality and globality, International Journal of Forecasting 37.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weighhouse.forecasting import adjustment
from weighhouse.forecasting.contract import Floats, Parameters
from weighhouse.forecasting.recipe import margin

__all__ = ["choose_lags", "continue_pooled", "fit_pooled", "learn_pooled", "project_pooled"]

# Windows of all series together, and of one.
MOST_WINDOWS, MOST_OF_ONE = 20_000, 150
# Weights are pulled to a random walk by this share of the mean square of the lags.
RIDGE = 1.0
# Passes that weigh windows by their errors.
PASSES = 3
# A constant growth counts in logarithms, and is pulled to nothing harder than the lags are.
GROWTH = 0.1
# Series that hardly move tell nothing of how others do: least mean change, of the level.
LEAST_CHANGE = 1e-4
# Windows reaching beyond their series are used only where lags are few: each step costs its own
# equations then.
FEW_LAGS = 60
# A window many times as restless as its series is an outlier.
LARGEST = 50.0
# Rows between two looks for interrupts.
CHUNK = 2000
# Errors of one step are measured on so many last values.
RECENT = 200


def choose_lags(lengths: Sequence[int], seasons: Sequence[int]) -> int:
    """Choose how many lags there are: two seasons (four short ones), or a third of the series."""
    third = int(np.median(lengths)) // 3
    longest = max(seasons, default=0)
    if not longest:
        return max(min(third, 12), 3)
    return max(min((4 if longest <= 7 else 2) * longest + 1, third), 3)


def _level(values: Floats) -> tuple[Floats, bool]:
    """Take logarithms where that is safe."""
    return (np.log(values), True) if adjustment.may_log(values) else (values, False)


def _rows(z: Floats, at: Any, lags: int, log: bool) -> Floats:
    """Describe a series at some of its places: (places, lags + 2), in the unit of z."""
    padded = np.concatenate([np.full(lags, z[0]), z])
    before = padded[at[:, None] + lags - np.arange(1, lags + 1)]
    drift = (z[at] - z[0]) / np.maximum(at, 1)
    growth = np.full(len(at), GROWTH if log else 0.0)
    return np.column_stack([z[at][:, None] - before, drift, growth])


def _windows(
    values: Floats, lags: int, horizon: int, most: int
) -> tuple[Floats, Floats, Floats] | None:
    """Cut windows from a series, in its own scale; None: it tells nothing."""
    z, log = _level(values)
    n = len(z)
    change = float(np.mean(np.abs(np.diff(z)))) if n > 1 else 0.0
    if not change > LEAST_CHANGE * (1.0 if log else float(np.mean(np.abs(z)))):
        return None
    first = min(lags, max(n // 3, 2))
    whole = n >= first + 2 * horizon + 4
    if not whole and lags > FEW_LAGS:
        return None
    at = np.arange(first, n - horizon if whole else n - 1)
    if not len(at):
        return None
    if len(at) > most:
        at = at[np.round(np.linspace(0, len(at) - 1, most)).astype(int)]
    after = np.concatenate([z, np.full(horizon, np.nan)])[at[:, None] + np.arange(1, horizon + 1)]
    rows = np.clip(_rows(z, at, lags, log) / change, -LARGEST, LARGEST)
    rows[:, -1] = (GROWTH if log else 0.0) / change
    targets = np.clip((after - z[at][:, None]) / change, -LARGEST, LARGEST)
    # Long series count for more, but not by their length.
    return rows, targets, np.full(len(at), len(at) ** -0.5)


def learn_pooled(
    batch: Sequence[Floats], lags: int, horizon: int, check: Callable[[], None]
) -> Floats | None:
    """Learn the weights that series have in common.

    Parameters
    ----------
    batch : sequence of ndarray, each of shape (n,)
        Values of the series.
    lags, horizon : int
        How far back, and how many steps ahead.
    check : callable
        Called often.

    Returns
    -------
    ndarray of float32, shape (lags + 2, horizon), or None
        Weight of each difference from the last value, of the mean change and of a constant growth.
        None: no series tells anything.
    """
    most = max(min(MOST_OF_ONE, MOST_WINDOWS // max(len(batch), 1)), 1)
    cut = []
    for values in batch:
        check()
        one = _windows(values, lags, horizon, most)
        if one is not None:
            cut.append(one)
    if not cut:
        return None
    x, y, weight = (np.concatenate(parts) for parts in zip(*cut, strict=True))
    check()
    weight = weight / np.mean(weight)
    penalty = RIDGE * float(np.mean(x[:, :lags] ** 2)) * np.eye(lags + 2)
    known = np.isfinite(y)
    found = np.zeros((lags + 2, horizon))
    again = np.ones(len(x))
    for _ in range(PASSES + 1):
        found = _solve(x, y, known, weight * again, penalty, check)
        check()
        away = np.abs(np.where(known, y - x @ found, 0.0)).sum(axis=1) / known.sum(axis=1)
        # Half of the windows forecast exactly: nothing to weigh by.
        usual = float(np.median(away))
        if usual <= 1e-9:
            break
        again = 1.0 / np.maximum(away, 0.1 * usual)
        again /= np.mean(again)
    return found.astype(np.float32)


def _solve(
    x: Floats, y: Floats, known: Any, weight: Floats, penalty: Floats, check: Callable[[], None]
) -> Floats:
    """Solve the regularised least squares of each step."""
    if known.all():
        square, cross = np.zeros_like(penalty), np.zeros((x.shape[1], y.shape[1]))
        for start in range(0, len(x), CHUNK):
            check()
            part = slice(start, start + CHUNK)
            scaled = (x[part] * weight[part, None]).T
            square += scaled @ x[part]
            cross += scaled @ y[part]
        return np.asarray(np.linalg.solve(square + penalty, cross))
    found = np.zeros((x.shape[1], y.shape[1]))
    for step in range(y.shape[1]):
        check()
        there = known[:, step]
        if there.any():
            scaled = (x[there] * weight[there, None]).T
            found[:, step] = np.linalg.solve(scaled @ x[there] + penalty, scaled @ y[there, step])
        elif step:
            # No series is long enough to tell: as the step before.
            found[:, step] = found[:, step - 1]
    return found


def fit_pooled(values: Floats, weights: Floats, *, judged: bool = True) -> Parameters:
    """Keep of a series what its forecast needs; JSON only.

    Parameters
    ----------
    values : ndarray, shape (n,)
    weights : ndarray, shape (lags + 2, horizon)
        Of `learn_pooled`.
    judged : bool
        Whether errors within the sample are measured; else the spread is 0.

    Returns
    -------
    dict
        "lags"; "tail", the last lags + 1 values (of logarithms with "log"); "first", the first;
        "count"; "bounds", outside which no forecast goes; "spread", root mean square of the errors
        of one step, in the unit of the series.
    """
    z, log = _level(values)
    lags = len(weights) - 2
    low, high = float(np.min(z)), float(np.max(z))
    away = margin(low, high, log=log)
    spread = 0.0
    if judged and len(z) > 1:
        at = np.arange(max(len(z) - 1 - RECENT, 0), len(z) - 1)
        one = _rows(z, at, lags, log) @ np.asarray(weights[:, 0], dtype=float)
        spread = float(np.sqrt(np.mean((z[at + 1] - z[at] - one) ** 2)))
        spread *= float(np.mean(np.abs(values[-12:]))) if log else 1.0
    return {
        "lags": lags,
        "tail": z[-(lags + 1) :].tolist(),
        "first": float(z[0]),
        "count": len(z),
        "log": log,
        "bounds": [low - away, high + away],
        "spread": spread,
    }


def project_pooled(parameters: Parameters, weights: Floats, horizon: int) -> Floats:
    """Give the expected values of the steps ahead, shape (horizon,).

    Beyond the steps that were learnt, what was forecast is taken for seen.
    """
    low, high = parameters["bounds"]
    weights = np.asarray(weights, dtype=float)
    lags, steps = len(weights) - 2, weights.shape[1]
    tail, count = np.array(parameters["tail"]), parameters["count"]
    parts: list[Floats] = []
    for _ in range(0, horizon, steps):
        missing = lags + 1 - len(tail)
        if missing > 0:
            tail = np.concatenate([np.full(missing, tail[0]), tail])
        row = np.empty(lags + 2)
        row[:lags] = tail[-1] - tail[-2 : -lags - 2 : -1]
        row[lags] = (tail[-1] - parameters["first"]) / max(count - 1, 1)
        row[lags + 1] = GROWTH if parameters["log"] else 0.0
        part = np.clip(tail[-1] + row @ weights, low, high)
        parts.append(part)
        tail, count = np.concatenate([tail, part])[-(lags + 1) :], count + steps
    mean = np.concatenate(parts)[:horizon]
    return np.exp(mean) if parameters["log"] else mean


def continue_pooled(parameters: Parameters, values: Floats) -> Parameters:
    """Take in the next observations."""
    low, high = parameters["bounds"]
    # What is not above zero has no logarithm: the least that is believed.
    rest = np.log(np.maximum(values, np.exp(low))) if parameters["log"] else values
    tail = [*parameters["tail"], *rest.tolist()]
    return parameters | {
        "tail": tail[-(parameters["lags"] + 1) :],
        "count": parameters["count"] + len(values),
        "bounds": [min([low, *rest.tolist()]), max([high, *rest.tolist()])],
    }
