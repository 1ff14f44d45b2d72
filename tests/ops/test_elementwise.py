"""Functions of single elements and logic."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q

F32 = np.float32
RNG = np.random.default_rng(7)
X = RNG.normal(0, 3, (3, 5)).astype(F32)
POSITIVE = np.abs(X) + F32(0.01)
HALVES = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, -3.7, np.nan, np.inf], F32)
SCALAR = np.array(2.25, F32)
BITS = np.array([True, False, True, False])
MORE_BITS = np.array([True, True, False, False])
INT8 = np.arange(-128, 128, dtype=np.int8)
INT16 = np.arange(-(2**15), 2**15, 5, dtype=np.int16)

OPERANDS: dict[str, list[np.ndarray]] = {
    "ABS": [X, np.int32([-4, 0, 2**31 - 1]), np.int16([-5, 5])],
    "CEIL": [X, HALVES],
    "COS": [X],
    "EXP": [X, SCALAR],
    "FLOOR": [X, HALVES],
    "LOG": [POSITIVE],
    "NEG": [X, np.int32([3, -3]), np.int64([2**40, -1])],
    "ROUND": [HALVES],
    "RSQRT": [POSITIVE, SCALAR],
    "SIGN": [HALVES, np.int32([-3, 0, 3])],
    "SIN": [X],
    "SQRT": [POSITIVE],
    "SQUARE": [X],
    "ZEROS_LIKE": [X, np.int64([1, 2]), np.zeros((0, 3), F32)],
    "LOGICAL_NOT": [BITS],
}
SINGLE = [
    Case(name, [array], label=f"{array.dtype}{list(array.shape)}") for name in OPERANDS for array in OPERANDS[name]
]

QUANTIZED = [
    Case("ABS", [q(INT8, 0.1, 4)], outputs=[q(None, 0.13, -100)], label="int8"),
    Case("ABS", [q(INT8, 0.1, 4)], outputs=[q(None, 0.1, -100)], label="int8 same scale"),
    Case("ABS", [q(INT16, 0.01)], outputs=[q(None, 0.02)], label="int16"),
    Case("EXP", [q(INT8, 0.02, 4)], outputs=[q(None, 0.06, -128)], label="int8"),
    Case("EXP", [q(INT16, 1e-4)], outputs=[q(None, 1e-3)], label="int16"),
    Case("LOG", [q(INT8, 0.1, -100)], outputs=[q(None, 0.03, 7)], label="int8"),
    Case("LOG", [q(INT16, 1e-3)], outputs=[q(None, 2e-4)], label="int16"),
    Case("RSQRT", [q(INT8[28:], 0.1, -100)], outputs=[q(None, 0.03, -128)], label="int8"),
    Case("RSQRT", [q(INT8, 25.0, -128)], outputs=[q(None, 0.001, -20)], label="int8 small"),
    Case("RSQRT", [q(INT16[INT16 >= 0], 1e-3)], outputs=[q(None, 1e-3)], label="int16"),
    Case(
        "RSQRT",
        [q(INT16[INT16 >= 0], 0.00011033294867957011)],
        outputs=[q(None, 6.097456571296789e-05)],
        label="int16 halves",
    ),
    Case("RSQRT", [q(INT8, 0.1, -100)], outputs=[q(None, 0.03)], raises="only defined for positive", label="negative"),
    Case("ABS", [q(INT16, 0.01, 3)], refused="needs zero point 0", label="int16 offset"),
    Case("EXP", [q(INT8, [0.1, 0.2], axis=0)], refused="needs one scale", label="per channel"),
    Case("SQRT", [q(INT8[28:], 0.1, -100)], outputs=[q(None, 0.03, -128)], label="int8"),
    Case("SQRT", [q(INT16[INT16 >= 0], 1e-3)], outputs=[q(None, 7e-4)], label="int16"),
    Case("SQRT", [q(INT8, 0.1, -100)], outputs=[q(None, 0.03)], raises="defined for non-negative", label="negative"),
    Case("SQUARE", [q(INT8, 0.1)], refused="not supported with quantised int8 operand 0", label="int8"),
    Case("SQRT", [BITS], refused="is not supported with bool `input`; it takes float32", label="bool"),
]

PAIRS = [
    Case("LOGICAL_AND", [BITS, MORE_BITS]),
    Case("LOGICAL_OR", [BITS, MORE_BITS]),
    Case("LOGICAL_AND", [BITS, np.array(True)], label="broadcast"),
    Case("BITWISE_XOR", [np.int32([12, -7, 5]), np.int32([10, 3, 5])]),
    Case("BITWISE_XOR", [np.uint16([12, 7]), np.uint16([[10], [3]])], label="broadcast"),
    Case("RIGHT_SHIFT", [np.int32([7, -7, -7, 7, 7]), np.int32([1, 1, 40, -1, 31])]),
    Case("RIGHT_SHIFT", [np.uint8([7, 255, 128]), np.uint8([1, 40, 7])], label="uint8"),
    Case("ATAN2", [X, X[::-1].copy()]),
    Case("ATAN2", [np.array([0.0, -0.0, 1.0]), np.array([-1.0, -1.0, 0.0])], label="float64"),
    Case("LOGICAL_AND", [BITS, np.array([True] * 3)], raises="are not broadcastable", label="shapes"),
    Case("BITWISE_XOR", [np.int32([1]), np.int8([1])], refused="operands of one type, got int32 and int8"),
]

CASES = [*SINGLE, *QUANTIZED, *PAIRS]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
