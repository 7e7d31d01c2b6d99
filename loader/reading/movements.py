"""Layout 'movements': one row a movement. The fast path: whole columns, no Python for each row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from loader.reading.dialect import Chunk
from loader.reading.flat import Batch, FlatRows, is_total
from loader.reading.headers import Header, fold, staging_order
from loader.reading.options import Report

# "Приходная накладная 000000000000105 от 08.01.2025 10:20:00"; numbers may carry a prefix ("ЦБ-").
DOCUMENT = re.compile(
    r"^\s*(?P<type>\S.*?)\s+(?:№\s*)?(?P<number>[^\s\d]{0,6}\d{5,})\s+от\s+"
    r"(?P<time>\d{1,2}\.\d{1,2}\.\d{2,4}(?:\s+\d{1,2}:\d{2}(?::\d{2})?)?)\s*$"
)
# How many distinct product names are remembered as harmless.
REMEMBERED = 100_000


def split_document(text: str) -> tuple[str, str, str]:
    """Split a document label into type, number and time; an odd one is all type."""
    match = DOCUMENT.match(text)
    return (match["type"], match["number"], match["time"]) if match else (text, "", "")


class Movements:
    """Reads the records of a movements table column by column."""

    def __init__(self, header: Header, delimiter: str) -> None:
        self.rules = FlatRows(header, delimiter)
        self.header = header
        names = set(header.columns)
        if "document" in names:
            names |= {"document_type", "document_number", "posted_at"}
        self.columns = ("line", *staging_order(names))
        # A row without it cannot be a movement, or is one to look at closely.
        keys = ("posted_at", "document", "document_type", "batch", "quantity", "incoming")
        self._key = next((header.columns[k] for k in keys if k in header.columns), None)
        self._known: set[str] = set()

    def batches(self, chunks: Iterator[Chunk], report: Report) -> Iterator[Batch]:
        """Pick the columns of each chunk; what is no data or does not fit goes to the report."""
        widths = range(self.header.needed, self.header.width + 1)
        for chunk in chunks:
            lines: Sequence[int] = chunk.lines
            columns = chunk.columns(widths)
            if columns is None or self._suspicious(columns):
                lines, rows = self._sift(chunk, report)
                columns = list(zip(*rows, strict=True))
            if lines:
                yield Batch(lines, self._pick(columns))

    def _suspicious(self, columns: Sequence[Sequence[str]]) -> bool:
        """Whether some row of the chunk may be no data; decided on whole columns."""
        if self._key is None or "" in columns[self._key]:
            return True
        new = set(columns[self.rules.item]) - self._known
        captions = {label[self.rules.item] for label in self.header.labels
                    if len(label) > self.rules.item}  # fmt: skip
        for item in new:
            if not item.strip() or is_total(item) or fold(item) in captions:
                return True
        if len(self._known) < REMEMBERED:
            self._known |= new
        return False

    def _sift(self, chunk: Chunk, report: Report) -> tuple[list[int], list[list[str]]]:
        lines: list[int] = []
        rows: list[list[str]] = []
        width = self.header.width
        for line, row in zip(chunk.lines, chunk.rows(), strict=True):
            verdict = self.rules.verdict(row)
            if verdict is not None:
                report.skipped[verdict] += 1
                continue
            misfit = self.rules.misfit(row)
            if misfit is not None:
                report.reject(line, self.rules.raw(row), misfit)
                continue
            lines.append(line)
            rows.append(row[:width] + [""] * (width - len(row)))
        return lines, rows

    def _pick(self, columns: Sequence[Sequence[str]]) -> list[Sequence[str]]:
        at = self.header.columns
        document: list[Sequence[str]] = []
        if "document" in at:
            document = list(zip(*map(split_document, columns[at["document"]]), strict=True))
        parts = ("document_type", "document_number", "posted_at")
        return [
            columns[at[name]] if name in at else document[parts.index(name)]
            for name in self.columns[1:]
        ]
