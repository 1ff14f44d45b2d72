"""The integer LSTM with 8-bit products: coupled gates, normalised in float (reference: LstmStepInteger8x8_8).

Products with inputs and states are int8, their sums int16, in the scales of 12 intermediate tensors; gates' results and
the cell state are in Q0.15. Of a file's operands it leaves out the input gate and the peepholes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...graph import Array, TensorSpec
from ..shared.affine import Affine, affine
from ..shared.fixedpoint import (
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    saturate,
)
from .gates import looked_up
from .layer import Cell, States, clipped, logistic
from .lstm_integer import (
    ByteProducts,
    FloatSums,
    IntegerLayer,
    IntegerProduct,
    next_cell,
    scales_refusal,
    shifted_product,
    stored_clip,
    types_refusal,
)
from .lstm_operands import Operands

COUNT = 12
"""Number of intermediate tensors: for each gate its sum, and its products with the inputs and with the state."""

_GATES = {"forget": 3, "cell": 6, "output": 9}  # where the intermediate tensors of each gate begin
_Q0 = np.float32(2.0**-15)


def integer8_refusal(operator: str, layer: IntegerLayer, output: TensorSpec) -> str | None:
    """Why this form of LSTM can't run; None if it can."""
    specs = layer.specs
    unfit = types_refusal(operator, specs, output) or scales_refusal(operator, [layer.input, output], specs)
    if unfit:
        return unfit
    if any(spec.quantization is None or not len(spec.quantization.scales) for spec in layer.intermediates):
        return f"operator {operator} with an int8 input needs scales for its intermediate tensors."
    if not specs.is_normalized or specs.projection is None or specs.projection_bias is None:
        return (
            f"operator {operator} with {COUNT} intermediate tensors needs normalisation and a projection with a bias."
        )
    if affine(specs.cell_state).scale != _Q0:
        return f"operator {operator} with {COUNT} intermediate tensors needs a cell state of scale 2**-15."
    return None


class _Sum(NamedTuple):
    """How one gate adds its two products."""

    input_zero_point: int
    input_factor: tuple[int, int]
    state_zero_point: int
    state_factor: tuple[int, int]


class Integer8Cell(Cell):
    """One such layer: its rescaling factors, from declared specs, and its operands prepared."""

    def __init__(self, layer: IntegerLayer, values: Operands, products: ByteProducts = FloatSums) -> None:
        specs = layer.specs
        self._intermediates = [affine(spec) for spec in layer.intermediates]
        self._values, self._specs = values.gates, specs.gates
        self._output = affine(specs.output_state)
        self._drive = self._product("input", affine(layer.input), 1, products)
        self._recurrent = self._product("recurrent", self._output, 2, products)
        self._sums = {name: self._sum(name) for name in _GATES}
        self._projection = values.projection.astype(np.float64).T
        self._projection_bias = values.projection_bias.astype(np.int64)
        ratio = np.float32(float(affine(specs.projection).scale) * 2.0**-15 / float(self._output.scale))
        self._project = quantize_multiplier(float(ratio))
        clip = layer.parameters.cell_clip
        self._cell_clip = stored_clip(clip, _Q0, np.int16) if clip < 1 else 0
        self._output_clip = stored_clip(layer.parameters.proj_clip, self._output.scale, np.int8)
        self.widths = values.gates["output"].recurrent.shape[::-1]

    def _product(self, part: str, source: Affine, offset: int, products: ByteProducts) -> IntegerProduct:
        weights, specs = ([getattr(gates[name], part) for name in _GATES] for gates in (self._values, self._specs))
        scales = [self._intermediates[start + offset].scale for start in _GATES.values()]
        return IntegerProduct(weights, specs, None, source, scales, products)

    def _sum(self, name: str) -> _Sum:
        total, input, state = self._intermediates[_GATES[name] :][:3]
        factor = quantize_multiplier(float(state.scale / total.scale))
        if name == "output":  # the reference reads other entries of its tables than it means to
            forget, _, fed_back = self._intermediates[_GATES["forget"] :][:3]
            factor = quantize_multiplier(float(fed_back.scale / forget.scale))[1], factor[1]
            state = self._intermediates[_GATES["cell"] + 1]
        return _Sum(input.zero_point, quantize_multiplier(float(input.scale / total.scale)), state.zero_point, factor)

    def drive(self, rows: Array, aux: Array | None) -> Array:
        """Products of input rows [n, inputs] with the weights of the gates, int32 [n, gates, cells]."""
        return self._drive(rows).reshape(len(rows), len(_GATES), self.widths[1])

    def step(self, driven: Array, states: States) -> States:
        """States after one step: h, int8 [batch, outputs], which is also the output, and c, int16 [batch, cells]."""
        h, c = states
        fed_back = self._recurrent(h).reshape(driven.shape)
        forget, modulation, opened = (
            self._gate(name, driven[:, place], fed_back[:, place]) for place, name in enumerate(_GATES)
        )
        forget, opened = (looked_up(_sigmoid_table(), x) for x in (forget, opened))
        modulation = looked_up(_tanh_table(12), modulation)
        c = next_cell(c, forget, 32767 - forget, modulation, 15, self._cell_clip)
        hidden = shifted_product(opened, looked_up(_tanh_table(15), c), 15)
        sums = (hidden.astype(np.float64) @ self._projection).astype(np.int64) + self._projection_bias
        result = multiply_wide_by_quantized_multiplier(np, sums, *self._project) + self._output.zero_point
        return clipped(saturate(np, result, np.int8), self._output_clip), c

    def _gate(self, name: str, driven: Array, fed_back: Array) -> Array:
        """One gate up to its function, int16 [batch, cells]."""
        how, gate = self._sums[name], self._values[name]
        x = saturate(np, driven + how.input_zero_point, np.int8).astype(np.int32) - how.input_zero_point
        h = saturate(np, fed_back + how.state_zero_point, np.int8).astype(np.int32) - how.state_zero_point
        sums = multiply_by_quantized_multiplier(np, x, *how.input_factor)
        sums = sums + multiply_by_quantized_multiplier(np, h, *how.state_factor)
        return _normalized(saturate(np, sums, np.int16), gate.norm, gate.bias, affine(self._specs[name].norm).scale)


def _normalized(x: Array, weights: Array, bias: Array, scale: np.float32) -> Array:
    """int16: layer normalisation in Q3.12 (reference: PortableApplyLayerNormFloat); sums run in its order."""
    mantissa, shift = quantize_multiplier(float(scale))
    unit = np.float32(mantissa * 2.0 ** (shift - 31))
    real, size = x.astype(np.float32), np.float32(x.shape[1])
    total, squares = (np.add.accumulate(part, axis=1, dtype=np.float32)[:, -1:] for part in (real, real * real))
    mean = total / size
    variance = squares / size - mean * mean
    spread = np.where(variance == 0, np.float32(1e-4), np.sqrt(variance))
    weighted = (real - mean) * (np.float32(1) / spread) * weights.astype(np.float32) * unit
    weighted = weighted + bias.astype(np.float32) * np.float32(2.0**-10 * unit)
    return saturate(np, round_half_away(np, weighted.astype(np.float64) * 2.0**12), np.int16)


def _table(function: Any, fractional_bits: int) -> Array:
    """int16 [65536]: a function of numbers with so many bits after the point, in Q0, truncated."""
    real = np.arange(-(2**15), 2**15) / 2.0**fractional_bits
    result = function(real).astype(np.float32).astype(np.float64) * 2.0**15
    return saturate(np, np.trunc(result), np.int16)


@cache
def _sigmoid_table() -> Array:
    return _table(logistic, 12)


@cache
def _tanh_table(fractional_bits: int) -> Array:
    return _table(np.tanh, fractional_bits)
