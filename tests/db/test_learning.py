"""Kinds that learn from all series of a model, regressors and holidays: what the database keeps of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row

from tests.db.domain import rows, value
from weighhouse.learnt import pack

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

BRANCHES = ("north", "south", "west")
# The effect of a promotion, told apart from the noise by far.
LIFT = 40.0
OPTIONS = {"horizon": 7, "kind_options": {"rounds": 60}}


def one(db: Connection, query: str, *parameters: object) -> Row:
    with db.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute(query, parameters).fetchall()
    return row


def refused(db: Connection, state: str, query: str, *parameters: object) -> psycopg.Error:
    """The statement fails with a state and a hint."""
    with pytest.raises(psycopg.Error) as raised, db.transaction():
        db.execute(query, parameters)
    assert raised.value.sqlstate == state, raised.value
    assert raised.value.diag.message_hint
    return raised.value


def sold(db: Connection, first: int, last: int, *, ahead: int = 0) -> None:
    """Daily sales of three branches from day to day; promotions are known some days ahead."""
    db.execute("create schema if not exists shop")
    db.execute(
        "create table if not exists shop.sale (at date, branch text, quantity float8, promotion float8)"
    )
    rng = np.random.default_rng(first)
    for place, branch in enumerate(BRANCHES):
        days = np.arange(first, last + ahead)
        promotion = (rng.random(days.size) < 0.2).astype(float)
        values = 100 + 20 * place + 10 * np.sin(2 * np.pi * days / 7) + LIFT * promotion
        values += rng.normal(0, 1, days.size)
        db.execute(
            "insert into shop.sale select date '2024-01-01' + d, %s, case when d < %s then v end, p"
            " from unnest(%s::int[], %s::float8[], %s::float8[]) as x (d, v, p)",
            (branch, last, days.tolist(), values.tolist(), promotion.tolist()),
        )


def create(db: Connection, kind: str = "boosting", *, features: str = "{}", **options: Any) -> Row:
    return one(
        db,
        "select * from api.create_model('sales', 'shop.sale', 'at', 'quantity', '{branch}', %s, %s,"
        " feature_columns => %s)",
        kind,
        json.dumps(OPTIONS | options),
        features,
    )


def fit(db: Connection, *, refit: bool = False, deploy: bool | None = None) -> Row:
    return one(db, "select * from api.fit_model('sales', %s, %s)", refit, deploy)


def artifacts(db: Connection) -> list[Row]:
    return rows(db, "select id, continued_id, data_length, fitted_length from cache.model_artifact order by trained_at")  # fmt: skip


def said(db: Connection, **arguments: Any) -> list[tuple[Any, ...]]:
    names = ", ".join(f"{name} => %({name})s" for name in arguments)
    return db.execute(
        f"select label, step, yhat, yhat_lo, yhat_hi from api.forecast('sales'{', ' if names else ''}{names})",
        arguments,
    ).fetchall()


def test_what_is_learnt_is_stored_once_and_found_again(db: Connection) -> None:
    sold(db, 0, 200)
    create(db)
    first = fit(db)
    assert (first["fitted_count"], first["failed_count"], first["fell_back_count"]) == (3, 0, 0)
    (artifact,) = artifacts(db)
    assert (artifact["data_length"], artifact["fitted_length"]) == (600, 600)
    assert value(db, "select artifact_id from core.model_versions where model = 'sales'") == artifact["id"]  # fmt: skip
    assert value(db, "select count(distinct artifact_id) from cache.ml_models") == 1
    before = said(db)
    # The same relation under another name learns nothing anew.
    db.execute(
        "select api.create_model('twin', 'shop.sale', 'at', 'quantity', '{branch}', 'boosting', %s)",
        (json.dumps(OPTIONS),),
    )
    twin = one(db, "select * from api.fit_model('twin')")
    assert twin["cached_count"] == 3 and len(artifacts(db)) == 1
    again = fit(db, refit=True)
    assert again["fitted_count"] == 3 and len(artifacts(db)) == 2
    np.testing.assert_allclose(
        [row[2:] for row in said(db, version=again["version"])],
        [row[2:] for row in before],
        rtol=1e-9,
    )


def test_a_little_more_data_goes_on_from_there_and_much_more_starts_anew(db: Connection) -> None:
    sold(db, 0, 200)
    create(db)
    fit(db)
    sold(db, 200, 210)
    second = fit(db)
    first, continued = artifacts(db)
    assert continued["continued_id"] == first["id"]
    assert (continued["data_length"], continued["fitted_length"]) == (630, 600)
    assert second["version"] == 2
    # A tenth of the full fit is used up by what came before.
    sold(db, 210, 225)
    fit(db)
    assert artifacts(db)[-1]["continued_id"] is None
    assert artifacts(db)[-1]["fitted_length"] == 675
    # A past that was corrected is another past.
    db.execute("update shop.sale set quantity = quantity + 1 where at = '2024-01-05'")
    fit(db)
    assert len(artifacts(db)) == 4 and artifacts(db)[-1]["continued_id"] is None


def test_the_night_takes_in_new_days_and_learns_nothing(db: Connection) -> None:
    sold(db, 0, 200)
    create(db)
    fit(db)
    sold(db, 200, 203)
    report = one(db, "select * from internal.refresh_forecasts()")
    assert report["count"] == 1, report
    assert len(artifacts(db)) == 1
    version = one(db, "select * from core.model_versions where model = 'sales' order by version desc limit 1")  # fmt: skip
    assert (version["status"], version["artifact_id"]) == ("deployed", artifacts(db)[0]["id"])
    assert (
        value(db, "select min(\"time\")::date from api.forecast('sales')").isoformat()
        == "2024-07-22"
    )


def shops(db: Connection, first: int, last: int) -> None:
    """Daily sales of thirty branches, which follow the same week."""
    db.execute("create schema if not exists shop")
    db.execute("create table if not exists shop.sale (at date, branch text, quantity float8)")
    week = np.array([1.0, 1.1, 1.0, 1.2, 1.6, 2.0, 0.6])
    days = np.arange(first, last)
    for branch in range(30):
        rng = np.random.default_rng([branch, first])
        values = 20.0 * (branch + 1) * week[days % 7] * rng.normal(1.0, 0.1, days.size)
        db.execute(
            "insert into shop.sale select date '2024-01-01' + d, %s, v from unnest(%s::int[], %s::float8[]) as x (d, v)",
            (f"b{branch:02}", days.tolist(), values.tolist()),
        )


def members(db: Connection) -> set[str]:
    return set(value(db, "select array_agg(distinct m ->> 'method') from cache.ml_models as c cross join lateral jsonb_array_elements(c.parameters -> 'members') as m where c.invalidated_at is null"))  # fmt: skip


def automatic(db: Connection) -> None:
    shops(db, 0, 100)
    db.execute(
        "select api.create_model('sales', 'shop.sale', 'at', 'quantity', '{branch}', 'auto', %s)",
        (json.dumps({"horizon": 7, "kind_options": {"learn": True}}),),
    )
    fit(db)


def test_auto_learns_a_method_from_all_series_and_goes_on_with_it(db: Connection) -> None:
    automatic(db)
    (artifact,) = rows(db, "select * from cache.model_artifact")
    assert (artifact["label"], artifact["native"]) == ("100 trees of 30 series", None)
    assert "boosting" in members(db)
    before = said(db, series="b03")
    shops(db, 100, 103)
    assert one(db, "select * from internal.refresh_forecasts()")["count"] == 1
    assert len(artifacts(db)) == 1
    after = said(db, series="b03")
    assert len(after) == len(before) == 7 and after != before
    # The same week three days on.
    np.testing.assert_allclose(
        [row[2] for row in after[:4]], [row[2] for row in before[3:]], rtol=0.2
    )


def test_what_auto_learnt_in_an_earlier_release_serves_on(db: Connection) -> None:
    """Until it is learnt anew: weights of lags, of which series keep their last values."""
    automatic(db)
    weights = np.zeros((5, 9, 7), dtype=np.float32)
    weights[:, 6] = -1.0
    header = {"learnt": True, "groups": [{"seasons": [7], "series": 30, "lags": 7}]}
    db.execute("update cache.model_artifact set invalidated_at = now()")
    artifact = value(
        db,
        "insert into cache.model_artifact (model_name, kind, version, options_hash, data_hash, header, arrays, signature, label, data_length, fitted_length)"
        " select a.model_name, a.kind, 2, a.options_hash, a.data_hash, x.header, x.arrays,"
        " internal.sign_artifact(a.kind, 2, a.data_hash, x.header::text, x.arrays, null), '7 lags of 30 series', a.data_length, a.fitted_length"
        " from cache.model_artifact as a cross join (values (%s::jsonb, %s::bytea)) as x (header, arrays) returning id",
        json.dumps(header),
        pack({"pooled_0": weights}),
    )
    for row in rows(db, "select id, parameters from cache.ml_models"):
        parameters = row["parameters"] | {"artifact": str(artifact), "seasons": [7]}
        for member in parameters["members"]:
            if member["method"] == "boosting":
                history = member["parameters"]["history"]
                member["method"] = "pooled"
                member["parameters"] = {
                    "lags": 7, "tail": history[-8:], "first": history[0], "count": 100, "log": False,
                    "bounds": [0.0, 2 * max(history)], "spread": 1.0,
                }  # fmt: skip
        db.execute(
            "update cache.ml_models as c set version = 2, artifact_id = %(artifact)s, parameters = x.p,"
            " signature = internal.sign_model(c.fitted_kind, 2, c.data_hash, x.p::text)"
            " from (values (%(parameters)s::jsonb)) as x (p) where c.id = %(id)s",
            {"artifact": artifact, "parameters": json.dumps(parameters), "id": row["id"]},
        )
    db.execute("update core.model_versions set artifact_id = %s", (artifact,))
    assert "pooled" in members(db)
    assert rows(db, "select * from api.verify_cache()") == []
    shops(db, 100, 103)
    assert one(db, "select * from internal.refresh_forecasts()")["count"] == 1
    assert "pooled" in members(db) and len(artifacts(db)) == 2
    assert len(said(db, series="b03", horizon=9)) == 9
    # A branch that is new is fitted as if it were alone.
    db.execute("insert into shop.sale select at, 'new', quantity from shop.sale where branch = 'b07'")  # fmt: skip
    assert fit(db)["fell_back_count"] == 0
    fit(db, refit=True)
    assert value(db, "select label from cache.model_artifact order by trained_at desc limit 1") == "100 trees of 31 series"  # fmt: skip


def test_what_would_have_been_said_is_learnt_from_what_was_there(db: Connection) -> None:
    sold(db, 0, 200)
    create(db)
    fit(db)
    past = said(db, series="north", as_of="2024-06-01")
    assert len(past) == 7 and {row[0] for row in past} == {"north"}
    sold(db, 200, 220)
    assert said(db, series="north", as_of="2024-06-01") == past
    assert len(artifacts(db)) == 1


def test_folds_and_contests_learn_from_their_own_past(db: Connection) -> None:
    sold(db, 0, 200)
    create(db)
    fit(db)
    db.execute("select * from api.evaluate_model('sales', folds => 2)")
    measures = {
        row["metric"]: row["value"]
        for row in rows(
            db, "select metric, value from core.backtest_metric where series_id is null and fold is null and method = 'model'"
        )
    }  # fmt: skip
    assert 0 < measures["mape"] < 40 and 0 < measures["mase"] < 2
    sold(db, 200, 240)
    row = one(db, "select * from api.retrain_model('sales')")
    assert row["decision"] in ("deployed", "rejected"), row
    assert row["forecast_count"] > 0 and row["old_score"] > 0 and row["new_score"] > 0


def test_a_tampered_artifact_is_refused_and_found(db: Connection) -> None:
    sold(db, 0, 200)
    create(db)
    fit(db)
    db.execute("update cache.model_artifact set header = header || '{\"x\": 1}'")
    problems = rows(db, "select * from api.verify_cache()")
    assert [row["problem"] for row in problems] == ["the signature is not the one of the artifact"]
    db.execute("select api.verify_cache(adopt => true)")
    assert rows(db, "select * from api.verify_cache()") == []


def test_a_tampered_artifact_is_not_parsed_in_a_new_session(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as db:
        sold(db, 0, 200)
        create(db)
        fit(db)
        db.execute("update cache.model_artifact set arrays = set_byte(arrays, 100, get_byte(arrays, 100) # 1)")  # fmt: skip
    with psycopg.connect(fresh_url) as db:
        # What was issued is rows.
        assert len(said(db)) == 21
        error = refused(db, "55000", "select * from api.forecast('sales', level => 0.9)")
        assert str(artifacts(db)[0]["id"]) in str(error)
    with psycopg.connect(fresh_url) as db:
        db.execute("update cache.ml_models set artifact_id = null")
        db.execute("update core.model_versions set artifact_id = null")
        db.execute("delete from cache.model_artifact")
        refused(db, "ML000", "select * from api.forecast('sales', level => 0.9)")


def test_a_model_with_too_little_to_learn_from_has_baselines(db: Connection) -> None:
    sold(db, 0, 2)
    create(db, step="1 day")
    outcome = fit(db)
    assert (outcome["fell_back_count"], outcome["failed_count"]) == (3, 0)
    assert artifacts(db) == []
    reasons = rows(db, "select distinct sqlstate from core.run_outcome")
    assert reasons == [{"sqlstate": "ML101"}]


# ---------------------------------------------------------------------------------------- regressors


def test_a_regressor_that_is_known_ahead_moves_the_forecast(db: Connection) -> None:
    sold(db, 0, 400, ahead=7)
    db.execute(
        "update shop.sale set promotion = (at - date '2024-01-01') % 2 where at >= date '2024-01-01' + 400"
    )
    create(db, features="{promotion}")
    assert fit(db)["fitted_count"] == 3
    quantities = {row[1]: row[2] for row in said(db) if row[0] == "north"}
    without = {step: 100 + 10 * np.sin(2 * np.pi * (399 + step) / 7) for step in quantities}
    lifts = {step: quantities[step] - without[step] for step in quantities}
    # Day 400 has none, day 401 has one, and so on.
    assert all(abs(lifts[step] - LIFT * (1 - step % 2)) < LIFT / 3 for step in lifts), lifts


def test_a_regressor_that_is_missing_ahead_is_named(db: Connection) -> None:
    sold(db, 0, 200, ahead=3)
    create(db, features="{promotion}")
    outcome = fit(db)
    assert (outcome["fell_back_count"], outcome["failed_count"]) == (3, 0)
    reason = one(db, "select distinct reason, sqlstate, hint from core.run_outcome")
    assert "promotion" in reason["reason"] and "2024-07-22" in reason["reason"], reason
    assert reason["sqlstate"] == "ML105" and reason["hint"]


def test_another_plan_makes_another_forecast(db: Connection) -> None:
    sold(db, 0, 200, ahead=7)
    create(db, features="{promotion}")
    fit(db)
    assert fit(db)["cached_count"] == 3
    db.execute("update shop.sale set promotion = 1 - promotion where quantity is null")
    assert fit(db)["cached_count"] == 0


def test_who_takes_no_regressors_says_so(db: Connection) -> None:
    sold(db, 0, 50, ahead=7)
    for kind in ("ets", "naive", "auto"):
        error = refused(
            db, "22023",
            "select api.create_model('x', 'shop.sale', 'at', 'quantity', '{branch}', %s, feature_columns => '{promotion}')",
            kind,
        )  # fmt: skip
        assert "boosting" in (error.diag.message_hint or "")
    refused(
        db, "42703",
        "select api.create_model('x', 'shop.sale', 'at', 'quantity', '{branch}', 'boosting', feature_columns => '{price}')",
    )  # fmt: skip
    refused(
        db, "22023",
        "select api.create_model('x', 'shop.sale', 'at', 'quantity', '{}', 'boosting', feature_columns => '{branch}')",
    )  # fmt: skip
    refused(
        db, "22023",
        "select api.create_model('x', 'shop.sale', 'at', 'quantity', '{branch}', 'boosting', '{\"holidays\": [\"nowhere\"]}')",
    )  # fmt: skip
    assert value(db, "select count(*) from core.model_definition where name = 'x'") == 0


def test_a_holiday_that_comes_moves_the_forecast(db: Connection) -> None:
    sold(db, 0, 400)
    fairs = "date '2024-01-01' + 11 * g from generate_series(1, 36) as g"
    db.execute("select api.add_holidays('shop', (select array_agg(d) from (select " + fairs + ") as x (d)), 'Fair')")  # fmt: skip
    # No promotions here: the fair alone stands out.
    db.execute(
        "update shop.sale set quantity = quantity - %s * promotion"
        " + case when at in (select " + fairs + ") then 80 else 0 end",
        (LIFT,),
    )
    create(db, holidays=["shop"])
    assert fit(db)["fitted_count"] == 3
    quantities = {row[1]: row[2] for row in said(db, horizon=7) if row[0] == "north"}
    others = [
        quantities[step] - (100 + 10 * np.sin(2 * np.pi * (399 + step) / 7)) for step in quantities
    ]
    # Day 407 is beyond the horizon.
    assert max(map(abs, others)) < 30
    db.execute("select api.add_holidays('shop', array[date '2024-01-01' + 402], 'Fair')")
    refitted = fit(db)
    # Another calendar is another content.
    assert refitted["cached_count"] == 0 and refitted["version"] == 2
    there = {row[1]: row[2] for row in said(db, version=2) if row[0] == "north"}
    assert there[3] - quantities[3] > 40, (there, quantities)
    refused(
        db, "22023",
        "select api.create_model('x', 'shop.sale', 'at', 'quantity', '{branch}', 'nhits', '{\"holidays\": [\"shop\"]}')",
    )  # fmt: skip
