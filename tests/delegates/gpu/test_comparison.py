"""Comparisons, logic and bits as expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.stablehlo.compare import Direction

SPECIAL = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2])


@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_comparisons(name: str, dtype: Any) -> None:
    x, y = (SPECIAL.reshape(-1, 1), SPECIAL) if dtype == np.float32 else (np.int64([-3, 0, 9]), np.int64([0]))
    check(Case(name, [x, y], outputs=[TensorType.BOOL]), launches=1, apart=False)


def test_comparison_by_direction() -> None:
    for direction in (Direction.GE, Direction.NE):
        case = Case("STABLEHLO_COMPARE", [SPECIAL, SPECIAL[::-1].copy()], {"comparison_direction": direction})
        check(Case(case.operator, case.inputs, case.attributes, outputs=[TensorType.BOOL]), launches=1, apart=False)


def test_logic() -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for name, operands in {"LOGICAL_AND": [a, b], "LOGICAL_OR": [a, b], "LOGICAL_NOT": [a]}.items():
        check(Case(name, operands), launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int16])
def test_bits(dtype: Any) -> None:
    x, y = noise(12, dtype=dtype), noise(12, seed=1, dtype=dtype)
    check(Case("BITWISE_XOR", [x, y]), launches=1, apart=False)
    places = np.arange(12).astype(dtype)
    check(Case("RIGHT_SHIFT", [x, places * 3]), launches=1, apart=False)
    check(Case("STABLEHLO_SHIFT_LEFT", [x, places * 3]), launches=1, apart=False)


def test_shifts_by_too_many_places() -> None:
    x, places = np.int32([5, -5, 7, -7]), np.int32([-1, 40, 31, 1])
    check(Case("RIGHT_SHIFT", [x, places]), launches=1, apart=False)


def test_clamp() -> None:
    check(Case("STABLEHLO_CLAMP", [np.float32(-1), SPECIAL, np.float32(1.5)]), launches=1)
