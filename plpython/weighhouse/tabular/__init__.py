"""Models of tables: one module a kind, behind the contract of `contract`."""

from __future__ import annotations

import importlib
from typing import Any, cast

from weighhouse.errors import BadOptions
from weighhouse.tabular.contract import TableKind

__all__ = ["KINDS", "kind", "traits"]

# Imported when first used: a session pays for the kinds it asks for.
KINDS: dict[str, str] = {
    "linear": "weighhouse.tabular.linear",
    "logistic": "weighhouse.tabular.logistic",
    "forest": "weighhouse.tabular.forest",
    "gradient_boosting": "weighhouse.tabular.gradient_boosting",
    "xgboost": "weighhouse.tabular.xgboost",
    "isolation_forest": "weighhouse.tabular.isolation_forest",
    "kmeans": "weighhouse.tabular.kmeans",
}


def kind(name: str) -> TableKind:
    """Give the module of a kind; raise BadOptions for a name that is none."""
    if name not in KINDS:
        raise BadOptions(f"unknown kind of model {name}", hint=f"Known are {', '.join(KINDS)}.")
    return cast(TableKind, importlib.import_module(KINDS[name]))


def traits(name: str) -> dict[str, Any]:
    """Tell what a kind can; raise BadOptions for a name that is none.

    Returns
    -------
    dict
        family: table; tasks: what it does; continues: goes on from what was learnt before.
    """
    module = kind(name)
    return {"family": "table", "tasks": list(module.TASKS), "continues": module.CONTINUES}
