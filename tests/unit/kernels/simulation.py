"""Made-up stock with known curves: terms and shortages for tests and for measuring speed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def simulate_type(
    n_items: int,
    n_periods: int,
    *,
    a: float = 0.14,
    b: float = 0.06,
    c: float = 0.0,
    spread: float = 0.1,
    noise: float = 0.01,
    resolution: float = 0.002,
    receipts: int = 2,
    issues: int = 5,
    theft: float = 0.0,
    seed: int = 1,
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Simulate one product type; return the arguments of `shrinkage.fit_type` and the true levels.

    Weekly counts. Each period has one opening term, `receipts` at age 0 and `issues` negative ones.
    Shortages follow the exact formula with product effects of relative size `spread`, relative
    noise, and counts read to `resolution` kg (an error that neighbours share). `theft` is the share
    of periods in which a third of the opening mass vanishes.
    """
    rng = np.random.default_rng(seed)
    n = n_items * n_periods
    width = 1 + receipts + issues
    level = a * np.exp(spread * rng.standard_normal(n_items))
    opening = rng.uniform(5, 40, n)
    old = rng.uniform(0, 20, n)
    mass = np.empty((n, width))
    start = np.empty((n, width))
    end = np.empty((n, width))
    mass[:, 0], start[:, 0], end[:, 0] = opening, old, old + 7
    day = rng.uniform(0, 6.5, (n, receipts))
    mass[:, 1 : 1 + receipts] = rng.uniform(1, 10, (n, receipts))
    start[:, 1 : 1 + receipts], end[:, 1 : 1 + receipts] = 0.0, 7 - day
    day = rng.uniform(0, 7, (n, issues))
    mass[:, 1 + receipts :] = -opening[:, None] * rng.uniform(0, 0.8 / issues, (n, issues))
    start[:, 1 + receipts :] = old[:, None] + day
    end[:, 1 + receipts :] = old[:, None] + 7
    at = level.repeat(n_periods)[:, None]
    ratio = c / a

    def loss(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(at * (-np.expm1(-b * t) + ratio * t))

    exact = np.sum(mass * (1 - (1 - loss(end)) / (1 - loss(start))), axis=1)
    shortage = exact * (1 + noise * rng.standard_normal(n))
    shortage += np.where(rng.random(n) < theft, opening / 3, 0.0)
    if resolution:
        reading = resolution * (rng.random((n_items, n_periods + 1)) - 0.5)
        shortage += np.diff(reading, axis=1).ravel()
    return {
        "item": np.repeat(np.arange(n_items), n_periods),
        "shortage": shortage,
        "kg_days": 7 * np.maximum(opening + mass[:, 1:].sum(axis=1) / 2, 0.1),
        "weight": np.ones(n),
        "sigma_count": np.full(n, max(resolution, 1e-4) / 6**0.5),
        "term_offset": np.arange(0, n * width + 1, width),
        "term_mass": mass.ravel(),
        "term_age_from": start.ravel(),
        "term_age_to": end.ravel(),
    }, level
