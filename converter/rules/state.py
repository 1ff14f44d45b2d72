"""Variables and lookup tables. What else works on variables was written out before (`expand`)."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, lowers


@lowers("ReadVariableOp")
def read(op: Lowering) -> DraftTensor:
    return op.emit("READ_VARIABLE", _handle(op))


@lowers("AssignVariableOp")
def assign(op: Lowering) -> list[DraftTensor]:
    return op.emit_many("ASSIGN_VARIABLE", [_handle(op), op.input(1)], [])


@lowers("LookupTableFindV2")
def table_find(op: Lowering) -> DraftTensor:
    return op.emit("HASHTABLE_FIND", _handle(op), op.input(1), op.input(2))


@lowers("LookupTableSizeV2")
def table_size(op: Lowering) -> DraftTensor:
    size = op.tensor(TensorType.INT64, (1,), "/size")
    op.emit("HASHTABLE_SIZE", _handle(op), out=size)
    return op.emit("RESHAPE", size, op.constant(np.empty(0, np.int32), "/scalar"), new_shape=())


def _handle(op: Lowering) -> DraftTensor:
    """The handle that a node works on. Gives the node up if what is behind it is unknown or TensorFlow's to keep."""
    resource = op.node.inputs[0].resource
    if resource is None:
        raise NotBuiltin("which variable or table it works on is decided at run time")
    if resource.flex is not None:
        raise NotBuiltin(resource.flex)
    return op.input(0)
