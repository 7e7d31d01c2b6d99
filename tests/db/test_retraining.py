"""Retraining: a challenger comes into force if it beats the champion on windows neither was fitted on."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import psycopg
import pytest

from loader import schema
from tests.db.domain import rows, value
from tests.db.test_models import create, fit, in_background, one, refused, sold, wait_for
from weighhouse.forecasting import kind as kind_of
from weighhouse.forecasting.contract import Series, no_check

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

random.seed(20)
NOISE = [random.gauss(0, 3) for _ in range(400)]


def week(t: int) -> float:
    """A branch with a weekly rhythm and noise."""
    return 100 + 20 * math.sin(2 * math.pi * t / 7) + NOISE[t]


STABLE = [week(t) for t in range(300)]
# From day 100 on it sells twice as much.
DRIFTED = [*STABLE[:100], *[2 * v for v in STABLE[100:]]]


def more(db: Connection, branch: str, values: list[float], *, after: int = 100) -> None:
    """Days that follow the first `after`."""
    db.execute(
        "insert into shop.sale select '2020-01-01'::date + %s::int - 1 + t::int, %s, v"
        " from unnest(%s::float8[]) with ordinality as x (v, t)",
        (after, branch, values),
    )


def shop(db: Connection, kind: str = "theta", *, days: int = 100, name: str = "sales") -> None:
    """Two branches, a model of them in force."""
    sold(db, {"north": STABLE[:days], "south": STABLE[100 : 100 + days]}, step="1 day")
    create(db, kind, name=name, horizon=14)
    fit(db, name=name)


def drift(db: Connection, days: int = 40) -> None:
    more(db, "north", DRIFTED[100 : 100 + days])
    more(db, "south", STABLE[200 : 200 + days])


def retrain(db: Connection, name: str = "sales", **arguments: Any) -> Row:
    words = "".join(f", {key} => {value!r}" for key, value in arguments.items())
    return one(db, f"select * from api.retrain_model(%s{words})", name)


def refresh(db: Connection) -> str:
    return str(value(db, "select detail from internal.refresh_forecasts()"))


def deployed(db: Connection, name: str = "sales") -> Row:
    return one(
        db, "select * from core.model_versions where model = %s and status = 'deployed'", name
    )


def parameters(db: Connection, version: int, series: str = "north") -> Row:
    """The stored row a version forecasts a series from."""
    return one(
        db,
        "select c.* from core.model_versions as v cross join lateral (select internal.fit_run(v.id) as id) as r"
        " inner join core.run_outcome as o on o.run_id = r.id"
        " inner join core.model_series as s on s.id = o.series_id"
        " inner join cache.ml_models as c on c.id = o.ml_model_id"
        " where v.model = 'sales' and v.version = %s and s.label = %s",
        version,
        series,
    )


def digests(db: Connection) -> dict[str, str]:
    """Every row of every table, and where it stands."""
    tables = rows(
        db,
        "select c.oid::regclass::text as name from pg_class as c where c.relkind = 'r'"
        " and c.relnamespace in ('core'::regnamespace, 'cache'::regnamespace)",
    )
    return {
        row["name"]: value(
            db,
            f"select md5(coalesce(string_agg(t.ctid::text || t::text, '|' order by t.tableoid, t.ctid), '')) from {row['name']} as t",
        )
        for row in tables
    }


# ------------------------------------------------------------------------------------- the decision


def test_a_branch_that_changed_brings_a_challenger_into_force(db: Connection) -> None:
    """Each number is worked out again, from the kernels and from the rows of the evidence."""
    shop(db, "ets")
    drift(db)
    done = retrain(db, reason="the new shop opposite")
    assert (done["decision"], done["old_version"], done["new_version"]) == ("deployed", 1, 2)
    assert done["metric"] == "mape" and done["new_score"] < done["old_score"] / 2
    assert done["improvement_percent"] == pytest.approx(
        100 * (done["old_score"] - done["new_score"]) / done["old_score"]
    )
    assert deployed(db)["version"] == 2 and deployed(db)["replaced_version_id"] is not None
    log = one(db, "select * from bi.retraining")
    assert log["retraining_id"] == done["log_id"] and log["decision"] == "deployed"
    assert (log["reason"], log["is_refitted"]) == ("the new shop opposite", False)
    assert (log["series_count"], log["compared_count"]) == (2, 2)
    assert log["decision_reason"].startswith("significant: ")
    event = one(db, "select * from bi.model_event where event = 'deployed' and version = 2")
    assert "the new shop opposite" in event["reason"]

    # 40 steps since the fit: two windows of the horizon, the newest ends with the newest step.
    forecasts = rows(db, "select * from bi.retraining_forecast order by series, fold, step")
    assert len(forecasts) == done["forecast_count"] == 2 * 2 * 14
    origins = rows(
        db, "select distinct (origin_time at time zone 'UTC')::date - '2020-01-01' as t, fold from bi.retraining_forecast order by fold"
    )  # fmt: skip
    assert [row["t"] for row in origins] == [111, 125]
    series = DRIFTED[:140]
    model = kind_of("ets")
    known = parameters(db, 1)
    for fold, origin in ((1, 112), (2, 126)):
        found = [row for row in forecasts if row["series"] == "north" and row["fold"] == fold]
        assert [row["actual"] for row in found] == pytest.approx(series[origin : origin + 14])
        brought_up = model.update(known["parameters"], np.array(series[100:origin]))
        champion = model.forecast(brought_up, 14, (0.8, 0.95))
        assert [row["champion"] for row in found] == pytest.approx(champion.mean.tolist())
        assert [row["champion_lower_95"] for row in found] == pytest.approx(
            champion.lower[1].tolist()
        )
        options = model.check_options({})
        (learnt,) = model.fit([Series(np.array(series[:origin]), (7,))], 14, options, no_check)
        challenger = model.forecast(learnt.parameters, 14, (0.8,))  # type: ignore[union-attr]
        assert [row["challenger"] for row in found] == pytest.approx(challenger.mean.tolist())
        naive = [series[origin - 7 + step % 7] for step in range(14)]
        assert [row["seasonal_naive"] for row in found] == pytest.approx(naive)
        for method in ("champion", "challenger", "seasonal_naive"):
            evidence = one(
                db,
                "select * from bi.retraining_evidence where series = 'north' and fold = %s and method = %s",
                fold,
                method,
            )
            errors = [row[method] - row["actual"] for row in found]
            share = [abs(e) / row["actual"] for e, row in zip(errors, found, strict=True)]
            assert evidence["mape"] == pytest.approx(100 * sum(share) / 14)
            assert evidence["mae"] == pytest.approx(sum(map(abs, errors)) / 14)
            assert evidence["bias"] == pytest.approx(sum(errors) / 14)
            total = sum(row["actual"] for row in found)
            assert evidence["wape"] == pytest.approx(100 * sum(map(abs, errors)) / total)
    for method, score in (
        ("champion", "old_score"), ("challenger", "new_score"), ("seasonal_naive", "baseline_score"),
    ):  # fmt: skip
        errors = [abs(row[method] - row["actual"]) / row["actual"] for row in forecasts]
        assert done[score] == pytest.approx(100 * sum(errors) / len(errors)), method
    assert one(db, "select * from bi.models where name = 'sales' and version = 2")[
        "mape"
    ] == pytest.approx(done["new_score"])
    history = one(db, "select * from bi.training_history where version = 2")
    assert (history["decision"], history["reason"]) == ("deployed", "the new shop opposite")
    known_as = one(db, "select * from bi.model_retraining_log")
    assert (known_as["trigger"], known_as["improvement_percent"]) == (
        "the new shop opposite", done["improvement_percent"],
    )  # fmt: skip

    # Taken back, the champion serves again.
    rolled = one(db, "select * from api.rollback_model('sales', 'no')")
    assert (rolled["deployed_version"], rolled["version_before"]) == (1, 2)


def test_where_nothing_changed_the_champion_serves_on(db: Connection) -> None:
    shop(db)
    more(db, "north", STABLE[100:140])
    more(db, "south", STABLE[200:240])
    said = rows(db, "select * from bi.forecast order by series, step")
    done = retrain(db)
    assert (done["decision"], done["new_version"]) == ("rejected", 2)
    assert done["improvement_percent"] <= 1 and done["forecast_count"] == 56
    assert value(db, "select status from core.model_versions where version = 2") == "archived"
    assert rows(db, "select * from bi.forecast order by series, step") == said


def test_without_new_data_there_is_nothing_to_compare(db: Connection) -> None:
    shop(db)
    done = retrain(db)
    assert (done["decision"], done["new_version"]) == ("rejected", None)
    assert (done["old_score"], done["new_score"], done["forecast_count"]) == (None, None, None)
    assert "no new data" in done["decision_reason"]
    assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1
    assert value(db, "select count(*) from core.model_retraining_log") == 1


def test_another_kind_is_tried_beside_the_old_one_on_the_same_folds(db: Connection) -> None:
    shop(db, "naive")
    db.execute(
        "update core.model_definition set kind = 'ets', options = options || jsonb_build_object("
        "'kind_options', internal.check_kind_options('ets', '{}')::jsonb) where name = 'sales'"
    )
    assert "changed definition" in [
        row["reason"] for row in rows(db, "select * from bi.retraining_due where is_due")
    ]
    done = retrain(db)
    assert (done["decision"], done["new_version"]) == ("deployed", 2)
    assert done["decision_reason"].startswith("significant")
    assert one(db, "select * from bi.retraining")["is_refitted"]
    assert deployed(db)["model_type"] == "ets"
    # What the naive forecast says is the last value before the origin.
    found = rows(
        db,
        "select f.champion, (select s.quantity from shop.sale as s where s.branch = f.series"
        " and s.at = (f.origin_time at time zone 'UTC')::date) as last from bi.retraining_forecast as f",
    )
    assert len(found) == 2 * 3 * 14
    assert [row["champion"] for row in found] == pytest.approx([row["last"] for row in found])


def test_a_model_without_a_version_gets_its_first(db: Connection) -> None:
    sold(db, {"north": STABLE[:60]}, step="1 day")
    create(db, "ets", horizon=7)
    done = retrain(db)
    assert (done["decision"], done["old_version"], done["new_version"]) == ("deployed", None, 1)
    assert deployed(db)["version"] == 1


def test_many_zeros_are_judged_by_wape(db: Connection) -> None:
    values = [v if t % 3 else 0.0 for t, v in enumerate(STABLE[:140])]
    sold(db, {"north": values[:100]}, step="1 day")
    create(db, "ets", horizon=14)
    fit(db)
    more(db, "north", values[100:])
    done = retrain(db)
    assert done["metric"] == "wape"
    found = rows(db, "select * from bi.retraining_forecast")
    wape = sum(abs(r["champion"] - r["actual"]) for r in found) / sum(r["actual"] for r in found)
    assert done["old_score"] == pytest.approx(100 * wape)


@pytest.mark.parametrize(
    ("old", "new", "decision", "words", "improvement"),
    [
        (20.0, 18.9, "deployed", "significant: 5.5 %", 5.5),
        (20.0, 19.0, "deployed", "minor: 5 %", 5.0),
        (20.0, 19.7, "deployed", "minor: 1.5 %", 1.5),
        (20.0, 19.8, "rejected", "only 1 %", 1.0),
        (20.0, 20.0, "rejected", "as good", 0.0),
        (20.0, 21.0, "rejected", "5 % worse", -5.0),
        (0.0, 0.0, "rejected", "as good", 0.0),
        (0.0, 1.0, "rejected", "no error", None),
        (1e-14, 1e-12, "rejected", "as good", 0.0),
        (None, None, "rejected", "no forecast", None),
    ],
)
def test_the_thresholds_must_be_passed(
    db: Connection, old: float, new: float, decision: str, words: str, improvement: float
) -> None:
    found = one(db, "select * from internal.judge_challenger(%s, %s, 5, 1)", old, new)
    assert words in found["decision_reason"]
    assert found["decision"] == decision
    assert found["improvement_percent"] == (
        None if improvement is None else pytest.approx(improvement)
    )


def test_each_model_has_its_own_thresholds(db: Connection) -> None:
    shop(db, "theta")
    drift(db)
    gain = retrain(db, dry_run=True)["improvement_percent"]
    assert 20 < gain < 98
    for significant, minor, expected in (
        (gain + 2, gain + 1, "would be rejected: only"),
        (gain + 1, gain - 0.05, "would be deployed: minor"),
        (gain - 0.02, gain - 0.05, "would be deployed: significant"),
    ):
        db.execute(
            "select api.set_retraining_policy('sales', significant_percent => %s, minor_percent => %s)",
            (significant, minor),
        )
        assert retrain(db, dry_run=True)["decision_reason"].startswith(expected)
    assert one(db, "select * from bi.retraining_policy where model is null")["minor_percent"] == 1
    assert not one(db, "select * from bi.retraining_policy where model = 'sales'")["is_default"]


# --------------------------------------------------------------------------------------- no leakage


def test_no_parameters_are_scored_on_what_they_were_fitted_on(db: Connection) -> None:
    """Nor after they took in newer data without a fit: these are what is scored."""
    shop(db)
    more(db, "north", STABLE[100:120])
    assert refresh(db).startswith("1 models continued")
    more(db, "north", STABLE[120:124], after=120)
    done = retrain(db)
    first = value(db, "select min(origin_time at time zone 'UTC')::date - '2020-01-01' from bi.retraining_forecast")  # fmt: skip
    # The last day of the fit is 99: the challenger has learnt from at least one more.
    assert first > 99
    # 24 new steps: one window of half of them, after which version 2 had seen some.
    assert done["forecast_count"] == 12 and first == 111
    # South has nothing new.
    assert value(db, "select count(distinct series) from bi.retraining_forecast") == 1
    # A champion that has seen everything is not scored at all.
    fit(db, refit="true", deploy="true")
    assert retrain(db)["forecast_count"] is None


def test_what_came_after_an_origin_changes_no_forecast_from_it(db: Connection) -> None:
    shop(db)
    drift(db)
    said = []
    query = "select series, fold, step, champion, challenger, seasonal_naive from bi.retraining_forecast where fold = 1 order by 1, 2, 3"
    for change in ("select 1", "update shop.sale set quantity = 7 * quantity where at > '2020-04-21'"):  # fmt: skip
        with db.transaction(force_rollback=True):
            db.execute(change)
            retrain(db)
            said.append(rows(db, query))
    assert len(said[0]) == 28 and said[0] == said[1]


def test_a_challenger_that_lost_does_not_come_back_with_the_daily_forecasts(db: Connection) -> None:
    shop(db, "ets")
    weights = parameters(db, 1)["parameters"]["weights"]
    more(db, "north", STABLE[100:140])
    assert retrain(db)["decision"] == "rejected"
    assert parameters(db, 2)["parameters"]["weights"] != weights
    more(db, "north", STABLE[140:141], after=140)
    refresh(db)
    now = deployed(db)
    assert now["version"] == 3 and parameters(db, 3)["parameters"]["weights"] == weights


# ----------------------------------------------------------------------------------- daily forecasts


def test_daily_forecasts_keep_parameters_and_their_age(db: Connection) -> None:
    shop(db, "ets")
    first = deployed(db)
    base = parameters(db, 1)
    # Older than the time to live, and far more than a tenth: parameters in force are kept all the same.
    db.execute("update cache.ml_models set trained_at = trained_at - interval '3 days'")
    for day in range(100, 130, 10):
        more(db, "north", STABLE[day : day + 10], after=day)
        assert refresh(db).startswith("1 models continued, 0 unchanged")
        unchanged = digests(db)
        assert refresh(db).startswith("0 models continued, 1 unchanged")
        assert digests(db) == unchanged
    now = deployed(db)
    assert now["version"] == 4
    assert now["parameters_fitted_at"] == first["parameters_fitted_at"]
    stored = parameters(db, 4)
    assert (stored["fitted_id"], stored["fitted_at"]) == (base["id"], base["fitted_at"])
    assert (stored["fitted_length"], stored["data_length"]) == (100, 130)
    expected = kind_of("ets").update(base["parameters"], np.array(STABLE[100:130]))
    assert stored["parameters"]["weights"] == expected["weights"]
    forecast = rows(db, "select yhat, step from bi.forecast where series = 'north' order by step")
    assert [row["yhat"] for row in forecast] == pytest.approx(
        kind_of("ets").forecast(expected, 14, (0.8,)).mean.tolist()
    )
    # It took the place of the one before: there is no other model to go back to.
    assert now["replaced_version_id"] is None
    events = rows(db, "select * from bi.model_event where event = 'deployed' order by event_id")
    assert [row["reason"] for row in events[1:]] == ["same parameters, newer data"] * 3
    # Housekeeping keeps the fit the updates come from.
    db.execute("select * from api.prune_cache(unused => '0 days', keep_versions => 0)")
    assert value(db, "select count(*) from cache.ml_models where id = %s", base["id"]) == 1
    assert retrain(db)["forecast_count"] == 28


def test_new_and_short_series_and_a_corrected_past_do_not_stop_the_others(db: Connection) -> None:
    shop(db)
    more(db, "west", STABLE[:50])
    more(db, "east", STABLE[:1])
    more(db, "north", STABLE[100:101])
    db.execute("update shop.sale set quantity = quantity + 1 where at = '2020-02-01'")
    assert refresh(db).startswith("1 models continued")
    run = value(db, "select max(id) from core.training_run")
    found = rows(db, "select series, outcome from bi.fit_outcome where run_id = %s", run)
    assert {row["series"]: row["outcome"] for row in found} == {
        "north": "updated", "south": "cached", "west": "fitted", "east": "fell_back",
    }  # fmt: skip
    assert refresh(db).startswith("0 models continued, 1 unchanged")


def test_parameters_that_cannot_go_on_are_left_to_the_retraining(db: Connection) -> None:
    shop(db)
    more(db, "north", STABLE[:60], after=160)
    assert "1 left to the retraining" in refresh(db)
    assert (deployed(db)["version"], value(db, "select max(version) from core.model_versions")) == (
        1, 2,
    )  # fmt: skip
    unchanged = digests(db)
    assert refresh(db).startswith("0 models continued, 1 unchanged")
    assert digests(db) == unchanged
    due = rows(db, "select reason from api.retraining_reasons('sales') where is_due")
    assert due == [{"reason": "cannot go on"}]
    # The champion is scored as it stood.
    done = value(db, "select detail from internal.retrain_due_models()")
    assert done.startswith("sales ")
    assert value(db, "select count(*) from bi.retraining_forecast where champion is not null") > 0


# ------------------------------------------------------------------------------------------ failures


def test_a_fit_that_fails_leaves_the_champion_serving(db: Connection) -> None:
    shop(db)
    drift(db)
    said = rows(db, "select * from bi.forecast order by series, step")
    db.execute("alter table shop.sale rename column quantity to amount")
    done = retrain(db)
    assert (done["decision"], done["old_version"], done["new_version"]) == ("failed", 1, None)
    log = one(db, "select * from bi.retraining")
    assert log["sqlstate"] == "42703" and "quantity" in log["error"]
    run = one(db, "select * from bi.training_run order by run_id desc limit 1")
    assert (run["status"], run["sqlstate"], run["run_id"]) == ("failed", "42703", log["run_id"])
    assert rows(db, "select * from bi.forecast order by series, step") == said
    assert value(db, "select count(*) from core.model_versions where model = 'sales'") == 1
    with pytest.raises(psycopg.errors.UndefinedColumn), db.transaction():
        retrain(db, dry_run=True)
    assert "1 failed: sales: " in refresh(db)


def test_a_challenger_none_of_whose_series_can_be_fitted_failed(db: Connection) -> None:
    shop(db)
    db.execute("insert into shop.sale select * from shop.sale")
    drift(db)
    done = retrain(db)
    assert (done["decision"], done["decision_reason"]) == ("failed", "no series could be fitted")
    assert value(db, "select status from core.model_versions where version = 2") == "failed"
    assert deployed(db)["version"] == 1


def test_one_model_that_fails_stops_no_other(db: Connection) -> None:
    shop(db)
    db.execute("create table shop.gone as select * from shop.sale")
    db.execute(
        "select * from api.create_model('gone', 'shop.gone', 'at', 'quantity', '{branch}', 'naive')"
    )
    fit(db, name="gone")
    drift(db)
    db.execute("drop table shop.gone")
    db.execute("select api.set_retraining_policy(max_new_observations => 1, max_age => '1 second')")
    db.execute("update core.model_versions set parameters_fitted_at = now() - interval '1 day'")
    done = one(db, "select * from internal.retrain_due_models()")
    assert done["count"] == 2
    decided = rows(db, "select model, decision, reason from bi.retraining order by model")
    assert [(row["model"], row["decision"]) for row in decided] == [
        ("gone", "failed"), ("sales", "deployed"),
    ]  # fmt: skip
    assert all("age of the fit" in row["reason"] for row in decided)


def test_what_cannot_be_retrained_is_refused(db: Connection) -> None:
    shop(db)
    unchanged = digests(db)
    for query in (
        "select * from api.retrain_model('shrinkage')",
        "select * from api.retrain_model('sells')",
        "select * from api.retraining_reasons('sells')",
        "select api.set_retraining_policy('sells')",
        "select api.set_retraining_policy('shrinkage')",
        "select api.set_retraining_policy(mape_threshold => 0)",
        "select api.set_retraining_policy(mape_threshold => 'NaN')",
        "select api.set_retraining_policy(max_age => '-1 day')",
        "select api.set_retraining_policy(max_new_observations => 0)",
        "select api.set_retraining_policy(minor_percent => 6)",
        "select api.set_retraining_policy(significant_percent => 101)",
    ):
        refused(db, "22023", query)
    assert digests(db) == unchanged


def test_tampered_parameters_fail_the_retraining(db: Connection) -> None:
    shop(db)
    drift(db)
    db.execute("update cache.ml_models set parameters = parameters || '{\"x\": 1}'")
    assert retrain(db)["decision"] == "failed"
    assert one(db, "select * from bi.retraining")["sqlstate"] == "55000"


# ------------------------------------------------------------------------------------------- reasons


def reasons(db: Connection) -> dict[str, Row]:
    return {row["reason"]: row for row in rows(db, "select * from api.retraining_reasons('sales')")}


def test_the_reasons_are_rows_with_their_thresholds(db: Connection) -> None:
    shop(db)
    assert [row for row in reasons(db).values() if row["is_due"]] == []
    assert reasons(db)["MAPE"]["value"] is None
    db.execute(
        "insert into core.model_performance_metrics (model, version, day, n, percent_count, percent_error_sum,"
        " absolute_error_sum, squared_error_sum, error_sum, absolute_actual_sum, inside_80_count, inside_95_count)"
        " select 'sales', 1, day, 10, 10, share, 1, 1, 1, 1, 1, 1 from (values ('2020-01-01'::date, 90.0),"
        " ('2020-04-13', 90), ('2020-04-14', 1), ('2020-04-20', 2)) as d (day, share)"
    )
    # (1 + 2) / 20: the last seven days.
    assert reasons(db)["MAPE"]["value"] == pytest.approx(15)
    assert not reasons(db)["MAPE"]["is_due"]
    db.execute("select api.set_retraining_policy('sales', mape_threshold => 14.9)")
    assert reasons(db)["MAPE"]["is_due"]
    audit = one(db, "select * from bi.audit where table_name = 'retraining_policy'")
    assert audit["action"] == "insert"

    more(db, "north", STABLE[100:110])
    refresh(db)
    # The days the version in force took in, and those it was scored on since.
    more(db, "north", STABLE[110:113], after=110)
    db.execute("select * from api.record_actuals('sales')")
    assert reasons(db)["new observations"]["value"] == 13
    # Of the line with the same parameters, not of the newest version alone.
    assert reasons(db)["MAPE"]["value"] == pytest.approx(15)
    db.execute("select api.set_retraining_policy('sales', max_new_observations => 12)")
    assert reasons(db)["new observations"]["is_due"]

    db.execute("update core.model_versions set parameters_fitted_at = now() - interval '31 days'")
    age = reasons(db)["age of the fit"]
    assert (age["value"], age["threshold"], age["is_due"]) == (pytest.approx(31), 30, True)

    db.execute("select api.set_retraining_policy('sales', is_active => false)")
    assert not any(row["is_due"] for row in reasons(db).values())
    assert value(db, "select detail from internal.retrain_due_models()") == "no model is due"
    assert retrain(db, dry_run=True)["decision"] == "dry_run"


def test_what_lost_is_not_tried_again_on_the_same_data(db: Connection) -> None:
    shop(db)
    more(db, "north", STABLE[100:140])
    db.execute("select api.set_retraining_policy(max_age => '1 second')")
    db.execute("update core.model_versions set parameters_fitted_at = now() - interval '1 day'")
    assert value(db, "select count from internal.retrain_due_models()") == 1
    assert one(db, "select * from bi.retraining")["decision"] == "rejected"
    unchanged = digests(db)
    assert value(db, "select count from internal.retrain_due_models()") == 0
    assert digests(db) == unchanged
    more(db, "north", STABLE[140:141], after=140)
    assert value(db, "select count from internal.retrain_due_models()") == 1


def test_a_dry_run_changes_nothing_and_says_what_a_real_one_takes(db: Connection) -> None:
    shop(db)
    drift(db)
    more(db, "west", STABLE[:20])
    unchanged = digests(db)
    tried = retrain(db, dry_run=True)
    assert digests(db) == unchanged
    assert (tried["decision"], tried["new_version"], tried["log_id"]) == ("dry_run", None, None)
    assert tried["seconds"] > 0
    done = retrain(db)
    assert tried["decision_reason"] == f"would be {done['decision']}: {done['decision_reason']}"
    same = ("metric", "old_score", "new_score", "baseline_score", "improvement_percent")
    same += ("window_from", "window_to", "forecast_count")
    assert [tried[name] for name in same] == [done[name] for name in same]


def test_tools_read_analysts_ask_and_fitters_retrain(db: Connection) -> None:
    shop(db)
    drift(db)
    db.execute("grant usage on schema shop to weighhouse_fitter; grant select on shop.sale to weighhouse_fitter")  # fmt: skip
    db.execute("set role weighhouse_analyst")
    refused_by_right = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with refused_by_right, db.transaction():
        db.execute("select * from api.retrain_model('sales')")
    assert len(reasons(db)) == 5
    # Temporary tables of this transaction belong to who made them.
    db.execute("discard temp; set role weighhouse_fitter")
    assert retrain(db)["decision"] == "deployed"
    db.execute("select api.set_retraining_policy('sales', mape_threshold => 10)")
    db.execute("set role weighhouse_bi")
    for view in ("retraining", "retraining_due", "retraining_evidence", "retraining_forecast", "retraining_policy",
                 "training_history", "model_retraining_log"):  # fmt: skip
        assert value(db, f"select count(*) from bi.{view}") > 0, view


# --------------------------------------------------------------------- at once, and in the middle


def test_eight_at_once_retrain_once_and_a_cancel_leaves_nothing(fresh_url: str) -> None:
    with psycopg.connect(fresh_url, autocommit=True) as db:
        with db.transaction():
            sold(db, {"north": STABLE[:100]}, step="1 day")
            db.execute(
                "insert into shop.sale select s.at, 'b' || n, s.quantity + n from shop.sale as s cross join generate_series(1, 40) as n"
            )
            create(db, "theta", horizon=7)
            fit(db)
            db.execute(
                "insert into shop.sale select at + 100, branch, quantity * 2 from shop.sale where at < '2020-02-10'"
            )
        said = json.dumps(rows(db, "select * from bi.forecast order by series, step"), default=str)
        ended: Row = {}
        thread, pid = in_background(fresh_url, "call api.run_retraining('sales')", ended)
        wait_for(lambda: rows(db, "select * from bi.fit_progress where task = 'retrain'"))
        running = one(db, "select * from bi.training_run order by run_id desc limit 1")
        assert running["status"] == "running"
        db.execute("select pg_cancel_backend(%s)", (pid,))
        thread.join()
        assert ended["state"] == "57014"
        stopped = one(db, "select * from bi.training_run order by run_id desc limit 1")
        assert (stopped["status"], stopped["version"]) == ("cancelled", None)
        assert value(db, "select count(*) from core.model_retraining_log") == 0
        assert value(db, "select max(version) from core.model_versions") == 1
        assert (
            json.dumps(rows(db, "select * from bi.forecast order by series, step"), default=str)
            == said
        )

        every: list[Row] = [{} for _ in range(8)]
        threads = [
            in_background(fresh_url, "select * from api.retrain_model('sales')", e)[0]
            for e in every
        ]
        for thread in threads:
            thread.join()
        assert sorted(e["state"] for e in every) == ["55P03"] * 7 + ["finished"]
        assert value(db, "select max(version) from core.model_versions") == 2
        assert value(db, "select count(*) from core.model_retraining_log") == 1
        assert deployed(db)["version"] == 2
        # Who was cancelled is on record once somebody else ran.
        assert value(db, "select count(*) from core.training_run where status = 'cancelled'") == 1

    # The revision goes and comes back: decisions and versions stay, evidence and policies go.
    schema.downgrade(fresh_url, "0014")
    schema.upgrade(fresh_url)
    with psycopg.connect(fresh_url) as db:
        assert deployed(db)["version"] == 2 and deployed(db)["parameters_fitted_at"] is not None
        assert one(db, "select * from bi.retraining")["decision"] == "deployed"
        assert value(db, "select count(*) from core.retraining_policy where model is null") == 1
        assert retrain(db)["forecast_count"] is None
