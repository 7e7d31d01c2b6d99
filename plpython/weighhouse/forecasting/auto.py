"""Automatic forecasts: a combination of simple methods, weighted by each one's own past errors.

Each method forecasts the series from several earlier origins (the series cut short); its weight
falls with its mean absolute error there. A combination rather than a choice: errors of a few
origins say which methods are poor, not which one is best.

From the other series of a model, where they are enough, one more method is learnt: trees boosted
over their lags (`together`). It is learnt again from what was known at the earliest origin that
most of them have, so that its errors from there on are as honest as those of the others. Whether it
takes part at all the withheld steps of the series together decide: some collections have nothing in
common. The weights of the combination are not learnt from other series: a series' own errors say
more.

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

from weighhouse.errors import BadOptions, MissingLibrary, TooFewObservations
from weighhouse.forecasting import adjustment, boosted, intervals, together
from weighhouse.forecasting.contract import (
    Fit,
    Floats,
    Forecast,
    Learnt,
    Parameters,
    Regressors,
    Result,
    Series,
)
from weighhouse.forecasting.pooled import continue_pooled, project_pooled
from weighhouse.forecasting.recipe import (
    RECIPES,
    Recipe,
    forecast_recipe,
    seasons_of,
    update_recipe,
)
from weighhouse.forecasting.rolling import Rolled, cuts, note, roll, too_few
from weighhouse.forecasting.together import Group

__all__ = [
    "CAN_UPDATE",
    "CONTINUES",
    "FORMAT",
    "LEARNS",
    "MINIMUM",
    "NAME",
    "NOTHING",
    "USES_REGRESSORS",
    "check_options",
    "fit",
    "forecast",
    "learn",
    "update",
]

NAME = "auto"
# Forms before are read as they are: 1 has no member that was learnt from other series, that of 2 is
# linear (`pooled`).
FORMAT = 3
MINIMUM = 1
CAN_UPDATE = True
LEARNS = True
CONTINUES = False
USES_REGRESSORS = False

DEFAULTS: dict[str, Any] = {
    "methods": list(RECIPES),
    "origins": 4,
    "sharpness": 2.0,
    "learn": "auto",
}
# What is learnt from the other series is a method of this name; before, of that one.
TOGETHER = "boosting"
POOLED = "pooled"
# Series with the same seasons that are enough to learn from, and as many as are learnt from.
ENOUGH, ASKED, MOST = 30, 2, 1000
# Of them so many at most, and so many latest origins of each, decide whether it takes part.
JUDGES, JUDGED = 100, 2
# Shorter beginnings of a series teach nothing.
SHORTEST = 5
# As so many methods counts the one that others' series support.
TOGETHER_COUNTS = 2.0
NOTHING = Learnt(header={"learnt": False}, label="nothing learnt from other series")
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
        20: 0 weighs all alike, a great one chooses the best (2); learn: whether one more method is
        learnt from all series together, true, false or "auto": where 30 have the same seasons and
        their withheld steps are forecast no worse with it.
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
    if given["learn"] != "auto" and not isinstance(given["learn"], bool):
        raise BadOptions('learn is not true, false or "auto"', hint='Leave it out for "auto".')
    return {
        "methods": list(methods),
        "origins": origins,
        "sharpness": float(sharpness),
        "learn": given["learn"],
    }


def learn(
    collection: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None = None,
) -> Learnt:
    """Learn one method from all series; see `contract.LearningKind.learn`.

    Series with the same seasons learn together, at most 1000 of them, evenly spaced: a method for
    the end of the series, and one for an earlier origin from what was known then. Where nobody
    asked for it (option learn "auto") and they are worse for it, or the server lacks LightGBM,
    nothing is kept, and the label says why.

    Returns
    -------
    Learnt
        header: learnt (bool), groups: seasons, series, and of `together.Group.dump`, whose arrays
        carry the number of the group.

    Raises
    ------
    TooFewObservations
        It was asked for, and no two series have the same seasons.
    MissingLibrary
        It was asked for, and the server lacks LightGBM.
    """
    given = check_options(options)
    if given["learn"] is False:
        return NOTHING
    groups: dict[tuple[int, ...], list[Series]] = {}
    for series in collection:
        if len(series.values) >= SHORTEST:
            groups.setdefault(tuple(series.seasons), []).append(series)
    asked = given["learn"] is True
    enough = ASKED if asked else ENOUGH
    header: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    labels: list[str] = []
    refused = False
    for seasons, alike in sorted(groups.items()):
        if len(alike) < enough:
            continue
        batch = _spaced(alike, MOST)
        origins = [_origins(series, horizon, given["origins"]) for series in batch]
        try:
            group = together.learn_group(
                batch, [[cut for cut, _ in own] for own in origins], horizon, enough, check
            )
        except MissingLibrary as error:
            if asked:
                raise
            return replace(NOTHING, label=f"nothing learnt from other series: {error}")
        if group is None:
            continue
        if asked or _helps(_spaced(alike, JUDGES), group, horizon, given, check):
            facts, own_arrays = group.dump(len(header))
            arrays |= own_arrays
            header.append({"seasons": list(seasons), "series": len(batch), **facts})
            labels.append(f"{group.now.count} trees of {len(batch)} series")
        else:
            refused = True
    if not header:
        if refused:
            return replace(NOTHING, label="what the series have in common forecasts them worse")
        if asked:
            raise TooFewObservations(
                "no two series with the same seasons to learn from",
                hint='Leave the option learn out, or give "auto".',
            )
        return NOTHING
    return Learnt({"learnt": True, "groups": header}, arrays, None, ", ".join(labels))


def _spaced(series: list[Series], most: int) -> list[Series]:
    """Take so many at most, evenly spaced."""
    if len(series) <= most:
        return series
    return [series[i] for i in np.linspace(0, len(series) - 1, most).astype(int)]


def _helps(
    batch: Sequence[Series],
    group: Group,
    horizon: int,
    given: Mapping[str, Any],
    check: Callable[[], None],
) -> bool:
    """Say whether what was learnt from all series takes part: not where they are worse for it.

    Forecasts from the latest earlier origins, their weights from the errors of the origins before
    those: with it and without. Worse is a mean loss of more than its standard error, in mean
    changes of each series. (Weighed by its own errors it seldom does harm, and a hundred series
    are sure of little: of competitions' series, a mean gain as the rule lost half of what there is
    to gain.)
    """
    methods = [_methods(series, given["methods"]) for series in batch]
    recipes = [list(own.values()) for own in methods]
    origins = [_origins(series, horizon, given["origins"]) for series in batch]
    before = group.look_back(batch, origins, check)
    gains = []
    for series, own, back, rolled in zip(
        batch,
        methods,
        before,
        roll(batch, recipes, horizon, given["origins"], check),
        strict=True,
    ):
        check()
        change = float(np.mean(np.abs(np.diff(series.values))))
        # Weights of the earliest origin there is would come from no errors.
        judged = min(JUDGED, sum(bool(np.isfinite(mean).all()) for mean in back) - 1)
        if judged < 1 or change <= 0.0:
            continue
        names = list(own)
        joined = _join(series, rolled, group, back)
        away = np.array(
            [
                [
                    _away(series, rolled, names, given["sharpness"], i),
                    _away(series, joined, [*names, TOGETHER], given["sharpness"], i),
                ]
                for i in range(judged)
            ]
        )
        without, with_it = np.mean(away, axis=0)
        gains.append((without - with_it) / change)
    if len(gains) < ENOUGH:
        return False
    return bool(np.mean(gains) > -np.std(gains) / np.sqrt(len(gains)))


def _away(series: Series, rolled: Rolled, names: list[str], sharpness: float, i: int) -> float:
    """Give the mean absolute error from an earlier origin, with weights from those before it."""
    before = replace(rolled, forecasts=rolled.forecasts[i + 1 :], actual=rolled.actual[i + 1 :])
    mean = _mean(_weigh(series, before, names, sharpness), rolled.forecasts[i])
    return float(np.mean(np.abs(rolled.actual[i] - mean)))


def _origins(series: Series, horizon: int, origins: int) -> list[tuple[int, int]]:
    return cuts(len(series.values), horizon, origins)


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
    learnt: Learnt = NOTHING,
) -> list[Result]:
    """Fit a combination to each series; see `contract.LearningKind.fit`."""
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
    groups = _groups([batch[i] for i in there], learnt if given["learn"] else NOTHING)
    backs: list[list[Floats]] = [[] for _ in there]
    for group, own_places in groups:
        alike = [batch[there[k]] for k in own_places]
        origins = [_origins(series, horizon, given["origins"]) for series in alike]
        for k, back in zip(own_places, group.look_back(alike, origins, check), strict=True):
            backs[k] = back
    group_of = {k: group for group, own_places in groups for k in own_places}
    for k, (i, own, each) in enumerate(zip(there, methods, rolled, strict=True)):
        names = list(own)
        if k in group_of:
            each = _join(batch[i], each, group_of[k], backs[k])
            names.append(TOGETHER)
        results[i] = _combine(batch[i], names, each, given["sharpness"])
    return results


def _groups(batch: Sequence[Series], learnt: Learnt) -> list[tuple[Group, list[int]]]:
    """Find what series can take from what was learnt: each group with the places of its series."""
    places: dict[tuple[int, ...], list[int]] = {}
    for k, series in enumerate(batch):
        if len(series.values) >= together.MINIMUM:
            places.setdefault(tuple(series.seasons), []).append(k)
    found = ((Group.find(learnt, seasons), own) for seasons, own in places.items())
    return [(group, own) for group, own in found if group is not None]


def _join(series: Series, rolled: Rolled, group: Group, back: Sequence[Floats]) -> Rolled:
    """Add the method learnt from all series, with its forecasts from earlier origins.

    Its spread is not measured: on what they learnt from trees err too little.
    """
    forecasts = [
        np.vstack([others, own]) for others, own in zip(rolled.forecasts, back, strict=True)
    ]
    return Rolled([*rolled.parameters, group.keep(series)], forecasts, rolled.actual)


def _weigh(series: Series, rolled: Rolled, names: Sequence[str], sharpness: float) -> Floats:
    """Weigh methods by their errors from earlier origins; all alike where there are none.

    A method that did not forecast from some of them erred there as much, beside the median of the
    others, as it did elsewhere.
    """
    counts = np.array([TOGETHER_COUNTS if name == TOGETHER else 1.0 for name in names])
    weights = counts
    if rolled.forecasts:
        each = np.stack(
            [
                np.mean(np.abs(mean - y), axis=1)
                for mean, y in zip(rolled.forecasts, rolled.actual, strict=True)
            ]
        )
        # Relative to the series, so that exact methods share rather than divide by zero.
        tiny = 1e-9 * float(np.mean(np.abs(series.values)))
        known = np.isfinite(each)
        whole = known.all(axis=0)
        errors = np.mean(each, axis=0) + tiny
        for k in np.flatnonzero(~whole):
            usual = float(np.median(errors[whole]))
            there = known[:, k]
            if there.any() and usual > 0.0:
                beside = float(np.median(np.mean(each[there][:, whole], axis=0) + tiny))
                usual *= (float(np.mean(each[there, k])) + tiny) / beside
            errors[k] = usual
        least = float(np.min(errors))
        if least > 0.0:
            weights = counts * (least / errors) ** sharpness
    weights[weights < LEAST_WEIGHT * np.max(weights)] = 0.0
    return np.asarray(weights / np.sum(weights))


def _mean(weights: Floats, forecasts: Floats) -> Floats:
    """Combine forecasts, shape (methods, steps), leaving out those that are not there."""
    known = np.isfinite(forecasts[:, 0])
    if known.all():
        return weights @ forecasts
    weights = np.where(known, weights, 0.0)
    total = float(np.sum(weights))
    weights = weights / total if total > 0.0 else known / np.count_nonzero(known)
    return np.asarray(weights[known] @ forecasts[known])


def _combine(series: Series, names: list[str], rolled: Rolled, sharpness: float) -> Fit:
    weights = _weigh(series, rolled, names, sharpness)
    means = [_mean(weights, mean) for mean in rolled.forecasts]
    past = [y - mean for mean, y in zip(means, rolled.actual, strict=True)]
    # That of the others counts for the one whose own is not measured.
    own = np.array([name != TOGETHER for name in names])
    shares = weights * own if np.any(weights[own]) else own.astype(float)
    spreads = [p["spread"] if at else 0.0 for p, at in zip(rolled.parameters, own, strict=True)]
    spread = float(shares @ np.array(spreads)) / float(np.sum(shares))
    members = [
        {"method": name, "weight": float(weight), "parameters": own}
        for name, weight, own in zip(names, weights, rolled.parameters, strict=True)
        if weight > 0.0
    ]
    largest = sorted(zip(weights.tolist(), names, strict=True), key=lambda pair: -pair[0])
    label = ", ".join(f"{name} {100 * weight:.0f} %" for weight, name in largest[:3] if weight > 0)
    if len(members) > 3:
        label += f", {len(members) - 3} more"
    measured = intervals.measure(series.values, past, spread, means=means)
    parameters: Parameters = {"members": members, "intervals": measured}
    if TOGETHER in names:
        # Where what was learnt is looked up.
        parameters["seasons"] = list(series.seasons)
    return Fit(parameters, label, note(series))


def forecast(
    parameters: Parameters, horizon: int, levels: Sequence[float], learnt: Learnt = NOTHING
) -> Forecast:
    """Forecast; see `contract.LearningKind.forecast`."""
    mean = np.zeros(horizon)
    for member in parameters["members"]:
        if member["method"] in (TOGETHER, POOLED):
            own = _learnt_forecast(member, parameters["seasons"], horizon, learnt)
        else:
            own = forecast_recipe(member["parameters"], horizon)
        mean = mean + member["weight"] * own
    return intervals.surround(mean, parameters["intervals"], levels)


def _learnt_forecast(
    member: Parameters, seasons: Sequence[int], horizon: int, learnt: Learnt
) -> Floats:
    """Forecast by what was learnt from all series."""
    if member["method"] == TOGETHER:
        group = Group.find(learnt, seasons)
        if group is not None:
            return group.forecast(member["parameters"], horizon)
    else:
        for number, facts in enumerate(learnt.header.get("groups", ())):
            if facts["seasons"] == list(seasons) and f"{POOLED}_{number}" in learnt.arrays:
                stages = learnt.arrays[f"{POOLED}_{number}"]
                return project_pooled(member["parameters"], stages[0], horizon)
    raise BadOptions(
        "what was learnt from the other series is not there", hint="Fit the model again."
    )


def update(
    parameters: Parameters, values: Floats, regressors: Regressors | None = None
) -> Parameters:
    """Take in the next observations with weights held fixed; see `contract.Kind.update`."""
    members = []
    for member in parameters["members"]:
        if member["method"] == TOGETHER:
            own = boosted.update(member["parameters"], values)
        elif member["method"] == POOLED:
            own = continue_pooled(member["parameters"], values)
        else:
            own = update_recipe(member["parameters"], values)
        members.append(member | {"parameters": own})
    return parameters | {
        "members": members,
        "intervals": intervals.extend(parameters["intervals"], values),
    }
