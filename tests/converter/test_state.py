"""Variables and lookup tables: what is frozen, what lives in the file, what can't be converted."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, convert, interpreter, pytestmark_converter, run, weights
from tflite_cupy.converter.resources import Variable
from tflite_cupy.interpreter.format.model import load_model

pytestmark = pytestmark_converter
RUNTIMES = ["ours", pytest.param("reference", marks=pytest.mark.reference)]


def counter() -> Any:
    """A module with a variable that one signature writes and another reads, and a variable that nothing writes."""
    import tensorflow as tf

    class Counter(tf.Module):
        def __init__(self) -> None:
            self.total = tf.Variable(weights(2), name="total")
            self.step = tf.Variable([1.0, 2.0], name="step")

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def add(self, times: Any) -> Any:
            return {"total": self.total.assign_add(times * self.step)}

        @tf.function(input_signature=[])
        def read(self) -> Any:
            return {"total": self.total.read_value()}

        @tf.function(input_signature=[tf.TensorSpec([2], tf.float32)])
        def reset(self, value: Any) -> Any:
            self.total.assign(value)
            return {"done": tf.constant(True)}

    return Counter()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("saved", [False, True])
def test_signatures_share_variables(runtime: str, saved: bool, tmp_path: Path) -> None:
    import tensorflow as tf

    module = counter()
    functions = {key: getattr(module, key).get_concrete_function() for key in ("add", "read", "reset")}
    if saved:
        tf.saved_model.save(module, str(tmp_path), signatures=functions)
        content = lite.TFLiteConverter.from_saved_model(tmp_path).convert()
    else:
        content = convert(functions, flex=False)
    runners = interpreter(content, runtime)
    add, read, reset = (runners.get_signature_runner(key) for key in ("add", "read", "reset"))
    np.testing.assert_allclose(read()["total"], weights(2))
    np.testing.assert_allclose(add(times=np.float32(2))["total"], weights(2) + np.array([2, 4], np.float32), rtol=1e-6)
    np.testing.assert_allclose(read()["total"], weights(2) + np.array([2, 4], np.float32), rtol=1e-6)
    assert reset(value=np.float32([5, 6]))["done"]
    np.testing.assert_allclose(read()["total"], [5, 6])


def test_only_written_variables_are_variables_of_the_file() -> None:
    module = counter()
    functions = {key: getattr(module, key) for key in ("add", "read")}
    model = load_model(convert(functions, flex=False))
    names = {
        node.attributes["shared_name"] for graph in model.graphs for node in graph.nodes if node.name == "VAR_HANDLE"
    }
    assert names == {"total"}
    assert [graph.nodes[0].name for graph in model.graphs[:2]] == ["CALL_ONCE", "CALL_ONCE"]
    assert [graph.name for graph in model.graphs] == ["add", "read", "NoOp"]


def test_variables_of_one_name_stay_apart() -> None:
    import tensorflow as tf

    first, second = tf.Variable(1.0, name="v"), tf.Variable(10.0, name="v")

    @tf.function(input_signature=[])
    def step() -> Any:
        return {"first": first.assign_add(1.0), "second": second.assign_sub(1.0)}

    got = run(convert({"step": step}), "step", {})
    assert (got["first"], got["second"]) == (2.0, 9.0)


def test_order_of_reads_and_writes() -> None:
    import tensorflow as tf

    v = tf.Variable(1.0, name="v")

    @tf.function(input_signature=[])
    def step() -> Any:
        before = v.read_value()
        v.assign(v * 3)
        middle = v.read_value()
        v.assign_sub(1.0)
        return {"before": before, "middle": middle, "after": v.read_value()}

    for runtime in ("ours", "reference"):
        got = run(convert({"step": step}), "step", {}, runtime)
        assert (got["before"], got["middle"], got["after"]) == (1.0, 3.0, 2.0), runtime


def test_an_uninitialised_variable_is_an_error() -> None:
    import tensorflow as tf

    handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[2], shared_name="never set")
    variable = Variable("never set", handle, tf.float32.as_datatype_enum, (2,))
    with pytest.raises(lite.ConversionError, match="variable 'never set' has no value that could be read"):
        _ = variable.value


def test_variables_outlive_their_module() -> None:
    module = counter()
    function = module.read.get_concrete_function()
    del module
    gc.collect()
    np.testing.assert_allclose(run(convert({"read": function}, flex=False), "read", {})["total"], weights(2))


@pytest.mark.parametrize("saved", [False, True])
def test_keras_model_inside_a_module_keeps_its_weights(saved: bool, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    class Wrapper(tf.Module):
        def __init__(self) -> None:
            self.net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

        @tf.function(input_signature=[tf.TensorSpec([None, 3])])
        def predict(self, x: Any) -> Any:
            return {"y": self.net(x)}

    module = Wrapper()
    x = weights(4, 3)
    expected = module.predict(tf.constant(x))["y"].numpy()
    if saved:
        tf.saved_model.save(module, str(tmp_path), signatures={"predict": module.predict.get_concrete_function()})
        content = lite.TFLiteConverter.from_saved_model(tmp_path).convert()
    else:
        content = convert({"predict": module.predict}, flex=False)
    np.testing.assert_allclose(run(content, "predict", {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def table(keys: list[Any], values: list[Any], key_type: str, value_type: str, default: Any) -> Any:
    import tensorflow as tf

    entries = tf.lookup.KeyValueTensorInitializer(keys, values, key_type, value_type)
    return tf.lookup.StaticHashTable(entries, default)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tables_of_strings_and_numbers(runtime: str) -> None:
    import tensorflow as tf

    to_id = table(["b", "a", "ü"], [1, 2, 3], "string", "int64", -1)
    to_word = table([3, 1], ["three", "one"], "int64", "string", "?")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def encode(words: Any) -> Any:
        return {"ids": to_id.lookup(words) + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def decode(ids: Any) -> Any:
        return {"words": to_word.lookup(ids), "known": to_id.lookup(to_word.lookup(ids))}

    content = convert({"encode": encode, "decode": decode}, flex=False)
    ids = run(content, "encode", {"words": np.array(["a", "x", "ü"], object)}, runtime)["ids"]
    assert ids.tolist() == [3, 0, 4]
    got = run(content, "decode", {"ids": np.int64([1, 2, 3])}, runtime)
    assert got["words"].tolist() == [b"one", b"?", b"three"]
    assert got["known"].tolist() == [-1, -1, -1]
    shapes = {t.name: t.dims for t in load_model(content).graphs[0].tensors}
    assert shapes["add"] == (None,)


def test_a_table_from_a_file_keeps_its_content(tmp_path: Path) -> None:
    import tensorflow as tf

    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("zero\none\n")

    class Model(tf.Module):
        def __init__(self) -> None:
            entries = tf.lookup.TextFileInitializer(
                str(vocabulary),
                "string",
                tf.lookup.TextFileIndex.WHOLE_LINE,
                "int64",
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(entries, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def index(self, words: Any) -> Any:
            return {"index": self.table.lookup(words)}

    folder = tmp_path / "saved"
    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"index": model.index.get_concrete_function()})
    content = lite.TFLiteConverter.from_saved_model(folder).convert()
    vocabulary.unlink()
    assert run(content, "index", {"words": np.array([b"one", b"two"], object)})["index"].tolist() == [1, -1]


def test_other_tables_are_an_error() -> None:
    import tensorflow as tf

    squares = table([1, 2], [1.0, 4.0], "int64", "float32", 0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def square(x: Any) -> Any:
        return squares.lookup(x)

    converter = lite.TFLiteConverter.from_concrete_functions({"square": square})
    converter.target_spec.supported_ops = BOTH
    with pytest.raises(lite.ConversionError, match="neither string to int64 nor int64 to string"):
        converter.convert()
