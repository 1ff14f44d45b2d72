"""U-Net."""

from __future__ import annotations

from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.base import Activation

from .builder import Builder


def unet(
    *, resolution: int = 128, width: int = 16, depth: int = 4, classes: int = 21, batch: int = 1, seed: int = 0
) -> Model:  # fmt: skip
    """U-Net (Ronneberger et al. 2015), convolutions padded: `width` channels at first, twice as many at each depth."""
    build = Builder(seed)
    x = build.image((batch, resolution, resolution, 3))
    kept = []
    for level in range(depth):
        x = _pair(build, x, width << level)
        kept.append(x)
        x = build.max_pool(x, 2, 2)
    x = _pair(build, x, width << depth)
    for level in reversed(range(depth)):
        x = build.transpose_conv(x, width << level, 2, 2)
        x = _pair(build, build.concatenation([kept[level], x], 3), width << level)
    classes = build.conv(x, classes, activation=Activation.NONE)
    return build.model({"classes": classes}, f"U-Net, random weights of seed {seed}")


def _pair(build: Builder, x: int, channels: int) -> int:
    for _ in range(2):
        x = build.conv(x, channels, size=3, activation=Activation.RELU)
    return x
