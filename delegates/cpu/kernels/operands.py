"""What the kernels of weighted operators know before a call: weights, how to load an input, how to finish a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ....interpreter.graph import TensorType
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.products import WeightedOp, quantization, reach, zero_point
from .finish import Ending, Finish, FloatFinish, Requantize, RequantizePositive, Rescale
from .load import Centred, Load, Plain

_EXACT = 1 << 24
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
        return zero_point(self.op.weights_spec) if self.op.is_quantized else 0

    def values(self, weights: np.ndarray) -> np.ndarray:
        """float32: stored weights minus their zero point."""
        values = weights.astype(np.float32, copy=False)
        return values - self.zero_point if self.zero_point else values

    def is_exact(self) -> bool:
        """Whether float32 holds every sum of integer products."""
        if not self.op.is_quantized:
            return True
        others = tuple(n for n in range(self.weights.ndim) if n != self.axis)
        sums = np.abs(self.values(self.weights)).sum(axis=others, dtype=np.float64)
        return float(sums.max(initial=0)) * (255 if self.op.hybrid else reach(self.op.input_spec)) < _EXACT

    @cached_property
    def load(self) -> Load:
        """Reads stored inputs; those of hybrid operators are quantised by then."""
        stored = self.op.is_quantized and not self.op.hybrid
        return Centred(zero_point(self.op.input_spec)) if stored else Plain()

    @cached_property
    def finish(self) -> Finish:
        """Finishes the accumulators of all but hybrid operators."""
        op, output = self.op, self.op.outs[0]
        if not op.is_quantized:
            return FloatFinish(self.bias, op.activation)
        end = Ending(zero_point(output), op.limits, output.dtype)
        bias = np.zeros(self.channels) if self.bias is None else self.bias.astype(np.float64)
        if isinstance(op, FullyConnected):
            return Rescale(bias, np.broadcast_to(op.ratio, bias.shape), end)
        mantissa, shift = (np.broadcast_to(part, bias.shape) for part in op.multiplier)
        kind = RequantizePositive if end.limits[0] >= end.zero_point else Requantize
        return kind(bias, mantissa, shift, end)

    def finish_scaled(self, scale: np.ndarray) -> Finish:
        """Finishes the accumulators of a hybrid operator whose input has this scale."""
        scales = quantization(self.op.weights_spec).scales * scale
        return FloatFinish(self.bias, self.op.activation, np.broadcast_to(scales, self.channels))


def operands(op: WeightedOp, axis: int, constants: Mapping[int, np.ndarray]) -> Operands | None:
    """What is known of an op, or None where these kernels do not serve it."""
    weights, bias = constants.get(op.positions[1]), constants.get(op.bias_position)
    has_bias = len(op.ins) > op.bias_position and op.ins[op.bias_position] is not None
    is_served = not op.is_quantized or op.hybrid or {op.input_spec.type, op.outs[0].type} <= _BYTES
    if weights is None or (has_bias and bias is None) or not is_served:
        return None
    known = Operands(op, axis, weights, bias)
    return known if known.is_exact() else None


def image_by_image(
    x: np.ndarray, scale: np.ndarray, known: Operands, product: Callable[[np.ndarray, Finish], np.ndarray]
) -> np.ndarray:
    """Results of a hybrid operator for quantised images [n, ...], which have their own scales [n, 1, ...]."""
    results = [product(x[n : n + 1], known.finish_scaled(scale[n].reshape(1))) for n in range(len(x))]
    return results[0] if len(results) == 1 else np.concatenate(results)
