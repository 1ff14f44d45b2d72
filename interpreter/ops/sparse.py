"""Operators that spread stored values over a dense tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, Sparsity, TensorSpec
from .base import FLOAT, HALF, INDEX, INT8, INT32, INT64, UINT8, Op, op
from .host import dimensions, integers, known, require_indices, require_rank, shape_of

Shape = tuple[int, ...]

_VALUES = FLOAT | INT32 | INT64 | INT8 | UINT8


@op("DENSIFY", FLOAT | HALF | INT8 | INT32)
class Densify(Op):
    """A sparse constant as a dense tensor. The operand is the vector of its stored values."""

    sparse: ClassVar[frozenset[int]] = frozenset({0})

    def infer(self, values: TensorSpec) -> TensorSpec:
        return TensorSpec(values.type, values.shape)

    def refuses(self, values: TensorSpec) -> str | None:
        if values.sparsity is None or values.value is None:
            return "operator DENSIFY is only supported for a sparse constant."
        return None

    def run(self, xp: Any, values: Array) -> Array:
        assert self.ins[0] is not None
        return spread(xp, values, self.ins[0])


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


@op("SPARSE_TO_DENSE", INDEX, INDEX, _VALUES, _VALUES, versions=3)
class SparseToDense(Op):
    """`default_value` everywhere in `output_shape` but at the `indices`, where the `values` are.

    Indices are a scalar, a vector, or a matrix with one tuple in each row; values are one for all or one for each.
    """

    validate_indices: bool = False

    def infer(
        self, indices: TensorSpec, output_shape: TensorSpec, values: TensorSpec, default_value: TensorSpec
    ) -> TensorSpec:
        require_rank(indices, (0, 1, 2), "SPARSE_TO_DENSE: indices")
        require_rank(output_shape, (1,), "SPARSE_TO_DENSE: output_shape")
        require_rank(values, (0, 1), "SPARSE_TO_DENSE: values")
        depth = shape_of(indices)[1] if indices.rank == 2 else 1
        count = shape_of(indices)[0] if indices.rank else 1
        if not depth or shape_of(output_shape) != (depth,) or (values.rank and shape_of(values) != (count,)):
            raise KernelError(f"SPARSE_TO_DENSE got {indices}, {output_shape} and {values}, which do not fit.")
        if default_value.type != values.type or default_value.size != 1:
            raise KernelError(f"SPARSE_TO_DENSE: default_value is {default_value}, expected one {values.type.name}.")
        if output_shape.value is None:
            return TensorSpec(values.type, None)
        return TensorSpec(values.type, dimensions(integers(output_shape.value), "SPARSE_TO_DENSE: output_shape"))

    def run(self, xp: Any, indices: Array, output_shape: Array, values: Array, default_value: Array) -> Array:
        shape = dimensions(integers(known(self.ins[1], output_shape)), "SPARSE_TO_DENSE: output_shape")
        tuples = indices.reshape(-1, len(shape))
        for i, size in enumerate(shape):
            require_indices(xp, None, tuples[:, i], size, f"SPARSE_TO_DENSE: index {i} out of bounds")
        result = xp.empty(shape, dtype=values.dtype)
        result[...] = default_value.reshape(())
        result[tuple(tuples[:, i] for i in range(len(shape)))] = values
        return result
