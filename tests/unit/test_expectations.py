"""Losses of many periods at once: the bytes that come in, the list that goes out."""

from __future__ import annotations

import struct

import pytest

from weighhouse.errors import WeighhouseError
from weighhouse.expectations import expect

NAN = float("nan")


def floats(*values: float) -> bytes:
    return struct.pack(f">{len(values)}d", *values)


def integers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}i", *values)


def array(*values: float) -> bytes:
    """What array_send writes of a float8[]: 701 is the type."""
    if not values:
        return struct.pack(">iiI", 0, 0, 701)
    head = struct.pack(">iiIii", 1, 0, 701, len(values), 1)
    return head + b"".join(struct.pack(">id", 8, value) for value in values)


def test_each_period_by_its_own_curve_and_terms() -> None:
    # 10 kg fresh for 5 days at 1 % a day; nothing; 4 kg less 2 kg, E10's way, at 2 % a day.
    found = expect(
        "linear", floats(NAN, NAN, NAN), floats(NAN, NAN, NAN), floats(0.01, 0.01, 0.02),
        integers(1, 0, 2),
        array(10.0) + array() + array(4.0, -2.0), array(0.0) + array() + array(0.0, 5.0),
        array(5.0) + array() + array(10.0, 10.0),
    )  # fmt: skip
    assert found[1] is None
    assert found[0] == pytest.approx(10 * 0.05)
    assert found[2] == pytest.approx(4 * 0.2 - 2 * 0.1 / 0.9)


def test_what_is_not_known_stays_unknown() -> None:
    found = expect(
        "exp", floats(NAN, 0.1), floats(0.1, 0.1), floats(NAN, NAN), integers(1, 1),
        array(10.0) + array(10.0), array(0.0) + array(0.0), array(7.0) + array(7.0),
    )  # fmt: skip
    assert found[0] is None and found[1] is not None


def test_no_periods() -> None:
    assert expect("exp", None, None, None, None, None, None, None) == []


def test_columns_that_do_not_fit_together() -> None:
    with pytest.raises(WeighhouseError):
        expect(
            "exp", floats(0.1), floats(0.1), floats(0.0), integers(2),
            array(1.0), array(0.0), array(7.0),
        )  # fmt: skip
