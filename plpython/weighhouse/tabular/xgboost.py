"""XGBoost: its library grows the trees, numpy scores them; its own form is kept to go on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighhouse import trees
from weighhouse.learnt import Learnt
from weighhouse.tabular.contract import Floats, Task
from weighhouse.tabular.options import Number, Option, Whole, complete

NAME = "xgboost"
FORMAT = 1
TASKS: tuple[Task, ...] = ("regression", "classification")
CONTINUES = True
TAKES_MISSING = True
NATIVE_FORMAT = "xgboost"
OPTIONS: dict[str, Option] = {
    "rounds": Whole(100, 1, 10_000),
    "learning_rate": Number(0.3, 1e-4, 1.0),
    "depth": Whole(6, 1, 30),
    "penalty": Number(1.0, 0.0, 1e9),
    "leaf_weight": Number(1.0, 0.0, 1e9),
    "row_share": Number(1.0, 0.01, 1.0),
    "column_share": Number(1.0, 0.01, 1.0),
    "seed": Whole(0, 0, 2**31 - 1),
    "added": Number(0.1, 0.001, 1.0),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        rounds (100); learning_rate (0.3); depth: of a tree at most (6); penalty: on the squares of
        leaves (1); leaf_weight: least curvature of a leaf (1); row_share, column_share: drawn for
        each tree (1); seed (0); added: share of rounds added when it goes on (0.1).
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
    import xgboost

    class Listener(xgboost.callback.TrainingCallback):
        """Looks for a cancel after each round."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            check()
            return False

    settings: dict[str, Any] = {
        "objective": "reg:squarederror",
        "eta": options["learning_rate"],
        "max_depth": options["depth"],
        "lambda": options["penalty"],
        "min_child_weight": options["leaf_weight"],
        "subsample": options["row_share"],
        "colsample_bytree": options["column_share"],
        "seed": options["seed"],
        "tree_method": "hist",
        "nthread": 1,
        "verbosity": 0,
    }
    if task == "classification" and class_count == 2:
        settings["objective"] = "binary:logistic"
    elif task == "classification":
        settings |= {"objective": "multi:softprob", "num_class": class_count}
    check()
    before, rounds = None, options["rounds"]
    if known is not None and known.native is not None:
        before = xgboost.Booster({"nthread": 1})
        before.load_model(bytearray(known.native))
        rounds = max(1, round(options["added"] * rounds))
    booster = xgboost.train(
        settings,
        xgboost.DMatrix(x, y, nthread=1),
        rounds,
        xgb_model=before,
        callbacks=[Listener()],
    )
    grown = trees.from_xgboost(bytes(booster.save_raw("json")))
    return Learnt(
        header={"trees": grown.facts()},
        arrays=grown.arrays(),
        native=bytes(booster.save_raw("ubj")),
        label=f"{grown.count // len(grown.base)} rounds, {len(grown.feature)} nodes",
    )


def score(learnt: Learnt, x: Floats, check: Callable[[], None]) -> Floats:
    """Score rows; see `TableKind.score`."""
    return trees.Trees.restore(learnt.arrays, learnt.header["trees"]).predict(x, check)
