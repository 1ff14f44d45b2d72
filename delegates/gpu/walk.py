"""Nodes whose results are elements of one operand at regular distances: which ones, in terms of strides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...interpreter.graph import Shape
from ...interpreter.ops.base import OPS, Op
from ...interpreter.ops.shared.host import normalize_axis
from ...interpreter.runtime.delegate import BoundNode

Dims: TypeAlias = Sequence[tuple[int, int]]
"""Size and stride of dimensions, outermost first."""


class Walk(NamedTuple):
    """Result element (c0, c1, ...) is the operand's at start + c0 * stride0 + c1 * stride1 + ..., in elements."""

    dims: Dims
    start: int = 0
    position: int = 0  # of the operand

    @property
    def merged(self) -> Walk:
        """The same in as few dimensions as it takes."""
        kept: list[tuple[int, int]] = []
        for size, stride in self.dims:
            if size == 1:
                continue
            if kept and kept[-1][1] == size * stride:
                kept[-1] = kept[-1][0] * size, stride
            else:
                kept.append((size, stride))
        return self._replace(dims=kept)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie side by side, in order."""
        dims = self.merged.dims
        return not dims or (len(dims) == 1 and dims[0][1] == 1)


def dense(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Dimensions of a dense tensor."""
    return [(size, prod(shape[i + 1 :])) for i, size in enumerate(shape)]


Walks: TypeAlias = "Callable[[BoundNode], list[Walk] | None]"
"""One walk for each result; None where the node can't be seen so."""

WALKS: dict[type[Op], Walks] = {}


def walks_of(bound: BoundNode) -> list[Walk] | None:
    """How each result of a node walks over one operand; None if the node is of another kind or its shapes are open."""
    find = WALKS.get(type(bound.op))
    if find is None or any(s.shape is None for s in (*bound.ins, *bound.outs) if s is not None):
        return None
    return find(bound)


def walks(*names: str) -> Callable[[Walks], Walks]:
    def register(find: Walks) -> Walks:
        WALKS.update({OPS[name]: find for name in names})
        return find

    return register


def shape_at(bound: BoundNode, position: int = 0) -> Shape:
    spec = bound.ins[position]
    assert spec is not None
    assert spec.shape is not None
    return spec.shape


def values_at(bound: BoundNode, position: int) -> list[int] | None:
    """The elements of an index-like operand; None if they are known in the call only."""
    spec = bound.ins[position]
    return None if spec is None or spec.value is None else np.asarray(spec.value).ravel().tolist()


@walks("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "STABLEHLO_RESHAPE")
def _whole(bound: BoundNode) -> list[Walk]:
    return [Walk(dense(shape_at(bound)))]


@walks("TRANSPOSE", "STABLEHLO_TRANSPOSE")
def _transpose(bound: BoundNode) -> list[Walk] | None:
    op: Any = bound.op
    perm = list(op.permutation) if op.name == "STABLEHLO_TRANSPOSE" else values_at(bound, 1)
    dims = dense(shape_at(bound))
    return None if perm is None else [Walk([dims[axis] for axis in perm])]


@walks("SLICE")
def _slice(bound: BoundNode) -> list[Walk] | None:
    begin, dims = values_at(bound, 1), dense(shape_at(bound))
    if begin is None:
        return None
    start = sum(b * stride for b, (_, stride) in zip(begin, dims, strict=True))
    return [Walk([(n, stride) for n, (_, stride) in zip(bound.outs[0].shape or (), dims, strict=True)], start)]


@walks("STABLEHLO_SLICE")
def _stablehlo_slice(bound: BoundNode) -> list[Walk]:
    op: Any = bound.op
    dims, sizes = dense(shape_at(bound)), bound.outs[0].shape or ()
    start = sum(begin * stride for begin, (_, stride) in zip(op.start_indices, dims, strict=True))
    steps = (step * stride for step, (_, stride) in zip(op.strides, dims, strict=True))
    return [Walk([*zip(sizes, steps, strict=True)], start)]


@walks("STABLEHLO_BROADCAST_IN_DIM")
def _broadcast(bound: BoundNode) -> list[Walk]:
    op: Any = bound.op
    whole = [(size, 0) for size in bound.outs[0].shape or ()]
    for target, (size, stride) in zip(op.broadcast_dimensions, dense(shape_at(bound)), strict=True):
        whole[target] = whole[target][0], 0 if size == 1 else stride
    return [Walk(whole)]


@walks("STRIDED_SLICE")
def _strided_slice(bound: BoundNode) -> list[Walk] | None:
    op: Any = bound.op
    shape = shape_at(bound)
    limits = [values_at(bound, position) for position in (1, 2, 3)]
    if any(limit is None for limit in limits):
        return None
    rest = iter(dense(shape))
    kept: list[tuple[int, int]] = []
    start = 0
    for entry in op.entries(shape, *limits):
        if entry is None:
            continue
        size, stride = next(rest)
        if isinstance(entry, slice):
            taken = range(*entry.indices(size))
            start += (taken[0] if len(taken) else 0) * stride
            kept.append((len(taken), taken.step * stride))
        else:
            start += entry * stride
    return [Walk([*kept, *rest], start)]


@walks("REVERSE_V2")
def _reverse(bound: BoundNode) -> list[Walk] | None:
    axes, dims = values_at(bound, 1), dense(shape_at(bound))
    if axes is None:
        return None
    turned = {axis % len(dims) for axis in axes}
    start = sum((size - 1) * stride for i, (size, stride) in enumerate(dims) if i in turned)
    return [Walk([(size, -stride if i in turned else stride) for i, (size, stride) in enumerate(dims)], start)]


@walks("TILE")
def _tile(bound: BoundNode) -> list[Walk] | None:
    counts = values_at(bound, 1)
    if counts is None:
        return None
    pairs = zip(counts, dense(shape_at(bound)), strict=True)
    return [Walk([dim for count, size in pairs for dim in ((count, 0), size)])]


@walks("SPLIT")
def _split(bound: BoundNode) -> list[Walk] | None:
    return _parts(bound, 1, values_at(bound, 0))


@walks("SPLIT_V")
def _split_v(bound: BoundNode) -> list[Walk] | None:
    return _parts(bound, 0, values_at(bound, 2))


def _parts(bound: BoundNode, position: int, axes: list[int] | None) -> list[Walk] | None:
    if axes is None:
        return None
    shape = shape_at(bound, position)
    axis = normalize_axis(axes[0], len(shape))
    dims = dense(shape)
    sizes = [(out.shape or ())[axis] for out in bound.outs]
    begins = accumulate(sizes, initial=0)
    return [
        Walk([*dims[:axis], (size, dims[axis][1]), *dims[axis + 1 :]], begin * dims[axis][1], position)
        for size, begin in zip(sizes, begins, strict=False)
    ]


@walks("UNPACK")
def _unpack(bound: BoundNode) -> list[Walk]:
    op: Any = bound.op
    dims = dense(shape_at(bound))
    axis = normalize_axis(op.axis, len(dims))
    return [Walk([*dims[:axis], *dims[axis + 1 :]], i * dims[axis][1]) for i in range(len(bound.outs))]


@walks("SPACE_TO_DEPTH")
def _space_to_depth(bound: BoundNode) -> list[Walk]:
    op: Any = bound.op
    n, height, width, channels = shape_at(bound)
    block = op.block_size
    dims = dense((n, height // block, block, width // block, block, channels))
    return [Walk([dims[i] for i in (0, 1, 3, 2, 4, 5)])]


@walks("DEPTH_TO_SPACE")
def _depth_to_space(bound: BoundNode) -> list[Walk]:
    op: Any = bound.op
    n, height, width, depth = shape_at(bound)
    block = op.block_size
    dims = dense((n, height, width, block, block, depth // (block * block)))
    return [Walk([dims[i] for i in (0, 1, 3, 2, 4, 5)])]


def blocked(shape: Sequence[int], blocks: Sequence[int], *, to_batch: bool) -> Walk:
    """SPACE_TO_BATCH_ND (`to_batch`) or BATCH_TO_SPACE_ND of `shape` without a border."""
    m = len(blocks)
    batch, spatial, rest = shape[0], shape[1 : m + 1], shape[m + 1 :]
    if to_batch:
        pairs = [n for size, block in zip(spatial, blocks, strict=True) for n in (size // block, block)]
        dims = dense((batch, *pairs, *rest))
        order: Iterable[int] = (*range(2, 2 * m + 1, 2), 0, *range(1, 2 * m, 2), *range(2 * m + 1, len(dims)))
    else:
        dims = dense((*blocks, batch // prod(blocks), *spatial, *rest))
        pairs = [axis for i in range(m) for axis in (m + 1 + i, i)]
        order = (m, *pairs, *range(2 * m + 1, len(dims)))
    return Walk([dims[axis] for axis in order])
