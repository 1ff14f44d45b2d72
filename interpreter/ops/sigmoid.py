"""LOGISTIC and TANH, which share one table where they work on int16."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Array, TensorSpec
from .base import INT16, op
from .shared.affine import affine, log2_of
from .shared.lookup import Resident
from .shared.pointwise import BYTE, REAL, RealUnary

_LAST = 255  # index of the last entry
_HIGH = [
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46, 49),
    *(50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
]
"""Entries of the reference's table that are one more than the exact ones."""


def _table() -> np.ndarray:
    """int32 [256]: the logistic function of n / 24, times 2**16 (reference: sigmoid_table_uint16)."""
    table = np.rint(2.0**16 / (1 + np.exp(-np.arange(_LAST + 1) / 24))).astype(np.int32)
    table[_HIGH] += 1
    return table


_TABLE = Resident(_table())


@op("LOGISTIC", REAL, quantized=(BYTE | INT16,), versions=3)
class Logistic(RealUnary):
    """1 / (1 + exp(-x))."""

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized:
            return refused
        scale, wanted = affine(self.outs[0]).scale, 2.0 ** (-8 if self.operand.dtype.itemsize == 1 else -15)
        return None if scale == wanted else f"operator LOGISTIC needs a result of scale {wanted}, got {scale}."

    def run(self, xp: Any, input: Array) -> Array:
        return 1 / (1 + xp.exp(-input))

    def real(self, x: np.ndarray) -> Array:
        return 1 / (1 + np.exp(-x))

    def stored(self, xp: Any, x: Array) -> Array:
        if self.operand.dtype.itemsize == 1:
            return super().stored(xp, x)
        steps = _table_steps(xp, x, affine(self.operand).scale, exact=(0,))
        curve = _interpolated(xp, abs(steps), 9, saturated=0x7FFF << 10)
        return (xp.where(steps >= 0, curve + (1 << 9), (1 << 25) - curve + (1 << 9) - 1) >> 10).astype(np.int16)


@op("TANH", REAL, quantized=(BYTE | INT16,), versions=3)
class Tanh(RealUnary):
    """The hyperbolic tangent."""

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized or self.operand.dtype.itemsize == 1:
            return refused
        scale = affine(self.outs[0]).scale
        return None if log2_of(float(scale)) == -15 else f"operator TANH needs a result of scale 2**-15, got {scale}."

    def run(self, xp: Any, input: Array) -> Array:
        return xp.tanh(input)

    def real(self, x: np.ndarray) -> Array:
        return np.tanh(x)

    def stored(self, xp: Any, x: Array) -> Array:
        if self.operand.dtype.itemsize == 1:
            return super().stored(xp, x)
        steps = _table_steps(xp, x, affine(self.operand).scale, exact=(0, 1))
        curve = _interpolated(xp, abs(steps), 8, saturated=0xFFFF << 8) - (1 << 23)
        return (xp.where(steps >= 0, curve + (1 << 7), (1 << 7) - 1 - curve) >> 8).astype(np.int16)


def _table_steps(xp: Any, x: Array, scale: np.float32, exact: tuple[int, ...]) -> Array:
    """int32: x in steps of 1 / (3 * 2**12), by a shift if the scale is 2**(n - 12) with n in `exact`."""
    power = log2_of(float(scale))
    if power is not None and power + 12 in exact:
        return x * (3 << (power + 12))
    factor, places = float(scale) * 4096 * 3, 0
    while factor <= 32767 / 2 and places <= 30:
        factor, places = factor * 2, places + 1
    return (x * int(factor) + ((1 << places) >> 1)) >> places


def _interpolated(xp: Any, steps: Array, places: int, saturated: int) -> Array:
    """int32: the logistic function times 2**(16 + places); `places` bits of `steps` lie between two entries."""
    table = _TABLE.on(xp)
    index = steps >> places
    inside = xp.minimum(index, _LAST - 1)
    start = xp.take(table, inside)
    curve = (start << places) + (steps & ((1 << places) - 1)) * (xp.take(table, inside + 1) - start)
    return xp.where(index >= _LAST, np.int32(saturated), curve)
