"""One input file as a stream of staging records, whatever its kind: the entry to this package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from loader.errors import Refused, UsageError
from loader.reading import norms
from loader.reading.balances import Balances
from loader.reading.copying import copy_text
from loader.reading.dialect import (
    DELIMITERS,
    SEP_LINE,
    Chunk,
    CsvTable,
    Table,
    agreement,
    named,
)
from loader.reading.flat import Batch
from loader.reading.headers import (
    SEARCHED,
    Doubled,
    Header,
    find_header,
    refuse_unrecognised,
)
from loader.reading.movements import Movements
from loader.reading.norms import Norms
from loader.reading.options import BadRow, LayoutName, ReadOptions, Report, Value
from loader.reading.statement import Statement, read_preamble
from loader.reading.stream import Bytes, Text

if TYPE_CHECKING:  # openpyxl takes 0.2 s and 20 MB, which a CSV file need not pay
    from loader.reading.workbook import Workbook, WorkbookTable

ROWS_AT_ONCE = 8192
# A table with very many columns is recognised from fewer records.
CELLS_SEARCHED = 100_000

Head = list[tuple[int, list[str]]]


def open_source(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Source:
    """Open a file, recognise it and verify its text, before anything is loaded.

    Parameters
    ----------
    path : path or '-'
        A CSV file (also .gz) or an .xlsx workbook, by content and not by name; '-' is standard
        input.
    options : ReadOptions, optional

    Returns
    -------
    Source
        A context manager; it holds temporary files.

    Raises
    ------
    Refused
        The content is no table of a known layout, or cannot be read as text.
    UsageError
        The file or an option cannot be used.
    """
    options = options or ReadOptions()
    options.check()
    data = Bytes(path)
    source: Source | None = None
    try:
        source = Source(data, options)
        return source
    finally:
        if source is None:
            data.close()


class Source:
    """An opened and recognised file.

    Attributes
    ----------
    name : str
        File name for messages; ``stdin`` for standard input.
    path : Path
        Where the bytes are (a temporary file for standard input).
    sha256 : str
        Of the bytes as given, compressed ones too; hexadecimal.
    size_bytes : int
    layout : 'balances', 'movements', 'statement' or 'norms'
    encoding : str or None
        None for a workbook.
    delimiter : str or None
        None for a workbook.
    sheet : str or None
        Name of the sheet of a workbook.
    columns : tuple of str
        Staging columns the records carry, ``line`` first.
    period : tuple of (str, str) or None
        Start and end as the preamble says them.
    title : str
        First text of the preamble, or ''.
    skipped : Counter
        Records that are no data by reason; of the latest pass, complete when it has ended.
    bad_rows : list of BadRow
        Records that cannot be staged; of the latest pass. `take_bad_rows` empties it.
    notices : list of str
        What the reader of the summary should know; of the latest pass.
    """

    def __init__(self, data: Bytes, options: ReadOptions) -> None:
        self._data = data
        self._report = Report()
        self._book: Workbook | None = None
        self.name = data.name
        self.path: Path = data.path
        self.size_bytes = data.size_bytes
        self.encoding: str | None = None
        self.delimiter: str | None = None
        self.sheet: str | None = None
        if not data.head:
            raise Refused(f"{self.name}: the file is empty", hint="Export it again.")
        self._table: Table
        self._header: Header
        if data.is_zip:
            self._open_workbook(options)
        else:
            self._open_text(options)
        preamble = read_preamble(self._header.preamble)
        self.layout: LayoutName = self._header.layout
        self.period: tuple[str, str] | None = preamble.period
        self.title = preamble.title
        self._reader: Movements | Balances | Statement | Norms
        raw_delimiter = self.delimiter or ";"
        if self.layout == "movements":
            self._reader = Movements(self._header, raw_delimiter)
        elif self.layout == "balances":
            self._reader = Balances(self._header, preamble.constants, raw_delimiter)
        elif self.layout == "norms":
            self._reader = Norms(self._header, raw_delimiter)
        else:
            self._reader = Statement(self.name, self._header, preamble)
        self.columns: tuple[str, ...] = self._reader.columns

    @property
    def sha256(self) -> str:
        """Hash of the bytes as given; waits for it where it is still being made."""
        return self._data.sha256

    # -- recognition ---------------------------------------------------------------------------

    def _open_text(self, options: ReadOptions) -> None:
        if options.sheet is not None:
            raise UsageError(f"{self.name}: --sheet is for workbooks, this is a text file")
        text = Text(self._data, options.encoding)
        self.encoding = text.encoding
        if not text.has_text:
            raise Refused(f"{self.name}: the file is empty", hint="Export it again.")
        with text.open() as stream:
            declared = SEP_LINE.match(stream.readline(100))
        forced = options.delimiter_character or (declared[1] if declared else None)
        readings: list[tuple[tuple[int, float], Header, CsvTable]] = []
        heads: list[tuple[float, Head]] = []
        failure: Refused | None = None
        for delimiter in (forced,) if forced else DELIMITERS:
            table = CsvTable(text, delimiter)
            try:
                head = _head(table)
                rows = [cells for _, cells in head]
                heads.append((agreement(rows), head))
                header = _find_header(rows, options)
            except Doubled as exc:
                failure = self._refuse_doubled(exc)
            except Refused as exc:
                failure = failure or exc
            else:
                if header is not None:
                    strength = (header.strength, round(heads[-1][0], 2))
                    readings.append((strength, header, table))
        if not readings:
            best = max(heads, key=lambda reading: reading[0], default=(0.0, []))[1]
            raise failure or refuse_unrecognised(self.name, best, options, norms.EXPECTED)
        readings.sort(key=lambda reading: reading[0], reverse=True)
        if len(readings) > 1 and readings[0][0] == readings[1][0]:
            found = " and ".join(named(table.delimiter) for _, _, table in readings[:2])
            raise Refused(
                f"{self.name}: {found} are equally plausible delimiters",
                hint="Name it with --delimiter.",
            )
        _, self._header, csv_table = readings[0]
        self._table = csv_table
        self.delimiter = csv_table.delimiter

    def _refuse_doubled(self, exc: Doubled, sheet: str = "") -> Refused:
        return Refused(
            f"{self.name}{sheet}: {exc}",
            hint="Choose one with --map, by its header text or as #3 for the third column;"
            " --quantity-columns chooses between quantity and amount.",
        )

    def _open_workbook(self, options: ReadOptions) -> None:
        for given, option in ((options.encoding, "encoding"), (options.delimiter, "delimiter")):
            if given is not None:
                raise UsageError(f"{self.name}: --{option} is for text files, this is a workbook")
        from loader.reading.workbook import Workbook

        self._book = book = Workbook(self._data, options)
        wanted = book.sheets
        if options.sheet is not None:
            number = int(options.sheet) if options.sheet.isdigit() else 0
            if options.sheet in book.sheets:
                wanted = [options.sheet]
            elif 0 < number <= len(book.sheets):
                wanted = [book.sheets[number - 1]]
            else:
                raise UsageError(
                    f'{self.name}: has no sheet "{options.sheet}"',
                    hint=f"Its sheets: {', '.join(book.sheets)}.",
                )
        found: list[tuple[str, Header, WorkbookTable]] = []
        heads: list[Head] = []
        failure: Refused | None = None
        for sheet in wanted:
            table = book.table(sheet)
            heads.append(_head(table))
            try:
                header = _find_header([cells for _, cells in heads[-1]], options)
            except Doubled as exc:
                failure = failure or self._refuse_doubled(exc, f"[{sheet}]")
                continue
            if header is not None:
                found.append((sheet, header, table))
        if not found:
            label = self.name if len(book.sheets) == 1 else f"{self.name}[{', '.join(wanted)}]"
            fullest = max(heads, key=len, default=[])
            raise failure or refuse_unrecognised(label, fullest, options, norms.EXPECTED)
        if len(found) > 1:
            names = ", ".join(f'"{sheet}"' for sheet, _, _ in found)
            raise Refused(
                f"{self.name}: several sheets can be read: {names}",
                hint="Choose one with --sheet.",
            )
        self.sheet, self._header, sheet_table = found[0]
        at = self._header.columns
        sheet_table.width = self._header.width
        dates = ("posted_at", "period_start", "period_end", "valid_from", "valid_to")
        sheet_table.dates = {at[name] for name in dates if name in at}
        labels = ("item",) if self._header.layout == "statement" else ("batch",)
        sheet_table.labels = {at[name] for name in labels if name in at}
        self._table = sheet_table

    # -- reading -------------------------------------------------------------------------------

    @property
    def skipped(self) -> Counter[str]:
        """Records that are no data, by reason."""
        return self._report.skipped

    @property
    def bad_rows(self) -> list[BadRow]:
        """Records that cannot be staged."""
        return self._report.bad_rows

    @property
    def notices(self) -> list[str]:
        """What the reader of the summary should know."""
        return self._report.notices

    def take_bad_rows(self) -> list[BadRow]:
        """Return the bad rows found since the last call and forget them, to bound the memory."""
        taken, self._report.bad_rows = self._report.bad_rows, []
        return taken

    @property
    def bytes_read(self) -> int:
        """Progress of the current pass in bytes of the file as given."""
        share = self._table.share_read()
        return self._data.position if share is None else int(self.size_bytes * share)

    def _chunks(self, report: Report, most: int) -> Iterator[Chunk]:
        """Read the chunks after the header."""
        left = self._header.length
        report.skipped["header"] = self._header.header_rows
        report.skipped["preamble"] = left - self._header.header_rows
        for chunk in self._table.chunks(report, most):
            if left:
                drop = min(left, len(chunk))
                left -= drop
                chunk = chunk.without(drop)
            if len(chunk):
                yield chunk

    def batches(self, most: int = ROWS_AT_ONCE) -> Iterator[Batch]:
        """Read all records from the start by column, at most so many at once."""
        self._report = report = Report()
        if isinstance(self._reader, Movements):
            yield from self._reader.batches(self._chunks(report, most), report)
        else:
            yield from self._reader.batches(lambda r: self._chunks(r, most), report)
        self._data.check_unchanged()
        report.skipped += Counter()  # drops reasons with a count of zero

    def records(self) -> Iterator[tuple[Value, ...]]:
        """Read all records from the start.

        Yields
        ------
        tuple
            One value for each of `columns`: the line number, then texts exactly as in the file;
            None for an empty cell.
        """
        for batch in self.batches():
            columns: list[Sequence[str | None]] = [
                [value or None for value in column] if "" in column else column
                for column in batch.columns
            ]
            yield from zip(batch.lines, *columns, strict=True)

    def copy_blocks(self, max_rows: int = 50_000) -> Iterator[tuple[bytes, int]]:
        """Read all records from the start as input for COPY.

        Parameters
        ----------
        max_rows : int
            Records in a block at most.

        Yields
        ------
        tuple of (bytes, int)
            UTF-8 in COPY's text format, to be read ``with (format text, null '')``
            (`COPY_OPTIONS`) into `columns`, and the number of records in it.
        """
        parts: list[bytes] = []
        rows = 0
        for batch in self.batches(min(ROWS_AT_ONCE, max_rows)):
            count = len(batch.lines)
            if rows and rows + count > max_rows:
                yield b"".join(parts), rows
                parts, rows = [], 0
            parts.append(copy_text(batch))
            rows += count
        if rows:
            yield b"".join(parts), rows

    def raw_lines(self, lines: set[int]) -> dict[int, str]:
        """Read the raw text of the records that start at these lines, in a pass of its own."""
        return self._table.raw_lines(lines)

    def close(self) -> None:
        """Give back temporary files."""
        if self._book is not None:
            self._book.close()
        self._data.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self.close()
        return False


def _find_header(rows: list[list[str]], options: ReadOptions) -> Header | None:
    find = norms.find_header if options.layout == "norms" else find_header
    return find(rows, options)


def _head(table: Table) -> Head:
    """Read the first records, enough to find the header."""
    head: Head = []
    cells = 0
    # With a wrong delimiter every record may be malformed: those count as tried.
    for chunk in islice(table.chunks(Report(), SEARCHED), SEARCHED):
        for line, row in islice(zip(chunk.lines, chunk.rows(), strict=True), SEARCHED - len(head)):
            head.append((line, row))
            cells += len(row)
            if cells > CELLS_SEARCHED:
                return head
        if len(head) >= SEARCHED:
            break
    return head
