"""Means as primitives: windows that cover an image, and products with ones."""

from __future__ import annotations

from math import prod

import numpy as np

from ....interpreter.graph import TensorSpec, TensorType
from ....interpreter.ops.reduction import Mean
from ....interpreter.ops.shared.products import quantization, zero_point
from ....interpreter.runtime.delegate import BoundNode
from . import primitive as p
from .binding import Algorithm, Arg, Library
from .epilogue import clip, is_float
from .primitive import Attributes, Layout, PostOp, Primitive
from .recipe import Constant, Constants, Operands, Recipe, vector

IMAGE = (0, 3, 1, 2)
"""oneDNN's order of the dimensions of [n, h, w, c]."""


def mean(bound: BoundNode, constants: Constants) -> Recipe | None:
    """MEAN over dimensions that lie beside each other."""
    source, axes = bound.ins[0], constants.get(bound.node.inputs[1])
    if source is None or not source.shape or axes is None or not axes.size:
        return None
    over = sorted({int(axis) % len(source.shape) for axis in axes.reshape(-1)})
    kinds = {source.type, bound.outs[0].type}
    if len(over) != over[-1] - over[0] + 1 or kinds not in ({TensorType.FLOAT32}, {TensorType.INT8}):
        return None
    if kinds == {TensorType.FLOAT32} and over == [1, 2] and len(source.shape) == 4:
        return _of_images(bound, source)
    return _of_rows(bound, source, over)


def _of_images(bound: BoundNode, source: TensorSpec) -> Recipe:
    """Over the rows and columns: one window."""
    assert source.shape is not None
    batch, height, width, channels = source.shape
    src = Layout.of(source.shape, source.dtype, IMAGE)
    dst = Layout.of((batch, 1, 1, channels), np.float32, IMAGE)
    window = p.Window((1, 1), (0, 0), (0, 0), (0, 0))

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.pooling(library, Algorithm.POOL_AVERAGE, src, dst, (height, width), window, attributes)

    return Recipe(build, {Arg.SRC: bound.node.inputs[0]}, bound.node.outputs[0], None, chains=False)


def _of_rows(bound: BoundNode, source: TensorSpec, over: list[int]) -> Recipe:
    """A product with ones: of [before, over, after], or where nothing comes after, of [before, over]."""
    assert source.shape is not None
    shape, op = source.shape, bound.op
    assert isinstance(op, Mean)
    before, count, after = prod(shape[: over[0]]), prod(shape[over[0] : over[-1] + 1]), prod(shape[over[-1] + 1 :])
    kind = source.dtype
    if after == 1:
        values, ones = Layout.of((before, count), kind), np.ones((count, 1), kind)
        dst, names = Layout.of((before, 1), kind), (Arg.SRC, Arg.WEIGHTS)
    else:
        values, ones = Layout.of((before, count, after), kind), np.ones((before, 1, count), kind)
        dst, names = Layout.of((before, 1, after), kind), (Arg.WEIGHTS, Arg.SRC)
    layouts = {names[0]: values, names[1]: Layout.of(ones.shape, kind)}
    factor, post_ops = _rescaling(bound, source, count)

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.matmul(library, layouts[Arg.SRC], layouts[Arg.WEIGHTS], None, dst, attributes)

    operands: Operands = {names[0]: bound.node.inputs[0]}
    fixed = {int(names[1]): Constant(ones, layouts[names[1]]), Arg.SCALES | Arg.WEIGHTS: vector(np.array([factor]))}
    chains = op.keep_dims and after == 1
    return Recipe(build, operands, bound.node.outputs[0], None, post_ops, fixed, scales={Arg.WEIGHTS: 0}, chains=chains)


def _rescaling(bound: BoundNode, source: TensorSpec, count: int) -> tuple[np.float32, tuple[PostOp, ...]]:
    """What a sum of `count` elements is multiplied with, and what follows."""
    if is_float(bound) or source.quantization is None:
        return np.float32(1 / count), ()
    result = bound.outs[0]
    factor = float(quantization(source).scales[0]) / float(quantization(result).scales[0]) / count
    offset = zero_point(result) - factor * count * zero_point(source)
    return np.float32(factor), (p.Eltwise(Algorithm.LINEAR, 1.0, offset), clip(-128, 127))
