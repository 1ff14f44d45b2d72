"""Quantised integers within a chain of operations: to real numbers and back, rounded between any two operators."""

from __future__ import annotations

import numpy as np

from ....interpreter.graph import TensorSpec, TensorType
from ....interpreter.ops.shared.fixedpoint import activation_range
from ....interpreter.ops.shared.products import quantization, zero_point
from ....interpreter.runtime.delegate import BoundNode
from .binding import Algorithm
from .primitive import Binary, Eltwise, Layout, PostOp

BYTES = {TensorType.INT8, TensorType.UINT8}


def is_stored(bound: BoundNode) -> bool:
    """Whether all operands and the result are bytes with one scale each."""
    specs = [*bound.ins, *bound.outs]
    return len(bound.outs) == 1 and all(
        s is not None and s.type in BYTES and s.quantization is not None and s.quantization.scales.size == 1
        for s in specs
    )


def scale(spec: TensorSpec) -> float:
    """The one scale of a tensor."""
    return float(quantization(spec).scales[0])


def of_real(source: TensorSpec, result: TensorSpec, function: PostOp) -> tuple[PostOp, ...]:
    """A function of the real numbers that a chain's integers stand for."""
    before = Eltwise(Algorithm.LINEAR, scale(source), -scale(source) * zero_point(source))
    after = Eltwise(Algorithm.LINEAR, 1 / scale(result), zero_point(result))
    return (*_rounded(source), before, function, after)


def added(bound: BoundNode, specs: tuple[TensorSpec, TensorSpec], layout: Layout) -> tuple[PostOp, ...]:
    """ADD of what a chain holds and another tensor of bytes."""
    own, other = specs
    result = bound.outs[0]
    steps = scale(own) * zero_point(own) + scale(other) * zero_point(other)
    before = Eltwise(Algorithm.LINEAR, scale(own) / scale(other))
    after = Eltwise(Algorithm.LINEAR, scale(other) / scale(result), zero_point(result) - steps / scale(result))
    low, high = activation_range(bound.op.fused_activation_function, result)  # type: ignore[attr-defined]
    limits = Eltwise(Algorithm.CLIP, low, high)
    return (*_rounded(own), before, Binary(Algorithm.ADD, layout), after, limits)


def _rounded(spec: TensorSpec) -> tuple[PostOp, ...]:
    """To the integers that a tensor can hold."""
    info = np.iinfo(spec.dtype)
    return Eltwise(Algorithm.CLIP, info.min, info.max), Eltwise(Algorithm.ROUND)
