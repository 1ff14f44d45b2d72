"""Elementwise nodes that run while the result of the one before them is in registers."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from ....interpreter.graph import TensorSpec, TensorType
from ....interpreter.ops.activation import Clamp, Prelu
from ....interpreter.ops.base import Activation
from ....interpreter.runtime.delegate import BoundNode
from .binding import Algorithm
from .primitive import Binary, Eltwise, Layout, PostOp
from .primitive import Prelu as PreluSlopes
from .recipe import Recipe
from .scales import added, is_stored, of_real

MAX_POST_OPS = 16

STORED_FUNCTIONS = {"ELU", "GELU", "HARD_SWISH", "LOGISTIC", "TANH"}
"""Of bytes, too, by float arithmetic."""

_GREATEST = float(np.finfo(np.float32).max)

_UNARY = {
    "ABS": Eltwise(Algorithm.ABS),
    "ELU": Eltwise(Algorithm.ELU, 1.0),
    "EXP": Eltwise(Algorithm.EXP),
    "HARD_SWISH": Eltwise(Algorithm.HARDSWISH, 1 / 6, 0.5),
    "LOGISTIC": Eltwise(Algorithm.LOGISTIC),
    "NEG": Eltwise(Algorithm.LINEAR, -1.0),
    "RSQRT": Eltwise(Algorithm.POW, 1.0, -0.5),
    "SQRT": Eltwise(Algorithm.SQRT),
    "SQUARE": Eltwise(Algorithm.SQUARE),
    "TANH": Eltwise(Algorithm.TANH),
}

_BINARY = {
    "ADD": Algorithm.ADD,
    "DIV": Algorithm.DIV,
    "MAXIMUM": Algorithm.MAX,
    "MINIMUM": Algorithm.MIN,
    "MUL": Algorithm.MUL,
    "SUB": Algorithm.SUB,
}
_COMMUTES = {"ADD", "MUL"}


@dataclass(frozen=True, slots=True)
class Link:
    """What a node does to the value before it: operations, and the tensor that one of them reads besides."""

    nodes: tuple[int, ...]  # positions of the nodes
    post_ops: tuple[PostOp, ...]
    operand: int | None
    result: int  # the tensor that it makes


def activation(kind: Activation) -> tuple[PostOp, ...] | None:
    """The activation of an operator; None if there is no operation for it."""
    if kind is Activation.NONE:
        return ()
    if kind is Activation.TANH:
        return (Eltwise(Algorithm.TANH),)
    low, high = kind.bounds
    if low is None:
        return None
    return (clip(low, inf if high is None else high),)


def clip(low: float, high: float) -> Eltwise:
    """Hold a value between two bounds."""
    if low == 0 and high == inf:
        return Eltwise(Algorithm.RELU)
    return Eltwise(Algorithm.CLIP, low, min(high, _GREATEST))


def unary(bound: BoundNode) -> Eltwise | None:
    """A node of one float32 operand as an operation."""
    op = bound.op
    if isinstance(op, Clamp):
        return clip(op.low, op.high)
    if op.name == "LEAKY_RELU":
        return Eltwise(Algorithm.RELU, op.alpha)  # type: ignore[attr-defined]
    if op.name == "GELU":
        return Eltwise(Algorithm.GELU_TANH if op.approximate else Algorithm.GELU_ERF)  # type: ignore[attr-defined]
    return _UNARY.get(op.name)


def binary(bound: BoundNode) -> tuple[Algorithm, tuple[PostOp, ...]] | None:
    """A node of two float32 operands as an operation, and its activation."""
    algorithm = _BINARY.get(bound.op.name)
    after = activation(getattr(bound.op, "fused_activation_function", Activation.NONE))
    return None if algorithm is None or after is None else (algorithm, after)


class Chains:
    """Finds what follows the result of a node and nobody else reads."""

    def __init__(self, nodes: Sequence[BoundNode], leaving: AbstractSet[int], constants: AbstractSet[int]) -> None:
        self._nodes, self._leaving, self._constants = nodes, leaving, constants
        self._readers: dict[int, list[int]] = {}
        for position, bound in enumerate(nodes):
            for tensor in set(bound.node.inputs):
                self._readers.setdefault(tensor, []).append(position)
        self._made = {t: p for p, bound in enumerate(nodes) for t in bound.node.outputs}

    def only_maker(self, tensor: int) -> int | None:
        """The position of the node that makes a tensor which one node alone reads; None if there are others."""
        return None if tensor in self._leaving or len(self._readers[tensor]) > 1 else self._made.get(tensor)

    def maker(self, tensor: int) -> int | None:
        """The position of the node that makes a tensor; None for one from elsewhere."""
        return self._made.get(tensor)

    def readers(self, tensor: int) -> list[int]:
        """Positions of the nodes that read a tensor; none if it is wanted elsewhere, too."""
        return [] if tensor in self._leaving else self._readers.get(tensor, [])

    def links(self, position: int, head: Recipe, taken: AbstractSet[int]) -> list[Link]:
        """What can follow the node at `position`, one after the other; `taken`: positions that are part of a step."""
        found: list[Link] = []
        tensor, spec = self._nodes[position].node.outputs[0], self._nodes[position].outs[0]
        count = 0
        if not head.is_stored and spec.type is not TensorType.FLOAT32:
            return found
        while tensor not in self._leaving:
            link = self._next(tensor, spec, head)
            count += len(link.post_ops) if link else 0
            if link is None or count > MAX_POST_OPS or not taken.isdisjoint(link.nodes):
                break
            found.append(link)
            tensor, spec = link.result, self._nodes[link.nodes[-1]].outs[0]
        return found

    def _next(self, tensor: int, spec: TensorSpec, head: Recipe) -> Link | None:
        readers = self._readers.get(tensor, [])
        if len(readers) == 2:
            return self._swish(tensor, spec, readers, head)
        if len(readers) != 1:
            return None
        bound = self._nodes[readers[0]]
        if bound.outs[0].shape != spec.shape or not (is_stored(bound) if head.is_stored else is_float(bound)):
            return None
        if len(bound.node.inputs) > 1:
            return self._with_operand(bound, readers[0], tensor, spec, head)
        post = unary(bound)
        if post is None or (head.is_stored and bound.op.name not in STORED_FUNCTIONS):
            return None
        post_ops = of_real(spec, bound.outs[0], post) if head.is_stored else (post,)
        return Link((readers[0],), post_ops, None, bound.node.outputs[0])

    def _with_operand(
        self, bound: BoundNode, position: int, tensor: int, spec: TensorSpec, head: Recipe
    ) -> Link | None:
        kind, inputs, result = binary(bound), bound.node.inputs, bound.node.outputs[0]
        if isinstance(bound.op, Prelu) and not head.is_stored:
            post = slopes(bound, spec, head.order) if inputs[0] == tensor and head.abreast == 1 else None
            return None if post is None else Link((position,), (post,), inputs[1], result)
        if kind is None or len(inputs) != 2 or inputs[0] == inputs[1]:
            return None
        side = inputs.index(tensor)
        other = bound.ins[1 - side]
        if other is None or spec.shape is None or (side == 1 and bound.op.name not in _COMMUTES):
            return None
        is_fixed = head.abreast == 1 or other.shape == spec.shape or inputs[1 - side] in self._constants
        layout = repeated(other, spec.shape, head.order, head.abreast) if is_fixed else None
        if layout is None:
            return None
        post_ops: tuple[PostOp, ...] | None = (Binary(kind[0], layout), *kind[1])
        if head.is_stored:
            post_ops = added(bound, (spec, other), layout) if bound.op.name == "ADD" else None
        return None if post_ops is None else Link((position,), post_ops, inputs[1 - side], result)

    def _swish(self, tensor: int, spec: TensorSpec, readers: Sequence[int], head: Recipe) -> Link | None:
        """x * logistic(x)."""
        first, second = (self._nodes[p] for p in sorted(readers))
        gate, result = first.node.outputs[0], second.node.outputs[0]
        fits = first.op.name == "LOGISTIC" and second.op.name == "MUL" and set(second.node.inputs) == {tensor, gate}
        if not fits or gate in self._leaving or self._readers.get(gate) != [max(readers)]:
            return None
        kind = second.op.fused_activation_function  # type: ignore[attr-defined]
        after, swish = activation(kind), Eltwise(Algorithm.SWISH, 1.0)
        if not head.is_stored:
            post_ops = None if after is None or not is_float(first) else (swish, *after)
        else:
            is_plain = kind is Activation.NONE and is_stored(first) and is_stored(second)
            post_ops = of_real(spec, second.outs[0], swish) if is_plain else None
        return None if post_ops is None else Link(tuple(sorted(readers)), post_ops, None, result)


def slopes(bound: BoundNode, spec: TensorSpec, order: Sequence[int] | None) -> PreluSlopes | None:
    """PRELU as an operation: one slope for each channel, the last dimension."""
    alpha = bound.ins[1]
    if alpha is None or spec.shape is None or alpha.size != spec.shape[-1] or spec.shape[-1] == 1:
        return None
    channels = 1 if order is None else list(order).index(len(spec.shape) - 1)
    return PreluSlopes(Layout.of((spec.shape[-1],), np.float32), 1 << channels)


def is_float(bound: BoundNode) -> bool:
    """Whether a node has shapes known before the call and works on float32 alone."""
    specs = [s for s in (*bound.ins, *bound.outs) if s is not None]
    return len(bound.outs) == 1 and all(s.type is TensorType.FLOAT32 and s.shape is not None for s in specs)


def repeated(other: TensorSpec, shape: Sequence[int], order: Sequence[int] | None, abreast: int = 1) -> Layout | None:
    """The layout of an operand that is repeated to `shape`, which is taken in `order`; None if it is not.

    Without an order the shape is taken as rows of its last dimension, so many `abreast`.
    """
    assert other.shape is not None
    own = (1,) * (len(shape) - len(other.shape)) + other.shape
    if len(own) != len(shape) or any(n not in (1, whole) for n, whole in zip(own, shape, strict=True)):
        return None
    if order is None:
        rows, width = prod(own[:-1]), own[-1]
        if rows == 1:
            return Layout.of((1, width * abreast if width > 1 else 1), other.dtype)
        return Layout.of((rows // abreast, width * abreast), other.dtype) if own == tuple(shape) else None
    return None if _is_taken_wrongly(own, shape, order) else Layout.of(own, other.dtype, order)


def _is_taken_wrongly(own: Sequence[int], shape: Sequence[int], order: Sequence[int]) -> bool:
    """[1, c, 1, ...] as an operand of an operation after a binary primitive that makes [n, c, 1, ...], of whose rows
    all but the first get other elements (oneDNN 3.2)."""
    is_plain = list(order) == sorted(order)
    return is_plain and len(shape) > 2 and own[0] < shape[0] and 1 < own[1] == prod(shape[1:])
