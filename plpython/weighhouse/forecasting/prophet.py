"""Prophet: a trend that bends, seasons as Fourier terms, holidays and regressors.

The library prepares the data and its compiled model is fitted in a child process; what is stored is
the parameters alone, and forecasts are made from them with numpy. The child is our own rather than
the library's, so that a cancelled statement ends it at once and no file stays.

References
----------
Taylor, Letham (2018), Forecasting at scale, The American Statistician 72.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions, NotConverged, WeighhouseError
from weighhouse.forecasting.contract import (
    Calendar,
    Fit,
    Floats,
    Forecast,
    Parameters,
    Regressors,
    Result,
    Series,
)
from weighhouse.forecasting.lags import require_ahead
from weighhouse.forecasting.rolling import too_few

__all__ = [
    "CAN_UPDATE",
    "FORMAT",
    "MINIMUM",
    "NAME",
    "USES_REGRESSORS",
    "check_options",
    "fit",
    "forecast",
    "update",
]

NAME = "prophet"
FORMAT = 1
MINIMUM = 6
CAN_UPDATE = False
USES_REGRESSORS: Literal[True] = True

CHOICES: dict[str, tuple[str, ...]] = {
    "growth": ("linear", "flat"),
    "seasonality_mode": ("additive", "multiplicative"),
}
NUMBERS: dict[str, tuple[float, float, float]] = {
    "changepoint_prior_scale": (0.05, 1e-6, 1000.0),
    "seasonality_prior_scale": (10.0, 1e-6, 1000.0),
    "holidays_prior_scale": (10.0, 1e-6, 1000.0),
    "changepoint_range": (0.8, 0.01, 1.0),
    "n_changepoints": (25, 0, 1000),
}
# Days of a season, and the pairs of Fourier terms Prophet gives it.
SEASONS = {"yearly": (365.25, 10), "weekly": (7.0, 3), "daily": (1.0, 4)}
# A season as long as one of these, within this share, is that one.
ALIKE = 0.05
# Pairs of Fourier terms of another season, at most.
TERMS = 5
DAY = 86_400.0
HOLIDAY = "holiday: "
# Seconds between two looks for interrupts.
LOOK = 0.05
ITERATIONS = 10_000
# Newton's method, for so few observations.
FEW = 100
DRAWS = 1000
# Draws are made for so many steps at a time: the first steps do not depend on the horizon.
BLOCK = 64
SEED = 20_262


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options, which are Prophet's own.

    Parameters
    ----------
    options : mapping
        growth: "linear" or "flat". seasonality_mode: "additive" or "multiplicative".
        changepoint_prior_scale (0.05), seasonality_prior_scale, holidays_prior_scale (10): above 0,
        more is more supple. n_changepoints (25), changepoint_range (0.8): how many bends the trend
        may have, in which first share of the history. yearly_seasonality, weekly_seasonality,
        daily_seasonality: "auto" (two such seasons are there, and steps are shorter), true, false
        or the number of pairs of Fourier terms, to 100.
    """
    defaults: dict[str, Any] = {name: values[0] for name, values in CHOICES.items()}
    defaults |= {name: values[0] for name, values in NUMBERS.items()}
    defaults |= {f"{name}_seasonality": "auto" for name in SEASONS}
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of {NAME}", hint=f"Known are {', '.join(defaults)}."
        )
    given = defaults | dict(options)
    for name, value in given.items():
        hint = None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name in CHOICES:
            if value not in CHOICES[name]:
                hint = f"Choose from {', '.join(CHOICES[name])}."
        elif name in NUMBERS:
            _, least, most = NUMBERS[name]
            whole = name == "n_changepoints"
            if not (number and least <= value <= most and (not whole or value == int(value))):
                kind = "whole number" if whole else "number"
                hint = f"Give a {kind} from {least:g} to {most:g}."
        elif not (
            isinstance(value, bool)
            or value == "auto"
            or (number and value == int(value) and 0 <= value <= 100)
        ):
            hint = 'Give "auto", true, false, or a number of pairs of Fourier terms to 100.'
        if hint is not None:
            raise BadOptions(f"option {name} of {NAME} is {value!r}", hint=hint)
    return given


# ---------------------------------------------------------------------------------------- fitting


def _step_days(calendar: Calendar) -> float:
    unit = {"second": 1.0 / DAY, "day": 1.0, "month": 365.25 / 12}[calendar.unit]
    return unit * calendar.count


def _seasons(series: Series, calendar: Calendar, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the seasons: name, period in days, pairs of Fourier terms."""
    step = _step_days(calendar)
    n = len(series.values)
    found = []
    for name, (period, usual) in SEASONS.items():
        asked = given[f"{name}_seasonality"]
        # More terms than half the steps of a season tell nothing apart.
        most = int(0.5 * period / step)
        if asked == "auto":
            terms = min(usual, most) if n * step >= 2 * period else 0
        elif isinstance(asked, bool):
            terms = usual if asked else 0
        else:
            terms = int(asked)
        if terms > 0:
            found.append({"name": name, "period": period, "terms": terms})
    for m in series.seasons:
        days = m * step
        known = any(abs(days / period - 1.0) < ALIKE for period, _ in SEASONS.values())
        if not known and n >= 2 * m:
            found.append(
                {"name": f"season_{m}", "period": days, "terms": max(min(TERMS, m // 2), 1)}
            )
    return found


class _Optimiser:
    """Fits Prophet's compiled model in a child process of our own; a backend of the library."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check
        self.stan_fit = None

    def fit(self, stan_init: dict[str, Any], stan_data: dict[str, Any]) -> dict[str, Floats]:
        """Find the most probable parameters; each of shape (1, size)."""
        import prophet

        program = Path(prophet.__file__).parent / "stan_model" / "prophet_model.bin"
        few = stan_data["T"] < FEW
        with tempfile.TemporaryDirectory(prefix="weighhouse_prophet_") as folder:
            place = Path(folder)
            (place / "data.json").write_text(json.dumps(stan_data, default=_plain))
            (place / "init.json").write_text(json.dumps(stan_init, default=_plain))
            for algorithm in ("newton",) if few else ("lbfgs", "newton"):
                arguments = [
                    *(str(program), "method=optimize", f"algorithm={algorithm}"),
                    *(f"iter={ITERATIONS}", "random", f"seed={SEED}"),
                    *("data", f"file={place / 'data.json'}", f"init={place / 'init.json'}"),
                    *("output", f"file={place / 'output.csv'}", "sig_figs=17"),
                ]
                if self._run(arguments, folder):
                    return _read(place / "output.csv")
        raise NotConverged(
            "the optimiser stopped without an answer",
            hint="Look for extreme values, or fit with growth flat or fewer changepoints.",
        )

    def _run(self, arguments: list[str], folder: str) -> bool:
        """Run a child to its end, looking for interrupts; tell whether it succeeded."""
        self.check()
        child = subprocess.Popen(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    code = child.wait(LOOK)
                    break
                except subprocess.TimeoutExpired:
                    self.check()
        finally:
            if child.returncode is None:
                child.kill()
                child.wait()
        # A cancel may have reached the child first.
        self.check()
        return code == 0

    def cleanup(self) -> None:
        """Leave nothing: there is nothing."""


def _plain(value: Any) -> Any:
    """Make lists of arrays, series and frames for JSON."""
    return value.to_numpy().tolist() if hasattr(value, "to_numpy") else value.tolist()


def _read(file: Path) -> dict[str, Floats]:
    """Read the parameters the compiled model wrote: `delta.1,delta.2,...` and one row."""
    lines = [x for x in file.read_text().splitlines() if x and not x.startswith("#")]
    names, last = lines[0].split(","), lines[-1].split(",")
    found: dict[str, list[float]] = {}
    for name, value in zip(names, last, strict=True):
        found.setdefault(name.split(".")[0], []).append(float(value))
    return {name: np.array(values).reshape(1, -1) for name, values in found.items()}


def _quiet() -> None:
    """Keep what the library tells its users out of the server's log."""
    import logging

    for name in ("prophet", "prophet.plot", "cmdstanpy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _library() -> Any:
    """Import Prophet and give its class, with our child process for its own."""
    _quiet()
    import prophet

    class Model(prophet.Prophet):  # type: ignore[misc, unused-ignore]
        def _load_stan_backend(self, stan_backend: str | None) -> None:
            self.stan_backend = None

    return Model


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> list[Result]:
    """Fit each series; see `contract.Kind.fit`."""
    given = check_options(options)
    results: list[Result] = []
    for series in batch:
        check()
        try:
            results.append(_fit_one(series, given, check))
        except WeighhouseError as error:
            results.append(error)
    return results


def _fit_one(series: Series, given: Mapping[str, Any], check: Callable[[], None]) -> Fit:
    n = len(series.values)
    if n < MINIMUM:
        raise too_few(n, MINIMUM)
    calendar = series.calendar
    if calendar is None:
        raise BadOptions(
            f"{NAME} needs to know when the steps of a series are",
            hint="Fit it to a model that names its time column.",
        )
    model_class = _library()
    import pandas

    check()
    seasons = _seasons(series, calendar, given)
    times = calendar.times(0, n)
    # Names of ours: Prophet keeps some for itself.
    frame = pandas.DataFrame({"ds": pandas.DatetimeIndex(times), "y": series.values})
    names = series.regressors.names if series.regressors is not None else ()
    holidays, others = [], []
    for i, name in enumerate(names):
        assert series.regressors is not None
        column = series.regressors.values[:, i]
        if name.startswith(HOLIDAY):
            days = calendar.times(0, len(column))[column == 1.0]
            # One that never was has no effect that could be known.
            if np.any(column[:n] == 1.0):
                days = np.unique(days.astype("datetime64[D]")).astype("datetime64[s]")
                holidays.append((i, pandas.DatetimeIndex(days)))
        else:
            frame[f"x{i:04d}"] = column[:n]
            others.append(i)
    model = model_class(
        **{name: given[name] for name in (*CHOICES, *NUMBERS)},
        **{f"{name}_seasonality": False for name in SEASONS},
        holidays=pandas.concat(
            [pandas.DataFrame({"holiday": f"h{i:04d}", "ds": days}) for i, days in holidays]
        )
        if holidays
        else None,
    )
    for season in seasons:
        model.add_seasonality(season["name"], season["period"], season["terms"])
    for i in others:
        model.add_regressor(f"x{i:04d}")
    model.stan_backend = _Optimiser(check)
    model.fit(frame)
    check()
    columns = [f"h{i:04d}" for i, _ in holidays] + [f"x{i:04d}" for i in others]
    parameters: Parameters = {
        "growth": given["growth"],
        "multiplicative": given["seasonality_mode"] == "multiplicative",
        "k": float(np.ravel(model.params["k"])[0]),
        "m": float(np.ravel(model.params["m"])[0]),
        "delta": np.ravel(model.params["delta"]).tolist(),
        "beta": np.ravel(model.params["beta"]).tolist(),
        "sigma": float(np.ravel(model.params["sigma_obs"])[0]),
        "changepoints": np.ravel(model.changepoints_t).tolist(),
        "scale": float(model.y_scale),
        "calendar": {
            "unit": calendar.unit,
            "count": calendar.count,
            "first": str(calendar.first),
        },
        "length": n,
        "nonnegative": bool(np.min(series.values) >= 0.0),
        "seasons": seasons,
        "regressors": [
            {"column": int(column[1:]), **_standard(model, column)} for column in columns
        ],
        "names": list(names),
        "ahead": None
        if series.regressors is None
        else [
            [x if np.isfinite(x) else None for x in row]
            for row in series.regressors.values[n:].tolist()
        ],
    }
    words = [season["name"] for season in seasons]
    words += [f"{len(holidays)} holidays"] * bool(holidays)
    words += [f"{len(others)} regressors"] * bool(others)
    constant = float(np.ptp(series.values)) == 0.0
    return Fit(
        parameters,
        f"Prophet({', '.join([given['growth'], *words])})",
        "constant series" if constant else None,
    )


def _standard(model: Any, column: str) -> dict[str, float]:
    """Tell how a regressor was standardised."""
    own = model.extra_regressors.get(column, {})
    return {"mean": float(own.get("mu", 0.0)), "deviation": float(own.get("std", 1.0))}


def update(parameters: Parameters, values: Floats) -> Parameters:
    """Take in nothing: Prophet's parameters are fitted to the whole history; raises BadOptions."""
    raise BadOptions(f"{NAME} takes in no new observations", hint="Fit again.")


# ------------------------------------------------------------------------------------- forecasting


def _calendar(parameters: Parameters) -> Calendar:
    stored = parameters["calendar"]
    return Calendar(stored["unit"], stored["count"], np.datetime64(stored["first"], "s"))


def _trend(parameters: Parameters, t: Floats) -> Floats:
    """Give the trend at scaled times: 0 is the first observation, 1 the last."""
    if parameters["growth"] == "flat":
        return np.full(len(t), float(parameters["m"]))
    changes = np.array(parameters["changepoints"], dtype=float)
    delta = np.array(parameters["delta"], dtype=float)
    past = t[:, None] >= changes
    slope = parameters["k"] + past @ delta
    level = parameters["m"] + past @ (-changes * delta)
    return np.asarray(slope * t + level)


def _features(parameters: Parameters, times: NDArray[np.datetime64], ahead: Floats) -> Floats:
    """Give the columns that beta belongs to; shape (steps, columns)."""
    days = times.astype("datetime64[s]").astype(np.int64) / DAY
    columns = []
    for season in parameters["seasons"]:
        for term in range(1, season["terms"] + 1):
            angle = 2.0 * np.pi * term * days / season["period"]
            columns += [np.sin(angle), np.cos(angle)]
    for regressor in parameters["regressors"]:
        values = ahead[:, regressor["column"]]
        columns.append((values - regressor["mean"]) / regressor["deviation"])
    # Prophet keeps one column of zeros where there is nothing.
    return np.stack(columns, axis=1) if columns else np.zeros((len(days), 1))


def _blocks(
    parameters: Parameters, horizon: int, apart: float
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Draw bends of the trend and noise, so many steps at a time; shapes (DRAWS, steps)."""
    rng = np.random.default_rng(SEED)
    chance = len(parameters["changepoints"]) * apart
    mean = float(np.mean(np.abs(parameters["delta"]))) + 1e-8
    flat = parameters["growth"] == "flat"
    slope, bend, before = np.zeros((3, DRAWS, 1))
    for start in range(0, horizon, BLOCK):
        bends = rng.laplace(0.0, mean, (DRAWS, BLOCK)) * (rng.random((DRAWS, BLOCK)) < chance)
        noise = rng.normal(0.0, parameters["sigma"], (DRAWS, BLOCK))
        # A bend lies somewhere within its step: half before, half after.
        halves = 0.5 * (bends + np.concatenate([before, bends[:, :-1]], axis=1))
        slopes = slope + np.cumsum(halves, axis=1)
        away = bend + np.cumsum(slopes, axis=1)
        slope, bend, before = slopes[:, -1:], away[:, -1:], bends[:, -1:]
        count = min(BLOCK, horizon - start)
        departure = np.zeros((DRAWS, count)) if flat else apart * away[:, :count]
        yield slice(start, start + count), departure, noise[:, :count]


def forecast(parameters: Parameters, horizon: int, levels: Sequence[float]) -> Forecast:
    """Forecast; see `contract.Kind.forecast`.

    The mean is Prophet's own; intervals are those of its generative model: bends go on as often and
    as large as in the history, and noise is normal.
    """
    calendar, n = _calendar(parameters), int(parameters["length"])
    width = len(parameters["names"])
    known = np.zeros((horizon, width))
    if width:
        given = np.array(parameters["ahead"], dtype=float).reshape(-1, width)
        past = np.concatenate([np.zeros((n, width)), given])
        require_ahead(Regressors(tuple(parameters["names"]), past), calendar, n, horizon)
        known = given[:horizon]
    start, end = calendar.times(0, n)[[0, -1]]
    times = calendar.times(n, n + horizon)
    span = float((end - start).astype(np.int64))
    t = (times - start).astype(np.int64) / span
    effect = _features(parameters, times, known) @ np.array(parameters["beta"], dtype=float)
    trend = _trend(parameters, t)
    multiplicative = parameters["multiplicative"]
    factor = 1.0 + effect if multiplicative else np.ones(horizon)
    addend = np.zeros(horizon) if multiplicative else effect
    scale = float(parameters["scale"])
    mean = scale * (trend * factor + addend)
    lower, upper = np.empty((2, len(levels), horizon))
    # The average length of a step: months differ.
    apart = (float(t[-1]) - 1.0) / horizon
    below = np.array([0.5 - 0.5 * level for level in levels])
    for part, departure, noise in _blocks(parameters, horizon, apart):
        drawn = (trend[part] + departure) * factor[part] + addend[part] + noise
        lower[:, part] = scale * np.quantile(drawn, below, axis=0)
        upper[:, part] = scale * np.quantile(drawn, 1.0 - below, axis=0)
    if parameters["nonnegative"]:
        mean, lower, upper = (np.maximum(each, 0.0) for each in (mean, lower, upper))
    return Forecast(mean, np.minimum(lower, mean), np.maximum(upper, mean))
