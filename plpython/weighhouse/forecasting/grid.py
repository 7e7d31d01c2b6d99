"""From the values of a regular grid with gaps to what kernels may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.errors import BadOptions, BadRow, TooFewObservations, WeighhouseError

__all__ = ["GapTooLong", "Prepared", "default_max_gap", "default_seasons", "prepare"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY = 86_400


class GapTooLong(WeighhouseError):
    """What follows the last long gap is too short for the model."""

    sqlstate = "ML002"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The part of a series that kernels may use.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        At equal steps, oldest first, in the unit of the series; all finite; begins and ends with an
        observation.
    start : int
        Index of the first of them in what was given.
    filled : int
        How many of them stand in for a gap.
    behind : int
        Steps without an observation at the end of what was given: forecasts of `values` begin so
        many steps earlier than the grid ends.
    note : str or None
        What a user should know about it; None: nothing was missing.
    """

    values: Floats
    start: int
    filled: int
    behind: int
    note: str | None


def default_max_gap(seasons: Sequence[int]) -> int:
    """Give the longest gap that is filled: a quarter of the shortest season, at least 2 steps."""
    return max(2, min(seasons) // 4) if seasons else 2


def _runs(missing: Flags) -> list[tuple[int, int]]:
    """List the gaps as half-open ranges."""
    edges = np.flatnonzero(np.diff(np.r_[False, missing, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _from_season(values: Floats, known: Flags, a: int, b: int, shift: int) -> Floats | None:
    """Fill [a, b) with the values `shift` steps on, moved to the level at the edges of the gap.

    None where they, or the steps that tell the level, are not observed.
    """
    n = values.size
    if a + shift < 0 or b + shift > n or not known[a + shift : b + shift].all():
        return None
    edges, differences = [], []
    for edge in (a - 1, b):
        other = edge + shift
        if 0 <= other < n and known[other]:
            edges.append(float(edge))
            differences.append(values[edge] - values[other])
    if not edges:
        return None
    level = np.interp(np.arange(a, b, dtype=float), edges, differences)
    return np.asarray(values[a + shift : b + shift] + level)


def _fill(values: Floats, known: Flags, a: int, b: int, seasons: Sequence[int]) -> Floats:
    """Fill the gap [a, b), with an observation on both sides."""
    # The longest season first: it holds the shorter ones (168 hours: hour and weekday).
    for season in sorted(seasons, reverse=True):
        found = [
            one
            for shift in (-season, season)
            if (one := _from_season(values, known, a, b, shift)) is not None
        ]
        if found:
            return np.asarray(np.mean(found, axis=0))
    line = np.interp(np.arange(a, b, dtype=float), [a - 1.0, float(b)], [values[a - 1], values[b]])
    return np.asarray(line)


def prepare(
    values: ArrayLike,
    seasons: Sequence[int] = (),
    *,
    max_gap: int | None = None,
    minimum: int = 1,
) -> Prepared:
    """Cut a series to what can be used, and fill its short gaps.

    Steps missing at the beginning and at the end are left off. A gap of at most `max_gap` steps is
    filled from the same phase of the neighbouring seasons, moved to the level at the edges of the
    gap, and along a line where there is no season or it is missing too; of a series that was never
    negative, nothing negative is made. A longer gap is never bridged: only what follows the last
    one is used.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        At equal steps, oldest first, in the unit of the series. NaN is a gap.
    seasons : sequence of int
        Lengths of the seasons in steps.
    max_gap : int, optional
        Longest gap that is filled, in steps; by default that of `default_max_gap`. 0: none is.
    minimum : int
        Fewest steps that are of use.

    Returns
    -------
    Prepared

    Raises
    ------
    BadRow
        A value is infinite.
    GapTooLong
        Fewer than `minimum` steps after the last long gap.
    TooFewObservations
        Fewer than `minimum` steps in all.
    BadOptions
        `max_gap` is negative, or values are not one row.
    """
    given = np.asarray(values, dtype=float)
    if given.ndim != 1:
        raise BadOptions("values are not one row", hint="Give one value for each step.")
    gap = default_max_gap(seasons) if max_gap is None else max_gap
    if gap < 0:
        raise BadOptions("max_gap is negative", hint="Give the steps a filled gap may have, or 0.")
    if np.isinf(given).any():
        where = int(np.flatnonzero(np.isinf(given))[0])
        raise BadRow(
            "a value is infinite",
            detail=f"It is value {where + 1} of {given.size}.",
            hint="Correct or remove the row.",
        )
    known = ~np.isnan(given)
    there = np.flatnonzero(known)
    if not there.size:
        raise TooFewObservations("no observation", hint="Give a longer history.")
    first, end = int(there[0]), int(there[-1]) + 1
    start = first
    gaps = [run for run in _runs(~known) if first < run[0] and run[1] < end]
    long = [run for run in gaps if run[1] - run[0] > gap]
    if long:
        start = long[-1][1]
    if end - start < minimum:
        if long:
            a, b = long[-1]
            raise GapTooLong(
                f"{end - start} observations after a gap of {b - a} steps, {minimum} needed",
                detail=f"Gaps of at most {gap} steps are filled.",
                hint="Wait for more observations, complete the gap, or let longer gaps be filled.",
            )
        raise TooFewObservations(
            f"{end - start} observations, {minimum} needed", hint="Give a longer history."
        )
    result = given[start:end].copy()
    filled = 0
    smallest = float(np.min(given[known]))
    for a, b in gaps:
        if a < start:
            continue
        # From observations only, also those before a long gap; never from what was filled.
        made = _fill(given, known, a, b, seasons)
        result[a - start : b - start] = np.maximum(made, 0.0) if smallest >= 0 else made
        filled += b - a
    behind = given.size - end
    notes = []
    if long:
        a, b = long[-1]
        notes.append(f"only the {end - start} steps after a gap of {b - a} are used")
    if filled:
        notes.append(f"{filled} of {end - start} values filled in")
    if behind:
        notes.append(f"no observation in the last {behind} {'step' if behind == 1 else 'steps'}")
    return Prepared(result, start, filled, behind, "; ".join(notes) or None)


def default_seasons(step_seconds: float, n: int) -> tuple[int, ...]:
    """Give the season lengths a calendar step suggests, of which the series holds two in full.

    Parameters
    ----------
    step_seconds : float
        Length of a step in seconds; of a month, a quarter or a year any of those it has (28 to 31,
        90 to 92, 365 or 366 days, or their average).
    n : int
        Steps of the series.

    Returns
    -------
    tuple of int
        In steps, ascending: day and week for parts of a day; 7 for days, and 365 with three years;
        52 for weeks, 12 for months, 4 for quarters; none for years and all other steps.

    Raises
    ------
    BadOptions
        The step is not positive.
    """
    if not step_seconds > 0:
        raise BadOptions("the step is not positive", hint="Give the length of a step in seconds.")
    days = step_seconds / DAY
    lengths: list[int] = []
    if days < 1:
        per_day = round(1 / days)
        if per_day >= 2 and abs(per_day * step_seconds - DAY) < 1e-6 * DAY:
            lengths = [per_day, 7 * per_day]
    elif days == 1:
        lengths = [7, 365] if n >= 3 * 365 else [7]
    elif days == 7:
        lengths = [52]
    elif 28 <= days <= 31:
        lengths = [12]
    elif 89 <= days <= 92.5:
        lengths = [4]
    return tuple(length for length in lengths if 2 * length <= n)
