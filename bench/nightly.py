"""Time of the nightly job on a large shop, from movements to everything that is derived of them.

    python -m bench.nightly --dsn postgresql://postgres@127.0.0.1:5432/postgres

A made-up shop (bench/coefficients.py): weekly counts, receipts, daily or few sales, each with its
batch. Measured are `api.run_job('nightly')` on all of it for the first time, step by step, and a
second night on which nothing came in. A database of its own is made and dropped afterwards.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import psycopg

from bench.coefficients import Memory, database, simulate, store_movements

Row = dict[str, Any]


def night(connection: psycopg.Connection[Any]) -> tuple[float, str]:
    """Run the job; give its seconds, and those of each step."""
    last = connection.execute("select coalesce(max(id), 0) from core.job_run").fetchone()
    assert last is not None
    begun = time.perf_counter()
    connection.execute("call api.run_job('nightly')")
    seconds = time.perf_counter() - begun
    steps = connection.execute(
        "select step, duration_seconds from bi.job_run where job_run_id > %s order by job_run_id",
        last,
    ).fetchall()
    return seconds, ", ".join(f"{step} {taken:.1f}" for step, taken in steps)


def run(dsn: str, *, products: int = 10_000, periods: int = 52) -> list[Row]:
    """Measure; rows of name, ours, peer, ratio (how many times better), target, note."""
    shop = simulate(products, periods, keep_movements=True)
    with database(dsn) as connection:
        moved = store_movements(connection, shop)
        del shop
        connection.execute("vacuum analyze core.stock_movements")
        connection.execute("checkpoint")
        with Memory(connection) as memory:
            first, first_steps = night(connection)
        second, second_steps = night(connection)
    limit = 300.0
    return [
        {
            "name": f"nightly job, {products:,} products x {periods} weeks, the first time, s",
            "ours": first, "peer": None, "ratio": limit / first, "target": "below 300 s",
            "note": f"{moved:,} movements; {memory}; {first_steps}; ratio: to the target",
        },
        {
            "name": "nightly job again, nothing came in, s",
            "ours": second, "peer": first, "ratio": first / second, "target": "",
            "note": f"{second_steps}; peer: the first night",
        },
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--products", type=int, default=10_000)
    given = parser.parse_args()
    if not given.dsn:
        parser.error("give --dsn, or set DATABASE_URL")
    for row in run(given.dsn, products=given.products):
        print({key: value for key, value in row.items() if value is not None})


if __name__ == "__main__":
    main()
