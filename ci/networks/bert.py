"""BERT."""

from __future__ import annotations

import numpy as np

from tflite_cupy.interpreter.graph import Model, TensorType

from .builder import Builder


def bert(
    *, layers: int = 12, width: int = 768, heads: int = 12, tokens: int = 128, batch: int = 1, words: int = 30522,
    seed: int = 0,
) -> Model:  # fmt: skip
    """The encoder of BERT-base, by default: ids, masks and segments of `tokens` tokens to their last hidden states."""
    build = Builder(seed)
    ids = build.input("input_word_ids", TensorType.INT32, (batch, tokens))
    mask = build.input("input_mask", TensorType.INT32, (batch, tokens))
    segments = build.input("input_type_ids", TensorType.INT32, (batch, tokens))
    x = build.gather(build.weights("words", (words, width), 0.02), ids)
    x = build.add(x, build.gather(build.weights("segments", (2, width), 0.02), segments))
    x = build.layer_norm(build.add(x, build.weights("positions", (1, tokens, width), 0.02)))
    bias = build.reshape(build.cast(mask, TensorType.FLOAT32), (batch, 1, 1, tokens))
    bias = build.binary("SUB", build.constant(1.0, np.float32), bias)
    bias = build.binary("MUL", bias, build.constant(-10000.0, np.float32))
    for _ in range(layers):
        x = build.layer_norm(build.add(build.dense(attention(build, x, bias, heads), width), x))
        x = build.layer_norm(build.add(build.dense(build.gelu(build.dense(x, 4 * width)), width), x))
    return build.model({"hidden": x}, f"BERT, {layers} layers of {width}, random weights of seed {seed}")


def attention(build: Builder, x: int, bias: int, heads: int) -> int:
    """Scaled dot-product attention of x [batch, tokens, width] with itself; `bias` is added to the logits."""
    batch, tokens, width = build.shape(x)
    split = (batch, tokens, heads, width // heads)
    query, key, value = (build.transpose(build.reshape(build.dense(x, width), split), (0, 2, 1, 3)) for _ in range(3))
    logits = build.binary(
        "MUL", build.product(query, key, adj_y=True), build.constant((width // heads) ** -0.5, np.float32)
    )
    weights = build.softmax(build.binary("ADD", logits, bias))
    return build.reshape(build.transpose(build.product(weights, value), (0, 2, 1, 3)), (batch, tokens, width))
