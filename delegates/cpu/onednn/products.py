"""Products with constant weights: convolutions and fully connected layers, of floats, of bytes, and of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from ....interpreter.graph import ABSENT, TensorSpec, TensorType
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.shared.fixedpoint import activation_range
from ....interpreter.ops.shared.products import WeightedOp, quantization, quantize_rows, scale_ratio, zero_point
from ....interpreter.runtime.delegate import BoundNode
from .binding import Algorithm, Arg
from .epilogue import activation, clip
from .primitive import Binary, Layout, PostOp
from .recipe import Constant, Constants, Derived, offset_vector, post_operand, vector
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
    adds_all: bool = False  # whether each result adds up products with all weights of its channel

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
    def is_stored(self) -> bool:
        """Whether input and result are quantised integers; the zero point of the result is part of the bias then."""
        return self.kind is Kind.STORED

    @property
    def by_row(self) -> bool:
        """Whether the scales of a hybrid input are applied row by row, after the product."""
        return self.kind is Kind.HYBRID and self.rows > 1

    @property
    def post_ops(self) -> tuple[PostOp, ...] | None:
        """The activation; of quantised results the limits. None: no such operation."""
        if self.is_stored:
            info, limits = np.iinfo(self.dst.dtype), activation_range(self.op.activation, self.dst)
            return () if limits == (info.min, info.max) else (clip(*limits),)
        after = activation(self.op.activation)
        if not self.by_row or after is None:
            return after
        scaled = Binary(Algorithm.MUL, Layout.of((self.rows, 1), np.float32))
        biased = Binary(Algorithm.ADD, Layout.of((1, self.channels), np.float32))
        return (scaled, *([] if self.bias is None else [biased]), *after)

    def constants(self, weights: Layout, bias_shape: tuple[int, ...]) -> dict[int, Constant]:
        """Weights, bias, and where quantised, factors and zero points."""
        found = {int(Arg.WEIGHTS): Constant(self.weights, weights, packed=True)}
        factors, bias = self._factors, self.bias
        if factors is not None:
            found[Arg.SCALES | Arg.WEIGHTS] = vector(factors.astype(np.float32))
            bias = self._stored_bias * factors + zero_point(self.dst) if self.is_stored else bias
        if bias is not None:
            found[post_operand(1) if self.by_row else Arg.BIAS] = vector(bias.astype(np.float32), bias_shape)
        if self._has_offset:
            found[Arg.ZERO_POINTS | Arg.SRC] = offset_vector(zero_point(self.src))
        if self.by_row:
            found[Arg.ZERO_POINTS | Arg.SRC] = offset_vector(_MIDDLE)
        return found

    @property
    def _has_offset(self) -> bool:
        """Whether the primitive takes the zero point of a quantised input into account: at the edges of a padded image
        that differs from one result to the other, else it is part of the bias."""
        return self.is_stored and not self.adds_all and zero_point(self.src) != 0

    @property
    def _stored_bias(self) -> np.ndarray:
        """[channels]: what is added to accumulators of quantised numbers."""
        bias = np.zeros(self.channels, np.int64) if self.bias is None else self.bias.astype(np.int64)
        offset = zero_point(self.src) if self.adds_all else 0
        return bias - offset * self._sums if offset else bias

    @property
    def _sums(self) -> np.ndarray:
        """[channels]: of all weights of each."""
        over = (0, 1, 2) if isinstance(self.op, DepthwiseConv2D) else tuple(range(1, self.weights.ndim))
        sums: np.ndarray = self.weights.sum(over, np.int32)
        return sums.astype(np.int64)

    @cached_property
    def _factors(self) -> np.ndarray | None:
        """[channels]: what a step of the accumulator, with a scale of 1 for a hybrid input, is in the result."""
        if self.kind is Kind.FLOAT:
            return None
        factors = scale_ratio(self.src, self.op.weights_spec, self.dst) if self.is_stored else self._weights_scales
        return np.full(self.channels, factors, np.float64)

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
        return {Arg.SRC: 0} if self._has_offset or self.kind is Kind.HYBRID else {}

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
