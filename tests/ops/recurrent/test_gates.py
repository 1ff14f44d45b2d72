"""The gate functions of integer LSTMs against the real functions that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from tflite_cupy.interpreter.ops.recurrent.gates import sigmoid, tanh

ALL = np.arange(-(2**15), 2**15).astype(np.int16)


def test_sigmoid_is_close() -> None:
    assert np.abs(sigmoid(ALL) / 2**15 - 1 / (1 + np.exp(-ALL.astype(np.float64) / 2**12))).max() < 4e-4


@pytest.mark.parametrize("bits", range(7))
def test_tanh_is_close(bits: int) -> None:
    assert np.abs(tanh(ALL, bits) / 2**15 - np.tanh(ALL.astype(np.float64) / 2 ** (15 - bits))).max() < 4e-4
