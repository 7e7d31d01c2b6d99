"""From the columns of a table to numbers: an encoding that is learnt once and stored.

- number: as it is. boolean: 0 or 1.
- time: days since 2000-01-01, month (1 to 12), weekday (0 = Monday), hour.
- text: a column of 0 and 1 for each of the most frequent levels, one for all others ("other").
  Not by the mean of the target: what knows no target can tell nothing of it to a fold.
- an empty cell: missing (NaN) for kinds that take it; else the mean, and a column says where. Of a
  text it is a level of its own where the fit saw any.

Columns with one value, or none, are left out. A level that was not seen is "other", an infinite
number is refused by the fit and missing afterwards; a column of another type is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions

__all__ = ["LEVELS", "Column", "Family", "encode", "from_values", "learn", "names"]

Floats = NDArray[np.float64]
Family = Literal["number", "boolean", "time", "text"]
Spec = dict[str, Any]

# Levels of a text that have a column of their own, unless told otherwise.
LEVELS = 32
EPOCH = np.datetime64("2000-01-01", "s")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    family : str
        number; boolean (0 and 1); time (seconds since 2000-01-01); text.
    values : ndarray of float64, or sequence of str or None, length n
        NaN and None are empty cells.
    """

    name: str
    family: Family
    values: Floats | Sequence[str | None]

    def at(self, rows: NDArray[np.int64]) -> Column:
        """Take some rows."""
        if self.family == "text":
            return Column(self.name, self.family, [self.values[row] for row in rows])
        return Column(self.name, self.family, np.asarray(self.values)[rows])


def _parts(seconds: Floats) -> dict[str, Floats]:
    """Give the parts of times; NaN where the time is."""
    known = np.isfinite(seconds)
    times = EPOCH + np.where(known, np.floor(seconds), 0).astype("timedelta64[s]")
    days = times.astype("datetime64[D]")
    month = times.astype("datetime64[M]").astype(np.int64) % 12 + 1
    # 1970-01-01 was a Thursday.
    weekday = (days.astype(np.int64) + 3) % 7
    hour = (times - days).astype(np.int64) // 3600
    parts = {"day": seconds / 86400, "month": month, "weekday": weekday, "hour": hour}
    return {name: np.where(known, part, np.nan) for name, part in parts.items()}


def _number(name: str, values: Floats, takes_missing: bool) -> Spec | None:
    known = values[~np.isnan(values)]
    # One value in some rows and none in the others still tells two kinds of rows apart.
    if not known.size or (known.size == values.size and known.min() == known.max()):
        return None
    spec: Spec = {"part": name}
    if not takes_missing:
        spec["fill"] = float(known.mean())
        spec["marks"] = bool(known.size < values.size)
    return spec


def _form(family: str) -> str:
    """Say what families are alike: booleans are numbers."""
    return "number" if family == "boolean" else family


def learn(columns: Sequence[Column], takes_missing: bool, levels: int = LEVELS) -> list[Spec]:
    """Learn how columns become numbers.

    Parameters
    ----------
    columns : sequence of Column
    takes_missing : bool
        Whether NaN may stand.
    levels : int
        Most levels of a text that get a column of their own.

    Returns
    -------
    list of dict
        One a column, for JSON; "left_out" says why it has no numbers.

    Raises
    ------
    BadOptions
        A number is infinite, or no column is left.
    """
    specs = []
    for column in columns:
        spec: Spec = {"name": column.name, "family": column.family}
        if column.family == "text":
            count = Counter(value for value in column.values if value is not None)
            # The most frequent, in alphabetical order where they are as frequent.
            ranked = sorted(count, key=lambda level: (-count[level], level))
            empty = len(column.values) > count.total()
            if len(ranked) + empty < 2:
                spec["left_out"] = "constant" if ranked else "empty"
            spec |= {
                "levels": ranked[:levels],
                "other": len(ranked) > levels,
                "empty": empty,
                "level_count": len(ranked),
            }
        else:
            values = np.asarray(column.values, dtype=float)
            if np.isinf(values).any():
                raise BadOptions(
                    f"column {column.name} holds infinite values",
                    detail=f"{int(np.isinf(values).sum())} of {len(values)} rows.",
                    hint="Leave those rows out, or make them NULL; a query can do either.",
                )
            parts = {column.name: values}
            if column.family == "time":
                parts = {f"{column.name}: {part}": v for part, v in _parts(values).items()}
            found = [_number(part, values, takes_missing) for part, values in parts.items()]
            spec["parts"] = [part for part in found if part is not None]
            if not spec["parts"]:
                spec["left_out"] = "empty" if np.isnan(values).all() else "constant"
        specs.append(spec)
    if all("left_out" in spec for spec in specs):
        raise BadOptions(
            "there is no column to learn from",
            detail=f"Of {len(specs)} columns each is empty, or the same in all rows.",
            hint="Name others in feature_columns.",
        )
    return specs


def names(specs: Sequence[Spec]) -> list[str]:
    """Name the numbers of an encoding, in order."""
    result = []
    for spec in specs:
        if "left_out" in spec:
            continue
        if spec["family"] == "text":
            result += [f"{spec['name']} = {level}" for level in spec["levels"]]
            result += [f"{spec['name']}: other"] * spec["other"]
            result += [f"{spec['name']}: empty"] * spec["empty"]
            continue
        for part in spec["parts"]:
            result.append(part["part"])
            result += [f"{part['part']}: empty"] * bool(part.get("marks"))
    return result


def encode(specs: Sequence[Spec], columns: Mapping[str, Column], count: int) -> Floats:
    """Encode rows.

    Parameters
    ----------
    specs : sequence of dict
        Of `learn`.
    columns : mapping of str to Column
        One that is not there is empty.
    count : int
        Rows.

    Returns
    -------
    ndarray of float64, shape (count, numbers)

    Raises
    ------
    BadOptions
        A column has another type than it had.
    """
    result = np.zeros((count, len(names(specs))))
    place = 0
    for spec in specs:
        if "left_out" in spec:
            continue
        column = columns.get(spec["name"])
        if column is not None and _form(column.family) != _form(spec["family"]):
            raise BadOptions(
                f"column {spec['name']} is {column.family}, and was {spec['family']}",
                hint="Give it the type it had, or fit the model again.",
            )
        if spec["family"] == "text":
            levels = len(spec["levels"])
            empty = levels + spec["other"]
            number: dict[str | None, int] = {v: i for i, v in enumerate(spec["levels"])}
            number[None] = empty if spec["empty"] else -1
            # Where there were no others, who is new is none of the levels.
            unknown = levels if spec["other"] else -1
            values = [None] * count if column is None else column.values
            where = np.fromiter((number.get(v, unknown) for v in values), np.int64, count)
            rows = np.flatnonzero(where >= 0)
            result[rows, place + where[rows]] = 1
            place += levels + spec["other"] + spec["empty"]
            continue
        given = np.full(count, np.nan) if column is None else np.array(column.values, dtype=float)
        given[np.isinf(given)] = np.nan
        parts = {spec["name"]: given}
        if spec["family"] == "time":
            parts = {f"{spec['name']}: {part}": v for part, v in _parts(given).items()}
        for part in spec["parts"]:
            numbers = parts[part["part"]]
            if "fill" in part:
                missing = np.isnan(numbers)
                if part["marks"]:
                    result[:, place + 1] = missing
                numbers = np.where(missing, part["fill"], numbers)
            result[:, place] = numbers
            place += 1 + bool(part.get("marks"))
    return result


def from_values(specs: Sequence[Spec], values: Mapping[str, Any]) -> dict[str, Column]:
    """Make columns of one row of what JSON holds, by the types that were learnt.

    Raises
    ------
    BadOptions
        A name is none of the columns, or a value is not of its type.
    """
    known = {spec["name"]: spec for spec in specs}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise BadOptions(
            f"the model knows no feature {unknown[0]}", hint=f"It knows {', '.join(known)}."
        )
    return {name: _from_value(known[name], value) for name, value in values.items()}


def _from_value(spec: Spec, value: Any) -> Column:
    name, family = spec["name"], spec["family"]
    if family == "text":
        if isinstance(value, bool):
            return Column(name, family, ["true" if value else "false"])
        return Column(name, family, [value if value is None else str(value)])
    try:
        if value is None:
            number = np.nan
        elif family == "time":
            text = str(value)
            if text.endswith("Z"):
                text = text[:-1]
            number = float((np.datetime64(text) - EPOCH) / np.timedelta64(1, "s"))
        elif isinstance(value, str) and family == "boolean":
            number = {"true": 1.0, "false": 0.0, "t": 1.0, "f": 0.0, "1": 1.0, "0": 0.0}[value]
        else:
            number = float(value)
    except (ValueError, TypeError, KeyError):
        raise BadOptions(
            f"feature {name} cannot be {value!r}", hint=f"It is a {family}; null is an empty cell."
        ) from None
    return Column(name, family, np.array([number]))
