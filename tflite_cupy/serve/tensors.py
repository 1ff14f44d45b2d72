"""Tensors as the Open Inference Protocol has them: names of datatypes, values as JSON lists and as bytes.

Packed types (int4, int2, uint4) travel as integers, one element a byte.
"""

from __future__ import annotations

import struct
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from ..interpreter.graph import TensorType
from .faults import Refused, bad
from .strict_json import MAX_AXES

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_OPAQUE = (TensorType.RESOURCE, TensorType.VARIANT)
_LENGTH = struct.Struct("<I")


def datatype_of(kind: TensorType) -> str | None:
    """Name of the datatype that a tensor travels as; None where the protocol has none for it."""
    return None if kind in _OPAQUE else _NAMES.get(kind.dtype)


def dtype_of(datatype: str, what: str) -> np.dtype[Any]:
    """dtype of the arrays of a datatype. Raises Refused (400)."""
    if datatype not in _DTYPES:
        raise bad(f"{what}: datatype {datatype!r} is unknown. Use one of {', '.join(_DTYPES)}.")
    return _DTYPES[datatype]


def checked_shape(shape: list[Any], what: str) -> tuple[int, ...]:
    """The shape that a request states. Raises Refused (400)."""
    if len(shape) > MAX_AXES or any(type(n) is not int or not 0 <= n < 1 << 31 for n in shape):
        raise bad(f"{what}: shape {str(shape)[:200]} is none: at most {MAX_AXES} whole numbers of 0 or more.")
    return tuple(shape)


def from_bytes(data: memoryview, datatype: str, shape: tuple[int, ...], what: str) -> np.ndarray:
    """An array of little-endian elements, or of strings with 4 bytes of length before each. It shows `data` where the
    elements lie so that they can be used there. Raises Refused (400)."""
    dtype, count = dtype_of(datatype, what), prod(shape)
    if dtype.hasobject:
        return _strings(data, count, what).reshape(shape)
    if len(data) != count * dtype.itemsize:
        raise bad(f"{what}: {datatype} of shape {list(shape)} takes {count * dtype.itemsize} bytes, got {len(data)}.")
    if not count:
        return np.empty(shape, dtype)
    array = np.frombuffer(data, dtype).reshape(shape)
    if datatype == "BOOL" and array.view(np.uint8).max() > 1:
        raise bad(f"{what}: a BOOL is a byte of 0 or 1.")
    return array if array.flags.aligned else array.copy()


def _strings(data: memoryview, count: int, what: str) -> np.ndarray:
    if count * _LENGTH.size > len(data):
        raise bad(f"{what}: {count} strings take 4 bytes each at least, got {len(data)}.")
    strings, start = np.empty(count, object), 0
    for index in range(count):
        begin = start + _LENGTH.size
        if begin > len(data):
            raise bad(f"{what}: the data ends in the length of string {index} of {count}.")
        start = begin + _LENGTH.unpack_from(data, begin - _LENGTH.size)[0]
        if start > len(data):
            raise bad(f"{what}: the data ends within string {index} of {count}.")
        strings[index] = bytes(data[begin:start])
    if start != len(data):
        raise bad(f"{what}: {len(data) - start} bytes follow the last of {count} strings.")
    return strings


def to_bytes(array: np.ndarray) -> bytes:
    """The elements in row-major order, little-endian; strings with 4 bytes of length before each."""
    if array.dtype.hasobject:
        return b"".join(_LENGTH.pack(len(item)) + item for item in array.reshape(-1).tolist())
    native = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return native.tobytes()


def plain(array: np.ndarray) -> np.ndarray:
    """The same values in a type whose `tolist` gives Python's numbers."""
    return array.astype(np.float32) if array.dtype == _DTYPES["BF16"] else array


def to_text(item: bytes, what: str) -> str:
    """A string as JSON has it. Raises Refused (400) where it is no text."""
    try:
        return item.decode()
    except UnicodeDecodeError:
        raise Refused(400, f"{what} holds bytes that are no UTF-8, which JSON can't. Ask for binary data.") from None
