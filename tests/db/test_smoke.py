"""The whole way in one test: statements in, periods, curves, answers."""

from __future__ import annotations

import json
import math

import psycopg

from loader import ingest
from loader.reading import ReadOptions
from tests.conftest import EXAMPLES, ROOT


def test_twelve_statements_become_coefficients_close_to_the_truth(fresh_url: str) -> None:
    for path in sorted((EXAMPLES / "vedomost").glob("*.csv")):
        result = ingest.import_file(
            fresh_url,
            str(path),
            ReadOptions(encoding="cp1251"),
            ingest.ImportOptions(time_zone="Europe/Moscow"),
        )
        assert (result.rejected, result.duplicate) == (0, 0)
    truth = json.loads((ROOT / "tests/data/synthetic_truth.json").read_text())["skus"]
    with psycopg.connect(fresh_url) as connection:
        for name, true in truth.items():
            if true["surplus"]:
                connection.execute(
                    "select api.add_surplus_specification(%s, %s, '2025-01-01')",
                    (name, true["surplus"]),
                )
        connection.execute("select * from api.account_stock()")
        connection.execute("select * from api.fit_shrinkage()")
        rows = connection.execute(
            "select item, loss_percent_14_days, b_is_identified from bi.coefficient"
        ).fetchall()
    assert len(rows) == 24
    for item, loss, identified in rows:
        true = truth[item]
        expected = 100 * (true["a"] * (1 - math.exp(-14 * true["b"])) + 14 * true["c"])
        assert not identified or abs(loss / expected - 1) < 0.05, item
