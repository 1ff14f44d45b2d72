"""Operators that pick, spread or repeat elements, as expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, const
from tflite_cupy.interpreter.graph import TensorType


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.bool_])
def test_select(dtype: Any) -> None:
    flags, x, y = noise(4, 6, dtype=np.bool_), noise(4, 6, dtype=dtype), noise(4, 6, seed=1, dtype=dtype)
    kind = [TensorType.of(x.dtype)]
    check(Case("SELECT", [flags, x, y], outputs=kind), launches=1, apart=False)
    check(Case("SELECT", [flags[:, 0].copy(), x, y], outputs=kind), launches=1, apart=False)
    check(Case("SELECT_V2", [flags[0], x, y[:, :1].copy()], outputs=kind), launches=1, apart=False)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int) -> None:
    indices = np.int32([[0, 3, -1], [2, 9, 1]])
    values = [const(np.int32(4)), const(np.float32(2)), const(np.float32(-1))]
    case = Case("ONE_HOT", [indices, *values], {"axis": axis}, outputs=[TensorType.FLOAT32])
    check(case, launches=1, apart=False)


def test_one_hot_of_values_from_the_call() -> None:
    operands = [np.int64([0, 3, 1]), const(np.int32(5)), np.int32(7), np.int32([-1])]
    check(Case("ONE_HOT", operands, outputs=[TensorType.INT32]), launches=1)


def test_broadcast_to() -> None:
    for shape, wide in (((3, 1), (2, 3, 4)), ((), (6,)), ((2, 1, 3), (2, 5, 3))):
        check(Case("BROADCAST_TO", [noise(*shape), const(np.int32(wide))]), launches=1, apart=False)


def test_fill() -> None:
    check(Case("FILL", [const(np.int32([3, 4])), np.float32(2.5)], outputs=[TensorType.FLOAT32]), launches=1)


def test_zeros_like() -> None:
    check(Case("ZEROS_LIKE", [noise(3, 5)]), launches=1)
