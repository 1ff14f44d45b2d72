"""STABLEHLO_GATHER, and where gather and scatter find elements."""

from __future__ import annotations

from typing import Any

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import INDEX, Op, op
from ..shared.host import VALUES, shape_of
from .geometry import check_dimensions


def index_vectors(indices: Array, index_vector_dim: int) -> Array:
    """`indices` with the dimension of the parts of one index last; where that is left out, an index has one part."""
    if index_vector_dim == indices.ndim:
        return indices[..., None]
    order = [axis for axis in range(indices.ndim) if axis != index_vector_dim]
    return indices.transpose(*order, index_vector_dim)


def index_shape(name: str, indices: TensorSpec, index_vector_dim: int, parts: int) -> tuple[int, ...]:
    """The dimensions that count indices. Raises KernelError unless each index has so many parts."""
    shape = shape_of(indices)
    if not 0 <= index_vector_dim <= len(shape):
        raise KernelError(f"{name} got index_vector_dim {index_vector_dim}, expected 0 to {len(shape)}.")
    length = 1 if index_vector_dim == len(shape) else shape[index_vector_dim]
    if length != parts:
        raise KernelError(f"{name} got indices {indices} of {length} parts, expected {parts}.")
    return tuple(n for axis, n in enumerate(shape) if axis != index_vector_dim)


@op("STABLEHLO_GATHER", VALUES, INDEX)
class StablehloGather(Op):
    """Slices of `operand` at `start_indices`, moved to where they fit in (reference: stablehlo_gather.cc).

    Part i of an index counts along dimension start_index_map[i]. The slices, without their collapsed_slice_dims, are
    the dimensions offset_dims of the result; the others count indices.
    """

    offset_dims: tuple[int, ...] = ()
    collapsed_slice_dims: tuple[int, ...] = ()
    start_index_map: tuple[int, ...] = ()
    index_vector_dim: int = 0
    slice_sizes: tuple[int, ...] = ()
    indices_are_sorted: bool = False

    def infer(self, operand: TensorSpec, start_indices: TensorSpec) -> TensorSpec:
        rank, shape = operand.rank, shape_of(operand)
        check_dimensions(self.name, "collapsed_slice_dims", self.collapsed_slice_dims, rank)
        check_dimensions(self.name, "start_index_map", self.start_index_map, rank)
        counts = index_shape(self.name, start_indices, self.index_vector_dim, len(self.start_index_map))
        sizes = self.slice_sizes
        if len(sizes) != rank or any(not 0 <= size <= n for size, n in zip(sizes, shape, strict=True)):
            raise KernelError(f"{self.name} got slice_sizes {list(sizes)} for {operand}.")
        if any(sizes[axis] > 1 for axis in self.collapsed_slice_dims):
            raise KernelError(f"{self.name} collapses dimensions {list(self.collapsed_slice_dims)} of {list(sizes)}.")
        kept = self._kept(rank)
        check_dimensions(self.name, "offset_dims", self.offset_dims, len(counts) + len(kept))
        if len(self.offset_dims) != len(kept):
            raise KernelError(f"{self.name} got offset_dims {list(self.offset_dims)} for slices of {len(kept)}.")
        dims = dict(zip(sorted(self.offset_dims), (sizes[axis] for axis in kept), strict=True))
        others = iter(counts)
        result = (dims[axis] if axis in dims else next(others) for axis in range(len(counts) + len(kept)))
        return TensorSpec(operand.type, tuple(result))

    def run(self, xp: Any, operand: Array, start_indices: Array) -> Array:
        kept = self._kept(operand.ndim)
        starts = index_vectors(start_indices, self.index_vector_dim)
        counts, rank = starts.ndim - 1, starts.ndim - 1 + len(kept)
        places = []
        for axis, (n, size) in enumerate(zip(operand.shape, self.slice_sizes, strict=True)):
            place: Any = 0
            if axis in self.start_index_map:
                part = starts[..., self.start_index_map.index(axis)]
                place = xp.clip(part, 0, n - size).reshape((*part.shape, *(1,) * len(kept)))
            if axis in kept:
                dimension = counts + kept.index(axis)
                place = place + xp.arange(size).reshape(-1, *(1,) * (rank - 1 - dimension))
            places.append(place)
        shape = (*starts.shape[:-1], *(self.slice_sizes[axis] for axis in kept))
        picked = operand[tuple(places)]
        if picked.shape != shape:  # there are no indices, or no parts of them
            picked = xp.broadcast_to(picked, shape)
        order, others = iter(range(counts, rank)), iter(range(counts))
        return picked.transpose(*(next(order) if axis in self.offset_dims else next(others) for axis in range(rank)))

    def _kept(self, rank: int) -> tuple[int, ...]:
        return tuple(axis for axis in range(rank) if axis not in self.collapsed_slice_dims)
