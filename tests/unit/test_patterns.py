"""Tests for patterns: against worked examples, scipy, and by what chance brings."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from tests.conftest import ROOT
from weighhouse import patterns
from weighhouse.errors import BadOptions

EXAMPLES = json.loads((ROOT / "tests/data/worked_examples.json").read_text("utf-8"))["examples"]
E26 = next(example for example in EXAMPLES if example["id"] == "E26")


# --------------------------------------------------------------------------------------- anomalies


def test_e26_modified_z() -> None:
    rates, expected = E26["inputs"]["rates"], E26["expected"]
    z = patterns.modified_z(rates)
    assert z == pytest.approx(expected["z"], abs=E26["tolerance_abs"])
    assert np.flatnonzero(np.abs(z) > E26["inputs"]["threshold"]).tolist() == expected["anomalies"]
    scores = patterns.group_scores(rates, [7] * len(rates))
    assert scores.z == pytest.approx(z)
    assert not scores.is_log.any()
    assert scores.median[0] == pytest.approx(expected["median"], abs=E26["tolerance_abs"])
    assert scores.spread[0] == pytest.approx(expected["mad"], abs=E26["tolerance_abs"])


def test_without_a_mad_the_mean_deviation_stands_in() -> None:
    # Median 1, MAD 0, mean absolute deviation 4 / 5: 4 / (1.2533 * 0.8) = 3.989.
    z = patterns.modified_z([1.0, 1.0, 1.0, 1.0, 5.0])
    assert z == pytest.approx([0, 0, 0, 0, 4 / (1.2533 * 0.8)])
    assert patterns.modified_z([2.0, 2.0, 2.0]).tolist() == [0, 0, 0]
    scores = patterns.group_scores([-1.0, -1.0, -1.0, -1.0, 3.0, 2.0, 2.0], [0] * 5 + [1] * 2)
    assert scores.z == pytest.approx([0, 0, 0, 0, 4 / (1.2533 * 0.8), 0, 0])


def test_groups_are_scored_each_for_itself_on_logarithms_where_they_can_be() -> None:
    rng = np.random.default_rng(3)
    group = rng.integers(0, 9, 200) * 5
    rate = rng.lognormal(size=200)
    rate[group == 10] -= 1.5
    scores = patterns.group_scores(rate, group)
    for code in np.unique(group):
        mine = group == code
        values = np.log(rate[mine]) if code != 10 else rate[mine]
        assert scores.z[mine] == pytest.approx(patterns.modified_z(values), abs=1e-12)
        assert (scores.is_log[mine] == (code != 10)).all()
        assert (scores.size[mine] == mine.sum()).all()
    assert patterns.group_scores([], []).z.size == 0
    with pytest.raises(BadOptions):
        patterns.group_scores([1.0], [1, 2])


def test_an_anomaly_far_out_is_stable_and_one_near_the_threshold_is_not() -> None:
    values = np.append(np.random.default_rng(5).normal(size=20), [200.0])
    middle = np.median(values)
    near = middle + 3.6 / 0.6745 * np.median(np.abs(values - middle))
    far, close = patterns.stability(np.append(values, near), [20, 21], 3.5)
    assert far == 1.0
    assert 0.2 < close < 0.9
    again = patterns.stability(np.append(values, near), [20, 21], 3.5)
    assert again.tolist() == [far, close]


# ------------------------------------------------------------------------------------------ trends


def test_mann_kendall_by_hand() -> None:
    """S = 5 * 4 / 2 = 10 rising; of 120 orders one rises and one falls: p = 2 / 120."""
    trend = patterns.find_trend([[1.0, 2, 3, 4, 5], [5, 4, 3, 2, 1], [2, 1, 4, 3, 5]])
    assert trend.s.tolist() == [10, -10, 6]
    assert trend.p[:2] == pytest.approx([2 / 120, 2 / 120])


def test_mann_kendall_with_ties_and_continuity() -> None:
    """Kendall's variance with groups of ties, S one nearer to zero: by hand for 12 values."""
    y = [1.0, 1, 2, 2, 2, 3, 5, 4, 6, 6, 7, 8]
    trend = patterns.find_trend([y, [3.0] * 12])
    s = sum(np.sign(b - a) for i, a in enumerate(y) for b in y[i + 1 :])
    variance = (12 * 11 * 29 - (2 * 1 * 9 + 3 * 2 * 11 + 2 * 1 * 9)) / 18
    assert trend.s[0] == s
    assert trend.p[0] == pytest.approx(2 * stats.norm.sf((s - 1) / math.sqrt(variance)))
    assert (trend.s[1], trend.p[1]) == (0, 1)
    # The same without continuity is Kendall's tau-b of scipy, which has no such correction.
    reference = stats.kendalltau(np.arange(12), y, method="asymptotic").pvalue
    assert 2 * stats.norm.sf(s / math.sqrt(variance)) == pytest.approx(reference)


def test_short_series_without_ties_are_exact() -> None:
    rng = np.random.default_rng(8)
    for n in (6, 10):
        y = rng.normal(size=(20, n))
        exact = [stats.kendalltau(np.arange(n), row, method="exact").pvalue for row in y]
        assert patterns.find_trend(y).p == pytest.approx(exact)


def test_few_series_without_a_trend_have_one() -> None:
    p = patterns.find_trend(np.random.default_rng(11).normal(size=(4000, 30))).p
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.012)


def test_theil_sen_is_that_of_scipy() -> None:
    rng = np.random.default_rng(2)
    x = np.cumsum(rng.uniform(1, 9, 25))
    y = 0.3 * x + rng.normal(size=25)
    y[3] = 500.0
    slope, intercept = patterns.theil_sen(x, y)
    assert slope == pytest.approx(stats.theilslopes(y, x).slope)
    assert slope == pytest.approx(0.3, abs=0.03)
    assert np.median(y - slope * x) == pytest.approx(intercept)


# ------------------------------------------------------------------------------------- seasonality


def test_month_effects_are_an_analysis_of_variance() -> None:
    """F of nested models, by numpy's least squares; without a trend close to a one-way ANOVA."""
    rng = np.random.default_rng(4)
    month = np.arange(5, 5 + 36)
    y = rng.normal(size=(3, 36)) + 3 * (month % 12 == 6)
    season = patterns.find_season(month, y)
    dummies = (month[:, None] % 12 == np.arange(12)).astype(float)
    time = month[:, None].astype(float)
    for i, row in enumerate(y):
        rest, simple = (
            float(np.linalg.lstsq(design, row, rcond=None)[1][0])
            for design in (np.hstack([dummies, time]), np.hstack([np.ones((36, 1)), time]))
        )
        f = (simple - rest) / 11 / (rest / 23)
        assert season.f[i] == pytest.approx(f)
        assert season.p[i] == pytest.approx(stats.f.sf(f, 11, 23))
        assert int(np.argmax(season.effect[i])) == 6
        assert season.effect[i].sum() == pytest.approx(0, abs=1e-9)
    assert season.freedom == (11, 23)


def test_a_trend_is_no_season_and_hides_none() -> None:
    month = np.arange(24)
    rng = np.random.default_rng(6)
    line = 10.0 * month + rng.normal(size=(500, 24))
    assert np.mean(patterns.find_season(month, line).p < 0.05) == pytest.approx(0.05, abs=0.03)
    seasonal = line[:1] + 5 * np.cos(2 * np.pi * month / 12)
    assert patterns.find_season(month, seasonal).p[0] < 1e-4


def test_a_series_that_does_not_vary_has_no_season() -> None:
    season = patterns.find_season(np.arange(30), [[0.1] * 30, [0.0] * 30])
    assert (season.p == 1).all()
    # One month of the year, or nothing left to test with.
    assert patterns.find_season([0, 12, 24, 36], [[1.0, 2, 3, 5]]).p[0] == 1


# ------------------------------------------------------------------------------------- correlation


def test_spearman_is_that_of_scipy() -> None:
    rng = np.random.default_rng(7)
    x = np.round(rng.normal(size=(6, 15)), 1)
    y = np.round(0.6 * x + rng.normal(size=(6, 15)), 1)
    rho, p = patterns.correlate(x, y)
    for i in range(6):
        reference = stats.spearmanr(x[i], y[i])
        assert rho[i] == pytest.approx(reference.statistic)
        assert p[i] == pytest.approx(reference.pvalue, rel=1e-8)
    assert patterns.ranks(x)[0] == pytest.approx(stats.rankdata(x[0]))


def test_a_perfect_order_is_not_certain() -> None:
    rho, p = patterns.correlate([[1.0, 2, 3, 4, 5]] * 2, [[5.0, 4, 3, 2, 1], [1, 1, 1, 1, 1]])
    assert (rho[0], p[0]) == (-1, pytest.approx(2 / 120))
    assert np.isnan(rho[1]) and p[1] == 1
    with pytest.raises(BadOptions):
        patterns.correlate([[1.0, 2, 3]], [[1.0, 2, 3]])


# ------------------------------------------------------------------------------------ level shifts


def test_a_shift_is_found_where_it_is() -> None:
    z = np.random.default_rng(9).normal(size=30)
    z[18:] += 6
    shift = patterns.find_shift([z])
    assert shift.at[0] == 18
    assert shift.p[0] < 1e-4
    assert patterns.shift_confidence(z) > 0.99
    assert patterns.shift_confidence(z) == patterns.shift_confidence(z)


def test_cusum_by_hand() -> None:
    """Mean 1, sums -1, -2, -1: the largest |sum| 2 over root 4 and a noise of at least 1."""
    shift = patterns.find_shift([[0.0, 0, 2, 2]])
    assert (shift.at[0], shift.statistic[0]) == (2, pytest.approx(1.0))
    assert shift.p[0] == pytest.approx(stats.kstwobign.sf(1.0))


@pytest.mark.parametrize("n", [8, 12, 52])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_few_series_without_a_shift_have_one(n: int, scale: float) -> None:
    """Also where the noise is not what the model says."""
    p = patterns.find_shift(scale * np.random.default_rng(n).normal(size=(3000, n))).p
    assert np.mean(p < 0.05) < 0.075
    assert np.mean(p < 0.001) < 0.01


def test_noise_alone_gives_no_confidence() -> None:
    z = np.random.default_rng(1).normal(size=(60, 20))
    assert np.mean([patterns.shift_confidence(row, 199) > 0.95 for row in z]) < 0.2


# ------------------------------------------------------------------------------------------- pairs

OPTIONS = {"tolerance": 0.005, "similarity": 0.2, "cv": 0.25, "confidence": 0.4}


def test_a_pair_of_one_count_is_found() -> None:
    """Salmon over by 0.826 kg, another short by 0.81 beside its drying; a third one only dries."""
    pairs = patterns.find_pairs(
        [1, 1, 1, 2], [5, 5, 5, 5], [-0.826, 0.91, 0.1, 0.826], [0.02, 0.1, 0.1, 0.1],
        [0.001] * 4, **OPTIONS,
    )  # fmt: skip
    assert (pairs.short.tolist(), pairs.over.tolist()) == ([1], [0])
    assert pairs.confidence[0] == pytest.approx(1 - 1 / 3)


def test_other_sizes_other_counts_and_what_drying_explains_make_no_pair() -> None:
    count, kind, sigma = [1, 1], [5, 5], [0.001] * 2
    cases: list[tuple[list[int], list[float], list[float]]] = [
        (count, [-0.8, 0.5], [0.0, 0.0]),
        ([1, 2], [-0.8, 0.8], [0.0, 0.0]),
        (count, [-0.8, 0.8], [0.0, 0.7]),
        (count, [0.8, 0.8], [0.0, 0.0]),
        (count, [-0.004, 0.004], [0.0, 0.0]),
        # A surplus by the curve only: nothing was found too much.
        (count, [0.1, 1.8], [0.9, 1.0]),
        # A small surplus of one that should have lost much.
        (count, [-0.06, 0.9], [0.5, 0.34]),
    ]
    for counts, loss, expected in cases:
        assert not patterns.find_pairs(counts, kind, loss, expected, sigma, **OPTIONS).short.size
    without_curve = patterns.find_pairs(count, kind, [-0.8, 0.8], [math.nan] * 2, sigma, **OPTIONS)
    assert without_curve.short.tolist() == [1]


def test_each_takes_the_closest_and_a_common_size_says_nothing() -> None:
    # Shortages of other sizes in other counts: sizes alike are rare.
    others = [0.2, 0.3, 0.4, 0.5, 0.6, 2.0, 3.0, 4.0, 5.0]
    n = len(others)
    pairs = patterns.find_pairs(
        [1] * 4 + [2] * n, [5] * (4 + n), [-1.0, 1.04, 1.15, -1.1, *others], [0.0] * (4 + n),
        [0.001] * (4 + n), **OPTIONS,
    )  # fmt: skip
    assert set(zip(pairs.short.tolist(), pairs.over.tolist(), strict=True)) == {(1, 0), (2, 3)}
    many = np.arange(60)
    common = patterns.find_pairs(
        np.append(many // 6, 3), [5] * 61, np.append(1 + many % 7 / 1000, -1.003), [0.0] * 61,
        [0.001] * 61, **OPTIONS,
    )  # fmt: skip
    assert common.short.size == 0
