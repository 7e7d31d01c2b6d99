"""Tail probabilities with numpy alone, and what many tests at once may claim."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "beta_cdf",
    "f_tail",
    "false_discovery_rates",
    "kendall_tail",
    "kolmogorov_tail",
    "normal_tail",
    "t_tail",
]

Floats = NDArray[np.float64]

_TINY = 1e-300
_STEPS = 500


def beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Floats:
    """Regularised incomplete beta function I_x(a, b), elementwise with broadcasting.

    Parameters
    ----------
    x : array_like of float
        In [0, 1].
    a, b : array_like of float
        More than 0.

    Returns
    -------
    ndarray of float
        In [0, 1]; NaN where an argument is NaN. Within 1e-12 of the true value for a, b up to 1e4.

    References
    ----------
    DLMF 8.17.22: continued fraction, summed by Lentz's method as modified by Thompson and Barnett
    (Press et al. (2007), Numerical Recipes, 5.2 and 6.4).
    """
    x, a, b = np.broadcast_arrays(
        np.asarray(x, dtype=float), np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    )
    # The fraction converges fast below the mean; above it the other tail is computed.
    flip = x > (a + 1.0) / (a + b + 2.0)
    near = np.where(flip, 1.0 - x, x)
    p, q = np.where(flip, b, a), np.where(flip, a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_front = (
            _log_gamma(p + q)
            - _log_gamma(p)
            - _log_gamma(q)
            + p * np.log(near)
            + q * np.log1p(-near)
        )
        value = np.exp(log_front) * _fraction(near, p, q) / p
    value = np.where(near <= 0.0, 0.0, value)
    result = np.clip(np.where(flip, 1.0 - value, value), 0.0, 1.0)
    return np.asarray(np.where(np.isnan(x) | np.isnan(a) | np.isnan(b), np.nan, result))


def _fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    def away_from_zero(value: Floats) -> Floats:
        return np.where(np.abs(value) < _TINY, _TINY, value)

    c = np.ones_like(x)
    d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    total = d.copy()
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for step in (even, odd):
            d = 1.0 / away_from_zero(1.0 + step * d)
            c = away_from_zero(1.0 + step / c)
            total = total * c * d
        if bool(np.all((np.abs(c * d - 1.0) < 1e-15) | ~np.isfinite(total))):
            break
    return total


def _log_gamma(x: Floats) -> Floats:
    return np.array([math.lgamma(v) for v in x.ravel()]).reshape(x.shape)


def f_tail(f: ArrayLike, numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """P(F > f) of an F distribution with these degrees of freedom."""
    f = np.maximum(np.asarray(f, dtype=float), 0.0)
    d1, d2 = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    # As the lower tail of the other variable: no cancellation where p is small.
    with np.errstate(over="ignore"):
        x = np.where(np.isinf(f), 0.0, d2 / (d2 + d1 * np.where(np.isinf(f), 0.0, f)))
    return beta_cdf(x, d2 / 2.0, d1 / 2.0)


def t_tail(t: ArrayLike, freedom: ArrayLike) -> Floats:
    """P(|T| > |t|) of Student's t: both tails."""
    return f_tail(np.square(np.asarray(t, dtype=float)), 1.0, freedom)


def normal_tail(z: ArrayLike) -> Floats:
    """P(|Z| > |z|) of a standard normal: both tails."""
    z = np.asarray(z, dtype=float)
    return np.array([math.erfc(abs(v) / math.sqrt(2.0)) for v in z.ravel()]).reshape(z.shape)


def kolmogorov_tail(x: ArrayLike) -> Floats:
    """P(sup |B(t)| > x) of a Brownian bridge B on [0, 1]: the limit of a CUSUM without a shift."""
    x = np.asarray(x, dtype=float)
    k = np.arange(1, 101).reshape(-1, *[1] * x.ndim)
    # The alternating sum needs too many terms below 0.2, where the tail is 1 to 12 digits.
    total = np.sum(2.0 * (-1.0) ** (k - 1) * np.exp(-2.0 * np.square(k * x)), axis=0)
    return np.asarray(np.where(x < 0.2, 1.0, np.clip(total, 0.0, 1.0)))


def kendall_tail(s: ArrayLike, n: int) -> Floats:
    """P(|S| >= |s|) of Kendall's S of n values in random order without ties: exact.

    Parameters
    ----------
    s : array_like of int
        Pairs in order less pairs out of order.
    n : int
        At most 30: the counts stay exact in floating point far beyond what is asked.

    References
    ----------
    Kendall (1975), Rank Correlation Methods, 5.5; the number of permutations by inversions.
    """
    counts = np.ones(1)
    for size in range(2, n + 1):
        counts = np.convolve(counts, np.ones(size)) / size
    scores = n * (n - 1) // 2 - 2 * np.arange(counts.size)
    size_of_s = np.abs(np.asarray(s, dtype=float))
    tails = np.array([float(counts[np.abs(scores) >= v].sum()) for v in size_of_s.ravel()])
    return np.asarray(np.minimum(tails, 1.0).reshape(size_of_s.shape))


def false_discovery_rates(p: ArrayLike) -> Floats:
    """Adjust p values of tests made at once: claim those up to q, and about a share q is wrong.

    Parameters
    ----------
    p : array_like of float, shape (n,)

    Returns
    -------
    ndarray of float, shape (n,)

    References
    ----------
    Benjamini, Hochberg (1995), J. R. Stat. Soc. B 57, 289-300.
    """
    p = np.asarray(p, dtype=float).ravel()
    if p.size == 0:
        return p
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.minimum.accumulate(scaled[::-1])[::-1]
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1.0)
    return result
