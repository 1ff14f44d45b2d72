"""Cutting tensors up and putting them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import ARITHMETIC, BF16, BOOL, COMMON, F16, F32, FIXED, I8, I16, I32, STRING, U8, U32

MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


@lowers("StridedSlice")
def strided_slice(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED, STRING)
    masks = {mask: op.attr(mask, 0) for mask in MASKS}
    return op.emit("STRIDED_SLICE", op.input(0), op.int32(1), op.int32(2), op.int32(3), **masks)


@lowers("Slice")
def slice_(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED, STRING)
    return op.emit("SLICE", op.input(0), op.int32(1), op.int32(2))


@lowers("Pack")
def pack(op: Lowering) -> DraftTensor:
    op.require_type(0, *ARITHMETIC, U8, I8, I16, U32)
    return op.emit("PACK", *op.inputs, values_count=len(op), axis=op.attr("axis", 0))


@lowers("Unpack")
def unpack(op: Lowering) -> Sequence[DraftTensor]:
    op.require_type(0, F32, I32, BOOL, U8, I8, I16, F16, BF16)
    return op.emit_many("UNPACK", [op.input(0)], op.results(), num=op.attr("num"), axis=op.attr("axis", 0))


@lowers("ConcatV2", "Concat")
def concat(op: Lowering) -> DraftTensor:
    op.require_type(1, *COMMON, U32, F16, BF16)
    last = op.node.op == "ConcatV2"
    axis = int(op.const(len(op) - 1 if last else 0, "the axis"))
    parts = op.inputs[:-1] if last else op.inputs[1:]
    if len(parts) == 1:
        return parts[0]
    return op.emit("CONCATENATION", *parts, axis=axis, fused_activation_function=0)


@lowers("Split")
def split(op: Lowering) -> Sequence[DraftTensor]:
    op.require_type(1, *ARITHMETIC, U8, I8, I16, F16)
    return op.emit_many("SPLIT", [op.int32(0), op.input(1)], op.results(), num_splits=op.attr("num_split"))


@lowers("SplitV")
def split_v(op: Lowering) -> Sequence[DraftTensor]:
    op.require_type(0, *ARITHMETIC, U8, I8, I16)
    axis = op.constant(np.array(op.const(2, "the axis"), np.int32), "/axis")
    operands = [op.input(0), op.int32(1), axis]
    return op.emit_many("SPLIT_V", operands, op.results(), num_splits=op.attr("num_split"))


@lowers("ReverseV2")
def reverse(op: Lowering) -> DraftTensor:
    op.require_type(0, *COMMON, F16, BF16)
    axes = sorted(int(axis) % len(op.dims(0)) for axis in op.const(1, "the axes"))
    x = op.input(0)
    for i, axis in enumerate(axes):  # the kernel takes neighbouring axes only: one node for each axis
        out = op.tensor(x.type, op.output().dims, f"/{axis}") if i + 1 < len(axes) else None
        x = op.emit("REVERSE_V2", x, np.array([axis], np.int32), out=out)
    return x


@lowers("ReverseSequence")
def reverse_sequence(op: Lowering) -> DraftTensor:
    op.require_type(0, *ARITHMETIC, U8, I16)
    return op.emit("REVERSE_SEQUENCE", op.input(0), op.input(1), seq_dim=op.attr("seq_dim"),
                   batch_dim=op.attr("batch_dim", 0))  # fmt: skip
