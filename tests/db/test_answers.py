"""Answers from stored curves: plain SQL, in force at a time, honest where nothing is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests import timing
from tests.conftest import copied, session
from tests.db import domain
from tests.db.domain import Connection

ITEM = "ПЛОТВА ВЯЛЕНАЯ"
OTHER = "ЛЕЩ ВЯЛЕНЫЙ"
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture(scope="module")
def fitted(server_url: str, template: str) -> Iterator[str]:
    """Two products that lose 0.1 (1 - exp(-0.1 t)), ages up to 37 days, and what was fitted to them."""
    with copied(server_url, template) as url:
        with domain.connect(url) as db:
            domain.move(
                db,
                *domain.weeks(ITEM, 6, ages=(0, 9, 20)),
                *domain.weeks(OTHER, 6, ages=(2, 12, 30)),
            )
            domain.account(db)
            domain.fit(db, family="exp")
        yield url


@pytest.fixture
def shop(fitted: str) -> Iterator[Connection]:
    with session(fitted) as db:
        yield db


def shrinkage(db: Connection, item: str = ITEM, **more: Any) -> domain.Row:
    question = {"mass": 10.0} | more
    names = ", ".join(f"{name} => %s" for name in question)
    return domain.one(db, f"select * from api.shrinkage(%s, {names})", item, *question.values())


# --------------------------------------------------------------------------------------- the answer


def test_the_loss_is_that_of_the_curve(shop: Connection) -> None:
    curve = domain.one(shop, "select * from api.coefficient(%s)", ITEM)
    for age, days in ((0, 7), (13, 6), (5.5, 0)):
        found = shrinkage(shop, from_age=age, days=days)
        left = [1 - domain.value(shop, "select bi.curve_loss('exp', %s, %s, 0, %s)", curve["a"], curve["b"], t)
                for t in (age, age + days)]  # fmt: skip
        assert found["loss_fraction"] == pytest.approx(1 - left[1] / left[0])
        assert found["loss_kg"] == pytest.approx(10 * found["loss_fraction"])
        assert found["left_kg"] == pytest.approx(10 - found["loss_kg"])
        assert found["low_kg"] == pytest.approx(found["loss_kg"] * (1 - 1.2816 * 0.25))
        assert found["high_kg"] == pytest.approx(found["loss_kg"] * (1 + 1.2816 * 0.25))
        assert (found["is_extrapolated"], found["reason"], found["version"]) == (False, None, 1)
    # The made-up truth: 10 kg, fresh, a week.
    assert shrinkage(shop, days=7)["loss_kg"] == pytest.approx(
        10 * 0.1 * (1 - 2.718281828**-0.7), rel=0.03
    )


def test_products_are_found_by_name_id_and_spelling(shop: Connection) -> None:
    by_name = shrinkage(shop, ITEM)
    assert shrinkage(shop, str(by_name["item_id"])) == by_name
    assert shrinkage(shop, " плотва  вяленая ") == by_name


def test_ages_beyond_those_seen_are_extrapolation(shop: Connection) -> None:
    seen = domain.value(shop, "select age_max_days from api.coefficient(%s)", ITEM)
    inside = shrinkage(shop, from_age=seen * 1.5 - 7.01, days=7)
    beyond = shrinkage(shop, from_age=seen * 1.5 - 6.99, days=7)
    assert (inside["is_extrapolated"], beyond["is_extrapolated"]) == (False, True)
    assert f"up to {seen:.1f} days" in beyond["reason"]
    assert beyond["loss_kg"] > 0


def test_before_any_fit_there_is_no_figure_but_a_reason(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    curve = domain.one(db, "select * from api.coefficient(%s)", ITEM)
    assert (curve["item"], curve["a"], curve["version"]) == (ITEM, None, None)
    assert "api.fit_shrinkage" in curve["reason"]
    found = shrinkage(db)
    for figure in ("loss_kg", "low_kg", "high_kg", "loss_fraction", "left_kg", "version"):
        assert found[figure] is None, figure
    assert not found["is_extrapolated"]
    assert "api.fit_shrinkage" in found["reason"]


def test_a_failed_fit_gives_no_figure_but_its_reason(db: Connection) -> None:
    domain.receive(db, ITEM, 10.0, "2025-01-06")
    domain.fit(db)
    found = shrinkage(db)
    assert (found["loss_kg"], found["low_kg"], found["high_kg"]) == (None, None, None)
    assert found["reason"] == "the type has no valid period"


def test_a_product_without_periods_answers_with_the_curve_of_its_type(shop: Connection) -> None:
    domain.receive(shop, "СУДАК ВЯЛЕНЫЙ", 1.0, "2025-01-06")
    domain.fit(shop, family="exp")
    found = shrinkage(shop, "СУДАК ВЯЛЕНЫЙ")
    assert found["loss_kg"] > 0
    assert found["reason"] == "no valid period of its own"
    assert not found["is_extrapolated"]


def test_a_curve_that_leaves_nothing_says_so(shop: Connection) -> None:
    shop.execute("update core.coefficients set family = 'linear', coefficient_c = 0.1")
    found = shrinkage(shop, from_age=12, days=1)
    assert found["loss_kg"] is None
    assert "nothing is left" in found["reason"]
    rest = shrinkage(shop, from_age=5, days=30)
    assert (rest["loss_kg"], rest["left_kg"], rest["high_kg"]) == (10, 0, 10)


# ---------------------------------------------------------------------------------- bad questions


@pytest.mark.parametrize(
    "question",
    [
        {name: value}
        for name in ("mass", "from_age", "days")
        for value in (NAN, INFINITY, -INFINITY, -1.0, 1e300, None)
    ],
    ids=str,
)
def test_impossible_numbers_are_refused_at_once(shop: Connection, question: dict[str, Any]) -> None:
    shrinkage(shop)

    def refused() -> float:
        begun = time.monotonic()
        with pytest.raises(psycopg.Error) as error, shop.transaction():
            shrinkage(shop, **question)
        assert error.value.sqlstate == "22023"
        assert error.value.diag.message_hint
        return time.monotonic() - begun

    assert timing.best(refused, 0.1) < 0.1


@pytest.mark.parametrize("ask", ["api.coefficient(%s)", "api.shrinkage(%s, 10)"])
def test_an_unknown_product_is_refused_with_close_names(shop: Connection, ask: str) -> None:
    for name in (
        "ПЛОТВА ВЯЛЕННАЯ",
        "ПЛОТВА",
        "",
        None,
        "999999",
        "'; drop table core.model_versions; --",
    ):
        with shop.transaction(force_rollback=True), pytest.raises(psycopg.Error) as refused:
            shop.execute(f"select * from {ask}", (name,))
        assert refused.value.sqlstate == "22023", name
        assert refused.value.diag.message_hint, name
        if name and name.startswith("ПЛОТВА"):
            assert refused.value.diag.message_hint.startswith(f"Close names: {ITEM}"), name


def test_a_name_of_two_types_is_refused_with_its_ids(shop: Connection) -> None:
    shop.execute(
        "insert into core.nomenclature (name, product_type, name_key)"
        " select name, 'own', name_key from core.nomenclature where name = %s",
        (ITEM,),
    )
    with pytest.raises(psycopg.Error) as refused:
        shrinkage(shop)
    assert refused.value.sqlstate == "22023"
    assert "by its id" in (refused.value.diag.message_hint or "")


# ------------------------------------------------------------------------------------------ in force


def test_the_version_in_force_at_a_time(fresh_url: str) -> None:
    with domain.connect(fresh_url, autocommit=True) as db:
        domain.move(db, *domain.weeks(ITEM, 4))
        domain.account(db)
        never = domain.value(db, "select clock_timestamp()")
        domain.fit(db, family="exp")
        first = domain.value(db, "select clock_timestamp()")
        domain.fit(db, family="linear")
        found = [
            domain.one(
                db, "select version, family, a, reason from api.coefficient(%s, %s)", ITEM, at
            )
            for at in (never, first, first + timedelta(days=1))
        ]
    assert [row["version"] for row in found] == [None, 1, 2]
    assert [row["family"] for row in found] == [None, "exp", "linear"]
    assert "by then" in found[0]["reason"]


# ----------------------------------------------------------------------------------------- no Python


def test_answers_need_no_python(fitted: str) -> None:
    with domain.connect(fitted) as db:
        shrinkage(db)
        domain.rows(db, "select * from api.coefficient(%s)", ITEM)
        domain.rows(db, "select * from bi.coefficient")
        domain.rows(db, "select * from bi.shrinkage_unexplained")
        db.execute(
            "do $$\nimport sys\nif 'numpy' in sys.modules or 'weighhouse' in sys.modules:\n"
            "    plpy.error('Python was loaded')\n$$ language plpython3u"
        )


def test_no_answer_function_is_in_python(shop: Connection) -> None:
    # All that api and bi call, however deep, as the catalogue knows it (bodies in begin atomic), and
    # the PL/pgSQL helpers by name.
    languages = shop.execute(
        """
        with recursive called as (
            select p.oid from pg_proc as p
            where p.oid in ('api.coefficient(text, timestamptz)'::regprocedure,
                'api.shrinkage(text, float8, float8, float8)'::regprocedure)
            union
            select d.refobjid from called as c
            inner join pg_depend as d on d.classid = 'pg_proc'::regclass and d.objid = c.oid
                and d.refclassid = 'pg_proc'::regclass
        )
        select p.proname, l.lanname from called as c
        inner join pg_proc as p on p.oid = c.oid inner join pg_language as l on l.oid = p.prolang
        """
    ).fetchall()
    assert {language for _, language in languages} == {"sql", "plpgsql"}
    assert {"batch_loss", "find_item", "check_shrinkage_question"} <= {
        name for name, _ in languages
    }


@pytest.mark.parametrize(
    "question",
    [
        "select * from api.coefficient('ПЛОТВА ВЯЛЕНАЯ')",
        "select * from api.shrinkage('ПЛОТВА ВЯЛЕНАЯ', 10)",
        "select * from bi.coefficient",
        "select * from bi.shrinkage_unexplained",
    ],
)
def test_plans_hold_no_python(shop: Connection, question: str) -> None:
    plan = "\n".join(row[0] for row in shop.execute("explain (verbose) " + question).fetchall())
    for name in ("fit_curves", "account_item", "account_rows", "load_code", "python"):
        assert name not in plan


def test_an_answer_takes_milliseconds(shop: Connection) -> None:
    shrinkage(shop)

    def answered() -> float:
        seconds = []
        for _ in range(20):
            begun = time.monotonic()
            shrinkage(shop)
            seconds.append(time.monotonic() - begun)
        return min(seconds)

    assert timing.best(answered, 0.02) < 0.02


# -------------------------------------------------------------------------------------------- views


def test_what_drying_does_not_explain(shop: Connection) -> None:
    before = domain.rows(shop, "select * from bi.shrinkage_unexplained")
    assert len(before) == 12
    for row in before:
        assert row["expected_kg"] == pytest.approx(row["shortage_kg"], rel=0.1)
        assert row["unexplained_kg"] == 0
    # 1.5 kg more are gone at one count.
    domain.move(
        shop, domain.movement("stock_take", ITEM, -1.5, "2025-01-12 19:00:00", number="more")
    )
    domain.account(shop)
    worst = domain.rows(
        shop, "select * from bi.shrinkage_unexplained order by unexplained_kg desc limit 1"
    )[0]
    assert worst["item"] == ITEM
    assert worst["unexplained_kg"] > 0.4


def test_views_are_empty_not_wrong_before_any_fit(db: Connection) -> None:
    domain.move(db, *domain.weeks(ITEM, 2))
    domain.account(db)
    db.execute("select * from api.refresh_analytics()")
    for view in ("coefficient", "fit_by_type", "fit_holdout", "shrinkage_unexplained", "analytics"):
        assert domain.rows(db, f"select * from bi.{view}") == [], view
    assert len(domain.rows(db, "select * from bi.balance")) == 2


def test_surplus_specifications_are_checked(shop: Connection) -> None:
    domain.surplus(shop, ITEM, 0.05)
    for share, start, code in (
        (NAN, "2025-01-01", "22023"), (1.0, "2025-01-01", "22023"), (-0.5, "2025-01-01", "22023"),
        (None, "2025-01-01", "22023"), (0.05, None, "22023"), (0.02, "2025-02-01", "23P01"),
    ):  # fmt: skip
        with shop.transaction(force_rollback=True), pytest.raises(psycopg.Error) as refused:
            shop.execute("select api.add_surplus_specification(%s, %s, %s)", (ITEM, share, start))
        assert refused.value.sqlstate == code, share
        assert refused.value.diag.message_hint
