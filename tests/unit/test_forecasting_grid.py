"""Gaps: what is filled, what is cut, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighhouse.errors import BadOptions, BadRow, TooFewObservations
from weighhouse.forecasting import grid

NAN = float("nan")
DAY = 86_400


def test_nothing_missing_nothing_changed() -> None:
    y = np.array([3.0, -1.0, 4.0])
    found = grid.prepare(y)
    assert found.values.tolist() == [3, -1, 4]
    assert (found.start, found.filled, found.behind, found.note) == (0, 0, 0, None)
    found.values[0] = 9
    assert y[0] == 3


def test_a_line_where_there_is_no_season() -> None:
    found = grid.prepare([1.0, NAN, NAN, 4.0, 8.0])
    assert found.values.tolist() == [1, 2, 3, 4, 8]
    assert found.filled == 2
    assert found.note == "2 of 5 values filled in"


def test_the_season_moved_to_the_level() -> None:
    # Season 0 5 0 -5 on a line of slope 1: the neighbours are the same but for 4 steps of the line.
    t = np.arange(20.0)
    y = t + np.tile([0.0, 5.0, 0.0, -5.0], 5)
    holes = y.copy()
    holes[[9, 10]] = NAN
    np.testing.assert_allclose(grid.prepare(holes, (4,)).values, y)
    # At the edges only one neighbour is there.
    for at in (1, 2, 17, 18):
        holes = y.copy()
        holes[at] = NAN
        np.testing.assert_allclose(grid.prepare(holes, (4,)).values, y)
    # The neighbours are missing too: a line.
    holes = y.copy()
    holes[[5, 9, 13]] = NAN
    assert grid.prepare(holes, (4,)).values[9] == (y[8] + y[10]) / 2


def test_the_longest_season_first() -> None:
    week = np.array([1.0, 9.0, 2.0, 8.0, 3.0, 7.0])
    y = np.tile(week, 5)
    holes = y.copy()
    holes[15] = NAN
    np.testing.assert_allclose(grid.prepare(holes, (2, 6)).values, y)


def test_ends_are_left_off_and_told() -> None:
    found = grid.prepare([NAN, NAN, 1.0, 2.0, NAN])
    assert found.values.tolist() == [1, 2]
    assert (found.start, found.filled, found.behind) == (2, 0, 1)
    assert found.note == "no observation in the last 1 step"
    # The length of what is missing at the end does not matter.
    assert grid.prepare([1.0, 2.0, *[NAN] * 9]).behind == 9


def test_a_long_gap_is_never_bridged() -> None:
    y = [1.0, 2.0, NAN, NAN, NAN, 5.0, NAN, 7.0, NAN]
    found = grid.prepare(y, max_gap=2, minimum=3)
    assert found.values.tolist() == [5, 6, 7]
    assert (found.start, found.filled, found.behind) == (5, 1, 1)
    assert found.note == (
        "only the 3 steps after a gap of 3 are used; 1 of 3 values filled in;"
        " no observation in the last 1 step"
    )
    with pytest.raises(grid.GapTooLong) as raised:
        grid.prepare(y, max_gap=2, minimum=4)
    assert raised.value.sqlstate == "ML002"
    assert raised.value.hint
    assert grid.prepare(y, max_gap=3).start == 0
    assert grid.prepare(y, max_gap=0).values.tolist() == [7]


def test_what_was_never_negative_stays_so() -> None:
    # The season alone would say 1 - 4 = -3.
    y = np.array([5.0, 1.0, 5.0, 1.0, 1.0, NAN, 1.0, 1.0])
    assert grid.prepare(y, (4,)).values[5] == 0
    assert grid.prepare(y - 1, (4,)).values[5] == 0
    assert grid.prepare(np.r_[-9.0, NAN, -9.0]).values[1] == -9


def test_how_long_a_gap_may_be() -> None:
    assert [grid.default_max_gap(s) for s in ((), (4,), (7,), (12,), (24, 168))] == [2, 2, 2, 3, 6]


def test_what_cannot_be_used() -> None:
    with pytest.raises(BadRow):
        grid.prepare([1.0, float("inf")])
    with pytest.raises(BadRow):
        grid.prepare([float("-inf"), NAN])
    for empty in ([], [NAN, NAN]):
        with pytest.raises(TooFewObservations):
            grid.prepare(empty)
    with pytest.raises(TooFewObservations):
        grid.prepare([1.0, 2.0], minimum=3)
    with pytest.raises(BadOptions):
        grid.prepare([1.0], max_gap=-1)
    with pytest.raises(BadOptions):
        grid.prepare(np.ones((2, 2)))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.just(NAN), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    st.sampled_from([(), (4,), (3, 6)]),
    st.integers(0, 4),
)
def test_what_was_observed_is_kept(
    values: list[float], seasons: tuple[int, ...], max_gap: int
) -> None:
    y = np.array(values)
    if np.isnan(y).all():
        return
    found = grid.prepare(y, seasons, max_gap=max_gap)
    assert np.isfinite(found.values).all()
    part = y[found.start : found.start + found.values.size]
    known = ~np.isnan(part)
    assert (part[known] == found.values[known]).all()
    assert known[0] and known[-1]
    assert found.filled == int((~known).sum())
    assert found.start + found.values.size + found.behind == y.size
    # Nothing observed is after it.
    assert np.isnan(y[found.start + found.values.size :]).all()


@pytest.mark.parametrize(
    ("step", "n", "seasons"),
    [
        (3600, 400, (24, 168)),
        (3600, 200, (24,)),
        (3600, 47, ()),
        (1800, 2000, (48, 336)),
        (900, 1400, (96, 672)),
        (6 * 3600, 100, (4, 28)),
        (5 * 3600, 1000, ()),
        (DAY, 400, (7,)),
        (DAY, 3 * 365, (7, 365)),
        (DAY, 13, ()),
        (7 * DAY, 104, (52,)),
        (7 * DAY, 103, ()),
        (28 * DAY, 24, (12,)),
        (31 * DAY, 24, (12,)),
        (2_629_746, 30, (12,)),
        (90 * DAY, 8, (4,)),
        (92 * DAY, 7, ()),
        (365 * DAY, 100, ()),
        (366 * DAY, 100, ()),
        (2 * DAY, 100, ()),
    ],
)
def test_seasons_of_the_calendar(step: float, n: int, seasons: tuple[int, ...]) -> None:
    assert grid.default_seasons(step, n) == seasons


def test_a_step_that_is_none() -> None:
    for step in (0.0, -1.0, NAN):
        with pytest.raises(BadOptions):
            grid.default_seasons(step, 10)
