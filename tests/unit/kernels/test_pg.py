"""The border to PostgreSQL, with a fake plpy."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np
import pytest

from weighhouse import pg
from weighhouse.errors import BadOptions, TooFewObservations


class SPIError(Exception):
    pass


class Raised(Exception):
    def __init__(self, message: str, **fields: str) -> None:
        super().__init__(message)
        self.fields = fields


class FakePlpy:
    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.executed = 0
        self.cancelled = False

    def error(self, message: str, **fields: str) -> None:
        raise Raised(message, **fields)

    def prepare(self, statement: str) -> str:
        self.prepared.append(statement)
        return statement

    def execute(self, plan: Any) -> None:
        self.executed += 1
        if self.cancelled:
            raise SPIError("canceling statement due to user request")


def test_our_errors_become_postgresql_errors() -> None:
    with pytest.raises(Raised) as raised, pg.reporting(FakePlpy()):
        raise TooFewObservations("too short", hint="Wait.")
    assert str(raised.value) == "too short"
    assert raised.value.fields == {"sqlstate": "ML101", "hint": "Wait."}


@pytest.mark.parametrize("error", [SPIError("canceled"), ZeroDivisionError()])
def test_other_errors_pass_untouched(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, pg.reporting(FakePlpy()):
        raise error
    assert raised.value is error


def test_numbers_from_bytes() -> None:
    data = struct.pack(">3d", 1.5, float("nan"), float("-inf"))
    read = pg.floats(data)
    assert read[0] == 1.5 and np.isnan(read[1]) and read[2] == -np.inf
    read[0] = 2.0  # writable
    assert pg.integers(struct.pack(">2q", -1, 2**40)).tolist() == [-1, 2**40]
    assert pg.integers(struct.pack(">2i", -1, 7), size=4).tolist() == [-1, 7]
    assert pg.floats(None).size == pg.floats(b"").size == pg.integers(None).size == 0


@pytest.mark.parametrize(
    "call", [lambda: pg.floats(b"123"), lambda: pg.integers(b"12345"), lambda: pg.integers(b"", 2)]
)
def test_other_bytes_are_our_error(call: Any) -> None:
    with pytest.raises(BadOptions) as raised:
        call()
    assert raised.value.hint


def test_interrupts_are_looked_for_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = ctypes.c_int(0)

    class Symbol:
        @staticmethod
        def in_dll(library: Any, name: str) -> ctypes.c_int:
            assert name == "InterruptPending"
            return pending

    monkeypatch.setattr(pg.ctypes, "c_int", Symbol)
    plpy = FakePlpy()
    tick = pg.check_interrupts(plpy)
    tick()
    assert plpy.executed == 0
    pending.value = 1
    tick()
    tick()
    assert plpy.executed == 2 and plpy.prepared == ["select 1"]
    plpy.cancelled = True
    with pytest.raises(SPIError):
        tick()


def test_without_the_symbol_a_statement_runs() -> None:
    plpy = FakePlpy()
    tick = pg.check_interrupts(plpy)  # no server in this process
    tick()
    tick()
    assert plpy.executed == 2 and plpy.prepared == ["select 1"]
