"""Activation functions: applied by the operator before them, or recognised in the arithmetic that spells them out."""

from __future__ import annotations

import math

from ...interpreter.ops.base import Activation
from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, fuses
from .weights import CHANNELS

ACTIVATIONS = {"RELU": Activation.RELU, "RELU6": Activation.RELU6, "RELU_N1_TO_1": Activation.RELU_N1_TO_1}
TAKE_ACTIVATION = {*CHANNELS, "ADD", "SUB", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
"""Operators that apply an activation. CONCATENATION has the field too, but its kernels ignore or reject it."""


@fuses(*ACTIVATIONS)
def activation(graph: Rewriter, node: DraftNode) -> None:
    """relu(conv(x)) -> conv(x), activation included; a reshape may stand between."""
    last, maker = graph.makers_through_reshape(node.inputs[0])
    if (
        last is None
        or maker is None
        or maker.op not in TAKE_ACTIVATION
        or maker.attributes.get("fused_activation_function")
    ):
        return
    maker.attributes["fused_activation_function"] = ACTIVATIONS[node.op]
    if maker.op == "TRANSPOSE_CONV":
        maker.version = 4
    graph.absorb(last, node)


@fuses("MUL")
def hard_swish(graph: Rewriter, node: DraftNode) -> None:
    """x * (relu6(x + 3) / 6) -> hard_swish(x)."""
    for x, gate in (node.inputs, node.inputs[::-1]):
        clipped = _sixth(graph.maker(gate))
        shifted = graph.maker(clipped)
        if x is None or shifted is None or shifted.attributes.get("fused_activation_function") != Activation.RELU6:
            continue
        if (
            shifted.op == "ADD"
            and node.attributes.get("fused_activation_function", 0) == 0
            and _sum(shifted) == (x, 3.0)
        ):
            node.op, node.inputs, node.attributes = "HARD_SWISH", [x], {}
            return


def _sixth(node: DraftNode | None) -> DraftTensor | None:
    """x of a node that is x / 6."""
    if node is None or node.op not in ("MUL", "DIV") or node.attributes.get("fused_activation_function"):
        return None
    x, factor = node.inputs
    number = _number(factor)
    if number is None:
        return None
    return x if math.isclose(number, 6 if node.op == "DIV" else 1 / 6, rel_tol=1e-6) else None


def _sum(node: DraftNode) -> tuple[DraftTensor | None, float | None]:
    return node.inputs[0], _number(node.inputs[1])


def _number(tensor: DraftTensor | None) -> float | None:
    return (
        float(tensor.data.item()) if tensor is not None and tensor.data is not None and tensor.data.size == 1 else None
    )
