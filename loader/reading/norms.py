"""Layout 'norms': norms of natural loss, one row a step. Read only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from loader.reading.dialect import Chunk
from loader.reading.flat import Batch, FlatRows
from loader.reading.headers import SEARCHED, Doubled, Header, fold, folded_row
from loader.reading.options import NORM_COLUMNS, ReadOptions, Report

VOCABULARY = {
    "product_group": "product group, group, группа товаров, группа, наименование товара",
    "matched_by": "matched by, match by, сопоставление",
    "match_key": "match key, match, ключ",
    "kind": "kind, kind of norm, вид нормы, вид",
    "storage_mode": "storage mode, storage, способ хранения, место хранения, хранение",
    "climate_group": "climate group, climate, климатическая группа, климат",
    "store_group": "store group, группа магазинов",
    "season": "season, months, month, quarter, сезон, период года, месяц, месяцы, квартал",
    "packaging": "packaging, package, упаковка, тара",
    "temperature_from": "temperature from, температура от",
    "temperature_to": "temperature to, температура до",
    "valid_from": "valid from, in force from, действует с",
    "valid_to": "valid to, in force to, действует по",
    "half_day": "half day, полдня, полсуток",
    "step_from": "step from, from, days from, от, дней от, с дня, км от",
    "step_to": "step to, to, days to, до, дней до, по день, км до",
    "percent": "percent, percentage, norm, процент, норма, норма процент",
    "add_per_day": "add per day, добавка за день, прибавка за день",
    "document": "document, order, документ, приказ",
}
NAMES = {
    fold(caption): name for name, captions in VOCABULARY.items() for caption in captions.split(", ")
}
REQUIRED = frozenset({"product_group", "kind", "storage_mode", "percent"})
EXPECTED = "norms: product_group, kind, storage_mode, percent, and what else loader/README.md lists"


def find_header(rows: Sequence[list[str]], options: ReadOptions) -> Header | None:
    """Find the header of a file of norms: the first row that names all that is required.

    Raises
    ------
    Doubled
        Two columns have captions of one meaning.
    """
    wanted = {fold(text): name for name, text in options.column_map.items()}
    for start, row in enumerate(rows[:SEARCHED]):
        columns: dict[str, int] = {}
        doubled: Doubled | None = None
        for place, cell in enumerate(row):
            caption = fold(cell)
            name = wanted.get(caption) or NAMES.get(caption)
            if name is None or (caption not in wanted and name in wanted.values()):
                continue
            if name in columns:
                first = columns[name] + 1
                doubled = doubled or Doubled(f"columns {first} and {place + 1} could be {name}")
            columns.setdefault(name, place)
        for name, text in options.column_map.items():
            if text[:1] == "#" and text[1:].isdigit() and 0 < int(text[1:]) <= len(row):
                columns[name] = int(text[1:]) - 1
        if not columns.keys() >= REQUIRED:
            continue
        if doubled is not None:
            raise doubled
        if not columns.keys() >= options.column_map.keys():
            return None
        return Header(
            layout="norms",
            length=start + 1,
            header_rows=1,
            columns=columns,
            width=len(row),
            needed=max(columns[name] for name in REQUIRED) + 1,
            labels=frozenset({folded_row(row)}),
            preamble=[list(above) for above in rows[:start]],
        )
    return None


class Norms:
    """Reads the records of a table of norms; blank rows and repeated headers are left out."""

    def __init__(self, header: Header, delimiter: str) -> None:
        self.header = header
        self.rules = FlatRows(header, delimiter)
        names = [name for name in NORM_COLUMNS if name in header.columns]
        self.columns = ("line", *names)

    def batches(
        self, chunks: Callable[[Report], Iterator[Chunk]], report: Report
    ) -> Iterator[Batch]:
        """Read all records; rows that are no data and misfits go to the report."""
        at = [self.header.columns[name] for name in self.columns[1:]]
        for chunk in chunks(report):
            lines: list[int] = []
            records: list[list[str]] = []
            for line, row in zip(chunk.lines, chunk.rows(), strict=True):
                verdict = self.rules.verdict(row)
                if verdict is not None:
                    report.skipped[verdict] += 1
                elif (misfit := self.rules.misfit(row)) is not None:
                    report.reject(line, self.rules.raw(row), misfit)
                else:
                    lines.append(line)
                    records.append([row[place] if place < len(row) else "" for place in at])
            if lines:
                yield Batch(lines, list(zip(*records, strict=True)))
