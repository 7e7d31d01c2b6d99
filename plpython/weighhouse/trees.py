"""Ensembles of binary trees as flat arrays, scored with numpy alone; from several libraries.

A row goes left where its number is at most the threshold. Nodes of a tree stand level by level and
siblings side by side, so that one array tells both children: right is left + 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weighhouse import walking
from weighhouse.errors import BadOptions

__all__ = [
    "Link",
    "Trees",
    "from_forest",
    "from_gradient_boosting",
    "from_hist_gradient_boosting",
    "from_isolation_forest",
    "from_lightgbm",
    "from_xgboost",
    "joined",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Link = Literal["identity", "logistic", "softmax", "exp", "isolation"]
# Rows that go through a tree together: their numbers and the nodes of a tree stay in the cache.
BLOCK = 16384
# Rows for which it does not pay to prepare each tree.
FEW = 64
# Rows times trees for which it pays to load the compiled walk.
MANY = 1_000_000
# From this level on rows that reached their leaf are dropped at every second level.
DROP = 6
# Where the low half of a 64-bit word stands.
_LOW = 0 if sys.byteorder == "little" else 1


@dataclass(frozen=True, slots=True)
class Trees:
    """An ensemble: the sum of its trees, scaled, on a base, through a link.

    Attributes
    ----------
    feature : ndarray of int32, shape (nodes,)
        Column a node looks at; of a leaf -1.
    threshold : ndarray of float32 or float64, shape (nodes,)
        Left is x <= threshold, x having the type of the threshold; of a leaf 0.
    child : ndarray of int32, shape (nodes,)
        The left child, counted from the root of the tree; of a leaf its row of `value`.
    missing_left : ndarray of bool, shape (nodes,)
        Whether NaN goes left.
    value : ndarray of float32 or float64, shape (leaves, width)
        Width is 1, or the number of outputs. The sum is made in its type, as the library does.
    root : ndarray of int64, shape (trees,)
        Where each tree begins, ascending.
    output : ndarray of int32, shape (trees,)
        The output a tree adds to; 0 where a leaf has all outputs.
    base : ndarray of float64, shape (outputs,)
    scale : float
        What the sum is multiplied with: 1, or 1 / trees for a mean.
    link : str
        identity; logistic and softmax to probabilities; exp; isolation: 2 to the power of minus.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[Any]
    child: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    value: NDArray[Any]
    root: Integers
    output: NDArray[np.int32]
    base: Floats
    scale: float = 1.0
    link: Link = "identity"

    @property
    def count(self) -> int:
        """Number of trees."""
        return len(self.root)

    def raw(self, x: NDArray[Any], check: Callable[[], None]) -> Floats:
        """Sum the trees: before the link.

        Parameters
        ----------
        x : ndarray of float, shape (n, features)
            NaN is missing.
        check : callable
            Called after each block of rows of each tree.

        Returns
        -------
        ndarray of float64, shape (n, outputs)
        """
        columns = x.shape[1] if x.ndim == 2 else 0
        used = int(self.feature.max(initial=-1)) + 1
        if x.ndim != 2 or columns < used:
            raise BadOptions(
                f"rows have {columns} numbers, the trees look at {used}",
                hint="Give the columns the trees were fitted on, in their order.",
            )
        rows = np.ascontiguousarray(x, dtype=self.threshold.dtype)
        result = np.zeros((len(rows), len(self.base)), dtype=self.value.dtype)
        single = result.dtype == np.float32
        if single:
            # XGBoost begins with its base, in float32.
            result += self.base.astype(np.float32)
        if len(rows) <= FEW:
            self._add_few(rows, result)
        elif len(rows) * self.count >= MANY and walking.available():
            self._add_compiled(rows, result, check)
        else:
            self._add_many(rows, result, check)
        if single:
            return result.astype(np.float64)
        result *= self.scale
        result += self.base
        return np.asarray(result, dtype=np.float64)

    def _add_compiled(
        self, rows: NDArray[Any], result: NDArray[Any], check: Callable[[], None]
    ) -> None:
        """Add the same by the compiled walk."""
        found = walking.leaves(
            self.feature, self.threshold, self.child, self.missing_left, self.root, rows, check
        )
        for start, first, leaves in found:
            into = result[start : start + leaves.shape[1]]
            for tree, leaf in enumerate(leaves, first):
                self._add(into, tree, leaf)

    def _add(self, into: NDArray[Any], tree: int, leaf: NDArray[np.int32]) -> None:
        """Add what a tree says of rows whose leaves are known."""
        if self.value.shape[1] == 1:
            into[:, self.output[tree]] += np.take(self.value[:, 0], leaf, mode="clip")
        else:
            into += np.take(self.value, leaf, axis=0, mode="clip")

    def _add_many(
        self, rows: NDArray[Any], result: NDArray[Any], check: Callable[[], None]
    ) -> None:
        """Add what the trees say, one tree and block of rows after the other."""
        missing = bool(np.isnan(rows).any())
        end = np.append(self.root[1:], len(self.feature))
        for number, (first, last) in enumerate(zip(self.root, end, strict=True)):
            tree = _Tree.of(self, int(first), int(last), rows.shape[1])
            for start in range(0, len(rows), BLOCK):
                check()
                leaf = tree.leaves(rows[start : start + BLOCK], missing)
                self._add(result[start : start + BLOCK], number, leaf)

    def _add_few(self, rows: NDArray[Any], result: NDArray[Any]) -> None:
        """Add the same, all trees at once: nothing is prepared for many rows."""
        count = self.count
        who = np.repeat(np.arange(len(rows)), count)
        root = np.tile(self.root, len(rows))
        node = root.copy()
        while True:
            feature = self.feature[node]
            inner = feature >= 0
            if not inner.any():
                break
            number = rows[who, np.maximum(feature, 0)]
            right = (number > self.threshold[node]) | (np.isnan(number) & ~self.missing_left[node])
            node = np.where(inner, root + self.child[node] + right, node)
        value = self.value[self.child[node]].reshape(len(rows), count, self.value.shape[1])
        for tree, output in enumerate(self.output):
            if value.shape[2] == 1:
                result[:, output] += value[:, tree, 0]
            else:
                result += value[:, tree]

    def predict(self, x: NDArray[Any], check: Callable[[], None]) -> Floats:
        """Score rows.

        Returns
        -------
        ndarray of float64
            Shape (n, classes), probabilities, for logistic (two) and softmax; (n,) where there is
            one output; else (n, outputs).
        """
        raw = self.raw(x, check)
        if self.link == "logistic":
            positive = 1 / (1 + np.exp(-np.clip(raw[:, 0], -700, 700)))
            return np.column_stack([1 - positive, positive])
        if self.link == "softmax":
            raw -= raw.max(axis=1, keepdims=True)
            np.exp(raw, out=raw)
            raw /= raw.sum(axis=1, keepdims=True)
        elif self.link == "exp":
            np.exp(raw, out=raw)
        elif self.link == "isolation":
            raw = np.exp2(-raw)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def arrays(self, prefix: str = "trees_") -> dict[str, NDArray[Any]]:
        """Give the arrays to store; with `facts` all there is."""
        return {
            prefix + name: getattr(self, name)
            for name in (
                "feature",
                "threshold",
                "child",
                "missing_left",
                "value",
                "root",
                "output",
                "base",
            )
        }

    def facts(self) -> dict[str, Any]:
        """Give the rest, for JSON."""
        return {"scale": self.scale, "link": self.link}

    @classmethod
    def restore(
        cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any], prefix: str = "trees_"
    ) -> Trees:
        """Make an ensemble of what `arrays` and `facts` gave."""
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        return cls(**own, scale=facts["scale"], link=facts["link"])


@dataclass(frozen=True, slots=True)
class _Tree:
    """One tree, ready to be walked: leaves lead to themselves.

    A word of a node is its left child, its feature, and whether NaN goes right, in that order from
    the high bits. Reading memory out of order is what costs: where a word has 32 bits it stands
    beside the threshold, and one look gives both (a third faster than two).
    """

    packed: NDArray[np.int64] | None
    word: NDArray[np.int64]
    threshold: NDArray[Any]
    leaf: NDArray[np.bool_]
    row: NDArray[np.int32]
    shift: int
    missing_right: bool
    columns: int

    @classmethod
    def of(cls, trees: Trees, first: int, last: int, columns: int) -> _Tree:
        feature = trees.feature[first:last].astype(np.int64)
        leaf = feature < 0
        child = trees.child[first:last]
        threshold = trees.threshold[first:last].copy()
        # No number is above it (nor is NaN): who is at a leaf stays.
        threshold[leaf] = np.inf
        feature[leaf] = 0
        left = child.astype(np.int64)
        left[leaf] = np.flatnonzero(leaf)
        missing_right = ~(trees.missing_left[first:last] | leaf)
        shift = 1 + max(1, columns - 1).bit_length()
        word = left << shift | feature << 1 | missing_right
        packed = None
        if threshold.dtype == np.float32 and int(word.max()) < 2**31:
            packed = word << 32 | threshold.view(np.uint32).astype(np.int64)
        return cls(packed, word, threshold, leaf, child, shift, bool(missing_right.any()), columns)

    def leaves(self, block: NDArray[Any], missing: bool) -> NDArray[np.int32]:
        """Find the leaf of each row: its row of `value`."""
        count = len(block)
        numbers = block.ravel()
        result = np.zeros(count, dtype=np.intp)
        if self.leaf[0]:
            return np.take(self.row, result)
        who: NDArray[np.intp] | None = None
        begin = np.arange(0, count * self.columns, self.columns, dtype=np.int64)
        node = np.zeros(count, dtype=np.int64)
        mask = (1 << self.shift) - 1
        word, place, record = np.empty((3, count), dtype=np.int64)
        number = np.empty(count, dtype=numbers.dtype)
        right = np.empty(count, dtype=bool)
        level = 0
        while len(node):
            # In range by construction; "clip" spares numpy the copy that "raise" with out= makes.
            if self.packed is not None:
                np.take(self.packed, node, out=record, mode="clip")
                np.right_shift(record, 32, out=word)
                threshold = record.view(np.float32)[_LOW::2]
            else:
                np.take(self.word, node, out=word, mode="clip")
                threshold = np.take(self.threshold, node, mode="clip")
            np.bitwise_and(word, mask, out=place)
            np.right_shift(place, 1, out=place)
            place += begin
            np.take(numbers, place, out=number, mode="clip")
            np.greater(number, threshold, out=right)
            if missing and self.missing_right:
                right |= np.isnan(number) & (word & 1).astype(bool)
            np.right_shift(word, self.shift, out=node)
            node += right
            level += 1
            if level >= DROP and level % 2 == 0:
                on = np.flatnonzero(~np.take(self.leaf, node, mode="clip"))
                left = len(on)
                if left < 0.9 * len(node):
                    if who is None:
                        result = node
                        who = on
                    else:
                        result[who] = node
                        who = who[on]
                    node, begin = node[on], begin[on]
                    word, place, record = word[:left], place[:left], record[:left]
                    number, right = number[:left], right[:left]
        return np.take(self.row, result, mode="clip")


def _tree(
    left: NDArray[Any],
    right: NDArray[Any],
    feature: NDArray[Any],
    threshold: NDArray[Any],
    missing_left: NDArray[Any],
    value: NDArray[Any],
) -> tuple[NDArray[Any], ...]:
    """Put the nodes of a tree level by level, siblings side by side.

    left, right: numbers of nodes, -1 of a leaf; node 0 is the root. value: shape (nodes, width).
    """
    levels = [np.zeros(1, dtype=np.int64)]
    while True:
        inner = levels[-1][left[levels[-1]] >= 0]
        if not len(inner):
            break
        levels.append(np.stack([left[inner], right[inner]], axis=1).ravel().astype(np.int64))
    order = np.concatenate(levels)
    is_leaf = left[order] < 0
    child = np.empty(len(order), dtype=np.int32)
    # The children of the i-th inner node are the next two after the root and those before.
    child[~is_leaf] = 1 + 2 * np.arange(int((~is_leaf).sum()))
    child[is_leaf] = np.arange(int(is_leaf.sum()))
    return (
        np.where(is_leaf, -1, feature[order]).astype(np.int32),
        np.where(is_leaf, 0, threshold[order]),
        child,
        np.where(is_leaf, True, missing_left[order]),
        value[order][is_leaf],
    )


def _ensemble(
    parts: Iterable[tuple[NDArray[Any], ...]],
    precision: type[np.float32] | type[np.float64],
    base: Floats,
    output: Sequence[int] | None = None,
    scale: float = 1.0,
    link: Link = "identity",
) -> Trees:
    """Join trees as `_tree` gives them; child of a leaf becomes its row among all leaves."""
    listed = list(parts)
    if not listed:
        raise BadOptions("an ensemble without trees", hint="Fit at least one.")
    leaves = np.cumsum([0] + [len(part[4]) for part in listed])
    child = [
        np.where(part[0] < 0, part[2] + before, part[2])
        for part, before in zip(listed, leaves[:-1], strict=True)
    ]
    sizes = [len(part[0]) for part in listed]
    return Trees(
        feature=np.concatenate([part[0] for part in listed]),
        threshold=np.concatenate([part[1] for part in listed]).astype(precision),
        child=np.concatenate(child).astype(np.int32),
        missing_left=np.concatenate([part[3] for part in listed]),
        value=np.concatenate([part[4] for part in listed]),
        root=(np.cumsum(sizes) - sizes).astype(np.int64),
        output=np.asarray(output if output is not None else np.zeros(len(listed)), dtype=np.int32),
        base=np.asarray(base, dtype=np.float64),
        scale=scale,
        link=link,
    )


def joined(first: Trees, second: Trees, scale: float | None = None) -> Trees:
    """Put the trees of two ensembles together: those that learnt on and those there were.

    scale: of the result; None: that of the first. Base and link are those of the first.

    Raises
    ------
    BadOptions
        They differ in outputs, width or precision.
    """
    if (
        first.value.shape[1] != second.value.shape[1]
        or len(first.base) != len(second.base)
        or first.threshold.dtype != second.threshold.dtype
    ):
        raise BadOptions("ensembles of different outputs cannot be joined", hint="Fit anew.")
    leaf = second.feature < 0
    return replace(
        first,
        feature=np.concatenate([first.feature, second.feature]),
        threshold=np.concatenate([first.threshold, second.threshold]),
        child=np.concatenate(
            [first.child, second.child + leaf.astype(np.int32) * len(first.value)]
        ).astype(np.int32),
        missing_left=np.concatenate([first.missing_left, second.missing_left]),
        value=np.concatenate([first.value, second.value]),
        root=np.concatenate([first.root, second.root + len(first.feature)]),
        output=np.concatenate([first.output, second.output]),
        scale=first.scale if scale is None else scale,
    )


def _rounded_down(threshold: NDArray[Any]) -> NDArray[np.float32]:
    """Give the largest float32 at or below: float32 x <= t is the same as x <= that."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def _of_sklearn(tree: Any, value: Floats, names: NDArray[Any] | None = None) -> Any:
    """Convert a `sklearn.tree._tree.Tree`, which casts x to float32. value: (nodes, width)."""
    feature = tree.feature if names is None else names[np.maximum(tree.feature, 0)]
    missing = np.asarray(tree.missing_go_to_left, dtype=bool)
    return _tree(
        tree.children_left,
        tree.children_right,
        feature,
        _rounded_down(tree.threshold),
        missing,
        value,
    )


def from_forest(estimators: Sequence[Any]) -> Trees:
    """Convert the trees of a scikit-learn forest: `RandomForest*.estimators_`, one output.

    The result of a classifier is the mean of the shares of the classes in the leaves.
    """
    parts = [_of_sklearn(e.tree_, e.tree_.value[:, 0, :]) for e in estimators]
    width = estimators[0].tree_.value.shape[2]
    return _ensemble(parts, np.float32, np.zeros(width), scale=1 / len(parts))


def from_gradient_boosting(model: Any) -> Trees:
    """Convert scikit-learn's `GradientBoostingRegressor` or `...Classifier` (without `init`)."""
    rounds, outputs = model.estimators_.shape
    start = np.asarray(model._raw_predict_init(np.zeros((1, model.n_features_in_))), dtype=float)
    rate = model.learning_rate
    parts = [_of_sklearn(e.tree_, rate * e.tree_.value[:, 0, :]) for e in model.estimators_.ravel()]
    classes = getattr(model, "classes_", None)
    link: Link = "identity" if classes is None else "logistic" if outputs == 1 else "softmax"
    return _ensemble(
        parts,
        np.float32,
        np.broadcast_to(start.ravel(), (outputs,)).copy(),
        list(range(outputs)) * rounds,
        link=link,
    )


def from_hist_gradient_boosting(model: Any) -> Trees:
    """Convert scikit-learn's `HistGradientBoosting*`, without categorical features."""
    parts = []
    outputs = model.n_trees_per_iteration_
    for predictors in model._predictors:
        for predictor in predictors:
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise BadOptions("trees of categories", hint="Encode them as numbers.")
            leaf = nodes["is_leaf"].astype(bool)
            parts.append(
                _tree(
                    np.where(leaf, -1, nodes["left"].astype(np.int64)),
                    np.where(leaf, -1, nodes["right"].astype(np.int64)),
                    nodes["feature_idx"],
                    nodes["num_threshold"],
                    nodes["missing_go_to_left"].astype(bool),
                    nodes["value"][:, None],
                )
            )
    link: Link = "identity"
    if hasattr(model, "classes_"):
        link = "logistic" if outputs == 1 else "softmax"
    elif model.loss in ("poisson", "gamma"):
        link = "exp"
    base = np.broadcast_to(np.asarray(model._baseline_prediction, float).ravel(), (outputs,))
    return _ensemble(
        parts,
        np.float64,
        base.copy(),
        list(range(outputs)) * len(model._predictors),
        link=link,
    )


def path_length(count: NDArray[Any]) -> Floats:
    """Give the mean depth of a search in a binary tree of so many rows (Liu et al. 2008, eq. 1)."""
    n = np.asarray(count, dtype=float)
    result = np.zeros_like(n)
    result[n == 2] = 1
    more = n > 2
    result[more] = 2 * (np.log(n[more] - 1) + np.euler_gamma) - 2 * (n[more] - 1) / n[more]
    return result


def from_isolation_forest(model: Any) -> Trees:
    """Convert scikit-learn's `IsolationForest`; the result is its -score_samples, 0 to 1."""
    parts = []
    for estimator, names in zip(model.estimators_, model.estimators_features_, strict=True):
        tree = estimator.tree_
        depth = np.zeros(tree.node_count)
        # A parent stands before its children.
        for node in np.flatnonzero(tree.children_left >= 0):
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
        value = depth + path_length(tree.n_node_samples)
        parts.append(_of_sklearn(tree, value[:, None], np.asarray(names)))
    usual = float(path_length(np.array([model._max_samples]))[0])
    return _ensemble(
        parts, np.float32, np.zeros(1), scale=1 / (len(parts) * usual), link="isolation"
    )


def from_lightgbm(text: str) -> Trees:
    """Convert LightGBM's model text (`Booster.model_to_string`), numerical splits only."""
    head, _, rest = text.partition("\nTree=")
    facts = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    objective = facts.get("objective", "regression").split()
    settings = dict(word.split(":", 1) for word in objective[1:] if ":" in word)
    rates = float(settings.get("sigmoid", 1.0))
    link: Link
    match objective[0]:
        case "binary" | "cross_entropy":
            link = "logistic"
        case "multiclass":
            link = "softmax"
        case "poisson" | "gamma" | "tweedie":
            link = "exp"
        case (
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
        ) if "sqrt" not in objective:
            link = "identity"
        case _:
            raise BadOptions(
                f"LightGBM's objective {facts['objective']} is not known",
                hint="Use regression, quantile, binary, multiclass or another common one.",
            )
    outputs = int(facts.get("num_tree_per_iteration", 1))
    parts = []
    for section in rest.partition("\nend of trees")[0].split("\nTree="):
        lines = dict(line.split("=", 1) for line in section.splitlines() if "=" in line)
        leaves = np.array(lines["leaf_value"].split(), dtype=float)
        inner = len(leaves) - 1
        if lines.get("num_cat", "0") != "0" or lines.get("is_linear", "0") != "0":
            raise BadOptions(
                "trees of categories or of linear leaves", hint="Encode categories as numbers."
            )

        def column(name: str, kind: Any, lines: dict[str, str] = lines) -> NDArray[Any]:
            return np.array(lines.get(name, "").split(), dtype=kind)

        decision = column("decision_type", np.int64) if inner else np.zeros(0, np.int64)
        threshold = column("threshold", float)
        missing = decision >> 2 & 3
        if np.any(missing == 1):
            raise BadOptions("trees that take zero for missing", hint="Leave zero_as_missing off.")
        # Without a missing type NaN is zero.
        goes_left = np.where(missing == 2, (decision & 2) > 0, threshold >= 0)

        def places(name: str, inner: int = inner, lines: dict[str, str] = lines) -> NDArray[Any]:
            child = np.array(lines.get(name, "").split(), dtype=np.int64)
            # ~ is the number of a leaf; leaves stand after the inner nodes here.
            return np.concatenate(
                [np.where(child < 0, inner + ~child, child), np.full(inner + 1, -1)]
            )

        none = np.zeros(inner + 1)
        parts.append(
            _tree(
                places("left_child"),
                places("right_child"),
                np.concatenate([column("split_feature", np.int64), none.astype(np.int64)]),
                np.concatenate([threshold, none]),
                np.concatenate([goes_left, none == 0]),
                np.concatenate([np.zeros(inner), leaves])[:, None],
            )
        )
    mean = "average_output" in head.splitlines()
    return _ensemble(
        parts,
        np.float64,
        np.zeros(outputs),
        list(range(outputs)) * (len(parts) // outputs),
        scale=(rates if link == "logistic" else 1.0) / (len(parts) // outputs if mean else 1),
        link=link,
    )


def from_xgboost(model: bytes | str) -> Trees:
    """Convert XGBoost's JSON (`Booster.save_raw("json")`): gbtree, numerical splits only."""
    learner = json.loads(bytes(model) if not isinstance(model, str) else model)["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise BadOptions(f"XGBoost's booster {booster['name']}", hint="Use gbtree.")
    objective = learner["objective"]["name"]
    start = np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"])).astype(float)
    link: Link
    match objective:
        case "binary:logistic" | "reg:logistic":
            link, start = "logistic", np.log(start / (1 - start))
        case "multi:softprob" | "multi:softmax":
            link = "softmax"
        case "count:poisson" | "reg:gamma" | "reg:tweedie":
            link, start = "exp", np.log(start)
        case (
            "reg:squarederror" | "reg:absoluteerror" | "reg:quantileerror" | "reg:pseudohubererror"
        ):
            link = "identity"
        case _:
            raise BadOptions(
                f"XGBoost's objective {objective} is not known",
                hint="Use reg:squarederror, binary:logistic or multi:softprob.",
            )
    forest = booster["model"]
    parts = []
    for tree in forest["trees"]:
        left = np.array(tree["left_children"], dtype=np.int64)
        if any(tree.get("split_type", [])):
            raise BadOptions("trees of categories", hint="Encode them as numbers.")
        condition = np.array(tree["split_conditions"], dtype=np.float32)
        # It goes left below the threshold, not at it.
        threshold = np.nextafter(condition, np.float32(-np.inf))
        parts.append(
            _tree(
                left,
                np.array(tree["right_children"], dtype=np.int64),
                np.array(tree["split_indices"], dtype=np.int64),
                threshold,
                np.array(tree["default_left"], dtype=bool),
                condition[:, None],
            )
        )
    outputs = max(
        1, int(learner["learner_model_param"].get("num_class", 0)), max(forest["tree_info"]) + 1
    )
    return _ensemble(
        parts,
        np.float32,
        np.broadcast_to(start, (outputs,)).copy(),
        forest["tree_info"],
        link=link,
    )
