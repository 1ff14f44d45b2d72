"""StableHLO operators that give the same elements another shape or order, join them, or count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType

NO_KERNEL = "it has no kernel"
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
WORDS = np.array([b"a", b"bc", b"def"], object)


def shaped(kind: TensorType, *shape: int) -> Operand:
    return Operand(type=kind, shape=shape)


def reshaped(x: Any, *shape: int, **more: Any) -> Case:
    return Case(
        "STABLEHLO_RESHAPE", [x], outputs=[shaped(TensorType.of(x.dtype), *shape)], unreferenced=NO_KERNEL, **more
    )


def stretched(x: np.ndarray, dimensions: list[int], *shape: int, **more: Any) -> Case:
    attributes = {"broadcast_dimensions": dimensions}
    outputs = [shaped(TensorType.of(x.dtype), *shape)]
    return Case("STABLEHLO_BROADCAST_IN_DIM", [x], attributes, outputs, unreferenced=NO_KERNEL, **more)


def counted(kind: TensorType, axis: int, *shape: int, **more: Any) -> Case:
    outputs = [shaped(kind, *shape)]
    return Case("STABLEHLO_IOTA", [], {"iota_dimension": axis}, outputs, unreferenced=NO_KERNEL, **more)


def joined(axis: int, *values: Any, **more: Any) -> Case:
    return Case("STABLEHLO_CONCATENATE", values, {"dimension": axis}, unreferenced=NO_KERNEL, **more)


def transposed(x: Any, *permutation: int, **more: Any) -> Case:
    return Case("STABLEHLO_TRANSPOSE", [x], {"permutation": permutation}, unreferenced=NO_KERNEL, **more)


CASES = [
    reshaped(X, 4, 6, expect=[[[6.0 * i + j for j in range(6)] for i in range(4)]]),
    reshaped(X[:1, :1, :1], expect=[0.0], label="to a scalar"),
    reshaped(np.complex64(1j), 1, 1, expect=[[[1j]]], label="from a scalar"),
    reshaped(X[:0], 7, 0, expect=[np.zeros((7, 0))], label="of nothing"),
    reshaped(WORDS, 3, 1, expect=[[[b"a"], [b"bc"], [b"def"]]], label="strings"),
    reshaped(X, 5, 5, raises="which takes 25 elements", label="wrong size"),
    transposed(X, 2, 0, 1, expect=[[[[X[j, k, i] for k in range(3)] for j in range(2)] for i in range(4)]]),
    transposed(np.float32(3), expect=[3.0], label="scalar"),
    transposed(q(np.int8([[1, 2], [3, 4]]), 0.5), 1, 0, expect=[[[1, 3], [2, 4]]], label="quantised"),
    transposed(X, 0, 1, raises="permutation is", label="too short"),
    transposed(X, 0, 1, 1, raises="permutation is", label="twice"),
    transposed(X, 0, 1, -1, raises="permutation is", label="negative"),
    joined(1, X[:, :1], X[:, 1:], expect=[X]),
    joined(0, X[0, 0], X[0, 1], X[0, 2], expect=[X[0].ravel()], label="three"),
    joined(0, X, expect=[X], label="one"),
    joined(0, WORDS[:1], WORDS[1:], expect=[WORDS], label="strings"),
    joined(1, X > 3, X[:, :0] > 3, expect=[X > 3], label="bool with nothing"),
    joined(1, X, X[:1], raises="which do not fit", label="other shape"),
    joined(1, X, X.astype(np.int32), raises="which do not fit", label="other type"),
    joined(3, X, X, raises="different ones out of 3", label="no such dimension"),
    joined(-1, X, X, raises="different ones out of 3", label="negative dimension"),
    joined(0, np.float32(1), raises="different ones out of 0", label="scalar"),
    stretched(X[0, 0], [1], 2, 4, 3, expect=[[[[float(j)] * 3 for j in range(4)]] * 2]),
    stretched(X[0, :, :2], [2, 0], 2, 1, 3, expect=[[[[0, 4, 8]], [[1, 5, 9]]]], label="turned"),
    stretched(X[:, :1, 0], [0, 2], 2, 2, 3, expect=[[[[0.0] * 3] * 2, [[12.0] * 3] * 2]], label="ones"),
    stretched(np.int32(5), [], 2, 2, expect=[[[5, 5], [5, 5]]], label="scalar"),
    stretched(X[0, 0, :1] > 1, [0], 0, expect=[[]], label="to nothing"),
    stretched(X[0, 0], [0], 3, raises="BROADCAST_IN_DIM of", label="other size"),
    stretched(X[0], [0], 3, raises="BROADCAST_IN_DIM of", label="too few"),
    stretched(X[0], [1, 1], 3, 4, raises="different ones out of 2", label="twice"),
    stretched(X[0, 0], [2], 3, 4, raises="different ones out of 2", label="no such dimension"),
    counted(TensorType.INT32, 0, 3, 2, expect=[[[0, 0], [1, 1], [2, 2]]]),
    counted(TensorType.INT64, 1, 2, 3, expect=[[[0, 1, 2]] * 2], label="int64"),
    counted(TensorType.UINT8, 0, 300, expect=[[i % 256 for i in range(300)]], label="uint8 wraps"),
    counted(TensorType.BFLOAT16, 0, 4, expect=[[0, 1, 2, 3]], label="bfloat16"),
    counted(TensorType.COMPLEX64, 1, 1, 3, expect=[[[0, 1, 2]]], label="complex64"),
    counted(TensorType.FLOAT32, 0, 0, 2, expect=[np.zeros((0, 2))], label="of nothing"),
    counted(TensorType.FLOAT32, 2, 3, 2, raises="different ones out of 2", label="no such dimension"),
    counted(TensorType.BOOL, 0, 2, refused="gives numbers, not bool"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize("operator", ["STABLEHLO_RESHAPE", "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_IOTA"])
def test_a_result_of_undeclared_shape_is_an_error(operator: str) -> None:
    inputs = [] if operator == "STABLEHLO_IOTA" else [X]
    check(Case(operator, inputs, raises="the shape of the result is not declared"))
