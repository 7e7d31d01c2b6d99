"""What a kind of forecasting model is: the contract each kind plugs into, and the values it speaks.

A kind is one module with the names of `Kind`. It fits batches of series (so that the arithmetic of
many short series can be done at once), and what it fits is explicit parameters that JSON can hold;
forecasting from them needs numpy alone. It reads no table, no clock and no global random generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import WeighhouseError
from weighhouse.learnt import Learnt

__all__ = [
    "Calendar",
    "Fit",
    "Floats",
    "Forecast",
    "Kind",
    "LearningKind",
    "Learnt",
    "Parameters",
    "Regressors",
    "Result",
    "Series",
    "no_check",
]

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
# Strings, finite numbers, booleans, None, and lists and dicts (with string keys) of them.
Parameters = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the steps of a series are, in its own time zone.

    Attributes
    ----------
    unit : {"second", "day", "month"}
    count : int
        Units a step has.
    first : datetime64[s]
        Local time at which the first step of the series starts; with `zone` in UTC.
    zone : str or None
        Where steps of seconds are: their local times follow its clock. None: the times are local.
    """

    unit: Literal["second", "day", "month"]
    count: int
    first: np.datetime64
    zone: str | None = None

    def times(self, start: int, stop: int) -> Times:
        """Give the local times at which steps start; step 0 is the first of the series.

        Returns
        -------
        ndarray of datetime64[s], shape (stop - start,)
        """
        steps = np.arange(start, stop, dtype=np.int64) * self.count
        if self.unit == "month":
            months = self.first.astype("datetime64[M]") + steps
            return np.asarray(months.astype("datetime64[s]"))
        seconds = steps * (86400 if self.unit == "day" else 1)
        times = self.first.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
        if self.zone is None:
            return np.asarray(times)
        # Clocks change on the hour: each hour is asked once. Only hourly series pay for the zones.
        from zoneinfo import ZoneInfo

        zone = ZoneInfo(self.zone)
        hours, place = np.unique(times.astype("datetime64[h]"), return_inverse=True)
        none = timedelta()
        offsets = [
            int((datetime.fromtimestamp(3600 * hour, zone).utcoffset() or none).total_seconds())
            for hour in hours.astype(np.int64).tolist()
        ]
        return np.asarray(times + np.array(offsets, dtype="timedelta64[s]")[place])


@dataclass(frozen=True, slots=True)
class Regressors:
    """What is known beside the values of a series: prices, promotions, holidays.

    Attributes
    ----------
    names : tuple of str, length k
        Columns; those of holidays are "holiday: NAME".
    values : ndarray of float64, shape (n + ahead, k)
        One row for each step of the series, then one for each step ahead of which something is
        known; NaN: not known (only ahead: what is missing in the past was filled). Of a holiday 1
        on its days, else 0.
    """

    names: tuple[str, ...]
    values: Floats


@dataclass(frozen=True, slots=True)
class Series:
    """One series on a regular grid, its gaps filled (`weighhouse.forecasting.grid`).

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        At equal steps, oldest first, in the unit of the series; all finite.
    seasons : tuple of int
        Lengths of the seasons in steps, ascending, each at least 2; empty: no season. (12,) for
        months, (24, 168) for hours.
    calendar : Calendar or None
        When the steps are; None: not known.
    regressors : Regressors or None
        Only for kinds with USES_REGRESSORS.
    """

    values: Floats
    seasons: tuple[int, ...] = ()
    calendar: Calendar | None = None
    regressors: Regressors | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected, with prediction intervals; lower <= mean <= upper at every step.

    Attributes
    ----------
    mean : ndarray of float64, shape (horizon,)
    lower, upper : ndarray of float64, shape (levels, horizon)
        One row for each level asked, in the order asked.
    """

    mean: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted series.

    Attributes
    ----------
    parameters : dict
        Everything `forecast` and `update` need, JSON only. Contains no more history than that.
    label : str
        What was chosen, for people: "ETS(A,Ad,N)", "ARIMA(1,1,1)(0,1,1)[12]".
    note : str or None
        What a user should know ("constant series"); None: nothing.
    """

    parameters: Parameters
    label: str
    note: str | None = None


# A series that cannot be fitted does not stop the others: its error stands in its place.
Result = Fit | WeighhouseError


def no_check() -> None:
    """Look for no interrupts: what is used outside the database."""


class Kind(Protocol):
    """The names a module of this package offers to be a kind of model."""

    NAME: str
    """As users write it: "ets"."""
    FORMAT: int
    """Version of the form of `parameters`; `forecast` reads every form up to this one."""
    MINIMUM: int
    """Fewest observations a series needs; below, the result is TooFewObservations."""
    CAN_UPDATE: bool
    """Whether `update` takes in new observations."""

    def check_options(self, options: Mapping[str, Any], /) -> dict[str, Any]:
        """Complete the options of the kind with their defaults; raise BadOptions for others."""

    def fit(
        self,
        batch: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        /,
    ) -> list[Result]:
        """Fit each series of a batch.

        Parameters
        ----------
        batch : sequence of Series
            Of any lengths and seasons; the result of a series depends on no other of the batch.
        horizon : int
            Steps ahead the fit is meant for (a forecast may ask for others).
        options : mapping
            Completed by `check_options`.
        check : callable
            Called at least every 100 ms: raises when the caller cancels.

        Returns
        -------
        list of Fit or WeighhouseError
            One for each series, in order.
        """

    def forecast(
        self, parameters: Parameters, horizon: int, levels: Sequence[float], /
    ) -> Forecast:
        """Forecast the steps after the last observation that was taken in.

        Parameters
        ----------
        parameters : dict
            Of a `Fit` of this kind, perhaps of an older FORMAT.
        horizon : int
            Steps ahead, at least 1.
        levels : sequence of float
            Coverage of the intervals, each within (0, 1).

        Returns
        -------
        Forecast
        """

    def update(self, parameters: Parameters, values: Floats, /) -> Parameters:
        """Take in the next observations with the fitted parameters held fixed.

        Parameters
        ----------
        parameters : dict
            Of a `Fit` of this kind.
        values : ndarray of float64, shape (n,)
            The observations that follow, at the same steps; all finite.

        Returns
        -------
        dict
            Parameters as if the states had been filtered through all observations.
        """


class LearningKind(Protocol):
    """A kind that learns from all series of a model before it fits each: the rest is as in `Kind`.

    What was learnt is stored once a model; each series keeps only what is its own.
    """

    NAME: str
    FORMAT: int
    MINIMUM: int
    CAN_UPDATE: bool
    LEARNS: Literal[True]
    CONTINUES: bool
    """Whether `learn` goes on from what was learnt before."""
    USES_REGRESSORS: bool

    def check_options(self, options: Mapping[str, Any], /) -> dict[str, Any]:
        """See `Kind.check_options`."""

    def learn(
        self,
        collection: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        known: Learnt | None,
        /,
    ) -> Learnt:
        """Learn from all series of a model.

        Parameters
        ----------
        collection : sequence of Series
            All of them; too short ones are passed over.
        horizon : int
            Steps ahead it is meant for.
        options : mapping
            Completed by `check_options`.
        check : callable
            Called at least every 100 ms where the library allows, never less than each second.
        known : Learnt or None
            What was learnt before, to go on from (CONTINUES); None: from nothing.

        Raises
        ------
        TooFewObservations
            There is nothing to learn from.
        """

    def fit(
        self,
        batch: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        learnt: Learnt,
        /,
    ) -> list[Result]:
        """Fit each series of a batch, cheaply; see `Kind.fit`. numpy alone."""

    def forecast(
        self, parameters: Parameters, horizon: int, levels: Sequence[float], learnt: Learnt, /
    ) -> Forecast:
        """Forecast; see `Kind.forecast`. numpy alone."""

    def update(
        self, parameters: Parameters, values: Floats, regressors: Regressors | None = None, /
    ) -> Parameters:
        """Take in the next observations; see `Kind.update`.

        regressors: rows of the new steps, then of the steps ahead.
        """
