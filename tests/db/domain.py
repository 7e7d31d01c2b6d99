"""Stock in words: what a test says happened goes through staging and the accept functions, as files do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from loader import ingest
from loader.reading import ReadOptions

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

ZONE = "Europe/Moscow"
DERIVED = (
    "core.calculation_data",
    "core.batches",
    "core.validation_errors",
    "core.source_data",
    "core.coefficients",
    "core.data_lineage",
)


# ------------------------------------------------------------------------------------------- facts


def load(url: str, paths: Iterable[Path], *, encoding: str = "cp1251", zone: str = ZONE) -> None:
    """Import files as they are."""
    for path in paths:
        ingest.import_file(
            url, str(path), ReadOptions(encoding=encoding), ingest.ImportOptions(time_zone=zone)
        )


def file(
    db: Connection, layout: str, rows: Iterable[Mapping[str, object]], *, zone: str = ZONE
) -> int:
    """Bring rows in as one file of a layout (movements, balances, statement); give its number."""
    found = db.execute(
        "insert into core.source_data (file_name, file_hash, layout, size_bytes)"
        " values (%s, %s, %s, 0) returning id",
        (f"test {layout}", uuid4().hex * 2, layout),
    ).fetchone()
    assert found is not None
    staged = [{"line": line, **row} for line, row in enumerate(rows, 1)]
    # What accepting one layout leaves behind until the end of the transaction is in the way of another.
    db.execute("drop table if exists pg_temp.judged")
    db.execute("truncate staging.row")
    db.execute(
        "insert into staging.row select r.* from jsonb_populate_recordset(null::staging.row, %s) as r",
        (json.dumps(staged, default=str),),
    )
    verdict = db.execute(
        f"select (a).* from internal.accept_{layout}(%s, %s) as a",
        (found[0], json.dumps({"time_zone": zone})),
    ).fetchone()
    assert verdict is not None
    read, loaded, duplicate, rejected = verdict
    db.execute(
        "update core.source_data set read_count = %s, loaded_count = %s, duplicate_count = %s,"
        " rejected_count = %s where id = %s",
        (read, loaded, duplicate, rejected, found[0]),
    )
    assert (read, rejected) == (len(staged), 0), f"{rejected} of {read} rows rejected"
    return int(found[0])


def movement(
    operation: str,
    item: str,
    kg: float,
    at: str,
    *,
    batch: str | None = None,
    warehouse: str = "main",
    number: str = "",
) -> Row:
    """Say one movement; `kg` of a stock_take is count minus book. `at` may lack its time: noon."""
    goes_out = operation in ("sale", "consumption", "write_off", "transfer_out")
    if operation in ("stock_take", "regrading") and kg < 0:
        goes_out, kg = True, -kg
    return {
        "document_type": operation, "item": item, "posted_at": stamp(at, "12:00:00"),
        "incoming": 0 if goes_out else kg, "outgoing": kg if goes_out else 0,
        "batch": batch and stamp(batch, "12:00:00"), "warehouse": warehouse,
        "document_number": number,
    }  # fmt: skip


def stamp(text: str, time: str) -> str:
    return text if ":" in text else f"{text} {time}"


def move(db: Connection, *rows: Row, zone: str = ZONE) -> int:
    """Bring movements in as one file."""
    return file(db, "movements", rows, zone=zone)


def open_stock(db: Connection, item: str, kg: float, at: str, **more: Any) -> int:
    """State what is there at a time; with `batch`, since when."""
    return move(db, movement("opening", item, kg, at, **more))


def receive(db: Connection, item: str, kg: float, at: str, **more: Any) -> int:
    return move(db, movement("receipt", item, kg, at, **more))


def sell(db: Connection, item: str, kg: float, at: str, **more: Any) -> int:
    return move(db, movement("sale", item, kg, at, **more))


def count(db: Connection, item: str, difference: float, at: str, **more: Any) -> int:
    """Post a stock-take that found `difference` kg more than the book (negative: missing)."""
    return move(db, movement("stock_take", item, difference, at, **more))


def balance(
    item: str,
    opening: float | None,
    incoming: float | None,
    outgoing: float | None,
    closing: float | None,
    start: str = "2025-01-06",
    end: str = "2025-01-12",
    *,
    warehouse: str = "main",
) -> Row:
    """Say one row of a flat file; both days belong to the period."""
    return {
        "item": item, "opening": opening, "incoming": incoming, "outgoing": outgoing,
        "closing": closing, "period_start": start, "period_end": end, "warehouse": warehouse,
    }  # fmt: skip


def balances(db: Connection, *rows: Row, zone: str = ZONE) -> int:
    """Bring flat balances in as one file."""
    return file(db, "balances", rows, zone=zone)


def statement(
    db: Connection,
    item: str,
    start: str,
    end: str,
    totals: Sequence[float],
    documents: Sequence[tuple[str, str, Sequence[tuple[str, float, float, float, float]]]],
) -> int:
    """Bring the statement of one product in: totals (opening, in, out, closing); documents as (type,
    at, batches), batches as (received, opening, in, out, closing)."""
    period = {"period_start": start, "period_end": end, "warehouse": "main", "item": item}

    def line(record: str, figures: Sequence[float], **more: str) -> Row:
        names = ("opening", "incoming", "outgoing", "closing")
        return {"record": record, **period, **more, **dict(zip(names, figures, strict=True))}

    rows = [line("item", totals)]
    for kind, at, batches in documents:
        document = {"document_type": kind, "posted_at": at, "document_number": at}
        sums = [round(sum(batch[k] for batch in batches), 3) for k in range(1, 5)]
        rows.append(line("document", sums, **document))
        rows += [line("batch", batch[1:], **document, batch=batch[0]) for batch in batches]
    return file(db, "statement", rows)


def surplus(db: Connection, item: str, share: float, start: str = "2025-01-01") -> None:
    db.execute("select api.add_surplus_specification(%s, %s, %s)", (item, share, start))


def weeks(
    item: str,
    n: int,
    *,
    a: float = 0.1,
    b: float = 0.1,
    ages: Sequence[float] = (0.0,),
    kg: float = 20.0,
    start: str = "2025-01-06",
) -> list[Row]:
    """Say n weeks that lose exactly by a (1 - exp(-b t)): each Monday one batch comes in, `ages` days
    old (in turn); on Sunday what is left of it is sold and the count finds what has dried away."""
    rows = []
    for week in range(n):
        day = datetime.fromisoformat(start) + timedelta(days=7 * week)
        came, counted = day + timedelta(hours=8), day + timedelta(days=6, hours=20)
        age = ages[week % len(ages)]
        batch = came - timedelta(days=age)
        left = [1 + a * math.expm1(-b * (at - batch) / timedelta(days=1)) for at in (came, counted)]
        mass = kg + week % 3
        lost = round(mass * (1 - left[1] / left[0]), 3)
        rows += [
            movement("receipt", item, mass, str(came), batch=str(batch), number=f"in {week}"),
            movement("sale", item, round(mass - lost, 3), str(counted), number=f"out {week}"),
            movement("stock_take", item, -lost, str(counted), number=f"count {week}"),
        ]
    return rows


# ----------------------------------------------------------------------------------------- figures


def account(db: Connection) -> Row:
    return one(db, "select * from api.account_stock()")


def fit(db: Connection, **options: Any) -> Row:
    return one(db, "select * from api.fit_shrinkage(%s)", json.dumps(options))


def one(db: Connection, query: str, *parameters: object) -> Row:
    found = rows(db, query, *parameters)
    assert len(found) == 1, f"{len(found)} rows"
    return found[0]


def rows(db: Connection, query: str, *parameters: object) -> list[Row]:
    with db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def value(db: Connection, query: str, *parameters: object) -> Any:
    found = db.execute(query, parameters).fetchone()
    assert found is not None
    return found[0]


def periods(db: Connection, item: str, warehouse: str = "main") -> list[Row]:
    """All inventory periods of a product, oldest first."""
    return rows(
        db,
        "select c.* from core.calculation_data as c inner join core.nomenclature as n"
        " on n.id = c.nomenclature_id inner join core.warehouses as w on w.id = c.warehouse_id"
        " where n.name = %s and w.name = %s order by c.inventory_period_start, c.calculation_date",
        item, warehouse,
    )  # fmt: skip


def closed(db: Connection, item: str, warehouse: str = "main") -> list[Row]:
    """Those of them that a count closed."""
    return [period for period in periods(db, item, warehouse) if period["mode"] != "open"]


def flags(db: Connection, item: str, warehouse: str = "main") -> list[set[str]]:
    """Flags of each closed period of a product, oldest first."""
    return [set(period["flags"]) for period in closed(db, item, warehouse)]


def layers(period: Row) -> dict[str, float]:
    """Closing kg by batch; batches that are used up left out."""
    return {
        layer["batch"]: layer["closing"]
        for layer in period["fifo_batch_sequence"]
        if layer["closing"]
    }


def digests(db: Connection) -> dict[str, str]:
    """A digest of each derived table, with where each row stands and who wrote it."""
    return {
        table: value(
            db,
            f"select md5(coalesce(string_agg(t.ctid::text || t.xmin::text || t::text, '|'"
            f" order by t.tableoid, t.ctid), '')) from {table} as t",
        )
        for table in DERIVED
    }


def connect(url: str, **more: Any) -> Connection:
    return psycopg.connect(url, **more)
