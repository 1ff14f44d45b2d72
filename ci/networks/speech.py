"""A recurrent acoustic model."""

from __future__ import annotations

from tflite_cupy.interpreter.graph import Model, TensorType
from tflite_cupy.interpreter.ops.base import Activation

from .builder import Builder


def speech(
    *, frames: int = 128, bands: int = 80, width: int = 256, layers: int = 2, words: int = 128, batch: int = 1,
    seed: int = 0,
) -> Model:  # fmt: skip
    """Mel bands to scores of characters as in Deep Speech 2 (Amodei et al. 2015), small: two strided convolutions, then
    LSTMs over a quarter of the frames, and a product for each."""
    build = Builder(seed)
    x = build.input("features", TensorType.FLOAT32, (batch, frames, bands, 1))
    for channels in (32, 32):
        x = build.conv(x, channels, size=3, stride=2)
    _, steps, bands, channels = build.shape(x)
    x = build.dense(build.reshape(x, (batch, steps, bands * channels)), width, Activation.RELU)
    for _ in range(layers):
        x = build.lstm(x, width)
    return build.model({"scores": build.softmax(build.dense(x, words))}, f"speech, random weights of seed {seed}")
