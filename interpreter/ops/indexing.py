"""Operators that read or write elements at given indices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec
from .base import BOOL, FLOAT, INDEX, INT16, INTEGER, Op, op
from .segment import combine
from .shared.host import VALUES, dimensions, integers, known, normalize_axis, require_indices, require_rank, shape_of


@op("GATHER", VALUES, INT16 | INDEX, versions=8)
class Gather(Op):
    """Slices of `params` along `axis`, picked by `indices`; the first `batch_dims` dimensions of both go together.

    [*params.shape[:axis], *indices.shape[batch_dims:], *params.shape[axis + 1:]].
    """

    axis: int = 0
    batch_dims: int = 0

    def infer(self, params: TensorSpec, indices: TensorSpec) -> TensorSpec:
        axis, batch = self._dimensions(params.rank, indices.rank)
        source, picked = shape_of(params), shape_of(indices)
        if source[:batch] != picked[:batch]:
            raise KernelError(f"GATHER got {params} and {indices}, expected equal dimensions before {batch}.")
        return TensorSpec(params.type, (*source[:axis], *picked[batch:], *source[axis + 1 :]))

    def run(self, xp: Any, params: Array, indices: Array) -> Array:
        axis, batch = self._dimensions(params.ndim, indices.ndim)
        require_indices(xp, self.ins[1], indices, params.shape[axis], "gather index out of bounds")
        return _batch_gather(xp, params, indices, axis, batch) if batch else xp.take(params, indices, axis=axis)

    def _dimensions(self, rank: int, indices_rank: int) -> tuple[int, int]:
        axis = normalize_axis(self.axis, rank, "GATHER: axis")
        batch = self.batch_dims + indices_rank if self.batch_dims < 0 else self.batch_dims
        if not 0 <= batch <= min(axis, indices_rank):
            raise KernelError(f"GATHER: batch_dims is {self.batch_dims}, expected 0 to {min(axis, indices_rank)}.")
        return axis, batch


def _batch_gather(xp: Any, params: Array, indices: Array, axis: int, batch: int) -> Array:
    outer, middle, inner = params.shape[:batch], params.shape[batch:axis], params.shape[axis + 1 :]
    rows = params.reshape(prod(outer), prod(middle), params.shape[axis], prod(inner))
    picked = indices.reshape(prod(outer), 1, prod(indices.shape[batch:]))
    of_batch = xp.arange(prod(outer)).reshape(-1, 1, 1)
    of_middle = xp.arange(prod(middle)).reshape(1, -1, 1)
    return rows[of_batch, of_middle, picked].reshape(*outer, *middle, *indices.shape[batch:], *inner)


@op("GATHER_ND", VALUES, INT16 | INDEX, versions=6)
class GatherNd(Op):
    """Slices of `params`, picked by the tuples that the last dimension of `indices` holds.

    [*indices.shape[:-1], *params.shape[indices.shape[-1]:]].
    """

    def infer(self, params: TensorSpec, indices: TensorSpec) -> TensorSpec:
        if params.rank < 1 or indices.rank < 1:
            raise KernelError(f"GATHER_ND got {params} and {indices}: both must be at least a vector.")
        *picked, depth = shape_of(indices)
        if depth > params.rank:
            raise KernelError(f"GATHER_ND got {params} and indices of {depth} numbers: the last dimension is too long.")
        return TensorSpec(params.type, (*picked, *shape_of(params)[depth:]))

    def run(self, xp: Any, params: Array, indices: Array) -> Array:
        columns = [indices[..., i] for i in range(indices.shape[-1])]
        for size, column in zip(params.shape, columns, strict=False):
            require_indices(xp, None, column, size, "gather_nd index out of bounds")
        return params[tuple(columns)] if columns else xp.broadcast_to(params, indices.shape[:-1] + params.shape)


@op("SCATTER_ND", INDEX, FLOAT | INTEGER | BOOL, INDEX)
class ScatterNd(Op):
    """Zeros of `shape`, to which each slice of `updates` is added at the tuple of `indices` that belongs to it."""

    def infer(self, indices: TensorSpec, updates: TensorSpec, shape: TensorSpec) -> TensorSpec:
        require_rank(shape, (1,), "SCATTER_ND: shape")
        if indices.rank < 1 or updates.rank < 1:
            raise KernelError(f"SCATTER_ND got {indices} and {updates}: both must be at least a vector.")
        if shape.value is None:
            return TensorSpec(updates.type, None)
        return TensorSpec(updates.type, self._target(shape_of(indices), shape_of(updates), shape.value))

    def run(self, xp: Any, indices: Array, updates: Array, shape: Array) -> Array:
        target = self._target(indices.shape, updates.shape, known(self.ins[2], shape))
        depth = indices.shape[-1]
        strides = xp.asarray([prod(target[i + 1 : depth]) for i in range(depth)], dtype=np.int64)
        rows = (indices * strides).sum(axis=-1).reshape(-1)
        require_indices(xp, None, rows, prod(target[:depth]), "scatter_nd index out of bounds")
        slices = updates.reshape(rows.size, *target[depth:]).astype(_summing_type(updates.dtype))
        total = combine(xp, "add", 0, prod(target[:depth]), rows, slices)
        return total.astype(updates.dtype).reshape(target)

    @staticmethod
    def _target(indices: Shape, updates: Shape, sizes: np.ndarray) -> Shape:
        target = dimensions(integers(sizes), "SCATTER_ND: shape")
        *picked, depth = indices
        if depth > len(target) or updates != (*picked, *target[depth:]):
            raise KernelError(
                f"SCATTER_ND got indices {list(indices)} and updates {list(updates)}, which do not fit {list(target)}."
            )
        return target


def _summing_type(dtype: np.dtype[Any]) -> Any:
    """A dtype in which `combine` can sum on a GPU too, with the same result after a conversion back."""
    if dtype.kind == "f":
        return dtype
    return np.uint64 if dtype.itemsize == 8 else np.int32
