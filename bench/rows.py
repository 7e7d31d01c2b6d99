"""Time of models of rows: 100,000 rows through a forest of 100 trees, and one row in a new session.

    python -m bench.rows --dsn postgresql://postgres@127.0.0.1:5432/postgres

A forest is learnt in the database from 10,000 made-up rows of 20 numbers; `api.predict_rows` then
predicts 100,000 rows in one statement, beside scikit-learn's own predict of the same forest outside
(read by psycopg beforehand: what is compared is the arithmetic). A database of its own is made and
dropped afterwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import numpy as np
import psycopg
from psycopg import conninfo

from bench.coefficients import database

Row = dict[str, Any]

LEARNT, ASKED, FEATURES, TREES = 10_000, 100_000, 20, 100


def make(connection: psycopg.Connection[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make shop.learnt and shop.asked; give what was learnt from, and what is asked."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(ASKED, FEATURES))
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + rng.normal(scale=0.3, size=ASKED) > 0
    columns = ", ".join(f"x{i} float8" for i in range(FEATURES))
    connection.execute("create schema shop")
    for name, count in (("learnt", LEARNT), ("asked", ASKED)):
        connection.execute(f"create table shop.{name} (id int, target boolean, {columns})")
        with connection.cursor().copy(f"copy shop.{name} from stdin") as copy:
            for number in range(count):
                copy.write_row([number, bool(y[number]), *x[number].tolist()])
    return x[:LEARNT], y[:LEARNT], x


def timed(connection: psycopg.Connection[Any], statement: str) -> float:
    """Seconds of a statement."""
    begun = time.perf_counter()
    connection.execute(statement).fetchall()
    return time.perf_counter() - begun


def run(dsn: str) -> list[Row]:
    """Measure, and give the rows of the table."""
    from sklearn.ensemble import RandomForestClassifier

    with database(dsn) as connection:
        known, target, asked = make(connection)
        connection.execute(
            "select api.create_model('forest', 'shop.learnt', value_column => 'target',"
            " key_columns => '{id}', kind => 'forest', options => '{\"order_by\": \"id\"}')"
        )
        begun = time.perf_counter()
        connection.execute("select api.fit_model('forest')")
        fit_seconds = time.perf_counter() - begun
        statement = "select count(prediction) from api.predict_rows('forest', 'shop.asked')"
        timed(connection, statement)
        ours = min(timed(connection, statement) for _ in range(3))
        begun = time.perf_counter()
        forest = RandomForestClassifier(TREES, random_state=0, n_jobs=1).fit(known, target)
        peer_fit = time.perf_counter() - begun
        peer = []
        for _ in range(3):
            begun = time.perf_counter()
            forest.predict_proba(asked)
            peer.append(time.perf_counter() - begun)
        cold = []
        features = "{" + ", ".join(f'"x{i}": 0.5' for i in range(FEATURES)) + "}"
        own = conninfo.make_conninfo(dsn, dbname=connection.info.dbname)
        for _ in range(5):
            with psycopg.connect(own) as session:
                cold.append(timed(session, f"select * from api.predict('forest', '{features}')"))
        nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    return [
        {
            "name": f"{ASKED:,} rows through {TREES} trees, one statement, s",
            "ours": ours,
            "peer": min(peer),
            "ratio": min(peer) / ours,
            "target": "at most 1 s",
            "note": f"peer: scikit-learn's predict_proba outside, rows in memory; {nodes:,} nodes",
        },
        {
            "name": f"forest of {TREES} trees from {LEARNT:,} rows, s",
            "ours": fit_seconds,
            "peer": peer_fit,
            "ratio": peer_fit / fit_seconds,
            "note": "table to signed artifact and version, against scikit-learn on arrays",
        },
        {
            "name": "first prediction of a row in a new session, s",
            "ours": min(cold),
            "target": "at most 0.2 s",
            "note": f"best of 5, median {statistics.median(cold):.2f}; the same forest",
        },
    ]


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    for row in run(parser.parse_args().dsn):
        print(row)


if __name__ == "__main__":
    main()
