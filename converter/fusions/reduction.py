"""Reductions over dimensions of 1, and those whose result gets its dimensions back."""

from __future__ import annotations

from ..draft import DraftNode
from ..rewrite import Rewriter, fuses
from ..tfapi import Dims
from .reshape import become_reshape, is_definite

REDUCERS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")


@fuses(*REDUCERS, any_type=True)
def of_ones(graph: Rewriter, node: DraftNode) -> None:
    """mean(x) over dimensions of 1 -> reshape(x)."""
    x, axes = node.inputs[0], _axes(node)
    if x is not None and x.dims is not None and axes and is_definite(x.dims) and all(x.dims[i] == 1 for i in axes):
        become_reshape(node, x)


@fuses("RESHAPE", any_type=True)
def kept(graph: Rewriter, node: DraftNode) -> None:
    """reshape(mean(x)) -> mean(x) that keeps its dimensions."""
    reducer = graph.maker(node.inputs[0])
    if reducer is None or reducer.op not in REDUCERS or reducer.attributes["keep_dims"]:
        return
    dims: Dims = reducer.inputs[0].dims if reducer.inputs[0] is not None else None
    axes = _axes(reducer)
    if dims is None or not axes or not is_definite(node.outputs[0].dims):
        return
    if tuple(1 if i in axes else n for i, n in enumerate(dims)) == node.outputs[0].dims:
        reducer.attributes["keep_dims"] = True
        graph.absorb(reducer, node)


def _axes(node: DraftNode) -> set[int]:
    """What a reducer reduces; empty if that is not known."""
    x, axes = node.inputs
    if x is None or not x.rank or axes is None or axes.data is None:
        return set()
    return {int(i) % x.rank for i in axes.data.reshape(-1)}
