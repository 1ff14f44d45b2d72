"""Shapes: reading them, changing them, making tensors of a given shape."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import ARITHMETIC, BF16, COMMON, F16, FIXED, STRING


@lowers("EnsureShape")
def ensure_shape(op: Lowering) -> DraftTensor:
    """The input, of which more is known from here on."""
    x = op.input(0)
    x.dims = op.output().dims
    return x


@lowers("Reshape")
def reshape(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED, STRING)
    shape = _reshape_target(op)
    new_shape = () if shape.data is None else tuple(int(n) for n in shape.data)
    return op.emit("RESHAPE", op.input(0), shape, new_shape=new_shape)


def _reshape_target(op: Lowering) -> DraftTensor:
    """The shape operand: a constant wherever at most one dimension of the result is unknown."""
    dims = op.output().dims
    asked = op.node.inputs[1].partial
    if op.known(1) is None and asked is not None and asked.ndim == 1 and -1 not in asked:
        dims = op.output().dims = tuple(asked)
    if op.known(1) is None and dims is not None and dims.count(None) <= 1 and 0 not in dims:
        return op.constant(np.array([-1 if n is None else n for n in dims], np.int32), "/shape")
    return op.int32(1)


@lowers("Squeeze")
def squeeze(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED, STRING)
    axes = op.attr("squeeze_dims", ())
    if not axes:
        dims = op.dims(0)
        op.require(None not in dims, "Squeeze of all dimensions of 1 needs a known shape")
        axes = tuple(i for i, n in enumerate(dims) if n == 1)
    if not axes:
        return op.input(0)
    return op.emit("SQUEEZE", op.input(0), squeeze_dims=tuple(axes))


@lowers("ExpandDims")
def expand_dims(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED, STRING)
    return op.emit("EXPAND_DIMS", op.input(0), op.int32(1))


@lowers("Shape")
def shape(op: Lowering) -> DraftTensor:
    return op.emit("SHAPE", op.input(0), out_type=op.graph.type_of(op.output()))


@lowers("ShapeN")
def shape_n(op: Lowering) -> list[DraftTensor]:
    results = op.results()
    return [op.emit("SHAPE", x, out=out, out_type=out.type) for x, out in zip(op.inputs, results, strict=True)]


@lowers("Rank")
def rank(op: Lowering) -> DraftTensor:
    return op.emit("RANK", op.input(0))


@lowers("Size")
def size(op: Lowering) -> DraftTensor:
    out_type = op.graph.type_of(op.output())
    dims = op.tensor(out_type, (op.node.inputs[0].rank,), "/shape")
    op.emit("SHAPE", op.input(0), out=dims, out_type=out_type)
    return op.emit("REDUCE_PROD", dims, np.array([0], np.int32), keep_dims=False)


@lowers("Transpose")
def transpose(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED)
    order = op.known(1)
    if order is not None and order.tolist() == sorted(order.tolist()):
        return op.input(0)
    return op.emit("TRANSPOSE", op.input(0), op.int32(1))


@lowers("Fill")
def fill(op: Lowering) -> DraftTensor:
    op.require_type(1, *FIXED, STRING)
    return op.emit("FILL", op.int32(0), op.input(1))


@lowers("Range")
def range_(op: Lowering) -> DraftTensor:
    op.require_type(0, *ARITHMETIC)
    return op.emit("RANGE", *op.inputs)


@lowers("BroadcastTo")
def broadcast_to(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED)
    return op.emit("BROADCAST_TO", op.input(0), op.int32(1), version=2)


@lowers("BroadcastArgs")
def broadcast_args(op: Lowering) -> DraftTensor:
    return op.emit("BROADCAST_ARGS", *op.inputs)


@lowers("Tile")
def tile(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED, STRING)
    return op.emit("TILE", op.input(0), op.int32(1))


@lowers("Pad")
def pad(op: Lowering) -> DraftTensor:
    op.require_type(0, *COMMON, F16, BF16)
    return op.emit("PAD", op.input(0), op.int32(1))


@lowers("PadV2")
def pad_v2(op: Lowering) -> DraftTensor:
    op.require_type(0, *COMMON, F16, BF16)
    return op.emit("PADV2", op.input(0), op.int32(1), op.input(2))


@lowers("MirrorPad")
def mirror_pad(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED)
    mode = {"REFLECT": 0, "SYMMETRIC": 1}[op.attr("mode")]
    return op.emit("MIRROR_PAD", op.input(0), op.int32(1), mode=mode)
