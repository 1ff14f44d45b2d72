"""The fixed-point arithmetic of kernels against that of the bodies, on random and on extreme numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.emulator.compiler import built
from tflite_cupy.delegates.gpu.kernel import kernel
from tflite_cupy.interpreter.ops.shared import fixedpoint, gemmlowp, lookup

EDGES = [-(2**31), 1 - 2**31, -(2**30) - 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30 - 1, 2**30, 2**31 - 2, 2**31 - 1]
MANTISSAS = [0, 2**30, 2**30 + 1, 0x7FFEFFFF, 0x7FFF0000, 2**31 - 1]

TEXT = """#include "fixedpoint.cuh"
extern "C" __global__ void probe(const long long* a, const long long* b, const long long* c, const short* table,
                                 int* out, int* other, const int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = CALL;
}
"""


def computed(call: str, *arguments: Any, table: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What a C expression of a[i], b[i], c[i] gives for each i, and what it writes to other[i]."""
    arrays = [np.ascontiguousarray(x, np.int64) for x in np.broadcast_arrays(*arguments)]
    count = arrays[0].size
    arrays += [np.zeros(count, np.int64)] * (3 - len(arrays))
    out, other = np.zeros((2, count), np.int32)
    table = np.zeros(1, np.int16) if table is None else table
    made = kernel("probe", defines={"CALL": call}, code=TEXT)
    addresses = [int(x.ctypes.data) for x in (*arrays, table, out, other)]
    built(made)((-(-count // 64), 1, 1), (64, 1, 1), 0, [*addresses, np.int32(count)])
    return out, other


def integers(seed: int = 0, low: int = -(2**31), high: int = 2**31 - 1) -> np.ndarray:
    """int32 numbers of all magnitudes, with the edges."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(low, high, 2000, endpoint=True) >> rng.integers(0, 31, 2000)
    return np.append(wide, [e for e in EDGES if low <= e <= high]).astype(np.int32)


def pairs(second: Any) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of integers() and the given ones."""
    x, y = np.broadcast_arrays(integers()[:, None], np.asarray(second))
    return x.reshape(-1), y.reshape(-1)


def test_high_product() -> None:
    x, y = pairs([*EDGES, 12345, -98765432])
    want = fixedpoint.saturating_rounding_doubling_high_mul(np, x, y)
    np.testing.assert_array_equal(computed("high_product((int)a[i], (int)b[i])", x, y)[0], want)


@pytest.mark.parametrize("exponent", range(32))
def test_rounded_shift(exponent: int) -> None:
    x = integers()
    want = fixedpoint.rounding_divide_by_pot(np, x, exponent)
    np.testing.assert_array_equal(computed("rounded_shift((int)a[i], (int)b[i])", x, exponent)[0], want)


@pytest.mark.parametrize("shift", [*range(-31, 32, 3), -1, 0, 1, 31])
def test_scaled(shift: int) -> None:
    x, mantissa = pairs(MANTISSAS)
    want = fixedpoint.multiply_by_quantized_multiplier(np, x, mantissa, shift)
    np.testing.assert_array_equal(computed("scaled((int)a[i], (int)b[i], (int)c[i])", x, mantissa, shift)[0], want)


@pytest.mark.parametrize("shift", [-31, -17, -8, -1, 0, 1, 5])
def test_scaled_wide(shift: int) -> None:
    x, mantissa = pairs(MANTISSAS)
    wide = x.astype(np.int64) * 65519
    want = fixedpoint.multiply_wide_by_quantized_multiplier(np, wide, mantissa, shift)
    np.testing.assert_array_equal(computed("scaled_wide(a[i], (int)b[i], (int)c[i])", wide, mantissa, shift)[0], want)


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "shifted_left((int)a[i], (int)b[i])": (gemmlowp.shift_left, pairs([0, 1, 5, 31])),
    "divided_by_power((int)a[i], (int)b[i])": (gemmlowp.divide_by_power, pairs([0, 1, 7, 31, 32, 33, 60])),
    "bit_length((int)a[i])": (gemmlowp.bit_length, (integers(low=0),)),
    "reciprocal_of_one_plus((int)a[i])": (gemmlowp.reciprocal_of_one_plus, (integers(low=0),)),
    "reciprocal((int)a[i], 12, &other[i])": (lambda xp, x: gemmlowp.reciprocal(xp, x, 12), (integers(low=1),)),
    "inverse_sqrt((int)a[i], &other[i])": (gemmlowp.inverse_sqrt, (integers(low=0),)),
}


@pytest.mark.parametrize("call", CALLS)
def test_gemmlowp(call: str) -> None:
    body, arguments = CALLS[call]
    want, got = body(np, *arguments), computed(call, *arguments)
    for mine, theirs in zip(got, want if isinstance(want, tuple) else (want,), strict=False):
        np.testing.assert_array_equal(mine, theirs)


def test_interpolated() -> None:
    x = np.arange(-(2**15), 2**15)
    table = np.random.default_rng(0).integers(-(2**15), 2**15, 513).astype(np.int16)
    want = lookup.interpolate(np, x, table)
    np.testing.assert_array_equal(computed("interpolated((int)a[i], table)", x, table=table)[0], want)


def test_stored_at_wraps_around_and_holds() -> None:
    x = np.array([-(2**31), 2**31 - 1, -200, 0, 200])
    (got, _) = computed("stored_at((int)a[i], 7, -128, 127)", x)
    assert got.tolist() == [-128, -128, -128, 7, 127]
