"""Models of relations: their lifecycle as an analyst and an operator see it."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from tests import timing
from tests.db.domain import rows, value

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

MONTHS = [100 + 2 * t + 20 * math.sin(math.pi * t / 6) + (7 * t) % 5 for t in range(48)]


def one(db: Connection, query: str, *parameters: object) -> Row:
    """The only row of a query."""
    (row,) = db.cursor(row_factory=dict_row).execute(query, parameters).fetchall()
    return row


def sold(
    db: Connection,
    series: dict[str, Sequence[float | None]],
    *,
    step: str = "1 month",
    first: str = "2020-01-01",
    kind: str = "date",
) -> None:
    """Make shop.sale: a value a step and branch; None leaves the row out."""
    db.execute("create schema if not exists shop")
    db.execute("drop table if exists shop.sale")
    db.execute(f"create table shop.sale (at {kind}, branch text, quantity float8)")
    for branch, values in series.items():
        db.execute(
            f"insert into shop.sale select (%s::timestamp + (t - 1) * %s::interval)::{kind}, %s, v"
            " from unnest(%s::float8[]) with ordinality as x (v, t) where v is not null",
            (first, step, branch, list(values)),
        )


def create(db: Connection, kind: str = "naive", *, name: str = "sales", **options: Any) -> Row:
    return one(
        db,
        "select * from api.create_model(%s, 'shop.sale', 'at', 'quantity', '{branch}', %s, %s)",
        name,
        kind,
        json.dumps(options),
    )


def fit(db: Connection, *, name: str = "sales", **arguments: Any) -> Row:
    words = "".join(f", {key} => {value}" for key, value in arguments.items())
    return one(db, f"select * from api.fit_model(%s{words})", name)


def outcomes(db: Connection, run: int) -> dict[str, Row]:
    found = rows(db, f"select * from bi.fit_outcome where run_id = {run}")
    return {row["series"]: row for row in found}


def refused(db: Connection, state: str, query: str, *parameters: object) -> psycopg.Error:
    """Run what must be refused with an SQLSTATE and a hint; the transaction goes on."""
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        db.execute(query, parameters)
    assert caught.value.sqlstate == state, caught.value
    assert caught.value.diag.message_hint
    return caught.value


# ----------------------------------------------------------------------------------------- creating


@pytest.mark.parametrize(
    ("step", "kind", "unit", "count"),
    [
        ("1 month", "date", "month", 1),
        ("3 months", "timestamptz", "month", 3),
        ("1 year", "date", "month", 12),
        ("7 days", "date", "day", 7),
        ("1 day", "timestamptz", "day", 1),
        ("1 hour", "timestamptz", "second", 3600),
        ("15 minutes", "timestamp", "second", 900),
    ],
)
def test_the_step_is_found_and_targets_follow_it(
    db: Connection, step: str, kind: str, unit: str, count: int
) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[5:]}, step=step, kind=kind)
    created = create(db, horizon=3)
    assert (created["series_count"], created["row_count"]) == (2, 91)
    grid = value(db, "select grid from core.model_definition where name = 'sales'")
    assert (grid["unit"], grid["count"]) == (unit, count)
    fit(db)
    expected = rows(
        db,
        f"select ('2020-01-01'::timestamp + (47 + t) * '{step}'::interval)::timestamptz as time"
        " from generate_series(1, 3) as t",
    )
    found = rows(db, "select time from bi.forecast where series = 'north' order by time")
    assert found == expected


def test_days_are_days_of_the_zone(db: Connection) -> None:
    """Across the change to summer time in Berlin each day is one step, and targets are midnights."""
    db.execute("create schema shop")
    db.execute(
        "create table shop.sale as select d as at, 'north' as branch, 1.0::float8 as quantity"
        " from generate_series('2026-03-20 00:00'::timestamp, '2026-04-05', '1 day') as t,"
        " lateral (select t at time zone 'Europe/Berlin' as d) as x"
    )
    create(db, time_zone="Europe/Berlin", horizon=2)
    run = fit(db)["run_id"]
    assert outcomes(db, run)["north"]["observation_count"] == 17
    found = rows(db, "select time at time zone 'Europe/Berlin' as t from bi.forecast order by time")
    assert [f"{row['t']:%m-%d %H:%M}" for row in found] == ["04-06 00:00", "04-07 00:00"]


def test_a_query_can_be_a_source(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS})
    created = one(
        db,
        "select * from api.create_model('all', 'select at, sum(quantity) as q from shop.sale"
        " group by at;', 'at', 'q', kind => 'naive')",
    )
    assert (created["series_count"], created["row_count"]) == (1, 48)
    fit(db, name="all")
    assert (
        value(db, "select yhat from bi.forecast where model = 'all' and step = 1") == 2 * MONTHS[-1]
    )


@pytest.mark.parametrize(
    ("state", "arguments"),
    [
        ("22023", "'', 'shop.sale', 'at', 'quantity'"),
        ("42P01", "'m', 'shop.none', 'at', 'quantity'"),
        ("42703", "'m', 'shop.sale', 'at', 'nothing'"),
        ("42P01", "'m', 'select * from sale', 'at', 'quantity'"),
        ("42703", "'m', 'shop.sale', 'at', 'quantity', '{\"branch; drop table shop.sale\"}'"),
        ("22023", "'m', 'shop.sale', 'branch', 'quantity'"),
        ("22023", "'m', 'shop.sale', 'at', 'branch'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', kind => 'oracle'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '[]'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"seasn\": 1}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"step\": \"fortnight\"}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"step\": \"-1 day\"}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"horizon\": 0}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"horizon\": 1.5}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"seasons\": [1]}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"aggregate\": \"drop\"}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"time_zone\": \"Mars\"}'"),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', options => '{\"missing\": \"line\"}'"),
        (
            "22023",
            "'m', 'shop.sale', 'at', 'quantity', options => '{\"kind_options\": {\"x\": 1}}'",
        ),
        ("22023", "'m', 'shop.sale', 'at', 'quantity', time_to_live => '0'"),
        ("42710", "'shrinkage', 'shop.sale', 'at', 'quantity'"),
    ],
)
def test_a_model_that_cannot_be_is_refused(db: Connection, state: str, arguments: str) -> None:
    sold(db, {"north": MONTHS})
    refused(db, state, f"select * from api.create_model({arguments})")
    assert value(db, "select count(*) from core.model_definition") == 1


def test_times_without_a_step_need_one_named(db: Connection) -> None:
    db.execute("create schema shop")
    db.execute(
        "create table shop.sale as select '2026-01-01'::timestamp + random() * interval '300 days'"
        " as at, 'north' as branch, 1::float8 as quantity from generate_series(1, 300)"
    )
    refused(
        db,
        "ML002",
        "select * from api.create_model('m', 'shop.sale', 'at', 'quantity', '{branch}')",
    )
    create(db, step="1 week", aggregate="sum", missing="zero", horizon=1)
    run = fit(db)["run_id"]
    assert outcomes(db, run)["north"]["observation_count"] in (43, 44)


# ------------------------------------------------------------------------------------------ fitting


def test_every_series_has_an_outcome_and_a_bad_one_stops_no_other(db: Connection) -> None:
    gap = [*MONTHS[:20], *[None] * 15, *MONTHS[35:]]
    sold(
        db,
        {
            "good": MONTHS,
            "constant": [5.0] * 48,
            "zero": [0.0] * 48,
            "gap": gap,
            "hole": [*MONTHS[:30], None, *MONTHS[31:]],
            "short": MONTHS[:1],
            "infinite": [*MONTHS[:9], math.inf],
            "twice": MONTHS,
        },
    )
    db.execute("insert into shop.sale values ('2020-03-01', 'twice', 1)")
    create(db, "theta", horizon=4)
    done = fit(db)
    found = outcomes(db, done["run_id"])
    assert done["series_count"] == len(found) == 8
    assert (
        done["fitted_count"] + done["cached_count"] + done["updated_count"]
        + done["fell_back_count"] + done["failed_count"] == 8
    )  # fmt: skip
    assert {name for name, row in found.items() if row["outcome"] == "failed"} == {
        "infinite",
        "twice",
    }
    for name in ("infinite", "twice"):
        assert found[name]["reason"] and found[name]["sqlstate"] and found[name]["hint"]
    assert found["twice"]["sqlstate"] == "ML002"
    assert found["short"]["outcome"] == "fell_back" and found["short"]["kind"] == "seasonal_naive"
    assert "1 of 48" in found["hole"]["note"] and found["hole"]["gap_count"] == 1
    # A long gap is never bridged: what lies before it is not used.
    assert "gap of 15" in found["gap"]["note"] and found["gap"]["observation_count"] == 13
    counts = rows(db, "select series, count(*) as n from bi.forecast group by series")
    assert {row["series"]: row["n"] for row in counts} == dict.fromkeys(
        ("good", "constant", "zero", "gap", "hole", "short"), 4
    )
    assert value(db, "select bool_and(abs(yhat) < 1e6) from bi.forecast")


def test_a_model_without_data_says_so(db: Connection) -> None:
    sold(db, {"north": []})
    create(db)
    refused(db, "ML101", "select * from api.fit_model('sales')")
    refused(db, "22023", "select * from api.fit_model('sells')")


def test_rows_of_one_step_come_together_as_asked(db: Connection) -> None:
    sold(db, {"north": [1.0, 2.0, 3.0]})
    db.execute("insert into shop.sale select at, branch, quantity * 10 from shop.sale")
    create(db, step="1 month", aggregate="sum", horizon=1)
    fit(db)
    assert value(db, "select yhat from bi.forecast") == 33
    create(db, name="mean", step="1 month", aggregate="avg", horizon=1)
    fit(db, name="mean")
    assert value(db, "select yhat from bi.forecast where model = 'mean'") == 16.5


def test_unchanged_data_are_cached_and_make_no_version(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[3:], "twin": MONTHS})
    create(db, "ets", horizon=3)
    first = fit(db)
    said = rows(db, "select * from bi.forecast order by series_id, step")
    again = fit(db)
    assert (again["version"], again["cached_count"], again["series_count"]) == (1, 3, 3)
    assert {row["outcome"] for row in outcomes(db, again["run_id"]).values()} == {"cached"}
    assert rows(db, "select * from bi.forecast order by series_id, step") == said
    assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1
    # The same content under another name, even after the model is gone.
    assert value(db, "select count(*) from cache.ml_models") == 2
    db.execute("update shop.sale set quantity = quantity")
    create(db, "ets", name="other", horizon=3)
    other = fit(db, name="other")
    assert (other["cached_count"], other["version"]) == (3, 1)
    assert [row["yhat"] for row in rows(db, "select yhat from bi.forecast where model = 'other' order by series, step")] == [
        row["yhat"] for row in said
    ]  # fmt: skip
    # Asked for: all anew, a version, the same numbers.
    forced = fit(db, refit="true")
    assert (forced["version"], forced["fitted_count"], forced["status"]) == (2, 3, "trained")
    assert first["fitted_count"] == 3


def test_a_series_that_fails_again_makes_no_version(db: Connection) -> None:
    sold(db, {"good": MONTHS, "twice": MONTHS})
    db.execute("insert into shop.sale values ('2020-03-01', 'twice', 1)")
    create(db, step="1 month", horizon=3)
    assert fit(db)["version"] == 1
    again = fit(db)
    assert (again["version"], again["cached_count"], again["failed_count"]) == (1, 1, 1)
    assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1


def test_a_model_all_of_whose_series_fail_has_a_failed_version(db: Connection) -> None:
    sold(db, {"twice": MONTHS})
    db.execute("insert into shop.sale values ('2020-03-01', 'twice', 1)")
    create(db, step="1 month", horizon=3)
    done = fit(db)
    assert (done["status"], done["failed_count"]) == ("failed", 1)
    assert value(db, "select status from bi.training_run") == "failed"
    refused(db, "22023", "select * from api.deploy_version('sales', 1)")
    refused(db, "ML201", "select * from api.forecast('sales')")


def test_a_model_of_an_empty_table_finds_its_step_when_rows_come(db: Connection) -> None:
    sold(db, {"north": []})
    assert create(db, horizon=2)["step"] is None
    db.execute(
        "insert into shop.sale select '2026-01-01'::date + t, 'north', t from generate_series(1, 9) as t"
    )
    assert fit(db)["fitted_count"] == 1
    assert value(db, "select count(*) from bi.forecast") == 2


def test_a_missing_key_is_a_series_of_its_own(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    db.execute("insert into shop.sale select at, null, 7 from shop.sale")
    create(db, horizon=2)
    assert fit(db)["fitted_count"] == 2
    assert value(db, "select yhat from bi.forecast where series = '-' and step = 1") == 7
    db.execute("insert into shop.sale values ('2024-01-01', null, 8)")
    assert one(db, "select * from api.record_actuals('sales')")["joined_count"] == 1


def test_a_source_that_is_gone_is_named(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    db.execute("drop table shop.sale")
    refused(db, "42P01", "select * from api.fit_model('sales')")


def test_other_options_are_other_content(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=3)
    create(db, name="longer", horizon=4)
    fit(db)
    assert fit(db, name="longer")["fitted_count"] == 1


@pytest.mark.parametrize("kind", ["ets", "theta", "arima", "seasonal_naive"])
def test_little_new_data_is_taken_in_without_a_fit(db: Connection, kind: str) -> None:
    """Parameters fixed, states filtered: as a fit of the past, told what came since."""
    sold(db, {"north": MONTHS})
    create(db, kind, horizon=2)
    fit(db)
    before = value(db, "select parameters from cache.ml_models")
    db.execute(
        "insert into shop.sale values ('2024-01-01', 'north', 222), ('2024-02-01', 'north', 210)"
    )
    done = fit(db)
    assert (done["version"], done["status"]) == (2, "trained")
    row = outcomes(db, done["run_id"])["north"]
    assert (row["outcome"], row["observation_count"]) == ("updated", 50)
    assert f"{row['last_time']:%Y-%m}" == "2024-02"
    assert value(db, "select fitted_length from cache.ml_models where data_length = 50") == 48
    forecast = rows(db, "select time, yhat from api.forecast('sales', version => 2) order by time")
    assert f"{forecast[0]['time']:%Y-%m}" == "2024-03"
    from weighhouse.forecasting import kind as kind_of

    model = kind_of(kind)
    import numpy as np

    updated = model.update(before, np.array([222.0, 210.0]))
    expected = model.forecast(updated, 2, (0.8, 0.95))
    assert [row["yhat"] for row in forecast] == pytest.approx(expected.mean.tolist(), rel=1e-12)


def test_more_than_a_tenth_or_a_changed_past_is_fitted_anew(db: Connection) -> None:
    sold(db, {"grown": MONTHS[:40], "changed": MONTHS[:40], "late": [None, *MONTHS[1:40]]})
    create(db, "ets", horizon=2)
    fit(db)
    db.execute(
        "insert into shop.sale select ('2023-05-01'::date + t * interval '1 month')::date, 'grown', 100"
        " from generate_series(0, 4) as t"
    )
    db.execute("update shop.sale set quantity = 1 where branch = 'changed' and at = '2021-01-01'")
    db.execute(
        "insert into shop.sale values ('2023-05-01', 'changed', 1), ('2020-01-01', 'late', 3)"
    )
    found = outcomes(db, fit(db)["run_id"])
    assert {name: row["outcome"] for name, row in found.items()} == dict.fromkeys(found, "fitted")


def test_a_fit_older_than_its_time_to_live_is_stale_and_fitted_anew(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    fit(db)
    assert value(db, "select note from api.forecast('sales', horizon => 1)") is None
    db.execute("update cache.ml_models set trained_at = now() - interval '25 hours'")
    db.execute("update core.model_versions set created_date = now() - interval '25 hours'")
    assert "stale" in value(db, "select note from api.forecast('sales', horizon => 1)")
    assert value(db, "select is_stale from bi.models where name = 'sales'")
    assert value(db, "select stale_count from bi.cache") == 1
    done = fit(db)
    assert (done["fitted_count"], done["version"]) == (1, 2)


def test_invalidated_fits_are_done_again_and_the_deployed_one_serves(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    fit(db)
    assert value(db, "select api.invalidate_cache('sales', 'a typing mistake in March')") == 1
    assert value(db, "select count(*) from api.forecast('sales')") == 2
    assert fit(db)["fitted_count"] == 1
    refused(db, "22023", "select api.invalidate_cache('sells')")


# ------------------------------------------------------------------------------- versions in force


def test_versions_are_deployed_rolled_back_and_audited(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    assert fit(db)["status"] == "deployed"
    for number in (2, 3):
        db.execute("update shop.sale set quantity = quantity + 1 where at = '2023-12-01'")
        assert (fit(db)["version"], fit(db)["status"]) == (number, "trained")
    moved = one(db, "select * from api.deploy_version('sales', 3, 'better in spring')")
    assert (moved["deployed_version"], moved["version_before"]) == (3, 1)
    assert value(db, "select yhat from bi.forecast where step = 1") == MONTHS[-1] + 2
    assert one(db, "select * from api.rollback_model('sales', 'no')")["deployed_version"] == 1
    refused(db, "22023", "select * from api.rollback_model('sales')")
    refused(db, "22023", "select * from api.deploy_version('sales', 9)")
    assert rows(
        db,
        "select version, status from bi.models where name = 'sales' order by version",
    ) == [
        {"version": 1, "status": "deployed"},
        {"version": 2, "status": "trained"},
        {"version": 3, "status": "archived"},
    ]
    events = rows(db, "select event, version, reason from bi.model_event order by event_id")
    assert [(e["event"], e["version"], e["reason"]) for e in events if e["event"] != "fitted"] == [
        ("created", None, None),
        ("deployed", 1, "the first version"),
        ("deployed", 3, "better in spring"),
        ("rolled_back", 1, "no"),
    ]
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        db.execute("update core.model_versions set status = 'deployed' where model = 'sales'")


def test_shrinkage_is_a_model_like_the_others(db: Connection) -> None:
    """Its coefficients are those of the deployed version, also after a rollback."""
    from tests.db import domain

    for item, loss in (("ЛЕЩ Х/К", 0.4), ("ЩУКА Х/К", 0.6)):
        domain.open_stock(db, item, 20.0, "2026-01-01", batch="2025-12-30")
        domain.count(db, item, -loss, "2026-01-15")
    domain.account(db)
    assert fit(db, name="shrinkage")["status"] == "deployed"
    first = value(db, "select a from api.coefficient('ЛЕЩ Х/К')")
    db.execute('select * from api.fit_shrinkage(\'{"family": "linear"}\')')
    assert value(db, "select version from api.coefficient('ЛЕЩ Х/К')") == 2
    assert one(db, "select * from api.rollback_model('shrinkage')")["deployed_version"] == 1
    assert value(db, "select a from api.coefficient('ЛЕЩ Х/К')") == first
    assert value(db, "select max(version) from bi.coefficient") == 1
    assert value(db, "select count(*) from bi.training_run where model = 'shrinkage'") == 2
    refused(db, "22023", "select * from api.drop_model('shrinkage')")
    refused(db, "22023", "select * from api.forecast('shrinkage')")


def test_a_dropped_model_leaves_its_source_and_its_history(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[2:]})
    create(db, horizon=2)
    fit(db)
    db.execute("select * from api.evaluate_model('sales', folds => 2)")
    gone = one(db, "select * from api.drop_model('sales')")
    assert gone == {"version_count": 1, "series_count": 2, "forecast_count": 4}
    for table in ("core.model_series", "core.forecast_ledger", "core.training_run",
                  "cache.ml_models", "core.backtest_forecast"):  # fmt: skip
        assert value(db, f"select count(*) from {table}") == 0
    assert value(db, "select count(*) from shop.sale") == 94
    assert value(db, "select count(*) from bi.model_event where event = 'dropped'") == 1


# ---------------------------------------------------------------------------------------- forecasts


def test_stored_and_computed_forecasts_are_the_same_numbers(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[4:]})
    create(db, "ets", horizon=3)
    fit(db)
    stored = rows(db, "select time, label, step, yhat, yhat_lo, yhat_hi from api.forecast('sales')")
    longer = rows(db, "select time, label, step, yhat, yhat_lo, yhat_hi from api.forecast('sales', horizon => 5)")  # fmt: skip
    assert len(stored) == 6 and len(longer) == 10
    assert [row for row in longer if row["step"] <= 3] == stored
    narrow = rows(db, "select yhat_lo, yhat_hi from api.forecast('sales', 'north', level => 0.5)")
    wide = [row for row in stored if row["label"] == "north"]
    assert all(
        a["yhat_lo"] > b["yhat_lo"] and a["yhat_hi"] < b["yhat_hi"]
        for a, b in zip(narrow, wide, strict=True)
    )


def test_as_of_says_what_would_have_been_said(db: Connection) -> None:
    """Equal to a model whose source ends on that day; the ledger is not touched."""
    sold(db, {"north": MONTHS})
    create(db, "ets", horizon=3)
    fit(db)
    then = rows(db, "select time, yhat, yhat_lo from api.forecast('sales', as_of => '2022-07-01')")
    one(
        db,
        "select * from api.create_model('past', 'select * from shop.sale where at < ''2022-07-01''',"
        " 'at', 'quantity', '{branch}', 'ets', '{\"horizon\": 3}')",
    )
    fit(db, name="past")
    assert then == rows(db, "select time, yhat, yhat_lo from api.forecast('past')")
    assert value(db, "select count(*) from core.forecast_ledger") == 6
    refused(db, "22023", "select * from api.forecast('sales', as_of => '2001-01-01')")


@pytest.mark.parametrize(
    "arguments",
    [
        "'sells'",
        "'sales', 'nowhere'",
        "'sales', horizon => 0",
        "'sales', horizon => -1",
        "'sales', horizon => 1000000000",
        "'sales', level => 0",
        "'sales', level => 1",
        "'sales', level => 'NaN'",
        "'sales', level => null",
        "'sales', version => 7",
        "'sales', version => 1, as_of => now()",
        "null",
    ],
)
def test_a_forecast_that_cannot_be_is_refused(db: Connection, arguments: str) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    fit(db)
    refused(db, "22023", f"select * from api.forecast({arguments})")


def test_nothing_deployed_is_told_apart_from_nothing_known(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db)
    fit(db, deploy="false")
    refused(db, "ML201", "select * from api.forecast('sales')")


def test_actuals_join_the_forecasts_once(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[2:]})
    create(db, horizon=3)
    fit(db)
    db.execute(
        "insert into shop.sale values ('2024-01-01', 'north', 250), ('2024-02-01', 'north', 1)"
    )
    joined = one(db, "select * from api.record_actuals('sales')")
    assert joined == {"joined_count": 2, "open_count": 4}
    row = one(db, "select * from bi.actual_vs_forecast where series = 'north' and step = 1")
    assert row["actual"] == 250 and row["error"] == pytest.approx(250 - MONTHS[-1])
    assert row["error_percent"] == pytest.approx(100 * (250 - MONTHS[-1]) / 250)
    assert one(db, "select * from api.record_actuals('sales')")["joined_count"] == 0
    db.execute("update shop.sale set quantity = 251 where at = '2024-01-01'")
    assert one(db, "select * from api.record_actuals('sales')")["joined_count"] == 1
    refused(db, "22023", "select * from api.record_actuals('shrinkage')")


# --------------------------------------------------------------------------------------- evaluation


def test_an_evaluation_stands_beside_the_naive_forecasts(db: Connection) -> None:
    """By hand: last value and value a season ago, on the last two folds of three steps."""
    sold(db, {"north": MONTHS})
    create(db, "naive", horizon=3)
    fit(db)
    result = rows(db, "select * from api.evaluate_model('sales', folds => 2)")
    measures = {(row["method"], row["metric"]): row["value"] for row in result}
    actual = MONTHS[42:]
    naive = [MONTHS[41]] * 3 + [MONTHS[44]] * 3
    seasonal = MONTHS[30:36]
    for method, forecast in (("model", naive), ("naive", naive), ("seasonal_naive", seasonal)):
        mape = sum(100 * abs(a - f) / a for a, f in zip(actual, forecast, strict=True)) / 6
        wape = 100 * sum(abs(a - f) for a, f in zip(actual, forecast, strict=True)) / sum(actual)
        assert measures[method, "mape"] == pytest.approx(mape)
        assert measures[method, "wape"] == pytest.approx(wape)
    kept = rows(db, "select * from bi.backtest_forecast order by fold, step")
    assert [row["actual"] for row in kept] == pytest.approx(actual)
    assert [row["yhat"] for row in kept] == pytest.approx(naive)
    assert [f"{row['origin_time']:%Y-%m}" for row in kept[::3]] == ["2023-06", "2023-09"]
    assert [f"{row['time']:%Y-%m}" for row in kept[:2]] == ["2023-07", "2023-08"]
    by_fold = rows(db, "select * from bi.backtest_metric where metric = 'mae' and method = 'model' and series = 'north'")  # fmt: skip
    assert {row["fold"] for row in by_fold} == {1, 2, None}
    assert value(db, "select mape from bi.models where name = 'sales'") == measures["model", "mape"]


def test_gap_and_window_and_horizon_of_folds(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, "naive", horizon=3)
    db.execute("select * from api.evaluate_model('sales', folds => 1, horizon => 2, gap => 4)")
    kept = rows(db, "select origin_time, time, step, yhat from bi.backtest_forecast order by step")
    assert [(f"{r['origin_time']:%Y-%m}", f"{r['time']:%Y-%m}", r["yhat"]) for r in kept] == [
        ("2023-06", "2023-11", pytest.approx(MONTHS[41])),
        ("2023-06", "2023-12", pytest.approx(MONTHS[41])),
    ]
    for words in ("folds => 0", "horizon => 0", "gap => -1", "step => 0", '"window" => 1'):
        refused(db, "22023", f"select * from api.evaluate_model('sales', {words})")


def test_a_filled_gap_tests_nothing(db: Connection) -> None:
    sold(db, {"north": [*MONTHS[:46], None, MONTHS[47]]})
    create(db, "naive", horizon=3)
    db.execute("select * from api.evaluate_model('sales', folds => 1)")
    kept = rows(db, "select actual from bi.backtest_forecast order by step")
    assert [row["actual"] is None for row in kept] == [False, True, False]
    assert value(db, "select row_count from bi.backtest_metric where metric = 'mape' and method = 'model' and series is null and fold is null") == 2  # fmt: skip


def test_versions_are_compared_on_the_same_folds(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[3:]})
    create(db, "seasonal_naive", horizon=3)
    fit(db)
    db.execute(
        "update core.model_definition set kind = 'ets', options = '{\"horizon\": 3, \"kind_options\": {}}'"
    )
    db.execute("update core.model_definition set options = options || jsonb_build_object('kind_options',"
               " internal.check_kind_options('ets', '{}')::jsonb)")  # fmt: skip
    fit(db)
    compared = {
        row["metric"]: row for row in rows(db, "select * from api.compare_versions('sales', 1, 2)")
    }
    assert compared["mase"]["value_a"] == pytest.approx(compared["mase"]["value_seasonal_naive"])
    assert compared["mase"]["better"] == (
        2 if compared["mase"]["value_b"] < compared["mase"]["value_a"] else 1
    )
    refused(db, "22023", "select * from api.compare_versions('sales', 1, 9)")


# ------------------------------------------------------------------------------- what is stored


def test_tampered_parameters_are_refused_before_they_are_parsed(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    fit(db)
    assert rows(db, "select * from api.verify_cache()") == []
    db.execute("update cache.ml_models set parameters = parameters || '{\"a\": 1}'")
    refused(db, "55000", "select * from api.forecast('sales', horizon => 9)")
    # What was issued before stands, and so does the version.
    assert value(db, "select count(*) from api.forecast('sales')") == 2
    assert len(rows(db, "select * from api.verify_cache()")) == 1
    # What cannot be trusted is not updated either: it is fitted anew.
    db.execute("insert into shop.sale values ('2024-01-01', 'north', 1)")
    assert fit(db)["fitted_count"] == 1
    assert rows(db, "select * from api.verify_cache(adopt => true)") == []
    assert value(db, "select count(*) from bi.model_event where event = 'adopted'") == 1


def test_parameters_of_another_series_do_not_pass(db: Connection) -> None:
    sold(db, {"north": MONTHS, "south": MONTHS[3:]})
    create(db, horizon=2)
    fit(db)
    db.execute(
        "update cache.ml_models as c set parameters = o.parameters, signature = o.signature"
        " from cache.ml_models as o where o.id <> c.id"
    )
    refused(db, "55000", "select * from api.forecast('sales', 'north', horizon => 9)")


def test_parameters_of_a_newer_form_are_refused_clearly(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    fit(db)
    db.execute("update cache.ml_models set version = 99")
    db.execute("select * from api.verify_cache(adopt => true)")
    refused(db, "ML203", "select * from api.forecast('sales', horizon => 9)")


def test_housekeeping_keeps_what_is_deployed_and_where_a_rollback_goes(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    for number in range(1, 7):
        db.execute("update shop.sale set quantity = quantity + 1 where at = '2023-12-01'")
        assert fit(db)["version"] == number
    db.execute("select * from api.deploy_version('sales', 2)")
    gone = one(db, "select * from api.prune_cache(keep_versions => 1)")
    assert gone == {"model": "sales", "version_count": 3, "entry_count": 3, "artifact_count": 0}
    assert value(db, "select count(*) from cache.ml_models") == 3
    for version in (1, 2, 6):
        assert value(db, f"select count(*) from api.forecast('sales', horizon => 3, version => {version})") == 3  # fmt: skip
    refused(db, "22023", "select * from api.forecast('sales', horizon => 3, version => 4)")
    assert value(db, "select count(*) from api.forecast('sales', version => 4)") == 2
    assert value(db, "select eviction_count from bi.cache") == 3
    assert rows(db, "select * from api.prune_cache(keep_versions => 1)") == []
    refused(db, "22023", "select * from api.prune_cache(keep_versions => -1)")


def test_reading_writes_nothing_and_memory_counts(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    create(db, horizon=2)
    fit(db)
    written = "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_xact_user_tables"
    before = value(db, written)
    memory = rows(db, "select * from api.cache_status() order by level")[0]
    for _ in range(3):
        db.execute("select * from api.forecast('sales', horizon => 9)")
        db.execute("select * from api.forecast('sales')")
    after = rows(db, "select * from api.cache_status() order by level")[0]
    assert value(db, written) == before
    assert after["hit_count"] - memory["hit_count"] == 2
    assert after["miss_count"] - memory["miss_count"] == 1


# -------------------------------------------------------------------------------------------- roles


def test_analysts_forecast_fitters_fit_and_tools_read(db: Connection) -> None:
    sold(db, {"north": MONTHS})
    db.execute("grant usage on schema shop to weighhouse_fitter")
    db.execute("grant select on shop.sale to weighhouse_fitter")
    db.execute("set role weighhouse_fitter")
    create(db, "ets", horizon=2)
    fit(db)
    db.execute("select * from api.evaluate_model('sales', folds => 1)")
    db.execute("set role weighhouse_analyst")
    assert value(db, "select count(*) from api.forecast('sales', horizon => 4)") == 4
    for query in (
        "select * from api.fit_model('sales')",
        "select * from api.drop_model('sales')",
        "select * from api.deploy_version('sales', 1)",
        "update cache.ml_models set parameters = '{}'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
            db.execute(query)
    db.execute("set role weighhouse_bi")
    for view in ("forecast", "models", "training_run", "fit_outcome", "actual_vs_forecast",
                 "backtest_metric", "backtest_forecast", "cache", "model_event", "fit_progress",
                 "ml_models", "ml_model_registry"):  # fmt: skip
        db.execute(sql.SQL("select * from bi.{}").format(sql.Identifier(view)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
        db.execute("select * from api.forecast('sales')")
    db.execute("reset role")


# ---------------------------------------------------------------------- cancelling, and two at once


@pytest.fixture
def long_fit(fresh_url: str) -> str:
    """A database with a model whose fit takes many seconds, and a version in force."""
    with psycopg.connect(fresh_url) as db:
        sold(db, {"north": MONTHS})
        create(db, "auto", horizon=12)
        fit(db)
        db.execute(
            "insert into shop.sale select s.at, 'b' || n, s.quantity + random() * 9"
            " from shop.sale as s cross join generate_series(1, 3000) as n"
        )
    return fresh_url


def in_background(url: str, statement: str, ended: Row) -> tuple[threading.Thread, int]:
    connection = psycopg.connect(url, autocommit=True)

    def run() -> None:
        try:
            connection.execute(statement)
            ended["state"] = "finished"
        except psycopg.Error as error:
            ended["state"] = error.sqlstate
        ended["at"] = time.monotonic()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, connection.info.backend_pid


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "state"), [("cancel", "57014"), ("terminate", "57P01")])
def test_a_fit_stopped_in_the_middle_leaves_the_old_version_serving(
    long_fit: str, how: str, state: str
) -> None:
    with psycopg.connect(long_fit, autocommit=True) as db:
        said = rows(db, "select * from bi.forecast order by step")

    def stopped(db: Connection) -> float:
        ended: Row = {}
        thread, pid = in_background(long_fit, "call api.run_fit('sales')", ended)
        # Another session sees the run and how far it is.
        wait_for(lambda: rows(db, "select * from bi.fit_progress where done_count > 0"), 60)
        progress = one(db, "select * from bi.fit_progress")
        assert (progress["model"], progress["pid"], progress["series_count"]) == (
            "sales",
            pid,
            3001,
        )
        assert one(db, "select status from bi.training_run where task = 'fit' order by run_id desc limit 1") == {"status": "running"}  # fmt: skip
        asked = time.monotonic()
        db.execute(f"select pg_{how}_backend(%s)", (pid,))
        thread.join()
        assert ended["state"] == state
        wait_for(lambda: not rows(db, "select * from bi.fit_progress"))
        last = one(db, "select * from bi.training_run order by run_id desc limit 1")
        assert (last["status"], last["version"]) == ("cancelled", None)
        assert rows(db, "select * from bi.forecast order by step") == said
        assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1
        assert value(db, "select count(*) from cache.ml_models") == 1
        return float(ended["at"] - asked)

    with psycopg.connect(long_fit, autocommit=True) as db:
        assert timing.best(lambda: stopped(db), 2) < 2


@pytest.mark.slow
def test_a_statement_timeout_stops_a_fit(long_fit: str) -> None:
    with psycopg.connect(long_fit, autocommit=True) as db:
        db.execute("set statement_timeout = '500ms'")

        def stopped() -> float:
            started = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled):
                db.execute("select * from api.fit_model('sales')")
            return time.monotonic() - started

        assert timing.best(stopped, 2.5) < 2.5
        db.execute("reset statement_timeout")
        assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1


@pytest.mark.slow
def test_the_second_of_two_fits_says_who_is_first(long_fit: str) -> None:
    with psycopg.connect(long_fit, autocommit=True) as db:
        ended: Row = {}
        thread, pid = in_background(long_fit, "call api.run_fit('sales')", ended)
        wait_for(lambda: rows(db, "select * from bi.fit_progress where done_count > 0"), 60)
        error = refused(db, "55P03", "select * from api.fit_model('sales')")
        assert str(pid) in str(error)
        db.execute("select pg_cancel_backend(%s)", (pid,))
        thread.join()


def test_eight_at_once_make_one_version(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as db:
        sold(db, {f"b{n}": MONTHS[n:] for n in range(8)})
        create(db, "ets", horizon=2)
    ended: list[Row] = [{} for _ in range(8)]
    threads = [in_background(fresh_url, "call api.run_fit('sales')", e)[0] for e in ended]
    for thread in threads:
        thread.join()
    assert {e["state"] for e in ended} <= {"finished", "55P03"}
    assert "finished" in {e["state"] for e in ended}
    with psycopg.connect(fresh_url) as db:
        assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1
        assert value(db, "select count(*) from core.forecast_ledger") == 16
