"""What receipts bring beyond their documents, told from what the counts found.

A supplier who always delivers 5 % more (or, glazed, 5 % less) than the document says hides, or
feigns, drying. Both show in the difference of a period, but differently: a surplus goes with what
came in, drying with mass and age. Where receipts vary, level a and surplus s can be told apart:

    predicted = from older stock(a) + (1 + s) from documented receipts(a)
    found     = -difference + s R                       (R: documented receipts of the period)

The residual is linear in s and nearly so in a. Where receipts do not vary, or periods are few, each
period implies a surplus under the type's curve, and their median must stand clear of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.curves import family_of
from weighhouse.errors import BadOptions
from weighhouse.profile_fit import LEAST_G, SHAPES, SMALLEST_LEVEL, Data, Part, Shape, sums
from weighhouse.shrinkage import IDENTIFIED, column, never, ragged

__all__ = ["Implied", "Rules", "Surplus", "fit_surplus", "implied_surplus"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SMALLEST_SIGMA = 4e-4  # kg, a scale of one gram
_LEAST_CV = 0.003
_THETA_PERIODS = 5_000  # periods that decide the shape of a type
_PRIOR_FREEDOM = 4.0  # what the scatter of the type counts for in that of a product
_TOLD_APART = 1e-4  # what must be left of the information about s once a is free
_SAME_KG = 0.001  # applied surplus is stored in whole grams
_SAME_SHARE = 0.0005
_Z80 = 1.645


@dataclass(frozen=True)
class Rules:
    """When a surplus is recommended (domain model 5.8); shares are fractions.

    Attributes
    ----------
    least : float
        Smallest change worth a recommendation.
    least_t : float
        Smallest ratio of the change to its standard error.
    least_gain : float
        By how much of itself the root mean square error must fall.
    joint_periods, implied_periods : int
        Periods the joint fit and the implied surplus need.
    least_variation : float
        Coefficient of variation of receipts from which a and s count as told apart.
    prior_periods : float
        n0 of the confidence n / (n + n0).
    false_share : float
        Share of the recommendations of a type that may be chance (Benjamini, Hochberg 1995): of a
        thousand products without a surplus fifty pass two standard errors.
    """

    least: float = 0.005
    least_t: float = 2.0
    least_gain: float = 0.2
    joint_periods: int = 6
    implied_periods: int = 3
    least_variation: float = 0.05
    prior_periods: float = 3.0
    false_share: float = 0.1


@dataclass(frozen=True)
class Implied:
    """A surplus from periods whose drying is known (worked example E19); NaN where not defined.

    Attributes
    ----------
    values : ndarray of float, shape (n,)
        What each period implies; NaN where nothing came in.
    median, weighted_mean, mad, sigma : float
        sigma is 1.4826 mad.
    confidence : float
        n / (n + n0) max(0, 1 - sigma / |median|).
    bound : float
        |median| less z standard errors: above 0 the sign is certain.
    n : int
        Periods with receipts.
    """

    values: Floats = field(repr=False)
    median: float
    weighted_mean: float
    mad: float
    sigma: float
    confidence: float
    bound: float
    n: int


@dataclass(frozen=True)
class Surplus:
    """What one product's receipts bring beyond their documents; NaN where not defined.

    Attributes
    ----------
    item : int
    method : str
        joint (level and surplus together), implied (under the type's curve), none.
    surplus : float
        TOTAL share, what is applied already included; negative = under-delivery.
    applied : float
        Share the accounting applies already.
    se : float
        Standard error of the surplus.
    confidence : float
        0 to 1.
    level : float
        a of the product beside that surplus.
    a, b, c : float
        Its coefficients, as `curves.Family.coefficients` maps them.
    rmse, rmse_applied : float
        Root mean square error with this surplus and with the one applied, kg.
    n_periods : int
        Periods used: valid, and since the applied share last changed.
    places : ndarray of int, shape (n_periods,)
        Which of the product's periods, in order from 0.
    expected, implied : ndarray of float, shape (n_periods,)
        By period: predicted shortage, kg, and the surplus it implies.
    is_recommended : bool
    reason : str or None
        Why not.
    """

    item: int
    method: str
    surplus: float
    applied: float
    se: float
    confidence: float
    level: float
    a: float
    b: float
    c: float
    rmse: float
    rmse_applied: float
    n_periods: int
    places: Ints = field(repr=False)
    expected: Floats = field(repr=False)
    implied: Floats = field(repr=False)
    is_recommended: bool
    reason: str | None


def implied_surplus(
    incoming: ArrayLike,
    difference: ArrayLike,
    expected: ArrayLike,
    *,
    level_error: float = 0.0,
    prior_periods: float = 3.0,
    z: float = _Z80,
) -> Implied:
    """Tell the surplus that periods with known drying imply: (difference + expected) / incoming.

    Parameters
    ----------
    incoming : array_like of float, shape (n,)
        Documented receipts, kg; exact when given as they would weigh at the count.
    difference : array_like of float, shape (n,)
        Count less book, kg.
    expected : array_like of float, shape (n,)
        Loss by drying of the documented mass, kg.
    level_error : float
        Relative error of the expectation that all periods share.
    prior_periods, z : float
        n0 of the confidence; standard errors of the bound.

    Returns
    -------
    Implied

    References
    ----------
    Domain model 5.8; worked example E19.
    """
    came = np.asarray(incoming, dtype=float).ravel()
    lost = np.asarray(expected, dtype=float).ravel()
    gained = np.asarray(difference, dtype=float).ravel() + lost
    values = np.full(came.size, np.nan)
    np.divide(gained, came, out=values, where=came > 0)
    known = np.isfinite(values)
    n = int(known.sum())
    if not n:
        nan = float("nan")
        return Implied(values, nan, nan, nan, nan, 0.0, nan, 0)
    found = values[known]
    median = float(np.median(found))
    mad = float(np.median(np.abs(found - median)))
    sigma = 1.4826 * mad
    shared = level_error * float(lost[known].sum() / came[known].sum())
    bound = abs(median) - z * float(np.hypot(sigma / np.sqrt(n), shared))
    return Implied(
        values=values,
        median=median,
        weighted_mean=float(gained[known].sum() / came[known].sum()),
        mad=mad,
        sigma=sigma,
        confidence=_confidence(n, sigma, median, prior_periods),
        bound=bound,
        n=n,
    )


def _confidence(n: int, sigma: float, share: float, prior_periods: float) -> float:
    if not (n and np.isfinite(sigma) and share != 0):
        return 0.0
    return n / (n + prior_periods) * max(0.0, 1.0 - sigma / abs(share))


# ------------------------------------------------------------------------------------ the joint fit


@dataclass
class _Problem:
    """Periods of the products of a type that are fitted, and what to fit."""

    data: Data  # masses as documented
    received: Floats  # by term: documented mass of receipts, 0 elsewhere
    difference: Floats
    documented: Floats  # R
    share: Floats  # applied, by period
    shape: Shape
    tick: Callable[[], None]

    def some(self, limit: int) -> _Problem:
        """Keep evenly spaced products with about `limit` periods together."""
        data = self.data
        step = max(1, -(-data.n // limit))
        if step == 1:
            return self
        chosen = np.zeros(data.ids.size, dtype=bool)
        chosen[::step] = True
        kept = chosen[data.period_item]
        return _Problem(
            data.of_periods(kept), self.received[np.repeat(kept, data.count)],
            self.difference[kept], self.documented[kept], self.share[kept], self.shape, self.tick,
        )  # fmt: skip


@dataclass
class _Look:
    """The residuals at one (theta, a, s), their derivatives, and how much of them counts."""

    expected: Floats  # kg, receipts with their surplus
    residual: Floats  # kg, expected - found
    by_level: Floats
    by_share: Floats
    bare: Floats  # expected of the documented mass
    left: Floats  # documented receipts as they weigh at the count


def _look(problem: _Problem, theta: Floats, level: Floats, share: Floats) -> _Look:
    """Evaluate residuals; `level` by product, `share` by period."""
    data = problem.data
    bare, by_bare = np.empty(data.n), np.empty(data.n)
    came, by_came = np.empty(data.n), np.empty(data.n)
    for part in data.parts:
        problem.tick()
        place = slice(
            int(data.term_first[part.periods.start]), int(data.term_first[part.periods.stop])
        )
        at, rise = _phi(part, problem.shape, theta)
        a = part.to_terms(level[part.items])
        g = 1.0 - a * at
        lost = a * rise
        if part.steady is not None:
            g -= part.steady * part.age_from
            lost += part.steady * (part.age_to - part.age_from)
        np.maximum(g, LEAST_G, out=g)
        lost /= g
        slope = (rise + lost * at) / g
        received = problem.received[place]
        bare[part.periods] = part.by_period(part.mass * lost)
        by_bare[part.periods] = part.by_period(part.mass * slope)
        came[part.periods] = part.by_period(received * lost)
        by_came[part.periods] = part.by_period(received * slope)
    left = problem.documented - came
    expected = bare + share * came
    return _Look(
        expected=expected,
        residual=bare + problem.difference - share * left,
        by_level=by_bare + share * by_came,
        by_share=-left,
        bare=bare,
        left=left,
    )


def _phi(part: Part, shape: Shape, theta: Floats) -> tuple[Floats, Floats]:
    if part.b is None:
        at = shape.phi(part.age_from, theta)
        return at, shape.phi(part.age_to, theta) - at
    at = -np.expm1(-part.b * part.age_from)
    return at, -np.expm1(-part.b * part.age_to) - at


def _highest(problem: _Problem, theta: Floats) -> Floats:
    """Largest level at which no batch of the product has lost all of itself."""
    result = np.empty(problem.data.ids.size)
    for part in problem.data.parts:
        at, rise = _phi(part, problem.shape, theta)
        largest = np.maximum.reduceat(at + rise, part.term_start)
        by_item = np.maximum.reduceat(largest, part.period_start)
        result[part.items] = 0.98 / np.maximum(by_item, 1e-12)
    return result


@dataclass
class _Noise:
    """Weight of each period: of its confidence, and of what scatters."""

    weight: Floats  # confidence / variance
    scale2: Floats  # by product: variance of a whitened residual, where soft_l1 begins to discount
    robust: bool

    def of(self, residual: Floats, variance: Floats, item: Ints) -> Floats:
        if not self.robust:
            return self.weight
        away = np.square(residual) / (variance * self.scale2[item])
        return np.asarray(self.weight / np.sqrt(1.0 + away))


def _variance(data: Data, expected: Floats, cv: float) -> Floats:
    return np.asarray(data.sigma2 + np.square(cv * np.maximum(expected, 0.0)))


@dataclass
class _State:
    level: Floats
    share: Floats  # by product
    look: _Look
    weight: Floats
    variance: Floats


def _usual(data: Data, state: _State) -> Floats:
    """Give the expectations whose scatter counts: at the product's level, or the type's if higher.

    A level that noise pushed toward zero would take its scatter with it, and be believed.
    """
    raised = np.maximum(1.0, float(np.median(state.level)) / state.level)
    return np.asarray(state.look.expected * raised[data.period_item])


def _by_item(data: Data, values: Floats) -> Floats:
    return np.asarray(np.add.reduceat(values, data.period_first[:-1]))


def _median_by_item(data: Data, values: Floats) -> Floats:
    """Upper median of each product's values."""
    order = np.lexsort((values, data.period_item))
    first, stop = data.period_first[:-1], data.period_first[1:]
    return np.asarray(values[order][first + (stop - first) // 2])


def _told_cv(data: Data, state: _State, cv: float) -> float:
    """Find the cv at which the median period is as far off as it should be, at most `cv`."""
    spare = data.n - 2 * data.ids.size
    if data.n < 20 or spare < 10 or cv <= _LEAST_CV:
        return cv
    usual = _usual(data, state)
    off = np.abs(state.look.residual) * (1.4826 * np.sqrt(data.n / spare))
    low, high = np.log(_LEAST_CV), np.log(cv)
    for _ in range(12):
        middle = 0.5 * (low + high)
        ratio = np.median(off / np.sqrt(_variance(data, usual, float(np.exp(middle)))))
        low, high = (middle, high) if ratio > 1.0 else (low, middle)
    return float(np.exp(high))


def _step(problem: _Problem, state: _State, highest: Floats, fix_share: bool) -> None:
    """Take one Gauss-Newton step in (a, s) of every product at once, in place."""
    data, look, w = problem.data, state.look, state.weight
    aa = _by_item(data, w * np.square(look.by_level))
    ar = _by_item(data, w * look.by_level * look.residual)
    step = ar / np.maximum(aa, 1e-300)
    if fix_share:
        state.level = np.clip(state.level - step, SMALLEST_LEVEL, highest)
        return
    ss = _by_item(data, w * np.square(look.by_share))
    cross = _by_item(data, w * look.by_level * look.by_share)
    sr = _by_item(data, w * look.by_share * look.residual)
    # s for the level taken; the level with s following, where the two can be told apart.
    rest = aa - np.square(cross) / np.maximum(ss, 1e-300)
    told = rest > 1e-9 * aa
    step = np.where(
        told, (ar - cross * sr / np.maximum(ss, 1e-300)) / np.where(told, rest, 1.0), 0.0
    )
    level = np.clip(state.level - step, SMALLEST_LEVEL, highest)
    moved = level - state.level
    share = state.share - (sr + cross * moved) / np.maximum(ss, 1e-300)
    state.level = level
    state.share = np.where(ss > 0, np.clip(share, -0.9, 2.0), state.share)


def _solve(
    problem: _Problem,
    theta: Floats,
    state: _State,
    noise: _Noise | None,
    turns: int,
    fix_share: bool = False,
) -> None:
    """Iterate levels and shares; `noise` None keeps the weights as they are."""
    highest = _highest(problem, theta)
    data = problem.data
    for turn in range(turns + 1):
        share = problem.share if fix_share else state.share[data.period_item]
        state.look = _look(problem, theta, state.level, share)
        if noise is not None:
            state.weight = noise.of(state.look.residual, state.variance, data.period_item)
        if turn < turns:
            _step(problem, state, highest, fix_share)


def _refine(problem: _Problem, theta: Floats, state: _State) -> Floats:
    """Move theta to where levels and surpluses fit best, all products of the type together.

    A surplus that nobody specified bends the shape that the fit found; with s free it straightens.
    """
    shape = problem.shape
    low, high = np.array(shape.low), np.array(shape.high)
    damping = 1e-3
    cost = float(np.sum(state.weight * np.square(state.look.residual)))
    for _ in range(12):
        data, look, w = problem.data, state.look, state.weight
        share = state.share[data.period_item]
        columns = np.empty((theta.size, data.n))
        for k in range(theta.size):
            up, down = theta.copy(), theta.copy()
            up[k] = min(theta[k] + 1e-4, high[k])
            down[k] = max(theta[k] - 1e-4, low[k])
            rise = _look(problem, up, state.level, share).residual
            rise = rise - _look(problem, down, state.level, share).residual
            columns[k] = rise / (up[k] - down[k])
        free = _without(data, w, look.by_level, look.by_share, columns)
        inner = (free * w) @ free.T
        gradient = (free * w) @ look.residual
        if not _is_told(inner, cost / max(data.n - 2 * data.ids.size - theta.size, 1)):
            break
        moved = False
        while damping < 1e6:
            damped = inner + damping * np.diag(np.maximum(np.diag(inner), 1e-12))
            trial = np.clip(
                theta - np.clip(np.linalg.solve(damped, gradient), -0.5, 0.5), low, high
            )
            attempt = _State(state.level, state.share, look, w, state.variance)
            _solve(problem, trial, attempt, None, 3)
            value = float(np.sum(w * np.square(attempt.look.residual)))
            if value < cost:
                moved = True
                break
            damping *= 8
        if not moved:
            break
        gain, distance = cost - value, float(np.max(np.abs(trial - theta)))
        theta, cost = trial, value
        state.level, state.share, state.look = attempt.level, attempt.share, attempt.look
        damping = max(damping / 8, 1e-9)
        if distance < 1e-4 or gain < 1e-6 * cost:
            break
    return theta


def _is_told(information: Floats, dispersion: float) -> bool:
    """Tell whether the data know theta beside levels and surpluses."""
    try:
        errors = np.sqrt(dispersion * np.diag(np.linalg.inv(information)))
    except np.linalg.LinAlgError:
        return False
    return bool(np.all(errors <= IDENTIFIED))


def _without(data: Data, weight: Floats, first: Floats, second: Floats, columns: Floats) -> Floats:
    """Take out of each column what two columns of the same product explain."""
    result = columns.copy()
    basis: list[tuple[Floats, Floats]] = []
    for vector in (first, second):
        for unit, norm in basis:
            along = _by_item(data, weight * vector * unit) / norm
            vector = vector - along[data.period_item] * unit
        norm = np.maximum(_by_item(data, weight * np.square(vector)), 1e-300)
        basis.append((vector, norm))
        for k in range(result.shape[0]):
            along = _by_item(data, weight * result[k] * vector) / norm
            result[k] -= along[data.period_item] * vector
    return result


def _shape_of(
    family: str, a: Floats, b: Floats, c: Floats, b_is_given: bool, c_is_given: bool
) -> tuple[Shape, Floats, Floats, Floats | None, Floats | None]:
    """Turn coefficients into shape, theta, levels, b and steady loss by product."""
    if family not in SHAPES:
        raise BadOptions(f"unknown curve family {family!r}", hint=f"Use {', '.join(SHAPES)}.")
    if b_is_given or c_is_given:
        theta = np.array([np.log(max(float(np.nanmedian(b)), 1e-6))])
        return SHAPES["exp"], theta, a, (b if b_is_given else None), (c if c_is_given else None)
    middle = float(np.nanmedian(b))
    with np.errstate(divide="ignore", invalid="ignore"):
        match family:
            case "linear":
                return SHAPES["linear"], np.empty(0), c, None, None
            case "exp" | "power":
                theta = np.array([np.log(middle)])
            case "exp_linear":
                theta = np.array([np.log(middle), float(np.nanmedian(c / a))])
            case "peleg":
                theta = np.array([float(np.nanmedian(np.log(b * a)))])
            case _:
                theta = np.array([np.log(middle), np.log(float(np.nanmedian(c)))])
    shape = SHAPES[family]
    theta = np.nan_to_num(theta, nan=0.0, posinf=1e9, neginf=-1e9)
    return shape, np.clip(theta, shape.low, shape.high), a, None, None


def _same_share(item: Ints, documented: Floats, applied: Floats) -> NDArray[np.bool_]:
    """Tell which periods follow the last change of the applied share, product by product."""
    n = item.size
    place = np.arange(n)
    came = documented > 0
    last = np.full(int(item.max()) + 1, -1)
    np.maximum.at(last, item[came], place[came])
    latest = last[item]
    known = latest >= 0
    share = np.where(known, applied[latest] / np.where(known, documented[latest], 1.0), 0.0)
    other = np.abs(applied - share * documented) > _SAME_KG + _SAME_SHARE * documented
    broken = np.full(last.size, -1)
    np.maximum.at(broken, item[other], place[other])
    return np.asarray(place > broken[item])


def fit_surplus(
    item: ArrayLike,
    difference: ArrayLike,
    applied: ArrayLike,
    weight: ArrayLike,
    sigma_count: ArrayLike,
    term_offset: ArrayLike,
    term_mass: ArrayLike,
    term_age_from: ArrayLike,
    term_age_to: ArrayLike,
    term_is_receipt: ArrayLike,
    *,
    family: str,
    a: ArrayLike,
    b: ArrayLike,
    c: ArrayLike,
    b_is_given: bool = False,
    c_is_given: bool = False,
    type_level: float = float("nan"),
    level_error: float = float("nan"),
    cv: float = 0.25,
    robust: bool = True,
    refine: bool = True,
    rules: Rules | None = None,
    tick: Callable[[], None] = never,
) -> list[Surplus]:
    """Tell the surplus of every product of a type.

    Parameters
    ----------
    item : array_like of int, shape (n,)
        Product of each period, 0 .. len(a) - 1, never falling; periods in time order.
    difference, applied : array_like of float, shape (n,)
        Count less book, and the surplus the accounting applied to receipts, kg.
    weight, sigma_count : array_like of float, shape (n,)
        Confidence; standard deviation of the count, kg. Weight 0 or NaN: not used.
    term_offset, term_mass, term_age_from, term_age_to : array_like
        Exposure terms (see `accounting.Period`); receipts as they physically came, surplus applied.
    term_is_receipt : array_like of bool, shape (m,)
        Which are documented receipts.
    family : str
        Of the type's curve.
    a, b, c : array_like of float, shape (items,)
        Coefficients in force; a is where the search begins. NaN: the product has no curve.
    b_is_given, c_is_given : bool
        Whether b and c were known beforehand: then they hold by product, absolute; else the shape
        is the type's, to be refined, and c moves with a.
    type_level, level_error : float
        Level of the type's curve and its relative error, for products of few periods; NaN: the
        product's own level, `cv`.
    cv : float
        Relative standard deviation of a shortage at worst; enough periods tell their own.
    robust : bool
        Whether soft_l1 discounts periods that stand out (theft); False is least squares.
    refine : bool
        Whether theta is fitted again beside the surpluses.
    rules : Rules
    tick : callable
        Called at least every 100 ms.

    Returns
    -------
    list of Surplus
        One a product, in order.

    Raises
    ------
    BadOptions
        Columns that do not fit together, an unknown family.

    Notes
    -----
    Periods before the last change of the applied share are left out: they speak of another surplus.
    The standard error comes from the product's scatter, held to that of its type by
    `_PRIOR_FREEDOM` degrees of freedom, as few periods tell a variance badly.

    References
    ----------
    Domain model 5.8; worked examples E19, E34. Variance of few residuals: Smyth (2004), Linear
    models and empirical Bayes methods.
    """
    rules = rules or Rules()
    ids = np.asarray(item, dtype=np.int64).ravel()
    n = ids.size
    found = column("difference", difference, n)
    beyond = column("applied", applied, n)
    trust = column("weight", weight, n)
    sigma = column("sigma_count", sigma_count, n)
    mass = np.asarray(term_mass, dtype=float).ravel()
    age_from = column("term_age_from", term_age_from, mass.size)
    age_to = column("term_age_to", term_age_to, mass.size)
    receipt = np.asarray(term_is_receipt, dtype=bool).ravel()
    counts = ragged(n, term_offset, mass.size)
    levels = np.asarray(a, dtype=float).ravel()
    items = levels.size
    speeds, steady = column("b", b, items), column("c", c, items)
    if receipt.size != mass.size:
        raise BadOptions("term_is_receipt has another length", hint="Give one for each term.")
    if n and (ids.min() < 0 or np.any(np.diff(ids) < 0) or ids.max() >= items):
        raise BadOptions("item falls or is no product", hint="Number from 0, order by item.")
    answers = [_nothing(i, "no valid period with batches") for i in range(items)]
    if not n or not np.any(np.isfinite(levels) | np.isfinite(steady)):
        return answers

    shape, theta, levels, given_b, given_c = _shape_of(
        family, levels, speeds, steady, b_is_given, c_is_given
    )
    starts = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64)
    bad = ~(np.isfinite(mass) & np.isfinite(age_from) & np.isfinite(age_to))
    bad |= (age_from < 0) | (age_to < age_from)
    used = np.isfinite(trust) & (trust > 0) & np.isfinite(found) & np.isfinite(beyond)
    used &= (counts > 0) & (sums(bad.astype(float), starts, counts) == 0)
    used &= np.isfinite(levels)[ids]
    if not np.any(used):
        return answers
    physical = sums(np.where(receipt & ~bad, mass, 0.0), starts, counts)
    documented = np.maximum(physical - beyond, 0.0)
    kept = np.flatnonzero(used)
    kept = kept[_same_share(ids[kept], documented[kept], beyond[kept])]

    problem = _problem(
        ids, found, documented, physical, beyond, trust, sigma, counts, mass, age_from, age_to,
        receipt, kept, shape, given_b, given_c, tick,
    )  # fmt: skip
    level, error = type_level, level_error
    if not level > 0:
        level = float("nan")
    if not np.isfinite(error):
        error = cv

    joint = _joint_periods(problem, rules)
    straight = theta
    if np.any(joint):
        together = _subset(problem, joint)
        state, straight = _fit_together(together, theta, levels, cv, robust, refine)
        for row in _describe(together, straight, state, rules):
            answers[row.item] = row
        # All of a receipt is counted at the same age: then a loss and a surplus look alike.
        joint[joint] = _told_apart(together, state)
    if not np.all(joint):
        rest = _subset(problem, ~joint)
        for row in _imply(rest, theta, levels, level, error, rules):
            answers[row.item] = row
    begins = np.searchsorted(ids, np.arange(items))
    ends = np.searchsorted(ids[kept], np.arange(items), side="right")
    return [
        _finish(
            row, family, speeds, steady, straight if row.method == "joint" else theta,
            b_is_given, c_is_given,
            kept[ends[row.item] - row.n_periods : ends[row.item]] - begins[row.item],
        )
        for row in answers
    ]  # fmt: skip


def _nothing(item: int, reason: str) -> Surplus:
    nan = float("nan")
    return Surplus(
        item, "none", nan, nan, nan, 0.0, nan, nan, nan, nan, nan, nan, 0,
        np.empty(0, dtype=np.int64), np.empty(0), np.empty(0), False, reason,
    )  # fmt: skip


def _problem(
    ids: Ints,
    found: Floats,
    documented: Floats,
    physical: Floats,
    beyond: Floats,
    trust: Floats,
    sigma: Floats,
    counts: Ints,
    mass: Floats,
    age_from: Floats,
    age_to: Floats,
    receipt: NDArray[np.bool_],
    kept: Ints,
    shape: Shape,
    given_b: Floats | None,
    given_c: Floats | None,
    tick: Callable[[], None],
) -> _Problem:
    """Gather the periods kept, receipts turned back to their documented mass."""
    factor = np.where(physical > 0, documented / np.where(physical > 0, physical, 1.0), 1.0)
    came = np.where(receipt, mass * np.repeat(factor, counts), 0.0)
    stated = np.where(receipt, came, mass)
    chosen = np.zeros(ids.size, dtype=bool)
    chosen[kept] = True
    terms = np.repeat(chosen, counts)
    present = np.unique(ids[kept])
    spread = np.where(
        np.isfinite(sigma[kept]) & (sigma[kept] > _SMALLEST_SIGMA), sigma[kept], _SMALLEST_SIGMA
    )
    data = Data(
        ids[kept], -found[kept], np.zeros(kept.size), trust[kept], spread, counts[kept],
        stated[terms], age_from[terms], age_to[terms], np.zeros(kept.size, dtype=bool),
        None if given_c is None else given_c[present],
        None if given_b is None else given_b[present],
    )  # fmt: skip
    share = np.where(documented > 0, beyond / np.where(documented > 0, documented, 1.0), 0.0)
    return _Problem(
        data, came[terms], found[kept], documented[kept], share[kept], shape, tick
    )  # fmt: skip


def _subset(problem: _Problem, items: NDArray[np.bool_]) -> _Problem:
    if np.all(items):
        return problem
    kept = items[problem.data.period_item]
    return _Problem(
        problem.data.of_periods(kept), problem.received[np.repeat(kept, problem.data.count)],
        problem.difference[kept], problem.documented[kept], problem.share[kept],
        problem.shape, problem.tick,
    )  # fmt: skip


def _joint_periods(problem: _Problem, rules: Rules) -> NDArray[np.bool_]:
    """Tell which products have enough periods, and receipts that vary between them."""
    data = problem.data
    size = np.diff(data.period_first)
    came = _by_item(data, (problem.documented > 0).astype(float))
    mean = _by_item(data, problem.documented) / size
    away = np.square(problem.documented - mean[data.period_item])
    variation = np.sqrt(_by_item(data, away) / size) / np.maximum(mean, 1e-12)
    return np.asarray(
        (size >= rules.joint_periods)
        & (came >= rules.implied_periods)
        & (variation >= rules.least_variation)
    )


def _fit_together(
    problem: _Problem, theta: Floats, levels: Floats, cv: float, robust: bool, refine: bool
) -> tuple[_State, Floats]:
    """Fit levels and surpluses, noise renewed between; theta first, on part of the type."""
    if refine and theta.size and problem.data.b is None:
        part = problem.some(_THETA_PERIODS)
        theta = _refine(part, theta, _settle(part, theta, levels[part.data.ids], cv, robust))
    return _settle(problem, theta, levels[problem.data.ids], cv, robust), theta


def _settle(problem: _Problem, theta: Floats, level: Floats, cv: float, robust: bool) -> _State:
    data = problem.data
    one = np.ones(data.ids.size)
    start = np.maximum(level, SMALLEST_LEVEL)
    share = np.zeros(data.ids.size)
    look = _look(problem, theta, start, problem.share)
    variance = _variance(data, look.expected, cv)
    state = _State(start, share, look, data.weight / variance, variance)
    _solve(problem, theta, state, None, 2)
    for turn in range(3):
        told = _told_cv(data, state, cv) if robust else cv
        state.variance = _variance(data, _usual(data, state), told)
        scale2 = one
        if robust:
            off = np.abs(state.look.residual) / np.sqrt(state.variance)
            freedom = np.diff(data.period_first)
            scale = 1.4826 * _median_by_item(data, off) * np.sqrt(freedom / (freedom - 2.0))
            scale2 = np.square(np.clip(scale, 0.1, 10.0))
        noise = _Noise(data.weight / state.variance, scale2, robust)
        _solve(problem, theta, state, noise, 1 if turn < 2 else 3)
    return state


def _describe(problem: _Problem, theta: Floats, state: _State, rules: Rules) -> list[Surplus]:
    data, look, w = problem.data, state.look, state.weight
    size = np.diff(data.period_first)
    came = _by_item(data, (problem.documented > 0).astype(float))
    aa = _by_item(data, w * np.square(look.by_level))
    ss = _by_item(data, w * np.square(look.by_share))
    cross = _by_item(data, w * look.by_level * look.by_share)
    # Also where the level stands on its bound: that all is surplus is a guess like any other.
    information = ss - np.square(cross) / np.maximum(aa, 1e-300)
    # Huber's variance of what soft_l1 minimises: sum psi^2 over the square of the mean of psi'.
    discount = w * state.variance / data.weight
    total = _by_item(data, w * discount * np.square(look.residual))
    total *= float(np.mean(discount)) / float(np.mean(discount**3)) ** 2
    freedom = np.maximum(size - 2.0, 1.0)
    typical = float(np.median(total / freedom))
    dispersion = (total + _PRIOR_FREEDOM * typical) / (freedom + _PRIOR_FREEDOM)
    with np.errstate(divide="ignore"):
        se = np.sqrt(dispersion / np.where(information > 1e-9 * ss, information, 0.0))

    # The same weights, for a fair comparison; what is applied already stays applied.
    before = _State(state.level, state.share, look, w, state.variance)
    _solve(problem, theta, before, None, 3, fix_share=True)
    # Weights in kg: what soft_l1 left of each period's confidence.
    fair = w * state.variance
    mean = _by_item(data, fair)
    rmse = np.sqrt(_by_item(data, fair * np.square(look.residual)) / mean)
    rmse_before = np.sqrt(_by_item(data, fair * np.square(before.look.residual)) / mean)
    share = _by_item(data, problem.share * problem.documented)
    share = share / np.maximum(_by_item(data, problem.documented), 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        implied = np.where(
            look.left > 0, (problem.difference + look.bare) / look.left, np.nan
        )  # exact: what is left of the receipts at the count

    told = _beyond_chance((state.share - share) / se, freedom + _PRIOR_FREEDOM, rules.false_share)
    rows = []
    for k, item in enumerate(data.ids):
        found, applied = float(state.share[k]), float(share[k])
        change = found - applied
        reason = None
        if not -0.5 < found < 1:
            reason = "no surplus can be that large"
        elif abs(change) < rules.least:
            reason = f"differs from what is applied by less than {rules.least:g}"
        elif not abs(change) > rules.least_t * se[k]:
            reason = f"within {rules.least_t:g} standard errors of what is applied"
        elif not told[k]:
            reason = "of so many products one differs that much by chance"
        elif not rmse[k] <= (1 - rules.least_gain) * rmse_before[k]:
            reason = f"explains less than {rules.least_gain:.0%} of the error"
        periods = slice(int(data.period_first[k]), int(data.period_first[k + 1]))
        sigma = float(se[k]) * float(np.sqrt(came[k]))
        rows.append(
            Surplus(
                item=int(item),
                method="joint",
                surplus=found,
                applied=applied,
                se=float(se[k]),
                confidence=_confidence(int(came[k]), sigma, change, rules.prior_periods),
                level=float(state.level[k]),
                a=float("nan"),
                b=float("nan"),
                c=float("nan"),
                rmse=float(rmse[k]),
                rmse_applied=float(rmse_before[k]),
                n_periods=int(size[k]),
                places=np.empty(0, dtype=np.int64),
                expected=look.expected[periods],
                implied=implied[periods],
                is_recommended=reason is None,
                reason=reason,
            )
        )
    return rows


def _told_apart(problem: _Problem, state: _State) -> NDArray[np.bool_]:
    """Tell for which products enough of the surplus shows beside the level."""
    data, look, w = problem.data, state.look, state.weight
    aa = _by_item(data, w * np.square(look.by_level))
    ss = _by_item(data, w * np.square(look.by_share))
    cross = _by_item(data, w * look.by_level * look.by_share)
    rest = ss - np.square(cross) / np.maximum(aa, 1e-300)
    return np.asarray((rest > _TOLD_APART * ss) | (aa <= 0))


def _beyond_chance(t: Floats, freedom: Floats, false_share: float) -> NDArray[np.bool_]:
    """Tell which of many ratios stand out, at a share of false ones among them.

    Student's t becomes a normal deviate by Wallace's approximation, good to 0.02.
    """
    bend = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0)
    z = bend * np.sqrt(freedom * np.log1p(np.square(t) / freedom))
    p = np.array([math.erfc(value / math.sqrt(2.0)) for value in z])
    order = np.argsort(p)
    passes = np.flatnonzero(p[order] <= false_share * np.arange(1, p.size + 1) / p.size)
    told = np.zeros(p.size, dtype=bool)
    if passes.size:
        told[order[: passes[-1] + 1]] = True
    return told


def _imply(
    problem: _Problem,
    theta: Floats,
    levels: Floats,
    type_level: float,
    level_error: float,
    rules: Rules,
) -> list[Surplus]:
    """Judge products of few periods under the type's curve; their own may hide the surplus."""
    data = problem.data
    own = np.maximum(levels[data.ids], SMALLEST_LEVEL)
    level = np.where(np.isfinite(type_level), type_level, own)
    look = _look(problem, theta, level, np.zeros(data.n))
    rows = []
    for k, item in enumerate(data.ids):
        problem.tick()
        periods = slice(int(data.period_first[k]), int(data.period_first[k + 1]))
        came = problem.documented[periods]
        left = np.where(came > 0, look.left[periods], 0.0)
        bare, difference = look.bare[periods], problem.difference[periods]
        found = implied_surplus(
            left, difference, bare, level_error=level_error, prior_periods=rules.prior_periods
        )
        applied = float(np.sum(problem.share[periods] * came) / max(float(np.sum(came)), 1e-12))
        change = found.median - applied
        bound = found.bound - abs(found.median) + abs(change)
        reason = None
        if found.n < rules.implied_periods:
            reason = f"fewer than {rules.implied_periods} periods with receipts"
        elif not -0.5 < found.median < 1:
            reason = "no surplus can be that large"
        elif abs(change) < rules.least:
            reason = f"differs from what is applied by less than {rules.least:g}"
        elif not bound > 0:
            reason = "may be none"
        residual = bare + difference
        with_it = residual - found.median * look.left[periods]
        without = residual - problem.share[periods] * look.left[periods]
        rows.append(
            Surplus(
                item=int(item),
                method="implied",
                surplus=found.median,
                applied=applied,
                se=found.sigma / float(np.sqrt(max(found.n, 1))),
                confidence=_confidence(found.n, found.sigma, change, rules.prior_periods),
                level=float(level[k]),
                a=float("nan"),
                b=float("nan"),
                c=float("nan"),
                rmse=float(np.sqrt(np.mean(np.square(with_it)))),
                rmse_applied=float(np.sqrt(np.mean(np.square(without)))),
                n_periods=int(came.size),
                places=np.empty(0, dtype=np.int64),
                expected=bare + np.nan_to_num(found.median) * (came - look.left[periods]),
                implied=found.values,
                is_recommended=reason is None,
                reason=reason,
            )
        )
    return rows


def _finish(
    row: Surplus,
    family: str,
    b: Floats,
    c: Floats,
    theta: Floats,
    b_is_given: bool,
    c_is_given: bool,
    places: Ints,
) -> Surplus:
    """Say the curve beside the surplus in coefficients, and which periods were used."""
    if row.method == "none":
        return row
    if b_is_given or c_is_given:
        speed = float(b[row.item]) if b_is_given else float(np.exp(theta[0]))
        a_b_c = row.level, speed, float(c[row.item]) if c_is_given else 0.0
    else:
        parameters = SHAPES[family].family_parameters(np.array([row.level]), theta)
        a_b_c = family_of(family).coefficients([float(value[0]) for value in parameters])
    return replace(row, a=a_b_c[0], b=a_b_c[1], c=a_b_c[2], places=places)
