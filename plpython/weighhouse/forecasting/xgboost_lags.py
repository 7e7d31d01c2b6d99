"""Gradient boosting over the lags of all series of a model (XGBoost).

References
----------
Chen, Guestrin (2016), XGBoost: a scalable tree boosting system, KDD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from weighhouse.forecasting import boosted
from weighhouse.forecasting.contract import (
    Floats,
    Learnt,
    Result,
    Series,
)
from weighhouse.trees import Trees, from_xgboost

__all__ = [
    "CAN_UPDATE",
    "CONTINUES",
    "FORMAT",
    "LEARNS",
    "MINIMUM",
    "NAME",
    "NATIVE_FORMAT",
    "USES_REGRESSORS",
    "check_options",
    "fit",
    "forecast",
    "learn",
    "update",
]

NAME = "xgboost_lags"
FORMAT = boosted.FORMAT
MINIMUM = boosted.MINIMUM
CAN_UPDATE = True
LEARNS: Literal[True] = True
CONTINUES = True
USES_REGRESSORS = True
NATIVE_FORMAT = "xgboost"

forecast = boosted.forecast
update = boosted.update


class _Library:
    """XGBoost."""

    NAME = NAME

    def boost(
        self,
        sample: boosted.Sample,
        rounds: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
        known: bytes | None,
        judge: Callable[[int, Floats], None] | None,
        test: Floats | None,
    ) -> tuple[bytes, Trees]:
        """See `boosted.Library.boost`."""
        import xgboost

        check()
        parameters = {
            "objective": "reg:absoluteerror",
            "base_score": 0.0,
            "eta": options["learning_rate"],
            "grow_policy": "lossguide",
            "max_leaves": options["leaves"],
            "max_depth": 0,
            # Weights are near 1: as many rows.
            "min_child_weight": boosted.LEAF,
            "colsample_bytree": boosted.COLUMNS,
            "subsample": boosted.SHARE,
            "lambda": 1.0,
            "max_bin": boosted.BINS,
            "tree_method": "hist",
            "nthread": 1,
            "verbosity": 0,
        }
        data = xgboost.QuantileDMatrix(
            sample.x, sample.y, weight=sample.weight, max_bin=boosted.BINS, nthread=1
        )
        check()
        tests = None if test is None else xgboost.DMatrix(test, nthread=1)
        before = 0
        if known is None:
            booster = xgboost.Booster(parameters | {"seed": boosted.SEED}, [data])
        else:
            booster = xgboost.Booster(model_file=bytearray(known))
            before = booster.num_boosted_rounds()
            booster.set_param(parameters | {"seed": boosted.SEED + before})
        for done in range(1, rounds + 1):
            booster.update(data, before + done - 1)
            check()
            if judge is not None and tests is not None and done % boosted.JUDGED == 0:
                judge(done, booster.predict(tests, output_margin=True).astype(float))
        trees = from_xgboost(bytes(booster.save_raw("json")))
        check()
        return bytes(booster.save_raw("ubj")), trees


_LIBRARY = _Library()


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options.

    Parameters
    ----------
    options : mapping
        rounds: most trees, 1 to 5000 (200); how many are kept is chosen on withheld steps.
        learning_rate: 0.001 to 1 (0.05). leaves: of a tree, 2 to 1024 (31). lags: recent levels
        that are features of their own, 1 to 400 (6).
    """
    return boosted.complete(NAME, options)


def learn(
    collection: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None,
) -> Learnt:
    """Boost trees over the lags of all series; see `contract.LearningKind.learn`."""
    return boosted.learn(_LIBRARY, collection, horizon, options, check, known)


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    learnt: Learnt,
) -> list[Result]:
    """Keep of each series what a forecast needs; see `contract.LearningKind.fit`."""
    return boosted.fit(_LIBRARY, batch, options, check, learnt)
