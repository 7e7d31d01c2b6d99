"""Batches as bytes in, results as JSON out; the memory of a session; signatures."""

from __future__ import annotations

import json
import math
import os
import stat
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weighhouse import signing
from weighhouse.errors import BadOptions, WeighhouseError
from weighhouse.forecasting import bridge, kind, memory
from weighhouse.forecasting.contract import no_check
from weighhouse.remembered import Remembered

MONTH = 365.25 * 86400 / 12
VALUES = [100 + 2 * t + 20 * math.sin(math.pi * t / 6) for t in range(40)]


def packed(series: Sequence[tuple[Sequence[int], Sequence[float]]]) -> tuple[bytes, bytes, bytes]:
    """As string_agg of int8send, float8send and int4send gives them."""
    steps = b"".join(struct.pack(f">{len(s)}q", *s) for s, _ in series)
    values = b"".join(struct.pack(f">{len(v)}d", *v) for _, v in series)
    counts = b"".join(struct.pack(">i", len(s)) for s, _ in series)
    return steps, values, counts


def fitted(
    series: Sequence[tuple[Sequence[int], Sequence[float]]],
    kind_name: str = "naive",
    horizon: int = 3,
    **options: Any,
) -> list[Any]:
    own = bridge.check_kind_options(kind_name, "{}")
    done = bridge.fit(
        kind_name, own, json.dumps(options), MONTH, horizon, *packed(series), no_check
    )
    result: list[Any] = json.loads(done)
    return result


def test_each_series_gets_one_object_in_order() -> None:
    whole, late, bad = range(40), range(7, 40), [0, 1, 1]
    first, second, third = fitted([(whole, VALUES), (late, VALUES[7:]), (bad, [1.0, 2.0, 3.0])])
    assert (first["first_step"], first["last_step"], first["length"]) == (0, 39, 40)
    assert (second["first_step"], second["length"], second["gaps"]) == (7, 33, 0)
    assert first["kind"] == "naive" and first["forecast"][0] == [VALUES[-1]] * 3
    assert len(first["forecast"]) == 5
    assert third["sqlstate"] == "ML002" and third["hint"] and "parameters" not in third


def test_a_missing_step_is_a_gap_or_nothing_happened() -> None:
    steps, values = [0, 1, 3], [1.0, 2.0, 4.0]
    (gap,) = fitted([(steps, values)])
    (zero,) = fitted([(steps, values)], missing="zero")
    assert (gap["gaps"], zero["gaps"]) == (1, 0)
    assert gap["note"] and zero["note"] is None


def test_what_cannot_be_fitted_falls_back_and_says_why() -> None:
    (row,) = fitted([([5], [3.0])], "arima")
    assert (row["kind"], row["fell_back_from"]) == ("seasonal_naive", "arima")
    assert row["reason"] and row["sqlstate"] == "ML101" and row["hint"]
    assert row["forecast"][0] == [3.0] * 3


def test_a_mistyped_date_does_not_fill_the_memory() -> None:
    (row,) = fitted([([0, 1, 10**9], [1.0, 2.0, 3.0])])
    assert row["sqlstate"] == "ML002" and "mistyped" in row["hint"]


def test_bytes_that_do_not_match_are_refused() -> None:
    steps, values, counts = packed([([0, 1], [1.0, 2.0])])
    with pytest.raises(BadOptions):
        bridge.fit("naive", "{}", "{}", MONTH, 3, steps, values[:8], counts, no_check)
    with pytest.raises(BadOptions):
        bridge.check_kind_options("oracle", "{}")
    with pytest.raises(BadOptions):
        bridge.check_kind_options("ets", '{"nothing": 1}')


def test_an_update_is_refused_where_the_past_looks_different() -> None:
    (old,) = fitted([(range(40), VALUES)], "ets")
    known = {"kind": "ets", "parameters": old["parameters"], "length": 40, "last_step": 39}
    for steps, values, possible in (
        (range(41), [*VALUES, 181.0], True),
        # A long gap since: only what follows it would be used.
        ([*range(40), 60, 61, 62], [*VALUES, 1.0, 2.0, 3.0], False),
    ):
        done = bridge.update(
            "{}", MONTH, 3, *packed([(steps, values)]), json.dumps([known]), no_check
        )
        (row,) = json.loads(done)
        assert (row is not None) == possible
    assert json.loads(
        bridge.update(
            "{}", MONTH, 3, *packed([(range(41), [*VALUES, 181.0])]), json.dumps([known]), no_check
        )
    )[0]["last_step"] == 40  # fmt: skip


def test_a_backtest_numbers_folds_and_steps() -> None:
    """By hand: the last value before each fold of two steps."""
    result = json.loads(
        bridge.backtest(
            "naive", "{}", "{}", MONTH, 2, '{"count": 2}', *packed([(range(40), VALUES)]), no_check
        )
    )
    assert [row[:5] for row in result["forecasts"]] == [
        [0, 1, 1, 35, 36], [0, 1, 2, 35, 37], [0, 2, 1, 37, 38], [0, 2, 2, 37, 39],
    ]  # fmt: skip
    assert [row[6] for row in result["forecasts"]] == [VALUES[35]] * 2 + [VALUES[37]] * 2
    mae = {(row[1], row[2]): row[4] for row in result["scores"] if row[3] == "mae" and row[0] == 0}
    expected = np.mean([abs(VALUES[i] - VALUES[35]) for i in (36, 37)])
    assert mae[1, "model"] == mae[1, "naive"] == pytest.approx(expected)
    assert (None, "model") in mae and result["failures"] == []


def test_a_cancel_goes_through() -> None:
    class Cancelled(BaseException):
        pass

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        bridge.fit("naive", "{}", "{}", MONTH, 3, *packed([(range(40), VALUES)]), check)


# ------------------------------------------------------------------------------------------- memory


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Signatures are made with a key in a folder of its own, as in a data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signing, "_keys", {})
    return tmp_path / signing.KEY_FILE


def stored(id: str, kind_name: str = "naive", version: int | None = None) -> memory.Stored:
    (row,) = fitted([(range(40), VALUES)], kind_name)
    text = json.dumps(row["parameters"])
    form = row["format"] if version is None else version
    content = memory.content(kind_name, form, "hash", text)
    return memory.Stored(id, kind_name, form, "hash", text, signing.sign(content))


def test_what_is_in_memory_is_neither_fetched_nor_parsed_again(key: Path) -> None:
    store: Remembered[Any] = Remembered(4096, 8_000_000)
    row = stored("a")
    first = list(memory.forecast(["a", "a"], [row], 2, [0.9], no_check, store))
    assert [line[:2] for line in first] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert store.missing(["a", "b"]) == ["b"]
    assert list(memory.forecast(["a", "a"], [], 2, [0.9], no_check, store)) == first
    assert (store.hits, store.misses, store.evictions) == (3, 1, 0)


def test_the_least_recently_used_goes_first_by_count_and_by_bytes() -> None:
    store: Remembered[Any] = Remembered(most_entries=2, most_bytes=100)
    for id in ("a", "b"):
        store.put(id, ("naive", {}), 40)
    store.get("a")
    store.put("c", ("naive", {}), 40)
    assert store.missing(["a", "b", "c"]) == ["b"]
    store.put("d", ("naive", {}), 90)
    assert list(store.entries) == ["d"] and store.bytes == 90
    assert store.figures()["evictions"] == 3
    # Who put it there is about to use it.
    store.put("e", ("naive", {}), 1000)
    assert store.figures() == {
        "entries": 1, "bytes": 1000, "hits": 1, "misses": 0, "evictions": 4,
    }  # fmt: skip
    store.put("f", ("naive", {}), 10)
    assert list(store.entries) == ["f"] and store.bytes == 10
    store.clear()
    assert store.bytes == 0


def test_a_single_flipped_byte_is_refused_before_parsing(key: Path) -> None:
    row = stored("a", "ets")
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(row.parameters), 1000).tolist():
        text = row.parameters
        other = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        broken = memory.Stored("a", "ets", row.version, "hash", other, row.signature)
        with pytest.raises(signing.Tampered) as caught:
            broken.parse()
        assert caught.value.sqlstate == "55000" and caught.value.hint
    for changed in (("theta", row.version, "hash"), ("ets", 77, "hash"), ("ets", row.version, "x")):
        with pytest.raises(signing.Tampered):
            memory.Stored("a", *changed, row.parameters, row.signature).parse()
    assert row.parse() == json.loads(row.parameters)


def test_a_newer_form_is_refused_clearly(key: Path) -> None:
    row = stored("a", version=kind("naive").FORMAT + 1)
    with pytest.raises(WeighhouseError) as caught:
        row.parse()
    assert caught.value.sqlstate == "ML203"


# --------------------------------------------------------------------------------------- signatures


def test_the_key_is_made_once_and_readable_by_its_owner_alone(key: Path) -> None:
    signature = signing.sign("a")
    assert len(key.read_bytes()) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signing._keys.clear()
    assert signing.is_signed("a", signature)
    assert not signing.is_signed("b", signature)
    assert [path.name for path in key.parent.iterdir()] == [key.name]


def test_sessions_that_begin_together_agree_on_the_key(key: Path) -> None:
    found: list[bytes] = []

    def begin(number: int) -> None:
        path = str(key)
        signing._keys.pop(path, None)
        found.append(signing.sign("a", path))

    os.umask(0o022)
    threads = [threading.Thread(target=begin, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_a_damaged_key_is_named(key: Path) -> None:
    key.write_bytes(b"short")
    with pytest.raises(WeighhouseError) as caught:
        signing.sign("a")
    assert caught.value.hint and str(signing.KEY_FILE) in (caught.value.detail or "")
