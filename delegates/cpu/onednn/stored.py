"""Operators on quantised integers as primitives, without constant weights: their scales and zero points as factors and
operations after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from ....interpreter.graph import TensorSpec, TensorType
from ....interpreter.ops.arithmetic import Additive, Mul, SquaredDifference, Sub
from ....interpreter.ops.shared.fixedpoint import activation_range
from ....interpreter.ops.shared.products import zero_point
from ....interpreter.ops.softmax import Softmax
from ....interpreter.runtime.delegate import BoundNode
from . import primitive as p
from .binding import Algorithm, Arg, Library
from .epilogue import clip, repeated
from .primitive import Attributes, Eltwise, Layout, PostOp, Primitive
from .recipe import Constant, Constants, Derived, Operands, Recipe, offset_vector, post_operand, vector
from .scales import is_stored, scale

MAX_RANK = 6
"""Of tensors that primitives work on element by element."""

WIDE = 2048
"""Elements that rows taken for one have at most."""


def additive(bound: BoundNode, constants: Constants) -> Recipe | None:
    """ADD and SUB: both operands on the scale of the result, where the zero points are one offset."""
    op, result = bound.op, bound.outs[0]
    assert isinstance(op, Additive)
    *steps, step = map(float, op.scales)
    factors = [each / step for each in steps]
    low, high = activation_range(op.fused_activation_function, result)
    return _sum(bound, constants, factors, isinstance(op, Sub), (), zero_point(result), (low, high))


def squared_difference(bound: BoundNode, constants: Constants) -> Recipe | None:
    """As a difference of real numbers, which is squared and brought to the scale of the result."""
    assert isinstance(bound.op, SquaredDifference)
    result = bound.outs[0]
    factors = [scale(spec) for spec in bound.ins if spec is not None]
    after = (Eltwise(Algorithm.SQUARE), Eltwise(Algorithm.LINEAR, 1 / scale(result), zero_point(result)))
    info = np.iinfo(result.dtype)
    return _sum(bound, constants, factors, True, after, 0, (info.min, info.max))


def _sum(
    bound: BoundNode, constants: Constants, factors: list[float], is_difference: bool, after: tuple[PostOp, ...],
    offset: float, limits: tuple[int, int],
) -> Recipe | None:  # fmt: skip
    """Multiples of both operands, without their zero points; a difference is a sum with a negative factor."""
    factors = [factors[0], -factors[1] if is_difference else factors[1]]
    pairs = zip(factors, (spec for spec in bound.ins if spec is not None), strict=True)
    offset -= sum(factor * zero_point(spec) for factor, spec in pairs)
    post_ops = (Eltwise(Algorithm.LINEAR, 1.0, offset), *after, clip(*limits))
    made = pairwise(bound, Algorithm.ADD, post_ops, constants)
    if made is None:
        return None
    names = [Arg.SRC, Arg.SRC_1] if made.operands[Arg.SRC] == bound.node.inputs[0] else [Arg.SRC_1, Arg.SRC]
    scales = {Arg.SCALES | name: vector(np.array([f], np.float32)) for name, f in zip(names, factors, strict=True)}
    return replace(made, constants=scales, scales=dict.fromkeys(names, 0), chains=False)


def abreast(shape: tuple[int, ...]) -> int:
    """How many rows of the last dimension to take as one where an operand is repeated for each: short rows are slow."""
    rows, width = prod(shape[:-1]), shape[-1]
    return next((n for n in range(min(rows, WIDE // width), 1, -1) if rows % n == 0), 1)


def pairwise(bound: BoundNode, algorithm: Algorithm, after: tuple[PostOp, ...], constants: Constants) -> Recipe | None:
    """A primitive of two operands; the one that has the shape of the result comes first."""
    shape, (a, b), inputs = bound.outs[0].shape, bound.ins, list(bound.node.inputs)
    assert shape is not None
    assert a is not None
    assert b is not None
    if not shape or len(shape) > MAX_RANK:
        return None
    order = tuple(range(len(shape)))
    if a.shape != shape and algorithm in (Algorithm.ADD, Algorithm.MUL, Algorithm.SUB):
        a, b = b, a
        inputs.reverse()
        after = (Eltwise(Algorithm.LINEAR, -1.0), *after) if algorithm is Algorithm.SUB else after
    is_row = inputs[1] in constants and b.size in (1, shape[-1]) and b.shape in ((), (1,), shape[-1:])
    count = abreast(shape) if is_row else 1
    sizes = (prod(shape[:-1]) // count, count * shape[-1]) if count > 1 else shape
    other = repeated(b, shape, None if count > 1 else order, count)
    if a.shape != shape or other is None:
        return None
    first, dst = Layout.of(sizes, a.dtype), Layout.of(sizes, bound.outs[0].dtype)

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.binary(library, algorithm, first, other, dst, attributes)

    operands: Operands = {Arg.SRC: inputs[0], Arg.SRC_1: inputs[1]}
    return Recipe(build, operands, bound.node.outputs[0], None if count > 1 else order, after, abreast=count)


def mul(bound: BoundNode, constants: Constants) -> Recipe | None:
    """MUL: of two whole operands, or of one that is repeated and becomes factors and offsets."""
    shape, op = bound.outs[0].shape, bound.op
    specs = [spec for spec in bound.ins if spec is not None]
    assert isinstance(op, Mul)
    if not shape or len(shape) > MAX_RANK:
        return None
    first, second, step = map(float, op.scales)
    factor = first * second / step
    limits = clip(*activation_range(op.fused_activation_function, bound.outs[0]))
    if specs[0].shape == specs[1].shape == shape:
        return _mul_whole(bound, specs, factor, limits)
    return _mul_repeated(bound, constants, specs, np.float32(factor), limits)


def _mul_whole(bound: BoundNode, specs: list[TensorSpec], factor: float, limits: Eltwise) -> Recipe | None:
    """factor * (a - p) * (b - q) + r: from a * b, by adding multiples of a and b in turn."""
    made = pairwise(bound, Algorithm.MUL, (), {})
    if made is None:
        return None
    offsets, result = [zero_point(spec) for spec in specs], zero_point(bound.outs[0])
    steps: list[PostOp] = []
    operands: Operands = dict(made.operands)
    weight = 1.0  # of a * b in what there is so far
    for tensor, spec, other in zip(bound.node.inputs, specs, reversed(offsets), strict=True):
        if other:
            steps.append(Eltwise(Algorithm.LINEAR, -1 / (weight * other)))
            operands[post_operand(len(steps))] = tensor
            steps.append(p.Binary(Algorithm.ADD, Layout.of(spec.shape or (), spec.dtype)))
            weight = -1 / other
    steps.append(Eltwise(Algorithm.LINEAR, factor / weight, factor * offsets[0] * offsets[1] + result))
    return replace(made, post_ops=(*steps, limits), operands=operands, chains=False)


def _mul_repeated(
    bound: BoundNode, constants: Constants, specs: list[TensorSpec], factor: np.float32, limits: Eltwise
) -> Recipe | None:
    shape = bound.outs[0].shape
    assert shape is not None
    whole = 0 if specs[0].shape == shape else 1
    first, second = specs[whole], specs[1 - whole]
    assert second.shape is not None
    parts = shape[0] if second.shape == (shape[0], *[1] * (len(shape) - 2), shape[-1]) else 1  # rows, one an image
    part, row = (1, *shape[1:]) if parts > 1 else shape, replace(second, type=TensorType.FLOAT32)
    row = replace(row, shape=(1, *second.shape[1:])) if parts > 1 else row
    is_row = row.size in (1, shape[-1]) and (row.shape or (1,))[-1] == row.size
    order, count = (None, abreast(part)) if is_row else (tuple(range(len(shape))), 1)
    factors = repeated(row, part, order, count)
    if first.shape != shape or factors is None:
        return None
    sizes = (prod(part[:-1]) // count, count * part[-1]) if is_row else part
    src, dst = Layout.of(sizes, first.dtype), Layout.of(sizes, bound.outs[0].dtype)
    offsets = zero_point(first), np.float32(zero_point(second)), zero_point(bound.outs[0])

    def work_out(value: np.ndarray) -> Mapping[int, np.ndarray]:
        rows = value.reshape(parts, -1) if parts > 1 else value.reshape(-1)
        factors = np.tile((rows.astype(np.float32) - offsets[1]) * factor, count if value.size > 1 else 1)
        return {Arg.SRC_1: factors, post_operand(0): np.float32(offsets[2]) - factors * np.float32(offsets[0])}

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.binary(library, Algorithm.MUL, src, factors, dst, attributes)

    tensor, fixed, derived = bound.node.inputs[1 - whole], {}, None
    if tensor in constants and parts == 1:
        fixed = {argument: Constant(array, factors) for argument, array in work_out(constants[tensor]).items()}
    else:
        derived = Derived(tensor, {Arg.SRC_1: factors, post_operand(0): factors}, work_out)
    after = (p.Binary(Algorithm.ADD, factors), limits)
    operands: Operands = {Arg.SRC: bound.node.inputs[whole]}
    result = bound.node.outputs[0]
    return Recipe(build, operands, result, order, after, fixed, derived=derived, chains=False, parts=parts)


def unary(bound: BoundNode, operation: Eltwise) -> Recipe | None:
    """A function of real numbers: between two changes of scale, after the sum with nothing."""
    source, result = bound.ins[0], bound.outs[0]
    assert source is not None
    assert result.shape is not None
    sizes = prod(result.shape[:-1]), result.shape[-1]
    src, nothing, dst = Layout.of(sizes, source.dtype), Layout.of((1, 1), np.float32), Layout.of(sizes, result.dtype)
    info = np.iinfo(result.dtype)
    before = Eltwise(Algorithm.LINEAR, scale(source), -scale(source) * zero_point(source))
    after = Eltwise(Algorithm.LINEAR, 1 / scale(result), zero_point(result))

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.binary(library, Algorithm.ADD, src, nothing, dst, attributes)

    post_ops = (before, operation, after, clip(info.min, info.max))
    fixed = {int(Arg.SRC_1): vector(np.zeros((1, 1), np.float32))}
    operands: Operands = {Arg.SRC: bound.node.inputs[0]}
    return Recipe(build, operands, bound.node.outputs[0], None, post_ops, fixed, chains=False)


def product(bound: BoundNode, src: Layout, weights: Layout, dst: Layout, tensors: tuple[int, int]) -> Recipe | None:
    """Products of two int8 operands, which stand at `tensors` among the node's, rescaled to int8."""
    specs = [bound.ins[tensors[0]], bound.ins[tensors[1]], bound.outs[0]]
    known = [spec for spec in specs if spec is not None and spec.type is TensorType.INT8]
    if not is_stored(bound) or len(known) != len(specs):
        return None
    names = (Arg.SRC, Arg.WEIGHTS, Arg.DST)
    factor = scale(known[0]) * scale(known[1]) / scale(known[2])

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.matmul(library, src, weights, None, dst, attributes)

    fixed = {Arg.ZERO_POINTS | name: offset_vector(zero_point(spec)) for name, spec in zip(names, known, strict=True)}
    fixed[Arg.SCALES | Arg.WEIGHTS] = vector(np.array([factor], np.float32))
    operands: Operands = {Arg.SRC: bound.node.inputs[tensors[0]], Arg.WEIGHTS: bound.node.inputs[tensors[1]]}
    result, zero_points = bound.node.outputs[0], dict.fromkeys(names, 0)
    return Recipe(build, operands, result, None, (), fixed, {Arg.WEIGHTS: 0}, zero_points, chains=False)


def softmax(bound: BoundNode) -> Recipe | None:
    """Of the real numbers that bytes stand for, which are worked out in each call."""
    op, shape, source, result = bound.op, bound.outs[0].shape, bound.ins[0], bound.outs[0]
    assert isinstance(op, Softmax)
    if not is_stored(bound) or not shape or source is None:
        return None
    sizes = prod(shape[:-1]), shape[-1]
    src, dst = Layout.of(sizes, np.float32), Layout.of(sizes, result.dtype)
    factor = np.float32(scale(source) * op.beta)

    def work_out(value: np.ndarray) -> Mapping[int, np.ndarray]:
        return {Arg.SRC: np.multiply(value, factor, dtype=np.float32)}

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.softmax(library, src, dst, 1, attributes)

    after = (Eltwise(Algorithm.LINEAR, 1 / scale(result), zero_point(result)),)
    derived = Derived(bound.node.inputs[0], {Arg.SRC: src}, work_out)
    return Recipe(build, {}, bound.node.outputs[0], None, after, derived=derived, chains=False)
