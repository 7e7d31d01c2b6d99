"""Layouts: headers, groups and totals of flat files, movements, the batch statement."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import pytest

from loader.errors import Refused, UsageError
from loader.reading import STAGING_COLUMNS, ReadOptions, open_source


def as_dicts(source):
    return [dict(zip(source.columns, record, strict=True)) for record in source.records()]


NUMBER_TEXTS = ("1 234,5", "1\u00a0234,5", "1\u202f234,5", "1'234,5", "−0,05", "(12,5)", "12-", "-")
NUMBER_TEXTS += ("0,000", "1.234,5")
FLAT = "Номенклатура;Начальный остаток;Приход;Расход;Конечный остаток;Период хранения (дней)\n"


def accounted(source):
    """Count the records of the file that were emitted, skipped or rejected."""
    emitted = sum(1 for _ in source.records())
    return emitted + sum(source.skipped.values()) + len(source.bad_rows)


# -- flat balances -------------------------------------------------------------


def test_flat_balances_arrive_as_they_are(opened):
    source = opened(FLAT + " ЛЕЩ  Г/К ;1 234,567;;-;(0,5);7\nЩУКА;1.234,5;−2;3-;0,000;7\n")
    assert source.layout == "balances"
    assert set(source.columns) <= set(STAGING_COLUMNS) and source.columns[0] == "line"
    first, second = as_dicts(source)
    assert first["item"] == " ЛЕЩ  Г/К "  # spaces are for the database to judge
    numbers = ("opening", "incoming", "outgoing", "closing", "storage_days")
    assert [first[n] for n in numbers] == ["1 234,567", None, "-", "(0,5)", "7"]
    assert [second[n] for n in numbers] == ["1.234,5", "−2", "3-", "0,000", "7"]


@pytest.mark.parametrize("text", ["45678", "#ДЕЛ/0!", "#DIV/0!", "1e400", "NaN", *NUMBER_TEXTS])
def test_number_texts_arrive_unchanged(read, text):
    (record,) = read(f"{FLAT}ЛЕЩ;{text};1;1;1;7\n")
    assert record["opening"] == text


@pytest.mark.parametrize(
    "text",
    ["17.07.2025 9:20:00", "21.07.25", "2025-07-21", "15.07.2025 21:57:25", "45678", "03/04/2026"],
)
def test_date_texts_arrive_unchanged(read, text):
    (record,) = read(f"Товар;Дата;Количество\nЛЕЩ;{text};1\n")
    assert record["posted_at"] == text


@pytest.mark.parametrize(
    "name",
    ["ЛЕЩ Х\\К", "ЛEЩ X/K", "КОПЧЁНЫЙ ЛЕЩ", "ЛЕЩ  Г/К  ", "Robert'); DROP TABLE--", "=cmd|x"],
)
def test_names_arrive_unchanged(read, name):
    (record,) = read(f'{FLAT}"{name}";1;1;1;1;7\n')
    assert record["item"] == name


def test_english_headers_in_any_order(opened):
    source = opened("Closing balance,Unit,Product,In,Opening balance,Out\n5,kg,Bream,1,6,2\n")
    assert source.layout == "balances"
    (record,) = as_dicts(source)
    assert (record["item"], record["unit"], record["opening"], record["closing"]) == (
        *("Bream", "kg", "6"),
        "5",
    )


def test_units_are_carried(read):
    text = "Номенклатура;Ед. изм.;Начальный остаток;Приход;Расход;Конечный остаток\n"
    records = read(text + "ЛЕЩ;кг;1;0;0;1\nИКРА;шт;5;0;0;4\n")
    assert [r["unit"] for r in records] == ["кг", "шт"]


def test_look_alike_latin_letters_in_headers(opened):
    assert opened(FLAT.replace("Номенклатура", "Hoмeнклaтypa")).layout == "balances"


def test_preamble_gives_period_and_warehouse(opened):
    preamble = (
        'Остатки;;;;;\nПериод: 01.02.2025 - 28.02.2025;;;;;\nСклад Равно ""Юг"";;;;;\n;;;;;\n'
    )
    source = opened(preamble.replace('""', '"') + FLAT + "ЛЕЩ;1;0;0;1;7\n")
    (record,) = as_dicts(source)
    assert record["line"] == 6 and source.period == ("01.02.2025", "28.02.2025")
    assert (record["period_start"], record["warehouse"]) == ("01.02.2025", "Юг")
    assert source.title == "Остатки" and source.skipped["preamble"] == 4


def test_header_of_two_rows_with_quantity_and_amount(opened):
    text = (
        "Номенклатура;Начальный остаток;;Приход;;Расход;;Конечный остаток;\n"
        ";Сумма;Количество;Сумма;Количество;Сумма;Количество;Сумма;Количество\n"
        "ЛЕЩ;100;1;200;2;300;3;400;4\n"
    )
    (record,) = as_dicts(opened(text))
    assert [record[n] for n in ("opening", "incoming", "outgoing", "closing")] == list("1234")
    (record,) = as_dicts(opened(text, quantity_columns="Сумма"))
    assert record["opening"] == "100"


def test_weight_wins_over_pieces(read):
    text = "Товар;Дата;Количество, шт;Количество, кг\nЛЕЩ;2025-01-06;3;1,25\n"
    assert read(text)[0]["quantity"] == "1,25"


def test_numbered_columns_under_the_header_are_header(opened):
    source = opened(FLAT + "1;2;3;4;5;6\n" + "ЛЕЩ;1;0;0;1;7\n")
    assert [r["item"] for r in as_dicts(source)] == ["ЛЕЩ"] and source.skipped["header"] == 2


def test_rows_that_are_no_data_are_counted_by_reason(opened):
    page = "Стр. 1 из 2;;;;;\n" + FLAT
    source = opened(
        FLAT
        + "КОПЧЕНАЯ РЫБА;;;;;\n"  # a heading without numbers
        + "ЛЕЩ;1;0;0;1;7\n;;;;;\n\n"
        + page
        + "ЩУКА;2;0;0;2;7\nИтого по группе;3;0;0;3;\nИтого:;3;0;0;3;\n;Всего;;;3;\n"
    )
    records = as_dicts(source)
    assert [(r["line"], r["item"], r["item_group"]) for r in records] == [
        (3, "ЛЕЩ", "КОПЧЕНАЯ РЫБА"),
        (8, "ЩУКА", "КОПЧЕНАЯ РЫБА"),
    ]
    assert source.skipped == Counter(
        header=1, group=1, blank=2, page_footer=1, repeated_header=1, total=3
    )
    assert accounted(source) == 11


def test_group_rows_with_sums_are_not_products(opened):
    source = opened(
        FLAT
        + "РЫБА;6;1;2;5;\n"
        + "ЛЕЩ;1;1;1;1;7\nЩУКА;5;;1;4;7\n"
        + "ИКРА;3;;;3;\nИКРА А;3;;;3;7\n"
    )
    records = as_dicts(source)
    assert [(r["item"], r["item_group"]) for r in records] == [
        ("ЛЕЩ", "РЫБА"),
        ("ЩУКА", "РЫБА"),
        ("ИКРА А", "ИКРА"),
    ]
    assert source.skipped["group"] == 2


def test_two_products_with_equal_figures_are_both_kept(opened):
    source = opened(FLAT + "ЛЕЩ;1;;;1;7\nЩУКА;1;;;1;7\n")
    assert [r["item"] for r in as_dicts(source)] == ["ЛЕЩ", "ЩУКА"]
    assert source.notices


def test_hierarchy_by_leading_spaces(opened):
    source = opened(FLAT + "РЫБА;9;;;9;7\n  ЛЕЩ;1;;;1;7\n  ЩУКА;2;;;2;7\nИКРА;4;;;4;7\n")
    records = as_dicts(source)  # the sums do not agree: only depth tells
    assert [(r["item"].strip(), r["item_group"]) for r in records] == [
        ("ЛЕЩ", "РЫБА"),
        ("ЩУКА", "РЫБА"),
        ("ИКРА", None),
    ]


def test_rows_without_period_are_group_sums(opened, shared):
    source = opened(shared / "synthetic_flat_balances_cp1251.csv", encoding="cp1251")
    assert (source.layout, accounted(source)) == ("balances", 290)
    assert source.skipped == Counter(header=1, total=1)


# -- recognition ---------------------------------------------------------------


def test_map_wins_over_recognition(opened):
    text = "Товар;Код;Остаток на начало;Сальдо;Остаток на конец\nЛЕЩ;A1;1;2;3\n"
    (record,) = as_dicts(opened(text, column_map={"item": "код", "opening": "Сальдо"}))
    assert (record["item"], record["opening"], record["closing"]) == ("A1", "2", "3")
    (record,) = as_dicts(opened(text, column_map={"opening": "#4"}))
    assert record["opening"] == "2"


def test_doubled_headers_are_refused_unless_mapped(opened):
    text = "Товар;Дата;Вес;Вес\nЛЕЩ;2025-01-06;1;2\n"
    with pytest.raises(Refused, match="columns 3 and 4") as refused:
        opened(text)
    assert "--map" in refused.value.hint
    assert as_dicts(opened(text, column_map={"quantity": "#4"}))[0]["quantity"] == "2"


def test_unknown_and_missing_columns_are_named(opened):
    with pytest.raises(Refused) as refused:
        opened("Цвет;Размер\nred;5\n")
    assert '"Цвет", "Размер"' in refused.value.detail and "--map" in refused.value.hint
    with pytest.raises(Refused) as refused:
        opened(FLAT, column_map={"opening": "Сальдо"})
    assert '"Сальдо"' in refused.value.detail
    with pytest.raises(UsageError):
        opened(FLAT, sheet="1")


# -- movements -----------------------------------------------------------------


def test_movements_with_signed_quantity_and_1c_document(opened):
    source = opened(
        "Регистратор;Склад;Номенклатура;Количество\n"
        "Приходная накладная 000000000000105 от 08.01.2025 9:20:00;Юг;ЛЕЩ;4,322\n"
        "Списание ЦБ-00012 от 09.01.2025;Юг;ЛЕЩ;-0,5\n"
        "Ручная операция;Юг;ЛЕЩ;-0,5\n"
    )
    names = ("document_type", "document_number", "posted_at", "quantity")
    assert [tuple(r[n] for n in names) for r in as_dicts(source)] == [
        ("Приходная накладная", "000000000000105", "08.01.2025 9:20:00", "4,322"),
        ("Списание", "ЦБ-00012", "09.01.2025", "-0,5"),
        ("Ручная операция", None, None, "-0,5"),
    ]


def test_movements_between_headings_and_totals(opened):
    source = opened(
        "Дата;Вид движения;Товар;Приход;Расход\n"
        ";;КОПЧЕНАЯ РЫБА;;\n06.01.2025;Продажа;ЛЕЩ;;1\n;;;;\n"
        "Дата;Вид движения;Товар;Приход;Расход\n06.01.2025;Продажа;ЩУКА;;\n;;Итого;;1\nИтого;;;;1\n"
    )
    assert [(r["line"], r["item"], r["outgoing"]) for r in as_dicts(source)] == [
        (3, "ЛЕЩ", "1"),
        (6, "ЩУКА", None),  # dated, so it is data, for the database to reject
    ]
    assert source.skipped == Counter(header=1, group=1, blank=1, repeated_header=1, total=2)


def test_sample_movements(opened, shared):
    source = opened(shared / "synthetic_movements_long.csv")
    assert source.layout == "movements" and accounted(source) == 2712
    lines = (shared / "synthetic_movements_long.csv").read_text("utf-8").split("\n")
    record = as_dicts(source)[-1]
    assert [record[n] for n in ("item", "product_type", "document_type", "posted_at", "batch")] == (
        lines[record["line"] - 1].split(",")[:5]
    )
    assert source.raw_lines({2, 2000}) == {2: lines[1], 2000: lines[1999]}


# -- statement -----------------------------------------------------------------


@pytest.fixture
def statement(opened, quirks):
    return opened(quirks / "statement_cp1251.csv", encoding="cp1251")


def test_statement_levels_and_context(statement):
    """The stored file: two warehouses, a group in a group, a repeated header, a silent product."""
    assert (statement.layout, statement.period) == ("statement", ("13.01.2025", "19.01.2025"))
    records = as_dicts(statement)
    assert Counter(r["record"] for r in records) == Counter(
        warehouse=2, group=5, item=5, document=5, batch=7, grand_total=1
    )
    items = [(r["warehouse"], r["item_group"], r["item"]) for r in records if r["record"] == "item"]
    assert items == [
        ("Склад 1", "РЫБА / КОПЧЕНАЯ РЫБА", "ЛЕЩ Г/К"),
        (
            "Склад 1",
            "РЫБА / КОПЧЕНАЯ РЫБА",
            "СКУМБРИЯ Х/К",
        ),  # no documents, in the sum of its group
        ("Склад 1", "РЫБА / ВЯЛЕНАЯ РЫБА", "ВОБЛА ВЯЛЕНАЯ"),
        ("Склад 1", "ИКРА", "ИКРА МИНТАЯ"),
        ("Склад 2", "РЫБА", "ЛЕЩ Г/К"),
    ]
    assert statement.skipped == Counter(preamble=7, header=4, repeated_header=4)
    assert statement.notices == []


def test_statement_rows_carry_their_document(statement):
    batch = next(r for r in as_dicts(statement) if r["record"] == "batch")
    assert {k: v for k, v in batch.items() if v is not None} == {
        "line": 18,
        "record": "batch",
        "warehouse": "Склад 1",
        "item_group": "РЫБА / КОПЧЕНАЯ РЫБА",
        "item": "ЛЕЩ Г/К",
        "unit": "кг",
        "document_type": "Приходная накладная",
        "document_number": "000000000000201",
        "posted_at": "14.01.2025 9:20:00",
        "batch": "02.01.2025 9:05:00",
        "period_start": "13.01.2025",
        "period_end": "19.01.2025",
        "opening": "7",
        "closing": "7",
    }


def test_statement_rows_are_all_accounted_for(statement, quirks):
    # 45 lines, one of them the second of a quoted cell.
    lines = (quirks / "statement_cp1251.csv").read_bytes().count(b"\n")
    assert accounted(statement) == lines - 1


def test_sums_that_disagree_are_noticed_and_nothing_is_lost(opened, quirks):
    text = (quirks / "statement_cp1251.csv").read_bytes().decode("cp1251")
    source = opened(text.replace("Склад 1;;;;24,5;", "Склад 1;;;;24,6;"))
    records = as_dicts(source)
    assert len(source.notices) == 2 and "line 13" in source.notices[0]
    assert [r["warehouse"] for r in records if r["record"] == "warehouse"] == ["Склад 1", "Склад 2"]
    assert sum(r["record"] == "item" for r in records) == 5


def test_statement_columns_are_found_by_caption(opened, quirks):
    """Amounts beside the quantities and other places: the numbers stay the same."""
    text = (quirks / "statement_cp1251.csv").read_bytes().decode("cp1251")
    wide = []
    for line in text.replace("И\n", "И ").split("\r\n"):
        cells = line.split(";")
        if len(cells) == 9:
            label, opening, incoming, outgoing, closing = (cells[i] for i in (0, 4, 6, 7, 8))
            caption = "остаток" in opening or "Приход" in incoming
            money = [
                c.replace("Количество", "Сумма") if caption else "9"
                for c in (opening, incoming, outgoing, closing)
            ]
            if opening == "Начальный остаток":
                money = [""] * 4
            pairs = zip((opening, incoming, outgoing, closing), money, strict=True)
            line = ";".join([label, *(cell for pair in pairs for cell in pair)])
        wide.append(line)
    got = as_dicts(opened("\n".join(wide)))
    expected = as_dicts(opened(text))
    keys = ("record", "item", "opening", "incoming", "outgoing", "closing")
    assert [[r[k] for k in keys] for r in got] == [[r[k] for k in keys] for r in expected]


def test_statement_without_warehouses_takes_the_one_of_the_filter(opened):
    source = opened(
        'Отбор:;"Склад Равно ""Юг""";\n'
        "Номенклатура;Начальный остаток;Конечный остаток\nДокумент движения;;\nПартия;;\n"
        "ЛЕЩ;3;2\nСписание 000000000000001 от 02.01.2025 8:00:00;3;2\n01.01.2025 8:00:00;3;2\n"
    )
    assert [(r["record"], r["warehouse"], r["item"]) for r in as_dicts(source)] == [
        ("item", "Юг", "ЛЕЩ"),
        ("document", "Юг", "ЛЕЩ"),
        ("batch", "Юг", "ЛЕЩ"),
    ]


def test_e30_totals_of_the_sample_statement(shared):
    example = next(
        e
        for e in json.loads((shared / "worked_examples.json").read_text("utf-8"))["examples"]
        if e["id"] == "E30"
    )
    options = {"encoding": example["inputs"]["encoding"]}
    expected = example["expected"]
    with open_source(shared / example["inputs"]["file"], ReadOptions(**options)) as source:
        records = as_dicts(source)
        assert source.delimiter == example["inputs"]["delimiter"]

    def number(text):
        return Decimal((text or "0").replace(",", "."))

    items = [r for r in records if r["record"] == "item"]
    assert len(items) == expected["skus"]
    assert sum(r["record"] == "group" for r in records) == expected["groups"]
    assert sum(r["record"] == "document" for r in records) == expected["product_documents"]
    for column in ("opening", "incoming", "outgoing", "closing"):
        for level in ("item", "group", "warehouse", "grand_total"):
            total = sum(number(r[column]) for r in records if r["record"] == level)
            assert float(total) == pytest.approx(expected[column], abs=1e-9)
    takes = [
        r for r in records if r["record"] == "document" and r["document_type"] == "Инвентаризация"
    ]
    net = sum(number(r["incoming"]) - number(r["outgoing"]) for r in takes)
    assert float(net) == pytest.approx(expected["stock_take_net"], abs=1e-9)


def test_all_sample_statements_add_up(shared):
    for path in sorted((shared / "vedomost").glob("*.csv")):
        with open_source(path, ReadOptions(encoding="cp1251")) as source:
            records = as_dicts(source)
            assert source.notices == [] and source.bad_rows == []
            assert sum(r["record"] == "item" for r in records) == 24


def test_the_sample_workbook_has_the_records_of_its_csv(shared):
    folder = shared / "vedomost"
    with open_source(folder / "vedomost_2025-01-06.xlsx") as book:
        from_book = as_dicts(book)
    with open_source(folder / "vedomost_2025-01-06.csv", ReadOptions(encoding="cp1251")) as text:
        from_text = as_dicts(text)
    for record in (*from_book, *from_text):
        del record["line"]
        for column in ("opening", "incoming", "outgoing", "closing"):
            record[column] = (record[column] or "0").replace(",", ".")
    assert from_book == from_text
