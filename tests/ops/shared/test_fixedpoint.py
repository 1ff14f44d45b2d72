"""Integer arithmetic against its definition in exact Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_cupy.interpreter.graph import Quantization, TensorSpec, TensorType
from tflite_cupy.interpreter.ops.base import Activation
from tflite_cupy.interpreter.ops.shared import fixedpoint

INT32 = st.integers(-(2**31), 2**31 - 1)
HALF = Fraction(1, 2)


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def nearest_away(x: Fraction) -> int:
    return floor(x + HALF) if x >= 0 else -floor(-x + HALF)


@given(INT32, INT32)
def test_high_product_rounds_halves_up_and_saturates(a: int, b: int) -> None:
    expected = min(floor(Fraction(a * b, 2**31) + HALF), 2**31 - 1)
    assert fixedpoint.saturating_rounding_doubling_high_mul(np, array(a), b).tolist() == [expected]


def test_high_product_of_the_least_numbers_saturates() -> None:
    least = -(2**31)
    assert fixedpoint.saturating_rounding_doubling_high_mul(np, array(least), least).tolist() == [2**31 - 1]


@given(INT32, st.integers(0, 31))
def test_division_by_a_power_of_two_rounds_halves_away(x: int, exponent: int) -> None:
    expected = nearest_away(Fraction(x, 2**exponent))
    assert fixedpoint.rounding_divide_by_pot(np, array(x), exponent).tolist() == [expected]


@given(st.floats(2.0**-32, 2.0**31))
def test_multiplier_is_the_nearest_31_bit_one(real: float) -> None:
    mantissa, shift = fixedpoint.quantize_multiplier(real)
    assert 2**30 <= mantissa < 2**31
    assert abs(Fraction(mantissa) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= Fraction(1, 2**31)


@pytest.mark.parametrize("real", [0.0, 2.0**-33, 1e-30])
def test_vanishing_multipliers_are_zero(real: float) -> None:
    assert fixedpoint.quantize_multiplier(real) == (0, 0)


@given(st.integers(-(2**20), 2**20), st.floats(2.0**-20, 8))
def test_multiplication_rounds_twice(x: int, real: float) -> None:
    mantissa, shift = fixedpoint.quantize_multiplier(real)
    once = floor(Fraction(x * 2 ** max(shift, 0) * mantissa, 2**31) + HALF)
    expected = nearest_away(Fraction(once, 2 ** max(-shift, 0)))
    assert fixedpoint.multiply_by_quantized_multiplier(np, array(x), mantissa, shift).tolist() == [expected]


@given(st.integers(-(2**40), 2**40), st.floats(2.0**-31, 2.0**-12))
def test_wide_multiplication_rounds_once_with_15_bits(x: int, real: float) -> None:
    mantissa, shift = fixedpoint.quantize_multiplier(real)
    reduced = min((mantissa + 2**15) >> 16, 2**15 - 1)
    expected = floor(Fraction(x * reduced) * Fraction(2) ** (shift - 15) + HALF)
    wide = np.array([x], np.int64)
    assert fixedpoint.multiply_wide_by_quantized_multiplier(np, wide, mantissa, shift).tolist() == [expected]


def test_channels_have_their_own_multipliers() -> None:
    x = np.random.default_rng(0).integers(-(2**20), 2**20, (5, 3)).astype(np.int32)
    mantissas, shifts = fixedpoint.quantize_multiplier(np.array([0.3, 1.7, 0.001]))
    both = fixedpoint.multiply_by_quantized_multiplier, fixedpoint.multiply_wide_by_quantized_multiplier
    for multiply in both:
        together = multiply(np, x, mantissas, shifts)
        for c in range(3):
            np.testing.assert_array_equal(together[:, c], multiply(np, x[:, c], int(mantissas[c]), int(shifts[c])))


@given(st.floats(-(2.0**20), 2.0**20))
def test_rounding_goes_away_from_zero_at_halves(x: float) -> None:
    assert fixedpoint.round_half_away(np, np.array([x])).tolist() == [nearest_away(Fraction(x))]


def test_rounding_is_right_just_below_a_half() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert fixedpoint.round_half_away(np, np.array([below, -below], np.float32)).tolist() == [0, 0]


def test_saturation_clips_before_it_converts() -> None:
    assert fixedpoint.saturate(np, np.array([-300, 5, 300]), np.int8).tolist() == [-128, 5, 127]


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.NONE, (-128, 127)),
        (Activation.RELU, (-10, 127)),
        (Activation.RELU6, (-10, 50)),
        (Activation.RELU_N1_TO_1, (-20, 0)),
        (Activation.TANH, (-128, 127)),
    ],
)
def test_activations_limit_stored_values(activation: Activation, expected: tuple[int, int]) -> None:
    spec = TensorSpec(TensorType.INT8, (), Quantization(np.float32([0.1]), np.int64([-10])))
    assert fixedpoint.activation_range(activation, spec) == expected


def test_activation_limits_stay_within_the_type() -> None:
    spec = TensorSpec(TensorType.UINT8, (), Quantization(np.float32([0.01]), np.int64([0])))
    assert fixedpoint.activation_range(Activation.RELU6, spec) == (0, 255)
