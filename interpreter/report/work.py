"""How much a node has to do, where that is cheap to tell."""

from __future__ import annotations

from math import prod

from ..graph import TensorSpec
from ..runtime.delegate import BoundNode

_PER_RESULT = {  # operator -> (operand that holds the weights, dimensions of it that one element of the result takes)
    "CONV_2D": (1, (1, 2, 3)),
    "DEPTHWISE_CONV_2D": (1, (1, 2)),
    "CONV_3D": (1, (0, 1, 2, 3)),
    "FULLY_CONNECTED": (1, (1,)),
}
_PER_INPUT = {  # operator -> (operand, weights, dimensions of these that one element of the operand takes)
    "TRANSPOSE_CONV": (2, 1, (0, 1, 2)),
    "CONV_3D_TRANSPOSE": (2, 1, (0, 1, 2, 3)),
}


def multiply_adds(bound: BoundNode) -> int | None:
    """Multiplications of a convolution or matrix product; None for other operators and unknown shapes."""
    name = bound.node.name
    result = bound.outs[0] if bound.outs else None
    if name in _PER_RESULT:
        weights, dimensions = _PER_RESULT[name]
        return _times(result, bound.ins[weights], dimensions)
    if name in _PER_INPUT:
        operand, weights, dimensions = _PER_INPUT[name]
        return _times(bound.ins[operand], bound.ins[weights], dimensions)
    if name == "BATCH_MATMUL":
        return _times(result, bound.ins[0], (-2 if getattr(bound.op, "adj_x", False) else -1,))
    return None


def _times(elements: TensorSpec | None, weights: TensorSpec | None, dimensions: tuple[int, ...]) -> int | None:
    if elements is None or weights is None or elements.size is None or weights.shape is None:
        return None
    if any(not -len(weights.shape) <= d < len(weights.shape) for d in dimensions):
        return None
    return elements.size * prod(weights.shape[d] for d in dimensions)
