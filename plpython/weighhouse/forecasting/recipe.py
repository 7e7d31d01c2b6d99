"""A recipe: how a series is adjusted, and which linear filter forecasts the rest.

The simple methods of this package, and what `auto` combines, are recipes. Fitting many recipes to
many series, or to one series cut at several origins, is one batch: their searches share the passes
through time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weighhouse.forecasting import adjustment, autoregression, smoothing, theta_lines
from weighhouse.forecasting.contract import Floats, Parameters, Series

__all__ = [
    "RECIPES",
    "Recipe",
    "fit_recipes",
    "forecast_recipe",
    "margin",
    "seasons_of",
    "update_recipe",
]

# Smoothing has forgotten what is older; an autoregression has not.
MEMORY = 600
# Fewer observations than this, and a filter has more weights than it can tell.
LEAST = {"simple": 3, "drift": 4, "holt": 6, "damped": 7, "complex": 8, "theta": 4, "lags": 12}


# Penalties of an autoregression on changes and on levels, in observations.
RIDGE_CHANGES, RIDGE_LEVELS = 5.0, 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to forecast.

    Attributes
    ----------
    core : str
        A family of `smoothing`, "theta", "lags" (autoregression), "last" (value), "repeat" (the
        last season) or "line" (random walk with drift).
    log : bool
        Take logarithms where the series allows it.
    season : {"none", "fixed", "changing"}
    window : int
        Seasons over which a changing season is smoothed.
    differenced, drift : bool
        Of "lags".
    lags : {"usual", "many", "seasons"}
        Of "lags", with several seasons: see `autoregression.lags_for`.
    dynamic : bool
        Of "theta".
    share : float or None
        Of "theta": 1 - 1 / theta, None: the best.
    """

    core: str
    log: bool = False
    season: str = "fixed"
    window: int = 11
    differenced: bool = True
    drift: bool = False
    lags: str = "usual"
    dynamic: bool = True
    share: float | None = None


RECIPES: dict[str, Recipe] = {
    "naive": Recipe("last", season="none"),
    "theta": Recipe("theta"),
    "drift": Recipe("drift"),
    "damped": Recipe("damped"),
    "log_damped": Recipe("damped", log=True),
    "stable_season": Recipe("damped", log=True, season="changing", window=15),
    "changing_season": Recipe("theta", log=True, season="changing", window=7),
    "changes": Recipe("lags", log=True, season="none"),
    "changes_drift": Recipe("lags", log=True, season="none", drift=True),
    "levels": Recipe("lags", log=True, season="none", differenced=False),
    "levels_raw": Recipe("lags", season="none", differenced=False),
    "levels_many": Recipe("lags", log=True, season="none", differenced=False, lags="many"),
    "levels_seasons": Recipe("lags", log=True, season="none", differenced=False, lags="seasons"),
    "levels_rest": Recipe("lags", log=True, season="changing", window=15, differenced=False),
    "last_season": Recipe("repeat", season="none"),
}


def seasons_of(series: Series) -> tuple[int, ...]:
    """Give the seasons a series is long enough for and shows."""
    there = [
        m
        for m in series.seasons
        if len(series.values) >= (2 * m if m <= adjustment.LONGEST_FIXED else 5 * m // 2)
    ]
    if len(there) == 1 and there[0] <= adjustment.LONGEST_FIXED:
        return tuple(m for m in there if adjustment.is_seasonal(series.values, m))
    return tuple(there)


@dataclass(slots=True)
class _Ready:
    """A series adjusted, once for all recipes that adjust it alike."""

    series: Series
    seasons: tuple[int, ...]
    adjusted: adjustment.Adjustment
    rest: Floats
    low: float
    high: float


@dataclass(slots=True)
class _Job:
    recipe: Recipe
    ready: _Ready
    core: dict[str, Any] | None


class _Shelf:
    """What was found of the series of a batch and may be used again."""

    def __init__(self) -> None:
        self.looks: dict[int, tuple[tuple[int, ...], bool]] = {}
        self.ready: dict[tuple[int, bool, str, int], _Ready] = {}

    def get(self, series: Series, recipe: Recipe) -> _Ready:
        """Adjust a series for a recipe, or take it as it was adjusted for another."""
        if id(series) not in self.looks:
            self.looks[id(series)] = seasons_of(series), adjustment.may_log(series.values)
        seasons, log = self.looks[id(series)]
        log = log and recipe.log
        method = recipe.season if seasons else "none"
        window = recipe.window if method != "none" else 0
        key = (id(series), log, method, window)
        if key not in self.ready:
            taken = seasons if method != "none" else ()
            adjusted, rest = adjustment.adjust(
                series.values, taken, log=log, method=method, window=window
            )
            self.ready[key] = _Ready(
                series, seasons, adjusted, rest, float(rest.min()), float(rest.max())
            )
        return self.ready[key]


def _direct(recipe: Recipe, ready: _Ready) -> dict[str, Any] | None:
    """Fit a core that needs no search; None for one that does."""
    rest = ready.rest
    if recipe.core == "line":
        return _lags(autoregression.random_walk(rest))
    if recipe.core in ("last", "repeat"):
        # Where a season is asked for but not shown, the last one is repeated all the same.
        lags = [m for m in ready.series.seasons if m <= len(rest)]
        if recipe.core == "last" or not lags:
            lags = [1]
        # A window of one season asks for the shortest.
        return _lags(autoregression.repeat_lag(rest, lags[0] if recipe.window == 1 else lags[-1]))
    if len(rest) < LEAST[recipe.core]:
        return _lags(autoregression.repeat_lag(rest, 1))
    if recipe.core == "lags":
        lagged = autoregression.fit_lags(
            rest,
            autoregression.lags_for(len(rest), ready.seasons, recipe.lags),
            # Without a season to hold them, levels wander.
            differenced=recipe.differenced or not ready.seasons,
            drift=recipe.drift,
            ridge=RIDGE_CHANGES if recipe.differenced else RIDGE_LEVELS,
        )
        return _lags(lagged or autoregression.repeat_lag(rest, 1))
    return None


def _lags(lagged: autoregression.Lagged) -> dict[str, Any]:
    return {
        "core": "lags",
        "lags": list(lagged.lags),
        "coefficients": list(lagged.coefficients),
        "constant": lagged.constant,
        "differenced": lagged.differenced,
        "past": list(lagged.past),
        "spread": lagged.spread,
    }


def _dump_lines(lines: theta_lines.Lines) -> dict[str, Any]:
    return {"core": "theta"} | {name: getattr(lines, name) for name in theta_lines.Lines.__slots__}


def fit_recipes(
    tasks: Sequence[tuple[Series, Recipe]], check: Callable[[], None]
) -> list[Parameters]:
    """Fit recipes to series.

    Parameters
    ----------
    tasks : sequence of (Series, Recipe)
        The same series may come several times; each at least one value long.
    check : callable
        Called often.

    Returns
    -------
    list of dict
        Parameters, JSON only: "count" observations taken in, "adjustment", "core", and "bounds",
        outside which an adjusted forecast does not go.
    """
    shelf = _Shelf()
    jobs = []
    for series, recipe in tasks:
        check()
        ready = shelf.get(series, recipe)
        jobs.append(_Job(recipe, ready, _direct(recipe, ready)))
    waiting: dict[tuple[str, bool, float | None], list[_Job]] = {}
    for job in jobs:
        if job.core is None:
            waiting.setdefault((job.recipe.core, job.recipe.dynamic, job.recipe.share), []).append(
                job
            )
    for (core, dynamic, share), members in waiting.items():
        rests = [job.ready.rest[-MEMORY:] for job in members]
        if core == "theta":
            for job, lines in zip(
                members, theta_lines.fit_lines(rests, dynamic, share, check), strict=True
            ):
                job.core = _dump_lines(lines)
        else:
            for job, found in zip(
                members, smoothing.fit_families(rests, [core], check), strict=True
            ):
                smoothed = found[core]
                job.core = {
                    "core": core,
                    "weights": list(smoothed.weights),
                    "start": list(smoothed.start),
                    "state": list(smoothed.state),
                    "spread": float(
                        np.sqrt(
                            smoothed.loss
                            / max(len(job.ready.rest[-MEMORY:]) - len(smoothed.weights) - 1, 1)
                        )
                    ),
                }
    return [_dump(job) for job in jobs]


def _dump(job: _Job) -> Parameters:
    ready, core = job.ready, job.core
    assert core is not None
    level = ready.adjusted.scale
    if ready.adjusted.log:
        # A logarithm's error is a share of the level.
        level = float(np.abs(ready.series.values[-12:]).mean())
    away = margin(ready.low, ready.high, log=ready.adjusted.log)
    return {
        "count": len(ready.rest),
        "adjustment": ready.adjusted.dump(),
        "bounds": [ready.low - away, ready.high + away],
        "core": core,
        "spread": float(core["spread"]) * level,
    }


def margin(low: float, high: float, *, log: bool) -> float:
    """Say how far outside what was seen a forecast may go: an explosion, not a trend."""
    return min(max(2.0 * (high - low), 0.5), 3.0) if log else 3.0 * (high - low)


def _lagged(core: dict[str, Any]) -> autoregression.Lagged:
    return autoregression.Lagged(
        tuple(core["lags"]),
        tuple(core["coefficients"]),
        core["constant"],
        core["differenced"],
        tuple(core["past"]),
        core["spread"],
    )


def _lines(core: dict[str, Any]) -> theta_lines.Lines:
    return theta_lines.Lines(**{key: value for key, value in core.items() if key != "core"})


def forecast_recipe(parameters: Parameters, horizon: int) -> Floats:
    """Give the expected values of the steps ahead, shape (horizon,)."""
    core, (low, high) = parameters["core"], parameters["bounds"]
    if core["core"] == "lags":
        mean = autoregression.project_lags(_lagged(core), horizon, low, high)
    elif core["core"] == "theta":
        mean = theta_lines.project_lines(_lines(core), horizon)
    else:
        mean = smoothing.project(core["core"], core["weights"], core["state"], horizon)
    adjusted = adjustment.Adjustment.load(parameters["adjustment"])
    return adjustment.readjust(adjusted, np.clip(mean, low, high), parameters["count"])


def update_recipe(parameters: Parameters, values: Floats) -> Parameters:
    """Take in the next observations with weights and figures held fixed."""
    core, (low, high) = parameters["core"], parameters["bounds"]
    adjusted = adjustment.Adjustment.load(parameters["adjustment"])
    rest = adjusted.apply(values, parameters["count"], low)
    if core["core"] == "lags":
        new = _lags(autoregression.continue_lags(_lagged(core), rest))
    elif core["core"] == "theta":
        new = _dump_lines(theta_lines.continue_lines(_lines(core), rest))
    else:
        state, _ = smoothing.continue_filter(core["core"], core["weights"], core["state"], rest)
        new = core | {"state": list(state)}
    bounds = [low, high]
    if len(rest):
        bounds = [min(low, float(np.min(rest))), max(high, float(np.max(rest)))]
    return parameters | {
        "count": parameters["count"] + len(values),
        "bounds": bounds,
        "core": new,
    }
