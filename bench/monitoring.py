"""Time of monitoring: joining actual values, daily metrics, and the health check.

    python -m bench.monitoring --dsn postgresql://postgres@127.0.0.1:5432/postgres

Made-up daily sales of 1,000 series, of which the last 90 days were forecast by one version, and then
ten times as many series. Measured are `api.record_actuals` and `api.calculate_metrics` on all of it,
both again when nothing or one day came in, and `api.health`, `bi.performance_window` and
`bi.segment_performance` on the metrics of a year. A database of its own is made and dropped
afterwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import psycopg

from bench.coefficients import database

Row = dict[str, Any]

SERIES = 1000
DAYS = 90


def seconds(connection: psycopg.Connection[Any], statement: str) -> float:
    """Run a statement in a transaction of its own; give its seconds."""
    begun = time.perf_counter()
    connection.execute(statement)
    return time.perf_counter() - begun


def make(connection: psycopg.Connection[Any], model: str, series: int, days: int) -> None:
    """Make sales up to yesterday and a deployed version that forecast the last days of them.

    The version is written as a fit would write it: what is measured begins when it is there.
    """
    connection.execute("create schema if not exists shop")
    connection.execute(
        f"create table shop.{model} as select current_date - back as at, 'b' || branch as branch,"
        " 100 + mod(branch, 50) + 10 * sin(back * 0.9) + 5 * random() as quantity"
        f" from generate_series(1, {series}) as branch, generate_series(1, {days + 14}) as back"
    )
    connection.execute(f"analyze shop.{model}")
    connection.execute(
        "select * from api.create_model(%s, %s, 'at', 'quantity', '{branch}', 'seasonal_naive')",
        (model, f"shop.{model}"),
    )
    connection.execute(
        "insert into core.model_series (model, series_key, label)"
        f" select %s, array[branch], branch from (select distinct branch from shop.{model} order by 1) as b",
        (model,),
    )
    connection.execute(
        "insert into core.model_versions (model, model_type, version, status, series_count, window_end)"
        f" values (%s, 'seasonal_naive', 1, 'trained', %s, current_date - {days} - 1)",
        (model, series),
    )
    connection.execute(
        "select internal.deploy(v.id, 'deployed', null) from core.model_versions as v"
        " where v.model = %s",
        (model,),
    )
    connection.execute(
        "insert into core.forecast_ledger (version_id, series_id, issued_at, target_time, step, forecast,"
        " lower_80, upper_80, lower_95, upper_95)"
        " select v.id, s.id, now(), (current_date - back)::timestamp at time zone 'UTC',"
        f" {days} + 1 - back, x.y, x.y - 5, x.y + 5, x.y - 8, x.y + 8"
        " from core.model_versions as v inner join core.model_series as s on s.model = v.model"
        f" cross join generate_series({days}, 1, -1) as back"
        " cross join lateral (select 110 + mod(s.id, 40) + 10 * random() as y) as x where v.model = %s",
        (model,),
    )
    connection.execute("vacuum analyze core.forecast_ledger, core.model_series")


def measure(connection: psycopg.Connection[Any], model: str, days: int) -> dict[str, float]:
    """Join and calculate: all, nothing new, one day that changed."""
    record = f"select * from api.record_actuals('{model}')"
    calculate = f"select * from api.calculate_metrics(model => '{model}')"
    taken = {"record": seconds(connection, record), "calculate": seconds(connection, calculate)}
    connection.execute("vacuum analyze core.forecast_ledger, core.model_performance_metrics")
    taken["record again"] = seconds(connection, record)
    taken["calculate again"] = seconds(connection, calculate)
    taken["range again"] = seconds(
        connection,
        f"select * from api.calculate_metrics(current_date - {days}, null, '{model}')",
    )
    connection.execute(f"update shop.{model} set quantity = quantity + 1 where at = current_date - 3")
    taken["record a day"] = seconds(connection, record)
    taken["calculate a day"] = seconds(connection, calculate)
    return taken


def run(dsn: str, *, series: int = SERIES, days: int = DAYS) -> list[Row]:
    """Measure; rows of name, ours, peer, ratio (how many times better), target, note."""
    found: dict[int, dict[str, float]] = {}
    with database(dsn) as connection:
        for count in (series, 10 * series):
            model = f"sales_{count}"
            make(connection, model, count, days)
            found[count] = measure(connection, model, days)
            print(count, {k: round(v, 3) for k, v in found[count].items()})
    return []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--series", type=int, default=SERIES)
    given = parser.parse_args()
    if not given.dsn:
        parser.error("give --dsn, or set DATABASE_URL")
    for row in run(given.dsn, series=given.series):
        print({key: value for key, value in row.items() if value is not None})


if __name__ == "__main__":
    main()
