"""What follows a product while its block is in cache: bias and activation, or requantisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.fixedpoint import round_half_away

BOUNDS = {
    Activation.RELU: (0.0, math.inf),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}
_RUN = 2048
"""Elements over which a vector is repeated, so that operations run over long rows however few the channels are."""


_STRETCH = 1 << 14
"""Elements of float64 that are worked on at a time: half a level-2 cache."""

_HALF_UP = 2.0**-33
"""Less than the least distance of a first product from a half."""

_HALF_AWAY = 1 + 2.0**-40
"""Moves a second product that is a half away from zero, and none other past a half."""


class Finish(Protocol):
    """Turns accumulators of shape [rows, channels] into results."""

    dtype: np.dtype[Any]  # of the results

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        """A float32 array in which to accumulate the block `out`, of its shape; perhaps `out` itself."""

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        """Write the results of a C-contiguous block."""


class Rows:
    """A vector [channels] that is applied to blocks [rows, channels], repeated over long rows."""

    def __init__(self, vector: np.ndarray) -> None:
        self.channels = vector.size
        self.repeats = max(1, _RUN // max(1, vector.size))
        self.tile = np.tile(vector.reshape(-1), self.repeats)

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
        if self.activation in BOUNDS:
            out.clip(*BOUNDS[self.activation], out=out)
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


class Requantize:
    """Integer accumulators times a factor, rounded, offset, clipped and converted, a stretch at a time.

    The reference rounds twice: (accumulator + bias) * mantissa * 2**(max(shift, 0) - 31) to the nearest integer, halves
    up, and that times 2**min(shift, 0) again, halves away from zero. Here rint does both, and what would be a half is
    nudged the right way. float64 holds the first product exactly while |accumulator + bias| < 2**21; above that a
    result is off by one where the product is within 2**-32 of a half.
    """

    def __init__(self, bias: np.ndarray, mantissa: np.ndarray, shift: np.ndarray, end: Ending) -> None:
        factor = np.ldexp(mantissa.astype(np.float64), np.maximum(shift, 0) - 31)
        self.factor, self.offset = Rows(factor), Rows(factor * bias + _HALF_UP)
        self.power = Rows(np.ldexp(_HALF_AWAY, np.minimum(shift, 0)))
        self.end, self.dtype = end, end.dtype

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return np.empty(out.shape, np.float32)

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        step = max(1, _STRETCH // max(1, out.shape[1]))
        scratch = np.empty((min(step, len(out)), out.shape[1]))
        for row in range(0, len(out), step):
            rows = out[row : row + step]
            p = scratch[: len(rows)]
            np.copyto(p, accumulator[row : row + step])
            self.factor.apply(np.multiply, p)
            self.offset.apply(np.add, p)
            np.rint(p, out=p)
            self.power.apply(np.multiply, p)
            np.rint(p, out=p)
            self.end(p, rows)


class Rescale:
    """Integer accumulators times a real factor, rounded once with ties away from zero, offset, clipped, converted."""

    def __init__(self, bias: np.ndarray, ratio: np.ndarray, end: Ending) -> None:
        self.bias, self.ratio = Rows(bias), Rows(ratio)
        self.end, self.dtype = end, end.dtype

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return np.empty(out.shape, np.float32)

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        p = accumulator.astype(np.float64)
        self.bias.apply(np.add, p)
        self.ratio.apply(np.multiply, p)
        self.end(round_half_away(np, p), out)
