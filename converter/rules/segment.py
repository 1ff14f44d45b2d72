"""Slices that belong together, combined: segments, and counts."""

from __future__ import annotations

from ..draft import DraftTensor
from ..lower import Lowering, Operand, lowers
from .steps import move, number, reshape, slice_of, step, vector
from .types import BOOL, F32, I32

UNSORTED = {
    "UnsortedSegmentMax": "UNSORTED_SEGMENT_MAX",
    "UnsortedSegmentMin": "UNSORTED_SEGMENT_MIN",
    "UnsortedSegmentProd": "UNSORTED_SEGMENT_PROD",
    "UnsortedSegmentSum": "UNSORTED_SEGMENT_SUM",
}


@lowers(*UNSORTED)
def unsorted_segment(op: Lowering) -> DraftTensor:
    plain = not op.is_widened or not op.node.op.endswith(("Max", "Min"))
    op.require(plain, "what stands for no element is another number in each type")
    op.require(len(op.dims(1)) == 1, "segments of more than one dimension have no builtin operator")
    return op.emit(UNSORTED[op.node.op], op.input(0), op.int32(1), op.int32(2))


@lowers("SegmentSum", "SegmentProd")
def segment_sum(op: Lowering) -> DraftTensor:
    """As of unsorted segments, which may also have gaps between them."""
    return op.emit(f"UNSORTED_SEGMENT_{op.node.op[7:].upper()}", op.input(0), op.int32(1), _count(op))


@lowers("SegmentMax", "SegmentMin", "SegmentMean")
def segment_extreme(op: Lowering) -> DraftTensor:
    """Segments that are missing give 0."""
    x, count = op.input(0), _count(op)
    ones = move(op, "FILL", move(op, "SHAPE", op.int32(1), dims=(1,), type=I32, out_type=I32), number(1, x.type),
                dims=op.dims(1), type=x.type)  # fmt: skip
    sizes = move(op, "UNSORTED_SEGMENT_SUM", ones, op.int32(1), count, dims=(None,))
    column = reshape(op, sizes, (None, *(1,) * (len(op.dims(0)) - 1)))
    if op.node.op == "SegmentMean":
        op.require(x.type is F32, "means of integers have no builtin form")
        total = step(op, "UNSORTED_SEGMENT_SUM", x, op.int32(1), count)
        return op.emit("DIV", total, move(op, "MAXIMUM", column, number(1), dims=column.dims))
    extreme = step(op, f"UNSORTED_SEGMENT_{op.node.op[7:].upper()}", x, op.int32(1), count)
    found = move(op, "GREATER", column, number(0, x.type), dims=column.dims, type=BOOL)
    return op.emit("SELECT_V2", found, extreme, number(0, x.type))


def _count(op: Lowering) -> DraftTensor:
    """One more than the last segment."""
    last = move(op, "REDUCE_MAX", op.int32(1), vector([0]), dims=(), keep_dims=False)
    return move(op, "ADD", move(op, "MAXIMUM", last, number(-1, I32), dims=()), number(1, I32), dims=())


@lowers("DenseBincount")
def bincount(op: Lowering) -> DraftTensor:
    """Weights, or ones, of equal numbers summed; numbers past the last bin go into one more, which is cut off."""
    op.require(len(op.dims(0)) == 1, "counts by rows have no builtin form")
    op.require(not op.attr("binary_output", False), "binary counts have no builtin form")
    x, size = op.int32(0), op.int32(1)
    kind = op.output_type()
    inside = F32 if kind is F32 else I32
    if op.node.inputs[2].static == (0,):
        shape = move(op, "SHAPE", x, dims=(1,), type=I32, out_type=I32)
        weights = move(op, "FILL", shape, number(1, inside), dims=x.dims, type=inside)
    else:
        op.require(kind is inside and op.dims(2) == op.dims(0), f"sums of {kind.name.lower()} have no builtin form")
        weights = op.input(2)
    known = op.known(1)
    bins: Operand = move(op, "ADD", size, number(1, I32), dims=()) if known is None else number(int(known) + 1, I32)
    places = move(op, "MINIMUM", x, size, dims=x.dims)
    counts = None if known is None else int(known) + 1
    sums = move(op, "UNSORTED_SEGMENT_SUM", weights, places, bins, dims=(counts,))
    return op.cast(slice_of(op, sums, 0, 0, -1), kind)
