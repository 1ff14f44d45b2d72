"""Long short-term memory: LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM in float32, with 8-bit weights, and in integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ...graph import Array, TensorSpec, TensorType
from ...sharing import settle
from ..base import FLOAT, INT8, INT16, INT32, UINT8, Specs, op
from ..shared.affine import affine
from ..shared.resources import Variable
from ..shared.windows import expect_rank
from .layer import Cell, Layer, are_constant, batch_of, by_time, from_time, state_of, unroll, value_of
from .lstm_basic import Basic, basic_refusal, basic_results, basic_step, quantized_basic_step
from .lstm_float import FloatCell, PlainLayer, SparseCell
from .lstm_integer import ByteProducts, FloatSums, IntegerCell, IntegerLayer, integer_refusal
from .lstm_integer8 import COUNT, Integer8Cell, integer8_refusal
from .lstm_operands import (
    Layout,
    LstmOp,
    Operands,
    check_shapes,
    float_refusal,
    is_sparse,
    options_refusal,
    sparse_refusal,
    structure_refusal,
)


class LstmKernelType(IntEnum):
    """Which form of LSTM an operator is."""

    FULL = 0
    BASIC = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class LstmLayer(LstmOp):
    """An LSTM with optional peepholes, projection, layer normalisation and coupled gates (reference: lstm_eval.cc)."""

    layout: ClassVar[Layout] = Layout(first=1, states=18, norm=20)
    diagonals: ClassVar[bool] = False  # whether recurrent weights may be given by their diagonals
    eight_bit_products: ClassVar[bool] = False  # whether there is the form with 12 intermediate tensors

    @cached_property
    def _specs(self) -> Operands:
        return self.layout.of(self.ins)

    def refuses(self, *operands: Any) -> str | None:
        if len(operands) not in (20, 24):
            return f"operator {self.name} is not supported with {len(operands)} operands; it takes 20 or 24."
        layer, input = self.layout.of(operands), operands[0]
        unfit = structure_refusal(self.name, layer) or options_refusal(self.name, layer, self.parameters)
        if unfit:
            return unfit
        if input.type is TensorType.FLOAT32:
            unfit = sparse_refusal(self.name, layer, self.asymmetric_quantize_inputs) if is_sparse(layer) else None
            return unfit or float_refusal(self.name, layer, self.outs)
        if is_sparse(layer):
            return f"operator {self.name} is not supported with an int8 input and sparse weights."
        if self._has_eight_bit_products:
            return integer8_refusal(self.name, self._integer(input, layer), self.outs[0])
        return integer_refusal(self.name, input, layer, self.outs[0], self.intermediates)

    @property
    def _has_eight_bit_products(self) -> bool:
        return self.eight_bit_products and len(self.intermediates) == COUNT

    def infer(self, *operands: Any) -> Specs:
        layer, input = self.layout.of(operands), operands[0]
        x = expect_rank(self.name, "input", input, 2 if self.time_axis is None else 3)
        diagonals = self.diagonals and input.type is TensorType.FLOAT32
        outputs = check_shapes(self.name, layer, x[-1], batch_of(x, self.time_axis), diagonals=diagonals)
        return TensorSpec(input.type, (*x[:-1], outputs))

    def run_with(self, state: Any, input: Array, *operands: Any) -> Any:
        return self._run(self.constant_cell, input, *operands)

    def running(self, layer: Layer) -> Callable[..., Any]:
        """`run_with` for weights that another layer has prepared."""
        return lambda state, *operands: self._run(layer, *operands)

    @property
    def plain_layer(self) -> PlainLayer | None:
        """The layer, where it is a plain one of constant weights."""
        values = self._constant_values
        return None if values is None else PlainLayer.of(self._specs, values, self.parameters)

    def integer_cell(self, products: ByteProducts) -> Cell | None:
        """The layer with products of bytes from elsewhere; None for one of floats or of weights that vary."""
        input, values = self.ins[0], self._constant_values
        if input is None or input.type is not TensorType.INT8 or values is None:
            return None
        return self._cell(values, products)

    def _run(self, known: Layer | None, input: Array, *operands: Any) -> Any:
        values = self.layout.of((input, *operands))
        layer = known or self._cell(values)
        steps = by_time(input, self.time_axis)
        variables = variables_of(self.name, values, steps.shape[1], layer.widths)
        return from_time(unroll(layer, variables, steps), self.time_axis)

    @cached_property
    def constant_cell(self) -> Cell | None:
        """The layer as NumPy code; None for weights that vary."""
        if (values := self._constant_values) is None:
            return None
        cell = self._cell(values)
        settle()
        return cell

    @property
    def _constant_values(self) -> Operands | None:
        if not are_constant(self._specs.constants):
            return None
        return self.layout.of([value_of(spec) for spec in self.ins])

    def _cell(self, values: Operands, products: ByteProducts = FloatSums) -> Cell:
        input = self.ins[0]
        assert input is not None
        if input.type is TensorType.FLOAT32:
            return (SparseCell if is_sparse(self._specs) else FloatCell)(self._specs, values, self.parameters)
        kind = Integer8Cell if self._has_eight_bit_products else IntegerCell
        return kind(self._integer(input, self._specs), values, products)

    def _integer(self, input: TensorSpec, layer: Operands) -> IntegerLayer:
        return IntegerLayer(input, layer, self.intermediates, self.parameters, rows_alone=self.time_axis == 1)


def variables_of(operator: str, values: Operands, batch: int, widths: Sequence[int]) -> list[Variable]:
    """The variables behind the states of a layer."""
    states = values.output_state, values.cell_state
    return [state_of(operator, state, batch * width) for state, width in zip(states, widths, strict=True)]


_OPERANDS = FLOAT | INT8 | UINT8 | INT16 | INT32


@op("UNIDIRECTIONAL_SEQUENCE_LSTM", FLOAT, _OPERANDS, quantized=(FLOAT | INT8, _OPERANDS), versions=4)
class UnidirectionalSequenceLstm(LstmLayer):
    """An LSTM over a sequence (reference: unidirectional_sequence_lstm.cc).

    Recurrent weights are taken for diagonals where they are vectors, whatever `diagonal_recurrent_tensors` says.
    """

    diagonals: ClassVar[bool] = True

    time_major: bool = False
    diagonal_recurrent_tensors: bool = False

    @property
    def time_axis(self) -> int | None:
        return 0 if self.time_major else 1


@op("LSTM", FLOAT | UINT8, _OPERANDS, quantized=(FLOAT | INT8 | UINT8, _OPERANDS), versions=4)
class Lstm(LstmLayer):
    """One step of an LSTM, or of the basic kind: one matrix for all gates, no options (reference: lstm.cc)."""

    sparse: ClassVar[frozenset[int]] = frozenset({*range(1, 9), 16})
    layout: ClassVar[Layout] = replace(LstmLayer.layout, norms_alone=True)
    eight_bit_products: ClassVar[bool] = True

    kernel_type: LstmKernelType = LstmKernelType.FULL

    def refuses(self, *operands: Any) -> str | None:
        if self.kernel_type is LstmKernelType.BASIC:
            return basic_refusal(operands, self.outs)
        return super().refuses(*operands)

    def infer(self, *operands: Any) -> Specs:
        if self.kernel_type is LstmKernelType.BASIC:
            return basic_results(self.name, Basic(*operands), self.outs)
        return super().infer(*operands)

    def run_with(self, state: Any, input: Array, *operands: Any) -> Any:
        if self.kernel_type is LstmKernelType.FULL:
            return super().run_with(state, input, *operands)
        values = Basic(input, *operands)
        size = len(input) * (len(values.bias) // 4)
        h, c = (state_of(self.name, operand, size) for operand in (values.output_state, values.cell_state))
        values = values._replace(output_state=h.read(), cell_state=c.read())
        if input.dtype == np.uint8:
            results = quantized_basic_step(values, affine(self.ins[2]).zero_point, affine(self.ins[3]).scale)
        else:
            results = basic_step(values)
        h.assign(results[0])
        c.assign(results[1])
        return results
