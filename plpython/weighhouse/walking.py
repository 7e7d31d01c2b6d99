"""The way of rows down trees, compiled: a small WebAssembly kernel that wasmtime runs.

Walking is reading memory out of order, a step at a time. numpy takes each step for many rows, and
writes it down between two steps; here a few rows walk side by side in registers, which is four
times as fast. The kernel reads and writes its own memory alone: it cannot harm the server. Where
wasmtime is not installed the walk of `weighhouse.trees` gives the same leaves.
"""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["available", "leaves"]

# The version from which on the settings below are known.
OLDEST = 50
# Rows that walk together: as many as hide the time of a read behind those of the others, and no
# more than there are registers for (measured: 3 to 5).
LANES = 4
# Steps between two looks whether all of them arrived.
STEPS = 3
# Rows, and nodes, that are in the kernel's memory at once; a cancel is heard between them.
ROWS = 2000 * LANES
NODES = 1_000_000
# Leaves found by one call, as many rows as trees times rows: tens of milliseconds.
LEAVES = 2_000_000

# 16 bytes: a row goes left where its number is at most the threshold, right else (left + 1 node).
# A leaf leads to itself, and no number is above its threshold. Numbers are integers in the order of
# the floats they were, so that a missing one can stand below or above all others.
NODE = np.dtype([("threshold", "<i8"), ("left", "<i4"), ("number", "<i4")])
LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
PAGE = 65536
# Where nodes begin in the kernel's memory, then rows, roots and leaves found.
BEGIN = 16


def _source() -> str:
    """Write the kernel: for each tree, for each row (LANES at once), the address of its leaf.

    Addresses count bytes of the kernel's memory. $roots: of each tree's root, int32. $stride: bytes
    of a row of int64. $found takes int32, tree by tree, $room rows each; rows are a multiple of
    LANES.
    """
    lanes = range(LANES)
    named = "\n".join(f"(local $node{i} i32) (local $row{i} i32)" for i in lanes)
    begin = "\n".join(
        f"""(local.set $node{i} (local.get $root))
            (local.set $row{i} (i32.add (local.get $row)
                (i32.mul (i32.const {i}) (local.get $stride))))"""
        for i in lanes
    )
    step = "\n".join(
        f"""(local.set $node{i} (i32.add
            (i32.load offset=8 (local.get $node{i}))
            (i32.shl (i64.gt_s
                (i64.load (i32.add (local.get $row{i}) (i32.load offset=12 (local.get $node{i}))))
                (i64.load (local.get $node{i}))) (i32.const 4))))"""
        for i in lanes
    )
    on_its_way = [
        f"(i32.ne (i32.load offset=8 (local.get $node{i})) (local.get $node{i}))" for i in lanes
    ]
    moving = on_its_way[0]
    for lane in on_its_way[1:]:
        moving = f"(i32.or {moving} {lane})"
    write = "\n".join(
        f"(i32.store offset={4 * i} (local.get $place) (local.get $node{i}))" for i in lanes
    )
    return f"""(module
    (memory (export "memory") 1)
    (func (export "walk") (param $roots i32) (param $end_of_roots i32)
        (param $rows i32) (param $end_of_rows i32) (param $stride i32)
        (param $found i32) (param $room i32)
        (local $root i32) (local $row i32) (local $place i32)
        {named}
        (block $no_tree (loop $tree
            (br_if $no_tree (i32.ge_u (local.get $roots) (local.get $end_of_roots)))
            (local.set $root (i32.load (local.get $roots)))
            (local.set $row (local.get $rows))
            (local.set $place (local.get $found))
            (block $no_row (loop $next
                (br_if $no_row (i32.ge_u (local.get $row) (local.get $end_of_rows)))
                {begin}
                (loop $down {step * STEPS} (br_if $down {moving}))
                {write}
                (local.set $place (i32.add (local.get $place) (i32.const {4 * LANES})))
                (local.set $row (i32.add (local.get $row)
                    (i32.mul (i32.const {LANES}) (local.get $stride))))
                (br $next)))
            (local.set $found (i32.add (local.get $found)
                (i32.shl (local.get $room) (i32.const 2))))
            (local.set $roots (i32.add (local.get $roots) (i32.const 4)))
            (br $tree)))))"""


@cache
def available() -> bool:
    """Tell whether wasmtime is installed, and is new enough."""
    # Few rows must not wait for the import.
    from importlib import metadata

    try:
        return int(metadata.version("wasmtime").split(".")[0]) >= OLDEST
    except metadata.PackageNotFoundError:
        return False


@cache
def _compiled() -> tuple[Any, Any]:
    """Compile the kernel, once a session: an engine and a module."""
    import wasmtime

    config = wasmtime.Config()
    # Signals and threads are the server's: bounds are checked by code, and nothing runs aside.
    config.signals_based_traps = False
    config.parallel_compilation = False
    # No gigabytes of addresses set aside for what may be asked for.
    config.memory_reservation = 0
    config.memory_reservation_for_growth = 0
    config.memory_guard_size = 0
    # The kernel reads nothing but what its caller wrote: no secrets to be guessed at.
    config.cranelift_flag_set("enable_heap_access_spectre_mitigation", "false")
    engine = wasmtime.Engine(config)
    # Before the interpreter takes apart what frees them.
    atexit.register(_compiled.cache_clear)
    return engine, wasmtime.Module(engine, _source())


@dataclass(slots=True)
class _Memory:
    """The kernel's memory, laid out for some trees and a block of rows."""

    roots: NDArray[np.int32]
    nodes: NDArray[Any]
    rows: NDArray[np.int64]
    found: NDArray[np.int32]
    walk: Callable[[int, int], None]


def _lay_out(trees: int, nodes: int, rows: int, numbers: int) -> _Memory:
    """Start a kernel with room for so much; its memory goes with the result."""
    import wasmtime

    engine, module = _compiled()
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, module, []).exports(store)
    memory: Any = exports["memory"]
    walk: Any = exports["walk"]
    sizes = (16 * nodes, 8 * rows * numbers, 4 * trees, 4 * trees * rows)
    places = np.cumsum([BEGIN, *sizes]).tolist()
    memory.grow(store, max(0, -(-places[-1] // PAGE) - memory.size(store)))
    length = memory.data_len(store)
    whole = np.frombuffer(
        (ctypes.c_uint8 * length).from_address(ctypes.addressof(memory.data_ptr(store).contents)),
        np.uint8,
    )
    part = [whole[first:last] for first, last in pairwise(places)]
    _, at_rows, at_roots, at_found, _ = places

    def run(tree_count: int, row_count: int) -> None:
        walk(
            store,
            at_roots,
            at_roots + 4 * tree_count,
            at_rows,
            at_rows + 8 * numbers * row_count,
            8 * numbers,
            at_found,
            rows,
        )

    return _Memory(
        roots=part[2].view(np.int32),
        nodes=part[0].view(NODE),
        rows=part[1].view(np.int64).reshape(rows, numbers),
        found=part[3].view(np.int32).reshape(trees, rows),
        walk=run,
    )


def leaves(
    feature: NDArray[np.int32],
    threshold: NDArray[Any],
    child: NDArray[np.int32],
    missing_left: NDArray[np.bool_],
    root: NDArray[np.int64],
    rows: NDArray[Any],
    check: Callable[[], None],
) -> Iterator[tuple[int, int, NDArray[np.int32]]]:
    """Find the leaf of each row in each tree.

    Parameters
    ----------
    feature, threshold, child, missing_left, root
        Of `trees.Trees`.
    rows : ndarray of float, shape (n, features)
        Of the type of the threshold.
    check : callable
        Called between blocks of rows and trees.

    Yields
    ------
    first row, first tree, ndarray of int32, shape (trees, rows)
        The leaves of a block: their rows of `trees.Trees.value`. Blocks of the same rows come in
        the order of the trees.
    """
    end = np.append(root[1:], len(feature))
    gaps = np.isnan(rows)
    missing_right = ~missing_left & (feature >= 0)
    # Where NaN goes right it is read from a second copy of the row, in which it is above all.
    twice = bool(gaps.any() and missing_right.any())
    features = rows.shape[1]
    numbers = features * (2 if twice else 1)
    groups = _groups(root, end)
    room = min(ROWS, -(-len(rows) // LANES) * LANES)
    memory = _lay_out(
        max(last - first for first, last in groups),
        max(int(end[last - 1] - root[first]) for first, last in groups),
        room,
        numbers,
    )
    for first, last in groups:
        before, after = int(root[first]), int(end[last - 1])
        own = slice(before, after)
        leaf = feature[own] < 0
        of_root = np.repeat(root[first:last] - before, (end - root)[first:last])
        nodes = memory.nodes[: after - before]
        nodes["threshold"] = np.where(leaf, HIGHEST, _ordered(threshold[own]))
        nodes["left"] = BEGIN + 16 * np.where(leaf, np.arange(len(nodes)), of_root + child[own])
        copy = features * missing_right[own] if twice else 0
        nodes["number"] = 8 * np.where(leaf, 0, feature[own] + copy)
        memory.roots[: last - first] = BEGIN + 16 * (root[first:last] - before)
        for start in range(0, len(rows), room):
            check()
            block = slice(start, start + room)
            count = len(rows[block])
            memory.rows[:count, :features] = np.where(gaps[block], LOWEST, _ordered(rows[block]))
            if twice:
                memory.rows[:count, features:] = np.where(
                    gaps[block], HIGHEST, memory.rows[:count, :features]
                )
            memory.walk(last - first, -(-count // LANES) * LANES)
            node = (memory.found[: last - first, :count] - BEGIN) >> 4
            yield start, first, np.take(child[own], node, mode="clip")


def _ordered(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """Give integers in the order of floats: those of equal floats are equal."""
    # One zero: the sum of the two has no sign.
    bits = (numbers.astype(np.float64) + 0.0).view(np.int64)
    # Of the negative ones the greater have the smaller bits.
    return bits ^ ((bits >> 63) & HIGHEST)


def _groups(root: NDArray[np.int64], end: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Part trees into groups that fit: (first, last + 1)."""
    groups: list[tuple[int, int]] = []
    first = 0
    for tree in range(len(root)):
        if tree > first and (end[tree] - root[first] > NODES or (tree + 1 - first) * ROWS > LEAVES):
            groups.append((first, tree))
            first = tree
    return [*groups, (first, len(root))]
