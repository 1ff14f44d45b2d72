"""A decoder converted from TensorFlow: its cache stays on the device and is updated in place."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.emulator.device import EmulatedGpuDelegate

tf = pytest.importorskip("tensorflow", reason="the decoder is converted from TensorFlow")
pytestmark = pytest.mark.flex

HEADS, DEPTH, LONGEST, PROMPT, WORDS, STEPS = 2, 8, 128, 8, 50, 100
WIDTH = HEADS * DEPTH
CACHE = (1, HEADS, LONGEST, DEPTH)


@cache
def decoder() -> bytes:
    """Signatures `prefill` (tokens [1, PROMPT]) and `decode` (tokens [1, 1]) of one layer of attention."""
    from tensorflow.compiler.tf2xla.python import xla

    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return tf.constant(rng.normal(size=shape, scale=0.3), tf.float32)

    table, query, key, value, mix, head = (
        weights(*shape) for shape in ((WORDS, WIDTH), *[(WIDTH, WIDTH)] * 4, (WIDTH, WORDS))
    )

    def step(tokens: Any, position: Any, k: Any, v: Any) -> tuple[Any, Any, Any]:
        count = tokens.shape[1]
        x = tf.gather(table, tokens[0])

        def heads(matrix: Any) -> Any:
            return tf.transpose(tf.reshape(x @ matrix, [1, count, HEADS, DEPTH]), [0, 2, 1, 3])

        start = tf.stack([0, 0, position[0], 0])
        k = xla.dynamic_update_slice(k, heads(key), start)
        v = xla.dynamic_update_slice(v, heads(value), start)
        seen = tf.range(LONGEST)[None, :] <= position[0] + tf.range(count)[:, None]
        logits = tf.matmul(heads(query), k, transpose_b=True) * DEPTH**-0.5
        mixed = tf.matmul(tf.nn.softmax(tf.where(seen, logits, -1e9)), v)
        x = x + tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [count, WIDTH]) @ mix
        return x @ head, k, v

    def signature(name: str, count: int) -> Any:
        cache_spec = tf.TensorSpec(CACHE, tf.float32)
        specs = [tf.TensorSpec([1, count], tf.int32), tf.TensorSpec([1], tf.int32), cache_spec, cache_spec]

        def function(tokens: Any, position: Any, k: Any, v: Any) -> dict[str, Any]:
            logits, k, v = step(tokens, position, k, v)
            return {"logits": logits[-1:], "k": k, "v": v} if name == "decode" else {"k": k, "v": v}

        return tf.function(function, autograph=False).get_concrete_function(*specs)

    functions = {"prefill": signature("prefill", PROMPT), "decode": signature("decode", 1)}
    return bytes(lite.TFLiteConverter.from_concrete_functions(functions).convert())


def generate(interpreter: lite.Interpreter, fetch: Any, **options: Any) -> tuple[list[int], Any]:
    """The most likely tokens after a prompt, and the last outputs. `fetch` brings logits to the host."""
    prefill, decode = (interpreter.get_signature_runner(key) for key in ("prefill", "decode"))
    prompt = np.arange(PROMPT, dtype=np.int32)[None]
    empty = np.zeros(CACHE, np.float32)
    caches = prefill.call({"tokens": prompt, "position": np.int32([0]), "k": empty, "v": empty}, **options)
    tokens = [PROMPT]
    for step in range(STEPS):
        feeds = {"tokens": np.int32([[tokens[-1]]]), "position": np.int32([PROMPT + step]), **caches}
        outputs = decode.call(feeds, donate=("k", "v"), **options)
        caches = {name: outputs[name] for name in ("k", "v")}
        tokens.append(int(fetch(outputs["logits"]).argmax()))
    return tokens, caches


def test_only_tokens_and_logits_are_copied() -> None:
    expected, _ = generate(lite.Interpreter(model_content=decoder(), device="cpu"), np.asarray)
    delegate = EmulatedGpuDelegate()
    device = delegate.device
    interpreter = lite.Interpreter(model_content=decoder(), device="cpu", delegates=[delegate])
    fetched = []

    def fetch(logits: Any) -> np.ndarray:
        fetched.append(logits.nbytes)
        (host,) = delegate.space.get([logits])
        return host

    before = device.copies_in, device.copies_out
    tokens, caches = generate(interpreter, fetch, outputs="device")
    assert all(map(delegate.space.owns, caches.values()))
    assert tokens == expected
    assert len(set(tokens)) > 3, "a decoder that repeats itself shows nothing"
    assert delegate.array_steps == []
    constants = device.copies_in - before[0] - 2 * STEPS - 4
    assert 0 < constants < 40, "each step copies a token and a position in, and nothing else"
    assert device.copies_out - before[1] == STEPS, "each step copies logits out, and nothing else"
    assert set(fetched) == {4 * WORDS}


def test_donated_caches_are_updated_in_place() -> None:
    delegate = EmulatedGpuDelegate()
    interpreter = lite.Interpreter(model_content=decoder(), device="cpu", delegates=[delegate])
    decode = interpreter.get_signature_runner("decode")
    feeds = {"tokens": np.int32([[3]]), "position": np.int32([5])}
    k, v = (delegate.space.put(np.zeros(CACHE, np.float32)) for _ in range(2))
    kept = decode.call({**feeds, "k": k, "v": v})
    assert kept["k"] is not k
    assert not delegate.space.get([k])[0].any()
    given = decode.call({**feeds, "k": k, "v": v}, donate=("k", "v"))
    assert given["k"] is k
    for name, array in (("k", k), ("v", v)):
        np.testing.assert_array_equal(*delegate.space.get([kept[name], array]))


def test_a_donated_array_is_nobody_elses() -> None:
    delegate = EmulatedGpuDelegate()
    interpreter = lite.Interpreter(model_content=decoder(), device="cpu", delegates=[delegate])
    cache = delegate.space.put(np.zeros(CACHE, np.float32))
    feeds = {"tokens": np.int32([[3]]), "position": np.int32([5]), "k": cache, "v": cache}
    with pytest.raises(lite.InputError, match="is donated, and another input is the same array"):
        interpreter.get_signature_runner("decode").call(feeds, donate=["k"])
