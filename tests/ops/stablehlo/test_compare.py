"""Comparison of StableHLO."""

from __future__ import annotations

import operator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.stablehlo.compare import CompareType, Direction

NO_KERNEL = "it has no kernel"
RELATIONS = {
    Direction.EQ: operator.eq,
    Direction.NE: operator.ne,
    Direction.GE: operator.ge,
    Direction.GT: operator.gt,
    Direction.LE: operator.le,
    Direction.LT: operator.lt,
}
SORTED = [-np.nan, -np.inf, -2.5, -0.0, 0.0, 1e-3, 3.0, np.inf, np.nan]
PLACES = [(i, j) for i in range(len(SORTED)) for j in range(len(SORTED))]
COMPLEX = [1 + 2j, 1 + 3j, 2 - 5j, -1 + 9j]


def pairs(values: list[Any], dtype: Any) -> list[np.ndarray]:
    """Every value against every value."""
    grid = [(a, b) for a in values for b in values]
    return [np.array(side, dtype) for side in zip(*grid, strict=True)]


def compared(direction: Direction, kind: CompareType, values: list[Any], dtype: Any, expect: list[bool]) -> Case:
    return Case(
        "STABLEHLO_COMPARE",
        pairs(values, dtype),
        {"comparison_direction": direction, "compare_type": kind},
        outputs=[TensorType.BOOL],
        expect=[np.array(expect)],
        label=f"{direction.name} {kind.name} {np.dtype(dtype).name}",
        unreferenced=NO_KERNEL,
    )


def refused(values: np.ndarray, kind: CompareType, sentence: str) -> Case:
    attributes = {"compare_type": kind}
    return Case("STABLEHLO_COMPARE", [values, values], attributes, outputs=[TensorType.BOOL], refused=sentence)


CASES = [
    case
    for direction, relation in RELATIONS.items()
    for case in (
        compared(direction, CompareType.FLOAT, SORTED, np.float32, [relation(a, b) for a in SORTED for b in SORTED]),
        *(
            compared(direction, CompareType.FLOAT_TOTAL_ORDER, SORTED, dtype, [relation(i, j) for i, j in PLACES])
            for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16)
        ),
        compared(
            direction,
            CompareType.SIGNED,
            [-128, -1, 0, 127],
            np.int8,
            [relation(a, b) for a in (-128, -1, 0, 127) for b in (-128, -1, 0, 127)],
        ),
        compared(
            direction,
            CompareType.UNSIGNED,
            [0, 2**31, 2**64 - 1],
            np.uint64,
            [relation(a, b) for a in (0, 1, 2) for b in (0, 1, 2)],
        ),
        compared(
            direction,
            CompareType.NOTYPE,
            [False, True],
            np.bool_,
            [relation(a, b) for a in (0, 1) for b in (0, 1)],
        ),
        compared(
            direction,
            CompareType.FLOAT,
            COMPLEX,
            np.complex64,
            [relation((a.real, a.imag), (b.real, b.imag)) for a in COMPLEX for b in COMPLEX],
        ),
    )
]
CASES += [
    refused(np.int32([1]), CompareType.UNSIGNED, "does not compare int32 as UNSIGNED"),
    refused(np.int32([1]), CompareType.FLOAT_TOTAL_ORDER, "does not compare int32 as FLOAT_TOTAL_ORDER"),
    refused(np.complex64([1]), CompareType.FLOAT_TOTAL_ORDER, "does not compare complex64"),
    Case(
        "STABLEHLO_COMPARE",
        [q(np.int8([1]), 0.5)] * 2,
        outputs=[TensorType.BOOL],
        refused="is not supported with quantised operands",
    ),
    Case(
        "STABLEHLO_COMPARE",
        [np.int32([1]), np.int32([1, 2])],
        outputs=[TensorType.BOOL],
        raises="operands of one shape",
        unreferenced=NO_KERNEL,
    ),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
