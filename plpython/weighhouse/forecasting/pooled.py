"""One linear forecast for all series, as `auto` learnt it before trees: read, and no longer made.

Weights of lags that the series have in common were stored once: of each difference from the last
value, of the mean change and of a constant growth, shape (lags + 2, steps). The parameters of a
series are "lags"; "tail", the last lags + 1 values (of logarithms with "log"); "first", the first;
"count"; "bounds", outside which no forecast goes.
"""

from __future__ import annotations

import numpy as np

from weighhouse.forecasting.contract import Floats, Parameters

__all__ = ["continue_pooled", "project_pooled"]

# A constant growth counts in logarithms.
GROWTH = 0.1


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
