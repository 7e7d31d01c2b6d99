"""Gradient boosting over the lags of all series of a model (LightGBM).

References
----------
Ke, Meng, Finley, Wang, Chen, Ma, Ye, Liu (2017), LightGBM: a highly efficient gradient boosting
decision tree, NIPS 30.
Montero-Manso, Hyndman (2021), Principles and algorithms for forecasting groups of time series,
International Journal of Forecasting 37 (one model for all series).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from weighhouse.errors import MissingLibrary
from weighhouse.forecasting import boosted
from weighhouse.forecasting.contract import (
    Floats,
    Learnt,
    Result,
    Series,
)
from weighhouse.trees import Trees, from_lightgbm

__all__ = [
    "CAN_UPDATE",
    "CONTINUES",
    "FORMAT",
    "LEARNS",
    "LIBRARY",
    "MINIMUM",
    "NAME",
    "NATIVE_FORMAT",
    "USES_REGRESSORS",
    "check_options",
    "fit",
    "forecast",
    "learn",
    "library",
    "update",
]

NAME = "boosting"
FORMAT = boosted.FORMAT
MINIMUM = boosted.MINIMUM
CAN_UPDATE = True
LEARNS: Literal[True] = True
CONTINUES = True
USES_REGRESSORS = True
NATIVE_FORMAT = "lightgbm"

forecast = boosted.forecast
update = boosted.update


def library() -> Any:
    """Import LightGBM.

    Raises
    ------
    MissingLibrary
        The server has none.
    """
    try:
        return importlib.import_module("lightgbm")
    # It is there, but what it needs is not: OSError.
    except (ImportError, OSError) as error:
        raise MissingLibrary(
            "lightgbm is missing on the server",
            detail=str(error),
            hint="Install lightgbm for the server's Python (and Debian's libgomp1)."
            " What was learnt before is forecast without it.",
        ) from error


class _Library:
    """LightGBM."""

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
        lightgbm = library()
        check()
        booster = lightgbm.Booster(model_str=known.decode()) if known is not None else None
        before = booster.num_trees() if booster is not None else 0

        def after(done: Any) -> None:
            check()
            count = done.iteration - done.begin_iteration + 1
            if judge is not None and test is not None and count % boosted.JUDGED == 0:
                scored[:] += done.model.predict(
                    test, start_iteration=count - boosted.JUDGED, num_iteration=boosted.JUDGED
                )
                judge(count, scored.copy())

        scored = np.zeros(0 if test is None else len(test))
        parameters = {
            "objective": "regression_l1",
            "learning_rate": options["learning_rate"],
            "num_leaves": options["leaves"],
            "min_data_in_leaf": boosted.LEAF,
            "feature_fraction": boosted.COLUMNS,
            "bagging_fraction": boosted.SHARE,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "max_bin": boosted.BINS,
            "seed": boosted.SEED + before,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "boost_from_average": False,
            "verbose": -1,
        }
        data = lightgbm.Dataset(sample.x, sample.y, weight=sample.weight)
        grown = lightgbm.train(parameters, data, rounds, init_model=booster, callbacks=[after])
        text = grown.model_to_string()
        check()
        return text.encode(), from_lightgbm(text)


LIBRARY = _Library()


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
    return boosted.learn(LIBRARY, collection, horizon, options, check, known)


def fit(
    batch: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    learnt: Learnt,
) -> list[Result]:
    """Keep of each series what a forecast needs; see `contract.LearningKind.fit`."""
    return boosted.fit(LIBRARY, batch, options, check, learnt)
