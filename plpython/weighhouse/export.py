"""What was learnt, for use elsewhere: arrays as lists, and the safe format of a library."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np

from weighhouse.artifacts import Artifact
from weighhouse.errors import BadOptions
from weighhouse.learnt import unpack
from weighhouse.signing import Tampered

__all__ = ["arrays", "native"]


def _verify(id: str, artifact: Artifact, signature: bytes) -> None:
    if not artifact.is_signed(signature):
        raise Tampered(
            f"the artifact {id} is not what was signed",
            detail="Its content was changed, or the database was restored from another server.",
            hint="After a restore run: loader cache verify --adopt; else fit again.",
        )


def _listed(array: Any) -> Any:
    """Give nested lists; what is no number as JSON wants it: "NaN", "Infinity", "-Infinity"."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(one) for one in value]
        if value != value:
            return "NaN"
        return value if abs(value) < np.inf else "Infinity" if value > 0 else "-Infinity"

    return named(array.tolist())


def arrays(id: str, artifact: Artifact, signature: bytes, most: int) -> str:
    """Write the arrays of an artifact as JSON.

    Parameters
    ----------
    id : str
        How errors name it.
    artifact, signature
        As stored.
    most : int
        Numbers of an array that are written out.

    Returns
    -------
    str
        JSON object: by name `shape`, `type`, and `values` (nested lists) or, of an array with more
        numbers, `npy` (base64 of numpy's format).

    Raises
    ------
    Tampered
        The signature is another; nothing was parsed.
    """
    _verify(id, artifact, signature)
    found: dict[str, Any] = {}
    for name, array in unpack(artifact.arrays).items():
        entry: dict[str, Any] = {"shape": list(array.shape), "type": str(array.dtype)}
        if array.size <= most:
            entry["values"] = _listed(array)
        else:
            entry["npy"] = base64.b64encode(_npy(array)).decode()
        found[name] = entry
    return json.dumps(found, allow_nan=False)


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def native(id: str, artifact: Artifact, signature: bytes) -> bytes:
    """Give an artifact in the format of its library.

    Raises
    ------
    Tampered
        The signature is another.
    BadOptions
        The library has no safe format.
    """
    _verify(id, artifact, signature)
    if artifact.native is None:
        raise BadOptions(
            f"{artifact.kind} has no format of its own that is safe to load",
            hint="Export it as JSON: its parameters and arrays are all there is.",
        )
    return artifact.native
