"""Recurrent layers that read a sequence in both directions: BIDIRECTIONAL_SEQUENCE_LSTM, BIDIRECTIONAL_SEQUENCE_RNN.

Layers are stacked in one of two ways. Cross-linked: an auxiliary input, with weights of its own for each direction,
adds to both. Parallel: there are no such weights, and the auxiliary input is what the backward layer reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, INT8, UINT8, OptionalSpec, op
from ..shared.resources import Variable
from ..shared.windows import expect_rank
from .layer import (
    WEIGHTS,
    Cell,
    RecurrentOp,
    are_constant,
    by_time,
    expect_shape,
    from_time,
    state_of,
    unroll,
    value_of,
    weights_refusal,
)
from .lstm import variables_of
from .lstm_float import FloatCell
from .lstm_operands import (
    Layout,
    LstmOp,
    Operands,
    check_shapes,
    float_refusal,
    options_refusal,
    structure_refusal,
)
from .rnn import RnnCell, RnnOperands

Side: TypeAlias = "tuple[Cell, list[Variable]]"
"""One direction: its arithmetic and its states."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BidirectionalLayer(RecurrentOp):
    """What both operators share: how inputs reach the two directions, and how their outputs are given."""

    merge_outputs: bool = False
    time_major: bool = False

    @property
    def time_axis(self) -> int:
        return 0 if self.time_major else 1

    def outputs(self, shape: Sequence[int], widths: Sequence[int]) -> tuple[TensorSpec, ...]:
        """Specs of the results for an input of `shape` and outputs of these widths, forward and backward."""
        given = [sum(widths)] if self.merge_outputs else widths
        return tuple(TensorSpec(TensorType.FLOAT32, (*shape[:-1], width)) for width in given)

    def stacking_refusal(self, aux: OptionalSpec, weights: Sequence[OptionalSpec]) -> str | None:
        """Why the auxiliary operands can't stand together; `weights` are those of both directions."""
        present = {spec is not None for spec in weights}
        if len(present) > 1 or (True in present and aux is None):
            return (
                f"operator {self.name} needs an auxiliary input with weights for both directions, or no such weights."
            )
        if len(self.outs) != (1 if self.merge_outputs else 2):
            return f"operator {self.name} gives 1 result if it merges its outputs and 2 if not, not {len(self.outs)}."
        return None

    def rounds(self, length: int) -> int:
        """How often the layers go over a sequence in one call."""
        return 1

    def aux_depth(self, input: TensorSpec, aux: OptionalSpec, any_depth: bool) -> int | None:
        """Depth of the auxiliary input; raises KernelError where its shape does not fit the input's."""
        if aux is None:
            return None
        x, shape = (expect_rank(self.name, label, s, 3) for label, s in (("input", input), ("aux_input", aux)))
        if shape[:2] != x[:2] or not any_depth:
            expect_shape(self.name, "aux_input", aux, x)
        return shape[2]

    def run_both(self, input: Array, aux: Array | None, is_linked: bool, forward: Side, backward: Side) -> Any:
        """Results of both directions for an input and perhaps an auxiliary one."""
        steps, extra = by_time(input, self.time_axis), None if aux is None else by_time(aux, self.time_axis)
        linked = extra if is_linked else None
        for _ in range(self.rounds(len(steps))):
            ahead = unroll(*forward, steps, linked)
            back = unroll(*backward, steps if is_linked or extra is None else extra, linked, backwards=True)
        if self.merge_outputs:
            return from_time(np.concatenate([ahead, back], axis=2), self.time_axis)
        return from_time(ahead, self.time_axis), from_time(back, self.time_axis)


_LSTM_SIDES = (Layout(first=1, states=35, aux=40), Layout(first=18, states=37, aux=44))
_LSTM_AUX, _LSTM_COUNT = 39, 48


@op("BIDIRECTIONAL_SEQUENCE_LSTM", FLOAT, FLOAT | INT8 | UINT8, quantized=(FLOAT, FLOAT | INT8 | UINT8), versions=3)
class BidirectionalSequenceLstm(BidirectionalLayer, LstmOp):
    """Two LSTMs of equal sizes, one for each direction (reference: bidirectional_sequence_lstm.cc)."""

    time_major: bool = True

    def refuses(self, *operands: Any) -> str | None:
        if len(operands) != _LSTM_COUNT:
            return f"operator {self.name} got {len(operands)} operands and takes {_LSTM_COUNT}."
        sides = [side.of(operands) for side in _LSTM_SIDES]
        for layer in sides:
            unfit = structure_refusal(self.name, layer) or float_refusal(self.name, layer, self.outs)
            unfit = unfit or options_refusal(self.name, layer, self.parameters)
            if unfit:
                return unfit
        if len({layer.gates["output"].input.type for layer in sides}) > 1:
            return f"operator {self.name} is not supported with weights of different types."
        return self.stacking_refusal(operands[_LSTM_AUX], [s.gates["forget"].aux for s in sides])

    def infer(self, *operands: Any) -> tuple[TensorSpec, ...]:
        x = expect_rank(self.name, "input", operands[0], 3)
        sides = [side.of(operands) for side in _LSTM_SIDES]
        aux_depth = self.aux_depth(operands[0], operands[_LSTM_AUX], _is_linked(sides))
        batch = x[1 - self.time_axis]
        widths = [check_shapes(self.name, layer, x[2], batch, aux_depth) for layer in sides]
        cells = {layer.gates["output"].input.shape[0] for layer in sides}
        if len(cells) > 1 or len(set(widths)) > 1:
            raise KernelError(f"{self.name} got layers of {cells} cells and {widths} outputs, expected equal ones.")
        return self.outputs(x, widths)

    def run_with(self, state: Any, input: Array, *rest: Any) -> Any:
        operands = (input, *rest)
        values = [side.of(operands) for side in _LSTM_SIDES]
        cells = self._constant_cells or self._cells(values)
        batch = input.shape[1 - self.time_axis]
        sides: list[Side] = [
            (cell, variables_of(self.name, layer, batch, cell.widths))
            for cell, layer in zip(cells, values, strict=True)
        ]
        return self.run_both(input, operands[_LSTM_AUX], _is_linked(values), *sides)

    @cached_property
    def _constant_cells(self) -> list[FloatCell] | None:
        if not all(are_constant(side.of(self.ins).constants) for side in _LSTM_SIDES):
            return None
        known = [value_of(spec) for spec in self.ins]
        return self._cells([side.of(known) for side in _LSTM_SIDES])

    def _cells(self, values: Sequence[Operands]) -> list[FloatCell]:
        specs = (side.of(self.ins) for side in _LSTM_SIDES)
        return [FloatCell(known, given, self.parameters) for known, given in zip(specs, values, strict=True)]


def _is_linked(sides: Sequence[Operands]) -> bool:
    return sides[0].gates["forget"].aux is not None


_RNN_COUNT = 12
_RNN_AUX = 9
_RNN_STATES = (4, 8)


def _rnn_sides(operands: Sequence[Any]) -> list[RnnOperands]:
    return [RnnOperands(*operands[first : first + 3])._replace(aux=operands[aux]) for first, aux in ((1, 10), (5, 11))]


@op("BIDIRECTIONAL_SEQUENCE_RNN", FLOAT, WEIGHTS, quantized=(FLOAT, WEIGHTS), versions=3)
class BidirectionalSequenceRnn(BidirectionalLayer):
    """Two basic recurrent layers, one for each direction (reference: bidirectional_sequence_rnn.cc).

    As there, layers stacked in parallel both read the input unless time is the first dimension, and layers with 8-bit
    weights then go over the sequence once for each of its steps, with the states that they have got to.
    """

    def refuses(self, *operands: Any) -> str | None:
        if len(operands) != _RNN_COUNT:
            return f"operator {self.name} got {len(operands)} operands and takes {_RNN_COUNT}."
        sides = _rnn_sides(operands)
        reals = [operands[position] for position in (3, 4, 7, 8)]
        if any(spec is None for spec in operands[:_RNN_AUX]):
            return f"operator {self.name} needs states, weights and a bias for each direction; one is absent."
        if any(spec.type is not TensorType.FLOAT32 for spec in (*reals, *self.outs)):
            return f"operator {self.name} needs float32 states, biases and results."
        weights = [part for side in sides for part in (side.weights, side.recurrent, side.aux)]
        unfit = weights_refusal(self.name, weights)
        return unfit or self.stacking_refusal(operands[_RNN_AUX], [side.aux for side in sides])

    def infer(self, *operands: Any) -> tuple[TensorSpec, ...]:
        x = expect_rank(self.name, "input", operands[0], 3)
        sides = _rnn_sides(operands)
        is_linked, is_hybrid = sides[0].aux is not None, sides[0].weights.type is not TensorType.FLOAT32
        any_depth = is_linked and not is_hybrid and not self.time_major  # else the reference finds steps by input depth
        aux_depth = self.aux_depth(operands[0], operands[_RNN_AUX], any_depth)
        widths = [side.units(self.name, x[2], aux_depth) for side in sides]
        for position, units in zip(_RNN_STATES, widths, strict=True):
            expect_shape(self.name, "hidden_state", operands[position], (x[1 - self.time_axis], units))
        return self.outputs(x, widths)

    def run_with(self, state: Any, input: Array, *rest: Any) -> Any:
        operands = (input, *rest)
        values = _rnn_sides(operands)
        cells = self._constant_cells or self._cells(values)
        batch = input.shape[1 - self.time_axis]
        sides: list[Side] = [
            (cell, [state_of(self.name, operands[position], batch * cell.widths[0])])
            for cell, position in zip(cells, _RNN_STATES, strict=True)
        ]
        is_linked = values[0].aux is not None
        aux = operands[_RNN_AUX] if is_linked or self.time_major else None
        return self.run_both(input, aux, is_linked, *sides)

    def rounds(self, length: int) -> int:
        weights = self.ins[1]
        is_hybrid = weights is not None and weights.type is not TensorType.FLOAT32
        return max(length, 1) if is_hybrid and self.time_major else 1

    @cached_property
    def _constant_cells(self) -> list[RnnCell] | None:
        if not all(are_constant(side) for side in _rnn_sides(self.ins)):
            return None
        return self._cells(_rnn_sides([value_of(spec) for spec in self.ins]))

    def _cells(self, values: Sequence[RnnOperands]) -> list[RnnCell]:
        specs = _rnn_sides(self.ins)
        return [RnnCell(known, given, self) for known, given in zip(specs, values, strict=True)]
