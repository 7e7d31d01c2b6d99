"""`loader jobs`: the steps as they ended, and an exit code that says whether one failed."""

from __future__ import annotations

import json

import psycopg

from tests.conftest import EXAMPLES
from tests.loader.command_line import run


def import_flat(url: str) -> None:
    flat = str(EXAMPLES / "flat_balances_cp1251.csv")
    done = run(url, "import", flat, "--encoding", "cp1251", "--timezone", "Europe/Moscow")
    assert done.returncode == 0, done.stderr


def test_a_night_is_run_and_remembered(fresh_url: str) -> None:
    assert "nothing has run yet" in run(fresh_url, "jobs", "history").stdout
    import_flat(fresh_url)
    ran = run(fresh_url, "--json", "jobs", "run", "nightly")
    assert ran.returncode == 0, ran.stderr
    steps = json.loads(ran.stdout)
    assert [row["step"] for row in steps][:3] == [
        "account_stock", "validate_surplus", "fit_shrinkage"
    ]  # fmt: skip
    assert {row["status"] for row in steps} <= {"succeeded", "skipped"}
    history = json.loads(run(fresh_url, "--json", "jobs", "history", "nightly").stdout)
    assert history == steps
    newest = json.loads(run(fresh_url, "--json", "jobs", "history", "--most", "2").stdout)
    assert newest == steps[-2:]


def test_a_failed_step_is_shown_and_ends_with_one(fresh_url: str) -> None:
    import_flat(fresh_url)
    with psycopg.connect(fresh_url) as connection:
        connection.execute("update core.settings set value = '\"oval\"' where name = 'fit.family'")
    ran = run(fresh_url, "jobs", "run", "nightly")
    assert ran.returncode == 1
    assert "fit_shrinkage" in ran.stdout and "failed" in ran.stdout and "oval" in ran.stdout


def test_an_unknown_job_is_refused(fresh_url: str) -> None:
    ran = run(fresh_url, "jobs", "run", "weekly")
    assert ran.returncode == 4
    assert "weekly" in ran.stderr and "nightly" in ran.stderr
