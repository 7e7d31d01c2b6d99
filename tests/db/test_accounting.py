"""Periods from facts: FIFO to the gram, flags, modes, recomputation, undo, zones, edge cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loader import ingest
from loader.reading import ReadOptions
from tests.conftest import EXAMPLES, copied, session
from tests.db import domain
from tests.db.domain import Connection, balance, movement

ITEM = "ПЛОТВА ВЯЛЕНАЯ"
OTHER = "ЛЕЩ ВЯЛЕНЫЙ"
WITH_SURPLUS = ("ЛЕЩ ВЯЛЕНАЯ", "СКУМБРИЯ Х/К")


def bring_in(url: str, *paths: Path, encoding: str | None = "cp1251") -> None:
    for path in paths:
        result = ingest.import_file(
            url,
            str(path),
            ReadOptions(encoding=encoding),
            ingest.ImportOptions(time_zone=domain.ZONE),
        )
        assert (result.rejected, result.duplicate) == (0, 0), path


@pytest.fixture(scope="module")
def statements(server_url: str, imported: str) -> Iterator[str]:
    """The twelve statements, with the surplus two products really have, accounted for."""
    with copied(server_url, imported) as url:
        with domain.connect(url) as db:
            for item in WITH_SURPLUS:
                domain.surplus(db, item, 0.05)
            domain.account(db)
        yield url


@pytest.fixture
def shop(statements: str) -> Iterator[Connection]:
    with session(statements) as db:
        yield db


# -------------------------------------------------------------------------------------- statements


def test_fifo_closes_every_week_of_every_product_as_the_statements_do(shop: Connection) -> None:
    ours = shop.execute(
        """
        select n.name, (c.calculation_date at time zone 'Europe/Moscow')::date, (l ->> 'batch')::timestamp, (l ->> 'closing')::numeric
        from core.calculation_data as c
        inner join core.nomenclature as n on n.id = c.nomenclature_id
        cross join jsonb_array_elements(c.fifo_batch_sequence) as l
        where c.mode = 'posted' and (l ->> 'closing')::numeric > 0
        """
    ).fetchall()
    # A statement ends at the midnight after its count.
    theirs = shop.execute(
        """
        select n.name, (l.as_of at time zone 'Europe/Moscow' - interval '1 day')::date, l.batch_received_at at time zone 'Europe/Moscow', l.kg
        from core.stock_layers as l
        inner join core.nomenclature as n on n.id = l.nomenclature_id
        where l.boundary = 'closing'
        """
    ).fetchall()
    assert sorted(ours) == sorted(theirs)
    assert len({(name, day) for name, day, _, _ in ours}) == 24 * 12
    found = domain.one(
        shop,
        "select count(*) as n, count(*) filter (where mode = 'posted') as posted,"
        " count(*) filter (where is_valid_inventory_period) as valid,"
        " count(*) filter (where flags && array['layer_mismatch', 'identity_residual',"
        " 'negative_stock', 'gap_between_periods', 'not_counted', 'no_batch_ages']) as wrong"
        " from core.calculation_data where mode <> 'open'",
    )
    assert found == {"n": 288, "posted": 288, "valid": 288, "wrong": 0}


def test_the_identity_holds_to_the_gram(shop: Connection) -> None:
    wrong = domain.value(
        shop,
        "select count(*) from core.calculation_data where mode = 'posted'"
        " and initial_balance + incoming - outgoing + difference_kg <> final_balance",
    )
    assert wrong == 0
    sums = domain.value(
        shop,
        "select count(*) from core.calculation_data as c cross join lateral"
        " (select sum((l ->> 'closing')::numeric) as kg from jsonb_array_elements(c.fifo_batch_sequence) as l)"
        " as s where s.kg <> c.final_balance",
    )
    assert sums == 0


def test_the_workbook_gives_the_facts_of_its_csv(
    server_url: str, template: str, fresh_url: str
) -> None:
    facts = {
        "movements": """
            select n.name, w.name, m.posted_at, m.operation, m.document_number, m.batch_received_at, m.in_kg, m.out_kg
            from core.stock_movements as m inner join core.nomenclature as n on n.id = m.nomenclature_id
            inner join core.warehouses as w on w.id = m.warehouse_id""",
        "layers": """
            select n.name, w.name, l.boundary, l.as_of, l.batch_received_at, l.kg
            from core.stock_layers as l inner join core.nomenclature as n on n.id = l.nomenclature_id
            inner join core.warehouses as w on w.id = l.warehouse_id""",
        "balances": """
            select n.name, n.item_group, n.product_type, w.name, b.period_start, b.period_end, b.opening_kg, b.incoming_kg,
                b.outgoing_kg, b.closing_kg
            from core.stock_balances as b inner join core.nomenclature as n on n.id = b.nomenclature_id
            inner join core.warehouses as w on w.id = b.warehouse_id""",
    }
    with copied(server_url, template) as other:
        found = []
        week = EXAMPLES / "vedomost" / "vedomost_2025-01-06"
        for url, path in (
            (fresh_url, week.with_suffix(".csv")),
            (other, week.with_suffix(".xlsx")),
        ):
            bring_in(url, path, encoding="cp1251" if path.suffix == ".csv" else None)
            with domain.connect(url) as db:
                found.append(
                    {name: sorted(map(str, db.execute(q).fetchall())) for name, q in facts.items()}
                )
        assert {name: len(rows) > 20 for name, rows in found[0].items()} == dict.fromkeys(
            facts, True
        )
        assert found[0] == found[1]


# -------------------------------------------------------------------------------------------- flags


def counted(db: Connection, *rows: domain.Row) -> set[str]:
    """Flags of the last period of flat rows of one product."""
    domain.balances(db, *rows)
    domain.account(db)
    return domain.flags(db, ITEM)[-1]


def clean_week() -> list[domain.Row]:
    return [balance(ITEM, 10.0, 5.002, 4.0, 10.801), balance(OTHER, 8.0, 2.0, 3.0, 6.902)]


FLAT: dict[str, list[domain.Row]] = {
    "missing_opening": [balance(ITEM, None, 5.0, 4.0, 10.801)],
    "missing_closing": [balance(ITEM, 10.0, 5.0, 4.0, None)],
    "negative_value": [balance(ITEM, 10.0, 5.0, 14.0, -1.001)],
    "shortage_over_available": [balance(ITEM, 1.0, 1.0, 1.0, -2.001)],
    "surplus_over_tolerance": [balance(ITEM, 10.0, 5.0, 4.0, 11.107)],
    "unit_jump": [balance(ITEM, 10.0, 5.0, 4.0, 108.005)],
    "round_count": [balance(ITEM, 10.0, 5.102, 4.0, 11.0)],
    "overlapping_period": [
        balance(ITEM, 10.0, 5.0, 4.0, 10.801),
        balance(ITEM, 10.8, 5.0, 4.0, 11.601, "2025-01-10", "2025-01-16"),
    ],
    "gap_between_periods": [
        balance(ITEM, 10.0, 5.0, 4.0, 10.801),
        balance(ITEM, 10.801, 5.0, 4.0, 11.601, "2025-01-20", "2025-01-26"),
    ],
    "posted_without_documents": [balance(ITEM, 10.0, 5.0, 4.001, 10.999)],
    "no_batch_ages": [balance(ITEM, 10.0, 5.0, 4.0, 10.801)],
}


def test_a_clean_flat_week_raises_nothing_but_the_missing_ages(db: Connection) -> None:
    assert counted(db, *clean_week()) == {"no_batch_ages"}
    (period,) = domain.periods(db, ITEM)
    assert period["data_quality_flag"] == "clean"
    assert not period["manual_review_required"]


@pytest.mark.parametrize("flag", FLAT)
def test_flags_of_flat_balances(db: Connection, flag: str) -> None:
    assert flag in counted(db, *FLAT[flag])
    severity = domain.value(db, "select severity from core.quality_flag where flag = %s", flag)
    period = domain.periods(db, ITEM)[-1]
    if severity == "critical":
        assert period["data_quality_flag"] == "filtered"
        assert period["manual_review_required"]
    elif severity in ("medium", "high"):
        assert period["data_quality_flag"] in ("dirty", "filtered")
    written = domain.value(
        db,
        "select count(*) from core.validation_errors where flag = %s and calculation_data_id = %s"
        " and severity_level = %s",
        flag, period["id"], severity,
    )  # fmt: skip
    assert written == 1


def week_of(db: Connection, lost: float = 0.201, **more: Any) -> None:
    """One clean week by documents: ten days old at the start, counted on Sunday."""
    domain.open_stock(db, ITEM, 10.0, "2025-01-06 00:00:00", batch="2024-12-27", **more)
    domain.receive(db, ITEM, 5.002, "2025-01-08", **more)
    domain.sell(db, ITEM, 4.0, "2025-01-10", **more)
    domain.count(db, ITEM, -lost, "2025-01-12 20:00:00", **more)


def test_a_clean_week_by_documents_raises_nothing(db: Connection) -> None:
    week_of(db)
    domain.account(db)
    assert domain.flags(db, ITEM) == [set()]
    (period,) = domain.closed(db, ITEM)
    assert (period["mode"], period["data_quality_flag"]) == ("posted", "clean")
    assert period["is_valid_inventory_period"]
    assert period["fifo_principle_applied"]


def posted_missing_opening(db: Connection) -> None:
    domain.sell(db, ITEM, 4.0, "2025-01-10", batch="2025-01-02")
    domain.receive(db, ITEM, 5.0, "2025-01-11")
    domain.count(db, ITEM, -0.201, "2025-01-12")


def posted_negative_stock(db: Connection) -> None:
    domain.open_stock(db, ITEM, 2.0, "2025-01-06")
    domain.sell(db, ITEM, 3.0, "2025-01-07")
    domain.count(db, ITEM, 0.5, "2025-01-12")


def posted_shortage_over_available(db: Connection) -> None:
    domain.open_stock(db, ITEM, 2.0, "2025-01-06")
    domain.count(db, ITEM, -3.0, "2025-01-12")


def posted_surplus(db: Connection) -> None:
    week_of(db, lost=-0.104)


def posted_age_capped(db: Connection) -> None:
    domain.open_stock(db, ITEM, 2.0, "2025-01-06", batch="2023-03-01")
    domain.count(db, ITEM, -0.003, "2025-01-12")


def posted_no_batch_ages(db: Connection) -> None:
    # An opening balance without batches.
    domain.statement(
        db, ITEM, "2025-01-06", "2025-01-12", (10, 0, 0, 10), [],
    )  # fmt: skip
    domain.sell(db, ITEM, 3.9, "2025-01-09")
    domain.count(db, ITEM, -0.1, "2025-01-12")


def posted_not_counted(db: Connection) -> None:
    # Others were counted a week before this product was.
    week_of(db)
    domain.open_stock(db, OTHER, 8.0, "2025-01-01", batch="2025-01-01")
    domain.count(db, OTHER, -0.1, "2025-01-05")
    domain.count(db, OTHER, -0.1, "2025-01-09")


def posted_unit_jump(db: Connection) -> None:
    domain.open_stock(db, ITEM, 10.0, "2025-01-06", batch="2025-01-06")
    domain.count(db, ITEM, 90.0, "2025-01-12")


def posted_round_count(db: Connection) -> None:
    domain.open_stock(db, ITEM, 10.2, "2025-01-06", batch="2025-01-06")
    domain.count(db, ITEM, -0.2, "2025-01-12")


def posted_identity_residual(db: Connection) -> None:
    tell_statement(db, closing=9.9)


def posted_layer_mismatch(db: Connection) -> None:
    tell_statement(db, swapped=True)


def posted_gap(db: Connection) -> None:
    tell_statement(db)
    domain.statement(
        db, ITEM, "2025-01-13", "2025-01-19", (9.5, 0, 0.2, 9.3),
        [("Инвентаризация", "2025-01-19 20:00:00", [("2025-01-02 08:00:00", 9.5, 0, 0.2, 9.3)])],
    )  # fmt: skip


def tell_statement(db: Connection, closing: float = 10.8, swapped: bool = False) -> None:
    """A week with two batches; `swapped`: the statement closes with other batches than FIFO does."""
    old, new = "2024-12-27 08:00:00", "2025-01-02 08:00:00"
    left = (1.8, 9.0) if not swapped else (2.8, 8.0)
    documents = [
        ("Отчет отдела о розничных продажах", "2025-01-08 21:00:00",
         [(old, 6, 0, 4, 2), (new, 9, 0, 0, 9)]),
        ("Инвентаризация", "2025-01-12 20:00:00",
         [(old, 2, 0, 0.2, 1.8), (new, 9, 0, 0, 9)]),
    ]  # fmt: skip
    if swapped:
        documents[1] = ("Инвентаризация", "2025-01-12 20:00:00",
                        [(old, left[0], 0, 0, left[0]), (new, left[1] + 0.2, 0, 0.2, left[1])])  # fmt: skip
    domain.statement(db, ITEM, "2025-01-06", "2025-01-12", (15, 0, 4.2, closing), documents)


POSTED: dict[str, Callable[[Connection], None]] = {
    "missing_opening": posted_missing_opening,
    "negative_stock": posted_negative_stock,
    "shortage_over_available": posted_shortage_over_available,
    "surplus_over_tolerance": posted_surplus,
    "age_capped": posted_age_capped,
    "not_counted": posted_not_counted,
    "unit_jump": posted_unit_jump,
    "round_count": posted_round_count,
    "identity_residual": posted_identity_residual,
    "layer_mismatch": posted_layer_mismatch,
    "no_batch_ages": posted_no_batch_ages,
    "gap_between_periods": posted_gap,
}


@pytest.mark.parametrize("flag", POSTED)
def test_flags_of_documents(db: Connection, flag: str) -> None:
    POSTED[flag](db)
    domain.account(db)
    assert flag in set().union(*domain.flags(db, ITEM))


def test_a_statement_that_agrees_with_itself_raises_nothing(db: Connection) -> None:
    tell_statement(db)
    domain.account(db)
    assert domain.flags(db, ITEM) == [set()]


def test_a_shortage_several_times_what_the_type_loses(db: Connection) -> None:
    # Five weeks that lose 0.2 kg of 10, one that loses 1.5.
    rows = [
        balance(ITEM, 10.0, 5.0, 4.8, 10.001 if week != 4 else 8.701,
                f"2025-0{1 + week // 4}-{1 + 7 * (week % 4):02}", f"2025-0{1 + week // 4}-{7 + 7 * (week % 4):02}")
        for week in range(8)
    ]  # fmt: skip
    domain.balances(db, *rows)
    domain.account(db)
    assert ["shortage_over_5x" in flags for flags in domain.flags(db, ITEM)] == [
        week == 4 for week in range(8)
    ]


def test_where_most_counts_find_nothing_a_small_shortage_is_not_flagged(db: Connection) -> None:
    # Frozen goods: no difference at four counts of six, 10 and 12 g at two.
    lost = [0, 0, 0.010, 0, 0.012, 0]
    rows = [
        balance("МИНТАЙ МОРОЖЕНЫЙ", 10.0, 5.0, 5.0, round(10 - kg, 3),
                f"2025-01-{1 + 4 * week:02}", f"2025-01-{4 + 4 * week:02}")
        for week, kg in enumerate(lost)
    ]  # fmt: skip
    domain.balances(db, *rows)
    domain.account(db)
    assert not any("shortage_over_5x" in f for f in domain.flags(db, "МИНТАЙ МОРОЖЕНЫЙ"))


def test_a_product_of_unknown_type(db: Connection) -> None:
    domain.balances(db, balance("ФИЛЕ ТРЕСКИ", 10.0, 5.0, 4.0, 10.801), balance(ITEM, 5, 0, 1, 3.9))
    domain.account(db)
    assert "unknown_product_type" in domain.flags(db, "ФИЛЕ ТРЕСКИ")[0]
    assert "unknown_product_type" not in domain.flags(db, ITEM)[0]


def test_the_misplaced_decimal_point_of_the_flat_example_and_nothing_else(fresh_url: str) -> None:
    bring_in(fresh_url, EXAMPLES / "flat_balances_cp1251.csv")
    with domain.connect(fresh_url) as db:
        domain.account(db)
        found = domain.rows(
            db,
            "select n.name, (c.inventory_period_start at time zone %s)::date::text as day, c.manual_review_required"
            " from core.calculation_data as c inner join core.nomenclature as n on n.id = c.nomenclature_id"
            " where 'unit_jump' = any(c.flags)",
            domain.ZONE,
        )
        assert found == [{"name": "ЛЕЩ С/С", "day": "2025-02-03", "manual_review_required": True}]
        modes = domain.rows(db, "select mode, count(*) from core.calculation_data group by mode")
    assert modes == [{"mode": "counted", "count": 288}]


def test_overlaps_are_found_on_both_sides_and_across_a_longer_period(db: Connection) -> None:
    domain.balances(
        db,
        balance(ITEM, 10.0, 5.0, 4.0, 10.801, "2025-01-01", "2025-01-31"),
        balance(ITEM, 10.0, 5.0, 4.0, 10.801, "2025-01-06", "2025-01-12"),
        balance(ITEM, 10.8, 5.0, 4.0, 11.601, "2025-01-20", "2025-01-26"),
        balance(ITEM, 11.6, 5.0, 4.0, 11.601, "2025-02-01", "2025-02-07"),
    )
    domain.account(db)
    assert ["overlapping_period" in flags for flags in domain.flags(db, ITEM)] == [True] * 3 + [
        False
    ]
    assert [p["is_valid_inventory_period"] for p in domain.periods(db, ITEM)] == [False] * 3 + [
        True
    ]


# -------------------------------------------------------------------------------------------- modes


def test_posted_and_counted_are_told_apart(db: Connection) -> None:
    week_of(db)
    domain.balances(db, balance(OTHER, 8.0, 2.0, 3.0, 6.902))
    domain.account(db)
    assert [p["mode"] for p in domain.closed(db, ITEM)] == ["posted"]
    assert [p["mode"] for p in domain.closed(db, OTHER)] == ["counted"]


def test_a_flat_file_that_balances_to_zero_shows_no_shrinkage_and_no_accuracy(
    db: Connection,
) -> None:
    rows = [
        balance(item, 10.0, 5.0, 4.2, 10.8, f"2025-01-{day:02}", f"2025-01-{day + 6:02}")
        for item in (ITEM, OTHER) for day in (1, 8, 15)
    ]  # fmt: skip
    domain.balances(db, *rows)
    domain.account(db)
    for item in (ITEM, OTHER):
        for period in domain.periods(db, item):
            assert period["data_quality_flag"] == "filtered"
            assert period["inventory_shrinkage_total"] is None
            assert period["surplus_kg"] is None
            assert not period["is_valid_inventory_period"]
    domain.fit(db)
    assert domain.value(db, "select count(*) from bi.shrinkage_by_type") == 0
    assert domain.value(db, "select count(*) from bi.shrinkage_unexplained") == 0
    db.execute("select * from api.refresh_analytics()")
    assert domain.value(db, "select count(avg_accuracy) from bi.analytics") == 0
    assert domain.rows(db, "select distinct outcome, a from bi.coefficient") == [
        {"outcome": "failed", "a": None}
    ]
    assert domain.value(db, "select quality_score from bi.import_quality") == 0


def test_one_difference_in_a_flat_file_proves_that_it_is_not_posted(db: Connection) -> None:
    domain.balances(db, balance(ITEM, 10.0, 5.0, 4.2, 10.8), balance(OTHER, 10.0, 5.0, 4.2, 10.798))
    domain.account(db)
    assert "posted_without_documents" not in set().union(*domain.flags(db, ITEM))
    assert domain.periods(db, ITEM)[0]["inventory_shrinkage_total"] == 0


def test_flat_balances_stand_back_where_documents_tell_more(db: Connection) -> None:
    domain.balances(db, balance(ITEM, 10.0, 5.002, 4.0, 10.801))
    week_of(db)
    domain.account(db)
    assert [p["mode"] for p in domain.closed(db, ITEM)] == ["posted"]


# -------------------------------------------------------------------- recomputation, undo, latecomers


def test_recomputation_changes_nothing(statements: str) -> None:
    with domain.connect(statements) as db:
        before = domain.digests(db)
    for zone in ("UTC", "Asia/Kamchatka"):
        with domain.connect(statements) as db:
            db.execute(f"set timezone = '{zone}'")
            again = domain.account(db)
            assert (again["changed_count"], again["removed_count"]) == (0, 0)
    with domain.connect(statements) as db:
        assert domain.digests(db) == before


def test_undo_removes_exactly_the_periods_of_the_import(db: Connection) -> None:
    week_of(db)
    domain.account(db)
    kept = domain.closed(db, ITEM)
    number = domain.balances(db, balance(OTHER, 8.0, 2.0, 3.0, 6.902))
    domain.account(db)
    assert len(domain.closed(db, OTHER)) == 1
    db.execute("select api.undo_import(%s)", (number,))
    done = domain.account(db)
    assert (done["changed_count"], done["removed_count"]) == (0, 1)
    assert domain.closed(db, OTHER) == []
    assert domain.closed(db, ITEM) == kept
    assert domain.rows(db, "select * from api.check_facts()") == []


def test_a_late_movement_changes_exactly_the_periods_it_touches(db: Connection) -> None:
    domain.move(db, *domain.weeks(ITEM, 4), *domain.weeks(OTHER, 4))
    domain.account(db)
    before = {
        p["id"]: p
        for p in domain.rows(db, "select ctid::text as place, * from core.calculation_data")
    }
    # Nothing is left over from week to week, so what happens within week 3 stays within week 3.
    domain.receive(db, ITEM, 0.5, "2025-01-22", number="late")
    domain.move(db, movement("write_off", ITEM, 0.5, "2025-01-22 12:00:01", number="late"))
    done = domain.account(db)
    after = {
        p["id"]: p
        for p in domain.rows(db, "select ctid::text as place, * from core.calculation_data")
    }
    changed = [p for key, p in after.items() if before.get(key) != p]
    assert done["changed_count"] == len(changed) == 1
    assert (done["removed_count"], before.keys()) == (0, after.keys())
    assert changed[0]["inventory_period_start"] == datetime(2025, 1, 19, 17, tzinfo=UTC)
    assert float(changed[0]["outgoing"]) == pytest.approx(
        float(before[changed[0]["id"]]["outgoing"]) + 0.5
    )


def test_a_late_count_splits_the_period_it_falls_into(db: Connection) -> None:
    week_of(db)
    domain.account(db)
    domain.count(db, ITEM, -0.050, "2025-01-09 20:00:00")
    done = domain.account(db)
    first, second = domain.closed(db, ITEM)
    # Two in place of one; the open one after them begins as before, with 50 g less.
    assert (done["removed_count"], done["changed_count"]) == (1, 3)
    assert first["inventory_period_end"] == second["inventory_period_start"]
    assert float(first["final_balance"]) == float(second["initial_balance"]) == 14.952
    assert domain.rows(db, "select * from api.check_facts()") == []


def test_a_resolved_finding_stays_resolved(db: Connection) -> None:
    posted_surplus(db)
    domain.account(db)
    db.execute("update core.validation_errors set resolved = true, notes = 'weighed again'")
    domain.sell(db, ITEM, 0.1, "2025-01-11")
    domain.account(db)
    left = domain.rows(db, "select flag, resolved, notes from core.validation_errors")
    assert left == [{"flag": "surplus_over_tolerance", "resolved": True, "notes": "weighed again"}]


def test_a_flag_that_no_longer_holds_goes(db: Connection) -> None:
    posted_surplus(db)
    domain.account(db)
    assert domain.value(db, "select count(*) from core.validation_errors") == 1
    domain.surplus(db, ITEM, 0.05)
    domain.account(db)
    assert domain.value(db, "select count(*) from core.validation_errors") == 0
    (period,) = domain.closed(db, ITEM)
    # 5.002 kg received with 5 %, 0.104 found too much.
    assert float(period["inventory_shrinkage_total"]) == pytest.approx(0.250 - 0.104, abs=0.001)


# ------------------------------------------------------------------------------- warehouses and zones


def test_two_warehouses_are_accounted_apart(db: Connection) -> None:
    week_of(db, warehouse="north")
    week_of(db, lost=0.302, warehouse="south")
    domain.account(db)
    for name, lost in (("north", 0.201), ("south", 0.302)):
        (period,) = domain.closed(db, ITEM, name)
        assert float(period["inventory_shrinkage_total"]) == lost
        assert period["flags"] == []


def test_a_transfer_keeps_the_age_of_its_batch(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-01", warehouse="north")
    domain.move(
        db,
        movement("transfer_out", ITEM, 6.0, "2025-01-08", warehouse="north"),
        movement("transfer_in", ITEM, 6.0, "2025-01-08", batch="2025-01-01", warehouse="south"),
    )
    domain.count(db, ITEM, -0.1, "2025-01-11", warehouse="south")
    domain.account(db)
    (period,) = domain.closed(db, ITEM, "south")
    assert period["storage_days"] == 10
    assert period["term_age_from"] == [7.0]
    assert float(period["inventory_shrinkage_total"]) == pytest.approx(0.1)


def test_days_are_those_of_the_warehouse(db: Connection) -> None:
    # Received at 23:30 and counted at 00:30 a week later: seven calendar days in either place,
    # though in UTC the one is six or eight.
    for zone, name in (("Asia/Kamchatka", "far east"), ("Europe/Moscow", "west")):
        domain.file(
            db, "movements",
            [
                movement("receipt", ITEM, 10.0, "2025-01-06 23:30:00", warehouse=name),
                movement("stock_take", ITEM, -0.2, "2025-01-13 00:30:00", warehouse=name),
            ],
            zone=zone,
        )  # fmt: skip
    domain.account(db)
    found = [domain.closed(db, ITEM, name)[0] for name in ("far east", "west")]
    assert [p["storage_days"] for p in found] == [7, 7]
    assert found[0]["calculation_date"] == datetime(2025, 1, 12, 12, 30, tzinfo=UTC)
    assert found[1]["calculation_date"] == datetime(2025, 1, 12, 21, 30, tzinfo=UTC)


def test_daylight_saving_does_not_change_calendar_days(db: Connection) -> None:
    # The clocks of Berlin were set forward on 2025-03-30.
    domain.file(
        db, "movements",
        [
            movement("receipt", ITEM, 10.0, "2025-03-29 12:00:00"),
            movement("stock_take", ITEM, -0.1, "2025-03-31 12:00:00"),
        ],
        zone="Europe/Berlin",
    )  # fmt: skip
    domain.account(db)
    (period,) = domain.closed(db, ITEM)
    assert period["storage_days"] == 2
    assert period["term_age_to"] == [2.0]
    assert period["calculation_date"] == datetime(2025, 3, 31, 10, tzinfo=UTC)


def test_a_count_past_midnight_does_not_mark_others_as_not_counted(db: Connection) -> None:
    # 01:00 in Moscow is the day before in UTC; all were counted in one night.
    for item, at in ((ITEM, "2025-01-13 01:00:00"), (OTHER, "2025-01-13 05:00:00")):
        domain.open_stock(db, item, 10.0, "2025-01-06", batch="2025-01-06")
        domain.count(db, item, -0.1, at)
    db.execute("set local timezone = 'UTC'")
    domain.account(db)
    assert domain.flags(db, ITEM) == domain.flags(db, OTHER) == [set()]


# ---------------------------------------------------------------------------------------- edge cases


def closed_one(db: Connection) -> domain.Row:
    domain.account(db)
    (period,) = domain.closed(db, ITEM)
    return period


def test_nothing_at_the_start(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.count(db, ITEM, -0.1, "2025-01-12")
    period = closed_one(db)
    row = domain.one(db, "select * from bi.balance where mode <> 'open'")
    assert (period["initial_balance"], row["shortage_percent_of_opening"]) == (0, None)
    assert row["shortage_percent_of_available"] == pytest.approx(1.0)
    assert period["is_valid_inventory_period"]


def test_everything_sold_and_the_rest_missing(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.sell(db, ITEM, 9.8, "2025-01-11")
    domain.count(db, ITEM, -0.2, "2025-01-12")
    period = closed_one(db)
    assert (period["final_balance"], float(period["inventory_shrinkage_total"])) == (0, 0.2)
    assert period["storage_days"] is None
    assert period["kg_days"] == pytest.approx(5 * 10 + 0.2)
    assert period["is_valid_inventory_period"]


def test_more_than_the_book(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.count(db, ITEM, 0.3, "2025-01-12")
    period = closed_one(db)
    assert (float(period["surplus_kg"]), period["inventory_shrinkage_total"]) == (0.3, 0)
    assert domain.layers(period) == {"2025-01-06 12:00:00": 10.3}


def test_two_counts_on_one_day_are_one(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.count(db, ITEM, -0.1, "2025-01-12 09:00:00")
    domain.count(db, ITEM, -0.2, "2025-01-12 21:00:00")
    period = closed_one(db)
    assert float(period["inventory_shrinkage_total"]) == pytest.approx(0.3)
    assert period["calculation_date"] == datetime(2025, 1, 12, 18, tzinfo=UTC)


def test_receipts_come_before_issues_of_the_same_moment_and_the_count_last(db: Connection) -> None:
    domain.move(
        db,
        movement("stock_take", ITEM, -0.1, "2025-01-06 12:00:00"),
        movement("sale", ITEM, 4.0, "2025-01-06 12:00:00"),
        movement("receipt", ITEM, 10.0, "2025-01-06 12:00:00"),
    )
    period = closed_one(db)
    assert "negative_stock" not in period["flags"]
    assert (period["incoming"], period["outgoing"], float(period["final_balance"])) == (10, 4, 5.9)


def test_a_return_of_a_batch_that_is_used_up_opens_it_again(db: Connection) -> None:
    domain.receive(db, ITEM, 4.0, "2025-01-02")
    domain.receive(db, ITEM, 5.0, "2025-01-06")
    domain.sell(db, ITEM, 4.0, "2025-01-07")
    domain.move(db, movement("return", ITEM, 1.0, "2025-01-08", batch="2025-01-02"))
    domain.count(db, ITEM, -0.1, "2025-01-12")
    period = closed_one(db)
    assert domain.layers(period) == pytest.approx(
        {"2025-01-02 12:00:00": 0.9, "2025-01-06 12:00:00": 5.0}
    )


def test_a_negative_sale_is_a_return(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.sell(db, ITEM, -1.0, "2025-01-07")
    domain.count(db, ITEM, -0.1, "2025-01-12")
    period = closed_one(db)
    assert (period["incoming"], period["outgoing"]) == (11, 0)
    domain.balances(db, balance(OTHER, 5.0, 1.0, -2.0, 7.9))
    domain.account(db)
    (flat,) = domain.closed(db, OTHER)
    assert float(flat["inventory_shrinkage_total"]) == pytest.approx(0.1)


def test_write_offs_transfers_and_regrading_are_no_shrinkage(db: Connection) -> None:
    domain.receive(db, ITEM, 30.0, "2025-01-06")
    domain.move(
        db,
        movement("write_off", ITEM, 2.0, "2025-01-07"),
        movement("transfer_out", ITEM, 3.0, "2025-01-08"),
        movement("regrading", ITEM, -10.0, "2025-01-09"),
        movement("regrading", OTHER, 10.0, "2025-01-09"),
    )
    domain.count(db, ITEM, -0.1, "2025-01-12")
    period = closed_one(db)
    assert (period["outgoing"], float(period["inventory_shrinkage_total"])) == (15, 0.1)


@pytest.mark.parametrize(
    ("end", "is_valid"),
    [("2025-01-06", True), ("2025-04-07", True), ("2025-04-08", False)],
    ids=["one day", "92 days", "93 days"],
)
def test_length_of_a_valid_period(db: Connection, end: str, is_valid: bool) -> None:
    domain.balances(db, balance(ITEM, 10.0, 5.0, 4.0, 10.801, "2025-01-06", end))
    domain.account(db)
    assert domain.periods(db, ITEM)[0]["is_valid_inventory_period"] == is_valid


def test_a_period_of_no_length_is_not_valid(db: Connection) -> None:
    domain.open_stock(db, ITEM, 10.0, "2025-01-06 12:00:00", batch="2025-01-01")
    domain.count(db, ITEM, -0.1, "2025-01-06 12:00:00")
    period = closed_one(db)
    assert (period["kg_days"], period["is_valid_inventory_period"]) == (0, False)
    assert period["inventory_confidence"] == 0


def test_a_count_that_only_opens_a_period_leaves_a_preliminary_one(db: Connection) -> None:
    week_of(db)
    domain.account(db)
    last = domain.periods(db, ITEM)[-1]
    assert (last["mode"], last["data_quality_flag"]) == ("open", "forecast")
    assert last["is_preliminary_forecast"]
    assert last["inventory_period_end"] is None
    assert last["inventory_shrinkage_total"] is None
    assert not last["is_valid_inventory_period"]


def test_frozen_remnants_of_years_ago_are_capped(db: Connection) -> None:
    domain.open_stock(db, ITEM, 2.0, "2025-01-06", batch="2023-03-01")
    domain.count(db, ITEM, -0.1, "2025-01-12")
    period = closed_one(db)
    assert period["storage_days"] == 365
    assert period["term_age_to"] == [365.0]
    assert period["term_age_from"] == [359.0]
    assert period["pre_shrinkage_days"] == 365


def test_an_opening_that_differs_from_the_closing_before_is_taken_and_flagged(
    db: Connection,
) -> None:
    domain.balances(
        db,
        balance(ITEM, 10.0, 5.0, 4.0, 10.801),
        balance(ITEM, 10.5, 5.0, 4.0, 11.301, "2025-01-13", "2025-01-19"),
    )
    domain.account(db)
    first, second = domain.closed(db, ITEM)
    assert float(second["initial_balance"]) == 10.5
    assert "gap_between_periods" in second["flags"]
    assert "gap_between_periods" not in first["flags"]


def test_a_renamed_product_goes_on_where_its_old_name_stopped(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.move(db, movement("receipt", "ПЛОТВА ВЯЛ. НОВАЯ", 5.0, "2025-01-08"))
    db.execute(
        "update core.nomenclature_alias set nomenclature_id ="
        " (select id from core.nomenclature where name = %s) where raw_name = 'ПЛОТВА ВЯЛ. НОВАЯ'",
        (ITEM,),
    )
    domain.move(db, movement("stock_take", "ПЛОТВА ВЯЛ. НОВАЯ", -0.1, "2025-01-12"))
    assert float(closed_one(db)["final_balance"]) == 9.9


def test_two_accountings_at_once_wait_for_each_other(fresh_url: str) -> None:
    with domain.connect(fresh_url) as first, domain.connect(fresh_url) as second:
        week_of(first)
        first.commit()
        domain.account(first)
        second.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            domain.account(second)
        second.rollback()
        first.commit()
        assert domain.account(second)["changed_count"] == 0
