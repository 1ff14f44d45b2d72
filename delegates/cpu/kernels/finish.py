"""What follows a product while its block is in cache: bias and activation, or requantisation."""

from __future__ import annotations

import math
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
    """Adds a bias [channels], or none, and applies an activation, in place."""

    dtype = np.dtype(np.float32)

    def __init__(self, bias: np.ndarray | None, activation: Activation) -> None:
        self.bias = None if bias is None else Rows(bias)
        self.activation = activation

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return out

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        if self.bias is not None:
            self.bias.apply(np.add, out)
        if self.activation in BOUNDS:
            out.clip(*BOUNDS[self.activation], out=out)
        elif self.activation is Activation.TANH:
            np.tanh(out, out=out)
        elif self.activation is Activation.SIGN_BIT:
            out[:] = np.signbit(out)


class Requantize:
    """Integer accumulators times a factor, rounded, offset, clipped and converted.

    The reference rounds p = (accumulator + bias) * mantissa * 2**(shift - 31) twice: for shift < 0 first to a multiple
    of 2**shift, then to an integer with ties away from zero. Both together are floor(p + 1/2 + e) for p >= 0 and
    floor(p + 1/2 - e) for p < 0, where e = 2**(shift - 1) for shift < 0 and e = 0 otherwise. float64 holds these sums
    exactly while |accumulator + bias| < 2**22; above that a result is off by one where p is within 2**-46 of a tie.
    """

    def __init__(
        self, bias: np.ndarray | None, mantissa: Any, shift: Any, zero_point: int, limits: tuple[int, int], dtype: Any
    ) -> None:
        channels = max(np.size(mantissa), 1 if bias is None else bias.size)
        factor = np.broadcast_to(np.ldexp(np.float64(mantissa), np.asarray(shift) - 31), channels)
        self.factor = Rows(factor)
        self.offset = Rows(factor * (0 if bias is None else bias.astype(np.float64)))
        nudge = np.where(np.less(shift, 0), np.ldexp(0.5, np.minimum(shift, 0)), 0.0)
        self.nudge = Rows(np.broadcast_to(nudge, channels))
        self.zero_point, self.limits, self.dtype = zero_point, limits, np.dtype(dtype)

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return np.empty(out.shape, np.float32)

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        p = accumulator.astype(np.float64)
        self.factor.apply(np.multiply, p)
        self.offset.apply(np.add, p)
        nudge = np.copysign(1.0, p)
        self.nudge.apply(np.multiply, nudge)
        p += nudge
        p += 0.5 + self.zero_point
        np.floor(p, out=p)
        p.clip(*self.limits, out=p)
        np.copyto(out, p, casting="unsafe")


class Rescale:
    """Integer accumulators times a real factor, rounded once with ties away from zero, offset, clipped, converted."""

    def __init__(
        self, bias: np.ndarray | None, ratio: Any, zero_point: int, limits: tuple[int, int], dtype: Any
    ) -> None:
        channels = max(np.size(ratio), 1 if bias is None else bias.size)
        self.ratio = Rows(np.broadcast_to(np.float64(ratio), channels))
        self.bias = None if bias is None else Rows(bias.astype(np.float64))
        self.zero_point, self.limits, self.dtype = zero_point, limits, np.dtype(dtype)

    def accumulator(self, out: np.ndarray) -> np.ndarray:
        return np.empty(out.shape, np.float32)

    def __call__(self, accumulator: np.ndarray, out: np.ndarray) -> None:
        p = accumulator.astype(np.float64)
        if self.bias is not None:
            self.bias.apply(np.add, p)
        self.ratio.apply(np.multiply, p)
        rounded = round_half_away(np, p)
        rounded += self.zero_point
        np.copyto(out, rounded.clip(*self.limits), casting="unsafe")
