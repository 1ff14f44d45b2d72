"""Whole networks: builtin operators only, TensorFlow's results on two runtimes, no more nodes than there must be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.networks import NETWORKS, build, example
from tests.converter.oracle import expected_outputs, interpreter, pytestmark_converter

pytestmark = pytestmark_converter
ROOT = Path(__file__).parents[2]
RUNTIMES = ["ours", pytest.param("reference", marks=pytest.mark.reference)]
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if NETWORKS[name].slow else []) for name in NETWORKS]
BATCHES = [pytest.param(None, id="any batch"), pytest.param(1, id="batch of 1")]
TOLERANCE = 5e-5
"""Of outputs, relative to how far they spread: sums in another order, over many layers."""

MORE_NODES = 1.05
"""How many times the nodes of the official converter a file may have."""


@lru_cache(maxsize=1)
def converted(name: str, batch: int | None) -> tuple[bytes, Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The file of a network, its report, an example and what TensorFlow makes of that."""
    model = build(name, batch)
    converter = lite.TFLiteConverter.from_keras_model(model)
    content = converter.convert()
    inputs = example(model, batch or 2)
    given = list(inputs.values())
    expected = expected_outputs(model(given if len(given) > 1 else given[0], training=False))
    return content, converter.report()["serving_default"], inputs, expected


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_network(name: str, batch: int | None, runtime: str) -> None:
    content, report, inputs, expected = converted(name, batch)
    assert report.flex_count == 0
    official = NETWORKS[name].official[0 if batch is None else 1]
    assert official is None or report.builtin_count <= MORE_NODES * official, str(report)
    got = interpreter(content, runtime).get_signature_runner()(**inputs)
    within_spread(got, expected)


def within_spread(got: Mapping[str, Any], expected: Mapping[str, np.ndarray]) -> None:
    """Same names, shapes and types, and values that differ by a small part of how far the expected ones spread."""
    assert got.keys() == expected.keys()
    for name, want in expected.items():
        have = np.asarray(got[name])
        assert (have.shape, have.dtype) == (want.shape, want.dtype), name
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE * float(np.std(want)), err_msg=name)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_stateful_layers_go_on_where_the_last_call_ended(kind: str) -> None:
    import keras

    keras.utils.set_random_seed(3)
    layer = getattr(keras.layers, kind)(5, stateful=True, return_sequences=True)
    model = keras.Sequential([keras.Input(batch_shape=(2, 4, 3)), layer])
    converter = lite.TFLiteConverter.from_keras_model(model)
    content = converter.convert()
    assert converter.report()["serving_default"].flex_count == 0
    random = np.random.default_rng(3)
    calls = [random.normal(size=(2, 4, 3)).astype(np.float32) for _ in range(3)]
    expected = [np.asarray(model(x, training=False)) for x in calls]
    for runtime in ("ours", "reference"):
        runner = interpreter(content, runtime).get_signature_runner()
        (name,) = runner.get_input_details()
        for x, want in zip(calls, expected, strict=True):
            within_spread(runner(**{name: x}), {"output_0": want})


SIGNATURES = """
import hashlib, keras, tensorflow as tf
import tflite_cupy as lite
from tests.converter.networks import build

class Counting(tf.Module):
    def __init__(self):
        keys, values = tf.constant(["a", "b", "c"]), tf.constant([1, 2, 3], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)
        self.total, self.scale = tf.Variable(tf.zeros(3)), tf.Variable(tf.ones(3))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def find(self, words):
        return {"number": self.table.lookup(words), "upper": tf.strings.upper(words)}

    @tf.function(input_signature=[tf.TensorSpec([3]), tf.TensorSpec([], tf.int32)])
    def add(self, x, times):
        def turn(i, x):
            return i + 1, tf.cond(x[0] > 1, lambda: x * self.scale, lambda: x + self.scale)

        _, x = tf.while_loop(lambda i, x: i < times, turn, (0, x))
        return {"total": self.total.assign_add(x), "x": x}

module = Counting()
converter = lite.TFLiteConverter.from_concrete_functions({"find": module.find, "add": module.add})
converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS, lite.OpsSet.SELECT_TF_OPS]
files = [converter.convert()]
for name in ("MobileNetV2 x0.35", "BERT encoder", "Bidirectional LSTM"):
    model = build(name)
    files += [lite.TFLiteConverter.from_keras_model(model).convert() for _ in range(2)]
assert files[1::2] == files[2::2], "the same model gave other bytes when it was traced again"
print(*(hashlib.sha256(content).hexdigest() for content in files))
"""


def test_bytes_depend_on_nothing_but_the_model() -> None:
    """Neither on the seed of Python's hashes nor on what was traced before."""
    children = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SIGNATURES]
        children.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
        )
    results = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], results[0][1] + results[1][1]
    (first, second) = (out.split() for out, _ in results)
    assert len(first) == 7
    assert first == second
