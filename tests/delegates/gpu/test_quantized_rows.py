"""Integers that are reduced or normalised: the bits of the bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, Operand, const, q
from tflite_cupy.interpreter.graph import TensorType

INT8, UINT8, INT16 = np.int8, np.uint8, np.int16


def operand(dtype: Any, scale: float, zero: int, *shape: int) -> Operand:
    return q(noise(*shape, dtype=dtype), scale, zero)


def result(scale: float, zero: int = 0, type: TensorType | None = None) -> list[Any]:
    return [q(None, scale, zero, type=type)]


def reduced(name: str, x: Operand, axes: list[int], out: list[Any], label: str, keep_dims: bool = False) -> Case:
    return Case(name, [x, const(np.int32(axes))], {"keep_dims": keep_dims}, out, label=label)


REDUCTIONS = [
    reduced("MEAN", operand(INT8, 0.1, 5, 2, 7, 7, 40), [1, 2], result(0.012, -3), "spatial", keep_dims=True),
    reduced("MEAN", operand(UINT8, 0.1, 120, 3, 9, 300), [-1], result(0.01, 130), "last"),
    reduced("MEAN", operand(INT16, 0.1, 0, 5, 33), [0], result(0.2), "first"),
    reduced("MEAN", operand(INT8, 0.1, 5, 4, 6), [], result(0.2, -3), "nothing"),
    reduced("SUM", operand(INT8, 0.1, 5, 2, 7, 7, 40), [1, 2], result(0.5, -3), "spatial"),
    reduced("SUM", operand(UINT8, 0.1, 120, 3, 9, 30), [2], result(0.7, 130), "last"),
    reduced("SUM", operand(INT16, 0.1, 0, 5, 33), [0, 1], result(0.9), "all"),
]

SOFTMAXES = [
    Case("SOFTMAX", [operand(INT8, 0.05, 3, 6, 10)], {"beta": 1.0}, result(1 / 256, -128), label="int8"),
    Case("SOFTMAX", [operand(INT8, 0.2, 3, 2, 1001)], {"beta": 0.7}, result(1 / 256, -128), label="int8 long"),
    Case("SOFTMAX", [operand(UINT8, 0.1, 3, 4, 33)], {"beta": 1.0}, result(1 / 256, 0), label="uint8"),
    Case(
        "SOFTMAX",
        [operand(INT8, 0.02, 3, 4, 33)],
        {"beta": 1.0},
        result(1 / 65536, -32768, TensorType.INT16),
        label="16",
    ),
    Case("SOFTMAX", [operand(INT16, 2e-4, 0, 4, 33)], {"beta": 1.0}, result(1 / 32768), label="int16"),
    Case("SOFTMAX", [operand(INT16, 1e-3, 0, 2, 500)], {"beta": 1.0}, result(1 / 32768), label="int16 long"),
]

NORMS = [
    Case("L2_NORMALIZATION", [operand(INT8, 0.1, 3, 5, 20)], {}, result(1 / 128), label="int8"),
    Case("L2_NORMALIZATION", [operand(INT8, 0.1, 3, 2, 300)], {}, result(1 / 128), label="int8 long"),
    Case("L2_NORMALIZATION", [operand(UINT8, 0.1, 130, 5, 20)], {}, result(1 / 128, 128), label="uint8"),
    Case("L2_NORMALIZATION", [q(np.int8([[3, 3], [4, 3]]), 0.1, 3)], {}, result(1 / 128), label="zeros"),
]


@pytest.mark.parametrize("case", [*REDUCTIONS, *SOFTMAXES, *NORMS], ids=str)
def test_one_launch_gives_the_bits_of_the_body(case: Case) -> None:
    check(case, launches=1)
