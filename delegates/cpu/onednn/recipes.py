"""How a node becomes a primitive: its operands, its constants, and what it can be built with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TypeAlias

import numpy as np

from ....interpreter.graph import TensorSpec, TensorType
from ....interpreter.ops.activation import Prelu
from ....interpreter.ops.arithmetic import Add, Mul, SquaredDifference, Sub
from ....interpreter.ops.base import Activation
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D, TransposeConv
from ....interpreter.ops.matmul import BatchMatMul, FullyConnected
from ....interpreter.ops.padding import Pad
from ....interpreter.ops.pool import AveragePool2D, MaxPool2D
from ....interpreter.ops.reduction import Mean
from ....interpreter.ops.resize import ResizeBilinear
from ....interpreter.ops.shared.windows import Axes
from ....interpreter.ops.softmax import Softmax
from ....interpreter.runtime.delegate import BoundNode
from . import primitive as p
from . import stored
from .binding import Algorithm, Arg, Library
from .epilogue import STORED_FUNCTIONS, activation, binary, is_float, repeated, unary
from .primitive import Attributes, Layout, Primitive
from .products import Kind, Product
from .recipe import Constants, Operands, Padding, Recipe
from .reductions import IMAGE, mean
from .scales import BYTES, is_stored
from .stored import MAX_RANK
from .turned import Turned

Maker: TypeAlias = Callable[[BoundNode, Constants], "Recipe | None"]

RECIPES: dict[type, Maker] = {}

FEW = 4
"""Channels of an image of bytes with which the operations after a convolution take longer than on their own."""


def padding_of(bound: BoundNode, constants: Constants) -> Padding | None:
    """What a node pads an image with, if that is zeros."""
    source, pads = bound.ins[0], constants.get(bound.node.inputs[1]) if len(bound.node.inputs) > 1 else None
    if type(bound.op) is not Pad or len(bound.node.inputs) != 2 or source is None or pads is None:
        return None
    if source.shape is None or len(source.shape) != 4 or pads[[0, 3]].any() or (pads < 0).any():
        return None
    (top, bottom), (left, right) = pads[1:3].tolist()
    return Padding(bound.node.inputs[0], source, (top, left), (bottom, right))


def recipe(bound: BoundNode, constants: Constants, padding: Padding | None = None) -> Recipe | None:
    """How to run a node, a convolution with `padding` before it, as a primitive; None where that is not possible."""
    if any(spec is not None and (spec.shape is None or 0 in spec.shape) for spec in (*bound.ins, *bound.outs)):
        return None
    if isinstance(bound.op, Conv2D | DepthwiseConv2D):
        return _convolution(bound, constants, padding)
    make = RECIPES.get(type(bound.op))
    if make is not None:
        return make(bound, constants)
    if is_float(bound):
        return _elementwise(bound, constants)
    return _function(bound) if bound.op.name in STORED_FUNCTIONS and is_stored(bound) else None


def _window(axes: Axes, padding: Padding | None = None) -> p.Window:
    before, after = ((0, 0), (0, 0)) if padding is None else (padding.before, padding.after)
    return p.Window(
        tuple(a.stride for a in axes),
        tuple(a.dilation - 1 for a in axes),
        tuple(a.before + n for a, n in zip(axes, before, strict=True)),
        tuple(a.after + n for a, n in zip(axes, after, strict=True)),
    )


def _image(spec: TensorSpec) -> Layout:
    assert spec.shape is not None
    return Layout.of(spec.shape, spec.dtype, IMAGE)


def _convolution(bound: BoundNode, constants: Constants, padding: Padding | None) -> Recipe | None:
    product, op = Product.of(bound, constants), bound.op
    if product is None or (after := product.post_ops) is None:
        return None
    assert isinstance(op, Conv2D | DepthwiseConv2D)
    assert product.src.shape is not None
    weights = _filters(op, product)
    window = _window(op.axes(product.src.shape, product.weights.shape), padding)
    if padding is None and _is_row(product, window):
        return _by_rows(bound, product)
    tensor, spec = (bound.node.inputs[0], product.src) if padding is None else (padding.tensor, padding.spec)
    if product.by_row:
        return None
    product = replace(product, adds_all=not any((*window.before, *window.after)))
    src, dst = Layout.of(spec.shape or (), product.stored_type, IMAGE), _image(product.dst)
    values = product.constants(weights, (product.channels,))
    bias = values[Arg.BIAS].layout if Arg.BIAS in values else None

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.convolution(library, src, weights.packed, bias, dst, window, attributes)

    scales, derived = product.scales(1 if len(weights.shape) == 4 else 3), product.derived(tensor, src)
    operands: Operands = {} if derived else {Arg.SRC: tensor}
    result, is_slow = bound.node.outputs[0], product.kind is Kind.STORED and src.shape[1] <= FEW
    return Recipe(
        build, operands, result, IMAGE, after, values, scales, product.zero_points, derived, chains=not is_slow,
        is_stored=product.is_stored,
    )  # fmt: skip


def _is_row(product: Product, window: p.Window) -> bool:
    """Whether a convolution multiplies all channels of the one pixel of each image with a matrix. As a matrix product
    that takes a third of the time."""
    sizes = (*(product.src.shape or ())[1:3], *product.weights.shape[1:3])
    is_whole = isinstance(product.op, Conv2D) and product.kind is not Kind.HYBRID and set(sizes) == {1}
    return (
        is_whole
        and product.weights.shape[3] * product.rows == product.src.size
        and not any((*window.before, *window.after))
    )


def _filters(op: Conv2D | DepthwiseConv2D, product: Product) -> Layout:
    """[out, in, h, w], or [groups, out, in, h, w]."""
    assert product.src.shape is not None
    channels, kind = product.src.shape[3], product.weights.dtype
    if isinstance(op, DepthwiseConv2D):
        _, height, width, filters = product.weights.shape
        return Layout.of((1, height, width, channels, filters // channels), kind, (3, 4, 0, 1, 2))
    filters, height, width, depth = product.weights.shape
    groups = channels // depth
    if groups == 1:
        return Layout.of(product.weights.shape, kind, IMAGE)
    return Layout.of((groups, filters // groups, height, width, depth), kind, (0, 1, 4, 2, 3))


def _transpose_conv(bound: BoundNode, constants: Constants) -> Recipe | None:
    product, op = Product.of(bound, constants), bound.op
    if product is None or (after := product.post_ops) is None:
        return None
    assert isinstance(op, TransposeConv)
    assert product.src.shape is not None
    assert product.dst.shape is not None
    axes = op.axes(product.dst.shape, product.weights.shape)
    sizes = product.src.shape[1:3]
    ends = tuple((n - 1) * a.stride + a.span - a.before - a.size for n, a in zip(sizes, axes, strict=True))
    window = replace(_window(axes), after=ends)
    if product.by_row:
        return None
    src, dst = Layout.of(product.src.shape, product.stored_type, IMAGE), _image(product.dst)
    weights = Layout.of(product.weights.shape, product.weights.dtype, IMAGE)
    values = product.constants(weights, (product.channels,))
    bias = values[Arg.BIAS].layout if Arg.BIAS in values else None

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.deconvolution(library, src, weights.packed, bias, dst, window, attributes)

    tensor, result = bound.node.inputs[op.positions[0]], bound.node.outputs[0]
    derived = product.derived(tensor, src)
    operands: Operands = {} if derived else {Arg.SRC: tensor}
    return Recipe(
        build,
        operands,
        result,
        IMAGE,
        after,
        values,
        product.scales(1),
        product.zero_points,
        derived,
        is_stored=product.is_stored,
    )


def _fully_connected(bound: BoundNode, constants: Constants) -> Recipe | None:
    product = Product.of(bound, constants)
    return None if product is None or (product.by_row and product.is_asymmetric) else _by_rows(bound, product)


def _by_rows(bound: BoundNode, product: Product) -> Recipe | None:
    """Rows of numbers times a matrix."""
    if (after := product.post_ops) is None:
        return None
    product, units = replace(product, adds_all=True), product.channels
    depth = product.weights.size // units
    src = Layout.of((product.rows, depth), product.stored_type)
    dst = Layout.of((product.rows, units), product.dst.dtype)
    weights = Layout.of((units, depth), product.weights.dtype, (1, 0))
    values = product.constants(weights, (1, units))
    bias = values[Arg.BIAS].layout if Arg.BIAS in values else None

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.matmul(library, src, weights.packed, bias, dst, attributes)

    tensor, result = bound.node.inputs[0], bound.node.outputs[0]
    derived = product.derived(tensor, src)
    operands: Operands = {} if derived else {Arg.SRC: tensor}
    return Recipe(
        build,
        operands,
        result,
        None,
        after,
        values,
        product.scales(2),
        product.zero_points,
        derived,
        is_stored=product.is_stored,
    )


def batch_matmul(bound: BoundNode, constants: Constants, turned: Turned | None = None) -> Recipe | None:
    """`turned`: operands, and perhaps the result, that are read and written as other tensors."""
    op = bound.op
    assert isinstance(op, BatchMatMul)
    a, b = bound.ins[:2]
    if a is None or b is None or bound.node.inputs[1] in constants or not a.shape:
        return None
    rank = len(a.shape)
    if len(b.shape or ()) != rank or rank > 5 or a.shape[:-2] != (b.shape or ())[:-2]:
        return None
    order = tuple(range(rank))

    def lies(tensor: int, spec: TensorSpec, is_adjoint: bool = False) -> tuple[int, Layout]:
        own, shape, axes = (turned or {}).get(tensor, (tensor, spec.shape or (), order))
        return own, Layout.of(shape, spec.dtype, (*axes[:-2], axes[-1], axes[-2]) if is_adjoint else axes)

    left, src = lies(bound.node.inputs[0], a, op.adj_x)
    right, weights = lies(bound.node.inputs[1], b, op.adj_y)
    result, dst = lies(bound.node.outputs[0], bound.outs[0])
    if not is_float(bound):
        return stored.product(bound, src, weights, dst, (0, 1))

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.matmul(library, src, weights, None, dst, attributes)

    return Recipe(build, {Arg.SRC: left, Arg.WEIGHTS: right}, result, order, chains=result == bound.node.outputs[0])


def _pool(bound: BoundNode, constants: Constants) -> Recipe | None:
    op, source = bound.op, bound.ins[0]
    assert isinstance(op, AveragePool2D | MaxPool2D)
    after = activation(op.fused_activation_function)
    if after is None or source is None or source.shape is None:
        return None
    is_stored = source.type in BYTES and isinstance(op, MaxPool2D) and not after
    if not is_float(bound) and not is_stored:
        return None
    axes = op.axes(source.shape)
    algorithm = Algorithm.POOL_MAX if isinstance(op, MaxPool2D) else Algorithm.POOL_AVERAGE
    src, dst, window = _image(source), _image(bound.outs[0]), _window(axes)

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.pooling(library, algorithm, src, dst, op.window, window, attributes)

    return Recipe(build, {Arg.SRC: bound.node.inputs[0]}, bound.node.outputs[0], IMAGE, after)


def _prelu(bound: BoundNode, constants: Constants) -> Recipe | None:
    shape, alpha = bound.outs[0].shape, bound.ins[1]
    if not is_float(bound) or alpha is None or not shape or len(shape) > MAX_RANK:
        return None
    order = tuple(range(len(shape)))
    layout, slopes = Layout.of(shape, np.float32), repeated(alpha, shape, order)
    if slopes is None:
        return None

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.prelu(library, layout, slopes, layout)

    operands: Operands = {Arg.SRC: bound.node.inputs[0], Arg.WEIGHTS: bound.node.inputs[1]}
    return Recipe(build, operands, bound.node.outputs[0], None, chains=False)


def _resize(bound: BoundNode, constants: Constants) -> Recipe | None:
    op, source = bound.op, bound.ins[0]
    assert isinstance(op, ResizeBilinear)
    kinds = {source.type, bound.outs[0].type} if source is not None else set()
    if source is None or kinds != {TensorType.FLOAT32} or not op.half_pixel_centers:
        return None
    src, dst = _image(source), _image(bound.outs[0])

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.resampling(library, Algorithm.RESAMPLING_LINEAR, src, dst, attributes)

    return Recipe(build, {Arg.SRC: bound.node.inputs[0]}, bound.node.outputs[0], IMAGE)


def _softmax(bound: BoundNode, constants: Constants) -> Recipe | None:
    op, shape = bound.op, bound.outs[0].shape
    assert isinstance(op, Softmax)
    if not is_float(bound):
        return stored.softmax(bound)
    if op.beta != 1 or not shape or len(shape) > MAX_RANK:
        return None
    layout = Layout.of(shape, np.float32)

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.softmax(library, layout, layout, len(shape) - 1, attributes)

    return Recipe(build, {Arg.SRC: bound.node.inputs[0]}, bound.node.outputs[0], None, chains=False)


def _additive(bound: BoundNode, constants: Constants) -> Recipe | None:
    if is_float(bound):
        return _elementwise(bound, constants)
    return stored.additive(bound, constants) if is_stored(bound) else None


def _mul(bound: BoundNode, constants: Constants) -> Recipe | None:
    if (outer := _outer(bound)) is not None:
        return outer
    if is_float(bound):
        return _elementwise(bound, constants)
    return stored.mul(bound, constants) if is_stored(bound) else None


def _outer(bound: BoundNode) -> Recipe | None:
    """MUL of a column of numbers, one a row, with a row: a matrix product."""
    op, shape = bound.op, bound.outs[0].shape
    assert isinstance(op, Mul)
    if op.fused_activation_function is not Activation.NONE or not shape or len(shape) < 2:
        return None
    rows, width = prod(shape[:-1]), shape[-1]
    (a, b), whole = bound.ins, (*shape[:-1], 1)
    if a is None or b is None or min(rows, width) == 1 or whole not in (a.shape, b.shape):
        return None
    column = 0 if a.shape == whole else 1
    row = bound.ins[1 - column]
    if row is None or row.size != width or not row.shape or row.shape[-1] != width:
        return None
    src, weights, dst = (Layout.of(sizes, a.dtype) for sizes in ((rows, 1), (1, width), (rows, width)))
    if not is_float(bound):
        return stored.product(bound, src, weights, dst, (column, 1 - column))

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.matmul(library, src, weights, None, dst, attributes)

    operands: Operands = {Arg.SRC: bound.node.inputs[column], Arg.WEIGHTS: bound.node.inputs[1 - column]}
    return Recipe(build, operands, bound.node.outputs[0], None)


def _squared_difference(bound: BoundNode, constants: Constants) -> Recipe | None:
    if is_float(bound):
        return stored.pairwise(bound, Algorithm.SUB, (p.Eltwise(Algorithm.SQUARE),), constants)
    return stored.squared_difference(bound, constants) if is_stored(bound) else None


def _function(bound: BoundNode) -> Recipe | None:
    operation = unary(bound)
    return None if operation is None or not bound.outs[0].shape else stored.unary(bound, operation)


def _elementwise(bound: BoundNode, constants: Constants) -> Recipe | None:
    shape = bound.outs[0].shape
    if not shape or len(shape) > MAX_RANK:
        return None
    order, dst = tuple(range(len(shape))), Layout.of(shape, np.float32)
    inputs, result = bound.node.inputs, bound.node.outputs[0]
    first = unary(bound)
    if first is not None and len(inputs) == 1:
        build = lambda library, attributes: p.eltwise(library, first, dst, dst, attributes)  # noqa: E731
        return Recipe(build, {Arg.SRC: inputs[0]}, result, order)
    kind = binary(bound)
    if kind is None or len(inputs) != 2:
        return None
    return stored.pairwise(bound, *kind, constants)


RECIPES.update({
    Add: _additive,
    AveragePool2D: _pool,
    BatchMatMul: batch_matmul,
    FullyConnected: _fully_connected,
    MaxPool2D: _pool,
    Mean: mean,
    Mul: _mul,
    Prelu: _prelu,
    ResizeBilinear: _resize,
    Softmax: _softmax,
    SquaredDifference: _squared_difference,
    Sub: _additive,
    TransposeConv: _transpose_conv,
})  # fmt: skip
