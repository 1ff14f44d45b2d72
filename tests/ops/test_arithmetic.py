"""Arithmetic on two operands, and sums of many."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, check, const, matrix, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation

F32 = np.float32
RNG = np.random.default_rng(11)
X = RNG.normal(0, 4, (2, 3, 4)).astype(F32)
Y = RNG.normal(0, 4, (2, 3, 4)).astype(F32)
ROW = RNG.normal(0, 4, (4,)).astype(F32)
COLUMN = RNG.normal(0, 4, (2, 1, 1)).astype(F32)
INTEGERS = np.int32([7, -7, 7, -7, 0, 2**31 - 1, -(2**31)])
DIVISORS = np.int32([2, 2, -2, -2, 5, 3, 7])
POWER = {"pot_scale_int16": True}
GENERAL = {"pot_scale_int16": False}


def fused(activation: Activation) -> dict[str, Activation]:
    return {"fused_activation_function": activation}


REAL = [
    Case(name, operands, label=label)
    for name in ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_MOD", "FLOOR_DIV")
    for label, operands in {
        "same": [X, Y],
        "row": [X, ROW],
        "outer": [COLUMN, ROW],
        "scalar": [np.array(3.5, F32), Y],
        "scalars": [np.array(3.5, F32), np.array(-1.25, F32)],
        "constant": [X, const(ROW)],
        "empty": [X[:0], Y[:0]],
    }.items()
]

FUSED = [
    Case(name, [X, Y], fused(activation), label=activation.name.lower())
    for name in ("ADD", "SUB", "MUL", "DIV")
    for activation in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
]

INTEGRAL = [
    *(
        Case(name, [array, other], label=label)
        for name in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "FLOOR_MOD")
        for label, array, other in [
            ("int32", INTEGERS, DIVISORS),
            ("int64", INTEGERS * np.int64(2**33), DIVISORS.astype(np.int64)),
        ]
    ),
    Case("ADD", [np.int16([2**15 - 1, -4]), np.int16([1, 4])], label="int16 wraps"),
    Case("MUL", [np.uint32([3, 2**31]), np.uint32([5, 4])], label="uint32 wraps"),
    *(
        Case("MUL", [operand, operand[:1]], fused(activation), outputs=[kind], label=f"{kind.name} {activation.name}")
        for operand, kind in [
            (np.int32([-1, 0, 3, 9]), TensorType.UINT32),
            (np.uint32([2**31, 0, 3, 9]), TensorType.INT32),
            (np.uint32([2**31 - 1, 0, 3, 9]), TensorType.UINT32),
        ]
        for activation in (Activation.NONE, Activation.RELU, Activation.RELU_N1_TO_1, Activation.RELU6)
    ),
    Case("MUL", [np.complex64([1 + 2j, 3]), np.complex64([2 - 1j, 1j])], label="complex64"),
    Case("ADD", [INTEGERS, DIVISORS], fused(Activation.RELU6), label="int32 relu6"),
    Case("DIV", [INTEGERS, DIVISORS], label="int32 truncates"),
    Case("FLOOR_DIV", [INTEGERS, DIVISORS], label="int32"),
    Case("FLOOR_DIV", [np.int8([7, -7]), np.int8([2, 2])], label="int8"),
    Case("FLOOR_MOD", [np.int16([7, -7, 7]), np.int16([3, 3, -3])], label="int16"),
    Case("SQUARED_DIFFERENCE", [INTEGERS[:5], DIVISORS[:5]], label="int32"),
    Case("FLOOR_DIV", [F32([8388609.0, 1e8, -7.5]), F32([0.5, 0.3, 2.0])], label="large quotients"),
    Case("FLOOR_MOD", [F32([7.5, -7.5, 7.5, -7.5, 6.0]), F32([2, 2, -2, -2, 3])], label="signs"),
]

POWERS = [
    Case("POW", [np.abs(X), ROW], rtol=1e-5),
    Case("POW", [F32([-2, 2, 4]), F32([3, -1, 0.5])], label="signs"),
    *(Case("POW", [X, const(np.array(n, F32))], label=f"to {n:g}", atol=1e-4) for n in (2.0, 3.0, -1.0)),
    Case("POW", [np.abs(X), const(np.array(0.5, F32))], label="root"),
    Case("POW", [np.int32([3, -2, 0]), np.int32([4, 3, 0])], label="int32"),
]

WRONG = [
    Case("ADD", [X, Y[:, :2]], raises=r"Given shapes, \[2,3,4\] and \[2,2,4\], are not broadcastable", label="shapes"),
    Case("DIV", [INTEGERS, INTEGERS], raises="Division by 0", label="zero"),
    Case("FLOOR_DIV", [X, np.zeros_like(ROW)], raises="Division by 0", label="zero"),
    Case("FLOOR_MOD", [INTEGERS, const(INTEGERS)], raises="Division by 0", label="constant zero"),
    Case("POW", [INTEGERS, -INTEGERS], raises="does not support negative value", label="negative"),
    Case("ADD_N", [X, Y, X[0]], raises="operands of one shape", label="shapes"),
    Case("DIV", [q(np.int8([1]), 0.1), q(np.int8([3]), 0.1, 3)], raises="Division by 0", label="quantised zero"),
    Case("ADD", [X, INTEGERS], refused="operands of one type, got float32 and int32", label="types"),
    Case("MUL", [np.complex64([1]), np.complex64([1])], fused(Activation.RELU), refused="activation on complex"),
    Case("ADD", [q(np.int8([1]), 0.1), np.int8([1])], refused="needs one scale for its int8 operand 1", label="scale"),
]

SUMS = [Case("ADD_N", [X, Y, X]), Case("ADD_N", [INTEGERS, DIVISORS], label="int32")]


def stored(dtype: type[np.signedinteger] | type[np.unsignedinteger], shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random integers that also hold both ends of the range."""
    info = np.iinfo(dtype)
    values = np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)
    values.reshape(-1)[:2] = info.min, info.max
    return values


def pair(dtype: type, first: tuple[float, int], second: tuple[float, int], *shapes: tuple[int, ...]) -> list[Operand]:
    one, other = shapes or ((20, 50), (20, 50))
    return [q(stored(dtype, one, 1), *first), q(stored(dtype, other, 2), *second)]


def dividends(dtype: type, zero_point: int) -> np.ndarray:
    """Integers far enough from the zero point that the reference's shifts stay within 31 bits."""
    values = stored(dtype, (50, 200), 5)
    return np.where(np.abs(values.astype(int) - zero_point) < 30, np.iinfo(dtype).max, values).astype(dtype)


def divisors(dtype: type, zero_point: int) -> np.ndarray:
    """Integers other than the zero point."""
    info = np.iinfo(dtype)
    return np.array([n for n in range(info.min, info.max + 1) if n != zero_point][-200:], dtype)


BYTES = {
    "int8": (np.int8, (0.1, 3), (0.034, -7), (0.13, 11)),
    "uint8": (np.uint8, (0.1, 120), (0.034, 7), (0.13, 111)),
    "int8 fine": (np.int8, (1e-3, 0), (7e-4, 0), (1.3e-3, 0)),
}
QUANTIZED = [
    *(
        Case(name, pair(dtype, first, second, *shapes), outputs=[q(None, *third)], label=f"{label} {shapes}")
        for name in ("ADD", "SUB", "MUL")
        for label, (dtype, first, second, third) in BYTES.items()
        for shapes in [(), ((20, 50), (50,)), ((4, 1, 3), (5, 1)), ((100, 90), (100, 90)), ((100, 1, 90), (2, 90))]
    ),
    *(
        Case(
            name,
            pair(np.int8, (0.1, 3), (0.034, -7)),
            fused(activation),
            outputs=[q(None, 0.05, 11)],
            label=f"int8 {activation.name.lower()}",
        )
        for name in ("ADD", "SUB", "MUL")
        for activation in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
    ),
    *(
        Case(name, pair(np.int16, (1e-3, 0), (7e-4, 0)), GENERAL, outputs=[q(None, 2e-3)], label="int16")
        for name in ("ADD", "SUB")
    ),
    *(
        Case(
            name,
            pair(np.int16, (2.0**-12, 0), (2.0**shift, 0)),
            POWER,
            outputs=[q(None, 2.0**-12)],
            label=f"int16 2**{shift}",
        )
        for name in ("ADD", "SUB")
        for shift in (-12, -14)
    ),
    Case("ADD", pair(np.int16, (1e-3, 0), (2.0**-12, 0)), POWER, outputs=[q(None, 2.0**-12)], label="int16 one power"),
    Case(
        "ADD",
        pair(np.int16, (0.5, 0), (0.25, 0)),
        POWER,
        outputs=[q(None, 0.125)],
        raises="needs one operand on the scale",
        label="int16 too fine",
    ),
    Case("MUL", pair(np.int16, (1e-3, 0), (7e-4, 0)), outputs=[q(None, 2e-2)], label="int16"),
    Case("MUL", pair(np.int16, (1e-3, 0), (7e-4, 3)), refused="needs zero point 0", label="int16 offset"),
    Case("SQUARED_DIFFERENCE", pair(np.int8, (0.1, 3), (0.034, -7)), outputs=[q(None, 0.6, -128)], label="int8"),
    Case("SQUARED_DIFFERENCE", pair(np.int8, (0.1, 3), (0.1, 3)), outputs=[q(None, 2.6, -128)], label="int8 same"),
    *(
        Case(name, pair(dtype, (0.1, 3), (0.1, 3)), label=np.dtype(dtype).name)
        for name in ("MAXIMUM", "MINIMUM")
        for dtype in (np.int8, np.uint8, np.int16)
    ),
    Case(
        "DIV",
        [q(np.int8([56, -63]), 0.0176, 49), q(np.int8([113, 32]), 0.0223, -31)],
        outputs=[q(None, 0.242, 53)],
        expect=[np.int8([53, 47])],
        label="tiny quotient",
        unreferenced="it shifts by more than 31 bits",
    ),
    *(
        Case(
            "DIV",
            [q(dividends(dtype, first[1]), *first), q(divisors(dtype, second[1]), *second)],
            outputs=[q(None, *third)],
            label=f"{np.dtype(dtype).name} quantised {first[1]}",
        )
        for dtype, first, second, third in [
            (np.int8, (0.1, 3), (0.034, -7), (0.13, 11)),
            (np.int8, (0.02, -128), (0.5, -128), (0.01, -128)),
            (np.uint8, (0.1, 120), (0.034, 7), (0.13, 111)),
        ]
    ),
]

WITH_NAN = np.array([[1, np.nan, 3, np.nan], [2, 5, np.nan, np.nan]], F32)
EXTREMES = [Case(name, [*WITH_NAN], label="NaN") for name in ("MAXIMUM", "MINIMUM")]

WORDS = np.arange(-(2**15), 2**15, 11, dtype=np.int16)
NARROWED = [
    Case(
        "MUL",
        [q(WORDS, 2**-15), q(WORDS[::-1].copy(), 2**-15)],
        {"fused_activation_function": activation},
        outputs=[q(None, 2**-7, zero_point, type=kind)],
        label=f"int16 to {kind.name} {activation.name}",
    )
    for kind, zero_point in ((TensorType.INT8, 0), (TensorType.INT8, 10), (TensorType.UINT8, 128))
    for activation in (Activation.NONE, Activation.RELU6)
]
PLAIN = [
    Case("ADD_N", [q(np.int8([1, 2]), 0.1), q(np.int8([1, 2]), 0.1)], refused="quantised int8 operand 0", label="int8"),
    Case(
        "SQUARED_DIFFERENCE", [q(np.uint8([1]), 0.1), q(np.uint8([2]), 0.1)], refused="quantised uint8", label="uint8"
    ),
]
UNSIGNED = [
    Case(
        "ADD",
        [np.uint32([0, 1]), np.uint32([1, 4])],
        {"fused_activation_function": Activation.RELU_N1_TO_1},
        expect=[np.uint32([1, 1])],
        label="uint32 RELU_N1_TO_1",
        unreferenced="it has no kernel",
    )
]

CASES = [*REAL, *FUSED, *INTEGRAL, *POWERS, *WRONG, *SUMS, *QUANTIZED, *EXTREMES, *NARROWED, *PLAIN, *UNSIGNED]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_a_fused_hyperbolic_tangent_is_applied() -> None:
    tanh = Case("ADD", [X, Y], fused(Activation.TANH), expect=[np.tanh(X + Y)])
    check(tanh, "numpy")


def test_the_result_has_the_type_of_the_operands() -> None:
    check(Case("ADD", [X, Y], outputs=[TensorType.INT32], raises="gives float32 as output 0"))
