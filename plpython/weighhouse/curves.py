"""Shrinkage curves S(t): the families in loss form, their guards, and fits to measured points.

S(t) is the fraction of its initial mass a product has lost at age t days, S(0) = 0. Parameters are
never negative. What a fit to points cannot tell stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weighhouse.errors import BadOptions, NotConverged, TooFewObservations

__all__ = [
    "FAMILIES",
    "Curve",
    "Family",
    "PreShrinkage",
    "Selection",
    "allocate_by_batch",
    "fit_points",
    "invert_daily_sum",
    "level_first_order",
    "pre_shrinkage",
    "predict_layers",
    "select",
]

Floats = NDArray[np.float64]
Function = Callable[..., Floats]


@dataclass(frozen=True)
class Family:
    """One shape of curve.

    Attributes
    ----------
    name : str
    parameters : tuple of str
        Names of the arguments of `loss` and `rate` after t.
    loss, rate : callable
        S(t, ...) and its derivative, elementwise, with broadcasting; t in days, t >= 0.
    start : tuple of tuple
        Where a search begins, for a loss of 1 at t = 1; one tuple a start.
    """

    name: str
    parameters: tuple[str, ...]
    loss: Function
    rate: Function
    start: tuple[tuple[float, ...], ...]

    def coefficients(self, parameters: Sequence[float]) -> tuple[float, float, float]:
        """Map parameters to (coefficient_a, coefficient_b, coefficient_c).

        linear (0, 0, c); sqrt and power (a, n, 0); exp (a, b, 0); exp_linear (a, b, c); peleg
        (1 / k2, k1, 0); weibull (a, b, n).
        """
        p = [float(x) for x in parameters]
        if len(p) != len(self.parameters):
            raise BadOptions(
                f"{self.name} has {len(self.parameters)} parameters, not {len(p)}",
                hint=f"Give {', '.join(self.parameters)}.",
            )
        match self.name:
            case "linear":
                return 0.0, 0.0, p[0]
            case "sqrt":
                return p[0], 0.5, 0.0
            case "peleg":
                return (1.0 / p[1] if p[1] > 0 else float("inf")), p[0], 0.0
            case _:
                a, b, c = [*p, 0.0][:3]
                return a, b, c

    def from_coefficients(self, a: float, b: float, c: float) -> tuple[float, ...]:
        """Undo `coefficients`."""
        match self.name:
            case "linear":
                return (c,)
            case "sqrt":
                return (a,)
            case "peleg":
                return b, (1.0 / a if a > 0 else float("inf"))
            case _:
                return (a, b, c)[: len(self.parameters)]


def _power_rate(t: Floats, a: Floats, n: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(a * n * np.power(t, n - 1.0))


def _weibull_rate(t: Floats, a: Floats, b: Floats, n: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(b > 0, n * b * np.power(b * t, n - 1.0), 0.0)
        return np.asarray(a * power * np.exp(-np.power(b * t, n)))


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("linear", ("c",), lambda t, c: c * t, lambda t, c: c + 0.0 * t, ((1.0,),)),
        Family(
            "sqrt",
            ("a",),
            lambda t, a: a * np.sqrt(t),
            lambda t, a: _power_rate(t, a, np.array(0.5)),
            ((1.0,),),
        ),
        Family(
            "exp",
            ("a", "b"),
            lambda t, a, b: -a * np.expm1(-b * t),
            lambda t, a, b: a * b * np.exp(-b * t),
            ((1.0, 3.0), (1.2, 1.0), (4.0, 0.3), (30.0, 0.03)),
        ),
        Family(
            "exp_linear",
            ("a", "b", "c"),
            lambda t, a, b, c: -a * np.expm1(-b * t) + c * t,
            lambda t, a, b, c: a * b * np.exp(-b * t) + c,
            ((1.0, 3.0, 0.0), (0.7, 5.0, 0.3), (0.3, 10.0, 0.7), (4.0, 0.3, 0.0)),
        ),
        Family(
            "power",
            ("a", "n"),
            lambda t, a, n: a * np.power(t, n),
            _power_rate,
            ((1.0, 0.3), (1.0, 0.7), (1.0, 1.2)),
        ),
        Family(
            "peleg",
            ("k1", "k2"),
            lambda t, k1, k2: t / (k1 + k2 * t + (t == 0)),
            lambda t, k1, k2: k1 / np.square(k1 + k2 * t),
            ((0.1, 0.9), (0.5, 0.5), (0.9, 0.1)),
        ),
        Family(
            "weibull",
            ("a", "b", "n"),
            lambda t, a, b, n: -a * np.expm1(-np.power(b * t, n)),
            _weibull_rate,
            ((1.0, 3.0, 1.0), (1.2, 1.0, 0.6), (1.0, 3.0, 1.5), (4.0, 0.3, 1.0)),
        ),
    )
}


def family_of(name: str) -> Family:
    """Look a family up.

    Raises
    ------
    BadOptions
        There is no such family.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise BadOptions(
            f"unknown curve family {name!r}", hint=f"Use one of {', '.join(FAMILIES)}."
        ) from None


@dataclass(frozen=True)
class Curve:
    """A curve with its parameters, and how it was found.

    Attributes
    ----------
    family : str
    parameters : tuple of float
        In the order of the family.
    standard_errors : tuple of float
        From the Jacobian at the solution; NaN on a bound, or where it is not defined.
    sse, r2, rmse, aicc : float
        Of the points fitted; r2 NaN when all points are equal, aicc NaN for n <= k + 2.
    loo_rmse : float
        Root mean square of the leave-one-out errors; NaN unless asked for.
    n : int
        Points with t > 0.
    age_min, age_max : float
        Range of ages fitted, days; NaN when the curve was given, not fitted.
    """

    family: str
    parameters: tuple[float, ...]
    standard_errors: tuple[float, ...] = ()
    sse: float = float("nan")
    r2: float = float("nan")
    rmse: float = float("nan")
    aicc: float = float("nan")
    loo_rmse: float = float("nan")
    n: int = 0
    age_min: float = float("nan")
    age_max: float = float("nan")

    def loss(self, t: ArrayLike) -> Floats:
        """S(t), held between 0 and 1; t in days, negative ages count as 0."""
        days = np.maximum(np.asarray(t, dtype=float), 0.0)
        return np.asarray(np.clip(family_of(self.family).loss(days, *self.parameters), 0.0, 1.0))

    def rate(self, t: ArrayLike) -> Floats:
        """S'(t), fraction of the initial mass per day; 0 once S has reached 1."""
        days = np.maximum(np.asarray(t, dtype=float), 0.0)
        family = family_of(self.family)
        full = family.loss(days, *self.parameters) >= 1.0
        return np.asarray(np.where(full, 0.0, family.rate(days, *self.parameters)))

    def coefficients(self) -> tuple[float, float, float]:
        """(coefficient_a, coefficient_b, coefficient_c) as `Family.coefficients`."""
        return family_of(self.family).coefficients(self.parameters)

    def problems(self, horizon: float) -> list[str]:
        """List what a caller must know before using the curve up to `horizon` days.

        loss_over_1: S would pass 1; extrapolation: beyond 1.5 times the largest age fitted;
        decreasing: S' < 0 somewhere (cannot happen with parameters >= 0).
        """
        grid = np.linspace(0.0, max(horizon, 0.0), 101)
        raw = family_of(self.family).loss(grid, *self.parameters)
        found = []
        if np.any(raw > 1.0):
            found.append("loss_over_1")
        if horizon > 1.5 * self.age_max:
            found.append("extrapolation")
        if np.any(np.diff(raw) < 0):
            found.append("decreasing")
        return found


@dataclass(frozen=True)
class PreShrinkage:
    """What ages change for stock that was old when the period began (domain model 5.4)."""

    initial_equivalent: float
    pre_amount: float
    period_loss: float
    adjusted_rate: float
    factor: float
    effective_per_day: float


def pre_shrinkage(curve: Curve, age: ArrayLike, days: float, mass: ArrayLike) -> PreShrinkage:
    """Tell what stock loses over a period, given its age at the start.

    Parameters
    ----------
    curve : Curve
    age : array_like of float, shape (k,) or scalar
        Age of each layer at the start, days. NaN: not known, counts as 0 (factor 1).
    days : float
        Length of the period, days.
    mass : array_like of float, shape (k,) or scalar
        Mass of each layer at the start, kg.

    Returns
    -------
    PreShrinkage
        Sums over the layers, kg; `adjusted_rate` is the loss over the mass at the start, `factor`
        that rate over S(days), `effective_per_day` the rate over the days. NaN when there is no
        mass, no time or no loss to divide by.

    References
    ----------
    Domain model 5.4; worked example E11.
    """
    t0 = np.nan_to_num(np.atleast_1d(np.asarray(age, dtype=float)), nan=0.0)
    m = np.atleast_1d(np.asarray(mass, dtype=float))
    before = curve.loss(t0)
    equivalent = m / np.maximum(1.0 - before, 1e-9)
    loss = float(np.sum(equivalent * (curve.loss(t0 + days) - before)))
    total = float(np.sum(m))
    fresh = float(curve.loss(days))
    rate = loss / total if total > 0 else float("nan")
    return PreShrinkage(
        initial_equivalent=float(np.sum(equivalent)),
        pre_amount=float(np.sum(equivalent * before)),
        period_loss=loss,
        adjusted_rate=rate,
        factor=rate / fresh if fresh > 0 else float("nan"),
        effective_per_day=rate / days if days > 0 else float("nan"),
    )


def predict_layers(curve: Curve, mass: ArrayLike, age: ArrayLike, horizon: ArrayLike) -> Floats:
    """Expect the loss of each layer over a horizon, nothing being sold.

    M (S(t + h) - S(t)) / g(t) for mass M at age t.

    Parameters
    ----------
    curve : Curve
    mass : array_like of float, shape (k,)
        kg now.
    age : array_like of float, shape (k,)
        Days now.
    horizon : array_like of float, scalar or shape (k,)
        Days ahead.

    Returns
    -------
    ndarray of float, shape (k,)
        kg.

    References
    ----------
    Domain model 5.7; worked example E21.
    """
    t = np.asarray(age, dtype=float)
    before = curve.loss(t)
    after = curve.loss(t + np.asarray(horizon, dtype=float))
    return np.asarray(
        np.asarray(mass, dtype=float) * (after - before) / np.maximum(1 - before, 1e-9)
    )


def invert_daily_sum(
    b: float, mass_at_start_of_day: ArrayLike, shortage: float
) -> tuple[float, float]:
    """Solve shortage = a b sum of m_d exp(-b d), d = 1..n, for a.

    Parameters
    ----------
    b : float
        1/day.
    mass_at_start_of_day : array_like of float, shape (n,)
        kg.
    shortage : float
        kg.

    Returns
    -------
    total, a : float
        The sum, kg, and a. a is NaN when the sum or b is 0.

    References
    ----------
    Worked example E09.
    """
    mass = np.asarray(mass_at_start_of_day, dtype=float)
    total = float(np.sum(mass * np.exp(-b * np.arange(1, mass.size + 1))))
    return total, shortage / (b * total) if b * total > 0 else float("nan")


def _segments(
    b: float, mass: ArrayLike, age_from: ArrayLike, age_to: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    m = np.asarray(mass, dtype=float)
    start = np.asarray(age_from, dtype=float)
    end = np.asarray(age_to, dtype=float)
    return m * (np.exp(-b * start) - np.exp(-b * end)), m, end - start


def level_first_order(
    b: float,
    c: float,
    mass: ArrayLike,
    age_from: ArrayLike,
    age_to: ArrayLike,
    shortage: float,
) -> tuple[float, float]:
    """Estimate a from one period with b and c known, mass not corrected for its own drying.

    Parameters
    ----------
    b, c : float
        1/day, fraction per day.
    mass, age_from, age_to : array_like of float, shape (k,)
        kg and days of each segment.
    shortage : float
        kg.

    Returns
    -------
    denominator, a : float
        a is NaN when the denominator is not positive.

    References
    ----------
    Worked example E12. A first-order estimate: 0 to 2 % too high.
    """
    curved, m, days = _segments(b, mass, age_from, age_to)
    denominator = float(np.sum(curved))
    rest = shortage - c * float(np.sum(m * days))
    return denominator, rest / denominator if denominator > 0 else float("nan")


def allocate_by_batch(
    a: float,
    b: float,
    c: float,
    mass: ArrayLike,
    age_from: ArrayLike,
    age_to: ArrayLike,
) -> Floats:
    """Split a shortage among batches as the curve does: a(e^-b from - e^-b to) + c days, times kg.

    Not the batches it was posted to: that is FIFO (worked example E12).
    """
    curved, m, days = _segments(b, mass, age_from, age_to)
    return np.asarray(a * curved + c * m * days)


# ---------------------------------------------------------------------------------- fits to points


def _solve(
    family: Family, t: Floats, y: Floats, start: Floats, iterations: int = 200
) -> tuple[Floats, float]:
    """Projected Levenberg-Marquardt with parameters >= 0; return parameters and SSE.

    A parameter on its bound whose gradient points outward is left out of the step. The Jacobian is
    by central differences.
    """
    p = start.copy()
    residual = family.loss(t, *p) - y
    sse = float(residual @ residual)
    damping = 1e-3
    for _ in range(iterations):
        jacobian = _jacobian(family, t, p)
        gradient = jacobian.T @ residual
        free = (p > 0) | (gradient < 0)
        if not np.any(free):
            break
        j = jacobian[:, free]
        hessian = j.T @ j
        diagonal = np.maximum(np.diag(hessian), 1e-300)
        improved = False
        while damping < 1e12:
            try:
                step = np.linalg.solve(hessian + damping * np.diag(diagonal), -gradient[free])
            except np.linalg.LinAlgError:
                damping *= 10
                continue
            trial = p.copy()
            trial[free] = np.maximum(p[free] + step, 0.0)
            if family.name == "peleg" and trial.sum() <= 0:
                damping *= 10
                continue
            r = family.loss(t, *trial) - y
            value = float(r @ r)
            if np.isfinite(value) and value <= sse:
                improved = True
                break
            damping *= 4
        if not improved:
            break
        done = sse - value <= 1e-15 * sse and bool(
            np.all(np.abs(trial - p) <= 1e-10 * (np.abs(p) + 1e-12))
        )
        p, residual, sse = trial, r, value
        damping = max(damping / 6, 1e-12)
        if done:
            break
    return p, sse


def _jacobian(family: Family, t: Floats, p: Floats) -> Floats:
    columns = []
    for k in range(p.size):
        width = 1e-6 * max(abs(p[k]), 1e-6)
        low, high = p.copy(), p.copy()
        high[k] += width
        low[k] = max(0.0, low[k] - width)
        difference = family.loss(t, *high) - family.loss(t, *low)
        columns.append(difference / (high[k] - low[k]))
    return np.column_stack(columns)


def _starts(family: Family, t: Floats, y: Floats) -> list[Floats]:
    """Move the family's starts, meant for a loss of 1 at t = 1, to the data."""
    time = float(np.max(t))
    level = max(float(np.max(y)), 1e-12)
    scaled = []
    for start in family.start:
        p = np.array(start)
        for k, name in enumerate(family.parameters):
            if name == "a":
                n = 0.5 if family.name == "sqrt" else p[1] if family.name == "power" else 0.0
                p[k] *= level / time**n
            elif name == "b":
                p[k] /= time
            elif name == "c":
                p[k] *= level / time
            elif name == "k1":
                p[k] *= time / level
            elif name == "k2":
                p[k] /= level
        scaled.append(p)
    return scaled


def _points(t: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    days = np.asarray(t, dtype=float).ravel()
    loss = np.asarray(y, dtype=float).ravel()
    if days.size != loss.size:
        raise BadOptions(
            f"{days.size} times and {loss.size} losses", hint="Give one loss for each time."
        )
    if not (np.all(np.isfinite(days)) and np.all(np.isfinite(loss))):
        raise BadOptions("a time or a loss is not a finite number", hint="Leave such points out.")
    if np.any(days < 0):
        raise BadOptions("a time is negative", hint="Count time from the initial mass, in days.")
    used = days > 0
    return days[used], loss[used]


def _best(family: Family, days: Floats, loss: Floats) -> tuple[Floats, float]:
    if not np.any(loss > 0):
        # Nothing is lost: only zero fits.
        zero = np.zeros(len(family.parameters))
        if family.name == "peleg":
            raise NotConverged("peleg cannot describe a loss of zero", hint="Use another family.")
        return zero, float(np.sum(np.square(loss)))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        solutions = [_solve(family, days, loss, start) for start in _starts(family, days, loss)]
    p, sse = min(solutions, key=lambda solution: solution[1])
    if not np.isfinite(sse):
        raise NotConverged(f"{family.name} found no finite fit", hint="Try another family.")
    return p, sse


def fit_points(t: ArrayLike, y: ArrayLike, family: str, *, leave_one_out: bool = False) -> Curve:
    """Fit a curve to measured losses by least squares, parameters >= 0.

    Parameters
    ----------
    t : array_like of float, shape (n,)
        Age, days. Points at t = 0 carry nothing and are left out.
    y : array_like of float, shape (n,)
        Fraction lost.
    family : str
        A key of `FAMILIES`.
    leave_one_out : bool
        Also refit without each point and report the RMSE of the predictions.

    Returns
    -------
    Curve

    Raises
    ------
    TooFewObservations
        Fewer points with t > 0 than parameters.
    BadOptions
        Unknown family, other lengths, non-finite or negative times.
    NotConverged
        No start led to a finite fit.

    References
    ----------
    Domain model 4b; worked examples E14, E16. Search: projected Levenberg-Marquardt from several
    starts (Nocedal, Wright (2006), Numerical Optimization, ch. 10 and 16.7).
    """
    shape = family_of(family)
    days, loss = _points(t, y)
    k = len(shape.parameters)
    n = int(days.size)
    if n < k:
        raise TooFewObservations(
            f"{family} needs {k} points after the start, there are {n}",
            hint="Weigh more often, or use a family with fewer parameters.",
        )
    p, sse = _best(shape, days, loss)
    loo = float("nan")
    if leave_one_out and n > k:
        errors = []
        for left_out in range(n):
            kept = np.arange(n) != left_out
            q, _ = _best(shape, days[kept], loss[kept])
            errors.append(float(shape.loss(days[left_out : left_out + 1], *q)[0] - loss[left_out]))
        loo = float(np.sqrt(np.mean(np.square(errors))))
    sst = float(np.sum(np.square(loss - loss.mean())))
    terms = k + 1
    aicc = float("nan")
    if n - terms - 1 > 0:
        aicc = n * float(np.log(max(sse, 1e-300) / n))
        aicc += 2 * terms + 2 * terms * (terms + 1) / (n - terms - 1)
    return Curve(
        family=family,
        parameters=tuple(float(x) for x in p),
        standard_errors=_standard_errors(shape, days, p, sse),
        sse=sse,
        r2=1.0 - sse / sst if sst > 0 else float("nan"),
        rmse=float(np.sqrt(sse / n)),
        aicc=aicc,
        loo_rmse=loo,
        n=n,
        age_min=float(days.min()),
        age_max=float(days.max()),
    )


def _standard_errors(family: Family, t: Floats, p: Floats, sse: float) -> tuple[float, ...]:
    errors = np.full(p.size, np.nan)
    free = p > 0
    freedom = t.size - int(free.sum())
    if freedom > 0 and np.any(free):
        j = _jacobian(family, t, p)[:, free]
        try:
            covariance = np.linalg.inv(j.T @ j) * sse / freedom
        except np.linalg.LinAlgError:
            return tuple(errors)
        variance = np.diag(covariance)
        errors[free] = np.sqrt(np.where(variance >= 0, variance, np.nan))
    return tuple(float(x) for x in errors)


@dataclass(frozen=True)
class Selection:
    """The chosen curve, why, and what the others scored.

    Attributes
    ----------
    chosen : Curve
    criterion : str
        "aicc" or "loo_rmse".
    candidates : dict of str to Curve
        All that could be fitted.
    failed : dict of str to str
        The others, with the reason.
    """

    chosen: Curve
    criterion: str
    candidates: dict[str, Curve]
    failed: dict[str, str]


def select(t: ArrayLike, y: ArrayLike, candidates: Sequence[str] = tuple(FAMILIES)) -> Selection:
    """Choose a family for measured points.

    With n >= 8 points after t = 0: least AICc, error variance counted as a parameter. With fewer:
    of the families with at most two parameters the least leave-one-out RMSE; one within 5 % of the
    best with fewer parameters wins (AICc would prefer a poor curve there).

    Parameters
    ----------
    t, y : array_like of float, shape (n,)
        As for `fit_points`.
    candidates : sequence of str
        Families to compare.

    Returns
    -------
    Selection

    Raises
    ------
    TooFewObservations
        No candidate can be fitted and compared.
    BadOptions
        As for `fit_points`.

    References
    ----------
    Domain model 4b; worked examples E14, E16.
    """
    days, _ = _points(t, y)
    short = days.size < 8
    fitted: dict[str, Curve] = {}
    failed: dict[str, str] = {}
    for name in candidates:
        k = len(family_of(name).parameters)
        if short and k > 2:
            failed[name] = f"{k} parameters are too many for {days.size} points"
            continue
        try:
            curve = fit_points(t, y, name, leave_one_out=short)
        except (TooFewObservations, NotConverged) as exc:
            failed[name] = str(exc)
            continue
        score = curve.loo_rmse if short else curve.aicc
        if np.isfinite(score):
            fitted[name] = curve
        else:
            failed[name] = f"{days.size} points are too few to compare"
    if not fitted:
        raise TooFewObservations(
            f"{days.size} points after the start are too few to choose a curve",
            hint="Weigh at least three times.",
        )
    if not short:
        chosen = min(fitted.values(), key=lambda curve: curve.aicc)
        return Selection(chosen, "aicc", fitted, failed)
    best = min(curve.loo_rmse for curve in fitted.values())
    near = [curve for curve in fitted.values() if curve.loo_rmse <= 1.05 * best]
    chosen = min(near, key=lambda curve: (len(curve.parameters), curve.loo_rmse))
    return Selection(chosen, "loo_rmse", fitted, failed)


def describe(curve: Curve) -> dict[str, Any]:
    """Write a curve as plain values for jsonb; NaN becomes None."""
    names = family_of(curve.family).parameters
    errors = curve.standard_errors or (float("nan"),) * len(names)
    return {
        "family": curve.family,
        "parameters": dict(zip(names, curve.parameters, strict=True)),
        "standard_errors": {
            name: error if np.isfinite(error) else None
            for name, error in zip(names, errors, strict=True)
        },
    }
