"""What a library learnt, as arrays: a form that is stored, signed, and scored with numpy alone.

No pickle: the arrays are an .npz that is read with pickles refused, the rest is JSON and, where the
library has a safe format of its own, that (to go on learning from, and to take away).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Learnt", "pack", "unpack"]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt.

    Attributes
    ----------
    header : dict
        What JSON can hold: architecture, encoding, names.
    arrays : dict of str to ndarray
        Numbers and booleans; weights, nodes of trees.
    native : bytes or None
        The library's own safe format (LightGBM text, XGBoost UBJSON); None: it has none, or the
        arrays are all there is.
    label : str
        What was learnt, for people: "100 trees of 12 features".
    """

    header: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    native: bytes | None = None
    label: str = ""


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write arrays as the bytes of an .npz, uncompressed: what is stored is compressed anyway."""
    # The same arrays give the same bytes: numpy dates the members of the archive 1980.
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, NDArray[Any]]:
    """Read what `pack` wrote; an array of objects is refused (ValueError)."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
