"""Batches as input for COPY."""

from __future__ import annotations

from collections.abc import Sequence

from loader.reading.flat import Batch

# Options of the COPY command that reads rows: an empty cell is NULL.
COPY_OPTIONS = "format text, null ''"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def escaped(cells: Sequence[str]) -> Sequence[str]:
    """Give the cells of a column as COPY reads them."""
    text = "".join(cells)
    if any(character in text for character in "\\\t\n\r"):
        return list(map(_escape, cells))
    return cells


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
