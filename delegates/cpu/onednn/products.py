"""Products with constant weights: convolutions and fully connected layers, of floats, of bytes, and of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from ....interpreter.graph import ABSENT, TensorSpec, TensorType
from ....interpreter.ops.conv import Conv2D
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.shared.products import WeightedOp, quantization, quantize_rows, scale_ratio, zero_point
from ....interpreter.runtime.delegate import BoundNode
from .binding import Algorithm, Arg
from .epilogue import activation, clip
from .primitive import Binary, Layout, PostOp
from .recipe import Constant, Constants, Derived, post_operand, vector
from .scales import BYTES

_MIDDLE = 127
"""Zero point of rows that are quantised symmetrically, stored without sign."""


class Kind(Enum):
    """What is multiplied with what."""

    FLOAT = "float32"
    STORED = "quantised input and weights"
    HYBRID = "float32 input, quantised in the call, and quantised weights"


@dataclass(frozen=True, eq=False)
class Product:
    """A node that multiplies its input with constant weights, adds a bias and applies an activation."""

    op: WeightedOp
    kind: Kind
    src: TensorSpec
    dst: TensorSpec
    weights: np.ndarray
    bias: np.ndarray | None

    @classmethod
    def of(cls, bound: BoundNode, constants: Constants) -> Product | None:
        """None for types that have no primitive, and where weights or bias are not constant."""
        op = bound.op
        assert isinstance(op, WeightedOp)
        source, at = bound.ins[op.positions[0]], op.bias_position
        bias_tensor = bound.node.inputs[at] if len(bound.node.inputs) > at else ABSENT
        weights, bias = constants.get(bound.node.inputs[op.positions[1]]), constants.get(bias_tensor)
        if source is None or weights is None or op.weights_spec.sparsity is not None or len(bound.outs) != 1:
            return None
        kind = _kind(op, source, bound.outs[0])
        if kind is None or (bias is None and bias_tensor != ABSENT):
            return None
        return cls(op, kind, source, bound.outs[0], weights, bias)

    @property
    def channels(self) -> int:
        """Of the result."""
        assert self.dst.shape is not None
        return self.dst.shape[-1]

    @property
    def stored_type(self) -> np.dtype[Any]:
        """Of the input as the primitive reads it."""
        return np.dtype(np.uint8) if self.kind is Kind.HYBRID else self.src.dtype

    @cached_property
    def rows(self) -> int:
        """How many parts of a hybrid input have scales of their own: images, or rows of a fully connected layer."""
        assert self.src.shape is not None
        shape = self.src.shape
        return self.src.size // self.weights.shape[1] if isinstance(self.op, FullyConnected) else shape[0]

    @property
    def is_asymmetric(self) -> bool:
        """Whether a hybrid input gets a zero point."""
        if isinstance(self.op, FullyConnected):
            return self.op.asymmetric_quantize_inputs
        assert self.src.shape is not None
        return not isinstance(self.op, Conv2D) or self.op.is_asymmetric(self.src.shape[3] // self.weights.shape[3])

    @property
    def shift(self) -> int | None:
        """Zero point of a quantised result, which is added last."""
        return zero_point(self.dst) if self.kind is Kind.STORED else None

    @property
    def by_row(self) -> bool:
        """Whether the scales of a hybrid input are applied row by row, after the product."""
        return self.kind is Kind.HYBRID and self.rows > 1

    @property
    def post_ops(self) -> tuple[PostOp, ...] | None:
        """The activation; of quantised results the limits, in steps above the zero point. None: no such operation."""
        if self.kind is Kind.STORED:
            offset, limits = zero_point(self.dst), self.op.limits
            info = np.iinfo(self.dst.dtype)
            return () if limits == (info.min, info.max) else (clip(limits[0] - offset, limits[1] - offset),)
        after = activation(self.op.activation)
        if not self.by_row or after is None:
            return after
        scaled = Binary(Algorithm.MUL, Layout.of((self.rows, 1), np.float32))
        biased = Binary(Algorithm.ADD, Layout.of((1, self.channels), np.float32))
        return (scaled, *([] if self.bias is None else [biased]), *after)

    def constants(self, weights: Layout, bias_shape: tuple[int, ...]) -> dict[int, Constant]:
        """Weights, bias, and where quantised, factors and zero points."""
        found = {int(Arg.WEIGHTS): Constant(self.weights, weights, packed=True)}
        factors = self._factors
        if self.bias is not None:
            bias = self.bias if self.kind is not Kind.STORED else self.bias * factors
            found[post_operand(1) if self.by_row else Arg.BIAS] = vector(bias.astype(np.float32), bias_shape)
        if factors is not None:
            found[Arg.SCALES | Arg.WEIGHTS] = vector(factors.astype(np.float32))
        if self.kind is Kind.STORED:
            found[Arg.ZERO_POINTS | Arg.SRC] = vector(np.array([zero_point(self.src)], np.int32))
            found[Arg.ZERO_POINTS | Arg.DST] = vector(np.array([zero_point(self.dst)], np.int32))
        if self.by_row:
            found[Arg.ZERO_POINTS | Arg.SRC] = vector(np.array([_MIDDLE], np.int32))
        return found

    @cached_property
    def _factors(self) -> np.ndarray | None:
        """[channels]: what a step of the accumulator, with a scale of 1 for a hybrid input, is in the result."""
        if self.kind is Kind.FLOAT:
            return None
        is_stored = self.kind is Kind.STORED
        factors = scale_ratio(self.src, self.op.weights_spec, self.dst) if is_stored else self._weights_scales
        return np.broadcast_to(factors, self.channels).astype(np.float64)

    @property
    def _weights_scales(self) -> np.ndarray:
        return quantization(self.op.weights_spec).scales

    def scales(self, mask: int) -> dict[Arg, int]:
        """Factors that the primitive applies; `mask`: the dimension of the weights that the output channels are."""
        if self.kind is Kind.FLOAT:
            return {}
        runtime = {Arg.SRC: 0} if self.kind is Kind.HYBRID and not self.by_row else {}
        return {Arg.WEIGHTS: mask, **runtime}

    @property
    def zero_points(self) -> dict[Arg, int]:
        """Offsets that the primitive takes into account."""
        return {Kind.FLOAT: {}, Kind.STORED: {Arg.SRC: 0, Arg.DST: 0}, Kind.HYBRID: {Arg.SRC: 0}}[self.kind]

    def derived(self, tensor: int, layout: Layout) -> Derived | None:
        """A hybrid input, quantised; `layout`: of its integers."""
        if self.kind is not Kind.HYBRID:
            return None
        one = Layout.of((1,), np.float32)
        if self.by_row:
            scales = Layout.of((self.rows, 1), np.float32)
            return Derived(tensor, {Arg.SRC: layout, post_operand(0): scales}, self._quantized_rows)
        offset = Layout.of((1,), np.int32)
        layouts = {int(Arg.SRC): layout, Arg.SCALES | Arg.SRC: one, Arg.ZERO_POINTS | Arg.SRC: offset}
        return Derived(tensor, layouts, self._quantized)

    def _quantized(self, x: np.ndarray) -> Mapping[int, np.ndarray]:
        centred, scale = quantize_rows(np, x.reshape(1, -1), self.is_asymmetric)
        offset = max(0, -int(centred.min()))
        return {
            Arg.SRC: (centred + np.float32(offset)).astype(np.uint8),
            Arg.SCALES | Arg.SRC: scale.reshape(1).astype(np.float32),
            Arg.ZERO_POINTS | Arg.SRC: np.array([offset], np.int32),
        }

    def _quantized_rows(self, x: np.ndarray) -> Mapping[int, np.ndarray]:
        centred, scales = quantize_rows(np, x.reshape(self.rows, -1), asymmetric=False)
        return {Arg.SRC: (centred + np.float32(_MIDDLE)).astype(np.uint8), post_operand(0): scales.astype(np.float32)}


def _kind(op: WeightedOp, source: TensorSpec, result: TensorSpec) -> Kind | None:
    """None where there is no primitive for these types."""
    kinds, weights = {source.type, result.type}, op.weights_spec
    if kinds == {TensorType.FLOAT32} and weights.type is TensorType.FLOAT32:
        return Kind.FLOAT
    if not op.is_quantized or weights.type is not TensorType.INT8 or op.weights_zero_point:
        return None
    if kinds <= BYTES:
        return Kind.STORED
    if kinds != {TensorType.FLOAT32} or quantization(weights).block_size:
        return None
    return Kind.HYBRID
