"""Accuracy, intervals and speed of the kinds that learn from all series, and of Prophet.

    python -m bench.kinds

As bench.forecasts on the same 600 series of M3 and M4, one model a frequency: what is learnt is
learnt from the training part of all its series, then each withheld horizon is forecast. Prophet,
which knows one series at a time, forecasts ten series of each frequency (not those without one).
Kinds whose library is not installed are left out. With --withheld the last steps of the training
part are scored instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.forecasts import (
    FREQUENCIES,
    LEVELS,
    PLACE,
    SEASONS,
    Case,
    Floats,
    errors,
    naive2,
    origin,
    owa,
    read,
    read_others,
)
from weighhouse.forecasting import KINDS, kind, traits
from weighhouse.forecasting.contract import (
    Calendar,
    Fit,
    LearningKind,
    Learnt,
    Series,
    no_check,
)

Row = dict[str, Any]

# Kinds, the library each needs, and what own models of the same sort reached on the same series.
NAMES: dict[str, tuple[str, float | None]] = {
    "boosting": ("lightgbm", 0.864),
    "xgboost_lags": ("xgboost", 0.864),
    "nhits": ("torch", 0.820),
    "lstm": ("torch", None),
    "gru": ("torch", None),
    "prophet": ("prophet", None),
}
# Series of a frequency that Prophet forecasts.
FEW = 10
# Prophet wants to know when; the competitions do not tell, so all begin on one day.
FIRST = np.datetime64("2000-01-01", "s")
CALENDARS = {
    "Yearly": Calendar("month", 12, FIRST),
    "Quarterly": Calendar("month", 3, FIRST),
    "Monthly": Calendar("month", 1, FIRST),
    "Weekly": Calendar("day", 7, FIRST),
    "Daily": Calendar("day", 1, FIRST),
    "Hourly": Calendar("second", 3600, FIRST),
}


@dataclass(slots=True)
class Reached:
    """What a kind reached: by frequency, and "all"."""

    owa: dict[str, float]
    coverage: dict[str, list[float]]
    learning: float
    milliseconds: float
    series: int


def available(name: str) -> bool:
    """Tell whether a kind is there, and its library."""
    return name in KINDS and importlib.util.find_spec(NAMES[name][0]) is not None


def score(
    name: str, cases: list[Case], others: Mapping[str, Sequence[Floats]] | None = None
) -> Reached:
    """Learn each frequency as one model, or fit each of its first series; score the forecasts.

    others: by frequency, series that are only learnt from.
    """
    model: Any = kind(name)
    learns = traits(name)["learns"]
    options = model.check_options({})
    reached = Reached({}, {}, 0.0, 0.0, 0)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    base: dict[str, list[tuple[float, float]]] = defaultdict(list)
    inside: dict[str, list[Any]] = defaultdict(list)
    fitting = 0.0
    for frequency in FREQUENCIES:
        calendar = CALENDARS.get(frequency)
        chosen = [case for case in cases if case.frequency == frequency]
        if not learns:
            chosen = chosen[:FEW] if calendar is not None else []
        if not chosen:
            continue
        horizon = len(chosen[0].future)
        batch = [
            Series(case.past, SEASONS.get(frequency, ()), None if learns else calendar)
            for case in chosen
        ]
        more: tuple[Learnt, ...] = ()
        if learns:
            started = time.process_time()
            learner = cast(LearningKind, model)
            seasons = SEASONS.get(frequency, ())
            known = [Series(past, seasons) for past in (others or {}).get(frequency, ())]
            more = (learner.learn([*batch, *known], horizon, options, no_check, None),)
            reached.learning += time.process_time() - started
        started = time.perf_counter()
        fits = model.fit(batch, horizon, options, no_check, *more)
        for case, fit in zip(chosen, fits, strict=True):
            if not isinstance(fit, Fit):
                raise fit
            ahead = model.forecast(fit.parameters, horizon, LEVELS, *more)
            hit = (ahead.lower <= case.future) & (case.future <= ahead.upper)
            for key in (frequency, "all"):
                found[key].append(errors(case, ahead.mean))
                base[key].append(errors(case, naive2(case.past, case.period, horizon)))
                inside[key].append(hit)
        fitting += time.perf_counter() - started
        reached.series += len(chosen)
    reached.owa = {key: owa(found[key], base[key]) for key in found}
    reached.coverage = {
        key: [100 * float(x) for x in np.concatenate(hits, axis=1).mean(axis=1)]
        for key, hits in inside.items()
    }
    reached.milliseconds = 1000 * fitting / max(reached.series, 1)
    return reached


def run(dsn: str, *, withheld: bool = False, kinds: tuple[str, ...] | None = None) -> list[Row]:
    """Score each kind that is there; `dsn` is not used.

    Returns
    -------
    list of dict
        name, ours, peer, ratio (how many times better ours is), target, note; None: not compared.
    """
    place = Path(os.environ.get("MCOMP", PLACE))
    if not (place / "train.csv.gz").exists():
        return [
            {
                "name": "kinds that learn from all series, on M3 and M4",
                "ours": None,
                "peer": None,
                "ratio": None,
                "target": None,
                "note": f"skipped: the series are not in {place.name}",
            }
        ]
    cases = read(place, withheld=withheld)
    others = read_others(withheld=withheld)
    # Each kind on the series alone, and where there are more to learn from with these.
    asked = [
        (name, some)
        for name in kinds or tuple(NAMES)
        if available(name)
        for some in ((None, others) if others and traits(name)["learns"] else (None,))
    ]
    rows: list[Row] = []
    for name, some in asked:
        reached = score(name, cases, some)
        figure = None if withheld else NAMES[name][1]
        total = reached.owa["all"]
        taken = f"learnt in {reached.learning:.0f} s; " if reached.learning else ""
        rows.append(
            {
                "name": f"kinds, {name}{origin(some)}, OWA of {reached.series} series",
                "ours": f"{total:.3f}",
                "peer": None if figure is None else f"{figure:.3f} (own model of that sort)",
                "ratio": None if figure is None else figure / total,
                "target": None if figure is None else f"at most {figure + 0.03:.3f}",
                "note": f"{taken}{reached.milliseconds:.0f} ms a series; "
                + ", ".join(
                    f"{frequency} {reached.owa[frequency]:.3f}"
                    f" ({reached.coverage[frequency][0]:.0f} and"
                    f" {reached.coverage[frequency][1]:.0f} % inside)"
                    for frequency in FREQUENCIES
                    if frequency in reached.owa
                )
                + ("; withheld part of the training data" if withheld else ""),
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--withheld", action="store_true", help="score within the training part")
    parser.add_argument("--kind", action="append", choices=NAMES, help="only this one (repeatable)")
    given = parser.parse_args()
    kinds = tuple(given.kind) if given.kind else None
    for row in run("", withheld=given.withheld, kinds=kinds):
        print({key: value for key, value in row.items() if value is not None})


if __name__ == "__main__":
    main()
