"""Cutting tensors up and putting them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..draft import DraftTensor
from ..kernels import KERNELS
from ..lower import Lowering, lowers
from .steps import concat as joined
from .steps import move, number, vector
from .types import I32

MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


@lowers("StridedSlice")
def strided_slice(op: Lowering) -> DraftTensor:
    masks = {mask: op.attr(mask, 0) for mask in MASKS}
    return op.emit("STRIDED_SLICE", op.input(0), op.int32(1), op.int32(2), op.int32(3), **masks)


@lowers("Slice")
def slice_(op: Lowering) -> DraftTensor:
    return op.emit("SLICE", op.input(0), op.int32(1), op.int32(2))


@lowers("Pack")
def pack(op: Lowering) -> DraftTensor:
    """Types that PACK does not take get a new dimension each, along which they are joined."""
    axis = op.attr("axis", 0)
    if op.type(0) in KERNELS["PACK"].types or op.type(0) not in KERNELS["CONCATENATION"].types:
        return op.emit("PACK", *op.inputs, values_count=len(op), axis=axis)
    dims = op.dims(0)
    axis %= len(dims) + 1
    slices = [move(op, "EXPAND_DIMS", x, number(axis, I32), dims=(*dims[:axis], 1, *dims[axis:])) for x in op.inputs]
    return slices[0] if len(slices) == 1 else joined(op, slices, axis)


@lowers("Unpack")
def unpack(op: Lowering) -> Sequence[DraftTensor]:
    """Types that UNPACK does not take are sliced."""
    axis = op.attr("axis", 0)
    x, results = op.input(0), op.results()
    if x.type in KERNELS["UNPACK"].types:
        return op.emit_many("UNPACK", [x], results, num=op.attr("num"), axis=axis)
    axis %= len(op.dims(0))
    others = (1 << axis) - 1
    for i, out in enumerate(results):
        begin, end = (vector([0] * axis + [n]) for n in (i, i + 1))
        op.emit("STRIDED_SLICE", x, begin, end, np.ones_like(begin), out=out, begin_mask=others, end_mask=others,
                ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=1 << axis)  # fmt: skip
    return results


@lowers("ConcatV2", "Concat")
def concat(op: Lowering) -> DraftTensor:
    last = op.node.op == "ConcatV2"
    axis = int(op.const(len(op) - 1 if last else 0, "the axis"))
    parts = op.inputs[:-1] if last else op.inputs[1:]
    if len(parts) == 1:
        return parts[0]
    return op.emit("CONCATENATION", *parts, axis=axis, fused_activation_function=0)


@lowers("ParallelConcat")
def parallel_concat(op: Lowering) -> DraftTensor:
    return op.emit("CONCATENATION", *op.inputs, axis=0, fused_activation_function=0)


@lowers("Split")
def split(op: Lowering) -> Sequence[DraftTensor]:
    return op.emit_many("SPLIT", [op.int32(0), op.input(1)], op.results(), num_splits=op.attr("num_split"))


@lowers("SplitV")
def split_v(op: Lowering) -> Sequence[DraftTensor]:
    axis = op.constant(np.array(op.const(2, "the axis"), np.int32), "/axis")
    operands = [op.input(0), op.int32(1), axis]
    return op.emit_many("SPLIT_V", operands, op.results(), num_splits=op.attr("num_split"))


@lowers("ReverseV2")
def reverse(op: Lowering) -> DraftTensor:
    axes = sorted(int(axis) % len(op.dims(0)) for axis in op.const(1, "the axes"))
    x = op.input(0)
    for i, axis in enumerate(axes):  # the kernel takes neighbouring axes only: one node for each axis
        out = op.tensor(x.type, op.output().dims, f"/{axis}") if i + 1 < len(axes) else None
        x = op.emit("REVERSE_V2", x, np.array([axis], np.int32), out=out)
    return x


@lowers("ReverseSequence")
def reverse_sequence(op: Lowering) -> DraftTensor:
    return op.emit("REVERSE_SEQUENCE", op.input(0), op.input(1), seq_dim=op.attr("seq_dim"),
                   batch_dim=op.attr("batch_dim", 0))  # fmt: skip
