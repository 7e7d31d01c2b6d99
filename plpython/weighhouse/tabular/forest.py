"""Random forest: scikit-learn grows the trees, numpy scores them.

Each tree sees a bootstrap sample of at most ROWS rows: a tree is the unit in which a cancel is
heard. Going on from a forest adds trees grown on all rows there are now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighhouse import trees
from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task
from weighhouse.tabular.options import Number, Option, Whole, complete

NAME = "forest"
FORMAT = 1
TASKS: tuple[Task, ...] = ("regression", "classification")
CONTINUES = True
TAKES_MISSING = True
OPTIONS: dict[str, Option] = {
    "trees": Whole(100, 1, 10_000),
    "depth": Whole(None, 1, 1000),
    "leaf_rows": Whole(1, 1, 1_000_000),
    "seed": Whole(0, 0, 2**31 - 1),
    "added": Number(0.1, 0.001, 1.0),
}
# Most rows of a bootstrap sample.
ROWS = 50_000


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        trees: how many (100); depth: of a tree at most (null: no limit); leaf_rows: fewest rows of
        a leaf (1); seed (0); added: share of trees added when it goes on (0.1).
    """
    return complete(NAME, options, OPTIONS)


def _grow(
    x: Floats,
    y: Floats,
    task: Task,
    class_count: int,
    count: int,
    seed: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
) -> trees.Trees:
    """Grow trees, one after the other."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    forest = (RandomForestClassifier if task == "classification" else RandomForestRegressor)(
        n_estimators=0,
        max_depth=options["depth"],
        min_samples_leaf=options["leaf_rows"],
        max_samples=ROWS if len(x) > ROWS else None,
        n_jobs=1,
        random_state=seed,
        warm_start=True,
    )
    # Each step grows what one call for all trees would: scikit-learn draws their seeds in order.
    step = max(1, 20_000 // len(x))
    for done in range(0, count, step):
        check()
        forest.n_estimators = min(count, done + step)
        forest.fit(x, y)
    check()
    return trees.from_forest(forest.estimators_)


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
    if known is None:
        grown = _grow(x, y, task, class_count, options["trees"], options["seed"], options, check)
    else:
        before = trees.Trees.restore(known.arrays, known.header["trees"])
        more = max(1, round(options["added"] * options["trees"]))
        # Other seeds than those of the trees there are.
        seed = (options["seed"] + before.count) % 2**31
        added = _grow(x, y, task, class_count, more, seed, options, check)
        grown = trees.joined(before, added, scale=1 / (before.count + added.count))
    return Learnt(
        header={"trees": grown.facts()},
        arrays=grown.arrays(),
        label=f"{grown.count} trees, {len(grown.feature)} nodes",
    )


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Score rows; see `TableKind.score`."""
    return trees.Trees.restore(learnt.arrays, learnt.header["trees"]).predict(x, check)
