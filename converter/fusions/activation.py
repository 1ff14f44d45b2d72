"""Activation functions: applied by the operator before them, or recognised in the arithmetic that spells them out."""

from __future__ import annotations

import math

from ...interpreter.ops.base import Activation
from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, become, fuses, number
from .weights import CHANNELS

ACTIVATIONS = {"RELU": Activation.RELU, "RELU6": Activation.RELU6, "RELU_N1_TO_1": Activation.RELU_N1_TO_1}
CLIPS: dict[tuple[float, float], str] = {
    (0, math.inf): "RELU",
    (0, 6): "RELU6",
    (-1, 1): "RELU_N1_TO_1",
    (0, 1): "RELU_0_TO_1",
}
TAKE_ACTIVATION = {*CHANNELS, "ADD", "SUB", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
"""Operators that apply an activation. CONCATENATION has the field too, but its kernels ignore or reject it."""


@fuses(*ACTIVATIONS)
def activation(graph: Rewriter, node: DraftNode) -> None:
    """relu(conv(x)) -> conv(x), activation included; a reshape may stand between."""
    last, maker = graph.makers_through_reshape(node.inputs[0])
    if last is None or maker is None or maker.op not in TAKE_ACTIVATION or maker.is_activated:
        return
    maker.attributes["fused_activation_function"] = ACTIVATIONS[node.op]
    if maker.op == "TRANSPOSE_CONV":
        maker.version = 4
    graph.absorb(last, node)


@fuses("MINIMUM", "MAXIMUM")
def clipped(graph: Rewriter, node: DraftNode) -> None:
    """max(x, 0), min(max(x, 0), 6), ... -> relu(x), relu6(x), ..."""
    x, bounds = _bounds(node)
    inner = graph.maker(x)
    if inner is not None and inner.op in ("MINIMUM", "MAXIMUM", "RELU") and inner.op != node.op:
        before, more = _bounds(inner)
        name = CLIPS.get((max(bounds[0], more[0]), min(bounds[1], more[1])))
        if name is not None and before is not None and before.dims == node.outputs[0].dims:
            graph.gone.add(inner)
            become(node, name, before)
    elif bounds == (0, math.inf) and x is not None and x.dims == node.outputs[0].dims:
        become(node, "RELU", x)


def _bounds(node: DraftNode) -> tuple[DraftTensor | None, tuple[float, float]]:
    """(x, limits) of a node that clips x, None for x if it does not."""
    if node.op == "RELU":
        return node.inputs[0], (0, math.inf)
    for x, bound in (node.inputs, node.inputs[::-1]):
        limit = number(bound)
        if limit is not None:
            return x, (limit, math.inf) if node.op == "MAXIMUM" else (-math.inf, limit)
    return None, (-math.inf, math.inf)


@fuses("MUL")
def hard_swish(graph: Rewriter, node: DraftNode) -> None:
    """x * (relu6(x + 3) / 6) -> hard_swish(x)."""
    for x, gate in (node.inputs, node.inputs[::-1]):
        gated = not node.is_activated and _is_gate(graph, _sixth(graph.maker(gate)), x)
        if gated and x is not None and x.rank == node.outputs[0].rank:
            become(node, "HARD_SWISH", x)
            return


@fuses("MUL", "DIV")
def hard_swish_in_the_end(graph: Rewriter, node: DraftNode) -> None:
    """x * relu6(x + 3) / 6 -> hard_swish(x)."""
    product = graph.maker(_sixth(node))
    if product is None or product.op != "MUL" or product.is_activated:
        return
    for x, gate in (product.inputs, product.inputs[::-1]):
        if _is_gate(graph, gate, x) and x is not None and x.rank == node.outputs[0].rank:
            become(node, "HARD_SWISH", x)
            graph.gone.add(product)
            return


def _is_gate(graph: Rewriter, gate: DraftTensor | None, x: DraftTensor | None) -> bool:
    """Whether a tensor is relu6(x + 3), of as many dimensions as x."""
    shifted = graph.maker(gate)
    if x is None or shifted is None or shifted.op != "ADD" or shifted.outputs[0].rank != x.rank:
        return False
    relu6 = shifted.attributes.get("fused_activation_function") == Activation.RELU6
    return relu6 and any(y is x and number(three) == 3 for y, three in (shifted.inputs, shifted.inputs[::-1]))


def _sixth(node: DraftNode | None) -> DraftTensor | None:
    """x of a node that is x / 6."""
    if node is None or node.op not in ("MUL", "DIV") or node.is_activated:
        return None
    orders = [node.inputs] if node.op == "DIV" else [node.inputs, node.inputs[::-1]]
    for x, factor in orders:
        if math.isclose(number(factor) or 0, 6 if node.op == "DIV" else 1 / 6, rel_tol=1e-6):
            return x
    return None
