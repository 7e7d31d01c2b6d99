"""The last value, and from there the mean change of the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weighhouse.forecasting.contract import Result, Series
from weighhouse.forecasting.recipe import Recipe
from weighhouse.forecasting.rolling import complete, fit_one, forecast_one, update_one

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "drift"
FORMAT = 2
MINIMUM = 2
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
    """Keep the last value and the mean change, measure past errors; see `contract.Kind.fit`.

    A random walk with drift: seasons are not looked at. An update holds the mean change fixed.
    """
    check_options(options)
    recipe = Recipe("line", season="none")
    return fit_one(
        batch, horizon, MINIMUM, lambda series: (recipe, "random walk with drift"), check
    )
