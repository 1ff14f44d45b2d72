"""Integer arithmetic of quantised operators, exactly as the reference kernels do it (double rounding).

A real factor is held as a 31-bit mantissa and a power of two: real = mantissa * 2**(shift - 31). Scalars give Python
integers, arrays (one factor per channel) give int32 NumPy arrays that broadcast against the last dimension.
"""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np

from ...graph import Array, TensorSpec
from ..base import Activation

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))
"""With it added, away from zero, float32 numbers that are cut off are rounded to the nearest, halves away from zero."""


@overload
def quantize_multiplier(real: float) -> tuple[int, int]: ...
@overload
def quantize_multiplier(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...
def quantize_multiplier(real: Any) -> Any:
    """(mantissa, shift) of finite real factors, a float or a float64 array (reference: QuantizeMultiplier).

    Factors under 2**-32 become 0.
    """
    fraction, exponent = np.frexp(np.asarray(real, np.float64))
    mantissa = round_half_away(np, fraction * 2.0**31).astype(np.int64)
    carry = mantissa == 2**31
    mantissa = np.where(carry, 2**30, mantissa)
    shift = exponent + carry
    vanishes = shift < -31
    mantissa = np.where(vanishes, 0, mantissa).astype(np.int32)
    shift = np.where(vanishes, 0, shift).astype(np.int32)
    return (mantissa, shift) if np.ndim(real) else (int(mantissa), int(shift))


def multiply_by_quantized_multiplier(xp: Any, x: Array, mantissa: Any, shift: Any) -> Array:
    """int32 array: x * mantissa * 2**(shift - 31), rounded twice (reference: MultiplyByQuantizedMultiplier, int32).

    The left shift wraps around as int32 does.
    """
    left, right = _split_shift(shift)
    if np.any(left):
        x = (x.astype(np.int64) << _on(xp, left)).astype(np.int32)
    high = saturating_rounding_doubling_high_mul(xp, x, mantissa)
    return rounding_divide_by_pot(xp, high, right) if np.any(right) else high


def multiply_wide_by_quantized_multiplier(xp: Any, x: Array, mantissa: Any, shift: Any) -> Array:
    """int32 array: the same for int64 accumulators, |x| < 2**47, with a 15-bit mantissa and one rounding (16x8)."""
    reduced = fifteen_bits(mantissa)
    total = 15 - np.asarray(shift, np.int64)
    rounding = np.left_shift(np.int64(1), total - 1)
    return ((x.astype(np.int64) * _on(xp, reduced) + _on(xp, rounding)) >> _on(xp, total)).astype(np.int32)


def fifteen_bits(mantissa: Any) -> np.ndarray:
    """A 31-bit mantissa as one of 15 bits, int64."""
    return np.where(np.asarray(mantissa) < 0x7FFF0000, (np.asarray(mantissa, np.int64) + (1 << 15)) >> 16, 0x7FFF)


def saturating_rounding_doubling_high_mul(xp: Any, a: Array, b: Any) -> Array:
    """int32 array: a * b / 2**31, rounded to nearest, halves up (reference: gemmlowp)."""
    product = a.astype(np.int64) * _on(xp, b)
    return xp.minimum((product + 2**30) >> 31, INT32_MAX).astype(np.int32)


def rounding_divide_by_pot(xp: Any, x: Array, exponent: Any) -> Array:
    """x / 2**exponent, rounded to nearest, halves away from zero, 0 <= exponent <= 31 (reference: gemmlowp)."""
    mask = np.left_shift(np.int64(1), np.asarray(exponent, np.int64)) - 1
    threshold = _on(xp, mask >> 1) + (x < 0)
    remainder = x & _on(xp, mask)
    return ((x >> _on(xp, np.asarray(exponent, np.int32))) + (remainder > threshold)).astype(x.dtype)


def round_half_away(xp: Any, x: Array) -> Array:
    """Rounds to nearest, halves away from zero, as the C function `round` does; the dtype stays.

    Adding 0.5 and truncating is wrong for the largest number below 0.5.
    """
    whole = xp.trunc(x)
    return whole + xp.where(xp.abs(x - whole) >= 0.5, xp.sign(x), xp.zeros((), x.dtype))


def saturate(xp: Any, x: Array, dtype: Any) -> Array:
    """Clips integers to the range of an integer `dtype` and converts them."""
    info = np.iinfo(dtype)
    return xp.clip(x, info.min, info.max).astype(dtype)


def activation_range(activation: Activation, output: TensorSpec) -> tuple[int, int]:
    """Least and greatest stored value that a fused activation lets through.

    `output` is the spec of a per-tensor quantised output (reference: CalculateActivationRangeQuantized).
    """
    info = np.iinfo(output.dtype)
    least, greatest = activation.bounds
    low = int(info.min) if least is None else max(int(info.min), _quantize_bound(least, output))
    high = int(info.max) if greatest is None else min(int(info.max), _quantize_bound(greatest, output))
    return low, high


def _quantize_bound(real: float, spec: TensorSpec) -> int:
    assert spec.quantization is not None
    steps = float(np.float32(real) / np.float32(spec.quantization.scales[0]))
    rounded = math.floor(abs(steps) + 0.5)  # halves away from zero
    return int(spec.quantization.zero_points[0]) + (rounded if steps > 0 else -rounded)


def _split_shift(shift: Any) -> tuple[Any, Any]:
    return np.maximum(shift, 0), np.maximum(np.negative(shift), 0)


def _on(xp: Any, value: Any) -> Any:
    """A host constant as an operand for `xp`: a Python integer for scalars, an int64 array of `xp` for arrays."""
    return xp.asarray(value, dtype=np.int64) if np.ndim(value) else int(value)
