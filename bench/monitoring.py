"""Time of monitoring: joining actual values, daily metrics, and the health check.

    python -m bench.monitoring --dsn postgresql://postgres@127.0.0.1:5432/postgres

Made-up daily sales of 1,000 series, the last 90 days of which one version forecast, then ten times
as many series. Measured are `api.record_actuals` and `api.calculate_metrics` on all of it, both
again when nothing and when one day changed, and on the metrics of a year `api.health` and the views
of windows and segments. A database of its own is made and dropped afterwards.
"""

from __future__ import annotations

import argparse
import math
import os
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
        "insert into core.model_series (model, series_key, label) select %s, array[branch], branch"
        f" from (select distinct branch from shop.{model} order by 1) as b",
        (model,),
    )
    connection.execute(
        "insert into core.model_versions (model, model_type, version, series_count, window_end)"
        f" values (%s, 'seasonal_naive', 1, %s, current_date - {days} - 1)",
        (model, series),
    )
    connection.execute(
        "select internal.deploy(v.id, 'deployed', null) from core.model_versions as v"
        " where v.model = %s",
        (model,),
    )
    connection.execute(
        "insert into core.forecast_ledger (version_id, series_id, issued_at, target_time, step,"
        " forecast, lower_80, upper_80, lower_95, upper_95)"
        " select v.id, s.id, now(), (current_date - back)::timestamp at time zone 'UTC',"
        f" {days} + 1 - back, x.y, x.y - 5, x.y + 5, x.y - 8, x.y + 8"
        " from core.model_versions as v inner join core.model_series as s on s.model = v.model"
        f" cross join generate_series({days}, 1, -1) as back"
        " cross join lateral (select 110 + mod(s.id, 40) + 10 * random() as y) as x"
        " where v.model = %s",
        (model,),
    )
    connection.execute("vacuum analyze core.forecast_ledger, core.model_series")


def measure(connection: psycopg.Connection[Any], model: str, days: int) -> dict[str, float]:
    """Join and calculate: all of it, then nothing new, then one day that changed."""
    record = f"select * from api.record_actuals('{model}')"
    calculate = f"select * from api.calculate_metrics(model => '{model}')"
    whole = f"select * from api.calculate_metrics(current_date - {days}, null, '{model}')"
    taken = {"record": seconds(connection, record), "calculate": seconds(connection, calculate)}
    connection.execute("vacuum analyze core.forecast_ledger, core.model_performance_metrics")
    taken["record again"] = seconds(connection, record)
    taken["calculate again"] = seconds(connection, calculate)
    taken["whole again"] = seconds(connection, whole)
    connection.execute(
        f"update shop.{model} set quantity = quantity + 1 where at = current_date - 3"
    )
    taken["record a day"] = seconds(connection, record)
    taken["calculate a day"] = seconds(connection, calculate)
    return taken


def fill_year(connection: psycopg.Connection[Any], model: str, days: int) -> None:
    """Copy the metrics of the first day to those of a year before."""
    columns = (
        "segment_by, segment, n, percent_count, percent_error_sum, absolute_error_sum,"
        " squared_error_sum, error_sum, absolute_actual_sum, inside_80_count, inside_95_count"
    )
    connection.execute(
        f"insert into core.model_performance_metrics (model, version, day, {columns})"
        f" select model, version, day - back, {columns} from core.model_performance_metrics"
        f" cross join generate_series(1, {365 - days}) as back"
        f" where model = %s and day = current_date - {days}",
        (model,),
    )
    connection.execute("vacuum analyze core.model_performance_metrics")


def run(dsn: str, *, series: int = SERIES, days: int = DAYS) -> list[Row]:
    """Measure; rows of name, ours, peer, ratio (how many times better), target, note."""
    taken: dict[int, dict[str, float]] = {}
    with database(dsn) as connection:
        for count in (series, 10 * series):
            make(connection, f"sales_{count}", count, days)
            taken[count] = measure(connection, f"sales_{count}", days)
            if count == series:
                fill_year(connection, f"sales_{count}", days)
                reads = {
                    name: min(seconds(connection, f"select * from {name}") for _ in range(5))
                    for name in ("api.health()", "bi.performance_window", "bi.segment_performance")
                }
    few, many = taken[series], taken[10 * series]
    grown = math.log10(many["calculate"] / few["calculate"])
    size = f"{series:,} series x {days} days"
    day = few["record a day"] + few["calculate a day"]
    whole = few["record"] + few["calculate"]
    found = [
        line(
            f"daily metrics, {size} of forecasts, s",
            few["calculate"],
            f"ten times the series {many['calculate']:.1f} s, exponent {grown:.2f}; whole again"
            f" {few['whole again']:.2f} s, which changes nothing; ratio: to the target",
            limit=1.0,
        ),
        line(
            f"joining actual values and naive forecasts, {size}, s",
            few["record"],
            f"again, nothing new {few['record again']:.2f} s; ten times the series"
            f" {many['record']:.1f} s",
        ),
        line(
            "one of the days changed: joining and metrics, s",
            day,
            f"metrics alone {few['calculate a day']:.2f} s; peer: all {days} days",
            peer=whole,
        ),
    ]
    for name, ours in reads.items():
        limit = 0.02 if name == "api.health()" else None
        size = f"{series:,} series x 365 days of metrics"
        found.append(line(f"{name}, {size}, s", ours, "best of 5", limit=limit))
    return found


def line(
    name: str, ours: float, note: str, *, peer: float | None = None, limit: float | None = None
) -> Row:
    """Give a row; its ratio is to the peer or to the limit."""
    beside = peer or limit
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "ratio": beside / ours if beside else None,
        "target": f"below {limit:g} s" if limit else "",
        "note": note,
    }


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
