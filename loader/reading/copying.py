"""Batches as input for COPY: text of a table, and numbers that stand for names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, repeat

from loader.reading.flat import Batch

# Options of the COPY command that reads rows: an empty cell is NULL.
COPY_OPTIONS = "format text, null ''"

# Staging columns whose texts repeat from row to row.
NAMES = ("item", "product_type", "warehouse", "document_type", "item_group")
# How many combinations of names are remembered from block to block, to bound the memory.
REMEMBERED = 30_000


class Spellings(dict[tuple[str, ...], str]):
    """Numbers the combinations of names in a file: a row then carries one number for its names.

    Attributes
    ----------
    columns : tuple of str
        Staging columns of the batches that `spell` returns, ``line`` first.
    first : int
        The least number that rows may carry from now on.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__()
        self._names = [columns.index(name) - 1 if name in columns else None for name in NAMES]
        self._rest = [i for i, name in enumerate(columns[1:]) if name not in NAMES]
        self.columns = ("line", "spelling", *(columns[i + 1] for i in self._rest))
        self.first = 1
        self._told = 0

    def __missing__(self, names: tuple[str, ...]) -> str:
        """Give the next number to names that come for the first time."""
        number = self[names] = str(self.first + len(self))
        return number

    def spell(self, batch: Batch) -> Batch:
        """Replace the names of a batch by their numbers."""
        names = [repeat("") if i is None else batch.columns[i] for i in self._names]
        numbers = list(map(self.__getitem__, zip(*names, strict=False)))
        return Batch(batch.lines, [numbers, *(batch.columns[i] for i in self._rest)])

    def take_new(self) -> bytes:
        """Give the numbers and `NAMES` not given before as input for COPY, empty texts as such."""
        new = list(islice(self, self._told, None))
        numbers = range(self.first + self._told, self.first + len(self))
        self._told = len(self)
        return copy_text(Batch(numbers, list(zip(*new, strict=True)))) if new else b""

    def forget(self) -> None:
        """Start with new numbers if the names have become many; for the end of a block."""
        if len(self) > REMEMBERED:
            self.first += len(self)
            self._told = 0
            self.clear()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def copy_text(batch: Batch) -> bytes:
    """Write a batch in COPY's text format.

    Joining whole rows in C and looking at the result for characters that need an escape is several
    times faster than a look at each cell.
    """
    columns = batch.columns
    for attempt in (0, 1):
        lines = map(str, batch.lines)
        text = "\n".join(map("\t".join, zip(lines, *columns, strict=True)))
        clean = (
            "\\" not in text
            and "\r" not in text
            and text.count("\t") == len(batch.lines) * len(columns)
            and text.count("\n") == len(batch.lines) - 1
        )
        if clean or attempt:
            break
        columns = [list(map(_escape, column)) for column in columns]
    return f"{text}\n".encode()
