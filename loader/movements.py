"""Movements come in: what is spelt plainly is stored by COPY, the rest is looked at singly.

The database is asked what each kind of row and each day means, once; a COPY into the hypertable is
then all that most rows cost, and the types, the constraints and the index of the table judge every
value. A block that the table refuses (a value that is none, a movement that is known) is looked at
row by row by `internal.accept_movements`, as rows are that are not plainly spelt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import repeat
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from loader.reading import COPY_OPTIONS, Batch, Kinds, Rows
from loader.reading.copying import escaped
from loader.reading.spelling import (
    DAY,
    NAMES,
    NEGATIVE,
    NONE,
    Plain,
    looks_negative,
    part,
)

# So many rows are stored or refused together.
BLOCK_ROWS = 40_000

EMPTY_STAGING = (
    "truncate staging.row, staging.norm, staging.stamp, staging.spelling, staging.meaning"
)
STORED = (
    "nomenclature_id",
    "warehouse_id",
    "operation",
    "source_data_id",
    "in_kg",
    "out_kg",
    "posted_at",
    "batch_received_at",
    "line",
    "document_number",
)
NULL = "\\N"


class Accepted(NamedTuple):
    """What became of rows: read = loaded + duplicate + rejected."""

    read: int
    loaded: int
    duplicate: int
    rejected: int


@dataclass
class Block:
    """Rows of a file, those that casts can read and those to be looked at one by one."""

    kinds: Kinds
    starts_anew: bool
    """Whether names and kinds are numbered from the start again."""
    plain: list[Plain] = field(default_factory=list)
    odd: list[Rows] = field(default_factory=list)
    new_names: bytes = b""
    """The names that come for the first time, as input for COPY."""
    kind_count: int = 0
    """How many kinds there are up to its end."""
    bytes_read: int = 0

    def __len__(self) -> int:
        return sum(len(rows.lines) for rows in (*self.plain, *self.odd))


def read_blocks(
    batches: Iterable[Batch], kinds: Callable[[], Kinds], bytes_read: Callable[[], int]
) -> Iterator[Block]:
    """Sort the rows of a file, block by block."""
    sorting = kinds()
    block = Block(sorting, starts_anew=True)
    for batch in batches:
        if len(block) and len(block) + len(batch.lines) > BLOCK_ROWS:
            yield _finished(block, bytes_read())
            anew = sorting.are_many
            if anew:
                sorting = kinds()
            block = Block(sorting, starts_anew=anew)
        plain, odd = sorting.sort(batch)
        block.plain += [] if plain is None else [plain]
        block.odd += [] if odd is None else [odd]
    if len(block):
        yield _finished(block, bytes_read())


def _finished(block: Block, bytes_read: int) -> Block:
    block.new_names = block.kinds.take_new()
    block.kind_count = len(block.kinds.all)
    block.bytes_read = bytes_read
    return block


class _Names(NamedTuple):
    """What the names of a row stand for: internal.spelled_movements."""

    item: int | None
    warehouse: int
    operation: str | None
    goes_out: bool


class _Meaning(NamedTuple):
    """What is stored of a kind of row."""

    product: tuple[int, int]
    """Product and warehouse."""
    sources: dict[str, str | None]
    """The column with what came in and with what went out; None = nothing did."""
    factor: Decimal
    """Kilograms in one of its unit."""


class Movements:
    """Stores the blocks of one file in the transaction of a connection.

    Parameters
    ----------
    connection
        Its transaction is the import; nothing is committed here.
    source_data_id : int
        Of the file in the ledger.
    settings : dict
        As `internal.accept_movements` reads them.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], source_data_id: int, settings: dict[str, Any]
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._file = source_data_id
        self._settings = settings
        self._zone: str | None = settings.get("time_zone")
        self._are_times_plain = (
            self._zone is not None and settings.get("date_format", "DMY") == "DMY"
        )
        self._kinds: Kinds
        self._names: dict[int, _Names] = {}
        self._factors: dict[str, Decimal | None] = {"": Decimal(1)}
        self._sides: dict[tuple[Any, ...], tuple[str, str | None, str | None, bool]] = {}
        # Of every kind of row, by its number: what it means, the first columns of `STORED` as COPY
        # reads them, and whether a row that names no batch is one.
        self._meanings: dict[int, _Meaning] = {}
        self._starts: list[str] = []
        self._opens: list[bool] = []
        self._odd_kinds: set[int] = set()
        # Kinds whose amounts are not those of the file, column by column.
        self._reckoned: set[int] = set()
        self._days: set[str] = set()
        self._odd_days: set[str] = set()
        # Of outgoing rows with a single quantity: all, and those with a minus.
        self._outgoing = self._negative = 0
        self._is_signed = False
        self._seen: dict[tuple[int, int], tuple[str, str]] = {}
        self._before = self._cursor.execute(
            "select current_setting('timezone'), current_setting('datestyle')"
        ).fetchone()

    def __enter__(self) -> Movements:
        self._cursor.execute(EMPTY_STAGING)
        self._cursor.execute("select set_config('weighhouse.noted', 'yes', true)")
        if self._are_times_plain:
            self._set(self._zone, "ISO, DMY")
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._note()
            assert self._before is not None
            self._set(*self._before)
            self._cursor.execute(EMPTY_STAGING)
            self._cursor.execute("select set_config('weighhouse.noted', '', true)")

    def _set(self, zone: str | None, style: str) -> None:
        self._cursor.execute(
            "select set_config('timezone', %s, true), set_config('datestyle', %s, true)",
            (zone, style),
        )

    def store(self, block: Block) -> Accepted:
        """Give every row of a block its verdict, and store the good ones."""
        self._kinds = block.kinds
        if block.starts_anew and self._names:
            self._cursor.execute("truncate staging.spelling, staging.meaning")
            self._names.clear()
            self._forget_meanings()
        self._understand(block)
        plain: list[Plain] = []
        odd = list(block.odd)
        for rows in block.plain:
            kept, left = self._part(rows)
            plain += [] if kept is None else [kept]
            odd += [] if left is None else [left]
        loaded = sum(len(rows.lines) for rows in plain)
        if plain and not self._copy(plain):
            odd, loaded = [*plain, *odd], 0
        rest = self._look_at(odd) if odd else Accepted(0, 0, 0, 0)
        return Accepted(loaded + rest.read, loaded + rest.loaded, rest.duplicate, rest.rejected)

    # -- what the database says ----------------------------------------------------------------

    def _understand(self, block: Block) -> None:
        if not self._sides:
            self._cursor.execute("select * from internal.sided_operations()")
            for row in self._cursor:
                self._sides[tuple(row[:5])] = row[5:]
        if block.new_names:
            first = len(self._names) + 1
            copy_in(self._cursor, "spelling", ("number", *NAMES), "format text", block.new_names)
            self._cursor.execute(
                "select internal.remember_names(%s, %s)",
                (self._settings.get("warehouse", "main"), self._zone),
            )
            self._cursor.execute("select * from internal.spelled_movements(%s)", (first,))
            for spelling, *names in self._cursor:
                self._names[spelling] = _Names(*names)
        # (The file is read on meanwhile: there may be more kinds than this block has.)
        new = self._kinds.all[len(self._starts) : block.kind_count]
        units = list({kind.unit for kind in new} - self._factors.keys())
        if units:
            self._cursor.execute(
                "select u.unit, internal.unit_factor(u.unit) from unnest(%s::text[]) as u (unit)",
                (units,),
            )
            self._factors |= dict(self._cursor)
        days = frozenset[str]().union(*(rows.days for rows in block.plain)) - self._days
        if days and self._are_times_plain:
            self._cursor.execute("select internal.plain_days(%s, %s)", (list(days), self._zone))
            row = self._cursor.fetchone()
            assert row is not None
            self._days |= days
            self._odd_days |= days.difference(row[0])
        self._find_sign(block)
        self._find_meanings(block.kind_count)

    def _find_sign(self, block: Block) -> None:
        """Some ledgers write a sale as -5, others as 5 (and a return as -5): most rows tell."""
        if not any("quantity" in rows.cells for rows in (*block.plain, *block.odd)):
            return
        for rows in block.plain:
            for kind, count in Counter(rows.kinds).items():
                sign = self._kinds.all[kind].signs[2]
                if sign != NONE and self._names[self._kinds.all[kind].spelling].goes_out:
                    self._outgoing += count
                    self._negative += count if sign == NEGATIVE else 0
        for odd in block.odd:
            for kind, cell in zip(odd.kinds, odd.cells["quantity"], strict=True):
                if cell and self._names[self._kinds.all[kind].spelling].goes_out:
                    self._outgoing += 1
                    self._negative += looks_negative(cell)
        is_signed = self._negative * 2 > self._outgoing
        if is_signed is not self._is_signed:
            self._is_signed = is_signed
            self._forget_meanings()

    def _forget_meanings(self) -> None:
        self._meanings.clear()
        self._starts.clear()
        self._opens.clear()
        self._odd_kinds.clear()
        self._reckoned.clear()

    def _find_meanings(self, count: int) -> None:
        for number in range(len(self._starts), count):
            kind = self._kinds.all[number]
            item, warehouse, operation, _ = self._names[kind.spelling]
            factor = self._factors[kind.unit]
            side = self._sides.get((operation, *kind.signs, self._is_signed))
            if item is None or factor is None or side is None:
                self._odd_kinds.add(number)
                self._starts.append("")
                self._opens.append(False)
                continue
            settled, in_from, out_from, opens_batch = side
            self._starts.append(f"{item}\t{warehouse}\t{settled}\t{self._file}")
            self._opens.append(opens_batch)
            sources = {"incoming": in_from, "outgoing": out_from}
            self._meanings[number] = _Meaning((item, warehouse), sources, factor)
            if factor != 1 or "quantity" in sources.values():
                self._reckoned.add(number)

    # -- rows that casts can read --------------------------------------------------------------

    def _part(self, rows: Plain) -> tuple[Plain | None, Rows | None]:
        """Part rows whose names, units and days mean what they say from the others."""
        if not self._are_times_plain:
            return None, rows
        if self._odd_days.isdisjoint(rows.days) and self._odd_kinds.isdisjoint(rows.present):
            return rows, None
        texts = [rows.cells[name] for name in ("posted_at", "batch") if name in rows.cells]
        wanted = [
            kind not in self._odd_kinds and self._odd_days.isdisjoint(map(DAY, times))
            for kind, *times in zip(rows.kinds, *texts, strict=True)
        ]
        return part(rows, wanted)

    def _copy(self, blocks: list[Plain]) -> bool:
        """Store rows; False if the table refuses one of them, then none is stored."""
        columns = STORED if "document_number" in blocks[0].cells else STORED[:-1]
        statement = sql.SQL("copy core.stock_movements ({}) from stdin").format(
            sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        try:
            with self._connection.transaction(), self._cursor.copy(statement) as stream:
                for rows in blocks:
                    stream.write(self._stored(rows))
        except (psycopg.errors.UniqueViolation, psycopg.DataError):
            return False
        self._see(blocks)
        return True

    def _stored(self, rows: Plain) -> str:
        """Write rows for `STORED`."""
        times = rows.cells["posted_at"]
        opens = map(self._opens.__getitem__, rows.kinds)
        batches: Iterable[str]
        if "batch" not in rows.cells:
            batches = [time if is_one else NULL for time, is_one in zip(times, opens, strict=True)]
        elif "" in (batches := rows.cells["batch"]):
            batches = [
                batch or (time if is_one else NULL)
                for batch, time, is_one in zip(batches, times, opens, strict=True)
            ]
        columns: list[Iterable[str]] = [
            map(self._starts.__getitem__, rows.kinds),
            self._amounts(rows, "incoming"),
            self._amounts(rows, "outgoing"),
            times,
            batches,
            map(str, rows.lines),
        ]
        if "document_number" in rows.cells:
            columns.append(escaped(rows.cells["document_number"]))
        return "\n".join(map("\t".join, zip(*columns, strict=False))) + "\n"

    def _amounts(self, rows: Plain, side: str) -> Iterable[str]:
        """Give what came in or went out of each row, kg, as COPY reads it."""
        if self._reckoned.isdisjoint(rows.present):
            if side not in rows.cells:
                return repeat("0")
            cells = rows.cells[side]
            text = "\n".join(cells)
            if "," in text:
                cells = text.replace(",", ".").split("\n")
            return [cell or "0" for cell in cells] if "" in cells else cells
        sources = {
            kind: None if (name := self._meanings[kind].sources[side]) is None else rows.cells[name]
            for kind in rows.present
        }
        made = []
        for place, kind in enumerate(rows.kinds):
            source = sources[kind]
            amount = "0"
            if source is not None:
                amount = source[place].lstrip("-").replace(",", ".")
                if (factor := self._meanings[kind].factor) != 1:
                    amount = f"{Decimal(amount) * factor:f}"
            made.append(amount)
        return made

    def _see(self, blocks: list[Plain]) -> None:
        """Remember which products the rows are about, and when."""
        start, end = min(rows.first for rows in blocks), max(rows.last for rows in blocks)
        present = frozenset[int]().union(*(rows.present for rows in blocks))
        for product in {self._meanings[kind].product for kind in present}:
            first, last = self._seen.get(product, (start, end))
            self._seen[product] = (min(first, start), max(last, end))

    def _note(self) -> None:
        if self._seen:
            items, warehouses = zip(*self._seen, strict=True)
            first, last = zip(*self._seen.values(), strict=True)
            self._cursor.execute(
                "select internal.note_movements(%s, %s::int[], %s::int[], %s::timestamptz[],"
                " %s::timestamptz[])",
                (self._file, list(items), list(warehouses), list(first), list(last)),
            )

    # -- rows to be looked at one by one -------------------------------------------------------

    def _look_at(self, odd: Sequence[Rows]) -> Accepted:
        self._cursor.execute("truncate staging.row")
        for some in odd:
            copy_in(
                self._cursor, "row", self._kinds.columns, COPY_OPTIONS, self._kinds.staged(some)
            )
        self._cursor.execute(
            "select (a).* from internal.accept_movements(%s, %s, %s) as a",
            (self._file, json.dumps(self._settings), self._is_signed),
        )
        row = self._cursor.fetchone()
        assert row is not None
        return Accepted(*row)


def copy_in(
    cursor: psycopg.Cursor[Any], table: str, columns: Iterable[str], options: str, data: bytes
) -> None:
    """Bring rows into a staging table."""
    statement = sql.SQL("copy {} ({}) from stdin ({})").format(
        sql.Identifier("staging", table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(options),
    )
    with cursor.copy(statement) as stream:
        stream.write(data)
