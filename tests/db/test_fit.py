"""Curves from periods: recovery, versions, outcomes, options, cancel, hold-out."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from loader import ingest
from loader.reading import ReadOptions
from tests import timing
from tests.conftest import EXAMPLES, ROOT, copied, session
from tests.db import domain
from tests.db.domain import Connection, balance
from weighhouse.curves import FAMILIES
from weighhouse.shrinkage import predict_shortage

TRUTH: dict[str, dict[str, Any]] = json.loads(
    (ROOT / "tests/data/synthetic_truth.json").read_text("utf-8")
)["skus"]


@pytest.fixture(scope="module")
def statements(server_url: str, imported: str) -> Iterator[str]:
    """The twelve statements, with the surplus two products really have, accounted for."""
    with copied(server_url, imported) as url:
        with domain.connect(url) as db:
            for item, true in TRUTH.items():
                if true["surplus"]:
                    domain.surplus(db, item, true["surplus"])
            domain.account(db)
        yield url


@pytest.fixture
def shop(statements: str) -> Iterator[Connection]:
    with session(statements) as db:
        yield db


def loss(true: dict[str, Any], days: float) -> float:
    return float(-true["a"] * math.expm1(-true["b"] * days) + true["c"] * days)


def coefficients(db: Connection) -> dict[str, domain.Row]:
    return {row["item"]: row for row in domain.rows(db, "select * from bi.coefficient")}


# ------------------------------------------------------------------------------------ SQL and Python


@pytest.mark.parametrize("family", FAMILIES)
def test_curves_in_sql_are_those_in_python(db: Connection, family: str) -> None:
    rng = random.Random(family)
    shape = FAMILIES[family]
    cases: list[tuple[float, float, float, float]] = []
    expected: list[float] = []
    for _ in range(300):
        parameters = [
            10 ** rng.uniform(-9 if name in ("a", "c") else -3, 0.6) for name in shape.parameters
        ]
        if family == "peleg":
            parameters = [10 ** rng.uniform(-1, 5), 10 ** rng.uniform(-1, 4)]
        age = rng.choice([0.0, 10 ** rng.uniform(-9, 4.8), rng.uniform(0, 400)])
        a, b, c = shape.coefficients(parameters)
        cases.append((a, b, c, age))
        with np.errstate(over="ignore"):
            expected.append(float(shape.loss(np.float64(age), *parameters)))
    found = [
        row[0]
        for row in db.execute(
            "select bi.curve_loss(%s, u.a, u.b, u.c, u.t) from unnest(%s::float8[], %s::float8[],"
            " %s::float8[], %s::float8[]) with ordinality as u (a, b, c, t, i) order by u.i",
            (family, *(list(column) for column in zip(*cases, strict=True))),
        ).fetchall()
    ]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("family", FAMILIES)
def test_expected_loss_in_sql_is_the_prediction_of_the_fit(db: Connection, family: str) -> None:
    rng = random.Random(family)
    shape = FAMILIES[family]
    for _ in range(40):
        parameters = [10 ** rng.uniform(-3, -0.2) for _ in shape.parameters]
        if family == "peleg":
            parameters = [10 ** rng.uniform(0, 3), 10 ** rng.uniform(0, 1)]
        a, b, c = shape.coefficients(parameters)
        young = [rng.uniform(0, 60) for _ in range(6)]
        old = [age + rng.uniform(0, 40) for age in young]
        mass = [rng.uniform(-5, 20) for _ in young]
        found = domain.value(
            db,
            "select bi.expected_loss(%s, %s, %s, %s, %s::float8[], %s::float8[], %s::float8[])",
            family, a, b, c, mass, young, old,
        )  # fmt: skip
        expected = predict_shortage(family, [a], [b], [c], [0], mass, young, old)
        assert found == pytest.approx(float(expected[0]), rel=1e-9, abs=1e-9), parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_no_age_and_no_coefficient_makes_a_curve_fail(db: Connection, family: str) -> None:
    # exp() and power() of PostgreSQL raise on underflow and overflow.
    found = db.execute(
        """
        select count(*) filter (where s.x >= 0 and s.x < 'infinity'), count(*)
        from unnest(array[0, 1e-9, 1e-4, 0.5, 4]::float8[]) as b (b)
        cross join unnest(array[0, 1e-9, 0.2, 4]::float8[]) as c (c)
        cross join unnest(array[0, 1e-300, 1e-9, 1, 365, 73000]::float8[]) as t (t)
        cross join lateral bi.curve_loss(%s, 0.1, b.b, c.c, t.t) as s (x)
        """,
        (family,),
    ).fetchone()
    assert found is not None
    assert found[0] == found[1] == 120


def test_what_is_not_known_stays_unknown(db: Connection) -> None:
    assert domain.value(db, "select bi.curve_loss('exp', null, 0.1, 0, 7)") is None
    assert domain.value(db, "select bi.curve_loss('exp', 0.1, null, 0, 7)") is None
    assert domain.value(db, "select bi.curve_loss('exp', 0.1, 0.1, 0, null)") is None
    assert domain.value(db, "select bi.curve_loss('no such', 0.1, 0.1, 0, 7)") is None
    assert (
        domain.value(db, "select bi.expected_loss('exp', null, 0.1, 0, '{1}', '{0}', '{7}')")
        is None
    )
    assert domain.value(db, "select bi.expected_loss('exp', 0.1, 0.1, 0, '{}', '{}', '{}')") is None


def test_a_batch_loses_at_most_all(db: Connection) -> None:
    assert domain.value(db, "select internal.batch_loss('linear', 0, 0, 0.1, 5, 50)") == 1
    assert domain.value(db, "select internal.batch_loss('linear', 0, 0, 0.1, 10, 1)") is None


# ----------------------------------------------------------------------------------------- recovery


def test_with_b_and_c_known_a_comes_within_one_percent(shop: Connection) -> None:
    given = {key: {item: true[key] for item, true in TRUTH.items()} for key in "bc"}
    done = domain.fit(shop, family="exp_linear", **given)
    assert (done["status"], done["item_count"], done["failed_count"]) == ("fitted", 24, 0)
    found = coefficients(shop)
    assert found.keys() == TRUTH.keys()
    for item, true in TRUTH.items():
        assert found[item]["a"] == pytest.approx(true["a"], rel=0.01), item
        assert (found[item]["b"], found[item]["c"]) == (true["b"], true["c"])
    # What was given is not judged.
    assert domain.rows(shop, "select * from bi.fit_holdout") == []


def test_with_b_by_type_the_loss_comes_within_five_percent_or_is_said_not_to(
    shop: Connection,
) -> None:
    domain.fit(shop)
    found = coefficients(shop)
    identified = 0
    for item, true in TRUTH.items():
        row = found[item]
        assert row["outcome"] in ("fitted", "pooled")
        if row["b_is_identified"]:
            identified += 1
            assert row["loss_percent_14_days"] == pytest.approx(100 * loss(true, 14), rel=0.05), (
                item
            )
        else:
            assert row["reason"], item
    assert identified >= 16
    types = {row["product_type"]: row for row in domain.rows(shop, "select * from bi.fit_by_type")}
    for item, row in found.items():
        assert row["b_is_identified"] == types[row["product_type"]]["b_is_identified"], item


def test_ignoring_the_surplus_loses_half_of_the_coefficient(shop: Connection) -> None:
    # Worked example E33: 0.464 and 0.322 of the true a (tolerance 0.01).
    shop.execute("update core.surplus_specifications set is_active = false")
    domain.account(shop)
    given = {key: {item: true[key] for item, true in TRUTH.items()} for key in "bc"}
    domain.fit(shop, family="exp_linear", kappa=0, **given)
    found = coefficients(shop)
    for item, share in (("ЛЕЩ ВЯЛЕНАЯ", 0.464), ("СКУМБРИЯ Х/К", 0.322)):
        assert found[item]["a"] / TRUTH[item]["a"] < 1.5 * share, item


def test_hold_out_is_stored_and_shown(shop: Connection) -> None:
    domain.fit(shop)
    rows = {row["product_type"]: row for row in domain.rows(shop, "select * from bi.fit_holdout")}
    assert rows.keys() == {row["product_type"] for row in coefficients(shop).values()}
    for kind, row in rows.items():
        # Four products, three periods each.
        assert row["n"] == 12, kind
        assert 0 < row["wape_model"] < 25, kind
        assert 0 <= row["coverage_80"] <= 1
        assert abs(row["mbe"]) <= row["mae"]
        assert row["is_better"] == (
            row["wape_model"] < min(row["wape_type_rate"], row["wape_last_percent"])
        )
    assert sum(row["is_better"] for row in rows.values()) >= 5


def test_expectations_are_filled_with_ages(shop: Connection) -> None:
    domain.fit(shop, family="exp")
    found = domain.one(
        shop,
        "select count(*) as n, count(adjusted_shrinkage_rate) as rates, count(pre_shrinkage_amount) as before,"
        " min(adjusted_shrinkage_rate) as least, max(adjusted_shrinkage_rate) as most"
        " from core.calculation_data where mode = 'posted'",
    )
    assert found["n"] == found["rates"] == found["before"] == 288
    assert 0 < found["least"] < found["most"] < 0.5
    factors = domain.one(
        shop,
        "select min(pre_shrinkage_factor) as least, max(pre_shrinkage_factor) as most,"
        " bool_and(adjusted_for_pre_shrinkage) as adjusted from core.coefficients",
    )
    # Older batches dry more slowly.
    assert 0 < factors["least"] < factors["most"] <= 1
    assert factors["adjusted"]


# ----------------------------------------------------------------------------------------- versions


def test_the_same_data_is_the_same_version(shop: Connection) -> None:
    first = domain.fit(shop, family="exp")
    before = domain.digests(shop)
    again = domain.fit(shop, family="exp")
    assert (first["version"], first["status"]) == (1, "fitted")
    assert (again["version"], again["status"]) == (1, "cached")
    assert {k: v for k, v in again.items() if k.endswith("count")} == {
        k: v for k, v in first.items() if k.endswith("count")
    }
    assert domain.digests(shop) == before
    assert again["duration_seconds"] < first["duration_seconds"]


def test_accounting_again_keeps_the_version(shop: Connection) -> None:
    domain.fit(shop, family="exp")
    assert domain.account(shop)["changed_count"] == 0
    assert domain.fit(shop, family="exp")["status"] == "cached"


@pytest.mark.parametrize(
    "change",
    [
        "update core.calculation_data set difference_kg = difference_kg - 0.001 where id ="
        " (select max(id) from core.calculation_data where mode = 'posted')",
        "update core.calculation_data set flags = array['unit_jump'] where id ="
        " (select max(id) from core.calculation_data where mode = 'posted')",
        "update core.nomenclature set product_type = 'salted' where name = 'ЛЕЩ Х/К'",
        "update core.settings set value = '0.3' where name = 'fit.cv'",
        "update core.product_type_mapping set factor_b = 0.5 where product_type = 'fresh'",
    ],
)
def test_what_bears_on_the_curves_makes_a_new_version(shop: Connection, change: str) -> None:
    domain.fit(shop, family="exp")
    assert shop.execute(change).rowcount >= 1
    done = domain.fit(shop, family="exp")
    assert (done["version"], done["status"]) == (2, "fitted")


def test_other_options_are_another_version(shop: Connection) -> None:
    assert domain.fit(shop, family="exp")["version"] == 1
    assert domain.fit(shop, family="linear")["version"] == 2
    assert set(row["family"] for row in coefficients(shop).values()) == {"linear"}


# ----------------------------------------------------------------------------------------- outcomes


def test_each_product_has_an_outcome(db: Connection) -> None:
    domain.move(
        db,
        *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 6, ages=(0, 9, 20)),
        *domain.weeks("ЛЕЩ ВЯЛЕНЫЙ", 6, ages=(2, 12, 30)),
        *domain.weeks("ЩУКА ВЯЛЕНАЯ", 1, ages=(5,)),
    )
    # No period of its own: received, never counted.
    domain.receive(db, "СУДАК ВЯЛЕНЫЙ", 10.0, "2025-01-06")
    # A type with one period, and a type with none.
    domain.move(db, *domain.weeks("ЩУКА СВЕЖАЯ", 1))
    domain.receive(db, "ТРЕСКА МОРОЖЕНАЯ", 10.0, "2025-01-06")
    domain.account(db)
    done = domain.fit(db)
    found = coefficients(db)
    outcomes = {item: row["outcome"] for item, row in found.items()}
    assert outcomes["ПЛОТВА ВЯЛЕНАЯ"] in ("fitted", "pooled")
    assert outcomes["ЩУКА ВЯЛЕНАЯ"] == "pooled"
    assert outcomes["СУДАК ВЯЛЕНЫЙ"] == "type_curve"
    assert outcomes["ТРЕСКА МОРОЖЕНАЯ"] == "failed"
    counts = {key: done[f"{key}_count"] for key in ("fitted", "pooled", "type_curve", "failed")}
    assert done["item_count"] == sum(counts.values()) == 6
    assert counts == {key: list(outcomes.values()).count(key) for key in counts}

    alone = found["СУДАК ВЯЛЕНЫЙ"]
    kind = domain.one(db, "select * from bi.fit_by_type where product_type = 'dried'")
    assert (alone["a"], alone["b"]) == pytest.approx((kind["a"], kind["b"]))
    assert (alone["period_count"], alone["reason"]) == (0, "no valid period of its own")
    assert alone["age_max_days"] == kind["age_max_days"]
    assert alone["r2"] is None

    single = found["ЩУКА СВЕЖАЯ"]
    assert single["a"] > 0
    assert not single["b_is_identified"]
    assert single["reason"]
    failed = found["ТРЕСКА МОРОЖЕНАЯ"]
    assert (failed["a"], failed["reason"]) == (None, "the type has no valid period")
    # The level of the two with a history is the truth; b too.
    for item in ("ПЛОТВА ВЯЛЕНАЯ", "ЛЕЩ ВЯЛЕНЫЙ"):
        assert found[item]["loss_percent_14_days"] == pytest.approx(
            100 * loss({"a": 0.1, "b": 0.1, "c": 0}, 14), rel=0.05
        )


def test_bad_data_of_one_product_do_not_stop_the_others(shop: Connection) -> None:
    bad = {
        "ЛЕЩ Х/К": "term_mass = array_fill('NaN'::float8, array[cardinality(term_mass)])",
        "ПЛОТВА ВЯЛЕНАЯ": "term_age_to = array_fill('Infinity'::float8, array[cardinality(term_mass)])",
        "ЛЕЩ С/С": "term_age_from = array_fill(-5::float8, array[cardinality(term_mass)])",
        "СКУМБРИЯ С/С": "term_mass = null",
        "ГОРБУША С/С": "term_mass[1] = null",
    }
    bad = {item: change for item, change in bad.items() if item in TRUTH}
    assert len(bad) >= 4
    domain.fit(shop, family="exp")
    good = coefficients(shop)
    for item, change in bad.items():
        shop.execute(
            f"update core.calculation_data set {change} where mode = 'posted' and nomenclature_id ="
            " (select id from core.nomenclature where name = %s)",
            (item,),
        )
    done = domain.fit(shop, family="exp")
    found = coefficients(shop)
    assert done["item_count"] == 24
    for item in bad:
        assert found[item]["outcome"] in ("failed", "type_curve"), item
        assert found[item]["reason"], item
    for item in found.keys() - bad.keys():
        assert found[item]["outcome"] in ("fitted", "pooled"), item
        if good[item]["product_type"] not in ("salted", "dried", "cold_smoked"):
            assert found[item]["a"] == pytest.approx(good[item]["a"]), item


def test_absurd_masses_are_no_reason_to_fail(db: Connection) -> None:
    domain.move(db, *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 5), *domain.weeks("ЩУКА СВЕЖАЯ", 5))
    domain.balances(
        db,
        balance("ВОБЛА ВЯЛЕНАЯ", 90_000_000_000, 1.0, 1.0, 10.0),
        balance("ЛЕЩ ВЯЛЕНЫЙ", 0.001, 0, 0, 90_000_000_000, "2025-02-03", "2025-02-09"),
        balance("КОРЮШКА СВЕЖАЯ", 0.001, 0.0, 0.0, 0.0),
    )
    domain.account(db)
    done = domain.fit(db)
    assert done["item_count"] == 5
    assert done["failed_count"] <= 2
    found = coefficients(db)
    assert found["ЩУКА СВЕЖАЯ"]["outcome"] in ("fitted", "pooled")
    assert 0 < found["ПЛОТВА ВЯЛЕНАЯ"]["a"] < 1


# -------------------------------------------------------------------------------------- batch ages


def test_flat_balances_alone_are_fitted_and_marked_as_without_ages(fresh_url: str) -> None:
    ingest.import_file(
        fresh_url,
        str(EXAMPLES / "flat_balances_cp1251.csv"),
        ReadOptions(encoding="cp1251"),
        ingest.ImportOptions(time_zone=domain.ZONE),
    )
    with domain.connect(fresh_url) as db:
        domain.account(db)
        done = domain.fit(db)
        assert done["failed_count"] == 0
        found = domain.rows(
            db, "select adjusted_for_pre_shrinkage as adjusted, pre_shrinkage_factor as factor,"
            " coefficient_a as a, period_count from core.coefficients",
        )  # fmt: skip
        assert len(found) == 24
        assert {(row["adjusted"], row["factor"]) for row in found} == {(False, 1)}
        # One of the 288 is a misplaced decimal point, and the period after it starts with a gap.
        assert sum(row["period_count"] for row in found) in (286, 287)
        before = domain.value(db, "select count(pre_shrinkage_amount) from core.calculation_data")
        assert before == 0


def test_where_a_type_has_ages_periods_without_take_no_part(db: Connection) -> None:
    aged = [
        *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 6, ages=(0, 9, 20)),
        *domain.weeks("ЛЕЩ ВЯЛЕНЫЙ", 6, ages=(2, 12, 30)),
    ]
    domain.move(db, *aged)
    domain.account(db)
    domain.fit(db)
    before = coefficients(db)
    # Two weeks of flat balances, that say nothing of ages.
    domain.balances(
        db,
        *(
            balance(item, 20.0, 0.0, 0.0, 19.201, f"2025-0{month}-03", f"2025-0{month}-16")
            for item in ("ПЛОТВА ВЯЛЕНАЯ", "ЩУКА ВЯЛЕНАЯ") for month in (3, 4, 5)
        ),
    )  # fmt: skip
    domain.account(db)
    assert domain.fit(db)["version"] == 2
    after = coefficients(db)
    for item in before:
        assert after[item]["a"] == pytest.approx(before[item]["a"], rel=1e-9), item
        assert after[item]["period_count"] == 6
    assert after["ЩУКА ВЯЛЕНАЯ"]["outcome"] == "type_curve"
    # Where nothing has ages they are all there is.
    domain.balances(
        db, balance("ЩУКА Х/К", 20.0, 0.0, 0.0, 19.7), balance("ЛЕЩ Х/К", 20.0, 0.0, 0.0, 19.6)
    )
    domain.account(db)
    domain.fit(db)
    rows = domain.rows(
        db, "select n.name, k.adjusted_for_pre_shrinkage as adjusted, k.period_count as n"
        " from core.coefficients as k inner join core.nomenclature as n on n.id = k.nomenclature_id"
        " where k.model_id = (select max(id) from core.model_versions) and n.product_type = 'cold_smoked' order by n.name",
    )  # fmt: skip
    assert rows == [{"name": name, "adjusted": False, "n": 1} for name in ("ЛЕЩ Х/К", "ЩУКА Х/К")]


# ------------------------------------------------------------------------------------------ options


@pytest.mark.parametrize(
    "options",
    [
        [], "exp", {"famly": "exp"}, {"family": "cubic"}, {"family": None}, {"cv": -1}, {"cv": "big"},
        {"kappa": -1}, {"default_b": 0}, {"b": "fast"}, {"b": [0.1]}, {"b": 0}, {"b": -0.1},
        {"b": {"dried": "fast"}}, {"c": -0.1}, {"b": {"no such fish": 0.1}}, {"b": 1e300},
        {"family": "power", "b": 0.05},
    ],
    ids=str,
)  # fmt: skip
def test_options_are_checked(db: Connection, options: Any) -> None:
    domain.move(db, *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 2))
    domain.account(db)
    with pytest.raises(psycopg.Error) as refused:
        db.execute("select * from api.fit_shrinkage(%s)", (json.dumps(options),))
    assert refused.value.sqlstate == "22023"
    assert refused.value.diag.message_hint


def test_b_for_some_products_of_a_type_only_is_refused(db: Connection) -> None:
    domain.move(db, *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 2), *domain.weeks("ЛЕЩ ВЯЛЕНЫЙ", 2))
    domain.account(db)
    with pytest.raises(psycopg.Error) as refused:
        domain.fit(db, b={"ПЛОТВА ВЯЛЕНАЯ": 0.1})
    assert refused.value.sqlstate == "22023"
    assert refused.value.diag.message_hint


def test_b_by_type_and_for_all(db: Connection) -> None:
    domain.move(db, *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 4), *domain.weeks("ЩУКА СВЕЖАЯ", 4))
    domain.account(db)
    domain.fit(db, b={"dried": 0.1})
    assert coefficients(db)["ПЛОТВА ВЯЛЕНАЯ"]["a"] == pytest.approx(0.1, rel=0.01)
    domain.fit(db, b=0.1)
    for row in coefficients(db).values():
        assert (row["a"], row["b"]) == (pytest.approx(0.1, rel=0.01), 0.1)


def test_a_fit_of_nothing(db: Connection) -> None:
    done = domain.fit(db)
    assert (done["item_count"], done["status"]) == (0, "fitted")
    assert domain.fit(db)["status"] == "cached"


# -------------------------------------------------------------------------------- at once, cancelled


def test_a_second_fit_at_once_is_refused(fresh_url: str) -> None:
    with domain.connect(fresh_url) as first, domain.connect(fresh_url) as second:
        domain.fit(first)
        with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
            domain.fit(second)
        assert (refused.value.sqlstate, bool(refused.value.diag.message_hint)) == ("55P03", True)
        second.rollback()
        first.commit()
        assert domain.fit(second)["status"] == "cached"


def fill_with_periods(db: Connection, products: int, periods: int) -> None:
    """Made-up periods straight into calculation_data: the movements behind them do not matter here."""
    db.execute("insert into core.warehouses (name) values ('made up')")
    db.execute(
        "insert into core.nomenclature (name, product_type, name_key)"
        " select 'item ' || i, 'made up', 'item ' || i from generate_series(1, %s) as i",
        (products,),
    )
    db.execute(
        """
        insert into core.calculation_data (nomenclature_id, warehouse_id, initial_balance, final_balance,
            calculation_date, data_quality_flag, inventory_confidence, inventory_period_start, inventory_period_end,
            is_valid_inventory_period, mode, difference_kg, kg_days, count_sigma_kg, has_opening_count,
            term_mass, term_age_from, term_age_to, term_is_receipt, pre_shrinkage_days)
        select n.id, 1, 20, 20, k.at + interval '7 days', 'clean', 0.9, k.at, k.at + interval '7 days', true, 'posted',
            -(select sum(m * (1 - (0.9 + 0.1 * exp(-0.1 * (t + 7))) / (0.9 + 0.1 * exp(-0.1 * t))))
              from unnest(x.mass, x.young) as u (m, t)) * (1 + 0.3 * sin(n.id * 12.9898 + k.week * 78.233)),
            140, 0.001, true, x.mass, x.young, array(select t + 7 from unnest(x.young) as u (t)), '{f,f,f,f,f,f}', 5
        from core.nomenclature as n
        cross join lateral (
            select w as week, timestamptz '2024-01-01' + w * interval '7 days' as at from generate_series(0, %s - 1) as w
        ) as k
        cross join lateral (
            select array[10, 5, 3, 2, 1, 1]::float8[] as mass,
                array[1, 4, 9, 16, 25, 36]::float8[] as ages, array(select (n.id + k.week) %% 7 + a from unnest(array[0, 3, 8, 15, 24, 35]) as a)::float8[] as young
        ) as x
        """,
        (periods,),
    )


def test_a_cancelled_fit_stops_at_once_and_leaves_what_was_served(fresh_url: str) -> None:
    with domain.connect(fresh_url) as db:
        domain.move(db, *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 4))
        domain.account(db)
        domain.fit(db)
        fill_with_periods(db, 2000, 40)
        db.commit()
        served = domain.rows(db, "select * from api.coefficient('ПЛОТВА ВЯЛЕНАЯ')")
        assert served[0]["version"] == 1
        db.rollback()

        def stopped(delay: float) -> float:
            begun = threading.Event()
            ended: dict[str, Any] = {}

            def run() -> None:
                with domain.connect(fresh_url) as other:
                    ended["pid"] = other.info.backend_pid
                    begun.set()
                    try:
                        domain.fit(other)
                        ended["state"] = "finished"
                    except psycopg.Error as error:
                        ended["state"] = error.sqlstate
                    ended["at"] = time.monotonic()
                    other.rollback()

            thread = threading.Thread(target=run)
            thread.start()
            begun.wait()
            time.sleep(delay)
            asked = time.monotonic()
            db.execute("select pg_cancel_backend(%s)", (ended["pid"],))
            db.commit()
            thread.join()
            assert ended["state"] == "57014", delay
            assert domain.value(db, "select count(*) from core.model_versions") == 1
            assert domain.rows(db, "select * from api.coefficient('ПЛОТВА ВЯЛЕНАЯ')") == served
            db.rollback()
            return float(ended["at"] - asked)

        for delay in (0.4, 1.2, 2.5):
            assert timing.best(lambda delay=delay: stopped(delay), 2) < 2, delay  # type: ignore[misc]
