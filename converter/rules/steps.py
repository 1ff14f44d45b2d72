"""What rules have in common: intermediate results, shapes that may be known, tensors moved about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, Operand
from ..tfapi import Dims
from .types import BOOL, F32, I32


def number(value: float, type: TensorType = F32) -> np.ndarray:
    """A scalar."""
    return np.array(value, type.dtype)


def step(op: Lowering, name: str, *inputs: Operand, type: TensorType | None = None, **attributes: Any) -> DraftTensor:
    """An intermediate result, of the shape of the node's result and, if not said, of its type."""
    return move(op, name, *inputs, dims=op.output().dims, type=op.output_type() if type is None else type, **attributes)


def move(op: Lowering, name: str, *inputs: Operand, dims: Dims, type: TensorType | None = None,
         **attributes: Any) -> DraftTensor:  # fmt: skip
    """An intermediate result of shape `dims` and, if not said, of the type of the first input."""
    if type is None:
        first = inputs[0]
        type = first.type if isinstance(first, DraftTensor) else TensorType.of(np.asarray(first).dtype)
    return op.emit(name, *inputs, out=op.tensor(type, dims, f"/{name.lower()}"), **attributes)


def truth(op: Lowering, name: str, *inputs: Operand) -> DraftTensor:
    """A comparison of operands that have the shape of the node's result together."""
    return step(op, name, *inputs, type=BOOL)


def choose(op: Lowering, condition: DraftTensor, yes: Operand, no: Operand) -> DraftTensor:
    """The node's result: `yes` where the condition holds, `no` elsewhere."""
    return op.emit("SELECT_V2", condition, yes, no)


def vector(numbers: Iterable[int]) -> np.ndarray:
    """Numbers as an int32 vector."""
    return np.array(list(numbers), np.int32)


def shape_of(op: Lowering, tensor: DraftTensor) -> Operand:
    """A tensor's shape as an int32 vector, a constant if it is known."""
    if tensor.static is not None:
        return vector(tensor.static)
    return move(op, "SHAPE", tensor, dims=(tensor.rank,), type=I32, out_type=I32)


def size_along(op: Lowering, tensor: DraftTensor, axis: int) -> DraftTensor | np.ndarray:
    """Size of a dimension as an int32 scalar, a constant if it is known."""
    size = dims_of(tensor)[axis]
    if size is not None:
        return number(size, I32)
    shape = move(op, "SHAPE", tensor, dims=(tensor.rank,), type=I32, out_type=I32)
    return move(op, "GATHER", shape, number(axis % len(dims_of(tensor)), I32), dims=(), axis=0, batch_dims=0)


def dims_of(tensor: DraftTensor) -> tuple[int | None, ...]:
    """Dimensions of a tensor of known rank."""
    if tensor.dims is None:
        raise NotBuiltin(f"the rank of {tensor.name!r} is not known")
    return tensor.dims


def transpose(op: Lowering, tensor: DraftTensor, order: Sequence[int]) -> DraftTensor:
    """A tensor with its dimensions reordered; itself if they stay."""
    if list(order) == sorted(order):
        return tensor
    dims = dims_of(tensor)
    return move(op, "TRANSPOSE", tensor, vector(order), dims=tuple(dims[i] for i in order))


def reshape(op: Lowering, tensor: DraftTensor, dims: Sequence[int | None]) -> DraftTensor:
    """A tensor reshaped to dimensions of which at most one is unknown."""
    dims = tuple(dims)
    op.require(dims.count(None) <= 1, "it needs a shape of two unknown dimensions")
    shape = vector([-1 if n is None else n for n in dims])
    return move(op, "RESHAPE", tensor, shape, dims=dims, new_shape=tuple(shape.tolist()))


def slice_of(op: Lowering, tensor: DraftTensor, axis: int, begin: int, end: int, step: int = 1) -> DraftTensor:
    """tensor[..., begin:end:step, ...] along one dimension; bounds as in Python, `step` positive."""
    dims = dims_of(tensor)
    axis, size = axis % len(dims), dims[axis]
    begins, ends, strides = (vector([n if i == axis else other for i in range(len(dims))])
                             for n, other in ((begin, 0), (end, 0), (step, 1)))  # fmt: skip
    others = sum(1 << i for i in range(len(dims)) if i != axis)
    count = None if size is None else len(range(size)[begin:end:step])
    cut = (*dims[:axis], count, *dims[axis + 1 :])
    return move(op, "STRIDED_SLICE", tensor, begins, ends, strides, dims=cut, begin_mask=others, end_mask=others,
                ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0)  # fmt: skip


def concat(op: Lowering, parts: Sequence[DraftTensor], axis: int) -> DraftTensor:
    """Tensors one after another along a dimension."""
    dims = dims_of(parts[0])
    axis %= len(dims)
    sizes = [dims_of(part)[axis] for part in parts]
    total = None if None in sizes else sum(n or 0 for n in sizes)
    joined = (*dims[:axis], total, *dims[axis + 1 :])
    return move(op, "CONCATENATION", *parts, dims=joined, axis=axis, fused_activation_function=0)


def spread(op: Lowering, tensor: DraftTensor, other: DraftTensor) -> DraftTensor:
    """A tensor broadcast to the shape of the node's result, to which it and `other` broadcast."""
    dims = op.output().dims
    if tensor is other or other.rank == 0 or (tensor.static is not None and tensor.dims == dims):
        return tensor
    if dims is not None and None not in dims:
        shape: Operand = vector([n or 0 for n in dims])
    elif tensor.rank == 0:
        shape = shape_of(op, other)
    else:
        both = (tensor, other) if tensor is op.input(0) else (other, tensor)
        shapes = shape_of(op, both[0]), shape_of(op, both[1])
        shape = move(op, "BROADCAST_ARGS", *shapes, dims=(op.output().rank,), type=I32)
    return step(op, "BROADCAST_TO", tensor, shape, type=tensor.type, version=2)


def alike(op: Lowering) -> tuple[DraftTensor, DraftTensor]:
    """Both operands in the shape of the node's result."""
    x, y = op.inputs
    return spread(op, x, y), spread(op, y, x)


def pairs(op: Lowering, x: DraftTensor) -> DraftTensor:
    """Complex numbers as pairs of real and imaginary parts, which are the same bytes."""
    return move(op, "BITCAST", x, dims=None if x.dims is None else (*x.dims, 2), type=F32)


def counted(op: Lowering, size: DraftTensor | np.ndarray) -> DraftTensor:
    """0, 1, ... up to but not including an int32 scalar."""
    if isinstance(size, np.ndarray):
        return op.constant(np.arange(size.item(), dtype=np.int32), "/range")
    return move(op, "RANGE", number(0, I32), size, number(1, I32), dims=(None,))
