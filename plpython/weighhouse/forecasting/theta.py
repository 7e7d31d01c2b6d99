"""Theta: simple smoothing and a share of the regression line, of a series without its season.

The dynamic optimised model (default) re-estimates the line with each observation and chooses its
share; the classical one weighs smoothing and the line of the whole history half and half.

References
----------
Assimakopoulos, Nikolopoulos (2000), The theta model, International Journal of Forecasting 16.
Fiorucci, Pellegrini, Louzada, Petropoulos, Koehler (2016), Models for optimising the theta method,
International Journal of Forecasting 32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weighhouse.forecasting.contract import Result, Series
from weighhouse.forecasting.recipe import Recipe, seasons_of
from weighhouse.forecasting.rolling import complete, fit_one, forecast_one, update_one

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "theta"
FORMAT = 2
MINIMUM = 4
CAN_UPDATE = True

OPTIONS: dict[str, tuple[Any, ...]] = {
    "model": ("dynamic", "classical"),
    "log": (False, True),
    "season": ("fixed", "changing", "none"),
}

forecast = forecast_one
update = update_one


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        model: "dynamic" (optimised, the default) or "classical"; log: whether logarithms are taken
        of a positive series (false); season: "fixed", one figure for the whole history where the
        season is short and single (the default), "changing" or "none".
    """
    return complete(NAME, options, OPTIONS)


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Fit a theta model to each series; see `contract.Kind.fit`."""
    given = check_options(options)
    classical = given["model"] == "classical"
    recipe = Recipe(
        "theta",
        log=given["log"],
        season=given["season"],
        dynamic=not classical,
        share=0.5 if classical else None,
    )
    name = "classical theta" if classical else "dynamic optimised theta"

    def choose(series: Series) -> tuple[Recipe, str]:
        seasons = seasons_of(series) if given["season"] != "none" else ()
        return recipe, name + (f" [{', '.join(map(str, seasons))}]" if seasons else "")

    return fit_one(batch, horizon, MINIMUM, choose, check)
