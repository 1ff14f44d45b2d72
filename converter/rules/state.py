"""Variables and lookup tables."""

from __future__ import annotations

import numpy as np

from ...interpreter.errors import ConversionError
from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, lowers
from ..state import check


@lowers("ReadVariableOp")
def read(op: Lowering) -> DraftTensor:
    return op.emit("READ_VARIABLE", _handle(op))


@lowers("AssignVariableOp")
def assign(op: Lowering) -> list[DraftTensor]:
    return op.emit_many("ASSIGN_VARIABLE", [_handle(op), op.input(1)], [])


@lowers("AssignAddVariableOp", "AssignSubVariableOp")
def assign_sum(op: Lowering) -> list[DraftTensor]:
    op.require_type(1, TensorType.FLOAT32, TensorType.INT32, TensorType.INT64)
    handle, delta = _handle(op), op.input(1)
    dims = op.node.inputs[0].resource.dims
    before, after = (op.tensor(delta.type, dims, f"/{when}") for when in ("before", "after"))
    op.emit("READ_VARIABLE", handle, out=before)
    op.emit("ADD" if op.node.op == "AssignAddVariableOp" else "SUB", before, delta, out=after)
    return op.emit_many("ASSIGN_VARIABLE", [handle, after], [])


@lowers("VariableShape")
def variable_shape(op: Lowering) -> DraftTensor:
    static = op.node.inputs[0].resource.dims
    op.require(static is not None and None not in static, "the variable's shape is not known")
    return op.constant(np.array(static, op.graph.type_of(op.output()).dtype))


@lowers("LookupTableFindV2")
def table_find(op: Lowering) -> DraftTensor:
    return op.emit("HASHTABLE_FIND", _handle(op), op.input(1), op.input(2))


@lowers("LookupTableSizeV2")
def table_size(op: Lowering) -> DraftTensor:
    size = op.tensor(TensorType.INT64, (1,), "/size")
    op.emit("HASHTABLE_SIZE", _handle(op), out=size)
    return op.emit("RESHAPE", size, op.constant(np.empty(0, np.int32), "/scalar"), new_shape=())


def _handle(op: Lowering) -> DraftTensor:
    """The handle that a node works on. Gives the node up if what is behind it is unknown or has no builtin form."""
    resource = op.node.inputs[0].resource
    if resource is None:
        raise NotBuiltin("which variable or table it works on is decided at run time")
    try:
        check(resource)
    except ConversionError as error:
        raise NotBuiltin(str(error)) from error
    return op.input(0)
