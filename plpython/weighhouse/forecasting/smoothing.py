"""Linear exponential smoothing with two states, filtered for many series and many weights at once.

Every model without a season that this package smooths with is one linear innovations model

    y_t = w x_{t-1} + e_t,    x_t = F x_{t-1} + g e_t,    x = (level, second state),

so its one-step errors are linear in the initial states: for given weights the best initial states
are a least-squares answer of two unknowns, and only the weights are searched, on a grid which is
then refined around its best point. A search is one pass through time with arrays of series x
weights; everything is elementwise, so that a series' numbers are the same alone and in a batch.

References
----------
Hyndman, Koehler, Ord, Snyder (2008), Forecasting with Exponential Smoothing, ch. 3.
Svetunkov, Kourentzes, Ord (2022), Complex exponential smoothing, Naval Research Logistics 69.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from weighhouse.forecasting.contract import Floats

__all__ = [
    "FAMILIES",
    "Smoothed",
    "by_length",
    "continue_filter",
    "fit_families",
    "in_chunks",
    "matrices",
    "project",
]

# As many numbers as an array of a pass may have: stays in the processor's cache.
LANES = 60_000
# Steps of the refinement around the best point of the grid.
ROUNDS = 2
# Initial states are drawn to the start of the series by this much of an observation: keeps the
# least squares solvable when weights of nearly one leave the initial states without effect.
RIDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A series smoothed with the best weights of a family.

    Attributes
    ----------
    family : str
    weights : tuple of float
        "simple": (alpha,); "drift": (alpha,); "holt": (alpha, beta); "damped": (alpha, beta, phi);
        "complex": (a0, a1), of the complex smoothing parameter a0 + i a1.
    start, state : tuple of float
        The two states before the first and after the last observation.
    loss : float
        Sum of squares of the one-step errors.
    """

    family: str
    weights: tuple[float, ...]
    start: tuple[float, float]
    state: tuple[float, float]
    loss: float


# ------------------------------------------------------------------------------------- the families
#
# A family maps its own weights to F (row by row), g and w; the coordinates of a search, each within
# [0, 1], to its weights; and gives the grid of a search, coordinate by coordinate.

System = tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class _Family:
    weights: Callable[[Sequence[Floats]], tuple[Floats, ...]]
    system: Callable[[Sequence[Floats]], System]
    grid: tuple[tuple[float, ...], ...]
    second: bool
    """Whether the second initial state is free (else it is zero)."""


def _simple_system(weights: Sequence[Floats]) -> System:
    (alpha,) = weights
    one, zero = np.ones_like(alpha), np.zeros_like(alpha)
    return one, zero, zero, zero, alpha, zero, one, zero


def _drift_system(weights: Sequence[Floats]) -> System:
    (alpha,) = weights
    one, zero = np.ones_like(alpha), np.zeros_like(alpha)
    return one, one, zero, one, alpha, zero, one, one


def _holt_system(weights: Sequence[Floats]) -> System:
    alpha, beta = weights
    one, zero = np.ones_like(alpha), np.zeros_like(alpha)
    return one, one, zero, one, alpha, beta, one, one


def _damped_system(weights: Sequence[Floats]) -> System:
    alpha, beta, phi = weights
    one, zero = np.ones_like(alpha), np.zeros_like(alpha)
    return one, phi, zero, phi, alpha, beta, one, phi


def _complex_system(weights: Sequence[Floats]) -> System:
    real, imaginary = weights
    one, zero = np.ones_like(real), np.zeros_like(real)
    first, second = real - imaginary, real + imaginary
    return one, imaginary - 1.0, one, 1.0 - real, first, second, one, zero


def _stable(real: Floats, imaginary: Floats) -> tuple[Floats, Floats]:
    """Replace weights outside the region of stability by a point well inside."""
    # Both roots of F - g w within the unit circle (Svetunkov et al. 2022, section 3.3).
    trace = 2.0 - 2.0 * real + imaginary
    determinant = 2.0 - 3.0 * real + real * real - imaginary + imaginary * imaginary
    inside = (np.abs(trace) < 1.0 + determinant) & (determinant < 1.0)
    return np.where(inside, real, 1.3), np.where(inside, imaginary, 1.0)


def _alpha(x: Floats) -> Floats:
    # Finer near zero, where smoothing changes fastest with the weight.
    return np.asarray(0.001 + 0.998 * x * x)


def _beta(alpha: Floats, x: Floats) -> Floats:
    return np.asarray(alpha * x * x)


def _phi(x: Floats) -> Floats:
    return np.asarray(0.8 + 0.18 * x)


def _steps(count: int) -> tuple[float, ...]:
    return tuple(float(x) for x in np.linspace(0.0, 1.0, count))


FAMILIES: dict[str, _Family] = {
    "simple": _Family(lambda x: (_alpha(x[0]),), _simple_system, (_steps(17),), False),
    "drift": _Family(lambda x: (_alpha(x[0]),), _drift_system, (_steps(17),), True),
    "holt": _Family(
        lambda x: (_alpha(x[0]), _beta(_alpha(x[0]), x[1])),
        _holt_system,
        (_steps(9), _steps(7)),
        True,
    ),
    "damped": _Family(
        lambda x: (_alpha(x[0]), _beta(_alpha(x[0]), x[1]), _phi(x[2])),
        _damped_system,
        (_steps(7), _steps(6), _steps(4)),
        True,
    ),
    # The region of stability lies around a1 = 1, 1 < a0 < 2.
    "complex": _Family(
        lambda x: _stable(0.5 + 1.5 * x[0], 0.7 + 0.6 * x[1]),
        _complex_system,
        (_steps(11), _steps(9)),
        True,
    ),
}


def matrices(family: str, weights: Sequence[float]) -> tuple[float, ...]:
    """Give F (row by row), g and w of a family as eight numbers."""
    system = FAMILIES[family].system([np.asarray(x, dtype=float) for x in weights])
    return tuple(float(x) for x in system)


# ------------------------------------------------------------------------------------------- a pass


def by_length(batch: Sequence[Floats]) -> tuple[list[int], Floats, list[int]]:
    """Line up series from the longest: order, values (time, series), series alive at each time."""
    order = sorted(range(len(batch)), key=lambda i: -len(batch[i]))
    longest = len(batch[order[0]])
    values = np.zeros((longest, len(batch)))
    alive = np.zeros(longest + 1, dtype=int)
    for column, i in enumerate(order):
        values[: len(batch[i]), column] = batch[i]
        alive[: len(batch[i])] += 1
    return order, values, [int(x) for x in alive]


def _pass(
    values: Floats, alive: Sequence[int], system: System, check: Callable[[], None]
) -> tuple[Floats, Floats, Floats]:
    """Filter; give loss, best start (2), state at the end (2), each (series, weights).

    `system` is of shape (1, weights), the same for all series, or (series, weights). Errors are
    those of a zero start minus the response to the start: e = e0 - r1 x1 - r2 x2.
    """
    f11, f12, f21, f22, g1, g2, w1, w2 = system
    count, lanes = values.shape[1], f11.shape[1]
    shape, own = (count, lanes), f11.shape[0] > 1 or count == 1
    state1, state2 = np.zeros(shape), np.zeros(shape)
    loss, cross1, cross2 = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    # The responses: of the state (a11 .. a22) to a unit start, and their products over time.
    wide = shape if own else (1, lanes)
    a11, a12, a21, a22 = np.ones(wide), np.zeros(wide), np.zeros(wide), np.ones(wide)
    p11, p12, p22 = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    q11, q12, q22 = np.zeros((1, lanes)), np.zeros((1, lanes)), np.zeros((1, lanes))
    ends = np.zeros((4, *shape))
    d11, d12 = f11 - g1 * w1, f12 - g1 * w2
    d21, d22 = f21 - g2 * w1, f22 - g2 * w2
    total = values.shape[0]
    for t in range(total):
        if not t % 64:
            check()
        k, after = alive[t], alive[t + 1]
        row = slice(0, k if own else 1)
        x1, x2, y = state1[:k], state2[:k], values[t, :k, None]
        e = y - w1[row] * x1 - w2[row] * x2
        b11, b12, b21, b22 = a11[row], a12[row], a21[row], a22[row]
        r1 = w1[row] * b11 + w2[row] * b21
        r2 = w1[row] * b12 + w2[row] * b22
        loss[:k] += e * e
        cross1[:k] += r1 * e
        cross2[:k] += r2 * e
        if own:
            p11[:k] += r1 * r1
            p12[:k] += r1 * r2
            p22[:k] += r2 * r2
        else:
            q11 += r1 * r1
            q12 += r1 * r2
            q22 += r2 * r2
        new1 = f11[row] * x1 + f12[row] * x2 + g1[row] * e
        state2[:k] = f21[row] * x1 + f22[row] * x2 + g2[row] * e
        state1[:k] = new1
        c11 = d11[row] * b11 + d12[row] * b21
        c21 = d21[row] * b11 + d22[row] * b21
        c12 = d11[row] * b12 + d12[row] * b22
        c22 = d21[row] * b12 + d22[row] * b22
        a11[row], a12[row], a21[row], a22[row] = c11, c12, c21, c22
        if after < k:
            done = slice(after, k)
            if not own:
                p11[done], p12[done], p22[done] = q11, q12, q22
            near = done if own else slice(0, 1)
            ends[0, done], ends[1, done] = a11[near], a12[near]
            ends[2, done], ends[3, done] = a21[near], a22[near]
    return _solve(loss, (cross1, cross2), (p11, p12, p22), (state1, state2), ends)


def _solve(
    loss: Floats,
    crosses: tuple[Floats, Floats],
    products: tuple[Floats, Floats, Floats],
    states: tuple[Floats, Floats],
    ends: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Choose the starts that make the sums of squares least, and move the states by them."""
    cross1, cross2 = crosses
    p11, p12, p22 = products[0] + RIDGE, products[1], products[2] + RIDGE
    determinant = p11 * p22 - p12 * p12
    start1 = (cross1 * p22 - cross2 * p12) / determinant
    start2 = (cross2 * p11 - cross1 * p12) / determinant
    least = loss - start1 * cross1 - start2 * cross2
    starts = np.stack([start1, start2])
    final = np.stack(
        [
            states[0] + ends[0] * start1 + ends[1] * start2,
            states[1] + ends[2] * start1 + ends[3] * start2,
        ]
    )
    # The difference of two large sums is exact to some digits only.
    return np.maximum(least, 1e-15 * loss), starts, final


# ----------------------------------------------------------------------------------------- a search


def in_chunks(batch: Sequence[Floats], lanes: int) -> Iterator[list[int]]:
    """Split a batch into groups whose arrays stay small, series of like lengths together."""
    order = sorted(range(len(batch)), key=lambda i: -len(batch[i]))
    size = max(LANES // lanes, 1)
    for first in range(0, len(order), size):
        yield order[first : first + size]


def fit_families(
    batch: Sequence[Floats], families: Sequence[str], check: Callable[[], None]
) -> list[dict[str, Smoothed]]:
    """Smooth each series with the best weights of each family.

    Parameters
    ----------
    batch : sequence of ndarray, each of shape (n,), n >= 2
        All finite, of a size around one.
    families : sequence of str
        Names of `FAMILIES`.
    check : callable
        Called often.

    Returns
    -------
    list of dict
        For each series, family to `Smoothed`.
    """
    points = {name: _points(FAMILIES[name]) for name in families}
    lanes = sum(grid.shape[1] for grid in points.values())
    found: list[dict[str, Smoothed]] = [{} for _ in batch]
    for members in in_chunks(batch, lanes):
        for i, smoothed in zip(
            members, _search([batch[i] for i in members], points, check), strict=True
        ):
            found[i] = smoothed
    return found


def _points(family: _Family) -> Floats:
    """Give the grid of a family, (coordinates, points)."""
    axes = np.meshgrid(*[np.array(axis) for axis in family.grid], indexing="ij")
    return np.stack([axis.ravel() for axis in axes])


def _systems(points: dict[str, Floats]) -> System:
    """Put the systems of points (coordinates, series or 1, lanes) of families side by side."""
    parts = [
        FAMILIES[name].system(FAMILIES[name].weights(list(coordinates)))
        for name, coordinates in points.items()
    ]
    return tuple(np.concatenate([part[i] for part in parts], axis=1) for i in range(8))  # type: ignore[return-value]


def _search(
    batch: Sequence[Floats], points: dict[str, Floats], check: Callable[[], None]
) -> list[dict[str, Smoothed]]:
    order, values, alive = by_length(batch)
    count = len(batch)
    grids = {name: grid[:, None, :] for name, grid in points.items()}
    width = {
        name: np.array([1.0 / (len(axis) - 1) for axis in FAMILIES[name].grid]) for name in points
    }
    best: dict[str, Floats] = {}
    for step in range(ROUNDS + 1):
        loss, start, state = _pass(values, alive, _systems(grids), check)
        kept: dict[str, tuple[Floats, ...]] = {}
        first = 0
        for name, grid in grids.items():
            part = slice(first, first + grid.shape[2])
            first = part.stop
            at = np.argmin(loss[:, part], axis=1)
            rows = np.arange(count)
            near = rows if grid.shape[1] > 1 else np.zeros(count, dtype=int)
            best[name] = grid[:, near, at]
            kept[name] = (
                loss[rows, first - grid.shape[2] + at],
                start[:, rows, first - grid.shape[2] + at],
                state[:, rows, first - grid.shape[2] + at],
            )
        if step < ROUNDS:
            grids = {
                name: _around(best[name], width[name] * 0.5 ** (step + 1), len(width[name]))
                for name in points
            }
    found: list[dict[str, Smoothed]] = [{} for _ in batch]
    for name, (losses, starts, states) in kept.items():
        weights = FAMILIES[name].weights(list(best[name]))
        for column, i in enumerate(order):
            found[i][name] = Smoothed(
                name,
                tuple(float(weight[column]) for weight in weights),
                (float(starts[0, column]), float(starts[1, column])),
                (float(states[0, column]), float(states[1, column])),
                float(losses[column]),
            )
    return found


def _around(centre: Floats, width: Floats, dimensions: int) -> Floats:
    """Give the points one step around the best ones, (coordinates, series, points)."""
    offsets = np.stack(
        [x.ravel() for x in np.meshgrid(*[[-1.0, 0.0, 1.0]] * dimensions, indexing="ij")]
    )
    around = centre[:, :, None] + width[:, None, None] * offsets[:, None, :]
    return np.asarray(np.clip(around, 0.0, 1.0))


# ------------------------------------------------------------------------------------ one series


def continue_filter(
    family: str, weights: Sequence[float], state: Sequence[float], values: Floats
) -> tuple[tuple[float, float], Floats]:
    """Filter values through one system: state afterwards, one-step errors."""
    f11, f12, f21, f22, g1, g2, w1, w2 = matrices(family, weights)
    x1, x2 = float(state[0]), float(state[1])
    errors = np.empty(len(values))
    for t, y in enumerate(values.tolist()):
        e = y - w1 * x1 - w2 * x2
        errors[t] = e
        x1, x2 = f11 * x1 + f12 * x2 + g1 * e, f21 * x1 + f22 * x2 + g2 * e
    return (x1, x2), errors


def project(family: str, weights: Sequence[float], state: Sequence[float], horizon: int) -> Floats:
    """Give the expected values of the steps ahead, shape (horizon,)."""
    f11, f12, f21, f22, _, _, w1, w2 = matrices(family, weights)
    x1, x2 = float(state[0]), float(state[1])
    mean = np.empty(horizon)
    for t in range(horizon):
        mean[t] = w1 * x1 + w2 * x2
        x1, x2 = f11 * x1 + f12 * x2, f21 * x1 + f22 * x2
    return mean
