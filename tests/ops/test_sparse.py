"""Stored values spread over dense tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op
from tflite_cupy.interpreter.graph import Sparsity, TensorSpec, TensorType
from tflite_cupy.interpreter.ops.checks import evaluate, infer_outputs, refusal
from tflite_cupy.interpreter.ops.shared.sparsity import positions
from tflite_cupy.interpreter.ops.sparse import Densify

VALUES = np.float32([1.5, -2, 3])
F32 = TensorType.FLOAT32


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


SPARSE_TO_DENSE = [
    Case("SPARSE_TO_DENSE", [ints(4, 0, 2), const(ints(5)), VALUES, const(np.float32(9))], outputs=[F32]),
    Case(
        "SPARSE_TO_DENSE",
        [np.int64([[1, 0], [0, 3], [1, 2]]), const(np.int64([2, 4])), const(VALUES), np.float32(0)],
        outputs=[F32],
        label="pairs by int64",
    ),
    Case("SPARSE_TO_DENSE", [np.int32(2), ints(4), np.int8(7), np.int8(-1)], outputs=[TensorType.INT8], label="scalar"),
    Case("SPARSE_TO_DENSE", [ints(1, 3), ints(4), np.float32(7), np.float32(0)], outputs=[F32], label="one for all"),
    Case(
        "SPARSE_TO_DENSE",
        [ints(5), const(ints(5)), VALUES[:1], VALUES[0]],
        outputs=[F32],
        raises="out of bounds: got 5",
    ),
]
SPARSE_TO_DENSE += [
    Case(
        "SPARSE_TO_DENSE",
        [ints(1, 2), const(ints(5)), VALUES, const(np.float32(9))],
        outputs=[F32],
        raises="which do not fit",
        unreferenced="it does not count the values",
    ),
    Case("SPARSE_TO_DENSE", [ints(1), const(ints(5, 5)), VALUES[:1], VALUES[0]], outputs=[F32], raises="do not fit"),
    Case("SPARSE_TO_DENSE", [ints(1), const(ints(5)), VALUES[:1], np.int32(0)], outputs=[F32], raises="one FLOAT32"),
    Case("DENSIFY", [const(VALUES)], refused="only supported for a sparse constant"),
]

CASES = SPARSE_TO_DENSE


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def dense(size: int) -> dict[str, object]:
    return {"format": 0, "dense_size": size, "array_segments": (), "array_indices": ()}


def compressed(segments: list[int], indices: list[int]) -> dict[str, object]:
    return {"format": 1, "dense_size": 0, "array_segments": segments, "array_indices": indices}


ROWS = Sparsity((0, 1), (), (dense(3), compressed([0, 2, 2, 3], [1, 3, 0])))
COLUMNS = Sparsity((1, 0), (), (dense(2), compressed([0, 1, 3], [2, 0, 1])))
BLOCKS = Sparsity((0, 1, 2, 3), (0, 1), (dense(2), compressed([0, 1, 2], [1, 0]), dense(2), dense(2)))
BOTH = Sparsity((0, 1), (), (compressed([0, 2], [0, 2]), compressed([0, 1, 3], [1, 0, 1])))


@pytest.mark.parametrize(
    ("sparsity", "shape", "expected"),
    [
        (ROWS, (3, 4), [[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]]),
        (COLUMNS, (3, 2), [[0, 2], [0, 3], [1, 0]]),
        (BLOCKS, (4, 4), [[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 0, 0], [7, 8, 0, 0]]),
        (BOTH, (3, 2), [[0, 1], [0, 0], [2, 3]]),
    ],
    ids=["rows", "columns", "blocks", "both"],
)
def test_densify(sparsity: Sparsity, shape: tuple[int, ...], expected: list[list[int]]) -> None:
    flat = np.arange(1, len(positions(sparsity, shape)) + 1).astype(np.float32)
    spec = TensorSpec(TensorType.FLOAT32, shape, value=flat, sparsity=sparsity)
    op = Densify(ins=(spec,), outs=(replace(spec, value=None, sparsity=None),))
    assert refusal(op, op.ins) is None
    assert infer_outputs(op, op.ins)[0].shape == shape
    np.testing.assert_array_equal(evaluate(op, [flat])[0], expected)


def test_the_shape_is_open_while_the_operand_is() -> None:
    op = one_op(Case("SPARSE_TO_DENSE", [ints(4), ints(5), VALUES[:1], VALUES[0]], outputs=[F32]))
    assert infer_outputs(op, op.ins)[0].shape is None
