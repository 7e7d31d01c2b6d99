"""Tail probabilities beside scipy and published values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from weighhouse import distributions


def test_incomplete_beta_is_that_of_scipy() -> None:
    grid = [0.01, 0.5, 1.0, 2.5, 11.0, 60.0, 1500.0]
    x = [0.0, 1e-9, 0.03, 0.2, 0.5, 0.77, 0.999, 1.0]
    a, b, at = (np.array(v) for v in zip(*itertools.product(grid, grid, x), strict=True))
    assert distributions.beta_cdf(at, a, b) == pytest.approx(
        special.betainc(a, b, at), rel=1e-9, abs=1e-13
    )
    assert np.isnan(distributions.beta_cdf([math.nan, 0.5], 1.0, [1.0, math.nan])).all()


@pytest.mark.parametrize(
    ("f", "d1", "d2", "p"),
    # Critical values as printed in NIST/SEMATECH e-Handbook 1.3.6.7.3.
    [(4.965, 1, 10, 0.05), (3.326, 5, 10, 0.05), (2.348, 10, 20, 0.05), (10.044, 1, 10, 0.01)],
)  # fmt: skip
def test_f_tail_is_that_of_the_tables(f: float, d1: int, d2: int, p: float) -> None:
    assert float(distributions.f_tail(f, d1, d2)) == pytest.approx(p, abs=2e-5)


def test_f_and_t_tails_keep_their_digits_far_out() -> None:
    f = np.array([0.0, 0.3, 2.0, 40.0, 1e4, math.inf])
    assert distributions.f_tail(f, 11, 30) == pytest.approx(stats.f.sf(f, 11, 30), rel=1e-9)
    t = np.array([-1.0, 0.0, 2.5, 30.0, math.inf])
    assert distributions.t_tail(t, 12) == pytest.approx(2 * stats.t.sf(np.abs(t), 12), rel=1e-9)


def test_normal_and_kolmogorov_tails() -> None:
    z = np.array([0.0, -1.96, 5.0])
    assert distributions.normal_tail(z) == pytest.approx(2 * stats.norm.sf(np.abs(z)), rel=1e-12)
    x = np.array([0.0, 0.1, 0.21, 0.6, 1.36, 4.0])
    assert distributions.kolmogorov_tail(x) == pytest.approx(special.kolmogorov(x), rel=1e-9)


@pytest.mark.parametrize("n", [3, 6, 9])
def test_kendall_tail_is_exact(n: int) -> None:
    """Counted over all orders of so many values."""
    if n <= 6:
        scores = [
            sum(np.sign(b - a) for a, b in itertools.combinations(order, 2))
            for order in itertools.permutations(range(n))
        ]
        for s in range(0, n * (n - 1) // 2 + 1):
            share = sum(abs(score) >= s for score in scores) / len(scores)
            assert float(distributions.kendall_tail(s, n)) == pytest.approx(share, abs=1e-12)
    order = np.random.default_rng(n).permutation(n)
    s = sum(np.sign(b - a) for a, b in itertools.combinations(order.tolist(), 2))
    reference = stats.kendalltau(np.arange(n), order, method="exact").pvalue
    assert float(distributions.kendall_tail(-s, n)) == pytest.approx(reference, rel=1e-9)


def test_false_discovery_rates_of_the_paper() -> None:
    """Benjamini, Hochberg (1995), section 2: at 5 % the first four of fifteen hypotheses go."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    mixed = np.random.default_rng(1).permutation(15)
    q = distributions.false_discovery_rates(np.array(p)[mixed])
    assert set(np.array(p)[mixed][q <= 0.05]) == set(p[:4])
    assert q == pytest.approx(stats.false_discovery_control(np.array(p)[mixed]), rel=1e-12)
    assert distributions.false_discovery_rates([]).size == 0
