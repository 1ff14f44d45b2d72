"""P1 to P12: operators whose attributes or operands say what can't be done.

Those that come as operands are tried as constants and as inputs of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tests.build import GraphBuilder
from tests.malformed.catalogue import ACCEPTED, GRAPH, INPUT, KERNEL, LIMIT, Case, faulty, malformed
from tests.malformed.seeds import Seed
from tflite_cupy.interpreter.graph import ABSENT, TensorType

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
IMAGE = np.ones((1, 4, 4, 2), np.float32)
FILTER = np.ones((2, 2, 2, 2), np.float32)
X = np.arange(12, dtype=np.float32).reshape(3, 4)
WINDOW = {"padding": 1, "stride_w": 1, "stride_h": 1}
POOL = WINDOW | {"filter_width": 2, "filter_height": 2}


def bad(
    seed: Seed,
    name: str,
    *operands: Any,
    outputs: int = 1,
    given: bool = False,
    gives: TensorType | None = None,
    title: str = "",
    **attributes: Any,
) -> Case:
    """A node with these operands: arrays are constants, but for the first one (for all, if `given`); None is absent."""
    first = np.asarray(operands[0])
    values = [np.asarray(o) for i, o in enumerate(operands) if o is not None and (given or not i)]

    def build(b: GraphBuilder) -> tuple[int, ...]:
        indices = []
        for place, operand in enumerate(operands):
            if operand is None:
                indices.append(ABSENT)
            elif given or not place:
                array = np.asarray(operand)
                indices.append(b.input(TensorType.of(array.dtype), array.shape))
            else:
                indices.append(b.constant(operand))
        kind = gives if gives is not None else TensorType.of(first.dtype)
        return b.op(name, indices, [b.tensor(kind, [None]) for _ in range(outputs)], **attributes)

    label = f"{title or name} {attributes} {[np.asarray(o).tolist() for o in operands[1:]]}"[:120]
    return faulty(seed, f"{label}{' at run time' if given else ''}", build, *values)


def both(seed: Seed, name: str, *operands: Any, **more: Any) -> Iterator[Case]:
    """The node with constant operands, and with operands that come with the call."""
    yield bad(seed, name, *operands, **more)
    yield bad(seed, name, *operands, given=True, **more)


@malformed("P1", KERNEL, GRAPH)
def windows(seed: Seed) -> Iterator[Case]:
    bias = np.zeros(2, np.float32)
    for value in (0, -1, INT_MIN):
        for name in ("stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor"):
            yield bad(seed, "CONV_2D", IMAGE, FILTER, bias, **WINDOW | {name: value})
            yield bad(seed, "DEPTHWISE_CONV_2D", IMAGE, FILTER[:1], bias, **WINDOW | {name: value})
        for name in ("stride_w", "stride_h"):
            shape = np.int32([1, 5, 5, 2])
            yield bad(seed, "TRANSPOSE_CONV", shape, FILTER, IMAGE, **WINDOW | {name: value}, gives=TensorType.FLOAT32)
    yield bad(seed, "CONV_2D", IMAGE, np.ones((2, 0, 0, 2), np.float32), bias, **WINDOW)
    yield bad(seed, "CONV_2D", IMAGE, np.ones((2, 9, 9, 2), np.float32), bias, **WINDOW)
    yield bad(seed, "CONV_2D", IMAGE, FILTER, bias, **WINDOW | {"dilation_w_factor": INT_MAX})
    yield bad(seed, "CONV_2D", IMAGE, FILTER[0], bias, **WINDOW)


@malformed("P2", KERNEL, GRAPH)
def pools(seed: Seed) -> Iterator[Case]:
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        for field in ("filter_width", "filter_height", "stride_w", "stride_h"):
            for value in (0, -1, INT_MIN):
                yield bad(seed, name, IMAGE, **POOL | {field: value})
        yield bad(seed, name, IMAGE, **POOL | {"filter_width": INT_MAX})


@malformed("P3", KERNEL, GRAPH)
def blocks(seed: Seed) -> Iterator[Case]:
    for value in (0, -2, 3, INT_MAX, INT_MIN):
        yield bad(seed, "SPACE_TO_DEPTH", IMAGE, block_size=value)
        yield bad(seed, "DEPTH_TO_SPACE", IMAGE, block_size=value)
        none = np.zeros((2, 2), np.int32)
        yield from both(seed, "SPACE_TO_BATCH_ND", IMAGE, np.int32([value, 1]), none)
        yield from both(seed, "BATCH_TO_SPACE_ND", IMAGE, np.int32([value, 1]), none)


@malformed("P4", KERNEL, GRAPH)
def splits(seed: Seed) -> Iterator[Case]:
    axis = np.int32(1)
    for count in (0, -1, 3, INT_MIN):

        def split(b: GraphBuilder, count: int = count) -> tuple[int, ...]:
            x = b.input(TensorType.FLOAT32, X.shape)
            return b.op("SPLIT", [b.constant(axis), x], [b.tensor(TensorType.FLOAT32, [3, 2])] * 1, num_splits=count)

        yield faulty(seed, f"SPLIT into {count}", split, X)
    for sizes in ((-1, -1), (-2, 6), (1, 1), (5, -1), (INT_MAX, INT_MAX)):
        yield from both(seed, "SPLIT_V", X, np.int32(sizes), axis, outputs=2, num_splits=2)
    yield bad(seed, "SPLIT_V", X, np.int32([4]), axis, outputs=2, num_splits=2)
    for count in (0, -1, 3):
        yield bad(seed, "UNPACK", X, axis=1, num=count, outputs=1)


@malformed("P5", KERNEL, GRAPH)
def axes(seed: Seed) -> Iterator[Case]:
    for axis in (2, -3, INT_MAX, INT_MIN):
        index = np.int32([axis])
        yield bad(seed, "CONCATENATION", X, X, axis=axis)
        yield bad(seed, "GATHER", X, np.int32([0]), axis=axis)
        yield bad(seed, "SQUEEZE", X, squeeze_dims=(axis,))
        yield bad(seed, "UNPACK", X, axis=axis, num=3, outputs=3)
        for name in ("SUM", "MEAN", "REDUCE_MAX", "REVERSE_V2"):
            yield from both(seed, name, X, index)
        yield from both(seed, "ARG_MAX", X, np.int32(axis), gives=TensorType.INT32, output_type=TensorType.INT32)
        yield from both(seed, "CUMSUM", X, np.int32(axis))
        yield from both(seed, "TRANSPOSE", X, np.int32([0, axis]))
    for axis in (4, -5):
        yield from both(seed, "EXPAND_DIMS", X, np.int32(axis))
        yield bad(seed, "PACK", X, X, axis=axis, values_count=2)
    yield from both(seed, "TRANSPOSE", X, np.int32([0, 0]))
    yield from both(seed, "TRANSPOSE", X, np.int32([0]))
    yield bad(seed, "GATHER", X, np.int32([[0]]), axis=0, batch_dims=5)
    yield bad(seed, "GATHER", X, np.int32([[0]]), axis=0, batch_dims=-5)


@malformed("P6", KERNEL, GRAPH, INPUT)
def indices(seed: Seed) -> Iterator[Case]:
    for index in (3, -1, INT_MAX, INT_MIN):
        at = np.int32([0, index])
        yield from both(seed, "GATHER", X, at, axis=0)
        yield from both(seed, "GATHER_ND", X, at[:, None])
        yield from both(seed, "SCATTER_ND", at[:, None], X[:2], np.int32([3, 4]), gives=TensorType.FLOAT32)
        yield from both(seed, "EMBEDDING_LOOKUP", at, X, gives=TensorType.FLOAT32)
        if index != 3:
            yield from both(seed, "SEGMENT_SUM", X, np.int32([0, 0, index]))
        yield from both(seed, "UNSORTED_SEGMENT_SUM", X, np.int32([0, 0, max(index, 3)]), np.int32(3))
        sparse = [at, np.int32([[0], [1]]), np.int32([2]), np.float32([1, 1]), X]
        yield from both(seed, "EMBEDDING_LOOKUP_SPARSE", *sparse, combiner=0, gives=TensorType.FLOAT32)
    yield from both(seed, "SEGMENT_SUM", X, np.int32([1, 0, 2]))
    yield from both(seed, "UNSORTED_SEGMENT_SUM", X, np.int32([0, 0, 0]), np.int32(-1))
    yield from both(seed, "GATHER_ND", X, np.int32([[0, 0, 0]]))
    yield from both(seed, "SCATTER_ND", np.int32([[0]]), X, np.int32([3, 4]), gives=TensorType.FLOAT32)
    yield from both(seed, "SCATTER_ND", np.int32([[0]]), X[:1], np.int32([-3, 4]), gives=TensorType.FLOAT32)


@malformed("P7", KERNEL, GRAPH, LIMIT)
def slices(seed: Seed) -> Iterator[Case]:
    begin, end = np.int32([0, 0]), np.int32([3, 4])
    for stride in (0,):
        yield from both(seed, "STRIDED_SLICE", X, begin, end, np.int32([1, stride]))
    yield from both(seed, "STRIDED_SLICE", X, begin, np.int32([3]), np.int32([1, 1]))
    yield from both(seed, "STRIDED_SLICE", X, np.int32([0] * 5), np.int32([1] * 5), np.int32([1] * 5))
    for start in (4, -1, INT_MAX, INT_MIN):
        yield from both(seed, "SLICE", X, np.int32([start, 0]), np.int32([1, 1]))
    for size in (4, -2, INT_MAX, INT_MIN):
        yield from both(seed, "SLICE", X, begin, np.int32([size, 1]))
    yield from both(seed, "SLICE", X, np.int32([0]), np.int32([1]))
    yield from both(seed, "STRIDED_SLICE", X, begin + 9, end + 9, np.int32([1, 1]), shrink_axis_mask=3)


@malformed("P8", KERNEL, GRAPH, LIMIT)
def shapes(seed: Seed) -> Iterator[Case]:
    for shape in ((-1, -1), (-2, 6), (5, -1), (3, 5), (0, -1), (INT_MIN, 1), (INT_MAX, INT_MAX), (2**16, 2**16)):
        yield from both(seed, "RESHAPE", X, np.int32(shape))
        yield bad(seed, "RESHAPE", X, title="RESHAPE by options", new_shape=shape)


@malformed("P9", KERNEL, GRAPH, LIMIT)
def paddings(seed: Seed) -> Iterator[Case]:
    for amount in (-1, INT_MIN):
        yield from both(seed, "PAD", X, np.int32([[0, amount], [0, 0]]))
        yield from both(seed, "PADV2", X, np.int32([[amount, 0], [0, 0]]), np.float32(0))
    yield from both(seed, "PAD", X, np.int32([[INT_MAX, INT_MAX], [0, 0]]))
    yield from both(seed, "PAD", X, np.int32([[0, 0]]))
    for mode, amount in ((0, 3), (1, 4), (0, -1), (1, INT_MAX)):
        yield from both(seed, "MIRROR_PAD", X, np.int32([[0, amount], [0, 0]]), mode=mode)


@malformed("P10", KERNEL, GRAPH, LIMIT)
def sizes(seed: Seed) -> Iterator[Case]:
    for shape in ((2**20, 2**20), (INT_MAX, INT_MAX), (INT_MAX, 1), (-1, 2)):
        yield from both(seed, "FILL", np.int32(shape), np.float32(1), gives=TensorType.FLOAT32)
        yield from both(seed, "TILE", X, np.int32(shape))
        yield from both(seed, "BROADCAST_TO", X[:1, :1], np.int32(shape))
    yield from both(seed, "FILL", np.int64([2**40]), np.float32(1), gives=TensorType.FLOAT32)
    yield from both(seed, "FILL", np.int64([2**62, 2**62]), np.float32(1), gives=TensorType.FLOAT32)
    yield from both(seed, "RESIZE_BILINEAR", IMAGE, np.int32([2**20, 2**20]))
    yield from both(seed, "RESIZE_NEAREST_NEIGHBOR", IMAGE, np.int32([0, -1]))
    yield bad(seed, "ADD", np.ones((2**13, 1), np.float32), np.ones((1, 2**14), np.float32))


@malformed("P11", KERNEL, GRAPH, INPUT, LIMIT)
def counts(seed: Seed) -> Iterator[Case]:
    for start, limit, step in ((0, 5, 0), (0, 5, -1), (5, 0, 1)):
        yield from both(seed, "RANGE", np.int32(start), np.int32(limit), np.int32(step))
        yield from both(seed, "RANGE", np.float32(start), np.float32(limit), np.float32(step))
    for values in ((0, 1, np.nan), (0, np.inf, 1), (np.nan, 1, 1), (0, 1e30, 1e-30)):
        yield from both(seed, "RANGE", *map(np.float32, values))
    for depth in (-1, INT_MIN, INT_MAX):
        operands = (np.zeros(2**9, np.int32), np.int32(depth), np.float32(1), np.float32(0))
        yield from both(seed, "ONE_HOT", *operands, axis=-1, gives=TensorType.FLOAT32)
    one_hot = (np.int32([0]), np.int32(2), np.float32(1), np.float32(0))
    yield from both(seed, "ONE_HOT", *one_hot, axis=5, gives=TensorType.FLOAT32)
    for k in (5, INT_MAX):
        yield from both(seed, "TOPK_V2", X, np.int32(k), outputs=1, title="TOPK_V2 with one output")
        yield _topk(seed, k, given=False)
        yield _topk(seed, k, given=True)
    yield replace(_topk(seed, -1, given=True), code=ACCEPTED)  # as 0, which the reference gives too


def _topk(seed: Seed, k: int, *, given: bool) -> Case:
    def build(b: GraphBuilder) -> tuple[int, ...]:
        operands = [b.input(TensorType.FLOAT32, X.shape), b.input(TensorType.INT32, [])]
        if not given:
            operands[1] = b.constant(np.int32(k))
        return b.op("TOPK_V2", operands, [b.tensor(TensorType.FLOAT32, [None]), b.tensor(TensorType.INT32, [None])])

    return faulty(seed, f"TOPK_V2 {k} {given}", build, X, np.int32(k))


@malformed("P12", KERNEL, GRAPH)
def groups(seed: Seed) -> Iterator[Case]:
    bias = np.zeros(3, np.float32)
    image = np.ones((1, 4, 4, 6), np.float32)
    yield bad(seed, "CONV_2D", image, np.ones((3, 1, 1, 4), np.float32), bias, **WINDOW)
    yield bad(seed, "CONV_2D", image, np.ones((3, 1, 1, 3), np.float32), bias, **WINDOW)
    yield bad(seed, "CONV_2D", image, np.ones((3, 1, 1, 0), np.float32), bias, **WINDOW)
    yield bad(seed, "DEPTHWISE_CONV_2D", image, np.ones((1, 1, 1, 3), np.float32), bias, **WINDOW)
    yield bad(seed, "CONV_2D", image, np.ones((3, 1, 1, 6), np.float32), bias[:2], **WINDOW)
    yield bad(seed, "FULLY_CONNECTED", X, np.ones((2, 5), np.float32), None)
