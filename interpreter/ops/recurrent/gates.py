"""The gate functions of integer LSTMs: int16 in, Q0.15 out, bit for bit as gemmlowp's 16-bit arithmetic.

An int16 number in Qm has m bits before the point: raw / 2**(15 - m). Each function is a table of all 65,536 results.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ...graph import Array

_ONE = 32767  # the greatest number in Q0
_EXP_OF_MINUS_POWER = {-2: 25520, -1: 19875, 0: 12055, 1: 4435, 2: 600, 3: 11, 4: 0}
"""exp(-2**n) by n, Q0."""
_EXP_OF_MINUS_EIGHTH, _THIRD = 28918, 10923  # Q0
_48_17THS, _MINUS_32_17THS = 23130, -15420  # Q2: first guess of a reciprocal


def sigmoid(x: Array) -> Array:
    """The logistic function of int16 numbers in Q3, in Q0 (reference: PortableApplySigmoid)."""
    return looked_up(_sigmoid_table(), x)


def tanh(x: Array, integer_bits: int) -> Array:
    """tanh of int16 numbers in Q`integer_bits`, 0 to 6, in Q0 (reference: PortableApplyTanh)."""
    return looked_up(_tanh_table(integer_bits), x)


def looked_up(table: Array, x: Array) -> Array:
    """Entries for int16 numbers of a table of all 65,536 of them, the least one first."""
    return table.take(x.astype(np.intp) + 2**15)


@cache
def _sigmoid_table() -> Array:
    x = _numbers()
    positive = _shift_left(_reciprocal_guess(_exp(-np.abs(x), 3)), 1)
    return np.where(x == 0, 1 << 14, np.where(x > 0, positive, _ONE - positive)).astype(np.int16)


@cache
def _tanh_table(integer_bits: int) -> Array:
    x = _numbers()
    positive = _shift_left(_reciprocal_guess(_exp(-np.abs(x), integer_bits + 1)) - (1 << 13), 2)
    return np.where(x == 0, 0, np.where(x > 0, positive, -positive)).astype(np.int16)


def _numbers() -> Array:
    return np.arange(-(2**15), 2**15, dtype=np.int32)


def _exp(x: Array, integer_bits: int) -> Array:
    """exp(x) in Q0 for x <= 0 in Q`integer_bits`."""
    fractional = 15 - integer_bits
    quarter = 1 << (fractional - 2)
    modulo = (x & (quarter - 1)) - quarter
    result = _exp_near_zero(_shift_left(modulo, integer_bits))
    remainder = modulo - x
    for power, factor in _EXP_OF_MINUS_POWER.items():
        if power < integer_bits:
            bit = remainder & (1 << (fractional + power))
            result = np.where(bit != 0, multiplied(result, factor), result)
    if integer_bits > 5:
        result = np.where(x < -(1 << (20 - integer_bits)), 0, result)
    return np.where(x == 0, _ONE, result)


def _exp_near_zero(a: Array) -> Array:
    """exp(a), Q0, for a in [-1/4, 0): a Taylor polynomial around -1/8."""
    x = a + (1 << 12)
    square = multiplied(x, x)
    cube, fourth = multiplied(square, x), multiplied(square, square)
    tail = multiplied(halved(fourth, 2) + cube, _THIRD) + square
    return _EXP_OF_MINUS_EIGHTH + multiplied(x + halved(tail, 1), _EXP_OF_MINUS_EIGHTH)


def _reciprocal_guess(a: Array) -> Array:
    """2 / (1 + a), Q2, for a in [0, 1] in Q0: three Newton steps."""
    half = (a + _ONE + 1) >> 1
    x = _48_17THS + multiplied(half, _MINUS_32_17THS)
    for _ in range(3):
        error = (1 << 13) - multiplied(half, x)
        x = x + _shift_left(multiplied(x, error), 2)
    return x


def multiplied(a: Array, b: Array) -> Array:
    """int32: a product of numbers in Q0 and in any Q, rounded to nearest, halves up (gemmlowp: operator*)."""
    product = np.asarray(a, np.int32) * np.asarray(b, np.int32)
    return np.minimum((product + (1 << 14)) >> 15, _ONE)


def _shift_left(x: Array, bits: int) -> Array:
    """x * 2**bits, saturated."""
    return np.asarray(np.clip(x << bits, -(2**15), _ONE))


def halved(x: Array, times: int) -> Array:
    """x / 2**times, rounded to nearest, halves away from zero."""
    half = 1 << (times - 1)
    return np.where(x < 0, -((half - x) >> times), (x + half) >> times)
