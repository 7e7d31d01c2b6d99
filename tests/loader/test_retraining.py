"""Retraining from the command line."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.loader.command_line import one, run


@pytest.fixture
def shop(fresh_url: str) -> str:
    """A model in force, and forty days since its fit on which a branch sold twice as much."""
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create schema shop")
        sale = (
            "select '2026-01-01'::date + t as at, 'north' as branch,"
            " (50 + 10 * (t % 7) + t * 37 % 11) * (1 + (t >= 100)::int)::float8 as quantity"
            " from generate_series({}) as t"
        )
        connection.execute(f"create table shop.sale as {sale.format('0, 99')}")
        connection.execute(
            "select * from api.create_model('sales', 'shop.sale', 'at', 'quantity', '{branch}',"
            """ 'theta', '{"horizon": 7}')"""
        )
        connection.execute("select * from api.fit_model('sales')")
        connection.execute(f"insert into shop.sale {sale.format('100, 139')}")
    return fresh_url


def test_a_model_is_retrained_by_hand_and_when_it_is_due(shop: str) -> None:
    tried = run(shop, "models", "retrain", "sales", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.startswith("sales dry_run: would be deployed: significant")
    assert one(shop, "select count(*) from core.model_retraining_log") == 0
    assert "no model is due" in run(shop, "models", "retrain", "--due").stdout

    with psycopg.connect(shop, autocommit=True) as connection, connection.transaction():
        connection.execute("select internal.lock_model('sales')")
        busy = run(shop, "models", "retrain", "sales")
        assert busy.returncode == 6 and "pid" in busy.stderr

    done = run(shop, "--json", "models", "retrain", "sales", "--reason", "spring")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["decision"], row["old_version"], row["new_version"]) == ("deployed", 1, 2)
    assert one(shop, "select trigger from core.model_retraining_log") == "spring"

    with psycopg.connect(shop) as connection:
        connection.execute("select api.set_retraining_policy('sales', max_age => '1 second')")
        connection.execute("update core.model_versions set parameters_fitted_at = '2026-01-01'")
        connection.execute("alter table shop.sale rename column quantity to amount")
    failed = run(shop, "models", "retrain", "--due")
    assert failed.returncode == 1 and failed.stdout.startswith("sales failed: ")
    assert one(shop, "select version from bi.models where status = 'deployed'") == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 2), (("sales", "--due"), 2), (("--due", "--dry-run"), 2), (("shrinkage",), 4)],
)
def test_what_cannot_be_retrained_is_refused(
    shared_url: str, words: tuple[str, ...], code: int
) -> None:
    done = run(shared_url, "models", "retrain", *words)
    assert done.returncode == code, done.stderr
    assert "hint:" in done.stderr and "Traceback" not in done.stderr
