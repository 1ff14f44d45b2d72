"""Reductions over some dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..graph import Array, Shape, TensorSpec
from .base import BOOL, INT8, INT16, INT32, NUMBER, op
from .shared.affine import affine, lacks_affine, lacks_zero_offset
from .shared.fixedpoint import (
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    saturate,
)
from .shared.host import integers, known, normalize_axes, shape_of
from .shared.pointwise import BYTE, QuantizedByFirst


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduction(QuantizedByFirst):
    """An op that reduces `input` over the dimensions listed in `axes`; negative ones count from the end."""

    keep_dims: bool = False

    def infer(self, input: TensorSpec, axes: TensorSpec) -> TensorSpec:
        if axes.value is None:
            return TensorSpec(input.type, None)
        shape = shape_of(input)
        return TensorSpec(input.type, self._remaining(shape, _resolved(axes.value, len(shape))))

    def refuses(self, input: TensorSpec, axes: TensorSpec) -> str | None:
        return lacks_affine(self) or lacks_zero_offset(self) if self.is_quantized else None

    def run(self, xp: Any, input: Array, axes: Array) -> Array:
        over = self.over(input, axes)
        if prod(input.shape) == 0:
            return xp.full(self._remaining(input.shape, over), self.of_nothing(input.dtype), dtype=input.dtype)
        return self.reduced(xp, input, over) if over else input

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        """The reduction of an array that has elements over one or more dimensions."""
        raise NotImplementedError(type(self).__name__)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        """The reduction of no elements."""
        raise NotImplementedError(type(self).__name__)

    def over(self, input: Array, axes: Array) -> Shape:
        """The dimensions to reduce, in order."""
        return _resolved(known(self.ins[1], axes), input.ndim)

    def _remaining(self, shape: Shape, over: Shape) -> Shape:
        if self.keep_dims:
            return tuple(1 if axis in over else n for axis, n in enumerate(shape))
        return tuple(n for axis, n in enumerate(shape) if axis not in over)


def _resolved(axes: np.ndarray, rank: int) -> Shape:
    """Distinct axes in [0, rank); a scalar has none, whatever `axes` says."""
    return tuple(sorted(set(normalize_axes(integers(axes), rank, "Invalid axis index: axis")))) if rank else ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Total(Reduction):
    """SUM and MEAN, which on quantised integers differ in how the sum is rescaled."""

    def run_quantized(self, xp: Any, input: Array, axes: Array) -> Array:
        over = self.over(input, axes)
        if prod(input.shape) == 0:
            return self.run(xp, input, axes)
        count = prod(input.shape[axis] for axis in over)
        total = xp.sum(input, axis=over, keepdims=self.keep_dims, dtype=np.int32) if over else input.astype(np.int32)
        return saturate(xp, self.rescaled(xp, total, count) + affine(self.outs[0]).zero_point, input.dtype)

    def rescaled(self, xp: Any, total: Array, count: int) -> Array:
        """Sums of `count` stored values as whole steps of the result, without its zero point."""
        raise NotImplementedError(type(self).__name__)


@op("SUM", NUMBER | BOOL, INT32, quantized=(BYTE | INT16, INT32), versions=2)
class Sum(Total):
    """The sum over `axes`; that of booleans is whether any is true."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        return xp.sum(x, axis=over, keepdims=self.keep_dims, dtype=x.dtype)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return 0

    def rescaled(self, xp: Any, total: Array, count: int) -> Array:
        """In float32 (reference: its optimised kernel; the plain one takes all integers for uint8)."""
        (scale, zero_point), output = affine(self.ins[0]), affine(self.outs[0])
        factor = np.float32(scale) / np.float32(output.scale)
        bias = np.float32(-zero_point) * factor * np.float32(count)
        return round_half_away(xp, total.astype(np.float32) * factor + bias)


@op("MEAN", NUMBER, INT32, quantized=(BYTE | INT16, INT32), versions=3)
class Mean(Total):
    """The mean over `axes`; that of integers is truncated, that of nothing is NaN, or 0 for integers."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        if x.dtype.kind not in "iu":
            return xp.mean(x, axis=over, keepdims=self.keep_dims, dtype=x.dtype)
        count = prod(x.shape[axis] for axis in over)
        total = xp.sum(x, axis=over, keepdims=self.keep_dims, dtype=np.int64)
        quotient = total // count
        return (quotient + ((quotient < 0) & (quotient * count != total))).astype(x.dtype)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return 0 if dtype.kind in "iu" else np.nan

    def rescaled(self, xp: Any, total: Array, count: int) -> Array:
        """In integers (reference: QuantizedMeanOrSum)."""
        (scale, zero_point), output = affine(self.ins[0]), affine(self.outs[0])
        mantissa, shift = quantize_multiplier(float(scale) / float(output.scale))
        places = min(count.bit_length() - 1, 32, 31 + shift)
        averaged = (mantissa << places) // count, shift - places
        return multiply_by_quantized_multiplier(xp, total - count * zero_point, *averaged)


@dataclass(frozen=True, eq=False, kw_only=True)
class Extreme(Reduction):
    """REDUCE_MAX and REDUCE_MIN, which work on stored values and so need one scale for operand and result."""

    def refuses(self, input: TensorSpec, axes: TensorSpec) -> str | None:
        if input.type not in BYTE | INT16 or input.quantization is None:
            return None
        if (refused := lacks_affine(self)) is not None:
            return refused
        got, wanted = affine(self.outs[0]), affine(self.ins[0])
        return None if got == wanted else f"operator {self.name} needs a result with {wanted}, got {got}."


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Least and greatest value of a type."""
    if dtype.kind == "b":
        return False, True
    info = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return info.min, info.max


@op("REDUCE_MAX", NUMBER | BOOL, INT32, versions=3)
class ReduceMax(Extreme):
    """The greatest element over `axes`."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        return xp.max(x, axis=over, keepdims=self.keep_dims)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return _limits(dtype)[0]


@op("REDUCE_MIN", NUMBER | BOOL, INT32, versions=3)
class ReduceMin(Extreme):
    """The least element over `axes`."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        return xp.min(x, axis=over, keepdims=self.keep_dims)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return _limits(dtype)[1]


@op("REDUCE_PROD", NUMBER | BOOL, INT32, quantized=(INT8 | INT16, INT32), versions=2)
class ReduceProd(Reduction):
    """The product over `axes`; that of booleans is whether all are true."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        return xp.prod(x, axis=over, keepdims=self.keep_dims, dtype=x.dtype)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return 1

    def run_quantized(self, xp: Any, input: Array, axes: Array) -> Array:
        """Factors are multiplied and rescaled one by one (reference: QuantizedReduceProd)."""
        over = self.over(input, axes)
        (scale, zero_point), output = affine(self.ins[0]), affine(self.outs[0])
        if prod(input.shape) == 0:  # the reference writes nothing there: 1, as near as it can be stored
            one = np.array(round(1 / float(output.scale)) + int(output.zero_point))
            return xp.full(self._remaining(input.shape, over), saturate(np, one, input.dtype), dtype=input.dtype)
        last = xp.moveaxis(input.astype(np.int64) - zero_point, over, range(-len(over), 0))
        kept = last.shape[: input.ndim - len(over)]
        factors = last.reshape((*kept, -1))
        count = factors.shape[-1]
        each = quantize_multiplier(float(scale) / float(output.scale) ** (1 / count))
        product = factors[..., 0]
        for position in range(1, count):
            product = multiply_wide_by_quantized_multiplier(xp, product * factors[..., position], *each)
        result = multiply_wide_by_quantized_multiplier(xp, product, *each) + output.zero_point
        return saturate(xp, result, input.dtype).reshape(self._remaining(input.shape, over))


@op("REDUCE_ANY", BOOL, INT32)
class ReduceAny(Reduction):
    """Whether any element over `axes` is true."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        return xp.any(x, axis=over, keepdims=self.keep_dims)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return False


@op("REDUCE_ALL", BOOL, INT32)
class ReduceAll(Reduction):
    """Whether all elements over `axes` are true."""

    def reduced(self, xp: Any, x: Array, over: Shape) -> Array:
        return xp.all(x, axis=over, keepdims=self.keep_dims)

    def of_nothing(self, dtype: np.dtype[Any]) -> Any:
        return True
