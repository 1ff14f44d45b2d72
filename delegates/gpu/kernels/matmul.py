"""FULLY_CONNECTED and BATCH_MATMUL of float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....interpreter.graph import Shape
from ....interpreter.ops.matmul import BatchMatMul, FullyConnected
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, lowers, pattern
from ..lowering import Site
from ..storage import are_single
from ..views import views_of
from ..walk import Walk, dense
from .depthwise import limits
from .products import Matrix, Product, Strides, launch, weights_of
from .stacks import Layer, operand_at, stacked
from .strided import Reach, product_ahead, reach, spread

UNLIMITED = np.float32(-np.inf), np.float32(np.inf)


@lowers(FullyConnected, tail=True, half=True)
def fully_connected(site: Site) -> str | None:
    operands: tuple[Any, ...] = (*site.ins, None)
    x, weights, bias, *_ = operands
    clamp = limits(site.op.fused_activation_function)
    if clamp is None:
        return "its activation has no kernel."
    if not are_single(*site.nodes[0].ins):
        return "its element type has no kernel."
    if site.op.weights_spec.sparsity is not None:
        return "its weights are sparse."
    units, depth = weights.shape
    rows = math.prod(site.op.shape(x.shape, (units, depth))[:-1])
    product = Product(
        rows=rows, columns=units, depth=depth, a=Matrix(x, Strides(depth)), b=Matrix(weights, Strides(depth)),
        packed=lambda: weights_of(site, 1), out=Strides(units), limits=clamp, bias=bias,
    )  # fmt: skip
    return launch(site, product)


@lowers(BatchMatMul, tail=True, half=True)
def batch_matmul(site: Site) -> str | None:
    bound = site.nodes[0]
    x, y = (Reach(t, Walk(dense(_shape(bound, p)))) for p, t in enumerate(bound.node.inputs))
    return _launch_batch(site, bound, x, y, Walk(dense(bound.outs[0].shape or ())))


@pattern
def moved_batch_matmul(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """BATCH_MATMUL with what only transposes its operands and its result."""
    product = product_ahead(matcher, position)
    if product is None or product in matcher.taken:
        return None
    bound = matcher.nodes[product]
    x, y = (reach(matcher, t, _shape(bound, p), position) for p, t in enumerate(bound.node.inputs))
    after, out = spread(matcher, product)
    members = {*x.positions, *y.positions, product, *after}
    moving = [p for p in members if p != product and views_of(matcher.nodes[p]) is None]
    if min(members) != position or not moving or not matcher.stays(members):
        return None

    def lower(site: Site) -> str | None:
        return _launch_batch(site, bound, x, y, out)

    return sorted(members), Lowering(lower, tail=True, half=True)


def _launch_batch(site: Site, bound: BoundNode, x: Reach, y: Reach, out: Walk) -> str | None:
    """Emit a BATCH_MATMUL whose operands and result lie as they do."""
    op = bound.op
    assert isinstance(op, BatchMatMul)
    operands = [operand_at(site.tensor(r.tensor), r.walk) for r in (x, y)]
    if not are_single(*bound.ins):
        return "its element types have no kernel."
    *batch, rows, columns = bound.outs[0].shape or ()
    shape = tuple(batch)
    stack = stacked([Layer(x.walk, shape, op.adj_x), Layer(y.walk, shape, not op.adj_y), Layer(out, shape)])
    if stack is None:
        return "its batch dimensions are broadcast in more than two runs."
    a, b = (Matrix(o, s) for o, s in zip(operands, stack.strides, strict=False))
    product = Product(
        rows=rows, columns=columns, depth=_shape(bound, 0)[-2 if op.adj_x else -1], a=a, b=b, out=stack.strides[2],
        outer=stack.outer, inner=stack.inner, limits=UNLIMITED,
    )  # fmt: skip
    return launch(site, product)


def _shape(bound: BoundNode, position: int) -> Shape:
    spec = bound.ins[position]
    assert spec is not None
    assert spec.shape is not None
    return spec.shape
