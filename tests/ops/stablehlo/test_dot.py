"""STABLEHLO_DOT_GENERAL against sums of products."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType

RNG = np.random.default_rng(5)


def numbers(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    low, high = (0, 255) if dtype is np.uint8 else (-128, 127)
    x = RNG.integers(low, high, shape) if np.dtype(dtype).kind in "iu" else RNG.normal(size=shape)
    return x.astype(dtype)


def dot(x: np.ndarray, y: np.ndarray, batching: Any = ((), ()), contracting: Any = ((), ()), **more: Any) -> Case:
    """The product by einsum in wide numbers."""
    outputs = more.pop("outputs", [TensorType.of(x.dtype)])
    left, right = list(ascii_letters[: x.ndim]), list(ascii_letters[26 : 26 + y.ndim])
    for a, b in zip((*batching[0], *contracting[0]), (*batching[1], *contracting[1]), strict=True):
        right[b] = left[a]
    batch = [left[a] for a in batching[0]]
    rest = [c for c in left + right if (c in left) != (c in right)]
    wide = np.complex128 if x.dtype.kind == "c" else np.int64 if x.dtype.kind in "iu" else np.float64
    formula = f"{''.join(left)},{''.join(right)}->{''.join(batch + rest)}"
    expected = np.einsum(formula, x.astype(wide), y.astype(wide)).astype(outputs[0].dtype)
    attributes = {
        "lhs_batching_dimensions": batching[0],
        "rhs_batching_dimensions": batching[1],
        "lhs_contracting_dimensions": contracting[0],
        "rhs_contracting_dimensions": contracting[1],
    }
    more = {"label": f"{x.dtype} {formula}", "unreferenced": "it has no kernel", "expect": [expected]} | more
    return Case("STABLEHLO_DOT_GENERAL", [x, y], attributes, outputs=outputs, **more)


A, B = numbers(np.float32, (2, 3, 4)), numbers(np.float32, (4, 2, 5))
I32 = [TensorType.INT32]
CASES = [
    dot(A, B, ((0,), (1,)), ((2,), (0,))),
    dot(A, B, contracting=((2, 0), (0, 1))),
    dot(A, B, ((0, 2), (1, 0))),
    dot(A, B, rtol=1e-4),
    dot(A[0, 0], B[:, 0, 0], contracting=((0,), (0,)), rtol=1e-4),
    dot(A[:0], B[:, :0], ((0,), (1,)), ((2,), (0,)), label="of nothing"),
    dot(A[..., :0], B[:0], contracting=((2,), (0,)), label="over nothing"),
    *(
        dot(numbers(dtype, (3, 700)), numbers(dtype, (700, 4)), contracting=((1,), (0,)), outputs=I32)
        for dtype in (np.int8, np.uint8, np.int16)
    ),
    *(
        dot(numbers(dtype, (3, 7)), numbers(dtype, (7, 4)), contracting=((1,), (0,)), rtol=rtol, atol=rtol)
        for dtype, rtol in (
            *((np.float16, 1e-2), (ml_dtypes.bfloat16, 1e-1), (np.float64, 1e-12), (np.int32, 0), (np.int64, 0)),
            *((np.complex64, 1e-5), (np.int8, 0)),
        )
    ),
    Case("STABLEHLO_DOT_GENERAL", [A, B], {"lhs_contracting_dimensions": (0,), "rhs_contracting_dimensions": (0,)},
         raises="do not fit", unreferenced="it has no kernel", label="sizes"),
    Case("STABLEHLO_DOT_GENERAL", [A, B], {"lhs_contracting_dimensions": (3,), "rhs_contracting_dimensions": (0,)},
         raises="different ones out of 3", unreferenced="it has no kernel", label="dimensions"),
    Case("STABLEHLO_DOT_GENERAL", [A, B.astype(np.int32)], refused="not supported from", label="types"),
    Case("STABLEHLO_DOT_GENERAL", [q(np.int8([1]), 0.5), np.int8([1])], outputs=I32, refused="quantised"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
