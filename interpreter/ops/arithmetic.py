"""Arithmetic on two operands that broadcast, and sums of many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import COMPLEX, FLOAT, INT8, INT16, INT32, INTEGER, NUMBER, UINT32, Activation, op
from .shared.affine import affine, log2_of
from .shared.broadcast import broadcast_shapes
from .shared.fixedpoint import (
    activation_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .shared.fused import activate
from .shared.gemmlowp import bit_length, divide_by_power, reciprocal
from .shared.host import host, known, shape_of
from .shared.pointwise import BYTE, REAL, Binary, Body, Elementwise, binary

QUANTIZED = BYTE | INT16


def _maximum(xp: Any, a: Array, b: Array) -> Array:
    return xp.maximum(a, b) if a.dtype.kind in "iu" else xp.where(a > b, a, b)


def _minimum(xp: Any, a: Array, b: Array) -> Array:
    return xp.minimum(a, b) if a.dtype.kind in "iu" else xp.where(a < b, a, b)


binary("MAXIMUM", NUMBER, _maximum, "The greater of both elements; beside NaN the second one.", versions=4)
binary("MINIMUM", NUMBER, _minimum, "The lesser of both elements; beside NaN the second one.", versions=4)


@dataclass(frozen=True, eq=False, kw_only=True)
class QuantizedBinary(Binary):
    """A binary op with one meaning on numbers and another on quantised integers."""

    def exact(self, xp: Any, a: Array, b: Array) -> Array:
        """The result on numbers, before the activation."""
        raise NotImplementedError(type(self).__name__)

    def rescaled(self, xp: Any, a: Array, b: Array) -> Array:
        """The result on quantised operands less their zero points, int32, on the scale of the result."""
        raise NotImplementedError(type(self).__name__)

    @property
    def activation(self) -> Activation:
        """What is applied to the result."""
        return Activation.NONE

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        return activate(xp, self.exact(xp, input1, input2), self.activation)

    def stored(self, xp: Any, input1: Array, input2: Array) -> Array:
        a, b = (x.astype(np.int32) - affine(s).zero_point for x, s in zip((input1, input2), self.ins, strict=True))
        result = self.rescaled(xp, a, b) + affine(self.outs[0]).zero_point
        return xp.clip(result, *activation_range(self.activation, self.outs[0])).astype(self.outs[0].dtype)

    @property
    def scales(self) -> tuple[np.float32, np.float32, np.float32]:
        """Scales of both operands and of the result."""
        first, second, result = (affine(spec).scale for spec in (*self.ins, self.outs[0]))
        return first, second, result

    def aligned(self, xp: Any, a: Array, b: Array, headroom: int) -> tuple[Array, Array, float]:
        """Both operands times 2**headroom on twice the greater scale, and that scale."""
        first, second, _ = self.scales
        common = 2.0 * float(max(first, second))
        a, b = (
            multiply_by_quantized_multiplier(xp, x * (1 << headroom), *quantize_multiplier(float(scale) / common))
            for x, scale in ((a, first), (b, second))
        )
        return a, b, common


@dataclass(frozen=True, eq=False, kw_only=True)
class Arithmetic(QuantizedBinary):
    """A binary op with a fused activation."""

    fused_activation_function: Activation = Activation.NONE

    @property
    def activation(self) -> Activation:
        return self.fused_activation_function


@dataclass(frozen=True, eq=False, kw_only=True)
class Additive(Arithmetic):
    """ADD and SUB, which differ in a sign."""

    pot_scale_int16: bool = True

    def rescaled(self, xp: Any, a: Array, b: Array) -> Array:
        int16 = self.outs[0].type is TensorType.INT16
        powers = [power for scale in self.scales if (power := log2_of(float(scale))) is not None]
        if int16 and self.pot_scale_int16 and len(powers) == len(self.scales):
            return self.exact(xp, *self._shifted(xp, a, b, *powers))
        headroom = 15 if int16 else 20
        a, b, common = self.aligned(xp, a, b, headroom)
        factor = common / (2.0**headroom * float(self.scales[2]))
        return multiply_by_quantized_multiplier(xp, self.exact(xp, a, b), *quantize_multiplier(factor))

    def _shifted(self, xp: Any, a: Array, b: Array, first: int, second: int, result: int) -> tuple[Array, Array]:
        """Both operands on the scale 2**result, where at least one has that scale (reference: Add16, Sub16)."""
        if max(first, second) != result:
            raise KernelError(
                f"{self.name} of int16 with powers of two as scales needs one operand on the scale of the result, the "
                f"other on that or a lesser one; got 2**{first} and 2**{second} for 2**{result}."
            )
        return rounding_divide_by_pot(xp, a, result - first), rounding_divide_by_pot(xp, b, result - second)


@op("ADD", NUMBER, quantized=(QUANTIZED,), versions=6)
class Add(Additive):
    """The sum of both elements."""

    symmetric_int16 = True

    def exact(self, xp: Any, a: Array, b: Array) -> Array:
        return a + b


@op("SUB", NUMBER, quantized=(QUANTIZED,), versions=5)
class Sub(Additive):
    """The difference of both elements."""

    def exact(self, xp: Any, a: Array, b: Array) -> Array:
        return a - b


@op("MUL", NUMBER | COMPLEX, quantized=(QUANTIZED,), versions=8)
class Mul(Arithmetic):
    """The product of both elements; of quantised int16 it may be int8 or uint8, of 32 bits with or without a sign."""

    symmetric_int16 = True

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if inputs[0].type in COMPLEX and self.fused_activation_function is not Activation.NONE:
            return "operator MUL is not supported with an activation on complex numbers."
        return super().refuses(*inputs)

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        kind = self.outs[0].type if self._narrows or self._of_words else inputs[0].type
        return TensorSpec(kind, broadcast_shapes(*inputs))

    def exact(self, xp: Any, a: Array, b: Array) -> Array:
        product = a * b
        return product.view(self.outs[0].dtype) if self._of_words else product

    def rescaled(self, xp: Any, a: Array, b: Array) -> Array:
        if self._narrows:  # as if the scales were 2**-15 and 2**-7 (reference: Mul of int16 to uint8)
            return rounding_divide_by_pot(xp, xp.minimum((a * b + (1 << 14)) >> 15, 2**15 - 1), 8)
        first, second, result = self.scales
        return multiply_by_quantized_multiplier(xp, a * b, *quantize_multiplier(float(first * second / result)))

    @property
    def _of_words(self) -> bool:
        """Whether the result has 32 bits as the operands do, and a sign if it is declared so."""
        return {self.outs[0].type, *(spec.type for spec in self.ins if spec)} <= INT32 | UINT32

    @property
    def _narrows(self) -> bool:
        kind = self.ins[0].type if self.ins[0] else None
        return self.is_quantized and kind is TensorType.INT16 and self.outs[0].type in BYTE


@op("DIV", NUMBER, quantized=(QUANTIZED,), versions=2)
class Div(Arithmetic):
    """The quotient of both elements; that of integers is truncated."""

    def exact(self, xp: Any, a: Array, b: Array) -> Array:
        if a.dtype.kind not in "iu":
            return a / b
        require_divisors(xp, self.ins[1], b, 0)
        return truncated_quotient(a, b)

    def run_quantized(self, xp: Any, input1: Array, input2: Array) -> Array:
        require_divisors(xp, self.ins[1], input2, affine(self.ins[1]).zero_point)
        return super().run_quantized(xp, input1, input2)

    def rescaled(self, xp: Any, a: Array, b: Array) -> Array:
        first, second, result = self.scales
        mantissa, shift = quantize_multiplier(float(first / (second * result)))
        a, b = xp.where(b < 0, -a, a), xp.abs(b)
        inverse, places = reciprocal(xp, b, 31)
        headroom = 31 - bit_length(xp, xp.where(a < 0, ~a, a))
        quotient = saturating_rounding_doubling_high_mul(xp, a << headroom, inverse)
        quotient = saturating_rounding_doubling_high_mul(xp, quotient, mantissa)
        return divide_by_power(xp, quotient, places + headroom - shift)


@op("SQUARED_DIFFERENCE", NUMBER, quantized=(INT8,), versions=2)
class SquaredDifference(QuantizedBinary):
    """The square of the difference of both elements."""

    as_stored = False

    def exact(self, xp: Any, a: Array, b: Array) -> Array:
        difference = a - b
        return difference * difference

    def rescaled(self, xp: Any, a: Array, b: Array) -> Array:
        a, b, common = self.aligned(xp, a, b, _SQUARE_HEADROOM)
        factor = common * common / (4.0**_SQUARE_HEADROOM * float(self.scales[2]))
        return multiply_by_quantized_multiplier(xp, self.exact(xp, a, b), *quantize_multiplier(factor))


_SQUARE_HEADROOM = 7


@op("POW", REAL | INT32)
class Pow(Binary):
    """The first element to the power of the second, which must not be negative for integers."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        if input1.dtype.kind == "i":
            _refuse_any(xp, self.ins[1], input2, lambda b: b < 0, "POW does not support negative value for int32.")
        quick = _QUICK_POWERS.get(self._constant_exponent)
        return quick(xp, input1) if quick else xp.power(input1, input2)

    @cached_property
    def _constant_exponent(self) -> float | None:
        """The exponent if it is one constant scalar."""
        spec = self.ins[1]
        value = None if spec is None else spec.value
        return None if value is None or np.ndim(value) else float(value)


_QUICK_POWERS: dict[float | None, Body] = {
    2.0: lambda xp, x: x * x,
    3.0: lambda xp, x: x * x * x,
    0.5: lambda xp, x: xp.sqrt(x),
}


@op("FLOOR_DIV", FLOAT | INTEGER, versions=3)
class FloorDiv(Binary):
    """The greatest integer that is no greater than the quotient of both elements."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        require_divisors(xp, self.ins[1], input2, 0)
        if input1.dtype.kind in "iu":
            return input1 // input2
        quotient = input1.astype(np.float64) / input2  # in float32 it might round up to the next integer
        return xp.floor(quotient).astype(input1.dtype)


@op("FLOOR_MOD", FLOAT | INTEGER, versions=2)
class FloorMod(Binary):
    """The remainder of the division of both elements, with the sign of the second."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        if input1.dtype.kind in "iu":
            require_divisors(xp, self.ins[1], input2, 0)
            return xp.remainder(input1, input2)
        remainder = xp.fmod(input1, input2)
        return xp.where((remainder != 0) & ((input2 < 0) != (remainder < 0)), remainder + input2, remainder)


@op("ADD_N", NUMBER)
class AddN(Elementwise):
    """The sum of any number of operands of one shape."""

    as_stored = False

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        shapes = sorted({shape_of(spec) for spec in inputs})
        if len(shapes) > 1:
            raise KernelError(f"ADD_N takes operands of one shape, got {list(shapes[0])} and {list(shapes[1])}.")
        return TensorSpec(inputs[0].type, shapes[0])

    def run(self, xp: Any, input: Array, *inputs: Array) -> Array:
        return reduce(xp.add, inputs, input)


def truncated_quotient(a: Array, b: Array) -> Array:
    """a / b of integers without the fraction; no element of `b` is 0."""
    quotient = a // b
    return quotient + ((quotient < 0) & (quotient * b != a))


def require_divisors(xp: Any, spec: TensorSpec | None, divisor: Array, zero: int) -> None:
    """Raise KernelError if some divisor is zero, which is stored as `zero`."""
    _refuse_any(xp, spec, divisor, lambda b: b == zero, "Division by 0.")


def _refuse_any(xp: Any, spec: TensorSpec | None, x: Array, wrong: Callable[[Array], Array], message: str) -> None:
    """Raise KernelError(`message`) if some element is wrong; constants are looked at on the host."""
    constant = spec is not None and spec.value is not None
    module, values = (np, known(spec, x)) if constant else (xp, x)
    if host(module.any(wrong(values))):
        raise KernelError(message)
