"""Slices combined by segment."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 2, 3)).astype(np.float32)
IDS = np.array([0, 0, 1, 2, 2, 2], np.int32)
MIXED = np.array([4, -1, 0, 4, 2, 0], np.int32)
UNSORTED = [f"UNSORTED_SEGMENT_{name}" for name in ("SUM", "MAX", "MIN", "PROD")]


def count(n: int) -> np.ndarray:
    return np.array(n, np.int32)


CASES = [
    Case("SEGMENT_SUM", [X, IDS]),
    Case("SEGMENT_SUM", [X, const(IDS)], label="constant ids"),
    Case("SEGMENT_SUM", [np.int32([2**31 - 1, 1]), np.int32([0, 0])], label="int32 wraps around"),
    Case("SEGMENT_SUM", [X[:0], IDS[:0]], label="nothing"),
    Case("SEGMENT_SUM", [X, IDS + np.int32(1)], raises="expected 0, then steps of 0 or 1"),
    Case("SEGMENT_SUM", [X, const(IDS[::-1])], raises="expected 0, then steps of 0 or 1"),
    Case("SEGMENT_SUM", [X, IDS * np.int32(2)], raises="expected 0, then steps of 0 or 1"),
    Case("SEGMENT_SUM", [X, IDS[:5]], raises="expected one id for each slice"),
    *(Case(name, [X, MIXED, const(count(5))]) for name in UNSORTED),
    *(Case(name, [np.int32(X * 9), const(MIXED), const(count(6))], label="int32") for name in UNSORTED),
    Case("UNSORTED_SEGMENT_SUM", [X, MIXED, count(5)], label="dynamic count"),
    Case("UNSORTED_SEGMENT_SUM", [X, np.int32([[0, 3]] * 6), const(np.int32([4]))], label="ids of two dimensions"),
    Case("UNSORTED_SEGMENT_PROD", [X, np.int32(1), const(count(2))], label="one id"),
    Case("UNSORTED_SEGMENT_MAX", [X[:0], IDS[:0], const(count(2))], label="nothing"),
    Case(
        "UNSORTED_SEGMENT_SUM", [X, MIXED, const(count(4))], raises="segment_ids out of range: got 4, expected 0 to 3"
    ),
    Case("UNSORTED_SEGMENT_SUM", [X, MIXED, const(count(-1))], raises="num_segments has -1"),
    Case("UNSORTED_SEGMENT_SUM", [X, MIXED[:3], const(count(5))], raises="expected ids for the leading dimensions"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_the_number_of_segments_is_open_until_the_ids_are_known() -> None:
    op = one_op(Case("SEGMENT_SUM", [X, IDS]))
    (spec,) = infer_outputs(op, op.ins)
    assert (spec.type, spec.shape) == (TensorType.FLOAT32, None)
    op = one_op(Case("SEGMENT_SUM", [X, const(IDS)]))
    assert infer_outputs(op, op.ins)[0].shape == (3, 2, 3)
