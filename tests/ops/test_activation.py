"""Activation functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, q
from tflite_cupy.interpreter.ops.activation import erf

F32 = np.float32
RNG = np.random.default_rng(5)
X = RNG.normal(0, 4, (2, 3, 5)).astype(F32)
WIDE = F32([-1e30, -100, -20, -6.0, -0.0, 0.0, 1e-30, 6, 20, 100, 1e30])
SCALAR = np.array(-1.5, F32)
CHANNELS = RNG.normal(0.3, 0.5, (5,)).astype(F32)
INT8 = np.arange(-128, 128, dtype=np.int8)
UINT8 = np.arange(256, dtype=np.uint8)
INT16 = np.arange(-(2**15), 2**15, 3, dtype=np.int16)

SIMPLE = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "HARD_SWISH", "ELU", "GELU", "LOGISTIC", "TANH", "LEAKY_RELU")
ATTRIBUTES: dict[str, dict[str, object]] = {"LEAKY_RELU": {"alpha": 0.2}}

REAL = [
    *(
        Case(name, [array], ATTRIBUTES.get(name, {}), label=label)
        for name in SIMPLE
        for label, array in {"random": X, "wide": WIDE, "scalar": SCALAR, "empty": X[:0]}.items()
    ),
    *(Case("LEAKY_RELU", [X], {"alpha": alpha}, label=f"alpha {alpha}") for alpha in (0.0, -0.5, 1.5)),
    Case("GELU", [X], {"approximate": True}, label="approximate"),
    Case("PRELU", [X, CHANNELS]),
    Case("PRELU", [X, const(CHANNELS.reshape(1, 1, 5))], label="constant"),
    Case("PRELU", [X, X * F32(0.5)], label="elementwise"),
    Case("PRELU", [CHANNELS, X], raises="alpha of shape", label="stretched"),
    Case("PRELU", [X, CHANNELS[:3]], raises="not broadcastable", label="shapes"),
]


def steps(name: str, label: str) -> tuple[float, int]:
    """Scale and zero point that the result of `name` must have, or some that fit."""
    fixed = {"LOGISTIC": {"int8": (2.0**-8, -128), "uint8": (2.0**-8, 0), "int16": (2.0**-15, 0)}}
    fixed["TANH"] = {"int8": (2.0**-7, 0), "uint8": (2.0**-7, 128), "int16": (2.0**-15, 0)}
    free = {"int8": (0.05, -9), "uint8": (0.05, 119), "int16": (3e-4, 0)}
    return fixed.get(name, free)[label]


OPERANDS = {
    "int8": [q(INT8, 0.06, 5), q(INT8, 0.01, -128), q(INT8, 1.7, 100)],
    "uint8": [q(UINT8, 0.06, 125), q(UINT8, 0.9, 0)],
    "int16": [q(INT16, 2e-4), q(INT16, 2.0**-12), q(INT16, 2.0**-11), q(INT16, 1e-5), q(INT16, 0.003)],
}
TYPES = {
    "HARD_SWISH": ("int8", "uint8"),
    "ELU": ("int8",),
    "GELU": ("int8", "uint8"),
    "RELU_N1_TO_1": ("int8", "uint8"),
    "RELU_0_TO_1": ("int8", "uint8"),
}
QUANTIZED = [
    *(
        Case(name, [operand], ATTRIBUTES.get(name, {}), outputs=[q(None, *steps(name, kind))], label=f"{kind} {number}")
        for name in SIMPLE
        for kind in TYPES.get(name, ("int8", "uint8", "int16"))
        for number, operand in enumerate(OPERANDS[kind])
    ),
    *(
        Case("LEAKY_RELU", [q(INT8, 0.06, 5)], {"alpha": a}, outputs=[q(None, 0.05, -9)], label=f"int8 alpha {a}")
        for a in (-0.5, 1.5)
    ),
    *(
        Case("LEAKY_RELU", [operand], {"alpha": alpha}, outputs=[q(None, 2.0**-4)], label=f"{kind} halves {alpha}")
        for kind, operand in [("int8", q(INT8, 2.0**-4)), ("int16", q(INT16, 2.0**-4))]
        for alpha in (-0.5, -1.5, -0.125, 0.5)
    ),
    Case("GELU", [q(INT8, 0.06, 5)], {"approximate": True}, outputs=[q(None, 0.05, -9)], label="int8 approximate"),
    *(
        Case(
            "PRELU",
            [q(values, 0.06, zero), q(alpha, 0.011, zero - 3)],
            outputs=[q(None, 0.05, zero + 9)],
            label=f"{values.dtype} {values.size} {alpha.size}",
        )
        for square, zero in [(INT8.reshape(8, 32), 4), (UINT8.reshape(8, 32), 120)]
        for values in (square, square.repeat(40, 0))
        for alpha in (values[3], values[::-1].copy())
    ),
    Case(
        "LOGISTIC", [q(INT8, 0.1)], outputs=[q(None, 0.01)], refused="needs a result of scale 0.00390625", label="scale"
    ),
    Case("TANH", [q(INT16, 0.1)], outputs=[q(None, 0.01)], refused="needs a result of scale 2**-15", label="scale"),
    Case("HARD_SWISH", [q(INT8, 13.0)], outputs=[q(None, 0.1)], refused="can't bring scale", label="scale"),
    *(
        Case("GELU", [q(INT16, 1e-3)], {"approximate": rough}, outputs=[q(None, 7e-4)], label=f"int16 rough {rough}")
        for rough in (False, True)
    ),
    Case("GELU", [X.astype(np.float16)], rtol=2e-3, atol=1e-3, label="float16"),
    Case("PRELU", [q(INT16[:1024].reshape(4, 256), 0.01), q(INT8, 0.011, 3)], outputs=[q(None, 0.02)], label="int16"),
    Case("PRELU", [q(INT16, 0.01), q(INT16, 0.01)], refused="not supported with int16 `alpha`", label="int16 alpha"),
    Case("RELU", [q(INT16, 0.1, 3)], refused="needs zero point 0", label="int16 offset"),
]

CASES = [*REAL, *QUANTIZED]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_the_error_function_is_right_to_a_third_of_a_millionth() -> None:
    x = np.linspace(-6, 6, 20001).astype(F32)
    exact = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(erf(np, x), exact, rtol=3e-7)
