"""Functions of fixed-point numbers, bit for bit as the reference kernels' gemmlowp arithmetic computes them.

A number in Qm has m bits before the point: raw int32 / 2**(31 - m). Products of Qa and Qb are in Q(a + b).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...graph import Array
from .fixedpoint import INT32_MAX, INT32_MIN, rounding_divide_by_pot, saturating_rounding_doubling_high_mul

_EXP_OF_MINUS_EIGHTH = 1895147668  # Q0
_THIRD = 715827883  # Q0
_EXP_OF_MINUS_POWER = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}
"""exp(-2**n) by n, Q0."""
_48_17THS, _MINUS_32_17THS = 1515870810, -1010580540  # Q2: first guess of a reciprocal
_SQRT_HALF, _FOURTH_ROOT_OF_HALF = 1518500250, 1805811301  # Q0
_LOG_2 = 1488522236  # Q0
_ALPHA_N, _ALPHA_D, _ALPHA_I, _ALPHA_F = 117049297, 127690142, 1057819769, 638450708  # Q0: Pade terms of the logarithm


def rescale(xp: Any, x: Array, bits: int) -> Array:
    """x * 2**bits, rounded (bits < 0) or saturated (bits > 0); Qm with m + bits fewer places before the point."""
    return rounding_divide_by_pot(xp, x, -bits) if bits < 0 else shift_left(xp, x, bits)


def shift_left(xp: Any, x: Array, bits: Any) -> Array:
    """int32: x * 2**bits, saturated (reference: SaturatingRoundingMultiplyByPOTParam)."""
    return xp.clip(x.astype("int64") << bits, INT32_MIN, INT32_MAX).astype("int32")


def bit_length(xp: Any, x: Array) -> Array:
    """int32: number of bits that non-negative integers below 2**53 take; 0 for 0."""
    return xp.frexp(x.astype("float64"))[1].astype("int32")


def exp_on_negative(xp: Any, x: Array, integer_bits: int) -> Array:
    """exp(x) in Q0 for x <= 0 in Q`integer_bits`, at most 5 (reference: exp_on_negative_values)."""
    multiply = partial(saturating_rounding_doubling_high_mul, xp)
    fractional = 31 - integer_bits
    quarter = 1 << (fractional - 2)
    modulo = (x & (quarter - 1)) - quarter
    result = _exp_near_zero(xp, rescale(xp, modulo, integer_bits))
    remainder = modulo - x
    for power, factor in _EXP_OF_MINUS_POWER.items():
        if power < integer_bits:
            bit = remainder & (1 << (fractional + power))
            result = xp.where(bit != 0, multiply(result, factor), result)
    return xp.where(x == 0, INT32_MAX, result).astype("int32")


def _exp_near_zero(xp: Any, a: Array) -> Array:
    """exp(a), Q0, for a in [-1/4, 0): a Taylor polynomial around -1/8."""
    multiply = partial(saturating_rounding_doubling_high_mul, xp)
    x = a + (1 << 28)
    square = multiply(x, x)
    cube, fourth = multiply(square, x), multiply(square, square)
    tail = multiply(rescale(xp, fourth, -2) + cube, _THIRD) + square
    return _EXP_OF_MINUS_EIGHTH + multiply(x + rescale(xp, tail, -1), _EXP_OF_MINUS_EIGHTH)


def reciprocal_of_one_plus(xp: Any, a: Array) -> Array:
    """1 / (1 + a), Q0, for a in [0, 1) (reference: one_over_one_plus_x_for_x_in_0_1): three Newton steps."""
    multiply = partial(saturating_rounding_doubling_high_mul, xp)
    half = _half_sum(a, INT32_MAX)
    x = multiply(half, _MINUS_32_17THS) + _48_17THS
    for _ in range(3):
        error = (1 << 29) - multiply(half, x)
        x = x + shift_left(xp, multiply(x, error), 2)
    return shift_left(xp, x, 1)


def reciprocal(xp: Any, x: Array, integer_bits: int) -> tuple[Array, Array]:
    """(r, n) with 1 / x = r * 2**-n for x > 0 in Q`integer_bits`, r in Q0 (reference: GetReciprocal)."""
    bits = bit_length(xp, x)
    fraction = (x.astype("int64") << (32 - bits)) - (1 << 31)
    return reciprocal_of_one_plus(xp, fraction.astype("int32")), bits + (integer_bits - 32)


def log_of_at_least_one(xp: Any, x: Array, integer_bits: int, output_bits: int) -> Array:
    """log(x) in Q`output_bits` for x >= 1 in Q`integer_bits` (reference: log_x_for_x_greater_than_or_equal_to_1)."""
    multiply = partial(saturating_rounding_doubling_high_mul, xp)
    accumulator_bits = output_bits + 1
    quarter = 1 << (29 - accumulator_bits)
    bits = bit_length(xp, x)
    first = shift_left(xp, multiply(shift_left(xp, x, 31 - bits), _SQRT_HALF), 1)
    first_power = shift_left(xp, bits + (integer_bits - 32), 31 - accumulator_bits) + quarter
    headroom = 31 - bit_length(xp, multiply(x, _SQRT_HALF))
    second_power = shift_left(xp, integer_bits - headroom, 31 - accumulator_bits) - quarter
    r = xp.minimum(first, shift_left(xp, x, headroom))
    power = xp.maximum(first_power, second_power)

    p = _half_sum(r, _FOURTH_ROOT_OF_HALF)
    q = (r - _FOURTH_ROOT_OF_HALF) * 2
    square = multiply(q, q)
    numerator = multiply(q, r) + multiply(multiply(q, square), _ALPHA_N)
    denominator = multiply(p, _ALPHA_I + q + multiply(square, _ALPHA_D)) + multiply(q, _ALPHA_F)
    fraction = multiply(rescale(xp, numerator, -accumulator_bits), reciprocal_of_one_plus(xp, denominator))
    return rescale(xp, multiply(power, _LOG_2) + fraction, accumulator_bits - output_bits)


def inverse_sqrt(xp: Any, x: Array) -> tuple[Array, Array]:
    """(mantissa, shift), both int32, with 1 / sqrt(x) = mantissa * 2**(shift - 31), for integers x >= 0.

    0 counts as 1 (reference: GetInvSqrtQuantizedMultiplierExp).
    """
    multiply = partial(saturating_rounding_doubling_high_mul, xp)
    large = x >= 1 << 29
    reduced = xp.where(large, x >> 2, x)
    pairs = (31 - bit_length(xp, reduced)) // 2 - 1
    shift = 11 + large - pairs
    value = ((reduced.astype("int64") << (2 * pairs)) >> 1).astype("int32")
    half = rescale(xp, value, -1)
    guess = xp.full_like(value, 1 << 28)
    for _ in range(5):
        cube = shift_left(xp, multiply(multiply(guess, guess), guess), 6)
        guess = shift_left(xp, multiply(guess, (1 << 28) + (1 << 27)) - multiply(half, cube), 3)
    mantissa = multiply(guess, _SQRT_HALF).astype("int64") << xp.maximum(-shift, 0)
    trivial = x <= 1
    return (
        xp.where(trivial, INT32_MAX, mantissa).astype("int32"),
        xp.where(trivial, 0, -xp.maximum(shift, 0)).astype("int32"),
    )


def _half_sum(a: Array, b: int) -> Array:
    """(a + b) / 2, halves away from zero, without overflow."""
    total = a.astype("int64") + b
    return ((total + (total >= 0)) >> 1).astype("int32")


def divide_by_power(xp: Any, x: Array, exponent: Array) -> Array:
    """int32: x / 2**exponent with an exponent >= 0 for each element, rounded, halves away from zero."""
    exponent = xp.minimum(exponent, 33)  # makes 0 of every int32
    half = (xp.ones_like(exponent, dtype="int64") << exponent) >> 1
    return ((x + half - ((x < 0) & (half > 0))) >> exponent).astype("int32")
