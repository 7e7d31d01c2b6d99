"""Between SQL and the kinds of tables: columns as bytes and texts in, artifacts and JSON out.

Columns arrive side by side, in the order of their names: families says what each is, numbers holds
those of number, boolean and time (`string_agg(float8send(x), '')`, NaN is an empty cell), texts
those of text. The target, where there is one, is the first column.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse import artifacts, pg
from weighhouse.errors import BadOptions, NotIdentified, TooFewObservations
from weighhouse.learnt import Learnt, pack
from weighhouse.tabular import encoding, kind, metrics
from weighhouse.tabular.contract import TableKind, Task
from weighhouse.tabular.encoding import Column

__all__ = [
    "Fitted",
    "Scores",
    "check_options",
    "evaluate",
    "find_task",
    "fit",
    "score",
    "score_one",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Check = Callable[[], None]

# Fewest rows (with a target) a model is fitted on.
MINIMUM = 10
# A number with at most so many values, all whole, is a class.
MOST_CLASSES = 10
# Most classes a target may have.
CLASS_LIMIT = 1000
# Rows of a fold by which the importance of columns is measured, at most; rows scored at once.
HELD = 2000
TOGETHER = 50_000


def read_columns(
    names: Sequence[str],
    families: Sequence[str],
    numbers: Sequence[bytes | None] | None,
    texts: Sequence[Sequence[str | None]] | None,
) -> list[Column]:
    """Read columns as SQL sends them; see the module."""
    numeric, textual = iter(numbers or ()), iter(texts or ())
    result = []
    for name, family in zip(names, families, strict=True):
        values: Floats | Sequence[str | None]
        values = list(next(textual)) if family == "text" else pg.floats(next(numeric))
        result.append(Column(name, family, values))  # type: ignore[arg-type]
    return result


def _length(columns: Sequence[Column]) -> int:
    return len(columns[0].values) if columns else 0


def find_task(kind_name: str, target: Column | None) -> Task:
    """Find the task of a model from its target.

    What the kind can do is all it can be asked for. Text and booleans are classes; so are numbers
    when all are whole and there are at most 10 of them; everything else is regression.

    Raises
    ------
    BadOptions
        The kind needs a target, or takes none, or its target is no number.
    """
    tasks = kind(kind_name).TASKS
    wanted = [task for task in tasks if task in ("regression", "classification")]
    if not wanted:
        if target is not None:
            raise BadOptions(
                f"the kind {kind_name} learns without a target",
                hint="Leave value_column out, or name another kind.",
            )
        return tasks[0]
    if target is None:
        raise BadOptions(
            f"the kind {kind_name} needs a target", hint="Name its column as value_column."
        )
    natural: Task = "regression"
    if target.family in ("text", "boolean"):
        natural = "classification"
    elif target.family == "number":
        values = np.unique(np.asarray(target.values, dtype=float))
        values = values[~np.isnan(values)]
        if len(values) <= MOST_CLASSES and np.all(np.isfinite(values) & (values % 1 == 0)):
            natural = "classification"
    task = natural if natural in wanted else wanted[0]
    _check_task(kind_name, task, target)
    return task


def _check_task(kind_name: str, task: str, target: Column | None) -> None:
    if task not in kind(kind_name).TASKS:
        raise BadOptions(
            f"the kind {kind_name} does no {task}",
            hint=f"It does {', '.join(kind(kind_name).TASKS)}.",
        )
    if task == "regression" and target is not None and target.family not in ("number", "boolean"):
        raise BadOptions(
            f"column {target.name} is {target.family}, not a number to be predicted",
            hint="Use a kind for classes: logistic, forest, gradient_boosting or xgboost.",
        )


def check_options(kind_name: str, options: str) -> str:
    """Complete the options of a kind; JSON in and out."""
    return json.dumps(kind(kind_name).check_options(json.loads(options)), allow_nan=False)


def _label(value: float) -> str:
    return str(int(value)) if value % 1 == 0 else repr(float(value))


def _labels(target: Column) -> list[str | None]:
    """Give the classes of rows as texts; None where there is none."""
    if target.family == "text":
        return list(target.values)
    values = np.asarray(target.values, dtype=float)
    if target.family == "boolean":
        return [None if np.isnan(v) else "true" if v else "false" for v in values.tolist()]
    return [None if np.isnan(v) else _label(v) for v in values.tolist()]


@dataclass(frozen=True, slots=True)
class _Ready:
    """Rows that can be learnt from."""

    columns: list[Column]
    count: int
    y: Floats | None
    classes: list[str]
    skipped: int


def _prepare(columns: list[Column], has_target: bool, task: Task) -> _Ready:
    """Split the target off, and leave out rows without one."""
    target = columns[0] if has_target else None
    features = columns[1:] if has_target else columns
    count = _length(columns)
    y: Floats | None = None
    classes: list[str] = []
    skipped = 0
    if target is not None:
        if task == "classification":
            labels = _labels(target)
            known = np.flatnonzero([label is not None for label in labels])
            found = {label for label in labels if label is not None}
            numeric = target.family == "number"
            classes = sorted(found, key=float) if numeric else sorted(found)
            number = {label: place for place, label in enumerate(classes)}
            of_rows = [number[label] for label in labels if label is not None]
            y = np.array(of_rows, dtype=np.float64)
        else:
            y = np.asarray(target.values, dtype=float)
            if np.isinf(y).any():
                raise BadOptions(
                    f"column {target.name} holds infinite values",
                    hint="Leave those rows out, or make them NULL; a query can do either.",
                )
            known = np.flatnonzero(~np.isnan(y))
            y = y[known]
        skipped = count - len(known)
        if skipped:
            features = [column.at(known) for column in features]
            count = len(known)
    if count < MINIMUM:
        raise TooFewObservations(
            f"{count} rows where at least {MINIMUM} are needed",
            detail=f"{skipped} rows have no target." if skipped else None,
            hint="Load more rows.",
        )
    if task == "classification" and len(classes) < 2:
        raise NotIdentified(
            f"all rows are of the class {classes[0]}", hint="There is nothing to tell apart."
        )
    if len(classes) > CLASS_LIMIT:
        raise BadOptions(
            f"the target has {len(classes)} classes",
            detail=f"At most {CLASS_LIMIT} are possible.",
            hint='If it is a number to be predicted, say so: {"task": "regression"}.',
        )
    if task == "regression" and y is not None and y.min() == y.max():
        raise NotIdentified(
            f"the target is {y[0]:g} in all rows", hint="There is nothing to explain."
        )
    return _Ready(features, count, y, classes, skipped)


def _notes(ready: _Ready, specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what a user should know of the data."""
    notes = []
    if ready.skipped:
        notes.append(f"{ready.skipped} rows without a target were left out")
    for why in ("constant", "empty"):
        left = [spec["name"] for spec in specs if spec.get("left_out") == why]
        if left:
            notes.append(f"{why} columns were left out: {', '.join(left)}")
    for spec in specs:
        if spec.get("other"):
            notes.append(
                f"{spec['name']} has {spec['level_count']} levels: "
                f"{len(spec['levels'])} have a column each, the rest one together"
            )
    if ready.classes and ready.y is not None:
        count = np.bincount(ready.y.astype(np.int64), minlength=len(ready.classes))
        rare = int(count.argmin())
        # Ten times rarer than if all were alike.
        if count[rare] * len(ready.classes) * 10 < ready.count:
            notes.append(
                f"classes are uneven: {ready.classes[rare]} has"
                f" {100 * count[rare] / ready.count:.2g} % of the rows; look at its own recall"
            )
    return notes


@dataclass(frozen=True, slots=True)
class Fitted:
    """An artifact to be stored."""

    header: str
    arrays: bytes
    native: bytes | None
    native_format: str | None
    label: str
    version: int
    task: str
    row_count: int
    note: str | None
    is_continued: bool


def _learn(
    module: TableKind,
    ready: _Ready,
    rows: Integers | None,
    task: Task,
    settings: Mapping[str, Any],
    levels: int,
    check: Check,
) -> tuple[list[dict[str, Any]], Learnt]:
    """Learn the encoding and the model from some rows (None: all)."""
    columns = ready.columns if rows is None else [column.at(rows) for column in ready.columns]
    specs = encoding.learn(columns, module.TAKES_MISSING, levels)
    count = ready.count if rows is None else len(rows)
    x = encoding.encode(specs, {column.name: column for column in columns}, count)
    check()
    y = ready.y if rows is None or ready.y is None else ready.y[rows]
    return specs, module.fit(x, y, task, len(ready.classes), settings, check, None)


def fit(
    kind_name: str,
    task: str | None,
    options: str,
    levels: int,
    has_target: bool,
    names: Sequence[str],
    families: Sequence[str],
    numbers: Sequence[bytes | None] | None,
    texts: Sequence[Sequence[str | None]] | None,
    known: str | None,
    check: Check,
) -> Fitted:
    """Fit a model of a table.

    Parameters
    ----------
    kind_name, options
        The kind and its own options, completed; JSON.
    task : str or None
        None: found from the target.
    levels : int
        Most levels of a text that get a column of their own.
    has_target, names, families, numbers, texts
        The rows; see the module.
    known : str or None
        The artifact in memory to go on from; not done where the rows have new classes.
    check : callable
        Raises when the caller cancels.
    """
    module = kind(kind_name)
    columns = read_columns(names, families, numbers, texts)
    target = columns[0] if has_target else None
    chosen = find_task(kind_name, target) if task is None else task
    _check_task(kind_name, chosen, target)
    ready = _prepare(columns, has_target, chosen)  # type: ignore[arg-type]
    settings = json.loads(options)
    before = artifacts.find(known) if known is not None else None
    if before is not None and module.CONTINUES and before.header["classes"] == ready.classes:
        specs = before.header["encoding"]
        x = encoding.encode(specs, {c.name: c for c in ready.columns}, ready.count)
        own = Learnt(before.header["own"], before.arrays, before.native)
        learnt = module.fit(x, ready.y, chosen, len(ready.classes), settings, check, own)  # type: ignore[arg-type]
    else:
        before = None
        specs, learnt = _learn(module, ready, None, chosen, settings, levels, check)  # type: ignore[arg-type]
    notes = _notes(ready, specs)
    header = {
        "task": chosen,
        "target": names[0] if has_target else None,
        "target_family": families[0] if has_target else None,
        "classes": ready.classes,
        "encoding": specs,
        "own": learnt.header,
    }
    return Fitted(
        header=json.dumps(header, allow_nan=False, ensure_ascii=False),
        arrays=pack(learnt.arrays),
        native=learnt.native,
        native_format=getattr(module, "NATIVE_FORMAT", None) if learnt.native else None,
        label=learnt.label,
        version=module.FORMAT,
        task=chosen,
        row_count=ready.count,
        note="; ".join(notes) or None,
        is_continued=before is not None,
    )


def _folds(
    y: Floats | None, count: int, task: Task, folds: int, seed: int | None
) -> Iterator[tuple[Integers, Integers]]:
    """Give the rows to learn from and those held out: scikit-learn's folds."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if count < 2 * folds:
        raise BadOptions(f"{count} rows are too few for {folds} folds", hint="Ask for fewer.")
    split = (StratifiedKFold if task == "classification" else KFold)(
        folds, shuffle=seed is not None, random_state=seed
    )
    with warnings.catch_warnings():
        # A class with fewer rows than folds is not in each of them.
        warnings.simplefilter("ignore")
        try:
            yield from split.split(np.zeros(count), y)
        except ValueError:
            raise BadOptions(
                f"no class has rows for {folds} folds",
                hint="Ask for fewer folds, or for {'task': 'regression'}.",
            ) from None


def _measure(task: Task, actual: Floats, scored: Floats) -> dict[str, float | None]:
    if task == "classification":
        return metrics.classification(actual.astype(np.int64), scored)
    return metrics.regression(actual, scored)


def _importance(
    module: TableKind,
    learnt: Learnt,
    specs: Sequence[Mapping[str, Any]],
    x: Floats,
    actual: Floats,
    task: Task,
    repeats: int,
    random: np.random.Generator,
    check: Check,
) -> dict[str, list[float]]:
    """Shuffle each column in turn: how much accuracy (or r2) goes."""
    main = "accuracy" if task == "classification" else "r2"
    own = module.score(learnt, x, check)
    whole = _measure(task, actual, own)[main]
    if whole is None:
        return {}
    groups = []
    place = 0
    for spec in specs:
        width = len(encoding.names([spec]))  # type: ignore[list-item]
        if width:
            groups.append((spec["name"], slice(place, place + width)))
        place += width
    tries = [(name, where) for name, where in groups for _ in range(repeats)]
    result: dict[str, list[float]] = {name: [] for name, _ in groups}
    most = max(1, TOGETHER // len(x))
    for first in range(0, len(tries), most):
        check()
        some = tries[first : first + most]
        stacked = np.tile(x, (len(some), 1))
        for number, (_, where) in enumerate(some):
            rows = slice(number * len(x), (number + 1) * len(x))
            stacked[rows, where] = x[random.permutation(len(x)), where]
        scored = module.score(learnt, stacked, check)
        for number, (name, _) in enumerate(some):
            rows = slice(number * len(x), (number + 1) * len(x))
            left = _measure(task, actual, scored[rows])[main]
            result[name].append(whole - (left if left is not None else 0.0))
    return result


def evaluate(
    kind_name: str,
    task: str | None,
    options: str,
    levels: int,
    names: Sequence[str],
    families: Sequence[str],
    numbers: Sequence[bytes | None] | None,
    texts: Sequence[Sequence[str | None]] | None,
    folds: int,
    seed: int | None,
    repeats: int,
    check: Check,
) -> str:
    """Cross-validate a kind on a table, beside the mean or the most frequent class.

    Parameters
    ----------
    folds : int
        At least 2; scikit-learn's KFold, or StratifiedKFold for classes, of the rows in order.
    seed : int or None
        Of shuffled folds; None: not shuffled.
    repeats : int
        How often each column is shuffled to measure its importance; 0: not measured.

    Returns
    -------
    str
        JSON of scores (lists of fold from 1 or None for the mean over folds, method, metric, value,
        rows), confusion (class, predicted, rows), classes (class, precision, recall, f1, rows),
        importance (column, mean loss, its standard deviation, metric) and notes.
    """
    module = kind(kind_name)
    columns = read_columns(names, families, numbers, texts)
    chosen: Any = find_task(kind_name, columns[0]) if task is None else task
    _check_task(kind_name, chosen, columns[0])
    ready = _prepare(columns, True, chosen)
    assert ready.y is not None
    settings = json.loads(options)
    scores: list[list[Any]] = []
    sums: dict[tuple[str, str], list[float]] = {}
    class_count = len(ready.classes)
    matrix = np.zeros((class_count, class_count), dtype=np.int64)
    losses: dict[str, list[float]] = {}
    random = np.random.default_rng(0 if seed is None else seed)
    for fold, (seen, held) in enumerate(_folds(ready.y, ready.count, chosen, folds, seed), 1):
        check()
        specs, learnt = _learn(module, ready, seen, chosen, settings, levels, check)
        some = {column.name: column.at(held) for column in ready.columns}
        x = encoding.encode(specs, some, len(held))
        actual, before = ready.y[held], ready.y[seen]
        scored = module.score(learnt, x, check)
        if chosen == "classification":
            shares = np.bincount(before.astype(np.int64), minlength=class_count) / len(before)
            baseline = np.tile(shares, (len(held), 1))
            matrix += metrics.confusion(actual.astype(np.int64), scored.argmax(axis=1), class_count)
        else:
            baseline = np.full(len(held), before.mean())
        for method, result in (("model", scored), ("baseline", baseline)):
            for metric, value in _measure(chosen, actual, result).items():
                scores.append([fold, method, metric, value, len(held)])
                if value is not None:
                    sums.setdefault((method, metric), []).append(value)
        if repeats:
            part = slice(0, HELD)
            found = _importance(
                module, learnt, specs, x[part], actual[part], chosen, repeats, random, check
            )
            for name, lost in found.items():
                losses.setdefault(name, []).extend(lost)
    scores += [
        [None, method, metric, float(np.mean(values)), ready.count]
        for (method, metric), values in sums.items()
    ]
    figures = metrics.by_class(matrix)
    specs = encoding.learn(ready.columns, module.TAKES_MISSING, levels)
    main = "accuracy" if chosen == "classification" else "r2"
    return json.dumps(
        {
            "task": chosen,
            "row_count": ready.count,
            "scores": scores,
            "confusion": [
                [ready.classes[i], ready.classes[j], int(matrix[i, j])]
                for i in range(class_count)
                for j in range(class_count)
                if matrix[i, j]
            ],
            "classes": [
                [
                    ready.classes[i],
                    float(figures.precision[i]),
                    float(figures.recall[i]),
                    float(figures.f1[i]),
                    int(figures.rows[i]),
                ]
                for i in range(class_count)
            ],
            "importance": [
                [name, float(np.mean(lost)), float(np.std(lost)), main]
                for name, lost in losses.items()
            ],
            "notes": _notes(ready, specs),
        },
        allow_nan=False,
        ensure_ascii=False,
    )


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of rows as literals of arrays, which PostgreSQL reads ten times quicker than lists."""

    value: str | None
    class_number: str | None
    probability: str | None


def _literal(values: NDArray[Any]) -> str:
    return "{" + ",".join(map(repr, values.tolist())) + "}"


def _score(
    kind_name: str, learnt: Learnt, columns: Mapping[str, Column], count: int, check: Check
) -> Floats:
    header = learnt.header
    x = encoding.encode(header["encoding"], columns, count)
    own = Learnt(header["own"], learnt.arrays)
    return kind(kind_name).score(own, x, check)


def score(
    kind_name: str,
    id: str,
    names: Sequence[str],
    families: Sequence[str],
    numbers: Sequence[bytes | None] | None,
    texts: Sequence[Sequence[str | None]] | None,
    count: int,
    check: Check,
) -> Scores:
    """Score rows with an artifact in memory.

    Returns
    -------
    Scores
        value: of regression; the score of anomalies; the number of a cluster. class_number: the
        class from 1; of anomalies 2 is an anomaly. probability: of that class.
    """
    learnt = artifacts.find(id)
    columns = {column.name: column for column in read_columns(names, families, numbers, texts)}
    scored = _score(kind_name, learnt, columns, count, check)
    task = learnt.header["task"]
    if task == "classification":
        number = scored.argmax(axis=1)
        probability = scored[np.arange(count), number]
        return Scores(None, _literal(number + 1), _literal(probability))
    if task == "anomaly":
        strange = 1 + (scored > learnt.header["own"]["threshold"])
        return Scores(_literal(scored), _literal(strange), None)
    return Scores(_literal(scored), None, None)


def score_one(kind_name: str, id: str, features: str, check: Check) -> dict[str, Any]:
    """Score one row of named features (JSON) with an artifact in memory.

    Returns
    -------
    dict
        prediction (text), value, probability (of the class predicted), probabilities (JSON by
        class), note (levels that were not seen).
    """
    learnt = artifacts.find(id)
    header = learnt.header
    given = json.loads(features)
    if not isinstance(given, dict):
        raise BadOptions("features are not an object", hint='As {"weight": 1.2, "kind": "hake"}.')
    columns = encoding.from_values(header["encoding"], given)
    scored = _score(kind_name, learnt, columns, 1, check)
    unseen = [
        f"{spec['name']} = {columns[spec['name']].values[0]}"
        for spec in header["encoding"]
        if spec["family"] == "text"
        and not spec["other"]
        and "left_out" not in spec
        and spec["name"] in columns
        and columns[spec["name"]].values[0] not in (None, *spec["levels"])
    ]
    result: dict[str, Any] = dict.fromkeys(("value", "probability", "probabilities"))
    result["note"] = f"not seen before: {', '.join(unseen)}" if unseen else None
    if header["task"] == "classification":
        number = int(scored[0].argmax())
        result["prediction"] = header["classes"][number]
        result["probability"] = float(scored[0, number])
        shares = dict(zip(header["classes"], scored[0].tolist(), strict=True))
        result["probabilities"] = json.dumps(shares, ensure_ascii=False)
        return result
    value = float(scored[0])
    result["value"] = value
    result["prediction"] = repr(value)
    if header["task"] == "anomaly":
        result["prediction"] = "anomaly" if value > header["own"]["threshold"] else "normal"
    elif header["task"] == "clustering":
        result["prediction"] = str(int(value))
    return result
