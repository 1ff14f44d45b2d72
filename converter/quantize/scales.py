"""From ranges and values to scales, and from real numbers to what is stored (reference: quantization_utils.cc)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...interpreter.graph import Quantization, TensorType
from ...interpreter.ops.shared.affine import stored_range

_NARROWEST = 1e-6  # narrower ranges are widened to this, so that no scale is zero

NARROWEST_COMPUTED = 1e-5
"""The same for tensors that nodes compute: SOFTMAX kernels end the process for input scales below 2**-26."""


def quantization(scales: object, zero_points: object = 0, axis: int = 0) -> Quantization:
    """Scales and zero points, one or many, as the graph holds them."""
    scale = np.atleast_1d(np.asarray(scales, np.float64)).astype(np.float32)
    offset = np.broadcast_to(np.asarray(zero_points, np.int64), scale.shape)
    return Quantization(scale, offset.copy(), axis)


def asymmetric(low: float, high: float, narrowest: float = _NARROWEST) -> Quantization:
    """The int8 quantisation of [low, high], widened to hold zero, which is represented exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < narrowest:
        low, high = min(low, -narrowest / 2), max(high, narrowest / 2)
    least, greatest = stored_range(TensorType.INT8)
    scale = (high - low) / (greatest - least)
    from_low, from_high = least - low / scale, greatest - high / scale
    nearer_low = abs(least) + abs(low / scale) < abs(greatest) + abs(high / scale)
    offset = from_low if nearer_low else from_high
    return quantization(scale, int(np.clip(_rounded(np.float64(offset)), least, greatest)))


def symmetric(values: np.ndarray, axis: int | None = None, greatest: int = 127) -> Quantization:
    """The quantisation of weights with zero point 0 on [-greatest, greatest]: one scale, or one a slice of `axis`."""
    size = np.abs(values.astype(np.float64))
    if axis is None:
        return quantization(max(size.max(initial=0.0), _NARROWEST / 2) / greatest)
    others = tuple(i for i in range(values.ndim) if i != axis)
    return quantization(np.maximum(size.max(axis=others, initial=0.0), _NARROWEST / 2) / greatest, axis=axis)


def stored(values: np.ndarray, parameters: Quantization, kind: TensorType = TensorType.INT8) -> np.ndarray:
    """Real numbers as integers of `kind`: rounded to the nearest, halves away from zero, saturated."""
    shape = [1] * values.ndim
    if parameters.per_channel:
        shape[parameters.axis] = -1
    one = () if not parameters.per_channel else tuple(shape)
    scales, offsets = parameters.scales.astype(np.float64).reshape(one), parameters.zero_points.reshape(one)
    rounded = _rounded(values.astype(np.float64) / scales) + offsets
    low, high = stored_range(kind)
    result: np.ndarray = np.clip(rounded, low, high).astype(kind.dtype)
    return result


def _rounded(x: Any) -> Any:
    """To the nearest integers, halves away from zero."""
    return np.trunc(x + np.copysign(0.5, x))


def same(one: Quantization, other: Quantization) -> bool:
    """Whether both mean the same."""
    if one is other:
        return True
    alike = np.array_equal(one.scales, other.scales) and np.array_equal(one.zero_points, other.zero_points)
    return alike and (one.axis == other.axis or not one.per_channel)
