"""Workbooks: cell texts, dates, sheets, depth, and the archives other programs write."""

from __future__ import annotations

import datetime
import io
import re
import zipfile

import openpyxl
import pytest
from openpyxl.styles import Alignment
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from loader.errors import Refused, UsageError


def as_dicts(source):
    return [dict(zip(source.columns, record, strict=True)) for record in source.records()]


FLAT = ["Номенклатура", "Начальный остаток", "Приход", "Расход", "Конечный остаток"]
MOVES = ["Товар", "Дата", "Количество"]


def book(*rows, change=None):
    """Write rows as a workbook; `change` may touch it before it is saved."""
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    if change:
        change(made)
    return saved(made)


def saved(made):
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


def repack(data, rename=lambda name: name, edit=lambda name, content: content):
    """Write an archive again with other part names or contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(rename(name), edit(name, old.read(name)))
    return out.getvalue()


def with_shared_strings(data):
    """Move the texts of the first sheet to xl/sharedStrings.xml, as Excel and 1C keep them."""
    texts = []

    def share(match):
        texts.append(match[2])
        return b'<c r="%s" t="s"><v>%d</v></c>' % (match[1], len(texts) - 1)

    def edit(name, content):
        if name.endswith("sheet1.xml"):
            cell = rb'<c r="(\w+)" t="inlineStr"><is><t>(.*?)</t></is></c>'
            return re.sub(cell, share, content)
        if name == "[Content_Types].xml":
            part = (
                b'<Override PartName="/xl/sharedStrings.xml" ContentType="application/'
                b'vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml" /></Types>'
            )
            return content.replace(b"</Types>", part)
        return content

    data = io.BytesIO(repack(data, edit=edit))
    strings = b"".join(b"<si><t>" + text + b"</t></si>" for text in texts)
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr(
            "xl/sharedStrings.xml", b'<sst xmlns="' + main + b'">' + strings + b"</sst>"
        )
    return data.getvalue()


def test_cells_become_the_shortest_text(read):
    rows = read(
        book(FLAT, ["ЛЕЩ", 0.1 + 0.2, 5, 1e-7, "1 234,5"], ["ЩУКА", "#DIV/0!", -2.50, 1e15, True])
    )
    numbers = ("opening", "incoming", "outgoing", "closing")
    assert [rows[0][n] for n in numbers] == ["0.3", "5", "0.0000001", "1 234,5"]
    assert [rows[1][n] for n in numbers] == ["#DIV/0!", "-2.5", "1000000000000000", "TRUE"]


def test_dates_become_iso_text_and_bare_serials_too(read):
    rows = read(
        book(
            MOVES,
            ["ЛЕЩ", datetime.datetime(2025, 7, 17, 9, 20), 1],
            ["ЛЕЩ", datetime.date(2025, 7, 17), 45855],
            ["ЛЕЩ", 45855, 1],  # 2025-07-17 in the 1900 system
            ["ЛЕЩ", 45855.5, 1],
            ["ЛЕЩ", "17.07.2025 9:20:00", 1],
        )
    )
    assert [r["posted_at"] for r in rows] == [
        "2025-07-17 09:20:00",
        "2025-07-17",
        "2025-07-17",
        "2025-07-17 12:00:00",
        "17.07.2025 9:20:00",
    ]
    assert rows[1]["quantity"] == "45855"  # a number where no date is expected stays one


def test_serials_of_the_1904_system(read):
    def mac(made):
        made.epoch = CALENDAR_MAC_1904

    data = book(MOVES, ["ЛЕЩ", 44393, 1], change=mac)  # 45855 - 1462 days
    assert read(data)[0]["posted_at"] == "2025-07-17"
    data = book(MOVES, ["ЛЕЩ", 44393, 1])
    assert read(data)[0]["posted_at"] == "2021-07-16"
    assert read(data, date_system=1904)[0]["posted_at"] == "2025-07-17"


def test_lines_are_row_numbers_and_blank_rows_are_counted(opened):
    source = opened(book(["Отчёт"], [], FLAT, [], ["ЛЕЩ", 1, 0, 0, 1], ["Итого", 1, 0, 0, 1]))
    assert [r["line"] for r in as_dicts(source)] == [5]
    assert source.skipped == {"preamble": 2, "header": 1, "blank": 1, "total": 1}
    assert source.raw_lines({5}) == {5: "ЛЕЩ;1;0;0;1"}
    assert source.bytes_read == source.size_bytes


def test_the_only_readable_sheet_is_taken_and_several_must_be_chosen(opened):
    def more(made):
        made.create_sheet("Пояснения").append(["Этот лист не таблица"])

    source = opened(book(FLAT, ["ЛЕЩ", 1, 0, 0, 1], change=more))
    assert source.sheet == "Sheet"

    def twice(made):
        other = made.create_sheet("Февраль")
        other.append(FLAT)
        other.append(["ЩУКА", 1, 0, 0, 1])

    data = book(FLAT, ["ЛЕЩ", 1, 0, 0, 1], change=twice)
    with pytest.raises(Refused, match='"Sheet", "Февраль"') as refused:
        opened(data)
    assert "--sheet" in refused.value.hint
    assert as_dicts(opened(data, sheet="Февраль"))[0]["item"] == "ЩУКА"
    assert as_dicts(opened(data, sheet="2"))[0]["item"] == "ЩУКА"
    with pytest.raises(UsageError, match="no sheet"):
        opened(data, sheet="Март")


def test_hidden_rows_are_data_and_noticed(opened):
    def hide(made):
        made.active.row_dimensions[3].hidden = True

    source = opened(book(FLAT, ["ЛЕЩ", 1, 0, 0, 1], ["ЩУКА", 2, 0, 0, 2], change=hide))
    assert [r["item"] for r in as_dicts(source)] == ["ЛЕЩ", "ЩУКА"]
    assert source.notices[0].startswith("1 hidden row")


def test_merged_cells_in_header_and_labels(read):
    def merge(made):
        sheet = made.active
        for cells in ("B1:C1", "D1:E1", "A1:A2", "A3:A4"):
            sheet.merge_cells(cells)

    rows = read(
        book(
            ["Номенклатура", "Начальный остаток", None, "Конечный остаток", None, "Склад"],
            [None, "Сумма", "Количество", "Сумма", "Количество", None],
            ["ЛЕЩ", 100, 1, 100, 2, "Юг"],
            [None, 300, 3, 300, 4, "Север"],
            change=merge,
        )
    )
    assert [(r["item"], r["warehouse"], r["opening"], r["closing"]) for r in rows] == [
        ("ЛЕЩ", "Юг", "1", "2"),
        ("ЛЕЩ", "Север", "3", "4"),
    ]


@pytest.mark.parametrize("sign", ["outline", "indent"])
def test_hierarchy_by_outline_or_indent_only(opened, sign):
    def deepen(made):
        for row in (3, 4):
            if sign == "outline":
                made.active.row_dimensions[row].outlineLevel = 1
            else:
                made.active.cell(row, 1).alignment = Alignment(indent=2)

    source = opened(
        book(
            FLAT,
            ["РЫБА", 9, 0, 0, 9],
            ["ЛЕЩ", 1, 0, 0, 1],
            ["ЩУКА", 2, 0, 0, 2],
            ["ИКРА", 4, 0, 0, 4],
            change=deepen,
        )
    )
    assert [(r["item"], r["item_group"]) for r in as_dicts(source)] == [
        ("ЛЕЩ", "РЫБА"),
        ("ЩУКА", "РЫБА"),
        ("ИКРА", None),
    ]
    assert source.skipped["group"] == 1


def test_a_statement_with_outline_needs_no_sums(opened):
    document = "Списание 000000000000001 от 02.01.2025 8:00:00"
    rows = [
        ("Склад", "Начальный остаток", "Расход", "Конечный остаток", 0),
        ("Номенклатура", None, None, None, 0),
        ("Документ движения", None, None, None, 0),
        ("Партия", None, None, None, 0),
        ("Юг", 99, 1, 98, 0),
        ("РЫБА", 9, 1, 8, 1),
        ("ЛЕЩ", 3, 1, 2, 2),
        (document, 3, 1, 2, 3),
        (datetime.datetime(2025, 1, 1, 8), 3, 1, 2, 4),
        ("ЩУКА", 5, 0, 5, 2),
        ("ИКРА", 7, 0, 7, 1),
    ]

    def outline(made):
        for number, row in enumerate(rows, 1):
            made.active.row_dimensions[number].outlineLevel = row[-1]

    source = opened(book(*(row[:-1] for row in rows), change=outline))
    assert [(r["record"], r["item_group"], r["item"], r["batch"]) for r in as_dicts(source)] == [
        ("warehouse", None, None, None),
        ("group", "РЫБА", None, None),
        ("item", "РЫБА", "ЛЕЩ", None),
        ("document", "РЫБА", "ЛЕЩ", None),
        ("batch", "РЫБА", "ЛЕЩ", "2025-01-01 08:00:00"),
        ("item", "РЫБА", "ЩУКА", None),
        ("item", None, "ИКРА", None),
    ]


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("sharedStrings", "SharedStrings"),
        lambda name: name.replace("sheet1.xml", "Sheet1.xml"),
        lambda name: name.replace("/", "\\"),
        lambda name: name.replace("xl/workbook.xml", "XL/Workbook.xml"),
    ],
)
def test_part_names_in_other_spelling(read, rename):
    data = repack(with_shared_strings(book(FLAT, ["ЛЕЩ", 1, 0, 0, 1])), rename)
    with pytest.raises(Exception):  # noqa: B017 (openpyxl fails in several ways)
        openpyxl.load_workbook(io.BytesIO(data)).active.cell(1, 1).value.strip()
    assert read(data)[0]["item"] == "ЛЕЩ"


def test_wrong_dimensions_are_not_believed(read):
    def lie(name, content):
        return content.replace(b'ref="A1:E2"', b'ref="A1"')

    assert read(repack(book(FLAT, ["ЛЕЩ", 1, 0, 0, 1]), edit=lie))[0]["closing"] == "1"


def test_formulas_without_result_are_not_read_as_empty(opened):
    source = opened(book(FLAT, ["ЛЕЩ", 1, 0, 0, "=B2+C2-D2"]))
    assert as_dicts(source)[0]["closing"] == "#NO RESULT"
    assert "formulas" in source.notices[0]


def test_cut_off_and_foreign_archives_are_refused(opened):
    data = book(FLAT, ["ЛЕЩ", 1, 0, 0, 1])
    for cut in (len(data) // 2, len(data) - 10):
        with pytest.raises(Refused, match="cannot be read") as refused:
            opened(data[:cut], name="stock.xlsx")
        assert refused.value.hint
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("content.xml", "<x/>")
    with pytest.raises(Refused, match="OpenDocument"):
        opened(other.getvalue(), name="stock.ods")


def test_content_decides_and_not_the_name(opened):
    assert opened(book(FLAT, ["ЛЕЩ", 1, 0, 0, 1]), name="stock.csv").sheet == "Sheet"
    assert opened(";".join(FLAT), name="stock.xlsx").delimiter == ";"
