"""Transposes that undo one another or move no elements."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, fuses
from .reshape import become_reshape, is_definite


@fuses("TRANSPOSE", any_type=True)
def twice(graph: Rewriter, node: DraftNode) -> None:
    """transpose(transpose(x)) -> transpose(x), or x."""
    first = graph.source(node.inputs[0])
    if first is None or first.op != "TRANSPOSE" or first.inputs[0] is None:
        return
    order, before = _order(node), _order(first)
    if order is None or before is None:
        return
    x, both = first.inputs[0], [before[i] for i in order]
    graph.bypass(node, 0, x)
    if both == sorted(both):
        graph.skip(node, x)
    else:
        data = np.array(both, np.int32)
        node.inputs[1] = DraftTensor(f"{node.outputs[0].name}/perm", TensorType.INT32, data.shape, data)


@fuses("TRANSPOSE", any_type=True)
def of_ones(graph: Rewriter, node: DraftNode) -> None:
    """A transpose that moves dimensions of 1 alone -> reshape."""
    x, order = node.inputs[0], _order(node)
    if x is None or x.dims is None or order is None or not is_definite(node.outputs[0].dims):
        return
    moved = [i for i in order if x.dims[i] != 1]
    if moved == sorted(moved):
        become_reshape(node, x)


def _order(node: DraftNode) -> list[int] | None:
    """The dimensions of x as the result has them, None if they are known at run time only."""
    order = node.inputs[1]
    return None if order is None or order.data is None else [int(i) % order.data.size for i in order.data]
