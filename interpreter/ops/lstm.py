"""Long short-term memory: LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM in float32, with int8 weights, and in integers.

States arrive as `Variable` objects in their operand's position; the results are read from and written to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INT8, INT16, INT32, Activation, Specs, StatefulOp, op
from .fused import activate
from .lstm_integer import IntegerCell, integer_refusal
from .lstm_operands import Gate, Operands, by_role
from .recurrent import (
    Weights,
    by_time,
    expect_shape,
    expect_size,
    from_time,
    real_values,
    state_of,
    weights_refusal,
)
from .windows import expect_rank


class LstmKernelType(IntEnum):
    """Which form of LSTM an operator is."""

    FULL = 0
    BASIC = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class LstmLayer(StatefulOp):
    """An LSTM with optional peepholes, projection, layer normalisation and coupled gates (reference: lstm_eval.cc)."""

    fused_activation_function: Activation = Activation.NONE
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    asymmetric_quantize_inputs: bool = False

    @property
    def time_axis(self) -> int | None:
        """The dimension of time in the input; None for a layer of one step."""
        return None

    def refuses(self, *operands: Any) -> str | None:
        if len(operands) not in (20, 24):
            return f"operator {self.name} is not supported with {len(operands)} operands; it takes 20 or 24."
        specs = by_role(operands)
        needed = [specs.output_state, specs.cell_state]
        needed += [part for gate in specs.gates.values() for part in (gate.input, gate.recurrent, gate.bias)]
        if any(spec is None for spec in needed):
            return f"operator {self.name} needs states, and weights and a bias for each gate; one is absent."
        if specs.projection is None and specs.projection_bias is not None:
            return f"operator {self.name} is not supported with a projection bias and no projection."
        peepholes = [gate.peephole is None for name, gate in specs.gates.items() if name != "cell"]
        if len(set(peepholes)) > 1 or len({gate.norm is None for gate in specs.gates.values()}) > 1:
            return f"operator {self.name} needs peepholes and normalisation for all of its gates or for none."
        if specs.x.type is TensorType.INT8:
            return integer_refusal(self.name, specs, self.outs[0], self.intermediates)
        return self._float_refusal(specs)

    def _float_refusal(self, specs: Operands) -> str | None:
        gates = specs.gates.values()
        reals = [specs.output_state, specs.cell_state, specs.projection_bias, self.outs[0]]
        reals += [part for gate in gates for part in (gate.bias, gate.norm)]
        if any(spec is not None and spec.type is not TensorType.FLOAT32 for spec in reals):
            return f"operator {self.name} with a float32 input needs float32 states, biases and normalisation."
        weights = [part for gate in gates for part in (gate.input, gate.recurrent, gate.peephole)]
        return weights_refusal(self.name, [*weights, specs.projection])

    def infer(self, *operands: Any) -> Specs:
        specs = by_role(operands)
        x = expect_rank(self.name, "input", specs.x, 2 if self.time_axis is None else 3)
        cells, _ = expect_rank(self.name, "input_to_output_weights", specs.output.input, 2)
        _, outputs = expect_rank(self.name, "recurrent_to_output_weights", specs.output.recurrent, 2)
        for name, gate in specs.gates.items():
            expect_shape(self.name, f"input_to_{name}_weights", gate.input, (cells, x[-1]))
            expect_shape(self.name, f"recurrent_to_{name}_weights", gate.recurrent, (cells, outputs))
            for part in ("peephole", "bias", "norm"):
                expect_shape(self.name, f"{name} {part}", getattr(gate, part), (cells,))
        if specs.projection is None and outputs != cells:
            raise KernelError(f"{self.name} got {outputs} outputs of {cells} cells without a projection.")
        expect_shape(self.name, "projection_weights", specs.projection, (outputs, cells))
        expect_shape(self.name, "projection_bias", specs.projection_bias, (outputs,))
        batch = x[0] if self.time_axis is None else x[1 - self.time_axis]
        expect_size(self.name, "output_state", specs.output_state, batch * outputs)
        expect_size(self.name, "cell_state", specs.cell_state, batch * cells)
        return TensorSpec(specs.x.type, (*x[:-1], outputs))

    def run_with(self, state: Any, input: Array, *operands: Any) -> Any:
        specs, values = by_role(self.ins), by_role((input, *operands))
        steps = by_time(input, self.time_axis)
        length, batch, depth = steps.shape
        cells, outputs = values.output.recurrent.shape
        output_state = state_of(self.name, values.output_state, batch * outputs)
        cell_state = state_of(self.name, values.cell_state, batch * cells)
        h, c = output_state.read().reshape(batch, outputs), cell_state.read().reshape(batch, cells)
        cell = self._cell(specs, values)
        driven = {
            name: rows.reshape(length, batch, cells)
            for name, rows in cell.drive(steps.reshape(length * batch, depth)).items()
        }
        result = np.empty((length, batch, outputs), h.dtype)
        for step in range(length):
            h, c = cell.step({name: rows[step] for name, rows in driven.items()}, h, c)
            result[step] = h
        output_state.assign(h.reshape(output_state.read().shape))
        cell_state.assign(c.reshape(cell_state.read().shape))
        return from_time(result, self.time_axis)

    def _cell(self, specs: Operands, values: Operands) -> IntegerCell | FloatCell:
        if values.x.dtype == np.int8:
            return IntegerCell(specs, values, self.intermediates, self.cell_clip, self.proj_clip)
        return FloatCell(self, specs, values)


class _FloatGate:
    """One gate up to its function."""

    def __init__(self, specs: Gate, values: Gate, asymmetric: bool) -> None:
        self.drive = Weights(values.input, specs.input, asymmetric)
        self._feed_back = Weights(values.recurrent, specs.recurrent, asymmetric)
        self._peephole = None if values.peephole is None else real_values(values.peephole, specs.peephole)
        self._norm, self._bias = values.norm, values.bias

    def __call__(self, driven: Array, h: Array, c: Array) -> Array:
        """[batch, cells], where `driven` is what `drive` gave for the inputs of this step."""
        total = driven + self._feed_back(h)
        if self._peephole is not None:
            total = total + self._peephole * c
        return (total if self._norm is None else _normalized(total) * self._norm) + self._bias


class FloatCell:
    """The arithmetic of one float LSTM (reference: LstmStepFloat, LstmStepHybrid)."""

    def __init__(self, layer: LstmLayer, specs: Operands, values: Operands) -> None:
        asymmetric = layer.asymmetric_quantize_inputs
        self._gates = {n: _FloatGate(specs.gates[n], gate, asymmetric) for n, gate in values.gates.items()}
        absent = values.projection is None
        self._project = None if absent else Weights(values.projection, specs.projection, asymmetric)
        self._bias = 0 if values.projection_bias is None else values.projection_bias
        self._layer = layer

    def drive(self, rows: Array) -> dict[str, Array]:
        """What input rows [n, inputs] add to each gate [n, cells]."""
        return {name: gate.drive(rows) for name, gate in self._gates.items()}

    def step(self, driven: dict[str, Array], h: Array, c: Array) -> tuple[Array, Array]:
        """States after one step: h [batch, outputs], which is also the output, and c [batch, cells]."""
        gates, activation = self._gates, self._layer.fused_activation_function
        forget = _sigmoid(gates["forget"](driven["forget"], h, c))
        update = _sigmoid(gates["input"](driven["input"], h, c)) if "input" in gates else 1 - forget
        c = forget * c + update * activate(np, gates["cell"](driven["cell"], h, c), activation)
        c = _clipped(c, self._layer.cell_clip)
        hidden = _sigmoid(gates["output"](driven["output"], h, c)) * activate(np, c, activation)
        if self._project is not None:
            hidden = _clipped(self._project(hidden) + self._bias, self._layer.proj_clip)
        return hidden, c


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _clipped(x: Array, limit: float) -> Array:
    """`x` held within `limit`, which is 0 for none."""
    return np.clip(x, -np.float32(limit), np.float32(limit)) if limit > 0 else x


def _normalized(x: Array) -> Array:
    """Rows of mean 0 and variance 1 (reference: MeanStddevNormalization)."""
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(1e-8))


_OPERANDS = FLOAT | INT8 | INT16 | INT32


@op("UNIDIRECTIONAL_SEQUENCE_LSTM", FLOAT, quantized=(FLOAT | INT8, _OPERANDS), versions=4)
class UnidirectionalSequenceLstm(LstmLayer):
    """An LSTM over a sequence (reference: unidirectional_sequence_lstm.cc)."""

    time_major: bool = False
    diagonal_recurrent_tensors: bool = False

    @property
    def time_axis(self) -> int | None:
        return 0 if self.time_major else 1

    def refuses(self, *operands: Any) -> str | None:
        if self.diagonal_recurrent_tensors:
            return "operator UNIDIRECTIONAL_SEQUENCE_LSTM is not supported with diagonal recurrent tensors."
        return super().refuses(*operands)


@op("LSTM", FLOAT, quantized=(FLOAT | INT8, _OPERANDS), versions=4)
class Lstm(LstmLayer):
    """One step of an LSTM, or of the basic kind: one matrix for all gates, no options (reference: lstm.cc)."""

    kernel_type: LstmKernelType = LstmKernelType.FULL

    def refuses(self, *operands: Any) -> str | None:
        if self.kernel_type is LstmKernelType.FULL:
            return super().refuses(*operands)
        if len(operands) != 5 or None in operands or len(self.outs) != 4:
            return "operator LSTM of the basic kind needs 5 operands and 4 results."
        if any(spec.type is not TensorType.FLOAT32 for spec in (*operands, *self.outs)):
            return "operator LSTM of the basic kind is only supported in float32."
        return None

    def infer(self, *operands: Any) -> Specs:
        if self.kernel_type is LstmKernelType.FULL:
            return super().infer(*operands)
        input, activation, weights, bias, cell_state = operands
        batch, depth = expect_rank(self.name, "input", input, 2)
        cells = expect_rank(self.name, "prev_activation", activation, 2)[1]
        expect_shape(self.name, "prev_activation", activation, (batch, cells))
        expect_shape(self.name, "weights", weights, (4 * cells, depth + cells))
        expect_shape(self.name, "bias", bias, (4 * cells,))
        expect_shape(self.name, "prev_state", cell_state, (batch, cells))
        widths = cells, cells, depth + cells, 4 * cells
        return tuple(TensorSpec(TensorType.FLOAT32, (batch, width)) for width in widths)

    def run_with(self, state: Any, input: Array, *operands: Any) -> Any:
        if self.kernel_type is LstmKernelType.FULL:
            return super().run_with(state, input, *operands)
        activation, weights, bias, cell = operands
        size = len(input) * (len(bias) // 4)
        output_state, cell_state = state_of(self.name, activation, size), state_of(self.name, cell, size)
        rows = np.concatenate([input, output_state.read()], axis=1)
        gates = rows @ weights.T + bias
        update, modulation, forget, output = np.split(gates, 4, axis=1)
        c = _sigmoid(update) * np.tanh(modulation) + _sigmoid(forget) * cell_state.read()
        h = _sigmoid(output) * np.tanh(c)
        output_state.assign(h)
        cell_state.assign(c)
        return h, c, rows, gates
