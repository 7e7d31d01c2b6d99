"""Jobs: each step is a row, one that fails does not stop the others, unchanged data change nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.db import domain

Row = dict[str, Any]


def run(url: str) -> list[Row]:
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("call api.run_job('nightly')")
    return history(url)


def history(url: str) -> list[Row]:
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        return connection.execute("select * from bi.job_run order by job_run_id").fetchall()


def a_shop(url: str) -> None:
    with psycopg.connect(url) as connection:
        domain.balances(
            connection,
            *(
                domain.balance("ЛЕЩ Х/К", 10, 5, 7, 7.8, start=start, end=end)
                for start, end in (("2025-01-06", "2025-01-12"), ("2025-01-13", "2025-01-19"))
            ),
        )


def test_the_nightly_job_does_every_step_and_then_finds_nothing_to_do(fresh_url: str) -> None:
    a_shop(fresh_url)
    steps = run(fresh_url)
    assert steps and {row["status"] for row in steps} == {"succeeded"}
    with psycopg.connect(fresh_url) as connection:
        planned = connection.execute(
            "select step from internal.job_steps('nightly') order by place"
        ).fetchall()
    assert [row["step"] for row in steps] == [step for (step,) in planned]
    assert {row["step"]: row["row_count"] for row in steps}["account_stock"] > 0
    again = run(fresh_url)[len(steps) :]
    assert len(again) == len(steps)
    assert {row["step"]: row["row_count"] for row in again if row["row_count"]} == {}


def test_a_step_that_fails_is_a_row_with_its_reason_and_stops_no_other(fresh_url: str) -> None:
    a_shop(fresh_url)
    with psycopg.connect(fresh_url) as connection:
        connection.execute("update core.settings set value = '\"oval\"' where name = 'fit.family'")
    with pytest.raises(psycopg.Error) as caught:
        run(fresh_url)
    assert caught.value.sqlstate == "ML301"
    assert caught.value.diag.message_hint
    steps = {row["step"]: row for row in history(fresh_url)}
    assert steps["fit_shrinkage"]["status"] == "failed"
    assert steps["fit_shrinkage"]["sqlstate"]
    assert steps["fit_shrinkage"]["error"]
    others = [row["status"] for step, row in steps.items() if step != "fit_shrinkage"]
    assert set(others) == {"succeeded"}


def test_an_unknown_job_says_which_there_are(fresh_url: str) -> None:
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("call api.run_job('weekly')")
        assert caught.value.sqlstate == "22023"
        assert "nightly" in (caught.value.diag.message_hint or "")


def test_a_job_that_runs_is_not_run_twice(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as other:
        other.execute("select pg_advisory_xact_lock(x'5745494e'::int, hashtext('nightly'))")
        with (
            pytest.raises(psycopg.Error) as caught,
            psycopg.connect(fresh_url, autocommit=True) as connection,
        ):
            connection.execute("call api.run_job('nightly')")
    assert caught.value.sqlstate == "55P03"
    assert history(fresh_url) == []


def test_a_step_whose_session_is_gone_shows_as_cancelled(fresh_url: str) -> None:
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute(
            "insert into core.job_run (job, step) values ('nightly', 'fit_shrinkage')"
        )
    assert [row["status"] for row in history(fresh_url)] == ["cancelled"]
