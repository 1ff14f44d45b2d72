"""Casts, and conversions between real numbers and quantised integers, as expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, Operand, q
from tflite_cupy.interpreter.graph import Quantization, TensorType

REAL = np.float32(
    [0, -0.0, 0.5, 1.5, -1.5, 127.9, 128, -129, 255, 256, 3e9, -3e9, 1e19, -1e19, 2**31, np.inf, -np.inf, np.nan]
)
REAL_TYPES = [TensorType.FLOAT16, TensorType.FLOAT64]
WHOLE_TYPES = [
    *(TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32, TensorType.UINT32, TensorType.INT64),
    *(TensorType.UINT64, TensorType.BOOL),
]


@pytest.mark.parametrize("kind", [*REAL_TYPES, *WHOLE_TYPES])
def test_casts_of_real_numbers(kind: TensorType) -> None:
    check(Case("CAST", [REAL], outputs=[kind]), launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_casts_of_other_real_numbers(dtype: Any) -> None:
    with np.errstate(over="ignore"):
        check(Case("CAST", [REAL.astype(dtype)], outputs=[TensorType.INT32]), launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_casts_of_integers(dtype: Any) -> None:
    x = noise(24, dtype=dtype)
    for kind in (TensorType.FLOAT32, TensorType.INT32, TensorType.INT8, TensorType.BOOL):
        if kind.dtype != dtype:
            check(Case("CAST", [x], outputs=[kind]), launches=1, apart=False)


def quantized_by_blocks(x: np.ndarray, scales: np.ndarray, block: int) -> Operand:
    quantization = Quantization(scales, np.zeros(len(scales), np.int64), block_size=block)
    return Operand(data=x, quantization=quantization)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_dequantize(dtype: Any) -> None:
    x = noise(4, 6, 8, dtype=dtype)
    real = [TensorType.FLOAT32]
    zero_point = 0 if dtype == np.int16 else 3
    check(Case("DEQUANTIZE", [q(x, 0.37, zero_point)], outputs=real), launches=1, apart=False)
    for axis, size in ((2, 8), (0, 4)):
        scales = np.linspace(0.1, 0.9, size)
        check(Case("DEQUANTIZE", [q(x, scales, zero_point, axis=axis)], outputs=real), launches=1, apart=False)


def test_dequantize_half_precision() -> None:
    check(Case("DEQUANTIZE", [noise(3, 5).astype(np.float16)], outputs=[TensorType.FLOAT32]), launches=1)


@pytest.mark.parametrize("kind", [TensorType.INT8, TensorType.UINT8, TensorType.INT16])
def test_quantize(kind: TensorType) -> None:
    zero_point = 0 if kind is TensorType.INT16 else 5
    x = np.r_[noise(30) * 20, [0.25, 0.75, -0.25, -0.75, 1e9, -1e9, np.inf, -np.inf, 0, -0.0]].astype(np.float32)
    check(Case("QUANTIZE", [x], outputs=[q(None, 0.5, zero_point, type=kind)]), launches=1)
    scales = np.linspace(0.1, 0.9, 8)
    out = q(None, scales, np.arange(8) if zero_point else 0, type=kind, axis=1)
    check(Case("QUANTIZE", [noise(5, 8) * 9], outputs=[out]), launches=1, apart=False)


def test_fake_quantization() -> None:
    x = np.r_[noise(40) * 3, [np.inf, -np.inf, np.nan, 0]].astype(np.float32)
    check(Case("FAKE_QUANT", [x], {"min": -1.3, "max": 4.1, "num_bits": 8}), launches=1)
