"""Sparse constants (schema: SparsityParameters): where their stored values belong in the dense tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...graph import Array, Shape, Sparsity, TensorSpec
from .host import shape_of


def spread(xp: Any, values: Array, spec: TensorSpec) -> Array:
    """The dense tensor of a sparse constant: its stored values where they belong, 0 elsewhere."""
    assert spec.sparsity is not None
    result = xp.zeros(shape_of(spec), dtype=values.dtype)
    result.reshape(-1)[xp.asarray(positions(spec.sparsity, shape_of(spec)))] = values.reshape(-1)
    return result


def positions(sparsity: Sparsity, shape: Shape) -> np.ndarray:
    """Position in the dense row-major tensor of `shape` of each stored value, in the order in which they are stored.

    Levels of the tree of dimensions are expanded one by one (schema: SparsityParameters): first those of the tensor,
    counted in blocks, then those within the blocks.
    """
    coordinates = [np.zeros(1, np.int64) for _ in shape]
    parents = np.zeros(1, np.int64)
    for dimension, level in zip(sparsity.traversal_order, sparsity.dimensions, strict=True):
        origins, children, indices = _children(level, parents)
        coordinates = [c[origins] for c in coordinates]
        within_block = dimension >= len(shape)
        axis = sparsity.block_map[dimension - len(shape)] if within_block else dimension
        coordinates[axis] = coordinates[axis] * (level["dense_size"] if within_block else 1) + indices
        parents = children
    return np.ravel_multi_index(tuple(coordinates), shape).astype(np.int64)


def _children(level: Mapping[str, Any], parents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each entry of a level: where its parent stands in `parents`, its own number, its index in the dimension."""
    dense = 0
    if level["format"] == dense:
        size = level["dense_size"]
        origins = np.repeat(np.arange(len(parents)), size)
        indices = np.tile(np.arange(size), len(parents))
        return origins, parents[origins] * size + indices, indices
    segments = np.asarray(level["array_segments"], np.int64)
    counts = segments[parents + 1] - segments[parents]
    origins = np.repeat(np.arange(len(parents)), counts)
    before = np.cumsum(counts) - counts
    children = np.arange(len(origins)) - before[origins] + segments[parents][origins]
    return origins, children, np.asarray(level["array_indices"], np.int64)[children]
