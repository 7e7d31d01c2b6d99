"""Expected losses as the database asks for them: columns of periods come as bytes."""

from __future__ import annotations

import numpy as np

from weighhouse import pg
from weighhouse.shrinkage import predict_shortage

__all__ = ["expect"]


def expect(
    family: str,
    a: bytes | None,
    b: bytes | None,
    c: bytes | None,
    counts: bytes | None,
    term_mass: bytes | None,
    term_age_from: bytes | None,
    term_age_to: bytes | None,
) -> list[float | None]:
    """Expect the loss of each period, see `shrinkage.predict_shortage`.

    Parameters
    ----------
    family : str
        A key of `curves.FAMILIES`, the same for all periods of a call.
    a, b, c : bytes
        float8send of the coefficients, a period each; NaN where the family has none.
    counts : bytes
        int4send of the number of terms, a period each.
    term_mass, term_age_from, term_age_to : bytes
        array_send, a period each, without NULLs; kg, days.

    Returns
    -------
    list of float or None
        kg, a period each; None where nothing can be expected: no terms, or not a finite number.

    Raises
    ------
    BadOptions
        Unknown family, or columns that do not fit together.
    """
    numbers = pg.integers(counts, 4)
    if not numbers.size:
        return []
    offset = np.append(0, np.cumsum(numbers))[:-1]
    found = predict_shortage(
        family,
        pg.floats(a),
        pg.floats(b),
        pg.floats(c),
        offset,
        pg.float_arrays(term_mass, numbers),
        pg.float_arrays(term_age_from, numbers),
        pg.float_arrays(term_age_to, numbers),
    )
    known = np.isfinite(found) & (numbers > 0)
    return [x if ok else None for x, ok in zip(found.tolist(), known.tolist(), strict=True)]
