"""Padding of StableHLO against the reference kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, q
from tests.ops.test_padding import FIXED_WIDTH
from tflite_cupy.interpreter.graph import TensorType

X = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
NINE = np.float32(9)


def pad(x: Any, low: list[int], high: list[int], interior: list[int], value: Any = NINE, **more: Any) -> Case:
    attributes = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": interior}
    label = more.pop("label", f"{low} {high} {interior}")
    return Case("STABLEHLO_PAD", [x, value], attributes, label=label, **more)


CASES = [
    *(
        pad(X, low, high, interior)
        for low, high, interior in (
            ([1, 2], [0, 1], [0, 0]),
            ([0, 0], [0, 0], [0, 0]),
            ([0, 0], [0, 0], [2, 1]),
            ([1, 2], [3, 0], [2, 1]),
            ([-1, 0], [0, -1], [1, 2]),
            ([0, -1], [0, -1], [1, 1]),
            ([0, -1], [0, 0], [0, 3]),
            ([0, -2], [0, 0], [0, 3]),
            ([0, -6], [0, 2], [0, 3]),
            ([0, 2], [0, -6], [0, 3]),
            ([2, -4], [0, 2], [0, 1]),
            ([-3, 0], [4, 0], [0, 0]),
            ([5, 0], [-6, 0], [0, 0]),
            ([-2, 0], [0, 0], [0, 0]),  # nothing is left of one dimension
            ([-9, 0], [0, 1], [0, 0]),
            ([0], [1], [1]),  # too short
            ([0, 1, 2], [0, 1, 2], [0, 1, 2]),  # too long
        )
    ),
    pad(X[:0], [0, 0], [0, 0], [0, 0], label="of nothing"),
    pad(X[:0], [3, 0], [0, 0], [1, 0], label="around nothing"),
    pad(X, [1, 0], [0, 0], [0, 0], np.float32([9]), label="value in a vector"),
    pad(X, [1, 0], [0, 0], [0, 1], const(NINE), label="constant value"),
    *(
        pad(X.astype(dtype), [1, 0], [-1, 1], [1, 0], np.array(1).astype(dtype), label=np.dtype(dtype).name)
        for dtype in FIXED_WIDTH
    ),
    pad(q(np.int8([1, 2]), 0.5, 3), [1], [0], [1], q(np.int8(0), 0.5, 3), label="quantised"),
    pad(X, [0, 0], [0, 0], [0], raises="one length", label="of several lengths"),
    pad(X, [0, 0], [0, 0], [-1, 0], raises="interior_padding is", label="negative interior"),
    pad(X, [1, 0], [0, 0], [0, 0], np.int32(9), raises="expected one FLOAT32", label="other type"),
    pad(X, [1, 0], [0, 0], [0, 0], np.float32([9, 8]), raises="expected one FLOAT32", label="two values"),
    pad(
        *(X[0], [2**31], [0], [0]),
        raises="the result has 2147483651",
        unreferenced="it may try to have so much",
        label="huge",
    ),
    Case(
        "STABLEHLO_PAD",
        [const(np.int8([[1, -2], [3, 4]]), TensorType.INT4), const(np.int8(7), TensorType.INT4)],
        {"edge_padding_low": [1, 0], "edge_padding_high": [0, 0], "interior_padding": [0, 1]},
        expect=[np.int8([[7, 7, 7], [1, 7, -2], [3, 7, 4]])],
        label="int4",
        unreferenced="it takes each byte for one element",
    ),
    pad(np.array([b"a"], object), [1], [0], [0], np.array(b"b", object), refused="is not supported with string"),
    pad(np.float32(3), [], [], [], expect=[3.0], unreferenced="it takes no scalars", label="scalar"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
