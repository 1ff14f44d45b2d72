"""Borders: constant and mirrored."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs
from tflite_cupy.interpreter.ops.padding import MirrorPadMode

RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 3, 4)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (1, 3, 4, 2)).astype(np.int8)
PADS = np.int32([[1, 0], [0, 2], [3, 1]])
IMAGE_PADS = np.int32([[0, 0], [1, 2], [2, 1], [0, 0]])
NINE = np.float32(9)
FIXED_WIDTH = (
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.bool_),
    *(np.float16, np.float64, ml_dtypes.bfloat16, np.complex64, np.complex128),
)
REFLECT, SYMMETRIC = {"mode": MirrorPadMode.REFLECT}, {"mode": MirrorPadMode.SYMMETRIC}

CASES = [
    Case("MIRROR_PAD", [(X * 1j).astype(np.complex64), const(np.int32([[0, 1], [1, 0], [2, 1]]))], label="complex64"),
    Case("PAD", [X, const(PADS)]),
    Case("PAD", [X, PADS], label="dynamic"),
    Case("PAD", [X, const(PADS.astype(np.int64))], label="int64 pads"),
    Case("PAD", [X.astype(np.int32), const(PADS)], label="int32"),
    Case("PAD", [X > 0, const(PADS)], label="bool", optimized=True, version=4),
    Case("PAD", [q(BYTES, 0.1, 3), const(IMAGE_PADS)], label="int8 with its zero point"),
    Case("PAD", [q(BYTES.astype(np.int16), 0.1), const(IMAGE_PADS)], label="int16"),
    Case("PAD", [q(BYTES.astype(np.uint8), 0.1, 120), const(IMAGE_PADS)], label="uint8 with its zero point"),
    Case("PAD", [np.zeros((0, 2), np.float32), const(np.int32([[1, 1], [0, 0]]))], label="of nothing"),
    Case("PAD", [X, const(PADS[:2])], raises=r"expected \[3,2\]"),
    Case("PAD", [X, const(-PADS)], raises="Pad value has to be greater than equal to 0"),
    Case("PAD", [X, const(np.int32([[2**31 - 1, 0], [0, 0], [0, 0]]))], raises="the result has 2147483649"),
    Case("PADV2", [X, const(PADS), const(np.float32(7))]),
    Case("PADV2", [X, const(PADS), np.float32([-1])], label="dynamic value"),
    Case("PADV2", [q(BYTES, 0.1, 3), const(IMAGE_PADS), q(np.int8(-9), 0.1, 3)], label="int8"),
    Case("PADV2", [X, const(PADS), const(np.int32(7))], raises="expected one FLOAT32"),
    Case("PADV2", [X, const(PADS), const(np.float32([1, 2]))], raises="expected one FLOAT32"),
    Case("MIRROR_PAD", [X, const(np.int32([[1, 0], [2, 1], [3, 3]]))], REFLECT, label="reflect"),
    Case("MIRROR_PAD", [X, const(np.int32([[1, 2], [0, 3], [4, 4]]))], SYMMETRIC, label="symmetric"),
    Case("MIRROR_PAD", [X, np.int64([[1, 0], [2, 1], [3, 3]])], REFLECT, label="dynamic int64"),
    Case("MIRROR_PAD", [q(BYTES, 0.1, 3), const(IMAGE_PADS)], SYMMETRIC, label="int8"),
    Case("MIRROR_PAD", [X, const(np.int32([[0, 0]] * 3))], REFLECT, label="by nothing"),
    Case(
        "MIRROR_PAD",
        [X, const(np.int32([[0, 0], [0, 0], [4, 0]]))],
        REFLECT,
        raises="expected at most 3",
        unreferenced="it reads what lies before the tensor",
    ),
    Case(
        "MIRROR_PAD",
        [X, const(np.int32([[0, 3], [0, 0], [0, 0]]))],
        SYMMETRIC,
        raises="expected at most 2",
        unreferenced="it repeats the first element",
    ),
    Case("MIRROR_PAD", [X, const(np.int32([[0, 0]]))], REFLECT, raises=r"expected \[3,2\]"),
    *(
        Case("DILATE", [X, const(np.int32(steps)), NINE], label=f"by {steps}")
        for steps in ([2, 1, 3], [1, 1, 1], [1, 2, 1], [3, 1, 1], [1, 1, 2])
    ),
    Case("DILATE", [X, np.int32([1, 3, 2]), NINE], label="dynamic"),
    Case("DILATE", [X, const(np.int32([2, 2, 2])), np.float32([7, 8])], label="by the first of two values"),
    *(
        Case(
            "DILATE", [BYTES[0, :, :, 0].astype(dtype), const(np.int32([2, 3])), np.array(1).astype(dtype)], label=label
        )
        for dtype, label in ((dtype, np.dtype(dtype).name) for dtype in FIXED_WIDTH)
    ),
    Case("DILATE", [q(BYTES[0, 0], 0.1, 3), const(np.int32([2, 1])), q(np.int8(0), 0.1, 3)], label="quantised"),
    Case("DILATE", [X[:0], const(np.int32([1, 1, 1])), NINE], label="of nothing"),
    Case("DILATE", [X[:0], const(np.int32([2, 1, 1])), NINE], raises="expected 1 or more, 1 for none"),
    Case("DILATE", [X, np.int32([0, 1, 1]), NINE], raises="DILATE by 0 of dimension 0"),
    Case("DILATE", [X, np.int32([1, 2]), NINE], raises="expected one for each dimension"),
    Case("DILATE", [np.float32(1), const(np.zeros(0, np.int32)), NINE], raises="expected one for each dimension"),
    Case("DILATE", [X, const(np.int32([1, 2, 1])), np.int32(9)], raises="expected one FLOAT32"),
    Case("DILATE", [X, const(np.int64([1, 2, 1])), NINE], refused="is not supported with int64"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    "case", [Case("PAD", [X, PADS]), Case("MIRROR_PAD", [X, PADS]), Case("DILATE", [X, PADS[:, 0], NINE])]
)
def test_the_shape_is_open_while_the_amounts_are(case: Case) -> None:
    op = one_op(case)
    (spec,) = infer_outputs(op, op.ins)
    assert (spec.type, spec.shape) == (TensorType.FLOAT32, None)
