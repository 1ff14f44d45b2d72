"""Reductions along axes, and what runs along one."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .steps import dims_of, move, number, slice_of, step, vector
from .types import F32

REDUCERS = {
    "All": "REDUCE_ALL",
    "Any": "REDUCE_ANY",
    "Max": "REDUCE_MAX",
    "Mean": "MEAN",
    "Min": "REDUCE_MIN",
    "Prod": "REDUCE_PROD",
    "Sum": "SUM",
}


@lowers(*REDUCERS)
def reduce(op: Lowering) -> DraftTensor:
    op.require(op.node.op != "Mean" or op.type(0) is F32, "MEAN rounds means of integers in its own way")
    axes = op.known(1)
    if axes is not None and axes.size == 0:
        return op.input(0)
    return op.emit(REDUCERS[op.node.op], op.input(0), _axes(op), keep_dims=bool(op.attr("keep_dims", False)))


@lowers("EuclideanNorm")
def euclidean_norm(op: Lowering) -> DraftTensor:
    op.require(op.type(0) is F32, f"SQRT takes no {op.type(0).name.lower()}")
    x = op.input(0)
    squares = move(op, "SQUARE", x, dims=x.dims)
    return op.emit("SQRT", step(op, "SUM", squares, _axes(op), keep_dims=bool(op.attr("keep_dims", False))))


@lowers("L2Loss")
def l2_loss(op: Lowering) -> DraftTensor:
    """sum(x**2) / 2."""
    op.require(op.type(0) is F32, f"SQUARE takes no {op.type(0).name.lower()}")
    x = op.input(0)
    axes = vector(range(len(op.dims(0))))
    return op.emit("MUL", step(op, "SUM", move(op, "SQUARE", x, dims=x.dims), axes, keep_dims=False), number(0.5))


@lowers("BiasAddGrad")
def bias_add_grad(op: Lowering) -> DraftTensor:
    rank = len(op.dims(0))
    kept = rank - 1 if op.attr("data_format", "NHWC") == "NHWC" else 1
    return op.emit("SUM", op.input(0), vector([i for i in range(rank) if i != kept]), keep_dims=False)


def _axes(op: Lowering) -> DraftTensor:
    """Axes as an int32 vector."""
    axes = op.known(1)
    if axes is not None:
        return op.constant(axes.astype(np.int32).reshape(-1), "/axes")
    op.require(op.node.inputs[1].rank == 1, "the axes are no vector")
    return op.int32(1)


@lowers("ArgMax", "ArgMin")
def arg_max(op: Lowering) -> DraftTensor:
    name = {"ArgMax": "ARG_MAX", "ArgMin": "ARG_MIN"}[op.node.op]
    return op.emit(name, op.input(0), op.int32(1), output_type=op.output_type())


@lowers("Cumsum")
def cumsum(op: Lowering) -> DraftTensor:
    return op.emit("CUMSUM", op.input(0), op.int32(1), exclusive=bool(op.attr("exclusive", False)),
                   reverse=bool(op.attr("reverse", False)))  # fmt: skip


@lowers("Cumprod")
def cumprod(op: Lowering) -> DraftTensor:
    """Running products in log2(n) rounds: each element times the one that is 1, 2, 4, ... places before it."""
    x, dims = op.input(0), op.dims(0)
    axis = int(op.const(1, "the axis")) % len(dims)
    size = dims[axis]
    op.require(size is not None, "the number of elements is not known")
    turn, distance = bool(op.attr("reverse", False)), 1
    if op.attr("exclusive", False):
        x = _moved(op, x, axis, 1, turn)
    while distance < (size or 0):
        x = move(op, "MUL", x, _moved(op, x, axis, distance, turn), dims=dims)
        distance *= 2
    return x


def _moved(op: Lowering, x: DraftTensor, axis: int, distance: int, turn: bool) -> DraftTensor:
    """Elements `distance` places later, or earlier, with ones in their place."""
    dims = dims_of(x)
    size = dims[axis] or 0
    kept = slice_of(op, x, axis, distance if turn else 0, size if turn else max(size - distance, 0))
    pads = np.zeros((len(dims), 2), np.int32)
    pads[axis, 1 if turn else 0] = min(distance, size)
    return move(op, "PADV2", kept, pads, np.ones((), x.type.dtype), dims=dims)
