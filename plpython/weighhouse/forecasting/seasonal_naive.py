"""The last season repeats itself: the baseline of everything with a season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weighhouse.forecasting.contract import Result, Series
from weighhouse.forecasting.recipe import RECIPES, Recipe
from weighhouse.forecasting.rolling import complete, fit_one, forecast_one, update_one

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "seasonal_naive"
FORMAT = 2
MINIMUM = 1
CAN_UPDATE = True

forecast = forecast_one
update = update_one


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options: which season repeats, "longest" (the default) or "shortest"."""
    return complete(NAME, options, {"season": ("longest", "shortest")})


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Keep the last season and measure past errors; see `contract.Kind.fit`.

    Of several seasons, the longest (or shortest) that the series has once; without one, the last
    value is kept.
    """
    shortest = check_options(options)["season"] == "shortest"

    def choose(series: Series) -> tuple[Recipe, str]:
        seasons = [m for m in series.seasons if m <= len(series.values)]
        if not seasons:
            return RECIPES["naive"], "naive"
        if shortest:
            return Recipe("repeat", season="none", window=1), f"season of {seasons[0]}"
        return RECIPES["last_season"], f"season of {seasons[-1]}"

    return fit_one(batch, horizon, MINIMUM, choose, check)
