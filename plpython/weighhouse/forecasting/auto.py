"""Automatic forecasts: a combination of simple methods, weighted by each one's own past errors.

Each method forecasts the series from several earlier origins (the series cut short); its weight
falls with its mean absolute error there. Nothing is learnt from other series. A combination rather
than a choice: errors of a few origins say which methods are poor, not which one is best.

References
----------
Bates, Granger (1969), The combination of forecasts, Operational Research Quarterly 20.
Makridakis, Spiliotis, Assimakopoulos (2020), The M4 competition, International Journal of
Forecasting 36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from weighhouse.errors import BadOptions
from weighhouse.forecasting import adjustment, intervals
from weighhouse.forecasting.contract import Fit, Floats, Forecast, Parameters, Result, Series
from weighhouse.forecasting.recipe import (
    RECIPES,
    Recipe,
    forecast_recipe,
    seasons_of,
    update_recipe,
)
from weighhouse.forecasting.rolling import Rolled, note, roll, too_few

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "auto"
FORMAT = 1
MINIMUM = 1
CAN_UPDATE = True

DEFAULTS: dict[str, Any] = {"methods": list(RECIPES), "origins": 4, "sharpness": 2.0}
# Long seasons change: there these differ from others in little but the name.
ALIKE = {"drift", "damped", "log_damped"}
# With several seasons, what the hour was a day and a week ago says most, in several ways; what the
# last steps were says little.
SEVERAL = {"levels_raw", "levels_many", "levels_seasons", "levels_rest"}
NOT_SEVERAL = {"naive", "changes", "changes_drift"}
# Weights below this share of the greatest are not worth their parameters.
LEAST_WEIGHT = 0.02


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        methods: names of the methods that may take part (all of RECIPES); origins: earlier origins
        from which each is tried, 1 to 10 (4); sharpness: power of the error in the weights, 0 to
        20: 0 weighs all alike, a great one chooses the best (2).
    """
    unknown = sorted(set(options) - set(DEFAULTS))
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of auto", hint=f"Known are {', '.join(DEFAULTS)}."
        )
    given = DEFAULTS | dict(options)
    methods = given["methods"]
    if not isinstance(methods, list | tuple) or not methods or not set(methods) <= set(RECIPES):
        raise BadOptions(
            "methods is not a list of known methods", hint=f"Known are {', '.join(RECIPES)}."
        )
    origins, sharpness = given["origins"], given["sharpness"]
    if isinstance(origins, bool) or not isinstance(origins, int) or not 1 <= origins <= 10:
        raise BadOptions("origins is not a whole number from 1 to 10", hint="Leave it out for 4.")
    if (
        isinstance(sharpness, bool)
        or not isinstance(sharpness, int | float)
        or not 0 <= sharpness <= 20
    ):
        raise BadOptions("sharpness is not a number from 0 to 20", hint="Leave it out for 2.")
    return {"methods": list(methods), "origins": origins, "sharpness": float(sharpness)}


@cache
def _choose(
    names: tuple[str, ...], seasonal: bool, long: bool, several: bool, repeats: bool, log: bool
) -> dict[str, Recipe]:
    """Give the methods that differ on a series with such seasons."""
    found: dict[str, Recipe] = {}
    seen: set[Recipe] = set()
    for name in names:
        recipe = RECIPES[name]
        if name in (NOT_SEVERAL if several else SEVERAL) or (long and name in ALIKE):
            continue
        effective = replace(recipe, log=recipe.log and log)
        if not seasonal:
            differenced = recipe.differenced or recipe.core == "lags"
            effective = replace(effective, season="none", window=0, differenced=differenced)
        if name == "last_season" and not repeats:
            effective = replace(RECIPES["naive"], window=0)
        if effective not in seen:
            seen.add(effective)
            found[name] = recipe
    # A choice of methods that are left out here is still a choice.
    return found or {names[0]: RECIPES[names[0]]}


def _methods(series: Series, names: Sequence[str]) -> dict[str, Recipe]:
    seasons = seasons_of(series)
    return _choose(
        tuple(names),
        bool(seasons),
        max(seasons, default=0) > adjustment.LONGEST_FIXED,
        len(seasons) > 1,
        any(m <= len(series.values) for m in series.seasons),
        adjustment.may_log(series.values),
    )


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Fit a combination to each series; see `contract.Kind.fit`."""
    given = check_options(options)
    results: list[Result] = [too_few(len(series.values), MINIMUM) for series in batch]
    there = [i for i, series in enumerate(batch) if len(series.values) >= MINIMUM]
    methods = [_methods(batch[i], given["methods"]) for i in there]
    rolled = roll(
        [batch[i] for i in there],
        [list(own.values()) for own in methods],
        horizon,
        given["origins"],
        check,
    )
    for i, own, each in zip(there, methods, rolled, strict=True):
        results[i] = _combine(batch[i], list(own), each, given["sharpness"])
    return results


def _weigh(series: Series, rolled: Rolled, sharpness: float) -> Floats:
    """Weigh methods by their errors from earlier origins; all alike where there are none."""
    weights = np.ones(len(rolled.parameters))
    if rolled.forecasts:
        each = [
            np.mean(np.abs(mean - y), axis=1)
            for mean, y in zip(rolled.forecasts, rolled.actual, strict=True)
        ]
        # Relative to the series, so that exact methods share rather than divide by zero.
        errors = np.mean(np.stack(each), axis=0) + 1e-9 * float(np.mean(np.abs(series.values)))
        least = float(np.min(errors))
        if least > 0.0:
            weights = (least / errors) ** sharpness
    weights[weights < LEAST_WEIGHT * np.max(weights)] = 0.0
    return np.asarray(weights / np.sum(weights))


def _combine(series: Series, names: list[str], rolled: Rolled, sharpness: float) -> Fit:
    weights = _weigh(series, rolled, sharpness)
    past = [y - weights @ mean for mean, y in zip(rolled.forecasts, rolled.actual, strict=True)]
    spread = sum(float(w) * p["spread"] for w, p in zip(weights, rolled.parameters, strict=True))
    members = [
        {"method": name, "weight": float(weight), "parameters": own}
        for name, weight, own in zip(names, weights, rolled.parameters, strict=True)
        if weight > 0.0
    ]
    largest = sorted(zip(weights.tolist(), names, strict=True), key=lambda pair: -pair[0])
    label = ", ".join(f"{name} {100 * weight:.0f} %" for weight, name in largest[:3] if weight > 0)
    if len(members) > 3:
        label += f", {len(members) - 3} more"
    measured = intervals.measure(series.values, past, spread)
    return Fit({"members": members, "intervals": measured}, label, note(series))


def forecast(parameters: Parameters, horizon: int, levels: Sequence[float]) -> Forecast:
    """Forecast; see `contract.Kind.forecast`."""
    mean = np.zeros(horizon)
    for member in parameters["members"]:
        mean = mean + member["weight"] * forecast_recipe(member["parameters"], horizon)
    return intervals.surround(mean, parameters["intervals"], levels)


def update(parameters: Parameters, values: Floats) -> Parameters:
    """Take in the next observations with weights held fixed; see `contract.Kind.update`."""
    return parameters | {
        "members": [
            member | {"parameters": update_recipe(member["parameters"], values)}
            for member in parameters["members"]
        ],
        "intervals": intervals.extend(parameters["intervals"], values),
    }
