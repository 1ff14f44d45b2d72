"""Shapes: reading them, changing them, making tensors of a given shape."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .conv import padded
from .steps import number, pairs
from .steps import reshape as reshaped
from .types import C64


@lowers("Copy", "DebugIdentity", "DebugIdentityV2", "DeepCopy")
def copy(op: Lowering) -> DraftTensor:
    return op.input(0)


@lowers("EnsureShape")
def ensure_shape(op: Lowering) -> DraftTensor:
    """The input, of which more is known from here on."""
    x = op.input(0)
    x.dims = op.output().dims
    return x


@lowers("Reshape")
def reshape(op: Lowering) -> DraftTensor:
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
    return op.emit("EXPAND_DIMS", op.input(0), op.int32(1))


@lowers("Shape")
def shape(op: Lowering) -> DraftTensor:
    return op.emit("SHAPE", op.input(0), out_type=op.output_type())


@lowers("ShapeN")
def shape_n(op: Lowering) -> list[DraftTensor]:
    results = op.results()
    return [op.emit("SHAPE", x, out=out, out_type=out.type) for x, out in zip(op.inputs, results, strict=True)]


@lowers("Rank")
def rank(op: Lowering) -> DraftTensor:
    return op.emit("RANK", op.input(0))


@lowers("Size")
def size(op: Lowering) -> DraftTensor:
    out_type = op.output_type()
    dims = op.tensor(out_type, (op.node.inputs[0].rank,), "/shape")
    op.emit("SHAPE", op.input(0), out=dims, out_type=out_type)
    return op.emit("REDUCE_PROD", dims, np.array([0], np.int32), keep_dims=False)


@lowers("Transpose")
def transpose(op: Lowering) -> DraftTensor:
    order = op.known(1)
    if order is not None and order.tolist() == sorted(order.tolist()):
        return op.input(0)
    return op.emit("TRANSPOSE", op.input(0), op.int32(1))


@lowers("Fill")
def fill(op: Lowering) -> DraftTensor:
    return op.emit("FILL", op.int32(0), op.input(1))


@lowers("Empty")
def empty(op: Lowering) -> DraftTensor:
    """Zeros: what is not initialised may be anything."""
    return op.emit("FILL", op.int32(0), np.zeros((), op.output_type().dtype))


@lowers("Range")
def range_(op: Lowering) -> DraftTensor:
    return op.emit("RANGE", *op.inputs)


@lowers("LinSpace")
def lin_space(op: Lowering) -> DraftTensor:
    """start + i * (stop - start) / (n - 1), and `stop` itself at the end."""
    count = int(op.const(2, "the number of elements"))
    start, stop = op.input(0), op.input(1)
    first, last = (reshaped(op, x, (1,)) for x in (start, stop))
    if count == 1:
        return first
    distance = op.emit("SUB", stop, start, out=op.tensor(start.type, (), "/distance"))
    delta = op.emit("DIV", distance, number(count - 1), out=op.tensor(start.type, (), "/delta"))
    steps = op.emit("MUL", np.arange(count - 1, dtype=np.float32), delta,
                    out=op.tensor(start.type, (count - 1,), "/steps"))  # fmt: skip
    inside = op.emit("ADD", steps, start, out=op.tensor(start.type, (count - 1,), "/inside"))
    return op.emit("CONCATENATION", inside, last, axis=0, fused_activation_function=0)


@lowers("Bitcast")
def bitcast(op: Lowering) -> DraftTensor:
    return op.emit("BITCAST", op.input(0))


@lowers("BroadcastTo")
def broadcast_to(op: Lowering) -> DraftTensor:
    return op.emit("BROADCAST_TO", op.input(0), op.int32(1), version=2)


@lowers("BroadcastArgs")
def broadcast_args(op: Lowering) -> DraftTensor:
    return op.emit("BROADCAST_ARGS", *op.inputs)


@lowers("Tile")
def tile(op: Lowering) -> DraftTensor:
    return op.emit("TILE", op.input(0), op.int32(1))


@lowers("Pad")
def pad(op: Lowering) -> DraftTensor:
    """Complex numbers are padded as pairs."""
    if op.type(0) is C64:
        pads = np.vstack([op.const(1, "the padding"), [[0, 0]]]).astype(np.int32)
        return op.emit("BITCAST", padded(op, pairs(op, op.input(0)), pads))
    return op.emit("PAD", op.input(0), op.int32(1))


@lowers("PadV2")
def pad_v2(op: Lowering) -> DraftTensor:
    return op.emit("PADV2", op.input(0), op.int32(1), op.input(2))


@lowers("MirrorPad")
def mirror_pad(op: Lowering) -> DraftTensor:
    mode = {"REFLECT": 0, "SYMMETRIC": 1}[op.attr("mode")]
    return op.emit("MIRROR_PAD", op.input(0), op.int32(1), mode=mode)
