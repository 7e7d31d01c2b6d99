"""Rows that are easily told apart from all others: an isolation forest.

Fitted by scikit-learn, stored as arrays, scored with numpy.

References
----------
Liu, Ting, Zhou (2008), Isolation Forest, ICDM, 413-422.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weighhouse import trees
from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task

__all__ = ["CONTINUES", "FORMAT", "NAME", "TAKES_MISSING", "TASKS", "check_options", "fit", "score"]

NAME = "isolation_forest"
FORMAT = 1
TASKS: tuple[Task, ...] = ("anomaly",)
CONTINUES = False
TAKES_MISSING = False

# Trees between two looks for a cancel.
BATCH = 10
# Rows whose scores give the threshold.
SCORED = 100_000
SEED = 20250106
# The trees see float32.
_LARGEST = 3e38

_WHOLE = {"trees": (1, 2000, 100), "sample": (2, 65_536, 256)}
CONTAMINATION = 0.01


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        trees: 1 to 2000 (100); sample: rows each tree is grown on, 2 to 65536 (256); contamination:
        share of the rows that are taken for anomalies, above 0 and up to 0.5 (0.01).
    """
    given = {name: most[2] for name, most in _WHOLE.items()} | {"contamination": CONTAMINATION}
    unknown = sorted(set(options) - set(given))
    if unknown:
        raise BadOptions(
            f"unknown option {unknown[0]} of {NAME}", hint=f"Known are {', '.join(given)}."
        )
    given |= options
    for name, (low, high, _) in _WHOLE.items():
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadOptions(
                f"{name} is not a whole number from {low} to {high}", hint="Leave it out."
            )
    share = given["contamination"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 0.5:
        raise BadOptions(
            "contamination is not above 0 and up to 0.5",
            hint=f"Give the share of anomalies, as {CONTAMINATION}.",
        )
    return given


def _single(x: Floats) -> Floats:
    """Keep numbers within those of float32."""
    return np.clip(x, -_LARGEST, _LARGEST)


def fit(
    x: Floats,
    y: Floats | None,
    task: Task,
    class_count: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    """Grow the trees; see `contract.TableKind.fit`.

    The header says where anomalies begin: `threshold`, the quantile 1 - contamination of the scores
    of the rows learnt from (of 100,000 of them where there are more).

    Raises
    ------
    TooFewObservations
        Fewer than two rows.
    """
    from sklearn.ensemble import IsolationForest

    given = check_options(options)
    n, d = x.shape
    if n < 2 or d < 1:
        raise TooFewObservations(
            f"{n} rows of {d} features: nothing can be told apart", hint="Load more rows."
        )
    rows = _single(x)
    check()
    count = int(given["trees"])
    forest = IsolationForest(
        n_estimators=0,
        max_samples=min(int(given["sample"]), n),
        contamination="auto",
        random_state=SEED,
        n_jobs=1,
        warm_start=True,
    )
    for done in range(min(BATCH, count), count + BATCH, BATCH):
        forest.set_params(n_estimators=min(done, count))
        forest.fit(rows)
        check()
        if done >= count:
            break
    grown = trees.from_isolation_forest(forest)
    chosen = rows
    if n > SCORED:
        rng = np.random.default_rng(SEED)
        chosen = rows[np.sort(rng.choice(n, SCORED, replace=False))]
    scores = grown.predict(chosen, check)
    threshold = float(np.quantile(scores, 1.0 - float(given["contamination"])))
    header = {
        "trees": grown.facts(),
        "threshold": threshold,
        "contamination": float(given["contamination"]),
        "sample": int(forest.max_samples_),
        "scored_rows": int(scores.size),
    }
    label = f"{grown.count} trees of {d} features, anomalies above {threshold:.3f}"
    return Learnt(header, grown.arrays(), label=label)


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Score rows from 0 to 1, greater is stranger; see `contract.TableKind.score`.

    What scikit-learn's `score_samples` gives, with its sign turned.
    """
    return trees.Trees.restore(learnt.arrays, learnt.header["trees"]).predict(_single(x), check)
