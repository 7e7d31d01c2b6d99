"""Layout 'statement': the batch statement of 1C, four levels printed one under another.

Documents and batches are known by their text, the total by its word. The rest are names:
warehouse, group and product look alike. A name followed by a document is a product. The others are
groups or warehouses, or products that had no documents; `hierarchy` tells them apart. Where the
header names warehouses, the outermost totals are the warehouses.

The file is read twice: the names first, which are few, then all rows with their context.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from loader.errors import Refused
from loader.reading.dialect import Chunk
from loader.reading.flat import PAGE, Batch, is_total
from loader.reading.headers import Header, fold, folded_row
from loader.reading.hierarchy import Depth, Node, arrange, figure
from loader.reading.movements import DOCUMENT
from loader.reading.options import Report

NUMBERS = ("opening", "incoming", "outgoing", "closing")
DATE = r"\d{1,2}\.\d{1,2}\.\d{2,4}"
BATCH = re.compile(
    rf"^\s*(?:{DATE}(?:\s+\d{{1,2}}:\d{{2}}(?::\d{{2}})?)?"
    r"|\d{4}-\d{2}-\d{2}(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?)\s*$"
)
PERIOD = re.compile(
    rf"период\w*[\s:]*?(?:с\s+)?({DATE})\s*(?:г\.?\s*)?(?:-|–|—|по)\s*({DATE})", re.I
)
WAREHOUSES = re.compile(r"склад\w*\s+(?:равно|в списке|в группе|в группе из списка)\s+(.+)", re.I)
UNIT = re.compile(r'единица[^"\n]*равно\s+"([^"\n]+)"', re.I)
GRAND_TOTALS = frozenset({"итого", "всего", "total", "grand total", "всего итого", "итого всего"})


class Preamble(NamedTuple):
    """What the lines above the header say about the whole file."""

    title: str
    period: tuple[str, str] | None
    warehouses: tuple[str, ...]
    unit: str | None

    @property
    def constants(self) -> dict[str, str]:
        """Columns that are the same in all records."""
        found: dict[str, str] = {}
        if len(self.warehouses) == 1:
            found["warehouse"] = self.warehouses[0]
        if self.unit:
            found["unit"] = self.unit
        if self.period:
            found["period_start"], found["period_end"] = self.period
        return found


def read_preamble(rows: Sequence[Sequence[str]]) -> Preamble:
    """Read title, period, warehouses and unit from the rows above the header."""
    cells = [cell.strip() for row in rows for cell in row if cell.strip()]
    text = "\n".join(cells)
    period = PERIOD.search(text)
    filtered = WAREHOUSES.search(text)
    unit = UNIT.search(text)
    return Preamble(
        title=cells[0] if cells else "",
        period=(period[1], period[2]) if period else None,
        warehouses=tuple(re.findall(r'"([^"\n]+)"', filtered[1])) if filtered else (),
        unit=unit[1] if unit else None,
    )


class Row(NamedTuple):
    """One physical row that is not left out."""

    line: int
    kind: str  # document, batch, grand_total or name
    label: str
    numbers: list[str]
    depth: Depth


class Place(NamedTuple):
    """What a name row turned out to be."""

    record: str  # warehouse, group or item
    warehouse: str
    group: str


class Statement:
    """Reads a batch statement: every data row, with its level and the context above it."""

    def __init__(self, name: str, header: Header, preamble: Preamble) -> None:
        self.name = name
        self.header = header
        self.preamble = preamble
        self._label = header.columns["item"]
        self._numbers = [header.columns.get(number) for number in NUMBERS]
        context = ("record", "warehouse", "item_group", "item")
        unit = ("unit",) if preamble.unit else ()
        document = ("document_type", "document_number", "posted_at", "batch")
        period = ("period_start", "period_end") if preamble.period else ()
        self.columns = ("line", *context, *unit, *document, *period, *NUMBERS)

    def batches(
        self, chunks: Callable[[Report], Iterator[Chunk]], report: Report
    ) -> Iterator[Batch]:
        """Read all rows; headings and blank rows are counted in the report."""
        places = self._places(chunks, report)
        place = Place("", "", "")
        item = ""
        document = ("", "", "")
        constant = [self.preamble.unit] if self.preamble.unit else []
        period = list(self.preamble.period) if self.preamble.period else []
        lines: list[int] = []
        records: list[list[str]] = []
        for row in self._rows(chunks(report), report):
            batch = ""
            record = row.kind
            if row.kind == "name":
                place = places[row.line]
                record = place.record
                item = row.label if record == "item" else ""
                document = ("", "", "")
            elif row.kind == "grand_total":
                place, item, document = Place("", "", ""), "", ("", "", "")
            elif row.kind == "document":
                match = DOCUMENT.match(row.label)
                document = (
                    (match["type"], match["number"], match["time"]) if match else ("", "", "")
                )
            else:
                batch = row.label
            context = [record, place.warehouse, place.group, item]
            records.append([*context, *constant, *document, batch, *period, *row.numbers])
            lines.append(row.line)
            if len(lines) >= 4096:
                yield Batch(lines, list(zip(*records, strict=True)))
                lines, records = [], []
        if lines:
            yield Batch(lines, list(zip(*records, strict=True)))

    def _rows(self, chunks: Iterator[Chunk], report: Report) -> Iterator[Row]:
        inside = False  # a document has been seen since the last name
        for chunk in chunks:
            depths = chunk.depths or [(0, 0)] * len(chunk)
            for line, cells, depth in zip(chunk.lines, chunk.rows(), depths, strict=True):
                label = cells[self._label] if self._label < len(cells) else ""
                numbers = [
                    cells[at] if at is not None and at < len(cells) else "" for at in self._numbers
                ]
                skip, kind = self._kind(cells, label, numbers, inside)
                if skip:
                    report.skipped[skip] += 1
                    continue
                if any(cell.strip() for cell in cells[self.header.width :]):
                    raise Refused(
                        f"{self.name}:{line}: {len(cells)} cells where the header has"
                        f" {self.header.width}",
                        detail="In a statement each row depends on the rows above it, so it cannot"
                        " be left out.",
                        hint="Export the file again, or correct the line.",
                    )
                if kind == "lost":
                    report.reject(line, ";".join(cells), "numbers without a label")
                    continue
                inside = kind == "document" or (inside and kind == "batch")
                spaces = len(label) - len(label.lstrip())
                yield Row(line, kind, label.strip(), numbers, (*depth, spaces))

    def _kind(
        self, cells: Sequence[str], label: str, numbers: Sequence[str], inside: bool
    ) -> tuple[str, str]:
        """Tell why a row is left out, or else what it is."""
        if not any(cell.strip() for cell in cells):
            return "blank", ""
        if folded_row(cells) in self.header.labels:
            return "repeated_header", ""
        filled = any(number.strip() for number in numbers)
        if not label.strip():
            # A batch without a date of receipt has no text of its own.
            if filled:
                return "", "batch" if inside else "lost"
            return "note", ""
        folded = fold(label)
        if not filled and PAGE.match(folded):
            return "page_footer", ""
        if folded in GRAND_TOTALS:
            return "", "grand_total"
        if is_total(label):
            return "total", ""
        if DOCUMENT.match(label):
            return "", "document"
        if BATCH.match(label):
            return "", "batch"
        return "", "name"

    def _places(
        self, chunks: Callable[[Report], Iterator[Chunk]], report: Report
    ) -> dict[int, Place]:
        """Find out which names are warehouses, groups and products."""
        nodes: list[Node] = []
        documented = False
        after_name = False
        grand_total: tuple[float, ...] | None = None
        scratch = Report()
        for row in self._rows(chunks(scratch), scratch):
            if row.kind == "name":
                figures = tuple(figure(number) for number in row.numbers)
                nodes.append(Node(row.line, row.label, figures, row.depth))
            elif row.kind == "grand_total":
                grand_total = tuple(figure(number) for number in row.numbers)
            elif row.kind in ("document", "batch") and after_name:
                nodes[-1].leaf = True
                documented = True
            elif row.kind in ("document", "batch") and not nodes:
                raise Refused(
                    f"{self.name}:{row.line}: a {row.kind} stands before any product",
                    hint="Export the statement with the level Номенклатура.",
                )
            after_name = row.kind == "name"
        if documented and "document" in self.header.levels:
            for node in nodes:
                if node.leaf is None and _moved(node.figures):
                    node.leaf = False
        by_warehouse = "warehouse" in self.header.levels
        if by_warehouse:
            for node in nodes:
                if node.label in self.preamble.warehouses and not node.leaf:
                    node.leaf, node.outermost = False, True
        for line in arrange(nodes, first_holds_all=by_warehouse):
            report.notice(f"line {line}: the rows below do not add up to this total")
        if grand_total is not None:
            tops = [node.figures for node in nodes if node.parent is None]
            sums = [sum(column) for column in zip(*tops, strict=True)]
            if any(abs(a - b) > 0.0015 for a, b in zip(grand_total, sums, strict=False)):
                report.notice("the total of the file is not the sum of its warehouses or groups")
        return self._name(nodes, by_warehouse)

    def _name(self, nodes: Sequence[Node], by_warehouse: bool) -> dict[int, Place]:
        default = self.preamble.warehouses[0] if len(self.preamble.warehouses) == 1 else ""
        places: dict[int, Place] = {}
        found: list[Place] = []
        for node in nodes:
            above = found[node.parent] if node.parent is not None else None
            warehouse = above.warehouse if above else default
            group = above.group if above else ""
            if by_warehouse and above is None and not node.leaf:
                place = Place("warehouse", node.label, "")
            elif node.leaf:
                place = Place("item", warehouse, group)
            else:
                place = Place(
                    "group", warehouse, f"{group} / {node.label}" if group else node.label
                )
            found.append(place)
            places[node.line] = place
        return places


def _moved(figures: Sequence[float]) -> bool:
    """Whether a row came in, went out or changed: opening, incoming, outgoing, closing."""
    opening, incoming, outgoing, closing = figures
    if any(map(math.isnan, figures)):
        return False
    return incoming != 0 or outgoing != 0 or abs(opening - closing) > 0.0005
