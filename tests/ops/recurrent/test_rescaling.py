"""Fixed-point arithmetic in place against that of whole operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tflite_cupy.interpreter.ops.recurrent.rescaling import Rescaling, divided, saturated
from tflite_cupy.interpreter.ops.shared.fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturate,
)

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    "real",
    [0.0, 0.3, 0.75, 1.0, 7.3, 2.0**-20, np.array([0.3, 0.6, 0.9]), np.array([0.001, 1.5, 0.0])],
    ids=["0", "0.3", "0.75", "1", "7.3", "small", "columns", "mixed"],
)
def test_rescaling(real: Any) -> None:
    """Numbers halfway between two results, and the greatest ones, too."""
    x = np.concatenate([RNG.integers(-(2**31), 2**31, 900), np.arange(-300, 300)]).reshape(-1, 3).astype(np.int32)
    x[-1] = -(2**31), 2**31 - 1, 0
    expected = multiply_by_quantized_multiplier(np, x, *quantize_multiplier(real))
    np.testing.assert_array_equal(Rescaling(real)(x), expected)


@pytest.mark.parametrize("places", [1, 9, 15, 27])
def test_divided(places: int) -> None:
    x = np.concatenate([RNG.integers(-(2**30), 2**30, 500), np.arange(-500, 500)]).astype(np.int32)
    np.testing.assert_array_equal(divided(x.copy(), places), rounding_divide_by_pot(np, x, places))


def test_saturated() -> None:
    x = RNG.integers(-300, 300, 100)
    result = saturated(x.copy(), np.int8)
    assert result.dtype == np.int8
    np.testing.assert_array_equal(result, saturate(np, x, np.int8))
