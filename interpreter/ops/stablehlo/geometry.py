"""Dimensions, borders and windows as StableHLO's operators name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ...errors import KernelError
from ...graph import Array
from ..padding import padded, spread, spread_shape
from ..shared.host import dimensions
from ..shared.windows import Axes, Axis

Borders: TypeAlias = Sequence[tuple[int, int]]
"""Elements before and after each dimension; negative numbers cut elements off instead."""


def check_dimensions(name: str, what: str, chosen: Sequence[int], rank: int) -> None:
    """Raise KernelError unless the `chosen` dimensions are different ones out of `rank`."""
    if len(set(chosen)) != len(chosen) or not set(chosen) <= set(range(rank)):
        raise KernelError(f"{name} got {what} {list(chosen)}, expected different ones out of {rank}.")


def laid_out_shape(name: str, shape: Sequence[int], dilations: Sequence[int], borders: Borders) -> tuple[int, ...]:
    """Shape of what `laid_out` gives. Raises KernelError where more is cut off than there is, or too much added."""
    sizes = (n + low + high for n, (low, high) in zip(spread_shape(shape, dilations), borders, strict=True))
    return dimensions(sizes, f"{name}: the operand with its borders")


def laid_out(xp: Any, x: Array, dilations: Sequence[int], borders: Borders, value: Any) -> Array:
    """`x` with dilation - 1 times `value` between neighbours and `value` in the borders.

    `value` is a number, or an array without dimensions.
    """
    result = spread(xp, x, dilations, value)
    if not any(map(any, borders)):
        return result
    result = padded(xp, result, tuple((max(low, 0), max(high, 0)) for low, high in borders), value)
    ends = (n + min(high, 0) for n, (_, high) in zip(result.shape, borders, strict=True))
    return result[tuple(slice(max(-low, 0), end) for (low, _), end in zip(borders, ends, strict=True))]


def windows(
    name: str, shape: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Axes:
    """One axis, without a border, for each dimension. Raises KernelError unless there are as many of each, above 0."""
    for what, values in (("window", window), ("strides", strides), ("dilations", dilations)):
        if len(values) != len(shape) or min(values, default=1) < 1:
            raise KernelError(f"{name} got {what} {list(values)}, expected {len(shape)} numbers above 0.")
    return tuple(_axis(*sizes) for sizes in zip(shape, window, strides, dilations, strict=True))


def _axis(size: int, window: int, stride: int, dilation: int) -> Axis:
    span = (window - 1) * dilation + 1
    out = 0 if size < span else (size - span) // stride + 1
    return Axis(size, window, stride, dilation, out, 0, 0)
