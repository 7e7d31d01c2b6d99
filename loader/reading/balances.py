"""Layout 'balances': one row a product and period, with group and total rows between them.

Group rows are left out and become the `item_group` of the rows below them. A row is a group if

- it fills no number and no period, or no period where the file has one (`flat.FlatRows`), or
- the next row is deeper (outline level, indent, leading spaces), or
- it is the sum of two or more rows after it in every number, or of one row that fills a column
  (unit, type, days of storage …) it leaves empty itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loader.reading.dialect import Chunk
from loader.reading.flat import Batch, FlatRows
from loader.reading.headers import Header, staging_order
from loader.reading.hierarchy import Depth, Node, by_depth, children_by_sum, depth_tells, figure
from loader.reading.options import Report

# Longer files are lists of periods, not printed reports; sums are not searched in them.
MOST_SUMMED = 200_000
NUMBERS = ("opening", "incoming", "outgoing", "closing")
ATTRIBUTES = ("product_type", "unit", "storage_days", "warehouse", "batch", "posted_at")


class Balances:
    """Reads the records of a flat balances table, in two passes: groups first.

    Parameters
    ----------
    header : Header
    constants : dict of str to str
        Columns the preamble says for the whole file: period, warehouse, unit.
    delimiter : str
        Of rejected rows, as they are shown.
    """

    def __init__(self, header: Header, constants: dict[str, str], delimiter: str) -> None:
        self.header = header
        self.rules = FlatRows(header, delimiter)
        self.constants = {k: v for k, v in constants.items() if k not in header.columns}
        self._own_group = "item_group" not in header.columns
        names = {*header.columns, *self.constants, "item_group"}
        self.columns = ("line", *staging_order(names))

    def batches(
        self, chunks: Callable[[Report], Iterator[Chunk]], report: Report
    ) -> Iterator[Batch]:
        """Read all records; rows that are no data and misfits go to the report."""
        groups = self._groups(chunks(Report()), report)
        open_groups: list[tuple[Depth, str]] = []
        for chunk in chunks(report):
            lines: list[int] = []
            records: list[list[str]] = []
            for line, row, depth in self._rows(chunk):
                verdict = self.rules.verdict(row)
                if verdict is None and line in groups:
                    verdict = "group"
                if verdict is not None:
                    report.skipped[verdict] += 1
                    if verdict == "group":
                        while open_groups and open_groups[-1][0] >= depth:
                            open_groups.pop()
                        open_groups.append((depth, self._label(row)))
                    continue
                misfit = self.rules.misfit(row)
                if misfit is not None:
                    report.reject(line, self.rules.raw(row), misfit)
                    continue
                if any(groups.values()):  # depth says where a group ends
                    while open_groups and open_groups[-1][0] >= depth:
                        open_groups.pop()
                lines.append(line)
                records.append(self._record(row, " / ".join(label for _, label in open_groups)))
            if lines:
                yield Batch(lines, list(zip(*records, strict=True)))

    def _rows(self, chunk: Chunk) -> Iterator[tuple[int, list[str], Depth]]:
        item = self.rules.item
        depths = chunk.depths or [(0, 0)] * len(chunk)
        for line, row, depth in zip(chunk.lines, chunk.rows(), depths, strict=True):
            label = row[item] if item < len(row) else ""
            yield line, row, (*depth, len(label) - len(label.lstrip()))

    def _label(self, row: list[str]) -> str:
        item = row[self.rules.item].strip() if self.rules.item < len(row) else ""
        return item or next((cell.strip() for cell in row if cell.strip()), "")

    def _record(self, row: list[str], group: str) -> list[str]:
        at = self.header.columns
        record = []
        for name in self.columns[1:]:
            if name in at:
                record.append(row[at[name]] if at[name] < len(row) else "")
            elif name == "item_group":
                record.append(group)
            else:
                record.append(self.constants[name])
        return record

    def _groups(self, chunks: Iterator[Chunk], report: Report) -> dict[int, bool]:
        """Find the group rows that carry sums: line, and whether depth told."""
        at = self.header.columns
        numbers = [at[name] for name in NUMBERS if name in at]
        attributes = [at[name] for name in ATTRIBUTES if name in at]
        nodes: list[Node] = []
        filled: list[frozenset[int]] = []
        for chunk in chunks:
            for line, row, depth in self._rows(chunk):
                verdict = self.rules.verdict(row)
                if verdict not in (None, "group") or self.rules.misfit(row):
                    continue
                figures = tuple(figure(row[i]) if i < len(row) else 0.0 for i in numbers)
                heading = False if verdict == "group" else None
                nodes.append(Node(line, "", figures, depth, heading))
                filled.append(frozenset(i for i in attributes if i < len(row) and row[i].strip()))
                if len(nodes) > MOST_SUMMED:
                    report.notice(
                        f"more than {MOST_SUMMED} rows: group rows with sums were not looked for"
                    )
                    return {}
        if depth_tells(nodes):
            by_depth(nodes)
            return {node.line: True for node in nodes if not node.leaf}
        groups: dict[int, bool] = {}
        tops: list[int] = []
        for index in range(len(nodes) - 1, -1, -1):
            taken = children_by_sum(nodes, index, tops)
            below = [tops[-1 - offset] for offset in range(taken)]
            lacks = bool(below) and all(filled[child] - filled[index] for child in below)
            moves = sum(value != 0 for value in nodes[index].figures) >= 2
            if taken and (lacks or (taken >= 2 and moves)):
                groups[nodes[index].line] = False
                del tops[-taken:]
            elif taken == 1:
                report.notice(
                    f"line {nodes[index].line} has the figures of the row after it:"
                    " taken for a product, not for a group of one"
                )
            tops.append(index)
        return groups
