"""Gradient boosting of histogram trees: scikit-learn grows them, numpy scores them.

Going on adds rounds that follow the gradient of the loss at the ensemble there is: each is a tree
of Newton steps (Friedman 2001; Chen and Guestrin 2016, eq. 5), one for each output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from weighhouse import trees
from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task
from weighhouse.tabular.options import Number, Option, Whole, complete

NAME = "gradient_boosting"
FORMAT = 1
TASKS: tuple[Task, ...] = ("regression", "classification")
CONTINUES = True
TAKES_MISSING = True
OPTIONS: dict[str, Option] = {
    "rounds": Whole(100, 1, 10_000),
    "learning_rate": Number(0.1, 1e-4, 1.0),
    "leaves": Whole(31, 2, 10_000),
    "leaf_rows": Whole(20, 1, 1_000_000),
    "penalty": Number(0.0, 0.0, 1e9),
    "seed": Whole(0, 0, 2**31 - 1),
    "added": Number(0.1, 0.001, 1.0),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        rounds (100); learning_rate (0.1); leaves: of a tree at most (31); leaf_rows: fewest rows of
        a leaf (20); penalty: on the squares of leaves (0); seed (0); added: share of rounds added
        when it goes on (0.1).
    """
    return complete(NAME, options, OPTIONS)


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "max_leaf_nodes": options["leaves"],
        "min_samples_leaf": options["leaf_rows"],
        "l2_regularization": options["penalty"],
        "early_stopping": False,
        "random_state": options["seed"],
    }


def _boost(
    x: Floats, y: Floats, task: Task, options: Mapping[str, Any], check: Callable[[], None]
) -> trees.Trees:
    """Boost from nothing, some rounds at a time."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classes = task == "classification"
    model = (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(
        max_iter=1, learning_rate=options["learning_rate"], warm_start=True, **_settings(options)
    )
    done, step = 0, 1
    while done < options["rounds"]:
        check()
        done = min(options["rounds"], done + step)
        model.max_iter = done
        began = time.perf_counter()
        model.fit(x, y)
        # How many at a time changes only when a cancel is heard, not what is learnt.
        if time.perf_counter() - began < 0.4:
            step *= 2
    check()
    return trees.from_hist_gradient_boosting(model)


@dataclass(frozen=True, slots=True)
class _Bins:
    """Numbers as places among at most 255 bounds of each column: binned once for all rounds."""

    bounds: list[Floats]
    codes: Floats

    @classmethod
    def of(cls, x: Floats) -> _Bins:
        bounds, codes = [], np.full_like(x, np.nan)
        for place, column in enumerate(x.T):
            known = ~np.isnan(column)
            values = np.unique(column[known])
            if len(values) > 255:
                values = np.unique(values[np.linspace(0, len(values) - 1, 255).astype(np.int64)])
            bounds.append(values)
            codes[known, place] = np.searchsorted(values, column[known])
        return cls(bounds, codes)

    def back(self, tree: trees.Trees) -> trees.Trees:
        """Write thresholds of places as thresholds of numbers."""
        threshold = tree.threshold.copy()
        for node in np.flatnonzero((tree.feature >= 0) & np.isfinite(tree.threshold)):
            bounds = self.bounds[tree.feature[node]]
            place = int(threshold[node])
            threshold[node] = bounds[place] if place < len(bounds) else np.inf
        return replace(tree, threshold=threshold)


def _go_on(
    before: trees.Trees,
    x: Floats,
    y: Floats,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> trees.Trees:
    """Add rounds to an ensemble."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    raw = before.raw(x, check)
    bins = _Bins.of(x)
    result = before
    for _ in range(max(1, round(options["added"] * options["rounds"]))):
        weight: Floats | None = None
        if before.link == "identity":
            step = y[:, None] - raw
        else:
            if before.link == "logistic":
                share = 1 / (1 + np.exp(-np.clip(raw, -700, 700)))
                hot = y[:, None]
            else:
                share = np.exp(raw - raw.max(axis=1, keepdims=True))
                share /= share.sum(axis=1, keepdims=True)
                hot = np.eye(raw.shape[1])[y.astype(np.int64)]
            # A mean weighted with the curvature is a Newton step.
            weight = np.maximum(share * (1 - share), 1e-6)
            step = np.clip((hot - share) / weight, -20, 20)
        added = []
        for output in range(raw.shape[1]):
            check()
            model = HistGradientBoostingRegressor(
                max_iter=1, learning_rate=1.0, **_settings(options)
            )
            model.fit(
                bins.codes,
                step[:, output],
                sample_weight=None if weight is None else weight[:, output],
            )
            tree = bins.back(trees.from_hist_gradient_boosting(model))
            added.append(
                replace(
                    tree,
                    value=options["learning_rate"] * (tree.value + tree.base),
                    output=np.full(tree.count, output, dtype=np.int32),
                    base=np.zeros(raw.shape[1]),
                )
            )
        for tree in added:
            raw += tree.raw(x, check)
            result = trees.joined(result, tree)
    return result


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
    from threadpoolctl import threadpool_limits

    assert y is not None
    with threadpool_limits(1):
        if known is None:
            boosted = _boost(x, y, task, options, check)
        else:
            before = trees.Trees.restore(known.arrays, known.header["trees"])
            boosted = _go_on(before, x, y, options, check)
    outputs = len(boosted.base)
    return Learnt(
        header={"trees": boosted.facts()},
        arrays=boosted.arrays(),
        label=f"{boosted.count // outputs} rounds, {len(boosted.feature)} nodes",
    )


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Score rows; see `TableKind.score`."""
    return trees.Trees.restore(learnt.arrays, learnt.header["trees"]).predict(x, check)
