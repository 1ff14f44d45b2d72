"""Pooling on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.ops.base import Activation, Padding

NAMES = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")


def _graph(
    name: str, shape: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int], **options: Any
) -> Graph:
    b = GraphBuilder()
    sizes = {"filter_height": window[0], "filter_width": window[1], "stride_h": strides[0], "stride_w": strides[1]}
    return b.graph([b.add(name, [b.input(F32, shape)], (None,) * 4, **sizes, **options)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "window", "strides", "options"),
    [
        ((2, 7, 8, 8), (2, 2), (2, 2), {"fused_activation_function": Activation.RELU}),
        ((1, 9, 6, 4), (3, 3), (2, 2), {}),
        ((1, 8, 9, 3), (4, 2), (1, 3), {"padding": Padding.VALID, "fused_activation_function": Activation.RELU6}),
    ],
)
def test_windows(
    name: str, shape: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int], options: dict[str, Any]
) -> None:
    check(_graph(name, shape, window, strides, **options), [noise(*shape)], launches=1)


def test_the_mean_of_a_whole_image() -> None:
    check(
        _graph("AVERAGE_POOL_2D", (2, 7, 7, 40), (7, 7), (1, 1), padding=Padding.VALID),
        [noise(2, 7, 7, 40)],
        launches=1,
    )
    check(_graph("AVERAGE_POOL_2D", (1, 5, 4, 3), (16, 16), (8, 8)), [noise(1, 5, 4, 3)], launches=1)


def test_nan_and_infinity() -> None:
    x = noise(1, 6, 6, 2)
    x[0, 0, 0], x[0, 3, 3, 1], x[0, 4:, 4:, 0] = np.nan, np.inf, -np.inf
    check(_graph("MAX_POOL_2D", (1, 6, 6, 2), (2, 2), (2, 2)), [x], launches=1)
    check(_graph("AVERAGE_POOL_2D", (1, 6, 6, 2), (2, 2), (2, 2)), [x], launches=1)


def test_tail() -> None:
    b = GraphBuilder()
    pooled = b.add(
        "MAX_POOL_2D",
        [b.input(F32, [1, 4, 4, 8])],
        [1, 2, 2, 8],
        filter_height=2,
        filter_width=2,
        stride_h=2,
        stride_w=2,
    )
    check(b.graph([b.add("MUL", [pooled, b.constant(noise(8))])]), [noise(1, 4, 4, 8)], launches=1)


@pytest.mark.parametrize("margin", [(1, 1), (2, 0), (0, 4)])
@pytest.mark.parametrize("channels", [4, 3])
def test_zeros_around_an_image_are_margins(margin: tuple[int, int], channels: int) -> None:
    """All elements are negative, so that zeros count where a window reaches them."""
    b, shape = GraphBuilder(), (2, 7, 6, channels)
    height, width = 7 + sum(margin), 6 + sum(margin)
    border = b.constant(np.int32([[0, 0], margin, margin, [0, 0]]))
    padded = b.add("PAD", [b.input(F32, shape), border], [2, height, width, channels])
    sizes = {"filter_height": 3, "filter_width": 3, "stride_h": 2, "stride_w": 2, "padding": Padding.VALID}
    pooled = b.add("MAX_POOL_2D", [padded], [2, (height - 1) // 2, (width - 1) // 2, channels], **sizes)
    (y,) = check(b.graph([pooled]), [-np.abs(noise(*shape)) - 1], launches=1).outputs
    assert (y == 0).any()
    assert (y < 0).any()
