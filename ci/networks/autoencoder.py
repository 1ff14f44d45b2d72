"""An autoencoder of dense layers with two signatures."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_cupy.interpreter.graph import Graph, Model, Signature, TensorType
from tflite_cupy.interpreter.ops.base import Activation

from .builder import Builder


def autoencoder(*, widths: Sequence[int] = (784, 512, 256, 64), batch: int = 1, seed: int = 0) -> Model:
    """Signatures `encode` (values -> code) and `decode` (code -> values), float32 [batch, first or last width]."""
    graphs, signatures = zip(
        _signature("encode", 0, "values", "code", widths, batch, seed),
        _signature("decode", 1, "code", "values", widths[::-1], batch, seed + 1),
        strict=True,
    )
    return Model(graphs, signatures, f"autoencoder, random weights of seed {seed}")


def _signature(
    key: str, index: int, given: str, result: str, widths: Sequence[int], batch: int, seed: int
) -> tuple[Graph, Signature]:
    build = Builder(seed)
    x = build.input(given, TensorType.FLOAT32, (batch, widths[0]))
    for width in widths[1:-1]:
        x = build.dense(x, width, Activation.RELU)
    return build.graph({result: build.dense(x, widths[-1])}, key, index)
