"""Expressions: each elementwise operator is one launch with the results of its body, extreme values included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, const
from tflite_cupy.interpreter.ops.base import Activation

EXTREMES = np.float32(
    [0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-38, -1e-42, 3e38, -3e38, 88, -88, 100, -104, 6, 7, 20, -20, 3, -3,
     np.inf, -np.inf, np.nan, 1e-4, -1e-4]
)  # fmt: skip
MODERATE = EXTREMES[(np.abs(EXTREMES) < 1e6) | ~np.isfinite(EXTREMES)]
UNARY = (
    *("NEG", "ABS", "SIGN", "SQUARE", "SQRT", "RSQRT", "EXP", "LOG", "FLOOR", "CEIL", "ROUND", "RELU", "RELU6"),
    *("RELU_N1_TO_1", "RELU_0_TO_1", "ELU", "LOGISTIC", "TANH", "ZEROS_LIKE"),
)
WIDE = EXTREMES.reshape(-1, 1), np.concatenate([EXTREMES[::3], [np.float32(2)]])


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_element(name: str) -> None:
    check(Case(name, [EXTREMES]), launches=1, apart=False)


@pytest.mark.parametrize("name", ["SIN", "COS"])
def test_waves(name: str) -> None:
    check(Case(name, [np.r_[MODERATE, noise(40) * 1000]]), launches=1, atol=1e-6, apart=False)


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu(approximate: bool) -> None:
    """The body's error function has an error of 3e-7."""
    check(Case("GELU", [np.r_[EXTREMES[:10], noise(90) * 3]], {"approximate": approximate}), launches=1, atol=1e-6)


def test_hard_swish_and_leaky_relu() -> None:
    check(Case("HARD_SWISH", [EXTREMES]), launches=1)
    for alpha in (0.2, -0.5, 1.5):
        check(Case("LEAKY_RELU", [EXTREMES], {"alpha": alpha}), launches=1, apart=False)


@pytest.mark.parametrize(
    "name", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_MOD", "ATAN2"]
)
def test_functions_of_two_elements(name: str) -> None:
    check(Case(name, list(WIDE)), launches=1, apart=False)


def test_power() -> None:
    check(Case("POW", [EXTREMES.reshape(-1, 1), np.float32([2, 0.5, -1.5, 0, 3, 40])]), launches=1)
    for exponent in (2, 3, 0.5, 1.7):
        check(Case("POW", [EXTREMES, const(np.float32(exponent))]), launches=1, apart=False)


def test_prelu() -> None:
    check(Case("PRELU", [noise(2, 5, 8), noise(1, 1, 8, seed=1)]), launches=1)


def test_floor_quotient_by_constants() -> None:
    check(Case("FLOOR_DIV", [noise(40) * 100, const(np.float32(0.3))]), launches=1)
    assert check(Case("FLOOR_DIV", [noise(40), noise(40, seed=1)]), array_steps=1).array_steps


@pytest.mark.parametrize("activation", list(Activation))
def test_fused_activations(activation: Activation) -> None:
    attributes = {"fused_activation_function": activation}
    check(Case("ADD", [EXTREMES, noise(28)], attributes), launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_real_types(dtype: Any) -> None:
    x, y = noise(6, 8).astype(dtype), noise(6, 1, seed=1).astype(dtype)
    for name, operands in {"MUL": [x, y], "LOGISTIC": [x], "MAXIMUM": [x, y], "TANH": [x]}.items():
        check(Case(name, operands), launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8, np.uint8, np.int16, np.uint32])
def test_integers_wrap_around(dtype: Any) -> None:
    x, y = noise(6, 8, dtype=dtype), noise(6, 1, seed=1, dtype=dtype)
    names = ["ADD", "SUB", "MUL", "MAXIMUM"]
    for name in names if dtype in (np.int32, np.int64) else names[:1]:
        check(Case(name, [x, y]), launches=1, apart=False)
    check(Case("SQUARE", [x]), launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers_of_one_operand(dtype: Any) -> None:
    x = np.r_[noise(20, dtype=dtype), np.iinfo(dtype).min, 0].astype(dtype)
    for name in ("NEG", "ABS", "SIGN"):
        check(Case(name, [x]), launches=1, apart=False)


@pytest.mark.parametrize("divisor", [3, -7, -1])
def test_integer_division_by_constants(divisor: int) -> None:
    x = np.r_[noise(30, dtype=np.int32), 0, 1, -1, 7, -7, np.iinfo(np.int32).min].astype(np.int32)
    for name in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        check(Case(name, [x[:-1] if divisor == -1 else x, const(np.int32(divisor))]), launches=1, apart=False)


def test_integer_division_that_may_fail_is_left_to_array_code() -> None:
    for name in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        check(Case(name, [np.int32([7, -7]), np.int32([2, 3])]), launches=0, array_steps=1, apart=False)


def test_integer_powers() -> None:
    x = np.arange(-10, 11, dtype=np.int32)
    check(Case("POW", [x, const(np.int32(3))]), launches=1)
    check(Case("POW", [x, np.full_like(x, 2)]), array_steps=1, apart=False)


def test_sums_of_many() -> None:
    check(Case("ADD_N", [noise(3, 5, seed=i) for i in range(5)]), launches=1)


def test_broadcasting_reads_each_operand_where_it_is() -> None:
    for a, b in [
        ((2, 3, 4), (4,)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (1, 3, 1)), ((2, 3, 5), (2, 1, 1)), ((8,), (1,)),
        ((2, 4, 4, 8), (2, 1, 1, 8)), ((3, 1, 5, 1), (1, 2, 1, 4)), ((), (4,)),
    ]:  # fmt: skip
        check(Case("SUB", [noise(*a), noise(*b, seed=1)]), launches=1, apart=False)


def test_constants_of_one_element_are_not_uploaded() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4, 4])
    y = b.add("MUL", [x, b.constant(np.float32([[0.5]]))])
    assert len(check(b.graph([b.add("ADD", [y, b.constant(np.float32(3))])]), [noise(4, 4)], launches=1).outputs) == 1
