"""A quarter of a small chain of shops, lived day by day: sales come in, and jobs run every night."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]

BRANCHES = ("north", "south", "east", "west", "centre")
HISTORY_DAYS, QUARTER_DAYS = 364, 91
WEEK = np.array([0.8, 0.85, 0.9, 1.0, 1.25, 1.4, 0.8])


def sales() -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Sales of each branch, kg a day: a level, a week, a slow trend, 5 % of noise."""
    rng = np.random.default_rng(7)
    days = np.arange(HISTORY_DAYS + QUARTER_DAYS)
    return {
        branch: (80 + 40 * place)
        * WEEK[days % 7]
        * (1 + 0.0004 * days)
        * rng.normal(1, 0.05, len(days))
        for place, branch in enumerate(BRANCHES)
    }


@dataclass
class Quarter:
    """The chain: what has come in so far, and what was seen on which day of the quarter."""

    connection: psycopg.Connection[Any]
    opened: date = field(
        default_factory=lambda: datetime.now(UTC).date() - timedelta(days=QUARTER_DAYS)
    )
    day: int = 0
    factor: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sales = sales()

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Ask."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """Ask for one value."""
        row = self.connection.execute(query, values).fetchone()
        assert row is not None
        return row[0]

    def open(self, kind: str = "ets") -> None:
        """A year of sales is there; a model of them is fitted and put in force."""
        self.connection.execute("create schema shop")
        self.connection.execute(
            "create table shop.sale (branch text, sold_on date, quantity float8)"
        )
        for day in range(-HISTORY_DAYS, 0):
            self.sell(day)
        self.connection.execute("grant usage on schema shop to weighhouse_fitter")
        self.connection.execute("grant select on shop.sale to weighhouse_fitter")
        self.connection.execute(
            "select * from api.create_model('sales', 'shop.sale', 'sold_on', 'quantity', '{branch}',"
            ' %s, \'{"step": "1 day", "horizon": 14}\')',
            (kind,),
        )
        started = self.one("select clock_timestamp()")
        self.connection.execute("select * from api.fit_model('sales')")
        self.date_back(started, self.opened)

    def sell(self, day: int) -> None:
        """The sales of one day come in."""
        for branch in BRANCHES:
            sold = self.sales[branch][HISTORY_DAYS + day] * self.factor.get(branch, 1)
            self.connection.execute(
                "insert into shop.sale values (%s, %s, %s)",
                (branch, self.opened + timedelta(days=day), float(round(sold, 2))),
            )

    def night(self, *jobs: str) -> list[Row]:
        """The night after a day: its sales are in, the jobs run."""
        self.sell(self.day)
        self.day += 1
        started = self.one("select clock_timestamp()")
        for job in jobs or ("monitoring",):
            self.connection.execute("call api.run_job(%s)", (job,))
        self.date_back(started, self.opened + timedelta(days=self.day))
        return self.rows("select * from bi.job_run where time >= %s order by job_run_id", started)

    def date_back(self, since: datetime, day: date) -> None:
        """Date what was put in force since a moment to the night it stands for."""
        moment = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
        for column in ("deployed_at", "retired_at"):
            self.connection.execute(
                f"update core.model_versions set {column} = %s where {column} >= %s", (moment, since)  # type: ignore[arg-type]
            )  # fmt: skip
        self.connection.execute(
            "update core.model_event set happened_at = %s where happened_at >= %s", (moment, since)
        )
        self.connection.execute(
            "update core.forecast_ledger set issued_at = %s where issued_at >= %s", (moment, since)
        )


def live_a_while(url: str, days: int = 20) -> None:
    """Some weeks of it, with something to see on every page: a drift, alerts, a retraining, jobs."""
    with psycopg.connect(url, autocommit=True) as connection:
        quarter = Quarter(connection)
        quarter.open()
        connection.execute("select * from api.start_clock('worker')")
        connection.execute("select api.add_webhook('https://alerts.example.com/shop')")
        quarter.factor["north"] = 3
        for _ in range(days):
            quarter.night()
        quarter.night("monitoring", "retraining", "nightly", "refresh")
