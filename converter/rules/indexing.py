"""Picking elements by index, and finding the indices of elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .steps import counted, dims_of, move, number, reshape, size_along, vector
from .types import BOOL, I32, I64, INDEX, STRING


def require_index(op: Lowering, index: int) -> None:
    """Give the node up unless an input is of int32 or int64."""
    op.require(op.type(index) in INDEX, f"no builtin operator has {op.type(index).name.lower()} indices")


@lowers("GatherV2", "Gather")
def gather(op: Lowering) -> DraftTensor:
    require_index(op, 1)
    vector = op.type(0) is not STRING or len(op.dims(0)) == len(op.dims(1)) == 1
    op.require(vector, "strings are gathered from vectors only")
    axis = int(op.const(2, "the axis")) if len(op) > 2 else 0
    batch_dims = op.attr("batch_dims", 0)
    return op.emit("GATHER", op.input(0), op.input(1), axis=axis, batch_dims=batch_dims, version=5 if batch_dims else 1)


@lowers("GatherNd")
def gather_nd(op: Lowering) -> DraftTensor:
    require_index(op, 1)
    return op.emit("GATHER_ND", op.input(0), op.input(1))


@lowers("OneHot")
def one_hot(op: Lowering) -> DraftTensor:
    require_index(op, 0)
    return op.emit("ONE_HOT", op.input(0), op.int32(1), op.input(2), op.input(3), axis=op.attr("axis", -1))


@lowers("TopKV2")
def top_k(op: Lowering) -> Sequence[DraftTensor]:
    """The builtin operator gives positions as int32."""
    values, places = op.results()
    found = op.tensor(I32, places.dims, "/places")
    op.emit_many("TOPK_V2", [op.input(0), op.int32(1)], [values, found])
    return [values, op.cast(found, places.type)]


@lowers("Where")
def where(op: Lowering) -> DraftTensor:
    return op.emit("WHERE", op.input(0))


@lowers("Unique", "UniqueWithCounts")
def unique(op: Lowering) -> Sequence[DraftTensor]:
    """With counts: as many ones as each element occurs, summed."""
    values, places, *counts = op.results()
    kind = places.type
    op.emit_many("UNIQUE", [op.input(0)], [values, places], idx_out_type=kind)
    if not counts:
        return [values, places]
    sizes = op.tensor(I32, counts[0].dims, "/sizes")
    ones = move(op, "FILL", move(op, "SHAPE", places, dims=(1,), type=I32, out_type=I32), number(1, I32),
                dims=places.dims, type=I32)  # fmt: skip
    count = size_along(op, values, 0)
    op.emit("UNSORTED_SEGMENT_SUM", ones, op.cast(places, I32), count, out=sizes)
    return [values, places, op.cast(sizes, kind)]


@lowers("Bucketize")
def bucketize(op: Lowering) -> DraftTensor:
    return op.emit("BUCKETIZE", op.input(0), boundaries=tuple(op.attr("boundaries", ())))


@lowers("LowerBound", "UpperBound")
def bound(op: Lowering) -> DraftTensor:
    """How many of the sorted numbers [b, n] are less, or no greater, than each value [b, m]."""
    numbers, values = op.inputs
    (batch, size), (_, count) = op.dims(0), op.dims(1)
    row = move(op, "EXPAND_DIMS", numbers, number(1, I32), dims=(batch, 1, size))
    column = move(op, "EXPAND_DIMS", values, number(2, I32), dims=(batch, count, 1))
    name = {"LowerBound": "LESS", "UpperBound": "LESS_EQUAL"}[op.node.op]
    before = move(op, name, row, column, dims=(batch, count, size), type=BOOL)
    return op.emit("SUM", op.cast(before, op.output_type()), vector([2]), keep_dims=False)


@lowers("InvertPermutation")
def invert_permutation(op: Lowering) -> DraftTensor:
    """0, 1, ... put where the permutation says."""
    x, dims = op.int32(0), op.dims(0)
    size = size_along(op, x, 0)
    shape = size.reshape(1) if isinstance(size, np.ndarray) else reshape(op, size, (1,))
    places = reshape(op, x, (*dims, 1))
    found = move(op, "SCATTER_ND", places, counted(op, size), shape, dims=dims, type=I32)
    return op.cast(found, op.output_type())


@lowers("DynamicPartition")
def dynamic_partition(op: Lowering) -> list[DraftTensor]:
    """For each partition, the elements that are in it."""
    x, parts = op.inputs
    rank = len(op.dims(1))
    results = op.results()
    for i, out in enumerate(results):
        inside = move(op, "EQUAL", parts, number(i, parts.type), dims=parts.dims, type=BOOL)
        op.emit("GATHER_ND", x, move(op, "WHERE", inside, dims=(None, rank), type=I64), out=out)
    return results


@lowers("ListDiff")
def list_diff(op: Lowering) -> list[DraftTensor]:
    """Elements of a vector that are not in another, and where they are."""
    x, y = op.inputs
    (n,), (m,) = op.dims(0), op.dims(1)
    column = move(op, "EXPAND_DIMS", x, number(1, I32), dims=(n, 1))
    same = move(op, "EQUAL", column, y, dims=(n, m), type=BOOL)
    inside = move(op, "REDUCE_ANY", same, vector([1]), dims=(n,), keep_dims=False)
    outside = move(op, "LOGICAL_NOT", inside, dims=(n,))
    places = reshape(op, move(op, "WHERE", outside, dims=(None, 1), type=I64), (None,))
    values, _ = op.results()
    return [op.emit("GATHER", x, places, out=values, axis=0, batch_dims=0), op.cast(places, op.output_type(1))]


@lowers("UnravelIndex")
def unravel_index(op: Lowering) -> DraftTensor:
    """Each index along each of the dimensions, stacked."""
    sizes = op.const(1, "the shape").reshape(-1)
    x = op.input(0)
    rows = []
    for i, size in enumerate(sizes):
        stride = int(np.prod(sizes[i + 1 :]))
        row = x if stride == 1 else move(op, "FLOOR_DIV", x, number(stride, x.type), dims=x.dims)
        rows.append(move(op, "FLOOR_MOD", row, number(int(size), x.type), dims=x.dims) if i else row)
    return op.emit("PACK", *rows, values_count=len(rows), axis=0)


@lowers("Roll")
def roll(op: Lowering) -> DraftTensor:
    """Along each axis, the elements at places that are `shift` before each place."""
    x, dims = op.input(0), op.dims(0)
    op.require(x.type is not STRING, "strings are gathered from vectors only")
    axes = np.atleast_1d(op.const(2, "the axes"))
    shifts = op.known(1)
    op.require(shifts is not None or op.node.inputs[1].dims == (), "several shifts are not constant")
    op.require(shifts is None or bool(np.all(abs(shifts) <= np.iinfo(np.int32).max)), "a shift is past 32 bits")
    for i, axis in enumerate(int(a) % len(dims) for a in axes):
        size = size_along(op, x, axis)
        if isinstance(size, np.ndarray) and shifts is not None:
            places = op.constant(
                np.roll(np.arange(size.item(), dtype=np.int32), int(np.atleast_1d(shifts)[i])), "/places"
            )
        else:
            shift = op.int32(1) if shifts is None else number(int(np.atleast_1d(shifts)[i]), I32)
            moved = move(op, "SUB", counted(op, size), shift, dims=(dims[axis],))
            places = move(op, "FLOOR_MOD", moved, size, dims=(dims[axis],))
        x = move(op, "GATHER", x, places, dims=dims, axis=axis, batch_dims=0)
    return x


@lowers("Cross")
def cross(op: Lowering) -> DraftTensor:
    """a[1, 2, 0] * b[2, 0, 1] - a[2, 0, 1] * b[1, 2, 0]."""
    dims = op.output().dims

    def turned(x: DraftTensor, order: Sequence[int]) -> DraftTensor:
        return move(op, "GATHER", x, vector(order), dims=dims, axis=len(dims_of(x)) - 1, batch_dims=0)

    a, b = op.inputs
    on, back = (1, 2, 0), (2, 0, 1)
    plus, minus = (move(op, "MUL", turned(a, p), turned(b, q), dims=dims) for p, q in ((on, back), (back, on)))
    return op.emit("SUB", plus, minus)
