"""Seasons that change over time taken out, one or several and long ones too; the rest smoothed.

For 24 and 168 hours, or 52 weeks, where seasonal smoothing has too many states. Each season is the
smoothed course of every phase over the seasons, about a moving average; what remains is forecast
without a season, and the last season repeats.

References
----------
Cleveland, Cleveland, McRae, Terpenning (1990), STL, Journal of Official Statistics 6.
Bandara, Hyndman, Bergmeir (2021), MSTL, arXiv:2107.13462.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weighhouse.errors import BadOptions
from weighhouse.forecasting.adjustment import may_log
from weighhouse.forecasting.contract import Result, Series
from weighhouse.forecasting.recipe import Recipe, seasons_of
from weighhouse.forecasting.rolling import complete, fit_one, forecast_one, update_one

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "decomposition"
FORMAT = 2
MINIMUM = 4
CAN_UPDATE = True

OPTIONS: dict[str, tuple[Any, ...]] = {
    "log": (True, False),
    "trend": ("damped", "none", "drift", "additive", "theta"),
}
CORES = {
    "damped": "damped",
    "none": "simple",
    "drift": "drift",
    "additive": "holt",
    "theta": "theta",
}
WINDOW = 11
WIDEST = 1001

forecast = forecast_one
# The seasons stay as they were last; the rest is smoothed on.
update = update_one


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        log: whether logarithms are taken of a positive series (true); trend: how the rest is
        forecast, "damped" (the default), "none", "drift", "additive" or "theta"; window: number of
        seasons over which a phase is smoothed, 3 to 1001 (11): great for a season that stays.
    """
    window = options.get("window", WINDOW)
    if isinstance(window, bool) or not isinstance(window, int) or not 3 <= window <= WIDEST:
        raise BadOptions(
            f"window is not a whole number from 3 to {WIDEST}", hint=f"Leave it out for {WINDOW}."
        )
    others = {name: value for name, value in options.items() if name != "window"}
    unknown = sorted(set(others) - set(OPTIONS))
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of {NAME}",
            hint=f"Known are {', '.join([*OPTIONS, 'window'])}.",
        )
    return complete(NAME, others, OPTIONS) | {"window": window}


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Decompose each series and smooth what remains; see `contract.Kind.fit`."""
    given = check_options(options)
    recipe = Recipe(
        CORES[given["trend"]], log=given["log"], season="changing", window=given["window"]
    )

    def choose(series: Series) -> tuple[Recipe, str]:
        seasons = seasons_of(series)
        log = given["log"] and may_log(series.values)
        shown = f"season {', '.join(map(str, seasons))}; " if seasons else ""
        return recipe, f"{shown}trend {given['trend']}{'; log' if log else ''}"

    return fit_one(batch, horizon, MINIMUM, choose, check)
