"""LSTM, GRU and N-HiTS in the server: learnt with its torch, forecast without it, cancelled."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from tests import timing

Connection = psycopg.Connection[Any]

KINDS = ("lstm", "gru", "nhits")
HORIZON = 6

# As the functions of the product call the kernels.
LEARN = """
create function pg_temp.learn(kind text, series jsonb, options jsonb, out header text, out arrays bytea)
language plpython3u as $python$
import json
import numpy as np
from weighhouse import forecasting, learnt, pg
from weighhouse.forecasting.contract import Series
with pg.reporting(plpy):
    model = forecasting.kind(kind)
    given = [Series(np.array(values), (12,)) for values in json.loads(series)]
    asked = model.check_options(json.loads(options))
    found = model.learn(given, 6, asked, pg.check_interrupts(plpy), None)
    return json.dumps(found.header, allow_nan=False), learnt.pack(found.arrays)
$python$
"""
FORECAST = """
create function pg_temp.forecast(kind text, series jsonb, header text, arrays bytea) returns text
language plpython3u as $python$
import json, sys
import numpy as np
from weighhouse import forecasting, learnt, pg
from weighhouse.forecasting.contract import Series
with pg.reporting(plpy):
    model = forecasting.kind(kind)
    known = learnt.Learnt(json.loads(header), learnt.unpack(arrays))
    given = [Series(np.array(values), (12,)) for values in json.loads(series)]
    fits = model.fit(given, 6, {}, pg.check_interrupts(plpy), known)
    ahead = [model.forecast(fit.parameters, 6, (0.8,), known) for fit in fits]
    heavy = sorted({"torch", "scipy", "pandas", "sklearn"} & set(sys.modules))
    both = [[x.mean.tolist(), x.lower[0].tolist(), x.upper[0].tolist()] for x in ahead]
    return json.dumps({"ahead": both, "heavy": heavy}, allow_nan=False)
$python$
"""
# Any function of the product brings its code into the session.
LOAD = "select internal.kind_traits('nhits')"
LOOK = """
create function pg_temp.has_torch() returns boolean language plpython3u as $python$
import importlib.util
return importlib.util.find_spec("torch") is not None
$python$
"""


def shops(count: int = 12, n: int = 66) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Series of one kind: a season of 12 of their own size, a trend, and noise with a memory."""
    rng = np.random.default_rng(4)
    t = np.arange(n)
    noise = np.zeros((count, n))
    for k in range(1, n):
        noise[:, k] = 0.8 * noise[:, k - 1] + rng.normal(0, 3.0, count)
    wave = 15 * np.sin(2 * np.pi * (t + np.arange(count)[:, None]) / 12)
    return np.asarray(100 + 0.3 * t + wave + noise)


@pytest.fixture(scope="module")
def learning(shared_url: str) -> Iterator[Connection]:
    """A session that learns; torch is imported once."""
    with psycopg.connect(shared_url) as connection:
        connection.execute(LOOK)
        if not connection.execute("select pg_temp.has_torch()").fetchone()[0]:  # type: ignore[index]
            pytest.skip("the server has no torch (loader server start --with neural)")
        connection.execute(LOAD)
        connection.execute(LEARN)
        yield connection
        connection.rollback()


@pytest.mark.parametrize("kind", KINDS)
def test_learnt_with_torch_and_forecast_without(
    learning: Connection, own_db: Connection, kind: str
) -> None:
    values = shops()
    past, future = values[:, :-HORIZON], values[:, -HORIZON:]
    series, options = json.dumps(past.tolist()), json.dumps({"steps": 60, "nets": 2})
    found = learning.execute(
        "select header, arrays from pg_temp.learn(%s, %s, %s)", (kind, series, options)
    ).fetchone()
    assert found is not None
    own_db.execute(LOAD)
    own_db.execute(FORECAST)
    answer = own_db.execute("select pg_temp.forecast(%s, %s, %s, %s)", (kind, series, *found))
    said = json.loads(answer.fetchone()[0])  # type: ignore[index]
    assert said["heavy"] == []
    ahead = np.array(said["ahead"])
    assert ahead.shape == (len(values), 3, HORIZON)
    repeated = np.abs(past[:, -12 : -12 + HORIZON] - future).mean()
    assert np.abs(ahead[:, 0] - future).mean() < repeated
    assert (ahead[:, 1] <= ahead[:, 0]).all()
    assert (ahead[:, 0] <= ahead[:, 2]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_learning_can_be_cancelled(learning: Connection, kind: str) -> None:
    series, options = json.dumps(shops().tolist()), json.dumps({"steps": 100_000})

    def stopped() -> float:
        cancelled: list[float] = []

        def cancel() -> None:
            cancelled.append(time.monotonic())
            learning.cancel_safe()

        timer = threading.Timer(1.0, cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled), learning.transaction():
            learning.execute("select pg_temp.learn(%s, %s, %s)", (kind, series, options))
        seconds = time.monotonic() - cancelled[0]
        timer.join()
        return seconds

    assert timing.best(stopped, 2.0) < 2.0


def test_without_torch_it_says_what_to_do(own_db: Connection) -> None:
    own_db.execute(LOAD)
    own_db.execute(LEARN)
    own_db.execute(
        "create function pg_temp.hide() returns void language plpython3u as"
        " $python$import sys; sys.modules['torch'] = None$python$"
    )
    own_db.execute("select pg_temp.hide()")
    with pytest.raises(psycopg.Error) as caught, own_db.transaction():
        series = json.dumps(shops(2).tolist())
        own_db.execute("select pg_temp.learn('gru', %s, '{}')", (series,))
    assert caught.value.sqlstate == "ML106"
    assert "--with neural" in (caught.value.diag.message_hint or "")
