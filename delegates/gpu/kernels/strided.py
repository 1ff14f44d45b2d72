"""Operands of products by way of the nodes that only moved them: transposed or cut out where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ....interpreter.ops.arithmetic import Mul
from ....interpreter.ops.base import Activation
from ....interpreter.ops.matmul import BatchMatMul
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Matcher
from ..walk import Dims, Walk, dense, walks_of

MAX_CHAIN = 8
"""Nodes that are looked through, one after another."""


def shaped(walk: Walk, shape: Sequence[int]) -> Walk | None:
    """A walk in other dimensions, with the same elements in the same order; None where one has no single stride."""
    return composed(Walk(dense(shape)), walk)


def composed(outer: Walk, inner: Walk) -> Walk | None:
    """What `outer` gives of the result of `inner`, as a walk over the operand of `inner`.

    It has the dimensions of `outer`; None where one of them has no single stride.
    """
    digits = _digits(inner)
    start, dims = inner.start, []
    firsts: list[int] = []
    left = outer.start
    for size, stride, weight in digits:
        firsts.append(left // weight)
        start += left // weight * stride
        left %= weight
        assert firsts[-1] < max(size, 1)
    used = [0] * len(digits)
    for size, stride in outer.dims:
        parts = [] if size == 1 or stride == 0 else _parts(size, stride, digits)
        if parts is None:
            return None
        for place, count, step in parts:
            used[place] += (count - 1) * step
        dims.append((size, _single([(n, step * digits[place][1]) for place, n, step in parts])))
    is_inside = all(first + reach < size for first, reach, (size, _, _) in zip(firsts, used, digits, strict=True))
    strides = [stride for _, stride in dims]
    if not is_inside or None in strides:
        return None
    return Walk([(size, stride or 0) for size, stride in dims], start)


def _digits(walk: Walk) -> list[tuple[int, int, int]]:
    """(size, stride, how many elements of the result one step is) of each dimension, outermost first."""
    dims = walk.merged.dims
    return [(size, stride, prod(n for n, _ in dims[i + 1 :])) for i, (size, stride) in enumerate(dims)]


def _parts(size: int, stride: int, digits: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]] | None:
    """`size` steps of `stride` elements as (digit, count, step), outermost first; None if they do not fit."""
    parts: list[tuple[int, int, int]] = []
    for place in reversed(range(len(digits))):
        count, _, weight = digits[place]
        if stride >= weight * count:
            continue
        if stride % weight:
            return None
        step = stride // weight
        whole = count // step
        if size <= whole:
            return [(place, size, step), *parts]
        if count % step or size % whole:
            return None
        parts.insert(0, (place, whole, step))
        size, stride = size // whole, weight * count
    return None


def _single(parts: Dims) -> int | None:
    """The stride of all dimensions as one; None if they have none."""
    merged = Walk(parts).merged.dims
    if len(merged) > 1:
        return None
    return merged[0][1] if merged else 0


def inverse(walk: Walk) -> Walk | None:
    """Of a walk that takes each element of its operand once: how the operand's elements lie in the result."""
    places = dense([size for size, _ in walk.dims])
    pairs = sorted(((stride, size, place) for (size, stride), (_, place) in zip(walk.dims, places, strict=True)
                    if size > 1), reverse=True)  # fmt: skip
    expected = dense([size for _, size, _ in pairs])
    if walk.start or [stride for stride, _, _ in pairs] != [stride for _, stride in expected]:
        return None
    return Walk([(size, place) for _, size, place in pairs])


class Reach(NamedTuple):
    """A tensor in terms of one that other nodes moved it from."""

    tensor: int
    walk: Walk  # over `tensor`
    positions: tuple[int, ...] = ()  # of the nodes that are looked through
    factor: float = 1.0  # by which they multiply


def reach(matcher: Matcher, tensor: int, shape: Sequence[int], first: int, *, scaled: bool = False) -> Reach:
    """Looks through the nodes from position `first` on that make `tensor` by moving elements, for one reader alone.

    scaled: also through products with a constant.
    """
    found = Reach(tensor, Walk(dense(shape)))
    while len(found.positions) < MAX_CHAIN:
        position = matcher.makers.get(found.tensor)
        if position is None or position < first or position in matcher.taken or matcher.reader(found.tensor) is None:
            break
        bound = matcher.nodes[position]
        factor = scale_of(bound) if scaled else None
        if factor is not None:
            number, operand = factor
            following = Reach(
                bound.node.inputs[operand], found.walk, (position, *found.positions), found.factor * number
            )
        else:
            moves = walks_of(bound) if len(bound.outs) == 1 else None
            walk = composed(found.walk, moves[0]) if moves else None
            if moves is None or walk is None:
                break
            following = Reach(bound.node.inputs[moves[0].position], walk, (position, *found.positions), found.factor)
        found = following
    return found


def scale_of(bound: BoundNode) -> tuple[float, int] | None:
    """(factor, position of the other operand) of a node that multiplies float32 by a constant number; else None."""
    if not isinstance(bound.op, Mul) or bound.op.fused_activation_function is not Activation.NONE:
        return None
    if bound.outs[0].dtype != np.float32:
        return None
    for constant, other in ((1, 0), (0, 1)):
        spec, whole = bound.ins[constant], bound.ins[other]
        if spec is None or whole is None or spec.value is None or np.size(spec.value) != 1:
            continue
        if whole.shape == bound.outs[0].shape:
            return float(np.asarray(spec.value).reshape(())), other
    return None


def spread(matcher: Matcher, position: int) -> tuple[tuple[int, ...], Walk]:
    """Positions of the nodes after this one that only move its result, and how that lies in what the last one makes."""
    bound = matcher.nodes[position]
    shape = bound.outs[0].shape or ()
    walk = back = Walk(dense(shape))
    positions: tuple[int, ...] = ()
    while len(positions) < MAX_CHAIN:
        following = matcher.reader(bound.node.outputs[0])
        if following is None or following in matcher.taken:
            break
        bound = matcher.nodes[following]
        moves = walks_of(bound) if len(bound.outs) == 1 else None
        onward = composed(moves[0], walk) if moves else None
        turned = None if onward is None else inverse(onward)
        turned = None if turned is None else shaped(turned, shape)
        if onward is None or turned is None:
            break
        walk, back, positions = onward, turned, (*positions, following)
    return positions, back


def product_ahead(matcher: Matcher, position: int) -> int | None:
    """The position of the BATCH_MATMUL that a node's result goes to, by way of nodes that move or scale it."""
    for _ in range(MAX_CHAIN):
        bound = matcher.nodes[position]
        if isinstance(bound.op, BatchMatMul):
            return position
        is_followed = len(bound.outs) == 1 and (walks_of(bound) is not None or scale_of(bound) is not None)
        following = matcher.reader(bound.node.outputs[0]) if is_followed else None
        if following is None:
            return None
        position = following
    return None
