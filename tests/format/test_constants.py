"""Bytes of constants: packed integers, strings, alignment."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite_cupy.interpreter.errors import GraphError, UnsupportedError
from tflite_cupy.interpreter.format.constants import decode, encode
from tflite_cupy.interpreter.graph import TensorType

NUMERIC = [type for type in TensorType if not type.is_object]


def raw(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize(
    ("type", "data", "values"),
    [
        (TensorType.INT4, b"\x21\xf8\x07", [1, 2, -8, -1, 7]),
        (TensorType.UINT4, b"\x21\xf8", [1, 2, 8, 15]),
        (TensorType.INT2, b"\xe4\x01", [0, 1, -2, -1, 1]),
        (TensorType.INT16, b"\xff\xff\x01\x02", [-1, 513]),
        (TensorType.FLOAT8_E4M3FN, b"\x38\xb8\x7e\x01", [1, -1, 448, 2**-9]),
        (TensorType.FLOAT8_E5M2, b"\x3c\xbc\x7b\xfc", [1, -1, 57344, -inf]),
        (TensorType.BOOL, b"\0\1\2\xff", [False, True, True, True]),
    ],
)
def test_elements(type: TensorType, data: bytes, values: list[int]) -> None:
    """Low bits first; any byte but 0 is true."""
    found = decode(raw(data), type, len(values))
    assert found.tolist() == values
    assert found.dtype == type.dtype
    assert not found.flags.writeable


@settings(deadline=None)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    type = data.draw(st.sampled_from(NUMERIC))
    count = data.draw(st.integers(0, 20))
    bits = count * type.bits
    held = np.frombuffer(data.draw(st.binary(min_size=(bits + 7) // 8, max_size=(bits + 7) // 8)), np.uint8)
    values = decode(held, type, count)
    assert decode(raw(bytes(encode(values, type))), type, count).tobytes() == values.tobytes()
    if type.bits >= 8 and type is not TensorType.BOOL:
        assert bytes(encode(values, type)) == held.tobytes()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9), max_size=9))
def test_strings(values: list[bytes]) -> None:
    encoded = encode(np.array([*values, None], object)[:-1], TensorType.STRING)
    assert decode(raw(bytes(encoded)), TensorType.STRING, len(values)).tolist() == values


def test_text_becomes_utf_8() -> None:
    encoded = bytes(encode(np.array(["é", b"\xff"], object), TensorType.STRING))
    assert encoded == np.int32([2, 16, 18, 19]).tobytes() + b"\xc3\xa9\xff"


def test_strings_may_leave_a_gap_before_the_first() -> None:
    data = np.int32([1, 16, 18]).tobytes() + b"....ab"
    assert decode(raw(data), TensorType.STRING, 1).tolist() == [b"ab"]


def test_aligned_bytes_are_not_copied() -> None:
    held = np.arange(8, dtype=np.float32)
    assert np.shares_memory(decode(held.view(np.uint8), TensorType.FLOAT32, 8), held)


def test_misaligned_bytes_are_copied() -> None:
    held = np.zeros(33, np.uint8)
    found = decode(held[1:], TensorType.FLOAT32, 8)
    assert not np.shares_memory(found, held)
    assert found.flags.aligned


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8])
@pytest.mark.parametrize("type", [TensorType.FLOAT32, TensorType.INT8, TensorType.INT4, TensorType.COMPLEX128])
def test_wrong_sizes(type: TensorType, size: int) -> None:
    with pytest.raises(GraphError, match=f"has {size}"):
        decode(np.zeros(size, np.uint8), type, 4)


@pytest.mark.parametrize("type", [TensorType.RESOURCE, TensorType.VARIANT])
def test_handles_have_no_bytes(type: TensorType) -> None:
    with pytest.raises(UnsupportedError):
        decode(np.zeros(8, np.uint8), type, 1)


@pytest.mark.parametrize(("order", "index"), [(">", 0), ("<", 0)])
def test_any_byte_order_is_written_little_endian(order: str, index: Any) -> None:
    values = np.array([1, 2], f"{order}i4")
    assert bytes(encode(values, TensorType.INT32)) == b"\1\0\0\0\2\0\0\0"
    assert index == 0
