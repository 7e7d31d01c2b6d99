"""Any table with a line of names: what becomes a dataset. Nothing in it is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from loader.errors import Refused, UsageError
from loader.reading.copying import copy_text
from loader.reading.dialect import DELIMITERS, SEP_LINE, Chunk, CsvTable, Table, agreement
from loader.reading.flat import Batch
from loader.reading.options import ReadOptions, Report
from loader.reading.stream import Bytes, Text

if TYPE_CHECKING:  # openpyxl takes 0.2 s and 20 MB, which a CSV file need not pay
    from loader.reading.workbook import Workbook

ROWS_AT_ONCE = 4096
# Records that tell which delimiter it is.
SEARCHED = 200


class Misfit(Refused):
    """A record that does not fit the header; the whole file is refused for it."""

    def __init__(self, message: str, line: int, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.line = line


class PlainTable:
    """An opened file as a table of text cells under one line of names.

    Attributes
    ----------
    name : str
        File name for messages; ``stdin`` for standard input.
    sha256 : str
        Of the bytes as given; hexadecimal.
    size_bytes : int
        Of the file as given.
    encoding, delimiter, sheet : str or None
    names : list of str
        Texts of the first line that is not blank, spaces around them removed.
    header_line : int
        Where they stand.
    """

    def __init__(self, data: Bytes, options: ReadOptions) -> None:
        options.check()
        self.data = data
        self._book: Workbook | None = None
        self.encoding: str | None = None
        self.delimiter: str | None = None
        self.sheet: str | None = None
        self._skipped = 0
        self.name = data.name
        self.size_bytes = data.size_bytes
        if not data.head:
            raise Refused(f"{self.name}: the file is empty", hint="Export it again.")
        self._table: Table
        try:
            if data.is_zip:
                self._open_workbook(options)
            else:
                self._open_text(options)
            self.names, self.header_line = self._find_names()
        except BaseException:
            self.close()
            raise

    @property
    def sha256(self) -> str:
        """Hash of the bytes as given; waits for it where it is still being made."""
        return self.data.sha256

    def _open_text(self, options: ReadOptions) -> None:
        if options.sheet is not None:
            raise UsageError(f"{self.name}: --sheet is for workbooks, this is a text file")
        text = Text(self.data, options.encoding)
        self.encoding = text.encoding
        if not text.has_text:
            raise Refused(f"{self.name}: the file is empty", hint="Export it again.")
        with text.open() as stream:
            declared = SEP_LINE.match(stream.readline(100))
        self._skipped = 1 if declared else 0
        forced = options.delimiter_character or (declared[1] if declared else None)
        tried: list[tuple[float, int, CsvTable]] = []
        failure: Refused | None = None
        for delimiter in (forced,) if forced else DELIMITERS:
            table = CsvTable(text, delimiter)
            try:
                rows = self._first_rows(table)
            except Refused as error:
                failure = failure or error
                continue
            tried.append((agreement(rows), max(map(len, rows), default=0), table))
        # The delimiter that makes the most even table; of two such the one with more columns.
        best = max(tried, key=lambda one: (round(one[0], 2), one[1]), default=None)
        if failure is not None and (best is None or best[1] < 2):
            raise failure
        assert best is not None
        self._table = best[2]
        self.delimiter = best[2].delimiter

    def _first_rows(self, table: CsvTable) -> list[list[str]]:
        rows: list[list[str]] = []
        for chunk in table.chunks(Report(), SEARCHED):
            rows += chunk.rows()
            if len(rows) >= SEARCHED:
                break
        return rows[self._skipped : SEARCHED]

    def _open_workbook(self, options: ReadOptions) -> None:
        for given, option in ((options.encoding, "encoding"), (options.delimiter, "delimiter")):
            if given is not None:
                raise UsageError(f"{self.name}: --{option} is for text files, this is a workbook")
        from loader.reading.workbook import Workbook

        self._book = book = Workbook(self.data, options)
        sheet = book.sheets[0]
        if options.sheet is not None:
            number = int(options.sheet) if options.sheet.isdigit() else 0
            if options.sheet in book.sheets:
                sheet = options.sheet
            elif 0 < number <= len(book.sheets):
                sheet = book.sheets[number - 1]
            else:
                raise UsageError(
                    f'{self.name}: has no sheet "{options.sheet}"',
                    hint=f"Its sheets: {', '.join(book.sheets)}.",
                )
        elif len(book.sheets) > 1:
            raise Refused(
                f"{self.name}: has {len(book.sheets)} sheets: {', '.join(book.sheets)}",
                hint="Choose one with --sheet.",
            )
        self.sheet = sheet
        self._table = book.table(sheet)

    def _find_names(self) -> tuple[list[str], int]:
        for line, row in self._rows(Report()):
            if any(cell.strip() for cell in row):
                return [cell.strip() for cell in row], line
        raise Refused(f"{self.name}: the file is empty", hint="Export it again.")

    def _rows(self, report: Report) -> Iterator[tuple[int, list[str]]]:
        for chunk in self._chunks(report, SEARCHED):
            yield from zip(chunk.lines, chunk.rows(), strict=True)

    def _chunks(self, report: Report, most: int) -> Iterator[Chunk]:
        left = self._skipped
        for chunk in self._table.chunks(report, most):
            if report.bad_rows:
                bad = report.bad_rows[0]
                raise Misfit(
                    f"{self.name}:{bad.line}: {bad.reason}",
                    bad.line,
                    "Mend the line, or export the file again.",
                )
            if left:
                drop = min(left, len(chunk))
                left -= drop
                chunk = chunk.without(drop)
            if len(chunk):
                yield chunk

    @property
    def bytes_read(self) -> int:
        """Progress of the current pass in bytes of the file as given."""
        share = self._table.share_read()
        return self.data.position if share is None else int(self.size_bytes * share)

    def copy_blocks(self, max_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Read the records after the names as input for COPY into (line, c1, c2 ...).

        Parameters
        ----------
        max_bytes : int
            Refuses a file whose text is longer, also one that is compressed.

        Yields
        ------
        tuple of (bytes, int)
            Text as `COPY_OPTIONS` says, and the records in it. Blank lines are left out.

        Raises
        ------
        Misfit
            A record has fewer or more cells than there are names, or cannot be read.
        """
        width = len(self.names)
        taken = 0
        for chunk in self._chunks(Report(), ROWS_AT_ONCE):
            batch = self._batch(chunk, width)
            if not len(batch.lines):
                continue
            block = copy_text(batch)
            taken += len(block)
            if taken > max_bytes:
                raise Misfit(
                    f"{self.name}:{batch.lines[-1]}: the table is longer than"
                    f" {max_bytes / 1e6:.0f} MB",
                    batch.lines[-1],
                    "Upload less of it, or raise the setting dataset.max_megabytes.",
                )
            yield block, len(batch.lines)
        self.data.check_unchanged()

    def _batch(self, chunk: Chunk, width: int) -> Batch:
        # Blocks without a blank line or the names in them are the rule.
        if chunk.lines[0] > self.header_line:
            columns = chunk.columns(range(width, width + 1))
            if columns is not None:
                return Batch(chunk.lines, columns)
        lines: list[int] = []
        rows: list[Sequence[str]] = []
        for line, row in zip(chunk.lines, chunk.rows(), strict=True):
            # (Delimiters without cells are a row of empty cells; a sheet has no such thing.)
            if line <= self.header_line or (
                (len(row) < 2 or self._book is not None) and not any(map(str.strip, row))
            ):
                continue
            if len(row) < width and self._book is not None:
                row = row + [""] * (width - len(row))
            if len(row) < width or any(map(str.strip, row[width:])):
                raise Misfit(
                    f"{self.name}:{line}: {len(row)} cells where the header has {width}",
                    line,
                    "Quote cells that hold the delimiter; give every line all its cells.",
                )
            lines.append(line)
            rows.append(row[:width])
        return Batch(lines, list(zip(*rows, strict=True)) if rows else [()] * width)

    def close(self) -> None:
        """Give back the workbook; the bytes belong to the caller."""
        if self._book is not None:
            self._book.close()

    def __enter__(self) -> PlainTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self.close()
        return False
