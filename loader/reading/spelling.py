"""How the rows of a movements file are spelt: what casts alone can read, and what kinds there are.

Most rows of most files are spelt plainly: a time such as 2025-01-06 10:00:00, a number such as
12.5, names that come again and again. Whole columns are looked at, and no cell by itself unless
something in its column is odd. What the database has to say it is asked once of each distinct thing
(names, unit and signs of a row: its kind; a day), not once a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import compress, repeat
from operator import itemgetter
from typing import NamedTuple

from loader.reading.copying import copy_text
from loader.reading.flat import Batch

# Staging columns whose texts repeat from row to row.
NAMES = ("item", "product_type", "warehouse", "document_type", "item_group")
AMOUNTS = ("incoming", "outgoing", "quantity")
# How many kinds of rows are remembered from block to block, to bound the memory.
REMEMBERED = 30_000

# Spellings of a time that PostgreSQL reads as internal.parse_timestamp does, with DateStyle DMY;
# each digit is a 0 here, and the day takes the first ten characters.
TIMES = frozenset(
    {
        "0000-00-00 00:00:00",
        "00.00.0000 00:00:00",
        "00.00.0000 0:00:00",
        "0000-00-00 00:00",
        "00.00.0000 00:00",
        "0000-00-00",
        "00.00.0000",
    }
)
DAY = itemgetter(slice(10))
DAYS_AT_ONCE = 1000
AS_ZEROS = str.maketrans("123456789", "000000000")

# A longer number may be too large; one of this length is not.
LONGEST = 12
MINUS = re.compile(r"^\s*[-−–(]|-\s*$")
NONE, ZERO, POSITIVE, NEGATIVE = "n", "0", "+", "-"
# Every way to write nothing at all, up to the longest number that is looked at.
SIGNS = {"": NONE} | {
    "0" * whole + mark + "0" * part: ZERO
    for mark in ("", ".", ",")
    for whole in range(LONGEST + 1)
    for part in range(LONGEST + 1 - whole)
    if whole + part
}


class Kind(NamedTuple):
    """What the names, the unit and the signs of a row are; rows of a kind share their meaning."""

    spelling: int
    """Number of the names in staging.spelling."""
    unit: str
    """As the file writes it; empty = none."""
    signs: tuple[str, str, str]
    """Of `AMOUNTS`: n (none), 0, + or -."""


@dataclass(frozen=True)
class Rows:
    """Rows of a movements file by column, as the file spells them.

    Attributes
    ----------
    lines : sequence of int
    kinds : sequence of int
        Places in `Kinds.all`.
    cells : dict of sequences of str
        The staging columns that are no names; an empty text = none.
    ordered : frozenset of str
        Columns of times that all have one shape, the year first: they sort as their texts do.
    """

    lines: Sequence[int]
    kinds: Sequence[int]
    cells: dict[str, Sequence[str]]
    ordered: frozenset[str]

    def where(self, wanted: Sequence[bool]) -> Rows:
        """Give those of the rows that are wanted."""
        return Rows(
            list(compress(self.lines, wanted)),
            list(compress(self.kinds, wanted)),
            {name: list(compress(cells, wanted)) for name, cells in self.cells.items()},
            self.ordered,
        )


@dataclass(frozen=True)
class Plain(Rows):
    """Rows that casts can read, and what they are about; there is at least one.

    Attributes
    ----------
    present : frozenset of int
        Their kinds.
    days : frozenset of str
        Texts of the days they name, perhaps with some between them.
    first, last : str
        When they were posted, in ISO 8601 without a zone.
    """

    present: frozenset[int]
    days: frozenset[str]
    first: str
    last: str

    @classmethod
    def of(cls, rows: Rows) -> Plain:
        """Look at rows whose times are all spelt plainly."""
        days = frozenset[str]()
        for name in {"posted_at", "batch"} & rows.cells.keys():
            cells = rows.cells[name]
            days |= _days_between(cells) if name in rows.ordered else frozenset(map(DAY, cells))
        times = rows.cells["posted_at"]
        edges = (_iso(min(times)), _iso(max(times))) if "posted_at" in rows.ordered else span(times)
        present = frozenset(rows.kinds)
        return cls(rows.lines, rows.kinds, rows.cells, rows.ordered, present, days - {""}, *edges)


class Kinds:
    """Numbers the kinds of rows in a file, and tells which rows are spelt plainly.

    Parameters
    ----------
    columns : sequence of str
        Staging columns of the batches, ``line`` first.
    decimal : str or None
        The mark of the fraction; None = point or comma, as each number has it.

    Attributes
    ----------
    all : list of Kind
        By number.
    columns : tuple of str
        Of `staged`: ``line``, ``spelling`` and what is no name.
    """

    def __init__(self, columns: Sequence[str], decimal: str | None = None) -> None:
        self._given = columns[1:]
        self._named = [name for name in (*NAMES, "unit") if name in columns]
        self._amounts = [name for name in AMOUNTS if name in columns]
        self._rest = [name for name in columns[1:] if name not in NAMES]
        self.columns = ("line", "spelling", *self._rest)
        marks = decimal if decimal in (".", ",") else ".,"
        self._digits = f"0123456789{marks}\n".encode()
        self._number = re.compile(rf"(?:[0-9]+[{marks}]?[0-9]*|[{marks}][0-9]+)")
        self.all: list[Kind] = []
        self._spellings: dict[tuple[str, ...], int] = {}
        self._new: list[tuple[str, ...]] = []
        self._numbers = _Numbers(self._add)

    def _add(self, key: tuple[str, ...]) -> int:
        given = dict(zip(self._named, key, strict=False))
        names = tuple(given.get(name, "") for name in NAMES)
        spelling = self._spellings.get(names)
        if spelling is None:
            spelling = self._spellings[names] = 1 + len(self._spellings)
            self._new.append(names)
        signs = dict(zip(self._amounts, key[len(given) :], strict=True))
        incoming, outgoing, quantity = (signs.get(name, NONE) for name in AMOUNTS)
        self.all.append(Kind(spelling, given.get("unit", ""), (incoming, outgoing, quantity)))
        return len(self.all) - 1

    def sort(self, batch: Batch) -> tuple[Plain | None, Rows | None]:
        """Tell the rows that casts can read from those to be looked at one by one."""
        cells = dict(zip(self._given, batch.columns, strict=True))
        signs = [_signs(cells[name], signed=name == "quantity") for name in self._amounts]
        named = [cells[name] for name in self._named]
        keys = zip(*named, *signs, strict=True) if named or signs else repeat((), len(batch.lines))
        kinds = list(map(self._numbers.__getitem__, keys))
        odd: set[int] = set()
        ordered = set()
        for name in {"posted_at", "batch"} & cells.keys():
            shape, places = _odd_times(cells[name], may_be_empty=name == "batch")
            odd.update(places)
            if shape.startswith("0000"):
                ordered.add(name)
        if "posted_at" not in cells:
            odd.update(range(len(kinds)))
        for name in self._amounts:
            odd.update(self._odd_numbers(cells[name], may_be_negative=name == "quantity"))
        rest = {name: cells[name] for name in self._rest}
        rows = Rows(batch.lines, kinds, rest, frozenset(ordered))
        return part(rows, [place not in odd for place in range(len(kinds))] if odd else None)

    def _odd_numbers(self, cells: Sequence[str], *, may_be_negative: bool) -> Sequence[int]:
        text = "\n".join(cells).encode()
        if (
            not text.translate(None, self._digits)
            and not (b"," in text and b"." in text)
            and text.count(b"\n") == len(cells) - 1
            and max(map(len, cells)) <= LONGEST
        ):
            return ()
        match = self._number.fullmatch
        return [
            place
            for place, cell in enumerate(cells)
            if cell
            and not (
                len(cell) <= LONGEST
                and match(cell[1:] if may_be_negative and cell[0] == "-" else cell)
            )
        ]

    def staged(self, rows: Rows) -> bytes:
        """Write rows for staging.row, their names as numbers: input for COPY into `columns`."""
        spellings = [str(self.all[kind].spelling) for kind in rows.kinds]
        return copy_text(Batch(rows.lines, [spellings, *(rows.cells[n] for n in self._rest)]))

    def take_new(self) -> bytes:
        """Give the numbers and `NAMES` not given before as input for COPY, empty texts as such."""
        new, self._new = self._new, []
        if not new:
            return b""
        count = len(self._spellings)
        numbers = range(count - len(new) + 1, count + 1)
        return copy_text(Batch(numbers, list(zip(*new, strict=True))))

    @property
    def are_many(self) -> bool:
        """Whether it is time to start anew, to bound the memory."""
        return len(self.all) > REMEMBERED


class _Numbers(dict[tuple[str, ...], int]):
    """Numbers what comes for the first time."""

    def __init__(self, add: Callable[[tuple[str, ...]], int]) -> None:
        super().__init__()
        self._add = add

    def __missing__(self, key: tuple[str, ...]) -> int:
        number = self[key] = self._add(key)
        return number


def looks_negative(number: str) -> bool:
    """Tell whether a number is spelt with a minus, before, behind or as brackets."""
    return MINUS.search(number) is not None


def _signs(cells: Sequence[str], *, signed: bool) -> list[str]:
    signs = list(map(SIGNS.get, cells, repeat(POSITIVE)))
    if signed and "-" in "".join(cells):
        for place, cell in enumerate(cells):
            if cell[:1] == "-" and SIGNS.get(cell[1:]) is None:
                signs[place] = NEGATIVE
            elif cell[:1] == "-":
                signs[place] = SIGNS[cell[1:]]
    return signs


def _odd_times(cells: Sequence[str], *, may_be_empty: bool) -> tuple[str, Sequence[int]]:
    """Give the one shape of all cells (empty = several), and the places of those of no shape."""
    text = "\n".join(cells).translate(AS_ZEROS)
    shape = cells[0].translate(AS_ZEROS)
    if shape in TIMES and text == "\n".join(repeat(shape, len(cells))):
        return shape, ()
    shapes = text.split("\n")
    allowed = TIMES | {""} if may_be_empty else TIMES
    if len(shapes) == len(cells) and allowed.issuperset(shapes):
        return "", ()
    odd = [place for place, cell in enumerate(cells) if cell.translate(AS_ZEROS) not in allowed]
    return "", odd


def part(rows: Rows, wanted: Sequence[bool] | None) -> tuple[Plain | None, Rows | None]:
    """Part rows that casts can read from the others; no list = all of them are."""
    if wanted is None:
        return Plain.of(rows), None
    odd = rows.where([not is_wanted for is_wanted in wanted])
    return Plain.of(rows.where(wanted)) if any(wanted) else None, odd if odd.lines else None


def _days_between(times: Sequence[str]) -> frozenset[str]:
    """Give the days of times that sort as their texts do, and those between them."""
    days = _calendar(DAY(min(times)), DAY(max(times)))
    return frozenset(map(DAY, times)) if days is None else days


@lru_cache(maxsize=10_000)
def _calendar(first: str, last: str) -> frozenset[str] | None:
    """Give all days of a few years at most; which of them there are takes longer to find out."""
    try:
        start = date.fromisoformat(first)
        count = (date.fromisoformat(last) - start).days + 1
    except ValueError:
        return None
    if count > DAYS_AT_ONCE:
        return None
    return frozenset((start + timedelta(days=day)).isoformat() for day in range(count))


def span(times: Sequence[str]) -> tuple[str, str]:
    """Give the first and the last of some plainly spelt times, in ISO 8601."""
    by_day: dict[str, list[str]] = {}
    for day in set(map(DAY, times)):
        by_day.setdefault(_iso(day)[:10], []).append(day)
    edges = []
    for edge, best in ((min(by_day), min), (max(by_day), max)):
        of_day = tuple(by_day[edge])
        # Texts of one day and length are spelt alike: they sort as the times do.
        by_length: dict[int, str] = {}
        for time in times:
            if time.startswith(of_day):
                by_length[len(time)] = best(by_length.get(len(time), time), time)
        edges.append(best(map(_iso, by_length.values())))
    return edges[0], edges[1]


def _iso(time: str) -> str:
    day, clock = time[:10], time[11:]
    if day[2] == ".":
        day = f"{day[6:]}-{day[3:5]}-{day[:2]}"
    if len(clock) < 6:
        clock = f"{clock or '00:00'}:00"
    return f"{day} {clock:0>8}"
