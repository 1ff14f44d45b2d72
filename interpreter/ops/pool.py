"""Pooling over windows of [n, h, w, c]: AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from ..graph import Array, TensorSpec
from .base import FLOAT, INT8, INT16, UINT8, Activation, Op, Padding, op
from .shared.fixedpoint import activation_range
from .shared.fused import activate
from .shared.windows import Axes, expect_rank, output_shape, pad, plan, taps

_INTEGERS = INT8 | UINT8 | INT16


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowedOp(Op):
    """An op that slides a window over [n, h, w, c], with the attributes of Pool2DOptions."""

    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    filter_width: int = 1
    filter_height: int = 1
    fused_activation_function: Activation = Activation.NONE

    @property
    def window(self) -> tuple[int, int]:
        """Height and width."""
        return self.filter_height, self.filter_width

    @property
    def strides(self) -> tuple[int, int]:
        """Steps down and to the right."""
        return self.stride_h, self.stride_w

    def axes(self, shape: Sequence[int]) -> Axes:
        """Geometry for an input of this shape."""
        return plan(self.name, shape[1:3], self.window, self.strides, self.padding)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pool(WindowedOp):
    """What the pools share (reference: pooling.cc)."""

    @cached_property
    def is_quantized(self) -> bool:
        """Whether elements are integers, which need no scale here unless an activation limits them."""
        return bool(self.quantized) and self.ins[0] is not None and self.ins[0].type in _INTEGERS

    def refuses(self, input: TensorSpec) -> str | None:
        if self.is_quantized and self.fused_activation_function and self.outs[0].quantization is None:
            return f"operator {self.name} needs the scale of its result for an activation, which has none."
        return None

    def infer(self, input: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "input", input, 4)
        return TensorSpec(input.type, output_shape(shape[0], self.axes(shape), shape[3]))

    def total(self, xp: Any, x: Array) -> Array:
        """Sum over each window."""
        axes = self.axes(x.shape)
        padded = pad(xp, x, axes)
        return reduce(xp.add, (padded[window] for _, window in taps(axes)))

    def count(self, xp: Any, x: Array, dtype: Any) -> Array:
        """How many input elements each window has, [h, w, 1]."""
        rows, columns = (axis.counts() for axis in self.axes(x.shape))
        return xp.asarray(np.multiply.outer(rows, columns)[..., None].astype(dtype))

    def stored(self, xp: Any, steps: Array) -> Array:
        """A quantised result, which has the scale of the input."""
        limits = activation_range(self.fused_activation_function, self.outs[0])
        return xp.clip(steps, *limits).astype(self.outs[0].dtype)


@op("AVERAGE_POOL_2D", FLOAT, quantized=(_INTEGERS,), versions=3)
class AveragePool2D(_Pool):
    """Mean of the elements of each window that lie inside the input."""

    def run(self, xp: Any, input: Array) -> Array:
        mean = self.total(xp, input) / self.count(xp, input, input.dtype)
        return activate(xp, mean, self.fused_activation_function)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        total, count = self.total(xp, input.astype(np.int32)), self.count(xp, input, np.int32)
        return self.stored(xp, xp.sign(total) * ((xp.abs(total) + count // 2) // count))


@op("MAX_POOL_2D", FLOAT, quantized=(_INTEGERS,), versions=3)
class MaxPool2D(_Pool):
    """Greatest element of each window; NaN never wins, and -inf gives the least finite number."""

    def _greatest(self, xp: Any, x: Array, least: Any) -> Array:
        axes = self.axes(x.shape)
        padded = pad(xp, x, axes, least)
        return reduce(xp.fmax, (padded[window] for _, window in taps(axes)), xp.full((), least, x.dtype))

    def run(self, xp: Any, input: Array) -> Array:
        return activate(xp, self._greatest(xp, input, np.finfo(input.dtype).min), self.fused_activation_function)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        return self.stored(xp, self._greatest(xp, input, np.iinfo(input.dtype).min))


@op("L2_POOL_2D", FLOAT)
class L2Pool2D(_Pool):
    """Root of the mean square of each window."""

    def run(self, xp: Any, input: Array) -> Array:
        mean = self.total(xp, input * input) / self.count(xp, input, input.dtype)
        return activate(xp, xp.sqrt(mean), self.fused_activation_function)
