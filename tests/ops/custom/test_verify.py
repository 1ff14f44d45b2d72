"""NumericVerify, against the reference runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, check, matrix, q
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType

F32 = TensorType.FLOAT32

RNG = np.random.default_rng(5)
REAL = RNG.normal(size=(3, 4)).astype(np.float32)
STEPS = np.rint(REAL / 0.05)


def verify(label: str, input: np.ndarray | Operand, ref: np.ndarray = REAL, **expected: Any) -> Case:
    """A case; `expected` holds attributes of the operator and fields of the case."""
    options = {name: expected.pop(name, 0) for name in ("tolerance", "log_if_failed")}
    raw = write_flexbuffer(options)
    return Case("NumericVerify", [input, ref], outputs=[F32], label=label, custom=True, custom_options=raw, **expected)


INT8 = q(STEPS.astype(np.int8), 0.05)
CASES = [
    verify("int8", INT8),
    verify("uint8", q((STEPS + 128).astype(np.uint8), 0.05, 128)),
    verify("int16", q((STEPS * 4).astype(np.int16), 0.0125)),
    verify("float16", REAL.astype(np.float16)),
    verify("within the tolerance", INT8, tolerance=5.0, log_if_failed=True),
    verify("small tolerances are not enforced", INT8, REAL + 1, tolerance=0.05, log_if_failed=True),
    verify("beyond the tolerance", INT8, REAL + 1, tolerance=5.0, log_if_failed=True, raises="Mismatch"),
    verify("shapes", INT8, REAL[:2], raises="expected equal shapes", unreferenced="it does not look"),
    verify("plain integers", STEPS.astype(np.int8), refused="no quantization parameters"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
