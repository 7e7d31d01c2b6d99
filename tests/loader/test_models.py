"""Models from the command line: as an operator types it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.conftest import ROOT
from tests.loader.command_line import command, one, run


@pytest.fixture
def shop(fresh_url: str) -> str:
    """A database with two branches and a model of them, not fitted."""
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create schema shop")
        connection.execute(
            "create table shop.sale as select '2026-01-01'::date + t as at, branch,"
            " 50 + 10 * (t % 7) + t::float8 / 10 as quantity from generate_series(0, 90) as t,"
            " unnest('{north,south}'::text[]) as branch"
        )
    done = run(
        fresh_url, "models", "create", "sales", "--source", "shop.sale", "--time", "at",
        "--value", "quantity", "--key", "branch", "--kind", "theta", "--options", '{"horizon": 5}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 series, 182 rows, step 1 day" in done.stdout
    return fresh_url


def test_a_model_from_creating_to_dropping(shop: str) -> None:
    fitted = run(shop, "models", "fit", "sales")
    assert "sales version 1 deployed: 2 series = fitted 2" in fitted.stdout, fitted.stderr
    assert "cached 2" in run(shop, "models", "fit", "sales").stdout
    assert "version 2 trained" in run(shop, "models", "fit", "sales", "--refit").stdout
    listed = json.loads(run(shop, "--json", "models", "list").stdout)
    assert [(row["model"], row["deployed"], row["newest"]) for row in listed] == [
        ("sales", 1, 2), ("shrinkage", None, None),
    ]  # fmt: skip
    assert "version" in run(shop, "models", "show", "sales").stdout
    forecast = json.loads(run(shop, "--json", "models", "forecast", "sales").stdout)
    assert len(forecast) == 10
    more = run(shop, "models", "forecast", "sales", "--series", "north", "--horizon", "7")
    assert more.stdout.count("north") == 7
    evaluated = run(shop, "models", "evaluate", "sales", "--folds", "2")
    assert "seasonal_naive" in evaluated.stdout and "mase" in evaluated.stdout
    assert "mase" in run(shop, "models", "compare", "sales", "1", "2", "--folds", "1").stdout
    moved = run(shop, "models", "deploy", "sales", "2", "--reason", "because")
    assert moved.returncode == 0
    assert json.loads(run(shop, "--json", "models", "rollback", "sales").stdout)[0][
        "deployed_version"
    ] == 1  # fmt: skip
    assert run(shop, "models", "actuals", "sales").returncode == 0
    asked = run(shop, "models", "drop", "sales", input="n\n")
    assert asked.returncode == 130 and one(shop, "select count(*) from core.model_series") == 2
    assert run(shop, "--yes", "models", "drop", "sales").returncode == 0
    assert one(shop, "select count(*) from core.model_series") == 0


def test_what_is_stored_is_looked_at_pruned_and_verified(shop: str) -> None:
    assert "fitted 2" in run(shop, "cache", "warm").stdout
    status = json.loads(run(shop, "--json", "cache", "status").stdout)
    assert (status[0]["entry_count"], status[0]["miss_count"]) == (1, 2)
    assert "invalidated 1" in run(shop, "cache", "invalidate", "--model", "sales").stdout
    assert "fitted 2" in run(shop, "cache", "warm", "--model", "sales").stdout
    assert run(shop, "cache", "prune", "--keep", "0", "--unused", "0 days").returncode == 0
    assert "all signatures are right" in run(shop, "cache", "verify").stdout
    with psycopg.connect(shop) as connection:
        connection.execute("update cache.ml_models set label = label, data_hash = repeat('0', 64)")
    broken = run(shop, "cache", "verify")
    assert broken.returncode == 7 and "signature" in broken.stdout
    assert run(shop, "cache", "verify", "--adopt").returncode == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("fit", "sells"), 4),
        (("forecast", "sales"), 4),
        (("forecast", "sales", "--horizon", "0"), 4),
        (("deploy", "sales", "9"), 4),
        (("create", "m", "--source", "shop.none", "--time", "a", "--value", "b"), 4),
        (("create", "m", "--source", "shop.sale", "--time", "at", "--value", "quantity",
          "--options", "{"), 2),
        (("evaluate", "sales", "--folds", "0"), 4),
    ],
)  # fmt: skip
def test_mistakes_have_a_hint_and_an_exit_code(
    shop: str, words: tuple[str, ...], code: int
) -> None:
    done = run(shop, "models", *words)
    assert done.returncode == code, done.stderr
    assert "hint:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_fit_stops_in_the_server_too(shop: str, number: int, code: int) -> None:
    assert run(shop, "models", "fit", "sales").returncode == 0
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute(
            "insert into shop.sale select at, 'b' || n, quantity + random() * n from shop.sale"
            " cross join generate_series(1, 3000) as n where branch = 'north'"
        )
        process = subprocess.Popen(
            command(shop, "models", "fit", "sales"), cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        end = time.monotonic() + 30
        running = "select count(*) from bi.fit_progress where done_count > 2"
        while not one(shop, running):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=20)
        assert process.returncode == code and "Traceback" not in error
        while one(shop, "select count(*) from bi.fit_progress"):
            assert time.monotonic() < end
            time.sleep(0.1)
        last = connection.execute(
            "select status, version from bi.training_run order by run_id desc limit 1"
        ).fetchone()
        assert last == ("cancelled", None)
        assert one(shop, "select count(*) from bi.forecast") == 10


def test_the_folder_of_the_command_is_documented() -> None:
    text = (Path(ROOT) / "loader/README.md").read_text("utf-8")
    for path in sorted((ROOT / "loader").glob("[a-z]*.py")):
        assert f"`{path.stem}`" in text, path.stem
