"""The activations that operators apply to their own results."""

from __future__ import annotations

import numpy as np
import pytest

from tflite_cupy.interpreter.ops.base import Activation
from tflite_cupy.interpreter.ops.shared.fused import activate

X = np.array([-7.0, -0.5, 0.0, 0.5, 7.0], np.float32)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.NONE, X),
        (Activation.RELU, [0, 0, 0, 0.5, 7]),
        (Activation.RELU6, [0, 0, 0, 0.5, 6]),
        (Activation.RELU_N1_TO_1, [-1, -0.5, 0, 0.5, 1]),
        (Activation.TANH, np.tanh(X)),
        (Activation.SIGN_BIT, [1, 1, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_each_activation_keeps_the_dtype(activation: Activation, expected: np.ndarray, dtype: type) -> None:
    result = activate(np, X.astype(dtype), activation)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=1e-3)


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1])
def test_nan_stays(activation: Activation) -> None:
    assert np.isnan(activate(np, np.array([np.nan], np.float32), activation))


def test_integers_are_held_between_the_same_bounds() -> None:
    assert activate(np, np.int32([-3, 3, 9]), Activation.RELU6).tolist() == [0, 3, 6]
