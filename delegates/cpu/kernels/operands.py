"""What the kernels of weighted operators know before a call: weights, how to load an input, how to finish a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....interpreter.graph import TensorType
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.products import WeightedOp, reach, zero_point
from .finish import Finish, FloatFinish, Requantize, Rescale
from .load import Centred, Load, Plain

_EXACT = 1 << 24


@dataclass(frozen=True, eq=False)
class Operands:
    """Constant weights of an op, as stored, and the code around its product."""

    weights: np.ndarray
    zero_point: int  # of the weights
    reach: int  # greatest magnitude of a loaded input, 0 where inputs are real
    load: Load
    finish: Finish

    def values(self, weights: np.ndarray) -> np.ndarray:
        """float32: stored weights minus their zero point."""
        values = weights.astype(np.float32, copy=False)
        return values - self.zero_point if self.zero_point else values

    def is_exact(self, axis: int) -> bool:
        """Whether float32 holds every sum of products exactly; output channels are dimension `axis` of the weights."""
        if not self.reach:
            return True
        rest = tuple(n for n in range(self.weights.ndim) if n != axis)
        sums = np.abs(self.values(self.weights)).sum(axis=rest, dtype=np.float64)
        return float(sums.max(initial=0)) * self.reach < _EXACT


def operands(op: WeightedOp, constants: Mapping[int, np.ndarray]) -> Operands | None:
    """What is known of an op, or None where these kernels do not serve it."""
    weights, bias = constants.get(op.positions[1]), constants.get(op.bias_position)
    has_bias = len(op.ins) > op.bias_position and op.ins[op.bias_position] is not None
    if weights is None or (has_bias and bias is None):
        return None
    if not op.is_quantized:
        return Operands(weights, 0, 0, Plain(), FloatFinish(bias, op.activation))
    if op.input_spec.type not in (TensorType.INT8, TensorType.UINT8) or op.outs[0].type != op.input_spec.type:
        return None
    load = Centred(zero_point(op.input_spec))
    return Operands(weights, zero_point(op.weights_spec), reach(op.input_spec), load, _integer_finish(op, bias))


def _integer_finish(op: WeightedOp, bias: np.ndarray | None) -> Finish:
    output = op.outs[0]
    if isinstance(op, FullyConnected):
        return Rescale(bias, op.ratio, zero_point(output), op.limits, output.dtype)
    return Requantize(bias, *op.multiplier, zero_point(output), op.limits, output.dtype)
