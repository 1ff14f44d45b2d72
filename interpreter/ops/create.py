"""Operators that make a tensor from a few numbers, or lay numbers out in one that is otherwise constant."""

from __future__ import annotations

from math import ceil, isfinite
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec
from .base import BOOL, FLOAT, HALF, INDEX, INT8, INT16, INT32, INT64, INTEGER, NUMBER, PACKED, Op, op
from .shared.host import (
    FIXED_WIDTH,
    VALUES,
    dimensions,
    integers,
    known,
    normalize_axis,
    require_rank,
    scalar,
    shape_of,
)


@op("FILL", INDEX, VALUES, versions=5)
class Fill(Op):
    """A tensor of shape `dims` that holds the scalar `value` everywhere."""

    def infer(self, dims: TensorSpec, value: TensorSpec) -> TensorSpec:
        require_rank(dims, (1,), "FILL: dims")
        require_rank(value, (0,), "FILL: value")
        if dims.value is None:
            return TensorSpec(value.type, None)
        return TensorSpec(value.type, _filled(dims.value))

    def run(self, xp: Any, dims: Array, value: Array) -> Array:
        result = xp.empty(_filled(known(self.ins[0], dims)), dtype=value.dtype)
        result[...] = value
        return result


def _filled(dims: np.ndarray) -> Shape:
    return dimensions(integers(dims), "Fill dimensions must be >= 0: dims")


_STEPS = FLOAT | HALF | INT8 | INT16 | INT32 | INT64


@op("RANGE", _STEPS, _STEPS, _STEPS, versions=2)
class Range(Op):
    """start, start + delta, ... up to but not including `limit`; the operands are scalars of one type.

    Each element is the one before it plus `delta`, rounded to the type.
    """

    def infer(self, start: TensorSpec, limit: TensorSpec, delta: TensorSpec) -> TensorSpec:
        for operand, what in ((start, "start"), (limit, "limit"), (delta, "delta")):
            require_rank(operand, (0,), f"RANGE: {what}")
            if operand.type != start.type:
                raise KernelError(f"RANGE got {start}, {limit} and {delta}, expected equal types.")
        if start.value is None or limit.value is None or delta.value is None:
            return TensorSpec(start.type, None)
        return TensorSpec(start.type, (_step_count(start.value[()], limit.value[()], delta.value[()]),))

    def refuses(self, start: TensorSpec, limit: TensorSpec, delta: TensorSpec) -> str | None:
        quantized = start.quantization is not None and start.type in INT8 | INT16
        return "operator RANGE is not supported with quantised operands." if quantized else None

    def run(self, xp: Any, start: Array, limit: Array, delta: Array) -> Array:
        operands = zip(self.ins, (start, limit, delta), strict=True)
        first, last, step = (known(spec, array).reshape(())[()] for spec, array in operands)
        steps = np.full(_step_count(first, last, step), step)
        steps[:1] = first
        return xp.asarray(np.cumsum(steps, dtype=steps.dtype))


def _step_count(start: Any, limit: Any, delta: Any) -> int:
    """Length of a range of NumPy scalars; for real numbers the quotient is rounded to their type first."""
    if not ((delta > 0 and start <= limit) or (delta < 0 and start >= limit)):
        raise KernelError(f"RANGE from {start} to {limit} by {delta}: delta has to lead from start to limit.")
    if np.issubdtype(type(start), np.integer):
        count: float = -(-(int(limit) - int(start)) // int(delta))
    else:
        count = float((limit - start) / delta)
    if not isfinite(count):
        raise KernelError(f"RANGE from {start} to {limit} by {delta} has no end.")
    return dimensions([ceil(count)], "RANGE: the result")[0]


@op("ONE_HOT", INDEX, INTEGER | PACKED, NUMBER | BOOL, NUMBER | BOOL)
class OneHot(Op):
    """A new dimension `axis` of `depth` elements: `on_value` at the position that the index says, else `off_value`.

    An index that is out of range gives `off_value` everywhere.
    """

    axis: int = -1

    def infer(self, indices: TensorSpec, depth: TensorSpec, on_value: TensorSpec, off_value: TensorSpec) -> TensorSpec:
        if on_value.type != off_value.type or on_value.size != 1 or off_value.size != 1:
            raise KernelError(f"ONE_HOT: values are {on_value} and {off_value}, expected one each of the same type.")
        axis = normalize_axis(self.axis, indices.rank + 1, "ONE_HOT: axis")
        if depth.value is None:
            return TensorSpec(on_value.type, None)
        shape = shape_of(indices)
        return TensorSpec(on_value.type, (*shape[:axis], _depth(depth.value), *shape[axis:]))

    def run(self, xp: Any, indices: Array, depth: Array, on_value: Array, off_value: Array) -> Array:
        positions = xp.arange(_depth(known(self.ins[1], depth)), dtype=indices.dtype)
        axis = normalize_axis(self.axis, indices.ndim + 1)
        hot = xp.expand_dims(indices, axis) == positions.reshape((-1,) + (1,) * (indices.ndim - axis))
        return xp.where(hot, on_value.reshape(()), off_value.reshape(()))


def _depth(depth: np.ndarray) -> int:
    return dimensions([scalar(depth, "ONE_HOT: depth")], "ONE_HOT: depth")[0]


@op("MATRIX_DIAG", FIXED_WIDTH)
class MatrixDiag(Op):
    """Square matrices [..., n, n] with the vectors `diagonal` [..., n] on their diagonals, zero elsewhere."""

    def infer(self, diagonal: TensorSpec) -> TensorSpec:
        if diagonal.rank < 1:
            raise KernelError(f"MATRIX_DIAG got {diagonal}, expected at least a vector.")
        return TensorSpec(diagonal.type, (*shape_of(diagonal), shape_of(diagonal)[-1]))

    def run(self, xp: Any, diagonal: Array) -> Array:
        *batch, n = diagonal.shape
        result = xp.zeros((*batch, n * n), dtype=diagonal.dtype)
        result[..., :: n + 1] = diagonal
        return result.reshape(*batch, n, n)


@op("MATRIX_SET_DIAG", FIXED_WIDTH, FIXED_WIDTH)
class MatrixSetDiag(Op):
    """`matrices` [..., m, n] with the vectors `diagonal` [..., min(m, n)] on their diagonals instead."""

    def infer(self, matrices: TensorSpec, diagonal: TensorSpec) -> TensorSpec:
        if matrices.rank < 2:
            raise KernelError(f"MATRIX_SET_DIAG got {matrices}, expected at least a matrix.")
        *batch, m, n = shape_of(matrices)
        if diagonal.type != matrices.type or diagonal.shape != (*batch, min(m, n)):
            raise KernelError(f"MATRIX_SET_DIAG got {diagonal} for {matrices}, expected one vector for each matrix.")
        return TensorSpec(matrices.type, matrices.shape)

    def run(self, xp: Any, matrices: Array, diagonal: Array) -> Array:
        *batch, m, n = matrices.shape
        result = matrices.reshape(*batch, m * n).copy()
        result[..., : min(m, n) * (n + 1) : n + 1] = diagonal
        return result.reshape(matrices.shape)
