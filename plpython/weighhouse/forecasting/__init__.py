"""Forecasting of time series: one module a kind of model, behind the contract of `contract`."""

from __future__ import annotations

import importlib
from typing import Any, cast

from weighhouse.errors import BadOptions
from weighhouse.forecasting.contract import Kind

__all__ = ["KINDS", "kind", "traits"]

# Imported when first used: a session pays for the kinds it asks for.
KINDS: dict[str, str] = {
    "naive": "weighhouse.forecasting.naive",
    "seasonal_naive": "weighhouse.forecasting.seasonal_naive",
    "drift": "weighhouse.forecasting.drift",
    "ets": "weighhouse.forecasting.ets",
    "theta": "weighhouse.forecasting.theta",
    "arima": "weighhouse.forecasting.arima",
    "decomposition": "weighhouse.forecasting.decomposition",
    "auto": "weighhouse.forecasting.auto",
    "prophet": "weighhouse.forecasting.prophet",
    "boosting": "weighhouse.forecasting.boosting",
    "xgboost_lags": "weighhouse.forecasting.xgboost_lags",
    "lstm": "weighhouse.forecasting.lstm",
    "gru": "weighhouse.forecasting.gru",
    "nhits": "weighhouse.forecasting.nhits",
}


def kind(name: str) -> Kind:
    """Give a kind; raise BadOptions for a name that is none."""
    if name not in KINDS:
        raise BadOptions(f"unknown kind of model {name}", hint=f"Known are {', '.join(KINDS)}.")
    module = importlib.import_module(KINDS[name])
    # Kinds that differ in one part alone are objects of one class, one a module.
    return cast(Kind, getattr(module, "KIND", module))


def traits(name: str) -> dict[str, Any]:
    """Tell what a kind can; raise BadOptions for a name that is none.

    Returns
    -------
    dict
        family: series; learns: from all series of a model together; continues: goes on from
        what was learnt before; regressors: takes columns beside the value, and holidays.
    """
    module = kind(name)
    return {
        "family": "series",
        "learns": bool(getattr(module, "LEARNS", False)),
        "continues": bool(getattr(module, "CONTINUES", False)),
        "regressors": bool(getattr(module, "USES_REGRESSORS", False)),
    }
