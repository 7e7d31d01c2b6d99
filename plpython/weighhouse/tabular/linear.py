"""Linear regression by least squares, with a ridge where asked.

Without a ridge the solution of least norm, as scikit-learn's LinearRegression; with one the columns
are standardised first, as in its pipeline of StandardScaler and Ridge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task
from weighhouse.tabular.options import Number, Option, complete

NAME = "linear"
FORMAT = 1
TASKS: tuple[Task, ...] = ("regression",)
CONTINUES = False
TAKES_MISSING = False
OPTIONS: dict[str, Option] = {"ridge": Number(0.0, 0.0, 1e12)}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        ridge: penalty on the squares of the coefficients of standardised columns (0: none).
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
    assert y is not None
    check()
    mean, middle = x.mean(axis=0), float(y.mean())
    centred = x - mean
    if options["ridge"] == 0:
        coefficients = np.linalg.lstsq(centred, y - middle, rcond=None)[0]
    else:
        scale = centred.std(axis=0)
        scale[scale == 0] = 1
        centred /= scale
        gram = centred.T @ centred
        gram[np.diag_indices_from(gram)] += options["ridge"]
        coefficients = np.linalg.solve(gram, centred.T @ (y - middle)) / scale
    check()
    return Learnt(
        arrays={
            "coefficients": np.asarray(coefficients),
            "intercept": np.array([middle - float(mean @ coefficients)]),
        },
        label=f"{x.shape[1]} coefficients",
    )


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Score rows; see `TableKind.score`."""
    check()
    result: Floats = x @ learnt.arrays["coefficients"] + learnt.arrays["intercept"]
    return result
