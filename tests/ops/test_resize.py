"""Resizing of float and integer images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, q

RNG = np.random.default_rng(8)
X = RNG.standard_normal((2, 4, 5, 3)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (1, 4, 5, 3)).astype(np.int8)
IMAGES: dict[str, Any] = {
    "float": X,
    "int8": q(BYTES, 0.1, 3),
    "uint8": q((BYTES.astype(np.int16) + 128).astype(np.uint8), 0.1, 120),
    "int16": q(BYTES.astype(np.int16) * 100, 0.01),
}
MODES: dict[str, dict[str, bool]] = {
    "legacy": {},
    "aligned": {"align_corners": True},
    "half-pixel": {"half_pixel_centers": True},
}
PIXELS: dict[str, Any] = {
    "float16": X.astype(np.float16),
    "uint16": BYTES.view(np.uint8).astype(np.uint16),
    "int32": BYTES.astype(np.int32),
    "uint32": BYTES.view(np.uint8).astype(np.uint32),
    "bool": BYTES > 0,
}
SIZES = {"up": (7, 9), "down": (3, 2), "point": (1, 1), "same": (4, 5)}
CASES = [
    *(Case(f"RESIZE_{kind}", [image, const(np.int32(size))], mode, label=f"{type}-{name}-{to}", rtol=1e-5, atol=1e-5)
      for kind in ("BILINEAR", "NEAREST_NEIGHBOR") for type, image in IMAGES.items() for name, mode in MODES.items()
      for to, size in SIZES.items()),
    *(Case("RESIZE_NEAREST_NEIGHBOR", [image, const(np.int32([7, 9]))], label=type) for type, image in PIXELS.items()),
    Case("RESIZE_BILINEAR", [X, np.int32([6, 6])], label="size-at-run-time", rtol=1e-5, atol=1e-5),
    Case("RESIZE_BILINEAR", [X, const(np.int32([6, 6]))], {"align_corners": True, "half_pixel_centers": True},
         label="both", raises="If half_pixel_centers is True, align_corners must be False"),
    Case("RESIZE_BILINEAR", [X, const(np.int32([6, 0]))], label="nothing", raises="expected positive"),
    Case("RESIZE_BILINEAR", [X, const(np.int32([6, 6, 6]))], label="size", raises=r"expected \[height, width\]"),
    Case("RESIZE_BILINEAR", [X[0], const(np.int32([6, 6]))], label="rank", raises="expected 4 dimensions"),
    Case("RESIZE_NEAREST_NEIGHBOR", [X[:, :0], const(np.int32([6, 6]))], label="empty", raises="no pixels",
         unreferenced="it reads what lies before the tensor"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
