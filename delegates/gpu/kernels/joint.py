"""FULLY_CONNECTED nodes side by side as one launch: the queries, keys and values of attention, say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ....interpreter.graph import ABSENT
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, pattern
from ..lowering import Site
from ..storage import halved
from ..tail import is_expressible
from ..views import views_of
from .depthwise import limits
from .library import is_large
from .products import Matrix, Product, Strides, launch
from .strided import product_ahead, scale_of


@pattern
def layers_of_one_input(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """Layers alike that read the same tensor, and whose results no tail takes."""
    bound = matcher.nodes[position]
    if not _fits(matcher, position):
        return None
    others = matcher.readers[bound.node.inputs[0]]
    alike = [
        p for p in others if p >= position and _fits(matcher, p) and _likeness(matcher.nodes[p]) == _likeness(bound)
    ]
    return (alike, Lowering(_lower, joint=True, half=True)) if len(alike) > 1 else None


def _fits(matcher: Matcher, position: int) -> bool:
    """Whether a node is a layer of float32 with constant, dense weights that no tail follows."""
    bound = matcher.nodes[position]
    op = bound.op
    if position in matcher.taken or not isinstance(op, FullyConnected) or op.is_quantized:
        return False
    if limits(op.fused_activation_function) is None or op.weights_spec.sparsity is not None:
        return False
    constants = [spec for spec in bound.ins[1:] if spec is not None]
    if any(spec.value is None or spec.dtype != np.float32 for spec in constants):
        return False
    return bound.outs[0].dtype == np.float32 and not _has_tail(matcher, bound)


def _has_tail(matcher: Matcher, bound: BoundNode) -> bool:
    """Whether an elementwise node would join the launch; one that scales an operand of a product joins that instead."""
    following = matcher.reader(bound.node.outputs[0])
    while following is not None and views_of(matcher.nodes[following]) is not None:
        following = matcher.reader(matcher.nodes[following].node.outputs[0])
    if following is None or not is_expressible(matcher.nodes[following]):
        return False
    return scale_of(matcher.nodes[following]) is None or product_ahead(matcher, following) is None


def _likeness(bound: BoundNode) -> object:
    """Equal for layers that one product can compute."""
    op = bound.op
    assert isinstance(op, FullyConnected)
    tensor, weights, *bias = bound.node.inputs
    has_bias = bool(bias) and bias[0] != ABSENT
    return tensor, bound.ins[1].shape if bound.ins[1] else weights, has_bias, op.fused_activation_function


def _lower(site: Site) -> str | None:
    first = site.nodes[0]
    op, x = first.op, site.ins[0]
    assert isinstance(op, FullyConnected)
    clamp = limits(op.fused_activation_function)
    assert clamp is not None
    if is_large(site.options, site.outs[0].size * site.ins[1].known_shape[-1]):
        return "each of its layers is a product for a library."
    if len({out.dtype for out in site.outs}) > 1:
        return "the results of its layers have types of their own."
    tag = "joint " + " ".join(str(bound.node.index) for bound in site.nodes)
    joined = _joined(site.nodes, 1)
    is_half = site.options.products == "fp16"
    weights = site.packed(1, f"{tag} {is_half}", lambda x: halved(joined(x)) if is_half else joined(x))
    has_bias = len(first.ins) > 2 and first.ins[2] is not None
    bias = site.packed(2, tag, _joined(site.nodes, 2)) if has_bias else None
    count, units, depth = weights.shape or ()
    rows = site.outs[0].size // units
    whole = site.scratch((count, rows, units), site.out.dtype)
    site.outs = tuple(whole.reshaped(out.shape or (), skip=i * rows * units) for i, out in enumerate(site.outs))
    if rows == 1:
        count, units = 1, count * units
    return launch(
        site,
        Product(
            rows=rows, columns=units, depth=depth, inner=count, a=Matrix(x, Strides(depth)),
            b=Matrix(weights, Strides(depth, inner=units * depth if count > 1 else 0)),
            out=Strides(units, inner=rows * units if count > 1 else 0), limits=clamp, bias=bias, bias_step=units,
        ),
    )  # fmt: skip


def _joined(nodes: Sequence[BoundNode], position: int) -> Callable[[np.ndarray], np.ndarray]:
    """Stacks a constant operand of all the nodes."""

    def pack(_: np.ndarray) -> np.ndarray:
        specs = [bound.ins[position] for bound in nodes]
        return np.stack([spec.value for spec in specs if spec is not None and spec.value is not None])

    return pack
