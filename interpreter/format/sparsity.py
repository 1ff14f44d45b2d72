"""Sparse constants: how their non-zero blocks are laid out, checked so that expanding one stays in bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError
from ..graph import Sparsity
from .columns import Columns
from .schema import ENUMS, UNIONS
from .view import Ragged

DENSE = ENUMS["DimensionType"]["DENSE"]


def read_sparsity(columns: Columns, shapes: Sequence[tuple[int, ...]]) -> list[Sparsity | None]:
    """The sparsity of each tensor row, None for dense ones. Raises GraphError where it contradicts the shape."""
    owners = columns.child("Tensor", "sparsity").tolist()
    if not len(columns.rows["SparsityParameters"]):
        return [None] * len(owners)
    orders = columns.vector("SparsityParameters", "traversal_order").tuples()
    blocks = columns.vector("SparsityParameters", "block_map").tuples()
    dimensions = columns.vector("SparsityParameters", "dim_metadata")
    few = dimensions.lengths <= 2 * columns.limits.max_view_rank
    columns.require(few, "SparsityParameters", "dim_metadata", "a sparse tensor has too many levels.")
    levels = list(_dimensions(columns))
    made = [
        Sparsity(order, block, tuple(levels[i] for i in dimensions[row].tolist()))
        for row, (order, block) in enumerate(zip(orders, blocks, strict=True))
    ]
    pairs = {(owner, shapes[row]): row for row, owner in enumerate(owners) if owner >= 0}
    ranges: dict[int, _Range] = {}
    for (owner, shape), row in pairs.items():
        problem = _problem(made[owner], shape, ranges)
        if problem:
            raise GraphError(problem, where=columns.where("Tensor", row, "sparsity"))
    return [made[owner] if owner >= 0 else None for owner in owners]


def stored_count(sparsity: Sparsity) -> int:
    """Number of stored values."""
    count = 1
    for level in sparsity.dimensions:
        count = count * level["dense_size"] if level["format"] == DENSE else len(level["array_indices"])
    return count


def _dimensions(columns: Columns) -> Iterator[Mapping[str, Any]]:
    rows = columns.rows["DimensionMetadata"]
    segments, indices = _index_vectors(columns, "array_segments"), _index_vectors(columns, "array_indices")
    for row, (format, size) in enumerate(zip(rows["format"].tolist(), rows["dense_size"].tolist(), strict=True)):
        level = {"format": format, "dense_size": size, "array_segments": segments[row], "array_indices": indices[row]}
        yield MappingProxyType(level)


def _index_vectors(columns: Columns, name: str) -> list[NDArray[np.int32]]:
    """The vector of each row, whatever its width, as int32."""
    rows = columns.rows["DimensionMetadata"]
    found: list[NDArray[np.int32]] = [np.empty(0, np.int32)] * len(rows)
    for tag, table in enumerate(UNIONS["SparseIndexVector"]):
        chosen = np.nonzero(rows[f"{name}_type"] == tag)[0]
        if table and len(chosen):
            vectors = columns.vector(table, "values")
            values = vectors.values.astype(np.int32)
            values.flags.writeable = False
            made = Ragged(values, vectors.starts, vectors.lengths)
            sources = columns.index(table, rows[name][chosen]).tolist()
            cut = {source: made[source] for source in set(sources)}
            for row, source in zip(chosen.tolist(), sources, strict=True):
                found[row] = cut[source]
    return found


class _Range(NamedTuple):
    """What an index vector spans; found once for vectors that many levels share."""

    first: int
    last: int
    low: int
    high: int
    ordered: bool

    @classmethod
    def of(cls, vector: NDArray[np.int32], known: dict[int, _Range]) -> _Range:
        if id(vector) not in known:
            ends = (int(vector[0]), int(vector[-1])) if len(vector) else (0, 0)
            low, high = int(vector.min(initial=0)), int(vector.max(initial=0))
            known[id(vector)] = cls(*ends, low, high, bool((vector[1:] >= vector[:-1]).all()))
        return known[id(vector)]


def _problem(sparsity: Sparsity, shape: tuple[int, ...], ranges: dict[int, _Range]) -> str | None:
    """What is wrong with a sparsity, None if all its levels agree with the shape and with each other."""
    rank, blocks = len(shape), len(sparsity.block_map)
    order = sparsity.traversal_order
    if len(order) != rank + blocks or len(sparsity.dimensions) != rank + blocks:
        return f"{rank} dimensions and {blocks} blocks need as many levels, not {len(sparsity.dimensions)}."
    if sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, rank + blocks)):
        return f"traversal order {order} does not name every dimension and block once."
    if len(set(sparsity.block_map)) != blocks or not set(sparsity.block_map) <= set(range(rank)):
        return f"block map {sparsity.block_map} does not name dimensions of the tensor."
    sizes = list(shape)
    for level, dimension in enumerate(order[rank:], rank):
        block, axis = sparsity.dimensions[level], sparsity.block_map[dimension - rank]
        if block["format"] != DENSE or block["dense_size"] <= 0 or sizes[axis] % block["dense_size"]:
            return f"blocks of {block['dense_size']} do not divide dimension {axis} of shape {shape}."
        sizes[axis] //= block["dense_size"]
    return _level_problem(sparsity, sizes, ranges)


def _level_problem(sparsity: Sparsity, sizes: list[int], ranges: dict[int, _Range]) -> str | None:
    count = 1
    for dimension, level in zip(sparsity.traversal_order[: len(sizes)], sparsity.dimensions, strict=False):
        size = sizes[dimension]
        if level["format"] == DENSE:
            if level["dense_size"] != size:
                return f"dimension {dimension} has {size} elements, its metadata says {level['dense_size']}."
            count *= size
            continue
        segments, indices = (_Range.of(level[name], ranges) for name in ("array_segments", "array_indices"))
        stored = len(level["array_indices"])
        whole = len(level["array_segments"]) == count + 1 and segments.first == 0 and segments.last == stored
        if not (whole and segments.ordered):
            return f"the segments of dimension {dimension} do not divide its {stored} indices."
        if indices.low < 0 or indices.high >= max(size, 1):
            return f"indices of dimension {dimension} are out of range."
        count = stored
    return None
