"""Resizing of [n, h, w, c] to the size that the second operand gives: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec
from .base import BOOL, FLOAT, FLOAT8, HALF, INT8, INT16, INT32, UINT8, UINT16, UINT32, Op, op
from .shared.fixedpoint import round_half_away
from .shared.host import integers, known
from .shared.windows import expect_rank

_PIXEL = FLOAT | HALF | INT8 | UINT8 | INT16 | UINT16 | INT32 | UINT32 | BOOL | FLOAT8
Positions: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Along an axis: lower and upper neighbour of each output pixel, and the weights of both."""

_ONE = 1 << 10
"""1.0 in the fixed-point coordinates of integer images."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Resize(Op):
    """What the resizing operators share."""

    align_corners: bool = False
    half_pixel_centers: bool = False

    def infer(self, input: TensorSpec, size: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "input", input, 4)
        if size.shape != (2,):
            raise KernelError(f"{self.name} got a size of shape {size.shape}, expected [height, width].")
        if size.value is None:
            return TensorSpec(input.type, None)
        height, width = self.size(size.value)
        if 0 in shape[1:3]:
            raise KernelError(f"{self.name} got an input of shape {shape}, which has no pixels.")
        return TensorSpec(input.type, (shape[0], height, width, shape[3]))

    def size(self, size: Array) -> tuple[int, int]:
        """Height and width of the result. Raises KernelError unless both are positive."""
        height, width = integers(known(self.ins[1], size))
        if height < 1 or width < 1:
            raise KernelError(f"{self.name} got size {height} x {width}, expected positive numbers.")
        return height, width

    def pairs(self, input: Array, size: Array) -> list[tuple[int, int]]:
        """Input and output size, of the height and of the width."""
        return list(zip(input.shape[1:3], self.size(size), strict=True))


@op("RESIZE_NEAREST_NEIGHBOR", _PIXEL, INT32, versions=4)
class ResizeNearestNeighbor(_Resize):
    """Each output pixel is the input pixel nearest to it (reference: resize_nearest_neighbor.h)."""

    def run(self, xp: Any, input: Array, size: Array) -> Array:
        rows, columns = (xp.asarray(self._nearest(*pair)) for pair in self.pairs(input, size))
        return xp.take(xp.take(input, rows, axis=1), columns, axis=2)

    def _nearest(self, size: int, out: int) -> np.ndarray:
        aligned = self.align_corners and out > 1
        scale = np.float32(size - 1) / np.float32(out - 1) if aligned else np.float32(size) / np.float32(out)
        at = (np.arange(out, dtype=np.float32) + np.float32(0.5 if self.half_pixel_centers else 0)) * scale
        nearest: np.ndarray = round_half_away(np, at) if self.align_corners else np.floor(at)
        return np.minimum(nearest.astype(np.int64), size - 1)


@op("RESIZE_BILINEAR", FLOAT | INT8 | UINT8 | INT16 | UINT16, INT32, versions=4)
class ResizeBilinear(_Resize):
    """Each output pixel mixes the four input pixels around it (reference: resize_bilinear.h).

    Signed and 16-bit images are mixed in fixed point with 10 fractional bits, others in float32.
    """

    def infer(self, input: TensorSpec, size: TensorSpec) -> TensorSpec:
        if self.half_pixel_centers and self.align_corners:
            raise KernelError("If half_pixel_centers is True, align_corners must be False.")
        return super().infer(input, size)

    def run(self, xp: Any, input: Array, size: Array) -> Array:
        return self.mixed(xp, input, *self.positions(input, size))

    def positions(self, input: Array, size: Array) -> tuple[Positions, Positions]:
        """Neighbours and weights of the rows, and of the columns, of the result."""
        along = self._positions if input.dtype in (np.uint8, np.float32) else self._fixed_positions
        rows, columns = (along(*pair) for pair in self.pairs(input, size))
        return rows, columns

    def mixed(self, xp: Any, input: Array, rows: Positions, columns: Positions) -> Array:
        """The pixels at these rows and columns."""
        if input.dtype == np.uint8:
            mixed = self._mix_at_once(xp, input.astype(np.float32), rows, columns)
            return (mixed + np.float32(0.5)).astype(np.uint8)
        if input.dtype == np.float32:
            return self._mix(xp, input, rows, columns)
        wide = np.int32 if input.dtype == np.int8 else np.int64
        mixed = self._mix(xp, input.astype(wide), rows, columns)
        mixed += _ONE * _ONE // 2 - (mixed < 0).astype(wide)  # so that the shift rounds halves away from zero
        return (mixed >> 20).astype(input.dtype)

    def _mix(self, xp: Any, x: Array, by_row: Positions, by_column: Positions) -> Array:
        """Rows are mixed first, then columns."""
        (top, bottom, above, below), (left, right, before, after) = by_row, by_column
        above, below = (xp.asarray(weight, dtype=x.dtype)[:, None, None] for weight in (above, below))
        before, after = (xp.asarray(weight, dtype=x.dtype)[:, None] for weight in (before, after))
        rows = xp.take(x, xp.asarray(top), axis=1) * above
        rows += xp.take(x, xp.asarray(bottom), axis=1) * below
        mixed = xp.take(rows, xp.asarray(left), axis=2) * before
        mixed += xp.take(rows, xp.asarray(right), axis=2) * after
        return mixed

    def _mix_at_once(self, xp: Any, x: Array, by_row: Positions, by_column: Positions) -> Array:
        """The same sum in the order in which the reference rounds it."""
        (top, bottom, above, below), (left, right, before, after) = by_row, by_column
        above, below = (xp.asarray(weight)[:, None, None] for weight in (above, below))
        before, after = (xp.asarray(weight)[:, None] for weight in (before, after))
        upper, lower = (xp.take(x, xp.asarray(rows), axis=1) for rows in (top, bottom))
        at_left, at_right = xp.asarray(left), xp.asarray(right)
        return (
            xp.take(upper, at_left, axis=2) * above * before
            + xp.take(lower, at_left, axis=2) * below * before
            + xp.take(upper, at_right, axis=2) * above * after
            + xp.take(lower, at_right, axis=2) * below * after
        )

    def _positions(self, size: int, out: int) -> Positions:
        aligned = self.align_corners and out > 1
        scale = np.float32(size - 1) / np.float32(out - 1) if aligned else np.float32(size) / np.float32(out)
        at = np.arange(out, dtype=np.float32)
        half = np.float32(0.5)
        at = (at + half) * scale - half if self.half_pixel_centers else at * scale
        low = np.maximum(np.floor(at).astype(np.int64), 0)
        high = np.minimum(np.ceil(at).astype(np.int64), size - 1)
        after = at - low.astype(np.float32)
        return low, high, np.float32(1) - after, after

    def _fixed_positions(self, size: int, out: int) -> Positions:
        aligned = self.align_corners and out > 1
        extent, steps = (size - 1, out - 1) if aligned else (size, out)
        scale = (_ONE * extent + steps // 2) // steps
        at = np.arange(out, dtype=np.int64) * scale
        if self.half_pixel_centers:
            at = at + scale // 2 - _ONE // 2
        low = np.maximum(at // _ONE, 0)
        high = np.clip(-(-at // _ONE), 0, size - 1)
        after = at - _ONE * low
        return low, high, _ONE - after, after
