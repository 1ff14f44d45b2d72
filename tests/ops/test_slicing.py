"""Boxes cut out of tensors and put into them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorSpec, TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
DEEP = RNG.normal(size=(2, 1, 3, 2, 2, 4)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (3, 4, 5)).astype(np.int8)
WORDS = np.array([[b"a", b"bc"], [b"", b"d\0e"]], object)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


SLICE = [
    Case("SLICE", [X, const(ints(1, 0, 2)), const(ints(2, 3, 1))]),
    Case("SLICE", [X, const(ints(1, 0, 2)), const(ints(-1, 4, -1))], label="to the end"),
    Case("SLICE", [X, np.int64([0, 3, 5]), np.int64([1, 1, 0])], label="dynamic int64"),
    Case("SLICE", [X, ints(2, 0, 0), const(ints(1, 4, 5))], label="dynamic begin"),
    Case("SLICE", [q(BYTES, 0.1, 3), const(ints(0, 0, 0)), const(ints(3, 1, 5))], label="int8"),
    Case("SLICE", [WORDS, const(ints(0, 1)), const(ints(2, 1))], label="strings"),
    Case("SLICE", [X > 0, const(ints(0, 1, 0)), const(ints(1, 1, 1))], label="bool"),
    Case("SLICE", [X, const(ints(1, 0, 2)), const(ints(3, 3, 1))], raises="Invalid begin and size"),
    Case("SLICE", [X, const(ints(-1, 0, 2)), const(ints(1, 3, 1))], raises="Invalid begin"),
    Case("SLICE", [X, const(ints(1, 0, 2)), const(ints(-2, 3, 1))], raises="Invalid begin and size"),
    Case("SLICE", [X, const(ints(4, 0, 0)), const(ints(-1, 3, 1))], raises="Invalid begin"),
    Case("SLICE", [X, const(ints(0, 0)), const(ints(1, 1))], raises=r"begin is .*, expected \[3\]"),
]


def strided(*spec: tuple[int, int, int], label: str = "", raises: str | None = None, **attributes: int) -> Case:
    begin, end, strides = (const(ints(*column)) for column in zip(*spec, strict=True))
    return Case("STRIDED_SLICE", [X, begin, end, strides], attributes, label=label, raises=raises)


STRIDED = [
    strided((0, 2, 1), (1, 4, 2), (0, 5, 3)),
    strided((-2, 3, 1), (-9, 9, 1), (1, -1, 2), label="limits beyond"),
    strided((2, 0, -1), (3, -9, -2), (4, 1, -1), label="backwards"),
    strided((2, 2, 1), (3, 1, 1), (0, 5, 1), label="nothing"),
    strided((1, 2, 1), label="leading dimensions alone"),
    strided((1, 2, 1), (1, 2, 2), (1, 2, 1), begin_mask=3, end_mask=6, label="begin and end masks"),
    strided((1, 2, -1), (1, 2, -2), (1, 2, 1), begin_mask=3, end_mask=3, label="masks backwards"),
    strided((1, 2, 1), (0, 4, 1), (-1, 0, 1), shrink_axis_mask=5, label="shrink"),
    strided((1, 2, 1), (2, 3, 1), (3, 4, 1), shrink_axis_mask=7, label="shrink all"),
    strided((-9, 0, 1), shrink_axis_mask=1, label="shrink before the first"),
    strided((0, 0, 1), (1, 3, 1), ellipsis_mask=1, label="ellipsis first"),
    strided((1, 2, 1), (0, 0, 1), (1, 4, 1), ellipsis_mask=2, label="ellipsis of one"),
    strided((1, 2, 1), (0, 0, 1), ellipsis_mask=2, shrink_axis_mask=1, label="ellipsis last"),
    strided((0, 0, 1), (1, 3, 1), (0, 0, 1), new_axis_mask=5, label="new axes"),
    strided((0, 0, 1), (0, 0, 1), (1, 3, 1), new_axis_mask=1, ellipsis_mask=2, label="new axis and ellipsis"),
    strided((0, 0, 1), (1, 0, 1), (1, 3, 1), new_axis_mask=3, ellipsis_mask=1, label="new axis yields to ellipsis"),
    strided((0, 0, 1), (0, 0, 1), (2, 0, 1), ellipsis_mask=1, new_axis_mask=2, shrink_axis_mask=6, label="all masks"),
    Case(
        "STRIDED_SLICE",
        [DEEP, const(ints(0, 0, -1)), const(ints(0, 2, -4)), const(ints(1, 1, -2))],
        {"ellipsis_mask": 1},
        label="six dimensions",
        optimized=True,
    ),
    Case("STRIDED_SLICE", [X, ints(0, 1), ints(2, 3), const(ints(1, 1))], label="dynamic"),
    Case(
        "STRIDED_SLICE",
        [X, ints(1, 1, 0), const(ints(2, 2, 5)), const(ints(1, 1, 2))],
        {"offset": True},
        label="offset",
    ),
    Case("STRIDED_SLICE", [q(BYTES, 0.1, 3), const(ints(1)), const(ints(3)), const(ints(1))], label="int8"),
    Case("STRIDED_SLICE", [WORDS, const(ints(1, 0)), const(ints(2, 2)), const(ints(1, 1))], label="strings"),
    Case(
        "STRIDED_SLICE",
        [WORDS, const(ints(1, 0)), const(ints(2, 1)), const(ints(1, 1))],
        {"shrink_axis_mask": 3},
        label="one string",
    ),
    strided((0, 2, 0), raises="stride value has to be non-zero"),
    Case(
        "STRIDED_SLICE",
        [X, const(ints(3)), const(ints(4)), const(ints(1))],
        {"shrink_axis_mask": 1},
        raises="index 3 is out of range for a dimension of 3",
        unreferenced="it hands out memory that it never wrote",
    ),
    Case(
        "STRIDED_SLICE",
        [X, ints(2), const(ints(2)), const(ints(1))],
        {"offset": True},
        raises="2 positions from 2 do not fit",
        unreferenced="it hands out memory that it never wrote",
    ),
    Case(
        "STRIDED_SLICE",
        [X, const(ints(0, 0, 0, 0)), const(ints(1, 1, 1, 1)), const(ints(1, 1, 1, 1))],
        raises="takes 4 dimensions of",
        unreferenced="it ignores the last",
    ),
    Case("STRIDED_SLICE", [X, const(ints(0)), const(ints(1, 1)), const(ints(1))], raises="expected equal sizes"),
]

UPDATE = [
    Case("DYNAMIC_UPDATE_SLICE", [X, -X[:2, :1, :3], const(ints(1, 2, 0))]),
    Case("DYNAMIC_UPDATE_SLICE", [X, -X[:2, :1, :3], np.int64([9, -3, 4])], label="clamped"),
    Case("DYNAMIC_UPDATE_SLICE", [X, -X, ints(1, 2, 0)], label="all of it"),
    Case("DYNAMIC_UPDATE_SLICE", [X, X[:0], ints(1, 2, 0)], label="nothing"),
    Case("DYNAMIC_UPDATE_SLICE", [BYTES, BYTES[:1], ints(2, 0, 0)], label="int8"),
    Case("DYNAMIC_UPDATE_SLICE", [X > 0, X[:1] < 0, ints(1, 0, 0)], label="bool"),
    Case("DYNAMIC_UPDATE_SLICE", [X, X[:, :, :1], ints(1, 2)], raises="which do not fit"),
    Case("DYNAMIC_UPDATE_SLICE", [X[:1], X, ints(0, 0, 0)], raises="which do not fit"),
    Case("DYNAMIC_UPDATE_SLICE", [X, BYTES, ints(0, 0, 0)], raises="which do not fit"),
]

CASES = SLICE + STRIDED + UPDATE


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_one_dimension_is_sliced_as_python_does() -> None:
    vector = np.arange(4, dtype=np.float32)
    op = one_op(Case("STRIDED_SLICE", [vector, ints(0), ints(0), ints(1)]))
    for begin, end, stride in product(range(-6, 7), range(-6, 7), (-3, -2, -1, 1, 2, 3)):
        got = op.run(np, vector, ints(begin), ints(end), ints(stride))
        np.testing.assert_array_equal(got, vector[begin:end:stride])


def test_sizes_alone_give_the_shape_of_a_slice() -> None:
    op = one_op(Case("SLICE", [X, ints(0, 0, 0), const(ints(1, 2, 3))]))
    assert infer_outputs(op, op.ins)[0].shape == (1, 2, 3)
    op = one_op(Case("SLICE", [X, ints(0, 0, 0), const(ints(1, -1, 3))]))
    assert infer_outputs(op, op.ins)[0].shape is None


def test_offsets_give_the_shape_before_their_beginning_is_known() -> None:
    op = one_op(
        Case("STRIDED_SLICE", [X, ints(0, 0), const(ints(2, 3)), const(ints(1, 2))], {"offset": True, "end_mask": 0})
    )
    assert infer_outputs(op, op.ins)[0].shape == (2, 2, 5)


def test_an_offset_before_the_beginning_gives_nothing() -> None:
    op = one_op(Case("STRIDED_SLICE", [X, const(ints(2)), const(ints(-9)), const(ints(1))], {"offset": True}))
    assert infer_outputs(op, op.ins)[0].shape == (0, 4, 5)
    assert op.run(np, X, ints(2), ints(-9), ints(1)).shape == (0, 4, 5)


def test_a_slice_of_constants_of_a_plan() -> None:
    op = one_op(Case("STRIDED_SLICE", [X, ints(0), ints(2), ints(1)]))
    vector = [TensorSpec(TensorType.INT32, (1,), value=ints(n)) for n in (0, 2, 1)]
    assert infer_outputs(op, op.ins)[0].shape is None
    assert infer_outputs(op, [TensorSpec(TensorType.FLOAT32, (3, 4, 5)), *vector])[0].shape == (2, 4, 5)
