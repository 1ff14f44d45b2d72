"""Operators that give the same elements another shape, or tell what shape they have."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec, TensorType
from .base import ANY, BOOL, INDEX, INTEGER, PACKED, Op, OptionalSpec, op
from .shared.broadcast import broadcast_shapes
from .shared.host import (
    FIXED_WIDTH,
    VALUES,
    dimensions,
    integers,
    known,
    normalize_axes,
    normalize_axis,
    require_rank,
    scalar,
    shape_of,
)


@op("RESHAPE", VALUES, INTEGER | PACKED | BOOL)
class Reshape(Op):
    """The elements of `tensor` in row-major order with another shape, in which one dimension may be -1.

    The shape comes from the operand if that is a vector of int32 or int64, from `new_shape` otherwise; `new_shape` [0]
    stands for a scalar, as old files have it.
    """

    new_shape: Shape = ()

    def infer(self, tensor: TensorSpec, shape: OptionalSpec = None) -> TensorSpec:
        if shape is None or shape.rank != 1 or shape.type not in INDEX:
            return TensorSpec(tensor.type, _reshaped(shape_of(tensor), self._attribute))
        if shape.value is None:
            return TensorSpec(tensor.type, None)
        return TensorSpec(tensor.type, _reshaped(shape_of(tensor), integers(shape.value)))

    def run(self, xp: Any, tensor: Array, shape: Array | None = None) -> Array:
        given = shape is not None and shape.ndim == 1 and TensorType.of(shape.dtype) in INDEX
        sizes = integers(known(self.ins[1], shape)) if given else self._attribute
        return tensor.reshape(_reshaped(tensor.shape, sizes))

    @property
    def _attribute(self) -> Shape:
        sizes = tuple(self.new_shape)
        return () if sizes == (0,) else sizes


def _reshaped(old: Shape, new: Shape) -> Shape:
    """`new` with its -1 replaced so that the number of elements stays that of `old`."""
    if new.count(-1) > 1:
        raise KernelError(f"RESHAPE to {list(new)}: only one dimension can be -1.")
    rest = [n for n in new if n != -1]
    dimensions(rest, "RESHAPE: the new shape")
    empty = prod(old) == 0 and prod(rest) != 0
    stretched = 0 if empty else prod(n for n in old if n) // prod(n for n in rest if n)
    result = tuple(stretched if n == -1 else n for n in new)
    if prod(result) != prod(old):
        raise KernelError(
            f"RESHAPE of {list(old)} to {list(new)}: got {prod(old)} elements, the new shape takes {prod(result)}."
        )
    return result


@op("SQUEEZE", VALUES, versions=2)
class Squeeze(Op):
    """`tensor` without the dimensions of size 1 that `squeeze_dims` lists, or without all of them if it lists none."""

    squeeze_dims: Shape = ()

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(tensor.type, self._squeezed(shape_of(tensor)))

    def run(self, xp: Any, tensor: Array) -> Array:
        return tensor.reshape(self._squeezed(tensor.shape))

    def _squeezed(self, shape: Shape) -> Shape:
        axes = normalize_axes(self.squeeze_dims, len(shape), "SQUEEZE: dimension")
        for axis in axes:
            if shape[axis] != 1:
                raise KernelError(f"SQUEEZE: dimension {axis} of {list(shape)} is {shape[axis]}, expected 1.")
        return tuple(n for i, n in enumerate(shape) if (i not in axes if axes else n != 1))


@op("EXPAND_DIMS", VALUES, INDEX)
class ExpandDims(Op):
    """`tensor` with a dimension of size 1 put in at `axis`, which may be -rank - 1 to rank."""

    def infer(self, tensor: TensorSpec, axis: TensorSpec) -> TensorSpec:
        if axis.value is None:
            return TensorSpec(tensor.type, None)
        return TensorSpec(tensor.type, _expanded(shape_of(tensor), axis.value))

    def run(self, xp: Any, tensor: Array, axis: Array) -> Array:
        return tensor.reshape(_expanded(tensor.shape, known(self.ins[1], axis)))


def _expanded(shape: Shape, axis: np.ndarray) -> Shape:
    at = normalize_axis(scalar(axis, "EXPAND_DIMS: axis"), len(shape) + 1, "EXPAND_DIMS: axis")
    return (*shape[:at], 1, *shape[at:])


@op("SHAPE", ANY)
class ShapeOf(Op):
    """The shape of `tensor` as a vector of `out_type`."""

    out_type: TensorType = TensorType.INT32

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(self.out_type, (tensor.rank,), value=np.array(tensor.shape, self.out_type.dtype))

    def refuses(self, tensor: TensorSpec) -> str | None:
        return None if self.out_type in INDEX else f"operator SHAPE gives int32 or int64, not {self.out_type.name}."

    def run(self, xp: Any, tensor: Array) -> Array:
        return xp.array(tensor.shape, dtype=self.out_type.dtype)


@op("RANK", ANY)
class Rank(Op):
    """The number of dimensions of `tensor` as an int32 scalar."""

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(TensorType.INT32, (), value=np.array(tensor.rank, np.int32))

    def run(self, xp: Any, tensor: Array) -> Array:
        return xp.array(tensor.ndim, dtype=np.int32)


@op("BROADCAST_TO", VALUES, INDEX, versions=4)
class BroadcastTo(Op):
    """`tensor` stretched to `shape`: dimensions align at the right, and 1 stretches. A view without a copy."""

    def infer(self, tensor: TensorSpec, shape: TensorSpec) -> TensorSpec:
        require_rank(shape, (1,), "BROADCAST_TO: shape")
        if shape.value is None:
            return TensorSpec(tensor.type, None)
        return TensorSpec(tensor.type, _stretched(shape_of(tensor), integers(shape.value)))

    def run(self, xp: Any, tensor: Array, shape: Array) -> Array:
        return xp.broadcast_to(tensor, _stretched(tensor.shape, integers(known(self.ins[1], shape))))


def _stretched(old: Shape, new: Shape) -> Shape:
    dimensions(new, "BROADCAST_TO: shape")
    aligned = new[len(new) - len(old) :] if len(old) <= len(new) else ()
    if len(aligned) != len(old) or any(m not in (1, n) for m, n in zip(old, aligned, strict=True)):
        raise KernelError(
            f"Output shape must be broadcastable from input shape: BROADCAST_TO got {list(old)} and {list(new)}."
        )
    return new


@op("BROADCAST_ARGS", INDEX, INDEX)
class BroadcastArgs(Op):
    """The shape that tensors of the shapes `shape1` and `shape2` stretch to together, as a vector of their type."""

    def infer(self, shape1: TensorSpec, shape2: TensorSpec) -> TensorSpec:
        require_rank(shape1, (1,), "BROADCAST_ARGS: shape1")
        require_rank(shape2, (1,), "BROADCAST_ARGS: shape2")
        if shape1.type != shape2.type:
            raise KernelError(f"BROADCAST_ARGS got {shape1} and {shape2}, expected equal types.")
        length = max(*shape_of(shape1), *shape_of(shape2))
        if shape1.value is None or shape2.value is None:
            return TensorSpec(shape1.type, (length,))
        met = _met(shape1.type, integers(shape1.value), integers(shape2.value))
        return TensorSpec(shape1.type, (length,), value=met)

    def run(self, xp: Any, shape1: Array, shape2: Array) -> Array:
        a, b = integers(known(self.ins[0], shape1)), integers(known(self.ins[1], shape2))
        return xp.asarray(_met(self.outs[0].type, a, b))


def _met(kind: TensorType, a: Shape, b: Shape) -> np.ndarray:
    return np.array(broadcast_shapes(TensorSpec(kind, a), TensorSpec(kind, b)), kind.dtype)


_BITS = FIXED_WIDTH - PACKED


@op("BITCAST", _BITS)
class Bitcast(Op):
    """The bytes of `tensor` read as the output's type.

    A narrower type appends a dimension of the ratio of the widths; for a wider one the last dimension has to be that
    ratio and goes away.
    """

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        shape, before, after = shape_of(tensor), tensor.dtype.itemsize, self.outs[0].dtype.itemsize
        if before > after:
            shape = (*shape, before // after)
        elif before < after:
            if shape[-1:] != (after // before,):
                raise KernelError(f"BITCAST got {tensor}, expected {after // before} as the last dimension.")
            shape = shape[:-1]
        return TensorSpec(self.outs[0].type, shape)

    def refuses(self, tensor: TensorSpec) -> str | None:
        kind = self.outs[0].type
        return None if kind in _BITS else f"operator BITCAST is not supported with {kind.name.lower()} outputs."

    def run(self, xp: Any, tensor: Array) -> Array:
        dtype = self.outs[0].dtype
        if tensor.itemsize == dtype.itemsize:
            return tensor.view(dtype)
        if tensor.itemsize > dtype.itemsize:
            return xp.ascontiguousarray(tensor).reshape((*tensor.shape, 1)).view(dtype)
        return xp.ascontiguousarray(tensor).view(dtype).reshape(tensor.shape[:-1])
