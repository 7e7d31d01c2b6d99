"""What curves expect of periods is stored once; views read it, and never what no longer holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import copied, session
from tests.db import domain
from tests.db.domain import Connection

ITEM = "ПЛОТВА ВЯЛЕНАЯ"
SEEN = "select item, time, expected_kg from bi.{} where item = %s order by time"
VIEWS = ("shrinkage_unexplained", "shrinkage_by_cause")


@pytest.fixture(scope="module")
def stored(server_url: str, fitted: str) -> Iterator[str]:
    """The statements, fitted; what the curves expect is stored."""
    with copied(server_url, fitted) as url:
        with domain.connect(url) as db:
            assert refresh(db) == 24 * 12
            assert refresh(db) == 0
        yield url


@pytest.fixture
def shop(stored: str) -> Iterator[Connection]:
    with session(stored) as db:
        yield db


def refresh(db: Connection) -> int:
    return int(domain.value(db, "select internal.refresh_expected_losses()"))


def seen(db: Connection, view: str, item: str = ITEM) -> list[float]:
    return [row[2] for row in db.execute(SEEN.format(view), (item,)).fetchall()]


def worked_out(db: Connection, view: str, item: str = ITEM) -> list[float]:
    """What the view says where nothing is stored."""
    with db.transaction(force_rollback=True):
        db.execute("delete from core.period_expectation")
        return seen(db, view, item)


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_stored_is_what_the_view_would_work_out(shop: Connection, view: str) -> None:
    expected = worked_out(shop, view)
    assert len(expected) == 12 and min(expected) > 0
    assert seen(shop, view) == pytest.approx(expected, rel=1e-9)
    shop.execute("update core.period_expectation set expected_kg = expected_kg + 1")
    assert seen(shop, view) == pytest.approx([kg + 1 for kg in expected], rel=1e-9)


@pytest.mark.parametrize("view", VIEWS)
def test_a_period_that_changed_is_expected_anew(shop: Connection, view: str) -> None:
    before = seen(shop, view)
    domain.surplus(shop, ITEM, 0.05)
    domain.account(shop)
    after = seen(shop, view)
    assert after != pytest.approx(before, rel=1e-6)
    assert after == pytest.approx(worked_out(shop, view), rel=1e-9)
    # Of this product what came in or after the first receipt; nothing of the others.
    assert 0 < refresh(shop) <= 12
    assert seen(shop, view) == pytest.approx(after, rel=1e-9)


@pytest.mark.parametrize("view", VIEWS)
def test_another_curve_in_force_is_seen_at_once(shop: Connection, view: str) -> None:
    before = seen(shop, view)
    domain.fit(shop, family="linear")
    after = seen(shop, view)
    assert after != pytest.approx(before, rel=1e-6)
    assert after == pytest.approx(worked_out(shop, view), rel=1e-9)
    assert refresh(shop) == 24 * 12
    assert seen(shop, view) == pytest.approx(after, rel=1e-9)
    shop.execute("select * from api.rollback_model('shrinkage')")
    assert seen(shop, view) == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("view", VIEWS)
def test_a_restored_curve_is_seen_at_once(shop: Connection, view: str) -> None:
    first = seen(shop, view)
    domain.fit(shop, family="linear")
    refresh(shop)
    shop.execute("select * from api.restore_coefficient(%s, 1, 'the fit before was right')", (ITEM,))  # fmt: skip
    assert seen(shop, view) == pytest.approx(first, rel=1e-9)


def test_rows_of_periods_that_are_gone_go(shop: Connection) -> None:
    shop.execute(
        "delete from core.calculation_data as c using core.nomenclature as n"
        " where n.id = c.nomenclature_id and n.name = %s",
        (ITEM,),
    )
    refresh(shop)
    assert domain.value(shop, "select count(*) from core.period_expectation") == 23 * 12
