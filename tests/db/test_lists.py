"""Browsing: pages by cursor, search by words, findings resolved in bulk, reports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loader import ingest
from loader.reading import ReadOptions
from tests.conftest import copied, session
from tests.db import domain
from tests.db.domain import Connection

BREAM, ROACH, MACKEREL = "ЛЕЩ ВЯЛЕНЫЙ", "ПЛОТВА ВЯЛЕНАЯ", "СКУМБРИЯ Х/К"
LISTS = (
    "balances", "changes", "coefficients", "errors", "forecasts", "imports", "items", "movements",
    "patterns", "periods", "priority_periods", "recommendations", "specifications",
    "surplus_patterns",
)  # fmt: skip


@pytest.fixture(scope="module")
def browsed(server_url: str, template: str) -> Iterator[str]:
    """Three products in two warehouses, counted, fitted, and a row or two of everything that is listed."""
    with copied(server_url, template) as url:
        with domain.connect(url) as db:
            domain.move(
                db, *domain.weeks(BREAM, 8, ages=(0, 9)), *domain.weeks(ROACH, 8, ages=(2, 20))
            )
            # Too much at every count: flagged.
            domain.receive(db, MACKEREL, 10, "2025-01-06", warehouse="second")
            for day in range(10, 30):
                domain.count(db, MACKEREL, 0.5, f"2025-01-{day}", warehouse="second")
            domain.balances(
                db,
                domain.balance("СЁМГА С/С", 10, 5, 4, 10.5, warehouse="second"),
                domain.balance("СЁМГА С/С", 10.5, 0, 4, 6.4, "2025-01-13", "2025-01-19"),
            )
            domain.receive(db, BREAM, 5, "2025-03-20")
            domain.surplus(db, MACKEREL, 0.02)
            domain.surplus(db, ROACH, 0.01, "2026-01-01")
            domain.account(db)
            domain.fit(db, family="exp")
            db.execute(
                "insert into core.surplus_recommendations (nomenclature_id, recommended_surplus_percentage,"
                " calculation_method, is_accepted) select n.id, 0.03, 'by hand', a.is_accepted"
                " from core.nomenclature as n cross join unnest(array[true, false, null]) as a (is_accepted)"
            )
            db.execute(
                "insert into core.surplus_patterns (nomenclature_id, surplus_percentage, pattern_condition)"
                " select n.id, 0.04, 'supplier Сёмин' from core.nomenclature as n"
            )
            db.execute(
                "insert into core.ai_patterns (pattern_key, pattern_type, description, affected_nomenclature,"
                " confidence_level) select t.pattern_type, t.pattern_type, 'Рост усушки летом', case when t.pattern_type = 'trend' then array[1] end, 0.8"
                " from unnest(array['trend', 'seasonality', 'anomaly']) as t (pattern_type)"
            )
            db.execute("select * from api.forecast_next_count(horizon_days => 7)")
            db.execute("update core.preliminary_forecasts set notes = 'перед праздниками'")
            db.execute(
                "insert into core.priority_periods (period_start, period_end, priority_level, description)"
                " select timestamptz '2025-01-01' + n * interval '7 days', timestamptz '2025-01-05' + n * interval '7 days',"
                " 3, 'ярмарка ' || n from generate_series(1, 3) as n"
            )
        yield url


@pytest.fixture
def shop(browsed: str) -> Iterator[Connection]:
    with session(browsed) as db:
        yield db


def listed(db: Connection, name: str, **filters: Any) -> list[domain.Row]:
    named = ", ".join(f"{key} => %s" for key in filters)
    return domain.rows(db, f"select * from api.list_{name}({named})", *filters.values())


def refused(db: Connection, query: str, *parameters: object) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as error, db.transaction(force_rollback=True):
        db.execute(query, parameters)
    assert error.value.sqlstate == "22023", error.value
    assert error.value.diag.message_hint
    return error.value


# -------------------------------------------------------------------------------------------- pages


def test_every_list_of_the_catalogue_is_tested(db: Connection) -> None:
    found = db.execute(
        "select proname from pg_proc where pronamespace = 'api'::regnamespace and proname like 'list\\_%'"
    ).fetchall()
    assert {f"list_{name}" for name in LISTS} <= {name for (name,) in found}


@pytest.mark.parametrize("name", LISTS)
def test_pages_are_the_list_in_pieces(shop: Connection, name: str) -> None:
    """Whatever the size of the pages: each row once, in one order, newest first."""
    whole = listed(shop, name, page_size=1000)
    assert len(whole) > 1
    assert [row["at"] for row in whole] == sorted((row["at"] for row in whole), reverse=True)
    for size in (1, 3, 7):
        pieces: list[domain.Row] = []
        after = None
        while page := listed(shop, name, page_size=size, after=after):
            assert len(page) <= size
            pieces += page
            after = page[-1]["cursor"]
        assert pieces == whole, size


@pytest.mark.parametrize("name", LISTS)
def test_a_page_that_cannot_be_is_refused(shop: Connection, name: str) -> None:
    for size in (0, 1001, -1, None):
        refused(shop, f"select * from api.list_{name}(page_size => %s::int)", size)
    for after in ("", "x", "1" * 48 + "x", "A" * 48, "7fffffffffffffff" + "0" * 32):
        refused(shop, f"select * from api.list_{name}(after => %s)", after)


def test_rows_that_come_in_between_do_not_move_the_next_page(shop: Connection) -> None:
    first = listed(shop, "movements", page_size=5)
    second = listed(shop, "movements", page_size=5, after=first[-1]["cursor"])
    domain.sell(shop, BREAM, 0.1, "2025-12-01")
    assert listed(shop, "movements", page_size=5, after=first[-1]["cursor"]) == second
    assert listed(shop, "movements", page_size=5)[0]["at"].year == 2025


@pytest.mark.parametrize(
    ("name", "filters", "column", "value"),
    [
        ("periods", {"item": "лещ  вяленый"}, "item", BREAM),
        ("periods", {"product_type": "cold_smoked"}, "product_type", "cold_smoked"),
        ("periods", {"warehouse": "SECOND"}, "warehouse", "second"),
        ("periods", {"mode": "open"}, "mode", "open"),
        ("periods", {"quality": "dirty"}, "quality", "dirty"),
        ("periods", {"flag": "surplus_over_tolerance", "quality": "dirty"}, "quality", "dirty"),
        ("periods", {"is_in_review": False}, "is_in_review", False),
        ("errors", {"item": MACKEREL}, "item", MACKEREL),
        ("errors", {"flag": "surplus_over_tolerance"}, "flag", "surplus_over_tolerance"),
        ("errors", {"severity": "medium"}, "severity", "medium"),
        ("errors", {"error_type": "human_factor"}, "error_type", "human_factor"),
        ("imports", {"layout": "balances"}, "layout", "balances"),
        ("items", {"product_type": "dried"}, "product_type", "dried"),
        ("items", {"words": "вяленая плот"}, "item", ROACH),
        ("coefficients", {"item": ROACH}, "item", ROACH),
        ("coefficients", {"version": 1}, "version", 1),
        ("coefficients", {"outcome": "fitted"}, "outcome", "fitted"),
        ("coefficients", {"status": "deployed"}, "status", "deployed"),
        ("recommendations", {"status": "open"}, "status", "open"),
        ("recommendations", {"status": "rejected"}, "status", "rejected"),
        ("patterns", {"pattern_type": "trend"}, "pattern_type", "trend"),
        ("patterns", {"status": "open"}, "status", "open"),
        ("forecasts", {"status": "open"}, "status", "open"),
        ("surplus_patterns", {"product_type": "dried"}, "product_type", "dried"),
        ("specifications", {"on_date": "2025-02-01"}, "item", MACKEREL),
        ("movements", {"operation": "receipt"}, "operation", "receipt"),
        ("movements", {"item": ROACH}, "item", ROACH),
        ("movements", {"document_number": "in 3"}, "document_number", "in 3"),
        ("balances", {"warehouse": "second"}, "warehouse", "second"),
        ("forecasts", {"item": BREAM}, "item", BREAM),
        ("changes", {"table_name": "surplus_specifications"}, "table_name", "surplus_specifications"),
        ("changes", {"action": "insert"}, "action", "insert"),
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_keeps_what_it_names_and_all_of_it(
    shop: Connection, name: str, filters: dict[str, Any], column: str, value: Any
) -> None:
    kept = listed(shop, name, page_size=1000, **filters)
    whole = listed(shop, name, page_size=1000)
    assert kept == [row for row in whole if row[column] == value]
    assert kept


def test_times_filter_from_inclusive_to_exclusive(shop: Connection) -> None:
    whole = listed(shop, "periods", page_size=1000)
    times = sorted({row["at"] for row in whole})
    kept = listed(shop, "periods", page_size=1000, from_time=times[3], to_time=times[7])
    assert {row["at"] for row in kept} == set(times[3:7])


@pytest.mark.parametrize(
    "call",
    [
        "list_periods(item => 'no such')", "list_periods(warehouse => 'no such')",
        "list_periods(product_type => 'no such')", "list_periods(mode => 'no such')",
        "list_periods(quality => 'no such')", "list_periods(flag => 'no such')",
        "list_errors(severity => 'no such')", "list_errors(error_type => 'no such')",
        "list_imports(layout => 'no such')", "list_coefficients(outcome => 'no such')",
        "list_recommendations(status => 'no such')", "list_patterns(pattern_type => 'no such')",
        "list_movements(operation => 'no such')", "list_changes(action => 'no such')",
    ],
)  # fmt: skip
def test_what_no_filter_can_mean_is_refused_with_what_can(shop: Connection, call: str) -> None:
    error = refused(shop, f"select * from api.{call}")
    assert re.match(r"Use |There are|Known: |Close names", error.diag.message_hint or "")


def test_a_page_comes_from_the_index_wherever_it_is(shop: Connection) -> None:
    """No plan sorts: what a page reads does not depend on how many rows lie before it."""
    shop.execute("set local enable_seqscan = off; set local enable_sort = off; set local enable_incremental_sort = off")  # fmt: skip
    cursor = listed(shop, "periods", page_size=10)[-1]["cursor"]
    for name in ("periods", "errors", "imports", "coefficients", "items", "balances"):
        for after in (None, cursor):
            plan = "\n".join(
                row[0]
                for row in shop.execute(
                    f"explain select * from api.list_{name}(after => %s)", (after,)
                ).fetchall()
            )
            assert re.search(r"Index Scan( Backward)? using \S*_page_idx", plan), plan
            assert "Sort" not in plan and "Function Scan" not in plan, plan


# ------------------------------------------------------------------------------------------- search


def found(db: Connection, words: str, **more: Any) -> list[tuple[str, str]]:
    named = "".join(f", {key} => %s" for key in more)
    rows = domain.rows(db, f"select * from api.search(%s{named})", words, *more.values())
    return [(row["kind"], row["title"]) for row in rows]


@pytest.mark.parametrize(
    ("words", "hit"),
    [
        ("скумбрия", ("item", MACKEREL)),
        ("скумбрией", ("item", MACKEREL)),  # another form of the word
        ("скум", ("item", MACKEREL)),  # not finished
        ("х/к скумбр", ("item", MACKEREL)),  # any order
        ("ХК скумбрия", ("item", MACKEREL)),
        (r"Х\К скумбрия", ("item", MACKEREL)),
        ("CKУMБPИЯ X/K", ("item", MACKEREL)),  # Latin look-alikes
        ("семга", ("item", "СЁМГА С/С")),
        ("сёмга", ("item", "СЁМГА С/С")),
        ("second", ("warehouse", "second")),
        ("test mov", ("file", "test movements")),
        ("праздник", ("forecast", MACKEREL)),
        ("семин", ("surplus_pattern", MACKEREL)),
        ("усушка", ("pattern", "trend")),
        ("ярмарки 2", ("priority_period", "ярмарка 2")),
        ("surplus tolerance", ("error", "The count found more than the book.")),
        ("count found", ("error", "The count found more than the book.")),
    ],
)
def test_words_find_what_has_them(shop: Connection, words: str, hit: tuple[str, str]) -> None:
    assert hit in found(shop, words)


def test_search_finds_all_words_and_nothing_else(shop: Connection) -> None:
    assert found(shop, "скумбрия вяленая") == []
    assert found(shop, "кумбрия") == []
    assert {title for kind, title in found(shop, "вяленый", kinds=["item"])} == {BREAM, ROACH}
    assert found(shop, "скумбрия", kinds=["file", "error"]) == []
    assert len(found(shop, "surplus", max_rows=3)) == 3


def test_a_name_comes_before_a_row_that_mentions_it(shop: Connection) -> None:
    shop.execute(
        "insert into core.validation_errors (error_type, description, severity_level, raw_text, line, reason)"
        " values ('validation_failure', 'The quantity is no number.', 'high',"
        " '06.01.2025;Скумбрия х/к;Склад \"Север\";abc;12,5', 7, 'not_a_number')"
    )
    hits = found(shop, "скумбрия х/к")
    assert hits == [("item", MACKEREL), ("error", "The quantity is no number.")]
    for words in ("север abc", "06.01.2025 скумбрия", "12,5", "quantity numbers"):
        assert ("error", "The quantity is no number.") in found(shop, words), words


def test_notes_and_spellings_are_searched(shop: Connection) -> None:
    shop.execute(
        "update core.surplus_specifications set notes = 'по договору с «Океан-Трейд»' where surplus_percentage = 0.02"
    )
    assert found(shop, "океан трейд договора") == [("specification", MACKEREL)]
    shop.execute(
        "insert into core.nomenclature_alias (raw_name, nomenclature_id)"
        " select 'MACKEREL smoked', id from core.nomenclature where name = %s",
        (MACKEREL,),
    )
    assert found(shop, "mackerel") == [("item", MACKEREL)]
    finding = domain.value(shop, "select min(id) from core.validation_errors")
    shop.execute("select * from api.resolve_errors(array[%s], notes => 'весы заменили')", (finding,))  # fmt: skip
    assert [kind for kind, _ in found(shop, "замена весов")] == []
    assert [kind for kind, _ in found(shop, "заменили весы")] == ["error"]


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (None, {}), ("", {}), (" / \\ .,;", {}), ("ж " * 300, {}), ("рыба", {"kinds": ["fish"]}),
        ("рыба", {"max_rows": 0}), ("рыба", {"max_rows": 1001}), ("рыба", {"max_rows": None}),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused(shop: Connection, words: Any, more: Any) -> None:
    named = "".join(f", {key} => %s" for key in more)
    refused(shop, f"select * from api.search(%s{named})", words, *more.values())


@pytest.mark.parametrize("words", ["'", "' | 'a", "a:*b", "!!", "\\", "a & !b", "<->", "%", "\x01", "👍 рыба"])  # fmt: skip
def test_no_spelling_breaks_the_search(shop: Connection, words: str) -> None:
    try:
        found(shop, words)
    except psycopg.Error as error:
        assert error.sqlstate == "22023"


def test_texts_and_questions_are_spelled_alike(shop: Connection) -> None:
    """The columns (state) and internal.search_words (code) hold the same words, whatever the signs."""
    signs = "".join(chr(code) for code in [*range(33, 127), *range(0x400, 0x460), 0xAB, 0xBB, 0x2116, 0x2014])  # fmt: skip
    texts = [signs, " ".join(signs), *(f"а{sign}б X{sign}K 1{sign}2" for sign in signs)]
    with shop.cursor() as cursor:
        cursor.executemany("insert into core.warehouses (name) values (%s)", [(t,) for t in texts])
    rows = shop.execute(
        "select name from core.warehouses where search_words <> internal.search_words(name)"
    ).fetchall()
    assert rows == []
    # And each is found by itself, where it has a word at all.
    missed = shop.execute(
        "select name from core.warehouses as w where w.id > 2"
        " and not w.search_words @@ internal.search_query(w.name)"
    ).fetchall()
    assert missed == []


# --------------------------------------------------------------------------------------------- bulk


def resolve(db: Connection, **filters: Any) -> domain.Row:
    named = ", ".join(f"{key} => %s" for key in filters)
    return domain.one(db, f"select * from api.resolve_errors({named})", *filters.values())


def test_what_is_resolved_leaves_review_and_stays_resolved(shop: Connection) -> None:
    before = domain.value(shop, "select count(*) from bi.review")
    done = resolve(shop, flag="surplus_over_tolerance", item=MACKEREL, notes="new scale")
    assert done["resolved_count"] == done["period_count"] > 10
    assert (done["already_resolved_count"], done["row_count"]) == (0, 0)
    assert domain.value(shop, "select count(*) from bi.review") == before - done["resolved_count"]
    domain.count(shop, MACKEREL, 0.5, "2025-02-20", warehouse="second")
    domain.account(shop)
    marked = domain.rows(
        shop,
        "select resolved_by = session_user as by_me, resolution_date = now() as is_now, notes"
        " from core.validation_errors where resolved",
    )
    assert marked == [{"by_me": True, "is_now": True, "notes": "new scale"}] * done["resolved_count"]  # fmt: skip
    # The new count is a new finding.
    assert domain.value(
        shop, "select count(*) from bi.review where flag = 'surplus_over_tolerance'"
    ) == 1  # fmt: skip


def test_resolving_again_changes_nothing(shop: Connection) -> None:
    first = resolve(shop, severity="medium", notes="first")
    digest = domain.digests(shop)["core.validation_errors"]
    second = resolve(shop, severity="medium", notes="second")
    assert second["already_resolved_count"] == first["resolved_count"] > 0
    assert second["resolved_count"] == 0
    assert domain.digests(shop)["core.validation_errors"] == digest


def test_ids_and_filters_together_narrow(shop: Connection) -> None:
    ids = [row["validation_error_id"] for row in listed(shop, "errors", item=MACKEREL, page_size=4)]
    assert resolve(shop, ids=ids, item=BREAM)["resolved_count"] == 0
    assert resolve(shop, ids=ids[:3], item=MACKEREL)["resolved_count"] == 3
    assert domain.value(shop, "select api.reopen_errors(%s)", ids) == 3
    assert domain.value(shop, "select api.reopen_errors(%s)", ids) == 0
    assert domain.value(shop, "select count(*) from core.validation_errors where resolved or resolved_by is not null") == 0  # fmt: skip


def test_unknown_findings_are_named_and_nothing_is_changed(shop: Connection) -> None:
    known = domain.value(shop, "select min(id) from core.validation_errors")
    digest = domain.digests(shop)["core.validation_errors"]
    for call in ("api.resolve_errors(%s)", "api.reopen_errors(%s)"):
        error = refused(shop, f"select * from {call}", [known, 987654321, 987654320, 987654321])
        assert "987654320, 987654321" in (error.diag.message_primary or "")
    refused(shop, "select * from api.resolve_errors()")
    refused(shop, "select * from api.resolve_errors(notes => 'all')")
    refused(shop, "select * from api.resolve_errors(item => 'no such')")
    refused(shop, "select * from api.reopen_errors('{}')")
    refused(shop, "select * from api.reopen_errors(null)")
    assert domain.digests(shop)["core.validation_errors"] == digest


def test_a_flag_of_an_open_period_stays_resolved_when_stock_moves(db: Connection) -> None:
    domain.receive(db, "ЛЕЩ", 10, "2025-01-06")
    domain.count(db, "ЛЕЩ", -0.1, "2025-01-12")
    domain.sell(db, "ЛЕЩ", 1, "2025-01-13")
    domain.receive(db, "КАРП", 10, "2025-01-06")
    domain.account(db)
    # Of the closed and of the open period.
    done = resolve(db, item="ЛЕЩ", flag="unknown_product_type", notes="it is fresh")
    assert (done["resolved_count"], done["period_count"]) == (2, 2)
    domain.sell(db, "ЛЕЩ", 1, "2025-01-14")
    assert domain.account(db)["removed_count"] == 1
    found = domain.rows(
        db,
        "select e.resolved, e.notes, e.resolved_by = session_user as by_me, c.mode"
        " from core.validation_errors as e inner join core.calculation_data as c"
        " on c.id = e.calculation_data_id and c.calculation_date = e.calculation_date"
        " where e.flag = 'unknown_product_type' and c.nomenclature_id = internal.find_item('ЛЕЩ')"
        " order by c.calculation_date",
    )
    kept = {"resolved": True, "notes": "it is fresh", "by_me": True}
    assert found == [{**kept, "mode": "posted"}, {**kept, "mode": "open"}]
    # What nobody resolved is not.
    review = domain.rows(db, "select item from bi.review where flag = 'unknown_product_type'")
    assert review == [{"item": "КАРП"}]
    digests = domain.digests(db)
    domain.account(db)
    assert domain.digests(db) == digests


def test_a_rejected_row_that_was_dealt_with_is_not_tried_again(
    fresh_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "moves.csv"
    path.write_text(
        "date,item,operation,quantity,warehouse\n2025-01-06 10:00,ЛЕЩ,receipt,10,main\n"
        "2025-01-07 10:00,ЛЕЩ,barter,1,main\n2025-01-08 10:00,ЛЕЩ,barter,2,main\n",
        "utf-8",
    )
    ingest.import_file(
        fresh_url, str(path), ReadOptions(encoding="utf-8"), ingest.ImportOptions(time_zone="UTC")
    )
    with domain.connect(fresh_url) as db:
        rejected = listed(db, "errors", resolved=False)
        assert [row["raw_text"][:10] for row in rejected] == ["2025-01-08", "2025-01-07"]
        assert resolve(db, ids=[rejected[0]["validation_error_id"]])["row_count"] == 1
        db.execute("insert into core.operation_mapping values ('barter', 'sale')")
        retried = domain.one(db, "select * from api.retry_rejects(1)")
        assert (retried["loaded_count"], retried["rejected_count"]) == (1, 0)
        assert [row["resolved"] for row in listed(db, "errors")] == [True]
        ledger = domain.one(db, "select loaded_count, rejected_count from core.source_data")
        assert ledger == {"loaded_count": 2, "rejected_count": 1}


# ------------------------------------------------------------------------------------------ reports


def test_reports_add_up_to_the_periods(shop: Connection) -> None:
    """By month, product, warehouse and type: the same kilograms, counted from the table by Python."""
    periods = domain.rows(
        shop,
        "select n.name as item, w.name as warehouse, n.product_type, c.kg_days,"
        " date_trunc('month', (c.calculation_date - interval '1 second') at time zone w.time_zone)::date as month,"
        " c.inventory_shrinkage_total::float8 as shortage_kg, c.surplus_kg::float8 as surplus_kg,"
        " (c.initial_balance + c.incoming + c.surplus_applied_kg)::float8 as available_kg"
        " from core.calculation_data as c inner join core.nomenclature as n on n.id = c.nomenclature_id"
        " inner join core.warehouses as w on w.id = c.warehouse_id"
        " where c.mode <> 'open' and c.data_quality_flag <> 'filtered' and c.inventory_shrinkage_total is not null",
    )
    assert len({period["month"] for period in periods}) > 1
    for view, keys in (
        ("by_month", ("item", "warehouse", "month")),
        ("by_item", ("item",)),
        ("by_warehouse", ("warehouse",)),
        ("by_type", ("product_type", "warehouse")),
    ):
        sums: dict[tuple[Any, ...], dict[str, float]] = {}
        for period in periods:
            group = sums.setdefault(tuple(period[key] for key in keys), {"n": 0, "shortage_kg": 0, "surplus_kg": 0, "available_kg": 0, "kg_days": 0})  # fmt: skip
            group["n"] += 1
            for figure in ("shortage_kg", "surplus_kg", "available_kg", "kg_days"):
                group[figure] += period[figure] or 0
        rows = domain.rows(shop, f"select * from bi.shrinkage_{view}")
        assert len(rows) == len(sums), view
        for row in rows:
            group = sums[tuple(row[key] for key in keys)]
            assert row["period_count"] == group["n"]
            assert row["shortage_kg"] == pytest.approx(group["shortage_kg"])
            assert row["surplus_kg"] == pytest.approx(group["surplus_kg"])
            assert row["shortage_percent_of_available"] == pytest.approx(
                100 * group["shortage_kg"] / group["available_kg"]
            )
            assert row["shortage_grams_per_kg_day"] == pytest.approx(
                1000 * group["shortage_kg"] / group["kg_days"]
            )


def test_a_count_at_midnight_belongs_to_the_month_before(db: Connection) -> None:
    domain.balances(db, domain.balance(BREAM, 10, 0, 0, 9.9, "2025-01-25", "2025-01-31"))
    domain.account(db)
    row = domain.one(db, "select month::text, shortage_kg from bi.shrinkage_by_month")
    assert row == {"month": "2025-01-01", "shortage_kg": pytest.approx(0.1)}


def test_the_trend_is_that_of_the_counts(db: Connection) -> None:
    # 10 kg, a week each (7 days): what is missing is made good by a receipt at the count.
    lost = [0.07, 0.14, 0.07, 0.21, 0.35]
    start = 10.0
    rows = [domain.balance(BREAM, start, 0, 0, start - lost[0], "2024-12-16", "2024-12-22")]
    for week, kg in enumerate(lost[1:], 1):
        opening = start - sum(lost[:week])
        day = datetime(2024, 12, 16 + 7) if week == 1 else None
        starts = ["2024-12-23", "2024-12-30", "2025-01-06", "2025-01-13"][week - 1]
        ends = ["2024-12-29", "2025-01-05", "2025-01-12", "2025-01-19"][week - 1]
        assert day is None or day.day == 23
        rows.append(domain.balance(BREAM, round(opening, 3), 0, 0, round(opening - kg, 3), starts, ends))  # fmt: skip
    domain.balances(db, *rows)
    domain.account(db)
    trend = domain.rows(db, "select * from bi.shrinkage_trend order by time")
    assert [row["shortage_kg"] for row in trend] == pytest.approx(lost)
    rates = [1000 * row["shortage_kg"] / row["kg_days"] for row in trend]
    assert [row["grams_per_kg_day"] for row in trend] == pytest.approx(rates)
    assert [row["previous_grams_per_kg_day"] for row in trend][1:] == pytest.approx(rates[:-1])
    assert trend[0]["previous_grams_per_kg_day"] is None
    assert trend[3]["change_grams_per_kg_day"] == pytest.approx(rates[3] - rates[2])
    assert [row["averaged_count"] for row in trend] == [1, 2, 3, 4, 4]
    four = trend[1:5]
    assert trend[4]["average_of_4_grams_per_kg_day"] == pytest.approx(
        1000 * sum(row["shortage_kg"] for row in four) / sum(row["kg_days"] for row in four)
    )
    # The third period ends on 5 January: a new year begins with it.
    assert [row["shortage_kg_this_year"] for row in trend] == pytest.approx([0.07, 0.21, 0.07, 0.28, 0.63])  # fmt: skip
    assert [row["rank_in_type"] for row in trend] == [2, 1, 3, 2, 1]
    assert [row["ranked_count"] for row in trend] == [2, 2, 3, 3, 3]


def test_the_first_look_counts_what_a_file_brought(shop: Connection) -> None:
    looks = domain.rows(shop, "select * from bi.first_look order by import_id")
    by_layout = {row["layout"]: row for row in looks if row["item_count"]}
    assert (by_layout["balances"]["item_count"], by_layout["balances"]["counted_count"]) == (1, 2)
    assert by_layout["balances"]["shortage_kg"] == pytest.approx(0.6)
    assert sum(row["period_count"] for row in looks) == len(listed(shop, "periods", page_size=1000))
    shop.execute("select * from api.undo_import(%s)", (looks[0]["import_id"],))
    assert looks[0]["import_id"] not in [row["import_id"] for row in domain.rows(shop, "select import_id from bi.first_look")]  # fmt: skip


def test_the_ten_largest_unexplained_losses(shop: Connection) -> None:
    domain.move(shop, domain.movement("stock_take", BREAM, -2, "2025-01-12 19:00:00", number="x"))
    domain.move(shop, domain.movement("stock_take", ROACH, -3, "2025-01-12 19:00:00", number="x"))
    domain.account(shop)
    rows = domain.rows(shop, "select rank, item, unexplained_kg from bi.unexplained_largest")
    assert [(row["rank"], row["item"]) for row in rows[:2]] == [(1, ROACH), (2, BREAM)]
    for row in rows[:2]:
        total = domain.value(
            shop,
            "select sum(unexplained_kg) from bi.shrinkage_unexplained where item = %s",
            row["item"],
        )
        assert row["unexplained_kg"] == pytest.approx(total)
        assert row["unexplained_kg"] > 1
