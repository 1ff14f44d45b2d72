"""Operators that find elements: the greatest, the true, the different ones, and where a number falls."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec, TensorType
from .base import BOOL, DOUBLE, FLOAT, INDEX, INT16, INT32, INTEGER, NUMBER, Op, op
from .shared.host import known, require_rank, scalar, shape_of


@op("TOPK_V2", FLOAT | INTEGER, INT32 | INT16, versions=3)
class TopK(Op):
    """The `k` greatest elements of each row of `tensor`, greatest first, and their positions; ties in order."""

    def infer(self, tensor: TensorSpec, k: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        if k.value is None:
            return TensorSpec(tensor.type, None), TensorSpec(self.outs[1].type, None)
        shape = (*shape_of(tensor)[:-1], _row_count(k.value, shape_of(tensor)))
        return TensorSpec(tensor.type, shape), TensorSpec(self.outs[1].type, shape)

    def refuses(self, tensor: TensorSpec, k: TensorSpec) -> str | None:
        kind = self.outs[1].type
        return None if kind in INT32 | INT16 else f"operator TOPK_V2 gives int32 or int16 positions, not {kind.name}."

    def run(self, xp: Any, tensor: Array, k: Array) -> tuple[Array, Array]:
        count, length = _row_count(known(self.ins[1], k), tensor.shape), tensor.shape[-1]
        # Sorting upwards what is turned around keeps equal elements in order once the result is turned around too.
        upwards = xp.argsort(tensor[..., ::-1], axis=-1, kind="stable")
        order = length - 1 - upwards[..., ::-1][..., :count]
        return xp.take_along_axis(tensor, order, axis=-1), order.astype(self.outs[1].dtype)


def _row_count(k: np.ndarray, shape: Shape) -> int:
    if not shape:
        raise KernelError("TopK k input must have 1 or more dimensions: TOPK_V2 got a scalar.")
    count: int = max(0, scalar(k, "TOPK_V2: k"))
    if count > shape[-1]:
        raise KernelError(f"TopK k is higher than the internal dimension: TOPK_V2 got k {count} for {list(shape)}.")
    return count


@op("WHERE", NUMBER | BOOL, versions=2)
class Where(Op):
    """The index tuples of the elements of `condition` that are not zero: int64 [count, rank]."""

    def infer(self, condition: TensorSpec) -> TensorSpec:
        if condition.rank < 1:
            raise KernelError("Where op requires condition w/ rank > 0: WHERE got a scalar.")
        return TensorSpec(TensorType.INT64, None)

    def run(self, xp: Any, condition: Array) -> Array:
        return xp.argwhere(condition).astype(np.int64)


@op("UNIQUE", FLOAT | INTEGER)
class Unique(Op):
    """The different elements of a vector, in the order in which they first occur, and for each element which it is."""

    idx_out_type: TensorType = TensorType.INT32

    def infer(self, tensor: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        require_rank(tensor, (1,), "UNIQUE: tensor")
        return TensorSpec(tensor.type, None), TensorSpec(self.idx_out_type, tensor.shape)

    def refuses(self, tensor: TensorSpec) -> str | None:
        kind = self.idx_out_type
        return None if kind in INDEX else f"operator UNIQUE gives int32 or int64 positions, not {kind.name.lower()}."

    def run(self, xp: Any, tensor: Array) -> tuple[Array, Array]:
        values, first, inverse = xp.unique(tensor, return_index=True, return_inverse=True)
        by_occurrence = xp.argsort(first)
        rank = xp.empty_like(by_occurrence)
        rank[by_occurrence] = xp.arange(by_occurrence.size)
        return values[by_occurrence], rank[inverse].astype(self.idx_out_type.dtype)


@op("BUCKETIZE", FLOAT | DOUBLE | INDEX)
class Bucketize(Op):
    """For each element, how many of the sorted `boundaries` are not greater. int32."""

    boundaries: tuple[float, ...] = ()

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        if list(self.boundaries) != sorted(self.boundaries):
            raise KernelError(f"Expected sorted boundaries: BUCKETIZE got {list(self.boundaries)}.")
        return TensorSpec(TensorType.INT32, tensor.shape)

    def run(self, xp: Any, tensor: Array) -> Array:
        kind = np.float64 if tensor.dtype == np.float64 else np.float32
        limits = xp.asarray(np.asarray(self.boundaries, np.float32).astype(kind))
        return xp.searchsorted(limits, tensor.astype(kind), side="right").astype(np.int32)
