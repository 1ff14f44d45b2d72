"""CONV_2D and TRANSPOSE_CONV as launches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, Operand

STEPS = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
STRIDES = {"stride_h": 1, "stride_w": 1}


def constant(*shape: int, seed: int = 1) -> Operand:
    return Operand(data=noise(*shape, seed=seed), constant=True)


@pytest.mark.parametrize(
    ("x", "filters", "attributes"),
    [
        ((1, 9, 9, 3), (8, 3, 3, 3), {"stride_h": 2, "stride_w": 2}),
        ((2, 7, 6, 8), (12, 1, 1, 8), {"fused_activation_function": 3}),
        ((1, 8, 7, 8), (20, 1, 1, 8), {"stride_h": 2, "stride_w": 3}),
        ((2, 8, 9, 4), (36, 3, 5, 4), {"padding": 1, "fused_activation_function": 1}),
        ((1, 11, 12, 4), (5, 3, 3, 4), {"dilation_h_factor": 2, "dilation_w_factor": 3}),
        ((1, 6, 6, 24), (12, 3, 3, 8), {}),
        ((1, 5, 6, 6), (4, 2, 2, 3), {}),
    ],
)
def test_conv_2d(x: tuple[int, ...], filters: tuple[int, ...], attributes: dict[str, Any]) -> None:
    inputs = [noise(*x), constant(*filters), constant(filters[0], seed=2)]
    check(Case("CONV_2D", inputs, STEPS | attributes), launches=1)


def test_conv_2d_without_bias_and_with_filters_of_the_call() -> None:
    check(Case("CONV_2D", [noise(1, 6, 6, 5), noise(7, 3, 3, 5, seed=3), None], STEPS), launches=1)


@pytest.mark.parametrize(
    ("shape", "weights", "x", "attributes"),
    [
        ((1, 8, 10, 6), (6, 3, 3, 4), (1, 4, 5, 4), {"stride_h": 2, "stride_w": 2}),
        ((2, 5, 6, 3), (3, 2, 3, 5), (2, 4, 4, 5), {"padding": 1}),
        ((1, 10, 7, 4), (4, 4, 4, 8), (1, 4, 4, 8), {"padding": 1, "stride_h": 2}),
    ],
)
def test_transpose_conv(
    shape: tuple[int, ...], weights: tuple[int, ...], x: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    output = Operand(data=np.int32(shape), constant=True)
    inputs = [output, constant(*weights), noise(*x), constant(weights[0])]
    check(Case("TRANSPOSE_CONV", inputs, STRIDES | attributes, outputs=[F32]), launches=1)


def test_zeros_around_images_are_part_of_the_convolution() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 8, 8, 4])
    border = b.constant([[0, 0], [1, 2], [2, 1], [0, 0]], np.int32)
    padded = b.add("PAD", [x, border], [1, 11, 11, 4])
    filters, bias = b.constant(noise(8, 3, 3, 4, seed=1)), b.constant(noise(8, seed=2))
    strides = {"padding": 1, "stride_h": 2, "stride_w": 2, "dilation_h_factor": 1, "dilation_w_factor": 1}
    y = b.add("CONV_2D", [padded, filters, bias], [1, 5, 5, 8], **strides)
    padded = b.add("PADV2", [y, border, b.constant(np.float32(0))], [1, 8, 8, 8])
    filters, bias = b.constant(noise(1, 3, 3, 8, seed=3)), b.constant(noise(8, seed=4))
    y = b.add("DEPTHWISE_CONV_2D", [padded, filters, bias], [1, 3, 3, 8], **strides)
    check(b.graph([y]), [noise(1, 8, 8, 4)], launches=2)


@pytest.mark.parametrize("precision", ["strict", "tf32"])
def test_factors_of_channels_are_part_of_a_pointwise_convolution(precision: str) -> None:
    b = GraphBuilder()
    x, factors = b.input(F32, [2, 5, 4, 24]), b.input(F32, [2, 1, 1, 24])
    scaled = b.add("MUL", [x, factors], [2, 5, 4, 24])
    filters, bias = b.constant(noise(12, 1, 1, 24, seed=1)), b.constant(noise(12, seed=2))
    y = b.add("CONV_2D", [scaled, filters, bias], [2, 5, 4, 12], **STEPS)
    feeds = [noise(2, 5, 4, 24), noise(2, 1, 1, 24, seed=5)]
    check(b.graph([y]), feeds, launches=1, precision=precision, atol=1e-3 if precision == "tf32" else None)
