"""Division and powers of StableHLO. Expected values come from Python's integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q

NO_KERNEL = "it has no kernel"
SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)
REAL = (np.float16, np.float32, np.float64, ml_dtypes.bfloat16)
X = [5.5, -5.5, 5.5, -5.5, 0, 7, np.inf]
Y = [2, 2, -2, -2, 3, np.inf, 2]
Z = np.complex64([1 + 2j, -3 + 0.5j, 2j])


def wrapped(value: int, dtype: Any) -> int:
    info = np.iinfo(dtype)
    return int((value - info.min) % 2**info.bits + info.min)


def divided(a: int, b: int, dtype: Any) -> int:
    if b == 0:
        return -1 if np.iinfo(dtype).min else np.iinfo(dtype).max
    return wrapped(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1), dtype)


def left(a: int, b: int, dtype: Any) -> int:
    return a if b == 0 else (abs(a) % abs(b)) * (-1 if a < 0 else 1)


def raised(a: int, b: int, dtype: Any) -> int:
    if b >= 0:
        return wrapped(pow(a, b, 2**64) if b > 64 else a**b, dtype)
    return {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)


def integers(name: str, meaning: Callable[[int, int, Any], int], dtypes: Any = SIGNED + UNSIGNED) -> list[Case]:
    """Cases of an operator on integers of every type: all pairs of some remarkable ones."""
    cases = []
    for dtype in dtypes:
        info = np.iinfo(dtype)
        values = sorted({v for v in (info.min, info.min + 1, -7, -3, -2, -1, 0, 1, 2, 3, 7, info.max) if v >= info.min})
        pairs = [(a, b) for a in values for b in values]
        a, b = (np.array(side, dtype) for side in zip(*pairs, strict=True))
        expect = [np.array([meaning(a, b, dtype) for a, b in pairs], dtype)]
        cases.append(Case(name, [a, b], expect=expect, label=np.dtype(dtype).name, unreferenced=NO_KERNEL))
    return cases


def reals(name: str, a: list[float], b: list[float], expect: list[float]) -> list[Case]:
    """Cases of an operator on real numbers of every type, all exact in the coarsest one."""
    return [
        Case(
            name, [x.astype(dtype) for x in map(np.array, (a, b))], expect=[expect], label=label, unreferenced=NO_KERNEL
        )
        for dtype, label in ((dtype, np.dtype(dtype).name) for dtype in REAL)
    ]


CASES = [
    *integers("STABLEHLO_DIVIDE", divided),
    *integers("STABLEHLO_REMAINDER", left),
    *integers("STABLEHLO_POWER", raised),
    *reals("STABLEHLO_DIVIDE", X, Y, [2.75, -2.75, -2.75, 2.75, 0, 0, np.inf]),
    Case(
        "STABLEHLO_DIVIDE",
        [Z, np.complex64([1j, 2, 1 - 1j])],
        expect=[np.complex64([2 - 1j, -1.5 + 0.25j, -1 + 1j])],
        label="complex64",
        unreferenced=NO_KERNEL,
    ),
    Case("STABLEHLO_DIVIDE", [Z, Z[:2]], raises="operands of one shape", unreferenced=NO_KERNEL),
    Case("STABLEHLO_DIVIDE", [q(np.int8([1]), 0.5)] * 2, refused="is not supported with quantised operands"),
    *reals("STABLEHLO_REMAINDER", X, Y, [1.5, -1.5, 1.5, -1.5, 0, 7, np.nan]),
    Case("STABLEHLO_REMAINDER", [Z, Z], refused="is not supported with complex64"),
    *reals("STABLEHLO_POWER", [2, -2, 9, -8, 0, 0], [-2, 3, 0.5, 0.5, 0, -1], [0.25, -8, 3, np.nan, 1, np.inf]),
    Case(
        "STABLEHLO_POWER",
        [Z, np.full_like(Z, 2)],
        expect=[np.complex64([-3 + 4j, 8.75 - 3j, -4])],
        label="complex64",
        unreferenced=NO_KERNEL,
    ),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
