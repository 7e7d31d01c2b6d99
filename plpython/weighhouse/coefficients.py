"""Fits as the database asks for them: columns come as bytes, the answer leaves as one JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from weighhouse import pg
from weighhouse.errors import BadOptions
from weighhouse.shrinkage import fit_type
from weighhouse.shrinkage_holdout import holdout

__all__ = ["fit", "hold_out"]


def fit(
    item: bytes | None,
    loss: bytes | None,
    kg_days: bytes | None,
    weight: bytes | None,
    sigma: bytes | None,
    counts: bytes | None,
    term_mass: bytes | None,
    term_age_from: bytes | None,
    term_age_to: bytes | None,
    n_items: int,
    options: dict[str, Any],
    given_b: Sequence[float | None] | None,
    given_c: Sequence[float | None] | None,
    tick: Callable[[], None],
) -> str:
    """Fit one product type, see `shrinkage.fit_type`.

    Parameters
    ----------
    item, counts : bytes
        int4send of the product's number within the type and of the number of terms, a period each.
    loss, kg_days, weight, sigma : bytes
        float8send, a period each.
    term_mass, term_age_from, term_age_to : bytes
        array_send, a period each.
    options : dict
        family, default_b, cv, kappa; numbers may be Decimal, as jsonb brings them.
    given_b, given_c : sequences of shape (n_items,), or None
        Coefficients that are known; all of a type or none.

    Returns
    -------
    str
        JSON: the type's fit, and `items` with one outcome each. NaN is null.
    """
    numbers = pg.integers(counts, 4)
    found = fit_type(
        pg.integers(item, 4),
        pg.floats(loss),
        pg.floats(kg_days),
        pg.floats(weight),
        pg.floats(sigma),
        np.append(0, np.cumsum(numbers)),
        pg.float_arrays(term_mass, numbers),
        pg.float_arrays(term_age_from, numbers),
        pg.float_arrays(term_age_to, numbers),
        n_items=n_items,
        family=options["family"],
        b=_given("b", given_b),
        c=_given("c", given_c),
        default_b=float(options["default_b"]),
        cv=float(options["cv"]),
        kappa=float(options["kappa"]),
        tick=tick,
    )
    return json.dumps(_clean(asdict(found)), allow_nan=False)


def hold_out(
    item: bytes | None,
    loss: bytes | None,
    kg_days: bytes | None,
    weight: bytes | None,
    sigma: bytes | None,
    counts: bytes | None,
    term_mass: bytes | None,
    term_age_from: bytes | None,
    term_age_to: bytes | None,
    n_items: int,
    options: dict[str, Any],
    tick: Callable[[], None],
) -> str:
    """Predict what a fit had not seen, see `shrinkage_holdout.holdout`.

    Parameters
    ----------
    item ... term_age_to, n_items, options, tick
        As for `fit`; nothing is given.

    Returns
    -------
    str
        JSON: the measures over all folds, `is_better` (than both simple rules), and `folds`.
    """
    numbers = pg.integers(counts, 4)
    found = holdout(
        pg.integers(item, 4),
        pg.floats(loss),
        pg.floats(kg_days),
        pg.floats(weight),
        pg.floats(sigma),
        np.append(0, np.cumsum(numbers)),
        pg.float_arrays(term_mass, numbers),
        pg.float_arrays(term_age_from, numbers),
        pg.float_arrays(term_age_to, numbers),
        n_items=n_items,
        family=options["family"],
        default_b=float(options["default_b"]),
        cv=float(options["cv"]),
        kappa=float(options["kappa"]),
        tick=tick,
    )
    overall = asdict(found.overall)
    del overall["fold"]
    answer = overall | {
        "is_better": found.is_better,
        "folds": [asdict(fold) for fold in found.folds],
    }
    return json.dumps(_clean(answer), allow_nan=False)


def _given(name: str, values: Sequence[float | None] | None) -> list[float] | None:
    if values is None or all(value is None for value in values):
        return None
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        raise BadOptions(
            f"{name} is given for some products of a type only",
            hint=f"Give {name} for the product type, or for each of its products.",
        )
    return known


def _clean(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, np.generic):
        return _clean(value.item())
    return value
