"""Vocabulary of column captions and the search for the header of a table.

A caption is compared after folding (case, ё, punctuation, look-alike Latin letters in Cyrillic
words). Numbers may stand several times, as quantity and as amount, with the words in one caption
("Количество Приход") or on two header rows; `Caption.measure` keeps them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from loader.errors import Refused
from loader.reading.options import LAYOUTS, STAGING_COLUMNS, LayoutName, ReadOptions

# Captions by column, in tiers: of two columns that would do, the one of the earlier tier wins.
VOCABULARY: dict[str, tuple[str, ...]] = {
    "warehouse": (
        "склад, warehouse, store, магазин, место хранения, wh",
        "подразделение, storage, location, branch, отдел",
    ),
    "item_group": (
        "группа, группа товаров, товарная группа, группа номенклатуры, номенклатурная группа, "
        "номенклатура группа, group, item group, product group",
    ),
    "item": (
        "номенклатура, товар, продукт, продукция, item, product, материал, material, "
        "наименование товара, наименование номенклатуры, наименование продукции, товары, item "
        "name, product name, nomenclature, goods",
        "наименование, название, name, description",
        "sku",
        "артикул, код, code, item code, product code, код товара, item id",
    ),
    "product_type": (
        "тип продукта, тип продукции, тип товара, вид продукции, вид продукта, вид товара, "
        "вид номенклатуры, тип номенклатуры, product type, item type",
        "категория, category",
    ),
    "unit": (
        "ед, ед изм, единица, единица измерения, единица хранения, базовая единица, ед "
        "измерения, unit, uom, unit of measure, units",
    ),
    "document_type": (
        "вид движения, тип движения, тип документа, вид документа, операция, вид операции, "
        "хозяйственная операция, doc type, document type, operation, movement type, movement, "
        "transaction type",
    ),
    "document_number": (
        "номер документа, номер, номер док, doc number, document number, doc no, document no, "
        "document id, doc id, number",
    ),
    # Not a staging column: one cell that holds type, number and date of a document.
    "document": ("документ, документ движения, регистратор, document",),
    "posted_at": (
        "дата документа, дата движения, дата операции, дата и время, doc time, doc date, "
        "document date, posted at, posting date, movement date",
        "дата, date, datetime, timestamp",
        "время, time, период, period",
    ),
    "batch": (
        "партия, дата партии, дата прихода партии, партия дата прихода, batch, batch received "
        "at, batch received, batch date, lot, lot date, серия",
        "дата прихода, дата поступления, received at, received, receipt date",
    ),
    "supplier": (
        "поставщик, supplier, vendor",
        "контрагент",
    ),
    "period_start": (
        "начало периода, дата начала, дата начала периода, период начало, период с, period "
        "start, start date, period from",
        "start, from, с",
    ),
    "period_end": (
        "конец периода, дата окончания, дата конца, дата окончания периода, период конец, "
        "окончание периода, период по, period end, end date, period to",
        "end, to, по",
    ),
    "storage_days": (
        "период хранения, период хранения дней, срок хранения, срок хранения дней, дней "
        "хранения, период хранения дни, storage days, storage period, storage period days",
        "дней, дни, days",
    ),
    "opening": (
        "начальный остаток, остаток начальный, нач остаток, остаток на начало, остаток на "
        "начало периода, сальдо на начало, сальдо начальное, opening, opening balance, "
        "opening stock, initial balance, initial stock",
        "initial, на начало, начало",
    ),
    "incoming": (
        "приход, поступление, поступило, incoming, in, оборот приход, qty in, receipts, "
        "received qty, приход за период",
    ),
    "outgoing": (
        "расход, выбыло, выбытие, outgoing, out, issues, issued, оборот расход, qty out, "
        "расход за период",
    ),
    "closing": (
        "конечный остаток, остаток конечный, кон остаток, остаток на конец, остаток на конец "
        "периода, сальдо на конец, сальдо конечное, closing, closing balance, closing stock, "
        "final balance, final stock",
        "final, на конец, конец",
    ),
    "quantity": ("quantity, qty, количество, кол во, кол, вес, масса, weight",),
    "note": ("примечание, комментарий, note, notes, comment, remark, remarks",),
    # Not a staging column: a bare "type" is an operation among movements, else a product type.
    "type": ("тип, вид, type, kind",),
}

NUMBERS = ("opening", "incoming", "outgoing", "closing", "quantity")

# Words beside a number caption, the preferred first: fish is weighed, so kilograms beat pieces;
# money is never taken unless asked for.
MEASURES = {
    "weight": frozenset({"вес", "масса", "кг", "kg", "weight", "нетто", "net"}),
    "quantity": frozenset({"количество", "кол", "во", "quantity", "qty"}),
    "": frozenset[str](),
    "pieces": frozenset({"шт", "штук", "pcs", "pieces", "units", "мест"}),
    "amount": frozenset({"сумма", "стоимость", "amount", "value", "cost", "цена", "price", "руб"})
    | frozenset({"себестоимость", "rub", "eur", "usd"}),
}
PREFERENCE = tuple(MEASURES)

# Captions stacked in one column name the levels of a statement.
LEVELS = {
    "склад": "warehouse",
    "warehouse": "warehouse",
    "группа": "group",
    "группа номенклатуры": "group",
    "номенклатура": "item",
    "товар": "item",
    "item": "item",
    "product": "item",
    "документ движения": "document",
    "документ": "document",
    "регистратор": "document",
    "документ движения регистратор": "document",
    "document": "document",
    "партия дата прихода": "batch",
    "партия": "batch",
    "партия номенклатуры": "batch",
    "дата прихода": "batch",
    "batch": "batch",
}

SEARCHED = 200
CYRILLIC_TWINS = str.maketrans("ABCEHKMOPTXYaceopxy", "АВСЕНКМОРТХУасеорху")
CYRILLIC = re.compile("[а-яёА-ЯЁ]")
DIGIT_CELL = re.compile(r"^[\s\d.,:()'’%+−–-]*\d[\s\d.,:()'’%+−–-]*$")


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Fold a caption or label: lower case, е for ё, words only, look-alike letters Cyrillic."""
    if CYRILLIC.search(text):
        text = text.translate(CYRILLIC_TWINS)
    return " ".join(re.findall(r"[^\W_]+", text.lower().replace("ё", "е")))


WORDS = {
    fold(caption): (name, tier)
    for name, tiers in VOCABULARY.items()
    for tier, captions in enumerate(tiers)
    for caption in captions.split(", ")
}
MEASURE_OF = {word: measure for measure, words in MEASURES.items() for word in words}


class Caption(NamedTuple):
    """What a header cell says: the column, how sure, and for numbers which measure."""

    name: str | None
    tier: int = 0
    measure: str = ""


@lru_cache(maxsize=4096)
def read_caption(text: str) -> Caption:
    """Read one header text; `Caption(None)` when the vocabulary does not know it."""
    folded = fold(text)
    words = folded.split()
    measures = [MEASURE_OF[word] for word in words if word in MEASURE_OF]
    # The word that says more wins: "Количество, шт" counts pieces, "Количество (кг)" weighs.
    special = [m for m in measures if m != "quantity"]
    measure = special[0] if special else measures[0] if measures else ""
    if folded in WORDS:
        name, tier = WORDS[folded]
        return Caption(name, tier, measure if name in NUMBERS else "")
    bare = " ".join(word for word in words if word not in MEASURE_OF)
    if bare != folded:
        if bare in WORDS and WORDS[bare][0] in NUMBERS:
            return Caption(*WORDS[bare], measure)
        if not bare:
            return Caption("quantity", 0, measure)
    return Caption(None, 0, measure)


@dataclass(frozen=True, slots=True)
class Header:
    """Where the table of a file begins and what its columns are.

    Attributes
    ----------
    layout : str
    length : int
        Records before the first data record: preamble and header rows.
    header_rows : int
        How many of them are header rows (the last ones).
    columns : mapping of name to cell index
        Names are staging columns, and ``document`` for one cell that holds a whole document.
    width : int
        Cells a record may have; further ones must be empty.
    needed : int
        Cells a record must have.
    labels : frozenset of tuple of str
        Folded preamble and header rows, by which a repeated one is known.
    levels : tuple of str
        For a statement: the levels its label column holds, outermost first.
    preamble : list of list of str
    """

    layout: LayoutName
    length: int
    header_rows: int
    columns: dict[str, int]
    width: int
    needed: int
    labels: frozenset[tuple[str, ...]]
    levels: tuple[str, ...] = ()
    preamble: list[list[str]] = field(default_factory=list)

    @property
    def strength(self) -> int:
        """How much was recognised, to choose between two readings of one file."""
        return len(self.columns) + len(self.levels)


def folded_row(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the cells of a row folded, without empty ones at the end."""
    folded = [fold(cell) for cell in cells]
    while folded and not folded[-1]:
        folded.pop()
    return tuple(folded)


class Doubled(Exception):
    """Two columns claim the same name and nothing tells which is meant."""


def find_header(rows: Sequence[list[str]], options: ReadOptions) -> Header | None:
    """Find the header among the first records of a table.

    Parameters
    ----------
    rows : sequence of list of str
        The first records, preamble included.
    options : ReadOptions

    Returns
    -------
    Header or None
        None when no row or group of rows is a header of a known layout.

    Raises
    ------
    Doubled
        Two columns have the same caption and `column_map` does not choose.
    """
    if options.layout in (None, "statement") and (found := _find_statement(rows, options)):
        return found
    if options.layout == "statement":
        return None
    doubled: Doubled | None = None
    for height in range(1, 4):
        for start in range(len(rows) - height + 1):
            window = rows[start : start + height]
            if not _could_be_header(window, options):
                continue
            try:
                found = _read_flat(rows, start, height, options)
            except Doubled as exc:
                doubled = doubled or exc
                continue
            if found is not None:
                return found
    if doubled is not None:
        raise doubled
    return None


def _could_be_header(window: Sequence[list[str]], options: ReadOptions) -> bool:
    wanted = {fold(text) for text in options.column_map.values()}
    for row in window:
        cells = [cell for cell in row if cell.strip()]
        known = sum(
            read_caption(c).name is not None or read_caption(c).measure != "" or fold(c) in wanted
            for c in cells
        )
        if not known or any(DIGIT_CELL.match(cell) for cell in cells):
            return False
    return True


def _combined(window: Sequence[list[str]], width: int) -> list[tuple[Caption, list[str]]]:
    """Read each column's captions of a header of one or several rows, merged cells filled."""
    table = [row + [""] * (width - len(row)) for row in window]
    for upper in range(len(table) - 1):
        for column in range(1, width):
            below = read_caption(table[upper + 1][column])
            left = read_caption(table[upper][column - 1])
            # A merged caption keeps its text in the first cell only; the ones beside it are empty.
            if (
                not table[upper][column].strip()
                and table[upper + 1][column].strip()
                and (below.name in (None, "quantity", "period_start", "period_end"))
                and (left.name in NUMBERS or left.name == "posted_at")
                and left.name != "quantity"
            ):
                table[upper][column] = table[upper][column - 1]
    result = []
    for column in range(width):
        texts = [row[column] for row in table if row[column].strip()]
        captions = [read_caption(text) for text in texts]
        whole = read_caption(" ".join(texts)) if len(texts) > 1 else Caption(None)
        named = [c for c in captions if c.name]
        # "Приход" above "Количество" is an incoming quantity, not a quantity column.
        ordered = (
            [c for c in named if c.name in NUMBERS and c.name != "quantity"]
            or [c for c in reversed(named) if c.name != "quantity"]
            or [*named, Caption(None)]
        )
        best = whole if whole.name else ordered[0]
        measures = [c.measure for c in captions if c.measure]
        special = [m for m in measures if m != "quantity"]
        measure = special[0] if special else measures[0] if measures else ""
        result.append((best._replace(measure=measure if best.name in NUMBERS else ""), texts))
    return result


def _assign(
    captions: Sequence[tuple[Caption, list[str]]], options: ReadOptions, names: Iterable[str]
) -> dict[str, int]:
    """Choose one column for each name; of several the explicit, then the better caption."""
    chosen: dict[str, int] = {}
    for name, wanted in options.column_map.items():
        chosen[name] = _mapped(captions, name, wanted)
    taken = set(chosen.values())
    marker = fold(options.quantity_columns) if options.quantity_columns else None
    for name in names:
        if name in chosen:
            continue
        ranked: list[tuple[tuple[int, int], int]] = []
        for column, (caption, texts) in enumerate(captions):
            if caption.name != name or column in taken:
                continue
            marked = marker is not None and f" {marker} " in f" {fold(' '.join(texts))} "
            if caption.measure == "amount" and not marked:
                continue
            preference = -1 if marked else PREFERENCE.index(caption.measure)
            ranked.append(((preference, caption.tier), column))
        if not ranked:
            continue
        ranked.sort()
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            first, second = ranked[0][1], ranked[1][1]
            raise Doubled(
                f"columns {first + 1} and {second + 1} (both"
                f' "{" ".join(captions[first][1]).strip()}") could be {name}'
            )
        chosen[name] = ranked[0][1]
        taken.add(ranked[0][1])
    return chosen


def _mapped(captions: Sequence[tuple[Caption, list[str]]], name: str, wanted: str) -> int:
    exact = [
        column
        for column, (_, texts) in enumerate(captions)
        if fold(wanted) in {fold(text) for text in (*texts, " ".join(texts))} and fold(wanted)
    ]
    if not exact and re.fullmatch(r"#\d+", wanted) and 0 < int(wanted[1:]) <= len(captions):
        return int(wanted[1:]) - 1
    if len(exact) > 1:
        places = ", ".join(str(column + 1) for column in exact)
        raise Doubled(f'"{wanted}" of --map {name} stands over columns {places}')
    if not exact:
        raise LookupError(wanted)
    return exact[0]


def _flat_layout(columns: Mapping[str, int]) -> LayoutName | None:
    has = columns.keys()
    if "item" not in has:
        return None
    balances = has & {"opening", "closing"}
    amounts = has & {"incoming", "outgoing", "quantity"}
    dated = has & {"posted_at", "document_type", "document", "batch", "type"}
    if len(balances) == 2 or (balances and amounts - {"quantity"}):
        return "balances"
    if amounts and dated:
        return "movements"
    return None


def _read_flat(
    rows: Sequence[list[str]], start: int, height: int, options: ReadOptions
) -> Header | None:
    # A second row of captions ("Количество | Сумма") belongs to the header it stands under.
    while start + height < len(rows) and height < 4:
        below = rows[start + height]
        cells = [cell for cell in below if cell.strip()]
        if not cells or not all(read_caption(c).name or read_caption(c).measure for c in cells):
            break
        if folded_row(below) == folded_row(rows[start]):
            break  # the header of the next printed page
        height += 1
    window = rows[start : start + height]
    width = max(map(len, window))
    captions = _combined(window, width)
    try:
        columns = _assign(captions, options, VOCABULARY)
    except LookupError:
        return None
    layout = options.layout or _flat_layout(columns)
    if layout is None or (options.layout is not None and not _suffices(columns, options.layout)):
        return None
    if "type" in columns:
        free = "document_type" if layout == "movements" else "product_type"
        column = columns.pop("type")
        if free in columns:
            free = "product_type"
        columns.setdefault(free, column)
    if layout == "balances":
        columns.pop("quantity", None)
        columns.pop("document", None)
    else:
        for name in ("period_start", "period_end", "storage_days", "opening", "closing"):
            if name not in options.column_map:
                columns.pop(name, None)
    if (
        layout == "movements"
        and "quantity" in columns
        and {"incoming", "outgoing"} & columns.keys()
    ):
        # Both sides say more than one signed number; "quantity" beside them is a measure of pieces.
        columns.pop("quantity")
    ends = start + height
    if ends < len(rows) and _numbers_columns(rows[ends]):
        ends += 1
    last = max((i for row in window for i, cell in enumerate(row) if cell.strip()), default=0)
    return Header(
        layout=layout,
        length=ends,
        header_rows=ends - start,
        columns=columns,
        width=width,
        needed=max(last, *columns.values()) + 1,
        labels=_labels(rows[:ends]),
        preamble=[list(row) for row in rows[:start]],
    )


def _suffices(columns: Mapping[str, int], layout: LayoutName) -> bool:
    numbers = columns.keys() & ({"opening", "incoming", "outgoing", "closing"})
    if layout == "movements":
        return "item" in columns and bool(columns.keys() & {"incoming", "outgoing", "quantity"})
    return "item" in columns and len(numbers) >= 2


def _numbers_columns(row: Sequence[str]) -> bool:
    """Whether a row only numbers the columns: 1, 2, 3, …"""
    cells = [cell.strip() for cell in row if cell.strip()]
    return len(cells) >= 3 and all(cell == str(n) for cell, n in zip(cells, count(1), strict=False))


def _labels(rows: Iterable[Sequence[str]]) -> frozenset[tuple[str, ...]]:
    return frozenset(folded for row in rows if (folded := folded_row(row)))


def _find_statement(rows: Sequence[list[str]], options: ReadOptions) -> Header | None:
    best: tuple[int, int, tuple[str, ...]] | None = None
    for start, row in enumerate(rows):
        for column, cell in enumerate(row[:16]):
            if fold(cell) not in LEVELS:
                continue
            levels: list[str] = []
            for below in rows[start : start + 6]:
                level = LEVELS.get(fold(below[column])) if len(below) > column else None
                if level is None or level in levels:
                    break
                levels.append(level)
            enough = "item" in levels and (len(levels) >= 2 or options.layout == "statement")
            if enough and (best is None or len(levels) > len(best[2])):
                best = start, column, tuple(levels)
        if best is not None and best[0] < start:
            break
    if best is None:
        return None
    start, label, levels_found = best
    ends = start + len(levels_found)

    def beside(row: Sequence[str]) -> bool:
        cells = [c for i, c in enumerate(row) if c.strip() and i != label]
        blank_label = len(row) <= label or not row[label].strip()
        known = all(read_caption(c).name in NUMBERS or read_caption(c).measure for c in cells)
        return blank_label and bool(cells) and known

    while start > 0 and beside(rows[start - 1]):
        start -= 1
    while ends < len(rows) and beside(rows[ends]):
        ends += 1
    window = rows[start:ends]
    width = max(map(len, window))
    captions = _combined(window, width)
    captions[label] = (Caption(None), captions[label][1])
    names = [name for name in NUMBERS if name != "quantity"]
    try:
        columns = _assign(captions, options, names)
    except LookupError:
        return None
    columns["item"] = label
    if len(columns.keys() & set(names)) < 2:
        return None
    if ends < len(rows) and _numbers_columns(rows[ends]):
        ends += 1
    return Header(
        layout="statement",
        length=ends,
        header_rows=ends - start,
        columns=columns,
        width=width,
        needed=label + 1,
        labels=_labels(rows[:ends]),
        levels=levels_found,
        preamble=[list(row) for row in rows[:start]],
    )


def refuse_unrecognised(
    name: str,
    rows: Sequence[tuple[int, list[str]]],
    options: ReadOptions,
    norms: str = "",
) -> Refused:
    """Say what was seen instead of a header, and what is expected."""
    busiest = max(
        rows,
        key=lambda row: sum(bool(c.strip()) and not DIGIT_CELL.match(c) for c in row[1]),
        default=(1, []),
    )
    seen = [" ".join(cell.split()) for cell in busiest[1] if cell.strip()]
    shown = ", ".join(f'"{cell[:40]}"' for cell in seen[:12]) + (", …" if len(seen) > 12 else "")
    expected = {
        "balances": "balances: Номенклатура, Начальный остаток, Приход, Расход, Конечный остаток",
        "movements": "movements: item, document type or date, and in/out or quantity",
        "statement": "statement: Склад / Номенклатура / Документ движения / Партия, one under"
        " another, with the captions of the numbers beside them",
    }
    wanted = [expected[layout] for layout in LAYOUTS if options.layout in (None, layout)]
    wanted += [norms] if options.layout == "norms" else []
    captions = {fold(cell) for _, row in rows for cell in row}
    missing = [t for t in options.column_map.values() if fold(t) not in captions and t[:1] != "#"]
    detail = f"Seen in line {busiest[0]}: {shown or 'nothing'}. Expected: {'; '.join(wanted)}."
    if missing:
        named = ", ".join(f'"{text}"' for text in missing)
        detail = f"No column is headed {named}. {detail}"
    return Refused(
        f"{name}:{busiest[0]}: no header of a known layout was found",
        detail=detail,
        hint="Name the columns with --map, for example --map percent=Норма."
        if options.layout == "norms"
        else "Name the layout with --layout and the columns with --map, for example"
        " --layout balances --map item=Товар,opening=Остаток.",
    )


def staging_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in the order of the staging columns."""
    given = set(names)
    return tuple(column for column in STAGING_COLUMNS if column in given)
