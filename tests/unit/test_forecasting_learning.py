"""Kinds that learn from all series, regressors and calendars: what reaches the kernels."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.unit import learning_kind
from weighhouse import artifacts, signing
from weighhouse.errors import BadOptions, FromNewerVersion, TooFewObservations, WeighhouseError
from weighhouse.forecasting import KINDS, backtest, bridge, traits
from weighhouse.forecasting.contract import Calendar, Regressors, Series, no_check
from weighhouse.learnt import Learnt

DAY = 86400.0
NAME = learning_kind.NAME


@pytest.fixture(autouse=True)
def known_kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(KINDS, NAME, "tests.unit.learning_kind")
    monkeypatch.setattr(learning_kind, "seen", [])
    artifacts.ARTIFACTS.clear()
    yield
    artifacts.ARTIFACTS.clear()


def send(numbers: Sequence[float], form: str) -> bytes:
    return struct.pack(f">{len(numbers)}{form}", *numbers)


def packed(series: Sequence[Sequence[float]]) -> tuple[bytes, bytes, bytes]:
    """Series that all begin at step 10."""
    steps = [10 + t for values in series for t in range(len(values))]
    flat = [x for values in series for x in values]
    return send(steps, "q"), send(flat, "d"), send([len(values) for values in series], "i")


def columns(tables: Sequence[dict[int, list[float]]]) -> tuple[bytes, bytes, bytes]:
    """Regressors of each series by step."""
    return (
        send([step for table in tables for step in table], "q"),
        send([x for table in tables for row in table.values() for x in row], "d"),
        send([len(table) for table in tables], "i"),
    )


def fit(
    series: Sequence[Sequence[float]],
    tables: Sequence[dict[int, list[float]]] | None = None,
    horizon: int = 2,
    kind: str = NAME,
    **options: Any,
) -> list[dict[str, Any]]:
    extra = (None, None, None) if tables is None else columns(tables)
    text = bridge.fit(
        kind, "{}", json.dumps(options), DAY, horizon, *packed(series), no_check, *extra
    )
    result: list[dict[str, Any]] = json.loads(text)
    return result


def test_traits_say_what_a_kind_can() -> None:
    assert traits(NAME) == {
        "family": "series", "learns": True, "continues": True, "regressors": True,
    }  # fmt: skip
    assert traits("naive") == {
        "family": "series", "learns": False, "continues": False, "regressors": False,
    }  # fmt: skip


def test_a_batch_without_an_artifact_learns_from_itself() -> None:
    first, second = fit([[1, 2, 3], [10, 14]])
    # Mean of the steps 1, 1, 4.
    assert first["forecast"][0] == [5.0, 7.0]
    assert second["forecast"][0] == [16.0, 18.0]
    assert learning_kind.seen == [[3, 2]]
    # This session can go on forecasting from it, and from what was updated.
    assert bridge.forecast(NAME, second["parameters"], 1, [0.9]).mean.tolist() == [16.0]
    known = [{"kind": NAME, "parameters": second["parameters"], "length": 2, "last_step": 11}]
    updated = json.loads(
        bridge.update("{}", DAY, 1, *packed([[10, 14, 20]]), json.dumps(known), no_check)
    )
    assert updated[0]["forecast"][0] == [22.0]
    assert updated[0]["parameters"]["artifact"] == second["parameters"]["artifact"]
    assert len(learning_kind.seen) == 1


def test_an_artifact_in_memory_is_used_and_named_in_the_parameters() -> None:
    artifacts.ARTIFACTS.put("known", Learnt({}, {"growth": np.array([100.0])}), 8)
    (row,) = fit([[1, 2, 3]], artifact="known")
    assert row["forecast"][0] == [103.0, 203.0]
    assert row["parameters"]["artifact"] == "known"
    assert learning_kind.seen == []
    artifacts.ARTIFACTS.clear()
    with pytest.raises(WeighhouseError) as caught:
        bridge.forecast(NAME, row["parameters"], 1, [0.9])
    assert caught.value.hint


def test_nothing_to_learn_from_falls_back_and_says_why() -> None:
    (row,) = fit([[5.0]])
    assert row["fell_back_from"] == NAME and row["kind"] == "seasonal_naive"
    assert row["sqlstate"] == "ML101" and row["hint"]


def test_learning_gives_a_row_that_opens_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signing, "_keys", {})
    row = bridge.learn_all(
        NAME, "{}", "{}", DAY, 2, *packed([[1, 3]]), None, None, None, None, no_check
    )
    assert row["label"] == "growth" and row["native_format"] == NAME
    artifact = artifacts.Artifact(
        NAME, row["form"], "hash", row["header"], row["arrays"], row["native"]
    )
    signature = artifact.sign()
    artifacts.hold("a", artifact, signature, 1, for_learning=True)
    assert artifacts.find("a").native == b"own form"
    again = bridge.learn_all(
        NAME, "{}", "{}", DAY, 2, *packed([[1, 3]]), None, None, None, "a", no_check
    )
    assert json.loads(again["header"]) == {"rounds": 2}
    artifacts.hold("a", artifact, signature, 1, for_learning=False)
    assert artifacts.find("a").native is None
    for broken in (
        artifacts.Artifact("other", 1, "hash", row["header"], row["arrays"], row["native"]),
        artifacts.Artifact(NAME, 1, "other", row["header"], row["arrays"], row["native"]),
        artifacts.Artifact(NAME, 1, "hash", '{"rounds": 9}', row["arrays"], row["native"]),
        artifacts.Artifact(NAME, 1, "hash", row["header"], row["arrays"][:-1], row["native"]),
        artifacts.Artifact(NAME, 1, "hash", row["header"], row["arrays"], b"another"),
        artifacts.Artifact(NAME, 1, "hash", row["header"], row["arrays"], None),
    ):
        with pytest.raises(signing.Tampered) as caught:
            artifacts.hold("b", broken, signature, 1, for_learning=False)
        assert caught.value.sqlstate == "55000" and caught.value.hint
    newer = artifacts.Artifact(NAME, 2, "hash", row["header"], row["arrays"], row["native"])
    with pytest.raises(FromNewerVersion):
        artifacts.hold("c", newer, newer.sign(), 1, for_learning=False)
    with pytest.raises(BadOptions):
        bridge.learn_all(
            "naive", "{}", "{}", DAY, 2, *packed([[1, 3]]), None, None, None, None, no_check
        )


def test_regressors_stand_on_their_steps_and_ahead() -> None:
    table = {10: [0.0], 11: [0.0], 12: [0.0], 13: [7.0], 14: [9.0]}
    (row,) = fit([[1, 2, 3]], [table], features=["price"])
    assert row["forecast"][0] == [4.0 + 7, 5.0 + 9]
    assert row["note"] is None


def test_what_is_missing_in_the_past_is_carried_and_said() -> None:
    table = {12: [4.0], 13: [7.0], 14: [9.0]}
    (row,) = fit([[1, 2, 3]], [table], features=["price"])
    assert "2 missing values" in row["note"]
    # Known ahead only: a baseline stands in.
    (row,) = fit([[1, 2, 3]], [{13: [7.0], 14: [7.0]}], features=["price"])
    assert row["fell_back_from"] == NAME and "price" in row["reason"]
    assert row["forecast"][0] == [3.0, 3.0]


def test_a_regressor_missing_ahead_is_an_error_that_names_it() -> None:
    table = {10: [0.0, 1.0], 11: [0.0, 1.0], 12: [0.0, 1.0], 13: [7.0, 1.0], 14: [7.0, math.nan]}
    (row,) = fit([[1, 2, 3]], [table], features=["price", "promotion"])
    assert row["fell_back_from"] == NAME
    assert "promotion is not known 2 steps ahead" in row["reason"]


def test_holidays_are_regressors_of_all_series() -> None:
    rows = fit([[1, 2, 3], [5, 6]], holiday_steps={"Easter": [3, 13, 99], "Flood": [14]})
    assert rows[0]["parameters"]["names"] == ["holiday: Easter", "holiday: Flood"]
    assert rows[0]["parameters"]["ahead"] == [[1.0, 0.0], [0.0, 1.0]]
    # The second series ends a step earlier.
    assert rows[1]["parameters"]["ahead"] == [[0.0, 0.0], [1.0, 0.0]]


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadOptions):
        fit([[1, 2, 3]], [{10: [1.0]}], features=["a", "b"])
    with pytest.raises(BadOptions):
        fit([[1, 2, 3], [1, 2]], [{10: [1.0]}], features=["a"])


def test_each_fold_learns_from_what_all_series_were_then() -> None:
    batch = [Series(np.arange(10.0)), Series(np.arange(0.0, 16.0, 2))]
    result = backtest.run(NAME, batch, 2, count=2)
    assert learning_kind.seen == [[6, 4], [8, 6]]
    assert not result.failures
    # Growth of five ones and three twos; of seven and five.
    mean = result.rows.mean.reshape(2, 2, 2)
    np.testing.assert_allclose(mean[0, 0], 5 + 11 / 8 * np.array([1, 2]))
    np.testing.assert_allclose(mean[1, 1], 10 + 17 / 12 * np.array([1, 2]))


def test_a_fold_knows_the_regressors_of_its_own_steps() -> None:
    values = np.zeros(8)
    known = Regressors(("price",), np.arange(8.0)[:, None])
    calendar = Calendar("day", 1, np.datetime64("2024-01-01", "s"))
    result = backtest.run(NAME, [Series(values, (), calendar, known)], 2, count=2)
    assert result.rows.mean.tolist() == [4.0, 5.0, 6.0, 7.0]


def test_a_fold_with_nothing_to_learn_from_fails_alone() -> None:
    result = backtest.run(NAME, [Series(np.arange(3.0))], 1, count=2, minimum=1)
    assert [failure.fold for failure in result.failures] == []
    short = backtest.run(NAME, [Series(np.arange(2.0))], 1, count=1, minimum=1)
    assert isinstance(short.failures[0].error, TooFewObservations)


def test_times_of_months_days_and_hours() -> None:
    months = Calendar("month", 3, np.datetime64("2023-11-01", "s")).times(-1, 2)
    assert months.astype("datetime64[D]").astype(str).tolist() == [
        "2023-08-01", "2023-11-01", "2024-02-01",
    ]  # fmt: skip
    days = Calendar("day", 7, np.datetime64("2024-02-26", "s")).times(0, 2)
    assert days.astype("datetime64[D]").astype(str).tolist() == ["2024-02-26", "2024-03-04"]
    # Clocks in Berlin went from 2:00 to 3:00 on 2024-03-31 at 1:00 UTC.
    hours = Calendar("second", 3600, np.datetime64("2024-03-31T00", "s"), "Europe/Berlin")
    assert hours.times(0, 3).astype("datetime64[h]").astype(str).tolist() == [
        "2024-03-31T01", "2024-03-31T03", "2024-03-31T04",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grid", "step", "expected"),
    [
        ({"unit": "day", "count": 7, "phase": 2}, 0, "2000-01-03"),
        ({"unit": "day", "count": 1, "phase": 0}, 8766, "2024-01-01"),
        ({"unit": "month", "count": 1, "phase": 0}, 2024 * 12 + 1, "2024-02-01"),
        ({"unit": "month", "count": 3, "phase": 1}, 2024 * 4, "2024-02-01"),
        ({"unit": "second", "count": 3600, "phase": 0, "zone": "UTC"}, 24, "1970-01-02"),
    ],
)
def test_the_calendar_is_that_of_the_grid(grid: dict[str, Any], step: int, expected: str) -> None:
    # As internal.step_time gives the starts of the same steps.
    calendar = bridge.calendar(grid, step)
    assert calendar is not None
    assert calendar.times(0, 1).astype("datetime64[D]").astype(str).tolist() == [expected]
