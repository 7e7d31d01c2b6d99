"""Rows of a flat table that are no data: blank, headings, totals, repeated headers; and misfits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from loader.reading.headers import Header, fold, folded_row

TOTAL = re.compile(
    r"^(итого|всего|всего итого|итого всего|подытог|total|grand total|subtotal|sub total)"
    r"( (по|за|на|for|of)\b.*)?$"
)
PAGE = re.compile(r"^(стр|страница|лист|page|sheet) \d+( (из|of) \d+)?$")

# Columns that name things; a row that fills only these is a heading of the rows below it.
NAMING = frozenset({"warehouse", "item_group", "item", "product_type", "unit", "supplier", "note"})


class Batch(NamedTuple):
    """Staged records by column: the line of each, then one sequence a column.

    An empty cell is an empty text here; it becomes NULL where a batch leaves the reader.
    """

    lines: Sequence[int]
    columns: list[Sequence[str]]


def is_total(text: str) -> bool:
    """Whether a label says that its row sums others up."""
    return TOTAL.match(fold(text)) is not None


class FlatRows:
    """Tells data rows of a flat table from the rest."""

    def __init__(self, header: Header, delimiter: str) -> None:
        self.header = header
        self._delimiter = delimiter
        self.item = header.columns["product_group" if header.layout == "norms" else "item"]
        self._values = [i for name, i in header.columns.items() if name not in NAMING]
        self._period = [
            header.columns[name]
            for name in ("period_start", "period_end")
            if name in header.columns
        ]

    def verdict(self, row: Sequence[str]) -> str | None:
        """Return why a row is no data: blank, repeated_header, page_footer, total or group.

        None for data, whether or not its values make sense: that is for the database to judge.
        """
        filled = [cell for cell in row if cell.strip()]
        if not filled:
            return "blank"
        if folded_row(row) in self.header.labels:
            return "repeated_header"
        item = row[self.item] if self.item < len(row) else ""
        if is_total(item) or (not item.strip() and any(map(is_total, filled))):
            return "total"
        if not any(i < len(row) and row[i].strip() for i in self._values):
            return "page_footer" if PAGE.match(fold(" ".join(filled))) else "group"
        if self._period and not any(i < len(row) and row[i].strip() for i in self._period):
            # A file that dates its rows does not date the sums of a group.
            return "group"
        return None

    def misfit(self, row: Sequence[str]) -> str | None:
        """Return why a row does not fit the header, or None."""
        if len(row) < self.header.needed:
            return f"{len(row)} cells where the header has {self.header.needed}"
        if any(cell.strip() for cell in row[self.header.width :]):
            return f"{len(row)} cells where the header has {self.header.width}"
        return None

    def raw(self, row: Sequence[str]) -> str:
        """Return a rejected row as text."""
        return self._delimiter.join(row)
