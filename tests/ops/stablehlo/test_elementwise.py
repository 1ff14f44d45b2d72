"""StableHLO operators on single elements. Expected values come from Python's own arithmetic."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType

NO_KERNEL = "it has no kernel"
RNG = np.random.default_rng(11)
X = RNG.uniform(0.1, 3, (2, 3, 4)).astype(np.float32)
Y = RNG.normal(size=(2, 3, 4)).astype(np.float32)
Z = (X + 1j * Y).astype(np.complex64)
Z2 = Z.astype(np.complex128)
INTEGERS = RNG.integers(-(2**31), 2**31, (2, 5), dtype=np.int32)
OTHERS, PLACES = INTEGERS[::-1], INTEGERS % 8
STORED = q(np.int8([100, 5, -7]), 0.5, 3)
SHORTS = np.int16([-32768, -5, 0, 7, 32767])
BYTES = np.uint8([0, 1, 127, 200, 255])
FLAGS = np.array([[True, True, False], [False, True, False]])
OTHER_FLAGS = np.array([[True, False, True], [False, True, False]])
UNORDERED = np.float32([np.nan, 1, 0.0, -0.0, np.nan, -np.inf])
REORDERED = np.float32([1, np.nan, -0.0, 0.0, np.nan, np.inf])
ORDERED = np.complex64([1 + 2j, 3 - 1j, 2 + 2j, 2 + 1j])
PAIRED = np.complex64([1 + 3j, 2 + 9j, 2 + 2j, 2 + 3j])
KERNELS = ("STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")
WHOLE = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
COARSE = {np.dtype(np.float16): 2e-3, np.dtype(ml_dtypes.bfloat16): 2e-2}


def each(function: Callable[..., Any], *arrays: np.ndarray, dtype: Any = None) -> list[np.ndarray]:
    """`function` of the elements as Python numbers, in the dtype of the first array."""
    values = [function(*row) for row in zip(*(array.ravel().tolist() for array in arrays), strict=True)]
    return [np.array(values).reshape(arrays[0].shape).astype(dtype or arrays[0].dtype)]


def alone(name: str, inputs: list[Any], expect: list[Any], label: str = "", **more: Any) -> Case:
    """A case of an operator for which the reference has no kernel, or none for these types."""
    return Case(name, inputs, expect=expect, label=label, unreferenced=NO_KERNEL, **more)


def functions(name: str, real: Callable[..., Any], imaginary: Callable[..., Any] | None, x: np.ndarray) -> list[Case]:
    """Cases of a function of one operand: every real type, and complex numbers where `imaginary` is given."""
    cases = []
    for value in map(x.astype, (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)):
        expect = each(real, value.astype(np.float64))
        cases.append(alone(name, [value], expect, str(value.dtype), rtol=COARSE.get(value.dtype, 1e-5)))
    for value in (Z, Z2) if imaginary else ():
        cases.append(alone(name, [value], each(imaginary, value), str(value.dtype)))
    return cases


FUNCTIONS = [
    *functions("STABLEHLO_LOGISTIC", lambda x: 1 / (1 + math.exp(-x)), lambda x: 1 / (1 + cmath.exp(-x)), Y),
    *functions("STABLEHLO_COSINE", math.cos, cmath.cos, Y),
    *functions("STABLEHLO_EXPONENTIAL", math.exp, cmath.exp, Y),
    *functions("STABLEHLO_LOG", math.log, cmath.log, X),
    *functions("STABLEHLO_RSQRT", lambda x: x**-0.5, lambda x: 1 / cmath.sqrt(x), X),
    *functions("STABLEHLO_TANH", math.tanh, cmath.tanh, Y),
    *functions("STABLEHLO_CBRT", math.cbrt, lambda x: cmath.exp(cmath.log(x) / 3), X),
    *functions("STABLEHLO_CBRT", math.cbrt, None, -X),
    *functions("STABLEHLO_FLOOR", math.floor, None, Y),
    *functions("STABLEHLO_NEGATE", lambda x: 0 - x, lambda x: 0 - x, Y),
    *functions("STABLEHLO_ABS", math.fabs, None, Y),
]
UNARY = [
    alone("STABLEHLO_NEGATE", [SHORTS], [np.int16([-32768, 5, 0, -7, -32767])], "int16"),
    alone("STABLEHLO_NEGATE", [BYTES], [np.uint8([0, 255, 129, 56, 1])], "uint8"),
    alone("STABLEHLO_ABS", [SHORTS], [np.int16([-32768, 5, 0, 7, 32767])], "int16"),
    alone("STABLEHLO_ABS", [Z], each(abs, Z, dtype=np.float32), "complex64", outputs=[TensorType.FLOAT32]),
    alone("STABLEHLO_ABS", [Z2], each(abs, Z2, dtype=np.float64), "complex128", outputs=[TensorType.FLOAT64]),
    alone("STABLEHLO_CBRT", [np.complex64([0, 8])], [np.complex64([0, 2])], "of 0"),
    alone("STABLEHLO_TANH", [np.float32(0.5)], [np.tanh(0.5)], "scalar"),
    alone("STABLEHLO_LOG", [X[:0]], [X[:0]], "of nothing"),
    Case("STABLEHLO_FLOOR", [SHORTS], refused="is not supported with int16"),
    Case("STABLEHLO_FLOOR", [Z], refused="is not supported with complex64"),
    Case("STABLEHLO_NEGATE", [FLAGS], refused="is not supported with bool"),
    Case("STABLEHLO_TANH", [q(np.int8([1]), 0.5)], refused="is not supported with int8"),
    Case("STABLEHLO_ABS", [q(np.int8([1]), 0.5)], refused="is not supported with quantised operands"),
]
REFERENCED = [
    *(
        Case(name, [X.astype(dtype), Y.astype(dtype)], label=np.dtype(dtype).name, rtol=1e-3)
        for name in KERNELS
        for dtype in (np.float16, np.float32, np.float64)
    ),
    *(
        Case(name, [INTEGERS.astype(dtype), OTHERS.astype(dtype)], label=np.dtype(dtype).name)
        for name in KERNELS
        for dtype in WHOLE
    ),
    *(Case(name, [FLAGS, OTHER_FLAGS], label="bool") for name in KERNELS),
    *(
        Case(name, [UNORDERED.astype(dtype), REORDERED.astype(dtype)], label=f"{np.dtype(dtype).name} with NaN")
        for name in ("STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")
        for dtype in (np.float16, np.float32, np.float64)
    ),
    Case("STABLEHLO_ADD", [STORED, STORED], label="stored int8"),
    Case("STABLEHLO_ADD", [np.float32(2), np.float32(3)], label="scalars"),
    Case("STABLEHLO_ADD", [X[:0], Y[:0]], label="of nothing"),
    Case("STABLEHLO_ADD", [X, Y[:1]], raises="operands of one shape"),
    Case("STABLEHLO_ADD", [X, np.float32(1)], raises="operands of one shape"),
    Case("STABLEHLO_ADD", [X, Y.astype(np.float64)], refused="operands of one type, got float32 and float64"),
    *(
        Case("STABLEHLO_AND", [INTEGERS.astype(dtype), OTHERS.astype(dtype)], label=label, optimized=True)
        for dtype, label in ((dtype, np.dtype(dtype).name) for dtype in WHOLE)
    ),
    Case("STABLEHLO_AND", [FLAGS, OTHER_FLAGS], label="bool", optimized=True),
    Case("STABLEHLO_AND", [X, Y], refused="is not supported with float32"),
    *(
        Case("STABLEHLO_SHIFT_LEFT", [INTEGERS.astype(dtype), PLACES.astype(dtype)], label=label, optimized=True)
        for dtype, label in ((np.int8, "int8"), (np.int16, "int16"), (np.int32, "int32"))
    ),
]
BINARY = [
    alone("STABLEHLO_ADD", [Z, Z], [2 * Z], "complex64"),
    alone("STABLEHLO_MULTIPLY", [Z, Z], each(lambda x: x**2, Z), "complex64"),
    alone("STABLEHLO_MAXIMUM", [ORDERED, PAIRED], [np.complex64([1 + 3j, 3 - 1j, 2 + 2j, 2 + 3j])], "complex64"),
    alone("STABLEHLO_MINIMUM", [ORDERED, PAIRED], [np.complex64([1 + 2j, 2 + 9j, 2 + 2j, 2 + 1j])], "complex64"),
    alone("STABLEHLO_SUBTRACT", [X, Y], each(lambda x, y: x - y, X, Y)),
    alone("STABLEHLO_SUBTRACT", [BYTES, BYTES[::-1]], [np.uint8([1, 57, 0, 199, 255])], "uint8"),
    alone("STABLEHLO_SUBTRACT", [Z, Z.conj()], [2j * Z.imag], "complex64"),
    Case("STABLEHLO_SUBTRACT", [FLAGS, FLAGS], refused="is not supported with bool"),
    Case("STABLEHLO_SUBTRACT", [STORED, STORED], refused="is not supported with quantised operands"),
    alone("STABLEHLO_OR", [INTEGERS, OTHERS], each(lambda a, b: a | b, INTEGERS, OTHERS)),
    alone("STABLEHLO_OR", [FLAGS, OTHER_FLAGS], each(lambda a, b: a or b, FLAGS, OTHER_FLAGS), "bool"),
    Case(
        "STABLEHLO_SHIFT_LEFT",
        [np.int32([1, 3, 1, -1, 5]), np.int32([32, 31, -1, 64, 2**31 - 1])],
        expect=[np.int32([0, -(2**31), 0, 0, 0])],
        label="by all bits",
        unreferenced="C++ leaves such shifts open",
    ),
    alone("STABLEHLO_SHIFT_LEFT", [np.uint64([1, 3, 1]), np.uint64([63, 64, 2**64 - 1])], [np.uint64([2**63, 0, 0])]),
]
CASES = [*FUNCTIONS, *UNARY, *REFERENCED, *BINARY]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
