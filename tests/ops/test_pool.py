"""Pooling in float32 and on quantised integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, q
from tflite_cupy.interpreter.ops.base import Activation, Padding

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 7, 9, 3)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (1, 7, 9, 3)).astype(np.int8)


def window(height: int, width: int, stride: int = 1, padding: Padding = Padding.SAME,
           activation: Activation = Activation.NONE) -> dict[str, Any]:  # fmt: skip
    return {
        "filter_height": height,
        "filter_width": width,
        "stride_h": stride,
        "stride_w": stride,
        "padding": padding,
        "fused_activation_function": activation,
    }


GEOMETRIES = {
    "same": window(3, 2, 2),
    "valid": window(2, 3, 1, Padding.VALID),
    "relu": window(3, 3, 1, activation=Activation.RELU),
    "whole": window(7, 9, 1, Padding.VALID),
}
STORED = {
    "int8": q(BYTES, 0.1, 3),
    "uint8": q((BYTES.astype(np.int16) + 128).astype(np.uint8), 0.1, 120),
    "int16": q(BYTES.astype(np.int16) * 100, 0.01),
}
CASES = [
    *(Case(f"{kind}_POOL_2D", [X], options, label=name, rtol=1e-5, atol=1e-6)
      for kind in ("AVERAGE", "MAX", "L2") for name, options in GEOMETRIES.items()),
    *(Case(f"{kind}_POOL_2D", [x], options, label=f"{type}-{name}")
      for kind in ("AVERAGE", "MAX") for type, x in STORED.items() for name, options in GEOMETRIES.items()),
    Case("MAX_POOL_2D", [np.float32([[[[np.nan], [1]], [[-np.inf], [np.nan]]]])], window(1, 2, 1, Padding.VALID),
         label="nan", expect=[np.float32([[[[1]], [[np.finfo(np.float32).min]]]])]),
    *(Case(f"{kind}_POOL_2D", [x.data], GEOMETRIES["same"], label=f"{type}-without-scale")
      for kind in ("AVERAGE", "MAX") for type, x in STORED.items()),
    Case("MAX_POOL_2D", [BYTES], GEOMETRIES["relu"], label="no-scale", refused="needs the scale of its result"),
    Case("AVERAGE_POOL_2D", [X[0]], window(2, 2), raises="expected 4 dimensions"),
    Case("AVERAGE_POOL_2D", [X], window(2, 2, 0), label="stride", raises="stride 0"),
    Case("MAX_POOL_2D", [X], window(0, 2), raises="window 0", unreferenced="it gives the least number"),
    Case("L2_POOL_2D", [q(BYTES, 0.1)], window(2, 2), label="int8", refused="not supported with int8"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
