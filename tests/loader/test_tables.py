"""Models of rows from the command line."""

from __future__ import annotations

import json

import psycopg

from tests.loader.command_line import run


def test_a_model_of_rows(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create schema shop")
        connection.execute(
            "create table shop.box as select i as id, sin(i) as weight, i % 2 as other,"
            " case when sin(i) > 0 then 'good' else 'spoilt' end as state"
            " from generate_series(1, 100) as i"
        )
    made = run(
        fresh_url, "models", "create", "box", "--source", "shop.box", "--target", "state",
        "--feature", "weight", "--key", "id", "--kind", "logistic",
    )  # fmt: skip
    assert "box: 100 rows" in made.stdout, made.stderr
    assert run(fresh_url, "models", "fit", "box").returncode == 0
    single = run(fresh_url, "--json", "models", "predict", "box", "--row", "weight=-0.9")
    assert json.loads(single.stdout)[0]["prediction"] == "spoilt", single.stderr
    many = run(fresh_url, "models", "predict", "box", "--source", "shop.box")
    assert len(many.stdout.splitlines()) == 100, many.stderr
    assert "accuracy" in run(fresh_url, "models", "evaluate", "box").stdout
    for bad in (["--row", "weight"], ["--row", "weight=1", "--source", "shop.box"], []):
        assert run(fresh_url, "models", "predict", "box", *bad).returncode == 2
    unknown = run(fresh_url, "models", "predict", "box", "--row", "nobody=1")
    assert unknown.returncode == 4 and "weight" in unknown.stderr
