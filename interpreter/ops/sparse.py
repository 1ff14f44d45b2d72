"""Operators that spread stored values over a dense tensor."""

from __future__ import annotations

from typing import Any, ClassVar

from ..errors import KernelError
from ..graph import Array, TensorSpec
from .base import FLOAT, HALF, INDEX, INT8, INT32, INT64, UINT8, Op, op
from .shared.host import dimensions, integers, known, require_indices, require_rank, shape_of
from .shared.sparsity import spread

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
