"""Which partitions work row by row: any part of a batch gives the rows that the whole gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.build import F32, I32, GraphBuilder
from tests.delegates.partitions import whole
from tests.ops import (
    test_activation,
    test_arithmetic,
    test_compare,
    test_conv,
    test_convert,
    test_elementwise,
    test_image,
    test_indexing,
    test_layout,
    test_matmul,
    test_padding,
    test_pool,
    test_quantize,
    test_reduction,
    test_resize,
    test_scan,
    test_shape,
    test_slicing,
    test_softmax,
)
from tests.ops.harness import Case, arrays, compare, one_op, one_op_model
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.delegates.cpu.onednn.rows import Batch, is_elementwise
from tflite_cupy.interpreter.graph import ABSENT, Quantization, TensorType
from tflite_cupy.interpreter.ops.base import Padding
from tflite_cupy.interpreter.ops.checks import evaluate
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.interpreter.runtime.state import State

FAMILIES = (test_activation, test_arithmetic, test_compare, test_conv, test_convert, test_elementwise, test_image,
            test_indexing, test_layout, test_matmul, test_padding, test_pool, test_quantize, test_reduction,
            test_resize, test_scan, test_shape, test_slicing, test_softmax)  # fmt: skip

VIEWS = {"EXPAND_DIMS", "RESHAPE", "SQUEEZE"}


def batch_of(case: Case) -> Batch | None:
    return Batch.of(whole(one_op_model(case).graphs[0]))


@cache
def cases() -> list[Case]:
    """Those of operators that work row by row there."""
    found = [case for family in FAMILIES for case in family.CASES if case.raises is None and case.refused is None]
    return [c for c in found if not any(getattr(i, "variable", False) for i in c.inputs) and batch_of(c) is not None]


@pytest.mark.parametrize("case", cases(), ids=str)
def test_rows_of_operators(case: Case) -> None:
    """A third of the samples at a time, an operator's own body gives what it gives for all of them."""
    batch, op, values = batch_of(case), one_op(case), arrays(case)
    assert batch is not None
    (bound,), count = batch.partition.nodes, -(-batch.samples // 3)
    (part,) = batch.part(count).nodes
    for spec, of_part in zip(bound.outs, part.outs, strict=True):
        assert of_part.shape == (count * batch.rows(spec), *(spec.shape or ())[1:])
    if case.operator in VIEWS | {"TRANSPOSE_CONV"}:  # whose operands say how many rows there are
        return
    expected = evaluate(op, values)
    for start in (0, batch.samples - count):
        results = evaluate(op, operands(batch, values, start, start + count))
        for got, want, spec in zip(results, expected, bound.outs, strict=True):
            rows = batch.rows(spec)
            compare(case, got, want[start * rows : (start + count) * rows])


def operands(batch: Batch, values: list[np.ndarray | None], start: int, end: int) -> list[np.ndarray | None]:
    """Of the only node, for some samples."""
    (bound,) = batch.partition.nodes
    found: list[np.ndarray | None] = []
    for tensor, spec, value in zip(bound.node.inputs, bound.ins, values, strict=True):
        if tensor == ABSENT or tensor in batch.partition.constants or spec is None or value is None:
            found.append(value)
        else:
            found.append(value[start * batch.rows(spec) : end * batch.rows(spec)])
    return found


Make = Callable[[GraphBuilder], int]


def samples(make: Make) -> int | None:
    b = GraphBuilder()
    batch = Batch.of(whole(b.graph([make(b)])))
    return None if batch is None else batch.samples


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def viewed(b: GraphBuilder) -> int:
    """As layers on sequences are: rows of all samples side by side, and apart again."""
    x = b.input(F32, (6, 4, 8))
    flat = b.add("RESHAPE", [x, b.constant(np.array([24, 8], np.int32))], (24, 8))
    y = b.add("FULLY_CONNECTED", [flat, b.constant(zeros(8, 8)), b.constant(zeros(8))], (24, 8))
    return b.add("ADD", [x, b.add("RESHAPE", [y, b.constant(np.array([6, 4, 8], np.int32))], (6, 4, 8))])


def test_rows_of_a_sample_are_counted_by_tensor() -> None:
    b = GraphBuilder()
    partition = whole(b.graph([viewed(b)]))
    batch = Batch.of(partition)
    assert batch is not None
    assert batch.samples == 6
    assert [batch.rows(bound.outs[0]) for bound in partition.nodes] == [4, 4, 1, 1]
    assert [bound.outs[0].shape for bound in batch.part(2).nodes] == [(8, 8), (8, 8), (2, 4, 8), (2, 4, 8)]


CONV = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
HOLDS_TOGETHER: dict[str, Make] = {
    "one sample": lambda b: b.add("ABS", [b.input(F32, (1, 4))]),
    "a scalar": lambda b: b.add("ABS", [b.input(F32, ())]),
    "no rows": lambda b: b.add("ABS", [b.input(F32, (0, 4))]),
    "unknown shape": lambda b: b.add("ABS", [b.input(F32, (None, 4))]),
    "softmax of a vector": lambda b: b.add("SOFTMAX", [b.input(F32, (4,))], beta=1.0),
    "mean over rows": lambda b: b.add("MEAN", [b.input(F32, (4, 4)), b.constant(np.int32([0]))], (4,)),
    "mean over rows, counted from the end": lambda b: b.add(
        "MEAN", [b.input(F32, (4, 4)), b.constant(np.int32([-2]))], (4,)
    ),
    "rows joined": lambda b: b.add("CONCATENATION", [b.input(F32, (4, 4)), b.input(F32, (4, 4))], (8, 4), axis=0),
    "joined with a constant": lambda b: b.add(
        "CONCATENATION", [b.input(F32, (4, 4)), b.constant(zeros(4, 4))], (4, 8), axis=1
    ),
    "rows padded": lambda b: b.add("PAD", [b.input(F32, (4, 4)), b.constant(np.int32([[1, 1], [0, 0]]))], (6, 4)),
    "transposed": lambda b: b.add("TRANSPOSE", [b.input(F32, (4, 4)), b.constant(np.int32([1, 0]))], (4, 4)),
    "a constant of all rows": lambda b: b.add("ADD", [b.input(F32, (4, 4)), b.constant(zeros(4, 4))]),
    "a row for all": lambda b: b.add("ADD", [b.input(F32, (4, 4)), b.input(F32, (1, 4))]),
    "a vector beside a matrix": lambda b: b.add("ADD", [b.input(F32, (4, 4)), b.input(F32, (4,))]),
    "weights that vary": lambda b: b.add(
        "FULLY_CONNECTED", [b.input(F32, (4, 4)), b.input(F32, (4, 4)), ABSENT], (4, 4)
    ),
    "filters that vary": lambda b: b.add(
        "CONV_2D", [b.input(F32, (4, 4, 4, 2)), b.input(F32, (2, 1, 1, 2)), b.constant(zeros(2))], (4, 4, 4, 2), **CONV
    ),
    "filters that vary alone": lambda b: b.add(
        "CONV_2D",
        [b.constant(zeros(2, 4, 4, 2)), b.input(F32, (2, 1, 1, 2)), b.constant(zeros(2))], (2, 4, 4, 2), **CONV,
    ),
    "a bias that varies alone": lambda b: b.add(
        "FULLY_CONNECTED", [b.constant(zeros(4, 4)), b.constant(zeros(4, 4)), b.input(F32, (4,))], (4, 4)
    ),
    "filters that vary alone, which come before the image": lambda b: b.add(
        "TRANSPOSE_CONV",
        [ints(b, 2, 4, 4, 2), b.input(F32, (2, 1, 1, 2)), b.constant(zeros(2, 4, 4, 2))], (2, 4, 4, 2), **CONV,
    ),
    "one row of numbers": lambda b: b.add(
        "FULLY_CONNECTED", [b.input(F32, (4,)), b.constant(zeros(6, 4)), ABSENT], (6,), keep_num_dims=True
    ),
    "some rows": lambda b: b.add(
        "SLICE", [b.input(F32, (4, 4)), b.constant(np.int32([0, 0])), b.constant(np.int32([2, -1]))], (2, 4)
    ),
    "every other row": lambda b: b.add(
        "STRIDED_SLICE",
        [b.input(F32, (4, 4)), *(b.constant(np.int32(v)) for v in ([0, 0], [0, 0], [2, 1]))],
        (2, 4), begin_mask=3, end_mask=3,
    ),
    "rows picked": lambda b: b.add("GATHER", [b.input(F32, (4, 4)), b.constant(np.int32([0, 0, 1, 2]))], (4, 4)),
    "rows taken apart": lambda b: b.op(
        "SPLIT", [b.constant(np.int32(0)), b.input(F32, (4, 4))], [b.tensor(F32, (2, 4)) for _ in "ab"], num_splits=2
    )[0],
    "sums along rows": lambda b: b.add("CUMSUM", [b.input(F32, (4, 4)), b.constant(np.int32(0))]),
    "a view that mixes rows": lambda b: b.add(
        "RESHAPE", [b.input(F32, (4, 6)), b.constant(np.int32([3, 8]))], (3, 8)
    ),
    "scales by row": lambda b: b.add("QUANTIZE", [scaled_rows(b)], (4, 4)),
    "no rule": lambda b: b.add("ROLL", [b.input(F32, (4, 4))]),
    "a custom operator of a known name": lambda b: b.add("ABS", [b.input(F32, (4, 4))], custom=True),
}  # fmt: skip


def scaled_rows(b: GraphBuilder) -> int:
    scales = Quantization(np.full(4, 0.5, np.float32), np.zeros(4, np.int64), 0)
    return b.input(TensorType.INT8, (4, 4), q=scales)


@pytest.mark.parametrize("name", HOLDS_TOGETHER)
def test_what_holds_rows_together(name: str) -> None:
    assert samples(HOLDS_TOGETHER[name]) is None


def ints(b: GraphBuilder, *values: Any) -> int:
    return b.constant(np.array(values, np.int32))


def box(b: GraphBuilder, *ends: tuple[int, ...]) -> list[int]:
    """A matrix, with the limits and steps of a slice."""
    return [b.input(F32, (6, 4)), *(ints(b, *end) for end in ends)]


def halves(b: GraphBuilder) -> int:
    outputs = [b.tensor(F32, (6, 2)) for _ in range(2)]
    return b.op("SPLIT", [b.constant(np.int32(1)), b.input(F32, (6, 4))], outputs, num_splits=2)[1]


def columns(b: GraphBuilder) -> int:
    return b.op("UNPACK", [b.input(F32, (6, 2))], [b.tensor(F32, (6,)) for _ in range(2)], num=2, axis=1)[1]


def positions(b: GraphBuilder) -> int:
    operands = [b.input(F32, (6, 4)), ints(b, 1)]
    return b.op("ARG_MAX", operands, [b.tensor(I32, (6,))], output_type=TensorType.INT32)[0]


ALL = {"begin_mask": 1, "end_mask": 1}
WORKS_BY_ROW: dict[str, Make] = {
    "columns padded": lambda b: b.add("PAD", [b.input(F32, (6, 4)), ints(b, [0, 0], [1, 2])], (6, 7)),
    "columns mirrored": lambda b: b.add("MIRROR_PAD", [b.input(F32, (6, 4)), ints(b, [0, 0], [1, 2])], (6, 7)),
    "columns taken": lambda b: b.add("SLICE", box(b, (0, 1), (-1, 2)), (6, 2)),
    "every other column": lambda b: b.add("STRIDED_SLICE", box(b, (0, 0), (0, 4), (1, 2)), (6, 2), **ALL),
    "one column": lambda b: b.add(
        "STRIDED_SLICE", box(b, (0, 1), (0, 2), (1, 1)), (6,), shrink_axis_mask=2, **ALL
    ),
    "products": lambda b: b.add("BATCH_MATMUL", [b.input(F32, (6, 2, 3)), b.input(F32, (6, 3, 4))], (6, 2, 4)),
    "columns joined": lambda b: b.add("CONCATENATION", [b.input(F32, (6, 4)), b.input(F32, (6, 2))], (6, 6), axis=-1),
    "stacked": lambda b: b.add("PACK", [b.input(F32, (6, 4)), b.input(F32, (6, 4))], (6, 2, 4), axis=1, values_count=2),
    "split": halves,
    "taken apart": columns,
    "positions of the greatest": positions,
    "inner dimensions swapped": lambda b: b.add("TRANSPOSE", [b.input(F32, (6, 2, 3)), ints(b, 0, 2, 1)], (6, 3, 2)),
    "sums of rows": lambda b: b.add("SUM", [b.input(F32, (6, 2, 3)), ints(b, 1, -1)], (6,)),
    "rows of a table": lambda b: b.add(
        "GATHER", [b.constant(np.eye(9, 4, dtype=np.float32)), b.input(I32, (6, 3))], (6, 3, 4)
    ),
    "a row added": lambda b: b.add("ADD", [b.input(F32, (6, 4)), b.constant(np.arange(4, dtype=np.float32))]),
    "softmax": lambda b: b.add("SOFTMAX", [b.input(F32, (6, 4))], beta=1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKS_BY_ROW)
def test_what_works_by_row(name: str) -> None:
    """Two samples at a time, NumPy's code gives what it gives for all six."""
    b = GraphBuilder()
    graph = b.graph([WORKS_BY_ROW[name](b)])
    batch, delegate, rng = Batch.of(whole(graph)), CpuDelegate(1, "numpy"), np.random.default_rng(4)
    assert batch is not None
    assert batch.samples == 6
    tensors = [graph.tensors[tensor] for tensor in graph.inputs]
    inputs = [rng.integers(0, 4, tensor.shape).astype(tensor.type.dtype) for tensor in tensors]
    lane = Lane(State())
    (expected,) = delegate.compile(batch.partition)(lane, inputs)
    part = delegate.compile(batch.part(2))
    parts = [part(lane, [each[at : at + 2] for each in inputs])[0] for at in (0, 2, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_elementwise_operators() -> None:
    def first(name: str, **attributes: Any) -> Any:
        b = GraphBuilder()
        return whole(b.graph([b.add(name, [b.input(F32, (2, 3))], **attributes)])).nodes[0]

    assert is_elementwise(first("TANH"))
    assert not is_elementwise(first("SOFTMAX", beta=1.0))
    assert not is_elementwise(first("TANH", custom=True))
