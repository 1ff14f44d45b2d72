"""What follows a product while its block is in cache: bias and activation, or requantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.shared.fixedpoint import fifteen_bits
from .packing import pack

_RUN = 2048
"""Elements over which a vector is repeated, so that operations run over long rows however few the channels are."""


_STRETCH = 1 << 16
"""Elements of float64 that are worked on at a time: half of what a level-2 cache holds."""

_BELOW_HALF = np.nextafter(0.5, 0)
"""The largest number below a half: with it, truncation rounds all numbers to the nearest, halves away from zero."""

_HALF_UP = 2.0**-33
"""Less than the least distance of a first product from a half."""

_HALF_AWAY = 1 + 2.0**-40
"""Moves a second product that is a half away from zero, and none other past a half."""


class Finish(Protocol):
    """Turns accumulators of shape [rows, channels] into results."""

    dtype: np.dtype[Any]  # of the results

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        """An array in which to accumulate the block `out`, of its shape; perhaps `out` itself."""

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        """Write the results of a C-contiguous block."""


class Rows:
    """A vector [channels] that is applied to blocks [rows, channels], repeated over long rows."""

    def __init__(self, vector: np.ndarray) -> None:
        self.channels = vector.size
        self.repeats = max(1, _RUN // max(1, vector.size))
        self.tile = pack(vector.reshape(-1), ("rows", self.repeats), lambda row: np.tile(row, self.repeats))

    def apply(self, ufunc: np.ufunc, block: np.ndarray) -> None:
        """block = ufunc(block, vector), in place; the block is C-contiguous."""
        whole = len(block) // self.repeats * self.repeats
        runs = block[:whole].reshape(-1, self.tile.size)
        ufunc(runs, self.tile, out=runs)
        if whole < len(block):
            rest = block[whole:]
            ufunc(rest, self.tile[: self.channels], out=rest)


class FloatFinish:
    """Multiplies by a factor [channels], adds a bias [channels], both optional, and applies an activation, in place."""

    dtype = np.dtype(np.float32)

    def __init__(self, bias: np.ndarray | None, activation: Activation, factor: np.ndarray | None = None) -> None:
        self.factor = None if factor is None else Rows(factor)
        self.bias = None if bias is None else Rows(bias)
        self.activation = activation

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return out

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        if self.factor is not None:
            self.factor.apply(np.multiply, out)
        if self.bias is not None:
            self.bias.apply(np.add, out)
        if self.activation.bounds != (None, None):
            np.clip(out, *self.activation.bounds, out=out)
        elif self.activation is Activation.TANH:
            np.tanh(out, out=out)
        elif self.activation is Activation.SIGN_BIT:
            out[:] = np.signbit(out)


@dataclass(frozen=True)
class Ending:
    """How steps of the output's scale become stored integers."""

    zero_point: int
    limits: tuple[int, int]
    dtype: np.dtype[Any]

    def __call__(self, steps: np.ndarray, out: np.ndarray) -> None:
        """Write `steps`, which are whole numbers, offset and clipped to `out`; changes them."""
        steps += self.zero_point
        steps.clip(*self.limits, out=steps)
        np.copyto(out, steps, casting="unsafe")


class _Integers:
    """Accumulators that are integers, in the float type `held`, turned into stored integers a stretch at a time."""

    def __init__(self, end: Ending, held: Any) -> None:
        self.end, self.dtype, self.held = end, end.dtype, np.dtype(held)

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return np.empty(out.shape, self.held)

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        step = max(1, _STRETCH // max(1, out.shape[1]))
        scratch = np.empty((min(step, len(out)), out.shape[1]))
        for row in range(0, len(out), step):
            rows = out[row : row + step]
            values = scratch[: len(rows)]
            np.copyto(values, accumulator[row : row + step])
            self.convert(values, rows)

    def convert(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write the results; may change the float64 accumulators `values`."""
        raise NotImplementedError(type(self).__name__)


class Requantize(_Integers):
    """Integer accumulators times a factor, rounded, offset, clipped and converted.

    The reference rounds twice: (accumulator + bias) * mantissa * 2**(max(shift, 0) - 31) to the nearest integer, halves
    up, and that times 2**min(shift, 0) again, halves away from zero. Here rint does both, and what would be a half is
    nudged the right way. float64 holds the first product exactly while |accumulator + bias| < 2**21; above that a
    result is off by one where the product is within 2**-32 of a half.
    """

    def __init__(self, bias: np.ndarray, mantissa: np.ndarray, shift: np.ndarray, end: Ending, held: Any) -> None:
        super().__init__(end, held)
        factor = np.ldexp(mantissa.astype(np.float64), np.maximum(shift, 0) - 31)
        self.factor, self.offset = Rows(factor), Rows(factor * bias + _HALF_UP)
        self.power = Rows(np.ldexp(_HALF_AWAY, np.minimum(shift, 0)))

    def convert(self, values: np.ndarray, out: np.ndarray) -> None:
        self.factor.apply(np.multiply, values)
        self.offset.apply(np.add, values)
        np.rint(values, out=values)
        self.power.apply(np.multiply, values)
        np.rint(values, out=values)
        self.end(values, out)


class RequantizeWide(_Integers):
    """int64 accumulators times a 15-bit factor, rounded once, halves up (reference: 16x8 convolutions).

    A result is off by one where the product is within 2**-36 of a half.
    """

    def __init__(self, bias: np.ndarray, mantissa: np.ndarray, shift: np.ndarray, end: Ending, held: Any) -> None:
        super().__init__(end, held)
        factor = np.ldexp(fifteen_bits(mantissa).astype(np.float64), shift - 15)
        self.factor, self.offset = Rows(factor), Rows(factor * bias + 0.5)

    def convert(self, values: np.ndarray, out: np.ndarray) -> None:
        self.factor.apply(np.multiply, values)
        self.offset.apply(np.add, values)
        np.floor(values, out=values)
        self.end(values, out)


class RequantizePositive(_Integers):
    """The same where an activation cuts off all that is negative.

    For p = (accumulator + bias) * mantissa * 2**(shift - 31) >= 0 both roundings together are floor(p + 1/2 + e) with
    e = 2**(shift - 1) for shift < 0 and e = 0 otherwise; for p < 0 that is at most 0, which the activation makes of it.
    Counted from the least integer of the type nothing is negative, so that conversion to an unsigned type is the floor.
    """

    def __init__(self, bias: np.ndarray, mantissa: np.ndarray, shift: np.ndarray, end: Ending, held: Any) -> None:
        super().__init__(end, held)
        factor = np.ldexp(mantissa.astype(np.float64), shift - 31)
        least = int(np.iinfo(end.dtype).min)
        nudge = 0.5 + np.where(shift < 0, np.ldexp(0.5, np.minimum(shift, 0)), 0.0)
        self.factor, self.offset = Rows(factor), Rows(factor * bias + nudge + (end.zero_point - least))
        self.limits = end.limits[0] - least, end.limits[1] - least

    def convert(self, values: np.ndarray, out: np.ndarray) -> None:
        self.factor.apply(np.multiply, values)
        self.offset.apply(np.add, values)
        values.clip(*self.limits, out=values)
        unsigned = out.view(np.uint8)
        np.copyto(unsigned, values, casting="unsafe")
        if self.dtype == np.int8:
            np.bitwise_xor(unsigned, 0x80, out=unsigned)


class Rescale(_Integers):
    """Integer accumulators times a real factor, rounded once with ties away from zero, offset, clipped, converted."""

    def __init__(self, bias: np.ndarray, ratio: np.ndarray, end: Ending, held: Any) -> None:
        super().__init__(end, held)
        self.bias, self.ratio = Rows(bias), Rows(ratio)

    def convert(self, values: np.ndarray, out: np.ndarray) -> None:
        self.bias.apply(np.add, values)
        self.ratio.apply(np.multiply, values)
        values += np.copysign(_BELOW_HALF, values)
        np.trunc(values, out=values)
        self.end(values, out)
