"""One forecast learnt from all series with the same seasons: boosted trees over their lags.

What the kind `boosting` learns with its default options, but for the rounds, which are fixed; and
twice: at the end of the series, which forecasts; and at an earlier origin, so that errors from
there on can be measured which no tree has seen. What a series needs for its forecast are its last
values; the trees are stored once.

References
----------
Montero-Manso, Hyndman (2021), Principles and algorithms for forecasting groups of time series:
locality and globality, International Journal of Forecasting 37.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.forecasting import boosted, boosting
from weighhouse.forecasting.contract import Floats, Learnt, Parameters, Series, no_check
from weighhouse.forecasting.lags import Layout, prepare
from weighhouse.trees import Trees

__all__ = ["MINIMUM", "Group", "learn_group"]

MINIMUM = boosted.MINIMUM
# Rounds; where half of the series are shorter than that, few: what many short series of the same
# years have in common is those years. Twice as many forecast no better.
ROUNDS, SHORT, FEW_ROUNDS = 100, 60, 35
OPTIONS = boosting.check_options({})
# Rows that are scored together.
CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Group:
    """What was learnt from series with the same seasons.

    Attributes
    ----------
    layout : Layout
    now : Trees
        Learnt from all observations.
    before : Trees or None
        Learnt from what was known at an earlier origin of each series; None: too few series have
        one.
    origin : int
        Which one that was, 1 being the latest.
    """

    layout: Layout
    now: Trees
    before: Trees | None
    origin: int

    def dump(self, number: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give what a header, and what arrays can hold."""
        header = {
            "layout": self.layout.dump(),
            "now": self.now.facts(),
            "before": None if self.before is None else self.before.facts(),
            "origin": self.origin,
        }
        arrays = self.now.arrays(f"now_{number}_")
        if self.before is not None:
            arrays |= self.before.arrays(f"before_{number}_")
        return header, arrays

    @staticmethod
    def find(learnt: Learnt, seasons: Sequence[int]) -> Group | None:
        """Give what series with such seasons learnt; None: nothing, or in another form."""
        for number, group in enumerate(learnt.header.get("groups", ())):
            if group["seasons"] == list(seasons) and "layout" in group:
                before = group["before"]
                return Group(
                    Layout.load(group["layout"]),
                    Trees.restore(learnt.arrays, group["now"], f"now_{number}_"),
                    None
                    if before is None
                    else Trees.restore(learnt.arrays, before, f"before_{number}_"),
                    group["origin"],
                )
        return None

    def look_back(
        self,
        batch: Sequence[Series],
        origins: Sequence[Sequence[tuple[int, int]]],
        check: Callable[[], None],
    ) -> list[list[Floats]]:
        """Forecast series from earlier origins: by trees that have seen nothing since.

        Parameters
        ----------
        batch : sequence of Series
        origins : sequence of sequence of (int, int)
            For each series, the latest first: observations before, steps after.
        check : callable

        Returns
        -------
        list of list of ndarray
            For each series and origin, shape (steps,); NaN where the trees know too much, or the
            series was too short.
        """
        found = [[np.full(steps, np.nan) for _, steps in own] for own in origins]
        before = self.before
        if before is None:
            return found
        places = [
            (i, j)
            for i, own in enumerate(origins)
            for j, (cut, _) in enumerate(own[: self.origin])
            if cut >= MINIMUM
        ]
        each = max(CHUNK // self.layout.horizon, 1)
        for start in range(0, len(places), each):
            part = places[start : start + each]
            known = []
            for i, j in part:
                check()
                cut = origins[i][j][0]
                known.append(boosted.recent(_bare(batch[i], cut), self.layout))
            ahead = boosted.project(
                known,
                [origins[i][j][1] for i, j in part],
                self.layout,
                lambda x: before.raw(x, check)[:, 0],
            )
            for (i, j), one, z in zip(part, known, ahead, strict=True):
                found[i][j] = _back(one.back(z), batch[i].values[: origins[i][j][0]])
        return found

    def keep(self, series: Series) -> Parameters:
        """Keep of a series what its forecast needs; JSON only."""
        return boosted.keep(_bare(series), self.layout)

    def forecast(self, parameters: Parameters, horizon: int) -> Floats:
        """Give the expected values of the steps ahead, shape (horizon,)."""
        known = boosted.kept(parameters, self.layout)
        (ahead,) = boosted.project(
            [known], [horizon], self.layout, lambda x: self.now.raw(x, no_check)[:, 0]
        )
        mean = known.back(ahead)
        return np.maximum(mean, 0.0) if parameters["nonnegative"] else mean


def _bare(series: Series, count: int | None = None) -> Series:
    """Take the first observations of a series, without what is known beside them."""
    return replace(series, values=series.values[:count], regressors=None)


def _back(mean: Floats, values: Floats) -> Floats:
    return np.maximum(mean, 0.0) if float(np.min(values)) >= 0.0 else mean


def learn_group(
    batch: Sequence[Series],
    origins: Sequence[Sequence[int]],
    horizon: int,
    enough: int,
    check: Callable[[], None],
) -> Group | None:
    """Learn from series with the same seasons.

    Parameters
    ----------
    batch : sequence of Series
    origins : sequence of sequence of int
        Earlier origins of each, the latest first: how many observations are before.
    horizon : int
        Steps ahead.
    enough : int
        Series that an earlier origin must have at least; else a later one is taken.
    check : callable
        Called often.

    Returns
    -------
    Group or None
        None: no series tells anything.

    Raises
    ------
    MissingLibrary
        The server lacks LightGBM.
    """
    layout = Layout.of([_bare(series) for series in batch], horizon, OPTIONS["lags"])
    usual = float(np.median([len(series.values) for series in batch]))
    rounds = FEW_ROUNDS if usual < SHORT else ROUNDS
    now = _learn([_bare(series) for series in batch], layout, rounds, check)
    if now is None:
        return None
    for origin in range(max(map(len, origins), default=0), 0, -1):
        known = [
            _bare(series, own[origin - 1])
            for series, own in zip(batch, origins, strict=True)
            if len(own) >= origin and own[origin - 1] >= MINIMUM
        ]
        # What few of them knew then says little of what is known now.
        if len(known) < max(enough, len(batch) / 2):
            continue
        before = _learn(known, layout, rounds, check)
        if before is not None:
            return Group(layout, now, before, origin)
    return Group(layout, now, None, 0)


def _learn(
    batch: Sequence[Series], layout: Layout, rounds: int, check: Callable[[], None]
) -> Trees | None:
    known = []
    for series in batch:
        check()
        ready = prepare(series, layout.season)
        if ready.size > 0.0:
            known.append((ready, len(ready.z), 0))
    sample = boosted.draw(known, layout, boosted.ROWS, check)
    if sample is None:
        return None
    return boosting.LIBRARY.boost(sample, rounds, OPTIONS, check, None, None, None)[1]
