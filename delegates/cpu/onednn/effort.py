"""How much work a node is: whether it is worth to wake a thread for it."""

from __future__ import annotations

from collections.abc import Sequence

from ....interpreter.ops.shared.products import ProductOp
from ....interpreter.runtime.delegate import BoundNode
from .scales import BYTES

LIGHT = 1 << 21
"""Multiplications of a step below which a second thread takes longer to wake than to help: some 35 us."""

ELEMENT = 16
"""Multiplications in the time that one element of a result takes, whatever becomes of it."""

READING = 4
"""Multiplications in the time that it takes to read an element, or a weight."""

FASTER = 4
"""How many products, or weights, of bytes take the time of one of floats."""


def is_light(nodes: Sequence[BoundNode], parts: int = 1) -> bool:
    """Whether nodes that are computed as one, in so many parts, multiply little, and make few elements."""
    source, result = nodes[0].ins[0], nodes[-1].outs[0]
    if source is None or source.size is None or result.size is None:
        return False
    elements = max(ELEMENT * result.size, READING * source.size)
    return elements + sum(map(_products, nodes)) < LIGHT * parts


def _products(bound: BoundNode) -> int:
    """What a matrix product or convolution multiplies and reads, in multiplications of floats."""
    result = bound.outs[0]
    if not isinstance(bound.op, ProductOp) or not result.shape:
        return 0
    weights = bound.ins[getattr(bound.op, "positions", (0, 1))[1]]
    if weights is None or weights.size is None:
        return LIGHT
    rows = (result.size or 0) // max(1, result.shape[-1])
    return (rows + READING) * weights.size // (FASTER if weights.type in BYTES else 1)
