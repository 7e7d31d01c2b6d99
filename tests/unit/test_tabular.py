"""Kinds of models of tables: equal to scikit-learn on the same folds, and what data may be like."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import xgboost as library
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
)
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests import timing
from weighhouse import artifacts
from weighhouse.errors import BadOptions, NotIdentified, TooFewObservations, WeighhouseError
from weighhouse.forecasting.contract import no_check
from weighhouse.learnt import Learnt, unpack
from weighhouse.tabular import KINDS, encoding, kind, metrics, table, traits
from weighhouse.tabular.encoding import Column

DIABETES = load_diabetes(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
WINE = load_wine(return_X_y=True)


def sent(x: np.ndarray, y: np.ndarray | None) -> dict[str, Any]:
    """Give rows of numbers as SQL sends them."""
    columns = ([] if y is None else [y]) + list(np.asarray(x).T)
    return {
        "names": ["target"] * (y is not None) + [f"x{i}" for i in range(x.shape[1])],
        "families": ["number"] * len(columns),
        "numbers": [np.asarray(c, dtype=">f8").tobytes() for c in columns],
        "texts": None,
    }


def fitted(name: str, x: Any, y: Any, options: Any = None, **more: Any) -> table.Fitted:
    settings = table.check_options(name, json.dumps(options or {}))
    given = {"task": None, "levels": 32, "known": None, "check": no_check} | more
    rows = sent(x, y) if not isinstance(x, dict) else x
    return table.fit(name, options=settings, has_target=y is not None, **rows, **given)


def kept(fit: table.Fitted, id: str = "one") -> str:
    """Keep what was fitted in the memory of the session."""
    learnt = Learnt(json.loads(fit.header), unpack(fit.arrays), fit.native, fit.label)
    artifacts.ARTIFACTS.put(id, learnt, 1)
    return id


def numbers(literal: str | None) -> np.ndarray:
    assert literal is not None
    return np.array(json.loads(f"[{literal[1:-1]}]"))


def evaluated(name: str, x: Any, y: Any, options: Any = None, **more: Any) -> dict[str, Any]:
    settings = table.check_options(name, json.dumps(options or {}))
    given = {"task": None, "levels": 32, "folds": 4, "seed": None, "repeats": 0} | more
    result = table.evaluate(name, options=settings, check=no_check, **sent(x, y), **given)
    found: dict[str, Any] = json.loads(result)
    return found


NUMBERS = [
    ("linear", {}, LinearRegression()),
    ("linear", {"ridge": 3.0}, make_pipeline(StandardScaler(), Ridge(alpha=3.0))),
    ("forest", {"trees": 7, "seed": 3}, RandomForestRegressor(7, random_state=3)),
    (
        "gradient_boosting",
        {"rounds": 9},
        HistGradientBoostingRegressor(max_iter=9, early_stopping=False, random_state=0),
    ),
    ("xgboost", {"rounds": 9}, library.XGBRegressor(n_estimators=9, tree_method="hist", n_jobs=1)),
]
CLASSES = [
    ("logistic", {}, make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))),
    ("forest", {"trees": 7, "seed": 3}, RandomForestClassifier(7, random_state=3)),
    (
        "gradient_boosting",
        {"rounds": 9},
        HistGradientBoostingClassifier(max_iter=9, early_stopping=False, random_state=0),
    ),
    ("xgboost", {"rounds": 9}, library.XGBClassifier(n_estimators=9, tree_method="hist", n_jobs=1)),
]


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("name,options,model", NUMBERS)
def test_regression_is_that_of_the_library(
    name: str, options: Any, model: Any, seed: int | None
) -> None:
    x, y = DIABETES
    result = evaluated(name, x, y, options, seed=seed)
    assert result["task"] == "regression"
    folds = KFold(4, shuffle=seed is not None, random_state=seed).split(x, y)
    for fold, (seen, held) in enumerate(folds, 1):
        found = {s[2]: s[3] for s in result["scores"] if s[0] == fold and s[1] == "model"}
        said = model.fit(x[seen], y[seen]).predict(x[held])
        expected = {
            "r2": r2_score(y[held], said),
            "mse": mean_squared_error(y[held], said),
            "rmse": mean_squared_error(y[held], said) ** 0.5,
            "mae": mean_absolute_error(y[held], said),
            "mape": 100 * mean_absolute_percentage_error(y[held], said),
        }
        assert found == pytest.approx(expected, rel=1e-6)
        base = {s[2]: s[3] for s in result["scores"] if s[0] == fold and s[1] == "baseline"}
        mean = np.full(len(held), y[seen].mean())
        assert base["mse"] == pytest.approx(mean_squared_error(y[held], mean))
    means = {s[2]: s[3] for s in result["scores"] if s[0] is None and s[1] == "model"}
    each = [s[3] for s in result["scores"] if s[0] and s[1:3] == ["model", "r2"]]
    assert means["r2"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("data", [CANCER, WINE], ids=["two", "three"])
@pytest.mark.parametrize("name,options,model", CLASSES)
def test_classification_is_that_of_the_library(
    name: str, options: Any, model: Any, data: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = data
    result = evaluated(name, x, y, options, seed=1)
    assert result["task"] == "classification"
    folds = StratifiedKFold(4, shuffle=True, random_state=1).split(x, y)
    for fold, (seen, held) in enumerate(folds, 1):
        found = {s[2]: s[3] for s in result["scores"] if s[0] == fold and s[1] == "model"}
        shares = model.fit(x[seen], y[seen]).predict_proba(x[held]).astype(float)
        shares /= shares.sum(axis=1, keepdims=True)
        said = shares.argmax(axis=1)
        expected = {
            "accuracy": accuracy_score(y[held], said),
            "precision": precision_score(y[held], said, average="macro"),
            "recall": recall_score(y[held], said, average="macro"),
            "f1": f1_score(y[held], said, average="macro"),
            "log_loss": log_loss(y[held], shares),
        }
        assert found == pytest.approx(expected, rel=1e-6)
    assert sum(cell[2] for cell in result["confusion"]) == len(y)
    assert [c[4] for c in result["classes"]] == np.bincount(y).tolist()


def test_figures_by_hand() -> None:
    # Three of four of the first class are found, one of two of the second; nobody says the third.
    matrix = metrics.confusion(np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 0, 1]), 3)
    assert matrix.tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 0]]
    figures = metrics.by_class(matrix)
    assert figures.precision == pytest.approx([3 / 4, 1 / 3, 0])
    assert figures.recall == pytest.approx([3 / 4, 1 / 2, 0])
    assert figures.f1 == pytest.approx([3 / 4, 2 / 5, 0])
    found = metrics.regression(np.array([0.0, 2, 4]), np.array([1.0, 2, 2]))
    assert found == pytest.approx(
        {"r2": 1 - 5 / 8, "mse": 5 / 3, "rmse": (5 / 3) ** 0.5, "mae": 1.0, "mape": 25.0}
    )
    assert metrics.regression(np.zeros(3), np.ones(3))["mape"] is None


@pytest.mark.parametrize("name", [n for n in KINDS if "classification" in kind(n).TASKS])
def test_what_is_stored_scores_as_what_was_fitted(name: str) -> None:
    x, y = WINE
    fit = fitted(name, x, y)
    again = fitted(name, x, y)
    assert (fit.header, fit.arrays, fit.native) == (again.header, again.arrays, again.native)
    rows = sent(x, None)
    scores = table.score(name, kept(fit), **rows, count=len(x), check=no_check)
    classes = numbers(scores.class_number)
    assert np.mean(classes - 1 == y) > 0.95
    one = dict(zip(rows["names"], x[60].tolist(), strict=True))
    result = table.score_one(name, "one", json.dumps(one), no_check)
    assert result["prediction"] == str(int(classes[60]) - 1)
    assert result["probability"] == pytest.approx(numbers(scores.probability)[60])
    assert sum(json.loads(result["probabilities"]).values()) == pytest.approx(1)
    # Columns may come in another order, others beside them.
    turned = {k: v[::-1] if v else v for k, v in rows.items()}
    assert table.score(name, "one", **turned, count=len(x), check=no_check) == scores


@pytest.mark.parametrize("name", ["forest", "gradient_boosting", "xgboost"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_going_on_is_near_a_full_fit_in_a_fifth_of_the_time(name: str, task: str) -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(4000, 8))
    signal = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + random.normal(size=4000) / 2
    y = (signal > 0).astype(float) if task == "classification" else signal
    train, old = slice(0, 3300), slice(0, 3000)
    options = {"learning_rate": 0.1} if name == "xgboost" else {}
    known = kept(fitted(name, x[old], y[old], options), "known")

    def timed(**more: Any) -> tuple[float, table.Fitted]:
        began = time.process_time()
        result = fitted(name, x[train], y[train], options, **more)
        return time.process_time() - began, result

    slow, full = timed()
    quick, more = timed(known=known)
    assert more.is_continued and not full.is_continued
    errors = []
    for fit in (full, more):
        rows = sent(x[3300:], None)
        scores = table.score(name, kept(fit), **rows, count=700, check=no_check)
        actual = y[3300:]
        if task == "classification":
            own = numbers(scores.probability)
            right = numbers(scores.class_number) - 1 == actual
            errors.append(float(np.mean(np.where(right, 1 - own, own) ** 2)))
        else:
            errors.append(float(np.mean((numbers(scores.value) - actual) ** 2)))
    assert errors[1] <= 1.05 * errors[0]
    assert timing.cheaper(
        quick,
        slow,
        again=lambda: (timed(known=known)[0], timed()[0]),
        enough=lambda quick, slow: quick <= slow / 5 + 0.15,
    )


def test_a_new_class_cannot_be_gone_on_with() -> None:
    x, y = WINE
    known = kept(fitted("forest", x[:130], y[:130], {"trees": 3}), "known")
    assert not fitted("forest", x, y, {"trees": 3}, known=known).is_continued


def columns_of(count: int = 40) -> list[Column]:
    random = np.random.default_rng(2)
    number = random.normal(size=count)
    number[3] = np.nan
    seconds = 86400.0 * np.arange(count) + 3600 * (np.arange(count) % 24)
    return [
        Column("number", "number", number),
        Column("flag", "boolean", (number > 0).astype(float)),
        Column("when", "time", seconds),
        Column("text", "text", [None if i == 5 else "abc"[i % 3] for i in range(count)]),
        Column("same", "number", np.ones(count)),
        Column("nothing", "text", [None] * count),
        Column("one", "text", ["x"] * count),
    ]


def test_encoding() -> None:
    columns = columns_of()
    by_name = {column.name: column for column in columns}
    for takes_missing in (True, False):
        specs = json.loads(json.dumps(encoding.learn(columns, takes_missing)))
        found = encoding.names(specs)
        x = encoding.encode(specs, by_name, 40)
        assert x.shape == (40, len(found))
        column = dict(zip(found, x.T, strict=True))
        assert np.isnan(column["number"][3]) == takes_missing
        if not takes_missing:
            mean = np.nanmean(np.asarray(columns[0].values))
            assert column["number"][3] == pytest.approx(mean)
            assert column["number: empty"].nonzero()[0].tolist() == [3]
        # 2000-01-01 was a Saturday.
        assert column["when: weekday"][:3].tolist() == [5, 6, 0]
        assert column["when: hour"][25] == 1 and column["when: month"][31] == 2
        assert column["text = b"].tolist() == [float(i % 3 == 1) for i in range(40)]
        assert column["text: empty"].nonzero()[0].tolist() == [5]
        left = {spec["name"]: spec.get("left_out") for spec in specs}
        assert left["same"] == left["one"] == "constant" and left["nothing"] == "empty"
        # Nothing is known of a row, or what was never seen.
        nobody = encoding.encode(specs, {}, 1)
        assert nobody.shape == (1, len(found))
        strange = encoding.from_values(specs, {"text": "new", "number": "2.5", "when": None})
        assert encoding.encode(specs, strange, 1).sum() != 0


def test_many_levels() -> None:
    values = ["often"] * 20 + ["sometimes"] * 10 + [f"level {i}" for i in range(10_000)]
    specs = encoding.learn([Column("text", "text", values)], True, 2)
    assert encoding.names(specs) == ["text = often", "text = sometimes", "text: other"]
    given = {"text": Column("text", "text", ["often", "level 7", "never seen", None])}
    assert encoding.encode(specs, given, 4).tolist() == [
        [1, 0, 0],
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 0],
    ]


@pytest.mark.parametrize(
    "given", [{"nobody": 1}, {"number": "a"}, {"flag": "perhaps"}, {"when": "soon"}]
)
def test_features_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as caught:
        encoding.from_values(encoding.learn(columns_of(), True), given)
    assert caught.value.hint


def test_a_column_of_another_type() -> None:
    specs = encoding.learn(columns_of(), True)
    with pytest.raises(BadOptions, match="column number is text, and was number"):
        encoding.encode(specs, {"number": Column("number", "text", ["1"])}, 1)


@pytest.mark.parametrize("name", list(KINDS))
def test_data_that_cannot_be_learnt_from(name: str) -> None:
    module = kind(name)
    if "regression" not in module.TASKS and "classification" not in module.TASKS:
        pytest.skip("has no target")
    x = np.random.default_rng(1).normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(float)
    if "classification" not in module.TASKS:
        y = x[:, 0].copy()
    infinite = x.copy()
    infinite[2, 1] = np.inf
    for bad, target, error in (
        (x[:2], y[:2], TooFewObservations),
        (x, np.ones(40), NotIdentified),
        (x, np.full(40, np.nan), TooFewObservations),
        (infinite, y, BadOptions),
        (np.ones((40, 2)), y, BadOptions),
    ):
        with pytest.raises(error) as caught:
            fitted(name, bad, target)
        assert caught.value.hint
    # Rows without a target are left out, and it is said.
    gaps = y.copy()
    gaps[:5] = np.nan
    fit = fitted(name, x, gaps)
    assert fit.row_count == 35 and "5 rows without a target" in str(fit.note)
    assert fit.arrays == fitted(name, x[5:], y[5:]).arrays


def test_tasks() -> None:
    whole = Column("y", "number", np.arange(30.0) % 3)
    many = Column("y", "number", np.arange(30.0))
    text = Column("y", "text", ["a", "b"] * 15)
    assert table.find_task("forest", whole) == "classification"
    assert table.find_task("forest", many) == "regression"
    assert table.find_task("forest", text) == "classification"
    assert table.find_task("linear", whole) == "regression"
    with pytest.raises(BadOptions, match="not a number"):
        table.find_task("linear", text)
    with pytest.raises(BadOptions, match="needs a target"):
        table.find_task("forest", None)
    assert traits("forest") == {
        "family": "table",
        "tasks": ["regression", "classification"],
        "continues": True,
    }


@pytest.mark.parametrize("name", list(KINDS))
def test_options_that_cannot_be(name: str) -> None:
    with pytest.raises(BadOptions, match="unknown option"):
        table.check_options(name, '{"nonsense": 1}')
    for option in kind(name).check_options({}):
        with pytest.raises(BadOptions) as caught:
            table.check_options(name, json.dumps({option: "much"}))
        assert caught.value.hint


def test_importance_is_in_the_columns_that_matter() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(300, 3))
    result = evaluated("forest", x, 3 * x[:, 1] + x[:, 2], {"trees": 10}, repeats=2)
    lost = {name: mean for name, mean, _, metric in result["importance"] if metric == "r2"}
    assert lost["x1"] > lost["x2"] > lost["x0"]


def test_uneven_classes_are_noted() -> None:
    x = np.random.default_rng(1).normal(size=(1000, 2))
    y = np.zeros(1000)
    y[:20] = 1
    assert "classes are uneven: 1 has 2 % of the rows" in str(fitted("logistic", x, y).note)


class Stopped(Exception):
    """A cancel."""


@pytest.mark.parametrize("name", list(KINDS))
def test_a_cancel_is_heard(name: str) -> None:
    x = np.random.default_rng(1).normal(size=(3000, 10))
    y = (x[:, 0] > 0).astype(float)
    calls: list[float] = []

    def check() -> None:
        calls.append(time.perf_counter())
        if len(calls) > 2:
            raise Stopped

    target = None if "anomaly" in kind(name).TASKS or "clustering" in kind(name).TASKS else y
    with pytest.raises(Stopped):
        fitted(name, x, target, check=check)


def test_scoring_imports_numpy_alone() -> None:
    for name in KINDS:
        program = (
            "import sys, importlib\n"
            "import weighhouse.tabular.table, weighhouse.trees\n"
            f"importlib.import_module({KINDS[name]!r})\n"
            "heavy = {'sklearn', 'scipy', 'pandas', 'xgboost', 'lightgbm', 'torch'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
    # Nor does what is called then: the modules are there, but cannot be imported.
    x, y = WINE
    for name in ("logistic", "forest", "xgboost"):
        id = kept(fitted(name, x, y), name)
        hidden = {
            module: sys.modules.pop(module)
            for module in list(sys.modules)
            if module.split(".")[0] in ("sklearn", "scipy", "xgboost")
        }
        try:
            sys.modules.update(dict.fromkeys(("sklearn", "scipy", "xgboost")))  # type: ignore[arg-type]
            scores = table.score(name, id, **sent(x, None), count=len(x), check=no_check)
            assert scores.class_number
        finally:
            for module in ("sklearn", "scipy", "xgboost"):
                sys.modules.pop(module, None)
            sys.modules.update(hidden)


def test_errors_of_this_package_have_hints() -> None:
    with pytest.raises(WeighhouseError) as caught:
        evaluated("logistic", WINE[0], WINE[1], folds=100)
    assert caught.value.hint
