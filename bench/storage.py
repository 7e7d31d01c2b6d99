"""Cost of keeping sums by day, week and month, and of reading them, beside the size of the table.

    python -m bench.storage --dsn postgresql://postgres@127.0.0.1:5432/postgres

A year of movements of 1,000 products in 10 warehouses, once 1 million and once 10 million rows.
Measured are the refresh of everything, the refresh after one late row (which must not know how
large the table is), and what a dashboard asks of the bi views. Databases of its own are made and
dropped afterwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import psycopg

from bench.coefficients import database, note_movements

Row = dict[str, Any]

SHOP = """
insert into core.warehouses (name, time_zone)
select 'store ' || i, (array['Europe/Moscow', 'Asia/Yekaterinburg'])[1 + i % 2] from generate_series(1, 10) as i;
insert into core.nomenclature (name, product_type, name_key)
select 'item ' || i, (array['fresh', 'salted', 'frozen', 'dried', 'hot_smoked', 'cold_smoked'])[1 + i % 6], 'ITEM ' || i from generate_series(1, 1000) as i;
"""
MOVEMENTS = """
insert into core.stock_movements
    (posted_at, nomenclature_id, warehouse_id, operation, in_kg, out_kg, source_data_id, line, document_number)
select '2025-01-01'::timestamptz + (i::float8 / {rows} * 365) * interval '1 day', 1 + (i * 7919::bigint) % 1000, 1 + i / 7 % 10,
    case when i % 8 = 0 then 'receipt' else 'sale' end, case when i % 8 = 0 then 7 else 0 end, case when i % 8 = 0 then 0 else 0.777 end, 1, i, i::text
from generate_series({first}, {last}) as i
"""
LATE = """
insert into core.stock_movements
    (posted_at, nomenclature_id, warehouse_id, operation, in_kg, source_data_id, line, document_number)
values ('2025-01-10 10:00+00'::timestamptz + %s * interval '29 days', %s, 1, 'receipt', 1, 1, 1, 'late ' || %s)
"""
QUESTIONS = {
    "all stores by day, 90 days": "select time, store, sum(sold_kg), sum(incoming_kg) from bi.store_day where time >= '2025-10-01' group by time, store",
    "one store by day and type, a year": "select * from bi.store_day where store_id = 3 order by time",
    "all stores by month, a year": "select time, store, sum(sold_kg) from bi.store_month group by time, store",
    "all stores by week, a year": "select time, sum(sold_kg) from bi.store_week group by time",
    "one product by day, a year": "select * from bi.movement_day where item_id = 77 order by time",
    "one product in one store by week": "select * from bi.movement_week where item_id = 77 and store_id = 3 order by time",
    "products of one store that sold most in a month": "select item, sold_kg from bi.movement_month where store_id = 3 and time >= '2025-06-01' and time < '2025-06-29' order by sold_kg desc limit 20",
    "products of one store that sold most in a week of days": "select item, sum(sold_kg) from bi.movement_day where store_id = 3 and time >= '2025-06-01' and time < '2025-06-08' group by item order by 2 desc limit 20",
}  # fmt: skip


def seconds(connection: psycopg.Connection[Any], statement: str, *values: object) -> float:
    begun = time.perf_counter()
    done = connection.execute(statement, values or None)
    if done.description:
        done.fetchall()
    return time.perf_counter() - begun


def measure(dsn: str, rows: int) -> tuple[float, float, float, dict[str, float], str]:
    """Give seconds: the first refresh, one late row, one with the rows pending; the questions; sizes."""
    with database(dsn) as connection:
        connection.execute(SHOP)
        connection.execute("set weighhouse.noted = 'yes'")
        for first in range(1, rows + 1, 1_000_000):
            last = min(first + 999_999, rows)
            connection.execute(MOVEMENTS.format(rows=rows, first=first, last=last))
        note_movements(connection)
        connection.execute("vacuum analyze core.stock_movements")
        everything = seconds(connection, "call api.refresh_aggregates()")
        connection.execute("vacuum analyze core.rollup_pending")
        for grain in ("week", "month"):
            connection.execute(f"vacuum analyze core.movement_{grain}_stored")
        connection.execute("vacuum analyze core.store_day_stored")
        connection.execute("checkpoint")
        late, read = [], []
        for n in range(1, 12):
            connection.execute(LATE, (n, 10 * n, n))
            read.append(seconds(connection, QUESTIONS["one store by day and type, a year"]))
            late.append(seconds(connection, "call api.refresh_aggregates()"))
        asked = {
            name: min(seconds(connection, question) for _ in range(3))
            for name, question in QUESTIONS.items()
        }
        sizes = connection.execute(
            "select string_agg(format('%s %s in %s chunks', table_name, pg_size_pretty(size_bytes),"
            " chunk_count), ', ' order by size_bytes desc) from bi.storage where size_bytes > 1e7"
        ).fetchone()
    assert sizes is not None
    return everything, statistics.median(late), statistics.median(read), asked, str(sizes[0])


def run(dsn: str, *, small: int = 1_000_000, large: int = 10_000_000) -> list[Row]:
    """Measure; rows of name, ours, peer, ratio (how many times better), target, note."""
    few, many = measure(dsn, small), measure(dsn, large)
    slowest = max(many[3], key=lambda name: many[3][name])
    return [
        {
            "name": f"refresh after one late row, {large:,} movements, ms",
            "ours": 1000 * many[1], "peer": 1000 * few[1], "ratio": few[1] / many[1], "target": "above 0.5",
            "note": f"peer: the same with {small:,}; everything the first time {many[0]:.1f} s and {few[0]:.1f} s; {many[4]}",
        },
        {
            "name": f"slowest question of a dashboard, {large:,} movements, ms",
            "ours": 1000 * many[3][slowest], "peer": None, "ratio": 0.2 / many[3][slowest], "target": "below 200 ms",
            "note": "; ".join(f"{name} {1000 * taken:.0f}" for name, taken in many[3].items())
            + f"; one store by day while a late row is pending {1000 * many[2]:.0f}; ratio: to the target",
        },
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--small", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    given = parser.parse_args()
    if not given.dsn:
        parser.error("give --dsn, or set DATABASE_URL")
    for row in run(given.dsn, small=given.small, large=given.large):
        print({key: value for key, value in row.items() if value is not None})


if __name__ == "__main__":
    main()
