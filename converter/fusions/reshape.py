"""Reshapes that change nothing, or that only serve a matrix product which could do without."""

from __future__ import annotations

from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, fuses


@fuses("RESHAPE")
def after_product(graph: Rewriter, node: DraftNode) -> None:
    """reshape(fully_connected(reshape(x))) -> fully_connected(x) that keeps its dimensions."""
    product = graph.maker(node.inputs[0])
    flat = None if product is None or product.op != "FULLY_CONNECTED" else graph.maker(product.inputs[0])
    if product is None or flat is None or flat.op != "RESHAPE" or product.attributes["keep_num_dims"]:
        return
    x, result = flat.inputs[0], node.outputs[0]
    units = product.outputs[0].dims
    if x is None or x.dims is None or units is None or result.dims is None or not x.dims:
        return
    depth = None if product.inputs[1] is None or product.inputs[1].dims is None else product.inputs[1].dims[1]
    if x.dims[-1] == depth and _same((*x.dims[:-1], units[-1]), result):
        product.attributes["keep_num_dims"] = True
        product.version = max(product.version, 5)
        product.inputs[0] = x
        graph.gone.add(flat)
        graph.absorb(product, node)


@fuses("RESHAPE")
def twice(graph: Rewriter, node: DraftNode) -> None:
    """reshape(reshape(x)) -> reshape(x)."""
    first = graph.maker(node.inputs[0])
    if first is not None and first.op == "RESHAPE" and node.inputs[1] is not None and node.inputs[1].data is not None:
        node.inputs[0] = first.inputs[0]
        graph.gone.add(first)


def _same(dims: tuple[int | None, ...], tensor: DraftTensor) -> bool:
    """Whether a tensor surely has these dimensions: equal where known, and at most one is not."""
    return dims == tensor.dims and dims.count(None) <= 1
