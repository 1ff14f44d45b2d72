"""MobileNetV3-Small."""

from __future__ import annotations

import numpy as np

from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.base import Activation

from .builder import Builder

SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
"""Window, expanded and final channels, squeeze and excitation, hard swish (else ReLU), stride of each block
(Howard et al. 2019, table 2)."""


def mobilenet_v3_small(*, resolution: int = 224, batch: int = 1, seed: int = 0) -> Model:
    """MobileNetV3-Small with 1,000 classes: 56 million multiplications per 224 x 224 image."""
    build = Builder(seed)
    x = _conv(build, build.image((batch, resolution, resolution, 3)), 16, swish=True, size=3, stride=2)
    for size, expanded, channels, excited, swish, stride in SMALL:
        before = x
        if expanded != build.shape(x)[3]:
            x = _conv(build, x, expanded, swish=swish)
        x = build.depthwise(x, stride, size, Activation.NONE if swish else Activation.RELU)
        x = build.unary("HARD_SWISH", x) if swish else x
        x = _excited(build, x) if excited else x
        x = build.conv(x, channels, activation=Activation.NONE)
        x = build.add(before, x) if build.shape(x) == build.shape(before) else x
    x = build.mean(_conv(build, x, 576, swish=True))
    x = build.unary("HARD_SWISH", build.dense(x, 1024))
    return build.model(
        {"scores": build.softmax(build.dense(x, 1000))}, f"MobileNetV3-Small, random weights of seed {seed}"
    )


def _conv(build: Builder, x: int, channels: int, *, swish: bool, size: int = 1, stride: int = 1) -> int:
    x = build.conv(x, channels, size, stride, Activation.NONE if swish else Activation.RELU)
    return build.unary("HARD_SWISH", x) if swish else x


def _excited(build: Builder, x: int) -> int:
    """Squeeze and excitation with a hard sigmoid: relu6(x + 3) / 6."""
    n, _, _, channels = build.shape(x)
    squeezed = build.reshape(build.mean(x), (n, 1, 1, channels))
    squeezed = build.conv(squeezed, -(-channels // 32) * 8, activation=Activation.RELU)
    gate = build.conv(squeezed, channels, activation=Activation.NONE)
    gate = build.add(gate, build.constant(3.0, np.float32), Activation.RELU6)
    return build.binary("MUL", x, build.binary("MUL", gate, build.constant(1 / 6, np.float32)))
