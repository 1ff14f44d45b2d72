"""DEPTHWISE_CONV_2D on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu.kernels import depthwise
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.ops.base import Activation, Padding


def _graph(
    shape: tuple[int, ...], window: tuple[int, int], multiplier: int = 1, *, bias: bool = True, **options: Any
) -> Graph:
    b = GraphBuilder()
    x, channels = b.input(F32, shape), shape[3] * multiplier
    inputs = [x, b.constant(noise(1, *window, channels, seed=1))]
    inputs += [b.constant(noise(channels, seed=2))] if bias else [-1]
    options = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1} | options
    return b.graph([b.add("DEPTHWISE_CONV_2D", inputs, (None,) * 4, depth_multiplier=multiplier, **options)])


@pytest.mark.parametrize(
    ("shape", "window", "multiplier", "options"),
    [
        ((2, 7, 6, 8), (3, 3), 1, {"fused_activation_function": Activation.RELU6}),
        ((1, 9, 8, 4), (5, 5), 1, {"stride_h": 2, "stride_w": 2, "fused_activation_function": Activation.RELU}),
        ((1, 8, 9, 3), (3, 3), 1, {"dilation_h_factor": 2, "dilation_w_factor": 3, "padding": Padding.VALID}),
        ((1, 6, 5, 3), (4, 2), 4, {"stride_h": 1, "stride_w": 3, "bias": False}),
        ((1, 11, 4, 1), (10, 4), 8, {"padding": Padding.VALID}),
    ],
)
def test_windows(shape: tuple[int, ...], window: tuple[int, int], multiplier: int, options: dict[str, Any]) -> None:
    check(_graph(shape, window, multiplier, **options), [noise(*shape)], launches=1)


@pytest.mark.parametrize(
    ("shape", "window", "stride"),
    [((1, 6, 7, 8), 3, 1), ((1, 7, 11, 3), 3, 2), ((2, 5, 8, 4), 5, 1), ((1, 10, 9, 8), 5, 2)],
)
def test_several_columns_to_a_thread(
    shape: tuple[int, ...], window: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depthwise, "BUSY", 1)
    check(_graph(shape, (window, window), stride_h=stride, stride_w=stride), [noise(*shape)], launches=1)


def test_tail() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [1, 5, 5, 4]), b.input(F32, [1, 5, 5, 4])
    inputs = [x, b.constant(noise(1, 3, 3, 4, seed=1)), b.constant(noise(4, seed=2))]
    ones = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    made = b.add("DEPTHWISE_CONV_2D", inputs, depth_multiplier=1, **ones)
    check(b.graph([b.add("ADD", [made, y])]), [noise(1, 5, 5, 4), noise(1, 5, 5, 4, seed=5)], launches=1)


def test_an_activation_without_a_kernel_is_array_code() -> None:
    graph = _graph((1, 4, 4, 4), (3, 3), fused_activation_function=Activation.TANH)
    check(graph, [noise(1, 4, 4, 4)], array_steps=1)


def test_infinite_values_stay_where_they_are() -> None:
    x = noise(1, 6, 6, 4)
    x[0, 2, 3, 1], x[0, 4, 4, 2] = np.inf, np.nan
    check(_graph((1, 6, 6, 4), (3, 3), fused_activation_function=Activation.RELU6), [x], launches=1)
