"""Operators that cut a box out of a tensor or put one in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec
from .base import INDEX, Op, op
from .host import VALUES, dimensions, integers, known, shape_of

Shape = tuple[int, ...]


@op("SLICE", VALUES, INDEX, INDEX, versions=7)
class Slice(Op):
    """The box of `tensor` from `begin` that is `size` large, where -1 means up to the end. A view without a copy."""

    def infer(self, tensor: TensorSpec, begin: TensorSpec, size: TensorSpec) -> TensorSpec:
        for operand, what in ((begin, "begin"), (size, "size")):
            if operand.shape != (tensor.rank,):
                raise KernelError(f"SLICE: {what} is {operand}, expected [{tensor.rank}].")
        if begin.value is None or size.value is None:
            return TensorSpec(tensor.type, _sizes(size))
        box = _box(shape_of(tensor), integers(begin.value), integers(size.value))
        return TensorSpec(tensor.type, tuple(s.stop - s.start for s in box))

    def run(self, xp: Any, tensor: Array, begin: Array, size: Array) -> Array:
        starts, sizes = integers(known(self.ins[1], begin)), integers(known(self.ins[2], size))
        return tensor[_box(tensor.shape, starts, sizes)]


def _sizes(size: TensorSpec) -> Shape | None:
    """The shape of a slice whose beginning is not known yet: its sizes, if none is left open."""
    if size.value is None or min(integers(size.value), default=0) < 0:
        return None
    return dimensions(integers(size.value), "SLICE: size")


def _box(shape: Shape, begin: Shape, size: Shape) -> tuple[slice, ...]:
    sizes = [n - b if s == -1 else s for n, b, s in zip(shape, begin, size, strict=True)]
    for n, b, s in zip(shape, begin, sizes, strict=True):
        if b < 0 or s < 0 or b + s > n:
            raise KernelError(f"Invalid begin and size: SLICE of {list(shape)} from {list(begin)}, size {list(size)}.")
    return tuple(slice(b, b + s) for b, s in zip(begin, sizes, strict=True))


@dataclass(frozen=True, slots=True)
class Cut:
    """What STRIDED_SLICE takes of one dimension: a range of positions, or a single one without the dimension."""

    start: int
    stop: int
    stride: int
    single: bool = False

    @property
    def length(self) -> int:
        return len(range(self.start, self.stop, self.stride))

    @property
    def index(self) -> int | slice:
        """For indexing an array; a stop before the first position can't be written as a number there."""
        if self.single:
            return self.start
        return slice(self.start, None if self.stop < 0 else self.stop, self.stride) if self.length else slice(0, 0)


@op("STRIDED_SLICE", VALUES, INDEX, INDEX, INDEX, versions=8)
class StridedSlice(Op):
    """tensor[begin[0]:end[0]:strides[0], ...] with the masks' meaning of TensorFlow. A view without a copy.

    Bit i of a mask is about entry i of the operands: `begin_mask` and `end_mask` ignore its limit, `ellipsis_mask`
    makes it stand for all dimensions that are left, `new_axis_mask` for a new dimension of size 1, `shrink_axis_mask`
    takes one position and drops the dimension. With `offset`, `end` counts from `begin`.
    """

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False

    def infer(self, tensor: TensorSpec, begin: TensorSpec, end: TensorSpec, strides: TensorSpec) -> TensorSpec:
        if begin.rank != 1 or end.shape != begin.shape or strides.shape != begin.shape:
            raise KernelError(
                f"STRIDED_SLICE: begin, end, strides are {begin}, {end}, {strides}, expected equal sizes."
            )
        starts = np.zeros(shape_of(begin)) if begin.value is None and self.offset else begin.value
        if starts is None or end.value is None or strides.value is None:
            return TensorSpec(tensor.type, None)
        cuts = self._cuts(shape_of(tensor), integers(starts), integers(end.value), integers(strides.value))
        return TensorSpec(tensor.type, tuple(1 if c is None else c.length for c in cuts if c is None or not c.single))

    def run(self, xp: Any, tensor: Array, begin: Array, end: Array, strides: Array) -> Array:
        limits = (integers(known(spec, a)) for spec, a in zip(self.ins[1:], (begin, end, strides), strict=True))
        cuts = self._cuts(tensor.shape, *limits)
        return tensor[(*(None if c is None else c.index for c in cuts), ...)]

    def _cuts(self, shape: Shape, begin: Shape, end: Shape, strides: Shape) -> Iterator[Cut | None]:
        """What to do with each dimension in turn; None is a new one."""
        ellipsis = self.ellipsis_mask & -self.ellipsis_mask  # the first one counts
        whole = [bool(ellipsis >> i & 1) for i in range(len(begin))]
        added = [bool(self.new_axis_mask >> i & 1) and not whole[i] for i in range(len(begin))]
        taken = len(begin) - sum(whole) - sum(added)
        if taken > len(shape):
            raise KernelError(f"STRIDED_SLICE takes {taken} dimensions of {list(shape)}.")
        sizes = iter(shape)
        for i in range(len(begin)):
            if added[i]:
                yield None
            elif whole[i]:
                yield from (Cut(0, n, 1) for n in [next(sizes) for _ in range(len(shape) - taken)])
            else:
                yield self._cut(i, next(sizes), begin[i], end[i], strides[i])
        yield from (Cut(0, n, 1) for n in sizes)

    def _cut(self, i: int, size: int, begin: int, end: int, stride: int) -> Cut:
        if stride == 0:
            raise KernelError("STRIDED_SLICE: stride value has to be non-zero.")
        first, last = (0, size) if stride > 0 else (size - 1, -1)
        low, high = min(first, last), max(first, last)
        start = first if self.begin_mask >> i & 1 else _clamped(begin, size, low, high)
        if self.shrink_axis_mask >> i & 1:
            if not 0 <= start < size:
                raise KernelError(f"STRIDED_SLICE: index {begin} is out of range for a dimension of {size}.")
            return Cut(start, start + 1, 1, single=True)
        if self.end_mask >> i & 1:
            return Cut(start, last, stride)
        if self.offset and start + end > size:
            raise KernelError(f"STRIDED_SLICE: {end} positions from {begin} do not fit into a dimension of {size}.")
        return Cut(start, start + end if self.offset else _clamped(end, size, low, high), stride)


def _clamped(position: int, size: int, low: int, high: int) -> int:
    return min(max(position + size if position < 0 else position, low), high)


@op("DYNAMIC_UPDATE_SLICE", VALUES, VALUES, INDEX, versions=5)
class DynamicUpdateSlice(Op):
    """A copy of `operand` with `update` put in at `start_indices`, which are moved so that it fits.

    Source: XLA's DynamicUpdateSlice.
    """

    def infer(self, operand: TensorSpec, update: TensorSpec, start_indices: TensorSpec) -> TensorSpec:
        fits = update.rank == operand.rank and all(
            m <= n for m, n in zip(shape_of(update), shape_of(operand), strict=True)
        )
        if not fits or update.type != operand.type or start_indices.shape != (operand.rank,):
            raise KernelError(f"DYNAMIC_UPDATE_SLICE got {operand}, {update} and {start_indices}, which do not fit.")
        return TensorSpec(operand.type, operand.shape)

    def run(self, xp: Any, operand: Array, update: Array, start_indices: Array) -> Array:
        starts = integers(known(self.ins[2], start_indices))
        fitting = [min(max(s, 0), n - m) for s, n, m in zip(starts, operand.shape, update.shape, strict=True)]
        result = operand.copy()
        result[tuple(slice(s, s + m) for s, m in zip(fitting, update.shape, strict=True))] = update
        return result
