"""Images read between their pixels, against loops over pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer

RNG = np.random.default_rng(12)
IMAGE = RNG.normal(size=(1, 5, 6, 2)).astype(np.float32)
IMAGES = RNG.normal(size=(2, 4, 3, 2)).astype(np.float32)
FLOW = RNG.uniform(-4, 4, (2, 4, 3, 2)).astype(np.float32)
TURNED = np.float32([[0.8, -0.6, 0, 1.5], [0.6, 0.8, 0, -0.25], [0, 0, 1, 0], [0, 0, 0, 1]])[None]


def between(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Bilinear interpolation at a place within the image."""
    top, left = min(int(y), image.shape[0] - 2), min(int(x), image.shape[1] - 2)
    down, across = y - top, x - left
    upper = image[top, left] * (1 - across) + image[top, left + 1] * across
    lower = image[top + 1, left] * (1 - across) + image[top + 1, left + 1] * across
    result: np.ndarray = upper * (1 - down) + lower * down
    return result


def warped(images: np.ndarray, flow: np.ndarray) -> np.ndarray:
    result = np.zeros_like(images)
    for n, i, j in np.ndindex(images.shape[:3]):
        y = min(max(i - flow[n, i, j, 0], 0), images.shape[1] - 1)
        x = min(max(j - flow[n, i, j, 1], 0), images.shape[2] - 1)
        result[n, i, j] = between(images[n], y, x)
    return result


def cropped(image: np.ndarray, transform: np.ndarray, height: int, width: int) -> np.ndarray:
    result = np.zeros((1, height, width, image.shape[3]), np.float32)
    for i, j in np.ndindex(height, width):
        x, y = (transform[0] @ [j + 0.5, i + 0.5, 0, 1])[:2] - 0.5
        if 0 <= x <= image.shape[2] - 1 and 0 <= y <= image.shape[1] - 1:
            result[0, i, j] = between(image[0], math.fabs(y), math.fabs(x))
    return result


def case(operator: str, inputs: Any, label: str, expect: Any = None, **more: Any) -> Case:
    settings = {"custom": True, "custom_options": write_flexbuffer(more.pop("options", {}))} | more
    expected = None if expect is None else [expect]
    return Case(operator, inputs, label=label, expect=expected, unreferenced="in no resolver by default", **settings)


SIZE = {"output_height": 4, "output_width": 7}
CASES = [
    case("DenseImageWarp", [IMAGES, FLOW], "flow", warped(IMAGES, FLOW)),
    case("DenseImageWarp", [IMAGES, np.zeros_like(FLOW)], "still", IMAGES),
    case("DenseImageWarp", [IMAGES, FLOW[..., :1]], "flow of one", raises="expected"),
    case("DenseImageWarp", [IMAGES[:, :1], FLOW[:, :1]], "one row", raises="from 2"),
    case("TransformTensorBilinear", [IMAGE, TURNED], "turned", cropped(IMAGE, TURNED, 4, 7), version=2, options=SIZE),
    case("TransformTensorBilinear", [IMAGE, np.eye(4, dtype=np.float32)[None]], "as it is", IMAGE, version=2,
         options={"output_height": 5, "output_width": 6}),
    case("TransformTensorBilinear", [IMAGE, TURNED], "no size", version=2, raises="output_height"),
    case("TransformTensorBilinear", [IMAGE, TURNED], "version", options=SIZE, refused="version 1 is not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
