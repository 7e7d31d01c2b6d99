"""Change points against every division there is, and series made by hand; anomalies beside them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from weighhouse import anomalies, change_points, robust
from weighhouse.errors import BadOptions, TooFewObservations


def normal(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=n)


def weekly(n: int = 365, seed: int = 0, noise: float = 5) -> Any:
    return 100 + 20 * np.sin(2 * np.pi * np.arange(n) / 7) + noise * normal(n, seed)


def autoregression(rho: float, n: int, seed: int) -> Any:
    y = normal(n, seed)
    for i in range(1, n):
        y[i] += rho * y[i - 1]
    return y


def test_the_division_is_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        n, least = int(rng.integers(3, 12)), int(rng.integers(1, 4))
        penalty = float(rng.uniform(0.2, 6))
        z = rng.normal(size=n) + 3 * (np.arange(n) > rng.integers(0, n))
        cuts = [
            cut
            for k in range(n)
            for cut in itertools.combinations(range(1, n), k)
            if not k or min(np.diff([0, *cut, n])) >= least
        ]
        costs = [
            penalty * len(cut) + sum(float(((p - p.mean()) ** 2).sum()) for p in np.split(z, cut))
            for cut in cuts
        ]
        found = change_points.divide(z, penalty, least)
        assert found == list(cuts[int(np.argmin(costs))])


def test_pruning_loses_nothing_on_long_series() -> None:
    """Against the recursion of optimal partitioning without pruning."""
    z = normal(300) + np.repeat(np.arange(10) % 3 * 3.0, 30)
    penalty, least = 10.0, 4
    best, origin = [-penalty] + [np.inf] * 300, [0] * 301
    for end in range(least, 301):
        for start in [0, *range(least, end - least + 1)]:
            part = z[start:end]
            cost = best[start] + float(((part - part.mean()) ** 2).sum()) + penalty
            if cost < best[end] - 1e-9:
                best[end], origin[end] = cost, start
    expected, end = [], 300
    while origin[end]:
        end = origin[end]
        expected.append(end)
    assert len(expected) >= 8
    assert change_points.divide(z, penalty, least) == expected[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_a_shift_is_found_beside_a_season_and_outliers(seed: int) -> None:
    y = weekly(seed=seed)
    y[200:] += 15
    y[[50, 120]] += [80, -60]
    (change,) = change_points.find(y, (7,))
    assert change.kind == "level" and abs(change.at - 200) <= 2
    assert change.after - change.before == pytest.approx(15, abs=3)
    assert change.gain > 1 and change.p < 1e-4


def test_a_step_without_noise_is_found_exactly() -> None:
    (change,) = change_points.find(np.repeat([2.0, 5.0], 20))
    assert (change.at, change.before, change.after) == (20, 2, 5)


@pytest.mark.parametrize(
    ("name", "make", "seasons"),
    [
        ("noise", lambda s: normal(200, s), ()),
        ("line", lambda s: 100 + 0.5 * np.arange(200) + normal(200, s), ()),
        ("parabola", lambda s: 100 + (np.arange(200) / 20) ** 2 + normal(200, s), ()),
        ("season", lambda s: weekly(seed=s), (7,)),
        ("months", lambda s: np.tile(np.arange(12.0), 6) * 9 + normal(72, s), (12,)),
        ("autoregression", lambda s: autoregression(0.5, 300, s), ()),
        ("slow mover", lambda s: np.random.default_rng(s).poisson(0.2, 300).astype(float), (7,)),
        ("heavy tails", lambda s: np.random.default_rng(s).standard_t(3, 300), ()),
    ],
)
def test_what_is_no_change_is_none(name: str, make: Any, seasons: tuple[int, ...]) -> None:
    found = [len(change_points.find(make(seed), seasons)) for seed in range(12)]
    assert sum(found) <= 1, (name, found)


def test_a_series_that_does_not_vary_has_no_change() -> None:
    for level in (0.0, 7.0, 1e12):
        assert change_points.find(np.full(40, level)) == []


def test_a_change_of_the_spread_is_one() -> None:
    hits = 0
    for seed in range(10):
        y = 50 + np.where(np.arange(300) < 150, 1, 3) * normal(300, seed)
        found = change_points.find(y)
        hits += any(c.kind == "spread" and abs(c.at - 150) <= 15 for c in found)
        for c in found:
            assert c.kind == "spread" and 1.5 < c.after / c.before < 6
    assert hits >= 9


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(TooFewObservations) as short:
        change_points.find(np.arange(11.0))
    assert short.value.hint
    for wrong in ({"least": 1}, {"penalty": 0.0}, {"penalty": float("nan")}):
        with pytest.raises(BadOptions):
            change_points.find(np.arange(20.0), **wrong)  # type: ignore[arg-type]


def test_a_cancel_stops_a_search() -> None:
    class Cancelled(Exception):
        pass

    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        change_points.find(normal(100), check=cancel)
    with pytest.raises(Cancelled):
        anomalies.decompose(normal(100), np.ones(100, bool), check=cancel)


# -------------------------------------------------------------------------------------- anomalies


def score(y: Any, seasons: tuple[int, ...] = ()) -> Any:
    return anomalies.decompose(y, np.ones(y.size, bool), seasons)


@pytest.mark.parametrize("seed", range(5))
def test_what_was_put_in_is_found_and_nothing_else(seed: int) -> None:
    y = weekly(seed=seed)
    y[200:] += 15
    course = y.copy()
    y[[0, 50, 100, 150, 364]] += [60, 60, -50, 50, -60]
    found = score(y, (7,))
    assert np.flatnonzero(np.abs(found.score) > 5).tolist() == [0, 50, 100, 150, 364]
    assert found.expected[[50, 100, 364]] == pytest.approx(course[[50, 100, 364]], rel=0.25)
    assert (np.sign(found.score[[50, 100]]) == [1, -1]).all()


@pytest.mark.parametrize(
    ("name", "make", "seasons"),
    [
        ("noise", lambda s: normal(300, s), ()),
        ("line", lambda s: 1000 + 5 * np.arange(300) + normal(300, s), ()),
        ("season", lambda s: weekly(seed=s), (7,)),
        ("random walk", lambda s: np.cumsum(normal(300, s)), ()),
        ("growing", lambda s: np.exp(4 + 0.01 * np.arange(300) + 0.2 * normal(300, s)), (7,)),
        ("sold each tenth day", lambda s: 9.0 * (np.random.default_rng(s).random(300) < 0.1), (7,)),
    ],
)
def test_noise_has_hardly_an_anomaly(name: str, make: Any, seasons: tuple[int, ...]) -> None:
    found = [int((np.abs(score(make(s), seasons).score) > 5).sum()) for s in range(10)]
    assert sum(found) <= 3, (name, found)


def test_a_gap_that_was_filled_is_no_evidence() -> None:
    y = weekly()
    y[[50, 60]] += 90
    seen = np.ones(y.size, bool)
    seen[50] = False
    found = anomalies.decompose(y, seen, (7,)).score
    assert found[50] == 0 and found[60] > 5


def test_scores_have_no_unit_and_are_finite() -> None:
    y = weekly()
    y[50] += 90
    for unit in (1e-9, 1e9):
        assert score(y * unit, (7,)).score == pytest.approx(score(y, (7,)).score, rel=1e-6)
    constant = np.full(40, 7.0)
    assert not score(constant).score.any()
    constant[30] = 8
    found = score(constant)
    assert np.flatnonzero(np.abs(found.score) > 5).tolist() == [30]
    assert found.expected[30] == pytest.approx(7)
    with pytest.raises(TooFewObservations):
        score(np.arange(11.0))


def test_the_running_median_goes_on_with_its_slope_at_the_ends() -> None:
    line = 3.0 * np.arange(50)
    assert robust.running_median(line, 11) == pytest.approx(line)
    assert robust.running_median(line, 31) == pytest.approx(line)
    bent = line.copy()
    bent[20] = 1e9
    assert robust.running_median(bent, 7)[20] < 100
    assert robust.running_median(np.array([1.0, 5.0]), 7).tolist() == [3, 3]
    assert robust.season(np.tile([1.0, 2, 6], 10), 3)[:3] == pytest.approx([-2, -1, 3])
