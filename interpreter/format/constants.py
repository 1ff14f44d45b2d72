"""Bytes of constants <-> arrays: unpacks int4 and int2, splits string tensors, and does both the other way round."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError, UnsupportedError
from ..graph import Array, TensorType

_ELEMENTS = {type: (type.bits, type.dtype) for type in TensorType}


def decode(raw: NDArray[np.uint8], type: TensorType, count: int) -> Array:
    """The `count` elements of a constant as a read-only 1-D array, a view of `raw` where alignment allows.

    Raises GraphError where the bytes do not hold exactly that many elements, UnsupportedError for resources.
    """
    if type is TensorType.STRING:
        return _frozen(_decode_strings(raw, count))
    bits, dtype = _ELEMENTS[type]
    if not bits:
        raise UnsupportedError(f"A constant of type {type.name} has no meaning in a file.")
    expected = (count * bits + 7) // 8
    if raw.size != expected:
        what = f"{count} elements of {type.name} take {expected} bytes, the constant has {raw.size}."
        raise GraphError(what)
    if bits < 8:
        return _frozen(_unpack(raw, type)[:count])
    if type is TensorType.BOOL:
        return _frozen(raw != 0 if raw.size and raw.max() > 1 else raw.view(np.bool_))
    values = raw.view(dtype)
    return _frozen(values if values.flags.aligned else values.copy())


def encode(values: Array, type: TensorType) -> bytes | memoryview:
    """The bytes of a constant as a file holds them."""
    if type is TensorType.STRING:
        return _encode_strings([as_bytes(value) for value in np.asarray(values, object).ravel().tolist()])
    flat = np.ascontiguousarray(values, type.dtype).reshape(-1)
    return (_pack(flat, type) if type.bits < 8 else flat.view(np.uint8)).data


def as_bytes(value: Any) -> bytes:
    """A string element as bytes; text becomes UTF-8."""
    return value.encode() if isinstance(value, str) else bytes(value)


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    if values.flags.writeable:
        values.flags.writeable = False
    return values


def _unpack(raw: NDArray[np.uint8], type: TensorType) -> NDArray[Any]:
    """Elements narrower than a byte, lowest bits first, one a byte."""
    bits = type.bits
    per_byte = 8 // bits
    out = np.empty((raw.size, per_byte), type.dtype)
    for i in range(per_byte):
        top = raw << np.uint8(8 - bits * (i + 1))
        out[:, i] = top.view(type.dtype) >> (8 - bits)
    return out.reshape(-1)


def _pack(flat: NDArray[Any], type: TensorType) -> NDArray[np.uint8]:
    bits = type.bits
    per_byte = 8 // bits
    padded = np.zeros((-(-flat.size // per_byte), per_byte), np.uint8)
    padded.reshape(-1)[: flat.size] = flat.view(np.uint8) & (2**bits - 1)
    packed = np.zeros(len(padded), np.uint8)
    for i in range(per_byte):
        packed |= padded[:, i] << np.uint8(bits * i)
    return packed


def _decode_strings(raw: NDArray[np.uint8], count: int) -> NDArray[Any]:
    """Layout: int32 n, n + 1 int32 offsets from the start, the bytes of all strings one after another."""
    words = raw[: raw.size & -4].view("<i4")
    stored = int(words[0]) if words.size else -1
    if stored < 0 or stored + 2 > words.size:
        raise GraphError(f"a string tensor of {raw.size} bytes can't hold {stored} strings.")
    if stored != count:
        raise GraphError(f"a string tensor holds {stored} strings, its shape asks for {count}.")
    offsets = words[1 : count + 2].astype(np.int64)
    if offsets[0] < 4 * (count + 2) or (np.diff(offsets) < 0).any() or offsets[-1] > raw.size:
        raise GraphError("the offsets of a string tensor are not in order or out of bounds.")
    data = raw.tobytes()
    bounds = offsets.tolist()
    out = np.empty(count, object)
    out[:] = [data[a:b] for a, b in pairwise(bounds)]
    return out


def _encode_strings(values: list[bytes]) -> bytes:
    lengths = np.array([0, *map(len, values)], np.int64)
    offsets = 4 * (len(values) + 2) + np.cumsum(lengths)
    if offsets[-1] >= 2**31:
        raise GraphError(f"a string tensor of {offsets[-1]} bytes is more than the format can hold.")
    return np.array([len(values), *offsets], "<i4").tobytes() + b"".join(values)
