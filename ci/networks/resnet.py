"""ResNet50."""

from __future__ import annotations

from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.base import Activation, Padding

from .builder import Builder

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Channels, blocks and first stride of each stage (He et al. 2015, table 1)."""


def resnet50(*, resolution: int = 224, batch: int = 1, seed: int = 0) -> Model:
    """ResNet50 with 1,000 classes as Keras has it, batch normalisation folded: 3.9 billion multiplications an image."""
    build = Builder(seed)
    x = build.pad(build.image((batch, resolution, resolution, 3)), 3, 3)
    x = build.conv(x, 64, size=7, stride=2, activation=Activation.RELU, padding=Padding.VALID)
    x = build.max_pool(build.pad(x, 1, 1), 3, 2)
    for channels, blocks, first_stride in STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            before = x if block else build.conv(x, 4 * channels, stride=stride, activation=Activation.NONE)
            y = build.conv(x, channels, stride=stride, activation=Activation.RELU)
            y = build.conv(y, channels, size=3, activation=Activation.RELU)
            x = build.add(before, build.conv(y, 4 * channels, activation=Activation.NONE), Activation.RELU)
    scores = build.softmax(build.dense(build.mean(x), 1000))
    return build.model({"scores": scores}, f"ResNet50, random weights of seed {seed}")
