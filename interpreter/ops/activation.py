"""Activation functions as operators of their own."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, inf, pi, sqrt
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import INT8, INT16, op
from .shared.affine import affine, lacks_affine, requantized
from .shared.fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
    saturate,
)
from .shared.fused import clamp
from .shared.pointwise import BYTE, REAL, Binary, RealUnary, Unary


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamp(Unary):
    """Each element held between two bounds, `low` and `high`."""

    symmetric_int16 = True
    low = 0.0
    high = inf

    def run(self, xp: Any, input: Array) -> Array:
        return clamp(xp, input, self.low, None if self.high == inf else self.high)

    def stored(self, xp: Any, x: Array) -> Array:
        (scale, zero_point), output = affine(self.operand), affine(self.outs[0])
        result = requantized(xp, x - zero_point, scale / output.scale, self.outs[0])
        info = np.iinfo(result.dtype)
        steps = (round_half_away(np, np.float32(bound) / output.scale) for bound in (self.low, self.high))
        low, high = (min(max(step + output.zero_point, info.min), info.max) for step in steps)
        return xp.clip(result, int(low), int(high))


@op("RELU", REAL, quantized=(BYTE | INT16,), versions=3)
class Relu(Clamp):
    """max(x, 0)."""


@op("RELU6", REAL, quantized=(BYTE | INT16,), versions=3)
class Relu6(Clamp):
    """min(max(x, 0), 6)."""

    high = 6.0


@op("RELU_N1_TO_1", REAL, quantized=(BYTE,))
class ReluN1To1(Clamp):
    """min(max(x, -1), 1)."""

    low, high = -1.0, 1.0


@op("RELU_0_TO_1", REAL, quantized=(BYTE,))
class Relu0To1(Clamp):
    """min(max(x, 0), 1)."""

    high = 1.0


@op("LEAKY_RELU", REAL, quantized=(BYTE | INT16,), versions=2)
class LeakyRelu(Unary):
    """x where x > 0, alpha * x elsewhere."""

    symmetric_int16 = True
    alpha: float = 0.0

    def run(self, xp: Any, input: Array) -> Array:
        alpha = input.dtype.type(self.alpha)
        return xp.maximum(input, input * alpha) if 0 < alpha <= 1 else _rectified(xp, input, alpha)

    def stored(self, xp: Any, x: Array) -> Array:
        (scale, zero_point), out_scale = affine(self.operand), affine(self.outs[0]).scale
        x = x - zero_point
        positive = requantized(xp, x, scale / out_scale, self.outs[0])
        return xp.where(x >= 0, positive, self._scaled(xp, x, float(scale * np.float32(self.alpha) / out_scale)))

    def _scaled(self, xp: Any, x: Array, factor: float) -> Array:
        """Stored x * factor; halves are rounded up before the sign of the factor counts, as in the reference."""
        steps = multiply_by_quantized_multiplier(xp, x, *quantize_multiplier(abs(factor)))
        output = self.outs[0]
        return saturate(xp, (-steps if factor < 0 else steps) + affine(output).zero_point, output.dtype)


def _rectified(xp: Any, x: Array, alpha: Any) -> Array:
    """x where x > 0, alpha * x elsewhere; a sum, one part of which is 0, since that is faster than a choice."""
    result = xp.minimum(x, 0) * alpha
    result += xp.maximum(x, 0)
    return result


@op("PRELU", REAL, quantized=(BYTE | INT16, BYTE))
class Prelu(Binary):
    """x where x >= 0, alpha * x elsewhere, with an alpha that broadcasts to x; for int16 it is an int8."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        result = super().infer(*inputs)
        if result.shape != inputs[0].shape:
            raise KernelError(f"PRELU has an alpha of shape {inputs[1]!r} for {inputs[0]!r}, which it would stretch.")
        return result

    def refuses(self, *inputs: TensorSpec) -> str | None:
        kinds = tuple(spec.type for spec in inputs)
        return lacks_affine(self) if kinds == (TensorType.INT16, TensorType.INT8) else super().refuses(*inputs)

    def run(self, xp: Any, input: Array, alpha: Array) -> Array:
        return _rectified(xp, input, alpha)

    def stored(self, xp: Any, input: Array, alpha: Array) -> Array:
        first, second, out = affine(self.ins[0]), affine(self.ins[1]), self.outs[0]
        x = input.astype(np.int32) - first.zero_point
        positive = requantized(xp, x, first.scale / affine(out).scale, out)
        product = x * (alpha.astype(np.int32) - second.zero_point)
        negative = requantized(xp, product, first.scale * second.scale / affine(out).scale, out)
        return xp.where(x >= 0, positive, negative)


@op("ELU", REAL, quantized=(INT8,))
class Elu(RealUnary):
    """x where x >= 0, exp(x) - 1 elsewhere."""

    def run(self, xp: Any, input: Array) -> Array:
        return xp.maximum(input, 0) + xp.expm1(xp.minimum(input, 0))

    def real(self, x: np.ndarray) -> Array:
        return np.where(x < 0, np.expm1(x), x)


@op("GELU", REAL, quantized=(BYTE | INT16,), versions=3)
class Gelu(RealUnary):
    """x times the probability that a normal variable is less than x (Hendrycks and Gimpel, 2016)."""

    approximate: bool = False

    def run(self, xp: Any, input: Array) -> Array:
        if input.dtype.itemsize < 4:
            return self.run(xp, input.astype(np.float32)).astype(input.dtype)
        if self.approximate:
            curve = xp.tanh(sqrt(2 / pi) * (input + 0.044715 * (input * input * input)))
        else:
            curve = erf(xp, input * sqrt(0.5))
        curve += 1
        curve *= input
        curve *= 0.5
        return curve

    def real(self, x: np.ndarray) -> Array:
        single = x.astype(np.float32)
        if self.approximate:
            inner = single * (1 + np.float32(0.044715) * single * single)
            return np.float32(0.5) * single * (1 + np.tanh(np.float32(sqrt(2 / pi)) * inner))
        lower = np.array([erfc(value) for value in (single * np.float32(-sqrt(0.5))).tolist()], np.float32)
        return np.float32(0.5) * single * lower


_ERF = (1.418945e-07, -5.669042e-06, 8.763996e-05, -6.197898e-04, -1.918266e-04, 1.0276905e-01, 1.1283792e00)


def erf(xp: Any, x: Array) -> Array:
    """The error function to 3e-7: tanh of x times a polynomial in x**2, fitted to [0, 5.5] by least squares."""
    square = x * x
    curve = square * _ERF[0]
    for coefficient in _ERF[1:-1]:
        curve += coefficient
        curve *= square
    curve += _ERF[-1]
    curve *= x
    return xp.tanh(curve)


@op("HARD_SWISH", REAL, quantized=(BYTE,))
class HardSwish(Unary):
    """x * min(max(x + 3, 0), 6) / 6."""

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized:
            return refused
        scale, out_scale = affine(self.operand).scale, affine(self.outs[0]).scale
        return None if scale < 128 * out_scale else f"operator HARD_SWISH can't bring scale {scale} to {out_scale}."

    def run(self, xp: Any, input: Array) -> Array:
        gate = clamp(xp, input + 3, 0, 6)
        gate *= input
        gate /= 6
        return gate

    def stored(self, xp: Any, x: Array) -> Array:
        (scale, zero_point), output = affine(self.operand), affine(self.outs[0])
        fine = scale * np.float32(1 / 128)
        mantissa, shift = quantize_multiplier(float(fine / output.scale))
        gate_mantissa, gate_shift = quantize_multiplier(float(fine / np.float32(3 / 32768)))
        fine_x = (x - zero_point) << 7
        gate = _int16(fine_x << max(gate_shift - 1, 0))
        gate = _high_product(gate, _halved(gate_mantissa))
        gate = _int16(gate << 1) if gate_shift > 0 else rounding_divide_by_pot(np, gate, max(-gate_shift, 0))
        gate = (gate + (1 << 15)) >> 1
        product = gate * _high_product(fine_x, _halved(mantissa))
        truncated = xp.sign(product) * (xp.abs(product) >> 15)
        return saturate(xp, rounding_divide_by_pot(np, truncated, -shift) + output.zero_point, self.outs[0].dtype)


def _int16(x: np.ndarray) -> Array:
    return np.clip(x, -(2**15), 2**15 - 1)


def _halved(mantissa: int) -> int:
    """A 15-bit mantissa for a 31-bit one (reference: DownScaleInt32ToInt16Multiplier)."""
    return min((mantissa + (1 << 15)) >> 16, 2**15 - 1)


def _high_product(a: np.ndarray, b: int) -> Array:
    """a * b / 2**15 for int16 numbers, rounded, halves up (reference: SaturatingRoundingDoublingHighMul, int16)."""
    return _int16((a * b + (1 << 14)) >> 15)
