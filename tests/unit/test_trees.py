"""Ensembles of trees as arrays score as the libraries they come from do."""

from __future__ import annotations

import importlib.metadata
import json

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)

from weighhouse import trees, walking
from weighhouse.errors import BadOptions
from weighhouse.forecasting.contract import no_check
from weighhouse.learnt import pack, unpack


def with_gaps(x: np.ndarray) -> np.ndarray:
    """Make every seventh number missing."""
    x = x.copy()
    x.ravel()[::7] = np.nan
    return x


NUMBERS = load_diabetes(return_X_y=True)
CLASSES = load_wine(return_X_y=True)
GAPPED = (with_gaps(NUMBERS[0]), NUMBERS[1])
GAPPED_CLASSES = (with_gaps(CLASSES[0]), CLASSES[1])
TWO = (CLASSES[0], (CLASSES[1] == 1).astype(int))


def again(ensemble: trees.Trees) -> trees.Trees:
    """Store and restore."""
    facts = json.loads(json.dumps(ensemble.facts()))
    return trees.Trees.restore(unpack(pack(ensemble.arrays())), facts)


def equal(ensemble: trees.Trees, x: np.ndarray, expected: np.ndarray) -> None:
    result = again(ensemble).predict(x, no_check)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
    # A few rows take another way, to the same.
    np.testing.assert_array_equal(ensemble.predict(x[:9], no_check), result[:9])
    # So do very many; here in small blocks of rows and trees.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "MANY", 0)
        patch.setattr(walking, "ROWS", 16 * walking.LANES)
        patch.setattr(walking, "NODES", 100)
        np.testing.assert_array_equal(ensemble.predict(x, no_check), result)


@pytest.mark.parametrize("data", [NUMBERS, GAPPED], ids=["whole", "gaps"])
def test_regression_forests_of_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    forest = RandomForestRegressor(12, random_state=1).fit(x, y)
    equal(trees.from_forest(forest.estimators_), x, forest.predict(x)[:, None][:, 0])
    boosted = HistGradientBoostingRegressor(max_iter=12, random_state=1).fit(x, y)
    equal(trees.from_hist_gradient_boosting(boosted), x, boosted.predict(x))
    counted = HistGradientBoostingRegressor(loss="poisson", max_iter=12, random_state=1).fit(x, y)
    equal(trees.from_hist_gradient_boosting(counted), x, counted.predict(x))


@pytest.mark.parametrize("data", [CLASSES, GAPPED_CLASSES, TWO], ids=["whole", "gaps", "two"])
def test_classifiers_of_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    forest = RandomForestClassifier(12, random_state=1).fit(x, y)
    equal(trees.from_forest(forest.estimators_), x, forest.predict_proba(x))
    boosted = HistGradientBoostingClassifier(max_iter=12, random_state=1).fit(x, y)
    equal(trees.from_hist_gradient_boosting(boosted), x, boosted.predict_proba(x))


@pytest.mark.parametrize("data", [CLASSES, TWO], ids=["three", "two"])
def test_gradient_boosting_of_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    model = GradientBoostingClassifier(n_estimators=12, random_state=1).fit(x, y)
    equal(trees.from_gradient_boosting(model), x, model.predict_proba(x))
    number = GradientBoostingRegressor(n_estimators=12, random_state=1).fit(*NUMBERS)
    equal(trees.from_gradient_boosting(number), NUMBERS[0], number.predict(NUMBERS[0]))


def test_isolation_forest() -> None:
    model = IsolationForest(n_estimators=20, max_features=0.5, random_state=1).fit(NUMBERS[0])
    equal(trees.from_isolation_forest(model), NUMBERS[0], -model.score_samples(NUMBERS[0]))


@pytest.mark.parametrize("data", [NUMBERS, GAPPED], ids=["whole", "gaps"])
def test_lightgbm(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    common = {"verbosity": -1, "num_threads": 1, "seed": 1}
    for extra in ({}, {"objective": "poisson"}, {"objective": "quantile", "alpha": 0.9}):
        model = lightgbm.train(common | extra, lightgbm.Dataset(x, y), 12)
        equal(trees.from_lightgbm(model.model_to_string()), x, model.predict(x))
    # NaN is zero where the fit saw none.
    model = lightgbm.train(common, lightgbm.Dataset(NUMBERS[0], NUMBERS[1]), 12)
    equal(trees.from_lightgbm(model.model_to_string()), GAPPED[0], model.predict(GAPPED[0]))
    sigmoid = common | {"objective": "binary", "sigmoid": 0.7}
    model = lightgbm.train(sigmoid, lightgbm.Dataset(x, y > 150), 12)
    positive = model.predict(x)
    equal(
        trees.from_lightgbm(model.model_to_string()), x, np.stack([1 - positive, positive], axis=1)
    )
    forest = common | {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    model = lightgbm.train(forest, lightgbm.Dataset(x, y), 12)
    equal(trees.from_lightgbm(model.model_to_string()), x, model.predict(x))


def test_lightgbm_of_classes() -> None:
    x, y = GAPPED_CLASSES
    settings = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}
    model = lightgbm.train(settings, lightgbm.Dataset(x, y), 12)
    equal(trees.from_lightgbm(model.model_to_string()), x, model.predict(x))


@pytest.mark.parametrize("data", [NUMBERS, GAPPED], ids=["whole", "gaps"])
def test_xgboost(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    for settings in (
        {"objective": "reg:squarederror"},
        {"objective": "reg:squarederror", "base_score": 3.0},
        {"objective": "count:poisson"},
    ):
        model = xgboost.train(settings | {"nthread": 1}, xgboost.DMatrix(x, y), 12)
        expected = model.predict(xgboost.DMatrix(x)).astype(float)
        equal(trees.from_xgboost(bytes(model.save_raw("json"))), x, expected)


@pytest.mark.parametrize("data", [GAPPED_CLASSES, TWO], ids=["three", "two"])
def test_xgboost_of_classes(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    settings = {"objective": "binary:logistic", "nthread": 1}
    if y.max() > 1:
        settings = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    model = xgboost.train(settings, xgboost.DMatrix(x, y), 12)
    expected = model.predict(xgboost.DMatrix(x)).astype(float)
    if expected.ndim == 1:
        expected = np.stack([1 - expected, expected], axis=1)
    equal(trees.from_xgboost(bytes(model.save_raw("json"))), x, expected)


def test_numbers_at_a_threshold_go_where_the_library_sends_them() -> None:
    # Thresholds of XGBoost are numbers of the data themselves, or lie between.
    x = np.round(NUMBERS[0] * 20) / 20
    model = xgboost.train({"nthread": 1}, xgboost.DMatrix(x, NUMBERS[1]), 5)
    equal(
        trees.from_xgboost(bytes(model.save_raw("json"))),
        x,
        model.predict(xgboost.DMatrix(x)).astype(float),
    )
    forest = RandomForestRegressor(5, random_state=1).fit(x, NUMBERS[1])
    thresholds = forest.estimators_[0].tree_.threshold[:9]
    rows = np.repeat(thresholds[:, None], x.shape[1], axis=1)
    equal(trees.from_forest(forest.estimators_), rows, forest.predict(rows))


def test_joined_forests_are_the_forest() -> None:
    x, y = CLASSES
    forest = RandomForestClassifier(12, random_state=1).fit(x, y)
    both = trees.joined(
        trees.from_forest(forest.estimators_[:5]),
        trees.from_forest(forest.estimators_[5:]),
        scale=1 / 12,
    )
    equal(both, x, forest.predict_proba(x))
    with pytest.raises(BadOptions, match="different outputs"):
        trees.joined(both, trees.from_forest(RandomForestRegressor(2).fit(*NUMBERS).estimators_))


def test_what_trees_cannot_score_is_refused() -> None:
    x, y = NUMBERS
    model = lightgbm.train(
        {"verbosity": -1, "num_threads": 1, "min_data_per_group": 1},
        lightgbm.Dataset(np.round(x * 10) + 5, y, categorical_feature=[1]),
        3,
    )
    with pytest.raises(BadOptions, match="categories"):
        trees.from_lightgbm(model.model_to_string())
    forest = trees.from_forest(RandomForestRegressor(2, random_state=1).fit(x, y).estimators_)
    with pytest.raises(BadOptions, match="rows have 3 numbers"):
        forest.predict(x[:, :3], no_check)


def test_many_rows_and_a_tree_that_is_a_leaf() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(300, 4))
    forest = RandomForestRegressor(5, random_state=1).fit(x, x[:, 0])
    many = random.normal(size=(2 * trees.BLOCK + 3, 4))
    equal(trees.from_forest(forest.estimators_), many, forest.predict(many))
    alone = RandomForestRegressor(2, random_state=1).fit(x, np.ones(300))
    equal(trees.from_forest(alone.estimators_), many[:10], np.ones(10))
    assert trees.from_forest(alone.estimators_).predict(np.empty((0, 4)), no_check).shape == (0,)


def test_infinite_and_missing_numbers_walk_alike_in_both_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = GAPPED
    forest = trees.from_forest(RandomForestRegressor(7, random_state=1).fit(x, y).estimators_)
    random = np.random.default_rng(1)
    rows = random.choice([np.nan, np.inf, -np.inf, 0.0, 0.05, -0.05], size=(999, x.shape[1]))
    expected = forest.predict(rows, no_check)
    monkeypatch.setattr(trees, "MANY", 0)
    np.testing.assert_array_equal(forest.predict(rows, no_check), expected)


def test_a_cancel_is_heard_between_blocks_of_the_compiled_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = NUMBERS
    forest = trees.from_forest(RandomForestRegressor(5, random_state=1).fit(x, y).estimators_)
    monkeypatch.setattr(trees, "MANY", 0)
    monkeypatch.setattr(walking, "ROWS", 10 * walking.LANES)
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forest.predict(x, check)


def test_without_wasmtime_or_with_an_old_one_numpy_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = NUMBERS
    forest = trees.from_forest(RandomForestRegressor(5, random_state=1).fit(x, y).estimators_)
    expected = forest.predict(x, no_check)
    monkeypatch.setattr(trees, "MANY", 0)

    def broken(*_: object) -> None:
        raise AssertionError("the compiled walk was taken")

    monkeypatch.setattr(walking, "leaves", broken)

    def none(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    for version in (none, lambda _: "9.0.0"):
        monkeypatch.setattr(importlib.metadata, "version", version)
        walking.available.cache_clear()
        np.testing.assert_array_equal(forest.predict(x, no_check), expected)
    walking.available.cache_clear()
