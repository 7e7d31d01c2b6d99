"""N-HiTS: nets that look at a window coarsely first, then finely, learnt from all series.

References
----------
See `networks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from weighhouse.forecasting import neural
from weighhouse.forecasting.contract import (
    Floats,
    Forecast,
    Learnt,
    Parameters,
    Regressors,
    Result,
    Series,
)
from weighhouse.forecasting.networks import NHITS

__all__ = ["CAN_UPDATE", "CONTINUES", "FORMAT", "LEARNS", "MINIMUM", "NAME", "USES_REGRESSORS"]
__all__ += ["check_options", "fit", "forecast", "learn", "update"]

NAME = "nhits"
FORMAT = 1
MINIMUM = neural.MINIMUM
CAN_UPDATE = True
LEARNS: Literal[True] = True
CONTINUES = True
USES_REGRESSORS = False


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options; see `neural.check_options`."""
    return neural.check_options(NAME, options)


def learn(
    collection: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None = None,
) -> Learnt:
    """Learn weights from all series; see `neural.learn`."""
    given = check_options(options)
    return neural.learn(NHITS, NAME, collection, horizon, given, check, known)


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    learnt: Learnt,
) -> list[Result]:
    """Keep the last window of each series; see `neural.fit`."""
    return neural.fit(NHITS, batch, check, learnt)


def forecast(
    parameters: Parameters, horizon: int, levels: Sequence[float], learnt: Learnt
) -> Forecast:
    """Forecast with numpy alone; see `neural.forecast`."""
    return neural.forecast(NHITS, parameters, horizon, levels, learnt)


def update(
    parameters: Parameters, values: Floats, regressors: Regressors | None = None
) -> Parameters:
    """Move the window on; see `neural.update`."""
    return neural.update(parameters, values)
