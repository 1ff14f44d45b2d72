"""Reductions along axes."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import ARITHMETIC, BOOL, F32, I8, I16, I32, U8, Table

REDUCERS: Table = {
    "All": ("REDUCE_ALL", (BOOL,)),
    "Any": ("REDUCE_ANY", (BOOL,)),
    "Max": ("REDUCE_MAX", (*ARITHMETIC, U8, I8, I16)),
    "Mean": ("MEAN", (F32,)),
    "Min": ("REDUCE_MIN", (*ARITHMETIC, U8, I8, I16)),
    "Prod": ("REDUCE_PROD", ARITHMETIC),
    "Sum": ("SUM", ARITHMETIC),
}


@lowers(*REDUCERS)
def reduce(op: Lowering) -> DraftTensor:
    name, types = REDUCERS[op.node.op]
    op.require_type(0, *types)
    axes = op.known(1)
    if axes is not None and axes.size == 0:
        return op.input(0)
    return op.emit(name, op.input(0), _axes(op), keep_dims=bool(op.attr("keep_dims", False)))


def _axes(op: Lowering) -> DraftTensor:
    """Axes as an int32 vector."""
    axes = op.known(1)
    if axes is not None:
        return op.constant(axes.astype(np.int32).reshape(-1), "/axes")
    op.require(op.node.inputs[1].rank == 1, "the axes are no vector")
    return op.int32(1)


@lowers("ArgMax", "ArgMin")
def arg_max(op: Lowering) -> DraftTensor:
    op.require_type(0, F32, I32, U8, I8, BOOL)
    name = {"ArgMax": "ARG_MAX", "ArgMin": "ARG_MIN"}[op.node.op]
    return op.emit(name, op.input(0), op.int32(1), output_type=op.graph.type_of(op.output()))


@lowers("Cumsum")
def cumsum(op: Lowering) -> DraftTensor:
    op.require_type(0, *ARITHMETIC)
    return op.emit("CUMSUM", op.input(0), op.int32(1), exclusive=bool(op.attr("exclusive", False)),
                   reverse=bool(op.attr("reverse", False)))  # fmt: skip
