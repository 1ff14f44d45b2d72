"""Geometry of operators that slide a window: output sizes, padding, and the views that each filter tap reads.

An operator has one `Axis` per spatial dimension; arrays are [batch, *spatial, channels].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import Padding


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial dimension: input size, window, step, and the padding and output size that follow from them."""

    size: int
    window: int
    stride: int
    dilation: int
    out: int
    before: int
    after: int

    @property
    def span(self) -> int:
        """Input elements from the first to the last tap of one window."""
        return (self.window - 1) * self.dilation + 1

    def tap(self, position: int) -> slice:
        """What the tap at `position` of the window reads from the padded input, for all outputs."""
        start = position * self.dilation
        return slice(start, start + (self.out - 1) * self.stride + 1 if self.out else start, self.stride)

    def counts(self) -> np.ndarray:
        """int64 [out]: how many taps of an undilated window lie inside the input."""
        start = np.arange(self.out) * self.stride - self.before
        return np.minimum(start + self.window, self.size) - np.maximum(start, 0)


Axes: TypeAlias = tuple[Axis, ...]


def plan(
    operator: str,
    sizes: Sequence[int],
    windows: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilations: Sequence[int] | None = None,
) -> Axes:
    """One axis per spatial dimension (reference: ComputePaddingHeightWidth).

    Raises KernelError for a window, stride or dilation below 1, and where no window fits.
    """
    steps = zip(sizes, windows, strides, dilations or [1] * len(sizes), strict=True)
    return tuple(_axis(operator, *step, padding) for step in steps)


def _axis(operator: str, size: int, window: int, stride: int, dilation: int, padding: Padding) -> Axis:
    for name, value in (("window", window), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise KernelError(f"{operator} got {name} {value}, expected at least 1.")
    span = (window - 1) * dilation + 1
    out = -(-size // stride) if padding is Padding.SAME else int((size + stride - span) / stride)
    if out < 0:
        raise KernelError(f"{operator} got a window that spans {span} elements of an input of {size}.")
    total = max((out - 1) * stride + span - size, 0) if out else 0
    return Axis(size, window, stride, dilation, out, total // 2, total - total // 2)


def output_shape(batch: int, axes: Axes, channels: int) -> tuple[int, ...]:
    """Shape of the result of an operator with these axes."""
    return (batch, *(axis.out for axis in axes), channels)


def expect_rank(operator: str, name: str, spec: TensorSpec, rank: int) -> tuple[int, ...]:
    """The shape of an operand; raises KernelError if it has another rank."""
    assert spec.shape is not None
    if spec.rank != rank:
        raise KernelError(f"{operator} got `{name}` of shape {spec.shape}, expected {rank} dimensions.")
    return spec.shape


def pad(xp: Any, x: Array, axes: Axes, value: Any = 0) -> Array:
    """`x` with the border that the windows reach into; `x` itself where they reach into none."""
    if not any(axis.before or axis.after for axis in axes):
        return x
    margins = [(0, 0), *((axis.before, axis.after) for axis in axes), (0, 0)]
    return xp.pad(x, margins, mode="constant", constant_values=value)


def taps(axes: Axes) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each position in the window, in row-major order, with the index of what it reads from the padded input."""
    for position in product(*(range(axis.window) for axis in axes)):
        yield position, (slice(None), *(axis.tap(p) for axis, p in zip(axes, position, strict=True)))


def patches(xp: Any, padded: Array, axes: Axes) -> Array:
    """A view [batch, *out, *window, channels] of all windows."""
    n = len(axes)
    spatial = tuple(range(1, n + 1))
    view = xp.lib.stride_tricks.sliding_window_view(padded, tuple(axis.span for axis in axes), spatial)
    steps = [slice(None, None, axis.stride) for axis in axes]
    holes = [slice(None, None, axis.dilation) for axis in axes]
    view = view[(slice(None), *steps, slice(None), *holes)]
    return view.transpose(0, *spatial, *range(n + 2, 2 * n + 2), n + 1)
