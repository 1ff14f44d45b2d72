"""Comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType

F32 = np.float32
BOOL = [TensorType.BOOL]
X = F32([[1, 2, np.nan], [-0.0, 5, np.inf]])
Y = F32([[1, 3, np.nan], [0.0, 4, np.inf]])
WORDS = np.array([[b"a", b"bc", b""], [b"x\0y", b"bc", b"z"]], object)
OTHERS = np.array([b"a", b"bc", b"z"], object)
EQUALITY = ("EQUAL", "NOT_EQUAL")
ORDER = ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")

RNG = np.random.default_rng(3)
BYTES = RNG.integers(-128, 127, (2, 100, 90), np.int8, endpoint=True)
SHORTS = RNG.integers(-(2**15), 2**15 - 1, (2, 40, 30), np.int16, endpoint=True)

CASES = [
    *(Case(name, [X, Y], outputs=BOOL) for name in EQUALITY + ORDER),
    *(Case(name, [X, F32(2)], outputs=BOOL, label="broadcast") for name in EQUALITY + ORDER),
    *(
        Case(
            name,
            [np.array([1, 2, 3], kind), np.array([3, 2, 1], kind)],
            outputs=BOOL,
            label=kind,
            unreferenced="leaves the result unset" if (name, kind) == ("NOT_EQUAL", "int16") else "",
        )
        for name in EQUALITY + ORDER
        for kind in ("int32", "int64", "int16", "float16")
    ),
    *(
        Case(name, [q(BYTES[0], 0.1, 3), q(BYTES[1], 0.12, -5)], outputs=BOOL, label="int8")
        for name in EQUALITY + ORDER
    ),
    *(
        Case(name, [q(BYTES[0], 1e-3, 3), q(BYTES[1], 0.9, -5)], outputs=BOOL, label="int8 unlike")
        for name in EQUALITY + ORDER
    ),
    *(
        Case(
            name,
            [q(BYTES[0].view(np.uint8), 0.1, 3), q(BYTES[1, 0].view(np.uint8), 0.1, 3)],
            outputs=BOOL,
            label="uint8",
        )
        for name in EQUALITY + ORDER
    ),
    *(
        Case(name, [q(SHORTS[0], 0.1), q(SHORTS[1], 0.12)], outputs=BOOL, label="int16 quantised")
        for name in EQUALITY + ORDER
    ),
    *(Case(name, [X > 1, Y > 1], outputs=BOOL, label="bool") for name in EQUALITY),
    *(Case(name, [WORDS, OTHERS], outputs=BOOL, label="strings") for name in EQUALITY),
    Case("EQUAL", [X, Y[:, :2]], outputs=BOOL, raises="not broadcastable", label="shapes"),
    Case("LESS", [WORDS, OTHERS], outputs=BOOL, refused="not supported with string", label="strings"),
    Case("LESS", [X, X.astype(np.float16)], outputs=BOOL, refused="operands of one type", label="types"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
