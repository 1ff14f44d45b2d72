"""STABLEHLO_SCATTER."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import INDEX, op
from ..shared.host import host, shape_of
from .bodies import Arrays, BodyOp, Function
from .elementwise import VALUE
from .gather import index_shape, index_vectors
from .geometry import check_dimensions

_ATOMIC = frozenset(np.dtype(t) for t in (np.int32, np.uint32, np.uint64, np.float32, np.float64))
"""dtypes that GPUs add to and compare with what is in memory in one step."""


@op("STABLEHLO_SCATTER", VALUE)
class StablehloScatter(BodyOp):
    """`inputs` with slices of `updates` combined into them at indices; operands are (inputs, indices, updates).

    Part i of an index counts along dimension scatter_dims_to_operand_dims[i]. The dimensions update_window_dims of the
    updates are those of the inputs without inserted_window_dims; the others count indices. Elements that would fall
    outside are left out (reference: stablehlo_scatter.cc). Several updates of one element are applied in order, save
    that on a GPU any one of several that replace it may stay.
    """

    indices_are_sorted: bool = False
    update_window_dims: tuple[int, ...] = ()
    inserted_window_dims: tuple[int, ...] = ()
    scatter_dims_to_operand_dims: tuple[int, ...] = ()
    index_vector_dim: int = 0
    unique_indices: bool = False
    update_computation_subgraph_index: int = 0

    @property
    def body_graph(self) -> int:
        return self.update_computation_subgraph_index

    @property
    def body_takes(self) -> int:
        return len(self.ins) - 1

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if len(inputs) < 3 or not len(inputs) % 2:
            return f"operator {self.name} got {len(inputs)} operands, expected inputs, indices and as many updates."
        indices = inputs[len(inputs) // 2]
        if indices.type not in INDEX:
            return f"operator {self.name} is not supported with {indices.type.name.lower()} indices."
        return None

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        count = len(inputs) // 2
        operands, indices, updates = inputs[:count], inputs[count], inputs[count + 1 :]
        shape, rank = shape_of(operands[0]), operands[0].rank
        check_dimensions(self.name, "inserted_window_dims", self.inserted_window_dims, rank)
        check_dimensions(self.name, "scatter_dims_to_operand_dims", self.scatter_dims_to_operand_dims, rank)
        check_dimensions(self.name, "update_window_dims", self.update_window_dims, updates[0].rank)
        counts = index_shape(self.name, indices, self.index_vector_dim, len(self.scatter_dims_to_operand_dims))
        dims = shape_of(updates[0])
        others = tuple(n for axis, n in enumerate(dims) if axis not in self.update_window_dims)
        if others != counts or len(self.update_window_dims) + len(self.inserted_window_dims) != rank:
            raise KernelError(f"{self.name} got updates {updates[0]} for indices {indices} into {operands[0]}.")
        for operand, update in zip(operands, updates, strict=True):
            if (operand.shape, update.shape) != (shape, dims) or operand.type != update.type:
                raise KernelError(f"{self.name} got {operand} with updates {update}, expected equal types and shapes.")
        return tuple(TensorSpec(s.type, s.shape) for s in operands)

    def run(self, xp: Any, *inputs: Array) -> Arrays:
        count = len(inputs) // 2
        operands, updates = inputs[:count], inputs[count + 1 :]
        shape = operands[0].shape
        cells, inside = self._cells(xp, shape, inputs[count], updates[0].shape)
        flat = tuple(x.reshape(-1) for x in operands)
        new = tuple(u.reshape(-1) for u in updates)
        if self._is_one_step(operands[0].dtype):
            return (_one_step(xp, self.applied.operator, flat[0], cells, inside, new[0]).reshape(shape),)
        return tuple(x.reshape(shape) for x in _in_turns(xp, self.applied, flat, cells[inside],
                                                         tuple(u[inside] for u in new)))  # fmt: skip

    def _is_one_step(self, dtype: np.dtype[Any]) -> bool:
        operator = self.applied.operator
        return operator == "replace" or (operator in ("add", "maximum", "minimum") and dtype in _ATOMIC)

    def _cells(self, xp: Any, shape: tuple[int, ...], indices: Array, dims: tuple[int, ...]) -> tuple[Array, Array]:
        """For each element of the updates, its position in the flat operands, and whether it lies inside."""
        starts = index_vectors(indices, self.index_vector_dim)
        windows = iter(self.update_window_dims)
        cells, inside = xp.zeros(dims, np.int64), xp.ones(dims, np.bool_)
        spread = tuple(1 if axis in self.update_window_dims else n for axis, n in enumerate(dims))
        for axis, n in enumerate(shape):
            place: Any = xp.zeros((), np.int64)
            if axis in self.scatter_dims_to_operand_dims:
                part = starts[..., self.scatter_dims_to_operand_dims.index(axis)]
                place = part.astype(np.int64).reshape(spread)
            if axis not in self.inserted_window_dims:
                dimension = next(windows)
                place = place + xp.arange(dims[dimension]).reshape(-1, *(1,) * (len(dims) - 1 - dimension))
            cells = cells + place * prod(shape[axis + 1 :])
            inside = inside & (place >= 0) & (place < n)
        return cells.reshape(-1), inside.reshape(-1)


def _one_step(xp: Any, operator: str | None, x: Array, cells: Array, inside: Array, updates: Array) -> Array:
    """`x` with all updates applied by the array module; one more cell, cut off again, takes what falls outside."""
    result = xp.concatenate([x, xp.zeros(1, x.dtype)])
    places = xp.where(inside, cells, x.size)
    if operator == "replace":
        result[places] = updates
    else:
        getattr(xp, operator or "").at(result, places, updates)
    return result[:-1]


def _in_turns(xp: Any, function: Function, operands: Arrays, cells: Array, updates: Arrays) -> Arrays:
    """The operands with first the first update of every cell applied, then the second of those that have one, ..."""
    results = tuple(x.copy() for x in operands)
    if not cells.size:
        return results
    order = xp.argsort(cells, kind="stable")
    ordered = cells[order]
    turn = xp.arange(ordered.size) - xp.searchsorted(ordered, ordered, side="left")
    for number in range(int(host(turn.max())) + 1):
        chosen = order[turn == number]
        places = cells[chosen]
        new = function(xp, *(x[places] for x in results), *(u[chosen] for u in updates))
        for result, values in zip(results, new, strict=True):
            result[places] = values
    return results
