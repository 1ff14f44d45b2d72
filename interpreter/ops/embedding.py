"""Operators that look rows up in a table: by position, by key, and sums of several rows."""

from __future__ import annotations

from enum import IntEnum
from math import prod
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Quantization, TensorSpec, TensorType
from .base import FLOAT, HALF, INT32, PACKED, Op, op
from .segment import combine
from .shared.host import FIXED_WIDTH, VALUES, dimensions, host, integers, known, require_indices, require_rank, shape_of

_REAL = FLOAT | HALF


@op("EMBEDDING_LOOKUP", INT32, VALUES, versions=5)
class EmbeddingLookup(Op):
    """Rows of `value` at `ids` [n]; quantised rows become real numbers where the output is of a floating-point type.

    Quantisation is symmetric: one scale, one for each row, or one for each block of a row. For an output of another
    type of the same width the bytes are taken as they are, as the reference does.
    """

    def infer(self, ids: TensorSpec, value: TensorSpec) -> TensorSpec:
        if ids.rank != 1 or value.rank < 2:
            raise KernelError(f"EMBEDDING_LOOKUP got {ids} and {value}, expected a vector and a matrix or more.")
        if value.quantization is not None and self._gives_real_numbers(value):
            _require_row_scales(value, value.quantization)
        return TensorSpec(self.outs[0].type, (*shape_of(ids), *shape_of(value)[1:]))

    def refuses(self, ids: TensorSpec, value: TensorSpec) -> str | None:
        result = self.outs[0].type
        if result == value.type:
            return None
        if self._gives_real_numbers(value):
            has_offset = value.quantization is not None and np.any(value.quantization.zero_points)
            what = "zero points other than 0 where it gives real numbers"
            return f"operator EMBEDDING_LOOKUP is not supported with {what}." if has_offset else None
        if {result, value.type} <= FIXED_WIDTH - PACKED and result.bits == value.type.bits and result not in _REAL:
            return None
        return f"operator EMBEDDING_LOOKUP is not supported from {value.type.name} to {result.name}."

    def _gives_real_numbers(self, value: TensorSpec) -> bool:
        """Whether rows are quantised and the result is not."""
        result = self.outs[0].type
        return result != value.type and value.quantization is not None and result in _REAL

    def run(self, xp: Any, ids: Array, value: Array) -> Array:
        require_indices(xp, self.ins[0], ids, value.shape[0], "Embedding Lookup: index out of bounds")
        rows = xp.take(value, ids, axis=0)
        spec, result = self.ins[1], self.outs[0]
        assert spec is not None
        if spec.quantization is None or not self._gives_real_numbers(spec):
            if spec.type == result.type:
                return rows
            return rows.view(np.uint8) != 0 if result.type is TensorType.BOOL else rows.view(result.dtype)
        scales = xp.asarray(spec.quantization.scales).reshape(-1, 1)
        if scales.size > 1:
            scales = xp.take(scales.reshape(value.shape[0], -1), ids, axis=0)
        blocks = scales.shape[1]
        real = rows.reshape(ids.size, blocks, prod(value.shape[1:]) // blocks) * scales[:, :, None]
        return real.reshape(rows.shape).astype(result.dtype)


def _require_row_scales(value: TensorSpec, quantization: Quantization) -> None:
    rows, count = shape_of(value)[0], len(quantization.scales)
    per_row = count // rows if rows else 0
    fits = per_row * rows == count and per_row and prod(shape_of(value)[1:]) % per_row == 0
    if count > 1 and not (fits and (quantization.block_size or quantization.axis == 0)):
        raise KernelError(f"EMBEDDING_LOOKUP got {count} scales along {quantization.axis} for the rows of {value}.")


class Combiner(IntEnum):
    """How several rows become one: their weighted sum, divided by nothing, the weights' sum or their norm."""

    SUM = 0
    MEAN = 1
    SQRTN = 2


@op("EMBEDDING_LOOKUP_SPARSE", INT32, INT32, INT32, FLOAT, FLOAT)
class EmbeddingLookupSparse(Op):
    """Rows of `value` at `ids` [n] times `weights` [n], combined where their places in a sparse tensor differ only in
    the last dimension.

    The sparse tensor has shape `dense_shape` [k] and its elements at `indices` [n, k], in order unless the combiner is
    SUM. [*dense_shape[:-1], *value.shape[1:]], with zeros where nothing is looked up.
    """

    combiner: Combiner = Combiner.SUM

    def infer(
        self, ids: TensorSpec, indices: TensorSpec, dense_shape: TensorSpec, weights: TensorSpec, value: TensorSpec
    ) -> TensorSpec:
        if ids.rank != 1 or weights.shape != ids.shape or value.rank < 2:
            raise KernelError(f"{self.name} got {ids}, {weights} and {value}: expected two vectors and a matrix.")
        if dense_shape.rank != 1 or indices.shape != (*shape_of(ids), *shape_of(dense_shape)):
            raise KernelError(f"{self.name} got indices {indices} for {ids} and {dense_shape}, which do not fit.")
        if dense_shape.value is None:
            return TensorSpec(value.type, None)
        return TensorSpec(value.type, (*self._places(dense_shape.value), *shape_of(value)[1:]))

    def run(self, xp: Any, ids: Array, indices: Array, dense_shape: Array, weights: Array, value: Array) -> Array:
        require_indices(xp, self.ins[0], ids, value.shape[0], "Embedding Lookup Sparse: index out of bounds")
        places = self._places(known(self.ins[2], dense_shape))
        count = prod(places)
        strides = xp.asarray([prod(places[i + 1 :]) for i in range(len(places))], dtype=np.int64)
        rows = (indices[:, :-1] * strides).sum(axis=1)
        require_indices(xp, None, rows, count, "EMBEDDING_LOOKUP_SPARSE: indices out of bounds")
        picked = xp.take(value, ids, axis=0) * weights.reshape(-1, *(1,) * (value.ndim - 1))
        total = combine(xp, "add", 0, count, rows, picked)
        if self.combiner is not Combiner.SUM:
            if host(xp.any(rows[1:] < rows[:-1])):
                raise KernelError(f"EMBEDDING_LOOKUP_SPARSE: {self.combiner.name} needs indices in order.")
            total = self._divided(xp, total, rows, weights)
        return total.reshape(*places, *value.shape[1:])

    def _divided(self, xp: Any, total: Array, rows: Array, weights: Array) -> Array:
        """Sums of rows, divided as the combiner says where there are any."""
        squared = self.combiner is Combiner.SQRTN
        divisor = combine(xp, "add", 0, len(total), rows, weights * weights if squared else weights)
        filled = combine(xp, "add", 0, len(total), rows, xp.ones_like(rows, dtype=np.int32))
        factor = xp.where(filled > 0, 1 / (xp.sqrt(divisor) if squared else divisor), 1)
        return total * factor.astype(total.dtype).reshape(-1, *(1,) * (total.ndim - 1))

    def _places(self, dense_shape: np.ndarray) -> tuple[int, ...]:
        return dimensions(integers(dense_shape)[:-1], f"{self.name}: dense_shape")


@op("HASHTABLE_LOOKUP", INT32, INT32, VALUES)
class HashtableLookup(Op):
    """Rows of `value` whose `key` [rows], sorted upwards, is in `lookup` [n], and uint8 [n] with 1 for each hit.

    A key that is missing gives zeros, or an empty string. Keys that are not sorted are found or missed as a binary
    search does.
    """

    def infer(self, lookup: TensorSpec, key: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        require_rank(lookup, (1,), "HASHTABLE_LOOKUP: lookup")
        if not value.rank or key.shape != shape_of(value)[:1] or not key.size:
            raise KernelError(f"HASHTABLE_LOOKUP got {key} and {value}, expected one key for each row and some rows.")
        if value.type is TensorType.STRING:
            require_rank(value, (1,), "HASHTABLE_LOOKUP: value, which holds strings,")
        rows = TensorSpec(value.type, (*shape_of(lookup), *shape_of(value)[1:]))
        return rows, TensorSpec(TensorType.UINT8, lookup.shape)

    def run(self, xp: Any, lookup: Array, key: Array, value: Array) -> tuple[Array, Array]:
        row = _search(xp, key, lookup)
        found = row >= 0
        rows = xp.take(value, xp.maximum(row, 0), axis=0)
        missing = b"" if rows.dtype == object else rows.dtype.type(0)
        return xp.where(found.reshape(-1, *(1,) * (rows.ndim - 1)), rows, missing), found.astype(np.uint8)


def _search(xp: Any, keys: Array, wanted: Array) -> Array:
    """int64: position of each wanted number among `keys`, as a binary search finds it; -1 for those it misses."""
    low = xp.zeros(wanted.shape, np.int64)
    high = xp.full(wanted.shape, keys.size, np.int64)
    row = xp.full(wanted.shape, -1, np.int64)
    for _ in range(int(keys.size).bit_length()):
        middle = (low + high) >> 1
        key = xp.take(keys, xp.minimum(middle, keys.size - 1))
        row = xp.where((row < 0) & (low < high) & (key == wanted), middle, row)
        below = key < wanted
        low, high = xp.where(below, middle + 1, low), xp.where(below, high, middle)
    return row
