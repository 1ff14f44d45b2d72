"""The integer LSTM: int8 activations, int16 cell state (reference: LstmStepInteger8x8_16 and its preparation).

Gates are int16 in Q3.12, or in the scale of their intermediate tensor before layer normalisation; their results are
in Q0.15. The cell state's scale is a power of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...graph import Array, TensorSpec, TensorType
from ...sharing import release
from ..shared.affine import Affine, affine, log2_of
from ..shared.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate
from ..shared.gemmlowp import inverse_sqrt
from ..shared.products import integer_matmul
from .gates import sigmoid, tanh
from .layer import Cell, States, clipped
from .lstm_operands import GATES, Gate, LstmParameters, Operands
from .rescaling import Rescaling, divided, saturated

_Q3_12 = np.float32(2.0**-12)
_HIDDEN = 4  # position of the hidden state among the intermediate tensors, after one for each gate
_COUNT = 5
_INT16 = TensorType.INT16


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """What an integer LSTM is made of, but for the values of its operands."""

    input: TensorSpec
    specs: Operands
    intermediates: Sequence[TensorSpec]
    parameters: LstmParameters
    rows_alone: bool  # whether the reference takes the rows of a batch one by one, not together


def integer_refusal(
    operator: str, input: TensorSpec, layer: Operands, output: TensorSpec, hidden: Sequence[TensorSpec]
) -> str | None:
    """Why an LSTM with an int8 input can't run on integers; None if it can."""
    unfit = types_refusal(operator, layer, output) or scales_refusal(operator, [input, output], layer)
    if unfit:
        return unfit
    if len(hidden) != _COUNT:
        return f"operator {operator} with an int8 input needs {_COUNT} intermediate tensors, got {len(hidden)}."
    needed = hidden if layer.is_normalized else hidden[_HIDDEN:]
    if any(not _has_scale(spec) for spec in needed):
        return f"operator {operator} with an int8 input needs scales for its intermediate tensors."
    scale = float(affine(layer.cell_state).scale)
    if log2_of(scale) is None or not -15 <= _power(layer) <= -9:
        return f"operator {operator} needs a cell state whose scale is a power of two from 2**-15 to 2**-9."
    return _peephole_refusal(operator, layer)


def types_refusal(operator: str, layer: Operands, output: TensorSpec) -> str | None:
    """Why operands of these types can't go with an int8 input."""
    if not layer.is_normalized and any(layer.each("norm")):  # for those gates the reference sets no scale
        return f"operator {operator} with an int8 input needs normalisation for all gates or for none."
    wanted = {
        TensorType.INT8: [layer.output_state, layer.projection, output, *layer.each("input"), *layer.each("recurrent")],
        _INT16: [layer.cell_state, *layer.each("peephole"), *layer.each("norm")],
        TensorType.INT32: [layer.projection_bias, *layer.each("bias")],
    }
    for kind, given in wanted.items():
        for spec in given:
            if spec is not None and spec.type is not kind:
                names = spec.type.name.lower(), kind.name.lower()
                return f"operator {operator} with an int8 input has a {names[0]} `{spec.name}`; it needs {names[1]}."
    return None


def scales_refusal(operator: str, others: Sequence[TensorSpec], layer: Operands) -> str | None:
    """Sentence that names an operand without the one scale that it needs."""
    scaled = [*others, layer.output_state, layer.cell_state, layer.projection]
    scaled += [spec for part in ("input", "recurrent", "peephole", "norm") for spec in layer.each(part)]
    for spec in scaled:
        if spec is not None and not _has_scale(spec):
            return f"operator {operator} with an int8 input needs one scale for its operand `{spec.name}`."
    return None


def _has_scale(spec: TensorSpec) -> bool:
    return spec.quantization is not None and len(spec.quantization.scales) == 1


def _peephole_refusal(operator: str, layer: Operands) -> str | None:
    last = layer.gates["output"]
    if last.peephole is None or last.recurrent.shape is None or len(last.recurrent.shape) != 2:
        return None
    cells, outputs = last.recurrent.shape
    if outputs > cells:  # the reference reads past the end of the peepholes
        return f"operator {operator} with an int8 input and peepholes is not supported with more outputs than cells."
    return None


ByteProduct: TypeAlias = Callable[[Array], Array]
"""int8 rows [n, k] -> int32 [n, m], which wraps around: products with constant int8 weights."""

ByteProducts: TypeAlias = Callable[[Sequence[Array]], ByteProduct]
"""From int8 matrices [., k], m rows in all."""


class FloatSums:
    """Products of bytes as float32 ones, which hold them."""

    def __init__(self, weights: Sequence[Array]) -> None:
        columns = np.empty((sum(map(len, weights)), weights[0].shape[1]), np.float32)
        np.concatenate(weights, out=columns)
        self._columns = columns.T

    def __call__(self, rows: Array) -> Array:
        return integer_matmul(np, rows.astype(np.float32), self._columns, 128 * 128)


class IntegerProduct:
    """int8 rows times constant weights of several gates, in steps of each gate's scale: int64 within int32."""

    def __init__(
        self,
        weights: Sequence[Array],
        specs: Sequence[TensorSpec],
        biases: Sequence[Array] | None,
        source: Affine,
        scales: Sequence[Any],
        products: ByteProducts,
    ) -> None:
        self._sums = products(weights)
        sums = np.concatenate([part.sum(axis=1, dtype=np.int32) for part in weights])
        self._bias = sums * np.int32(-source.zero_point)
        if biases is not None:
            self._bias += np.concatenate(biases)
        ratios = [
            np.full(len(part), np.float64(affine(spec).scale * source.scale / scale))
            for part, spec, scale in zip(weights, specs, scales, strict=True)
        ]
        self._rescale = Rescaling(np.concatenate(ratios))
        for part in weights:
            release(part)

    def __call__(self, rows: Array) -> Array:
        return self._rescale(self._sums(rows) + self._bias)


class IntegerCell(Cell):
    """One integer LSTM: its rescaling factors, from declared specs, and its operands prepared."""

    def __init__(self, layer: IntegerLayer, values: Operands, products: ByteProducts = FloatSums) -> None:
        specs, normalized = layer.specs, layer.specs.is_normalized
        own = dict(zip(GATES, layer.intermediates, strict=False))
        scales = [affine(own[name]).scale if normalized else _Q3_12 for name in specs.gates]
        input, self._output = affine(layer.input), affine(specs.output_state)
        biases = None if normalized else values.each("bias")
        product = partial(IntegerProduct, products=products)
        self._drive = product(values.each("input"), specs.each("input"), biases, input, scales)
        self._recurrent = product(values.each("recurrent"), specs.each("recurrent"), None, self._output, scales)
        self._values, self._specs, self._rows_alone = values, specs, layer.rows_alone
        self._power = _power(specs)
        self._peepholes = {
            name: quantize_multiplier(float(np.float32(2.0**self._power * affine(gate.peephole).scale / scale)))
            for (name, gate), scale in zip(specs.gates.items(), scales, strict=True)
            if gate.peephole is not None
        }
        self._is_plain = not normalized and not self._peepholes
        self._place = {name: place for place, name in enumerate(values.gates)}
        self._prepare_output(layer, values, product)
        self._cell_clip = stored_clip(layer.parameters.cell_clip, affine(specs.cell_state).scale, np.int16)
        self._output_clip = stored_clip(layer.parameters.proj_clip, self._output.scale, np.int8)
        self.widths = values.gates["output"].recurrent.shape[::-1]

    def _prepare_output(self, layer: IntegerLayer, values: Operands, product: Callable[..., IntegerProduct]) -> None:
        self._hidden = affine(layer.intermediates[_HIDDEN])
        self._open = Rescaling(float(np.float32(2.0**-15 / float(self._hidden.scale) * 2.0**-15)))
        self._project = None
        if values.projection is not None:  # which the reference computes from hidden states of the opposite zero point
            self._hidden = Affine(self._hidden.scale, -self._hidden.zero_point)
            biases = None if values.projection_bias is None else [values.projection_bias]
            self._project = product(
                [values.projection], [layer.specs.projection], biases, self._hidden, [self._output.scale]
            )

    def drive(self, rows: Array, aux: Array | None) -> Array:
        """What input rows [n, inputs] add to the gates, int16 [n, gates, cells]."""
        return saturated(self._drive(rows), np.int16).reshape(len(rows), len(self._values.gates), self.widths[1])

    def step(self, driven: Array, states: States) -> States:
        """States after one step: h, int8 [batch, outputs], which is also the output, and c, int16 [batch, cells]."""
        h, c = states
        sums = self._recurrent(h).reshape(driven.shape)
        sums += driven
        totals = saturated(sums, np.int16)
        shares = sigmoid(totals) if self._is_plain else None
        forget = self._share("forget", totals, c, shares)
        modulation = tanh(self._gate("cell", totals, c), 3)
        update = self._share("input", totals, c, shares) if "input" in self._place else 32767 - forget
        c = next_cell(c, forget, update, modulation, 30 + self._power, self._cell_clip)
        opened = self._share("output", totals, c, shares).astype(np.int32)
        hidden = self._open(opened * tanh(c, 15 + self._power))
        hidden += self._hidden.zero_point
        return self._projected(saturated(hidden, np.int8)), c

    def _share(self, name: str, totals: Array, c: Array, shares: Array) -> Array:
        """What one gate lets through, Q0.15 [batch, cells]; `shares`: of all gates, if totals tell them."""
        return sigmoid(self._gate(name, totals, c)) if shares is None else shares[:, self._place[name]]

    def _gate(self, name: str, totals: Array, c: Array) -> Array:
        """One gate up to its function, int16 [batch, cells]."""
        total, gate = totals[:, self._place[name]], self._values.gates[name]
        if name in self._peepholes:
            total = total.copy()
            part, weights = self._within_reach(total), gate.peephole[: self.widths[0]].astype(np.int32)
            seen = multiply_by_quantized_multiplier(np, weights * self._within_reach(c), *self._peepholes[name])
            part[...] = saturate(np, part.astype(np.int32) + seen, np.int16)
        return total if gate.norm is None else _normalized(total, gate, affine(self._specs.gates[name].norm).scale)

    def _within_reach(self, x: Array) -> Array:
        """The numbers of [batch, cells] that peepholes count for, a view [batch, outputs].

        The reference takes as many for each row as there are outputs, one row right after the other.
        """
        outputs, cells = self.widths
        return x[:, :outputs] if self._rows_alone else x.reshape(-1)[: x.size // cells * outputs].reshape(-1, outputs)

    def _projected(self, hidden: Array) -> Array:
        if self._project is None:
            return hidden
        return clipped(saturated(self._project(hidden) + self._output.zero_point, np.int8), self._output_clip)


def next_cell(c: Array, forget: Array, update: Array, modulation: Array, places: int, clip: int) -> Array:
    """int16 cell state: forget * c + update * modulation / 2**places (reference: UpdateLstmCellInteger)."""
    kept = shifted_product(forget, c, 15)
    kept += shifted_product(update, modulation, places)
    return clipped(saturated(kept, np.int16), clip)


def _power(specs: Operands) -> int:
    """The cell state's scale is 2 to this power."""
    return log2_of(float(affine(specs.cell_state).scale)) or 0


def stored_clip(clip: float, scale: np.float32, dtype: Any) -> int:
    """A bound in steps of a scale, 0 for none."""
    return int(np.clip(np.float32(clip) / scale, 0, np.iinfo(dtype).max)) if clip > 0 else 0


def shifted_product(a: Array, b: Array, places: int) -> Array:
    """int32: a * b / 2**places, rounded; wrapped around as int16."""
    return divided(a.astype(np.int32) * b, places).astype(np.int16).astype(np.int32)


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
