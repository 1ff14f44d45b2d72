"""StableHLO operators that pick elements or give them another type."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType

NO_KERNEL = "it has no kernel"
X = np.float32([[-2.5, -0.0, 0.5], [1.75, np.nan, 300]])
MASK = np.array([[True, False, True], [False, False, True]])
Z = np.complex64([1.5 + 2j, -3j, 0])


def converted(value: np.ndarray, kind: TensorType, expect: list[Any]) -> Case:
    return Case(
        "STABLEHLO_CONVERT",
        [value],
        outputs=[kind],
        expect=[np.array(expect).astype(kind.dtype)],
        label=f"{value.dtype.name} to {kind.name}",
        unreferenced=NO_KERNEL,
    )


def clamped(low: np.ndarray, x: np.ndarray, high: np.ndarray, expect: np.ndarray, label: str) -> Case:
    return Case(
        "STABLEHLO_CLAMP",
        [low, x, high],
        outputs=[TensorType.of(x.dtype)],
        expect=[expect],
        label=label,
        unreferenced=NO_KERNEL,
    )


def selected(pred: np.ndarray, x: np.ndarray, y: np.ndarray, *expect: np.ndarray, **more: Any) -> Case:
    outputs = [TensorType.of(x.dtype)]
    return Case("STABLEHLO_SELECT", [pred, x, y], outputs=outputs, expect=expect, unreferenced=NO_KERNEL, **more)


CASES = [
    converted(X, TensorType.INT32, [[-2, 0, 0], [1, 2**31 - 1, 300]]),
    converted(X, TensorType.BOOL, [[True, False, True], [True, True, True]]),
    converted(X, TensorType.BFLOAT16, X.tolist()),
    converted(X.astype(ml_dtypes.bfloat16), TensorType.INT8, [[-2, 0, 0], [1, 127, 127]]),
    converted(X.astype(np.float64), TensorType.FLOAT16, X.tolist()),
    converted(np.int32([-1, 0, 300]), TensorType.UINT8, [255, 0, 44]),
    converted(np.uint64([2**63 + 1, 5]), TensorType.INT64, [-(2**63) + 1, 5]),
    converted(np.int32([-1, 0, 300]), TensorType.BOOL, [True, False, True]),
    converted(MASK, TensorType.FLOAT32, [[1, 0, 1], [0, 0, 1]]),
    converted(Z, TensorType.FLOAT32, [1.5, 0, 0]),
    converted(Z, TensorType.BOOL, [True, False, False]),
    converted(X[:, 0], TensorType.COMPLEX64, [-2.5, 1.75]),
    selected(MASK, X, -X, np.float32([[-2.5, 0.0, 0.5], [-1.75, np.nan, 300]]), label="each"),
    selected(np.array(True), X, -X, X, label="all"),
    selected(np.array(False), X[:0], X[:0], X[:0], label="none of none"),
    selected(MASK[0], Z, 2 * Z, np.complex64([1.5 + 2j, -6j, 0]), label="complex"),
    selected(MASK[0], np.int64([1, 2, 3]), np.int64([4, 5, 6]), np.int64([1, 5, 3]), label="int64"),
    selected(MASK[0], MASK[0], MASK[1], np.array([True, False, True]), label="bool"),
    Case(
        "STABLEHLO_SELECT",
        [np.array([True, False]), q(np.int8([1, 2]), 0.5, 3), q(np.int8([5, 6]), 0.5, 3)],
        outputs=[q(None, 0.5, 3, type=TensorType.INT8)],
        expect=[np.int8([1, 6])],
        label="quantised",
        unreferenced=NO_KERNEL,
    ),
    selected(MASK[:1], X, X, raises="pred is bool"),
    selected(MASK, X, X[:1], raises="operands of one shape"),
    Case("STABLEHLO_SELECT", [MASK, X, X.astype(np.float64)], refused="values of one type, got float32 and float64"),
    clamped(np.float32(-1), X, np.float32(1), np.float32([[-1, 0, 0.5], [1, np.nan, 1]]), "scalars"),
    clamped(np.zeros_like(X), X, X + 1, np.float32([[-1.5, 0, 0.5], [1.75, np.nan, 300]]), "tensors"),
    clamped(np.float32(2), X[0], np.float32(1), np.float32([1, 1, 1]), "contradiction"),
    clamped(np.int8(-3), np.int8([-128, -3, 0, 127]), np.int8(5), np.int8([-3, -3, 0, 5]), "int8"),
    clamped(np.array(False), MASK[0], np.array(False), np.zeros(3, bool), "bool"),
    clamped(np.complex64(0), Z, np.complex64(1 + 1j), np.complex64([1 + 1j, 0, 0]), "complex"),
    Case("STABLEHLO_CLAMP", [X[:1], X, X], raises="low is float32", unreferenced=NO_KERNEL),
    Case("STABLEHLO_CLAMP", [X, X, X[:1]], raises="high is float32", unreferenced=NO_KERNEL),
    Case("STABLEHLO_CLAMP", [np.float64(0), X, X], refused="operands of one type"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
