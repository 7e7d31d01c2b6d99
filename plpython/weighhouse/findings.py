"""Anomalies and change points as the database asks for them: bytes in, JSON out.

The JSON is a list, one object a series in order: `rows`, or for a series that cannot be searched
`reason`, `sqlstate`, `hint`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse import anomalies, change_points, pg
from weighhouse.errors import BadOptions, BadRow, WeighhouseError
from weighhouse.forecasting import grid

__all__ = ["find_anomalies", "find_change_points"]

Floats = NDArray[np.float64]
Check = Callable[[], None]

# As for forecasts: a gap of this many steps is a mistyped date.
LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class _Placed:
    """A series on its grid, gaps filled."""

    values: Floats
    observed: NDArray[np.bool_]
    seasons: tuple[int, ...]
    first_step: int


def _placed(
    steps: NDArray[np.int64], values: Floats, options: Mapping[str, Any], step_seconds: float
) -> _Placed:
    """Place the observations of a series; what lies before its last long gap is left off."""
    if steps.size and (np.diff(steps) <= 0).any():
        raise BadRow(
            "steps have more than one row",
            hint='Say how rows of one step come together, as {"aggregate": "sum"}.',
        )
    span = int(steps[-1] - steps[0]) + 1 if steps.size else 0
    if span > LONGEST:
        raise BadRow(f"the series spans {span} steps", hint="Look for a mistyped date.")
    table = np.full(span, np.nan)
    if span:
        table[steps - steps[0]] = values
    # A step without a row of what is sold now and then is known: nothing was.
    if options.get("missing") == "zero":
        table[np.isnan(table)] = 0.0
    given = options.get("seasons")
    seasons = (
        grid.default_seasons(step_seconds, span)
        if given is None
        else tuple(sorted({int(m) for m in given}))
    )
    ready = grid.prepare(table, seasons, max_gap=options.get("max_gap"))
    n = ready.values.size
    return _Placed(
        ready.values,
        ~np.isnan(table[ready.start : ready.start + n]),
        tuple(m for m in seasons if 2 * m <= n),
        int(steps[0]) + ready.start,
    )


def _each(
    options: str,
    step_seconds: float,
    steps: bytes | None,
    values: bytes | None,
    counts: bytes | None,
    search: Callable[[_Placed], Iterator[list[Any]]],
    check: Check,
) -> str:
    given = json.loads(options)
    step, value = pg.integers(steps), pg.floats(values)
    ends = np.cumsum(pg.integers(counts, 4))
    if not (int(ends[-1]) if ends.size else 0) == step.size == value.size:
        raise BadOptions(f"{step.size} steps and {value.size} values do not fit the counts")
    results: list[dict[str, Any]] = []
    for own_steps, own_values in zip(
        np.split(step, ends[:-1]), np.split(value, ends[:-1]), strict=True
    ):
        check()
        try:
            placed = _placed(own_steps, own_values, given, step_seconds)
            rows = list(search(placed))
            results.append({"first_step": placed.first_step, "rows": rows})
        except WeighhouseError as error:
            results.append({"reason": str(error), "sqlstate": error.sqlstate, "hint": error.hint})
    return json.dumps(results, allow_nan=False)


def find_anomalies(
    options: str,
    step_seconds: float,
    threshold: float,
    steps: bytes | None,
    values: bytes | None,
    counts: bytes | None,
    check: Check,
) -> str:
    """Find the anomalies of a batch of series, each against its own course.

    Parameters
    ----------
    options : str
        JSON object of the model: seasons, max_gap, missing.
    step_seconds : float
        Length of a step.
    threshold : float
        Scores beyond, of either sign, are anomalies.
    steps, values, counts : bytes
        int8send, float8send of the observations, one series after the other, ascending; int4send of
        how many each has.
    check : callable
        Raises when the caller cancels.

    Returns
    -------
    str
        JSON (see the module); a row is step, actual, expected, score.
    """

    def search(placed: _Placed) -> Iterator[list[Any]]:
        found = anomalies.decompose(placed.values, placed.observed, placed.seasons, check)
        for at in np.flatnonzero(np.abs(found.score) > threshold).tolist():
            expected = float(found.expected[at])
            if np.isfinite(expected):
                yield [
                    placed.first_step + at,
                    float(placed.values[at]),
                    expected,
                    float(found.score[at]),
                ]

    return _each(options, step_seconds, steps, values, counts, search, check)


def find_change_points(
    options: str,
    step_seconds: float,
    least: int | None,
    penalty: float,
    steps: bytes | None,
    values: bytes | None,
    counts: bytes | None,
    check: Check,
) -> str:
    """Find where the series of a batch left their level or spread; see `find_anomalies`.

    least : int or None
        Steps between two changes; None: see `change_points.find`.
    penalty : float
        Of a change, in ln n.

    A row is step, kind, before, after, gain, p.
    """

    def search(placed: _Placed) -> Iterator[list[Any]]:
        for change in change_points.find(
            placed.values, placed.seasons, least=least, penalty=penalty, check=check
        ):
            yield [
                placed.first_step + change.at,
                change.kind,
                change.before,
                change.after,
                change.gain,
                change.p,
            ]

    return _each(options, step_seconds, steps, values, counts, search, check)
