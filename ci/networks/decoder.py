"""A decoder with a key/value cache that passes through its signatures, as generative `.tflite` models are."""

from __future__ import annotations

import numpy as np

from tflite_cupy.interpreter.graph import Graph, Model, Signature, TensorType

from .builder import Builder


def decoder(
    *, layers: int = 4, width: int = 256, heads: int = 4, longest: int = 256, prompt: int = 32, words: int = 1000,
    seed: int = 0,
) -> Model:  # fmt: skip
    """Signatures `prefill` (tokens [1, prompt]) and `decode` (tokens [1, 1]).

    Both take `position` int32 [1], the place of the first token, and the cache as `k_<layer>` and `v_<layer>` float32
    [1, heads, longest, width / heads], which they give back with the new rows in it; `decode` gives `logits`
    float32 [1, words], too.
    """
    parts = [
        _signature("prefill", 0, prompt, layers, width, heads, longest, words, seed),
        _signature("decode", 1, 1, layers, width, heads, longest, words, seed),
    ]
    graphs, signatures = zip(*parts, strict=True)
    return Model(graphs, signatures, f"decoder, {layers} layers of {width}, random weights of seed {seed}")


def _signature(
    key: str, index: int, tokens: int, layers: int, width: int, heads: int, longest: int, words: int, seed: int
) -> tuple[Graph, Signature]:
    build = Builder(seed)
    ids = build.input("tokens", TensorType.INT32, (1, tokens))
    position = build.input("position", TensorType.INT32, (1,))
    cache_shape = (1, heads, longest, width // heads)
    names = [f"{kind}_{layer}" for layer in range(layers) for kind in "kv"]
    caches = {name: build.input(name, TensorType.FLOAT32, cache_shape) for name in names}
    table = build.weights("words", (words, width), 0.02)
    rows = build.integers("ADD", position, build.constant(np.arange(tokens).reshape(tokens, 1), np.int32))
    seen = build.compare("LESS_EQUAL", build.constant(np.arange(longest)[None], np.int32), rows)
    bias = build.select(seen, build.constant(0.0, np.float32), build.constant(-1e9, np.float32))
    zero = build.constant([0], np.int32)
    start = build.concatenation([zero, zero, position, zero])
    outputs: dict[str, int] = {}
    x = build.gather(table, ids)
    for layer in range(layers):
        normed = build.layer_norm(x, 1e-5)
        query, key_rows, value_rows = (
            build.transpose(build.reshape(build.dense(normed, width), (1, tokens, heads, -1)), (0, 2, 1, 3))
            for _ in range(3)
        )
        for kind, new in (("k", key_rows), ("v", value_rows)):
            outputs[f"{kind}_{layer}"] = build.update(caches[f"{kind}_{layer}"], new, start)
        scale = build.constant((width // heads) ** -0.5, np.float32)
        logits = build.binary("MUL", build.product(query, outputs[f"k_{layer}"], adj_y=True), scale)
        weights = build.softmax(build.binary("ADD", logits, bias))
        mixed = build.transpose(build.product(weights, outputs[f"v_{layer}"]), (0, 2, 1, 3))
        x = build.add(x, build.dense(build.reshape(mixed, (1, tokens, width)), width))
        x = build.add(x, build.dense(build.gelu(build.dense(build.layer_norm(x, 1e-5), 4 * width)), width))
    if key == "decode":
        outputs["logits"] = build.reshape(build.dense(build.layer_norm(x, 1e-5), words), (1, words))
    return build.graph(outputs, key, index)
