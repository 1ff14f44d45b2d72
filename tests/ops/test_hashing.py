"""Hashes of bytes and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.hashing import LshProjectionType, fingerprint64

RNG = np.random.default_rng(6)
HASH = RNG.normal(size=(3, 7)).astype(np.float32)
SPARSE, DENSE = LshProjectionType.SPARSE, LshProjectionType.DENSE
X = RNG.normal(size=(5, 2, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=5).astype(np.float32)


def project(kind: LshProjectionType, *operands: object, label: str = "", **changes: str) -> Case:
    return Case("LSH_PROJECTION", operands, {"type": kind}, [TensorType.INT32], label=label or kind.name, **changes)


CASES = [
    *(project(kind, const(HASH), X) for kind in (SPARSE, DENSE)),
    *(project(kind, const(HASH), X, WEIGHTS, label=f"{kind.name} weighted") for kind in (SPARSE, DENSE)),
    *(
        project(DENSE, HASH, RNG.integers(0, 256, (4, size)).astype(np.uint8), label=f"{size} bytes")
        for size in (1, 3, 4, 8, 12, 13, 28, 29, 47, 60, 61, 124, 125, 128, 252, 253, 300)
    ),
    *(
        project(SPARSE, HASH, RNG.integers(0, 2, 6).astype(dtype), label=np.dtype(dtype).name)
        for dtype in (np.int64, np.int16, np.bool_, np.float16, np.float64, np.complex64, np.uint32)
    ),
    project(SPARSE, RNG.normal(size=(3, 32)).astype(np.float32), X, label="32 bits"),
    project(SPARSE, RNG.normal(size=(1, 33)).astype(np.float32), X, label="33 bits", raises="at most 32 columns"),
    project(SPARSE, HASH, X[:0], raises="at least one slice", label="no slices"),
    project(SPARSE, HASH, X, WEIGHTS[:4], raises="one for each slice", label="weights"),
    project(LshProjectionType.UNKNOWN, HASH, X, refused="not supported with type UNKNOWN"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # the example of FARM_FINGERPRINT in BigQuery's reference
        (b"1footrue", -1541654101129638711),
        (b"2applefalse", 2794438866806483259),
        (b"3true", -4880158226897771312),
    ],
)
def test_fingerprints_of_others(text: bytes, expected: int) -> None:
    keys = np.frombuffer(text, np.uint8)[None]
    assert fingerprint64(np, keys).view(np.int64).tolist() == [expected]
