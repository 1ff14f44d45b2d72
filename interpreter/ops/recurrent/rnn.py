"""The basic recurrent layer: RNN and its form over a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, OptionalSpec, op
from ..shared.fused import activate
from ..shared.windows import expect_rank
from .layer import (
    WEIGHTS,
    Cell,
    RecurrentOp,
    States,
    Weights,
    are_constant,
    batch_of,
    by_time,
    expect_shape,
    from_time,
    state_of,
    unroll,
    value_of,
    weights_refusal,
)


class RnnOperands(NamedTuple):
    """Specs or values of the operands of one basic layer."""

    weights: Any  # [units, inputs]
    recurrent: Any  # [units, units]
    bias: Any  # [units]
    aux: Any = None  # weights [units, auxiliary inputs]

    def units(self, operator: str, depth: int, aux_depth: int | None = None) -> int:
        """The number of units; raises KernelError for shapes that do not fit."""
        units = expect_rank(operator, "weights", self.weights, 2)[0]
        if self.weights.shape[1] != depth:
            raise KernelError(
                f"{operator} got input of depth {depth}, expected rows of {self.weights.shape[1]} elements."
            )
        expect_shape(operator, "recurrent_weights", self.recurrent, (units, units))
        expect_shape(operator, "bias", self.bias, (units,))
        expect_shape(operator, "aux_weights", self.aux, (units, aux_depth or 0))
        return units


class RnnCell(Cell):
    """h = activation(W x + R h + b), plus A a where there is an auxiliary input (reference: RnnBatchStep)."""

    def __init__(self, specs: RnnOperands, values: RnnOperands, options: RecurrentOp) -> None:
        def product(matrix: Array, spec: OptionalSpec) -> Weights:
            return Weights([matrix], [spec], options.asymmetric_quantize_inputs)

        self._input = product(values.weights, specs.weights)
        self._recurrent = product(values.recurrent, specs.recurrent)
        self._aux = None if values.aux is None else product(values.aux, specs.aux)
        self._bias, self._activation = values.bias, options.fused_activation_function
        self.widths = (len(values.weights),)

    def drive(self, rows: Array, aux: Array | None) -> Array:
        driven = self._input(rows) + self._bias
        return driven if self._aux is None else driven + self._aux(aux)

    def step(self, driven: Array, states: States) -> States:
        return (activate(np, driven + self._recurrent(states[0]), self._activation),)


@dataclass(frozen=True, eq=False, kw_only=True)
class RnnLayer(RecurrentOp):
    """A basic layer over the rows of one step or of a sequence."""

    def refuses(self, *inputs: Any) -> str | None:
        return weights_refusal(self.name, inputs[1:3])

    def infer(self, *inputs: Any) -> TensorSpec:
        input, *layer, hidden_state = inputs
        x = expect_rank(self.name, "input", input, 2 if self.time_axis is None else 3)
        units = RnnOperands(*layer).units(self.name, x[-1])
        expect_shape(self.name, "hidden_state", hidden_state, (batch_of(x, self.time_axis), units))
        return TensorSpec(TensorType.FLOAT32, (*x[:-1], units))

    @cached_property
    def _constant_cell(self) -> RnnCell | None:
        specs = RnnOperands(*self.ins[1:4])
        return RnnCell(specs, RnnOperands(*map(value_of, specs)), self) if are_constant(specs) else None

    def run_with(
        self, state: Any, input: Array, weights: Array, recurrent_weights: Array, bias: Array, hidden_state: Any
    ) -> Array:
        values = RnnOperands(weights, recurrent_weights, bias)
        cell = self._constant_cell or RnnCell(RnnOperands(*self.ins[1:4]), values, self)
        steps = by_time(input, self.time_axis)
        variable = state_of(self.name, hidden_state, steps.shape[1] * len(weights))
        return from_time(unroll(cell, [variable], steps), self.time_axis)


@op("RNN", FLOAT, WEIGHTS, WEIGHTS, FLOAT, FLOAT, quantized=(FLOAT, WEIGHTS, WEIGHTS, FLOAT, FLOAT), versions=3)
class Rnn(RnnLayer):
    """One step of a basic recurrent layer (reference: basic_rnn.cc)."""


@op("UNIDIRECTIONAL_SEQUENCE_RNN", FLOAT, WEIGHTS, WEIGHTS, FLOAT, FLOAT,
    quantized=(FLOAT, WEIGHTS, WEIGHTS, FLOAT, FLOAT), versions=3)  # fmt: skip
class UnidirectionalSequenceRnn(RnnLayer):
    """A basic recurrent layer over a sequence (reference: unidirectional_sequence_rnn.cc)."""

    time_major: bool = False

    @property
    def time_axis(self) -> int | None:
        return 0 if self.time_major else 1
