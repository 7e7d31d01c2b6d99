"""What a library learnt, as arrays: a form that is stored, signed, and scored with numpy alone.

No pickle: the arrays are numbers in the safetensors format, the rest is JSON and, where the library
has a safe format of its own, that (to go on learning from, and to take away).
"""

from __future__ import annotations

import io
import json
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


# Names of the format for types of numpy.
TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "F32": "<f4",
    "F64": "<f8",
}
NAMES = {np.dtype(written): name for name, written in TYPES.items()}
# Bytes that say how long the description is.
PREFIX = 8


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write arrays in the safetensors format: a description in JSON, then numbers as they are.

    The same arrays give the same bytes. Wide numbers stand first, so each array begins where its
    type may. Raises TypeError for an array of another type than the format has.

    References
    ----------
    The safetensors format, huggingface/safetensors, README.
    """
    described: dict[str, Any] = {}
    parts: list[bytes] = []
    place = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):
        array = np.ascontiguousarray(arrays[name])
        kind = NAMES.get(array.dtype.newbyteorder("<"))
        if kind is None:
            raise TypeError(f"array {name} is of {array.dtype}")
        array = array.astype(TYPES[kind], copy=False)
        offsets = [place, place + array.nbytes]
        described[name] = {
            "dtype": kind,
            "shape": list(arrays[name].shape),
            "data_offsets": offsets,
        }
        parts.append(array.tobytes())
        place = offsets[1]
    header = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % PREFIX)
    return b"".join([len(header).to_bytes(PREFIX, "little"), header, *parts])


def unpack(content: bytes) -> dict[str, NDArray[Any]]:
    """Read what `pack` wrote, without a copy: the arrays cannot be written to.

    An .npz of earlier releases is read, too; one that holds an object is refused (ValueError).
    """
    if content[:2] == b"PK":
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    begin = PREFIX + int.from_bytes(content[:PREFIX], "little")
    result = {}
    for name, entry in json.loads(content[PREFIX:begin]).items():
        first, last = entry["data_offsets"]
        kind = np.dtype(TYPES[entry["dtype"]])
        array = np.frombuffer(content, kind, (last - first) // kind.itemsize, begin + first)
        result[name] = array.reshape(entry["shape"])
    return result
