"""The basic LSTM: one step, one matrix for all gates, no options (reference: LstmCell in optimized_ops.h)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...graph import Array, TensorSpec, TensorType
from ..base import OptionalSpec
from ..shared.affine import affine, log2_of
from ..shared.fixedpoint import quantize_multiplier, saturate, saturating_rounding_doubling_high_mul
from ..shared.products import integer_matmul
from ..shared.windows import expect_rank
from .gates import halved, multiplied, sigmoid, tanh
from .layer import expect_shape, logistic

_FLOAT, _UINT8, _INT16, _INT32 = TensorType.FLOAT32, TensorType.UINT8, TensorType.INT16, TensorType.INT32
_KINDS = ([_FLOAT] * 9, [_UINT8, _UINT8, _UINT8, _INT32, _INT16, _UINT8, _INT16, _UINT8, _INT16])
"""Types of the operands and results."""

_STATE_BITS = 4  # integer bits of the quantised cell state


class Basic(NamedTuple):
    """Specs or values of the operands."""

    input: Any  # [batch, inputs]
    output_state: Any  # [batch, cells]
    weights: Any  # [4 * cells, inputs + cells]: input, cell, forget, output
    bias: Any  # [4 * cells]
    cell_state: Any  # [batch, cells]


def basic_refusal(operands: Sequence[OptionalSpec], results: Sequence[TensorSpec]) -> str | None:
    """Why the basic LSTM can't run with these specs; None if it can."""
    if any(spec is not None and spec.sparsity is not None for spec in operands):
        return "operator LSTM of the basic kind is not supported with sparse weights."
    if len(operands) != 5 or None in operands or len(results) != 4:
        return "operator LSTM of the basic kind needs 5 operands and 4 results."
    if [spec.type for spec in (*operands, *results) if spec is not None] not in _KINDS:
        return "operator LSTM of the basic kind is only supported in float32, or in uint8 with an int16 cell state."
    if results[0].type is _FLOAT:
        return None
    scaled = [operands[2], operands[3], results[1]]
    if any(spec is None or spec.quantization is None or len(spec.quantization.scales) != 1 for spec in scaled):
        return "operator LSTM of the basic kind needs one scale for its quantised weights, bias and cell state."
    if log2_of(float(affine(results[1]).scale)) != _STATE_BITS - 15:
        return "operator LSTM of the basic kind needs a quantised cell state of scale 2**-11."
    return None


def basic_results(operator: str, specs: Basic, results: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Specs of the results: the states, the rows that the matrix multiplied, and its products."""
    batch, depth = expect_rank(operator, "input", specs.input, 2)
    cells = expect_rank(operator, "prev_activation", specs.output_state, 2)[1]
    expect_shape(operator, "prev_activation", specs.output_state, (batch, cells))
    expect_shape(operator, "weights", specs.weights, (4 * cells, depth + cells))
    expect_shape(operator, "bias", specs.bias, (4 * cells,))
    expect_shape(operator, "prev_state", specs.cell_state, (batch, cells))
    widths = cells, cells, depth + cells, 4 * cells
    return tuple(TensorSpec(spec.type, (batch, width)) for spec, width in zip(results, widths, strict=True))


def basic_step(values: Basic) -> tuple[Array, ...]:
    """h, c, rows and gates of a float step, for the values of the states before."""
    rows = np.concatenate([values.input, values.output_state], axis=1)
    gates = rows @ values.weights.T + values.bias
    update, modulation, forget, output = np.split(gates, 4, axis=1)
    c = logistic(update) * np.tanh(modulation) + logistic(forget) * values.cell_state
    return logistic(output) * np.tanh(c), c, rows, gates


def quantized_basic_step(values: Basic, weights_zero_point: int, bias_scale: np.float32) -> tuple[Array, ...]:
    """The same for uint8 rows of zero point 128 and scale 2**-7, and an int16 cell state in Q4."""
    rows = np.concatenate([values.input, values.output_state], axis=1)
    columns = values.weights.astype(np.float32).T - np.float32(weights_zero_point)
    sums = integer_matmul(np, rows.astype(np.float32) - np.float32(128), columns, 128 * 255) + values.bias
    factor = quantize_multiplier(float(4096 * bias_scale))
    gates = saturate(np, _rescaled(sums, *factor), np.int16)
    update, modulation, forget, output = np.split(gates, 4, axis=1)
    added = halved(multiplied(sigmoid(update), tanh(modulation, 3)), _STATE_BITS)
    c = saturate(np, added + multiplied(sigmoid(forget), values.cell_state), np.int16)
    opened = multiplied(sigmoid(output), tanh(c, _STATE_BITS))
    h = (saturate(np, halved(opened, 8), np.int8).astype(np.int32) + 128).astype(np.uint8)
    return h, c, rows, gates


def _rescaled(x: Array, mantissa: int, shift: int) -> Array:
    """int32: x * mantissa * 2**(shift - 31), rounded twice, halves up (reference: ruy's x86 kernels)."""
    right = max(-shift, 0)
    high = saturating_rounding_doubling_high_mul(np, x << max(shift, 0), mantissa)
    return (high + ((1 << right) >> 1)) >> right
