"""CONV_2D and TRANSPOSE_CONV of float32, as products with windows of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.arithmetic import Mul
from ....interpreter.ops.base import Activation
from ....interpreter.ops.conv import Conv2D, TransposeConv
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, lowers, pattern
from ..listing import Operand
from ..lowering import Site
from ..storage import are_single
from .depthwise import limits
from .geometry import takes_margins
from .products import Matrix, Product, Strides, Window, launch, weights_of


@lowers(Conv2D, tail=True, half=True)
def conv_2d(site: Site) -> str | None:
    bound = site.nodes[0]
    x, weights, *_ = site.ins
    rows, columns = bound.op.axes(x.shape, weights.shape)  # type: ignore[attr-defined]
    return launch_conv(site, bound, x, (rows.before, columns.before))


@takes_margins(Conv2D)
def launch_conv(
    site: Site, bound: BoundNode, x: Operand, before: tuple[int, int], scales: Operand | None = None
) -> str | None:
    """Emit a CONV_2D of `x` that starts `before` rows and columns outside of it; `bound`, the node, ends the head.

    scales: factors of the input's channels, [n, 1, 1, c], of a convolution that `is_pointwise`.
    """
    op, shape = bound.op, bound.outs[0].shape
    _, weights, bias = (*site.operands(bound), None)[:3]
    assert isinstance(op, Conv2D)
    assert shape is not None
    assert x.shape is not None
    assert weights.shape is not None
    refusal, clamp = _refusal(x, *bound.ins), limits(op.fused_activation_function)
    if refusal or clamp is None:
        return refusal or "its activation has no kernel."
    filters, height, width, taken = weights.shape
    groups, depth, pixels = x.shape[3] // taken, height * width * taken, shape[1] * shape[2]
    per_group = filters // groups
    window = None
    if groups > 1 or not is_pointwise(bound) or any(before):
        steps = op.stride_h, op.stride_w, op.dilation_h_factor, op.dilation_w_factor
        window = Window._make((*x.shape[1:], taken, *shape[1:3], width, *steps, *before))
    product = Product(
        rows=shape[0] * pixels, columns=per_group, depth=depth, inner=groups, limits=clamp, bias=bias,
        bias_step=per_group, a=Matrix(x, Strides(x.shape[3], inner=taken)),
        b=Matrix(weights, Strides(depth, inner=per_group * depth)), packed=lambda: weights_of(site, 1, bound),
        out=Strides(filters, inner=per_group), window=window, scales=scales, pixels=pixels,
    )  # fmt: skip
    return launch(site, product)


@pattern
def scaled_convolution(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """MUL of images with one factor for each channel, then a pointwise CONV_2D that alone reads it."""
    bound = matcher.nodes[position]
    order = _image_and_factors(bound)
    reader = None if order is None else matcher.reader(bound.node.outputs[0])
    convolution = None if reader is None else matcher.nodes[reader]
    if order is None or reader is None or convolution is None or not isinstance(convolution.op, Conv2D):
        return None
    filters = convolution.ins[1]
    is_whole = (
        filters is not None and filters.shape is not None and filters.shape[3:] == (bound.outs[0].shape or ())[3:]
    )
    if convolution.node.inputs[0] != bound.node.outputs[0] or not is_whole or not is_pointwise(convolution):
        return None

    def lower(site: Site) -> str | None:
        image, factors = (site.ins[p] for p in order)
        return launch_conv(site, convolution, image, (0, 0), factors)

    return (position, reader), Lowering(lower, tail=True, half=True)


def _image_and_factors(bound: BoundNode) -> tuple[int, int] | None:
    """Positions of the operands of a product of float images [n, h, w, c] and factors [n, 1, 1, c]; None for others."""
    op = bound.op
    if not isinstance(op, Mul) or op.fused_activation_function is not Activation.NONE:
        return None
    if bound.outs[0].dtype != np.float32:
        return None
    shapes = [(s.shape if s is not None else None) or () for s in bound.ins]
    for image, factors in ((0, 1), (1, 0)):
        shape = shapes[image]
        if len(shape) == 4 and shapes[factors] == (shape[0], 1, 1, shape[3]) != shape:
            return image, factors
    return None


def is_pointwise(bound: BoundNode) -> bool:
    """Whether a CONV_2D reads one pixel for each that it makes, in the same place."""
    op, filters = bound.op, bound.ins[1]
    assert isinstance(op, Conv2D)
    assert filters is not None
    assert filters.shape is not None
    return filters.shape[1:3] == (1, 1) and op.stride_h == op.stride_w == 1


@lowers(TransposeConv, tail=True, half=True)
def transpose_conv(site: Site) -> str | None:
    operands: tuple[Any, ...] = (*site.ins, None)
    _, weights, x, bias, *_ = operands
    shape: tuple[int, ...] = site.out.shape or ()
    refusal, clamp = _refusal(x, *site.nodes[0].ins[1:]), limits(site.op.fused_activation_function)
    if refusal or clamp is None:
        return refusal or "its activation has no kernel."
    filters, height, width, taken = weights.shape
    rows, columns = site.op.axes(shape, weights.shape)
    steps = site.op.stride_h, site.op.stride_w, 1, 1
    before = rows.before, columns.before
    window = Window._make((*x.shape[1:], taken, *shape[1:3], width, *steps, *before))
    depth = height * width * taken
    product = Product(
        rows=shape[0] * shape[1] * shape[2], columns=filters, depth=depth, limits=clamp, bias=bias,
        a=Matrix(x, Strides(0)), b=Matrix(weights, Strides(depth)), packed=lambda: weights_of(site, 1),
        out=Strides(filters), window=window, transposed=True,
    )  # fmt: skip
    return launch(site, product)


def _refusal(x: Operand, *specs: TensorSpec | None) -> str | None:
    if not are_single(*specs):
        return "its element type has no kernel."
    if x.shape is None or not x.size:
        return "its input has no elements."
    return None
