"""Pooling that tells where the greatest elements were, against XNNPACK and against loops over windows."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.ops.custom.graphs import ours, theirs
from tests.ops.harness import Case, check, matrix
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType

RNG = np.random.default_rng(13)
SAME, VALID = 1, 2
I32 = TensorType.INT32
X = RNG.normal(size=(2, 6, 8, 3)).astype(np.float32)
MEDIAPIPE = "no resolver of the reference runtime has it"


def pool(padding: int, window: Sequence[int], strides: Sequence[int], activation: int = 0) -> bytes:
    """TfLitePoolParams; window and strides as (height, width)."""
    return struct.pack("<10i", padding, strides[1], strides[0], window[1], window[0], activation, 0, 0, 0, 0)


def case(operator: str, inputs: Sequence[np.ndarray], options: bytes, label: str, **more: object) -> Case:
    settings = {"custom": True, "custom_options": options, "unreferenced": MEDIAPIPE} | more
    return Case(operator, inputs, label=label, **settings)  # type: ignore[arg-type]


SMALL = np.float32([[[[1], [5], [2]], [[3], [4], [9]], [[-7], [-8], [-6]]]])
TIES = np.float32([[[[4], [4]], [[np.nan], [4]]]])
PLACES = np.float32([[[[3.1], [0.1]], [[2.1], [1.1]]]])


def attributes(window: Sequence[int], strides: Sequence[int], padding: str, **more: object) -> bytes:
    return write_flexbuffer({"ksize": [1, *window, 1], "strides": [1, *strides, 1], "padding": padding} | more)


def pooled(x: np.ndarray, window: Sequence[int], strides: Sequence[int], before: int) -> list[np.ndarray]:
    """Greatest elements and their places in the image, window by window; windows begin `before` elements outside."""
    n, h, w, c = x.shape
    sizes = [-(-size // stride) if before else (size - k) // stride + 1
             for size, k, stride in zip((h, w), window, strides, strict=True)]  # fmt: skip
    best, place = np.zeros((n, *sizes, c), np.float32), np.zeros((n, *sizes, c), np.int32)
    for b, i, j, k in np.ndindex(best.shape):
        top, left = i * strides[0] - before, j * strides[1] - before
        inside = [(y, z) for y in range(top, top + window[0]) for z in range(left, left + window[1])
                  if 0 <= y < h and 0 <= z < w]  # fmt: skip
        y, z = max(inside, key=lambda at: x[b, at[0], at[1], k])
        best[b, i, j, k], place[b, i, j, k] = x[b, y, z, k], (y * w + z) * c + k
    return [best, place]


def restored(x: np.ndarray) -> np.ndarray:
    """Zeros but for the greatest of each 2 x 2 elements."""
    result = np.zeros_like(x)
    best, place = pooled(x, (2, 2), (2, 2), 0)
    for b in range(len(x)):
        result[b].reshape(-1)[place[b].ravel()] = best[b].ravel()
    return result


HALF = pooled(X, (2, 2), (2, 2), 0)
CASES = [
    case("MaxPoolingWithArgmax2D", [SMALL], pool(VALID, (2, 2), (1, 1)), "valid", outputs=[F32, F32],
         expect=[np.float32([[[[5], [9]], [[4], [9]]]]), np.float32([[[[1.1], [3.1]], [[1.1], [1.1]]]])]),
    case("MaxPoolingWithArgmax2D", [SMALL], pool(SAME, (2, 2), (2, 2)), "same", outputs=[F32, F32],
         expect=[np.float32([[[[5], [9]], [[-7], [-6]]]]), np.float32([[[[1.1], [2.1]], [[0.1], [0.1]]]])]),
    case("MaxPoolingWithArgmax2D", [SMALL], pool(SAME, (3, 3), (2, 2), 1), "border, relu", outputs=[F32, F32],
         expect=[np.float32([[[[5], [9]], [[4], [9]]]]), np.float32([[[[5.1], [7.1]], [[2.1], [1.1]]]])]),
    case("MaxPoolingWithArgmax2D", [TIES], pool(VALID, (2, 2), (2, 2)), "ties and NaN", outputs=[F32, F32],
         expect=[np.float32([[[[4]]]]), np.float32([[[[0.1]]]])]),
    case("MaxPoolingWithArgmax2D", [X], pool(SAME, (0, 2), (2, 2)), "no window", outputs=[F32, F32], raises="window 0"),
    case("MaxUnpooling2D", [PLACES + 1, PLACES], pool(SAME, (2, 2), (2, 2)), "apart",
         expect=[np.float32([[0, 0, 1.1, 0], [0, 4.1, 0, 0], [0, 0, 0, 2.1], [3.1, 0, 0, 0]])[None, ..., None]]),
    case("MaxUnpooling2D", [PLACES, PLACES], pool(SAME, (2, 2), (1, 1)), "overlapping",
         expect=[np.float32([[0, 0.1, 0, 0], [0, 3.1, 1.1, 0], [2.1, 0, 0, 0], [0, 0, 0, 0]])[None, ..., None]]),
    case("MaxUnpooling2D", [PLACES, PLACES + 40], pool(SAME, (2, 2), (2, 2)), "outside",
         expect=[np.zeros((1, 4, 4, 1), np.float32)]),
    case("MaxUnpooling2D", [X, X[:1]], pool(SAME, (2, 2), (2, 2)), "other places", raises="`indices` of shape"),
    case("MaxPoolWithArgmax", [X], attributes((2, 3), (2, 1), "VALID"), "valid", outputs=[F32, I32],
         expect=pooled(X, (2, 3), (2, 1), 0)),
    case("MaxPoolWithArgmax", [X], attributes((3, 3), (1, 1), "SAME"), "same", outputs=[F32, I32],
         expect=pooled(X, (3, 3), (1, 1), 1)),
    case("MaxPoolWithArgmax", [X], attributes((2, 2), (1, 1), "FULL"), "padding", outputs=[F32, I32], refused="FULL"),
    case("MaxPoolWithArgmax", [X], attributes((2, 2), (1, 1), "SAME", include_batch_in_index=True), "batch",
         outputs=[F32, I32], refused="include_batch_in_index"),
    case("MaxUnpooling2D", HALF, pool(SAME, (2, 2), (2, 2)), "places in the image", expect=[restored(X)]),
    case("LiteRtMaxUnpooling2D", HALF, pool(VALID, (2, 2), (2, 2)), "valid", expect=[restored(X)]),
    case("LiteRtMaxUnpooling2D", [HALF[0], HALF[1] + 100], pool(VALID, (2, 2), (2, 2)), "beyond the image",
         raises="outside of the image"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.reference
@pytest.mark.parametrize("window", [(2, 2), (3, 2), (2, 4)])
def test_pooling_and_unpooling_are_those_of_xnnpack(window: tuple[int, int]) -> None:
    height, width = X.shape[1] // window[0], X.shape[2] // window[1]
    b = GraphBuilder()
    pooled = [b.tensor(F32, (2, height, width, 3)) for _ in range(2)]
    b.op("MaxPoolingWithArgmax2D", [b.input(F32, X.shape)], pooled, options=pool(VALID, window, window))
    restored = b.tensor(F32, (2, height * window[0], width * window[1], 3))
    b.op("MaxUnpooling2D", pooled, [restored], options=pool(VALID, window, window))
    graph = b.graph([pooled[0], restored])
    for got, want in zip(ours(graph, X), theirs(graph, X), strict=True):
        np.testing.assert_array_equal(got, want)
