"""Statements of the shared test data as accounting input: a tiny reader, for these tests only."""

from __future__ import annotations

import csv
import json
import os
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weighhouse.accounting import Period, account_stock

EPOCH = datetime(1970, 1, 1)
DOCUMENT = re.compile(r"^(\D+?) \d{15} от (\d\d\.\d\d\.\d{4} \d{1,2}:\d\d:\d\d)$")
BATCH = re.compile(r"^\d\d\.\d\d\.\d{4} \d{1,2}:\d\d:\d\d$")
OPERATION = {
    "Отчет отдела о розничных продажах": "sale",
    "Приходная накладная": "receipt",
    "Инвентаризация": "stock_take",
}


def shared(*path: str) -> Path:
    """Find a file of the shared data, or skip the test."""
    root = os.environ.get("WEIGHHOUSE_SHARED")
    place = Path(root) if root else Path(__file__).resolve().parents[3].parent / "shared"
    found = place.joinpath("data", *path)
    if not found.exists():
        pytest.skip(f"needs {'/'.join(path)} of the shared data (set WEIGHHOUSE_SHARED)")
    return found


def seconds(text: str) -> int:
    return int((datetime.strptime(text, "%d.%m.%Y %H:%M:%S") - EPOCH).total_seconds())


def grams(text: str) -> int:
    return round(float(text.replace(",", ".")) * 1000) if text else 0


def read_statements() -> dict[str, dict[str, Any]]:
    """Read all weeks: by product its opening layers and movements."""
    items: dict[str, dict[str, Any]] = {}
    for path in sorted(shared("vedomost").glob("*.csv")):
        with path.open(encoding="cp1251", newline="") as file:
            rows = [row for row in csv.reader(file, delimiter=";") if row and row[0]]
        name = ""
        document: tuple[str, int] | None = None
        opening: dict[int, int] | None = None
        opening_document: tuple[str, int] | None = None
        for row, following in pairwise(rows):
            label = row[0]
            if found := DOCUMENT.match(label):
                if not BATCH.match(following[0]):
                    continue
                document = OPERATION[found[1]], seconds(found[2])
            elif BATCH.match(label) and document is not None:
                batch = seconds(label)
                if opening is not None and document == opening_document:
                    opening[batch] = grams(row[4])
                came, went = grams(row[6]), grams(row[7])
                if came or went:
                    items[name]["rows"].append((document[1], document[0], batch, came, went))
            elif DOCUMENT.match(following[0]):
                name, opening = label, None
                match = DOCUMENT.match(following[0])
                assert match
                opening_document = OPERATION[match[1]], seconds(match[2])
                if name not in items:
                    opening = {}
                    items[name] = {"opening": opening, "rows": []}
    return items


def account(
    items: dict[str, dict[str, Any]], surplus: dict[str, float] | None = None, **options: Any
) -> dict[str, list[Period]]:
    """Account for every product from Monday 2025-01-06."""
    start = seconds("06.01.2025 00:00:00")
    result = {}
    for name, item in items.items():
        layers = [(batch, mass) for batch, mass in item["opening"].items() if mass]
        share = (surplus or {}).get(name, 0.0)
        rows = item["rows"]
        result[name] = account_stock(
            [batch for batch, _ in layers],
            [mass for _, mass in layers],
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
            [row[4] for row in rows],
            [share] * len(rows),
            opened_at=start,
            **options,
        )
    return result


def columns(periods: list[list[Period]]) -> dict[str, Any]:
    """Turn the closed periods of several items into the arguments of a fit."""
    flat = [(i, p) for i, row in enumerate(periods) for p in row if not p.is_open]
    counts = [len(p.term_mass) for _, p in flat]
    return {
        "item": np.array([i for i, _ in flat]),
        "shortage": np.array([(p.loss_grams or 0) / 1000 for _, p in flat]),
        "kg_days": np.array([p.kg_days for _, p in flat]),
        "weight": np.ones(len(flat)),
        "sigma_count": np.full(len(flat), 0.002 / 6**0.5),
        "term_offset": np.append(0, np.cumsum(counts)),
        "term_mass": np.concatenate([p.term_mass for _, p in flat]),
        "term_age_from": np.concatenate([p.term_age_from for _, p in flat]),
        "term_age_to": np.concatenate([p.term_age_to for _, p in flat]),
    }


def truth() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(shared("synthetic_truth.json").read_text("utf-8"))
    return result


def by_type() -> dict[str, list[str]]:
    types: dict[str, list[str]] = {}
    for name, row in truth()["skus"].items():
        types.setdefault(row["type"], []).append(name)
    return types
