"""Recurrent layers whose state is a variable tensor: RNN, UNIDIRECTIONAL_SEQUENCE_RNN, SVDF.

States arrive as `Variable` objects in their operand's position; the results are read from and written to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .affine import affine, lacks_affine
from .base import FLOAT, INT8, INT16, INT32, Activation, OptionalSpec, StatefulOp, op
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate
from .fused import activate
from .products import integer_matmul, quantize_rows
from .variables import Variable
from .windows import expect_rank


def state_of(operator: str, operand: Any, size: int) -> Variable:
    """The variable behind a state operand; raises KernelError if it is none, or has not `size` elements."""
    if not isinstance(operand, Variable):
        raise KernelError(f"{operator} needs a variable tensor as its state, got a tensor of shape {operand.shape}.")
    if operand.read().size != size:
        raise KernelError(f"{operator} got a state of shape {operand.read().shape}, expected {size} elements.")
    return operand


def by_time(x: Array, time_axis: int | None) -> Array:
    """Rows [time, batch, depth] of an input, which may have no dimension of time."""
    return x[None] if time_axis is None else np.moveaxis(x, time_axis, 0)


def from_time(y: Array, time_axis: int | None) -> Array:
    """The inverse of `by_time`."""
    return y[0] if time_axis is None else np.moveaxis(y, 0, time_axis)


def expect_size(operator: str, name: str, spec: OptionalSpec, size: int) -> None:
    """Raise KernelError for a present operand that has another number of elements."""
    if spec is not None and spec.size != size:
        raise KernelError(f"{operator} got `{name}` of shape {spec.shape}, expected {size} elements.")


def expect_shape(operator: str, name: str, spec: OptionalSpec, shape: tuple[int, ...]) -> None:
    """Raise KernelError for a present operand of another shape."""
    if spec is not None and spec.shape != shape:
        raise KernelError(f"{operator} got `{name}` of shape {spec.shape}, expected {shape}.")


class Weights:
    """A matrix [m, k] that multiplies rows [n, k], float32 [n, m] (reference: the float and the hybrid kernels).

    Where the weights are int8, the rows are quantised for the product too.
    """

    def __init__(self, matrix: Array, spec: OptionalSpec, asymmetric: bool) -> None:
        self._scale = affine(spec).scale if matrix.dtype == np.int8 else None
        self._columns = matrix.astype(np.float32, copy=False).T
        self._asymmetric = asymmetric

    def __call__(self, rows: Array) -> Array:
        if self._scale is None:
            return rows @ self._columns
        stored, scale = quantize_rows(np, rows, self._asymmetric)
        return integer_matmul(np, stored, self._columns, 255 * 128).astype(np.float32) * (scale * self._scale)


def real_values(operand: Array, spec: OptionalSpec) -> Array:
    """float32 values of a float operand or of symmetric int8 weights."""
    return operand.astype(np.float32) * affine(spec).scale if operand.dtype == np.int8 else operand


def weights_refusal(operator: str, weights: Sequence[OptionalSpec]) -> str | None:
    """Why float layers can't run with these weights, which are all float32 or all int8 with one scale."""
    given = [w for w in weights if w is not None]
    if len({w.type for w in given}) > 1:
        return f"operator {operator} is not supported with weights of different types."
    if any(w.type is TensorType.INT8 and (w.quantization is None or w.quantization.per_channel) for w in given):
        return f"operator {operator} needs one scale for its int8 weights."
    return None


_WEIGHTS = FLOAT | INT8


@dataclass(frozen=True, eq=False, kw_only=True)
class RecurrentLayer(StatefulOp):
    """h = activation(W x + R h + b) for the rows of one step or of a sequence (reference: RnnBatchStep)."""

    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: bool = False

    @property
    def time_axis(self) -> int | None:
        """The dimension of time in the input; None for a layer of one step."""
        return None

    def refuses(self, *inputs: Any) -> str | None:
        weights, recurrent = inputs[1:3]
        return weights_refusal(self.name, [weights, recurrent])

    def infer(self, *inputs: Any) -> TensorSpec:
        input, weights, recurrent, bias, hidden_state = inputs
        x = expect_rank(self.name, "input", input, 2 if self.time_axis is None else 3)
        units, depth = expect_rank(self.name, "weights", weights, 2)
        if x[-1] != depth:
            raise KernelError(f"{self.name} got input of shape {x}, expected rows of {depth} elements.")
        expect_shape(self.name, "recurrent_weights", recurrent, (units, units))
        expect_shape(self.name, "bias", bias, (units,))
        batch = x[0] if self.time_axis is None else x[1 - self.time_axis]
        expect_shape(self.name, "hidden_state", hidden_state, (batch, units))
        return TensorSpec(TensorType.FLOAT32, (*x[:-1], units))

    def run_with(
        self, state: Any, input: Array, weights: Array, recurrent_weights: Array, bias: Array, hidden_state: Any
    ) -> Array:
        steps = by_time(input, self.time_axis)
        length, batch, depth = steps.shape
        variable = state_of(self.name, hidden_state, batch * len(weights))
        hidden = variable.read().reshape(batch, -1)
        drive = Weights(weights, self.ins[1], self.asymmetric_quantize_inputs)
        feed_back = Weights(recurrent_weights, self.ins[2], self.asymmetric_quantize_inputs)
        driven = drive(steps.reshape(length * batch, depth))
        driven = driven.reshape(length, batch, len(weights)) + bias
        result = np.empty_like(driven)
        for step in range(length):
            hidden = activate(np, driven[step] + feed_back(hidden), self.fused_activation_function)
            result[step] = hidden
        variable.assign(hidden.reshape(variable.read().shape))
        return from_time(result, self.time_axis)


@op("RNN", FLOAT, _WEIGHTS, _WEIGHTS, FLOAT, FLOAT, quantized=(FLOAT, _WEIGHTS, _WEIGHTS, FLOAT, FLOAT), versions=3)
class Rnn(RecurrentLayer):
    """One step of a basic recurrent layer (reference: basic_rnn.cc)."""


@op("UNIDIRECTIONAL_SEQUENCE_RNN", FLOAT, _WEIGHTS, _WEIGHTS, FLOAT, FLOAT,
    quantized=(FLOAT, _WEIGHTS, _WEIGHTS, FLOAT, FLOAT), versions=3)  # fmt: skip
class UnidirectionalSequenceRnn(RecurrentLayer):
    """A basic recurrent layer over a sequence (reference: unidirectional_sequence_rnn.cc)."""

    time_major: bool = False

    @property
    def time_axis(self) -> int | None:
        return 0 if self.time_major else 1


@op("SVDF", FLOAT, _WEIGHTS, _WEIGHTS, FLOAT, FLOAT,
    quantized=(FLOAT | INT8, _WEIGHTS, FLOAT | INT8 | INT16, FLOAT | INT32, FLOAT | INT8 | INT16),
    versions=4)  # fmt: skip
class Svdf(StatefulOp):
    """A layer of rank-`rank` filters over features and time; the state holds the last features of each filter.

    state [batch, filters * memory], the newest features last (reference: reference/svdf.h, with 16-bit states and,
    as in TFLite Micro, 8-bit ones).
    """

    rank: int = 0
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: bool = False

    def refuses(self, *inputs: Any) -> str | None:
        input, feature, time, bias, state = (*inputs, None, None)[:5]
        if state is None:
            return "operator SVDF needs operand `activation_state`, which is absent."
        if input.type is TensorType.FLOAT32:
            floats = state.type is TensorType.FLOAT32 and (bias is None or bias.type is TensorType.FLOAT32)
            if not floats:
                return "operator SVDF is not supported with a float32 input and an integer state or bias."
            return weights_refusal(self.name, [feature, time])
        if feature.type is not TensorType.INT8 or time.type is not state.type or state.type is TensorType.FLOAT32:
            return "operator SVDF needs, for an int8 input, int8 features and equal integer types of time and state."
        if bias is not None and bias.type is not TensorType.INT32:
            return "operator SVDF needs an int32 bias for an int8 input."
        if self.fused_activation_function is not Activation.RELU:
            return "operator SVDF is not supported with an int8 input and an activation other than RELU."
        return lacks_affine(self)

    def infer(
        self, input: TensorSpec, feature: TensorSpec, time: TensorSpec, bias: OptionalSpec, state: TensorSpec
    ) -> TensorSpec:
        batch, depth = expect_rank(self.name, "input", input, 2)
        filters, memory = expect_rank(self.name, "weights_time", time, 2)
        expect_shape(self.name, "weights_feature", feature, (filters, depth))
        if self.rank <= 0 or filters % self.rank:
            raise KernelError(
                f"SVDF got {filters} filters of rank {self.rank}, expected a multiple of a positive rank."
            )
        expect_size(self.name, "bias", bias, filters // self.rank)
        expect_shape(self.name, "activation_state", state, (batch, filters * memory))
        return TensorSpec(input.type, (batch, filters // self.rank))

    def run_with(
        self,
        state: Any,
        input: Array,
        weights_feature: Array,
        weights_time: Array,
        bias: Array | None = None,
        activation_state: Any = None,
    ) -> Array:
        batch, (filters, memory) = len(input), weights_time.shape
        variable = state_of(self.name, activation_state, batch * filters * memory)
        past = variable.read().reshape(batch, filters, memory)
        body = self._integer if input.dtype == np.int8 else self._real
        seen, result = body(input, weights_feature, weights_time, bias, past)
        shifted = np.concatenate([seen[:, :, 1:], np.zeros_like(seen[:, :, :1])], axis=2)
        variable.assign(shifted.reshape(batch, filters * memory))
        return result

    def _real(self, x: Array, feature: Array, time: Array, bias: Array | None, past: Array) -> tuple[Array, Array]:
        seen = self._seen(past, Weights(feature, self.ins[1], self.asymmetric_quantize_inputs)(x))
        filtered = (seen * real_values(time, self.ins[2])).sum(axis=2, dtype=np.float32)
        total = self._units(filtered)
        return seen, activate(np, total if bias is None else total + bias, self.fused_activation_function)

    def _integer(self, x: Array, feature: Array, time: Array, bias: Array | None, past: Array) -> tuple[Array, Array]:
        input, weights, time_scale, memory, output = (
            affine(s) for s in (self.ins[0], self.ins[1], self.ins[2], self.ins[4], self.outs[0])
        )
        centred = x.astype(np.float32) - np.float32(input.zero_point)
        sums = integer_matmul(np, centred, feature.astype(np.float32).T, 255 * 128)
        factor = quantize_multiplier(float(input.scale * weights.scale / memory.scale))
        stored = saturate(np, multiply_by_quantized_multiplier(np, sums, *factor), past.dtype)
        seen = self._seen(past, (stored + memory.zero_point).astype(past.dtype))
        offsets = seen.astype(np.int32) - memory.zero_point
        total = self._units((offsets * time.astype(np.int32)).sum(axis=2, dtype=np.int32))
        total = total if bias is None else total + bias
        factor = quantize_multiplier(float(memory.scale * time_scale.scale / output.scale))
        scaled = multiply_by_quantized_multiplier(np, total, *factor)
        return seen, saturate(np, scaled + output.zero_point, np.int8)

    def _seen(self, past: Array, newest: Array) -> Array:
        """The state with the newest features in its last column."""
        return np.concatenate([past[:, :, :-1], newest[:, :, None]], axis=2)

    def _units(self, filtered: Array) -> Array:
        """Sums over the filters of each unit."""
        return filtered.reshape(len(filtered), -1, self.rank).sum(axis=2, dtype=filtered.dtype)
