"""Tensors as callers see them: detail dictionaries, and values checked on their way in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError, LimitError
from .graph import Sparsity, Tensor, TensorType

_FLOAT8 = (TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2)
OPAQUE = (TensorType.RESOURCE, TensorType.VARIANT)
"""Types whose values mean nothing outside of a call."""

_CLASSES = {TensorType.STRING: np.bytes_, TensorType.RESOURCE: np.object_, TensorType.VARIANT: np.object_}


def numpy_class(kind: TensorType) -> Any:
    """The NumPy scalar class that details name as `dtype`; bytes_ for strings."""
    return _CLASSES.get(kind) or kind.dtype.type


def tensor_details(tensor: Tensor, index: int, shape: Sequence[int]) -> dict[str, Any]:
    """The reference's description of a tensor whose shape is `shape` now.

    Keys, in order: name, index, shape (int32 array), shape_signature (int32 array, -1 for an unknown dimension), dtype
    (NumPy class), quantization ((scale, zero point), (0.0, 0) if there is none or one per channel),
    quantization_parameters, sparsity_parameters.
    """
    signature = tensor.shape_signature if tensor.shape_signature is not None else shape
    q = tensor.quantization
    scales = np.array(q.scales, np.float32) if q is not None else np.empty(0, np.float32)
    points = np.array(q.zero_points, np.int32) if q is not None else np.empty(0, np.int32)
    pair = (float(scales[0]), int(points[0])) if len(scales) == 1 and len(points) == 1 else (0.0, 0)
    return {
        "name": tensor.name,
        "index": index,
        "shape": np.array(shape, np.int32),
        "shape_signature": np.array(signature, np.int32),
        "dtype": numpy_class(tensor.type),
        "quantization": pair,
        "quantization_parameters": {
            "scales": scales,
            "zero_points": points,
            "quantized_dimension": q.axis if q is not None else 0,
            "block_size": q.block_size if q is not None else 0,
        },
        "sparsity_parameters": _sparsity(tensor.sparsity),
    }


def _sparsity(sparsity: Sparsity | None) -> dict[str, Any]:
    if sparsity is None:
        return {}
    return {
        "traversal_order": np.array(sparsity.traversal_order, np.int32),
        "block_map": np.array(sparsity.block_map, np.int32),
        "dim_metadata": [dict(dimension) for dimension in sparsity.dimensions],
    }


def as_array(value: Any, tensor: Tensor, index: int) -> np.ndarray:
    """A caller's value as an array of the type of input `index`, without a copy where none is needed.

    Arrays must have the tensor's dtype (any byte order and layout); lists and Python numbers are converted if no value
    changes. 8-bit floats may also come as int8 or uint8 that hold their bits, as the reference takes them. Strings may
    be bytes or str, alone, in lists, or in object, `S` and `U` arrays. Raises InputError.
    """
    dtype = tensor.type.dtype
    if tensor.type.is_object:
        return _as_strings(value, tensor, index)
    if isinstance(value, int | float | complex | list | tuple) and not isinstance(value, np.generic):
        return _from_python(value, tensor, index)
    array = _read(value, tensor, index)
    if tensor.type in _FLOAT8 and array.dtype in (np.int8, np.uint8):
        array = array.view(dtype)
    if array.dtype != dtype:
        if array.dtype.isnative or array.dtype.newbyteorder("=") != dtype:
            raise _wrong_type(array.dtype, tensor, index)
        array = array.astype(dtype)
    return _in_range(array, tensor, index)


def _read(value: Any, tensor: Tensor, index: int, dtype: Any = None) -> np.ndarray:
    """Whatever NumPy can read as an array."""
    try:
        return np.asarray(value, dtype)
    except (TypeError, ValueError, RuntimeError) as error:  # CuPy and PyTorch raise where a copy must be asked for
        what = f"Cannot set tensor: NumPy can't read the {type(value).__name__} for input {index}, name: {tensor.name}"
        raise InputError(f"{what}: {error}", hint="Pass a NumPy array.") from error


def _in_range(array: np.ndarray, tensor: Tensor, index: int) -> np.ndarray:
    """`array`, if the tensor's type can hold its values: packed types are narrower than the arrays that hold them."""
    bits = tensor.type.bits
    if bits < array.dtype.itemsize * 8 and array.size:
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if array.dtype.kind == "i" else (0, (1 << bits) - 1)
        if array.min() < low or array.max() > high:
            raise InputError(
                f"Cannot set tensor: Values for {tensor.type.name} input must be between {low} and {high}.",
                where=f"input {index}, name: {tensor.name}",
            )
    return array


def _from_python(value: Any, tensor: Tensor, index: int) -> np.ndarray:
    try:
        array = _numbers(value, tensor.type.dtype)
        if array.size == 0 or np.can_cast(array.dtype, tensor.type.dtype, "same_kind") or array.dtype.kind in "iu":
            with np.errstate(over="raise"):
                result = array.astype(tensor.type.dtype)
            if array.dtype.kind not in "iu" or np.array_equal(result, array):
                return _in_range(result, tensor, index)
    except InputError:
        raise
    except (ArithmeticError, TypeError, ValueError) as error:
        raise InputError(f"Cannot set tensor: {error} for input {index}, name: {tensor.name}") from error
    raise _wrong_type(array.dtype, tensor, index)


def _numbers(value: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers as NumPy reads them; whole ones exactly, where it would read those of 2**63 and more beside others as
    floats. Raises OverflowError for those that an integer `dtype` does not hold."""
    array = np.asarray(value)
    if dtype.kind in "iu" and array.dtype.kind in "fO":
        whole = np.asarray(value, object)
        if all(isinstance(item, int) for item in whole.reshape(-1).tolist()):
            return whole.astype(dtype)
    return array


def _wrong_type(got: Any, tensor: Tensor, index: int) -> InputError:
    """The error for a value of another dtype, in the reference's words."""
    try:
        name = TensorType.of(got).name
    except (KeyError, TypeError):  # NumPy's new string type has no byte order
        name = str(got)
    wanted = f"np.{numpy_class(tensor.type).__name__}"
    return InputError(
        f"Cannot set tensor: Got value of type {name} but expected type {tensor.type.name} for input {index}, "
        f"name: {tensor.name}",
        hint=f"Convert it with .astype({wanted})." if got.kind in "biufc" else f"Pass an array of {wanted}.",
    )


def _as_strings(value: Any, tensor: Tensor, index: int) -> np.ndarray:
    array = _read(value, tensor, index, object if isinstance(value, str | bytes | list | tuple) else None)
    if array.dtype.kind not in "OSUT":
        raise _wrong_type(array.dtype, tensor, index)
    result = np.empty(array.shape, object)
    flat = result.reshape(-1)
    for position, item in enumerate(array.reshape(-1).tolist()):
        flat[position] = item if type(item) is bytes else _as_bytes(item, tensor, index)
    return result


def _as_bytes(item: Any, tensor: Tensor, index: int) -> bytes:
    if isinstance(item, bytes):
        return bytes(item)
    if not isinstance(item, str):
        raise InputError(
            f"Cannot set tensor: expected bytes or str, got {type(item).__name__} for input {index}, "
            f"name: {tensor.name}"
        )
    try:
        return item.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Cannot set tensor: {error} for input {index}, name: {tensor.name}") from error


def owned(array: np.ndarray, taken: set[int]) -> np.ndarray:
    """`array` if it is the caller's to keep and write, else a copy: never a view, a constant or an array whose id is in
    `taken`, to which that of the result is added."""
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.base is not None or not array.flags.writeable or id(array) in taken:
        array = array.copy()
    taken.add(id(array))
    return array


def opaque(array: Any, kind: TensorType) -> Any:
    """`array`, or None in an array of its shape for resources and variants."""
    return np.full(array.shape, None, object) if kind in OPAQUE else array


def scalar(array: np.ndarray) -> Any:
    """A NumPy scalar for an array of rank 0, unless it holds an object; any other array as it is."""
    return array[()] if array.ndim == 0 and array.dtype != object else array


def blank(tensor: Tensor, shape: Sequence[int]) -> np.ndarray:
    """Zeros, or empty strings, of a tensor's type. Raises LimitError where there is no memory for them."""
    try:
        return np.full(tuple(shape), b"" if tensor.type.is_object else 0, tensor.type.dtype)
    except (MemoryError, ValueError) as error:
        raise LimitError(f"tensor {tensor.name!r} of shape {list(shape)} can't be allocated: {error}") from error
