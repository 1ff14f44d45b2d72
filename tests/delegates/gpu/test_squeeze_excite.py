"""Two small layers in a row on the emulated GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu.kernels import depthwise
from tflite_cupy.interpreter.ops.base import Activation

ONES = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}


def _conv(b: GraphBuilder, x: int, shape: tuple[int, int], seed: int, rows: int = 1, **options: Any) -> int:
    weights = b.constant(noise(shape[1], 1, 1, shape[0], seed=seed) / 8)
    return b.add(
        "CONV_2D", [x, weights, b.constant(noise(shape[1], seed=seed + 1))], [rows, 1, 1, shape[1]], **ONES, **options
    )


def _same(b: GraphBuilder, x: int) -> int:
    return x


def _swish(b: GraphBuilder, x: int) -> int:
    return b.add("MUL", [x, b.add("LOGISTIC", [x])])


def _hard_swish(b: GraphBuilder, x: int) -> int:
    return b.add("HARD_SWISH", [x])


@pytest.mark.parametrize("between", [_same, _swish, _hard_swish])
def test_between_convolutions(between: Callable[[GraphBuilder, int], int]) -> None:
    b = GraphBuilder()
    hidden = between(b, _conv(b, b.input(F32, [2, 1, 1, 40]), (40, 12), 1, 2))
    gate = b.add("LOGISTIC", [_conv(b, hidden, (12, 40), 3, 2)])
    check(b.graph([gate]), [noise(2, 1, 1, 40)], launches=1)


def test_fused_activations_and_a_tail() -> None:
    b = GraphBuilder()
    hidden = _conv(b, b.input(F32, [1, 1, 1, 300]), (300, 20), 1, fused_activation_function=Activation.RELU)
    gate = _conv(b, hidden, (20, 300), 3, fused_activation_function=Activation.RELU6)
    check(b.graph([b.add("MUL", [gate, b.constant(np.float32(1 / 6))])]), [noise(1, 1, 1, 300)], launches=1)


def test_fully_connected_without_biases() -> None:
    b = GraphBuilder()
    hidden = b.add(
        "FULLY_CONNECTED",
        [b.input(F32, [3, 33]), b.constant(noise(9, 33, seed=1)), -1],
        [3, 9],
        fused_activation_function=1,
    )
    out = b.add("FULLY_CONNECTED", [hidden, b.constant(noise(70, 9, seed=2)), -1], [3, 70])
    check(b.graph([out]), [noise(3, 33)], launches=1)


def test_a_hidden_layer_that_others_read_stays() -> None:
    b = GraphBuilder()
    hidden = _conv(b, b.input(F32, [1, 1, 1, 16]), (16, 4), 1)
    out = _conv(b, hidden, (4, 16), 3)
    assert check(b.graph([out, hidden]), [noise(1, 1, 1, 16)], array_steps=None).launches >= 2


@pytest.mark.parametrize(("size", "keep"), [(5, False), (5, True), (48, False)])
def test_means_of_an_image_come_first(size: int, keep: bool) -> None:
    """The second launch brings the sums of the first together, of which there are several for a large image."""
    b = GraphBuilder()
    image = b.input(F32, [2, size, size, 40])
    squeezed = b.add("MEAN", [image, b.constant(np.int32([1, 2]))], [2, 1, 1, 40] if keep else [2, 40], keep_dims=keep)
    if not keep:
        squeezed = b.add("RESHAPE", [squeezed, b.constant(np.int32([2, 1, 1, 40]))], [2, 1, 1, 40])
    hidden = _swish(b, _conv(b, squeezed, (40, 12), 1, 2))
    gate = b.add("LOGISTIC", [_conv(b, hidden, (12, 40), 3, 2)])
    check(b.graph([gate]), [noise(2, size, size, 40)], launches=2)


def _image(b: GraphBuilder, shape: tuple[int, int, int, int]) -> int:
    """A depthwise convolution and swish."""
    inputs = [b.input(F32, shape), b.constant(noise(1, 3, 3, shape[3], seed=7)), b.constant(noise(shape[3], seed=8))]
    return _swish(b, b.add("DEPTHWISE_CONV_2D", inputs, list(shape), **ONES, depth_multiplier=1))


@pytest.mark.parametrize("shape", [(2, 5, 7, 40), (1, 48, 16, 8), (2, 3, 4, 5), (1, 2, 2, 300), (17, 3, 3, 8)])
def test_a_depthwise_convolution_leaves_the_sums(shape: tuple[int, int, int, int]) -> None:
    b = GraphBuilder()
    image, rows = _image(b, shape), shape[0]
    squeezed = b.add("MEAN", [image, b.constant(np.int32([1, 2]))], [rows, 1, 1, shape[3]], keep_dims=True)
    hidden = _swish(b, _conv(b, squeezed, (shape[3], 12), 1, rows))
    gate = b.add("LOGISTIC", [_conv(b, hidden, (12, shape[3]), 3, rows)])
    check(b.graph([b.add("MUL", [image, gate], list(shape))]), [noise(*shape)], launches=3)


def test_a_mean_alone_takes_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "BUSY", 1)
    b, shape = GraphBuilder(), (3, 9, 10, 12)
    image = _image(b, shape)
    mean = b.add("MEAN", [image, b.constant(np.int32([1, 2]))], [3, 12], keep_dims=False)
    check(b.graph([mean, image]), [noise(*shape)], launches=2)


def test_another_image_of_the_same_memory_is_averaged_itself() -> None:
    b, shape = GraphBuilder(), (1, 4, 6, 8)
    image = _image(b, shape)
    turned = b.add("RESHAPE", [image, b.constant(np.int32([1, 6, 4, 8]))], [1, 6, 4, 8])
    part = b.add("RESHAPE", [image, b.constant(np.int32([2, 2, 6, 8]))], [2, 2, 6, 8])
    axes = b.constant(np.int32([1, 2]))
    means = [b.add("MEAN", [t, axes], [n, 8], keep_dims=False) for t, n in ((turned, 1), (part, 2), (image, 1))]
    check(b.graph(means), [noise(*shape)])
