"""Normalisations that are spelled out along the last dimension: softmax, the Euclidean norm; squares and roots."""

from __future__ import annotations

import math

from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, become, fuses, number

EPSILON = 1e-12
"""The square of the smallest norm, 1e-6, that the reference kernel of L2_NORMALIZATION divides by."""


@fuses("SQUARE")
def squared_difference(graph: Rewriter, node: DraftNode) -> None:
    """(x - y)^2 -> squared_difference(x, y)."""
    difference = graph.maker(node.inputs[0])
    if difference is not None and difference.op == "SUB" and not difference.is_activated:
        become(node, "SQUARED_DIFFERENCE", *difference.inputs)
        graph.gone.add(difference)


@fuses("DIV")
def reciprocal_root(graph: Rewriter, node: DraftNode) -> None:
    """1 / sqrt(x) -> rsqrt(x)."""
    root = graph.maker(node.inputs[1])
    if root is None or root.op != "SQRT" or number(node.inputs[0]) != 1:
        return
    if root.outputs[0].dims == node.outputs[0].dims and not node.is_activated:
        become(node, "RSQRT", *root.inputs)
        graph.gone.add(root)


@fuses("DIV")
def softmax(graph: Rewriter, node: DraftNode) -> None:
    """exp(x - max(x)) / sum(exp(x - max(x))) -> softmax(x)."""
    power, total = graph.source(node.inputs[0]), graph.maker(node.inputs[1])
    if node.is_activated or power is None or power.op != "EXP" or graph.uses[id(node.inputs[0])] != 2:
        return
    if total is None or total.inputs[0] is not node.inputs[0] or not _is_last(total, "SUM"):
        return
    shifted = graph.maker(power.inputs[0])
    if shifted is None or shifted.op != "SUB" or shifted.is_activated:
        return
    x, top = shifted.inputs[0], graph.maker(shifted.inputs[1])
    if x is None or top is None or top.inputs[0] is not x or not _is_last(top, "REDUCE_MAX"):
        return
    graph.gone |= {power, total, shifted, top}
    graph.uses[id(x)] -= 1
    become(node, "SOFTMAX", x, beta=1.0)


@fuses("MUL")
def l2_normalisation(graph: Rewriter, node: DraftNode) -> None:
    """x * rsqrt(max(sum(x^2), 1e-12)) -> l2_normalization(x)."""
    if node.is_activated:
        return
    for x, inverse in (node.inputs, node.inputs[::-1]):
        chain = _chain(graph, inverse, ("RSQRT", "MAXIMUM", "SUM", "SQUARE"))
        if x is None or not chain or chain[-1].inputs[0] is not x or not _is_last(chain[2], "SUM"):
            continue
        floor = number(chain[1].inputs[1])
        if floor is None or not math.isclose(floor, EPSILON, rel_tol=1e-5):
            continue
        graph.gone |= set(chain)
        graph.uses[id(x)] -= 1
        become(node, "L2_NORMALIZATION", x, fused_activation_function=0)
        return


def _chain(graph: Rewriter, tensor: DraftTensor | None, ops: tuple[str, ...]) -> list[DraftNode]:
    """The nodes of these operators, each the maker of the first operand of the one before; empty if they are others."""
    found: list[DraftNode] = []
    for op in ops:
        node = graph.maker(tensor)
        if node is None or node.op != op:
            return []
        found.append(node)
        tensor = node.inputs[0]
    return found


def _is_last(node: DraftNode, op: str) -> bool:
    """Whether a node reduces the last dimension, which it keeps."""
    x, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    if (
        node.op != op
        or x is None
        or not x.rank
        or axes is None
        or axes.data is None
        or not node.attributes["keep_dims"]
    ):
        return False
    return [int(i) % x.rank for i in axes.data.reshape(-1)] == [x.rank - 1]
