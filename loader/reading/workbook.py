"""Workbooks (.xlsx) as tables: every cell as text, row numbers as lines, depth from outline.

openpyxl streams the cells. What its streaming mode does not give is read from the sheet's XML in
one pass of its own: hidden rows, outline levels, merged cells, formulas without a stored result.
"""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.cell import column_index_from_string, coordinate_from_string
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel
from openpyxl.utils.exceptions import InvalidFileException

from loader.errors import Refused
from loader.reading.dialect import Chunk
from loader.reading.options import MAX_RAW, ReadOptions, Report
from loader.reading.stream import Bytes

# Shared strings are held in memory by openpyxl; a larger part is an attack or a mistake.
MAX_STRINGS = 256 * 1024 * 1024
# Serial numbers of 2000-01-01 and 2100-01-01: numbers among labels that can only be dates.
LABEL_DATES = (36526, 73051)
LAST_SERIAL = 2_958_466
NO_RESULT = "#NO RESULT"

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    ParseError,
    InvalidFileException,
    OSError,
    NotImplementedError,
)

ROW = re.compile(rb"<(?:\w+:)?row\b([^>]*)>")
ROW_END = re.compile(rb"</(?:\w+:)?row>|<(?:\w+:)?row\b[^>]*/>")
ATTRIBUTE = re.compile(rb'\b(r|hidden|outlineLevel)="([^"]*)"')
EMPTY_FORMULA = re.compile(
    rb"<(?:\w+:)?c\b([^>]*)>\s*<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref="([A-Z]+\d+):([A-Z]+\d+)"')


@dataclass(slots=True)
class Sheet:
    """What the XML of a sheet says about its rows besides the cells."""

    outline: dict[int, int] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    no_result: set[tuple[int, int]] = field(default_factory=set)
    merged: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    rows: int = 0


def number_text(value: int | float) -> str:
    """Write a number as a workbook shows it: 15 digits at most, a point, no exponent.

    Binary storage turns 0.3 into 0.30000000000000004; the sixteenth digit is never data.
    """
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(format(value, ".15g")), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def date_text(value: datetime.datetime) -> str:
    """Write a date as ISO text, with the time only if it has one; serials are exact to a second."""
    value = (value + datetime.timedelta(milliseconds=500)).replace(microsecond=0)
    midnight = value.time() == datetime.time(0)
    return value.date().isoformat() if midnight else value.isoformat(sep=" ")


class Workbook:
    """An opened .xlsx file; its sheets are tables."""

    def __init__(self, source: Bytes, options: ReadOptions) -> None:
        self.name = source.name
        self._copy: IO[bytes] | None = None
        archive = self._readable(source.seekable())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # styles and extensions that do not concern us
                self._book = openpyxl.load_workbook(archive, read_only=True, data_only=True)
        except BROKEN as exc:
            raise self._damaged(exc) from None
        if options.date_system is not None:
            epochs = {1900: CALENDAR_WINDOWS_1900, 1904: CALENDAR_MAC_1904}
            self._book.epoch = epochs[options.date_system]
        self.sheets = [str(sheet.title) for sheet in self._book.worksheets]

    def _damaged(self, exc: Exception) -> Refused:
        why = str(exc).strip() or type(exc).__name__
        return Refused(
            f"{self.name}: the workbook cannot be read: {why}",
            detail="It may be cut off, or was copied while it was still being written.",
            hint="Export or copy it again, or save it as CSV.",
        )

    def _readable(self, file: IO[bytes]) -> IO[bytes]:
        """Return the archive, with part names spelled as they are referred to.

        Some generators (1C among them) write xl/SharedStrings.xml and refer to
        xl/sharedStrings.xml, or use backslashes; Excel does not care, readers do.
        """
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
                by_fold = {n.replace("\\", "/").lstrip("/").lower(): n for n in names}
                if "xl/workbook.xml" not in by_fold and not any(
                    n.startswith("xl/") and n.endswith(".xml") for n in by_fold
                ):
                    raise self._foreign(by_fold)
                for info in archive.infolist():
                    part = info.filename.lower()
                    if part.endswith("sharedstrings.xml") and info.file_size > MAX_STRINGS:
                        raise Refused(
                            f"{self.name}: the texts of the workbook take"
                            f" {info.file_size // 1024 // 1024} MiB",
                            hint="Save the sheet as CSV.",
                        )
                wanted = _referred_parts(archive, by_fold)
                renamed = {n: by_fold[n.lower()] for n in wanted if by_fold.get(n.lower(), n) != n}
                if not renamed:
                    return file
                copy: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=16 * 1024 * 1024)  # noqa: SIM115
                kept = set(names) - set(renamed.values())
                with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
                    for new, old in [*renamed.items(), *((n, n) for n in names if n in kept)]:
                        with archive.open(old) as part_in, target.open(new, "w") as part_out:
                            shutil.copyfileobj(part_in, part_out)
                copy.seek(0)
                self._copy = copy
                return copy
        except BROKEN as exc:
            raise self._damaged(exc) from None
        finally:
            if not file.closed:
                file.seek(0)

    def _foreign(self, by_fold: dict[str, str]) -> Refused:
        what = "a zip archive without a workbook in it"
        if "content.xml" in by_fold:
            what = "an OpenDocument file"
        elif "xl/workbook.bin" in by_fold:
            what = "a binary workbook (.xlsb)"
        elif any(name.startswith("word/") for name in by_fold):
            what = "a Word document"
        return Refused(
            f"{self.name}: this is {what}, not a table that can be read",
            hint="Save it as .xlsx or CSV; unpack an archive first.",
        )

    def table(self, sheet: str) -> WorkbookTable:
        """Return one sheet as a table."""
        return WorkbookTable(self, sheet)

    def close(self) -> None:
        """Give back the archive."""
        self._book.close()
        if self._copy is not None:
            self._copy.close()


def _referred_parts(archive: zipfile.ZipFile, by_fold: dict[str, str]) -> list[str]:
    """List the part names as the package refers to them, fixed names first."""
    wanted = ["[Content_Types].xml", "_rels/.rels", "xl/_rels/workbook.xml.rels", "xl/styles.xml"]
    types = by_fold.get("[content_types].xml")
    if types:
        text = archive.read(types).decode("utf-8", "replace")
        wanted += [name.lstrip("/") for name in re.findall(r'PartName="([^"]+)"', text)]
    for folded, actual in by_fold.items():
        if not folded.endswith(".rels"):
            continue
        base = PurePosixPath(actual.replace("\\", "/")).parent.parent
        for target in re.findall(
            r'Target="([^"]+)"', archive.read(actual).decode("utf-8", "replace")
        ):
            joined = target.lstrip("/") if target.startswith("/") else f"{base}/{target}"
            parts: list[str] = []
            for step in joined.split("/"):
                if step == "..":
                    parts = parts[:-1]
                elif step not in ("", "."):
                    parts.append(step)
            wanted.append("/".join(parts))
    return list(dict.fromkeys(wanted))


class WorkbookTable:
    """One sheet: records of text cells; the line of a record is its row number.

    Attributes
    ----------
    dates : set of int
        Cell indices whose bare numbers are serial dates.
    labels : set of int
        Cell indices of labels, where a number is a date only if it lies in this century.
    width : int
        Rows are filled up to it; a workbook does not store empty cells at the end.
    """

    def __init__(self, book: Workbook, sheet: str) -> None:
        self._book = book
        self._sheet: Any = book._book[sheet]
        self.name = f"{book.name}[{sheet}]"
        self.epoch = book._book.epoch
        self.dates: set[int] = set()
        self.labels: set[int] = set()
        self.width = 0
        self.info = self._inspect()
        self.seen = 0
        alignments: Any = getattr(book._book, "_alignments", ())
        self._indented = any(alignment.indent for alignment in alignments)

    def _inspect(self) -> Sheet:
        """Read row attributes, merged cells and formulas without result from the XML."""
        sheet = Sheet()
        number = 0
        try:
            with self._sheet._get_source() as part:
                rest = b""
                while piece := part.read(1024 * 1024):
                    text = rest + piece
                    ends = [match.end() for match in ROW_END.finditer(text)]
                    cut = ends[-1] if ends else 0
                    number = self._inspect_rows(text[:cut], number, sheet)
                    rest = text[cut:]
                self._inspect_merged(rest, sheet)
        except BROKEN as exc:
            raise self._book._damaged(exc) from None
        return sheet

    def _inspect_rows(self, text: bytes, number: int, sheet: Sheet) -> int:
        for match in ROW.finditer(text):
            found = dict(ATTRIBUTE.findall(match[1]))
            number = int(found[b"r"]) if found.get(b"r", b"").isdigit() else number + 1
            sheet.rows = max(sheet.rows, number)
            if found.get(b"hidden") in (b"1", b"true"):
                sheet.hidden.add(number)
            if found.get(b"outlineLevel", b"0").isdigit() and int(found.get(b"outlineLevel", 0)):
                sheet.outline[number] = int(found[b"outlineLevel"])
        for match in EMPTY_FORMULA.finditer(text):
            reference = dict(ATTRIBUTE.findall(match[1])).get(b"r")
            if reference:
                column, row = coordinate_from_string(reference.decode())
                sheet.no_result.add((row, column_index_from_string(column) - 1))
        return number

    def _inspect_merged(self, text: bytes, sheet: Sheet) -> None:
        for match in MERGED.finditer(text):
            column, top = coordinate_from_string(match[1].decode())
            _, bottom = coordinate_from_string(match[2].decode())
            if bottom > top:
                index = column_index_from_string(column) - 1
                sheet.merged.setdefault(top, []).append((index, bottom))

    def chunks(self, report: Report, most: int) -> Iterator[Chunk]:
        """Read all rows from the start; a text merged over rows is repeated in each of them."""
        self._sheet.reset_dimensions()  # generators state them wrongly
        rows = self._sheet.iter_rows()
        carried: dict[int, tuple[int, str]] = {}
        self.seen = 0
        hidden = len(self.info.hidden)
        if hidden:
            report.notice(f"{hidden} hidden rows were read like all others")
        if self.info.no_result:
            report.notice(
                f"{len(self.info.no_result)} formulas have no stored result; open and save the"
                " workbook in Excel"
            )
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    part = list(islice(rows, most))
                    texts = [
                        self._row(number, cells, carried)
                        for number, cells in enumerate(part, self.seen + 1)
                    ]
            except BROKEN as exc:
                raise self._book._damaged(exc) from None
            if not part:
                return
            lines = range(self.seen + 1, self.seen + 1 + len(part))
            self.seen += len(part)
            depths = [
                (self.info.outline.get(line, 0), self._indent(cells))
                for line, cells in zip(lines, part, strict=True)
            ]
            yield Chunk(lines, texts, depths)

    def _row(self, number: int, cells: Any, carried: dict[int, tuple[int, str]]) -> list[str]:
        texts = [self._text(index, cell) for index, cell in enumerate(cells)]
        while texts and not texts[-1]:
            texts.pop()
        if self.info.no_result:
            for column in range(len(cells)):
                if (number, column) in self.info.no_result:
                    texts += [""] * (column + 1 - len(texts))
                    texts[column] = texts[column] or NO_RESULT
        for column, (until, text) in list(carried.items()):
            if number > until:
                del carried[column]
                continue
            texts += [""] * (column + 1 - len(texts))
            texts[column] = texts[column] or text
        for column, until in self.info.merged.get(number, ()):
            # A number is not repeated: it would be counted twice.
            if column < len(texts) and texts[column] and isinstance(cells[column].value, str):
                carried[column] = (until, texts[column])
        return texts + [""] * (self.width - len(texts))

    def _text(self, index: int, cell: Any) -> str:
        value = cell.value
        if value is None:
            return ""
        if isinstance(value, str):
            return value.replace("\0", "␀")
        if isinstance(value, bool):
            return str(value).upper()
        if isinstance(value, int | float):
            return self._number(index, value)
        if isinstance(value, datetime.datetime):
            return date_text(value)
        if isinstance(value, datetime.date | datetime.time):
            return value.isoformat()
        return str(value)

    def _number(self, index: int, value: int | float) -> str:
        is_date = index in self.dates and 0 < value < LAST_SERIAL
        if index in self.labels:
            is_date = LABEL_DATES[0] <= value < LABEL_DATES[1]
        if is_date:
            serial = from_excel(value, self.epoch)
            if isinstance(serial, datetime.datetime):
                return date_text(serial)
        return number_text(value)

    def _indent(self, cells: Any) -> int:
        if not self._indented:
            return 0
        for cell in cells:
            if isinstance(cell.value, str) and cell.value.strip():
                return int(cell.alignment.indent or 0)
        return 0

    def share_read(self) -> float | None:
        """Tell how much of the current pass is done, in rows."""
        return min(1.0, self.seen / max(1, self.info.rows))

    def raw_lines(self, lines: set[int]) -> dict[int, str]:
        """Return the cells of these rows joined by semicolons."""
        found: dict[int, str] = {}
        for chunk in self.chunks(Report(), 1000) if lines else ():
            for line, row in zip(chunk.lines, chunk.rows(), strict=True):
                if line in lines:
                    found[line] = ";".join(row)[:MAX_RAW]
            if len(found) == len(lines):
                break
        return found
