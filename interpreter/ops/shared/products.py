"""Operators that multiply an input with weights: exact integer products at BLAS speed, and results from accumulators.

Integers below 2**24 are exact in float32, so products of 8-bit operands are summed by float32 matrix products over as
many terms as stay below that, and those sums in int32; 16-bit operands go through float64 into int64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ...errors import KernelError
from ...graph import Array, Quantization, TensorSpec, TensorType
from ..base import Activation, Op, OptionalSpec
from .fixedpoint import (
    BELOW_HALF,
    activation_range,
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
)
from .fused import activate
from .lookup import Resident
from .sparsity import spread

_EXACT = {np.dtype(np.float32): 2**24, np.dtype(np.float64): 2**53}


def quantization(spec: TensorSpec) -> Quantization:
    """The quantisation of an operand that is known to have one."""
    assert spec.quantization is not None
    return spec.quantization


def zero_point(spec: TensorSpec) -> int:
    """Zero point of a per-tensor quantised operand; 0 for per-channel ones, whose zero points are 0."""
    quantized = quantization(spec)
    return 0 if quantized.per_channel else int(quantized.zero_points[0])


def reach(spec: TensorSpec) -> int:
    """Greatest magnitude of a stored integer minus its zero point."""
    bits, offset = spec.type.bits, zero_point(spec)
    low = 0 if spec.dtype.kind == "u" else -(1 << (bits - 1))
    return max(offset - low, low + (1 << bits) - 1 - offset)


def scale_ratio(input: TensorSpec, weights: TensorSpec, output: TensorSpec, *, rounded: bool = False) -> Any:
    """Product of the scales of input and weights over that of the output: a float, or float64 [channels].

    The reference's GetQuantizedConvolutionMultipler, for per-tensor scales, has a product `rounded` to float32.
    """
    x, w, y = (quantization(spec) for spec in (input, weights, output))
    if w.per_channel:
        return np.float64(x.scales[0]) * w.scales.astype(np.float64) / np.float64(y.scales[0])
    product = x.scales[0] * w.scales[0] if rounded else np.float64(x.scales[0]) * np.float64(w.scales[0])
    return float(np.float64(product) / np.float64(y.scales[0]))


def centred(xp: Any, x: Array, offset: int, dtype: Any) -> Array:
    """Stored integers minus their zero point `offset`, in `dtype`."""
    x = x.astype(dtype)
    return x - x.dtype.type(offset) if offset else x


def integer_matmul(xp: Any, a: Array, b: Array, bound: int) -> Array:
    """Exact product of matrices of integers held as floats, |a[i, k] * b[k, j]| <= bound.

    float32 operands give int32, which wraps around as the reference's accumulators do; float64 operands give int64.
    """
    depth, chunk = a.shape[-1], max(_EXACT[a.dtype] // bound, 1)
    dtype = np.int32 if a.dtype == np.float32 else np.int64
    if depth <= chunk:
        return xp.matmul(a, b).astype(dtype)
    starts = range(0, depth, chunk)
    return sum(xp.matmul(a[..., k : k + chunk], b[..., k : k + chunk, :]).astype(dtype) for k in starts)


def quantize_rows(xp: Any, rows: Array, asymmetric: bool) -> tuple[Array, Array]:
    """Float rows [n, k] as 8-bit integers minus their zero points, float32 [n, k], and a float32 scale for each [n, 1].

    Reference: SymmetricQuantizeFloats, AsymmetricQuantizeFloats, which rounds before it adds the zero point.
    """
    if not rows.shape[1]:
        return rows, xp.ones((len(rows), 1), np.float32)
    least, greatest = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
    one = xp.ones((), np.float32)
    if not asymmetric:
        span = xp.maximum(xp.abs(least), xp.abs(greatest))
        span = xp.where(span == 0, 127 * one, span)
        return xp.clip(_rounded(xp, rows * (127 * one / span)), -127, 127), span / 127
    low, high = xp.minimum(least, 0), xp.maximum(greatest, 0)
    scale = xp.where(low == high, 1.0, (high - low).astype(np.float64) / 255)
    from_low, from_high = -128 - low / scale, 127 - high / scale
    nearer_low = 128 + xp.abs(low / scale) < 127 + xp.abs(high / scale)
    offset = round_half_away(xp, xp.clip(xp.where(nearer_low, from_low, from_high), -128, 127))
    offset = xp.where(low == high, 0.0, offset).astype(np.float32)
    scale = scale.astype(np.float32)
    return xp.clip(_rounded(xp, rows * (one / scale)), -128 - offset, 127 - offset), scale


def _rounded(xp: Any, x: Array) -> Array:
    """float32 numbers to the nearest, halves away from zero; in place, and faster than `round_half_away`."""
    x += xp.copysign(BELOW_HALF, x)
    return xp.trunc(x, out=x)


class ProductOp(Op):
    """An op that multiplies an input with weights, which may be quantised."""

    positions: ClassVar[tuple[int, int]] = (0, 1)  # of input and weights among the operands
    takes_blocks: ClassVar[bool] = False  # whether weights may have a scale per block

    @property
    def input_spec(self) -> TensorSpec:
        """Declared spec of the input."""
        return _present(self.ins[self.positions[0]])

    @property
    def weights_spec(self) -> TensorSpec:
        """Declared spec of the weights."""
        return _present(self.ins[self.positions[1]])

    @property
    def activation(self) -> Activation:
        """The activation that limits the result."""
        return Activation.NONE

    @property
    def hybrid(self) -> bool:
        """Whether a float input meets quantised weights, so that the input is quantised on the fly."""
        return self.input_spec.type is TensorType.FLOAT32 and self.is_quantized

    @property
    def wide(self) -> bool:
        """Whether accumulators have 64 bits."""
        return self.input_spec.type is TensorType.INT16

    @property
    def dtype(self) -> np.dtype[Any]:
        """Float type in which products of this op's integers are exact."""
        return np.dtype(np.float64 if self.input_spec.type is TensorType.INT16 else np.float32)

    @property
    def weights_zero_point(self) -> int:
        """Zero point of the weights, 0 where the reference's kernel takes that for granted: it does for float input."""
        return 0 if self.hybrid else zero_point(self.weights_spec)

    @cached_property
    def bound(self) -> int:
        """Greatest magnitude of one product of centred operands."""
        return (255 if self.hybrid else reach(self.input_spec)) * reach(self.weights_spec)

    @cached_property
    def ratio(self) -> Any:
        """Scale of the accumulator over that of the output: a float, or float64 [channels]."""
        return scale_ratio(self.input_spec, self.weights_spec, self.outs[0])

    @cached_property
    def multiplier(self) -> tuple[Any, Any]:
        """`ratio` as (mantissa, shift)."""
        return quantize_multiplier(self.ratio)

    @cached_property
    def limits(self) -> tuple[int, int]:
        """Least and greatest stored output."""
        return activation_range(self.activation, self.outs[0])

    def refusal_of(self, input: TensorSpec, weights: TensorSpec) -> str | None:
        """Why these operands can't be multiplied, apart from their types."""
        if not self.is_quantized:
            return None
        known = [weights] if self.hybrid else [input, weights, self.outs[0]]
        if any(spec.quantization is None for spec in known):
            return f"operator {self.name} is not supported with integers that have no quantization parameters."
        if quantization(weights).per_channel and quantization(weights).zero_points.any():
            return f"operator {self.name} is not supported with per-channel weights whose zero points are not 0."
        if quantization(weights).block_size and not (self.takes_blocks and self.hybrid):
            return f"operator {self.name} is not supported with blockwise weights and {input.type.name.lower()} input."
        return None

    def mismatch(self, input: TensorSpec, other: TensorSpec, role: str) -> str:
        """The sentence that refuses a combination of types."""
        names = input.type.name.lower(), other.type.name.lower()
        return f"operator {self.name} is not supported with {names[0]} input and {names[1]} {role}."

    def centred_weights(self, xp: Any, weights: Array, dtype: Any = None) -> Array:
        """The weights minus their zero point."""
        return centred(xp, weights, self.weights_zero_point, dtype or self.dtype)

    def centred_input(self, xp: Any, input: Array, dtype: Any = None) -> Array:
        """The quantised input minus its zero point."""
        return centred(xp, input, zero_point(self.input_spec), dtype or self.dtype)

    def matmul(self, xp: Any, a: Array, b: Array) -> Array:
        """Exact product of centred operands."""
        return integer_matmul(xp, a, b, self.bound)

    def real(self, xp: Any, accumulator: Array, scale: Array) -> Array:
        """float32: an integer accumulator times the scales of the input, which broadcast, and of the weights."""
        scales = quantization(self.weights_spec).scales
        factors = xp.asarray(scales) if len(scales) > 1 else scales[0]
        return accumulator.astype(np.float32) * (factors * scale)

    def steps(self, xp: Any, accumulator: Array) -> Array:
        """int32: an integer accumulator in steps of the output's scale."""
        if self.wide:
            return multiply_wide_by_quantized_multiplier(xp, accumulator, *self.multiplier)
        return multiply_by_quantized_multiplier(xp, accumulator.astype(np.int32), *self.multiplier)

    def stored(self, xp: Any, accumulator: Array) -> Array:
        """The quantised result: the accumulator scaled, offset, clipped and converted."""
        low, high = self.limits
        output = self.outs[0]
        return xp.clip(self.steps(xp, accumulator) + zero_point(output), low, high).astype(output.dtype)


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedOp(ProductOp):
    """A product with weights that also adds a bias and applies an activation; channels are last."""

    bias_position: ClassVar[int] = 2

    fused_activation_function: Activation = Activation.NONE

    @property
    def activation(self) -> Activation:
        return self.fused_activation_function

    def dense(self, xp: Any, weights: Array) -> Array:
        """The weights; those of a sparse constant are spread over its shape once and kept so."""
        return weights if self.weights_spec.sparsity is None else self._spread.on(xp)

    @cached_property
    def _spread(self) -> Resident:
        return Resident(spread(np, self.weights_spec.value, self.weights_spec))

    def refuses(self, *inputs: Any) -> str | None:
        input, weights = (inputs[p] for p in self.positions)
        bias = inputs[self.bias_position] if self.bias_position < len(inputs) else None
        if weights.type not in _WEIGHTS[input.type]:
            return self.mismatch(input, weights, "weights")
        if bias is not None and bias.type not in _BIASES[input.type]:
            return self.mismatch(input, bias, "bias")
        if self.outs[0].type not in _OUTPUTS[input.type]:
            return self.mismatch(input, self.outs[0], "output")
        return self.refusal_of(input, weights)

    def check_bias(self, bias: OptionalSpec, channels: int) -> None:
        """Raise KernelError for a bias that does not have one element per channel."""
        if bias is not None and bias.size != channels:
            raise KernelError(f"{self.name} got a bias of shape {bias.shape}, expected {channels} elements.")

    def finish(self, xp: Any, y: Array, bias: Array | None) -> Array:
        """The float result."""
        return activate(xp, y if bias is None else y + bias, self.fused_activation_function)

    def finish_integer(self, xp: Any, accumulator: Array, bias: Array | None) -> Array:
        """The quantised result."""
        return self.stored(xp, accumulator if bias is None else accumulator + bias.astype(accumulator.dtype))

    def quantized_images(self, xp: Any, input: Array, asymmetric: bool) -> tuple[Array, Array]:
        """A float input quantised image by image: centred integers like `input`, and scales [batch, 1, ..., 1]."""
        rows, scale = quantize_rows(xp, input.reshape(input.shape[0], math.prod(input.shape[1:])), asymmetric)
        return rows.reshape(input.shape), scale.reshape(-1, *(1,) * (input.ndim - 1))


_FLOAT, _UINT8, _INT8, _INT16 = TensorType.FLOAT32, TensorType.UINT8, TensorType.INT8, TensorType.INT16
_SIGNED = (TensorType.INT8, TensorType.INT4, TensorType.INT2)
_WEIGHTS = {_FLOAT: (_FLOAT, *_SIGNED), _UINT8: (_UINT8,), _INT8: _SIGNED, _INT16: (*_SIGNED, _INT16)}
_BIASES = {
    _FLOAT: (_FLOAT,),
    _UINT8: (TensorType.INT32,),
    _INT8: (TensorType.INT32,),
    _INT16: (TensorType.INT32, TensorType.INT64),
}
_OUTPUTS = {_FLOAT: (_FLOAT,), _UINT8: (_UINT8, _INT16), _INT8: (_INT8,), _INT16: (_INT16,)}


def _present(spec: TensorSpec | None) -> TensorSpec:
    assert spec is not None
    return spec
