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

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.curves import family_of
from weighhouse.errors import BadOptions
from weighhouse.profile_fit import (
    LEAST_G,
    SHAPES,
    SMALLEST_LEVEL,
    Data,
    Levels,
    Noise,
    Shape,
    Theta,
    aicc,
    differentiate,
    dispersion_of,
    fit_theta,
    left_out,
    nominal_noise,
    renew_noise,
    solve_levels,
    sums,
)

__all__ = [
    "IDENTIFIED",
    "Candidate",
    "ItemCurve",
    "TypeFit",
    "fit_level_by_sum",
    "fit_type",
    "pool_rate",
    "predict_shortage",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

IDENTIFIED = 0.35
"""Largest standard error of ln b (and ln h) at which the data of a type are taken to tell it: the
level compensates, so that the loss over 14 days moves by less than 5 % where the ages seen cover
those days. An exponent bends the curve more: for ln n it is `IDENTIFIED_EXPONENT`."""
IDENTIFIED_EXPONENT = 0.1
POOLED = 0.05
"""A product whose own periods bring less than 95 % of the information is called pooled."""
_FAMILY_PERIODS = 2_000  # periods on which families are compared (more when these do not tell b)
_THETA_PERIODS = 5_000  # periods that decide theta: beyond, its error is far below what matters
_SMALLEST_SIGMA = 4e-4  # kg, a scale of one gram


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


def never() -> None:
    """Look for no interrupts."""


def ragged(periods: int, term_offset: ArrayLike, terms: int) -> Ints:
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


def column(name: str, values: ArrayLike, size: int) -> Floats:
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
    adapt: bool = True,
    tick: Callable[[], None] = never,
) -> TypeFit:
    """Fit the curves of all products of one type.

    Parameters
    ----------
    item : array_like of int, shape (n,)
        Product of each period, 0 .. n_items - 1, never falling; periods of a product in time order,
        each beginning at the count that closed the one before (keep a period that must not count in
        its place, with weight 0).
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
    adapt : bool
        Whether a type with enough periods may find its own, smaller cv; with False the loss is that
        of domain model 5.6 as it stands.
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
    The family is decided on about `_FAMILY_PERIODS` periods, theta on at most `_THETA_PERIODS`
    (evenly spaced products), levels on all.
    A shape counts as identified with at least 3 periods, 2 distinct age ranges (whole days), theta
    within its bounds, and a standard error of ln b (ln h) of at most `IDENTIFIED`, of ln n of at
    most `IDENTIFIED_EXPONENT`. c stays 0 unless the largest age exceeds 3 / b. With `auto` and
    n >= 8 periods (and more than K + 1) the identified family of least AICc wins, exp and
    exp_linear also when within 2 of it; otherwise the least leave-one-out error among families with
    at most one shape parameter, exp within 5 %.

    References
    ----------
    Domain model 5.6; worked examples E12, E28, E33. Pooling: Paule, Mandel (1982), Consensus values
    and weighting factors; Gauss-Newton with levels profiled out: Golub, Pereyra (1973).
    """
    ids = np.asarray(item, dtype=np.int64).ravel()
    n = ids.size
    observed = column("shortage", shortage, n)
    exposure = column("kg_days", kg_days, n)
    weights = column("weight", weight, n)
    sigma = column("sigma_count", sigma_count, n)
    mass = np.asarray(term_mass, dtype=float).ravel()
    age_from = column("term_age_from", term_age_from, mass.size)
    age_to = column("term_age_to", term_age_to, mass.size)
    counts = ragged(n, term_offset, mass.size)
    if n and (ids.min() < 0 or np.any(np.diff(ids) < 0)):
        raise BadOptions("item falls or is negative", hint="Number items from 0, order by item.")
    total_items = int(n_items if n_items is not None else (ids.max() + 1 if n else 0))
    if n and ids.max() >= total_items:
        raise BadOptions(f"item {ids.max()} of {total_items}", hint="Number items from 0.")
    if family != "auto" and family not in SHAPES:
        raise BadOptions(
            f"unknown curve family {family!r}", hint=f"Use auto or one of {', '.join(SHAPES)}."
        )
    if not (cv >= 0 and kappa >= 0 and default_b > 0):
        raise BadOptions("cv and kappa cannot be negative, default_b must be positive")
    given_b = None if b is None else column("b", b, total_items)
    given_c = None if c is None else column("c", c, total_items)
    if (given_b is not None or given_c is not None) and family not in ("auto", "exp", "exp_linear"):
        raise BadOptions(f"{family} takes neither b nor c", hint="Use exp or exp_linear.")
    for name, values, least in (("b", given_b, 0.0), ("c", given_c, -1e-300)):
        if values is not None and not np.all(np.isfinite(values) & (values > least)):
            raise BadOptions(
                f"{name} must be finite and not negative", hint="Leave it out to fit it."
            )

    # Which periods can be used, and which products have data that are no numbers.
    sigma = np.where(np.isfinite(sigma) & (sigma > _SMALLEST_SIGMA), sigma, _SMALLEST_SIGMA)
    starts = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64) if n else counts
    terms_bad = ~(np.isfinite(mass) & np.isfinite(age_from) & np.isfinite(age_to))
    terms_bad |= (age_from < 0) | (age_to < age_from)
    wanted = np.isfinite(weights) & (weights > 0)
    broken = wanted & (
        ~np.isfinite(observed) | ~np.isfinite(exposure)
        | (sums(terms_bad.astype(float), starts, counts) > 0)
    )  # fmt: skip
    failed = np.zeros(total_items, dtype=bool)
    failed[ids[broken]] = True
    used = wanted & (counts > 0)
    used[failed[ids]] = False
    kept_terms = np.repeat(used, counts)
    # A period follows the one before when both are used: its opening count closed that one.
    follows = np.append(False, used[:-1] & (np.diff(ids) == 0)) if n else used
    data: Data | None = None
    if np.any(used):
        present = np.unique(ids[used])
        data = Data(
            ids[used], observed[used], exposure[used], weights[used], sigma[used], counts[used],
            mass[kept_terms], age_from[kept_terms], age_to[kept_terms], follows[used],
            None if given_c is None else given_c[present],
            None if given_b is None else given_b[present],
        )  # fmt: skip
    options = _Options(
        family, given_b, given_c, default_b, cv, kappa,
        adapt, tick,
    )  # fmt: skip
    if data is None:
        return _nothing(total_items, failed)
    ages = _ages(data)
    exposed = float(np.sum(data.kg_days))
    rate = float(np.sum(data.observed)) / exposed if exposed > 0 else float("nan")
    shared = _choose_shape(data, options, ages, rate)
    pooled = _fit_levels(data, options, shared, rate)
    return _describe(data, total_items, failed, options, ages, rate, shared, pooled)


@dataclass(frozen=True)
class _Options:
    family: str
    b: Floats | None  # by item
    c: Floats | None
    default_b: float
    cv: float
    kappa: float
    adapt: bool
    tick: Callable[[], None]


@dataclass(frozen=True)
class _Ages:
    """Ages each period saw, and how many ranges (in whole days) are distinct."""

    youngest: Floats
    oldest: Floats
    distinct: int


@dataclass(frozen=True)
class _Shared:
    """What the products of a type have in common."""

    shape: Shape
    theta: Floats
    errors: dict[str, float]
    covariance: Floats
    identified: bool
    reason: str | None
    candidates: list[Candidate]


@dataclass(frozen=True)
class _Pooled:
    """Levels of the products, after the type had its say."""

    noise: Noise
    found: Levels
    level: Floats
    expected: Floats
    relative_error: Floats
    pull: Floats
    type_level: float
    type_relative_error: float
    spread: float
    dispersion: float


def _ages(data: Data) -> _Ages:
    starts = data.term_first[:-1]
    youngest = np.minimum.reduceat(data.age_from, starts)
    oldest = np.maximum.reduceat(data.age_to, starts)
    ranges = np.unique(np.floor(youngest) * 1e6 + np.floor(oldest))
    return _Ages(youngest, oldest, ranges.size)


def _natural(shape: Shape, theta: Floats) -> dict[str, float]:
    return {
        name: float(value) if name == "rho" else float(np.exp(value))
        for name, value in zip(shape.theta, theta, strict=True)
    }


def _judge(data: Data, found: Theta, ages: _Ages) -> tuple[dict[str, float], str | None]:
    """Standard errors of theta, and why the data do not tell it (None: they do)."""
    d = found.theta.size
    covariance = found.covariance(dispersion_of(data, found.levels, data.ids.size + d))
    errors = {name: float(np.sqrt(covariance[k, k])) for k, name in enumerate(found.shape.theta)}
    if not d:
        return errors, None
    if data.n < 3:
        return errors, "fewer than 3 periods"
    if ages.distinct < 2:
        return errors, "all periods cover the same ages"
    if data.n <= data.ids.size + d:
        return errors, "as many unknowns as periods"
    for k, name in enumerate(found.shape.theta):
        if name == "rho":
            continue
        if not found.free[k]:
            return errors, f"{name} runs to its bound"
        if not errors[name] <= (IDENTIFIED_EXPONENT if name == "n" else IDENTIFIED):
            return errors, f"standard error of ln {name} is {errors[name]:.2f}"
    if found.shape.name == "exp_linear" and float(ages.oldest.max()) <= 3 / np.exp(found.theta[0]):
        return errors, "no age beyond 3 / b"
    return errors, None


def _choose(candidates: list[Candidate], by_aicc: bool) -> str | None:
    """Pick a family among the eligible; None when there is none, or exp itself is not told."""
    fit = {candidate.family: candidate for candidate in candidates if candidate.eligible}
    if not by_aicc:
        fit = {name: found for name, found in fit.items() if len(found.theta) <= 1}
    score = {name: found.aicc if by_aicc else found.loo_rmse for name, found in fit.items()}
    score = {name: value for name, value in score.items() if np.isfinite(value)}
    if not score:
        return next(iter(fit), None)
    best = min(score.values())
    near = best + 2.0 if by_aicc else 1.05 * best
    for name in sorted((name for name in ("exp", "exp_linear") if name in score), key=score.get):  # type: ignore[arg-type]
        if score[name] <= near:
            return name
    return min(score, key=score.__getitem__)


def _settle(data: Data, found: Theta, options: _Options) -> Theta:
    """Renew the noise and go on from there, until theta stays (at least twice)."""
    for turn in range(8):
        before = found.theta
        noise = renew_noise(data, found.levels, options.cv, options.adapt)
        found = fit_theta(data, found.shape, noise, options.tick, start=before)
        if turn and np.all(np.abs(found.theta - before) < 1e-3):
            break
    return found


def _compare(
    data: Data, options: _Options, ages: _Ages, rate: float
) -> tuple[Theta | None, list[Candidate]]:
    """Fit the families in question under one noise; return the winner, if one is told, and all."""
    tick = options.tick
    auto = options.family == "auto"
    if options.c is not None or auto:
        names = ["exp"]
    elif options.family == "exp_linear":
        names = ["exp_linear", "exp"]
    else:
        names = [options.family]
    # The first variance comes from the type's rate, the next from fits with the default b.
    exp, default = SHAPES["exp"], np.array([np.log(options.default_b)])
    noise = nominal_noise(data, _by_rate(data, rate), options.cv)
    for _ in range(2):
        levels = solve_levels(data, exp, default, noise, tick)
        noise = nominal_noise(data, levels.expected, options.cv)
    first = _settle(data, fit_theta(data, SHAPES[names[0]], noise, tick), options)
    if auto and options.c is None:
        names += [name for name in SHAPES if name != "exp"]
    tried: dict[str, Theta] = {}
    candidates = []
    for name in names:
        found = first if name == names[0] else fit_theta(data, SHAPES[name], first.noise, tick)
        errors, why = _judge(data, found, ages)
        tried[name] = found
        candidates.append(
            Candidate(
                family=name,
                n=data.n,
                aicc=aicc(data, found.levels.cost, found.theta.size),
                loo_rmse=left_out(data, found),
                theta=_natural(found.shape, found.theta),
                se=errors,
                eligible=why is None,
                reason=why,
            )
        )
    if auto:
        by_aicc = data.n >= 8 and data.n - data.ids.size - 4 > 0
        told = any(found.eligible and found.theta for found in candidates)
        winner = _choose(candidates, by_aicc) if told else None
    else:
        winner = next((found.family for found in candidates if found.eligible), None)
    return (None if winner is None else tried[winner]), candidates


def _choose_shape(data: Data, options: _Options, ages: _Ages, rate: float) -> _Shared:
    """Decide family and theta of the type, or say why its data cannot."""
    none = np.full((1, 1), np.nan)
    exp, default = SHAPES["exp"], np.array([np.log(options.default_b)])
    if options.b is not None:
        return _Shared(exp, default, {}, none, False, "b is given", [])
    few = data.some(_FAMILY_PERIODS)
    many = data.some(_THETA_PERIODS)
    winner, candidates = _compare(few, options, ages, rate)
    if winner is None and many.n > few.n:
        winner, candidates = _compare(many, options, ages, rate)
    if winner is None:
        return _Shared(exp, default, {}, none, False, candidates[0].reason, candidates)
    if many.n > few.n and winner.levels.level.size != many.ids.size:
        noise = nominal_noise(many, _by_rate(many, rate), options.cv)
        winner = fit_theta(many, winner.shape, noise, options.tick, start=winner.theta)
    chosen = _settle(many, winner, options)
    errors, _ = _judge(many, chosen, ages)
    told = bool(chosen.shape.theta)
    return _Shared(
        shape=chosen.shape,
        theta=chosen.theta,
        errors=errors,
        covariance=chosen.covariance(
            dispersion_of(many, chosen.levels, many.ids.size + chosen.theta.size)
        ),
        identified=told,
        reason=None if told else f"{chosen.shape.name} has no b",
        candidates=candidates,
    )


def _by_rate(data: Data, rate: float) -> Floats:
    """Expect what the type's rate says; where it says nothing, what was found."""
    if not rate > 0:
        return np.abs(data.observed)
    return rate * np.maximum(data.kg_days, 0.0)


def _fit_levels(data: Data, options: _Options, shared: _Shared, rate: float) -> _Pooled:
    """Fit the level of every product under the type's shape, then draw it toward the type."""
    shape, theta, tick = shared.shape, shared.theta, options.tick
    noise = nominal_noise(data, _by_rate(data, rate), options.cv)
    found = solve_levels(data, shape, theta, noise, tick, iterations=3)
    noise = nominal_noise(data, found.expected, options.cv)
    found = solve_levels(data, shape, theta, noise, tick, iterations=2, start=found.level)
    for _ in range(2):
        noise = renew_noise(data, found, options.cv, options.adapt)
        found = solve_levels(data, shape, theta, noise, tick, iterations=2, start=found.level)
    shapes = theta.size if shared.identified else 0
    dispersion = dispersion_of(data, found, data.ids.size + shapes)
    raw = found.level
    error = np.sqrt(dispersion / np.maximum(found.information, 1e-300)) / raw
    solid = raw > 10 * SMALLEST_LEVEL
    useful = solid & (np.diff(data.period_first) >= 2) & (error < 1.0)
    if int(useful.sum()) < 4:
        return _pool_by_kappa(data, options.kappa, noise, found, error, solid, dispersion)
    mean, tau2 = _spread(np.log(raw[useful]), np.square(error[useful]))
    mean_variance = 1.0 / float(np.sum(1.0 / (np.square(error[useful]) + tau2)))
    trust = 1.0 / max(tau2, 1e-6)
    found = solve_levels(
        data, shape, theta, noise, tick,
        iterations=5, start=raw, prior=(mean, 1.0 / trust, dispersion),
    )  # fmt: skip
    own = found.information * np.square(found.level) / dispersion
    return _Pooled(
        noise=noise,
        found=found,
        level=found.level,
        expected=found.expected,
        relative_error=np.sqrt(1.0 / (own + trust)),
        pull=trust / (own + trust),
        type_level=float(np.exp(mean)),
        type_relative_error=float(np.sqrt(tau2 + mean_variance)),
        spread=float(np.sqrt(tau2)),
        dispersion=dispersion,
    )


def _pool_by_kappa(
    data: Data,
    kappa: float,
    noise: Noise,
    found: Levels,
    error: Floats,
    solid: NDArray[np.bool_],
    dispersion: float,
) -> _Pooled:
    """Pool where too few products tell how products differ: the rule of kappa kg-days (E28)."""
    nan = float("nan")
    raw = found.level
    first = data.period_first[:-1]
    days = np.maximum(np.add.reduceat(data.kg_days, first), 0.0)
    lost = np.add.reduceat(data.observed, first)
    share = days * solid
    level, pull = raw, np.zeros(raw.size)
    type_level = nan
    if share.sum() > 0:
        type_level = float(np.exp(np.sum(share * np.log(raw)) / share.sum()))
        mu = float(np.sum(lost * solid) / share.sum())
        if raw.size > 1 and kappa > 0 and mu > 0:
            rate = lost / np.where(days > 0, days, 1.0)
            pooled = np.maximum(pool_rate(lost, days, mu, kappa), 0.0)
            fair = solid & (rate > 0)
            level = np.where(
                fair, raw * pooled / np.where(fair, rate, 1.0), type_level * pooled / mu
            )
            pull = kappa / (days + kappa)
    level = np.maximum(level, SMALLEST_LEVEL)
    expected = found.expected * (level / raw)[data.period_item]  # nearly linear in the level
    relative = np.where(solid & (error < 10), error, nan)
    known = relative[np.isfinite(relative)]
    return _Pooled(
        noise=noise,
        found=found,
        level=level,
        expected=expected,
        relative_error=relative,
        pull=pull,
        type_level=type_level,
        type_relative_error=float(np.sqrt(np.mean(np.square(known)))) if known.size else nan,
        spread=nan,
        dispersion=dispersion,
    )


_NOT_FINITE = "a mass, an age or a shortage is not a finite number"


def _nothing(total_items: int, failed: NDArray[np.bool_]) -> TypeFit:
    """Answer for a type without a valid period."""
    nan = float("nan")
    reason = "the type has no valid period"
    items = [
        ItemCurve(
            i, nan, nan, nan, "exp", {}, nan, nan, nan, nan, 0, nan, nan, nan, "failed",
            _NOT_FINITE if failed[i] else reason,
        )
        for i in range(total_items)
    ]  # fmt: skip
    return TypeFit(
        "exp", nan, nan, nan, {}, {}, {}, False, reason, nan, nan, nan, 0, nan, nan, [], items
    )


def _describe(
    data: Data,
    total_items: int,
    failed: NDArray[np.bool_],
    options: _Options,
    ages: _Ages,
    rate: float,
    shared: _Shared,
    pooled: _Pooled,
) -> TypeFit:
    """Write out the type and an outcome for each product."""
    nan = float("nan")
    shape, theta = shared.shape, shared.theta
    # Everything by product, the type's curve where a product has no periods.
    has = np.zeros(total_items, dtype=bool)
    has[data.ids] = True

    def spread_out(values: Floats, otherwise: float) -> Floats:
        result = np.full(total_items, otherwise)
        result[data.ids] = values
        return result

    level = spread_out(pooled.level, pooled.type_level)
    relative = spread_out(pooled.relative_error, pooled.type_relative_error)
    variance = np.square(relative)
    if shared.identified:
        _, _, cross = differentiate(data, shape, theta, pooled.noise, pooled.found, options.tick)
        free = np.all(np.isfinite(shared.covariance), axis=0)
        inner = shared.covariance[np.ix_(free, free)]
        shift = cross[free] / pooled.found.level
        extra = np.einsum("ki,kl,li->i", shift, inner, shift)
        variance = variance + spread_out(extra, float(np.mean(extra)))
    relative = np.sqrt(variance)

    parameters = list(shape.family_parameters(level, theta))
    name = shape.name
    if options.b is not None or options.c is not None:
        name = "exp" if options.c is None else "exp_linear"
        if options.b is not None:
            parameters[1] = options.b
        if options.c is not None:
            parameters.append(options.c)
    family = family_of(name)
    columns = [np.broadcast_to(column, (total_items,)).tolist() for column in parameters]

    mean = np.add.reduceat(data.observed, data.period_first[:-1]) / np.diff(data.period_first)
    first = data.period_first[:-1]
    sst = np.add.reduceat(np.square(data.observed - mean[data.period_item]), first)
    sse = np.add.reduceat(np.square(data.observed - pooled.expected), first)
    periods = np.diff(data.period_first)
    r2 = np.where((periods >= 4) & (sst > 1e-12), 1.0 - sse / np.where(sst > 1e-12, sst, 1.0), nan)
    r2_of = spread_out(r2, nan).tolist()
    count_of = spread_out(periods.astype(float), 0.0).astype(int).tolist()
    youngest = spread_out(np.minimum.reduceat(ages.youngest, first), nan).tolist()
    oldest = spread_out(np.maximum.reduceat(ages.oldest, first), nan).tolist()
    pull = spread_out(pooled.pull, 1.0).tolist()
    levels, relatives = level.tolist(), relative.tolist()
    se_log = shared.errors.get("b", shared.errors.get("n", nan))
    if name == "weibull":
        se_log = shared.errors.get("b", nan)
    se_rho = shared.errors.get("rho", nan)
    default = None
    if not shared.identified and shape.theta and options.b is None:
        default = f"b is the default: {shared.reason}"

    items = []
    for i, values in enumerate(zip(*columns, strict=True)):
        outcome, reason = "fitted", default
        if failed[i]:
            outcome, reason = "failed", _NOT_FINITE
        elif not has[i]:
            outcome, reason = "type_curve", "no valid period of its own"
        elif count_of[i] < 2:
            outcome, reason = "pooled", "one valid period"
        elif pull[i] >= POOLED:
            outcome = "pooled"
        if outcome in ("failed",) or not np.isfinite(levels[i]):
            if outcome != "failed":
                outcome, reason = "failed", "the type has no level"
            items.append(
                ItemCurve(
                    i, nan, nan, nan, name, {}, nan, nan, nan, nan, 0, nan, nan, nan, outcome,
                    reason,
                )
            )  # fmt: skip
            continue
        a, b, c = family.coefficients(values)
        se_a = levels[i] * relatives[i]
        se_b = b * se_log
        se_c = nan
        if name == "linear":
            se_a, se_b, se_c = nan, nan, se_a
        elif name == "exp_linear" and options.c is None and c > 0:
            se_c = c * float(np.hypot(relatives[i], se_rho / theta[1]))
        elif name == "weibull":
            se_c = c * shared.errors.get("n", nan)
        elif name == "peleg":
            se_b = b * float(np.hypot(relatives[i], shared.errors.get("h", nan)))
        items.append(
            ItemCurve(
                i, a, b, c, name, dict(zip(family.parameters, values, strict=True)),
                se_a, se_b, se_c, r2_of[i], count_of[i], youngest[i], oldest[i], pull[i],
                outcome, reason,
            )
        )  # fmt: skip

    whole = [float(column) for column in _type_parameters(options, shape, pooled, theta)]
    a, b, c = family.coefficients(whole) if np.isfinite(pooled.type_level) else (nan, nan, nan)
    return TypeFit(
        family=name,
        a=a,
        b=b,
        c=c,
        parameters=dict(zip(family.parameters, whole, strict=True)),
        theta=_natural(shape, theta) if options.b is None else {},
        se=shared.errors,
        b_is_identified=shared.identified,
        reason=shared.reason,
        rate=rate,
        level_spread=pooled.spread,
        dispersion=pooled.dispersion,
        n_periods=data.n,
        age_min=float(ages.youngest.min()),
        age_max=float(ages.oldest.max()),
        candidates=shared.candidates,
        items=items,
    )


def _type_parameters(
    options: _Options, shape: Shape, pooled: _Pooled, theta: Floats
) -> list[float]:
    """Parameters of the type's own curve; of given b or c the median."""
    one = [float(x[0]) for x in shape.family_parameters(np.array([pooled.type_level]), theta)]
    if options.b is not None:
        one[1] = float(np.median(options.b))
    if options.c is not None:
        one.append(float(np.median(options.c)))
    return one


def fit_level_by_sum(
    item: ArrayLike,
    shortage: ArrayLike,
    term_offset: ArrayLike,
    term_mass: ArrayLike,
    term_age_from: ArrayLike,
    term_age_to: ArrayLike,
    *,
    b: ArrayLike,
    c: ArrayLike = 0.0,
    n_items: int | None = None,
) -> Floats:
    """Find each product's a such that it explains the sum of its shortages, b and c known.

    Parameters
    ----------
    item, shortage, term_offset, term_mass, term_age_from, term_age_to
        As for `fit_type`.
    b, c : float or array_like of float, shape (n_items,)
        1/day, fraction per day.
    n_items : int, optional

    Returns
    -------
    ndarray of float, shape (n_items,)
        NaN where a product has no periods, no finite data, or lost less than c alone explains.

    Raises
    ------
    BadOptions
        Columns that do not fit together.

    References
    ----------
    Worked example E33. Newton from the first-order estimate of E12; the sum grows with a.
    """
    ids = np.asarray(item, dtype=np.int64).ravel()
    n = ids.size
    observed = column("shortage", shortage, n)
    mass = np.asarray(term_mass, dtype=float).ravel()
    start = column("term_age_from", term_age_from, mass.size)
    end = column("term_age_to", term_age_to, mass.size)
    counts = ragged(n, term_offset, mass.size)
    total = int(n_items if n_items is not None else (ids.max() + 1 if n else 0))
    if n and (ids.min() < 0 or ids.max() >= total):
        raise BadOptions("an item is out of range", hint="Number items from 0.")
    of_term = np.repeat(ids, counts)
    speed = column("b", b, total)[of_term]
    steady = column("c", c, total)[of_term]
    at = -np.expm1(-speed * start)
    rise = -np.expm1(-speed * end) - at
    wanted = np.bincount(ids, observed, total).astype(float)

    def add_up(values: Floats) -> Floats:
        return np.bincount(of_term, values, total).astype(float)

    with np.errstate(divide="ignore", invalid="ignore"):
        rest = wanted - add_up(mass * steady * (end - start))
        a = rest / add_up(mass * rise)
        a = np.where(a > 0, a, np.nan)
        for _ in range(30):
            g = np.maximum(1.0 - a[of_term] * at - steady * start, LEAST_G)
            lost = a[of_term] * rise + steady * (end - start)
            error = add_up(mass * lost / g) - wanted
            slope = add_up(mass * (rise * g + lost * at) / np.square(g))
            step = error / slope
            a = np.where(step < a, a - step, a / 2)
            if not np.any(np.abs(step) > 1e-12 * np.abs(a)):
                break
    return np.asarray(np.where(np.isfinite(a), a, np.nan))


def predict_shortage(
    family: str,
    a: ArrayLike,
    b: ArrayLike,
    c: ArrayLike,
    term_offset: ArrayLike,
    term_mass: ArrayLike,
    term_age_from: ArrayLike,
    term_age_to: ArrayLike,
) -> Floats:
    """Expect the shortage of each period from its exposure terms.

    Parameters
    ----------
    family : str
        A key of `curves.FAMILIES`, the same for all periods of a call.
    a, b, c : float or array_like of float, shape (n,)
        Coefficients by period, as `curves.Family.coefficients` maps them.
    term_offset : array_like of int, shape (n,) or (n + 1,)
        Where each period's terms begin. Where a, b, c are all plain numbers, a last offset equal to
        m ends the last period and begins none.
    term_mass, term_age_from, term_age_to : array_like of float, shape (m,)
        kg, days.

    Returns
    -------
    ndarray of float, shape (n,)
        kg; NaN where a coefficient or a term is NaN.

    Raises
    ------
    BadOptions
        Unknown family, or columns that do not fit together.
    """
    shape = family_of(family)
    offset = np.asarray(term_offset, dtype=np.int64).ravel()
    mass = np.asarray(term_mass, dtype=float).ravel()
    start = column("term_age_from", term_age_from, mass.size)
    end = column("term_age_to", term_age_to, mass.size)
    lengths = {np.size(values) for values in (a, b, c) if np.ndim(values)}
    n = lengths.pop() if lengths else offset.size - bool(offset.size and offset[-1] == mass.size)
    counts = ragged(n, offset, mass.size)
    begins = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64) if n else counts
    level, speed, steady = (
        np.repeat(column(name, values, n), counts)
        for name, values in (("a", a), ("b", b), ("c", c))
    )
    match family:
        case "linear":
            parameters: tuple[Floats, ...] = (steady,)
        case "sqrt":
            parameters = (level,)
        case "peleg":
            with np.errstate(divide="ignore"):
                parameters = (speed, 1.0 / level)
        case _:
            parameters = (level, speed, steady)[: len(shape.parameters)]
    with np.errstate(invalid="ignore", over="ignore"):
        before = np.minimum(shape.loss(start, *parameters), 1.0)
        after = np.minimum(shape.loss(end, *parameters), 1.0)
        lost = mass * (after - before) / np.maximum(1.0 - before, LEAST_G)
    return sums(lost, begins, counts)
