"""Autoregression on chosen lags by ridge regression; naive methods are the case of one lag.

References
----------
Hoerl, Kennard (1970), Ridge regression, Technometrics 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from weighhouse.forecasting.contract import Floats

__all__ = [
    "Lagged",
    "continue_lags",
    "fit_lags",
    "lags_for",
    "project_lags",
    "random_walk",
    "repeat_lag",
]


@dataclass(frozen=True, slots=True)
class Lagged:
    """A linear recursion on past values or past changes.

    Attributes
    ----------
    lags : tuple of int
        Ascending.
    coefficients : tuple of float
        One for each lag.
    constant : float
        Added each step.
    differenced : bool
        Whether lags and constant are those of changes from step to step.
    past : tuple of float
        The last values (not changes), oldest first; as many as the recursion needs.
    spread : float
        Root mean square of the one-step errors.
    """

    lags: tuple[int, ...]
    coefficients: tuple[float, ...]
    constant: float
    differenced: bool
    past: tuple[float, ...]
    spread: float


def repeat_lag(y: Floats, lag: int) -> Lagged:
    """Repeat the value `lag` steps back; for a lag of one that is the naive forecast."""
    changes = y[lag:] - y[:-lag]
    spread = float(np.sqrt(np.mean(changes * changes))) if len(changes) else 0.0
    return Lagged((lag,), (1.0,), 0.0, False, tuple(y[-lag:].tolist()), spread)


def random_walk(y: Floats) -> Lagged:
    """Go on from the last value with the mean change."""
    changes = np.diff(y)
    constant = float(np.mean(changes)) if len(changes) else 0.0
    errors = changes - constant
    spread = float(np.sqrt(errors @ errors / max(len(errors) - 1, 1)))
    return Lagged((1,), (1.0,), constant, False, (float(y[-1]),), spread)


def lags_for(n: int, seasons: Sequence[int], choice: str = "usual") -> tuple[int, ...]:
    """Choose lags: the last steps, and those about one and two seasons back.

    With several seasons (ascending) there is a choice: "usual", few of each; "many", the whole last
    season of the shortest and several days of the week, for hours; "seasons", whole seasons only.
    """
    seasons = [m for m in seasons if n >= 3 * m + 8]
    if not seasons:
        return tuple(range(1, 7))
    first, last = seasons[0], seasons[-1]
    if len(seasons) == 1:
        return tuple(sorted({*range(1, min(max(first, 6), 13) + 2), first, first + 1}))
    if choice == "many":
        lags = {*range(1, first + 3), 2 * first, 3 * first, last - first}
        lags |= {last - 1, last, last + 1, last + first}
    elif choice == "seasons":
        lags = {m for m in (first, 2 * first, last, 2 * last) if n > 3 * m}
    else:
        # The last steps matter less where the day before and the week before tell the hour.
        lags = {1, 2, 3, 2 * first, 2 * first + 1}
        for m in seasons:
            lags |= {m - 1, m, m + 1}
    return tuple(sorted(lags))


def fit_lags(
    y: Floats, lags: Sequence[int], *, differenced: bool, drift: bool, ridge: float
) -> Lagged | None:
    """Fit an autoregression; None where the series is too short for even one lag.

    Parameters
    ----------
    y : ndarray, shape (n,)
    lags : sequence of int
        The longest are left out until twice as many equations as lags remain.
    differenced : bool
        On changes: the forecast starts from the last value. Else on deviations from the mean.
    drift : bool
        Whether changes have a constant.
    ridge : float
        Penalty in units of the mean square of an observation.
    """
    z = np.diff(y) if differenced else y - float(np.mean(y))
    n = len(z)
    kept = [lag for lag in lags if n - lag >= max(2 * len(lags), 8)]
    while kept and n - kept[-1] < max(2 * len(kept), 8):
        kept.pop()
    size = float(z @ z) / n if n else 0.0
    if not kept or size == 0.0:
        return None
    longest = kept[-1]
    columns = [z[longest - lag : n - lag] for lag in kept]
    spread = float(np.std(z))
    if drift:
        columns.append(np.full(n - longest, spread))
    x = np.stack(columns, axis=1)
    penalty = ridge * size * np.eye(len(columns))
    answer = np.linalg.solve(x.T @ x + penalty, x.T @ z[longest:])
    errors = z[longest:] - x @ answer
    freedom = max(len(errors) - len(columns), len(errors) // 2)
    solution = answer.tolist()
    coefficients = solution[: len(kept)]
    if differenced:
        constant = solution[-1] * spread if drift else 0.0
    else:
        constant = float(np.mean(y)) * (1.0 - sum(coefficients))
    past = y[-(longest + 1 if differenced else longest) :]
    return Lagged(
        tuple(kept),
        tuple(coefficients),
        constant,
        differenced,
        tuple(past.tolist()),
        float(np.sqrt(errors @ errors / freedom)),
    )


def continue_lags(lagged: Lagged, values: Floats) -> Lagged:
    """Take in the next values."""
    past = (*lagged.past, *values.tolist())[-len(lagged.past) :]
    return replace(lagged, past=past)


def project_lags(lagged: Lagged, horizon: int, low: float, high: float) -> Floats:
    """Give the expected values of the steps ahead, each held within [low, high]."""
    past = np.array(lagged.past)
    last = float(past[-1])
    if lagged.differenced:
        past = np.diff(past)
    first = len(past)
    course = np.concatenate([past, np.zeros(horizon)])
    coefficients = np.array(lagged.coefficients)
    places = first - np.array(lagged.lags)
    mean = np.empty(horizon)
    for step in range(horizon):
        value = lagged.constant + float(coefficients @ course[places + step])
        if lagged.differenced:
            # An explosive recursion stops at the bound.
            bounded = min(max(last + value, low), high)
            value, last = bounded - last, bounded
            mean[step] = bounded
        else:
            value = min(max(value, low), high)
            mean[step] = value
        course[first + step] = value
    return mean
