"""What a reader is told and what it reports: options, staging columns, what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from loader.errors import UsageError

STAGING_COLUMNS = (
    "line",
    "record",
    "warehouse",
    "item_group",
    "item",
    "product_type",
    "unit",
    "document_type",
    "document_number",
    "posted_at",
    "batch",
    "supplier",
    "period_start",
    "period_end",
    "storage_days",
    "opening",
    "incoming",
    "outgoing",
    "closing",
    "quantity",
    "note",
)

# Columns of staging.norm, where norms of natural loss are staged.
NORM_COLUMNS = (
    "product_group",
    "matched_by",
    "match_key",
    "kind",
    "storage_mode",
    "climate_group",
    "store_group",
    "season",
    "packaging",
    "temperature_from",
    "temperature_to",
    "valid_from",
    "valid_to",
    "half_day",
    "step_from",
    "step_to",
    "percent",
    "add_per_day",
    "document",
)

# Of facts; they are told apart by their content.
FactLayout = Literal["balances", "movements", "statement"]
# Norms are read only when asked for.
LayoutName = Literal[FactLayout, "norms"]
LAYOUTS: tuple[LayoutName, ...] = get_args(FactLayout)

# More of a rejected row than this helps nobody, and a file of bad rows must not fill the memory.
MAX_RAW = 64 * 1024

# One value of a staging row: the line number, a text, or None for an empty cell.
Value = int | str | None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file; everything left out is found from the content.

    Attributes
    ----------
    layout : 'balances', 'movements', 'statement', 'norms' or None
    encoding : str or None
        Codec name; the file is then decoded strictly with it.
    delimiter : str or None
        One character, or the words ``tab`` and ``\\t``.
    sheet : str or None
        Name of the sheet, or its number counted from 1.
    column_map : mapping of staging column to header text
        Wins over recognition. ``#3`` names the third column where the header text cannot.
    quantity_columns : str or None
        Word of the captions that marks the wanted numbers where each stands several times
        (quantity and amount), for example ``Вес`` or ``Сумма``.
    date_system : 1900, 1904 or None
        Epoch of serial dates in a workbook that declares the wrong one.
    """

    layout: LayoutName | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    quantity_columns: str | None = None
    date_system: Literal[1900, 1904] | None = None

    def check(self) -> None:
        """Refuse options that no file could satisfy."""
        if self.layout is not None and self.layout not in (*LAYOUTS, "norms"):
            raise UsageError(
                f'unknown layout "{self.layout}"', hint=f"Choose one of {', '.join(LAYOUTS)}."
            )
        mappable = NORM_COLUMNS if self.layout == "norms" else STAGING_COLUMNS[2:]
        for column in self.column_map:
            if column not in mappable:
                raise UsageError(
                    f'--map names an unknown column "{column}"',
                    hint=f"Columns that can be mapped: {', '.join(mappable)}.",
                )
        if self.date_system not in (None, 1900, 1904):
            raise UsageError("the date system is 1900 or 1904")
        delimiter = self.delimiter_character
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise UsageError(
                f'"{self.delimiter}" cannot be a delimiter',
                hint="Give one character, or the word tab.",
            )

    @property
    def delimiter_character(self) -> str | None:
        """The delimiter itself where a word stands for it."""
        words = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "pipe": "|"}
        return words.get(self.delimiter, self.delimiter) if self.delimiter else None


class BadRow(NamedTuple):
    """A record that cannot be staged; it counts as read and is rejected."""

    line: int
    raw: str
    reason: str


@dataclass(slots=True)
class Report:
    """What one pass over a file left out, so that nothing vanishes silently."""

    skipped: Counter[str] = field(default_factory=Counter)
    bad_rows: list[BadRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def reject(self, line: int, raw: str, reason: str) -> None:
        """Note a record that cannot be staged; NUL shows as ␀, which a database can store."""
        self.bad_rows.append(BadRow(line, raw[:MAX_RAW].replace("\0", "␀"), reason))

    def notice(self, text: str) -> None:
        """Say something once that the reader of the summary should know."""
        if text not in self.notices:
            self.notices.append(text)
