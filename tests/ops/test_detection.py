"""Boxes chosen among overlapping ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs
from tflite_cupy.interpreter.ops.detection import overlaps

RNG = np.random.default_rng(9)
F32, I32 = TensorType.FLOAT32, TensorType.INT32
CORNERS = RNG.uniform(0, 1, (60, 2)).astype(np.float32)
BOXES = np.concatenate([CORNERS, CORNERS + RNG.uniform(0.1, 0.6, (60, 2)).astype(np.float32)], axis=1)
SCORES = RNG.permutation(60).astype(np.float32) / 60
FLIPPED = BOXES[:, [2, 1, 0, 3]]
V4, V5 = [I32, I32], [I32, F32, I32]


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def size(n: int) -> np.ndarray:
    return np.array(n, np.int32)


CASES = [
    Case("NON_MAX_SUPPRESSION_V4", [BOXES, SCORES, const(size(60)), number(0.4), number(0.2)], outputs=V4),
    Case("NON_MAX_SUPPRESSION_V4", [FLIPPED, SCORES, const(size(5)), number(0.7), number(0)], outputs=V4, label="few"),
    Case(
        "NON_MAX_SUPPRESSION_V4", [BOXES, SCORES, const(size(9)), number(0.4), number(2)], outputs=V4, label="no scores"
    ),
    Case(
        "NON_MAX_SUPPRESSION_V4", [BOXES, SCORES, const(size(0)), number(0.4), number(0)], outputs=V4, label="no room"
    ),
    Case(
        "NON_MAX_SUPPRESSION_V4",
        [BOXES, SCORES, size(60), number(0.4), number(0.2)],
        outputs=V4,
        label="dynamic",
    ),
    Case("NON_MAX_SUPPRESSION_V4", [BOXES[:, :3], SCORES, size(6), number(0.4), number(0.2)], outputs=V4, raises="n,4"),
    Case("NON_MAX_SUPPRESSION_V4", [BOXES, SCORES[1:], size(6), number(0.4), number(0.2)], outputs=V4, raises="n,4"),
    Case("NON_MAX_SUPPRESSION_V4", [BOXES, SCORES, const(size(-6)), number(0.4), number(0.2)], outputs=V4, raises="-6"),
    Case("NON_MAX_SUPPRESSION_V5", [BOXES, SCORES, const(size(60)), number(0.5), number(0.1), number(0.5)], outputs=V5),
    Case(
        "NON_MAX_SUPPRESSION_V5",
        [BOXES, SCORES, const(size(60)), number(1), number(0.001), number(0.05)],
        outputs=V5,
        label="soft alone",
    ),
    Case(
        "NON_MAX_SUPPRESSION_V5",
        [BOXES, SCORES, const(size(60)), number(0.5), number(0.1), number(0)],
        outputs=V5,
        label="hard alone",
    ),
    Case(
        "NON_MAX_SUPPRESSION_V5",
        [BOXES, SCORES, size(60), number(0.5), number(0.1), number(0.5)],
        outputs=V5,
        label="dynamic",
    ),
    Case(
        "NON_MAX_SUPPRESSION_V5",
        [BOXES, SCORES, const(size(60)), number(0.5), number(0.1), number(-1)],
        outputs=V5,
        raises="Invalid sigma value for soft NMS",
    ),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_boxes_without_an_area_overlap_nothing() -> None:
    boxes = np.float32([[0, 0, 1, 1], [0, 0, 0, 1], [0.5, 0, 1.5, 1], [1, 1, 0, 0]])
    np.testing.assert_allclose(overlaps(boxes[0], boxes), [1, 0, 1 / 3, 1], rtol=1e-6)
    np.testing.assert_array_equal(overlaps(boxes[1], boxes), [0, 0, 0, 0])


def test_the_shape_is_open_while_the_number_of_boxes_is() -> None:
    op = one_op(Case("NON_MAX_SUPPRESSION_V4", [BOXES, SCORES, size(6), number(0.4), number(0.2)], outputs=V4))
    assert [spec.shape for spec in infer_outputs(op, op.ins)] == [None, ()]
