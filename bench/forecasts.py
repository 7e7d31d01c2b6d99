"""Accuracy, intervals and speed of the kinds of forecasting models on 600 series of M3 and M4.

    python -m bench.forecasts

Each kind forecasts the withheld last steps of every series, as the competitions did: scored by OWA
(the mean of sMAPE and MASE, each relative to Naive2; 1 is Naive2, less is better) over all series
and by frequency. Beside it the share of what came that lies in the 80 and 95 % intervals, and the
milliseconds of processor time a series takes in a batch. No database takes part. A row "learnt"
learns from the training parts of the series of a frequency first; in the others nothing is learnt
from one series for another. With --withheld the scores are those of the last steps of the training
part instead, which is what may be looked at while a kind is worked on; --withheld 2 goes back by
one horizon more.

The series (train.csv.gz, test.csv.gz, meta.csv) are looked for in ../shared/data/mcomp beside the
checkout, or where $MCOMP says. $MCOMP_OTHERS names a file like train.csv.gz with other series of
the competitions: kinds that learn from all series learn from these, too, and are scored on the 600.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.forecasting import kind
from weighhouse.forecasting.contract import Fit, Series, no_check

Row = dict[str, Any]
Floats = NDArray[np.float64]

PLACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "mcomp"
KINDS = ("naive", "seasonal_naive", "drift", "ets", "theta", "arima", "decomposition", "auto")
FREQUENCIES = ("Yearly", "Quarterly", "Monthly", "Weekly", "Daily", "Other", "Hourly")
# What the grid finds for a step of that length.
SEASONS: dict[str, tuple[int, ...]] = {
    "Quarterly": (4,),
    "Monthly": (12,),
    "Weekly": (52,),
    "Daily": (7,),
    "Hourly": (24, 168),
}
LEVELS = (0.8, 0.95)
# Shorter ones are left out where more than the last steps are withheld.
LEAST = 4
# OWA of statsforecast 2.1 on the same series: season of 24 for the hourly ones.
PEERS = {
    "seasonal_naive": ("seasonal naive", 0.928),
    "theta": ("statsforecast's dynamic optimised Theta", 0.892),
    "ets": ("statsforecast's AutoETS", 0.895),
    "auto": ("plain median of nine methods", 0.780),
}
TARGETS = {"auto": "at most 0.78", "auto, learnt": "at most 0.75"}
# Milliseconds a series.
LIMITS = {"Yearly": 5.0, "Monthly": 25.0, "Hourly": 350.0}


@dataclass(frozen=True, slots=True)
class Case:
    """A series of the competitions.

    Attributes
    ----------
    frequency : str
    period : int
        The season that Naive2 and MASE know: 1, 4, 12 or 24.
    past, future : ndarray
    """

    frequency: str
    period: int
    past: Floats
    future: Floats


def read(place: Path, *, withheld: int = 0) -> list[Case]:
    """Read the series; `withheld`: cut so many horizons off the training part instead."""
    parts: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for part in ("train", "test"):
        values: dict[str, list[tuple[int, float]]] = defaultdict(list)
        with gzip.open(place / f"{part}.csv.gz", "rt", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                values[row["unique_id"]].append((int(row["t"]), float(row["value"])))
        parts[part] = values
    cases = []
    with (place / "meta.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name, horizon = row["unique_id"], int(row["horizon"])
            past = np.array([value for _, value in sorted(parts["train"][name])])
            future = np.array([value for _, value in sorted(parts["test"][name])])
            for _ in range(withheld):
                past, future = past[:-horizon], past[-horizon:]
            if len(past) < LEAST:
                continue
            cases.append(Case(row["frequency"], int(row["m"]), past, future))
    return cases


def read_others(*, withheld: int = 0) -> dict[str, list[Floats]]:
    """Read the series that are only learnt from, by frequency; none where $MCOMP_OTHERS is unset.

    withheld: as many horizons are cut off them, so that they end when those that are scored do.
    """
    place = os.environ.get("MCOMP_OTHERS")
    if not place:
        return {}
    values: dict[str, list[float]] = defaultdict(list)
    facts: dict[str, tuple[str, int]] = {}
    with gzip.open(place, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values[row["unique_id"]].append(float(row["value"]))
            facts[row["unique_id"]] = row["frequency"], int(row["horizon"])
    found: dict[str, list[Floats]] = defaultdict(list)
    for name, (frequency, horizon) in facts.items():
        past = np.array(values[name][: len(values[name]) - withheld * horizon])
        if len(past) >= LEAST:
            found[frequency].append(past)
    return found


# ------------------------------------------------------------------------------------- the scores


def naive2(past: Floats, period: int, horizon: int) -> Floats:
    """Repeat the last value, adjusted for the season where the M4 organisers' test finds one."""
    n = len(past)
    if period < 2 or n < 3 * period:
        return np.full(horizon, past[-1])
    deviations = past - past.mean()
    square = float(deviations @ deviations)
    if square == 0.0:
        return np.full(horizon, past[-1])
    lagged = [float(deviations[k:] @ deviations[:-k]) / square for k in range(1, period + 1)]
    limit = 1.645 / np.sqrt(n) * np.sqrt(1.0 + 2.0 * sum(r * r for r in lagged[:-1]))
    if abs(lagged[-1]) <= limit:
        return np.full(horizon, past[-1])
    half = period // 2
    weights = np.full(period, 1.0 / period)
    if period % 2 == 0:
        weights = np.r_[0.5, np.ones(period - 1), 0.5] / period
    ratio = past[half : n - half] / np.convolve(past, weights, mode="valid")
    phases = np.arange(half, n - half) % period
    figure = np.array([ratio[phases == phase].mean() for phase in range(period)])
    figure /= figure.mean()
    last = past[-1] / figure[(n - 1) % period]
    return np.asarray(last * figure[np.arange(n, n + horizon) % period])


def errors(case: Case, mean: Floats) -> tuple[float, float]:
    """Give sMAPE and MASE of a forecast."""
    away = np.abs(case.future - mean)
    both = np.abs(case.future) + np.abs(mean)
    smape = float(np.mean(np.divide(200.0 * away, both, out=np.zeros_like(both), where=both > 0)))
    scale = float(np.mean(np.abs(case.past[case.period :] - case.past[: -case.period])))
    return smape, float(np.mean(away)) / scale


def owa(found: list[tuple[float, float]], base: list[tuple[float, float]]) -> float:
    """Give the overall weighted average: means over the series, relative to Naive2's."""
    return float(np.mean(np.mean(found, axis=0) / np.mean(base, axis=0)))


@dataclass(slots=True)
class Score:
    """What a kind reached: by frequency, and "all"."""

    owa: dict[str, float]
    coverage: dict[str, list[float]]
    milliseconds: dict[str, float]
    learning: float = 0.0
    """Seconds of processor time of learning from all series."""


def score(
    name: str,
    cases: list[Case],
    *,
    learns: bool = False,
    others: Mapping[str, Sequence[Floats]] | None = None,
) -> Score:
    """Fit a kind to each frequency as one batch; score its forecasts.

    learns: from all series of the frequency first, where the kind does; others: from these, too.
    """
    model: Any = kind(name)
    options = model.check_options({})
    result = Score({}, {}, {})
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    base: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for frequency in FREQUENCIES:
        chosen = [case for case in cases if case.frequency == frequency]
        if not chosen:
            continue
        horizon = len(chosen[0].future)
        batch = [Series(case.past, SEASONS.get(frequency, ())) for case in chosen]
        learnt = ()
        if learns:
            started = time.process_time()
            seasons = SEASONS.get(frequency, ())
            more = [Series(past, seasons) for past in (others or {}).get(frequency, ())]
            learnt = (model.learn([*batch, *more], horizon, options, no_check, None),)
            result.learning += time.process_time() - started
        started = time.process_time()
        fits = model.fit(batch, horizon, options, no_check, *learnt)
        result.milliseconds[frequency] = 1000 * (time.process_time() - started) / len(batch)
        inside = np.zeros((len(LEVELS), 0))
        for case, fit in zip(chosen, fits, strict=True):
            if not isinstance(fit, Fit):
                raise fit
            ahead = model.forecast(fit.parameters, horizon, LEVELS, *learnt)
            for key in (frequency, "all"):
                found[key].append(errors(case, ahead.mean))
                base[key].append(errors(case, naive2(case.past, case.period, horizon)))
            hit = (ahead.lower <= case.future) & (case.future <= ahead.upper)
            inside = np.concatenate([inside, hit], axis=1)
        result.coverage[frequency] = [100 * float(x) for x in inside.mean(axis=1)]
    result.owa = {key: owa(found[key], base[key]) for key in found}
    return result


# ----------------------------------------------------------------------------------- the measures


def run(dsn: str, *, withheld: int = 0, kinds: tuple[str, ...] = KINDS) -> list[Row]:
    """Score each kind; `dsn` is not used.

    Returns
    -------
    list of dict
        name, ours, peer, ratio (how many times better ours is), target, note; None: not compared.
    """
    place = Path(os.environ.get("MCOMP", PLACE))
    if not (place / "train.csv.gz").exists():
        return [
            {
                "name": "forecasts of 600 series of M3 and M4",
                "ours": None,
                "peer": None,
                "ratio": None,
                "target": "OWA at most 0.78",
                "note": f"skipped: the series are not in {place.name}",
            }
        ]
    cases = read(place, withheld=withheld)
    others = read_others(withheld=withheld)
    rows: list[Row] = []
    for name in kinds:
        rows += _row(name, cases, withheld)
        if name == "auto":
            rows += _row(name, cases, withheld, learns=True)
            if others:
                rows += _row(name, cases, withheld, learns=True, others=others)
    return rows


def _row(
    name: str,
    cases: list[Case],
    withheld: int,
    *,
    learns: bool = False,
    others: Mapping[str, Sequence[Floats]] | None = None,
) -> list[Row]:
    """Score a kind: a row of all series and, of `auto`, one of each frequency."""
    reached = score(name, cases, learns=learns, others=others)
    words = f"{name}, learnt" if learns else name
    peer, figure = PEERS.get(name, (None, None))
    total = reached.owa["all"]
    by = [
        f"{frequency} {reached.owa[frequency]:.3f}"
        for frequency in FREQUENCIES
        if frequency in reached.owa
    ]
    if learns:
        count = len(cases) + sum(map(len, (others or {}).values()))
        by.append(f"learnt from {count} series in {reached.learning:.0f} s")
    rows: list[Row] = [
        {
            "name": f"forecasts, {words}{origin(others)}, OWA of {len(cases)} series",
            "ours": f"{total:.3f}",
            "peer": None if figure is None or withheld else f"{figure:.3f} ({peer})",
            "ratio": None if figure is None or withheld else figure / total,
            "target": TARGETS.get(words),
            "note": ", ".join(by) + ("; withheld part of the training data" if withheld else ""),
        }
    ]
    for frequency in FREQUENCIES:
        if name != "auto" or frequency not in reached.milliseconds:
            continue
        milliseconds = reached.milliseconds[frequency]
        narrow, wide = reached.coverage[frequency]
        limit = LIMITS.get(frequency)
        rows.append(
            {
                "name": f"forecasts, {words}{origin(others)}, a {frequency.lower()} series",
                "ours": f"{milliseconds:.1f} ms; {narrow:.0f} and {wide:.0f} % inside",
                "peer": None,
                "ratio": None if limit is None else limit / milliseconds,
                "target": ("" if limit is None else f"{limit:.0f} ms; ") + "80 and 95 %, within 5",
                "note": "processor time, in a batch of one frequency; ratio: to the target",
            }
        )
    return rows


def origin(others: Mapping[str, Sequence[Floats]] | None) -> str:
    """Say in the name of a row that more series were learnt from."""
    return f" from {sum(map(len, others.values())):,} more" if others else ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--withheld",
        nargs="?",
        type=int,
        const=1,
        default=0,
        help="score within the training part, so many horizons back",
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this one (repeatable)")
    given = parser.parse_args()
    for row in run("", withheld=given.withheld, kinds=tuple(given.kind or KINDS)):
        print({key: value for key, value in row.items() if value is not None})


if __name__ == "__main__":
    main()
