"""Logistic regression, of two classes or several, with a penalty on the squares of coefficients.

Columns are standardised. The minimum is that of scikit-learn's LogisticRegression after a
StandardScaler, found by the same search (L-BFGS) from the same start; here a cancel stops it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task
from weighhouse.tabular.options import Number, Option, Whole, complete

NAME = "logistic"
FORMAT = 1
TASKS: tuple[Task, ...] = ("classification",)
CONTINUES = False
TAKES_MISSING = False
OPTIONS: dict[str, Option] = {
    "c": Number(1.0, 1e-9, 1e9),
    "tolerance": Number(1e-4, 1e-12, 1.0),
    "iterations": Whole(1000, 1, 100_000),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        c: inverse of the penalty (1); tolerance: of the gradient (1e-4); iterations: at most
        (1000).
    """
    return complete(NAME, options, OPTIONS)


def fit(
    x: Floats,
    y: Floats | None,
    task: Task,
    class_count: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    """Learn; see `TableKind.fit`."""
    from scipy.optimize import minimize

    assert y is not None
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale < 10 * np.finfo(float).eps * np.abs(mean)] = 1
    scale[scale == 0] = 1
    z = (x - mean) / scale
    count, columns = z.shape
    penalty = 1 / (options["c"] * count)
    # Two classes need one row of coefficients; several have a row each (softmax).
    rows = 1 if class_count == 2 else class_count
    target = y.astype(np.int64)
    hot = y[:, None] if rows == 1 else np.eye(class_count)[target]

    def loss(flat: Floats) -> tuple[float, Floats]:
        check()
        weights = flat.reshape(rows, columns + 1, order="F")
        raw = z @ weights[:, :-1].T + weights[:, -1]
        if rows == 1:
            # log(1 + exp(raw)) - y raw
            value = float(np.mean(np.logaddexp(0, raw) - hot * raw))
            error = _sigmoid(raw) - hot
        else:
            raw -= raw.max(axis=1, keepdims=True)
            exponent = np.exp(raw)
            total = exponent.sum(axis=1, keepdims=True)
            value = float(np.mean(np.log(total[:, 0]) - raw[np.arange(count), target]))
            error = exponent / total - hot
        error /= count
        gradient = np.empty_like(weights)
        gradient[:, :-1] = error.T @ z + penalty * weights[:, :-1]
        gradient[:, -1] = error.sum(axis=0)
        value += 0.5 * penalty * float(np.sum(weights[:, :-1] ** 2))
        return value, gradient.ravel(order="F")

    found = minimize(
        loss,
        np.zeros(rows * (columns + 1)),
        method="L-BFGS-B",
        jac=True,
        options={
            "maxiter": options["iterations"],
            "maxls": 50,
            "gtol": options["tolerance"],
            "ftol": 64 * np.finfo(float).eps,
        },
    )
    weights = found.x.reshape(rows, columns + 1, order="F")
    coefficients = weights[:, :-1] / scale
    return Learnt(
        header={"converged": bool(found.success)},
        arrays={
            "coefficients": coefficients,
            "intercept": weights[:, -1] - coefficients @ mean,
        },
        label=f"{columns} coefficients, {found.nit} iterations",
    )


def _sigmoid(raw: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-np.clip(raw, -700, 700)))
    return result


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Score rows; see `TableKind.score`."""
    check()
    raw = x @ learnt.arrays["coefficients"].T + learnt.arrays["intercept"]
    if raw.shape[1] == 1:
        positive = _sigmoid(raw[:, 0])
        return np.column_stack([1 - positive, positive])
    raw -= raw.max(axis=1, keepdims=True)
    np.exp(raw, out=raw)
    result: Floats = raw / raw.sum(axis=1, keepdims=True)
    return result
