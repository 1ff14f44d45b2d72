"""Tensors made from a few numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(6)
X = RNG.normal(size=(2, 3)).astype(np.float32)
F32, I32, I64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


FILL = [
    Case("FILL", [const(ints(2, 3)), np.float32(1.5)], outputs=[F32]),
    Case("FILL", [np.int64([4]), const(np.int32(-1))], outputs=[I32], label="dynamic int64"),
    Case("FILL", [const(ints(2, 0)), np.int64(7)], outputs=[I64], label="nothing"),
    Case("FILL", [const(ints()), np.float32(2)], outputs=[F32], label="scalar"),
    Case("FILL", [const(ints(3)), np.array(True)], outputs=[TensorType.BOOL], label="bool"),
    Case(
        "FILL", [const(ints(3)), q(np.int8(5), 0.1, 3)], outputs=[q(None, 0.1, 3, type=TensorType.INT8)], label="int8"
    ),
    Case("FILL", [ints(2), const(np.array(b"ab", object))], outputs=[TensorType.STRING], label="string"),
    Case("FILL", [const(ints(-1)), np.float32(1)], outputs=[F32], raises="Fill dimensions must be >= 0"),
    Case("FILL", [const(ints(2)), X[0]], outputs=[F32], raises="value has rank 1, expected 0"),
]


def steps(start: float, limit: float, delta: float, kind: type = np.int32, **more: str) -> Case:
    return Case("RANGE", [kind(start), kind(limit), kind(delta)], **more)  # type: ignore[arg-type]


RANGE = [
    Case("RANGE", [const(np.int32(0)), const(np.int32(5)), const(np.int32(1))]),
    steps(3, 17, 5, label="dynamic"),
    steps(17, 3, -5, np.int64, label="down"),
    steps(2, 2, 1, label="nothing"),
    steps(0, 1, 0.1, np.float32, label="float rounds every step"),
    steps(-5, 1e3, 0.37, np.float32, label="long float"),
    steps(1, 0, -0.25, np.float32, label="float down"),
    steps(1, 0, 1, raises="delta has to lead from start to limit"),
    steps(1, 2, 0, raises="delta has to lead from start to limit"),
    steps(0, np.nan, 1, np.float32, raises="delta has to lead from start to limit"),
    steps(0, np.inf, 1, np.float32, raises="has no end", unreferenced="it wants as much memory"),
    Case("RANGE", [np.int32(0), np.int32(3), np.int64(1)], raises="expected equal types"),
    Case("RANGE", [ints(0), np.int32(3), np.int32(1)], raises="start has rank 1, expected 0"),
    Case("RANGE", [q(np.int8(0), 1), q(np.int8(3), 1), q(np.int8(1), 1)], refused="not supported with quantised"),
]

INDICES = np.int32([[0, 2, 1], [3, -1, 9]])

ONE_HOT = [
    Case("ONE_HOT", [INDICES, const(np.int32(4)), const(np.float32(1)), const(np.float32(0))], {"axis": -1}, [F32]),
    Case("ONE_HOT", [INDICES, const(np.int32(4)), np.int32(5), np.int32(-5)], {"axis": 0}, [I32], label="first axis"),
    Case(
        "ONE_HOT",
        [INDICES.astype(np.int64), np.int32(3), np.int64([7]), np.int64(0)],
        {"axis": 1},
        [I64],
        label="int64",
    ),
    Case(
        "ONE_HOT", [np.int32(2), const(np.int32(3)), np.array(True), np.array(False)], {"axis": -1}, [TensorType.BOOL]
    ),
    Case("ONE_HOT", [INDICES, const(np.int32(0)), np.float32(1), np.float32(0)], {"axis": -1}, [F32], label="no depth"),
    Case("ONE_HOT", [INDICES, const(np.int32(-1)), np.float32(1), np.float32(0)], {"axis": -1}, [F32], raises="has -1"),
    Case("ONE_HOT", [INDICES, const(np.int32(4)), np.float32(1), np.int32(0)], {"axis": -1}, [F32], raises="same type"),
    Case("ONE_HOT", [INDICES, const(np.int32(4)), np.float32(1), np.float32(0)], {"axis": 3}, [F32], raises="axis 3"),
]

MATRIX = [
    Case("MATRIX_DIAG", [X]),
    Case("MATRIX_DIAG", [np.int64([3, 4])], label="int64"),
    Case("MATRIX_DIAG", [X[:, :0]], label="nothing", unreferenced="it ends the process"),
    Case("MATRIX_DIAG", [np.float32(1)], raises="expected at least a vector"),
    Case("MATRIX_SET_DIAG", [RNG.normal(size=(2, 3, 3)).astype(np.float32), X]),
    Case("MATRIX_SET_DIAG", [RNG.normal(size=(2, 3, 5)).astype(np.float32), X], label="wide"),
    Case("MATRIX_SET_DIAG", [RNG.normal(size=(2, 5, 3)).astype(np.float32), X], label="tall"),
    Case("MATRIX_SET_DIAG", [np.ones((2, 2), np.int8), np.int8([7, 8])], label="int8"),
    Case("MATRIX_SET_DIAG", [X, X], raises="expected one vector for each", unreferenced="it does not look"),
    Case("MATRIX_SET_DIAG", [X[0], X], raises="expected at least a matrix"),
]

CASES = FILL + RANGE + ONE_HOT + MATRIX


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    "case",
    [
        Case("FILL", [ints(2), np.float32(1)], outputs=[F32]),
        steps(0, 5, 1),
        Case("ONE_HOT", [INDICES, np.int32(4), np.float32(1), np.float32(0)], outputs=[F32]),
    ],
    ids=str,
)
def test_the_shape_is_open_while_the_operands_are(case: Case) -> None:
    op = one_op(case)
    assert infer_outputs(op, op.ins)[0].shape is None


def test_the_length_of_a_known_range() -> None:
    op = one_op(Case("RANGE", [const(np.int32(0)), const(np.int32(7)), const(np.int32(2))]))
    assert infer_outputs(op, op.ins)[0].shape == (4,)
