"""Putting elements where indices say."""

from __future__ import annotations

import numpy as np

from ..draft import DraftGraph, DraftNode, DraftTensor
from ..lower import Lowering, NotBuiltin, lowers
from ..tfgraph import TfValue
from .indexing import require_index
from .steps import concat, dims_of, move, reshape, shape_of, vector
from .types import I32, INDEX


@lowers("ScatterNd")
def scatter_nd(op: Lowering) -> DraftTensor:
    require_index(op, 0)
    return op.emit("SCATTER_ND", op.int32(0), op.input(1), op.int32(2))


@lowers("SparseToDense")
def sparse_to_dense(op: Lowering) -> DraftTensor:
    indices, shape = (op.int32(i) for i in (0, 1))
    return op.emit("SPARSE_TO_DENSE", indices, shape, op.input(2), op.input(3),
                   validate_indices=bool(op.attr("validate_indices", True)))  # fmt: skip


@lowers("TensorScatterAdd", "TensorScatterSub")
def tensor_scatter_add(op: Lowering) -> DraftTensor:
    """The tensor plus, or minus, the sums of its updates."""
    require_index(op, 1)
    x, updates = op.input(0), op.input(2)
    sums = move(op, "SCATTER_ND", op.int32(1), updates, shape_of(op, x), dims=x.dims, type=x.type)
    return op.emit("ADD" if op.node.op == "TensorScatterAdd" else "SUB", x, sums)


@lowers("TensorScatterUpdate")
def tensor_scatter_update(op: Lowering) -> DraftTensor:
    """One index is a slice that is replaced, as when an element of a list or a row of a cache is written."""
    require_index(op, 1)
    count = op.dims(1)
    if len(count) in (1, 2) and count[:-1] in ((), (1,)) and count[-1] is not None:
        return _replace_slice(op, count[-1])
    return _scatter(op, "")


def _replace_slice(op: Lowering, depth: int) -> DraftTensor:
    x, update = op.input(0), op.input(2)
    inner = dims_of(x)[depth:]
    start = _start(op, depth, len(inner))
    box: tuple[int | None, ...] = (1,) * depth + inner
    if len(dims_of(update)) != len(box) and box.count(None) <= 1:
        update = reshape(op, update, box)
    elif len(dims_of(update)) != len(box):
        shape = move(op, "SHAPE", update, dims=(update.rank,), type=I32, out_type=I32)
        kept = [op.constant(vector([1] * depth), "/ones"), _last(op, shape, len(inner))]
        update = move(op, "RESHAPE", update, concat(op, kept, 0), dims=box, new_shape=())
    return op.emit("DYNAMIC_UPDATE_SLICE", x, update, start)


def _start(op: Lowering, depth: int, inner: int) -> DraftTensor:
    """The one index of a node, with zeros for the dimensions that it does not count along."""
    known = op.known(1)
    if known is not None:
        return op.constant(np.append(known.reshape(-1), [0] * inner).astype(np.int32), "/start")
    if depth > 1:
        index = reshape(op, op.int32(1), (depth,))
        return concat(op, [index, op.constant(np.zeros(inner, np.int32), "/zeros")], 0) if inner else index
    scalar = _scalar(op.node.inputs[1])
    position = reshape(op, op.int32(1), ()) if scalar is None else op.cast(op.graph.tensor(scalar), I32)
    zeros = [np.zeros((), np.int32)] * inner
    return move(op, "PACK", position, *zeros, dims=(1 + inner,), values_count=1 + inner, axis=0)


def _scalar(value: TfValue) -> TfValue | None:
    """The scalar that a tensor of one element is made of, if it is made of one."""
    while value.dims != () and value.node.op in ("ExpandDims", "Pack", "Reshape"):
        value = value.node.inputs[0]
    return value if value.dims == () else None


def _last(op: Lowering, shape: DraftTensor, count: int) -> DraftTensor:
    rank = dims_of(shape)[0] or 0
    return move(op, "SLICE", shape, vector([rank - count]), vector([count]), dims=(count,))


ROLES = ("old", "new", "both")


@lowers("TensorScatterMax", "TensorScatterMin")
def tensor_scatter_extreme(op: Lowering) -> DraftTensor:
    require_index(op, 1)
    return _scatter(op, "STABLEHLO_MAXIMUM" if op.node.op == "TensorScatterMax" else "STABLEHLO_MINIMUM")


def _scatter(op: Lowering, combine: str) -> DraftTensor:
    """Updates combined, one by one, with what is there: by an operator, or, without one, replacing it."""
    x, indices, updates = op.input(0), op.input(1), op.input(2)
    depth = op.dims(1)[-1]
    if depth is None:
        raise NotBuiltin("the length of an index is not known")
    inner, batch = len(dims_of(x)) - depth, len(op.dims(1)) - 1
    a, b, c = (DraftTensor(f"{op.graph.draft.name}/{op.node.name}/{name}", x.type, ()) for name in ROLES)
    body = DraftGraph(f"{op.graph.draft.name}/{op.node.name}/update", inputs=[a, b], outputs=[c if combine else b])
    body.nodes = [DraftNode(combine, [a, b], [c], origin=op.node.name)] if combine else []
    return op.emit("STABLEHLO_SCATTER", x, indices, updates, indices_are_sorted=False, unique_indices=False,
                   update_window_dims=tuple(range(batch, batch + inner)), inserted_window_dims=tuple(range(depth)),
                   scatter_dims_to_operand_dims=tuple(range(depth)), index_vector_dim=batch,
                   update_computation_subgraph_index=body)  # fmt: skip


@lowers("XlaDynamicUpdateSlice")
def dynamic_update_slice(op: Lowering) -> DraftTensor:
    """A slice replaced at a position that is moved to where it fits, as in both meanings."""
    op.require(op.type(2) in INDEX, "the position is not of int32 or int64")
    return op.emit("DYNAMIC_UPDATE_SLICE", op.input(0), op.input(1), op.int32(2))


@lowers("TensorStridedSliceUpdate")
def strided_slice_update(op: Lowering) -> DraftTensor:
    """A box, known before it runs, that is replaced."""
    dims = op.dims(0)
    begin, end, strides = (op.const(i, "the slice") for i in (1, 2, 3))
    masks = {name: op.attr(f"{name}_mask", 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    op.require(not masks["ellipsis"] and not masks["new_axis"], "a replaced slice has no ellipsis and no new axis")
    op.require(all(s == 1 for s in strides), "a replaced slice has strides of 1")
    starts, box = [], []
    for i, size in enumerate(dims):
        if i >= len(begin) or (masks["begin"] >> i & 1 and masks["end"] >> i & 1):
            starts.append(0)
            box.append(size)
            continue
        if size is None:
            raise NotBuiltin("a replaced slice of a dimension of unknown size")
        shrunk = masks["shrink_axis"] >> i & 1
        first = None if masks["begin"] >> i & 1 and not shrunk else int(begin[i])
        last = None if masks["end"] >> i & 1 else int(end[i])
        places = range(size)[first : None if shrunk else last][: 1 if shrunk else None]
        op.require(len(places) > 0, "the replaced slice is empty")
        starts.append(places[0])
        box.append(len(places))
    update = op.input(4)
    op.require(len(box) == len(dims_of(update)) or box.count(None) <= 1, "the update's shape is not known")
    update = reshape(op, update, box) if dims_of(update) != tuple(box) else update
    return op.emit("DYNAMIC_UPDATE_SLICE", op.input(0), update, vector(starts))


@lowers("DynamicStitch", "ParallelDynamicStitch")
def dynamic_stitch(op: Lowering) -> DraftTensor:
    """Rows of several tensors in the order that constant indices give; the last of several for one place counts."""
    count = len(op) // 2
    indices = [op.const(i, "where to put rows").reshape(-1) for i in range(count)]
    result = op.output().dims
    if result is None:
        raise NotBuiltin("the rank of the result is not known")
    inner = result[1:]
    parts = [reshape(op, op.input(count + i), (len(places), *inner)) for i, places in enumerate(indices)]
    whole = parts[0] if count == 1 else concat(op, parts, 0)
    order = np.full(int(max(p.max(initial=-1) for p in indices)) + 1, -1, np.int32)
    order[np.concatenate(indices)] = np.arange(sum(map(len, indices)))
    op.require(bool((order >= 0).all()), "some rows of the result are not given")
    return op.emit("GATHER", whole, order, axis=0, batch_dims=0)
