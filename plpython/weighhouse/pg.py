"""The only module that knows plpy: errors, arrays as bytes, and the check for interrupts."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions, WeighhouseError

__all__ = [
    "boolean_arrays",
    "check_interrupts",
    "float_arrays",
    "floats",
    "integers",
    "peak_memory",
    "reporting",
]


@contextmanager
def reporting(plpy: Any) -> Iterator[None]:
    """Turn our errors into PostgreSQL errors with SQLSTATE, detail and hint.

    Everything else passes untouched: an SPI error keeps its SQLSTATE, a cancel stays a cancel, and
    a defect keeps its traceback.

    Parameters
    ----------
    plpy : module
        What PL/Python hands to each function.
    """
    try:
        yield
    except WeighhouseError as exc:
        optional = {"detail": exc.detail, "hint": exc.hint}
        plpy.error(str(exc), sqlstate=exc.sqlstate, **{key: v for key, v in optional.items() if v})


def floats(data: bytes | None) -> NDArray[np.float64]:
    """Read what `string_agg(float8send(x), ''::bytea order by ...)` wrote.

    Parameters
    ----------
    data : bytes or None
        Eight bytes a number, network order. None (the aggregate of no rows) is empty.

    Returns
    -------
    ndarray of float64, shape (n,)
        A writable array in the machine's own order. NaN stays NaN.

    Raises
    ------
    BadOptions
        The length is no multiple of eight.
    """
    if not data:
        return np.empty(0)
    if len(data) % 8:
        raise BadOptions(
            "not a sequence of float8",
            detail=f"{len(data)} bytes are no multiple of 8.",
            hint="Send string_agg(float8send(x), ''::bytea).",
        )
    return np.frombuffer(data, dtype=">f8").astype(np.float64)


def integers(data: bytes | None, size: int = 8) -> NDArray[np.int64]:
    """Read what `string_agg(int8send(x), ''::bytea order by ...)` wrote.

    Parameters
    ----------
    data : bytes or None
        `size` bytes a number, network order. None (the aggregate of no rows) is empty.
    size : int
        8 for int8send, 4 for int4send.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    BadOptions
        The size is neither 4 nor 8, or the length is no multiple of it.
    """
    if size not in (4, 8):
        raise BadOptions(f"no integer has {size} bytes", hint="Use 4 or 8.")
    if not data:
        return np.empty(0, dtype=np.int64)
    if len(data) % size:
        raise BadOptions(
            f"not a sequence of int{size}",
            detail=f"{len(data)} bytes are no multiple of {size}.",
            hint=f"Send string_agg(int{size}send(x), ''::bytea).",
        )
    return np.frombuffer(data, dtype=f">i{size}").astype(np.int64)


def _values(data: bytes, counts: NDArray[np.int64], unit: int, size: int) -> NDArray[np.int64]:
    """Find where the values of arrays begin, in units of `unit` bytes.

    An array is its dimensions, flags, type, length and lower bound (an empty one lacks the last
    two), 4 bytes each; then each value of `size` bytes with its size before it.
    """
    step = (4 + size) // unit
    header = np.where(counts > 0, 20, 12) // unit
    sizes = header + step * counts
    if unit * int(sizes.sum()) != len(data):
        raise BadOptions(
            "arrays do not have the lengths given",
            detail=f"{len(data)} bytes, {unit * int(sizes.sum())} expected.",
            hint="Send cardinality(x) beside array_send(x), and no NULL in x.",
        )
    begins = np.cumsum(sizes) - sizes + header
    place = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.repeat(begins, counts) + step * place + 4 // unit)


def float_arrays(data: bytes | None, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Read what `string_agg(array_send(x), ''::bytea order by ...)` wrote, x being float8[].

    One aggregate step a row instead of one a value.

    Parameters
    ----------
    data : bytes or None
        Arrays without NULLs, one after the other.
    counts : ndarray of int, shape (n,)
        How many values each has; an empty array is sent without its length.

    Returns
    -------
    ndarray of float64, shape (sum of counts,)

    Raises
    ------
    BadOptions
        The bytes are not arrays of these lengths.
    """
    if not data:
        return np.empty(0)
    first = _values(data, counts, 4, 8)
    words = np.frombuffer(data, dtype=">u4")
    pairs = np.stack([words[first], words[first + 1]], axis=1).astype(">u4")
    return np.frombuffer(pairs.tobytes(), dtype=">f8").astype(np.float64)


def boolean_arrays(data: bytes | None, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Read the same of boolean[]; see `float_arrays`."""
    if not data:
        return np.empty(0, dtype=bool)
    return np.frombuffer(data, dtype=np.uint8)[_values(data, counts, 1, 1)].astype(bool)


def check_interrupts(plpy: Any) -> Callable[[], None]:
    """Make the function that long kernels call at least every 100 ms.

    A look at the server's InterruptPending costs 0.05 us; only when it is set (or cannot be found)
    a prepared statement runs, in which PostgreSQL itself raises the cancel.

    Parameters
    ----------
    plpy : module
        What PL/Python hands to each function.

    Returns
    -------
    callable
        Returns None, or lets PostgreSQL's own error through.
    """
    plans: list[Any] = []

    def run_statement() -> None:
        if not plans:
            plans.append(plpy.prepare("select 1"))
        plpy.execute(plans[0])

    try:
        pending = ctypes.c_int.in_dll(ctypes.CDLL(None), "InterruptPending")
    except (OSError, ValueError):
        return run_statement

    def look() -> None:
        if pending.value:
            run_statement()

    return look


def peak_memory() -> float | None:
    """Largest memory of this process so far, MB; None where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None
