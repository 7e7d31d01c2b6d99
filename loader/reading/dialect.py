"""Delimited text as a table: quoting, line numbers, malformed records, the delimiter.

Most files have no quoted cells. Text without a quote is cut at line breaks and delimiters by
`str.split`, which gives the same cells as the csv module (a test compares them) in half the time;
text with quotes goes through the csv module in strict mode, so that a stray quote is an error to
report and not a cell silently changed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from typing import Protocol

from loader.errors import Refused
from loader.reading.options import MAX_RAW, Report
from loader.reading.stream import Text

DELIMITERS = (";", ",", "\t", "|")
DELIMITER_NAMES = {"\t": "tab"}
BLOCK = 64 * 1024
SEP_LINE = re.compile(r'^\ufeff?"?sep=(.)"?\s*$', re.IGNORECASE)

# A cell this long is a quote that was never closed. The setting is one for the whole process.
MAX_CELL = 1024 * 1024
csv.field_size_limit(MAX_CELL)


class Chunk:
    """Some consecutive records: where each starts, its cells, and its depth where it has one."""

    __slots__ = ("_rows", "depths", "lines")

    def __init__(
        self,
        lines: Sequence[int],
        rows: list[list[str]],
        depths: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.lines = lines
        self.depths = depths
        self._rows = rows

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self) -> list[list[str]]:
        """Return the cells record by record."""
        return self._rows

    def columns(self, widths: range) -> list[Sequence[str]] | None:
        """Return the cells column by column, or None unless all records have one width of these."""
        rows = self.rows()
        found = set(map(len, rows))
        if len(found) != 1 or found.pop() not in widths:
            return None
        return list(zip(*rows, strict=True))

    def without(self, count: int) -> Chunk:
        """Return the chunk without its first records."""
        if not count:
            return self
        depths = None if self.depths is None else self.depths[count:]
        return Chunk(self.lines[count:], self.rows()[count:], depths)


class PlainChunk(Chunk):
    """Records of text without quotes, a line each: cut only as far as asked for."""

    __slots__ = ("_delimiter", "_text")

    def __init__(self, first_line: int, text: str, delimiter: str) -> None:
        super().__init__(range(first_line, first_line + text.count("\n") + 1), [])
        self._text = text
        self._delimiter = delimiter

    def rows(self) -> list[list[str]]:
        """Return the cells record by record."""
        return [text.split(self._delimiter) for text in self._text.split("\n")]

    def columns(self, widths: range) -> list[Sequence[str]] | None:
        """Return the cells column by column, or None unless all records have one width of these."""
        mark = self._delimiter
        end = self._text.find("\n")
        width = self._text.count(mark, 0, end if end >= 0 else len(self._text)) + 1
        if width not in widths:
            return None
        # Each line break as a cell of its own: where all of them stand in one column, every record
        # has the same width. To cut once is faster than to count and cut line by line.
        cells = self._text.replace("\n", f"{mark}\n{mark}").split(mark)
        if cells[width :: width + 1].count("\n") != len(self) - 1:
            return None
        if len(cells) != len(self) * (width + 1) - 1:
            return None
        return [cells[column :: width + 1] for column in range(width)]

    def without(self, count: int) -> Chunk:
        """Return the chunk without its first records."""
        texts = self._text.split("\n", count)
        if len(texts) <= count:
            return Chunk((), [])
        return PlainChunk(self.lines[count], texts[count], self._delimiter)


class Table(Protocol):
    """What a layout reads: records in chunks, the same for CSV and workbooks."""

    def chunks(self, report: Report, most: int) -> Iterator[Chunk]:
        """Read all records from the start, at most so many in a chunk."""
        ...

    def raw_lines(self, lines: set[int]) -> dict[int, str]:
        """Read the text of the records that start at these lines."""
        ...

    def share_read(self) -> float | None:
        """Tell how much of the current pass is done; None if the bytes taken tell it."""
        ...


def _parts(text: str, most: int) -> Iterator[str]:
    """Cut a text after so many lines."""
    if text.count("\n") < most:
        yield text
        return
    lines = text.split("\n")
    for start in range(0, len(lines), most):
        yield "\n".join(lines[start : start + most])


def line_breaks(text: str) -> int:
    """Count line breaks of every kind; CR LF is one."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class CsvTable:
    """A delimited file with a known encoding and delimiter."""

    def __init__(self, text: Text, delimiter: str) -> None:
        self.text = text
        self.delimiter = delimiter
        self.name = text.source.name

    def chunks(self, report: Report, most: int) -> Iterator[Chunk]:
        """Read all records from the start; malformed ones go to the report instead.

        Parameters
        ----------
        report : Report
            Receives the records that cannot be staged.
        most : int
            Records in a chunk at most.

        Raises
        ------
        Refused
            A quote is never closed, or closes many lines later in the middle of a cell.
        """
        with self.text.open() as stream:
            line = 1
            while block := stream.read(BLOCK):
                # A block ends where a line ends, so a chunk never cuts a record without quotes.
                block += stream.readline()
                if '"' not in block and "\0" not in block:
                    if "\r" in block:
                        block = block.replace("\r\n", "\n").replace("\r", "\n")
                    for text in _parts(block.removesuffix("\n"), most):
                        plain = PlainChunk(line, text, self.delimiter)
                        line += len(plain)
                        yield plain
                else:
                    for chunk, after in self._quoted(block, stream, line, report, most):
                        line = after
                        yield chunk

    def _quoted(
        self, block: str, stream: Iterator[str], line: int, report: Report, most: int
    ) -> Iterator[tuple[Chunk, int]]:
        """Parse the records that start in a block; the last may go on beyond it."""
        texts = list(StringIO(block, newline=""))
        feed = _Feed(chain(texts, stream))
        reader = csv.reader(feed, delimiter=self.delimiter, strict=True)
        last = line + len(texts)
        while line < last:
            before = reader.line_num
            rows: list[list[str]] = []
            failure: csv.Error | None = None
            try:
                # A record takes at least one line: never more records than lines of the block left.
                rows.extend(islice(reader, min(most, last - line)))
            except csv.Error as exc:
                failure = exc
            taken = reader.line_num - before
            lines: Sequence[int] = range(line, line + len(rows))
            after = line + len(rows)
            if taken != len(rows):
                lines, after = _start_lines(line, rows)
            chunk = Chunk(lines, rows)
            yield self._stageable(chunk, report) if self.text.has_nul else chunk, after
            line += taken
            if failure is not None:
                self._malformed(failure, after, line - after, feed.line, report)
                yield Chunk((), []), line
            elif not rows:
                return

    def _stageable(self, chunk: Chunk, report: Report) -> Chunk:
        rows = chunk.rows()
        nul = [index for index, row in enumerate(rows) if any("\0" in cell for cell in row)]
        if not nul:
            return chunk
        for index in nul:
            report.reject(chunk.lines[index], self.raw(rows[index]), "a cell holds a NUL byte")
        dropped = set(nul)
        kept = [index for index in range(len(rows)) if index not in dropped]
        return Chunk([chunk.lines[index] for index in kept], [rows[index] for index in kept])

    def _malformed(
        self, failure: csv.Error, start: int, taken: int, raw: str, report: Report
    ) -> None:
        reason = str(failure)
        if taken <= 1 and "unexpected end" not in reason:
            if "field larger" in reason:
                reason = f"a cell is longer than {MAX_CELL} characters"
            else:
                reason = "text after a closing quote; a quote inside a cell must be doubled"
            report.reject(start, raw.rstrip("\r\n"), reason)
            return
        opened = self._quote_line(start, start + taken)
        if "unexpected end" in reason:
            message = "the quote opened here is never closed"
        else:
            message = f"the quote opened here is not closed before line {start + taken - 1}"
        raise Refused(
            f"{self.name}:{opened}: {message}",
            detail="The lines after it would be swallowed as one cell.",
            hint="Close the quote, or double it if it belongs to the text.",
        )

    def _quote_line(self, start: int, end: int) -> int:
        """Find the line where a quote went from closed to open last."""
        opened, inside = start, False
        with self.text.open() as stream:
            for number, text in enumerate(islice(stream, end), 1):
                if number >= start and text.count('"') % 2:
                    inside = not inside
                    if inside:
                        opened = number
        return opened

    def share_read(self) -> float | None:
        """Leave it to the bytes taken."""
        return None

    def raw(self, row: Sequence[str]) -> str:
        """Write a record the way it may have stood in the file."""
        quoted = (
            '"' + cell.replace('"', '""') + '"'
            if any(c in cell for c in ('"', "\n", "\r", self.delimiter))
            else cell
            for cell in row
        )
        return self.delimiter.join(quoted)

    def raw_lines(self, lines: set[int]) -> dict[int, str]:
        """Read the text of the records that start at these lines, in a pass of its own."""
        found: dict[int, str] = {}
        if not lines:
            return found
        last = max(lines)
        with self.text.open() as stream:
            numbered = enumerate(stream, 1)
            for number, text in numbered:
                if number in lines:
                    whole = [text]
                    at = number
                    while self._unfinished(whole) and sum(map(len, whole)) < MAX_RAW:
                        at, more = next(numbered, (at, ""))
                        if not more:
                            break
                        whole.append(more)
                    raw = "".join(whole).rstrip("\r\n")[:MAX_RAW]
                    found[number] = raw.replace("\0", "␀")
                    number = at
                if number >= last:
                    break
        return found

    def _unfinished(self, texts: list[str]) -> bool:
        if '"' not in texts[-1] and len(texts) == 1:
            return False
        try:
            for _ in csv.reader(texts, delimiter=self.delimiter, strict=True):
                pass
        except csv.Error as exc:
            return "unexpected end" in str(exc)
        return False


class _Feed:
    """Lines for the csv module; remembers the last, which is the one an error is about."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.line = ""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        self.line = next(self._lines)
        return self.line


def _start_lines(line: int, rows: Sequence[Sequence[str]]) -> tuple[list[int], int]:
    """Number the lines where records start; a cell with line breaks makes a record longer."""
    lines: list[int] = []
    for row in rows:
        lines.append(line)
        line += 1
        for cell in row:
            if "\n" in cell or "\r" in cell:
                line += line_breaks(cell)
    return lines, line


def agreement(rows: Sequence[Sequence[str]]) -> float:
    """Tell how consistent a delimiter is: the share of records with the most common width."""
    widths = [len(row) for row in rows if any(row)]
    if not widths:
        return 0.0
    common = max(set(widths), key=lambda width: (width > 1, widths.count(width)))
    return widths.count(common) / len(widths) if common > 1 else 0.0


def named(delimiter: str) -> str:
    """Return a delimiter as it is shown to people."""
    return DELIMITER_NAMES.get(delimiter, f'"{delimiter}"')
