"""MobileNetV2."""

from __future__ import annotations

from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.base import Activation

from .builder import Builder

MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and first stride of each stage (Sandler et al. 2018, table 2)."""


def mobilenet_v2(*, quantized: bool = False, resolution: int = 224, batch: int = 1, seed: int = 0) -> Model:
    """MobileNetV2 with width 1 and 1,000 classes: 300 million multiplications per 224 x 224 image."""
    build = Builder(seed, quantized=quantized)
    x = build.conv(build.image((batch, resolution, resolution, 3)), 32, size=3, stride=2)
    for expansion, channels, blocks, first_stride in MOBILENET_V2:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            before = x
            if expansion > 1:
                x = build.conv(x, expansion * build.shape(x)[3])
            x = build.conv(build.depthwise(x, stride), channels, activation=Activation.NONE)
            if build.shape(x) == build.shape(before):
                x = build.add(before, x)
    scores = build.softmax(build.dense(build.mean(build.conv(x, 1280)), 1000))
    return build.model({"scores": scores}, f"MobileNetV2, random weights of seed {seed}")
