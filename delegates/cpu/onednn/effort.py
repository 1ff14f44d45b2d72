"""How much work a node is: whether it is worth to wake a thread for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.matmul import BatchMatMul
from ....interpreter.ops.shared.products import ProductOp
from ....interpreter.runtime.delegate import BoundNode
from .scales import BYTES

LIGHT = 1 << 21
"""Multiplications in the time that it takes to wake a second thread: some 35 us."""

AWAKE = 1 << 19
"""Multiplications of a step below which a second thread that is awake takes longer to join in than to help: some 9 us.
"""

ELEMENT = 16
"""Multiplications in the time that one element of a result takes, whatever becomes of it."""

READING = 4
"""Multiplications in the time that it takes to read an element, or a weight."""

FASTER = 4
"""How many products, or weights, of bytes take the time of one of floats."""


def is_light(nodes: Sequence[BoundNode], parts: int = 1) -> bool:
    """Whether nodes that are computed as one, in so many parts, multiply little, and make few elements: so little that
    one thread is enough."""
    source, result = nodes[0].ins[0], nodes[-1].outs[0]
    return source is not None and source.size is not None and result.size is not None and effort(nodes) < AWAKE * parts


def is_brief(nodes: Sequence[BoundNode]) -> bool:
    """Whether half of what nodes take one after the other is less than waking a second thread takes."""
    return sum(effort((bound,)) for bound in nodes if bound.ins and bound.outs) < 2 * LIGHT


def effort(nodes: Sequence[BoundNode]) -> int:
    """How long nodes of known shapes take that are computed as one, in multiplications."""
    source, result = nodes[0].ins[0], nodes[-1].outs[0]
    read = 0 if source is None else source.size or 0
    return max(ELEMENT * (result.size or 0), READING * read) + sum(map(_products, nodes))


def loading(bound: BoundNode) -> int:
    """What of a node's effort is there for any number of rows: reading its weights."""
    weights = _weights(bound)
    if weights is None or weights.size is None or isinstance(bound.op, BatchMatMul):
        return 0
    return READING * weights.size // (FASTER if weights.type in BYTES else 1)


def _weights(bound: BoundNode) -> TensorSpec | None:
    is_product = isinstance(bound.op, ProductOp) and bound.outs[0].shape
    return bound.ins[getattr(bound.op, "positions", (0, 1))[1]] if is_product else None


def _products(bound: BoundNode) -> int:
    """What a matrix product or convolution multiplies and reads, in multiplications of floats."""
    result = bound.outs[0]
    if not isinstance(bound.op, ProductOp) or not result.shape:
        return 0
    weights = _weights(bound)
    if weights is None or weights.size is None:
        return LIGHT
    rows = (result.size or 0) // max(1, result.shape[-1])
    matrices = prod((weights.shape or ())[:-2]) if isinstance(bound.op, BatchMatMul) else 1
    products = rows * weights.size // max(1, matrices) + READING * weights.size
    return products // (FASTER if weights.type in BYTES else 1)
