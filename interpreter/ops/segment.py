"""Operators that combine the slices of a tensor that share a segment number."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec
from .base import FLOAT, INT32, Op, op
from .shared.host import dimensions, integers, known, require_indices, scalar, shape_of

_DATA = FLOAT | INT32


def combine(xp: Any, ufunc: str, start: Any, count: int, rows: Array, slices: Array) -> Array:
    """[count, ...] of `start`, into which slices[i] goes at row rows[i] by `ufunc` ("add", "maximum", ...), in order.

    `rows` [n] in [0, count), `slices` [n, ...]. On a GPU the order is free, and the dtype has to be one that atomic
    operations know: 32-bit integers and floats, uint64.
    """
    width = prod(slices.shape[1:])
    result = xp.full(count * width, start, dtype=slices.dtype)
    places = rows.astype(np.int64).reshape(-1, 1) * width + xp.arange(width)
    getattr(xp, ufunc).at(result, places.reshape(-1), slices.reshape(-1))
    return result.reshape(count, *slices.shape[1:])


@op("SEGMENT_SUM", _DATA, INT32)
class SegmentSum(Op):
    """Sums of the slices of `data` with equal `segment_ids` [data.shape[0]], which count up from 0 without a gap."""

    def infer(self, data: TensorSpec, segment_ids: TensorSpec) -> TensorSpec:
        if data.rank < 1 or segment_ids.shape != shape_of(data)[:1]:
            raise KernelError(f"SEGMENT_SUM got {data} and {segment_ids}, expected one id for each slice of data.")
        if segment_ids.value is None:
            return TensorSpec(data.type, None)
        return TensorSpec(data.type, (_sorted_count(segment_ids.value), *shape_of(data)[1:]))

    def run(self, xp: Any, data: Array, segment_ids: Array) -> Array:
        count = _sorted_count(known(self.ins[1], segment_ids))
        return combine(xp, "add", 0, count, segment_ids, data)


def _sorted_count(ids: np.ndarray) -> int:
    steps = np.diff(ids.astype(np.int64), prepend=0)
    if steps.size and (ids[0] != 0 or np.any((steps < 0) | (steps > 1))):
        raise KernelError(
            f"SEGMENT_SUM: segment_ids start {list(integers(ids[:8]))}, expected 0, then steps of 0 or 1."
        )
    return int(ids[-1]) + 1 if ids.size else 0


class UnsortedSegment(Op):
    """Slices of `data` with equal `segment_ids` combined; the shape of the ids is a prefix of that of the data.

    [num_segments, *data.shape[segment_ids.ndim:]]. Negative ids are left out; a segment that gets nothing holds the
    value at which the combination starts.
    """

    ufunc: ClassVar[str]

    def infer(self, data: TensorSpec, segment_ids: TensorSpec, num_segments: TensorSpec) -> TensorSpec:
        rank = segment_ids.rank
        if segment_ids.shape != shape_of(data)[:rank]:
            raise KernelError(f"{self.name} got {data} and {segment_ids}, expected ids for the leading dimensions.")
        if num_segments.value is None:
            return TensorSpec(data.type, None)
        return TensorSpec(data.type, (self._count(num_segments.value), *shape_of(data)[rank:]))

    def run(self, xp: Any, data: Array, segment_ids: Array, num_segments: Array) -> Array:
        count = self._count(known(self.ins[2], num_segments))
        message = f"{self.name}: segment_ids out of range"
        require_indices(xp, self.ins[1], segment_ids, count, message, least=-(2**31))
        slices = data.reshape(segment_ids.size, *data.shape[segment_ids.ndim :])
        ids = segment_ids.reshape(-1)
        rows = xp.where(ids < 0, count, ids)  # one more row, cut off again, takes what is left out
        return combine(xp, self.ufunc, self.start(data.dtype), count + 1, rows, slices)[:count]

    @staticmethod
    def start(dtype: np.dtype[Any]) -> Any:
        """The value with which a segment starts."""
        raise NotImplementedError

    def _count(self, num_segments: np.ndarray) -> int:
        return dimensions([scalar(num_segments, f"{self.name}: num_segments")], f"{self.name}: num_segments")[0]


def _limits(dtype: np.dtype[Any]) -> Any:
    return np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)


@op("UNSORTED_SEGMENT_SUM", _DATA, INT32, INT32)
class UnsortedSegmentSum(UnsortedSegment):
    """Sums of the slices of each segment, 0 for an empty one; integers wrap around."""

    ufunc = "add"

    @staticmethod
    def start(dtype: np.dtype[Any]) -> Any:
        return 0


@op("UNSORTED_SEGMENT_MAX", _DATA, INT32, INT32)
class UnsortedSegmentMax(UnsortedSegment):
    """Maxima over the slices of each segment, the lowest finite number for an empty one."""

    ufunc = "maximum"

    @staticmethod
    def start(dtype: np.dtype[Any]) -> Any:
        return _limits(dtype).min


@op("UNSORTED_SEGMENT_MIN", _DATA, INT32, INT32)
class UnsortedSegmentMin(UnsortedSegment):
    """Minima over the slices of each segment, the greatest finite number for an empty one."""

    ufunc = "minimum"

    @staticmethod
    def start(dtype: np.dtype[Any]) -> Any:
        return _limits(dtype).max


@op("UNSORTED_SEGMENT_PROD", _DATA, INT32, INT32)
class UnsortedSegmentProd(UnsortedSegment):
    """Products of the slices of each segment, 1 for an empty one; integers wrap around."""

    ufunc = "multiply"
    host_only = True  # GPUs have no atomic multiplication

    @staticmethod
    def start(dtype: np.dtype[Any]) -> Any:
        return 1
