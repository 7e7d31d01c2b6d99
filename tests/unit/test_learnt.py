"""Arrays leave as safetensors, and come back as they were."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from weighhouse.learnt import pack, unpack

ARRAYS = {
    "flag": np.array([True, False, True]),
    "small": np.arange(3, dtype=np.int8),
    "byte": np.arange(5, dtype=np.uint8),
    "short": np.arange(4, dtype=np.int16).reshape(2, 2),
    "int": np.arange(3, dtype=np.int32),
    "long": np.arange(6, dtype=np.int64).reshape(3, 2),
    "single": np.array([0.1, np.inf, np.nan], dtype=np.float32),
    "double": np.array([[0.1], [-0.0]]),
    "none": np.empty((0, 4)),
    "scalar": np.array(3.5),
}


def test_arrays_come_back_as_they_were() -> None:
    back = unpack(pack(ARRAYS))
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        assert back[name].flags.aligned
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_the_same_arrays_give_the_same_bytes() -> None:
    turned = dict(reversed(ARRAYS.items()))
    turned["long"] = np.asfortranarray(turned["long"])
    turned["int"] = turned["int"].astype(">i4")
    assert pack(turned) == pack(ARRAYS)
    assert pack({}) == pack({}) and unpack(pack({})) == {}


def test_the_form_is_that_of_safetensors() -> None:
    content = pack({"b": np.array([1.0, 2.0], dtype=np.float32), "a": np.array([[7]])})
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert json.loads(content[8 : 8 + length]) == {
        "a": {"dtype": "I64", "shape": [1, 1], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
    }
    assert content[8 + length :] == np.int64(7).tobytes() + np.float32([1, 2]).tobytes()


def test_what_the_format_has_no_name_for_is_refused() -> None:
    for array in (np.array(["a"]), np.array([{}]), np.array([1j])):
        with pytest.raises(TypeError, match="array odd is of"):
            pack({"odd": array})


def test_arrays_of_earlier_releases_are_read_and_objects_are_not() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    back = unpack(buffer.getvalue())
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array, strict=True)
    buffer = io.BytesIO()
    np.savez(buffer, odd=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Object arrays"):
        unpack(buffer.getvalue())
