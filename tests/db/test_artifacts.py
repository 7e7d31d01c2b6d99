"""How models did over their evaluations, what is stored of them, and how it leaves the database."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import psycopg
import pytest

from loader import schema
from tests.db.domain import rows, value
from tests.db.test_models import MONTHS, create, fit, one, refused, sold
from weighhouse.learnt import pack

Connection = psycopg.Connection[Any]


def artifact(
    db: Connection,
    *,
    model: str = "sales",
    kind: str = "forest",
    arrays: dict[str, Any] | None = None,
    native: tuple[str, bytes] | None = None,
    version: int | None = None,
    age: str = "0 days",
) -> str:
    """Store what a kind learnt, signed as a fit signs it; of a version, where one is given."""
    found = db.execute(
        "insert into cache.model_artifact (model_name, kind, version, options_hash, data_hash, header, arrays, native, native_format,"
        " signature, label, data_length, fitted_length, trained_at, last_used_at)"
        " select %(model)s, %(kind)s, 1, 'options', x.hash, x.header, %(arrays)s, %(native)s, %(format)s,"
        "     internal.sign_artifact(%(kind)s, 1, x.hash, x.header::text, %(arrays)s, %(native)s), '3 trees', 100, 100,"
        "     now() - %(age)s::interval, now() - %(age)s::interval"
        " from (select md5(random()::text) as hash, '{\"trees\": 3}'::jsonb as header) as x returning id",
        {
            "model": model, "kind": kind, "arrays": pack(arrays or {"weights": np.arange(3.0)}),
            "native": native and native[1], "format": native and native[0], "age": age,
        },
    ).fetchone()[0]  # type: ignore[index]  # fmt: skip
    if version is not None:
        db.execute(
            "update core.model_versions set artifact_id = %s where model = %s and version = %s",
            (found, model, version),
        )
    return str(found)


def fitted(db: Connection, versions: int = 1) -> None:
    """A model with so many versions, the last two of which were deployed in turn."""
    sold(db, {"north": MONTHS, "south": MONTHS[6:]})
    create(db, horizon=2)
    for number in range(1, versions + 1):
        db.execute("update shop.sale set quantity = quantity + 1 where at = '2023-12-01'")
        fit(db)
        if number >= versions - 1:
            db.execute("select * from api.deploy_version('sales', %s)", (number,))


# ----------------------------------------------------------------------------------------- metrics


def measured(db: Connection, numbers: list[float | None], metric: str = "mape") -> None:
    """Evaluations one day after the other, made by hand."""
    for day, number in enumerate(numbers):
        run = value(
            db,
            "insert into core.training_run (model, task, status, started_at, version_id)"
            " select 'sales', 'evaluate', 'succeeded', '2026-01-01'::timestamptz + %s * interval '1 day', v.id"
            " from core.model_versions as v where v.model = 'sales' and v.version = 1 returning id",
            day,
        )
        db.execute(
            "insert into core.backtest_metric (run_id, series_id, fold, method, metric, value, row_count)"
            " values (%s, null, null, 'model', %s, %s, 10), (%s, null, null, 'naive', %s, 50, 10),"
            " (%s, 1, null, 'model', %s, 999, 10)",
            (run, metric, number, run, metric, run, metric),
        )


def test_a_trend_is_the_slope_over_the_last_evaluations(db: Connection) -> None:
    fitted(db)
    numbers = [30, 20, 12, 11, 10, 9, 9]
    measured(db, numbers)
    found = rows(db, "select * from api.metric_trend('sales', 'mape', 5)")
    assert [row["value"] for row in found] == numbers[:1:-1]
    assert [row["runs_ago"] for row in found] == [1, 2, 3, 4, 5]
    expected = np.polyfit(range(5), numbers[2:], 1)[0]
    assert found[0]["slope"] == pytest.approx(expected) and found[0]["trend"] == "improving"
    assert found[4]["value_before"] == 20 and found[0]["version"] == 1
    view = rows(db, "select * from bi.metric_trend where model = 'sales' order by time")
    assert view[0]["slope"] is None and view[0]["trend"] is None
    assert view[-1]["slope"] == pytest.approx(np.polyfit(range(7), numbers, 1)[0])
    assert view[-1]["change"] == 0 and view[-1]["task"] == "forecast"


@pytest.mark.parametrize(
    ("metric", "numbers", "best", "trend"),
    [
        ("mape", [9, 7, 8], 7, "improving"),
        ("r2", [0.5, 0.9, 0.8], 0.9, "improving"),
        ("f1_macro", [0.9, 0.8, 0.7], 0.9, "worsening"),
        ("coverage_80", [60, 99, 78], 78, "improving"),
        ("bias", [-9, 2, 5], 2, "improving"),
        ("mae", [5, 5, 5], 5, "stable"),
    ],
)
def test_the_best_is_what_is_better_for_the_measure(
    db: Connection, metric: str, numbers: list[float], best: float, trend: str
) -> None:
    fitted(db)
    measured(db, numbers, metric)  # type: ignore[arg-type]
    found = one(db, "select * from api.metric_summary('sales') where method = 'model'")
    assert (found["run_count"], found["best"], found["best_version"]) == (3, best, 1)
    assert found["average"] == pytest.approx(np.mean(numbers))
    assert found["p50"] == pytest.approx(np.median(numbers))
    assert found["p90"] == pytest.approx(np.quantile(numbers, 0.9))
    assert one(db, "select trend from api.metric_trend('sales') limit 1") == {"trend": trend}
    view = one(db, "select * from bi.metric_summary where model = 'sales' and method = 'model'")
    assert (view["best"], view["newest"]) == (best, numbers[-1])
    naive = one(db, "select * from api.metric_summary('sales') where method = 'naive'")
    assert naive["average"] == 50
    last = one(db, "select * from api.metric_summary('sales', 2) where method = 'model'")
    assert last["average"] == pytest.approx(np.mean(numbers[1:]))


def test_figures_of_tables_come_from_the_versions(db: Connection) -> None:
    fitted(db, 3)
    for number, r2 in enumerate((0.5, 0.6, 0.9), 1):
        metrics = {"r2": r2, "r2_baseline": 0.1, "confusion": [[1, 2]], "note": "x"}
        db.execute(
            "update core.model_versions set metrics = %s, task = 'regression',"
            " created_date = '2026-01-01'::timestamptz + %s * interval '1 day'"
            " where model = 'sales' and version = %s",
            (json.dumps(metrics), number, number),
        )
    found = rows(db, "select * from api.metric_trend('sales')")
    assert [(row["metric"], row["version"], row["value"]) for row in found] == [
        ("r2", 3, 0.9), ("r2", 2, 0.6), ("r2", 1, 0.5),
    ]  # fmt: skip
    assert found[0]["slope"] == pytest.approx(0.2) and found[0]["task"] == "regression"
    methods = rows(db, "select method, metric from api.metric_summary('sales') order by method")
    assert methods == [{"method": "baseline", "metric": "r2"}, {"method": "model", "metric": "r2"}]


def test_real_evaluations_are_found(db: Connection) -> None:
    fitted(db)
    db.execute("select * from api.evaluate_model('sales', folds => 2)")
    found = one(
        db, "select * from api.metric_summary('sales') where metric = 'mase' and method = 'model'"
    )
    assert found["run_count"] == 1
    assert found["best"] == value(db, "select mase from bi.models where name = 'sales'")


# --------------------------------------------------------------------------------------- artifacts


def test_what_is_stored_is_listed_and_needed_or_not(db: Connection) -> None:
    fitted(db, 3)
    needed = artifact(db, version=3)
    target = artifact(db, version=2)
    old = artifact(db, version=1, native=("lightgbm", b"tree"))
    found = {
        row["id"]: row
        for row in rows(db, "select * from bi.model_artifact where learnt_from = 'model'")
    }
    assert {key: row["is_needed"] for key, row in found.items()} == {
        needed: True,
        target: True,
        old: False,
    }
    assert found[old]["native_format"] == "lightgbm" and found[old]["native_size_bytes"] == 4
    assert found[old]["size_bytes"] > 4 and json.loads(found[old]["parameters"]) == {"trees": 3}
    series = rows(db, "select is_needed from bi.model_artifact where learnt_from = 'series'")
    # Of the last two versions: north of each, and south, which is the same in all.
    assert len(series) == value(db, "select count(*) from cache.ml_models")
    assert sum(row["is_needed"] for row in series) == 3
    everything = rows(db, "select id from api.list_artifacts('sales')")
    pages, after = [], None
    while page := rows(
        db, "select * from api.list_artifacts('sales', page_size => 2, after => %s)", after
    ):
        pages += [{"id": row["id"]} for row in page]
        after = page[-1]["cursor"]
    assert pages == everything and len(everything) == 3 + len(series)
    assert (
        len(rows(db, "select * from api.list_artifacts(learnt_from => 'model', kind => 'forest')"))
        == 3
    )
    cache = one(db, "select sum(artifact_count) as n, sum(artifact_bytes) as size from bi.cache")
    assert cache["n"] == 3 and cache["size"] == sum(row["size_bytes"] for row in found.values())
    level = one(db, "select * from api.cache_status() where level = 'table, learnt from all'")
    assert level["entry_count"] == 3


def test_what_is_in_force_cannot_be_deleted_and_the_rest_can(db: Connection) -> None:
    fitted(db, 3)
    needed, target, old = (artifact(db, version=number) for number in (3, 2, 1))
    for id in (needed, target):
        error = refused(db, "55006", "select * from api.delete_artifact(%s)", id)
        assert "of sales" in str(error)
    deployed = value(
        db,
        "select c.id from cache.ml_models as c inner join bi.model_artifact as a on a.id = c.id::text"
        " where a.is_needed limit 1",
    )
    refused(db, "55006", "select * from api.delete_artifact(%s)", str(deployed))
    assert value(db, "select count(*) from cache.model_artifact") == 3
    # What a series in force was forecast with is needed too.
    behind = artifact(db)
    db.execute("update cache.ml_models set artifact_id = %s where id = %s", (behind, deployed))
    refused(db, "55006", "select * from api.delete_artifact(%s)", behind)
    gone = one(db, "select * from api.delete_artifact(%s, 'too large')", old)
    assert (gone["model"], gone["artifact_count"], gone["entry_count"]) == ("sales", 1, 0)
    assert gone["size_bytes"] > 0
    event = one(db, "select * from bi.model_event where event = 'pruned'")
    assert event["reason"] == "too large" and old in event["details"]
    assert (
        value(
            db, "select artifact_id from core.model_versions where version = 1 and model = 'sales'"
        )
        is None
    )
    refused(db, "22023", "select * from api.delete_artifact(%s)", old)
    refused(db, "22023", "select * from api.delete_artifact(null)")


def test_the_fitted_series_that_hang_on_an_artifact_go_with_it(db: Connection) -> None:
    fitted(db, 4)
    first = value(
        db,
        "select c.id from cache.ml_models as c inner join bi.model_artifact as a on a.id = c.id::text"
        " where not a.is_needed limit 1",
    )
    behind = artifact(db, version=1)
    db.execute("update cache.ml_models set artifact_id = %s where id = %s", (behind, first))
    gone = one(db, "select * from api.delete_artifact(%s)", behind)
    assert (gone["entry_count"], gone["artifact_count"]) == (1, 1)
    assert value(db, "select count(*) from core.run_outcome where ml_model_id = %s", first) == 0
    # What is in force forecasts on.
    assert value(db, "select count(*) from api.forecast('sales', horizon => 5)") == 10


def test_a_release_that_cannot_read_the_arrays_finds_them_void(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as db:
        fitted(db, 1)
        new, old = artifact(db, version=1), artifact(db, kind="linear")
        buffer = io.BytesIO()
        np.savez(buffer, weights=np.arange(3.0))
        db.execute(
            "update cache.model_artifact set arrays = %s where id = %s", (buffer.getvalue(), old)
        )
        behind = value(db, "select id from cache.ml_models limit 1")
        db.execute("update cache.ml_models set artifact_id = %s where id = %s", (new, behind))
    schema.downgrade(fresh_url, "0021")
    with psycopg.connect(fresh_url) as db:
        void = rows(db, "select id from cache.model_artifact where invalidated_at is not null")
        assert [str(row["id"]) for row in void] == [new]
        assert value(db, "select artifact_id from core.model_versions where version = 1") is None
        void = rows(db, "select id from cache.ml_models where invalidated_at is not null")
        assert [row["id"] for row in void] == [behind]
    schema.upgrade(fresh_url)
    with psycopg.connect(fresh_url) as db:
        # What was void is fitted again.
        assert fit(db)["fitted_count"] == 1


def test_a_release_that_knows_an_older_form_of_auto_finds_the_new_one_void(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as db:
        fitted(db, 1)
        new, old = artifact(db, version=1, kind="auto"), artifact(db, kind="auto")
        db.execute("update cache.model_artifact set version = 3 where id = %s", (new,))
        db.execute("update cache.model_artifact set version = 2 where id = %s", (old,))
        behind = value(db, "select id from cache.ml_models limit 1")
        db.execute(
            "update cache.ml_models set fitted_kind = 'auto', version = 3 where id = %s", (behind,)
        )
    schema.downgrade(fresh_url, "0022")
    with psycopg.connect(fresh_url) as db:
        void = rows(db, "select id from cache.model_artifact where invalidated_at is not null")
        assert [str(row["id"]) for row in void] == [new]
        assert value(db, "select artifact_id from core.model_versions where version = 1") is None
        void = rows(db, "select id from cache.ml_models where invalidated_at is not null")
        assert [row["id"] for row in void] == [behind]


def test_housekeeping_keeps_artifacts_of_the_newest_versions(db: Connection) -> None:
    fitted(db, 4)
    kept = [artifact(db, version=number) for number in (1, 2, 3, 4)]
    stray = [artifact(db, age=f"{age} days") for age in (40, 2, 1)]
    (gone,) = rows(db, "select * from api.prune_cache(keep_versions => 3)")
    # Version 1, the one unused for long.
    assert (gone["version_count"], gone["artifact_count"]) == (1, 4)
    left = {str(row["id"]) for row in rows(db, "select id from cache.model_artifact")}
    assert left == set(kept[1:])
    assert rows(db, "select * from api.prune_cache(keep_versions => 3)") == []
    stray = [artifact(db, model="gone", age=f"{age} days") for age in (4, 3, 2, 1)]
    db.execute("update core.settings set value = '2' where name = 'cache.max_artifacts'")
    found = {row["model"]: row for row in rows(db, "select * from api.prune_cache()")}
    assert found["gone"]["artifact_count"] == 2
    left = {str(row["id"]) for row in rows(db, "select id from cache.model_artifact")}
    assert left == {*kept[2:], *stray[2:]}


# ------------------------------------------------------------------------------------------ export


def test_a_model_leaves_as_json_with_all_that_was_learnt(db: Connection) -> None:
    fitted(db, 2)
    arrays = {
        "weights": np.array([[1.5, np.nan], [np.inf, -np.inf]]),
        "child": np.arange(4, dtype=np.int32),
        "left": np.array([True, False]),
    }
    artifact(db, version=2, arrays=arrays)
    found = value(db, "select api.export_model('sales')")
    assert (found["model"], found["version"], found["kind"]) == ("sales", 2, "naive")
    assert found["definition"]["source"] == "shop.sale" and found["options"]["horizon"] == 2
    assert [row["series"] for row in found["series"]] == ["north", "south"]
    for row in found["series"]:
        stored = value(
            db,
            "select c.parameters from cache.ml_models as c inner join core.run_outcome as o on o.ml_model_id = c.id"
            " inner join core.model_series as s on s.id = o.series_id where s.label = %s order by o.run_id desc limit 1",
            row["series"],
        )
        assert row["parameters"] == stored
    listed = found["artifact"]["arrays"]
    assert listed["weights"] == {
        "shape": [2, 2], "type": "float64", "values": [[1.5, "NaN"], ["Infinity", "-Infinity"]],
    }  # fmt: skip
    assert listed["child"]["values"] == [0, 1, 2, 3] and listed["left"]["values"] == [True, False]
    db.execute("update core.settings set value = '3' where name = 'export.max_numbers'")
    large = value(db, "select api.export_model('sales', 2)")["artifact"]["arrays"]["child"]
    assert "values" not in large
    np.testing.assert_array_equal(
        np.load(io.BytesIO(base64.b64decode(large["npy"]))), arrays["child"]
    )
    assert value(db, "select api.export_model('sales', 1)")["artifact"] is None


def test_a_model_of_xgboost_loads_outside(db: Connection) -> None:
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), rng.normal(size=80)
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(x, y), 5)
    fitted(db)
    artifact(db, kind="xgboost", version=1, native=("xgboost", bytes(booster.save_raw("ubj"))))
    row = one(db, "select * from api.export_native('sales')")
    assert row["native_format"] == "xgboost"
    loaded = xgboost.Booster(model_file=bytearray(row["content"]))
    np.testing.assert_array_equal(
        loaded.predict(xgboost.DMatrix(x)), booster.predict(xgboost.DMatrix(x))
    )


def test_a_model_of_lightgbm_loads_outside(db: Connection) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), rng.normal(size=80)
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 5)
    fitted(db)
    artifact(
        db, kind="boosting", version=1, native=("lightgbm", booster.model_to_string().encode())
    )
    row = one(db, "select * from api.export_native('sales')")
    loaded = lightgbm.Booster(model_str=bytes(row["content"]).decode())
    np.testing.assert_array_equal(loaded.predict(x), booster.predict(x))


def test_what_was_tampered_with_does_not_leave(db: Connection) -> None:
    fitted(db)
    artifact(db, version=1, native=("lightgbm", b"tree"))
    db.execute("update cache.model_artifact set native = 'evil'")
    refused(db, "55000", "select * from api.export_native('sales')")
    refused(db, "55000", "select api.export_model('sales')")
    db.execute("update cache.model_artifact set native = 'tree'")
    assert value(db, "select api.export_model('sales')")["artifact"]
    db.execute("update cache.ml_models set parameters = parameters || '{\"evil\": 1}'")
    refused(db, "55000", "select api.export_model('sales')")


def test_the_coefficients_of_shrinkage_leave_too(db: Connection) -> None:
    db.execute(
        "insert into core.model_versions (model, model_type, version, status, parameters, data_hash)"
        " values ('shrinkage', 'shrinkage_curve', 1, 'deployed', '{\"types\": {}}', '')"
    )
    found = value(db, "select api.export_model('shrinkage')")
    assert found["parameters"] == {"types": {}} and found["series"] == []


@pytest.mark.parametrize(
    ("state", "query"),
    [
        ("22023", "select api.export_model('nothing')"),
        ("22023", "select api.export_model('sales', 9)"),
        ("ML201", "select api.export_model('shrinkage')"),
        ("22023", "select * from api.export_native('sales')"),
        ("22023", "select * from api.metric_trend('nothing')"),
        ("22023", "select * from api.metric_trend('sales', last => 0)"),
        ("22023", "select * from api.metric_summary('nothing')"),
        ("22023", "select * from api.list_artifacts(learnt_from => 'thin air')"),
        ("22023", "select * from api.list_artifacts(after => 'x')"),
    ],
)
def test_what_cannot_be_had_is_refused(db: Connection, state: str, query: str) -> None:
    fitted(db)
    refused(db, state, query)


def test_a_kind_without_a_format_of_its_own_says_so(db: Connection) -> None:
    fitted(db)
    artifact(db, version=1)
    error = refused(db, "22023", "select * from api.export_native('sales')")
    assert "JSON" in str(error.diag.message_hint)
