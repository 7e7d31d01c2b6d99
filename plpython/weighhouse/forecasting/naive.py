"""The last value is what comes: the baseline of everything without a season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weighhouse.forecasting.contract import Result, Series
from weighhouse.forecasting.recipe import RECIPES
from weighhouse.forecasting.rolling import complete, fit_one, forecast_one, update_one

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "naive"
FORMAT = 2
MINIMUM = 1
CAN_UPDATE = True

forecast = forecast_one
update = update_one


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options: there are none."""
    return complete(NAME, options, {})


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Keep the last value and measure past errors; see `contract.Kind.fit`."""
    check_options(options)
    return fit_one(batch, horizon, MINIMUM, lambda series: (RECIPES["naive"], "naive"), check)
