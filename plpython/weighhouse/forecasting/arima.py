"""ARIMA with automatic orders: seasonal (p,d,q)(P,D,Q)[m] for the shortest season of a series.

How many differences is decided by tests, the other orders by AICc over a bounded set. All orders of
all series of a batch are estimated side by side, as columns of one array: first by least squares on
lags and residuals of a long autoregression, then by conditional least squares; the best few of a
short series by exact maximum likelihood.

References
----------
Box, Jenkins, Reinsel (2008), Time Series Analysis, 4th edition, ch. 4, 5, 7 and 9.
Hannan, Rissanen (1982), Recursive estimation of mixed autoregressive-moving average order.
Hyndman, Khandakar (2008), Automatic time series forecasting, J. Statistical Software 27(3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse.errors import BadOptions, BadRow, TooFewObservations, WeighhouseError
from weighhouse.forecasting.contract import Fit, Floats, Forecast, Parameters, Result, Series

__all__ = [
    "CAN_UPDATE",
    "FORMAT",
    "MINIMUM",
    "NAME",
    "check_options",
    "fit",
    "forecast",
    "update",
]

NAME = "arima"
FORMAT = 1
MINIMUM = 6
CAN_UPDATE = True

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Check = Callable[[], None]

# What an order may be at most, whatever the options say: the work grows with the squares.
LIMITS = {"p": 5, "d": 2, "q": 5, "P": 2, "D": 1, "Q": 2}
DEFAULTS: dict[str, Any] = {
    "p": None,
    "d": None,
    "q": None,
    "P": None,
    "D": None,
    "Q": None,
    "max_p": 3,
    "max_d": 2,
    "max_q": 3,
    "max_P": 1,
    "max_D": 1,
    "max_Q": 1,
    "seasonal": True,
}
# Of p + q + P + Q, as far as they are chosen, not asked for.
MAX_ORDER = 4
# Observations for each coefficient of such a model.
PER_PARAMETER = 3
# Roots keep this distance (per step) from the unit circle: a model on it is a difference too few or
# too many, and forecasts from it are worse than those of its neighbours (Hyndman, Khandakar 3.2).
RADIUS = 1 / 1.01
# Longer series are fitted on their end only.
LONGEST = 2000
# Up to here the exact likelihood is worth its cubic price; beyond, presample values hardly matter.
EXACT = 200
# Of the KPSS statistic: 5 % for a first difference, 1 % for a second. What a second one prolongs is
# a slope seen once; on hold-outs cut from the training part of mcomp fewer of them forecast better.
KPSS_CRITICAL = (0.463, 0.739)
# Of the strength of the season, as in R's `nsdiffs`.
STRENGTH_CRITICAL = 0.64


def check_options(options: Mapping[str, Any], /) -> dict[str, Any]:
    """Complete the options with their defaults.

    Parameters
    ----------
    options : mapping
        `p`, `d`, `q`, `P`, `D`, `Q`: the order, or None to choose it; `max_p` ... `max_Q`: the
        largest to choose; `seasonal`: whether seasonal terms are considered.

    Raises
    ------
    BadOptions
        An unknown name, or a value out of range.
    """
    unknown = [name for name in options if name not in DEFAULTS]
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of {NAME}", hint=f"Known are {', '.join(DEFAULTS)}."
        )
    complete = {**DEFAULTS, **options}
    if not isinstance(complete["seasonal"], bool):
        raise BadOptions("seasonal is not true or false", hint="Give true or false.")
    for name, limit in LIMITS.items():
        for option, may_be_none in ((name, True), (f"max_{name}", False)):
            value = complete[option]
            if value is None and may_be_none:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
                raise BadOptions(
                    f"{option} is not a whole number from 0 to {limit}",
                    hint=f"Give {option} from 0 to {limit}"
                    + (", or null to have it chosen." if may_be_none else "."),
                )
    if not complete["seasonal"] and any(complete[name] for name in "PDQ"):
        raise BadOptions(
            "seasonal orders without a season", hint="Set seasonal to true, or P, D and Q to null."
        )
    return complete


# --- Differences ----------------------------------------------------------------------------------


def _kpss(x: Floats) -> float:
    """Statistic of Kwiatkowski, Phillips, Schmidt, Shin (1992), level stationarity, their eq. 13.

    With Bartlett weights over 3 sqrt(n) / 13 lags, as in R's urca ("short").
    """
    n = x.size
    e = x - x.mean()
    lags = int(3 * math.sqrt(n) / 13)
    spread = float(e @ e)
    for lag in range(1, lags + 1):
        spread += 2 * (1 - lag / (lags + 1)) * float(e[lag:] @ e[:-lag])
    partial = np.cumsum(e)
    if spread <= 0:
        return 0.0
    return float(partial @ partial) / (n * spread)


def _seasonal_strength(y: Floats, m: int) -> float:
    """Share of the detrended variance that a season explains, 0 to 1.

    Wang, Smith, Hyndman (2006), Characteristic-based clustering, with a classical decomposition:
    trend by a centred moving average, season by averages of a phase over neighbouring cycles.
    """
    weights = np.full(m, 1.0 / m) if m % 2 else np.r_[0.5, np.ones(m - 1), 0.5] / m
    detrended = y[m // 2 : y.size - m // 2] - np.convolve(y, weights, mode="valid")
    cycles = -(-detrended.size // m)
    table = np.zeros((cycles, m))
    table.ravel()[: detrended.size] = detrended
    there = np.zeros((cycles, m))
    there.ravel()[: detrended.size] = 1.0
    # Neighbouring cycles: the season may change slowly, as in STL with a window of 11.
    distance = np.abs(np.subtract.outer(np.arange(cycles), np.arange(cycles)))
    kernel = np.clip(1 - (distance / 6.0) ** 3, 0, None) ** 3
    season = (kernel @ table) / (kernel @ there)
    season -= season.mean(axis=1, keepdims=True)
    rest = (table - season).ravel()[: detrended.size]
    both = float(np.var(detrended))
    return max(0.0, 1 - float(np.var(rest)) / both) if both > 0 else 0.0


def _is_constant(x: Floats, size: float) -> bool:
    """Whether what varies is rounding only; `size` is the largest absolute observation."""
    return bool(np.ptp(x) <= 64 * np.finfo(float).eps * size)


def _differences(y: Floats, m: int, options: Mapping[str, Any]) -> tuple[int, int]:
    """Choose d and D: D by the strength of the season, then d by KPSS tests."""
    size = float(np.max(np.abs(y)))
    seasonal = options["D"]
    if m == 1:
        seasonal = 0
    elif seasonal is None:
        strong = options["max_D"] > 0 and _seasonal_strength(y, m) > STRENGTH_CRITICAL
        seasonal = int(strong and y.size >= 2 * m + MINIMUM)
    x = y[m:] - y[:-m] if seasonal else y
    if options["d"] is not None:
        return int(options["d"]), int(seasonal)
    d = 0
    while (
        d < options["max_d"]
        and x.size > MINIMUM
        and not _is_constant(x, size)
        and _kpss(x) > KPSS_CRITICAL[d]
    ):
        x = np.diff(x)
        d += 1
    return d, int(seasonal)


# --- Arrays of candidates -------------------------------------------------------------------------


@dataclass(slots=True)
class _Task:
    """One series on its way.

    Attributes
    ----------
    index : int
        Place in the batch.
    y : ndarray, shape (n,)
        Observations over `unit`.
    unit, scale : float
        A power of two near the largest observation; standard deviation of w, in `unit`.
    m, d, D : int
    w : ndarray, shape (n_w,)
        Differenced, over `scale`.
    note : str or None
    """

    index: int
    y: Floats
    unit: float
    scale: float
    m: int
    d: int
    D: int
    w: Floats
    note: str | None


@dataclass(slots=True)
class _Rows:
    """Candidates side by side: an order and its coefficients for a series, one a column.

    Attributes
    ----------
    base : ndarray of int, shape (rows,)
        The series.
    orders : ndarray of int, shape (4, rows)
        p, P, q, Q.
    mean : ndarray of bool, shape (rows,)
        Whether w has a mean that is estimated.
    coefficients : ndarray, shape (k, rows)
        AR, seasonal AR, MA, seasonal MA; zero beyond the order.
    free : ndarray of bool, shape (k, rows)
    """

    base: Integers
    orders: Integers
    mean: Flags
    coefficients: Floats
    free: Flags

    def take(self, chosen: Integers | Flags) -> _Rows:
        return _Rows(
            self.base[chosen],
            self.orders[:, chosen],
            self.mean[chosen],
            self.coefficients[:, chosen],
            self.free[:, chosen],
        )


@dataclass(frozen=True, slots=True)
class _Shape:
    """Largest orders p, P, q, Q in a set of candidates, and the season: where coefficients are."""

    p: int
    P: int
    q: int
    Q: int
    m: int

    @property
    def count(self) -> int:
        return self.p + self.P + self.q + self.Q

    @property
    def bounds(self) -> tuple[int, int, int, int, int]:
        a = self.p + self.P
        return 0, self.p, a, a + self.q, self.count

    def split(self, coefficients: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        i = self.bounds
        return (
            coefficients[i[0] : i[1]],
            coefficients[i[1] : i[2]],
            coefficients[i[2] : i[3]],
            coefficients[i[3] : i[4]],
        )

    def lags(self) -> list[int]:
        """Lag of each coefficient."""
        return [
            *range(1, self.p + 1),
            *(self.m * j for j in range(1, self.P + 1)),
            *range(1, self.q + 1),
            *(self.m * j for j in range(1, self.Q + 1)),
        ]


def _multiply(x: Floats, coefficients: Floats, lag: int) -> Floats:
    """Apply 1 + sum of c_j L^(j lag) to columns; what is before the first row is zero."""
    result = x.copy()
    for j, c in enumerate(coefficients, start=1):
        shift = j * lag
        if shift < len(x):
            result[shift:] += c * x[:-shift]
    return result


def _divide(x: Floats, coefficients: Floats, lag: int, check: Check) -> Floats:
    """Undo `_multiply`: e_t = x_t - sum of c_j e_(t - j lag)."""
    order = len(coefficients)
    if not order:
        return x.copy()
    steps, columns = x.shape
    offset = order * lag
    e = np.zeros((offset + steps, columns))
    e[offset:] = x
    if lag == 1 and order > 1:
        backwards = np.ascontiguousarray(coefficients[::-1])
        product = np.empty((order, columns))
        total = np.empty(columns)
        for t in range(offset, offset + steps):
            np.multiply(backwards, e[t - order : t], out=product)
            np.add.reduce(product, axis=0, out=total)
            e[t] -= total
            if t % 1024 == 0:
                check()
        return e[offset:]
    # Steps less than a season apart do not depend on each other: a season at a time.
    for start in range(offset, offset + steps, lag):
        end = min(start + lag, offset + steps)
        for j, c in enumerate(coefficients, start=1):
            e[start:end] -= c * e[start - j * lag : end - j * lag]
        if start % 1024 == 0:
            check()
    return e[offset:]


def _outside(coefficients: Floats, radius: float) -> Flags:
    """Whether 1 - sum of c_j z^j has a root within 1 / radius, by the step-down recursion.

    Coefficients are shrunk by the radius first, so that the unit circle decides. Columns.
    """
    order = len(coefficients)
    if order == 0:
        return np.zeros(coefficients.shape[1], dtype=bool)
    a = coefficients / (radius ** np.arange(1, order + 1))[:, None]
    bad = ~(np.abs(a[-1]) < 1)
    for k in range(order - 1, 0, -1):
        # A column that failed may hold anything; it must not overflow.
        last = np.where(bad, 0.0, a[k])
        a = np.clip((a[:k] + last * a[k - 1 :: -1]) / (1 - last * last), -1e6, 1e6)
        bad |= ~(np.abs(a[-1]) < 1)
    return np.asarray(bad)


def _unstable(coefficients: Floats, shape: _Shape) -> Flags:
    """Whether a column is not stationary or not invertible, with the distance of RADIUS."""
    ar, sar, ma, sma = shape.split(coefficients)
    seasonal = RADIUS**shape.m
    return (
        _outside(ar, RADIUS)
        | _outside(sar, seasonal)
        | _outside(-ma, RADIUS)
        | _outside(-sma, seasonal)
    )


def _candidates(
    task: _Task, options: Mapping[str, Any], shape: _Shape
) -> list[tuple[int, int, int, int, bool]]:
    """List (p, P, q, Q, mean) to compare for a series."""
    n = task.w.size
    fixed = [options[name] for name in "pPqQ"]
    ranges = []
    for name, value, largest in zip(
        "pPqQ", fixed, (shape.p, shape.P, shape.q, shape.Q), strict=True
    ):
        if name in "PQ" and task.m == 1:
            ranges.append([0])
        elif value is not None:
            ranges.append([value])
        else:
            # A seasonal coefficient is seen once in a cycle.
            room = n // task.m - 1 if name in "PQ" else n // 3
            ranges.append(list(range(min(largest, room) + 1)))
    means = {0: [True], 1: [False, True]}.get(task.d + task.D, [False])
    everything = [
        (p, big_p, q, big_q, mean)
        for p in ranges[0]
        for big_p in ranges[1]
        for q in ranges[2]
        for big_q in ranges[3]
        for mean in means
    ]
    # AICc needs more observations than parameters, and says little with hardly more.
    small = [
        c
        for c in everything
        if sum(c) + 4 <= n
        and sum(order for order, value in zip(c, fixed, strict=False) if value is None) <= MAX_ORDER
        and PER_PARAMETER * sum(c) <= n
    ]
    return small or [c for c in everything if sum(c) + 4 <= n]


# --- Estimation -----------------------------------------------------------------------------------


def _stack(tasks: Sequence[_Task], length: int) -> tuple[Floats, Floats]:
    """Put series side by side, their ends aligned: zeros before, and a mask of ones."""
    w = np.zeros((length, len(tasks)))
    ones = np.zeros((length, len(tasks)))
    for column, task in enumerate(tasks):
        w[length - task.w.size :, column] = task.w
        ones[length - task.w.size :, column] = 1.0
    return w, ones


def _dot(a: Floats, b: Floats) -> Floats:
    """Sum a * b down each column, row by row: in one order, however many columns there are."""
    product = np.multiply(a, b, order="C")
    if product.shape[1] == 1:
        # One column alone would be added pairwise.
        return np.asarray(np.add.reduce(np.repeat(product, 2, axis=1), axis=0)[:1])
    return np.asarray(np.add.reduce(product, axis=0))


def _long_residuals(w: Floats, order: int) -> Floats:
    """Residuals of a long autoregression of each column (Levinson, Durbin)."""
    steps = len(w)
    gamma = np.array([_dot(w[lag:], w[: steps - lag]) for lag in range(order + 1)])
    # A ridge: a constant column, or a perfect cycle, must not divide by zero.
    variance = gamma[0] * (1 + 1e-6) + 1e-12
    phi = np.zeros((order, w.shape[1]))
    for k in range(order):
        reflection = (gamma[k + 1] - _dot(phi[:k], gamma[k:0:-1])) / variance
        reflection = np.clip(reflection, -0.999, 0.999)
        phi[:k] = phi[:k] - reflection * phi[:k][::-1]
        phi[k] = reflection
        variance = variance * (1 - reflection * reflection)
    return _multiply(w, -phi, 1)


def _start(w: Floats, rows: _Rows, shape: _Shape) -> None:
    """Fill in the coefficients by least squares on lags of w and of long-autoregression residuals.

    Hannan, Rissanen (1982). The products of all lags are formed once a series; each candidate
    solves the part that is its own. Products of seasonal and other terms are left out.
    """
    steps = len(w)
    long = max(min(shape.m + 3 if shape.m > 1 else 8, steps // 3), 1)
    e = _long_residuals(w, long)
    lags = shape.lags()
    columns = np.zeros((shape.count + 1, *w.shape))
    columns[0] = w
    for i, lag in enumerate(lags):
        source = w if i < shape.p + shape.P else e
        if lag < steps:
            columns[i + 1, lag:] = source[: steps - lag]
    count = shape.count + 1
    products = np.empty((w.shape[1], count, count))
    for i in range(count):
        for j in range(i + 1):
            products[:, i, j] = products[:, j, i] = _dot(columns[i], columns[j])
    own = products[rows.base]
    free = rows.free.T
    gram = own[:, 1:, 1:] * free[:, :, None] * free[:, None, :]
    size = own[:, 0, 0]
    diagonal = np.arange(shape.count)
    gram[:, diagonal, diagonal] += np.where(free, 0.01, 1.0) * size[:, None] + 1e-9
    solved = np.linalg.solve(gram, (own[:, 1:, 0] * free)[:, :, None])[:, :, 0].T
    # Shrunk towards white noise until it is within the region.
    shrink = np.array(
        [j for order in (shape.p, shape.P, shape.q, shape.Q) for j in range(1, order + 1)],
        dtype=float,
    )[:, None]
    solved = np.clip(solved, -3.0, 3.0)
    for _ in range(40):
        bad = _unstable(solved, shape)
        if not bad.any():
            break
        solved = np.where(bad, solved * 0.9**shrink, solved)
    rows.coefficients = np.where(_unstable(solved, shape), 0.0, solved)


def _residuals(w: Floats, coefficients: Floats, shape: _Shape, check: Check) -> Floats:
    """Conditional residuals, zero before the first observation. Columns."""
    ar, sar, ma, sma = shape.split(coefficients)
    x = _divide(_divide(w, sma, shape.m, check), ma, 1, check)
    return _multiply(_multiply(x, -sar, shape.m), -ar, 1)


def _normal_equations(
    w: Floats, coefficients: Floats, shape: _Shape, check: Check
) -> tuple[Floats, Floats, Floats]:
    """Sum of squares of the conditional residuals, J'J and J'e. Columns.

    The derivative by a coefficient is a lag of one of four series (Box, Jenkins, Reinsel 7.2.3).
    """
    ar, sar, ma, sma = shape.split(coefficients)
    x = _divide(_divide(w, sma, shape.m, check), ma, 1, check)
    by_ar = _multiply(x, -sar, shape.m)
    by_sar = _multiply(x, -ar, 1)
    e = _multiply(by_ar, -ar, 1)
    by_ma = _divide(e, ma, 1, check)
    by_sma = _divide(e, sma, shape.m, check)
    steps, columns = w.shape
    bounds = shape.bounds
    parts = []
    for i, lag in enumerate(shape.lags()):
        source = (by_ar, by_sar, by_ma, by_sma)[int(np.searchsorted(bounds[1:], i, side="right"))]
        parts.append((source, min(lag, steps)))
    jj = np.zeros((columns, shape.count, shape.count))
    je = np.zeros((columns, shape.count))
    for i, (a, lag_a) in enumerate(parts):
        je[:, i] = -_dot(a[: steps - lag_a], e[lag_a:])
        for j in range(i + 1):
            b, lag_b = parts[j]
            late = max(lag_a, lag_b)
            value = _dot(a[late - lag_a : steps - lag_a], b[late - lag_b : steps - lag_b])
            jj[:, i, j] = jj[:, j, i] = value
    return _dot(e, e), jj, je


def _conditional(w: Floats, rows: _Rows, shape: _Shape, iterations: int, check: Check) -> Floats:
    """Refine by conditional least squares (Levenberg, Marquardt); give the sums of squares.

    Parameters
    ----------
    w : ndarray, shape (steps, rows)
        Without its mean where that is estimated.
    """
    count = w.shape[1]
    best = rows.coefficients.copy()
    squares = np.full(count, np.inf)
    damping = np.full(count, 1e-3)
    trial = best.copy()
    active = np.arange(count)
    jj = np.zeros((count, shape.count, shape.count))
    je = np.zeros((count, shape.count))
    diagonal = np.arange(shape.count)
    for iteration in range(iterations + 1):
        check()
        now, now_jj, now_je = _normal_equations(w[:, active], trial[:, active], shape, check)
        old = squares[active]
        better = now < old
        moved = active[better]
        squares[moved] = now[better]
        best[:, moved] = trial[:, moved]
        jj[moved] = now_jj[better]
        je[moved] = now_je[better]
        damping[active] = np.where(better, damping[active] * 0.1, damping[active] * 10)
        done = better & (old - now <= 1e-5 * old) | (damping[active] > 1e3)
        if iteration == 0:
            done[:] = False
        active = active[~done]
        if not active.size or iteration == iterations:
            break
        free = rows.free[:, active].T
        h = jj[active] * free[:, :, None] * free[:, None, :]
        grow = 1 + damping[active][:, None]
        size = squares[active][:, None]
        h[:, diagonal, diagonal] = np.where(
            free, h[:, diagonal, diagonal] * grow + 1e-9 * size + 1e-12, 1.0
        )
        step = -np.linalg.solve(h, (je[active] * free)[:, :, None])[:, :, 0].T
        step = np.clip(step, -1.0, 1.0)
        trial[:, active] = _step_within(best[:, active], step, shape)
    rows.coefficients = best
    return squares


def _step_within(position: Floats, step: Floats, shape: _Shape) -> Floats:
    """Go as far as the region of stationary, invertible coefficients allows."""
    for _ in range(8):
        bad = _unstable(position + step, shape)
        if not bad.any():
            return position + step
        step = np.where(bad, 0.5 * step, step)
    return np.where(_unstable(position + step, shape), position, position + step)


# --- Exact likelihood -----------------------------------------------------------------------------


def _expand(coefficients: Floats, shape: _Shape) -> tuple[Floats, Floats]:
    """Multiply out: coefficients of lags 1, 2, ... of the AR and the MA side. Columns."""
    ar, sar, ma, sma = shape.split(coefficients)
    columns = coefficients.shape[1]
    results = []
    for short, seasonal, sign in ((ar, sar, -1.0), (ma, sma, 1.0)):
        unit = np.zeros((1 + len(short) + len(seasonal) * shape.m, columns))
        unit[0] = 1.0
        full = _multiply(_multiply(unit, sign * short, 1), sign * seasonal, shape.m)
        results.append(sign * full[1:])
    return results[0], results[1]


def _autocovariances(ar: Floats, ma: Floats, length: int) -> Floats:
    """Autocovariances of lags 0 to length - 1 for unit variance of the shocks. Columns.

    Brockwell, Davis (1991), Time Series: Theory and Methods, 3.3, second method.
    """
    p, q, columns = len(ar), len(ma), ar.shape[1]
    if columns == 1:
        # One column alone would be added in another order; see `_dot`.
        return _autocovariances(np.repeat(ar, 2, axis=1), np.repeat(ma, 2, axis=1), length)[:, :1]
    psi = np.zeros((q + 1, columns))
    psi[0] = 1.0
    for k in range(1, q + 1):
        lags = min(k, p)
        psi[k] = ma[k - 1] + np.add.reduce(ar[:lags] * psi[k - lags : k][::-1], axis=0)
    theta = np.concatenate([np.ones((1, columns)), ma])
    size = max(length, p + 1, q + 1)
    right = np.zeros((size, columns))
    for k in range(q + 1):
        right[k] = np.add.reduce(theta[k:] * psi[: q + 1 - k], axis=0)
    if p == 0:
        return right[:length]
    matrix = np.zeros((columns, p + 1, p + 1))
    index = np.arange(p + 1)
    matrix[:, index, index] = 1.0
    # gamma_(k - j) is gamma_|k - j|: one more coefficient where two lags meet.
    for k in range(p + 1):
        matrix[:, k, :k] -= ar[:k][::-1].T
        matrix[:, k, 1 : p + 1 - k] -= ar[k:].T
    gamma = np.zeros((size, columns))
    gamma[: p + 1] = np.linalg.solve(matrix, right[: p + 1].T[:, :, None])[:, :, 0].T
    backwards = np.ascontiguousarray(ar[::-1])
    product = np.empty_like(backwards)
    for k in range(p + 1, length):
        np.multiply(backwards, gamma[k - p : k], out=product)
        np.add.reduce(product, axis=0, out=gamma[k])
        if k <= q:
            gamma[k] += right[k]
    return gamma[:length]


def _toeplitz(gamma: Floats) -> Floats:
    """View rows of autocovariances, shape (rows, n), as covariance matrices (rows, n, n)."""
    rows, n = gamma.shape
    both = np.concatenate([gamma[:, :0:-1], gamma], axis=1)
    a, b = both.strides
    return np.lib.stride_tricks.as_strided(both[:, n - 1 :], (rows, n, n), (a, -b, b))


@dataclass(slots=True)
class _Exact:
    """Exact likelihood of columns, mean profiled out.

    Attributes
    ----------
    scaled : ndarray, shape (rows, n)
        Standardised innovations times the 2n-th root of the determinant: their sum of squares is
        what maximum likelihood minimises.
    value : ndarray, shape (rows,)
        n log of that sum; infinite where the covariance is not positive definite.
    squares : ndarray, shape (rows,)
        Sum of squares of the standardised innovations.
    mean, mean_error : ndarray, shape (rows,)
        The mean, and its standard error over that of the shocks.
    """

    scaled: Floats
    value: Floats
    squares: Floats
    mean: Floats
    mean_error: Floats


def _exact(
    w: Floats,
    length: Integers,
    with_mean: Flags,
    coefficients: Floats,
    shape: _Shape,
    check: Check,
) -> _Exact:
    """Evaluate the exact likelihood by the Cholesky factor of the covariance matrix.

    Parameters
    ----------
    w : ndarray, shape (rows, steps)
        Beginnings aligned, zeros after the end.
    length : ndarray of int, shape (rows,)
    """
    rows, steps = w.shape
    ar, ma = _expand(coefficients, shape)
    gamma = _autocovariances(ar, ma, steps).T
    gamma[:, 0] *= 1 + 1e-10
    within = np.arange(steps) < length[:, None]
    scaled = np.zeros((rows, steps))
    value = np.full(rows, np.inf)
    mean = np.zeros(rows)
    mean_error = np.zeros(rows)
    squares = np.zeros(rows)
    chunk = max(1, 400_000 // (steps * steps))
    for first in range(0, rows, chunk):
        check()
        part = slice(first, min(first + chunk, rows))
        size = part.stop - part.start
        matrix = np.zeros((size, steps + 2, steps + 2))
        matrix[:, :steps, :steps] = _toeplitz(gamma[part])
        # Two rows more: their part of the factor is the whitened w and the whitened constant.
        matrix[:, steps, :steps] = w[part]
        matrix[:, steps + 1, :steps] = 1.0
        matrix[:, steps, steps] = matrix[:, steps + 1, steps + 1] = 1e30
        good = np.ones(size, dtype=bool)
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            factor = np.zeros_like(matrix)
            for i in range(size):
                try:
                    factor[i] = np.linalg.cholesky(matrix[i])
                except np.linalg.LinAlgError:
                    factor[i] = np.eye(steps + 2)
                    good[i] = False
        inside = within[part]
        z = factor[:, steps, :steps] * inside
        one = factor[:, steps + 1, :steps] * inside
        known = np.einsum("rt,rt->r", one, one)
        level = np.where(with_mean[part], np.einsum("rt,rt->r", z, one) / known, 0.0)
        z = z - level[:, None] * one
        index = np.arange(steps)
        diagonal = np.where(inside, factor[:, index, index], 1.0)
        n = length[part].astype(float)
        squares[part] = np.einsum("rt,rt->r", z, z)
        z = z * np.exp(np.sum(np.log(diagonal), axis=1) / n)[:, None]
        total = np.einsum("rt,rt->r", z, z)
        scaled[part] = z
        mean[part] = level
        mean_error[part] = np.where(with_mean[part], 1 / np.sqrt(known), 0.0)
        value[part] = np.where(good, n * np.log(np.maximum(total, 1e-300)), np.inf)
    return _Exact(scaled, value, squares, mean, mean_error)


def _maximise(
    w: Floats,
    length: Integers,
    rows: _Rows,
    shape: _Shape,
    iterations: int,
    enough: float,
    check: Check,
) -> Floats:
    """Refine by exact maximum likelihood (Gauss, Newton on the scaled innovations).

    A row is left when a step gains less than `enough`, in units of the value.

    Returns
    -------
    ndarray, shape (rows,)
        n log of the sum of squares, as `_Exact.value`.
    """
    k = shape.count
    best = rows.coefficients.copy()

    def evaluate(source: Integers, points: Floats) -> _Exact:
        return _exact(w[source], length[source], rows.mean[source], points, shape, check)

    active = np.arange(best.shape[1])
    at = evaluate(active, best)
    value, here = at.value, at.scaled
    small = 1e-5
    for _ in range(iterations):
        # The slope, from each free coefficient moved a little inwards.
        position = best[:, active]
        free = rows.free[:, active]
        which, column = np.nonzero(free)
        points = position[:, column]
        move = np.where(points[which, np.arange(which.size)] > 0, -small, small)
        points[which, np.arange(which.size)] += move
        moved = evaluate(active[column], points).scaled
        slope = np.zeros((active.size, k, w.shape[1]))
        slope[column, which] = (moved - here[active][column]) / move[:, None]
        h = np.matmul(slope, slope.transpose(0, 2, 1))
        g = np.matmul(slope, here[active][:, :, None])[:, :, 0]
        diagonal = np.arange(k)
        h[:, diagonal, diagonal] = np.where(free.T, h[:, diagonal, diagonal] * 1.001 + 1e-9, 1.0)
        step = np.clip(-np.linalg.solve(h, g[:, :, None])[:, :, 0].T, -0.5, 0.5)
        start = value[active]
        # What the value would lose in the full step if it went on as it begins.
        n = length[active].astype(float)
        total = np.exp(np.minimum(start, 700.0 * n) / n)
        slant = 2 * n * np.einsum("ri,ir->r", g, step) / total
        factor = np.ones(active.size)
        waiting = np.arange(active.size)
        for _ in range(2):
            trial = _step_within(position[:, waiting], step[:, waiting] * factor[waiting], shape)
            at = evaluate(active[waiting], trial)
            better = at.value < value[active[waiting]]
            reached = active[waiting[better]]
            best[:, reached] = trial[:, better]
            value[reached] = at.value[better]
            here[reached] = at.scaled[better]
            # The lowest point of the parabola through both ends.
            bend = (
                np.where(np.isfinite(at.value), at.value, 1e300) - start[waiting] - slant[waiting]
            )
            shorter = -slant[waiting] / np.maximum(2 * bend, 1e-300)
            factor[waiting] = np.clip(shorter, 0.02, 1.0)
            waiting = waiting[shorter < 0.8]
            if not waiting.size:
                break
        gain = np.where(np.isfinite(start), start - value[active], 1.0)
        active = active[gain > enough]
        if not active.size:
            break
    rows.coefficients = best
    return value


def _smoothed_shocks(w: Floats, coefficients: Floats, shape: _Shape) -> Floats:
    """Give the expected shocks at each step, given all of w (its mean taken off).

    Forecasts from them are those of the finite sample, with no assumption on what was before it.
    Cov(e_t, w_s) is psi_(s - t).
    """
    n = w.size
    ar, ma = _expand(coefficients[:, None], shape)
    gamma = _autocovariances(ar, ma, n).T
    solved = np.linalg.solve(_toeplitz(gamma)[0], w)
    psi = _psi(ar[:, 0], ma[:, 0], n)
    return np.array([psi[: n - t] @ solved[t:] for t in range(n)])


def _psi(ar: Floats, ma: Floats, length: int) -> Floats:
    """Weights of past shocks: ma(L) / ar(L); Box, Jenkins, Reinsel 4.2.3."""
    psi = np.zeros(length)
    psi[0] = 1.0
    p = ar.size
    for k in range(1, length):
        lags = min(k, p)
        psi[k] = (ma[k - 1] if k <= ma.size else 0.0) + (
            float(ar[:lags] @ psi[k - lags : k][::-1]) if lags else 0.0
        )
    return psi


def _charge(length: Floats, parameters: Floats) -> Floats:
    """What AICc adds to n log(sum of squares); `parameters` counts the variance."""
    return 2 * parameters * length / (length - parameters - 1)


# --- Fit ------------------------------------------------------------------------------------------


def _season_of(series: Series, n: int, options: Mapping[str, Any]) -> int:
    """Give the season that is modelled: the shortest, where two of it and more are there."""
    if not options["seasonal"] or not series.seasons:
        return 1
    m = int(min(series.seasons))
    return m if m > 1 and n >= 2 * m + 2 else 1


def _prepare(index: int, series: Series, options: Mapping[str, Any]) -> _Task:
    values = np.asarray(series.values, dtype=float)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise BadRow("a value is not finite", hint="Fill gaps first.")
    if values.size < MINIMUM:
        raise TooFewObservations(
            f"{values.size} observations, {MINIMUM} needed", hint="Give a longer history."
        )
    note = None
    if values.size > LONGEST:
        note = f"fitted on the last {LONGEST} of {values.size} observations"
        values = values[-LONGEST:]
    size = float(np.max(np.abs(values)))
    unit = math.ldexp(1.0, math.frexp(size)[1]) if size > 0 else 1.0
    y = values / unit
    m = _season_of(series, y.size, options)
    if m == 1 and any(options[name] for name in "PDQ"):
        raise TooFewObservations(
            "no season of which the history holds two",
            hint="Give a longer history, or let P, D and Q be chosen.",
        )
    d, seasonal = _differences(y, m, options)
    needed = d + seasonal * m + sum(options[name] or 0 for name in "pq")
    needed += m * sum(options[name] or 0 for name in "PQ") + 5
    if y.size < needed:
        raise TooFewObservations(
            f"{y.size} observations, {needed} needed for these orders",
            hint="Give a longer history, or smaller orders.",
        )
    w = np.diff(y[m:] - y[:-m] if seasonal else y, n=d)
    if _is_constant(w, float(np.max(np.abs(y)))):
        scale = 0.0
    else:
        scale = float(np.sqrt(np.mean(np.square(w - w.mean()))))
    return _Task(index, y, unit, scale, m, d, seasonal, w / scale if scale else w, note)


def _padded(n: int) -> int:
    """Length of the array a series of n steps is computed in: it depends on no other series."""
    step = max(8, 1 << max(0, n.bit_length() - 4))
    return -(-n // step) * step


def _finish(
    task: _Task,
    orders: Sequence[int],
    with_mean: bool,
    coefficients: Floats,
    shape: _Shape,
    check: Check,
) -> Fit:
    """Write down what forecasts need.

    `mean`, `mean_error` (its standard error) and `sigma` (standard deviation of the shocks) are in
    the unit of the series, after its differences; `freedom` is what the variance is estimated from.
    `values` and `shocks` are the last ones, as many as the orders reach back; `n` counts the
    observations taken in.
    """
    p, big_p, q, big_q = (int(order) for order in orders)
    n = task.w.size
    w = task.w[:, None]
    if n <= EXACT:
        padded = np.zeros((1, _padded(n)))
        padded[0, :n] = task.w
        length = np.array([n])
        at = _exact(padded, length, np.array([with_mean]), coefficients[:, None], shape, check)
        mean, mean_error = float(at.mean[0]), float(at.mean_error[0])
        shocks = _smoothed_shocks(task.w - mean, coefficients, shape)
        total = float(at.squares[0])
    else:
        e = _residuals(w, coefficients[:, None], shape, check)[:, 0]
        mean = mean_error = 0.0
        if with_mean:
            one = _residuals(np.ones_like(w), coefficients[:, None], shape, check)[:, 0]
            mean, mean_error = float(one @ e) / float(one @ one), 1 / math.sqrt(float(one @ one))
            e = e - mean * one
        shocks = e
        total = float(e @ e)
    spare = max(n - p - q - big_p - big_q - int(with_mean), 1)
    sigma = math.sqrt(total / spare) * task.scale * task.unit
    ar, sar, ma, sma = shape.split(coefficients)
    keep = p + big_p * task.m + task.d + task.D * task.m
    reach = q + big_q * task.m
    factor = task.scale * task.unit
    parameters: Parameters = {
        "format": FORMAT,
        "order": [p, task.d, q],
        "seasonal_order": [big_p, task.D, big_q],
        "season": task.m,
        "ar": ar[:p].tolist(),
        "ma": ma[:q].tolist(),
        "seasonal_ar": sar[:big_p].tolist(),
        "seasonal_ma": sma[:big_q].tolist(),
        "mean": mean * factor if with_mean else None,
        "mean_error": mean_error * sigma,
        "sigma": sigma,
        "freedom": spare,
        "n": int(task.y.size),
        "values": (task.y[task.y.size - keep :] * task.unit).tolist(),
        "shocks": (shocks[n - reach :] * factor).tolist(),
    }
    return Fit(parameters, _label(parameters), task.note)


def _label(parameters: Parameters) -> str:
    text = "ARIMA({},{},{})".format(*parameters["order"])
    if parameters["season"] > 1 and any(parameters["seasonal_order"]):
        text += "({},{},{})[{}]".format(*parameters["seasonal_order"], parameters["season"])
    if parameters["mean"] is not None:
        differences = parameters["order"][1] + parameters["seasonal_order"][1]
        text += " with drift" if differences else " with mean"
    return text


def _fit_constant(task: _Task) -> Fit:
    """Describe a series that the differences leave without variation."""
    mean = float(task.w.mean()) * task.unit if task.d + task.D < 2 else 0.0
    keep = task.d + task.D * task.m
    parameters: Parameters = {
        "format": FORMAT,
        "order": [0, task.d, 0],
        "seasonal_order": [0, task.D, 0],
        "season": task.m,
        "ar": [],
        "ma": [],
        "seasonal_ar": [],
        "seasonal_ma": [],
        "mean": mean if mean != 0 or task.d + task.D == 0 else None,
        "mean_error": 0.0,
        "sigma": 0.0,
        "freedom": max(int(task.w.size) - 1, 1),
        "n": int(task.y.size),
        "values": (task.y[task.y.size - keep :] * task.unit).tolist(),
        "shocks": [],
    }
    note = "constant series" if keep == 0 else "no variation beside trend and season"
    return Fit(parameters, _label(parameters), note)


# Candidates that go on after the first steps of least squares, that the exact likelihood judges,
# and that are refined by it.
AFTER_START = 24
AFTER_SQUARES = 8
REFINED = 3


def _best_of(base: Integers, criterion: Floats, count: int) -> Integers:
    """Give the rows with the smallest criterion of each series, at most `count` of each."""
    order = np.lexsort((criterion, base))
    sorted_base = base[order]
    first = np.searchsorted(sorted_base, sorted_base, side="left")
    rank = np.arange(base.size) - first
    return np.asarray(np.sort(order[rank < count]))


def _fit_group(
    tasks: Sequence[_Task], length: int, options: Mapping[str, Any], shape: _Shape, check: Check
) -> list[Fit]:
    """Choose and estimate for series of one padded length and one season."""
    listed = [_candidates(task, options, shape) for task in tasks]
    base = np.array([i for i, some in enumerate(listed) for _ in some])
    flat = [c for some in listed for c in some]
    orders = np.array([c[:4] for c in flat], dtype=np.int64).T
    mean = np.array([c[4] for c in flat], dtype=bool)
    free = np.concatenate(
        [
            np.arange(1, largest + 1)[:, None] <= order
            for largest, order in zip((shape.p, shape.P, shape.q, shape.Q), orders, strict=True)
        ]
    )
    rows = _Rows(base, orders, mean, np.zeros(free.shape), free)
    w, ones = _stack(tasks, length)
    centred = w - ones * (_dot(w, ones) / _dot(ones, ones))
    size = np.array([task.w.size for task in tasks], dtype=np.int64)
    value: Floats

    def criterion(rows: _Rows, value: Floats) -> Floats:
        parameters = rows.free.sum(axis=0) + rows.mean + 1.0
        return value + _charge(size[rows.base].astype(float), parameters)

    # Both with and without the mean, two columns for each series.
    both = np.concatenate([w, centred], axis=1)
    place = rows.base + len(tasks) * rows.mean
    check()
    if shape.count:
        at = _Rows(place, rows.orders, rows.mean, rows.coefficients, rows.free)
        _start(both, at, shape)
        rows.coefficients = at.coefficients
    check()
    data = both[:, place]
    squares = _conditional(data, rows, shape, 2, check)
    value = np.asarray(size[rows.base] * np.log(np.maximum(squares, 1e-300)), dtype=float)
    chosen = _best_of(rows.base, criterion(rows, value), AFTER_START)
    rows, data = rows.take(chosen), data[:, chosen]
    squares = _conditional(data, rows, shape, 8, check)
    value = np.asarray(size[rows.base] * np.log(np.maximum(squares, 1e-300)), dtype=float)
    if length <= _padded(EXACT):
        chosen = _best_of(rows.base, criterion(rows, value), AFTER_SQUARES)
        rows = rows.take(chosen)
        starts = np.zeros((len(tasks), length))
        for i, task in enumerate(tasks):
            starts[i, : task.w.size] = task.w
        at_start = _exact(
            starts[rows.base], size[rows.base], rows.mean, rows.coefficients, shape, check
        )
        chosen = _best_of(rows.base, criterion(rows, at_start.value), REFINED)
        rows = rows.take(chosen)
        if shape.count:
            w_of = starts[rows.base]
            value = _maximise(w_of, size[rows.base], rows, shape, 4, 0.01, check)
            # What is chosen is finished; the others need only be compared.
            chosen = _best_of(rows.base, criterion(rows, value), 1)
            rows = rows.take(chosen)
            value = _maximise(w_of[chosen], size[rows.base], rows, shape, 12, 1e-6, check)
        else:
            value = at_start.value[chosen]
    final = _best_of(rows.base, criterion(rows, value), 1)
    fits = []
    for row in final:
        check()
        task = tasks[int(rows.base[row])]
        fits.append(
            _finish(
                task,
                rows.orders[:, row].tolist(),
                bool(rows.mean[row]),
                rows.coefficients[:, row],
                shape,
                check,
            )
        )
    return fits


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Check,
    /,
) -> list[Result]:
    """Fit each series of a batch; see `weighhouse.forecasting.contract.Kind.fit`.

    Parameters
    ----------
    batch : sequence of Series
        Only the shortest season of each is modelled.
    horizon : int
        Not used.
    options : mapping
        Of `check_options`.
    check : callable

    Returns
    -------
    list of Fit or WeighhouseError
        TooFewObservations: fewer than MINIMUM, or fewer than the orders asked for need. BadRow: a
        value is not finite.
    """
    del horizon
    results: list[Result | None] = [None] * len(batch)
    groups: dict[tuple[int, int], list[_Task]] = {}
    for index, series in enumerate(batch):
        check()
        try:
            task = _prepare(index, series, options)
        except WeighhouseError as error:
            results[index] = error
            continue
        if task.scale == 0.0:
            results[index] = _fit_constant(task)
        else:
            groups.setdefault((_padded(task.w.size), task.m), []).append(task)
    for (length, m), tasks in groups.items():
        largest = [
            options[name] if options[name] is not None else options[f"max_{name}"]
            for name in "pPqQ"
        ]
        if m == 1:
            largest[1] = largest[3] = 0
        p, big_p, q, big_q = largest
        shape = _Shape(p, big_p, q, big_q, m)
        # Enough columns for the arithmetic to outweigh the calls, few enough for the cache.
        together = max(1, 2500 // length)
        for first in range(0, len(tasks), together):
            part = tasks[first : first + together]
            for task, fitted in zip(
                part, _fit_group(part, length, options, shape, check), strict=True
            ):
                results[task.index] = fitted
    return [result for result in results if result is not None]


# --- Forecast -------------------------------------------------------------------------------------


def _polynomials(parameters: Parameters) -> tuple[Floats, Floats, float]:
    """Give the coefficients of past observations, of past shocks, and the constant."""
    m = int(parameters["season"])

    def multiplied(short: str, seasonal: str, sign: float) -> Floats:
        spread = np.zeros(len(parameters[seasonal]) * m + 1)
        spread[0] = 1.0
        spread[m::m] = np.multiply(sign, parameters[seasonal])
        return np.convolve(np.r_[1.0, np.multiply(sign, parameters[short])], spread)

    ar, ma = multiplied("ar", "seasonal_ar", -1.0), multiplied("ma", "seasonal_ma", 1.0)
    level = float(ar.sum()) * (parameters["mean"] or 0.0)
    for _ in range(parameters["order"][1]):
        ar = np.convolve(ar, [1.0, -1.0])
    if parameters["seasonal_order"][1]:
        ar = np.convolve(ar, np.r_[1.0, np.zeros(m - 1), -1.0])
    return -ar[1:], ma[1:], level


def forecast(parameters: Parameters, horizon: int, levels: Sequence[float], /) -> Forecast:
    """Forecast the steps after the last observation that was taken in.

    Parameters
    ----------
    parameters : dict
        Of a `Fit`, or of `update`.
    horizon : int
    levels : sequence of float

    Returns
    -------
    Forecast
        Intervals with the variance of the forecast error from psi weights (Box, Jenkins, Reinsel
        5.2.4) and of the estimated mean; what the other coefficients do not know is not in them.
    """
    ar, ma, level = _polynomials(parameters)
    p, q = ar.size, ma.size
    y = np.r_[np.asarray(parameters["values"], dtype=float), np.zeros(horizon)]
    e = np.r_[np.asarray(parameters["shocks"], dtype=float), np.zeros(horizon)]
    past = y.size - horizon
    heard = e.size - horizon
    backwards_ar, backwards_ma = ar[::-1], ma[::-1]
    for h in range(horizon):
        y[past + h] = level + float(backwards_ar @ y[past + h - p : past + h])
        if h < q:
            y[past + h] += float(backwards_ma @ e[heard + h - q : heard + h])
    mean = y[past:]
    psi = _psi(ar, ma, horizon)
    error = parameters["sigma"] * np.sqrt(np.cumsum(np.square(psi)))
    if parameters["mean_error"]:
        error = np.hypot(error, parameters["mean_error"] * _mean_slope(parameters, ar, ma, horizon))
    widths = np.array([_student(level, parameters["freedom"]) for level in levels])
    half = widths.reshape(-1, 1) * error
    return Forecast(mean, mean - half, mean + half)


def _mean_slope(parameters: Parameters, ar: Floats, ma: Floats, horizon: int) -> Floats:
    """Give the derivative of the forecasts by the mean of w; the past shocks depend on it too."""
    constant = (1 - sum(parameters["ar"])) * (1 - sum(parameters["seasonal_ar"]))
    shock = constant / ((1 + sum(parameters["ma"])) * (1 + sum(parameters["seasonal_ma"])))
    slope = np.zeros(horizon)
    for h in range(horizon):
        lags = min(h, ar.size)
        slope[h] = constant - shock * float(np.sum(ma[h:]))
        if lags:
            slope[h] += float(ar[:lags] @ slope[h - lags : h][::-1])
    return slope


def _student(level: float, freedom: int) -> float:
    """Two-sided quantile of Student's t (Abramowitz, Stegun 26.7.5): the variance is estimated."""
    x = NormalDist().inv_cdf(0.5 + 0.5 * level)
    v = max(float(freedom), 3.0)
    return (
        x
        + (x**3 + x) / (4 * v)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * v**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * v**3)
    )


def update(parameters: Parameters, values: Floats, /) -> Parameters:
    """Take in the next observations with orders, coefficients and variance held fixed.

    Parameters
    ----------
    parameters : dict
        Of a `Fit`, or of `update`.
    values : ndarray of float64, shape (n,)
        All finite.

    Returns
    -------
    dict

    Raises
    ------
    BadRow
        A value is not finite.
    """
    new = np.asarray(values, dtype=float)
    if not np.isfinite(new).all():
        raise BadRow("a value is not finite", hint="Fill gaps first.")
    ar, ma, level = _polynomials(parameters)
    p, q = ar.size, ma.size
    y = np.r_[np.asarray(parameters["values"], dtype=float), new]
    e = np.r_[np.asarray(parameters["shocks"], dtype=float), np.zeros(new.size)]
    backwards_ar, backwards_ma = ar[::-1], ma[::-1]
    for i, value in enumerate(new):
        expected = level + float(backwards_ar @ y[i : i + p])
        expected += float(backwards_ma @ e[i : i + q])
        e[q + i] = value - expected
    return {
        **parameters,
        "n": parameters["n"] + int(new.size),
        "values": y[y.size - p :].tolist(),
        "shocks": e[e.size - q :].tolist(),
    }
