"""The audit trail, and coefficients that go back to an earlier version."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests import timing
from tests.conftest import admin, copied, session
from tests.db import domain
from tests.db.domain import Connection

BREAM, ROACH = "ЛЕЩ ВЯЛЕНЫЙ", "ПЛОТВА ВЯЛЕНАЯ"
NEW = "СУДАК СВЕЖИЙ"


@pytest.fixture(scope="module")
def versions(server_url: str, template: str) -> Iterator[str]:
    """Two products fitted twice: as exp, then as linear, which is in force; one that has no curve."""
    with copied(server_url, template) as url:
        with domain.connect(url, autocommit=True) as db:
            domain.move(db, *domain.weeks(BREAM, 6, ages=(0, 9)), *domain.weeks(ROACH, 6, ages=(2, 20)))  # fmt: skip
            domain.receive(db, NEW, 1, "2025-01-06")
            domain.account(db)
            domain.fit(db, family="exp")
            domain.fit(db, family="linear")
        yield url


@pytest.fixture
def shop(versions: str) -> Iterator[Connection]:
    with session(versions) as db:
        yield db


def trail(db: Connection, table: str) -> list[domain.Row]:
    return domain.rows(db, "select * from core.audit_log where table_name = %s order by id", table)


# ------------------------------------------------------------------------------------------ capture

CHANGES = {
    "coefficients": "update core.coefficients set coefficient_c = 0.5 where id = 1",
    "nomenclature": "update core.nomenclature set product_type = 'own' where id = 1",
    "warehouses": "update core.warehouses set time_zone = 'UTC' where id = 1",
    "settings": "update core.settings set value = '0.3' where name = 'fit.cv'",
    "quality_flag": "update core.quality_flag set severity = 'low' where flag = 'unit_jump'",
    "product_type_mapping": "delete from core.product_type_mapping where rule_order = 10",
    "operation_mapping": "insert into core.operation_mapping values ('barter', 'sale')",
    "surplus_specifications": "select api.add_surplus_specification('1', 0.05, '2025-01-01')",
    "surplus_patterns": "insert into core.surplus_patterns (surplus_percentage) values (0.1)",
    "priority_periods": "insert into core.priority_periods (period_start, period_end, priority_level)"
    " values ('2025-01-01', '2025-01-02', 3)",
    "stock_movements": "update core.stock_movements set in_kg = in_kg + 1 where nomenclature_id = 3",
    "stock_balances": "delete from core.stock_balances",
}


@pytest.mark.parametrize("table", CHANGES)
def test_a_change_is_recorded_with_before_and_after(shop: Connection, table: str) -> None:
    if table == "stock_balances":
        domain.balances(shop, domain.balance(BREAM, 10, 5, 4, 10.5))
        assert trail(shop, table) == []
    known = len(trail(shop, table))
    before = domain.rows(shop, f"select to_jsonb(t) - 'search_words' as row from core.{table} as t")
    shop.execute("select set_config('weighhouse.reason', 'because', true)")
    shop.execute(CHANGES[table])
    after = domain.rows(shop, f"select to_jsonb(t) - 'search_words' as row from core.{table} as t")
    (row,) = trail(shop, table)[known:]
    ignored = {"calculation_data_id", "calculation_data_date"} if table == "coefficients" else set()
    for state, rows, others in (("before", before, after), ("after", after, before)):
        differing = [r["row"] for r in rows if r not in others]
        expected = [{k: v for k, v in r.items() if k not in ignored} for r in differing]
        assert ([row[state]] if row[state] else []) == expected, state
    state = row["after"] or row["before"]
    assert row["key"] == {name: state[name] for name in row["key"]} and row["key"]
    assert row["reason"] == "because" and row["row_count"] == 1
    assert row["transaction_id"] == domain.value(shop, "select pg_current_xact_id()::text::bigint")
    assert row["by_role"] == row["acting_role"] == domain.value(shop, "select session_user")
    # And it undoes itself: what stood there can be put back from the trail.
    assert domain.value(shop, "select count(*) from bi.audit where change_id = %s", row["id"]) == 1


def test_the_trail_reads_as_a_sentence(shop: Connection) -> None:
    shop.execute("update core.coefficients set coefficient_a = 0.25, coefficient_c = null where id = 1")  # fmt: skip
    row = domain.one(shop, "select * from bi.audit where table_name = 'coefficients'")
    was = domain.one(shop, "select before ->> 'coefficient_a' as a, before ->> 'coefficient_c' as c from core.audit_log where id = %s", row["change_id"])  # fmt: skip
    assert row["changed"] == f"coefficient_a: {was['a']} -> 0.25; coefficient_c: {was['c']} -> NULL"
    assert (row["row_key"], row["item"]) == ("id: 1", BREAM)
    listed = domain.one(shop, "select * from api.list_changes('coefficients', item => %s)", BREAM)
    assert (listed["changed"], listed["row_key"]) == (row["changed"], row["row_key"])


def test_what_comes_by_the_thousand_is_not_recorded(shop: Connection) -> None:
    """Imports, fits and the accounting leave no rows, nor does a change that changes nothing."""
    tables = ("stock_movements", "stock_balances", "nomenclature", "coefficients")
    assert [len(trail(shop, table)) for table in tables] == [0] * 4
    shop.execute("update core.coefficients set coefficient_a = coefficient_a")
    shop.execute("update core.settings set value = value")
    assert trail(shop, "coefficients") == trail(shop, "settings") == []
    # A period that goes takes the link of the coefficient with it.
    linked = domain.value(shop, "select count(*) from core.coefficients where calculation_data_id is not null")  # fmt: skip
    domain.count(shop, BREAM, -0.01, "2025-02-10", number="more")
    shop.execute("delete from core.stock_movements where document_number = 'count 5'")
    domain.account(shop)
    assert domain.value(shop, "select count(*) from core.coefficients where calculation_data_id is not null") < linked  # fmt: skip
    assert trail(shop, "coefficients") == []


def test_an_import_taken_back_leaves_one_row_a_table(shop: Connection) -> None:
    number = domain.balances(shop, domain.balance(NEW, 10, 5, 4, 10.5), domain.balance(NEW, 10.5, 0, 4, 6, "2025-01-13", "2025-01-19"))  # fmt: skip
    shop.execute("select * from api.undo_import(%s)", (number,))
    (row,) = trail(shop, "stock_balances")
    assert (row["row_count"], row["key"], row["before"], row["action"]) == (2, None, None, "delete")
    assert row["reason"] == f"import {number} taken back"
    moved = domain.value(shop, "select count(*) from core.stock_movements where source_data_id = 1")
    shop.execute("select * from api.undo_import(1)")
    (row,) = trail(shop, "stock_movements")
    assert row["row_count"] == moved > 30
    assert domain.value(shop, "select changed from bi.audit where change_id = %s", row["id"]) == f"{moved} rows"  # fmt: skip
    # Afterwards rows are rows again.
    shop.execute("delete from core.stock_movements where nomenclature_id = 3")
    assert [row["row_count"] for row in trail(shop, "stock_movements")] == [moved, 1]
    assert trail(shop, "stock_movements")[1]["reason"] is None


def test_nobody_deletes_without_a_trace(shop: Connection) -> None:
    shop.execute("set local weighhouse.audit = 'summary'")
    shop.execute("delete from core.stock_movements where nomenclature_id = 3")
    shop.execute("update core.stock_movements set in_kg = 99 where document_number = 'in 1'")
    rows = trail(shop, "stock_movements")
    assert [(row["action"], row["row_count"]) for row in rows] == [("delete", 1), ("update", 1), ("update", 1)]  # fmt: skip
    shop.execute("update core.settings set value = '0.3' where name = 'fit.cv'")
    assert len(trail(shop, "settings")) == 1


def test_taking_back_a_large_import_costs_no_row_a_row(db: Connection) -> None:
    n = 100_000
    number = domain.receive(db, BREAM, 1, "2025-01-06")
    db.execute(
        "insert into core.stock_movements (posted_at, nomenclature_id, warehouse_id, operation, out_kg, source_data_id, line)"
        " select timestamptz '2025-01-07' + n * interval '1 minute', 1, 1, 'sale', 0.1, %s, n from generate_series(1, %s) as n",
        (number, n),
    )
    # The same deletion without triggers, as the measure.
    seconds = {"replica": math.inf, "origin": math.inf}
    for _ in range(timing.TRIES):
        for role, shortest in seconds.items():
            db.execute("savepoint here")
            db.execute(f"set local session_replication_role = {role}")
            begun = time.monotonic()
            db.execute("select * from api.undo_import(%s)", (number,))
            seconds[role] = min(shortest, time.monotonic() - begun)
            rows = trail(db, "stock_movements")
            db.execute("rollback to here")
        assert [row["row_count"] for row in rows] == [n + 1]
        if seconds["origin"] < 3 * seconds["replica"] + 0.5:
            break
    assert seconds["origin"] < 3 * seconds["replica"] + 0.5


# --------------------------------------------------------------------------------------- who may what


@pytest.fixture
def fitter(server_url: str) -> Iterator[str]:
    name = f"wh_audited_{uuid.uuid4().hex[:8]}"
    with admin(server_url) as connection:
        connection.execute(
            sql.SQL("create role {} login in role weighhouse_fitter").format(sql.Identifier(name))
        )
    yield name
    with admin(server_url) as connection:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_the_trail_names_who_logged_in_and_cannot_be_written(shop: Connection, fitter: str) -> None:
    shop.execute(sql.SQL("set session authorization {}").format(sql.Identifier(fitter)))
    shop.execute("update core.settings set value = '0.3' where name = 'fit.cv'")
    shop.execute("set local role weighhouse_fitter")
    shop.execute("update core.settings set value = '0.4' where name = 'fit.cv'")
    rows = trail(shop, "settings")
    assert [(row["by_role"], row["acting_role"]) for row in rows] == [
        (fitter, fitter), (fitter, "weighhouse_fitter")]  # fmt: skip
    for attempt in (
        "update core.audit_log set by_role = 'somebody else'",
        "delete from core.audit_log",
        "truncate core.audit_log",
        "insert into core.audit_log (acting_role, table_name, key, action, after) values ('x', 'settings', '{}', 'insert', '{}')",
        "alter table core.settings disable trigger user",
        "select core.record_change()",
        "set local session_replication_role = replica",
    ):
        with pytest.raises(psycopg.Error) as refused, shop.transaction(force_rollback=True):
            shop.execute(attempt)
        assert refused.value.sqlstate == "42501", attempt
    shop.execute("create temp table forged (name text)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        shop.execute("create trigger forge after insert on pg_temp.forged for each row execute function core.record_change('settings', 'name', '')")  # fmt: skip


# -------------------------------------------------------------------------------------- coefficients


def history(db: Connection, item: str = BREAM) -> list[domain.Row]:
    return domain.rows(db, "select * from api.coefficient_history(%s)", item)


def restore(db: Connection, version: int, reason: str = "March was counted wrong", item: str = BREAM) -> domain.Row:  # fmt: skip
    return domain.one(db, "select * from api.restore_coefficient(%s, %s, %s)", item, version, reason)  # fmt: skip


def test_the_history_has_every_version(shop: Connection) -> None:
    newest, oldest = history(shop)
    assert [(row["version"], row["status"], row["family"]) for row in (newest, oldest)] == [
        (2, "deployed", "linear"), (1, "archived", "exp")]  # fmt: skip
    assert oldest["retired_at"] == newest["deployed_at"]
    curve = domain.one(shop, "select * from api.coefficient(%s)", BREAM)
    assert newest["c"] == curve["c"]
    assert newest["loss_percent_14_days"] == pytest.approx(100 * 14 * curve["c"])
    assert [row["outcome"] for row in history(shop, NEW)] == ["failed", "failed"]


def test_versions_are_compared_by_coefficients_and_losses(shop: Connection) -> None:
    shop.execute("update core.coefficients set se_c = 0.0005, coefficient_c = 0.008 where id = (select max(id) from core.coefficients where nomenclature_id = 1)")  # fmt: skip
    shop.execute("update core.coefficients set family = 'linear', coefficient_a = 0, coefficient_b = 0, coefficient_c = 0.01, se_a = null, se_b = null, se_c = 0.0012 where id = (select min(id) from core.coefficients where nomenclature_id = 1)")  # fmt: skip
    rows = {row["measure"]: row for row in domain.rows(shop, "select * from api.compare_coefficients(%s, 1, 2)", BREAM)}  # fmt: skip
    # By hand: sqrt(0.0012^2 + 0.0005^2) = 0.0013; a straight line loses t times as much, in percent.
    assert rows["c"]["difference"] == pytest.approx(-0.002)
    assert rows["c"]["standard_error"] == pytest.approx(0.0013)
    assert rows["c"]["is_within_standard_errors"] is True
    for days in (7, 14, 30):
        row = rows[f"loss_percent_{days}_days"]
        assert (row["value"], row["other_value"]) == (pytest.approx(days), pytest.approx(0.8 * days))  # fmt: skip
        assert row["difference"] == pytest.approx(-0.2 * days)
        assert row["standard_error"] == pytest.approx(0.13 * days)
        assert row["is_within_standard_errors"] is True
    shop.execute("update core.coefficients set se_c = 0.0001")
    assert domain.value(shop, "select bool_or(is_within_standard_errors) from api.compare_coefficients(%s, 1, 2) where measure like 'loss%%'", BREAM) is False  # fmt: skip


def test_curves_of_different_families_differ_in_what_they_lose(shop: Connection) -> None:
    rows = domain.rows(shop, "select * from api.compare_coefficients(%s, 1, 2)", BREAM)
    assert [row["measure"] for row in rows] == ["a", "b", "c", "loss_percent_7_days", "loss_percent_14_days", "loss_percent_30_days"]  # fmt: skip
    assert [row["difference"] is None for row in rows] == [True] * 3 + [False] * 3
    newest, oldest = history(shop)
    assert rows[4]["value"] == pytest.approx(oldest["loss_percent_14_days"])
    assert rows[4]["other_value"] == pytest.approx(newest["loss_percent_14_days"])
    # The error of a(1 - exp(-bt)): both partial derivatives, by hand.
    curve = oldest
    for row, days in zip(rows[3:], (7, 14, 30), strict=True):
        by_a = (1 - math.exp(-curve["b"] * days)) * curve["se_a"]
        by_b = curve["a"] * days * math.exp(-curve["b"] * days) * (curve["se_b"] or 0)
        by_c = days * (newest["se_c"] or 0)
        expected = 100 * math.sqrt(by_a**2 + by_b**2 + by_c**2)
        assert row["standard_error"] == pytest.approx(expected, rel=0.02)


def test_a_restored_curve_answers_at_once(shop: Connection) -> None:
    newest, oldest = history(shop)
    found = restore(shop, 1)
    assert (found["deployed_version"], found["restored_version"], found["is_changed"]) == (
        2,
        1,
        True,
    )
    curve = domain.one(shop, "select * from api.coefficient(%s)", BREAM)
    for name in ("family", "a", "b", "c", "se_a", "se_b"):
        assert curve[name] == oldest[name], name
    assert (curve["version"], curve["outcome"]) == (2, "restored")
    assert curve["reason"] == "taken back to version 1: March was counted wrong"
    assert domain.value(shop, "select a from bi.coefficient where item = %s", BREAM) == oldest["a"]
    expected = domain.value(
        shop,
        "select sum(bi.expected_loss('exp', %s, %s, 0, term_mass, term_age_from, term_age_to))"
        " from core.calculation_data where nomenclature_id = 1 and mode <> 'open'",
        oldest["a"], oldest["b"],
    )  # fmt: skip
    assert domain.value(shop, "select sum(expected_kg) from bi.shrinkage_unexplained where item = %s", BREAM) == pytest.approx(expected)  # fmt: skip
    # The other product keeps its own.
    assert [row["family"] for row in history(shop, ROACH)] == ["linear", "exp"]
    row = domain.one(shop, "select * from bi.audit where table_name = 'coefficients'")
    assert row["reason"] == "March was counted wrong"
    assert "family: linear -> exp" in row["changed"] and "outcome: fitted -> restored" in row["changed"]  # fmt: skip
    event = domain.one(shop, "select event, version, reason from bi.model_event order by event_id desc limit 1")  # fmt: skip
    assert event == {"event": "changed", "version": 2, "reason": "March was counted wrong"}
    assert newest["family"] == "linear"


def test_restoring_again_changes_nothing_and_goes_both_ways(shop: Connection) -> None:
    as_fitted = domain.one(shop, "select * from core.coefficients where id = (select max(id) from core.coefficients where nomenclature_id = 1)")  # fmt: skip
    restore(shop, 1)
    digests = domain.digests(shop)
    events = domain.value(shop, "select count(*) from core.model_event")
    assert restore(shop, 1)["is_changed"] is False
    assert domain.digests(shop) == digests
    assert domain.value(shop, "select count(*) from core.model_event") == events
    assert len(trail(shop, "coefficients")) == 1
    # Its own number: what it was fitted with.
    assert restore(shop, 2, "it was right")["is_changed"] is True
    assert domain.one(shop, "select * from core.coefficients where id = %s", as_fitted["id"]) == as_fitted  # fmt: skip
    assert restore(shop, 2, "it was right")["is_changed"] is False


def test_a_restored_curve_holds_until_a_fit_makes_a_version(shop: Connection) -> None:
    restore(shop, 1)
    assert domain.fit(shop, family="linear")["status"] == "cached"
    assert domain.one(shop, "select outcome from api.coefficient(%s)", BREAM)["outcome"] == "restored"  # fmt: skip
    assert domain.fit(shop, family="power")["version"] == 3
    assert domain.one(shop, "select outcome from api.coefficient(%s)", BREAM)["outcome"] == "fitted"


@pytest.mark.parametrize(
    ("item", "version", "reason"),
    [
        ("НЕТ ТАКОЙ", 1, "x"), (BREAM, 9, "x"), (BREAM, None, "x"), (BREAM, 1, None), (BREAM, 1, "  "),
        (NEW, 1, "x"), (None, 1, "x"),
    ],
)  # fmt: skip
def test_what_cannot_be_restored_is_refused(shop: Connection, item: Any, version: Any, reason: Any) -> None:  # fmt: skip
    digests = domain.digests(shop)
    with pytest.raises(psycopg.Error) as refused, shop.transaction(force_rollback=True):
        restore(shop, version, reason, item)
    assert refused.value.sqlstate == "22023"
    assert refused.value.diag.message_hint
    assert domain.digests(shop) == digests


@pytest.mark.parametrize(
    "call",
    ["coefficient_history('нет')", "compare_coefficients('1', 1, 9)", "compare_coefficients('нет', 1, 2)", "compare_coefficients('1', null, 2)"],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(shop: Connection, call: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        shop.execute(f"select * from api.{call}")
    assert refused.value.sqlstate == "22023"
    assert refused.value.diag.message_hint


def test_before_any_fit_nothing_can_be_restored(db: Connection) -> None:
    domain.receive(db, BREAM, 1, "2025-01-06")
    with pytest.raises(psycopg.Error) as refused:
        restore(db, 1)
    assert refused.value.sqlstate == "ML201"
    assert refused.value.diag.message_hint
