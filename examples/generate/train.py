"""Trains a small character model and converts it: `python train.py`. Needs TensorFlow.

A decoder of two layers learns text.txt by heart, which takes half a minute on one core. Tokens are the codes of
ASCII characters, so there is no vocabulary to carry along. Signatures of the file:

    prefill(tokens int32 [256], length int32 []) -> logits float32 [128], k, v
    decode(token int32 [], position int32 [], k, v) -> logits float32 [128], k, v

`k` and `v` are the cache, float32 [layers, 256, width]: keys and values of all positions. `prefill` fills it from a
prompt that is padded to the longest text; `decode` writes one position and reads those up to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tflite_cupy as lite

TEXT = Path(__file__).with_name("text.txt")
LETTERS, LONGEST, WIDTH, HEADS, LAYERS = 128, 256, 64, 4, 2
CACHE = (LAYERS, LONGEST, WIDTH)


class Decoder:
    """A transformer that predicts the next character."""

    def __init__(self, seed: int = 0) -> None:
        generator = tf.random.Generator.from_seed(seed)
        self.weights: list[tf.Variable] = []

        def weights(rows: int, columns: int, scale: float = 1.0) -> tf.Variable:
            self.weights.append(tf.Variable(generator.normal([rows, columns], stddev=scale * rows**-0.5)))
            return self.weights[-1]

        def layers(rows: int, columns: int, scale: float = 1.0) -> list[tf.Variable]:
            return [weights(rows, columns, scale) for _ in range(LAYERS)]

        self.letters, self.places = weights(LETTERS, WIDTH), weights(LONGEST, WIDTH)
        self.query, self.key, self.value = (layers(WIDTH, WIDTH) for _ in range(3))
        self.widen = layers(WIDTH, 4 * WIDTH)
        self.mix, self.narrow = layers(WIDTH, WIDTH, 0.1), layers(4 * WIDTH, WIDTH, 0.1)  # at first hardly there
        self.head = weights(WIDTH, LETTERS)

    def loss(self, text: Any) -> Any:
        """Mean cross entropy of each character, given those before it. text: int32 [batch, LONGEST + 1]."""
        x = tf.gather(self.letters, text[:, :-1]) + self.places
        causal = tf.linalg.band_part(tf.ones([LONGEST, LONGEST], tf.bool), -1, 0)
        for layer in range(LAYERS):
            h = normal(x)
            x += self.attend(layer, h, h @ self.key[layer], h @ self.value[layer], causal)
            x += self.think(layer, x)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(text[:, 1:], normal(x) @ self.head)
        return tf.reduce_mean(losses)

    def prefill(self, tokens: Any, length: Any) -> dict[str, Any]:
        """Logits after the first `length` tokens, and the cache. What it holds beyond them is never read."""
        x = tf.gather(self.letters, tokens) + self.places
        causal = tf.linalg.band_part(tf.ones([LONGEST, LONGEST], tf.bool), -1, 0)
        keys, values = [], []
        for layer in range(LAYERS):
            h = normal(x)
            keys.append(h @ self.key[layer])
            values.append(h @ self.value[layer])
            x += self.attend(layer, h, keys[-1], values[-1], causal)
            x += self.think(layer, x)
        logits = normal(tf.gather(x, [length - 1])) @ self.head
        return {"logits": logits[0], "k": tf.stack(keys), "v": tf.stack(values)}

    def decode(self, token: Any, position: Any, k: Any, v: Any) -> dict[str, Any]:
        """Logits after one more token, and the cache with its keys and values."""
        x = tf.gather(self.letters, [token]) + tf.gather(self.places, [position])
        seen = tf.range(LONGEST)[None] <= position
        for layer in range(LAYERS):
            h = normal(x)
            k = tf.tensor_scatter_nd_update(k, [[layer, position]], h @ self.key[layer])
            v = tf.tensor_scatter_nd_update(v, [[layer, position]], h @ self.value[layer])
            x += self.attend(layer, h, k[layer], v[layer], seen)
            x += self.think(layer, x)
        return {"logits": (normal(x) @ self.head)[0], "k": k, "v": v}

    def attend(self, layer: int, x: Any, keys: Any, values: Any, seen: Any) -> Any:
        """Attention of x [..., n, WIDTH] to keys and values [..., LONGEST, WIDTH] where `seen` [n, LONGEST] is true."""
        q, k, v = (split(part) for part in (x @ self.query[layer], keys, values))
        scores = tf.matmul(q, k, transpose_b=True) * (WIDTH // HEADS) ** -0.5
        mixed = tf.matmul(tf.nn.softmax(tf.where(seen, scores, -1e9)), v)
        return joined(mixed) @ self.mix[layer]

    def think(self, layer: int, x: Any) -> Any:
        return tf.nn.relu(normal(x) @ self.widen[layer]) @ self.narrow[layer]

    def signatures(self) -> dict[str, Any]:
        """`prefill` and `decode` as concrete functions."""
        number, cache = tf.TensorSpec([], tf.int32), tf.TensorSpec(CACHE, tf.float32)
        prefill, decode = (tf.function(f, autograph=False) for f in (self.prefill, self.decode))
        return {
            "prefill": prefill.get_concrete_function(tf.TensorSpec([LONGEST], tf.int32), number),
            "decode": decode.get_concrete_function(number, number, cache, cache),
        }


def normal(x: Any) -> Any:
    """Rows of root mean square 1."""
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-6)


def split(x: Any) -> Any:
    """[..., n, WIDTH] -> [..., HEADS, n, WIDTH / HEADS]."""
    x = tf.reshape(x, [*x.shape[:-1], HEADS, WIDTH // HEADS])
    return tf.einsum("...nhd->...hnd", x)


def joined(x: Any) -> Any:
    """The inverse of `split`."""
    x = tf.einsum("...hnd->...nhd", x)
    return tf.reshape(x, [*x.shape[:-2], WIDTH])


def train(decoder: Decoder, text: bytes, steps: int) -> float:
    """Fit the decoder to stretches of a text that begin with a line; the last loss, in nats a character."""
    letters = np.frombuffer(text * 2, np.uint8).astype(np.int32)
    lines = [0, *(i + 1 for i, letter in enumerate(text) if letter == ord("\n"))]
    rng = np.random.default_rng(0)
    rate = tf.keras.optimizers.schedules.CosineDecay(5e-4, steps, warmup_target=1e-2, warmup_steps=20)
    optimizer = tf.keras.optimizers.Adam(rate)

    def step(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = decoder.loss(batch)
        gradients = tape.gradient(loss, decoder.weights)
        optimizer.apply_gradients(zip(gradients, decoder.weights, strict=True))
        return loss

    compiled = tf.function(step, autograph=False)
    loss = tf.constant(0.0)
    for _ in range(steps):
        loss = compiled(tf.constant(np.stack([letters[i : i + LONGEST + 1] for i in rng.choice(lines, 8)])))
    return float(loss)


def convert(decoder: Decoder) -> bytes:
    """The .tflite file, each signature held against TensorFlow."""
    functions = decoder.signatures()
    tokens, cache = np.full(LONGEST, ord(" "), np.int32), np.ones(CACHE, np.float32)
    samples = {
        "prefill": {"tokens": tokens, "length": np.int32(3)},
        "decode": {"token": np.int32(ord("a")), "position": np.int32(3), "k": cache, "v": cache},
    }
    return bytes(lite.TFLiteConverter.from_concrete_functions(functions).convert(verify=samples))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("decoder.tflite"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=400, help="of training (default: %(default)s)")
    arguments = parser.parse_args()
    decoder = Decoder()
    loss = train(decoder, TEXT.read_bytes(), arguments.steps)
    content = convert(decoder)
    arguments.output.write_bytes(content)
    print(f"{arguments.output}: {len(content):,} bytes, loss {loss:.3f} nats a character")


if __name__ == "__main__":
    main()
