"""Division and powers of StableHLO: integers never fail, they wrap around."""

from __future__ import annotations

from typing import Any

from ...graph import Array
from ..arithmetic import truncated_quotient
from ..base import COMPLEX, NUMBER, op
from .aligned import Aligned


@op("STABLEHLO_DIVIDE", NUMBER | COMPLEX)
class StablehloDivide(Aligned):
    """The quotient of both elements; that of integers is truncated, over 0 it has all bits set."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        return _quotient(xp, input1, input2) if input1.dtype.kind in "iu" else input1 / input2


@op("STABLEHLO_REMAINDER", NUMBER)
class StablehloRemainder(Aligned):
    """What the truncated quotient leaves of the first element, with its sign; of integers over 0, all of it."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        if input1.dtype.kind in "iu":
            return input1 - input2 * _quotient(xp, input1, input2)
        return xp.fmod(input1, input2)


def _quotient(xp: Any, a: Array, b: Array) -> Array:
    """The truncated quotient of integers; over 0 all bits are set, and the least over -1 stays what it is."""
    zero = b == 0
    quotient = truncated_quotient(a, b + zero)
    if a.dtype.kind == "i":
        quotient = xp.where(b == -1, -a, quotient)
    return xp.where(zero, ~a.dtype.type(0), quotient)


@op("STABLEHLO_POWER", NUMBER | COMPLEX)
class StablehloPower(Aligned):
    """The first element to the power of the second; integers wrap around, their fractions are 0."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        if input1.dtype.kind != "i":
            return xp.power(input1, input2)
        negative = input2 < 0
        power = xp.power(input1, xp.where(negative, input2 & 1, input2))  # of 1 and -1 only the parity counts
        return power * ~(negative & (input1 != 1) & (input1 != -1))
