"""SOFTMAX and LOG_SOFTMAX."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.graph import TensorType

F32 = np.float32
RNG = np.random.default_rng(9)
X = RNG.normal(0, 5, (2, 3, 7)).astype(F32)
LARGE = F32([[1e30, 0, -1e30], [88, 89, 90]])
INT8 = RNG.integers(-128, 127, (2, 30, 11), np.int8, endpoint=True)
INT16 = RNG.integers(-(2**15), 2**15 - 1, (2, 30, 11), np.int16, endpoint=True)
ROW = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
SAME = np.full((1, 100), -128, np.int8)

BETA = {"beta": 1.0}
BYTE = q(None, 1 / 256, -128)
WIDE = q(None, 1 / 65536, -(2**15), type=TensorType.INT16)

REAL = [
    *(
        Case(name, [array], attributes, label=label)
        for name, attributes in [("SOFTMAX", BETA), ("LOG_SOFTMAX", {})]
        for label, array in {"random": X, "large": LARGE, "vector": X[0, 0], "one": X[..., :1], "empty": X[:0]}.items()
    ),
    Case("SOFTMAX", [X], {"beta": 0.3}, label="beta"),
    Case("SOFTMAX", [X[..., :0]], BETA, label="empty rows"),
    Case("SOFTMAX", [np.array(2, F32)], BETA, raises="rank 1 or more", label="scalar"),
]

QUANTIZED = [
    *(
        Case("SOFTMAX", [q(array, scale, 3)], {"beta": beta}, outputs=[BYTE], label=f"int8 {label} {scale} {beta}")
        for label, array in {"random": INT8, "row": ROW, "same": SAME}.items()
        for scale, beta in [(0.1, 1.0), (0.02, 1.0), (1.3, 0.7), (40.0, 1.0)]
    ),
    Case("SOFTMAX", [q(INT8, 0.1, 3)], BETA, outputs=[WIDE], label="int8 to int16"),
    Case("SOFTMAX", [q(INT8[..., :0], 0.1, 3)], BETA, outputs=[BYTE], label="int8 empty rows"),
    Case("SOFTMAX", [q(INT8.view(np.uint8), 0.1, 3)], BETA, outputs=[q(None, 1 / 256)], label="uint8"),
    Case("SOFTMAX", [q(INT8.view(np.uint8), 0.1, 3)], BETA, outputs=[WIDE], label="uint8 to int16"),
    *(
        Case(
            "SOFTMAX", [q(array, scale)], {"beta": beta}, outputs=[q(None, 1 / 32768)], label=f"int16 {scale} {number}"
        )
        for number, array in enumerate([INT16, INT16[:1, :1, :1], INT16.reshape(1, -1)])
        for scale, beta in [(1e-4, 1.0), (1e-3, 0.7), (1e-5, 1.0)]
    ),
    Case("SOFTMAX", [q(INT8, 0.1)], BETA, outputs=[q(None, 0.1)], refused="needs a result with Affine", label="scale"),
    Case(
        "SOFTMAX",
        [q(INT16, 0.1)],
        BETA,
        outputs=[q(None, 1 / 256, type=TensorType.INT8)],
        refused="does not give int8 for int16",
        label="types",
    ),
    *(
        Case("LOG_SOFTMAX", [q(array, scale, 3)], outputs=[q(None, 1 / 16, 127)], label=f"int8 {label} {scale}")
        for label, array in {"random": INT8, "row": ROW, "same": SAME}.items()
        for scale in (0.1, 0.02, 1.3)
    ),
    *(
        Case("LOG_SOFTMAX", [q(array.view(np.uint8), 0.1, 3)], outputs=[q(None, 1 / 16, 255)], label=f"uint8 {label}")
        for label, array in {"random": INT8, "row": ROW}.items()
    ),
    Case("LOG_SOFTMAX", [q(INT8, 0.1)], outputs=[q(None, 0.1, 127)], refused="needs a result with", label="scale"),
]

CASES = [*REAL, *QUANTIZED]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
