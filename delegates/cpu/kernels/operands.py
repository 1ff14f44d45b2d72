"""What the kernels of weighted operators know before a call: weights, how to load an input, how to finish a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ....interpreter.graph import TensorType
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.shared.products import WeightedOp, quantization, reach, zero_point
from .finish import Ending, Finish, FloatFinish, Requantize, RequantizePositive, RequantizeWide, Rescale
from .load import Centred, Load, Plain

_EXACT, _INT32, _EXACT_WIDE = 1 << 24, 1 << 31, 1 << 38
_BYTES = {TensorType.INT8, TensorType.UINT8}


@dataclass(frozen=True, eq=False)
class Operands:
    """Constant weights and bias of an op, as stored, and the code around its product."""

    op: WeightedOp
    axis: int  # dimension of the weights that the output channels are
    weights: np.ndarray
    bias: np.ndarray | None

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(self.weights.shape[self.axis])

    @cached_property
    def zero_point(self) -> int:
        """Zero point of the weights."""
        return self.op.weights_zero_point if self.op.is_quantized else 0

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Stored weights minus their zero point, in `dtype`."""
        values = weights.astype(self.dtype, copy=False)
        return values - self.zero_point if self.zero_point else values

    @cached_property
    def greatest(self) -> float:
        """What no sum of integer products exceeds; 0 where the result is real, so that sums need not be exact."""
        if not self.op.is_quantized or self.op.hybrid:
            return 0.0
        others = tuple(n for n in range(self.weights.ndim) if n != self.axis)
        sums = np.abs(self.weights.astype(np.float32) - self.zero_point).sum(axis=others, dtype=np.float64)
        return float(sums.max(initial=0)) * reach(self.op.input_spec)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Float type of the factors: that of the sums, unless `gemm.multiply` adds up parts of them."""
        deep = self.op.is_quantized and self.op.input_spec.type in _BYTES and self.axis == 0
        return np.dtype(np.float32 if deep else self.held)

    @cached_property
    def held(self) -> np.dtype[Any]:
        """Float type that holds every sum of integer products."""
        return np.dtype(np.float32 if self.greatest < _EXACT else np.float64)

    @cached_property
    def load(self) -> Load:
        """Reads stored inputs; those of hybrid operators are quantised by then."""
        stored = self.op.is_quantized and not self.op.hybrid
        return Centred(zero_point(self.op.input_spec), self.dtype) if stored else Plain()

    @cached_property
    def finish(self) -> Finish:
        """Finishes the accumulators of all but hybrid operators."""
        op, output = self.op, self.op.outs[0]
        if not op.is_quantized:
            return FloatFinish(self.bias, op.activation)
        end = Ending(zero_point(output), op.limits, output.dtype)
        bias = np.zeros(self.channels) if self.bias is None else self.bias.astype(np.float64)
        if isinstance(op, FullyConnected):
            return Rescale(bias, np.broadcast_to(op.ratio, bias.shape), end, self.held)
        mantissa, shift = (np.broadcast_to(part, bias.shape) for part in op.multiplier)
        if op.wide:
            return RequantizeWide(bias, mantissa, shift, end, self.held)
        is_positive = end.dtype.itemsize == 1 and end.limits[0] >= end.zero_point
        return (RequantizePositive if is_positive else Requantize)(bias, mantissa, shift, end, self.held)

    def finish_scaled(self, scale: np.ndarray) -> Finish:
        """Finishes the accumulators of a hybrid operator whose input has this scale."""
        scales = quantization(self.op.weights_spec).scales * scale
        return FloatFinish(self.bias, self.op.activation, np.broadcast_to(scales, self.channels))


def operands(op: WeightedOp, axis: int, constants: Mapping[int, np.ndarray]) -> Operands | None:
    """What is known of an op, or None where these kernels do not serve it."""
    weights, bias = constants.get(op.positions[1]), constants.get(op.bias_position)
    has_bias = len(op.ins) > op.bias_position and op.ins[op.bias_position] is not None
    if weights is None or (has_bias and bias is None) or op.weights_spec.type is TensorType.INT16:
        return None
    known = Operands(op, axis, op.dense(np, weights), bias)
    return known if known.greatest < (_EXACT_WIDE if op.input_spec.type is TensorType.INT16 else _INT32) else None


def image_by_image(
    x: np.ndarray, scale: np.ndarray, known: Operands, product: Callable[[np.ndarray, Finish], np.ndarray]
) -> np.ndarray:
    """Results of a hybrid operator for quantised images [n, ...], which have their own scales [n, 1, ...]."""
    results = [product(x[n : n + 1], known.finish_scaled(scale[n].reshape(1))) for n in range(len(x))]
    return results[0] if len(results) == 1 else np.concatenate(results)
