"""Exponential smoothing (error, trend, season), chosen by the corrected Akaike criterion.

References
----------
Hyndman, Koehler, Snyder, Grose (2002), A state space framework for automatic forecasting using
exponential smoothing methods, International Journal of Forecasting 18.
Hyndman, Koehler, Ord, Snyder (2008), Forecasting with Exponential Smoothing, ch. 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from weighhouse.errors import BadOptions, WeighhouseError
from weighhouse.forecasting import adjustment, intervals, smoothing
from weighhouse.forecasting.contract import Fit, Floats, Forecast, Parameters, Result, Series
from weighhouse.forecasting.ets_search import LEAST, Row, State, filter_row, search
from weighhouse.forecasting.rolling import complete, note, too_few

__all__ = ["CAN_UPDATE", "FORMAT", "MINIMUM", "NAME", "check_options", "fit", "forecast", "update"]

NAME = "ets"
FORMAT = 2
MINIMUM = 4
CAN_UPDATE = True

OPTIONS: dict[str, tuple[Any, ...]] = {
    "error": ("auto", "additive", "multiplicative"),
    "trend": ("auto", "none", "additive", "damped"),
    "season": ("auto", "none", "additive", "multiplicative"),
}
FAMILIES = {"none": "simple", "additive": "holt", "damped": "damped"}
LETTERS = {"none": "N", "additive": "A", "damped": "Ad", "multiplicative": "M"}
# A season of more states is better decomposed.
LONGEST = 24
# Older observations are forgotten by now.
MEMORY = 1000
# Earlier origins from which errors are measured.
ORIGINS = 5
# As many numbers as a part of a batch may have.
CHUNK = 60_000


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        error: "auto", "additive" or "multiplicative"; trend: "auto", "none", "additive" or
        "damped"; season: "auto", "none", "additive" or "multiplicative". "auto" tries all.
    """
    given = complete(NAME, options, OPTIONS)
    if given["error"] == "additive" and given["season"] == "multiplicative":
        raise BadOptions(
            "an additive error does not go with a multiplicative season",
            detail="Its variance is not finite.",
            hint="Leave the error out, or take a multiplicative one.",
        )
    return given


def _models(
    options: Mapping[str, Any], positive: bool, seasonal: bool, n: int
) -> list[tuple[str, str, str]]:
    """List the models (error, trend, season) that are tried."""

    def choices(name: str) -> list[str]:
        return [x for x in OPTIONS[name][1:] if options[name] in ("auto", x)]

    found: list[tuple[str, str, str]] = []
    for season in choices("season"):
        if season != "none" and not seasonal:
            continue
        for error in choices("error"):
            if not positive and "multiplicative" in (error, season):
                continue
            # Relative errors about an additive season are tried only when asked for.
            mixed = (error == "multiplicative", season)
            asked = options["error"] != "auto" and options["season"] != "auto"
            if mixed == (False, "multiplicative") or (mixed == (True, "additive") and not asked):
                continue
            found.extend((error, trend, season) for trend in choices("trend"))
    return found


def _size(model: tuple[str, str, str], period: int) -> int:
    """Count the parameters: weights, first states, and the variance."""
    _, trend, season = model
    size = 3 + {"none": 0, "additive": 2, "damped": 3}[trend]
    return size + (period if season != "none" else 0)


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Choose and fit a model for each series; see `contract.Kind.fit`."""
    given = check_options(options)
    results: list[Result] = []
    part: list[Series] = []
    size = 0
    for i, series in enumerate(batch):
        part.append(series)
        size += len(series.values)
        if size >= CHUNK or i == len(batch) - 1:
            results += _fit_part(part, horizon, given, check)
            part, size = [], 0
    return results


def _fit_part(
    batch: Sequence[Series],
    horizon: int,
    given: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    results: list[Result] = [too_few(len(series.values), MINIMUM) for series in batch]
    rows: list[Row] = []
    owners: list[tuple[int, tuple[str, str, str]]] = []
    for i, models, started in _starts(batch, given, results, check):
        rows += started
        owners += [(i, model) for model in models]
    found = search(rows, check)
    best: dict[int, tuple[float, tuple[str, str, str], Row]] = {}
    for (i, model), row in zip(owners, found, strict=True):
        n, size = len(row.values), _size(model, len(row.figure))
        spare = n - size - 1
        # Where no model has observations to spare, the one with the fewest parameters is taken.
        score = row.loss + 2.0 * size * (1.0 + (size + 1) / spare) if spare > 0 else 1e9 + size
        if i not in best or score < best[i][0]:
            best[i] = (score, model, row)
    for i, (_, model, row) in best.items():
        check()
        results[i] = _finish(batch[i], horizon, model, row)
    return results


def _scaled(series: Series) -> tuple[float, Floats]:
    values = series.values[-MEMORY:]
    size = float(np.mean(np.abs(values)))
    size = size if size > 0.0 else 1.0
    return size, values / size


def _starts(
    batch: Sequence[Series],
    given: Mapping[str, Any],
    results: list[Result],
    check: Callable[[], None],
) -> list[tuple[int, list[tuple[str, str, str]], list[Row]]]:
    """Start each model from the smoothing of the series without its season."""
    plans: list[tuple[int, list[tuple[str, str, str]], int]] = []
    tasks: dict[tuple[int, str], tuple[Floats, Floats]] = {}
    for i, series in enumerate(batch):
        n = len(series.values)
        if n < MINIMUM:
            continue
        _, y = _scaled(series)
        period = next((m for m in series.seasons if m <= LONGEST and len(y) >= 2 * m), 0)
        positive = adjustment.may_log(series.values)
        models = _models(given, positive, period > 0, n)
        # A fixed season on a series without one leaves nothing to try: take it without.
        models = models or _models(dict(given) | {"season": "none"}, positive, False, n)
        if not models:
            results[i] = _unfit()
            continue
        plans.append((i, models, period))
        for season in {model[2] for model in models}:
            figure = np.zeros(0)
            rest = y
            if season != "none":
                multiplicative = season == "multiplicative"
                figure = adjustment.classical_figure(y, period, multiplicative)
                if multiplicative:
                    figure = np.maximum(figure, LEAST)
                course = figure[np.arange(len(y)) % period]
                rest = y / course if multiplicative else y - course
            tasks[i, season] = (rest, figure)
    if not plans:
        return []
    keys = list(tasks)
    families = sorted({FAMILIES[model[1]] for _, models, _ in plans for model in models})
    smoothed = dict(
        zip(
            keys,
            smoothing.fit_families([tasks[key][0] for key in keys], families, check),
            strict=True,
        )
    )
    started = []
    for i, models, _ in plans:
        _, y = _scaled(batch[i])
        rows = []
        tried: list[tuple[str, str, str]] = []
        for model in models:
            error, trend, season = model
            first = smoothed[i, season][FAMILIES[trend]]
            alpha, beta, phi = [*first.weights, *(0.0, 1.0)[len(first.weights) - 1 :]][:3]
            row = Row(
                y,
                season,
                error == "multiplicative",
                trend,
                alpha,
                beta,
                0.05 * (1.0 - alpha),
                phi,
                *first.start,
                tasks[i, season][1],
            )
            rows.append(row)
            if season != "none":
                # A season that changes and a level that hardly does: another hill to climb.
                rows.append(replace(row, alpha=0.1, beta=0.01, gamma=0.2))
            tried += [model] * (len(rows) - len(tried))
        started.append((i, tried, rows))
    return started


def _unfit() -> WeighhouseError:
    return BadOptions(
        "a multiplicative error or season needs values well above zero",
        hint="Leave error and season out, or take additive ones.",
    )


def _finish(series: Series, horizon: int, model: tuple[str, str, str], row: Row) -> Fit:
    """Filter once more, in the unit of the series, and measure errors from earlier origins."""
    size, _ = _scaled(series)
    values = series.values[-MEMORY:]
    n = len(values)
    multiplicative = row.season == "multiplicative"
    figure = row.figure if multiplicative else row.figure * size
    start = State(row.level * size, row.slope * size, figure.tolist())
    weights = (row.alpha, row.beta, row.gamma, row.phi)
    least = LEAST * size
    steps = min(horizon, max(n // 4, 1))
    past, ahead = [], []
    state, before, expected = start, 0, []
    for origin in [n - steps * i for i in range(ORIGINS, 0, -1) if n - steps * i >= 2]:
        state, means = filter_row(
            state, weights, multiplicative, values[before:origin].tolist(), least
        )
        expected += means
        before = origin
        mean = _project(state, row.phi, multiplicative, steps)
        past.append(values[origin : origin + steps] - mean)
        ahead.append(mean)
    state, means = filter_row(state, weights, multiplicative, values[before:].tolist(), least)
    errors = values - np.array([*expected, *means])
    freedom = max(n - _size(model, len(row.figure)), n // 2)
    spread = math.sqrt(float(errors @ errors) / freedom)
    error, trend, season = model
    parameters = {
        "error": error,
        "trend": trend,
        "season": season,
        "weights": dict(zip(("alpha", "beta", "gamma", "phi"), weights, strict=True)),
        "start": _dump(start),
        "state": _dump(state),
        "least": least,
        "residual_spread": spread,
        "count": n,
        "intervals": intervals.measure(series.values, past, spread, means=ahead, fitted=True),
    }
    label = f"ETS({LETTERS[error]},{LETTERS[trend]},{LETTERS[season]})"
    if season != "none":
        label += f"[{len(row.figure)}]"
    words = note(series)
    if words is None and any(m > LONGEST for m in series.seasons):
        words = (
            f"seasons of more than {LONGEST} steps are left out: the kind decomposition has them"
        )
    return Fit(parameters, label, words)


def _dump(state: State) -> dict[str, Any]:
    return {"level": state.level, "slope": state.slope, "season": list(state.figure)}


def _load(stored: Mapping[str, Any]) -> State:
    return State(stored["level"], stored["slope"], list(stored["season"]))


def _project(state: State, phi: float, multiplicative: bool, horizon: int) -> Floats:
    """Give the expected values of the steps ahead."""
    damping = np.cumsum(phi ** np.arange(1.0, horizon + 1))
    mean = state.level + state.slope * damping
    if state.figure:
        course = np.array(state.figure)[np.arange(horizon) % len(state.figure)]
        mean = mean * course if multiplicative else mean + course
    return np.asarray(mean)


def forecast(parameters: Parameters, horizon: int, levels: Sequence[float]) -> Forecast:
    """Forecast; see `contract.Kind.forecast`."""
    mean = _project(
        _load(parameters["state"]),
        parameters["weights"]["phi"],
        parameters["season"] == "multiplicative",
        horizon,
    )
    return intervals.surround(mean, parameters["intervals"], levels)


def update(parameters: Parameters, values: Floats) -> Parameters:
    """Take in the next observations with the weights held fixed; see `contract.Kind.update`."""
    weights = parameters["weights"]
    state, _ = filter_row(
        _load(parameters["state"]),
        [weights[name] for name in ("alpha", "beta", "gamma", "phi")],
        parameters["season"] == "multiplicative",
        values.tolist(),
        parameters["least"],
    )
    return parameters | {
        "state": _dump(state),
        "count": parameters["count"] + len(values),
        "intervals": intervals.extend(parameters["intervals"], values),
    }
