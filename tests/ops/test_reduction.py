"""Reductions over some dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, check, const, matrix, q

F32 = np.float32
RNG = np.random.default_rng(13)
X = RNG.normal(0, 4, (2, 3, 4, 5)).astype(F32)
WHOLE = RNG.integers(-1000, 1000, (2, 3, 4), np.int32)
BITS = RNG.random((3, 4, 5)) > 0.7
INT8 = RNG.integers(-128, 127, (2, 7, 9, 5), np.int8, endpoint=True)
INT16 = RNG.integers(-(2**15), 2**15 - 1, (2, 7, 9, 5), np.int16, endpoint=True)
SMALL = RNG.integers(-9, 9, (4, 5), np.int8)

KEEP = {"keep_dims": True}
DROP = {"keep_dims": False}
REAL = ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")


def axes(*values: int) -> Operand:
    return const(np.array(values, np.int32))


OVER = {
    "middle": ([X, axes(1, 2)], DROP),
    "middle kept": ([X, axes(1, 2)], KEEP),
    "last": ([X, axes(-1)], DROP),
    "first": ([X, axes(0)], KEEP),
    "all": ([X, axes(0, 1, 2, 3)], DROP),
    "all kept": ([X, axes(3, 2, 1, 0)], KEEP),
    "apart": ([X, axes(0, -2)], DROP),
    "twice": ([X, axes(1, -3)], DROP),
    "none": ([X, axes()], DROP),
    "axis of rank 0": ([X, const(np.int32(2))], DROP),
    "axes at run time": ([X, np.int32([1, 2])], DROP),
    "scalar": ([np.array(3, F32), axes(0)], DROP),
}

CASES = [
    *(
        Case(name, operands, attributes, label=label, rtol=1e-5, atol=1e-5)
        for name in REAL
        for label, (operands, attributes) in OVER.items()
    ),
    *(Case(name, [WHOLE.astype(kind), axes(1)], DROP, label=kind) for name in REAL for kind in ("int32", "int64")),
    *(
        Case(name, [X[:, :0], axes(1)], DROP, label="of nothing")
        for name in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
    ),
    Case("SUM", [X[:, :0], axes(2)], DROP, label="empty result"),
    Case("MEAN", [np.zeros((0, 2), np.int32), axes(0)], DROP, label="int32 of nothing"),
    *(
        Case(name, [BITS, axes(*over)], KEEP, label=str(over))
        for name in ("REDUCE_ANY", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM")
        for over in [(0,), (1, 2)]
    ),
    *(Case(name, [BITS[:0], axes(0)], DROP, label="of nothing") for name in ("REDUCE_ANY", "REDUCE_ALL", "REDUCE_MAX")),
    *(
        Case(
            name,
            [q(values, 0.1, zero), axes(1, 2)],
            attributes,
            outputs=[q(None, 0.07 if name == "MEAN" else 3.1, out)],
            label=f"{values.dtype} {attributes['keep_dims']}",
            optimized=name == "SUM",  # the plain reference kernel takes all integers for uint8
        )
        for name in ("MEAN", "SUM")
        for values, zero, out in [(INT8, 3, -5), (INT8.view(np.uint8), 130, 12), (INT16, 0, 0)]
        for attributes in (KEEP, DROP)
    ),
    Case("MEAN", [q(INT8, 0.1, 3), axes(1, 2)], KEEP, label="int8 same scale"),
    Case("MEAN", [q(INT8, 1e-3, 3), axes(0, 1, 2, 3)], DROP, outputs=[q(None, 0.2, 3)], label="int8 all"),
    *(
        Case(
            "SUM",
            [q(values, 0.028, zero), axes(1)],
            DROP,
            outputs=[q(None, 0.0744, zero)],
            label=f"{values.dtype} of few",
            optimized=True,
        )
        for values, zero in [(INT8, -97), (INT8.view(np.uint8), 31), (INT16, 0)]
    ),
    Case("SUM", [q(INT8, 0.1, 3), axes()], DROP, outputs=[q(None, 0.07, -3)], label="int8 of elements", optimized=True),
    *(
        Case(name, [q(values, 0.1, zero), axes(1)], DROP, label=f"{values.dtype}")
        for name in ("REDUCE_MAX", "REDUCE_MIN")
        for values, zero in [(INT8, 3), (INT8.view(np.uint8), 130), (INT16, 0)]
    ),
    *(
        Case(
            "REDUCE_PROD",
            [q(values, 0.3, zero), axes(*over)],
            DROP,
            outputs=[q(None, 0.5, out)],
            label=f"{values.dtype} {over}",
        )
        for values, zero, out in [(SMALL, 2, -5), (SMALL.astype(np.int16), 0, 0)]
        for over in [(0,), (1,), (0, 1)]
    ),
    Case("SUM", [X, axes(4)], DROP, raises="Invalid axis index: axis 4 is out of range for rank 4", label="axis"),
    Case("MEAN", [X, np.int32([-5])], DROP, raises="Invalid axis index", label="axis at run time"),
    Case("REDUCE_MAX", [q(INT8, 0.1), axes(1)], outputs=[q(None, 0.2)], refused="needs a result with", label="scale"),
    Case("MEAN", [q(INT16, 0.1, 3), axes(1)], outputs=[q(None, 0.2)], refused="needs zero point 0", label="int16"),
    Case("REDUCE_ANY", [X, axes(1)], refused="not supported with float32", label="float32"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
