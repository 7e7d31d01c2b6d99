"""Products that shrink alike, and what to reckon with for one that was never counted."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.db import domain
from tests.db.domain import Connection, movement
from tests.db.test_patterns import count_rates
from tests.db.test_worked_examples import given


def cluster(db: Connection, k: int | None = None) -> domain.Row:
    return domain.one(db, "select * from api.cluster_products(%s)", k)


def clusters(db: Connection) -> list[domain.Row]:
    return domain.rows(db, "select * from bi.product_cluster order by item_id")


def suggest(db: Connection, item: str) -> domain.Row:
    return domain.one(db, "select * from api.suggested_coefficient(%s)", item)


def e27(db: Connection) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs, expected, _ = given("E27")
    names = ["ПЛОТВА ВЯЛЕНАЯ", "ЛЕЩ ВЯЛЕНАЯ", "ЩУКА ВЯЛЕНАЯ"]
    names += [f"{fish} (замороженная)" for fish in ("ПЛОТВА", "ЛЕЩ", "ЩУКА")]
    for item, rate in zip(names, inputs["rates_pct_per_day"], strict=True):
        count_rates(db, item, [rate / 100] * 3)
    domain.account(db)
    return inputs, expected


def test_e27_two_clusters_of_six_products(db: Connection) -> None:
    inputs, expected = e27(db)
    answer = cluster(db, inputs["k"])
    assert (answer["status"], answer["product_count"], answer["cluster_count"]) == (
        "clustered",
        6,
        2,
    )
    found = clusters(db)
    assert [row["cluster"] for row in found] == expected["labels"]
    assert [row["loss_percent_per_day"] for row in found] == pytest.approx(
        inputs["rates_pct_per_day"]
    )
    centroids = [
        np.exp(np.mean([np.log(row["loss_percent_per_day"]) for row in found if row["cluster"] == label]))
        for label in (0, 1)
    ]  # fmt: skip
    assert centroids == pytest.approx(expected["centroids_rate"], rel=1e-6)
    assert domain.value(db, "select wcss from core.cluster_runs") == pytest.approx(
        expected["wcss"], abs=1e-6
    )
    assert sum(row["is_medoid"] for row in found) == 2
    assert all(row["medoid_item_id"] for row in found)


def test_the_same_products_make_no_new_run_and_earlier_runs_stay(db: Connection) -> None:
    e27(db)
    first = cluster(db)
    assert (first["status"], first["cluster_count"]) == ("clustered", 2)
    again = cluster(db)
    assert (again["status"], again["run_id"]) == ("cached", first["run_id"])
    assert (again["cluster_count"], again["silhouette"]) == (2, first["silhouette"])
    other = cluster(db, 3)
    assert (other["status"], other["cluster_count"]) == ("clustered", 3)
    assert {row["run_id"] for row in clusters(db)} == {other["run_id"]}
    assert domain.value(db, "select count(*) from core.product_clusters") == 12
    # A fit makes some of them fit to stand for their cluster.
    domain.fit(db)
    assert cluster(db, 3)["status"] == "clustered"


@pytest.mark.parametrize("k", [0, -1, 7])
def test_an_impossible_number_of_clusters_is_refused(db: Connection, k: int) -> None:
    e27(db)
    with pytest.raises(psycopg.Error) as refused, db.transaction():
        cluster(db, k)
    assert refused.value.sqlstate == "22023" and refused.value.diag.message_hint
    assert domain.value(db, "select count(*) from core.cluster_runs") == 0


def test_without_enough_periods_there_is_nothing_to_group(db: Connection) -> None:
    count_rates(db, "ПЛОТВА ВЯЛЕНАЯ", [0.01, 0.01])
    domain.account(db)
    with pytest.raises(psycopg.Error) as refused, db.transaction():
        cluster(db)
    assert refused.value.sqlstate == "ML101" and refused.value.diag.message_hint


def test_many_products_are_grouped_by_all_features(db: Connection) -> None:
    for number in range(6):
        for kind, rate, swing in (("ВЯЛЕНАЯ", 0.01, 0.1), ("(замороженная)", 0.0005, 0.2)):
            size = rate * (1 + number / 50)
            rates = [round(size * (1 + swing * sign), 6) for sign in (-1, 1, 1, -1)]
            count_rates(db, f"РЫБА {number} {kind}", rates)
    domain.account(db)
    answer = cluster(db)
    assert answer["cluster_count"] == 2 and answer["silhouette"] > 0.8
    for row in clusters(db):
        assert row["cluster"] == ("ВЯЛЕНАЯ" in row["item"])
        swing = 10 if row["cluster"] else 20
        assert row["variation_percent"] == pytest.approx(swing, rel=0.02)
        assert row["turnover_days"] == 365  # nothing was sold


# ----------------------------------------------------------------------------- what to reckon with


def test_own_curve_then_the_type_then_the_medoid(db: Connection) -> None:
    assert_none = "НОВАЯ ВЯЛЕНАЯ"
    domain.open_stock(db, assert_none, 5, "2025-01-06")
    nothing = suggest(db, assert_none)
    assert (nothing["source"], nothing["a"]) == ("none", None) and nothing["reason"]

    for item in ("ПЛОТВА ВЯЛЕНАЯ", "ЛЕЩ ВЯЛЕНАЯ", "ЩУКА ВЯЛЕНАЯ"):
        domain.move(db, *domain.weeks(item, 8, a=0.2, b=0.05, ages=(0, 6, 15)))
    domain.open_stock(db, "НЕЧТО", 5, "2025-01-06")
    domain.account(db)
    domain.fit(db)
    cluster(db)
    own = suggest(db, "ЛЕЩ ВЯЛЕНАЯ")
    assert (own["source"], own["reason"]) == ("own", None)
    same = domain.one(db, "select a, b, c from bi.coefficient where item = 'ЛЕЩ ВЯЛЕНАЯ'")
    assert {name: own[name] for name in "abc"} == same

    of_type = suggest(db, assert_none)
    assert of_type["source"] == "type_curve"
    assert of_type["a"] == domain.value(
        db, "select a from bi.coefficient where item = %s", assert_none
    )
    # Newer than the fit: the same curve all the same.
    domain.move(db, movement("opening", "ЕЩЁ НОВЕЕ ВЯЛЕНАЯ", 5, "2025-01-06"))
    newest = suggest(db, "ЕЩЁ НОВЕЕ ВЯЛЕНАЯ")
    assert newest["source"] == "type_curve"
    assert [newest[name] for name in "abc"] == pytest.approx(
        [of_type[name] for name in "abc"], rel=1e-6
    )

    # A type that has no curve at all.
    medoid = suggest(db, "НЕЧТО")
    (stands,) = {row["medoid_item"] for row in clusters(db) if row["cluster"] == medoid["cluster"]}
    assert (medoid["source"], medoid["from_item"]) == ("cluster_medoid", stands)
    curve = domain.one(db, "select a, b, c from bi.coefficient where item = %s", stands)
    assert {name: medoid[name] for name in "abc"} == curve
    assert medoid["reason"]

    db.execute("set role weighhouse_analyst")
    assert suggest(db, "НЕЧТО") == medoid
    db.execute("reset role")
    with pytest.raises(psycopg.Error) as refused, db.transaction():
        suggest(db, "НЕТ ТАКОЙ")
    assert refused.value.sqlstate == "22023" and refused.value.diag.message_hint


def test_ages_tell_products_apart_and_unknown_ones_do_not(db: Connection) -> None:
    domain.move(db, *domain.weeks("ПЛОТВА ВЯЛЕНАЯ", 5, ages=(0,)))
    domain.move(db, *domain.weeks("ЛЕЩ ВЯЛЕНАЯ", 5, ages=(20,)))
    count_rates(db, "ЩУКА ВЯЛЕНАЯ", [0.01] * 4, start=date(2025, 1, 6))
    domain.account(db)
    cluster(db, 1)
    ages = {row["item"]: row["mean_age_days"] for row in clusters(db)}
    assert ages["ЩУКА ВЯЛЕНАЯ"] is None
    assert ages["ЛЕЩ ВЯЛЕНАЯ"] is None or ages["ЛЕЩ ВЯЛЕНАЯ"] >= ages["ПЛОТВА ВЯЛЕНАЯ"]
    assert {row["variation_percent"] is None for row in clusters(db)} == {False}
