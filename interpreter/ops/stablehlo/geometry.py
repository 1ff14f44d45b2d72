"""Arrays spread out and bordered, as StableHLO's windows and convolutions see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ...graph import Array
from ..padding import padded, spread, spread_shape
from ..shared.host import dimensions

Borders: TypeAlias = Sequence[tuple[int, int]]
"""Elements before and after each dimension; negative numbers cut elements off instead."""


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
