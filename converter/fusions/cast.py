"""Casts that follow one another."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftNode
from ..rewrite import Rewriter, fuses


@fuses("CAST", any_type=True)
def twice(graph: Rewriter, node: DraftNode) -> None:
    """cast(cast(x)) -> cast(x), or x, where the type between holds all of x."""
    first = graph.source(node.inputs[0])
    if first is None or first.op != "CAST" or first.inputs[0] is None:
        return
    x, between, result = first.inputs[0], first.outputs[0], node.outputs[0]
    if not _holds(between.type, x.type) or not (_holds(result.type, x.type) or result.type.dtype.kind == "f"):
        return
    graph.bypass(node, 0, x)
    node.attributes = node.attributes | {"in_data_type": x.type}
    if result.type is x.type:
        graph.skip(node, x)


def _holds(wide: TensorType, narrow: TensorType) -> bool:
    """Whether each value of a type is one of another type too. (NumPy calls int64 -> float64 safe, which rounds.)"""
    rounds = narrow in (TensorType.INT64, TensorType.UINT64) and wide.dtype.kind in "fc"
    return wide is narrow or (not rounds and np.can_cast(narrow.dtype, wide.dtype, "safe"))
