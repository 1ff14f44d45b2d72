"""The greatest, the true, the different elements, and buckets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(7)
X = RNG.normal(size=(2, 3, 9)).astype(np.float32)
TIED = RNG.integers(0, 4, (3, 9)).astype(np.int32)
F32, I16, I32, I64 = TensorType.FLOAT32, TensorType.INT16, TensorType.INT32, TensorType.INT64


def k(n: int) -> np.ndarray:
    return np.array(n, np.int32)


TOPK = [
    Case("TOPK_V2", [X, const(k(4))], outputs=[F32, I32]),
    Case("TOPK_V2", [X, k(9)], outputs=[F32, I32], label="all, dynamic"),
    Case("TOPK_V2", [TIED, const(k(5))], outputs=[I32, I32], label="ties"),
    Case("TOPK_V2", [np.int8([-128, 127, -128, 0]), const(k(3))], outputs=[TensorType.INT8, I32], label="int8"),
    Case("TOPK_V2", [q(np.uint8([[7, 255, 0]]), 0.1, 3), const(k(2))], outputs=[q(None, 0.1, 3), I32], label="uint8"),
    Case(
        "TOPK_V2",
        [X, const(np.int16(2))],
        outputs=[F32, I16],
        label="int16",
        version=3,
        optimized=True,
    ),
    Case("TOPK_V2", [X, const(k(0))], outputs=[F32, I32], label="none"),
    Case("TOPK_V2", [X, const(k(-3))], outputs=[F32, I32], label="less than none"),
    Case("TOPK_V2", [X, const(k(10))], outputs=[F32, I32], raises="TopK k is higher than the internal dimension"),
    Case("TOPK_V2", [np.float32(1), const(k(1))], outputs=[F32, I32], raises="must have 1 or more dimensions"),
    Case("TOPK_V2", [X, const(k(1))], outputs=[F32, I64], refused="int32 or int16 positions, not INT64"),
]

WHERE = [
    Case("WHERE", [X > 0], outputs=[I64]),
    Case("WHERE", [const(TIED)], outputs=[I64], label="int32 constant"),
    Case("WHERE", [np.float32([0, -0.0, 1, np.nan])], outputs=[I64], label="float"),
    Case("WHERE", [np.zeros((2, 2), bool)], outputs=[I64], label="nothing"),
    Case("WHERE", [np.array(True)], outputs=[I64], raises="requires condition w/ rank > 0"),
]

UNIQUE = [
    Case("UNIQUE", [np.int32([5, 2, 5, -1, 2, 9])], {"idx_out_type": I32}, [I32, I32]),
    Case("UNIQUE", [np.float32([1.5, 0, 1.5])], {"idx_out_type": I64}, [F32, I64], label="float by int64"),
    Case("UNIQUE", [np.int32([])], {"idx_out_type": I32}, [I32, I32], label="nothing"),
    Case("UNIQUE", [TIED], {"idx_out_type": I32}, [I32, I32], raises="has rank 2, expected 1"),
    Case("UNIQUE", [TIED[0]], {"idx_out_type": F32}, [I32, F32], refused="int32 or int64 positions, not float32"),
]

BUCKETIZE = [
    Case("BUCKETIZE", [X], {"boundaries": (-1.0, -0.5, 0.0, 1.5)}, [I32]),
    Case("BUCKETIZE", [np.int32([[-5, 3], [10, 11]])], {"boundaries": (3.0, 10.0)}, [I32], label="int32"),
    Case("BUCKETIZE", [np.float64([0.1, 0.1 + 1e-9])], {"boundaries": (0.1,)}, [I32], label="float64"),
    Case("BUCKETIZE", [X], {"boundaries": (1.0, 0.0)}, [I32], raises="Expected sorted boundaries"),
]

CASES = TOPK + WHERE + UNIQUE + BUCKETIZE


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    ("case", "shapes"),
    [
        (Case("TOPK_V2", [X, k(4)], outputs=[F32, I32]), [None, None]),
        (Case("WHERE", [X > 0], outputs=[I64]), [None]),
        (Case("UNIQUE", [TIED[0]], outputs=[I32, I32]), [None, (9,)]),
    ],
    ids=str,
)
def test_shapes_that_depend_on_values_are_open(case: Case, shapes: list[tuple[int, ...] | None]) -> None:
    op = one_op(case)
    assert [spec.shape for spec in infer_outputs(op, op.ins)] == shapes
