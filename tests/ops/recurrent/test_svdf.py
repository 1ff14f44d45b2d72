"""SVDF: results over several calls, against the reference runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, const, q
from tests.ops.recurrent.layers import (
    ASYMMETRIC,
    CALLS,
    CLOSE,
    FLOAT32,
    RealParts,
    changed,
    check_calls,
    quantized_state,
    real,
    reseed,
    results,
    runs_and_failures,
    state,
)
from tflite_cupy.interpreter.ops.base import Activation

RELU = {"fused_activation_function": Activation.RELU}


def svdf(rank: int, bias: bool = True, hybrid: Any = None, **options: object) -> Case:
    reseed(rank, bias, np.dtype(hybrid), options)
    parts = RealParts(hybrid)
    given = [real(2, 5), parts.weights(6, 5), parts.weights(6, 3), const(real(6 // rank)) if bias else None,
             state(2, 18)]  # fmt: skip
    label = "-".join([f"rank{rank}", *([np.dtype(hybrid).name] if hybrid else []), *options])
    return Case("SVDF", given, {"rank": rank, **RELU, **options}, [FLOAT32], label=label, **CLOSE)


def integer_svdf(kind: Any, rank: int = 2, zero_point: int = -128) -> Case:
    """Results within the reach of 8-bit states, which both kinds of state hold alike."""
    features, times = (np.random.default_rng(3).integers(-127, 128, (6, n)) for n in (5, 3))
    bias = np.int32([900, -400, 20, 0, 7, 100])[: 6 // rank]
    given = [q((np.arange(10) * 7 % 23 - 11).reshape(2, 5).astype(np.int8), 0.02, 4),
             q(features.astype(np.int8), 0.01, constant=True), q(times.astype(kind), 0.008, constant=True),
             q(bias, 4e-4, constant=True), quantized_state(kind, (2, 18), 0.05)]  # fmt: skip
    label = f"{np.dtype(kind).name}-rank{rank}"
    return Case("SVDF", given, {"rank": rank, **RELU}, [q(None, 0.05, zero_point)], label=label)


RUNS = [
    svdf(1),
    svdf(2, bias=False),
    svdf(2, fused_activation_function=Activation.TANH),
    svdf(3, hybrid=np.int8),
    svdf(2, hybrid=np.int8, bias=False, **ASYMMETRIC),
    svdf(1, hybrid=np.uint8),
    integer_svdf(np.int16),
    integer_svdf(np.int16, rank=1, zero_point=-5),
    changed(integer_svdf(np.int16), 3, None, label="int16-unbiased"),
]
REFUSED = [
    changed(svdf(1), 4, quantized_state(np.int16, (2, 18), 1e-3), refused="integer state"),
    changed(svdf(1), 4, None, refused="`activation_state`, which is absent"),
    changed(svdf(1, hybrid=np.int8), 2, const(real(6, 3)), refused="different types"),
    replace(integer_svdf(np.int16), attributes={"rank": 2}, refused="other than RELU"),
    changed(integer_svdf(np.int16), 4, quantized_state(np.int8, (2, 18), 0.05), refused="equal integer types"),
    changed(integer_svdf(np.int16), 3, const(real(3)), refused="int32 bias"),
]
MISFITS = [
    changed(svdf(2), 3, const(real(4)), raises="expected 3 elements"),
    replace(svdf(1), attributes={"rank": 4}, raises="6 filters of rank 4"),
]
CASES = RUNS + REFUSED + MISFITS


@pytest.mark.parametrize("case", runs_and_failures(CASES))
def test_operator(case: Case) -> None:
    check_calls(case)


def test_an_8_bit_state_is_like_one_of_16_bits() -> None:
    narrow, wide = (results(integer_svdf(kind)) for kind in (np.int8, np.int16))
    assert len({a.tobytes() for (a,) in narrow}) == CALLS
    for (a,), (b,) in zip(narrow, wide, strict=True):
        np.testing.assert_array_equal(a, b)
