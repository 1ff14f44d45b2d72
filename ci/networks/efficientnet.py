"""EfficientNet-B0."""

from __future__ import annotations

import numpy as np

from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.base import Activation, Padding

from .builder import Builder

STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Expansion, channels, blocks, first stride and window of each stage (Tan and Le 2019, table 1)."""


def efficientnet_b0(*, resolution: int = 224, batch: int = 1, seed: int = 0) -> Model:
    """EfficientNet-B0 with 1,000 classes as Keras has it, batch normalisation folded."""
    build = Builder(seed)
    x = build.binary("MUL", build.image((batch, resolution, resolution, 3)), build.constant(1 / 255, np.float32))
    x = build.binary("SUB", x, build.constant([0.485, 0.456, 0.406], np.float32))
    x = build.binary("MUL", x, build.constant([4.37, 4.46, 4.44], np.float32))
    x = build.conv(build.pad(x, 0, 1), 32, size=3, stride=2, activation=Activation.NONE, padding=Padding.VALID)
    x = build.swish(x)
    for expansion, channels, blocks, first_stride, size in STAGES:
        for block in range(blocks):
            x = _block(build, x, expansion, channels, first_stride if block == 0 else 1, size)
    x = build.swish(build.conv(x, 1280, activation=Activation.NONE))
    scores = build.softmax(build.dense(build.mean(x), 1000))
    return build.model({"scores": scores}, f"EfficientNet-B0, random weights of seed {seed}")


def _block(build: Builder, before: int, expansion: int, channels: int, stride: int, size: int) -> int:
    x, narrow = before, build.shape(before)[3]
    if expansion > 1:
        x = build.swish(build.conv(x, expansion * narrow, activation=Activation.NONE))
    if stride > 1:
        even = build.shape(x)[1] % 2 == 0
        x = build.pad(x, size // 2 - even, size // 2)
    padding = Padding.VALID if stride > 1 else Padding.SAME
    x = build.swish(build.depthwise(x, stride, size, Activation.NONE, padding))
    x = _excited(build, x, max(1, narrow // 4))
    x = build.conv(x, channels, activation=Activation.NONE)
    return build.add(x, before) if build.shape(x) == build.shape(before) else x


def _excited(build: Builder, x: int, reduced: int) -> int:
    """Squeeze and excitation (Hu et al. 2017)."""
    n, _, _, channels = build.shape(x)
    squeezed = build.reshape(build.mean(x), (n, 1, 1, channels))
    squeezed = build.swish(build.conv(squeezed, reduced, activation=Activation.NONE))
    scale = build.unary("LOGISTIC", build.conv(squeezed, channels, activation=Activation.NONE))
    return build.binary("MUL", x, scale)
