"""Operators that pick elements or give them another type: selection, casts, parts of complex numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec, TensorType
from .base import BOOL, COMPLEX, PACKED, Op, op
from .shared.affine import stored_range
from .shared.broadcast import broadcast_shapes
from .shared.host import FIXED_WIDTH, shape_of

VALUE = FIXED_WIDTH


@op("CAST", VALUE, versions=9)
class Cast(Op):
    """Each element in the type that the result declares.

    Real numbers lose their fraction and saturate, NaN gives the greatest integer; integers wrap around; complex
    numbers lose their imaginary part.
    """

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(self.outs[0].type, input.shape)

    def run(self, xp: Any, input: Array) -> Array:
        kind = self.outs[0].type
        if input.dtype.kind == "c" and kind not in COMPLEX:
            input = input.real
        if kind in PACKED or (input.dtype.kind in "fV" and kind.dtype.kind in "iu"):
            return _truncated(xp, input, kind.dtype, *stored_range(kind))
        return input.astype(kind.dtype)


def _truncated(xp: Any, x: Array, dtype: np.dtype[Any], low: int, high: int) -> Array:
    """Integers in [low, high] without the fraction; the comparisons also settle infinities and NaN."""
    if x.dtype.itemsize < 4:
        x = x.astype(np.float32)
    inside = xp.where(x > low, x.astype(dtype), dtype.type(low))
    return xp.where(x < high, inside, dtype.type(high))


@dataclass(frozen=True, eq=False, kw_only=True)
class Choice(Op):
    """Elements of `x` where `condition` is true, of `y` elsewhere.

    Where each operand has one element, a result that the file says has one, too, keeps the rank that it has there.
    """

    def result_shape(self, condition: TensorSpec, x: TensorSpec, y: TensorSpec) -> Shape:
        """Shape of the result. Raises KernelError for operands that do not fit."""
        raise NotImplementedError(type(self).__name__)

    def infer(self, condition: TensorSpec, x: TensorSpec, y: TensorSpec) -> TensorSpec:
        stated = self.outs[0].stated
        if stated is not None and prod(stated) == 1 and all(spec.size == 1 for spec in (condition, x, y)):
            return TensorSpec(x.type, stated)
        return TensorSpec(x.type, self.result_shape(condition, x, y))

    def refuses(self, condition: TensorSpec, x: TensorSpec, y: TensorSpec) -> str | None:
        if x.type == y.type:
            return None
        return f"operator {self.name} needs values of one type, got {x.type.name.lower()} and {y.type.name.lower()}."

    def run(self, xp: Any, condition: Array, x: Array, y: Array) -> Array:
        result = xp.where(condition, x, y)
        stated = self.outs[0].stated
        return result.reshape(stated) if stated is not None and result.size == prod(stated) == 1 else result


@op("SELECT", BOOL, VALUE, versions=4)
class Select(Choice):
    """Elements of `x` where `condition` is true, of `y` elsewhere; a vector of conditions picks whole rows."""

    def result_shape(self, condition: TensorSpec, x: TensorSpec, y: TensorSpec) -> Shape:
        shape = shape_of(x)
        if y.shape != shape:
            raise KernelError(f"SELECT takes values of one shape, got {list(shape)} and {list(shape_of(y))}.")
        if condition.shape not in ((), shape[:1], shape):
            got = list(shape_of(condition))
            raise KernelError(
                f"SELECT has conditions {got} for values {list(shape)}: expected [], {list(shape[:1])} or as many."
            )
        return shape

    def run(self, xp: Any, condition: Array, x: Array, y: Array) -> Array:
        if condition.ndim == 1:
            condition = condition.reshape((-1,) + (1,) * (x.ndim - 1))
        return super().run(xp, condition, x, y)


@op("SELECT_V2", BOOL, VALUE, versions=2)
class SelectV2(Choice):
    """Elements of `x` where `condition` is true, of `y` elsewhere; all three broadcast against each other."""

    def result_shape(self, condition: TensorSpec, x: TensorSpec, y: TensorSpec) -> Shape:
        return broadcast_shapes(condition, x, y)


@dataclass(frozen=True, eq=False, kw_only=True)
class ComplexPart(Op):
    """A real number of each complex one."""

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(part_type(input.type), input.shape)


def part_type(kind: TensorType) -> TensorType:
    """Type of the parts of complex numbers of type `kind`."""
    return TensorType.FLOAT32 if kind is TensorType.COMPLEX64 else TensorType.FLOAT64


@op("COMPLEX_ABS", COMPLEX)
class ComplexAbs(ComplexPart):
    """The magnitude of each complex number."""

    def run(self, xp: Any, input: Array) -> Array:
        return xp.abs(input)


@op("REAL", COMPLEX)
class Real(ComplexPart):
    """The real part of each complex number."""

    def run(self, xp: Any, input: Array) -> Array:
        return input.real


@op("IMAG", COMPLEX)
class Imag(ComplexPart):
    """The imaginary part of each complex number."""

    def run(self, xp: Any, input: Array) -> Array:
        return input.imag
