"""Tensors as callers see them: detail dictionaries, and values checked on their way in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError
from .graph import Sparsity, Tensor, TensorType

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
    scales = np.asarray(q.scales, np.float32) if q is not None else np.empty(0, np.float32)
    points = np.asarray(q.zero_points, np.int32) if q is not None else np.empty(0, np.int32)
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
    changes. Strings may be bytes or str, alone, in lists, or in object, `S` and `U` arrays. Raises InputError.
    """
    dtype = tensor.type.dtype
    if tensor.type.is_object:
        return _as_strings(value, tensor, index)
    if isinstance(value, int | float | complex | list | tuple) and not isinstance(value, np.generic):
        return _from_python(value, tensor, index)
    array = np.asarray(value)
    if array.dtype == dtype:
        return array
    if array.dtype.newbyteorder("=") != dtype:
        raise _wrong_type(array.dtype, tensor, index)
    return array.astype(dtype)


def _from_python(value: Any, tensor: Tensor, index: int) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.size == 0 or np.can_cast(array.dtype, tensor.type.dtype, "same_kind") or array.dtype.kind in "iu":
            result = array.astype(tensor.type.dtype)
            if array.dtype.kind not in "iu" or np.array_equal(result, array):
                return result
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"Cannot set tensor: {error} for input {index}, name: {tensor.name}") from error
    raise _wrong_type(array.dtype, tensor, index)


def _wrong_type(got: Any, tensor: Tensor, index: int) -> InputError:
    """The error for a value of another dtype, in the reference's words."""
    try:
        name = TensorType.of(got).name
    except KeyError:
        name = str(got)
    return InputError(
        f"Cannot set tensor: Got value of type {name} but expected type {tensor.type.name} for input {index}, "
        f"name: {tensor.name}",
        hint=f"Convert it with .astype(np.{numpy_class(tensor.type).__name__}).",
    )


def _as_strings(value: Any, tensor: Tensor, index: int) -> np.ndarray:
    array = np.asarray(value, dtype=object) if isinstance(value, str | bytes | list | tuple) else np.asarray(value)
    if array.dtype.kind not in "OSU":
        raise _wrong_type(array.dtype, tensor, index)
    result = np.empty(array.shape, object)
    flat = result.reshape(-1)
    for position, item in enumerate(array.reshape(-1).tolist()):
        if isinstance(item, str):
            item = item.encode()
        elif not isinstance(item, bytes):
            raise InputError(
                f"Cannot set tensor: expected bytes or str, got {type(item).__name__} for input {index}, "
                f"name: {tensor.name}"
            )
        flat[position] = item
    return result


def owned(array: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """`array` if it is the caller's to keep and write, else a copy: never a view, a constant or one of `others`."""
    array = np.asarray(array)
    is_ours = array.base is None and array.flags.writeable and not any(array is other for other in others)
    return array if is_ours else array.copy()
