"""Reshapes that change nothing, that follow one another, or that their neighbours can do without."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftNode, DraftTensor
from ..rewrite import RESHAPES, Rewriter, become, fuses
from ..tfapi import Dims

BROADCAST = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")


def is_definite(dims: Dims) -> bool:
    """Whether a number of elements is enough to tell the whole shape."""
    return dims is not None and dims.count(None) <= 1 and 0 not in dims


def become_reshape(node: DraftNode, x: DraftTensor) -> None:
    """Turn a node into a reshape of `x` to what is known of its result's shape."""
    (result,) = node.outputs
    shape = np.array([-1 if n is None else n for n in result.dims or ()], np.int32)
    target = DraftTensor(f"{result.name}/shape", TensorType.INT32, shape.shape, shape)
    become(node, "RESHAPE", x, target, new_shape=tuple(shape.tolist()))


@fuses(*RESHAPES, any_type=True)
def twice(graph: Rewriter, node: DraftNode) -> None:
    """reshape(reshape(x)) -> reshape(x)."""
    first = graph.source(node.inputs[0])
    if first is None or first.op not in RESHAPES or first.inputs[0] is None or not is_definite(node.outputs[0].dims):
        return
    graph.bypass(node, 0, first.inputs[0])
    become_reshape(node, first.inputs[0])


@fuses(*RESHAPES, any_type=True)
def nothing(graph: Rewriter, node: DraftNode) -> None:
    """reshape(x) -> x, where that has the shape already."""
    x, dims = node.inputs[0], node.outputs[0].dims
    if x is not None and x.dims == dims and is_definite(dims):
        graph.skip(node, x)


@fuses("FULLY_CONNECTED")
def before_product(graph: Rewriter, node: DraftNode) -> None:
    """fully_connected(reshape(x)) -> fully_connected(x), which makes rows of any x itself."""
    flat, weights = graph.source(node.inputs[0]), node.inputs[1]
    if flat is None or flat.op not in RESHAPES or weights is None or node.attributes["keep_num_dims"]:
        return
    x, rows = flat.inputs[0], flat.outputs[0].dims
    if x is not None and x.rank and rows is not None and weights.dims is not None and rows[-1:] == weights.dims[1:]:
        graph.bypass(node, 0, x)


@fuses("RESHAPE")
def after_product(graph: Rewriter, node: DraftNode) -> None:
    """reshape(fully_connected(x)) -> fully_connected(x) that keeps the dimensions of x."""
    product = graph.maker(node.inputs[0])
    if product is None or product.op != "FULLY_CONNECTED" or product.attributes["keep_num_dims"]:
        return
    x, weights, result = product.inputs[0], product.inputs[1], node.outputs[0]
    if x is None or not x.dims or weights is None or weights.dims is None or not is_definite(result.dims):
        return
    units, depth = weights.dims
    if x.dims[-1] == depth and (*x.dims[:-1], units) == result.dims:
        product.attributes["keep_num_dims"] = True
        product.version = max(product.version, 5)
        graph.absorb(product, node)


@fuses(*BROADCAST)
def beside(graph: Rewriter, node: DraftNode) -> None:
    """x + reshape(y) -> x + y, where the reshape only adds or drops dimensions of 1 in front."""
    for position in (0, 1):
        y, other = node.inputs[position], node.inputs[1 - position]
        reshape = graph.source(y)
        before = reshape.inputs[0] if reshape is not None and reshape.op in RESHAPES else None
        if y is None or other is None or before is None or y is other or other.rank is None:
            continue
        alike = is_definite(y.dims) and before.rank is not None and _trimmed(before.dims) == _trimmed(y.dims)
        if alike and max(before.rank or 0, other.rank) == node.outputs[0].rank:
            graph.bypass(node, position, before)


def _trimmed(dims: Dims) -> Dims:
    """Dimensions without those of 1 in front."""
    return None if dims is None else dims[next((i for i, n in enumerate(dims) if n != 1), len(dims)) :]
