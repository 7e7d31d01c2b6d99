"""What a kind of model of a table is: the contract each kind plugs into.

A kind sees numbers only: how columns become numbers is common to all
(`weighhouse.tabular.encoding`). It reads no table, no clock and no global random generator; what it
learns is arrays, scored with numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from weighhouse.learnt import Learnt

__all__ = ["Floats", "TableKind", "Task"]

Floats = NDArray[np.float64]
Task = Literal["regression", "classification", "anomaly", "clustering"]


class TableKind(Protocol):
    """The names a module of this package offers to be a kind of model."""

    NAME: str
    """As users write it: "forest"."""
    FORMAT: int
    """Version of the form of `Learnt`; `score` reads every form up to this one."""
    TASKS: tuple[Task, ...]
    """What it can do; anomaly and clustering have no target."""
    CONTINUES: bool
    """Whether `fit` goes on from what was learnt before: trees and rounds are added."""
    TAKES_MISSING: bool
    """Whether NaN may stand in `x`; else the encoding fills it."""

    def check_options(self, options: Mapping[str, Any], /) -> dict[str, Any]:
        """Complete the options of the kind with their defaults; raise BadOptions for others."""

    def fit(
        self,
        x: Floats,
        y: Floats | None,
        task: Task,
        class_count: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        known: Learnt | None,
        /,
    ) -> Learnt:
        """Learn.

        Parameters
        ----------
        x : ndarray of float64, shape (n, features)
        y : ndarray of float64, shape (n,), or None
            Regression: the values. Classification: numbers of classes from 0. None: no target.
        class_count : int
            Classes; 0 where there are none.
        check : callable
            Called at least every 100 ms where the library allows, never less than each second.
        known : Learnt or None
            What was learnt before, to go on from (CONTINUES).
        """

    def score(self, learnt: Learnt, x: Floats, check: Callable[[], None], /) -> Floats:
        """Score rows; numpy alone.

        Returns
        -------
        ndarray of float64
            Regression (n,): values. Classification (n, classes): probabilities. Anomaly (n,): a
            score, greater is stranger; `learnt.header["threshold"]` is where anomalies begin.
            Clustering (n,): number of the cluster from 0.
        """
