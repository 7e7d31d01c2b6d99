"""Patterns: what is planted is found, what is not there is not, and people have the last word."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from loader import ingest
from loader.reading import ReadOptions
from tests.conftest import ROOT, copied
from tests.db import domain
from tests.db.domain import Connection, balance, movement
from tests.db.test_worked_examples import given

TRUTH: dict[str, Any] = json.loads((ROOT / "tests/data/synthetic_truth.json").read_text("utf-8"))
MONDAY = date(2023, 1, 2)


def find(db: Connection) -> domain.Row:
    return domain.one(db, "select * from api.find_patterns()")


def patterns(db: Connection, **wanted: str) -> list[domain.Row]:
    """Patterns as people see them, with the figures behind."""
    found = domain.rows(
        db,
        "select p.*, a.pattern_data as data from bi.pattern as p"
        " inner join core.ai_patterns as a on a.id = p.pattern_id order by p.pattern_id",
    )
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def digest(db: Connection) -> str:
    """Where each row stands and who wrote it."""
    return str(
        domain.value(
            db,
            "select md5(string_agg(p.ctid::text || p.xmin::text || p::text, '|' order by p.id))"
            " from core.ai_patterns as p",
        )
    )


def count_rates(
    db: Connection,
    item: str,
    rates: list[float],
    *,
    kg: float = 1000.0,
    days: int = 7,
    start: date = MONDAY,
    warehouse: str = "main",
) -> None:
    """Let nothing but drying happen to `kg` for periods of `days`, at these rates a day."""
    rows = []
    for number, rate in enumerate(rates):
        first = start + timedelta(days=days * number)
        # A surplus is taken to have been there: it counts half into the kg-days.
        lost = kg * days * rate / (1 if rate > 0 else 1 + days * rate / 2)
        last = first + timedelta(days=days - 1)
        rows.append(
            balance(item, kg, 0, 0, round(kg - lost, 3), str(first), str(last), warehouse=warehouse)
        )
    domain.balances(db, *rows)


# --------------------------------------------------------------------------------------- anomalies


def test_e26_an_anomaly_among_the_products_of_a_week(db: Connection) -> None:
    inputs, expected, tolerance = given("E26")
    for number, rate in enumerate(inputs["rates"]):
        count_rates(db, f"РЫБА {number} (замороженная)", [rate / 100])
    domain.account(db)
    answer = find(db)
    assert (answer["period_count"], answer["found_count"], answer["new_count"]) == (10, 1, 1)
    (found,) = patterns(db)
    (place,) = expected["anomalies"]
    assert found["item"] == f"РЫБА {place} (замороженная)"
    assert (found["pattern_type"], found["subtype"], found["status"]) == ("anomaly", "rate", "open")
    assert found["data"]["z"] == pytest.approx(expected["z"][place], abs=tolerance)
    assert 100 * found["data"]["median"] == pytest.approx(expected["median"], abs=tolerance)
    assert 100 * found["data"]["mad"] == pytest.approx(expected["mad"], abs=tolerance)
    assert found["data"]["thresholds"]["z"] == inputs["threshold"]
    assert sorted(100 * rate for rate in found["data"]["group_rates"]) == pytest.approx(
        sorted(inputs["rates"]), abs=1e-4
    )
    assert 0.9 < found["confidence"] <= 1
    assert "gained" in found["description"]


def test_few_products_of_a_week_are_compared_within_the_month(db: Connection) -> None:
    for number in range(4):
        rates = [0.001 + 0.0001 * (number + week) for week in range(4)]
        if number == 2:
            rates[1] = 0.006
        count_rates(db, f"РЫБА {number} (замороженная)", rates)
    domain.account(db)
    find(db)
    (found,) = patterns(db)
    assert (found["item"], found["data"]["span"]) == ("РЫБА 2 (замороженная)", "month")
    # Another warehouse has its own.
    count_rates(db, "РЫБА 9 (замороженная)", [0.02] * 4, warehouse="other")
    domain.account(db)
    assert find(db)["new_count"] == 0


# ------------------------------------------------------------------- trends, seasons, correlations


def steady(number: int, n: int) -> list[float]:
    rng = np.random.default_rng(number)
    return [round(float(rate), 6) for rate in 0.002 * (1 + 0.1 * rng.standard_normal(n))]


def test_a_trend_is_found_and_what_does_not_change_has_none(db: Connection) -> None:
    for number in range(3):
        count_rates(db, f"РЫБА {number} (замороженная)", steady(number, 12))
    rates = [rate + 0.0001 * week for week, rate in enumerate(steady(7, 12))]
    count_rates(db, "СЁМГА (замороженная)", rates)
    domain.account(db)
    find(db)
    (found,) = patterns(db, pattern_type="trend")
    assert (found["item"], found["subtype"]) == ("СЁМГА (замороженная)", "rising")
    assert found["data"]["slope_per_month"] == pytest.approx(0.0001 / 7 * 30.4375, rel=0.25)
    assert found["confidence"] == pytest.approx(1 - found["data"]["p"], abs=1e-5)
    assert found["data"]["rates"] == pytest.approx(rates, abs=1e-6)
    assert str(found["period_start"])[:10] <= str(MONDAY)


def test_five_periods_are_no_trend(db: Connection) -> None:
    count_rates(db, "СЁМГА (замороженная)", [0.001 * week for week in range(1, 6)])
    domain.account(db)
    find(db)
    assert patterns(db, pattern_type="trend") == []
    count_rates(db, "СЁМГА (замороженная)", [0.006], start=MONDAY + timedelta(days=35))
    domain.account(db)
    find(db)
    assert len(patterns(db, pattern_type="trend")) == 1


def test_a_misplaced_decimal_point_is_left_out(db: Connection) -> None:
    rates = steady(7, 12)
    count_rates(db, "СЁМГА (замороженная)", rates)
    count_rates(db, "СЁМГА (замороженная)", [0.9 / 7], start=MONDAY + timedelta(days=84))
    domain.account(db)
    assert "unit_jump" in domain.flags(db, "СЁМГА (замороженная)")[-1]
    assert find(db)["period_count"] == 12


@pytest.mark.parametrize("months", [23, 36])
def test_a_season_needs_two_years(db: Connection, months: int) -> None:
    rates = [
        rate * (2.0 if (month % 12) in (5, 6, 7) else 1.0)
        for month, rate in enumerate(steady(1, months))
    ]
    rows = []
    for month, rate in enumerate(rates):
        first = date(2021 + month // 12, month % 12 + 1, 1)
        last = date(2021 + (month + 1) // 12, (month + 1) % 12 + 1, 1) - timedelta(days=1)
        days = (last - first).days + 1
        rows.append(
            balance(
                "СЁМГА Х/К", 1000, 0, 0, round(1000 - 1000 * days * rate, 3), str(first), str(last)
            )
        )
    domain.balances(db, *rows)
    domain.account(db)
    find(db)
    found = patterns(db, pattern_type="seasonality")
    assert len(found) == (months == 36)
    if found:
        assert found[0]["data"]["high_month"] in (6, 7, 8)
        assert found[0]["data"]["high_effect"] == pytest.approx(0.0015, abs=0.0004)
        assert found[0]["data"]["freedom"] == [11, 23]


def test_the_climate_of_the_warehouse_correlates(db: Connection) -> None:
    rng = np.random.default_rng(5)
    warm = 4 + 3 * rng.standard_normal(16)
    damp = 75 + 5 * rng.standard_normal(16)
    count_rates(db, "СЁМГА Х/К", [round(0.003 + 0.0003 * float(t), 6) for t in warm])
    count_rates(db, "СЁМГА Х/К", steady(3, 16), warehouse="other")
    times, temperature, humidity = [], [], []
    for week in range(16):
        for day in range(7):
            times.append(datetime(2023, 1, 2, 12, tzinfo=UTC) + timedelta(days=7 * week + day))
            temperature.append(float(warm[week]) + (day - 3) / 10)
            humidity.append(None if day == 2 else float(damp[week]))
    add = "select api.add_climate_readings(%s, %s::timestamptz[], %s::float8[], %s::float8[])"
    assert domain.value(db, add, "main", times, temperature, humidity) == 112
    assert domain.value(db, add, "other", times, temperature, humidity) == 112
    domain.account(db)
    find(db)
    (found,) = patterns(db, pattern_type="correlation")
    assert (found["subtype"], found["warehouse"]) == ("temperature", "main")
    assert found["data"]["rho"] > 0.99
    assert found["data"]["test_count"] == 4
    assert found["data"]["means"] == pytest.approx(warm.tolist(), rel=1e-4)
    assert "more the warmer" in found["description"]


def test_climate_readings_are_stored_once_and_impossible_ones_not_at_all(db: Connection) -> None:
    count_rates(db, "СЁМГА Х/К", [0.001])
    add = "select api.add_climate_readings(%s, %s::timestamptz[], %s::float8[], %s::float8[])"
    times = ["2025-01-06 08:00+03", "2025-01-06 09:00+03"]
    assert domain.value(db, add, "main", times, [4.5, None], [80, 81]) == 2
    assert domain.value(db, add, "main", times, [4.5, None], [80, 81]) == 0
    assert domain.value(db, add, "main", times, [4.5, 5.0], None) == 1
    assert domain.rows(db, "select temperature_c as t, humidity_percent as h from bi.climate") == [
        {"t": 4.5, "h": 80.0}, {"t": 5.0, "h": 81.0},
    ]  # fmt: skip
    bad: list[tuple[Any, ...]] = [
        ("nowhere", times, [1, 2], None),
        ("main", times, [1], None),
        ("main", [times[0], None], [1, 2], None),
        ("main", None, [1], None),
        ("main", times, None, [50, 101]),
        ("main", times, [math.nan, 1.0], None),
        ("main", ["infinity", times[0]], [1, 2], None),
    ]
    for arguments in bad:
        with pytest.raises(psycopg.Error) as refused, db.transaction():
            db.execute(add, arguments)
        assert refused.value.sqlstate == "22023" and refused.value.diag.message_hint
    assert domain.value(db, "select count(*) from core.climate_readings") == 2


# ----------------------------------------------------------------------- level shifts and mixed-up


def test_a_lasting_change_of_level_is_found_where_it_is(db: Connection) -> None:
    for number in range(3):
        count_rates(db, f"РЫБА {number} (замороженная)", steady(number, 16))
    rates = [rate * (1 if week < 9 else 3) for week, rate in enumerate(steady(7, 16))]
    count_rates(db, "СЁМГА (замороженная)", rates)
    domain.account(db)
    find(db)
    assert patterns(db, subtype="level_shift") == []  # nothing is fitted yet
    domain.fit(db)
    find(db)
    (found,) = patterns(db, subtype="level_shift")
    assert found["item"] == "СЁМГА (замороженная)"
    # The tenth week closes at midnight after its Sunday.
    assert (found["period_start"], found["period_end"]) == (
        domain.value(db, "select '2023-03-13 00:00'::timestamp at time zone %s", domain.ZONE), None,
    )  # fmt: skip
    assert found["confidence"] >= 0.95
    after = found["data"]["actual_after_kg"] / found["data"]["expected_after_kg"]
    before = found["data"]["actual_before_kg"] / found["data"]["expected_before_kg"]
    assert after / before == pytest.approx(3, rel=0.15)


def test_two_products_taken_for_each_other_in_one_count(db: Connection) -> None:
    """The surplus of the sample: 0.826 kg."""
    for item, difference in (("СЁМГА С/С", 0.826), ("ФОРЕЛЬ С/С", -0.83), ("КЕТА С/С", -0.2)):
        domain.open_stock(db, item, 20, "2025-01-06", batch="2025-01-05")
        domain.count(db, item, difference, "2025-01-12 20:00:00", number="7")
    domain.open_stock(db, "ГОРБУША Х/К", 20, "2025-01-06", batch="2025-01-05")
    domain.count(db, "ГОРБУША Х/К", -0.826, "2025-01-12 20:00:00", number="7")
    domain.account(db)
    find(db)
    (found,) = patterns(db)
    assert (found["pattern_type"], found["subtype"]) == ("anomaly", "misgrading")
    assert (found["item"], found["other_item"]) == ("ФОРЕЛЬ С/С", "СЁМГА С/С")
    assert found["data"]["surplus_kg"] == 0.826
    assert found["data"]["shortage_kg"] == 0.83
    assert domain.value(db, "select cardinality(affected_nomenclature) from core.ai_patterns") == 2


# ------------------------------------------------------------------------------ again, and persons


@pytest.fixture
def odd(db: Connection) -> Connection:
    """A shop with one anomaly and one trend."""
    for number in range(8):
        count_rates(db, f"РЫБА {number} (замороженная)", steady(number, 7))
    count_rates(db, "СЁМГА (замороженная)", [0.002, 0.0021, 0.0022, 0.0023, 0.0024, 0.0025, 0.009])
    domain.account(db)
    find(db)
    kinds = sorted((row["pattern_type"], row["item"]) for row in patterns(db))
    assert kinds == [("anomaly", "СЁМГА (замороженная)"), ("trend", "СЁМГА (замороженная)")]
    return db


def counts(answer: domain.Row) -> list[int]:
    names = ("found", "new", "changed", "closed", "decided")
    return [answer[f"{name}_count"] for name in names]


def test_the_same_search_again_changes_no_row(odd: Connection) -> None:
    """However the session writes dates, and wherever it is."""
    before = digest(odd)
    odd.execute("set local datestyle = 'German'; set local timezone = 'Asia/Vladivostok'")
    assert counts(find(odd)) == [2, 0, 0, 0, 0]
    odd.execute("reset datestyle; reset timezone")
    assert digest(odd) == before


def test_what_is_gone_is_closed_and_open_again_when_it_is_back(odd: Connection) -> None:
    set_z = "update core.settings set value = to_jsonb(%s) where name = 'patterns.z'"
    odd.execute(set_z, (1000,))
    assert counts(find(odd)) == [1, 0, 1, 1, 0]
    (gone,) = patterns(odd, status="closed")
    assert gone["pattern_type"] == "anomaly" and gone["closed_at"] and not gone["decided_by"]
    before = digest(odd)
    assert counts(find(odd)) == [1, 0, 0, 0, 0]
    assert digest(odd) == before
    odd.execute(set_z, (3.5,))
    assert counts(find(odd)) == [2, 0, 2, 0, 0]
    (back,) = patterns(odd, pattern_type="anomaly")
    assert (back["status"], back["closed_at"], back["pattern_id"]) == (
        "open",
        None,
        gone["pattern_id"],
    )
    assert back["time"] == gone["time"]


@pytest.mark.parametrize("verb", ["close", "accept"])
def test_what_a_person_decided_stays(odd: Connection, verb: str) -> None:
    ids = [row["pattern_id"] for row in patterns(odd)]
    assert domain.value(odd, f"select api.{verb}_pattern(%s, 'seen')", ids) == 2
    assert domain.value(odd, f"select api.{verb}_pattern(%s)", ids) == 0
    decided = digest(odd)
    assert {(row["status"], row["notes"]) for row in patterns(odd)} == {
        ({"close": "closed", "accept": "accepted"}[verb], "seen")
    }
    assert all(row["decided_by"] and row["closed_at"] for row in patterns(odd))
    # Found again, not found, on other figures: a verdict is a verdict.
    assert counts(find(odd)) == [2, 0, 0, 0, 2]
    odd.execute("update core.settings set value = '1000' where name = 'patterns.z'")
    assert counts(find(odd)) == [1, 0, 0, 0, 1]
    assert digest(odd) == decided
    assert domain.value(odd, "select api.reopen_pattern(%s)", ids) == 2
    assert counts(find(odd)) == [1, 0, 1, 1, 0]


@pytest.mark.parametrize("verb", ["close", "accept", "reopen"])
@pytest.mark.parametrize("bad", ["known and unknown", "null", "null inside"])
def test_unknown_patterns_are_refused_and_nothing_changes(
    odd: Connection, verb: str, bad: str
) -> None:
    known = patterns(odd)[0]["pattern_id"]
    ids = {"known and unknown": [known, 0], "null": None, "null inside": [known, None]}[bad]
    before = digest(odd)
    with pytest.raises(psycopg.Error) as refused, odd.transaction():
        odd.execute(f"select api.{verb}_pattern(%s::bigint[])", (ids,))
    assert refused.value.sqlstate == "22023" and refused.value.diag.message_hint
    assert digest(odd) == before
    assert domain.value(odd, f"select api.{verb}_pattern('{{}}')") == 0


def test_nothing_imported_gives_nothing(db: Connection) -> None:
    assert counts(find(db)) == [0, 0, 0, 0, 0]


def test_analysts_read_patterns_and_do_not_decide(odd: Connection) -> None:
    # What the first search left until the end of the transaction is not the fitter's.
    odd.execute("drop table pg_temp.pattern_period, pg_temp.pattern_series, pg_temp.pattern_found")
    odd.execute("set role weighhouse_analyst")
    assert len(domain.rows(odd, "select * from bi.pattern")) == 2
    for call in ("api.find_patterns()", "api.close_pattern('{}')", "api.cluster_products()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), odd.transaction():
            odd.execute(f"select {call}")
    odd.execute("set role weighhouse_fitter")
    assert counts(find(odd)) == [2, 0, 0, 0, 0]
    odd.execute("reset role")


# ------------------------------------------------------------------------------------ sample shops


@pytest.fixture(scope="module")
def statements(server_url: str, fitted: str) -> Iterator[str]:
    """Twelve weekly statements of 24 products, accounted for and fitted."""
    with copied(server_url, fitted) as url:
        yield url


def test_of_the_statements_only_what_was_planted_is_found(statements: str) -> None:
    """Two of the 24 products bring 5 % more than documented: their counts stand out, nothing else."""
    planted = {item for item, true in TRUTH["skus"].items() if true["surplus"]}
    with domain.connect(statements) as db:
        find(db)
        found = patterns(db)
        assert {row["item"] for row in found} == planted
        assert {row["subtype"] for row in found} == {"rate"}
        # With the surplus told, drying explains them too.
        for item in planted:
            domain.surplus(db, item, TRUTH["skus"][item]["surplus"])
        domain.account(db)
        domain.fit(db)
        assert find(db)["found_count"] == 0
        assert {row["status"] for row in patterns(db)} == {"closed"}
        db.rollback()


def test_the_misplaced_decimal_point_of_the_flat_file(fresh_url: str, shared_data: Any) -> None:
    """Flagged, in review, out of the fit, and no pattern."""
    (injected,) = TRUTH["injected"]
    ingest.import_file(
        fresh_url,
        str(shared_data / "synthetic_flat_balances_cp1251.csv"),
        ReadOptions(encoding="cp1251"),
        ingest.ImportOptions(time_zone=domain.ZONE),
    )
    with domain.connect(fresh_url) as db:
        domain.account(db)
        flagged = domain.rows(
            db, "select * from bi.review where flag = %s order by period_start", injected["flag"]
        )
        assert [row["item"] for row in flagged] == [injected["sku"]]
        (row,) = flagged
        week = (
            row["period_start"] - domain.closed(db, injected["sku"])[0]["inventory_period_start"]
        ).days // 7
        assert (week, row["severity"]) == (injected["week"], "high")
        domain.fit(db)
        valid = domain.value(
            db,
            "select count(*) from core.calculation_data as c inner join core.nomenclature as n on n.id ="
            " c.nomenclature_id where n.name = %s and c.is_valid_inventory_period",
            injected["sku"],
        )
        used = domain.value(
            db, "select period_count from bi.coefficient where item = %s", injected["sku"]
        )
        assert used == valid - 1
        everywhere = domain.value(
            db, "select count(*) from core.calculation_data where is_valid_inventory_period"
        )
        assert find(db)["period_count"] == everywhere - 1
        assert not [p for p in patterns(db, item=injected["sku"]) if p["pattern_type"] != "anomaly"]
        assert row["period_end"] not in [
            p["period_end"] for p in patterns(db, item=injected["sku"])
        ]


def test_one_search_runs_at_a_time(fresh_url: str) -> None:
    with domain.connect(fresh_url) as one, domain.connect(fresh_url) as other:
        find(one)
        other.execute("set local lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            find(other)
        one.rollback()
        other.rollback()
        assert counts(find(other)) == [0, 0, 0, 0, 0]


def test_movements_are_searched_as_balances_are(db: Connection) -> None:
    """Sales through the week, a count on Sunday; one product of ten loses four times as much once."""
    rng = np.random.default_rng(2)
    for number in range(10):
        item, kg = f"КЕТА {number} Х/К", 50.0
        rows = [movement("opening", item, kg, "2025-01-06 08:00:00", batch="2025-01-06 08:00:00")]
        for week in range(4):
            sunday = f"2025-01-{12 + 7 * week if week < 3 else 31} 20:00:00"
            lost = round(0.4 * (1 + 0.05 * float(rng.standard_normal())), 3)
            lost = 1.6 if (number, week) == (4, 2) else lost
            rows += [
                movement("sale", item, 5.0, sunday, number=f"s{week}"),
                movement("stock_take", item, -lost, sunday, number=f"c{week}"),
            ]
        domain.move(db, *rows)
    domain.account(db)
    find(db)
    (found,) = patterns(db, subtype="rate")
    assert found["item"] == "КЕТА 4 Х/К"
    assert found["data"]["loss_kg"] == 1.6
