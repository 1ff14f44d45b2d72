"""SVDF: a layer of low-rank filters over features and time, in float32, with 8-bit weights, and in integers."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, INT8, INT16, INT32, Activation, OptionalSpec, StatefulOp, op
from ..shared.affine import affine, lacks_affine
from ..shared.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate
from ..shared.fused import activate
from ..shared.products import integer_matmul
from ..shared.windows import expect_rank
from .layer import (
    WEIGHTS,
    Weights,
    are_constant,
    expect_shape,
    expect_size,
    real_values,
    state_of,
    value_of,
    weights_refusal,
)


class _RealFilters:
    """Filters over features and over time with real results (reference: EvalFloatSVDF, EvalHybridSVDF)."""

    def __init__(self, xp: Any, layer: Svdf, feature: Array, time: Array) -> None:
        self._xp, self._layer, self._time = xp, layer, real_values(time, layer.ins[2])
        self.features = Weights([feature], [layer.ins[1]], layer.asymmetric_quantize_inputs, xp)

    def result(self, seen: Array, bias: Array | None) -> Array:
        """[batch, units] for the last features of each filter [batch, filters, memory]."""
        total = self._layer.units((seen * self._time).sum(axis=2, dtype=np.float32))
        return activate(self._xp, total if bias is None else total + bias, self._layer.fused_activation_function)


class _IntegerFilters:
    """The same in integers (reference: EvalIntegerSVDF)."""

    def __init__(self, xp: Any, layer: Svdf, feature: Array, time: Array) -> None:
        self._xp = xp
        input, weights, time_scale, memory, output = (
            affine(s) for s in (layer.ins[0], layer.ins[1], layer.ins[2], layer.ins[4], layer.outs[0])
        )
        state = layer.ins[4]
        assert state is not None
        self._layer, self._memory, self._output, self._kind = layer, memory, output, state.dtype
        self._zero_point = np.float32(input.zero_point)
        self._columns, self._time = feature.astype(np.float32).T, time.astype(np.int32)
        self._to_memory = quantize_multiplier(float(input.scale * weights.scale / memory.scale))
        self._to_output = quantize_multiplier(float(memory.scale * time_scale.scale / output.scale))

    def features(self, x: Array) -> Array:
        """Stored features [batch, filters] of stored inputs."""
        sums = integer_matmul(self._xp, x.astype(np.float32) - self._zero_point, self._columns, 255 * 128)
        scaled = multiply_by_quantized_multiplier(self._xp, sums, *self._to_memory)
        stored = saturate(self._xp, scaled, self._kind)
        return (stored + self._memory.zero_point).astype(self._kind)

    def result(self, seen: Array, bias: Array | None) -> Array:
        """int8 [batch, units]."""
        offsets = seen.astype(np.int32) - self._memory.zero_point
        total = self._layer.units((offsets * self._time).sum(axis=2, dtype=np.int32))
        biased = total if bias is None else total + bias
        scaled = multiply_by_quantized_multiplier(self._xp, biased, *self._to_output)
        return saturate(self._xp, scaled + self._output.zero_point, np.int8)


class _Operands(NamedTuple):
    """Specs of all operands."""

    input: TensorSpec
    feature: TensorSpec
    time: TensorSpec
    bias: OptionalSpec = None
    state: OptionalSpec = None


@op("SVDF", FLOAT, WEIGHTS, WEIGHTS, FLOAT, FLOAT,
    quantized=(FLOAT | INT8, WEIGHTS, WEIGHTS | INT16, FLOAT | INT32, FLOAT | INT8 | INT16),
    versions=4)  # fmt: skip
class Svdf(StatefulOp):
    """A layer of rank-`rank` filters over features and time; the state holds the last features of each filter.

    state [batch, filters * memory], the newest features last (reference: reference/svdf.h, with 16-bit states and,
    as in TFLite Micro, 8-bit ones).
    """

    host_only: ClassVar[bool] = False

    rank: int = 0
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: bool = False

    def refuses(self, *inputs: Any) -> str | None:
        input, feature, time, bias, state = _Operands(*inputs)
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

    def infer(self, *inputs: Any) -> TensorSpec:
        input, feature, time, bias, state = _Operands(*inputs)
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

    def units(self, filtered: Array) -> Array:
        """Sums over the filters of each unit."""
        return filtered.reshape(len(filtered), -1, self.rank).sum(axis=2, dtype=filtered.dtype)

    def run_with(
        self,
        state: Any,
        input: Array,
        weights_feature: Array,
        weights_time: Array,
        bias: Array | None = None,
        activation_state: Any = None,
    ) -> Array:
        xp, batch, (filters, memory) = state.xp, len(input), weights_time.shape
        variable = state_of(self.name, activation_state, batch * filters * memory)
        past = state.read(variable).reshape(batch, filters, memory)
        known = self._constant_filters if xp is np else None
        layer = known or self._filters(xp, weights_feature, weights_time)
        seen = xp.concatenate([past[:, :, :-1], layer.features(input)[:, :, None]], axis=2)
        shifted = xp.concatenate([seen[:, :, 1:], xp.zeros_like(seen[:, :, :1])], axis=2)
        state.assign(variable, shifted.reshape(batch, filters * memory))
        return layer.result(seen, bias)

    @cached_property
    def _constant_filters(self) -> _RealFilters | _IntegerFilters | None:
        specs = self.ins[1:3]
        return self._filters(np, *map(value_of, specs)) if are_constant(specs) else None

    def _filters(self, xp: Any, feature: Array, time: Array) -> _RealFilters | _IntegerFilters:
        input = self.ins[0]
        assert input is not None
        kind = _RealFilters if input.type is TensorType.FLOAT32 else _IntegerFilters
        return kind(xp, self, feature, time)
