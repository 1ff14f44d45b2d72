"""Variables and lookup tables: what is frozen, what lives in the file, what can't be converted."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import convert, interpreter, pytestmark_converter, run, weights
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


def test_a_function_that_captures_what_was_never_set_is_an_error() -> None:
    import tensorflow as tf
    from tensorflow.python.ops.resource_variable_ops import UninitializedVariable

    variable = UninitializedVariable(dtype=tf.float32, shape=[2], name="waiting")
    function = tf.function(lambda x: x + variable, input_signature=[tf.TensorSpec([2])])
    with pytest.raises(lite.ConversionError, match=r"'waiting' has no value that could be read.*Initialise the model"):
        convert({"f": function})


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


TABLES: dict[str, tuple[list[Any], list[Any], str, str, Any]] = {
    "int64 to int64": ([5, 7], [50, 70], "int64", "int64", -1),
    "int64 to float": ([1, 2], [1.0, 4.0], "int64", "float32", 0.5),
    "string to string": (["a", "b"], ["x", "y"], "string", "string", "?"),
    "string to float": (["a", "b"], [0.25, 0.5], "string", "float32", -1.0),
    "int32 to double": ([1, 2], [0.1, 0.2], "int32", "float64", 0.0),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_builtin_operators_lack_are_kept_by_tensorflow(name: str) -> None:
    import tensorflow as tf

    keys, values, key_type, value_type, default = TABLES[name]
    entries = table(keys, values, key_type, value_type, default)

    @tf.function(input_signature=[tf.TensorSpec([None], key_type)])
    def look_up(x: Any) -> Any:
        return {"found": entries.lookup(x), "size": entries.size()}

    content = convert({"look_up": look_up})
    query = np.array([*keys, keys[0], b"nowhere" if key_type == "string" else 99])
    got = run(content, "look_up", {"x": query.astype(object if key_type == "string" else key_type)})
    expected = [tf.compat.as_bytes(v) if value_type == "string" else v for v in (*values, values[0], default)]
    assert got["found"].tolist() == np.array(expected, object if value_type == "string" else value_type).tolist()
    assert got["size"] == 2


def mutable_tables() -> list[Any]:
    import tensorflow as tf
    from tensorflow.python.ops import lookup_ops

    dense = tf.lookup.experimental.DenseHashTable("int64", "int64", -1, empty_key=-1, deleted_key=-2)
    return [tf.lookup.experimental.MutableHashTable("string", "int64", -1), dense,
            lookup_ops.MutableHashTable("int64", "float32", [0.0, 0.0])]  # fmt: skip


@pytest.mark.parametrize("which", [0, 1, 2], ids=["scalars", "dense", "vectors"])
def test_a_table_that_the_model_writes(which: int) -> None:
    import tensorflow as tf

    entries = mutable_tables()[which]
    row = list(entries._value_shape) if which == 2 else []
    values = np.float32([[1, 2], [3, 4]]) if which == 2 else np.int64([10, 20])
    keys = np.array([b"a", b"b"], object) if which == 0 else np.int64([1, 2])
    entries.insert(keys[:1], values[:1])

    @tf.function(input_signature=[tf.TensorSpec([None], entries.key_dtype), tf.TensorSpec([None, *row], values.dtype)])
    def insert(keys: Any, values: Any) -> Any:
        entries.insert(keys, values)
        return entries.size()

    @tf.function(input_signature=[tf.TensorSpec([None], entries.key_dtype)])
    def find(keys: Any) -> Any:
        return tf.ensure_shape(entries.lookup(keys), [None, *row])

    content = convert({"insert": insert, "find": find})
    interpreters = [interpreter(content) for _ in range(2)]
    adder, finder = (interpreters[0].get_signature_runner(key) for key in ("insert", "find"))
    before = finder(keys=keys)["output_0"]
    np.testing.assert_array_equal(before[0], values[0])
    assert not np.array_equal(before[1], values[1])
    assert adder(keys=keys[1:], values=values[1:])["output_0"] == 2
    np.testing.assert_array_equal(finder(keys=keys)["output_0"], values)
    other = interpreters[1].get_signature_runner("find")(keys=keys)["output_0"]
    np.testing.assert_array_equal(other, before)


def test_what_is_neither_variable_nor_table_is_an_error() -> None:
    import tensorflow as tf

    iterator = iter(tf.data.Dataset.range(3))

    @tf.function(input_signature=[])
    def following() -> Any:
        return next(iterator)

    with pytest.raises(lite.ConversionError, match="is no variable or lookup table"):
        convert({"following": following})


def test_python_functions_are_an_error() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([2])])
    def shout(x: Any) -> Any:
        return tf.numpy_function(np.negative, [x], tf.float32)

    with pytest.raises(lite.ConversionError, match="calls a Python function"):
        convert({"shout": shout})


def test_rows_of_a_variable_are_read_and_written() -> None:
    import tensorflow as tf

    rows = tf.Variable(weights(4, 2), name="rows")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 2])])
    def step(index: Any, value: Any) -> Any:
        before = tf.gather(rows, index)
        rows.scatter_update(tf.IndexedSlices(value, index))
        rows.scatter_add(tf.IndexedSlices(value, index))
        rows.scatter_nd_sub(index[:, None], tf.ones_like(value))
        return {"before": before, "rows": rows.read_value(), "nd": rows.gather_nd(index[:, None])}

    index, value = np.int32([2, 0]), np.float32([[1, 2], [3, 4]])
    got = run(convert({"step": step}), "step", {"index": index, "value": value})
    expected = weights(4, 2)
    np.testing.assert_array_equal(got["before"], expected[index])
    expected[index] = 2 * value - 1
    np.testing.assert_allclose(got["rows"], expected)
    np.testing.assert_allclose(got["nd"], expected[index])


def test_random_generators_keep_their_state() -> None:
    import tensorflow as tf

    generator = tf.random.Generator.from_seed(7)

    @tf.function(input_signature=[])
    def draw() -> Any:
        return {"normal": generator.normal([3]), "whole": generator.uniform([2], 0, 100, tf.int32)}

    drawer = interpreter(convert({"draw": draw})).get_signature_runner("draw")
    for _ in range(3):
        got, expected = drawer(), draw()
        np.testing.assert_allclose(got["normal"], expected["normal"].numpy(), rtol=1e-6)
        np.testing.assert_array_equal(got["whole"], expected["whole"].numpy())


def test_a_variable_kept_by_tensorflow_is_seen_in_branches_and_loops() -> None:
    import tensorflow as tf

    v = tf.Variable([1.0, 2.0], name="v")

    def shrink(by: Any) -> Any:
        tf.raw_ops.ResourceApplyProximalGradientDescent(var=v.handle, alpha=0.5, l1=0.0, l2=0.0, delta=by)
        return v.read_value()

    @tf.function(input_signature=[tf.TensorSpec([], tf.bool), tf.TensorSpec([2])])
    def step(c: Any, x: Any) -> Any:
        first = tf.cond(c, lambda: shrink(x), lambda: v.read_value())
        _, total = tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t + shrink(x)), [0, tf.zeros(2)])
        return {"first": first, "total": total, "after": v.read_value()}

    x = np.float32([0.5, -1])
    runner = interpreter(convert({"step": step})).get_signature_runner("step")
    for c in (True, False):
        got, expected = runner(c=np.bool_(c), x=x), step(c, x)
        for name in expected:
            np.testing.assert_allclose(got[name], expected[name].numpy(), err_msg=name)
