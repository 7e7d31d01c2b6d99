"""Recipes fitted to series, and their errors from earlier origins; kinds that are one recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.forecasting import intervals
from weighhouse.forecasting.contract import Fit, Floats, Forecast, Parameters, Result, Series
from weighhouse.forecasting.recipe import Recipe, fit_recipes, forecast_recipe, update_recipe

__all__ = [
    "Rolled",
    "complete",
    "cuts",
    "fit_one",
    "forecast_one",
    "note",
    "roll",
    "too_few",
    "update_one",
]

# Earlier origins from which errors are measured.
ORIGINS = 4
# Least observations before an earlier origin.
LEAST_HISTORY = 8
# As many numbers as a part of a batch may have, all recipes and origins together.
CHUNK = 1_000_000


@dataclass(frozen=True, slots=True)
class Rolled:
    """Recipes fitted to a series.

    Attributes
    ----------
    parameters : list of dict
        One for each recipe, fitted to all observations.
    forecasts : list of ndarray, each of shape (recipes, steps)
        One for each earlier origin, from the observations before it.
    actual : list of ndarray, each of shape (steps,)
        What came then.
    """

    parameters: list[Parameters]
    forecasts: list[Floats]
    actual: list[Floats]


def cuts(n: int, horizon: int, origins: int) -> list[tuple[int, int]]:
    """Choose earlier origins: (observations before, steps after).

    A horizon apart; where the series is too short for so many, a third of it, and the forecasts
    from the latest ones are judged by the fewer steps there are.
    """
    if n - horizon >= LEAST_HISTORY:
        apart, least = horizon, LEAST_HISTORY
        if n - horizon * origins < least:
            closer = max(horizon // 3, 1)
            dense = [i for i in range(1, origins + 1) if n - closer * i >= least]
            if len(dense) > (n - least) // horizon:
                apart = closer
    else:
        apart, least = max(min(n // 4, horizon), 1), 2
    found = [n - apart * i for i in range(1, origins + 1) if n - apart * i >= least]
    return [(cut, min(horizon, n - cut)) for cut in found]


def roll(
    batch: Sequence[Series],
    recipes: Sequence[Sequence[Recipe]],
    horizon: int,
    origins: int,
    check: Callable[[], None],
) -> Iterator[Rolled]:
    """Fit recipes to each series and to its beginnings; yield in order.

    Parameters
    ----------
    batch : sequence of Series
    recipes : sequence of sequence of Recipe
        For each series at least one.
    horizon : int
        Steps judged from each earlier origin (fewer where the series is short).
    origins : int
        Earlier origins, `horizon` apart.
    check : callable
    """
    part: list[int] = []
    size = 0
    for i, series in enumerate(batch):
        part.append(i)
        size += len(series.values) * len(recipes[i]) * (origins + 1)
        if size >= CHUNK or i == len(batch) - 1:
            yield from _roll_part(
                [batch[k] for k in part], [recipes[k] for k in part], horizon, origins, check
            )
            part, size = [], 0


def _roll_part(
    batch: Sequence[Series],
    recipes: Sequence[Sequence[Recipe]],
    horizon: int,
    origins: int,
    check: Callable[[], None],
) -> Iterator[Rolled]:
    tasks: list[tuple[Series, Recipe]] = []
    ends = [cuts(len(series.values), horizon, origins) for series in batch]
    for series, own, before in zip(batch, recipes, ends, strict=True):
        for n in (len(series.values), *(n for n, _ in before)):
            short = Series(series.values[:n], series.seasons)
            tasks.extend((short, recipe) for recipe in own)
    fitted = iter(fit_recipes(tasks, check))
    for series, own, before in zip(batch, recipes, ends, strict=True):
        check()
        parameters = [next(fitted) for _ in own]
        forecasts = [
            np.stack([forecast_recipe(next(fitted), steps) for _ in own]) for _, steps in before
        ]
        actual = [series.values[n : n + steps] for n, steps in before]
        yield Rolled(parameters, forecasts, actual)


# -------------------------------------------------------------------------- kinds that are a recipe


def complete(
    kind: str, options: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]
) -> dict[str, Any]:
    """Complete options of which each has a few possible values, the first being the default."""
    unknown = sorted(set(options) - set(choices))
    if unknown:
        known = f"Known are {', '.join(choices)}." if choices else f"{kind} has no options."
        raise BadOptions(f"unknown option {unknown[0]} of {kind}", hint=known)
    given = {name: values[0] for name, values in choices.items()} | dict(options)
    for name, value in given.items():
        if not any(value is x or (type(value) is type(x) and value == x) for x in choices[name]):
            raise BadOptions(
                f"option {name} of {kind} is not one of its values",
                detail=f"Given is {value!r}.",
                hint=f"Choose from {', '.join(str(x) for x in choices[name])}.",
            )
    return given


def too_few(n: int, minimum: int) -> TooFewObservations:
    """Say that a series is too short."""
    return TooFewObservations(
        f"{n} observations where at least {minimum} are needed",
        hint="Wait for more, or fit the kind naive.",
    )


def note(series: Series) -> str | None:
    """Say what a user should know of a series; None: nothing."""
    if float(np.ptp(series.values)) == 0.0:
        return "constant series"
    short = [str(m) for m in series.seasons if len(series.values) < 2 * m]
    if short:
        return f"shorter than two seasons of {' and '.join(short)}: that season is left out"
    return None


def fit_one(
    batch: Sequence[Series],
    horizon: int,
    minimum: int,
    choose: Callable[[Series], tuple[Recipe, str]],
    check: Callable[[], None],
) -> list[Result]:
    """Fit each series with the one recipe chosen for it.

    Parameters
    ----------
    batch, horizon, check
        Of `contract.Kind.fit`.
    minimum : int
        Fewest observations.
    choose : callable
        Gives the recipe and the label of a series.
    """
    results: list[Result] = [too_few(len(series.values), max(minimum, 1)) for series in batch]
    there = [i for i, series in enumerate(batch) if len(series.values) >= max(minimum, 1)]
    chosen = [choose(batch[i]) for i in there]
    rolled = roll(
        [batch[i] for i in there], [[recipe] for recipe, _ in chosen], horizon, ORIGINS, check
    )
    for i, (_, label), each in zip(there, chosen, rolled, strict=True):
        (parameters,) = each.parameters
        past = [y - mean[0] for mean, y in zip(each.forecasts, each.actual, strict=True)]
        measured = intervals.measure(
            batch[i].values,
            past,
            parameters["spread"],
            means=[mean[0] for mean in each.forecasts],
        )
        results[i] = Fit(parameters | {"intervals": measured}, label, note(batch[i]))
    return results


def forecast_one(parameters: Parameters, horizon: int, levels: Sequence[float]) -> Forecast:
    """Forecast with one recipe; see `contract.Kind.forecast`."""
    return intervals.surround(forecast_recipe(parameters, horizon), parameters["intervals"], levels)


def update_one(parameters: Parameters, values: Floats) -> Parameters:
    """Take in the next observations with one recipe; see `contract.Kind.update`."""
    return update_recipe(parameters, values) | {
        "intervals": intervals.extend(parameters["intervals"], values)
    }
