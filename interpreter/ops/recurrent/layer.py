"""What recurrent layers share: states, sequences and weights.

States arrive as `Variable` objects in their operand's position; the results are read from and written to them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorType
from ...sharing import release
from ..base import FLOAT, INT8, UINT8, Activation, OptionalSpec, StatefulOp
from ..shared.affine import affine
from ..shared.products import integer_matmul, quantize_rows
from ..shared.resources import Variable
from ..shared.sparsity import spread

WEIGHTS = FLOAT | INT8 | UINT8
"""Types of the weights of float layers; stored bytes are signed, whatever the type says, as in the reference."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RecurrentOp(StatefulOp):
    """A layer over the rows of one step or of a sequence."""

    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: bool = False

    @property
    def time_axis(self) -> int | None:
        """The dimension of time in the input; None for a layer of one step."""
        return None


def state_of(operator: str, operand: Any, size: int) -> Variable:
    """The variable behind a state operand; raises KernelError if it is none, or has not `size` elements."""
    if not isinstance(operand, Variable):
        raise KernelError(f"{operator} needs a variable tensor as its state, got a tensor of shape {operand.shape}.")
    if math.prod(operand.shape or ()) != size:
        raise KernelError(f"{operator} got a state of shape {operand.shape}, expected {size} elements.")
    return operand


def by_time(x: Array, time_axis: int | None) -> Array:
    """Rows [time, batch, depth] of an input, which may have no dimension of time."""
    return x[None] if time_axis is None else np.moveaxis(x, time_axis, 0)


def from_time(y: Array, time_axis: int | None) -> Array:
    """The inverse of `by_time`."""
    return y[0] if time_axis is None else np.moveaxis(y, 0, time_axis)


def batch_of(shape: tuple[int, ...], time_axis: int | None) -> int:
    """Size of the dimension that is neither time nor depth."""
    return shape[0] if time_axis is None else shape[1 - time_axis]


def expect_size(operator: str, name: str, spec: OptionalSpec, size: int) -> None:
    """Raise KernelError for a present operand that has another number of elements."""
    if spec is not None and spec.size != size:
        raise KernelError(f"{operator} got `{name}` of shape {spec.shape}, expected {size} elements.")


def expect_shape(operator: str, name: str, spec: OptionalSpec, shape: tuple[int, ...]) -> None:
    """Raise KernelError for a present operand of another shape."""
    if spec is not None and spec.shape != shape:
        raise KernelError(f"{operator} got `{name}` of shape {spec.shape}, expected {shape}.")


def are_constant(specs: Iterable[OptionalSpec]) -> bool:
    """Whether the values of all present operands are known before a call."""
    return all(spec is None or spec.value is not None for spec in specs)


def value_of(spec: OptionalSpec) -> Array | None:
    """The value of a constant operand, spread over its shape if it is sparse; None for an absent one."""
    if spec is None or spec.sparsity is None:
        return None if spec is None else spec.value
    return spread(np, spec.value, spec)


def signed(stored: Array) -> Array:
    """Weights as the reference reads them: bytes of uint8 tensors are signed numbers too."""
    return stored.view(np.int8) if stored.dtype == np.uint8 else stored


def real_values(operand: Array, spec: OptionalSpec) -> Array:
    """float32 values of a float operand or of symmetric 8-bit weights."""
    stored = signed(operand)
    return stored.astype(np.float32) * affine(spec).scale if stored.dtype == np.int8 else stored


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    result = np.exp(-x)
    result += 1
    return np.divide(1, result, out=result)


def clipped(x: Array, limit: float) -> Array:
    """`x` held within `limit` on both sides; 0 stands for no limit."""
    return np.minimum(np.maximum(x, -limit), limit) if limit > 0 else x  # np.clip takes three times as long


class Weights:
    """Matrices [m, k], stacked, that multiply rows [n, k]: float32 [n, sum of m] (reference: float, hybrid kernels).

    Where the weights have 8 bits, the rows are quantised for the product too.
    """

    def __init__(
        self, matrices: Sequence[Array], specs: Sequence[OptionalSpec], asymmetric: bool, xp: Any = np
    ) -> None:
        self._xp = xp
        parts = [signed(matrix) for matrix in matrices]
        self._columns = xp.concatenate(parts).astype(np.float32, copy=False).T
        self._scales: Array = None
        if parts[0].dtype == np.int8:
            scales = [xp.full(len(part), affine(spec).scale) for part, spec in zip(parts, specs, strict=True)]
            self._scales = xp.concatenate(scales)
        self._asymmetric = asymmetric
        for matrix in matrices:
            release(matrix)

    def __call__(self, rows: Array) -> Array:
        if self._scales is None:
            return rows @ self._columns
        stored, scale = quantize_rows(self._xp, rows, self._asymmetric)
        return self._scaled(stored, scale)

    def with_scale(self, rows: Array, scale: Array) -> Array:
        """The product of quantised rows, taken for rows of another scale [n, 1]."""
        return self._scaled(quantize_rows(self._xp, rows, self._asymmetric)[0], scale)

    def _scaled(self, stored: Array, scale: Array) -> Array:
        return integer_matmul(self._xp, stored, self._columns, 255 * 128).astype(np.float32) * (scale * self._scales)


def weights_refusal(operator: str, weights: Sequence[OptionalSpec]) -> str | None:
    """Why float layers can't run with these weights, which are all float32 or all of 8 bits with one scale."""
    given = [w for w in weights if w is not None]
    if len({w.type for w in given}) > 1:
        return f"operator {operator} is not supported with weights of different types."
    stored = [w.quantization for w in given if w.type is not TensorType.FLOAT32]
    if any(q is None or len(q.scales) != 1 for q in stored):
        return f"operator {operator} needs one scale for its 8-bit weights."
    return None


States: TypeAlias = tuple[Array, ...]
"""What a layer remembers from one step to the next, each [batch, width]; the first is also its output."""


class Layer(Protocol):
    """One recurrent layer with its weights prepared."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the states."""

    def unrolled(self, steps: Array, states: States, aux: Array | None = None) -> tuple[Array, States]:
        """Outputs [time, batch, width] for inputs [time, batch, depth], and the states after the last."""


class Cell(ABC):
    """A layer that is computed step by step."""

    widths: tuple[int, ...]

    @abstractmethod
    def drive(self, rows: Array, aux: Array | None) -> Array:
        """What input rows [n, inputs], and auxiliary ones, add to each unit [n, ...]."""

    @abstractmethod
    def step(self, driven: Array, states: States) -> States:
        """States after one step, where `driven` is what `drive` gave for its rows."""

    def unrolled(self, steps: Array, states: States, aux: Array | None = None) -> tuple[Array, States]:
        """As in `Layer`."""
        length, batch = steps.shape[:2]
        rows, aux_rows = (None if x is None else x.reshape(length * batch, x.shape[2]) for x in (steps, aux))
        driven = self.drive(rows, aux_rows)
        driven = driven.reshape(length, batch, *driven.shape[1:])
        result = np.empty((length, *states[0].shape), states[0].dtype)
        for step in range(length):
            states = self.step(driven[step], states)
            result[step] = states[0]
        return result, states


def unroll(
    layer: Layer, variables: Sequence[Variable], steps: Array, aux: Array | None = None, backwards: bool = False
) -> Array:
    """Outputs [time, batch, width] for inputs [time, batch, depth]; reads and writes the states."""
    batch, turn = steps.shape[1], slice(None, None, -1 if backwards else 1)
    states = tuple(v.read().reshape(batch, width) for v, width in zip(variables, layer.widths, strict=True))
    result, states = layer.unrolled(steps[turn], states, None if aux is None else aux[turn])
    for variable, value in zip(variables, states, strict=True):
        variable.assign(value.reshape(variable.read().shape))
    return result[turn]
