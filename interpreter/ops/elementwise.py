"""Operators on single elements: functions of one operand, logic, selection, casts, complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array
from .base import BOOL, INDEX, INT8, INT16, INTEGER, NUMBER, op
from .shared.affine import affine, requantized
from .shared.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate
from .shared.gemmlowp import inverse_sqrt
from .shared.host import host
from .shared.pointwise import REAL, PlainUnary, RealUnary, Unary, binary, unary

unary("SQUARE", NUMBER, lambda xp, x: x * x, "Each element times itself.", base=PlainUnary)
unary("SIN", REAL, lambda xp, x: xp.sin(x), "The sine of each element.", versions=2)
unary("COS", REAL, lambda xp, x: xp.cos(x), "The cosine of each element.", versions=2)
unary("NEG", NUMBER, lambda xp, x: -x, "Each element with the opposite sign.")
unary("CEIL", REAL, lambda xp, x: xp.ceil(x), "The least integer that is no less than each element.")
unary("FLOOR", REAL, lambda xp, x: xp.floor(x), "The greatest integer that is no greater than each element.")
unary("ROUND", REAL, lambda xp, x: xp.rint(x), "The integer nearest to each element; halves go to the even one.")
unary("SIGN", REAL | INDEX, lambda xp, x: xp.sign(x), "-1, 0 or 1 by the sign of each element.", versions=2)
unary("ZEROS_LIKE", NUMBER, lambda xp, x: xp.zeros_like(x), "Zeros in the shape and type of it.", base=PlainUnary)
unary("LOGICAL_NOT", BOOL, lambda xp, x: xp.logical_not(x), "The negation of each element.")

binary("LOGICAL_AND", BOOL, lambda xp, a, b: xp.logical_and(a, b), "Whether both elements are true.")
binary("LOGICAL_OR", BOOL, lambda xp, a, b: xp.logical_or(a, b), "Whether either element is true.")
binary("BITWISE_XOR", INTEGER, lambda xp, a, b: a ^ b, "The exclusive or of the bits of both elements.")
binary("ATAN2", REAL, lambda xp, y, x: xp.arctan2(y, x), "The angle of the point (second, first), in [-pi, pi].")


def _shift_right(xp: Any, x: Array, places: Array) -> Array:
    return x >> xp.clip(places, 0, 8 * x.dtype.itemsize - 1)


binary("RIGHT_SHIFT", INTEGER, _shift_right, "Arithmetic shift to the right, by 0 to all but one of the bits.")


@op("ABS", NUMBER, quantized=(INT8 | INT16,), versions=5)
class Abs(Unary):
    """The magnitude of each element."""

    symmetric_int16, as_stored = True, False

    def run(self, xp: Any, input: Array) -> Array:
        return xp.abs(input)

    def stored(self, xp: Any, x: Array) -> Array:
        (scale, zero_point), (out_scale, _) = affine(self.operand), affine(self.outs[0])
        return requantized(xp, xp.abs(x - zero_point), scale / out_scale, self.outs[0])


@op("EXP", REAL, quantized=(INT8 | INT16,), versions=2)
class Exp(RealUnary):
    """e to the power of each element."""

    def run(self, xp: Any, input: Array) -> Array:
        return xp.exp(input)

    def real(self, x: np.ndarray) -> Array:
        return np.exp(x)


@op("LOG", REAL, quantized=(INT8 | INT16,), versions=2)
class Log(RealUnary):
    """The natural logarithm of each element; quantised numbers that have none give the least stored value."""

    def run(self, xp: Any, input: Array) -> Array:
        return xp.log(input)

    def real(self, x: np.ndarray) -> Array:
        scale, zero_point = affine(self.outs[0])
        least = np.float32(np.iinfo(self.outs[0].dtype).min - zero_point) * scale
        return np.where(x > 0, np.log(x), least)


@op("RSQRT", REAL, quantized=(INT8 | INT16,), versions=3)
class Rsqrt(RealUnary):
    """1 over the square root of each element. Quantised numbers must not be negative; 0 gives the greatest value."""

    def run(self, xp: Any, input: Array) -> Array:
        return 1 / xp.sqrt(input)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        if host(xp.any(input < affine(self.operand).zero_point)):
            raise KernelError("Rsqrt is only defined for positive values.")
        return super().run_quantized(xp, input)

    def real(self, x: np.ndarray) -> Array:
        greatest = np.float32(np.iinfo(np.int16).max) * affine(self.outs[0]).scale
        return np.where(x > 0, 1 / np.sqrt(x.astype(np.float32)), greatest)  # rounded twice, as there

    def stored(self, xp: Any, x: Array) -> Array:
        if self.operand.dtype.itemsize > 1:
            return super().stored(xp, x)
        (scale, zero_point), (out_scale, out_zero_point) = affine(self.operand), affine(self.outs[0])
        mantissa, shift = quantize_multiplier(float(1 / (np.sqrt(scale) * out_scale)))
        root, root_shift = inverse_sqrt(xp, xp.maximum(x - zero_point, 0))
        root = multiply_by_quantized_multiplier(xp, xp.ones_like(x), root, root_shift + _ROOT_BITS)
        result = multiply_by_quantized_multiplier(xp, root, mantissa, shift - _ROOT_BITS) + out_zero_point
        return saturate(xp, xp.where(x == zero_point, np.iinfo(self.outs[0].dtype).max, result), self.outs[0].dtype)


@op("SQRT", REAL, quantized=(INT8 | INT16,), versions=2)
class Sqrt(Unary):
    """The square root of each element. Quantised numbers must not be negative; their roots are rounded down."""

    symmetric_int16 = True

    def run(self, xp: Any, input: Array) -> Array:
        return xp.sqrt(input)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        if host(xp.any(input < affine(self.operand).zero_point)):
            raise KernelError("Sqrt is only defined for non-negative values.")
        return super().run_quantized(xp, input)

    def stored(self, xp: Any, x: Array) -> Array:
        (scale, zero_point), out = affine(self.operand), affine(self.outs[0])
        root = xp.sqrt(scale * xp.maximum(x - zero_point, 0).astype(np.float32))
        steps = xp.minimum(xp.floor(root / out.scale), np.float32(2.0**30)).astype(np.int32)
        return saturate(xp, steps + out.zero_point, self.outs[0].dtype)


_ROOT_BITS = 20  # fraction bits that a quantised reciprocal square root keeps until it is rescaled
