"""The integer LSTM: int8 activations, int16 cell state (reference: LstmStepInteger8x8_16 and its preparation).

Gates are int16 in Q3.12, or in the scale of their intermediate tensor before layer normalisation; their results are
in Q0.15. The cell state's scale is a power of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Array, TensorSpec, TensorType
from .affine import Affine, affine, log2_of
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, rounding_divide_by_pot, saturate
from .gates import sigmoid, tanh
from .gemmlowp import inverse_sqrt
from .lstm_operands import Gate, Operands
from .products import integer_matmul

_Q3_12 = np.float32(2.0**-12)
_INTERMEDIATES = {"input": 0, "forget": 1, "cell": 2, "output": 3}
_HIDDEN = 4
_INT16 = TensorType.INT16


def integer_refusal(operator: str, specs: Operands, output: TensorSpec, hidden: Sequence[TensorSpec]) -> str | None:
    """Why an LSTM with an int8 input can't run on integers; None if it can."""
    wanted = {TensorType.INT8: [specs.output_state, specs.projection, output], _INT16: [specs.cell_state],
              TensorType.INT32: [specs.projection_bias]}  # fmt: skip
    for gate in specs.gates.values():
        wanted[TensorType.INT8] += [gate.input, gate.recurrent]
        wanted[_INT16] += [gate.peephole, gate.norm]
        wanted[TensorType.INT32] += [gate.bias]
    for kind, given in wanted.items():
        for spec in given:
            if spec is not None and spec.type is not kind:
                names = spec.type.name.lower(), kind.name.lower()
                return f"operator {operator} with an int8 input has a {names[0]} `{spec.name}`; it needs {names[1]}."
    scaled = [specs.x, *wanted[TensorType.INT8], *wanted[_INT16]]
    needed = range(_HIDDEN + 1) if specs.forget.norm is not None else [_HIDDEN]
    if len(hidden) <= _HIDDEN:
        return f"operator {operator} with an int8 input needs 5 intermediate tensors, got {len(hidden)}."
    scaled += [hidden[i] for i in needed]
    for spec in scaled:
        if spec is not None and (spec.quantization is None or len(spec.quantization.scales) != 1):
            return f"operator {operator} with an int8 input needs one scale for its operand `{spec.name}`."
    if specs.output.peephole is not None and specs.projection is not None:  # the reference mixes up their sizes
        return f"operator {operator} with an int8 input is not supported with both peepholes and a projection."
    scale = float(affine(specs.cell_state).scale)
    if log2_of(scale) is None or not -15 <= _power(specs) <= -9:
        return f"operator {operator} needs a cell state whose scale is a power of two from 2**-15 to 2**-9."
    return None


class _Product:
    """int8 rows times constant weights, as int32 in steps of another scale."""

    def __init__(self, weights: Array, bias: Array | None, spec: TensorSpec, source: Affine, scale: Any) -> None:
        self._weights = weights.astype(np.float32).T
        self._bias = 0 if bias is None else bias
        self._zero_point = np.float32(source.zero_point)
        self._factor = quantize_multiplier(float(affine(spec).scale * source.scale / scale))

    def __call__(self, rows: Array) -> Array:
        sums = integer_matmul(np, rows.astype(np.float32) - self._zero_point, self._weights, 255 * 128) + self._bias
        return multiply_by_quantized_multiplier(np, sums, *self._factor)


class _Gate:
    """One gate up to its function."""

    def __init__(self, specs: Gate, values: Gate, layer: Operands, scale: np.float32) -> None:
        bias = values.bias if values.norm is None else None
        self.drive = _Product(values.input, bias, specs.input, affine(layer.x), scale)
        self._feed_back = _Product(values.recurrent, None, specs.recurrent, affine(layer.output_state), scale)
        self._values, self._specs = values, specs
        if values.peephole is not None:
            cell_scale = 2.0 ** _power(layer)
            self._peephole = quantize_multiplier(float(np.float32(cell_scale * affine(specs.peephole).scale / scale)))

    def __call__(self, driven: Array, h: Array, c: Array) -> Array:
        """int16 [batch, cells], where `driven` is what `drive` gave for the inputs of this step."""
        total = saturate(np, saturate(np, driven, np.int16).astype(np.int32) + self._feed_back(h), np.int16)
        if self._values.peephole is not None:
            seen = multiply_by_quantized_multiplier(np, self._values.peephole.astype(np.int32) * c, *self._peephole)
            total = saturate(np, total.astype(np.int32) + seen, np.int16)
        return total if self._values.norm is None else _normalized(total, self._values, affine(self._specs.norm).scale)


class IntegerCell:
    """One integer LSTM: its rescaling factors, from declared specs, and its constant operands."""

    def __init__(
        self, specs: Operands, values: Operands, intermediates: Sequence[TensorSpec], cell_clip: float, proj_clip: float
    ) -> None:
        normalized = specs.forget.norm is not None
        self._gates = {
            name: _Gate(gate, values.gates[name], specs, affine(intermediates[place]).scale if normalized else _Q3_12)
            for name, gate in specs.gates.items()
            for place in [_INTERMEDIATES[name]]
        }
        self._power = _power(specs)
        self._output = affine(specs.output_state)
        self._hidden = affine(intermediates[_HIDDEN])
        self._project = None
        if values.projection is not None:  # which the reference computes from hidden states of the opposite zero point
            self._hidden = Affine(self._hidden.scale, -self._hidden.zero_point)
            weights, bias = values.projection, values.projection_bias
            self._project = _Product(weights, bias, specs.projection, self._hidden, self._output.scale)
        self._open = quantize_multiplier(float(np.float32(2.0**-15 / float(self._hidden.scale) * 2.0**-15)))
        self._cell_clip = _stored_clip(cell_clip, affine(specs.cell_state).scale, np.int16)
        self._output_clip = _stored_clip(proj_clip, self._output.scale, np.int8)

    def drive(self, rows: Array) -> dict[str, Array]:
        """What input rows [n, inputs] add to each gate [n, cells]."""
        return {name: gate.drive(rows) for name, gate in self._gates.items()}

    def step(self, driven: dict[str, Array], h: Array, c: Array) -> tuple[Array, Array]:
        """States after one step: h, int8 [batch, outputs], which is also the output, and c, int16 [batch, cells]."""
        gates = self._gates
        forget = sigmoid(gates["forget"](driven["forget"], h, c))
        modulation = tanh(gates["cell"](driven["cell"], h, c), 3)
        update = sigmoid(gates["input"](driven["input"], h, c)) if "input" in gates else 32767 - forget
        kept = _shifted_product(forget, c, 15)
        c = saturate(np, kept + _shifted_product(update, modulation, 30 + self._power), np.int16)
        if self._cell_clip > 0:
            c = np.clip(c, -self._cell_clip, self._cell_clip)
        opened = sigmoid(gates["output"](driven["output"], h, c)).astype(np.int32)
        hidden = multiply_by_quantized_multiplier(np, opened * tanh(c, 15 + self._power), *self._open)
        return self._projected(saturate(np, hidden + self._hidden.zero_point, np.int8)), c

    def _projected(self, hidden: Array) -> Array:
        if self._project is None:
            return hidden
        result = saturate(np, self._project(hidden) + self._output.zero_point, np.int8)
        return np.clip(result, -self._output_clip, self._output_clip) if self._output_clip > 0 else result


def _power(specs: Operands) -> int:
    """The cell state's scale is 2 to this power."""
    return log2_of(float(affine(specs.cell_state).scale)) or 0


def _stored_clip(clip: float, scale: np.float32, dtype: Any) -> int:
    """A bound in steps of a scale, 0 for none."""
    return int(np.clip(np.float32(clip) / scale, 0, np.iinfo(dtype).max)) if clip > 0 else 0


def _shifted_product(a: Array, b: Array, places: int) -> Array:
    """int32: a * b / 2**places, rounded; wrapped around as int16."""
    return rounding_divide_by_pot(np, a.astype(np.int32) * b, places).astype(np.int16).astype(np.int32)


def _normalized(x: Array, gate: Gate, scale: np.float32) -> Array:
    """int16: layer normalisation in Q3.12 (reference: PortableApplyLayerNorm)."""
    size = x.shape[1]
    wide = x.astype(np.int64)
    sums = wide.sum(axis=1, keepdims=True) * 1024
    mean = np.sign(sums) * (np.abs(sums) // size)
    spread = (wide * wide).sum(axis=1, keepdims=True) * ((1 << 20) // size) - mean * mean
    variance = (np.sign(spread) * (np.abs(spread) >> 20)).astype(np.int32)
    guard = max(1, int(np.float32(10000) * scale))
    mantissa, shift = inverse_sqrt(np, np.where(variance < 1, np.int32(guard), variance))
    centred = (1024 * wide - mean).astype(np.int32)
    rescaled = multiply_by_quantized_multiplier(np, centred, mantissa, shift)
    weighted = rescaled * gate.norm.astype(np.int32) + gate.bias
    rounded = weighted.astype(np.int64) + np.where(weighted > 0, 512, -512)
    narrow = (np.sign(rounded) * (np.abs(rounded) >> 10)).astype(np.int32)
    mantissa, shift = quantize_multiplier(float(scale))
    return saturate(np, multiply_by_quantized_multiplier(np, narrow, mantissa, shift + 12), np.int16)
