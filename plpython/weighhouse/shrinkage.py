"""Shrinkage coefficients of all products of a type at once, from what the counts found missing.

One period gives one number, so a curve is shared: S_i(t) = a_i phi(t; theta), theta by type, the
level a_i by product. For fixed theta each a_i is one dimension, solved for all products together;
theta maximises the profile likelihood. The exposure terms (see `accounting`) make the expected
shortage of a period sum of m_k (1 - g(T_k) / g(t_k)), g = 1 - S, exact for batches that dry while
they are sold.

The loss is that of domain model 5.6: w (expected - found)^2 / (sigma^2 + (cv expected)^2), soft_l1.
The variance holds while a sweep minimises and is renewed between sweeps: were it free, a larger
expectation would buy itself a larger variance and the fit would be too high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.accuracy import mae, mbe, wape
from weighhouse.curves import FAMILIES, family_of
from weighhouse.errors import BadOptions

__all__ = [
    "Fold",
    "Holdout",
    "ItemCurve",
    "TypeFit",
    "fit_level_by_sum",
    "fit_type",
    "holdout",
    "pool_rate",
    "predict_shortage",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

IDENTIFIED = 0.35
"""Largest standard error of ln b (ln n, ln h) at which the data of a type are taken to tell it: at
0.35 the loss over 14 days moves by less than 5 % where the ages seen cover those days, since the
level compensates."""
POOLED = 0.05
"""A product whose own periods bring less than 95 % of the information is called pooled."""
_CHUNK = 1 << 16  # terms at a time: the working set stays in the processor's cache
_THETA_PERIODS = 20_000  # periods that decide theta: beyond, its error is far below what matters
_SMALLEST_SIGMA = 4e-4  # kg, a scale of one gram
_SMALLEST = 1e-9  # level
_LEAST_G = 0.02  # 1 - S is held above this


# ------------------------------------------------------------------------------------- unit shapes


@dataclass(frozen=True)
class _Shape:
    """phi(t; theta) of a family: S = a phi. `grid` are the starts, one array a dimension."""

    name: str
    theta: tuple[str, ...]
    phi: Callable[[Floats, Floats], Floats]
    grid: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def family_parameters(self, a: Floats, theta: Floats) -> tuple[Floats, ...]:
        """Parameters of `curves.FAMILIES[name]` for levels a, each of shape (n,)."""
        one = np.ones_like(a)
        match self.name:
            case "linear":
                return (a,)
            case "exp":
                return a, np.exp(theta[0]) * one
            case "exp_linear":
                return a, np.exp(theta[0]) * one, a * theta[1]
            case "power":
                return a, np.exp(theta[0]) * one
            case "peleg":
                return np.exp(theta[0]) / np.maximum(a, _SMALLEST), 1.0 / np.maximum(a, _SMALLEST)
            case _:
                return a, np.exp(theta[0]) * one, np.exp(theta[1]) * one


_LOG_B = tuple(float(x) for x in np.log([0.005, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8]))
_BOUNDS_B = (float(np.log(1e-3)), float(np.log(5.0)))

_SHAPES = {
    shape.name: shape
    for shape in (
        _Shape("linear", (), lambda t, p: t, (), (), ()),
        _Shape(
            "exp", ("b",), lambda t, p: -np.expm1(-np.exp(p[0]) * t), (_LOG_B,), _BOUNDS_B[:1],
            _BOUNDS_B[1:],
        ),
        _Shape(
            "exp_linear", ("b", "rho"), lambda t, p: p[1] * t - np.expm1(-np.exp(p[0]) * t),
            (_LOG_B, (0.0, 0.004, 0.02)), (_BOUNDS_B[0], 0.0), (_BOUNDS_B[1], 1.0),
        ),
        _Shape(
            "power", ("n",), lambda t, p: np.power(t, np.exp(p[0])),
            (tuple(float(x) for x in np.log([0.3, 0.5, 0.7, 0.9, 1.2])),),
            (float(np.log(0.05)),), (float(np.log(4.0)),),
        ),
        _Shape(
            "peleg", ("h",), lambda t, p: t / (t + np.exp(p[0])),
            (tuple(float(x) for x in np.log([1.0, 3.0, 10.0, 30.0, 100.0])),),
            (float(np.log(0.1)),), (float(np.log(1e4)),),
        ),
        _Shape(
            "weibull", ("b", "n"),
            lambda t, p: -np.expm1(-np.power(np.exp(p[0]) * t, np.exp(p[1]))),
            (_LOG_B[1:7], tuple(float(x) for x in np.log([0.6, 1.0, 1.5]))),
            (_BOUNDS_B[0], float(np.log(0.2))), (_BOUNDS_B[1], float(np.log(4.0))),
        ),
    )
}  # fmt: skip


# ----------------------------------------------------------------------------------- data in parts


def _sums(values: Floats, starts: Ints, counts: Ints) -> Floats:
    """Sum each segment; an empty one gives 0 (reduceat alone would give a neighbour)."""
    result = np.zeros(starts.size)
    filled = counts > 0
    if values.size:
        result[filled] = np.add.reduceat(values, starts[filled])
    return result


@dataclass
class _Part:
    """A run of whole items: terms by period, periods by item."""

    mass: Floats
    age_from: Floats
    age_to: Floats
    term_start: Ints
    term_count: Ints
    period_start: Ints  # of each item
    period_item: Ints  # of each period, counted within the part
    observed: Floats
    weight: Floats
    sigma2: Floats
    kg_days: Floats
    items: slice  # among the items in use
    periods: slice  # among the periods in use
    steady: Floats | None = None  # c of each term, where c is given
    b: Floats | None = None  # b of each term, where b differs by item

    def by_period(self, values: Floats) -> Floats:
        return _sums(values, self.term_start, self.term_count)

    def by_item(self, values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, self.period_start))

    def to_terms(self, values: Floats) -> Floats:
        return np.repeat(values[self.period_item], self.term_count)


@dataclass
class _Basis:
    """phi at both ends of each term of a part, for one theta."""

    at: Floats
    rise: Floats


class _Data:
    """The valid periods of one type, cut into parts."""

    def __init__(
        self,
        item: Ints,
        observed: Floats,
        kg_days: Floats,
        weight: Floats,
        sigma: Floats,
        count: Ints,
        mass: Floats,
        age_from: Floats,
        age_to: Floats,
        steady: Floats | None = None,
        b: Floats | None = None,
    ) -> None:
        self.item = item
        self.ids, first, self.period_item = np.unique(item, return_index=True, return_inverse=True)
        self.n = item.size
        self.observed, self.kg_days, self.weight = observed, kg_days, weight
        self.sigma2 = np.square(sigma)
        self.count = count
        self.period_first = np.append(first, self.n).astype(np.int64)
        self.term_first = np.append(0, np.cumsum(count)).astype(np.int64)
        self.mass, self.age_from, self.age_to = mass, age_from, age_to
        self.steady, self.b = steady, b
        self.parts = list(self._cut())

    def _cut(self) -> Iterator[_Part]:
        item = 0
        last = self.ids.size
        while item < last:
            begin = int(self.term_first[self.period_first[item]])
            ends = self.term_first[self.period_first[item + 1 :]]
            stop = item + max(1, int(np.searchsorted(ends, begin + _CHUNK, side="right")))
            stop = min(stop, last)
            yield self._part(item, stop)
            item = stop

    def _part(self, item: int, stop: int) -> _Part:
        p = slice(int(self.period_first[item]), int(self.period_first[stop]))
        t = slice(int(self.term_first[p.start]), int(self.term_first[p.stop]))
        count = self.count[p]
        period_item = self.period_item[p] - item
        per_term = np.repeat(self.period_item[p], count)
        return _Part(
            mass=self.mass[t],
            age_from=self.age_from[t],
            age_to=self.age_to[t],
            term_start=self.term_first[p] - t.start,
            term_count=count,
            period_start=self.period_first[item:stop] - p.start,
            period_item=period_item,
            observed=self.observed[p],
            weight=self.weight[p],
            sigma2=self.sigma2[p],
            kg_days=self.kg_days[p],
            items=slice(item, stop),
            periods=p,
            steady=None if self.steady is None else self.steady[per_term],
            b=None if self.b is None else self.b[per_term],
        )

    def some(self, limit: int) -> _Data:
        """Keep evenly spaced items with about `limit` periods together; all when there are few."""
        if self.n <= limit:
            return self
        step = -(-self.n // limit)
        kept = np.zeros(self.ids.size, dtype=bool)
        kept[::step] = True
        return self.of_periods(kept[self.period_item])

    def of_periods(self, kept: NDArray[np.bool_]) -> _Data:
        terms = np.repeat(kept, self.count)
        ids = np.unique(self.period_item[kept])
        return _Data(
            self.item[kept], self.observed[kept], self.kg_days[kept], self.weight[kept],
            np.sqrt(self.sigma2[kept]), self.count[kept], self.mass[terms], self.age_from[terms],
            self.age_to[terms],
            None if self.steady is None else self.steady[ids],
            None if self.b is None else self.b[ids],
        )  # fmt: skip


def _basis(part: _Part, shape: _Shape, theta: Floats) -> _Basis:
    if part.b is not None:
        rho = theta[1] if shape.name == "exp_linear" else 0.0
        at = rho * part.age_from - np.expm1(-part.b * part.age_from)
        return _Basis(at, rho * part.age_to - np.expm1(-part.b * part.age_to) - at)
    at = shape.phi(part.age_from, theta)
    return _Basis(at, shape.phi(part.age_to, theta) - at)


def _expect(part: _Part, basis: _Basis, level: Floats) -> tuple[Floats, Floats]:
    """Expected shortage of each period, and its derivative by the level of the item."""
    a = part.to_terms(level)
    if part.steady is None:
        g = np.maximum(1.0 - a * basis.at, _LEAST_G)
        unit = part.mass * basis.rise / g
        return part.by_period(a * unit), part.by_period(unit / g)
    g = np.maximum(1.0 - a * basis.at - part.steady * part.age_from, _LEAST_G)
    lost = a * basis.rise + part.steady * (part.age_to - part.age_from)
    slope = (basis.rise * g + lost * basis.at) / np.square(g)
    return part.by_period(part.mass * lost / g), part.by_period(part.mass * slope)


@dataclass
class _Levels:
    """Solution for fixed theta: levels by item; the rest by period, at these levels."""

    level: Floats
    expected: Floats
    slope: Floats
    robust: Floats  # weight / variance, thefts discounted
    cost: float
    information: Floats  # by item, of the level


def _robust(residual: Floats, variance: Floats, scale2: float) -> tuple[Floats, Floats]:
    """soft_l1: what each squared residual costs, and its weight in the next step."""
    z = np.square(residual) / variance
    root = np.sqrt(1.0 + z / scale2)
    return 2.0 * scale2 * (root - 1.0), 1.0 / root


def _solve_levels(
    data: _Data,
    shape: _Shape,
    theta: Floats,
    variance: Floats,
    scale2: float,
    tick: Callable[[], None],
    *,
    iterations: int = 4,
    start: Floats | None = None,
    prior: tuple[float, float, float] | None = None,
) -> _Levels:
    """Find all levels for one theta by Gauss-Newton with the variance held.

    Without a prior the step is in a (the expectation is nearly linear in it); with a prior (mean
    and variance of ln a, dispersion) in ln a. The start is first order (worked example E12).
    """
    n, m = data.n, data.ids.size
    out = _Levels(np.empty(m), np.empty(n), np.empty(n), np.empty(n), 0.0, np.empty(m))
    for part in data.parts:
        tick()
        basis = _basis(part, shape, theta)
        v = variance[part.periods]
        w = part.weight / v
        highest = 0.98 / np.maximum(
            np.maximum.reduceat(
                _largest(part, basis), part.period_start
            ),
            1e-12,
        )  # fmt: skip
        if start is None:
            unit = part.by_period(part.mass * basis.rise)
            rest = part.observed
            if part.steady is not None:
                days = part.age_to - part.age_from
                rest = rest - part.by_period(part.mass * part.steady * days)
            a = part.by_item(w * unit * rest) / np.maximum(part.by_item(w * unit * unit), 1e-300)
        else:
            a = start[part.items].copy()
        a = np.clip(a, _SMALLEST, highest)
        for _ in range(iterations):
            expected, slope = _expect(part, basis, a)
            residual = expected - part.observed
            _, discount = _robust(residual, v, scale2)
            weight = w * discount
            gradient = part.by_item(weight * slope * residual)
            information = part.by_item(weight * np.square(slope))
            if prior is None:
                step = gradient / np.maximum(information, 1e-300)
                a = np.clip(a - step, _SMALLEST, highest)
            else:
                mean, tau2, dispersion = prior
                u = np.log(a)
                pull = gradient * a / dispersion + (u - mean) / tau2
                bend = information * np.square(a) / dispersion + 1.0 / tau2
                a = np.clip(np.exp(u - np.clip(pull / bend, -1.0, 1.0)), _SMALLEST, highest)
        expected, slope = _expect(part, basis, a)
        costs, discount = _robust(expected - part.observed, v, scale2)
        out.cost += float(np.sum(part.weight * costs))
        out.level[part.items] = a
        out.expected[part.periods] = expected
        out.slope[part.periods] = slope
        out.robust[part.periods] = w * discount
        out.information[part.items] = part.by_item(w * discount * np.square(slope))
    return out


def _largest(part: _Part, basis: _Basis) -> Floats:
    """Largest phi of each period."""
    result = np.zeros(part.term_start.size)
    filled = part.term_count > 0
    if basis.at.size:
        result[filled] = np.maximum.reduceat(basis.at + basis.rise, part.term_start[filled])
    return result


# ------------------------------------------------------------------------------------------- theta


@dataclass
class _Theta:
    """A profiled theta: the solution there, and the information the data hold about it."""

    shape: _Shape
    theta: Floats
    levels: _Levels
    columns: Floats  # (d, periods): d expectation / d theta, levels following
    cross: Floats  # (d, items): d level / d theta

    @property
    def information(self) -> Floats:
        return np.asarray((self.columns * self.levels.robust) @ self.columns.T)

    @property
    def free(self) -> NDArray[np.bool_]:
        low, high = np.array(self.shape.low), np.array(self.shape.high)
        return (self.theta > low + 1e-9) & (self.theta < high - 1e-9)

    def covariance(self, dispersion: float) -> Floats:
        """Covariance of theta; NaN for what stands on a bound."""
        d = self.theta.size
        result = np.full((d, d), np.nan)
        free = np.flatnonzero(self.free)
        if free.size:
            inner = self.information[np.ix_(free, free)]
            try:
                inverse = np.linalg.inv(inner)
            except np.linalg.LinAlgError:
                return result
            if np.all(np.diag(inverse) > 0):
                result[np.ix_(free, free)] = dispersion * inverse
        return result


def _profile(
    data: _Data, shape: _Shape, theta: Floats, levels: _Levels, tick: Callable[[], None]
) -> tuple[Floats, Floats, Floats]:
    """Derivatives by theta with the levels profiled out.

    Returns the derivative of each expectation (d, periods), the gradient of half the cost (d,), and
    d level / d theta (d, items).
    """
    d = theta.size
    columns = np.empty((d, data.n))
    cross = np.empty((d, data.ids.size))
    width = 1e-4
    starts = data.period_first[:-1]
    for k in range(d):
        high, low = theta.copy(), theta.copy()
        high[k] = min(theta[k] + width, shape.high[k])
        low[k] = max(theta[k] - width, shape.low[k])
        for part in data.parts:
            tick()
            a = levels.level[part.items]
            up, _ = _expect(part, _basis(part, shape, high), a)
            down, _ = _expect(part, _basis(part, shape, low), a)
            columns[k, part.periods] = (up - down) / (high[k] - low[k])
        together = np.add.reduceat(levels.robust * levels.slope * columns[k], starts)
        cross[k] = -together / np.maximum(levels.information, 1e-300)
        columns[k] += levels.slope * cross[k][data.period_item]
    gradient = columns @ (levels.robust * (levels.expected - data.observed))
    return columns, gradient, cross


def _fit_theta(
    data: _Data,
    shape: _Shape,
    variance: Floats,
    scale2: float,
    tick: Callable[[], None],
    start: Floats | None = None,
) -> _Theta:
    """Profile theta: the best of a grid, then projected Levenberg-Marquardt."""

    def solve(theta: Floats, warm: Floats | None = None) -> _Levels:
        return _solve_levels(data, shape, theta, variance, scale2, tick, start=warm)

    low, high = np.array(shape.low), np.array(shape.high)
    if not shape.theta:
        theta = np.empty(0)
        none = np.empty((0, data.n)), np.empty((0, data.ids.size))
        return _Theta(shape, theta, solve(theta), *none)
    if start is None:
        grid = np.stack(np.meshgrid(*shape.grid, indexing="ij"), axis=-1).reshape(
            -1, len(shape.theta)
        )
        tried = [(solve(point), point) for point in grid]
        levels, theta = min(tried, key=lambda pair: pair[0].cost)
        del tried
    else:
        theta = np.clip(start, low, high)
        levels = solve(theta)
    damping = 1e-3
    columns, gradient, cross = _profile(data, shape, theta, levels, tick)
    for _ in range(30):
        free = ~(((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0)))
        if not np.any(free):
            break
        weighted = columns[free] * levels.robust
        inner = weighted @ columns[free].T
        moved = False
        while damping < 1e8:
            damped = inner + damping * np.diag(np.maximum(np.diag(inner), 1e-12))
            step = np.zeros_like(theta)
            step[free] = np.clip(np.linalg.solve(damped, -gradient[free]), -0.7, 0.7)
            trial = np.clip(theta + step, low, high)
            attempt = solve(trial, levels.level)
            if attempt.cost < levels.cost:
                moved = True
                break
            if float(np.max(np.abs(trial - theta))) < 1e-6:
                break
            damping *= 8
        if not moved:
            break
        gain = levels.cost - attempt.cost
        distance = float(np.max(np.abs(trial - theta)))
        theta, levels = trial, attempt
        damping = max(damping / 8, 1e-9)
        columns, gradient, cross = _profile(data, shape, theta, levels, tick)
        if distance < 1e-5 or gain < 1e-9 * levels.cost:
            break
    return _Theta(shape, theta, levels, columns, cross)


def _variance(data: _Data, expected: Floats, cv: float) -> Floats:
    return np.asarray(data.sigma2 + np.square(cv * np.maximum(expected, 0.0)))


def _scale2(data: _Data, levels: _Levels, variance: Floats, given: float | None) -> float:
    """Squared scale of the residuals, where soft_l1 begins to discount.

    cv is what trade data scatter at worst. Where a type's residuals are much smaller (median
    absolute deviation, 20 periods or more), a theft stands out earlier.
    """
    if given is not None:
        return given * given
    spare = data.n - data.ids.size
    if data.n < 20 or spare < 10:
        return 1.0
    standard = np.abs(levels.expected - data.observed) / np.sqrt(variance)
    scale = 1.4826 * float(np.median(standard)) * np.sqrt(data.n / spare)
    return float(np.clip(scale, 0.02, 1.0)) ** 2


def _dispersion(data: _Data, levels: _Levels, parameters: int) -> float:
    """Residual variance over the nominal one; 1 where no freedom is left to tell."""
    spare = data.n - parameters
    if spare <= 0:
        return float(np.mean(data.weight))
    total = float(np.sum(levels.robust * np.square(levels.expected - data.observed)))
    if spare < 5:
        return (total + float(np.mean(data.weight))) / (spare + 1)
    return max(total / spare, 1e-12)


def _aicc(data: _Data, cost: float, theta: int) -> float:
    """AICc with n periods; K counts the levels, theta and the variance. NaN for n <= K + 1."""
    n = data.n
    k = data.ids.size + theta + 1
    if n - k - 1 <= 0:
        return float("nan")
    return n * float(np.log(max(cost, 1e-300) / n)) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _left_out(data: _Data, found: _Theta) -> float:
    """Root mean square error of each period predicted without it, to first order; NaN if none.

    r / (1 - leverage); a period that alone decides its item cannot be predicted and does not count.
    """
    levels = found.levels
    slope2 = levels.robust * np.square(levels.slope)
    leverage = slope2 / np.maximum(levels.information, 1e-300)[data.period_item]
    free = found.free
    if np.any(free):
        columns = found.columns[free]
        try:
            solved = np.linalg.solve(found.information[np.ix_(free, free)], columns)
        except np.linalg.LinAlgError:
            return float("nan")
        leverage = leverage + levels.robust * np.sum(columns * solved, axis=0)
    used = (np.diff(data.period_first)[data.period_item] > 1) & (leverage < 0.999)
    if not np.any(used):
        return float("nan")
    error = (levels.expected - data.observed)[used] / (1.0 - leverage[used])
    return float(np.sqrt(np.mean(np.square(error))))


# ----------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class ItemCurve:
    """The curve of one product; NaN (or None in `parameters`) where something is not defined.

    Attributes
    ----------
    item : int
    a, b, c : float
        coefficient_a, _b, _c as `curves.Family.coefficients` maps the family.
    family : str
    parameters : dict of str to float
        The family's own parameters.
    se_a, se_b, se_c : float
        Standard errors; of b that of the type. NaN when given, default, on a bound.
    r2 : float
        Over its own periods; NaN with fewer than 4 or when nothing varies.
    n_periods : int
        Valid periods used.
    age_min, age_max : float
        Ages they saw, days.
    pull : float
        Share of the type in the level, 0 (own data alone) to 1 (the type's level).
    outcome : str
        fitted, pooled (the type has at least `POOLED` of the say, or one period only), type_curve
        (no valid period of its own), failed.
    reason : str or None
        Why not simply fitted.
    """

    item: int
    a: float
    b: float
    c: float
    family: str
    parameters: dict[str, float]
    se_a: float
    se_b: float
    se_c: float
    r2: float
    n_periods: int
    age_min: float
    age_max: float
    pull: float
    outcome: str
    reason: str | None


@dataclass(frozen=True)
class Candidate:
    """How a family did on one type.

    Attributes
    ----------
    family : str
    n : int
        Periods it was compared on.
    aicc, loo_rmse : float
        Which of the two decided depends on n; NaN where not defined. loo_rmse in kg.
    theta, se : dict of str to float
        Shape parameters (b, n, h natural; rho = c / a) and the standard error (of the logarithm,
        except rho).
    eligible : bool
    reason : str or None
        Why not eligible.
    """

    family: str
    n: int
    aicc: float
    loo_rmse: float
    theta: dict[str, float]
    se: dict[str, float]
    eligible: bool
    reason: str | None


@dataclass(frozen=True)
class TypeFit:
    """The fit of all products of a type.

    Attributes
    ----------
    family : str
    a : float
        Level of the type's curve.
    b, c : float
        Its other coefficients.
    parameters : dict of str to float
        The family's own parameters at that level.
    theta, se : dict of str to float
        As in `Candidate`.
    b_is_identified : bool
        Whether the data tell the shape; if not, b is the default.
    reason : str or None
        Why not.
    rate : float
        Shortage per kg-day, all valid periods.
    level_spread : float
        Standard deviation of ln a between products; NaN with fewer than 4.
    dispersion : float
        Residual variance over the nominal one (sigma^2 + (cv expected)^2).
    n_periods : int
    age_min, age_max : float
        Days.
    candidates : list of Candidate
    items : list of ItemCurve
        One for each item, in order.
    """

    family: str
    a: float
    b: float
    c: float
    parameters: dict[str, float]
    theta: dict[str, float]
    se: dict[str, float]
    b_is_identified: bool
    reason: str | None
    rate: float
    level_spread: float
    dispersion: float
    n_periods: int
    age_min: float
    age_max: float
    candidates: list[Candidate]
    items: list[ItemCurve] = field(repr=False)


def pool_rate(
    shortage: ArrayLike, kg_days: ArrayLike, type_rate: float, kappa: float = 20.0
) -> Floats:
    """Draw a rate toward that of the type: (shortage + kappa mu) / (kg_days + kappa).

    Parameters
    ----------
    shortage : array_like of float, shape (n,)
        kg.
    kg_days : array_like of float, shape (n,)
        kg x days.
    type_rate : float
        mu, per day.
    kappa : float
        kg x days that the type counts for.

    Returns
    -------
    ndarray of float, shape (n,)
        Per day.

    References
    ----------
    Domain model 5.6; worked example E28.
    """
    exposure = np.asarray(kg_days, dtype=float) + kappa
    return np.asarray((np.asarray(shortage, dtype=float) + kappa * type_rate) / exposure)


def _spread(y: Floats, variance: Floats) -> tuple[float, float]:
    """Mean of and variance between items, where the estimate of each has its own variance.

    Paule-Mandel: tau^2 such that sum (y - mean)^2 / (variance + tau^2) = k - 1.
    """

    def weigh(tau2: float) -> tuple[float, float]:
        w = 1.0 / (variance + tau2)
        mean = float(np.sum(w * y) / np.sum(w))
        return mean, float(np.sum(w * np.square(y - mean)))

    freedom = y.size - 1
    low = 0.0
    high = 4.0 * float(np.var(y)) + 1e-12
    mean, q = weigh(low)
    if q <= freedom:
        return mean, 0.0
    while weigh(high)[1] > freedom:
        high *= 4.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if weigh(middle)[1] > freedom:
            low = middle
        else:
            high = middle
    tau2 = 0.5 * (low + high)
    return weigh(tau2)[0], tau2


# -------------------------------------------------------------------------------------------- fits


def _never() -> None:
    """Look for no interrupts."""


def _ragged(
    periods: int, term_offset: ArrayLike, terms: int
) -> Ints:
    """Turn offsets (n or n + 1 of them) into counts."""
    offset = np.asarray(term_offset, dtype=np.int64).ravel()
    if offset.size == periods:
        offset = np.append(offset, terms)
    if offset.size != periods + 1 or offset[0] != 0 or offset[-1] != terms:
        raise BadOptions(
            "term_offset does not cut the terms into periods",
            detail=f"{offset.size} offsets, {periods} periods, {terms} terms.",
            hint="Give where each period's terms begin, from 0, optionally the total at the end.",
        )
    counts = np.diff(offset)
    if np.any(counts < 0):
        raise BadOptions("term_offset falls", hint="Order the terms by period.")
    return counts.astype(np.int64)


def _column(name: str, values: ArrayLike, size: int) -> Floats:
    array = np.asarray(values, dtype=float)
    if array.ndim == 0:
        return np.full(size, float(array))
    if array.ravel().size != size:
        raise BadOptions(
            f"{name} has {array.ravel().size} values, not {size}", hint="Give one for each."
        )
    return array.ravel()


def fit_type(
    item: ArrayLike,
    shortage: ArrayLike,
    kg_days: ArrayLike,
    weight: ArrayLike,
    sigma_count: ArrayLike,
    term_offset: ArrayLike,
    term_mass: ArrayLike,
    term_age_from: ArrayLike,
    term_age_to: ArrayLike,
    *,
    n_items: int | None = None,
    family: str = "auto",
    b: ArrayLike | None = None,
    c: ArrayLike | None = None,
    default_b: float = 0.049,
    cv: float = 0.25,
    kappa: float = 20.0,
    robust_scale: float | None = None,
    tick: Callable[[], None] = _never,
) -> TypeFit:
    """Fit the curves of all products of one type.

    Parameters
    ----------
    item : array_like of int, shape (n,)
        Product of each period, 0 .. n_items - 1, never falling; periods of a product in time order.
    shortage : array_like of float, shape (n,)
        True loss found at the closing count, kg, signed (a surplus is negative).
    kg_days : array_like of float, shape (n,)
        Integral of the book, kg x days.
    weight : array_like of float, shape (n,)
        Confidence times priority. 0 or NaN: the period is not used.
    sigma_count : array_like of float, shape (n,) or scalar
        Standard deviation of the count, kg; NaN or 0: that of a scale of one gram.
    term_offset : array_like of int, shape (n,) or (n + 1,)
        Where each period's terms begin.
    term_mass, term_age_from, term_age_to : array_like of float, shape (m,)
        Exposure terms, kg and days (see `accounting.Period`).
    n_items : int, optional
        Products of the type, also those without periods; default the largest item + 1.
    family : str
        A family, or "auto".
    b : float or array_like of float, shape (n_items,), optional
        Given, 1/day (exp, exp_linear only); then it is not fitted.
    c : float or array_like of float, shape (n_items,), optional
        Given, fraction per day, in absolute units (not a ratio to a).
    default_b : float
        b of a type whose data do not tell it, 1/day.
    cv : float
        Relative standard deviation of a shortage around its expectation.
    kappa : float
        kg x days the type counts for where fewer than 4 products tell how products differ.
    robust_scale : float, optional
        Where soft_l1 begins to discount, in nominal standard deviations; default from the data.
    tick : callable
        Called at least every 100 ms.

    Returns
    -------
    TypeFit
        One outcome for each item; bad data of one never stop the others.

    Raises
    ------
    BadOptions
        Columns that do not fit together, unknown family, impossible b or c.

    Notes
    -----
    Theta is decided on at most `_THETA_PERIODS` periods (evenly spaced products), levels on all.
    A shape counts as identified with at least 3 periods, 2 distinct age ranges (whole days), theta
    within its bounds, and a standard error of ln b (ln n, ln h) of at most `IDENTIFIED`. c stays 0
    unless the largest age exceeds 3 / b. With `auto` and n >= 8 periods (more than K + 1) the
    identified family of least AICc wins, exp and exp_linear also when within 2 of it; otherwise the
    least leave-one-out error among families with at most one shape parameter, exp within 5 %.

    References
    ----------
    Domain model 5.6; worked examples E12, E28, E33. Pooling: Paule, Mandel (1982), Consensus values
    and weighting factors; Gauss-Newton with levels profiled out: Golub, Pereyra (1973).
    """
    ids = np.asarray(item, dtype=np.int64).ravel()
    n = ids.size
    observed = _column("shortage", shortage, n)
    exposure = _column("kg_days", kg_days, n)
    weights = _column("weight", weight, n)
    sigma = _column("sigma_count", sigma_count, n)
    mass = np.asarray(term_mass, dtype=float).ravel()
    age_from = _column("term_age_from", term_age_from, mass.size)
    age_to = _column("term_age_to", term_age_to, mass.size)
    counts = _ragged(n, term_offset, mass.size)
    if n and (ids.min() < 0 or np.any(np.diff(ids) < 0)):
        raise BadOptions("item falls or is negative", hint="Number items from 0, order by item.")
    total_items = int(n_items if n_items is not None else (ids.max() + 1 if n else 0))
    if n and ids.max() >= total_items:
        raise BadOptions(f"item {ids.max()} of {total_items}", hint="Number items from 0.")
    if family != "auto" and family not in _SHAPES:
        raise BadOptions(
            f"unknown curve family {family!r}", hint=f"Use auto or one of {', '.join(_SHAPES)}."
        )
    if not (cv >= 0 and kappa >= 0 and default_b > 0):
        raise BadOptions("cv and kappa cannot be negative, default_b must be positive")
    given_b = None if b is None else _column("b", b, total_items)
    given_c = None if c is None else _column("c", c, total_items)
    if (given_b is not None or given_c is not None) and family not in ("auto", "exp", "exp_linear"):
        raise BadOptions(f"{family} takes neither b nor c", hint="Use exp or exp_linear.")
    for name, values, least in (("b", given_b, 0.0), ("c", given_c, -1e-300)):
        if values is not None and not np.all(np.isfinite(values) & (values > least)):
            raise BadOptions(f"{name} must be finite and not negative", hint="Leave it out to fit it.")

    # Which periods can be used, and which products have data that are no numbers.
    sigma = np.where(np.isfinite(sigma) & (sigma > _SMALLEST_SIGMA), sigma, _SMALLEST_SIGMA)
    starts = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64) if n else counts
    terms_bad = ~(np.isfinite(mass) & np.isfinite(age_from) & np.isfinite(age_to))
    terms_bad |= (age_from < 0) | (age_to < age_from)
    wanted = np.isfinite(weights) & (weights > 0)
    broken = wanted & (
        ~np.isfinite(observed) | ~np.isfinite(exposure)
        | (_sums(terms_bad.astype(float), starts, counts) > 0)
    )  # fmt: skip
    failed = np.zeros(total_items, dtype=bool)
    failed[ids[broken]] = True
    used = wanted & (counts > 0)
    used[failed[ids]] = False
    kept_terms = np.repeat(used, counts)
    data: _Data | None = None
    if np.any(used):
        present = np.unique(ids[used])
        data = _Data(
            ids[used], observed[used], exposure[used], weights[used], sigma[used], counts[used],
            mass[kept_terms], age_from[kept_terms], age_to[kept_terms],
            None if given_c is None else given_c[present],
            None if given_b is None else given_b[present],
        )  # fmt: skip
    return _fit(
        data, total_items, failed, family, given_b, given_c, default_b, cv, kappa, robust_scale, tick
    )


def _age_ranges(data: _Data) -> tuple[int, Floats, Floats]:
    """Count distinct age ranges (whole days), and the range of each period."""
    starts = data.term_first[:-1]
    youngest = np.minimum.reduceat(data.age_from, starts)
    oldest = np.maximum.reduceat(data.age_to, starts)
    ranges = np.unique(np.floor(np.stack([youngest, oldest])), axis=1)
    return ranges.shape[1], youngest, oldest


def _natural(shape: _Shape, theta: Floats) -> dict[str, float]:
    return {
        name: float(value) if name == "rho" else float(np.exp(value))
        for name, value in zip(shape.theta, theta, strict=True)
    }


def _judge(
    data: _Data, found: _Theta, ranges: int, oldest: float
) -> tuple[dict[str, float], str | None]:
    """Standard errors of theta, and why the data do not tell it (None: they do)."""
    d = found.theta.size
    covariance = found.covariance(_dispersion(data, found.levels, data.ids.size + d))
    errors = {
        name: float(np.sqrt(covariance[k, k])) for k, name in enumerate(found.shape.theta)
    }
    if not d:
        return errors, None
    if data.n < 3:
        return errors, "fewer than 3 periods"
    if ranges < 2:
        return errors, "all periods cover the same ages"
    if data.n <= data.ids.size + d:
        return errors, "as many unknowns as periods"
    for k, name in enumerate(found.shape.theta):
        if name == "rho":
            continue
        if not found.free[k]:
            return errors, f"{name} runs to its bound"
        if not errors[name] <= IDENTIFIED:
            return errors, f"standard error of ln {name} is {errors[name]:.2f}"
    if found.shape.name == "exp_linear":
        if oldest <= 3.0 / np.exp(found.theta[0]):
            return errors, "no age beyond 3 / b"
        if found.theta[1] <= 0:
            return errors, "c is 0"
    return errors, None


def _fit(
    data: _Data | None,
    total_items: int,
    failed: NDArray[np.bool_],
    family: str,
    given_b: Floats | None,
    given_c: Floats | None,
    default_b: float,
    cv: float,
    kappa: float,
    robust_scale: float | None,
    tick: Callable[[], None],
) -> TypeFit:
    nan = float("nan")
    not_a_number = "a mass, an age or a shortage is not a finite number"
    if data is None:
        reason = "the type has no valid period"
        items = [
            ItemCurve(
                i, nan, nan, nan, "exp", {}, nan, nan, nan, nan, 0, nan, nan, nan, "failed",
                not_a_number if failed[i] else reason,
            )
            for i in range(total_items)
        ]  # fmt: skip
        return TypeFit(
            "exp", nan, nan, nan, {}, {}, {}, False, reason, nan, nan, nan, 0, nan, nan, [], items
        )

    ranges, youngest, oldest = _age_ranges(data)
    exposure = float(np.sum(data.kg_days))
    lost = float(np.sum(data.observed))
    rate = lost / exposure if exposure > 0 else nan
    exp = _SHAPES["exp"]
    candidates: list[Candidate] = []
    known_b = given_b is not None
    reason: str | None = None

    # The first variance comes from the type's rate, the next from a fit with the default b.
    few = data.some(_THETA_PERIODS)
    theta = np.array([np.log(default_b)])
    variance = _variance(few, max(rate, 0.0) * few.kg_days if rate == rate else few.observed, cv)
    scale2 = 1.0 if robust_scale is None else robust_scale**2
    for _ in range(2):
        levels = _solve_levels(few, exp, theta, variance, scale2, tick)
        variance = _variance(few, levels.expected, cv)

    chosen: _Theta | None = None
    errors: dict[str, float] = {}
    if known_b:
        shape = exp
        reason = "b is given"
    else:
        first = exp if family == "auto" else _SHAPES[family]
        if given_c is not None:
            first = exp
        found = _fit_theta(few, first, variance, scale2, tick)
        for _ in range(2):
            scale2 = _scale2(few, found.levels, variance, robust_scale)
            variance = _variance(few, found.levels.expected, cv)
            found = _fit_theta(few, first, variance, scale2, tick, start=found.theta)
        # All families are compared under one variance and one scale.
        names = [first.name]
        if family == "auto" and given_c is None:
            names += [name for name in _SHAPES if name != first.name]
        tried: dict[str, _Theta] = {}
        enough = few.n >= 8 and few.n - few.ids.size - 3 > 0
        for name in names:
            fit = found if name == first.name else _fit_theta(few, _SHAPES[name], variance, scale2, tick)
            theta_errors, why = _judge(few, fit, ranges, float(oldest.max()))
            if why is None and not enough and fit.theta.size > 1 and family == "auto":
                why = "too many parameters for so few periods"
            if why == "c is 0" and family == "exp_linear":
                why = None
            score = _aicc(few, fit.levels.cost, fit.theta.size)
            left_out = _left_out(few, fit)
            candidates.append(
                Candidate(
                    name, few.n, score, left_out, _natural(fit.shape, fit.theta), theta_errors,
                    why is None, why,
                )
            )  # fmt: skip
            tried[name] = fit
        winner = _choose(candidates, enough, family)
        if winner is None:
            # exp_linear without a c is exp.
            reason = candidates[0].reason
            if family == "exp_linear" and reason == "no age beyond 3 / b":
                fit = _fit_theta(few, exp, variance, scale2, tick)
                theta_errors, why = _judge(few, fit, ranges, float(oldest.max()))
                reason = why
                if why is None:
                    tried["exp"] = fit
                    winner = "exp"
                    candidates.append(
                        Candidate(
                            "exp", few.n, _aicc(few, fit.levels.cost, 1), _left_out(few, fit),
                            _natural(exp, fit.theta), theta_errors, True, None,
                        )
                    )  # fmt: skip
        if winner is not None:
            chosen = tried[winner]
            for _ in range(2):
                scale2 = _scale2(few, chosen.levels, variance, robust_scale)
                variance = _variance(few, chosen.levels.expected, cv)
                chosen = _fit_theta(
                    few, chosen.shape, variance, scale2, tick, start=chosen.theta
                )
            errors, _ = _judge(few, chosen, ranges, float(oldest.max()))
            theta, shape = chosen.theta, chosen.shape
        else:
            shape = exp
    identified = chosen is not None and bool(shape.theta)
    if chosen is not None and not shape.theta:
        reason = f"{shape.name} has no b"

    # Levels of all products under the type's shape.
    expected = max(rate, 0.0) * data.kg_days if rate == rate else data.observed
    variance = _variance(data, expected, cv)
    levels = _solve_levels(data, shape, theta, variance, scale2, tick, iterations=3)
    for _ in range(2):
        scale2 = _scale2(data, levels, variance, robust_scale)
        variance = _variance(data, levels.expected, cv)
        levels = _solve_levels(
            data, shape, theta, variance, scale2, tick, iterations=2, start=levels.level
        )
    dispersion = _dispersion(data, levels, data.ids.size + (theta.size if identified else 0))
    periods = np.diff(data.period_first)
    raw = levels.level
    log_error = np.sqrt(dispersion / np.maximum(levels.information, 1e-300)) / raw
    useful = (raw > 10 * _SMALLEST) & (periods >= 2) & (log_error < 1.0)
    tau2 = nan
    if int(useful.sum()) >= 4:
        mean, tau2 = _spread(np.log(raw[useful]), np.square(log_error[useful]))
        mean_variance = 1.0 / float(np.sum(1.0 / (np.square(log_error[useful]) + tau2)))
        prior = (mean, max(tau2, 1e-6), dispersion)
        levels = _solve_levels(
            data, shape, theta, variance, scale2, tick, iterations=5, start=raw, prior=prior
        )
        level = levels.level
        own = levels.information * np.square(level) / dispersion
        pull = (1.0 / prior[1]) / (own + 1.0 / prior[1])
        relative = np.sqrt(1.0 / (own + 1.0 / prior[1]))
        type_level = float(np.exp(mean))
        type_relative = float(np.sqrt(tau2 + mean_variance))
    else:
        # Too few products to tell how products differ: the rule of kappa kg-days.
        by_item = data.period_first[:-1]
        item_days = np.add.reduceat(data.kg_days, by_item)
        item_lost = np.add.reduceat(data.observed, by_item)
        pull = kappa / (np.maximum(item_days, 0.0) + kappa) if kappa > 0 else np.zeros(raw.size)
        solid = raw > 10 * _SMALLEST
        share = np.maximum(item_days, 0.0) * solid
        type_level = (
            float(np.exp(np.sum(share * np.log(raw)) / np.sum(share))) if share.sum() > 0 else nan
        )
        mu = float(np.sum(item_lost * solid) / share.sum()) if share.sum() > 0 else nan
        pooled = pool_rate(item_lost, item_days, mu, kappa)
        rates = item_lost / np.where(item_days > 0, item_days, 1.0)
        fair = solid & (rates > 0) & (item_days > 0) & (pooled > 0)
        level = np.where(
            fair, raw * pooled / np.where(fair, rates, 1.0),
            type_level * np.clip(pooled / mu, 0.0, None) if mu > 0 else raw,
        )  # fmt: skip
        if data.ids.size == 1:
            level, pull = raw, np.zeros(1)
        level = np.maximum(np.where(np.isfinite(level), level, raw), _SMALLEST)
        relative = np.where(log_error < 10, log_error, nan)
        type_relative = float(np.sqrt(np.mean(np.square(relative)))) if solid.any() else nan
        levels = _at(data, shape, theta, level, levels)
    return _describe(
        data, total_items, failed, shape, theta, errors, identified, reason, rate, tau2,
        dispersion, candidates, chosen, level, levels, relative, pull, type_level, type_relative,
        given_b, given_c, periods, youngest, oldest, default_b,
    )  # fmt: skip
