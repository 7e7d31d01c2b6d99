"""A kind that learns one number from all series, and takes regressors: the contract and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting.contract import Fit, Floats, Forecast, Parameters, Regressors, Series
from weighhouse.learnt import Learnt

NAME = "shared_growth"
FORMAT = 1
MINIMUM = 2
CAN_UPDATE = True
LEARNS = True
CONTINUES = True
USES_REGRESSORS = True

# Lengths of the series it was last given to learn from.
seen: list[list[int]] = []


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return dict(options)


def learn(
    collection: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    check()
    seen.append([len(one.values) for one in collection])
    steps = [np.diff(one.values) for one in collection if len(one.values) >= MINIMUM]
    if not steps:
        raise TooFewObservations("nothing to learn from", hint="Load more.")
    rounds = 1 if known is None else int(known.header["rounds"]) + 1
    growth = np.array([float(np.mean(np.concatenate(steps)))])
    return Learnt({"rounds": rounds}, {"growth": growth}, b"own form", "growth")


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    learnt: Learnt,
) -> list[Any]:
    results: list[Any] = []
    for one in batch:
        if len(one.values) < MINIMUM:
            results.append(TooFewObservations("too short", hint="Load more."))
            continue
        results.append(
            Fit(_state(float(one.values[-1]), one.regressors, len(one.values)), "shared")
        )
    return results


def _state(last: float, regressors: Regressors | None, known: int) -> Parameters:
    if regressors is None:
        return {"last": last, "names": [], "ahead": None}
    ahead = [[None if np.isnan(x) else float(x) for x in row] for row in regressors.values[known:]]
    return {"last": last, "names": list(regressors.names), "ahead": ahead}


def forecast(
    parameters: Parameters, horizon: int, levels: Sequence[float], learnt: Learnt
) -> Forecast:
    mean = parameters["last"] + learnt.arrays["growth"][0] * np.arange(1.0, horizon + 1)
    if parameters["ahead"] is not None:
        for step in range(horizon):
            row = parameters["ahead"][step] if step < len(parameters["ahead"]) else [None]
            for name, x in zip(parameters["names"], row, strict=False):
                if x is None:
                    raise BadOptions(
                        f"{name} is not known {step + 1} steps ahead", hint="Enter it."
                    )
                mean[step] += x
    width = np.ones((len(levels), horizon))
    return Forecast(mean, mean - width, mean + width)


def update(
    parameters: Parameters, values: Floats, regressors: Regressors | None = None
) -> Parameters:
    if not len(values):
        return parameters
    return _state(float(values[-1]), regressors, len(values))
