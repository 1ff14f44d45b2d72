"""Positions of extremes, running sums, normalisation of rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, q
from tflite_cupy.interpreter.graph import TensorType

F32 = np.float32
RNG = np.random.default_rng(17)
X = RNG.normal(0, 4, (3, 4, 5)).astype(F32)
TIES = F32([[1, 3, 3], [2, 2, 0]])
WHOLE = RNG.integers(-1000, 1000, (3, 4), np.int32)
INT8 = RNG.integers(-128, 127, (6, 40), np.int8, endpoint=True)
I32, I64 = TensorType.INT32, TensorType.INT64
UNIT = {np.int8: q(None, 1 / 128, 0), np.uint8: q(None, 1 / 128, 128)}


def axis(value: int) -> object:
    return const(np.int32(value))


NANS = F32([[np.nan, 1, 2], [1, np.nan, 2], [2, np.nan, 1], [np.nan, np.nan, np.nan]])

CASES = [
    *(
        Case(name, [NANS, const(np.int32(-1))], {"output_type": TensorType.INT32}, [TensorType.INT32], label="NaN")
        for name in ("ARG_MAX", "ARG_MIN")
    ),
    Case("CUMSUM", [q(INT8, 0.1), const(np.int32(0))], refused="not supported with quantised int8"),
    *(
        Case(name, [operand, axis(along)], {"output_type": kind}, outputs=[kind], label=f"{label} {along} {kind.name}")
        for name in ("ARG_MAX", "ARG_MIN")
        for label, operand in {"float32": X, "ties": TIES, "int32": WHOLE, "int8": INT8, "bool": TIES > 2}.items()
        for along, kind in [(0, I32), (-1, I64)]
    ),
    *(
        Case(name, [X, np.int64([1])], {"output_type": I32}, outputs=[I32], label="axis at run time")
        for name in ("ARG_MAX", "ARG_MIN")
    ),
    Case("ARG_MAX", [q(INT8, 0.1, 3), axis(1)], {"output_type": I32}, outputs=[I32], label="quantised"),
    Case(
        "ARG_MAX", [X, axis(3)], {"output_type": I32}, outputs=[I32], raises="Invalid axis value: axis 3", label="axis"
    ),
    Case("ARG_MIN", [X[:, :0], axis(1)], {"output_type": I32}, outputs=[I32], raises="has no elements", label="empty"),
    Case("ARG_MAX", [X, axis(1)], {"output_type": TensorType.FLOAT32}, refused="gives int32 or int64", label="type"),
    *(
        Case(
            "CUMSUM",
            [operand, axis(along)],
            {"exclusive": exclusive, "reverse": reverse},
            label=f"{operand.dtype} {along} {exclusive} {reverse}",
            atol=1e-5,
        )
        for operand in (X, WHOLE, WHOLE.astype(np.int64))
        for along in (0, -1)
        for exclusive in (False, True)
        for reverse in (False, True)
    ),
    Case("CUMSUM", [X, np.int32(1)], label="axis at run time", atol=1e-5),
    Case("CUMSUM", [X, axis(-4)], raises="Invalid axis: axis -4", label="axis"),
    Case("L2_NORMALIZATION", [X]),
    Case("L2_NORMALIZATION", [F32([[0, 0], [1e-9, 0], [3, 4]])], label="small"),
    *(
        Case(
            "L2_NORMALIZATION", [q(INT8.view(kind), 0.1, zero)], outputs=[UNIT[kind]], label=f"{np.dtype(kind)} {zero}"
        )
        for kind, zero in [(np.int8, 0), (np.int8, -7), (np.uint8, 128), (np.uint8, 3)]
    ),
    *(
        Case(
            "L2_NORMALIZATION",
            [q(np.tile(np.arange(-8, 8, dtype=np.int8)[:, None], size), 0.1, 0)],
            outputs=[UNIT[np.int8]],
            label=f"int8 row of {size}",
        )
        for size in (1, 2, 300)
    ),
    Case(
        "L2_NORMALIZATION",
        [q(INT8, 0.1)],
        outputs=[q(None, 0.1)],
        refused="needs a result of scale 2**-7",
        label="scale",
    ),
    Case("L2_NORMALIZATION", [np.array(3, F32)], raises="rank 1 or more", label="scalar"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
