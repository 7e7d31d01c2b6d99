"""The engine of the shrinkage fit: all levels for one shape, and the shape by profile likelihood.

S_i(t) = a_i phi(t; theta). For a fixed theta each level a_i is one dimension, solved for all items
together; theta then has one or two dimensions. Data are cut into parts of whole items whose terms
fit the processor's cache, and each part is one step between two looks for interrupts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEAST_G",
    "SHAPES",
    "SMALLEST_LEVEL",
    "Data",
    "Levels",
    "Noise",
    "Shape",
    "Theta",
    "aicc",
    "differentiate",
    "dispersion_of",
    "fit_theta",
    "left_out",
    "nominal_noise",
    "renew_noise",
    "solve_levels",
    "sums",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMALLEST_LEVEL = 1e-9
_CHUNK = 1 << 16  # terms in a part
LEAST_G = 0.02  # 1 - S is held above this
_LEAST_CV = 0.003


# ------------------------------------------------------------------------------------- unit shapes


@dataclass(frozen=True)
class Shape:
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
                return np.exp(theta[0]) / np.maximum(a, SMALLEST_LEVEL), 1.0 / np.maximum(
                    a, SMALLEST_LEVEL
                )
            case _:
                return a, np.exp(theta[0]) * one, np.exp(theta[1]) * one


_LOG_B = tuple(float(x) for x in np.log([0.005, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8]))
_BOUNDS_B = (float(np.log(1e-3)), float(np.log(5.0)))

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("linear", (), lambda t, p: t, (), (), ()),
        Shape(
            "exp", ("b",), lambda t, p: -np.expm1(-np.exp(p[0]) * t), (_LOG_B,), _BOUNDS_B[:1],
            _BOUNDS_B[1:],
        ),
        Shape(
            "exp_linear", ("b", "rho"), lambda t, p: p[1] * t - np.expm1(-np.exp(p[0]) * t),
            (_LOG_B, (0.0, 0.004, 0.02)), (_BOUNDS_B[0], 0.0), (_BOUNDS_B[1], 1.0),
        ),
        Shape(
            "power", ("n",), lambda t, p: np.power(t, np.exp(p[0])),
            (tuple(float(x) for x in np.log([0.3, 0.5, 0.7, 0.9, 1.2])),),
            (float(np.log(0.05)),), (float(np.log(4.0)),),
        ),
        Shape(
            "peleg", ("h",), lambda t, p: t / (t + np.exp(p[0])),
            (tuple(float(x) for x in np.log([1.0, 3.0, 10.0, 30.0, 100.0])),),
            (float(np.log(0.1)),), (float(np.log(1e4)),),
        ),
        Shape(
            "weibull", ("b", "n"),
            lambda t, p: -np.expm1(-np.power(np.exp(p[0]) * t, np.exp(p[1]))),
            (_LOG_B[1:7], tuple(float(x) for x in np.log([0.6, 1.0, 1.5]))),
            (_BOUNDS_B[0], float(np.log(0.2))), (_BOUNDS_B[1], float(np.log(4.0))),
        ),
    )
}  # fmt: skip


# ----------------------------------------------------------------------------------- data in parts


def sums(values: Floats, starts: Ints, counts: Ints) -> Floats:
    """Sum each segment; an empty one gives 0 (reduceat alone would give a neighbour)."""
    result = np.zeros(starts.size)
    filled = counts > 0
    if values.size:
        result[filled] = np.add.reduceat(values, starts[filled])
    return result


@dataclass
class Part:
    """A run of whole items: terms by period (each has some), periods by item."""

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
        return np.asarray(np.add.reduceat(values, self.term_start))

    def by_item(self, values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, self.period_start))

    def to_terms(self, values: Floats) -> Floats:
        return np.repeat(values[self.period_item], self.term_count)


@dataclass
class Basis:
    """phi at both ends of each term of a part, for one theta."""

    at: Floats
    rise: Floats
    grown: Floats  # mass x rise


def _chain(follows: NDArray[np.bool_]) -> tuple[Ints, ...]:
    """Group the periods that follow another by their place in the run: 1st followers, 2nd, ..."""
    if not np.any(follows):
        return ()
    place = np.arange(follows.size)
    begin = np.maximum.accumulate(np.where(follows, 0, place))
    rank = place - begin
    order = np.argsort(rank, kind="stable")
    cuts = np.searchsorted(rank[order], np.arange(1, int(rank.max()) + 2))
    return tuple(order[a:b] for a, b in pairwise(cuts))


class Data:
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
        follows: NDArray[np.bool_],
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
        # Whether a period's opening count is the closing count of the one before.
        self.follows = follows & np.append(False, np.diff(item) == 0)
        self.chain = _chain(self.follows)
        self.parts = list(self._cut())

    def _cut(self) -> Iterator[Part]:
        item = 0
        last = self.ids.size
        while item < last:
            begin = int(self.term_first[self.period_first[item]])
            ends = self.term_first[self.period_first[item + 1 :]]
            stop = item + max(1, int(np.searchsorted(ends, begin + _CHUNK, side="right")))
            stop = min(stop, last)
            yield self._part(item, stop)
            item = stop

    def _part(self, item: int, stop: int) -> Part:
        p = slice(int(self.period_first[item]), int(self.period_first[stop]))
        t = slice(int(self.term_first[p.start]), int(self.term_first[p.stop]))
        count = self.count[p]
        period_item = self.period_item[p] - item
        per_term = np.repeat(self.period_item[p], count)
        return Part(
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

    def some(self, limit: int) -> Data:
        """Keep evenly spaced items with about `limit` periods together; all when there are few."""
        if self.n <= limit:
            return self
        step = -(-self.n // limit)
        kept = np.zeros(self.ids.size, dtype=bool)
        kept[::step] = True
        return self.of_periods(kept[self.period_item])

    def of_periods(self, kept: NDArray[np.bool_]) -> Data:
        terms = np.repeat(kept, self.count)
        ids = np.unique(self.period_item[kept])
        return Data(
            self.item[kept], self.observed[kept], self.kg_days[kept], self.weight[kept],
            np.sqrt(self.sigma2[kept]), self.count[kept], self.mass[terms], self.age_from[terms],
            self.age_to[terms], self.follows[kept],
            None if self.steady is None else self.steady[ids],
            None if self.b is None else self.b[ids],
        )  # fmt: skip


def _basis(part: Part, shape: Shape, theta: Floats) -> Basis:
    if part.b is None:
        at = shape.phi(part.age_from, theta)
        rise = shape.phi(part.age_to, theta)
    else:
        at = -np.expm1(-part.b * part.age_from)
        rise = -np.expm1(-part.b * part.age_to)
    rise = rise - at  # not in place: phi of linear is the age itself
    return Basis(at, rise, part.mass * rise)


def _expect(part: Part, basis: Basis, level: Floats) -> tuple[Floats, Floats]:
    """Expected shortage of each period, and its derivative by the level of the item."""
    a = part.to_terms(level)
    if part.steady is None:
        # g = 1 - a phi(t); the expectation is a grown / g, its derivative grown / g^2.
        g = a
        g *= basis.at
        np.subtract(1.0, g, out=g)
        np.maximum(g, LEAST_G, out=g)
        unit = basis.grown / g
        expected = level[part.period_item] * part.by_period(unit)
        unit /= g
        return expected, part.by_period(unit)
    g = np.maximum(1.0 - a * basis.at - part.steady * part.age_from, LEAST_G)
    lost = a * basis.rise + part.steady * (part.age_to - part.age_from)
    slope = (basis.rise * g + lost * basis.at) / np.square(g)
    return part.by_period(part.mass * lost / g), part.by_period(part.mass * slope)


@dataclass(frozen=True)
class Noise:
    """How the found shortages scatter, and where soft_l1 begins to discount.

    A count closes one period and opens the next, so the errors of neighbours hang together: what
    one count overlooks the next finds. `whiten` takes out of each period what the one before says
    about it (the Cholesky factor of a tridiagonal covariance) and divides by the standard
    deviation that is left.
    """

    scale: Floats  # 1 / standard deviation of what is left
    carry: tuple[tuple[int, Floats], ...]  # distances, and the factor of what stands so far before
    scale2: float

    def whiten(self, part: Part, values: Floats) -> Floats:
        """Turn values by period into independent ones of unit variance."""
        if self.carry:
            values = values.copy()
        for distance, factor in self.carry:
            values[distance:] += factor[part.periods][distance:] * values[:-distance]
        return values * self.scale[part.periods]


def _double(factor: Floats) -> Iterator[tuple[int, Floats]]:
    """Solve x[t] = y[t] + factor[t] x[t - 1] for all t at once, in steps of doubled distance."""
    distance = 1
    while distance < factor.size and float(np.max(np.abs(factor))) > 1e-9:
        yield distance, factor
        reached = np.zeros_like(factor)
        reached[distance:] = factor[distance:] * factor[:-distance]
        factor = reached
        distance *= 2


def _nominal(data: Data, expected: Floats, cv: float) -> Floats:
    return np.asarray(data.sigma2 + np.square(cv * np.maximum(expected, 0.0)))


def nominal_noise(data: Data, expected: Floats, cv: float) -> Noise:
    """The noise of domain model 5.6: sigma^2 + (cv expected)^2, periods independent."""
    return Noise(1.0 / np.sqrt(_nominal(data, expected, cv)), (), 1.0)


def renew_noise(data: Data, levels: Levels, cv: float, adapt: bool) -> Noise:
    """Renew the noise from the residuals.

    `cv` is what trade data scatter at worst. Where a type has enough periods to tell (20, and 10
    more than products), the median residual says how much less it is: periods then weigh what they
    are worth, a theft stands out earlier, and the counts that neighbours share are accounted for.
    """
    spare = data.n - data.ids.size
    if not adapt or data.n < 20 or spare < 10:
        return nominal_noise(data, levels.expected, cv)
    residual = np.abs(levels.expected - data.observed) * (1.4826 * np.sqrt(data.n / spare))

    def scale(cv: float) -> float:
        return float(np.median(residual / np.sqrt(_nominal(data, levels.expected, cv))))

    low, high = np.log(min(_LEAST_CV, cv) + 1e-12), np.log(cv + 1e-12)
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if scale(float(np.exp(middle))) > 1.0 else (low, middle)
    told = float(np.exp(high))
    left = _nominal(data, levels.expected, told)
    carry: tuple[tuple[int, Floats], ...] = ()
    if data.chain:
        # sigma_count holds two counts; neighbours share one, with opposite signs.
        shared = np.zeros(data.n)
        sigma = np.sqrt(data.sigma2)
        shared[1:] = -0.5 * sigma[1:] * sigma[:-1]
        share = np.zeros(data.n)
        for run in data.chain:
            share[run] = shared[run] / left[run - 1]
            left[run] -= share[run] * shared[run]
        if float(np.max(np.abs(share))) >= 0.01:
            carry = tuple(_double(-share))
    return Noise(1.0 / np.sqrt(left), carry, float(np.clip(scale(told), 0.1, 1.0)) ** 2)


@dataclass
class Levels:
    """Solution for fixed theta: levels by item; the rest by period, at these levels."""

    level: Floats
    expected: Floats  # kg
    residual: Floats  # expected - observed, whitened
    slope: Floats  # d expected / d level, whitened
    robust: Floats  # weight, thefts discounted
    cost: float
    information: Floats  # by item, of the level


def _soft_l1(residual: Floats, scale2: float) -> tuple[Floats, Floats]:
    """What each residual costs, and its weight in the next step."""
    root = np.sqrt(1.0 + np.square(residual) / scale2)
    return 2.0 * scale2 * (root - 1.0), 1.0 / root


def solve_levels(
    data: Data,
    shape: Shape,
    theta: Floats,
    noise: Noise,
    tick: Callable[[], None],
    *,
    iterations: int = 4,
    start: Floats | None = None,
    prior: tuple[float, float, float] | None = None,
) -> Levels:
    """Find all levels for one theta by Gauss-Newton with the noise held.

    Without a prior the step is in a (the expectation is nearly linear in it); with a prior (mean
    and variance of ln a, dispersion) in ln a. The start is first order (worked example E12).
    """
    n, m = data.n, data.ids.size
    out = Levels(
        np.empty(m), np.empty(n), np.empty(n), np.empty(n), np.empty(n), 0.0, np.empty(m)
    )  # fmt: skip
    for part in data.parts:
        tick()
        basis = _basis(part, shape, theta)
        highest = _highest(part, basis)
        if start is None:
            w = part.weight * np.square(noise.scale[part.periods])
            unit = part.by_period(basis.grown)
            rest = part.observed
            if part.steady is not None:
                days = part.age_to - part.age_from
                rest = rest - part.by_period(part.mass * part.steady * days)
            a = part.by_item(w * unit * rest) / np.maximum(part.by_item(w * unit * unit), 1e-300)
        else:
            a = start[part.items].copy()
        a = np.clip(a, SMALLEST_LEVEL, highest)
        for turn in range(iterations + 1):
            expected, slope = _expect(part, basis, a)
            residual = noise.whiten(part, expected - part.observed)
            slope = noise.whiten(part, slope)
            costs, discount = _soft_l1(residual, noise.scale2)
            weight = part.weight * discount
            information = part.by_item(weight * np.square(slope))
            if turn == iterations:
                break
            gradient = part.by_item(weight * slope * residual)
            if prior is None:
                a = np.clip(a - gradient / np.maximum(information, 1e-300), SMALLEST_LEVEL, highest)
            else:
                mean, tau2, dispersion = prior
                u = np.log(a)
                pull = gradient * a / dispersion + (u - mean) / tau2
                bend = information * np.square(a) / dispersion + 1.0 / tau2
                a = np.clip(np.exp(u - np.clip(pull / bend, -1.0, 1.0)), SMALLEST_LEVEL, highest)
        out.cost += float(np.sum(part.weight * costs))
        out.level[part.items] = a
        out.expected[part.periods] = expected
        out.residual[part.periods] = residual
        out.slope[part.periods] = slope
        out.robust[part.periods] = weight
        out.information[part.items] = information
    return out


def _highest(part: Part, basis: Basis) -> Floats:
    """Largest level at which no batch of the item has lost all of itself."""
    largest = np.maximum.reduceat(basis.at + basis.rise, part.term_start)
    by_item = np.maximum.reduceat(largest, part.period_start)
    return np.asarray(0.98 / np.maximum(by_item, 1e-12))


# ------------------------------------------------------------------------------------------- theta


@dataclass
class Theta:
    """A profiled theta: the solution there, and the information the data hold about it."""

    shape: Shape
    theta: Floats
    noise: Noise
    levels: Levels
    columns: Floats  # (d, periods): d expectation / d theta, whitened, levels following
    cross: Floats  # (d, items): d level / d theta

    @property
    def information(self) -> Floats:
        """(d, d), levels profiled out."""
        return np.asarray((self.columns * self.levels.robust) @ self.columns.T)

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which of theta stand on no bound."""
        low, high = np.array(self.shape.low), np.array(self.shape.high)
        return np.asarray((self.theta > low + 1e-9) & (self.theta < high - 1e-9))

    def covariance(self, dispersion: float) -> Floats:
        """Covariance of theta; NaN for what stands on a bound."""
        d = self.theta.size
        result = np.full((d, d), np.nan)
        free = np.flatnonzero(self.free)
        if free.size:
            try:
                inverse = np.linalg.inv(self.information[np.ix_(free, free)])
            except np.linalg.LinAlgError:
                return result
            if np.all(np.diag(inverse) > 0):
                result[np.ix_(free, free)] = dispersion * inverse
        return result


def differentiate(
    data: Data,
    shape: Shape,
    theta: Floats,
    noise: Noise,
    levels: Levels,
    tick: Callable[[], None],
) -> tuple[Floats, Floats, Floats]:
    """Derivatives by theta with the levels profiled out.

    Returns the whitened derivative of each expectation (d, periods), the gradient of half the cost
    (d,), and d level / d theta (d, items).
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
            columns[k, part.periods] = noise.whiten(part, (up - down) / (high[k] - low[k]))
        together = np.add.reduceat(levels.robust * levels.slope * columns[k], starts)
        cross[k] = -together / np.maximum(levels.information, 1e-300)
        columns[k] += levels.slope * cross[k][data.period_item]
    gradient = columns @ (levels.robust * levels.residual)
    return columns, gradient, cross


def fit_theta(
    data: Data,
    shape: Shape,
    noise: Noise,
    tick: Callable[[], None],
    start: Floats | None = None,
) -> Theta:
    """Profile theta: the best of a grid, then projected Levenberg-Marquardt."""

    def solve(theta: Floats, warm: Floats | None = None) -> Levels:
        return solve_levels(
            data, shape, theta, noise, tick, start=warm, iterations=3 if warm is None else 2
        )

    low, high = np.array(shape.low), np.array(shape.high)
    if not shape.theta:
        theta = np.empty(0)
        none = np.empty((0, data.n)), np.empty((0, data.ids.size))
        return Theta(shape, theta, noise, solve(theta), *none)
    if start is None:
        grid = np.stack(np.meshgrid(*shape.grid, indexing="ij"), axis=-1)
        tried = [(solve(point), point) for point in grid.reshape(-1, len(shape.theta))]
        levels, theta = min(tried, key=lambda pair: pair[0].cost)
    else:
        theta = np.clip(start, low, high)
        levels = solve(theta)
    damping = 1e-3
    for _ in range(30):
        columns, gradient, cross = differentiate(data, shape, theta, noise, levels, tick)
        free = ~(((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0)))
        inner = (columns[free] * levels.robust) @ columns[free].T
        distance = 0.0
        while np.any(free) and damping < 1e8:
            damped = inner + damping * np.diag(np.maximum(np.diag(inner), 1e-12))
            step = np.zeros_like(theta)
            step[free] = np.clip(np.linalg.solve(damped, -gradient[free]), -0.7, 0.7)
            trial = np.clip(theta + step, low, high)
            distance = float(np.max(np.abs(trial - theta)))
            # Levels start where the linear model sends them: two steps then suffice.
            warm = np.maximum(levels.level + (trial - theta) @ cross, SMALLEST_LEVEL)
            attempt = solve(trial, warm)
            if attempt.cost < levels.cost or distance < 1e-6:
                break
            damping *= 8
        if distance < 1e-6 or attempt.cost >= levels.cost:
            break
        gain = levels.cost - attempt.cost
        theta, levels = trial, attempt
        damping = max(damping / 8, 1e-9)
        if distance < 1e-5 or gain < 1e-7 * levels.cost:
            columns, gradient, cross = differentiate(data, shape, theta, noise, levels, tick)
            break
    return Theta(shape, theta, noise, levels, columns, cross)


# ----------------------------------------------------------------------------------- how good it is


def dispersion_of(data: Data, levels: Levels, parameters: int) -> float:
    """Residual variance over the nominal one; 1 where no freedom is left to tell.

    Huber's estimate for what soft_l1 minimises: a stray product cannot inflate it.
    """
    spare = data.n - parameters
    nominal = float(np.mean(data.weight))
    if spare <= 0:
        return nominal
    discount = levels.robust / data.weight
    total = float(np.sum(levels.robust * discount * np.square(levels.residual)))
    total *= float(np.mean(discount)) / float(np.mean(discount**3)) ** 2
    if spare < 5:
        return (total + nominal) / (spare + 1)
    return max(total / spare, 1e-12)


def aicc(data: Data, cost: float, theta: int) -> float:
    """AICc with n periods; K counts the levels, theta and the variance. NaN for n <= K + 1."""
    n = data.n
    k = data.ids.size + theta + 1
    if n - k - 1 <= 0:
        return float("nan")
    return n * float(np.log(max(cost, 1e-300) / n)) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def left_out(data: Data, found: Theta) -> float:
    """Root mean square error of each period predicted without it, kg, to first order.

    r / (1 - leverage); a period that alone decides its item cannot be predicted and does not count.
    NaN when none counts.
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
    error = (levels.residual / found.noise.scale)[used] / (1.0 - leverage[used])
    return float(np.sqrt(np.mean(np.square(error))))
