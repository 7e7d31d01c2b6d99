"""Verdicts in the whole: both ways through one query, every zone, every vocabulary, every total."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from loader import ingest, movements
from loader.errors import Refused
from loader.reading import STAGING_COLUMNS, Batch, Kinds, ReadOptions, spelling

Connection = psycopg.Connection[Any]
Import = Callable[..., ingest.ImportResult]

FACTS = (
    "select m.line, m.posted_at, m.batch_received_at, m.operation, m.in_kg, m.out_kg,"
    " m.document_number from core.stock_movements as m where m.source_data_id = %s"
    " order by m.line"
)
REJECTS = (
    "select e.line, e.reason, e.column_name from core.validation_errors as e"
    " where e.source_data_id = %s order by e.line"
)


def a_file(db: Connection) -> int:
    row = db.execute(
        "insert into core.source_data (file_name, file_hash, layout, size_bytes)"
        " values ('test', repeat('0', 64), 'movements', 0) returning id"
    ).fetchone()
    assert row is not None
    return int(row[0])


def stage(db: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    db.execute(f"truncate staging.{table}")
    db.execute(
        f"insert into staging.{table} select r.* from"
        f" jsonb_populate_recordset(null::staging.{table}, %s) as r",
        (json.dumps([{"line": line, **row} for line, row in enumerate(rows, 2)]),),
    )


def carefully(
    db: Connection, rows: Sequence[dict[str, Any]], **options: Any
) -> tuple[list[Any], list[Any], Any]:
    """Have rows judged one by one, as the rejected rows of a file are when they are retried."""
    with db.transaction(force_rollback=True):
        number = a_file(db)
        stage(db, "row", rows)
        verdict = db.execute(
            "select (a).* from internal.accept_movements(%s, %s) as a",
            (number, json.dumps(options)),
        ).fetchone()
        return (
            db.execute(FACTS, (number,)).fetchall(),
            db.execute(REJECTS, (number,)).fetchall(),
            verdict,
        )


def quickly(
    db: Connection, rows: Sequence[dict[str, Any]], **options: Any
) -> tuple[list[Any], list[Any], Any]:
    """Have rows stored as the loader does with those of a file."""
    names = [name for name in STAGING_COLUMNS if any(name in row for row in rows)]
    columns = [[row.get(name) or "" for row in rows] for name in names]
    batch = Batch(range(2, len(rows) + 2), columns)
    blocks = movements.read_blocks(
        [batch], lambda: Kinds(("line", *names), options.get("decimal")), lambda: 0
    )
    with db.transaction(force_rollback=True):
        number = a_file(db)
        with movements.Movements(db, number, options) as intake:
            verdicts = [intake.store(block) for block in blocks]
        return (
            db.execute(FACTS, (number,)).fetchall(),
            db.execute(REJECTS, (number,)).fetchall(),
            tuple(map(sum, zip(*verdicts, strict=True))),
        )


# fmt: off
NUMBERS = [
    "1", "12", "1.5", "0.844", "1,5", "1.234", "1,234", "1.234,5", "1,234.5", "12.345.678",
    "1,234,567", "05", "007.5", "+3", "-2", "-2,5", "2-", "(12,5)", "−", "-", "–", "1e3", "1.5e2",
    ".5e1", "1e400", "1e-400", "1e5000", "NaN", "nan", "Infinity", "-inf", "0x1F", "0b11", "0o17",
    "1_000", "1_0.5", "'", "5", "5кг", "#ДЕЛ/0!", ".5", "5.", ".", ",", "99999999999",
    "100000000000", "99999999999.9996", "١٢", "½", "1 234,567", "1\u00a0234,5", "1\u202f234",
    " 7 ", "1 23", "12\n", "\t3",
]
STAMPS = [
    "2025-01-06 10:00:00", "2025-01-06", "2025-01-06 10:00", "2025-01-06T10:00:00",
    "2025-01-06 9:07:00", "06.01.2025 10:00:00", "06.01.2025 9:07:05", "06.01.2025",
    "06.01.2025 10:00", "06.01.25", "6.1.2025 9:07", "2025-02-30 10:00:00", "31.02.2025",
    "2025-01-06 24:00:00", "2025-01-06 25:00:00", "2025-01-06 10:61:00", "2025-01-06 23:59:60",
    "2025-01-06 10:00:00+03", "2025-01-06 10:00:00Z", "2025-01-06 10:30:5Z",
    "2025-01-06 10:00:00.5", "now", "today", "infinity", "epoch", "0001-01-01",
    "1985-05-05 10:00:00", "10000-01-01", "2099-01-01 00:00:00", "01.01.2099 00:00:00",
    "2025-03-30 02:30:00", "30.03.2025 2:30:00", "2024-10-27 02:30:00", "2024-10-27 03:30:00",
    "2024-10-27 01:59:59", "20ab-cd-ef gh:ij:kl", "13.13.2025", "  2025-01-06 10:00:00 ", " ",
    "2025-01-06 10:00 PM", "2025-01-06 allballs", "20250106", "Jan 6 2025",
]
# fmt: on


def test_a_minus_is_one_here_and_there(db: Connection) -> None:
    query = "select internal.looks_negative(n) from unnest(%s::text[]) with ordinality as u (n, i)"
    found = db.execute(query + " order by i", (NUMBERS,)).fetchall()
    assert [row[0] for row in found] == list(map(spelling.looks_negative, NUMBERS))


@pytest.mark.parametrize("decimal", [None, ",", "."])
@pytest.mark.parametrize("zone", ["Europe/Moscow", "Europe/Berlin", "America/New_York", "UTC"])
def test_the_quick_way_and_the_careful_way_are_one(
    db: Connection, zone: str, decimal: str | None
) -> None:
    chance = random.Random(f"{zone}{decimal}")
    rows: list[dict[str, Any]] = []
    for i in range(1200):
        row: dict[str, Any] = {
            "item": chance.choice(["ЛЕЩ Г/К", "Щука", "щука ", "A", None, " "]),
            "document_type": chance.choice(
                ["sale", "Приходная накладная", "Перемещение", "Инвентаризация", "701", None, "?"]
            ),
            "document_number": str(i),
            "posted_at": "2025-01-06 10:00:00",
            "batch": chance.choice([None, "2025-01-01 08:00:00", "01.01.2025 8:00:00"]),
            "incoming": "0",
            "outgoing": "1.5",
        }
        match i % 5:
            case 0:
                row["posted_at"] = chance.choice([*STAMPS, None])
            case 1:
                row["batch"] = chance.choice(STAMPS)
            case 2:
                row["outgoing"] = chance.choice([*NUMBERS, None])
                row["incoming"] = chance.choice(["0", "2", None])
            case 3:
                row |= {"incoming": None, "outgoing": None, "quantity": chance.choice(NUMBERS)}
            case 4:
                row["unit"] = chance.choice(["кг", "г", "т", "шт", "kg", None])
                row["incoming"] = chance.choice(NUMBERS)
        rows.append(row)
    options = {"time_zone": zone} | ({"decimal": decimal} if decimal else {})
    slow = carefully(db, rows, **options)
    assert quickly(db, rows, **options) == slow
    # Without a text that stops the casts, too: there most rows never see the careful way.
    bad = {line for line, _, _ in slow[1]}
    good = [row for line, row in enumerate(rows, 2) if line not in bad]
    facts, rejects, verdict = quickly(db, good, **options)
    assert (facts, rejects, verdict) == carefully(db, good, **options)
    assert rejects == [] and verdict[:2] == (len(good), len(good))
    reasons = {reason for _, reason, _ in slow[1]}
    assert reasons >= {
        "missing_item",
        "missing_date",
        "not_a_date",
        "date_out_of_range",
        "date_in_future",
        "unknown_operation",
        "unit_not_mass",
        "not_a_number",
        "missing_quantity",
        "too_large",
    }
    assert ("time_not_unique" in reasons) == (zone in ("Europe/Berlin",))


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("Europe/Berlin", ("2025-03-30", "2025-10-26")),
        ("America/New_York", ("2025-03-09", "2024-11-03")),
        ("Asia/Kolkata", ("2025-03-30",)),
        ("Asia/Kathmandu", ("2025-10-26",)),
        ("Pacific/Apia", ("2011-12-30", "2012-04-01")),
        ("Africa/Casablanca", ("2025-02-23", "2025-04-06")),
        ("Australia/Lord_Howe", ("2025-04-06", "2024-10-06")),
    ],
)
def test_days_on_which_clocks_are_set_add_up(
    db: Connection, zone: str, days: tuple[str, ...]
) -> None:
    """Every half hour of the clock around the day; Python's zoneinfo says which exist, and once."""
    tz = ZoneInfo(zone)
    rows, exist, moments = [], {}, {}
    for day in days:
        start = datetime.fromisoformat(day) - timedelta(days=1)
        for half_hour in range(3 * 48):
            local = start + timedelta(minutes=30 * half_hour)
            number = f"{local:%Y%m%d%H%M}"
            rows.append(
                {
                    "item": "A",
                    "document_type": "sale",
                    "document_number": number,
                    "posted_at": f"{local:%Y-%m-%d %H:%M:%S}",
                    "outgoing": "1",
                }
            )
            both = [local.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1)]
            shown = [moment.astimezone(tz).replace(tzinfo=None) == local for moment in both]
            exist[number] = all(shown) and both[0] == both[1]
            moments[number] = (min(both), max(both))
    facts, rejects, _ = quickly(db, rows, time_zone=zone)
    assert {row[6]: row[1] for row in facts} == {
        number: moments[number][0] for number, fine in exist.items() if fine
    }
    assert {reason for _, reason, _ in rejects} <= {"time_not_unique"}
    assert len(rejects) == sum(not fine for fine in exist.values())
    for place, dst in enumerate(("earlier", "later")):
        facts, rejects, verdict = quickly(db, rows, time_zone=zone, dst=dst)
        assert rejects == []
        assert {row[6]: row[1] for row in facts} == {
            number: both[place] for number, both in moments.items()
        }
        assert verdict[1] == len(rows)


@pytest.mark.parametrize(
    ("document_type", "incoming", "outgoing", "operation"),
    [
        ("Приходная накладная", "1", "0", "receipt"),
        ("Поступление", "1", "0", "receipt"),
        ("101", "1", "0", "receipt"),
        ("Отчёт о розничных продажах", "0", "1", "sale"),
        ("отчет отдела о  розничных продажах", "0", "1", "sale"),
        ("Реализация", "0", "1", "sale"),
        ("601", "0", "1", "sale"),
        ("251", "0", "1", "sale"),
        ("Требование", "0", "1", "consumption"),
        ("Комплектация", "0", "1", "consumption"),
        ("261", "0", "1", "consumption"),
        ("ПЕРЕМЕЩЕНИЕ", "1", "0", "transfer_in"),
        ("Перемещение", "0", "1", "transfer_out"),
        ("301", "1", "0", "transfer_in"),
        ("311", "0", "1", "transfer_out"),
        ("Списание", "0", "1", "write_off"),
        ("551", "0", "1", "write_off"),
        ("Инвентаризация", "0", "1", "stock_take"),
        ("Оприходование", "1", "0", "stock_take"),
        ("701", "1", "0", "stock_take"),
        ("702", "0", "1", "stock_take"),
        ("711", "0", "1", "stock_take"),
        ("712", "1", "0", "stock_take"),
        ("Пересортица", "1", "0", "regrading"),
        ("309", "0", "1", "regrading"),
        ("Возврат", "1", "0", "return"),
        ("122", "0", "1", "return"),
        ("651", "1", "0", "return"),
        ("opening balance", "1", "0", "opening"),
        (None, "1", "0", "receipt"),
        (None, "0", "1", "sale"),
        (None, None, "1", "sale"),
    ],
)
def test_words_of_other_systems_become_our_operations(
    db: Connection, document_type: str | None, incoming: str, outgoing: str, operation: str
) -> None:
    row = {
        "item": "A",
        "document_type": document_type,
        "posted_at": "2025-01-06 10:00:00",
        "incoming": incoming,
        "outgoing": outgoing,
    }
    facts, _, _ = quickly(db, [row], time_zone="UTC")
    assert [fact[3] for fact in facts] == [operation]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # As 1C: quantities without a sign; a negative one goes the other way.
        (
            [("receipt", "10"), ("sale", "2"), ("sale", "3"), ("sale", "-1"), ("receipt", "-4")],
            [
                ("receipt", 10, 0),
                ("sale", 0, 2),
                ("sale", 0, 3),
                ("return", 1, 0),
                ("receipt", 0, 4),
            ],
        ),
        # As an item ledger: what goes out is negative.
        (
            [("receipt", "10"), ("sale", "-2"), ("write_off", "-3"), ("sale", "1"), ("701", "-1")],
            [
                ("receipt", 10, 0),
                ("sale", 0, 2),
                ("write_off", 0, 3),
                ("return", 1, 0),
                ("stock_take", 0, 1),
            ],
        ),
        (
            [("transfer", "2"), ("transfer", "-2"), ("stock_take", "1"), ("stock_take", "-1")],
            [
                ("transfer_in", 2, 0),
                ("transfer_out", 0, 2),
                ("stock_take", 1, 0),
                ("stock_take", 0, 1),
            ],
        ),
    ],
)
def test_a_single_quantity_goes_where_its_operation_and_its_sign_say(
    db: Connection, rows: list[tuple[str, str]], expected: list[tuple[str, int, int]]
) -> None:
    staged = [
        {
            "item": "A",
            "document_type": kind,
            "document_number": str(number),
            "posted_at": "2025-01-06 10:00:00",
            "quantity": quantity,
        }
        for number, (kind, quantity) in enumerate(rows)
    ]
    for way in (quickly, carefully):
        facts, rejects, _ = way(db, staged, time_zone="UTC")
        assert rejects == []
        assert [(fact[3], int(fact[4]), int(fact[5])) for fact in facts] == expected


def test_a_file_that_states_a_type_outranks_the_rules_and_aliases_may_be_pointed_elsewhere(
    db: Connection,
) -> None:
    def row(item: str, kind: str | None, number: int) -> dict[str, Any]:
        return {
            "item": item,
            "product_type": kind,
            "document_type": "sale",
            "document_number": str(number),
            "posted_at": "2025-01-06 10:00:00",
            "outgoing": "1",
        }

    with db.transaction(force_rollback=True):
        number = a_file(db)
        first = [row("ЁРШ Х/К", None, 1), row("ЕРШ Х/К", "salted", 2), row("Налим", None, 3)]
        stage(db, "row", first)
        db.execute(
            "select internal.accept_movements(%s, %s)", (number, json.dumps({"time_zone": "UTC"}))
        )
        products = db.execute(
            "select id, name, product_type, product_type_code from core.nomenclature order by id"
        ).fetchall()
        assert {p[1:] for p in products} == {
            ("ЕРШ Х/К", "salted", "fish_salt_cured"),
            ("Налим", "unknown", "unknown"),
            ("ЁРШ Х/К", "cold_smoked", "fish_cold_smoked"),
        }
        # A renamed product: the user points its new spelling at the old row.
        burbot = next(p[0] for p in products if p[1] == "Налим")
        db.execute(
            "insert into core.nomenclature_alias (raw_name, raw_type, nomenclature_id)"
            " values ('Налим речной', '', %s)",
            (burbot,),
        )
        stage(db, "row", [row("Налим речной", None, 4)])
        db.execute(
            "select internal.accept_movements(%s, %s)", (number, json.dumps({"time_zone": "UTC"}))
        )
        assert db.execute(
            "select count(*) from core.stock_movements where nomenclature_id = %s", (burbot,)
        ).fetchone() == (2,)
        assert db.execute("select count(*) from core.nomenclature").fetchone() == (3,)


@pytest.fixture
def bring(fresh_url: str, tmp_path: Path) -> Import:
    """Import a text as a file."""
    count = iter(range(1000))

    def run(text: str, **options: Any) -> ingest.ImportResult:
        path = tmp_path / f"file{next(count)}.csv"
        path.write_text(text, "utf-8")
        chosen = ingest.ImportOptions(**({"time_zone": "Europe/Moscow"} | options))
        return ingest.import_file(fresh_url, str(path), ReadOptions(), chosen)

    return run


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def counts(result: ingest.ImportResult) -> tuple[int, int, int, int]:
    return result.read, result.loaded, result.duplicate, result.rejected


HEAD = "sku,doc_type,doc_number,doc_time,batch,in_kg,out_kg\n"
BALANCE_HEAD = (
    "Номенклатура;Начальный остаток;Приход;Расход;Конечный остаток;Начало периода;Конец периода\n"
)


def test_blocks_keep_to_themselves_whatever_their_rows_and_names(
    bring: Import, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Names are forgotten and numbered again.
    monkeypatch.setattr(movements, "BLOCK_ROWS", 300)
    monkeypatch.setattr(spelling, "REMEMBERED", 50)
    chance = random.Random(3)
    lines = [
        f"P{chance.randrange(40)};{kind};{number};2025-01-{1 + number % 28:02d} 10:00:00;"
        f"{'soon' if number % 700 == 5 else 1.5};{'x' * chance.choice((0, 5, 60, 300, 1500))}"
        for number, kind in enumerate(chance.choices(("sale", "receipt"), k=6000))
    ]
    text = "Item;Document type;Document number;Date;Quantity;Note\n" + "\n".join(lines)
    assert counts(bring(text)) == (6000, 5991, 0, 9)
    assert counts(bring(text + "\n")) == (6000, 0, 5991, 9)
    (stored,) = ask(
        fresh_url,
        "select array_agg(row(p.name, m.operation, m.document_number)::text order by m.line)"
        " from core.stock_movements as m inner join core.nomenclature as p on p.id = m.nomenclature_id",
    )
    assert stored[0] == [
        f"({','.join(line.split(';')[:3])})" for line in lines if ";soon;" not in line
    ]


def test_balances_of_one_period_from_two_files(bring: Import, fresh_url: str) -> None:
    period = "01.06.2025;07.06.2025\n"
    same, other = f"ЛЕЩ;10;5;6;9;{period}", f"ЩУКА;1;0;1;0;{period}"
    assert counts(bring(BALANCE_HEAD + same)) == (1, 1, 0, 0)
    assert counts(bring(BALANCE_HEAD + same + other)) == (2, 1, 1, 0)
    changed = same.replace(";9;", ";8,5;")
    assert counts(bring(BALANCE_HEAD + changed)) == (1, 0, 0, 1)
    with pytest.raises(Refused, match="line 2"):
        bring(BALANCE_HEAD + changed + "\n", on_conflict="fail")
    assert counts(bring(BALANCE_HEAD + changed + "\n\n", on_conflict="update")) == (1, 1, 0, 0)
    assert ask(
        fresh_url, "select closing_kg::float8 from core.stock_balances order by closing_kg"
    ) == [(0.0,), (8.5,)]


def test_the_period_may_stand_above_the_table(bring: Import, fresh_url: str) -> None:
    text = (
        "Остатки товаров;;;;\nПериод: 15.07.2025 - 21.07.2025;;;;\n;;;;\n"
        "Номенклатура;Начальный остаток;Приход;Расход;Конечный остаток\nЛЕЩ;10;5;6;9\n"
    )
    assert counts(bring(text)) == (1, 1, 0, 0)
    assert ask(
        fresh_url,
        "select timezone('Europe/Moscow', period_start)::text,"
        " timezone('Europe/Moscow', period_end)::text from core.stock_balances",
    ) == [("2025-07-15 00:00:00", "2025-07-22 00:00:00")]


def statement(rows: Sequence[Sequence[Any]]) -> str:
    head = (
        "Ведомость по партиям номенклатуры;;;;;;;;\n"
        'Параметры:;;"Период: 06.01.2025 - 12.01.2025";;;;;;\n'
        "Склад;;;;Количество;;Количество;Количество;Количество\n"
        "Номенклатура;;;;Начальный остаток;;Приход;Расход;Конечный остаток\n"
        "Документ движения;;;;;;;;\nПартия.Дата прихода;;;;;;;;\n"
    )
    lines = [f"{label};;;;{o};;{i};{x};{c}" for label, o, i, x, c in rows]
    return head + "\n".join(lines) + "\n"


GOOD = [
    ("Склад 1", "10", "5", "3", "12"),
    ("ЛЕЩ Г/К", "10", "5", "3", "12"),
    ("Приходная накладная 000000000000001 от 07.01.2025 9:00:00", "10", "5", "", "15"),
    ("01.01.2025 8:00:00", "10", "", "", "10"),
    ("07.01.2025 9:00:00", "", "5", "", "5"),
    ("Инвентаризация 000000000000002 от 12.01.2025 20:00:00", "15", "", "3", "12"),
    ("01.01.2025 8:00:00", "10", "", "3", "7"),
    ("07.01.2025 9:00:00", "5", "", "", "5"),
    ("Итого", "10", "5", "3", "12"),
]


@pytest.mark.parametrize(
    ("line", "place", "value", "column"),
    [
        (1, 3, "4", "outgoing"),  # the product is not the sum of its documents
        (2, 2, "6", "incoming"),  # a document is not the sum of its batches
        (8, 4, "13", "closing"),  # the grand total is not the sum
        (8, 3, "9", "outgoing"),
    ],
)
def test_a_total_that_contradicts_its_rows_is_named_and_the_rows_count(
    bring: Import, fresh_url: str, line: int, place: int, value: str, column: str
) -> None:
    good = bring(statement(GOOD))
    assert good.rejected == 0
    facts = ask(
        fresh_url, "select in_kg, out_kg, posted_at from core.stock_movements order by posted_at"
    )
    ingest.undo_import(fresh_url, good.import_id or 0)
    broken = [list(row) for row in GOOD]
    broken[line][place] = value
    result = bring(statement(broken))
    named = {(p["line"], p["reason"], p["column"]) for p in result.problems}
    assert (7 + line, "control_total", column) in named
    assert facts == ask(
        fresh_url, "select in_kg, out_kg, posted_at from core.stock_movements order by posted_at"
    )


def state(url: str) -> dict[str, str]:
    """A digest of each table of facts."""
    names = "stock_movements stock_balances stock_layers batches calculation_data validation_errors"
    return {
        name: ask(url, f"select md5(string_agg(t::text, ',' order by t::text)) from core.{name} t")[
            0
        ][0]
        for name in names.split()
    }


def test_undo_leaves_the_facts_as_they_were_and_the_names_known(
    bring: Import, fresh_url: str
) -> None:
    bring(HEAD + "A,receipt,1,2025-01-05 09:00:00,,5,0\n")
    before = state(fresh_url)
    second = bring(
        HEAD + "A,sale,2,2025-01-05 10:00:00,2025-01-05 09:00:00,0,1\n"
        "B,receipt,3,2025-01-05 10:00:00,,7,0\nB,sale,4,yesterday,,0,7\n"
    )
    third = bring(statement(GOOD))
    assert state(fresh_url) != before
    for result in (third, second):
        ingest.undo_import(fresh_url, result.import_id or 0)
    after = state(fresh_url)
    left = ask(fresh_url, "select line, reason from core.validation_errors")
    assert left in ([], [(4, "not_a_date")])  # what was found wrong may stay on record
    assert {k: v for k, v in after.items() if k != "validation_errors"} == {
        k: v for k, v in before.items() if k != "validation_errors"
    }
    # Names stay: another file will use them, and their types may have been set by hand.
    assert ask(fresh_url, "select count(*) from core.nomenclature") == [(3,)]


NAUGHTY = [
    *["undefined", "null", "NULL", "(null)", "nil", "true", "None", "NaN", "Infinity"],
    *["\\N", "\\.", "--", "#", ";", "'", '"', "`", "$HOME", "%s"],
    *["1.00", "$1.00", "1E+02", "0x0", "-1", "1,000.00", "2025-01-01", "TRUE", "A1", "__proto__"],
    *["=1+1", "=cmd|' /C calc'!A0", "+A1", "@SUM(1)", "-2+3", '=HYPERLINK("http://x")'],
    *["'; DROP TABLE core.nomenclature; --", "1'; select pg_sleep(9) --", "$$;select 1;$$", "$1"],
    *["<script>alert(1)</script>", "{{7*7}}", "${7*7}", "../../../etc/passwd", "C:\\temp\\x"],
    *["ÅÍÎÏ˝ÓÔÒÚÆ☃", "田中さん", "사회과학원", "ﷺ", "مُنَاقَشَةُ", "\u202eдрок\u202c", "\u2066x\u2069"],
    *[
        "a\u200bb",
        "a\u00adb",
        "\u2060x",
        "x\ufe0f",
        "👩🏽‍👧 🐟",
        "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
        "ǅ ǆ ß ı İ",
        "é",
        "e\u0301",
    ],
    *[
        "x" * 5000,
        "Рыба " * 400 + "x",
        "a\\tb",
        "a\\nb",
        "C:\\N",
        "tab\there",
        "line\nbreak",
        "\u0001x",
    ],
]


def test_names_are_data_whatever_they_look_like(bring: Import, fresh_url: str) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in NAUGHTY]
    rows = [f"{name},sale,{i},2025-01-05 10:00:00,,0,1" for i, name in enumerate(quoted)]
    result = bring(HEAD + "\n".join(rows) + "\n")
    assert counts(result) == (len(NAUGHTY), len(NAUGHTY), 0, 0)
    stored = {row[0] for row in ask(fresh_url, "select raw_name from core.nomenclature_alias")}
    assert stored == set(NAUGHTY)
    assert ask(fresh_url, "select count(*) from core.stock_movements") == [(len(NAUGHTY),)]


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (HEAD, "ЛЕЩ {0},sale,{0},2025-01-06 10:00:{0:02d},2025-01-01,0,1.5\n"),
        (HEAD.replace(",", ";"), "ЛЕЩ;Продажа;{0};06.01.2025 9:07:{0:02d};01.01.2025;;1,5\n"),
        ("sku,doc_number,doc_time,in_kg\n", "A\tB,{0}\\n,2025-01-06 10:{0:02d},.5\n"),
        ("sku,doc_type,doc_number,doc_time,quantity,unit\n", "A,sale,{0},2025-01-06,-{0}.5,г\n"),
    ],
)
def test_plainly_spelt_rows_are_looked_at_by_nobody(
    bring: Import, fresh_url: str, monkeypatch: pytest.MonkeyPatch, head: str, row: str
) -> None:
    looked: list[Any] = []
    look = movements.Movements._look_at
    monkeypatch.setattr(
        movements.Movements, "_look_at", lambda self, odd: looked.append(odd) or look(self, odd)
    )
    text = head + "".join(row.format(number) for number in range(60))
    assert counts(bring(text)) == (60, 60, 0, 0)
    assert looked == []
    # The same movements in another file are known: the table says so, and all are looked at.
    assert counts(bring(text + "\n")) == (60, 0, 60, 0)
    assert len(looked) == 1
    assert ask(fresh_url, "select count(*) from core.rollup_pending where source = 'movement'") == [
        (len(set(re.findall("ЛЕЩ \\d+", text))) or 1,)
    ]
    assert ask(fresh_url, "select count(*) from core.stock_movements where key_hash ="
               " internal.movement_key(warehouse_id, operation, document_number, batch_received_at)") == [(60,)]  # fmt: skip


def test_a_row_that_nobody_notes_notes_itself(bring: Import, fresh_url: str) -> None:
    bring(HEAD + "A,sale,1,2025-01-06 10:00:00,,0,1.5\n")
    noted = (
        "select from_time, to_time from core.rollup_pending where source = 'movement' order by 1"
    )
    at = datetime(2025, 1, 6, 7, tzinfo=UTC)
    assert ask(fresh_url, noted) == [(at, at)]
    with psycopg.connect(fresh_url) as connection:
        connection.execute(
            "insert into core.stock_movements (posted_at, nomenclature_id, warehouse_id, operation,"
            " in_kg, source_data_id, line) select posted_at - interval '1 day', nomenclature_id,"
            " warehouse_id, 'receipt', 7, source_data_id, 3 from core.stock_movements"
        )
    before = at - timedelta(days=1)
    assert ask(fresh_url, noted) == [(before, before), (at, at)]
