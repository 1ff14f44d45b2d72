"""Operators that move, make or count elements."""

from __future__ import annotations

import numpy as np

from ..drafts import Chooser, Draft, Out, Slot, TypeOf, recipe
from ..kinds import KINDS, Range
from .common import INTEGERS, WEIGHTS, axis_of, index, moved, shape, unary


@recipe("RESHAPE")
def reshape(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    new = [-1] if c.pick((True, False)) else [int(np.prod(dims)), 1]
    return Draft([Slot("x", dims), index("shape", new)], [Out("x")], {"new_shape": new})


@recipe("SQUEEZE")
def squeeze(c: Chooser, operator: str) -> Draft:
    return Draft(*moved((1, *shape(c), 1)), {"squeeze_dims": c.pick(([0], [], [-1]))})


@recipe("EXPAND_DIMS")
def expand_dims(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    return Draft([Slot("x", dims), index("axis", axis_of(c, len(dims)))], [Out("x")])


@recipe("SHAPE", "RANK")
def describe(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c), kinds=INTEGERS), {"out_type": TypeOf("y")} if operator == "SHAPE" else {})


@recipe("TRANSPOSE")
def transpose(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 1, 5)
    return Draft([Slot("x", dims), index("perm", np.arange(len(dims))[::-1])], [Out("x")])


@recipe("CONCATENATION")
def concatenation(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 1, 5)
    axis = axis_of(c, len(dims))
    other = list(dims)
    other[axis] = c.integer(1, 4)
    inputs = [Slot("x", dims), Slot("x", tuple(other), like="x")]
    return Draft(inputs, [Out("x")], {"axis": axis})


@recipe("PACK")
def pack(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    attributes = {"values_count": 2, "axis": axis_of(c, len(dims) + 1)}
    return Draft([Slot("x", dims), Slot("x", dims, like="x")], [Out("x")], attributes)


@recipe("UNPACK")
def unpack(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    axis = axis_of(c, len(dims))
    return Draft([Slot("x", dims)], [Out("x")] * dims[axis], {"num": dims[axis], "axis": axis})


@recipe("SPLIT")
def split(c: Chooser, operator: str) -> Draft:
    dims = (*shape(c, 0, 3), 4)
    axis = c.pick((len(dims) - 1, -1))
    return Draft([index("axis", axis), Slot("x", dims)], [Out("x")] * 2, {"num_splits": 2})


@recipe("SPLIT_V")
def split_v(c: Chooser, operator: str) -> Draft:
    dims = (*shape(c, 0, 3), 5)
    inputs = [Slot("x", dims), index("sizes", [2, -1]), index("axis", c.pick((len(dims) - 1, -1)))]
    return Draft(inputs, [Out("x")] * 2, {"num_splits": 2})


@recipe("SLICE")
def slice_(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 1, 5)
    begin = [c.integer(0, n - 1) for n in dims]
    size = [c.pick((n - b, -1)) for n, b in zip(dims, begin, strict=True)]
    return Draft([Slot("x", dims), index("begin", begin), index("size", size)], [Out("x")])


@recipe("STRIDED_SLICE")
def strided_slice(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    rank = len(dims)
    backwards = c.pick((False, True))
    begin, end = ([-1] * rank, [-n - 1 for n in dims]) if backwards else ([0] * rank, list(dims))
    inputs = [Slot("x", dims), index("i", begin), index("i", end), index("i", [-2 if backwards else 1] * rank)]
    # backwards, the reference leaves the memory of the one position that is asked for unset
    shrink = 0 if backwards else c.pick((0, 1))
    masks = {"begin_mask": c.pick((0, 1)), "end_mask": c.pick((0, 1)), "shrink_axis_mask": shrink}
    return Draft(inputs, [Out("x")], masks)


@recipe("GATHER")
def gather(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 1, 4)
    axis = axis_of(c, len(dims))
    picked = c.rng.integers(0, dims[axis], (c.integer(1, 3),))
    return Draft([Slot("x", dims), index("indices", picked, constant=False)], [Out("x")], {"axis": axis})


@recipe("GATHER_ND")
def gather_nd(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 2, 4)
    picked = np.stack([c.rng.integers(0, n, 3) for n in dims[:2]], -1)
    return Draft([Slot("x", dims), index("indices", picked, constant=False)], [Out("x")])


@recipe("PAD", "PADV2")
def pad(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    paddings = [[c.integer(0, 2), c.integer(0, 2)] for _ in dims]
    inputs: list[Slot | None] = [Slot("x", dims), index("paddings", paddings)]
    if operator == "PADV2":
        inputs.append(Slot("x", (), like="x", constant=c.pick((True, False))))
    return Draft(inputs, [Out("x")])


@recipe("MIRROR_PAD")
def mirror_pad(c: Chooser, operator: str) -> Draft:
    dims = tuple(n + 1 for n in shape(c))
    paddings = [[c.integer(0, 1), 1] for _ in dims]
    return Draft([Slot("x", dims), index("paddings", paddings)], [Out("x")], {"mode": c.pick((0, 1))})


@recipe("TILE", "BROADCAST_TO")
def repeat(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    times = [c.integer(1, 3) for _ in dims]
    shape_ = times if operator == "TILE" else [c.integer(1, 3), *dims]
    return Draft([Slot("x", dims), index("i", shape_)], [Out("x")])


@recipe("BROADCAST_ARGS")
def broadcast_args(c: Chooser, operator: str) -> Draft:
    return Draft([index("a", [2, 1, 3], constant=False), index("a", [4, 1], constant=False)], [Out("a")])


@recipe("FILL")
def fill(c: Chooser, operator: str) -> Draft:
    return Draft([index("dims", shape(c)), Slot("x", (), constant=True)], [Out("x")])


@recipe("RANGE")
def range_(c: Chooser, operator: str) -> Draft:
    data = c.pick(((1, 7, 2), (7, 1, -2)))
    return Draft([index("x", n, constant=False) for n in data], [Out("x")])


@recipe("ONE_HOT")
def one_hot(c: Chooser, operator: str) -> Draft:
    indices = Slot("indices", shape(c, 1, 3), reach=Range(-1, 2))
    inputs = [indices, index("depth", 4), Slot("x", ()), Slot("x", (), like="x")]
    return Draft(inputs, [Out("x")], {"axis": c.pick((-1, 0))})


@recipe("REVERSE_V2")
def reverse(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    return Draft([Slot("x", dims), index("axis", [c.integer(0, len(dims) - 1)])], [Out("x")])


@recipe("REVERSE_SEQUENCE")
def reverse_sequence(c: Chooser, operator: str) -> Draft:
    dims = (3, 4, *shape(c, 1, 2))
    inputs = [Slot("x", dims), index("lengths", [1, 4, 3], constant=False)]
    return Draft(inputs, [Out("x")], {"seq_dim": 1, "batch_dim": 0})


@recipe("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def blocks(c: Chooser, operator: str) -> Draft:
    n, h, w, d = (c.integer(1, 3) for _ in range(4))
    dims = (n, h, w, d * 4) if operator == "DEPTH_TO_SPACE" else (n, h * 2, w * 2, d)
    return Draft(*moved(dims), {"block_size": 2})


@recipe("SPACE_TO_BATCH_ND")
def space_to_batch(c: Chooser, operator: str) -> Draft:
    inputs = [Slot("x", (c.integer(1, 2), 3, 4, 2)), index("block", [2, 2]), index("paddings", [[1, 0], [2, 0]])]
    return Draft(inputs, [Out("x")])


@recipe("BATCH_TO_SPACE_ND")
def batch_to_space(c: Chooser, operator: str) -> Draft:
    inputs = [Slot("x", (4 * c.integer(1, 2), 2, 3, 2)), index("block", [2, 2]), index("crops", [[1, 0], [0, 2]])]
    return Draft(inputs, [Out("x")])


@recipe("MATRIX_DIAG", "MATRIX_SET_DIAG")
def matrix_diag(c: Chooser, operator: str) -> Draft:
    diagonal = shape(c, 1, 3)
    if operator == "MATRIX_DIAG":
        return Draft(*moved(diagonal))
    return Draft([Slot("x", (*diagonal, diagonal[-1])), Slot("x", diagonal, like="x")], [Out("x")])


@recipe("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    update = tuple(c.integer(1, n) for n in dims)
    start = [c.integer(-1, 2) for _ in dims]
    inputs = [Slot("x", dims), Slot("x", update, like="x"), index("start", start, constant=False)]
    return Draft(inputs, [Out("x")])


@recipe("SCATTER_ND")
def scatter_nd(c: Chooser, operator: str) -> Draft:
    inputs = [index("i", [[4], [1], [1]], constant=False), Slot("x", (3, 2)), index("i", [6, 2])]
    return Draft(inputs, [Out("x")])


@recipe("SPARSE_TO_DENSE")
def sparse_to_dense(c: Chooser, operator: str) -> Draft:
    inputs = [index("i", [[0, 1], [2, 0]]), index("i", [3, 2]), Slot("x", (2,)), Slot("x", ())]
    return Draft(inputs, [Out("x")], {"validate_indices": True})


@recipe("WHERE")
def where(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c, 1, 3), kinds=INTEGERS))


@recipe("UNIQUE")
def unique(c: Chooser, operator: str) -> Draft:
    data = index("x", c.rng.integers(0, 4, 7), constant=False)
    return Draft([data], [Out("x"), Out("i", kinds=INTEGERS)], {"idx_out_type": TypeOf("i")})


@recipe("TOPK_V2")
def topk(c: Chooser, operator: str) -> Draft:
    return Draft([Slot("x", (*shape(c, 0, 2), 6)), index("k", c.integer(1, 5))], [Out("x"), Out("i", kinds=INTEGERS)])


@recipe("ARG_MAX", "ARG_MIN")
def arg_max(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 1, 4)
    inputs = [Slot("x", dims), index("axis", axis_of(c, len(dims)))]
    return Draft(inputs, [Out("y", kinds=INTEGERS)], {"output_type": TypeOf("y")})


@recipe("CUMSUM")
def cumsum(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    attributes = {"exclusive": c.pick((False, True)), "reverse": c.pick((False, True))}
    return Draft([Slot("x", dims), index("axis", axis_of(c, len(dims)))], [Out("x")], attributes)


@recipe("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL")
def reduction(c: Chooser, operator: str) -> Draft:
    dims = shape(c, 1, 5)
    axes = sorted({c.integer(0, len(dims) - 1) for _ in range(c.integer(1, 2))})
    rescaled = operator in ("MEAN", "SUM", "REDUCE_PROD")
    attributes = {"keep_dims": c.pick((False, True))}
    return Draft(
        [Slot("x", dims), index("axes", axes)], [Out("x", rescaled=rescaled)], attributes, steps=operator == "MEAN"
    )


@recipe("SEGMENT_SUM")
def segment_sum(c: Chooser, operator: str) -> Draft:
    inputs = [Slot("x", (5, *shape(c, 1, 2))), index("ids", [0, 0, 1, 1, 2], constant=False)]
    return Draft(inputs, [Out("x")])


@recipe("UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_PROD")
def unsorted_segment(c: Chooser, operator: str) -> Draft:
    inputs = [Slot("x", (5, *shape(c, 1, 2))), index("ids", [2, 0, 1, -1, 2], constant=False), index("n", 4)]
    return Draft(inputs, [Out("x")])


@recipe("EMBEDDING_LOOKUP")
def embedding_lookup(c: Chooser, operator: str) -> Draft:
    return Draft(
        [index("ids", [2, 0, 2], constant=False), Slot("x", (4, *shape(c, 1, 2)), kinds=WEIGHTS, constant=True)],
        [Out("y")],
    )


@recipe("HASHTABLE_LOOKUP")
def hashtable_lookup(c: Chooser, operator: str) -> Draft:
    inputs = [index("i", [3, 9, 7], constant=False), index("i", [3, 5, 7, 11], constant=False), Slot("x", (4, 2))]
    return Draft(inputs, [Out("x"), Out("hits", kinds=INTEGERS)])


@recipe("LSH_PROJECTION")
def lsh_projection(c: Chooser, operator: str) -> Draft:
    weight = Slot("weight", (5,), kinds=(None, *KINDS))
    inputs: list[Slot | None] = [Slot("hash", (4, 3), reach=Range(-1, 1)), Slot("x", (5, 2)), weight]
    return Draft(inputs, [Out("y", kinds=INTEGERS)], {"type": c.pick((3, 2))}, of_bytes=True)


@recipe("EMBEDDING_LOOKUP_SPARSE")
def embedding_lookup_sparse(c: Chooser, operator: str) -> Draft:
    inputs = [
        index("i", [1, 3, 0], constant=False),
        index("i", [[0, 0], [2, 0], [2, 1]], constant=False),
        index("i", [3, 2], constant=False),
        Slot("weights", (3,)),
        Slot("x", (4, 3)),
    ]
    return Draft(inputs, [Out("x")], {"combiner": c.pick((0, 1, 2))})


@recipe("DILATE")
def dilate(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    factors = [c.integer(1, 3) for _ in dims]
    return Draft([Slot("x", dims), index("i", factors), Slot("x", (), like="x")], [Out("x")])


@recipe("STABLEHLO_PAD")
def stablehlo_pad(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    attributes = {
        "edge_padding_low": [c.integer(-1, 2) for _ in dims],
        "edge_padding_high": [c.integer(0, 2) for _ in dims],
        "interior_padding": [c.integer(0, 2) for _ in dims],
    }
    return Draft([Slot("x", dims), Slot("x", (), like="x")], [Out("x")], attributes)
