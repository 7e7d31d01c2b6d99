"""Surplus as the database asks for it: columns come as bytes, the answer leaves as JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse import pg
from weighhouse.surplus import Rules, Surplus, fit_surplus

__all__ = ["recommend"]


def recommend(
    item: bytes | None,
    ended: bytes | None,
    difference: bytes | None,
    applied: bytes | None,
    weight: bytes | None,
    sigma: bytes | None,
    counts: bytes | None,
    term_mass: bytes | None,
    term_age_from: bytes | None,
    term_age_to: bytes | None,
    term_is_receipt: bytes | None,
    a: Sequence[float | None],
    b: Sequence[float | None],
    c: Sequence[float | None],
    options: dict[str, Any],
    tick: Callable[[], None],
) -> str:
    """Tell the surplus of the products of one type, see `surplus.fit_surplus`.

    Parameters
    ----------
    item, counts : bytes
        int4send of the product's number within the type and of the number of terms, a period each.
    ended, difference, applied, weight, sigma : bytes
        float8send, a period each; `ended` in seconds, given back with what is said of the period.
    term_mass, term_age_from, term_age_to, term_is_receipt : bytes
        array_send, a period each.
    a, b, c : sequences of shape (items,)
        Coefficients in force.
    options : dict
        family, b_is_given, c_is_given, type_level, level_error (null: not known), cv, and the
        thresholds of `surplus.Rules`; numbers may be Decimal, as jsonb brings them.

    Returns
    -------
    str
        JSON: one row for each product that is judged, with `periods` where one is recommended.
    """
    numbers = pg.integers(counts, 4)
    ids, ends = pg.integers(item, 4), pg.floats(ended)
    gained, beyond = pg.floats(difference), pg.floats(applied)
    mass, receipt = pg.float_arrays(term_mass, numbers), pg.boolean_arrays(term_is_receipt, numbers)
    found = fit_surplus(
        ids,
        gained,
        beyond,
        pg.floats(weight),
        pg.floats(sigma),
        np.append(0, np.cumsum(numbers)),
        mass,
        pg.float_arrays(term_age_from, numbers),
        pg.float_arrays(term_age_to, numbers),
        receipt,
        family=options["family"],
        a=_floats(a),
        b=_floats(b),
        c=_floats(c),
        b_is_given=bool(options["b_is_given"]),
        c_is_given=bool(options["c_is_given"]),
        type_level=_number(options["type_level"]),
        level_error=_number(options["level_error"]),
        cv=float(options["cv"]),
        rules=Rules(
            least=float(options["least"]),
            least_t=float(options["least_t"]),
            least_gain=float(options["least_gain"]),
            joint_periods=int(options["joint_periods"]),
            implied_periods=int(options["implied_periods"]),
            least_variation=float(options["least_variation"]),
            prior_periods=float(options["prior_periods"]),
            false_share=float(options["false_share"]),
        ),
        tick=tick,
    )
    came = np.bincount(
        np.repeat(np.arange(ids.size), numbers), np.where(receipt, mass, 0.0), minlength=ids.size
    )
    begins = np.searchsorted(ids, np.arange(len(found)))
    rows = [
        _row(row, int(begins[row.item]), ends, gained, came - beyond)
        for row in found
        if row.method != "none"
    ]
    return json.dumps(rows, allow_nan=False)


def _row(
    row: Surplus,
    begin: int,
    ends: NDArray[np.float64],
    gained: NDArray[np.float64],
    documented: NDArray[np.float64],
) -> dict[str, Any]:
    places = begin + row.places
    answer: dict[str, Any] = {
        "item": row.item,
        "method": row.method,
        "surplus": _clean(row.surplus),
        "applied": _clean(row.applied),
        "se": _clean(row.se),
        "confidence": _clean(row.confidence),
        "a": _clean(row.a),
        "b": _clean(row.b),
        "c": _clean(row.c),
        "rmse": _clean(row.rmse),
        "rmse_applied": _clean(row.rmse_applied),
        "n_periods": row.n_periods,
        "is_recommended": row.is_recommended,
        "reason": row.reason,
    }
    if row.is_recommended:
        answer["from"], answer["to"] = float(ends[places[0]]), float(ends[places[-1]])
        answer["periods"] = [
            {
                "ended": float(ends[place]),
                "incoming_kg": round(float(documented[place]), 3),
                "difference_kg": round(float(gained[place]), 3),
                "expected_kg": _clean(float(expected)),
                "implied": _clean(float(implied)),
            }
            for place, expected, implied in zip(places, row.expected, row.implied, strict=True)
        ]
    return answer


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array(values, dtype=float)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _clean(value: float) -> float | None:
    """Seven digits are more than the data hold, and the same on every machine; NaN is null."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
