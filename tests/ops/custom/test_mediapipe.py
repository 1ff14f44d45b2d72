"""MediaPipe's transposed convolution, against XNNPACK, which alone runs it in the reference runtime; landmarks."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.ops.custom.graphs import ours, theirs
from tests.ops.harness import Case, check, const, matrix
from tflite_cupy.interpreter.errors import GraphError
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer

RNG = np.random.default_rng(11)
SAME, VALID = 1, 2
X = RNG.normal(size=(2, 6, 8, 3)).astype(np.float32)
MEDIAPIPE = "MediaPipe's own kernels are in no Python package"


def conv(padding: int, strides: Sequence[int]) -> bytes:
    """TfLiteTransposeConvParams."""
    return struct.pack("<3i", padding, strides[1], strides[0])


def case(operator: str, inputs: Sequence[np.ndarray], options: bytes, label: str, **more: object) -> Case:
    settings = {"custom": True, "custom_options": options, "unreferenced": MEDIAPIPE} | more
    return Case(operator, inputs, label=label, **settings)  # type: ignore[arg-type]


BIAS = np.float32([0.5, -1])
KERNEL = RNG.normal(size=(2, 3, 3, 3)).astype(np.float32)
POINTS = RNG.uniform(0, 100, (1, 9, 3)).astype(np.float32)
SUBSET = [1, 3, 4, 7, 8]
CROP = {"left_rotation_idx": 2, "right_rotation_idx": 5, "target_rotation_radians": 0.5, "output_height": 16,
        "output_width": 12, "scale_x": 1.5, "scale_y": 1.25, "subset_idxs": SUBSET}  # fmt: skip
MOVE = np.float32([[0.5, -2, 9, 3], [1, 0.25, 9, -7], [0, 0, 1, 0], [0, 0, 0, 1]])[None]


def moved(points: np.ndarray) -> np.ndarray:
    result = points.copy()
    for point, (x, y) in zip(result[0], points[0, :, :2].tolist(), strict=True):
        point[:2] = 0.5 * x - 2 * y + 3, x + 0.25 * y - 7
    return result


def affine(turn: float = 0.0, shift: Sequence[float] = (0, 0), scale: Sequence[float] = (1, 1)) -> np.ndarray:
    """Scales, turns, then shifts x and y."""
    result = np.eye(4)
    result[:2, :2] = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    result[:2, 3] = shift
    return result


def crop_transform() -> np.ndarray:
    """From pixels of a crop of 16 x 12 around POINTS to the image, as a product of simple transforms."""
    points = POINTS[0].astype(float)
    (left_x, left_y), (right_x, right_y) = points[2, :2], points[5, :2]
    turn = 0.5 - np.arctan2(right_y - left_y, right_x - left_x)
    turned = [(affine(turn) @ [x, y, 0, 1])[:2] for x, y in points[SUBSET, :2]]
    low, high = np.min(turned, axis=0), np.max(turned, axis=0)
    centre = affine(-turn) @ [*((low + high) / 2), 0, 1]
    scale = (high - low) * [1.5, 1.25] / [12, 16]
    product: np.ndarray = affine(shift=centre[:2]) @ affine(-turn) @ affine(scale=scale) @ affine(shift=(-6, -8))
    return product[None].astype(np.float32)


CASES = [
    case("Convolution2DTransposeBias", [np.ones((1, 1, 1, 3), np.float32), const(KERNEL), const(BIAS)],
         conv(VALID, (1, 1)), "one pixel", expect=[KERNEL.sum(axis=3).transpose(1, 2, 0)[None] + BIAS]),
    case("Convolution2DTransposeBias", [X, const(KERNEL), const(BIAS)], conv(SAME, (2, 1)), "same"),
    case("Convolution2DTransposeBias", [X, KERNEL[..., :2], BIAS], conv(SAME, (2, 2)), "channels", raises="expected"),
    case("Convolution2DTransposeBias", [X, KERNEL, BIAS[:1]], conv(SAME, (2, 2)), "bias", raises="expected"),
    case("Convolution2DTransposeBias", [X, KERNEL, BIAS], conv(SAME, (0, 2)), "stride", raises="stride 0"),
    case("TransformLandmarks", [POINTS, MOVE], b"", "xyz", version=2, expect=[moved(POINTS)]),
    case("TransformLandmarks", [POINTS[..., :2], MOVE], b"", "xy", version=2, expect=[moved(POINTS[..., :2])]),
    case("TransformLandmarks", [POINTS[..., :1], MOVE], b"", "x", version=2, raises="2 or 3"),
    case("TransformLandmarks", [POINTS, MOVE], b"", "version", refused="version 1 is not supported"),
    case("Landmarks2TransformMatrix", [POINTS], write_flexbuffer(CROP), "crop", version=2, atol=1e-4,
         expect=[crop_transform()]),
    case("Landmarks2TransformMatrix", [POINTS[:, :7]], write_flexbuffer(CROP), "few", version=2, raises="1 to 8"),
    case("Landmarks2TransformMatrix", [POINTS], write_flexbuffer(CROP | {"scale_x": 0.0}), "scale", version=2,
         raises="expected positive"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize("options", [b"\1\0\0\0", conv(3, (1, 1))])
def test_options_that_are_no_struct(options: bytes) -> None:
    b = GraphBuilder()
    x = b.input(F32, X.shape)
    y = b.op("Convolution2DTransposeBias", [x, b.constant(KERNEL), b.constant(BIAS)], [b.tensor(F32)], options=options)
    with pytest.raises(GraphError, match="Convolution2DTransposeBias has"):
        ours(b.graph(y), X)


@pytest.mark.reference
@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(
    ("window", "strides"), [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((5, 4), (2, 2)), ((3, 3), (3, 2)), ((5, 4), (3, 2))]
)
def test_transposed_convolution_is_that_of_xnnpack(padding: int, window: Sequence[int], strides: Sequence[int]) -> None:
    kernel = RNG.normal(size=(2, *window, 3)).astype(np.float32)
    b = GraphBuilder()
    operands = [b.input(F32, X.shape), b.constant(kernel), b.constant(BIAS)]
    sizes = [s * (n - 1) + w for n, w, s in zip(X.shape[1:3], window, strides, strict=True)]
    if padding == SAME:
        sizes = [
            size - max(0, w - (n - 1) % s - 1)
            for size, n, w, s in zip(sizes, X.shape[1:3], window, strides, strict=True)
        ]
    y = b.op("Convolution2DTransposeBias", operands, [b.tensor(F32, (2, *sizes, 2))], options=conv(padding, strides))
    graph = b.graph(y)
    np.testing.assert_allclose(ours(graph, X)[0], theirs(graph, X)[0], rtol=1e-5, atol=1e-5)
