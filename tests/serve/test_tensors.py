"""Tensors of the v2 protocol as bytes."""

from __future__ import annotations

import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.serve.faults import Refused
from tflite_cupy.serve.tensors import checked_shape, datatype_of, dtype_of, from_bytes, plain, to_bytes

NUMBERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64"]


@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_travel_as_little_endian_bytes(datatype: str) -> None:
    array = np.array([[0, 1, 2], [3, 100, 127]]).astype(dtype_of(datatype, "x"))
    data = to_bytes(array)
    assert len(data) == 6 * array.dtype.itemsize
    back = from_bytes(memoryview(data), datatype, (2, 3), "x")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert to_bytes(array.astype(array.dtype.newbyteorder(">")) if datatype != "BF16" else array) == data
    assert to_bytes(np.asfortranarray(array)) == data


def test_values_of_known_bytes() -> None:
    assert to_bytes(np.float32([1.0])) == b"\x00\x00\x80\x3f"
    assert to_bytes(np.array([1.0], ml_dtypes.bfloat16)) == b"\x80\x3f"
    assert to_bytes(np.array([True, False])) == b"\x01\x00"
    assert to_bytes(np.array([b"ab", b""], object)) == b"\x02\x00\x00\x00ab\x00\x00\x00\x00"
    assert plain(np.array([1.5], ml_dtypes.bfloat16)).tolist() == [1.5]


def test_data_that_starts_anywhere_is_aligned() -> None:
    data = b"x" + np.float64([1, 2]).tobytes()
    array = from_bytes(memoryview(data)[1:], "FP64", (2,), "x")
    assert array.flags.aligned
    assert array.tolist() == [1, 2]


def test_strings() -> None:
    words = np.array([["a", ""], ["\u00fc", "b\0c"]], object)
    words = np.vectorize(str.encode, otypes=[object])(words)
    back = from_bytes(memoryview(to_bytes(words)), "BYTES", (2, 2), "x")
    assert back.tolist() == words.tolist()
    assert from_bytes(memoryview(b""), "BYTES", (0,), "x").shape == (0,)


def test_no_elements() -> None:
    assert from_bytes(memoryview(b""), "FP32", (0, 3), "x").shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "says"),
    [
        (b"123", "FP32", (1,), r"x: FP32 of shape \[1\] takes 4 bytes, got 3"),
        (b"", "FP32", (2**30, 2**30), r"takes 4611686018427387904 bytes, got 0"),
        (b"\x02", "BOOL", (1,), "x: a BOOL is a byte of 0 or 1"),
        (b"", "FP8", (0,), "x: datatype 'FP8' is unknown. Use one of BOOL"),
        (b"\x01\x00\x00", "BYTES", (1,), "x: 1 strings take 4 bytes each at least, got 3"),
        (b"", "BYTES", (2**30, 2**30), "strings take 4 bytes each at least, got 0"),
        (struct.pack("<I", 5) + b"abc", "BYTES", (1,), "x: the data ends within string 0 of 1"),
        (struct.pack("<I", 2**32 - 1), "BYTES", (1,), "x: the data ends within string 0 of 1"),
        (struct.pack("<I", 4) + b"abcd", "BYTES", (2,), "x: the data ends in the length of string 1 of 2"),
        (struct.pack("<I", 1) + b"abc", "BYTES", (1,), "x: 2 bytes follow the last of 1 strings"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(data: bytes, datatype: str, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        from_bytes(memoryview(data), datatype, shape, "x")
    assert caught.value.status == 400


@pytest.mark.parametrize("shape", [[-1], [1.0], [True], ["1"], [None], [2**31], [1] * 33])
def test_shapes_are_whole_numbers(shape: list[Any]) -> None:
    with pytest.raises(Refused, match=r"x: shape .* is none"):
        checked_shape(shape, "x")


def test_which_types_travel() -> None:
    names = {kind.name: datatype_of(kind) for kind in TensorType}
    silent = {name for name, datatype in names.items() if datatype is None}
    assert silent == {"COMPLEX64", "COMPLEX128", "RESOURCE", "VARIANT", "FLOAT8_E4M3FN", "FLOAT8_E5M2"}
    assert (names["INT4"], names["UINT4"], names["BFLOAT16"], names["STRING"]) == ("INT8", "UINT8", "BF16", "BYTES")
