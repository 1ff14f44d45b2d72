"""Operators that cut a box out of a tensor or put one in."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec
from .base import INDEX, Op, op
from .shared.host import VALUES, dimensions, integers, known, shape_of


@op("SLICE", VALUES, INDEX, INDEX, versions=8)
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


@op("STRIDED_SLICE", VALUES, INDEX, INDEX, INDEX, versions=8)
class StridedSlice(Op):
    """tensor[begin[0]:end[0]:strides[0], ...] with the masks' meaning of TensorFlow. A view without a copy.

    Bit i of a mask is about entry i of the operands: `begin_mask` and `end_mask` ignore its limit, `ellipsis_mask`
    makes it stand for all dimensions that are left, `new_axis_mask` for a new dimension of size 1, `shrink_axis_mask`
    takes one position and drops the dimension. With `offset`, `end` counts from `begin`. An ellipsis may stand for no
    dimension at all, where the reference kernel lets it stand for one and ignores the last entry.
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
        starts = np.zeros(shape_of(begin), int) if begin.value is None and self.offset else begin.value
        if starts is None or end.value is None or strides.value is None:
            return TensorSpec(tensor.type, None)
        limits = (integers(values) for values in (starts, end.value, strides.value))
        sizes = iter(shape_of(tensor))
        kept: list[int] = []
        for entry in self.entries(shape_of(tensor), *limits):
            if entry is None:
                kept.append(1)
            elif isinstance(entry, slice):
                kept.append(len(range(*entry.indices(next(sizes)))))
            else:
                next(sizes)
        return TensorSpec(tensor.type, (*kept, *sizes))

    def run(self, xp: Any, tensor: Array, begin: Array, end: Array, strides: Array) -> Array:
        limits = (integers(known(spec, a)) for spec, a in zip(self.ins[1:], (begin, end, strides), strict=True))
        return tensor[(*self.entries(tensor.shape, *limits), ...)]

    def entries(self, shape: Shape, begin: Shape, end: Shape, strides: Shape) -> list[int | slice | None]:
        """What indexes the tensor: a position or a slice for each dimension in turn, None for a new one."""
        used = (1 << len(begin)) - 1
        ellipsis = self.ellipsis_mask & -self.ellipsis_mask & used  # the first one counts
        added = self.new_axis_mask & ~ellipsis & used
        taken = (used & ~ellipsis & ~added).bit_count()
        if taken > len(shape):
            raise KernelError(f"STRIDED_SLICE takes {taken} dimensions of {list(shape)}.")
        entries: list[int | slice | None] = []
        sizes = iter(shape)
        for i in range(len(begin)):
            if ellipsis >> i & 1:
                entries += [slice(None) for _ in islice(sizes, len(shape) - taken)]
            elif added >> i & 1:
                entries.append(None)
            else:
                entries.append(self._entry(i, next(sizes), begin[i], end[i], strides[i]))
        return entries

    def _entry(self, i: int, size: int, begin: int, end: int, stride: int) -> int | slice:
        if stride == 0:
            raise KernelError("STRIDED_SLICE: stride value has to be non-zero.")
        first, last = (0, size) if stride > 0 else (size - 1, -1)
        low, high = min(first, last), max(first, last)
        start = first if self.begin_mask >> i & 1 else _clamped(begin, size, low, high)
        if self.shrink_axis_mask >> i & 1:
            if not 0 <= start < size:
                raise KernelError(f"STRIDED_SLICE: index {begin} is out of range for a dimension of {size}.")
            return start
        if self.end_mask >> i & 1:
            stop = last
        elif not self.offset:
            stop = _clamped(end, size, low, high)
        elif start + end > size:
            raise KernelError(f"STRIDED_SLICE: {end} positions from {begin} do not fit into a dimension of {size}.")
        else:
            stop = max(start + end, low)
        # A slice can't name what lies before the first position by a number.
        return slice(0, 0) if start < 0 else slice(start, None if stop < 0 else stop, stride)


def _clamped(position: int, size: int, low: int, high: int) -> int:
    return min(max(position + size if position < 0 else position, low), high)


@op("DYNAMIC_UPDATE_SLICE", VALUES, VALUES, INDEX, versions=6)
class DynamicUpdateSlice(Op):
    """A copy of `operand` with `update` put in at `start_indices`, which are moved so that it fits.

    Source: XLA's DynamicUpdateSlice.
    """

    def infer(self, operand: TensorSpec, update: TensorSpec, start_indices: TensorSpec) -> TensorSpec:
        if not fits_into(operand, update) or start_indices.shape != (operand.rank,):
            raise KernelError(f"DYNAMIC_UPDATE_SLICE got {operand}, {update} and {start_indices}, which do not fit.")
        return TensorSpec(operand.type, operand.shape)

    def run(self, xp: Any, operand: Array, update: Array, start_indices: Array) -> Array:
        return updated(operand, update, integers(known(self.ins[2], start_indices)))


def fits_into(operand: TensorSpec, update: TensorSpec) -> bool:
    """Whether a box of the type and shape of `update` lies in `operand`."""
    return (update.type, update.rank) == (operand.type, operand.rank) and all(
        m <= n for m, n in zip(shape_of(update), shape_of(operand), strict=True)
    )


def updated(operand: Array, update: Array, starts: Shape) -> Array:
    """A copy of `operand` with `update` put in at `starts`, which are moved so that it fits."""
    result = operand.copy()
    result[fitting_box(operand.shape, starts, update.shape)] = update
    return result


def fitting_box(shape: Shape, starts: Shape, sizes: Shape) -> tuple[slice, ...]:
    """What indexes the box of `sizes` from `starts`, which are moved so that it lies in a tensor of `shape`."""
    fitting = (min(max(start, 0), n - size) for n, start, size in zip(shape, starts, sizes, strict=True))
    return tuple(slice(start, start + size) for start, size in zip(fitting, sizes, strict=True))
