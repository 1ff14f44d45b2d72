"""Fixed-point functions against the real functions that they approximate; operators compare their exact bits."""

from __future__ import annotations

import numpy as np

from tests.fakes import DEVICE
from tflite_cupy.interpreter.ops.shared import gemmlowp

ONE = 2.0**31


def raw(x: np.ndarray, integer_bits: int) -> np.ndarray:
    return np.minimum(np.rint(x * 2.0 ** (31 - integer_bits)), ONE - 1).astype(np.int32)


def test_exp_of_negative_numbers() -> None:
    x = np.linspace(-31.9, 0, 4001)
    np.testing.assert_allclose(gemmlowp.exp_on_negative(np, raw(x, 5), 5) / ONE, np.exp(x), atol=3e-7)


def test_reciprocal() -> None:
    x = np.array([1.0, 1.25, 3.0, 7.5, 1000.0, 4095.0])
    mantissa, places = gemmlowp.reciprocal(np, raw(x, 12), 12)
    np.testing.assert_allclose(mantissa / ONE / 2.0**places, 1 / x, rtol=1e-6)


def test_logarithm() -> None:
    x = np.array([1.0, 1.5, 2.0, 10.0, 1000.0, 4095.0])
    result = gemmlowp.log_of_at_least_one(np, raw(x, 12), 12, 5)
    np.testing.assert_allclose(result / 2.0**26, np.log(x), atol=1e-6)


def test_inverse_square_root() -> None:
    x = np.array([1, 2, 3, 4, 100, 65535, 2**29 - 1, 2**29, 2**31 - 1], np.int32)
    mantissa, shift = gemmlowp.inverse_sqrt(np, x)
    np.testing.assert_allclose(mantissa / ONE * 2.0**shift, 1 / np.sqrt(x), rtol=1e-5)
    assert [int(part[0]) for part in gemmlowp.inverse_sqrt(np, np.int32([0]))] == [2**31 - 1, 0]


def test_division_rounds_halves_away_from_zero() -> None:
    x, exponent = np.int32([3, -3, 5, -5, 7, 2**31 - 1, -(2**31), 2**30]), np.int32([1, 1, 2, 2, 0, 40, 34, 31])
    assert gemmlowp.divide_by_power(np, x, exponent).tolist() == [2, -2, 1, -1, 7, 0, 0, 1]
    device = gemmlowp.divide_by_power(DEVICE.xp, DEVICE.put(x), DEVICE.put(exponent))
    assert device.get().tolist() == [2, -2, 1, -1, 7, 0, 0, 1]
