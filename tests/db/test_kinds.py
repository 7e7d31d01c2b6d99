"""The list every kind of series model passes in the database: as an analyst would use it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row

from tests import timing
from tests.conftest import copied, session
from tests.db.domain import rows, value
from weighhouse.forecasting import KINDS

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

HORIZON = 6
# What a session that only forecasts must not load.
HEAVY = (
    *("scipy", "sklearn", "pandas", "lightgbm", "xgboost", "prophet", "cmdstanpy"),
    *("torch", "statsmodels", "matplotlib"),
)
# Done with 250 series before anybody could stop them.
QUICK = ("naive", "seasonal_naive", "drift", "theta")
# Enough to go through all of it; how good nets are is measured elsewhere (bench/kinds.py).
SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"steps": 60, "nets": 1},
    "gru": {"steps": 60, "nets": 1},
    "nhits": {"steps": 60, "nets": 1},
    "boosting": {"rounds": 60},
    "xgboost_lags": {"rounds": 60},
}
NEURAL = ("lstm", "gru", "nhits")


def months(seed: int, n: int = 60, level: float = 100.0) -> list[float | None]:
    """Trend, season and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    season = 0.1 * level * np.sin(2 * np.pi * t / 12)
    values = level + 0.002 * level * t + season + rng.normal(0, 0.03 * level, n)
    return [float(x) for x in values]


def gappy() -> list[float | None]:
    values = months(9)
    for gap in (5, 20, 21, 40):
        values[gap] = None
    return values


SERIES: dict[str, list[float | None]] = {
    "usual": months(1),
    "other": months(2, 48),
    "third": months(3, 60, 20.0),
    "constant": [7.0] * 40,
    "zero": [0.0] * 40,
    "short": [5.0, 6.0, 5.5],
    "gappy": gappy(),
    "huge": months(4, 60, 1e12),
    "tiny": months(5, 60, 1e-9),
}


@pytest.fixture(scope="module")
def shop(server_url: str, template: str) -> Iterator[str]:
    """A database with odd and usual series, and with many of them."""
    with copied(server_url, template) as url:
        with psycopg.connect(url) as db:
            db.execute("create schema shop")
            db.execute("create table shop.sale (at date, branch text, quantity float8)")
            for branch, values in SERIES.items():
                db.execute(
                    "insert into shop.sale select (date '2018-01-01' + make_interval(months => t::int - 1))::date, %s, v"
                    " from unnest(%s::float8[]) with ordinality as x (v, t) where v is not null",
                    (branch, values),
                )
            db.execute(
                "create table shop.many as select date '2020-01-01' + t as at, 'b' || b as branch,"
                " 50 + 10 * sin(t * 2 * pi() / 7) + (t * 7 + b) % 5 as quantity"
                " from generate_series(0, 399) as t cross join generate_series(1, 250) as b"
            )
        yield url


def python(db: Connection, kind: str, body: str) -> Any:
    """Ask the Python of this session."""
    db.execute(
        f"create or replace function pg_temp.ask() returns {kind} language plpython3u as $$\n"
        f"import importlib.util, sys\n{body}\n$$"
    )
    answer = value(db, "select pg_temp.ask()")
    db.execute("drop function pg_temp.ask()")
    return answer


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, shop: str) -> str:
    """Each kind, where the server has what it needs."""
    name: str = request.param
    if name in NEURAL:
        with session(shop) as db:
            if not python(db, "text", "return str(importlib.util.find_spec('torch') or '')"):
                pytest.skip("the server has no torch (loader server start --with neural)")
    return name


def create(db: Connection, kind: str, table: str, name: str, options: Row) -> str:
    db.execute(
        "select api.create_model(%s, %s, 'at', 'quantity', '{branch}', %s, %s)",
        (name, table, kind, json.dumps({"horizon": HORIZON, "kind_options": options})),
    )
    return name


def fit(db: Connection, model: str, refit: bool = False) -> Row:
    cursor = db.cursor(row_factory=dict_row)
    row = cursor.execute("select * from api.fit_model(%s, %s, true)", (model, refit)).fetchone()
    assert row is not None
    return row


def forecasts(db: Connection, model: str, level: float = 0.95) -> dict[str, list[tuple[Any, ...]]]:
    said: dict[str, list[tuple[Any, ...]]] = {}
    for label, *figures in db.execute(
        "select label, yhat, yhat_lo, yhat_hi from api.forecast(%s, level => %s)"
        " order by label, step",
        (model, level),
    ):
        said.setdefault(label, []).append(tuple(figures))
    return said


def test_a_kind_goes_through_the_whole_of_it(kind: str, shop: str) -> None:
    with session(shop) as db:
        model = create(db, kind, "shop.sale", f"model of {kind}", SMALL.get(kind, {}))
        first = fit(db, model)
        # Each series has an outcome, whatever it looks like: what cannot be fitted has a baseline.
        assert first["series_count"] == len(SERIES) and first["failed_count"] == 0
        fell_back = rows(
            db, "select series, reason, hint from bi.fit_outcome where run_id = %s and outcome = 'fell_back'", first["run_id"]
        )  # fmt: skip
        assert {row["series"] for row in fell_back} <= {"short"}
        assert all(row["reason"] for row in fell_back)
        said = forecasts(db, model)
        assert set(said) == set(SERIES)
        for label, steps in said.items():
            figures = np.array(steps, dtype=float)
            assert figures.shape == (HORIZON, 3) and np.isfinite(figures).all(), label
            assert (figures[:, 1] <= figures[:, 0]).all() and (figures[:, 0] <= figures[:, 2]).all()
        np.testing.assert_allclose([step[0] for step in said["constant"]], 7.0, rtol=1e-3)
        np.testing.assert_allclose([step[0] for step in said["zero"]], 0.0, atol=1e-6)
        for label, level in (("usual", 100.0), ("huge", 1e12), ("tiny", 1e-9)):
            means = np.array([step[0] for step in said[label]]) / level
            assert (means > 0.5).all() and (means < 2.0).all(), label

        # Nothing changed: nothing is computed, no version is made.
        again = fit(db, model)
        assert again["cached_count"] == len(SERIES) and again["version"] == first["version"]
        # The same data give the same result.
        refit = fit(db, model, refit=True)
        assert refit["fitted_count"] + refit["fell_back_count"] == len(SERIES)
        for label, steps in forecasts(db, model).items():
            np.testing.assert_allclose(
                np.array(steps, dtype=float), np.array(said[label], dtype=float), rtol=1e-9,
                atol=1e-12, err_msg=label,
            )  # fmt: skip
        db.commit()

    # A new session forecasts from what is stored, and loads nothing heavy for it.
    with psycopg.connect(shop) as db:
        nearer = forecasts(db, model, 0.9)
        for label, steps in nearer.items():
            got, stored = np.array(steps, dtype=float), np.array(said[label], dtype=float)
            np.testing.assert_allclose(got[:, 0], stored[:, 0], rtol=1e-9, atol=1e-12)
            assert (
                got[:, 2] - got[:, 1] <= (stored[:, 2] - stored[:, 1]) * (1 + 1e-9) + 1e-12
            ).all()
        loaded = set(python(db, "text[]", "return sorted({m.split('.')[0] for m in sys.modules})"))
        assert "numpy" in loaded
        assert not set(HEAVY) & loaded, set(HEAVY) & loaded


def test_a_fit_is_cancelled_within_two_seconds(kind: str, shop: str) -> None:
    with (
        psycopg.connect(shop, autocommit=True) as db,
        psycopg.connect(shop, autocommit=True) as connection,
    ):
        model = create(db, kind, "shop.many", f"many of {kind}", {})
        if kind in NEURAL:
            # Nothing interrupts the loading of torch, a few seconds once a session.
            python(connection, "text", "import torch")
        assert timing.best(lambda: cancelled(kind, model, db, connection), 2) < 2


def cancelled(kind: str, model: str, db: Connection, connection: Connection) -> float:
    """Cancel a fit of the other session in its midst; give how long it went on."""
    ended: Row = {}

    def run() -> None:
        try:
            connection.execute("select api.fit_model(%s)", (model,))
            ended["state"] = "finished"
        except psycopg.Error as error:
            ended["state"] = error.sqlstate
        ended["at"] = time.monotonic()

    thread = threading.Thread(target=run)
    thread.start()
    pid = connection.info.backend_pid
    # In the middle of its own work, not of the reading.
    for _ in range(3000):
        if rows(db, "select from bi.fit_progress where pid = %s", pid):
            break
        time.sleep(0.01)
    time.sleep(0.7)
    asked = time.monotonic()
    db.execute("select pg_cancel_backend(%s)", (pid,))
    thread.join()
    seconds = float(ended["at"] - asked)
    if kind in QUICK and ended["state"] == "finished":
        return seconds
    assert ended["state"] == "57014", ended
    assert value(db, "select count(*) from core.model_versions where model = %s", model) == 0
    assert value(db, "select count(*) from cache.model_artifact where model_name = %s", model) == 0
    return seconds
