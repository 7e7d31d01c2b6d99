"""Speed and accuracy of the shrinkage fit, beside a scipy loop on the same data in the same run.

    python -m bench.coefficients --dsn postgresql://postgres@127.0.0.1:5432/postgres

A made-up shop with known curves: weekly counts read to about 2 g, receipts every one to two weeks,
daily or few sales, FIFO. Measured are

- hypertable to stored coefficients, `api.fit_shrinkage()`, against a scipy least_squares loop
  outside the database (a and b of each product, the same exposure terms and loss, soft_l1);
- the error of the 14-day loss that either finds;
- movements to inventory periods, `api.account_stock()`, on two smaller shops, and how its time
  grows.

Databases of its own are made on the server and dropped afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import conninfo, sql
from scipy.optimize import least_squares

from loader import schema

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
CURVES: dict[str, dict[str, float]] = json.loads(
    (ROOT / "tests" / "data" / "synthetic_truth.json").read_text("utf-8")
)["curves"]
DAY = 86400
FIRST_DAY = 1_704_067_200  # 2024-01-01, a Monday
COUNT_NOISE = 0.002  # kg
LAYERS = 8
TERMS = 48
HORIZON = 14.0  # days


# ---------------------------------------------------------------------------------------- the shop


@dataclass
class Week:
    """What one count of all products closes, by product; terms one product after the other."""

    start: Ints
    end: Ints
    opening: Ints
    incoming: Ints
    outgoing: Ints
    difference: Ints
    area: Ints  # gram seconds
    aged: Floats  # gram days of age at the start
    weighted: Ints  # gram days of age at the end, calendar
    layer_count: Ints
    received: Ints
    at_start: Ints
    came: Ints
    went: Ints
    left: Ints
    counts: Ints
    mass: Floats
    age_from: Floats
    age_to: Floats
    is_receipt: NDArray[np.bool_]


@dataclass
class Shop:
    """Products with their true curves, and what happened to them."""

    kind: list[str]
    a: Floats
    b: Floats
    c: Floats
    weeks: list[Week] = field(default_factory=list)
    # Columns of movements: seconds, product, operation, batch (0: none), grams in, grams out.
    movements: list[tuple[Ints, Ints, str, Ints, Ints, Ints]] = field(default_factory=list)

    def loss(self, age: Floats | float, rows: Ints | slice = slice(None)) -> Floats:
        a, b, c = self.a[rows], self.b[rows], self.c[rows]
        return np.asarray(-a * np.expm1(-b * age) + c * age)


def simulate(products: int, weeks: int, *, seed: int = 7, keep_movements: bool = False) -> Shop:
    """Simulate a shop day by day, all products at once.

    Each product has the curve of its type times an effect of its own (10 %). Issues and shortages
    take from the oldest batch. What a count reads is the true mass and an error of `COUNT_NOISE`,
    which the next period inherits.
    """
    rng = np.random.default_rng(seed)
    kinds = list(CURVES)
    kind = np.arange(products) % len(kinds)
    effect = np.exp(0.1 * rng.standard_normal(products))
    curve = {key: np.array([CURVES[name][key] for name in kinds])[kind] for key in "abc"}
    shop = Shop([kinds[k] for k in kind], curve["a"] * effect, curve["b"], curve["c"] * effect)
    rows = np.arange(products)
    demand = 1000 * np.exp(rng.normal(0.3, 0.8, products))  # grams a day
    chance = np.where(rng.random(products) < 0.5, 1.0, rng.uniform(0.3, 0.6, products))
    minute = rng.integers(0, 3600, products)

    received = np.zeros((products, LAYERS), dtype=np.int64)
    book = np.zeros((products, LAYERS), dtype=np.int64)
    used = np.ones(products, dtype=np.int64)
    now = FIRST_DAY + 7 * 3600 + minute
    received[:, 0] = now - (DAY * rng.uniform(0.5, 10, products)).astype(np.int64)
    book[:, 0] = (demand * rng.uniform(6, 14, products)).astype(np.int64)
    due = rng.integers(2, 10, products)
    misread = np.zeros(products)
    if keep_movements:
        none = np.zeros(products, dtype=np.int64)
        shop.movements.append(
            (now, rows, "opening", received[:, 0].copy(), book[:, 0].copy(), none)
        )

    mass = np.zeros((products, TERMS), dtype=np.int64)
    age_from = np.zeros((products, TERMS))
    batch = np.zeros((products, TERMS), dtype=np.int64)
    receipt = np.zeros((products, TERMS), dtype=bool)
    filled = np.zeros(products, dtype=np.int64)

    def add(which: Ints, grams: Ints, age: Floats, of: Ints, documented: bool = False) -> None:
        place = filled[which]
        mass[which, place], age_from[which, place] = grams, age
        batch[which, place], receipt[which, place] = of, documented
        filled[which] = place + 1

    def take(which: Ints, grams: Ints, at: Ints | None) -> None:
        rest = grams.copy()
        for layer in range(LAYERS):
            part = np.minimum(rest, book[which, layer])
            some = part > 0
            if not np.any(some):
                continue
            book[which, layer] -= part
            went[which, layer] += part
            rest -= part
            if at is not None:
                of = received[which[some], layer]
                add(which[some], -part[some], (at[some] - of) / DAY, of)

    for week in range(weeks):
        start, at_start = now, book.copy()
        came, went = np.zeros_like(book), np.zeros_like(book)
        incoming, outgoing, area = (np.zeros(products, dtype=np.int64) for _ in range(3))
        filled[:] = 0
        for layer in range(LAYERS):
            some = np.flatnonzero(book[:, layer] > 0)
            of = received[some, layer]
            add(some, book[some, layer], (start[some] - of) / DAY, of)
        clock = start.copy()
        for day in range(7 * week, 7 * week + 7):
            midnight = FIRST_DAY + day * DAY
            some = np.flatnonzero(due == day)
            if some.size:
                at = midnight + 8 * 3600 + minute[some]
                stock = book[some].sum(axis=1)
                area[some] += stock * (at - clock[some])
                clock[some] = at
                due[some] += rng.integers(7, 15, some.size)
                wanted = demand[some] * (due[some] - day + 4) * rng.uniform(0.8, 1.2, some.size)
                grams = np.maximum(wanted - stock, 2 * demand[some]).astype(np.int64) + 1
                place = used[some]
                received[some, place], book[some, place], came[some, place] = at, grams, grams
                used[some] += 1
                incoming[some] += grams
                add(some, grams, np.zeros(some.size), at, documented=True)
                if keep_movements:
                    shop.movements.append((at, some, "receipt", at, grams, 0 * grams))
            some = np.flatnonzero(rng.random(products) < chance)
            stock = book[some].sum(axis=1)
            wanted = demand[some] / chance[some] * rng.gamma(4, 0.25, some.size)
            grams = np.minimum(wanted, 0.8 * stock).astype(np.int64)
            some, stock, grams = some[grams > 0], stock[grams > 0], grams[grams > 0]
            at = midnight + 12 * 3600 + minute[some] * 4
            area[some] += stock * (at - clock[some])
            clock[some] = at
            take(some, grams, at)
            outgoing[some] += grams
            if keep_movements:
                shop.movements.append((at, some, "sale", 0 * at, 0 * grams, grams))
        now = midnight + 20 * 3600 + minute
        stock = book.sum(axis=1)
        area += stock * (now - clock)

        # Exact: the expected shortage of domain model 5.5, then the errors of two readings.
        told = np.arange(TERMS) < filled[:, None]
        counts = filled.copy()
        of_term = np.repeat(rows, counts)
        kg, young = mass[told] / 1000, age_from[told]
        old = (now[of_term] - batch[told]) / DAY
        lost = kg * (1 - (1 - shop.loss(old, of_term)) / (1 - shop.loss(young, of_term)))
        error = COUNT_NOISE * rng.standard_normal(products)
        shortage = np.bincount(of_term, lost, products) + misread - error
        difference = np.maximum(-np.rint(1000 * shortage).astype(np.int64), -stock)
        misread = error
        take(rows, np.maximum(-difference, 0), None)
        newest = used - 1
        book[rows, newest] += np.maximum(difference, 0)
        came[rows, newest] += np.maximum(difference, 0)
        age_at_start = np.maximum(start[:, None] - received, 0) / DAY
        shop.weeks.append(
            Week(
                start, now, at_start.sum(axis=1), incoming, outgoing, difference, area,
                (at_start * age_at_start).sum(axis=1),
                (book * np.maximum(now[:, None] // DAY - received // DAY, 0)).sum(axis=1),
                used.copy(), received.copy(), at_start, came, went, book.copy(),
                counts, kg, young, old, receipt[told],
            )
        )  # fmt: skip
        if keep_movements:
            moved = np.flatnonzero(difference != 0)
            found = difference[moved]
            shop.movements.append(
                (now[moved], moved, "stock_take", 0 * moved, found.clip(0), (-found).clip(0))
            )
        order = np.argsort(book == 0, axis=1, kind="stable")
        received = np.take_along_axis(received, order, axis=1)
        book = np.take_along_axis(book, order, axis=1)
        used = np.maximum((book > 0).sum(axis=1), 1)
    return shop


# ------------------------------------------------------------------------------- into the database


def stamps(seconds: Ints) -> list[str]:
    return [f"{x}+00" for x in seconds.astype("datetime64[s]").astype(str).tolist()]


def store_products(connection: psycopg.Connection[Any], shop: Shop, layout: str) -> int:
    """Write products (ids 1 .. n), a warehouse and a file; return the id of the file."""
    names = [f"{kind} {i:06d}" for i, kind in enumerate(shop.kind)]
    connection.execute("insert into core.warehouses (name) values ('bench')")
    connection.execute(
        "insert into core.nomenclature (name, product_type, name_key)"
        " select n, k, upper(n) from unnest(%s::text[], %s::text[]) with ordinality as x (n, k, i)"
        " order by i",
        (names, shop.kind),
    )
    row = connection.execute(
        "insert into core.source_data (file_name, file_hash, layout, size_bytes)"
        " values ('bench', repeat('0', 64), %s, 0) returning id",
        (layout,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def store_periods(connection: psycopg.Connection[Any], shop: Shop) -> int:
    """Write the inventory periods as the accounting would, without flags; return how many."""
    source = store_products(connection, shop, "statement")
    human = 1 / (1 + math.exp(3.0))
    sigma = math.sqrt(2) * 0.001 / math.sqrt(12)
    columns = (
        "source_data_id, nomenclature_id, warehouse_id, initial_balance, incoming, outgoing,"
        " final_balance, storage_days, calculation_date, data_quality_flag, inventory_confidence,"
        " inventory_period_start, inventory_period_end, is_valid_inventory_period,"
        " human_error_probability, pre_shrinkage_days, inventory_shrinkage_total,"
        " fifo_principle_applied, fifo_batch_sequence, mode, difference_kg, surplus_kg, kg_days,"
        " count_sigma_kg, has_opening_count, term_mass, term_age_from, term_age_to, term_is_receipt"
    )
    written = 0
    with connection.cursor().copy(f"copy core.calculation_data ({columns}) from stdin") as copy:
        for number, week in enumerate(shop.weeks):
            copy.write("".join(_period_lines(week, number, source, human, sigma)))
            written += week.end.size
    return written


def _period_lines(
    week: Week, number: int, source: int, human: float, sigma: float
) -> Iterator[str]:
    starts, ends = stamps(week.start), stamps(week.end)
    final = week.left.sum(axis=1)
    loss = -week.difference / 1000
    sure = (1.0 if number else 0.5) * np.abs(loss) / (np.abs(loss) + 2 * sigma) * (1 - human)
    stop = np.cumsum(week.counts)
    begin = (stop - week.counts).tolist()
    mass, young, old = (
        [repr(x) for x in values.tolist()] for values in (week.mass, week.age_from, week.age_to)
    )
    documented = ["t" if x else "f" for x in week.is_receipt.tolist()]
    numbers = zip(
        (week.opening / 1000).tolist(), (week.incoming / 1000).tolist(),
        (week.outgoing / 1000).tolist(), (final / 1000).tolist(),
        np.floor(week.weighted / np.maximum(final, 1) + 0.5).astype(int).tolist(), sure.tolist(),
        (week.aged / np.maximum(week.opening, 1)).tolist(), loss.tolist(),
        (week.area / (1000 * DAY)).tolist(), begin, stop.tolist(),
        week.layer_count.tolist(), week.received.tolist(), week.at_start.tolist(),
        week.came.tolist(), week.went.tolist(), week.left.tolist(), strict=True,
    )  # fmt: skip
    for i, (
        opening, incoming, outgoing, closing, days, confidence, aged, lost, kg_days, p, q,
        layers, received, at_start, came, went, left,
    ) in enumerate(numbers):  # fmt: skip
        sequence = ", ".join(
            f'{{"in": {came[k] / 1000}, "out": {went[k] / 1000}, "batch": "{received[k]}",'
            f' "closing": {left[k] / 1000}, "opening": {at_start[k] / 1000},'
            f' "received_at": {received[k]}}}'
            for k in range(layers)
        )
        yield (
            f"{source}\t{i + 1}\t1\t{opening}\t{incoming}\t{outgoing}\t{closing}\t{days}\t{ends[i]}"
            f"\tclean\t{confidence}\t{starts[i]}\t{ends[i]}\tt\t{human}\t{aged}"
            f"\t{lost if lost > 0.005 else 0}\tt\t[{sequence}]\tposted\t{-lost}"
            f"\t{-lost if lost < -0.005 else 0}\t{kg_days}\t{sigma}\tt"
            f"\t{{{','.join(mass[p:q])}}}\t{{{','.join(young[p:q])}}}\t{{{','.join(old[p:q])}}}"
            f"\t{{{','.join(documented[p:q])}}}\n"
        )


def store_movements(connection: psycopg.Connection[Any], shop: Shop) -> int:
    """Write the movements; return how many."""
    source = store_products(connection, shop, "movements")
    line = 0
    columns = (
        "posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at,"
        " in_kg, out_kg, source_data_id, line"
    )
    connection.execute("set weighhouse.noted = 'yes'")
    with connection.cursor().copy(f"copy core.stock_movements ({columns}) from stdin") as copy:
        for at, item, operation, batch, came, went in shop.movements:
            told = ["\\N" if not b else s for b, s in zip(batch, stamps(batch), strict=True)]
            lines = []
            for when, i, of, into, out in zip(
                stamps(at), (item + 1).tolist(), told, (came / 1000).tolist(),
                (went / 1000).tolist(), strict=True,
            ):  # fmt: skip
                line += 1
                lines.append(
                    f"{when}\t{i}\t1\t{operation}\t{line}\t{of}\t{into}\t{out}\t{source}\t{line}\n"
                )
            copy.write("".join(lines))
    note_movements(connection)
    return line


def note_movements(connection: psycopg.Connection[Any]) -> None:
    """Note all movements at once, as an import does with its own (weighhouse.noted = yes)."""
    connection.execute(
        "insert into core.rollup_pending (source, key_1, key_2, from_time, to_time)"
        " select 'movement', nomenclature_id, warehouse_id, min(posted_at), max(posted_at)"
        " from core.stock_movements group by nomenclature_id, warehouse_id"
    )
    connection.execute("set weighhouse.noted = ''")


@contextmanager
def database(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Make a migrated database for as long as this lasts."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    own = conninfo.make_conninfo(dsn, dbname=name)
    with psycopg.connect(dsn, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            schema.upgrade(own)
            with psycopg.connect(own, autocommit=True) as connection:
                yield connection
        finally:
            server.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


class Memory:
    """Largest private memory of a backend while this lasts, MB; None where it cannot be seen."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.peak: float | None = None
        self._status = Path(f"/proc/{connection.info.backend_pid}/status")
        self._name = connection.info.dbname
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        try:
            title = self._status.with_name("cmdline").read_text("utf-8")
            if self._name not in title:  # a server elsewhere, or in a container
                return
            while True:
                text = self._status.read_text("utf-8")
                kilobytes = next(x for x in text.splitlines() if x.startswith("RssAnon")).split()[1]
                self.peak = max(self.peak or 0.0, int(kilobytes) / 1024)
                if self._done.wait(0.02):
                    return
        except (OSError, StopIteration):
            return

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def __str__(self) -> str:
        return "memory not visible" if self.peak is None else f"{self.peak:.0f} MB private memory"


# ---------------------------------------------------------------------------------------- the peer


def fit_by_loop(connection: psycopg.Connection[Any], ids: list[int]) -> tuple[Floats, Floats]:
    """Fit a and b of each product by itself, as one would outside the database."""
    cursor = connection.cursor(binary=True)
    cursor.execute(
        "select nomenclature_id, (surplus_applied_kg - difference_kg)::float8, kg_days,"
        " inventory_confidence, count_sigma_kg, term_mass, term_age_from, term_age_to"
        " from core.calculation_data where nomenclature_id = any(%s) and is_valid_inventory_period"
        " order by nomenclature_id, calculation_date",
        (ids,),
    )
    rows: dict[int, list[tuple[Any, ...]]] = {}
    for item, *rest in cursor:
        rows.setdefault(item, []).append(tuple(rest))
    a, b = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    for place, item in enumerate(ids):
        if item in rows:
            a[place], b[place] = _fit_product(rows[item])
    return a, b


def _fit_product(rows: list[tuple[Any, ...]]) -> tuple[float, float]:
    observed, kg_days, weight, sigma = (
        np.array([row[k] for row in rows], dtype=float) for k in range(4)
    )
    counts = np.array([len(row[4]) for row in rows])
    first = np.cumsum(counts) - counts
    mass, young, old = (np.concatenate([row[k] for row in rows]) for k in (4, 5, 6))
    # The spread of a period around its curve, from the product's mean rate.
    rate = max(float(observed.sum() / kg_days.sum()), 0.0)
    scale = np.sqrt(weight) / np.sqrt(sigma**2 + (0.25 * rate * kg_days) ** 2)

    def residual(x: Floats) -> Floats:
        before, after = -x[0] * np.expm1(-x[1] * young), -x[0] * np.expm1(-x[1] * old)
        expected = np.add.reduceat(mass * (after - before) / np.maximum(1 - before, 0.02), first)
        return np.asarray(scale * (expected - observed))

    start = np.clip([rate / 0.049, 0.049], 1e-4, 0.9)
    found = least_squares(
        residual, start, bounds=([0.0, 1e-3], [1.0, 5.0]), loss="soft_l1", x_scale=[0.1, 0.05]
    )
    return float(found.x[0]), float(found.x[1])


# -------------------------------------------------------------------------------------------- runs


def _errors(found: Floats, true: Floats) -> tuple[float, float]:
    error = 100 * np.abs(found / true - 1)
    return float(np.nanmedian(error)), float(np.nanpercentile(error, 95))


def measure_fit(dsn: str, products: int, periods: int, sample: int) -> list[Row]:
    """Fit inside and outside; rows of the table."""
    shop = simulate(products, periods)
    true = shop.loss(HORIZON)
    with database(dsn) as connection:
        period_count = store_periods(connection, shop)
        shop.weeks.clear()
        connection.execute("vacuum analyze core.calculation_data")
        connection.execute("checkpoint")
        with Memory(connection) as memory:
            begun = time.perf_counter()
            answer = connection.execute("select * from api.fit_shrinkage()").fetchone()
            ours = time.perf_counter() - begun
        assert answer is not None and answer[1] == "fitted"
        begun = time.perf_counter()
        again = connection.execute("select * from api.fit_shrinkage()").fetchone()
        cached = time.perf_counter() - begun
        assert again is not None and again[1] == "cached"
        rows = connection.execute(
            "select bi.curve_loss(family, coefficient_a, coefficient_b, coefficient_c, %s)"
            " from core.coefficients order by nomenclature_id",
            (HORIZON,),
        ).fetchall()
        found = np.array([row[0] for row in rows], dtype=float)

        chosen = np.linspace(0, products - 1, min(sample, products)).astype(int)
        begun = time.perf_counter()
        a, b = fit_by_loop(connection, (chosen + 1).tolist())
        part = time.perf_counter() - begun
    peer = part * products / chosen.size
    peer_median, peer_tail = _errors(-a * np.expm1(-b * HORIZON), true[chosen])
    ours_median, ours_tail = _errors(found, true)
    what = f"{products:,} products x {periods} periods"
    return [
        {
            "name": f"shrinkage coefficients, {what}, s",
            "ours": ours, "peer": peer, "ratio": peer / ours, "target": "< 60 s, ratio >= 20",
            "note": f"{period_count:,} periods, hypertable to stored coefficients and expectations;"
            f" {memory}. Peer: scipy least_squares loop, {chosen.size} products took {part:.2f} s,"
            f" scaled by {products / chosen.size:.0f}",
        },
        {
            "name": "refit of unchanged periods, s",
            "ours": cached, "peer": ours, "ratio": ours / cached, "target": "ratio >= 100",
            "note": "peer: the first fit",
        },
        {
            "name": f"error of the {HORIZON:.0f}-day loss, median, %",
            "ours": ours_median, "peer": peer_median, "ratio": peer_median / ours_median,
            "target": "ratio >= 1", "note": f"ours over all products, peer over {chosen.size}",
        },
        {
            "name": f"error of the {HORIZON:.0f}-day loss, 95th percentile, %",
            "ours": ours_tail, "peer": peer_tail, "ratio": peer_tail / ours_tail,
            "target": "ratio >= 1", "note": "the same products",
        },
    ]  # fmt: skip


def measure_accounting(dsn: str, products: int, periods: int, smaller: int) -> list[Row]:
    """Account for two shops from their movements; rows of the table."""
    seconds = {}
    for size in (smaller, products):
        shop = simulate(size, periods, keep_movements=True)
        with database(dsn) as connection:
            moved = store_movements(connection, shop)
            connection.execute("vacuum analyze core.stock_movements")
            connection.execute("checkpoint")
            with Memory(connection) as memory:
                begun = time.perf_counter()
                answer = connection.execute("select * from api.account_stock()").fetchone()
                seconds[size] = time.perf_counter() - begun
            assert answer is not None
            begun = time.perf_counter()
            connection.execute("select * from api.account_stock()")
            again = time.perf_counter() - begun
    large, small = seconds[products], seconds[smaller]
    exponent = math.log(large / small) / math.log(products / smaller)
    scaled = large * (10_000 / products) ** exponent
    return [
        {
            "name": f"stock accounting, {products:,} products x {periods} weeks, s",
            "ours": large, "peer": None, "ratio": None, "target": "",
            "note": f"{moved:,} movements to {answer[0]:,} periods, {moved / large:,.0f} a second;"
            f" {memory}; {smaller:,} products {small:.2f} s; 10,000 products would take about"
            f" {scaled:.0f} s",
        },
        {
            "name": "stock accounting, exponent of time against products",
            "ours": exponent, "peer": None, "ratio": None, "target": "<= 1.05",
            "note": f"between {smaller:,} and {products:,} products",
        },
        {
            "name": "stock accounting again, nothing changed, s",
            "ours": again, "peer": large, "ratio": large / again, "target": "",
            "note": "peer: the first accounting",
        },
    ]  # fmt: skip


def run(
    dsn: str, *, products: int = 10_000, periods: int = 52, sample: int = 200, account: int = 1_000
) -> list[Row]:
    """Measure the fit and the accounting on a server where databases can be made.

    Returns
    -------
    list of dict
        name, ours, peer, ratio (how many times better ours is), target, note; None: not compared.
    """
    rows = measure_fit(dsn, products, periods, sample)
    return rows + measure_accounting(dsn, account, periods, max(account * 3 // 10, 1))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--periods", type=int, default=52)
    parser.add_argument("--sample", type=int, default=200, help="products of the scipy loop")
    parser.add_argument("--account", type=int, default=1_000, help="products of the accounting")
    options = parser.parse_args()
    if not options.dsn:
        parser.error("give --dsn, or set DATABASE_URL")
    for row in run(
        options.dsn, products=options.products, periods=options.periods, sample=options.sample,
        account=options.account,
    ):  # fmt: skip
        figures = (row["ours"], row["peer"], row["ratio"])
        shown = " | ".join("" if x is None else f"{x:,.3g}" for x in figures)
        print(f"{row['name']} | {shown} | {row['target']} | {row['note']}")


if __name__ == "__main__":
    main()
