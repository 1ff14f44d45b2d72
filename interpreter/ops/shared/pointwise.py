"""What elementwise operators share: operands of one type, broadcasting, tables for quantised integers.

Where the array module says it all an op is one line, registered by `unary` or `binary`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ...graph import Array, TensorSpec
from ..base import DOUBLE, FLOAT, HALF, INT8, UINT8, Op, TypeSet, op
from .affine import has_scale, lacks_affine, lacks_zero_offset
from .broadcast import broadcast_shapes
from .lookup import Resident, bytes_of, int16_table, interpolate, look_up, stored_function

REAL = FLOAT | HALF | DOUBLE
BYTE = INT8 | UINT8

Body = Callable[..., Array]
"""Called as body(xp, *inputs)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class QuantizedByFirst(Op):
    """An op whose first operand decides whether the quantised meaning applies."""

    @cached_property
    def is_quantized(self) -> bool:
        first = self.ins[0]
        return bool(self.quantized and first and first.quantization and first.type in self.quantized[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(QuantizedByFirst):
    """An op whose operands have one type and broadcast against each other; the result has that type."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(inputs[0].type, broadcast_shapes(*inputs))

    symmetric_int16: ClassVar[bool] = False  # whether quantised int16 must have zero point 0
    as_stored: ClassVar[bool] = True  # whether `run` takes quantised integers as the numbers that are stored

    def refuses(self, *inputs: TensorSpec) -> str | None:
        kinds = {spec.type for spec in inputs}
        if len(kinds) > 1:
            names = " and ".join(kind.name.lower() for kind in sorted(kinds))
            return f"operator {self.name} needs operands of one type, got {names}."
        if not self.is_quantized:
            return None if self.as_stored else has_scale(self)
        return lacks_affine(self) or (lacks_zero_offset(self) if self.symmetric_int16 else None)


@dataclass(frozen=True, eq=False, kw_only=True)
class Unary(Elementwise):
    """An op on the elements of one operand. 8-bit quantised values go through a table of their 256 results."""

    def run(self, xp: Any, input: Array) -> Array:
        raise NotImplementedError(type(self).__name__)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        if input.dtype.itemsize > 1:
            return self.stored(xp, input.astype(np.int32))
        return look_up(xp, self._table, input)

    def stored(self, xp: Any, x: Array) -> Array:
        """Stored results for stored values `x`, given as int32; for 8-bit types `xp` is NumPy."""
        raise NotImplementedError(type(self).__name__)

    @property
    def operand(self) -> TensorSpec:
        """Declared spec of the operand."""
        assert self.ins[0] is not None
        return self.ins[0]

    @cached_property
    def _table(self) -> Resident:
        return Resident(self.stored(np, bytes_of(self.operand.dtype)))


@dataclass(frozen=True, eq=False, kw_only=True)
class PlainUnary(Unary):
    """An op on numbers alone: none that stand for others."""

    as_stored = False


@dataclass(frozen=True, eq=False, kw_only=True)
class RealUnary(Unary):
    """A real function that on quantised integers is a table: of all results (8-bit) or interpolated (int16)."""

    symmetric_int16 = True

    def real(self, x: np.ndarray) -> Array:
        """The function on float64, for the tables."""
        raise NotImplementedError(type(self).__name__)

    def stored(self, xp: Any, x: Array) -> Array:
        if self.operand.dtype.itemsize > 1:
            return interpolate(xp, x, self._samples.on(xp))
        return stored_function(self.real, x, self.operand, self.outs[0])

    @cached_property
    def _samples(self) -> Resident:
        return Resident(int16_table(self.real, self.operand, self.outs[0]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Binary(Elementwise):
    """An op on pairs of elements of two operands. Many 8-bit quantised ones go through a table of all 2**16 results."""

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        raise NotImplementedError(type(self).__name__)

    def run_quantized(self, xp: Any, input1: Array, input2: Array) -> Array:
        if input1.dtype.itemsize > 1 or max(input1.size, input2.size) < _WORTH_A_TABLE:
            return self.stored(xp, input1, input2)
        pairs = (input1.view(np.uint8).astype(np.uint16) << 8) | input2.view(np.uint8)
        return xp.take(self._table.on(xp), pairs)

    def stored(self, xp: Any, input1: Array, input2: Array) -> Array:
        """Results for pairs of stored values."""
        raise NotImplementedError(type(self).__name__)

    @cached_property
    def _table(self) -> Resident:
        assert self.ins[0] is not None
        values = np.arange(256, dtype=np.uint8).view(self.ins[0].dtype)
        return Resident(self.stored(np, values[:, None], values).reshape(-1))


_WORTH_A_TABLE = 2**13  # elements from which making and using a table of 2**16 results takes less time than arithmetic


def unary(name: str, types: TypeSet, body: Body, meaning: str, *, versions: int = 1, base: type[Op] = Unary) -> None:
    """Register an op on the elements of one operand; `body(xp, x)` keeps dtype and shape."""

    def run(self: Op, xp: Any, input: Array) -> Array:
        return body(xp, input)

    _register(base, name, types, run, meaning, versions)


def binary(name: str, types: TypeSet, body: Body, meaning: str, *, versions: int = 1, base: type[Op] = Binary) -> None:
    """Register an op on pairs of elements of two operands of one type; `body(xp, a, b)` broadcasts and keeps dtype."""

    def run(self: Op, xp: Any, input1: Array, input2: Array) -> Array:
        return body(xp, input1, input2)

    _register(base, name, types, run, meaning, versions)


def _register(base: type[Op], name: str, types: TypeSet, run: Body, meaning: str, versions: int) -> None:
    cls = type(name.title().replace("_", ""), (base,), {"__doc__": meaning, "run": run})
    op(name, types, versions=versions)(cls)
