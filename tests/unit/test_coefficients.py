"""Columns as bytes in, one JSON text out."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from decimal import Decimal
from math import expm1
from typing import Any

import numpy as np
import pytest

from weighhouse import coefficients, pg
from weighhouse.errors import BadOptions

OPTIONS: dict[str, Any] = {
    "family": "exp", "default_b": Decimal("0.049"), "cv": Decimal("0.25"), "kappa": Decimal("20"),
}  # fmt: skip


def array_send(values: Sequence[float]) -> bytes:
    """What PostgreSQL's array_send writes for a float8[] (src/backend/utils/adt/arrayfuncs.c)."""
    if not values:
        return struct.pack(">iii", 0, 0, 701)
    head = struct.pack(">iiiii", 1, 0, 701, len(values), 1)
    return head + b"".join(struct.pack(">id", 8, value) for value in values)


def never() -> None:
    pass


def period(
    age: float, a: float = 0.1, b: float = 0.1
) -> tuple[list[float], list[float], list[float], float]:
    """10 kg from `age` on for a week: terms, and what is lost."""
    before, after = 1 + a * expm1(-b * age), 1 + a * expm1(-b * (age + 7))
    return [10.0], [age], [age + 7], 10 * (1 - after / before)


def columns(ages: Sequence[float], items: Sequence[int]) -> list[bytes]:
    """Columns of one period each."""
    periods = [period(age) for age in ages]
    n = len(periods)
    return [
        struct.pack(f">{n}i", *items),
        struct.pack(f">{n}d", *(p[3] for p in periods)),
        struct.pack(f">{n}d", *[70.0] * n),
        struct.pack(f">{n}d", *[0.9] * n),
        struct.pack(f">{n}d", *[0.001] * n),
        struct.pack(f">{n}i", *[1] * n),
        b"".join(array_send(p[0]) for p in periods),
        b"".join(array_send(p[1]) for p in periods),
        b"".join(array_send(p[2]) for p in periods),
    ]


AGES = [0, 3, 9, 20, 30, 1, 5, 12, 25, 40]
ITEMS = [0] * 5 + [1] * 5


def test_arrays_of_any_length_come_back() -> None:
    arrays = [[1.5, -2.0, 1e-300], [], [float("inf")], [0.1] * 7, []]
    data = b"".join(array_send(values) for values in arrays)
    found = pg.float_arrays(data, np.array([len(values) for values in arrays]))
    assert found.tolist() == [value for values in arrays for value in values]
    assert pg.float_arrays(None, np.array([], dtype=np.int64)).size == 0
    assert np.isnan(pg.float_arrays(array_send([float("nan")]), np.array([1]))[0])


def test_what_comes_back_can_be_written() -> None:
    found = pg.float_arrays(array_send([1.0, 2.0]), np.array([2]))
    found[0] = 5.0
    assert found.dtype == np.float64


@pytest.mark.parametrize("counts", [[1], [3], [2, 1]])
def test_lengths_that_do_not_fit_are_refused(counts: list[int]) -> None:
    with pytest.raises(BadOptions) as refused:
        pg.float_arrays(array_send([1.0, 2.0]), np.array(counts))
    assert refused.value.hint


def test_a_fit_recovers_the_curve_and_names_every_item() -> None:
    text = coefficients.fit(*columns(AGES, ITEMS), 3, OPTIONS, None, None, never)
    found = json.loads(text)
    assert [item["item"] for item in found["items"]] == [0, 1, 2]
    assert found["b"] == pytest.approx(0.1, rel=0.02)
    for item in found["items"]:
        assert item["a"] == pytest.approx(0.1, rel=0.02)
    assert found["items"][2]["outcome"] == "type_curve"


def test_json_holds_no_nan() -> None:
    text = coefficients.fit(
        None, None, None, None, None, None, None, None, None, 2, OPTIONS, None, None, never
    )
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert found["a"] is None
    assert [item["outcome"] for item in found["items"]] == ["failed", "failed"]


def test_given_b_is_used_for_each_item() -> None:
    text = coefficients.fit(*columns(AGES, ITEMS), 2, OPTIONS, [0.1, 0.2], None, never)
    assert [item["b"] for item in json.loads(text)["items"]] == [0.1, 0.2]
    text = coefficients.fit(*columns(AGES, ITEMS), 2, OPTIONS, [None, None], None, never)
    assert json.loads(text)["theta"]


def test_given_for_some_only_is_refused() -> None:
    with pytest.raises(BadOptions) as refused:
        coefficients.fit(*columns(AGES, ITEMS), 2, OPTIONS, [0.1, None], None, never)
    assert refused.value.sqlstate == "22023"
    assert refused.value.hint


def test_hold_out_predicts_what_comes_next() -> None:
    ages, items = [*AGES[:5] * 3, *AGES[5:] * 3], [*ITEMS[:5] * 3, *ITEMS[5:] * 3]
    found = json.loads(coefficients.hold_out(*columns(ages, items), 2, OPTIONS, never))
    assert found["n"] == sum(fold["n"] for fold in found["folds"]) > 0
    assert found["wape"] < 5
    assert found["is_better"] == (
        found["wape"] < min(found["wape_type_rate"], found["wape_last_percent"])
    )


def test_hold_out_of_nothing() -> None:
    found = json.loads(coefficients.hold_out(*[None] * 9, 2, OPTIONS, never))
    assert (found["n"], found["wape"], found["is_better"], found["folds"]) == (0, None, False, [])


def test_the_tick_is_called_and_can_stop_a_fit() -> None:
    class Cancelled(Exception):
        pass

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        coefficients.fit(*columns(AGES, ITEMS), 2, OPTIONS, None, None, stop)
    with pytest.raises(Cancelled):
        coefficients.hold_out(*columns(AGES, ITEMS), 2, OPTIONS, stop)
