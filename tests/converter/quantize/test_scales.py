"""Scales from ranges, and real numbers as stored integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite_cupy.converter.quantize.scales import asymmetric, stored, symmetric
from tflite_cupy.interpreter.graph import TensorType

REALS = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, -128),
        (-1.0, 1.0, 2 / 255, -1),  # half a step from both ends: rounded away from zero
        (-128.0, 127.0, 1.0, 0),
        (2.0, 5.1, 0.02, -128),  # widened to hold zero
        (-5.1, -2.0, 0.02, 127),
        (0.0, 0.0, 1e-6 / 255, -1),
    ],
)
def test_asymmetric(low: float, high: float, scale: float, zero_point: int) -> None:
    got = asymmetric(low, high)
    np.testing.assert_allclose(got.scales, [scale], rtol=1e-6)
    assert abs(int(got.zero_points[0]) - zero_point) <= (low == high)


@settings(deadline=None, max_examples=200)
@given(REALS, REALS)
def test_zero_is_exact_and_the_range_is_covered(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    parameters = asymmetric(low, high)
    scale, offset = float(parameters.scales[0]), int(parameters.zero_points[0])
    assert -128 <= offset <= 127
    ends = stored(np.float32([low, high, 0]), parameters).astype(np.float64)
    back = (ends - offset) * scale
    np.testing.assert_allclose(back, [low, high, 0], rtol=0, atol=scale * 1.001)
    assert back[2] == 0


def test_symmetric_scales_leave_out_the_least_integer() -> None:
    values = np.float32([[1, -2, 0.5], [0, 0, 0]])
    one, many = symmetric(values), symmetric(values, 0)
    np.testing.assert_allclose(one.scales, [2 / 127], rtol=1e-6)
    assert (many.scales[0], many.axis, list(many.zero_points)) == (one.scales[0], 0, [0, 0])
    assert many.scales[1] > 0
    assert stored(values, many).tolist() == [[64, -127, 32], [0, 0, 0]]


def test_halves_are_rounded_away_from_zero_and_ends_saturate() -> None:
    parameters = asymmetric(-128, 127)
    assert stored(np.float32([0.5, -0.5, 1.5, 300, -300]), parameters).tolist() == [1, -1, 2, 127, -128]
    assert stored(np.float32([2e9, -4e9]), parameters, TensorType.INT32).tolist() == [2_000_000_000, -(2**31)]
