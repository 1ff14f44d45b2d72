"""Matrix products that read and write tensors where they lie transposed: heads of attention, say."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import numpy as np

from ....interpreter.ops.layout import Transpose
from ....interpreter.ops.matmul import BatchMatMul
from ....interpreter.runtime.delegate import BoundNode
from .epilogue import Chains, is_float
from .recipe import Constants

Turned: TypeAlias = dict[int, tuple[int, tuple[int, ...], tuple[int, ...]]]
"""Tensors by what holds their elements: another tensor, its shape, and the order in which its dimensions are theirs."""


def turned(
    nodes: Sequence[BoundNode], chains: Chains, position: int, constants: Constants, taken: AbstractSet[int]
) -> tuple[Turned, tuple[int, ...]]:
    """For a product of floats: operands that a TRANSPOSE makes, the result if only a TRANSPOSE reads it; and the
    positions of the product and of that last node. `taken`: positions that are part of a step."""
    bound, found = nodes[position], Turned()
    if not isinstance(bound.op, BatchMatMul) or not is_float(bound):
        return found, (position,)
    for tensor in bound.node.inputs:
        maker = chains.maker(tensor)
        order = None if maker is None or maker in taken else _order(nodes[maker], constants)
        if maker is not None and order is not None:
            source = nodes[maker].ins[0]
            assert source is not None
            found[tensor] = nodes[maker].node.inputs[0], source.shape or (), order
    result = bound.node.outputs[0]
    readers = chains.readers(result)
    order = _order(nodes[readers[0]], constants) if len(readers) == 1 and readers[0] not in taken else None
    if order is None:
        return found, (position,)
    after = nodes[readers[0]]
    found[result] = after.node.outputs[0], after.outs[0].shape or (), tuple(np.argsort(order).tolist())
    return found, (position, readers[0])


def _order(bound: BoundNode, constants: Constants) -> tuple[int, ...] | None:
    """That of a TRANSPOSE of known shape that leaves rows of the last dimension whole."""
    order = constants.get(bound.node.inputs[1]) if isinstance(bound.op, Transpose) else None
    shape = bound.outs[0].shape
    if order is None or not shape or 0 in shape or bound.ins[0] is None:
        return None
    axes = tuple(int(axis) % len(shape) for axis in order)
    return axes if axes[-1] == len(shape) - 1 else None
