"""Picking elements by index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import ARITHMETIC, BF16, BOOL, COMMON, F16, I8, I16, INDEX, STRING, U8, U32


@lowers("GatherV2", "Gather")
def gather(op: Lowering) -> DraftTensor:
    op.require_type(0, *COMMON, F16, BF16, STRING)
    op.require_type(1, *INDEX)
    vector = op.type(0) is not STRING or len(op.dims(0)) == len(op.dims(1)) == 1
    op.require(vector, "strings are gathered from vectors only")
    axis = int(op.const(2, "the axis")) if len(op) > 2 else 0
    batch_dims = op.attr("batch_dims", 0)
    return op.emit("GATHER", op.input(0), op.input(1), axis=axis, batch_dims=batch_dims, version=5 if batch_dims else 1)


@lowers("GatherNd")
def gather_nd(op: Lowering) -> DraftTensor:
    op.require_type(1, *INDEX)
    op.require_type(0, *COMMON, F16, BF16, STRING)
    return op.emit("GATHER_ND", op.input(0), op.input(1))


@lowers("ScatterNd")
def scatter_nd(op: Lowering) -> DraftTensor:
    op.require_type(1, *ARITHMETIC, BOOL, U8, I8)
    return op.emit("SCATTER_ND", op.int32(0), op.input(1), op.int32(2))


@lowers("TensorScatterUpdate")
def tensor_scatter_update(op: Lowering) -> DraftTensor:
    """One slice along the first dimension replaced, as when an element of a list is written."""
    op.require_type(0, *COMMON)
    dims, index = op.dims(0), op.node.inputs[1].node
    scalar = index.op == "Reshape" and index.inputs[0].dims == ()
    op.require(scalar and op.dims(1) == (1, 1), "only one slice along the first dimension can be replaced")
    position = op.graph.tensor(index.inputs[0])
    start = op.tensor(TensorType.INT32, (len(dims),), "/start")
    zeros = [np.zeros((), np.int32)] * (len(dims) - 1)
    op.emit("PACK", op.cast(position, TensorType.INT32), *zeros, out=start, values_count=len(dims), axis=0)
    return op.emit("DYNAMIC_UPDATE_SLICE", op.input(0), op.input(2), start)


@lowers("XlaDynamicUpdateSlice")
def dynamic_update_slice(op: Lowering) -> DraftTensor:
    """A slice replaced at a position that is moved to where it fits, as in both meanings."""
    op.require_type(0, *COMMON)
    return op.emit("DYNAMIC_UPDATE_SLICE", op.input(0), op.input(1), op.int32(2))


@lowers("OneHot")
def one_hot(op: Lowering) -> DraftTensor:
    op.require_type(0, *INDEX)
    op.require_type(2, *ARITHMETIC, BOOL, U8, I8)
    return op.emit("ONE_HOT", op.input(0), op.int32(1), op.input(2), op.input(3), axis=op.attr("axis", -1))


@lowers("TopKV2")
def top_k(op: Lowering) -> Sequence[DraftTensor]:
    op.require_type(0, *ARITHMETIC, U8, I8, I16)
    op.require(op.attr("index_type", 3) == 3, "TopK gives int32 indices only")
    return op.emit_many("TOPK_V2", [op.input(0), op.int32(1)], op.results())


@lowers("Where")
def where(op: Lowering) -> DraftTensor:
    op.require_type(0, *ARITHMETIC, BOOL, U8, I8, U32)
    return op.emit("WHERE", op.input(0))


@lowers("ResourceGather")
def resource_gather(op: Lowering) -> DraftTensor:
    """Rows of a variable: of its value, if nothing writes it."""
    op.require_type(1, *INDEX)
    variable = op.node.inputs[0].resource
    if variable.written:
        params = op.tensor(op.graph.type_of(op.output()), variable.dims, "/value")
        op.emit("READ_VARIABLE", op.input(0), out=params)
    else:
        params = op.constant(np.asarray(variable.value), "/params")
    return op.emit("GATHER", params, op.input(1), axis=0, batch_dims=op.attr("batch_dims", 0))
