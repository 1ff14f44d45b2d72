"""StableHLO operators on single elements that the array module knows by name."""

from __future__ import annotations

from typing import Any

from ...graph import Array, TensorSpec
from ..base import BOOL, COMPLEX, INTEGER, NUMBER, op
from ..convert import part_type
from ..shared.pointwise import REAL, binary, unary
from .aligned import Aligned, Stored

CONTINUOUS = REAL | COMPLEX
VALUE = NUMBER | COMPLEX | BOOL
BITS = INTEGER | BOOL

_LOGISTIC = "1 / (1 + exp(-x))."

unary("STABLEHLO_LOGISTIC", CONTINUOUS, lambda xp, x: 1 / (1 + xp.exp(-x)), _LOGISTIC, base=Aligned)
unary("STABLEHLO_COSINE", CONTINUOUS, lambda xp, x: xp.cos(x), "The cosine of each element.", base=Aligned)
unary("STABLEHLO_EXPONENTIAL", CONTINUOUS, lambda xp, x: xp.exp(x), "e to the power of each element.", base=Aligned)
unary("STABLEHLO_LOG", CONTINUOUS, lambda xp, x: xp.log(x), "The natural logarithm of each element.", base=Aligned)
unary("STABLEHLO_RSQRT", CONTINUOUS, lambda xp, x: 1 / xp.sqrt(x), "1 over the square root of each.", base=Aligned)
unary("STABLEHLO_TANH", CONTINUOUS, lambda xp, x: xp.tanh(x), "The hyperbolic tangent.", base=Aligned)
unary("STABLEHLO_FLOOR", REAL, lambda xp, x: xp.floor(x), "The greatest integer that is no greater.", base=Aligned)
unary("STABLEHLO_NEGATE", NUMBER | COMPLEX, lambda xp, x: -x, "Each element with the opposite sign.", base=Aligned)

binary("STABLEHLO_ADD", VALUE, lambda xp, a, b: a + b, "The sum of both elements; of booleans, their or.", base=Stored)
binary("STABLEHLO_SUBTRACT", NUMBER | COMPLEX, lambda xp, a, b: a - b, "The difference of both elements.", base=Aligned)
binary("STABLEHLO_MULTIPLY", VALUE, lambda xp, a, b: a * b, "The product of both; of booleans, their and.", base=Stored)
binary("STABLEHLO_AND", BITS, lambda xp, a, b: a & b, "The and of the bits of both elements.", base=Stored)
binary("STABLEHLO_OR", BITS, lambda xp, a, b: a | b, "The or of the bits of both elements.", base=Aligned)


@op("STABLEHLO_ABS", NUMBER | COMPLEX)
class StablehloAbs(Aligned):
    """The magnitude of each element."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (operand,) = inputs
        return TensorSpec(part_type(operand.type) if operand.type in COMPLEX else operand.type, operand.shape)

    def run(self, xp: Any, input: Array) -> Array:
        return xp.abs(input)


@op("STABLEHLO_CBRT", CONTINUOUS)
class StablehloCbrt(Aligned):
    """The cube root of each element; of complex numbers, the one with the greatest real part."""

    def run(self, xp: Any, input: Array) -> Array:
        return xp.power(input, input.dtype.type(1 / 3)) if input.dtype.kind == "c" else xp.cbrt(input)


@op("STABLEHLO_MAXIMUM", VALUE)
class StablehloMaximum(Stored):
    """The greater of both elements, the first where they do not compare; complex numbers by real part, then imaginary.

    So NaN as the first operand wins and as the second loses, as in the reference; the specification has it win always.
    """

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        return xp.where(input1 < input2, input2, input1)


@op("STABLEHLO_MINIMUM", VALUE)
class StablehloMinimum(Stored):
    """The lesser of both elements, the first where they do not compare; see STABLEHLO_MAXIMUM."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        return xp.where(input2 < input1, input2, input1)


@op("STABLEHLO_SHIFT_LEFT", INTEGER)
class StablehloShiftLeft(Stored):
    """The bits of each first element moved up by the second; 0 if that is negative or all of the bits."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        bits = 8 * input1.dtype.itemsize
        inside = (input2 >= 0) & (input2 < bits)
        return (input1 << (input2 & (bits - 1))) * inside
