"""The arithmetic of float LSTMs, with float32 or 8-bit weights (reference: LstmStepFloat, LstmStepHybrid)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...graph import Array, TensorType
from ..base import Activation
from ..shared.fused import activate
from ..shared.products import quantize_rows
from .layer import Cell, States, Weights, clipped, logistic, real_values
from .lstm_operands import GATES, LstmParameters, Operands, is_diagonal


class _Diagonals:
    """Diagonal matrices, one a gate, that multiply rows [n, cells]: float32 [n, gates * cells]."""

    def __init__(self, diagonals: Sequence[Array]) -> None:
        self._stacked = np.stack(diagonals)

    def __call__(self, rows: Array) -> Array:
        return (rows[:, None] * self._stacked).reshape(len(rows), -1)


def _recurrent(specs: Operands, values: Operands, asymmetric: bool) -> Weights | _Diagonals:
    given = values.each("recurrent")
    diagonal = [is_diagonal(spec) for spec in specs.each("recurrent")]
    if all(diagonal):
        return _Diagonals(given)
    full = [np.diag(part) if is_vector else part for part, is_vector in zip(given, diagonal, strict=True)]
    return Weights(full, specs.each("recurrent"), asymmetric)


class PlainLayer(NamedTuple):
    """A layer of float32 weights with tanh and without options; matrices by gate: input, forget, cell, output."""

    input: list[Array]  # [cells, inputs] each
    recurrent: list[Array]  # [cells, cells] each
    bias: list[Array]  # [cells] each
    cell_clip: float  # limit of the cell state, 0 for none

    @classmethod
    def of(cls, specs: Operands, values: Operands, parameters: LstmParameters) -> PlainLayer | None:
        """None for a layer that has more to it."""
        matrices = [*specs.each("input"), *specs.each("recurrent")]
        extra = [values.projection, *(part for name in ("peephole", "norm", "aux") for part in values.each(name))]
        if len(specs.gates) < len(GATES) or parameters.activation is not Activation.TANH:
            return None
        if any(part is not None for part in extra) or any(is_diagonal(spec) for spec in matrices):
            return None
        if any(spec.type is not TensorType.FLOAT32 for spec in matrices):
            return None
        return cls(values.each("input"), values.each("recurrent"), values.each("bias"), parameters.cell_clip)


class FloatCell(Cell):
    """One layer with its weights prepared: those of all gates stand side by side."""

    def __init__(self, specs: Operands, values: Operands, parameters: LstmParameters) -> None:
        asymmetric = parameters.asymmetric
        self._parameters, self._gates = parameters, values.gates
        self._place = {name: place for place, name in enumerate(values.gates)}
        self._input = Weights(values.each("input"), specs.each("input"), asymmetric)
        self._recurrent = _recurrent(specs, values, asymmetric)
        has_aux = values.gates["forget"].aux is not None
        self._aux = Weights(values.each("aux"), specs.each("aux"), asymmetric) if has_aux else None
        self._peepholes = {
            name: real_values(gate.peephole, specs.gates[name].peephole)
            for name, gate in values.gates.items()
            if gate.peephole is not None
        }
        absent = values.projection is None
        self._project = None if absent else Weights([values.projection], [specs.projection], asymmetric)
        self._projection_bias = 0 if values.projection_bias is None else values.projection_bias
        self._is_plain = not self._peepholes and not any(gate.norm is not None for gate in values.gates.values())
        self._bias = np.stack(values.each("bias"))
        cells = len(values.gates["output"].bias)
        self.widths = (cells if absent else len(values.projection), cells)

    def drive(self, rows: Array, aux: Array | None) -> Array:
        """What input rows [n, inputs], and auxiliary ones, add to the gates [n, gates, cells]."""
        total = self._input(rows) if self._aux is None else self._input(rows) + self._aux(aux)
        total = total.reshape(len(rows), len(self._gates), self.widths[1])
        if self._is_plain:
            total += self._bias
        return total

    def step(self, driven: Array, states: States) -> States:
        """States after one step: h [batch, outputs], which is also the output, and c [batch, cells]."""
        (h, c), parameters = states, self._parameters
        totals = self._totals(driven, h)
        shares = logistic(totals) if self._is_plain else None
        forget = self._share("forget", totals, c, shares)
        update = self._share("input", totals, c, shares) if "input" in self._gates else 1 - forget
        modulation = activate(np, self._gate("cell", totals, c), parameters.activation)
        c = clipped(forget * c + update * modulation, parameters.cell_clip)
        # without an activation, the reference finds what it last wrote to the buffer for the activated cell state
        shown = modulation if parameters.activation is Activation.NONE else activate(np, c, parameters.activation)
        hidden = self._share("output", totals, c, shares) * shown
        if self._project is not None:
            hidden = clipped(self._project(hidden) + self._projection_bias, parameters.proj_clip)
        return hidden, c

    def _totals(self, driven: Array, h: Array) -> Array:
        """Sums of all gates [batch, gates, cells] from inputs and states."""
        return driven + self._recurrent(h).reshape(driven.shape)

    def _share(self, name: str, totals: Array, c: Array, shares: Array) -> Array:
        """What one gate lets through, from 0 to 1, [batch, cells]; `shares`: of all gates, if totals tell them."""
        return logistic(self._gate(name, totals, c)) if shares is None else shares[:, self._place[name]]

    def _gate(self, name: str, totals: Array, c: Array) -> Array:
        """One gate up to its function, [batch, cells]."""
        total, gate = totals[:, self._place[name]], self._gates[name]
        if self._is_plain:
            return total
        if name in self._peepholes:
            total = total + self._peepholes[name] * c
        return (total if gate.norm is None else _normalized(total) * gate.norm) + gate.bias


class SparseCell(FloatCell):
    """One layer with sparse weights, which the reference takes for states of the same scale as the inputs."""

    def drive(self, rows: Array, aux: Array | None) -> Array:
        """What input rows add to the gates, and in one more place of each the scale of its row."""
        scales = quantize_rows(np, rows, asymmetric=False)[1]
        return np.concatenate([super().drive(rows, aux), np.repeat(scales, self.widths[1], axis=1)[:, None]], axis=1)

    def _totals(self, driven: Array, h: Array) -> Array:
        gates, scale = driven[:, :-1], driven[:, -1, :1]
        assert isinstance(self._recurrent, Weights)
        return gates + self._recurrent.with_scale(h, scale).reshape(gates.shape)


def _normalized(x: Array) -> Array:
    """Rows of mean 0 and variance 1 (reference: MeanStddevNormalization)."""
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(1e-8))
