"""Ragged tensors: values [n, ...] and, for each ragged dimension, what rows they fall into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import BOOL, INDEX, NUMBER, STRING, Op, op
from ..shared.host import dimensions, integers, scalar

_FIRST, _ROWIDS, _SPLITS = b"FIRST_DIM_SIZE", b"VALUE_ROWIDS", b"ROW_SPLITS"


def row_lengths(splits: Array, what: str, total: int | None = None) -> Array:
    """Lengths of the rows that `splits` [rows + 1] bound. Raises KernelError unless they rise from 0 (to `total`)."""
    lengths = np.diff(splits)
    fits = splits.ndim == 1 and splits.size and not splits[0] and not (lengths < 0).any()
    if not fits or (total is not None and splits[-1] != total):
        until = "" if total is None else f" to {total}"
        raise KernelError(f"{what} got row splits {splits.tolist()}, expected numbers that rise from 0{until}.")
    return lengths


def places_in_rows(lengths: Array) -> Array:
    """0, 1, ... for the elements of each row in turn."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) - np.repeat(starts, lengths)


@op("RaggedTensorToTensor", INDEX, NUMBER | BOOL | STRING, NUMBER | BOOL | STRING, INDEX)
class RaggedTensorToTensor(Op):
    """A dense tensor of `shape` with rows cut off or filled up with `default_value`; -1 stands for the longest row.

    `row_partition_types` says what the partitions are: FIRST_DIM_SIZE (the number of rows, a scalar, in front of
    VALUE_ROWIDS), VALUE_ROWIDS (the row of each value), ROW_SPLITS (where rows begin and end). As TensorFlow's
    operator of that name; default values are scalars, as in its TensorFlow Lite kernel.
    """

    host_only = True

    row_partition_types: Sequence[bytes] = ()

    @property
    def ragged(self) -> Sequence[bytes]:
        """Types of the partitions of the ragged dimensions."""
        return [kind for kind in self.row_partition_types if kind != _FIRST]

    def refuses(self, shape: TensorSpec, values: TensorSpec, default_value: TensorSpec, *partitions: Any) -> str | None:
        kinds = list(self.row_partition_types)
        ragged = kinds[kinds[:1] == [_FIRST] :]
        if not ragged or len(kinds) != len(partitions) or set(ragged) - {_ROWIDS, _SPLITS}:
            return f"operator RaggedTensorToTensor is not supported with {len(partitions)} partitions of types {kinds}."
        if kinds[0] == _ROWIDS:
            return "operator RaggedTensorToTensor is not supported with VALUE_ROWIDS for the first dimension."
        if values.type is not default_value.type:
            return "operator RaggedTensorToTensor is not supported with values and a default of different types."
        return None

    def infer(self, shape: TensorSpec, values: TensorSpec, default_value: TensorSpec, *partitions: Any) -> TensorSpec:
        if default_value.size != 1:
            raise KernelError(f"RaggedTensorToTensor got the default {default_value}, expected one element.")
        rank = len(self.ragged) + values.rank
        if not values.rank or (shape.shape != () and shape.shape != (rank,)):
            raise KernelError(f"RaggedTensorToTensor got {values} and a shape of {shape}, expected {rank} sizes or -1.")
        return TensorSpec(values.type, None)

    def run(self, xp: Any, shape: Array, values: Array, default_value: Array, *partitions: Array) -> Array:
        first = scalar(partitions[0], self.name) if self.row_partition_types[0] == _FIRST else partitions[0].size - 1
        levels = partitions[len(partitions) - len(self.ragged) :]
        (height,) = dimensions([int(first)], f"{self.name}: the number of rows")
        rows, widths = height, []
        places: list[np.ndarray] = [np.arange(rows)]  # index of each row, or value, along each dimension so far
        for kind, partition in zip(self.ragged, levels, strict=True):
            parents, columns = self._split(kind, partition, rows)
            places = [place[parents] for place in places] + [columns]
            rows = len(parents)
            widths.append(int(columns.max(initial=-1)) + 1)
        if rows != len(values):
            raise KernelError(f"RaggedTensorToTensor got partitions of {rows} values for {len(values)}.")
        asked = (-1,) * (len(widths) + 1) if shape.ndim == 0 else integers(shape)
        sizes = (asked[i] if asked[i] >= 0 else size for i, size in enumerate((height, *widths)))
        outer = dimensions(sizes, self.name)
        result = np.full((*outer, *values.shape[1:]), default_value.ravel()[0], values.dtype)
        inside = np.logical_and.reduce([place < size for place, size in zip(places, outer, strict=True)])
        result[tuple(place[inside] for place in places)] = values[inside]
        return result

    def _split(self, kind: bytes, partition: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """The row that each value belongs to, and its place there."""
        if kind == _SPLITS:
            lengths = row_lengths(partition, self.name)
            parents = np.repeat(np.arange(len(lengths)), lengths)
        else:
            if partition.ndim != 1 or (np.diff(partition, prepend=0) < 0).any():
                raise KernelError("RaggedTensorToTensor got row ids that do not rise from 0.")
            if partition.size and partition[-1] >= rows:
                raise KernelError(f"RaggedTensorToTensor got the row id {partition[-1]}, expected at most {rows - 1}.")
            parents, lengths = partition, np.bincount(partition, minlength=rows)
        if len(lengths) != rows:
            raise KernelError(f"RaggedTensorToTensor got a partition into {len(lengths)} rows, expected {rows}.")
        return parents, places_in_rows(lengths)
