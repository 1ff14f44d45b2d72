"""Signatures: keys and names, what they share, odd inputs and outputs, the three ways in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import convert, interpreter, pytestmark_converter, run, weights
from tflite_cupy.interpreter.format.model import load_model

pytestmark = pytestmark_converter


def two_signatures() -> Any:
    """A module whose two functions use the same weights."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.matrix = tf.Variable(weights(64, 64), name="matrix")

        @tf.function(input_signature=[tf.TensorSpec([None, 64], name="rows"), tf.TensorSpec([], name="scale")])
        def project(self, x: Any, factor: Any) -> Any:
            return {"zeta": x @ self.matrix * factor, "alpha": x}

        @tf.function(input_signature=[tf.TensorSpec([None, 64])])
        def twice(self, x: Any) -> Any:
            return (x @ self.matrix) @ self.matrix

    return Model()


def signature_list(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = lite.Interpreter(model_content=content).get_signature_list()
    return found


def test_weights_are_stored_once() -> None:
    module = two_signatures()
    one = convert({"project": module.project}, flex=False)
    both = convert({"project": module.project, "twice": module.twice}, flex=False)
    assert len(one) > 64 * 64 * 4
    assert len(both) < len(one) + 64 * 64


def test_names_are_those_of_arguments_and_dict_keys() -> None:
    module = two_signatures()
    content = convert({"project": module.project, "twice": module.twice}, flex=False)
    assert signature_list(content) == {
        "project": {"inputs": ["rows", "scale"], "outputs": ["alpha", "zeta"]},
        "twice": {"inputs": ["x"], "outputs": ["output_0"]},
    }
    assert list(load_model(content).signatures[0].inputs) == ["rows", "scale"]


def test_saved_model_gives_the_same_signatures(tmp_path: Path) -> None:
    import tensorflow as tf

    module = two_signatures()
    functions = {key: getattr(module, key).get_concrete_function() for key in ("project", "twice")}
    tf.saved_model.save(module, str(tmp_path), signatures=functions)
    every = lite.TFLiteConverter.from_saved_model(str(tmp_path)).convert()
    assert signature_list(every) == signature_list(convert(functions))
    one = lite.TFLiteConverter.from_saved_model(tmp_path, signature_keys=["twice"]).convert()
    assert list(signature_list(one)) == ["twice"]
    assert load_model(one).graphs[0].name == "main"
    x = weights(2, 64)
    np.testing.assert_allclose(run(one, "twice", {"x": x})["output_0"], module.twice(x), rtol=1e-4, atol=1e-4)


def test_keys_keep_their_order(tmp_path: Path) -> None:
    import tensorflow as tf

    module = two_signatures()
    functions = {"zeta": module.twice.get_concrete_function(), "alpha": module.project.get_concrete_function()}
    assert [s.key for s in load_model(convert(functions)).signatures] == ["zeta", "alpha"]
    tf.saved_model.save(module, str(tmp_path), signatures=functions)
    both = lite.TFLiteConverter.from_saved_model(tmp_path, ["zeta", "alpha"]).convert()
    assert [s.key for s in load_model(both).signatures] == ["zeta", "alpha"]


def test_functions_of_a_saved_model_may_be_named(tmp_path: Path) -> None:
    """As in models that are published for other programs to build on: functions, and no signatures."""
    import tensorflow as tf

    module = two_signatures()
    function = module.twice.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "bare"))
    tf.saved_model.save(module, str(tmp_path / "both"), signatures={"one": function})
    with pytest.raises(lite.ConversionError, match=r"^Only support at least one signature key") as error:
        lite.TFLiteConverter.from_saved_model(tmp_path / "bare")
    assert "it has project: (float32 [?, 64], float32 []); twice: (float32 [?, 64])" in str(error.value)
    x = weights(2, 64)
    for folder, keys in (("bare", ["twice"]), ("both", ["twice", "one"])):
        content = lite.TFLiteConverter.from_saved_model(tmp_path / folder, keys).convert()
        assert [s.key for s in load_model(content).signatures] == keys
        np.testing.assert_allclose(run(content, "twice", {"x": x})["output_0"], function(x), rtol=1e-4, atol=1e-4)


def test_a_list_takes_the_functions_names() -> None:
    module = two_signatures()
    functions = [module.twice.get_concrete_function(), module.project.get_concrete_function()]
    converter = lite.TFLiteConverter.from_concrete_functions(functions, module)
    assert list(signature_list(converter.convert())) == ["project", "twice"]


def test_two_keys_of_one_function_share_a_subgraph() -> None:
    module = two_signatures()
    function = module.twice.get_concrete_function()
    content = convert({"a": function, "b": function}, flex=False)
    model = load_model(content)
    assert len(model.graphs) == 1
    assert [s.key for s in model.signatures] == ["a", "b"]
    x = weights(2, 64)
    for runtime in ("ours", "reference"):
        first, second = (run(content, key, {"x": x}, runtime)["output_0"] for key in ("a", "b"))
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, module.twice(x), rtol=1e-4, atol=1e-4)


def test_two_functions_of_one_name_are_two_signatures() -> None:
    import tensorflow as tf

    def make(factor: float) -> Any:
        @tf.function(input_signature=[tf.TensorSpec([2])])
        def scale(x: Any) -> Any:
            return x * factor

        return scale.get_concrete_function()

    functions = {"double": make(2.0), "triple": make(3.0)}
    content = convert(functions)
    x = np.float32([1, 2])
    assert run(content, "double", {"x": x})["output_0"].tolist() == [2, 4]
    assert run(content, "triple", {"x": x})["output_0"].tolist() == [3, 6]
    with pytest.raises(lite.ConversionError, match="several functions are called 'scale'"):
        lite.TFLiteConverter.from_concrete_functions(list(functions.values()))


def test_signatures_of_one_name_in_a_list_are_told_apart_in_a_dict() -> None:
    module = two_signatures()
    function = module.twice.get_concrete_function()
    with pytest.raises(lite.ConversionError, match="several functions are called 'twice'") as error:
        lite.TFLiteConverter.from_concrete_functions([function, function])
    assert "from_concrete_functions({'twice_1': f, 'twice_2': g})" in str(error.value)


@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_odd_inputs_and_outputs(runtime: str) -> None:
    """An unused input, an output that is an input, one that is constant, two that are one tensor."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None]), tf.TensorSpec([2], tf.int32)])
    def odd(x: Any, unused: Any) -> Any:
        y = x * 2
        return {"same": x, "constant": tf.constant([7, 8]), "y": y, "again": tf.identity(y), "text": tf.constant("ü")}

    inputs = {"x": np.float32([1, 2, 3]), "unused": np.int32([0, 0])}
    got = run(convert({"odd": odd}), "odd", inputs, runtime)
    assert {name: np.asarray(value).tolist() for name, value in got.items()} == {
        "same": [1, 2, 3],
        "constant": [7, 8],
        "y": [2, 4, 6],
        "again": [2, 4, 6],
        "text": "ü".encode(),
    }


def test_nested_inputs_and_outputs() -> None:
    import tensorflow as tf

    pair = {"left": tf.TensorSpec([2]), "right": tf.TensorSpec([2])}

    @tf.function(input_signature=[pair, [tf.TensorSpec([]), tf.TensorSpec([])]])
    def nested(sides: Any, factors: Any) -> Any:
        return {"a": [sides["left"] * factors[0], sides["right"] * factors[1]], "none": None}

    content = convert({"nested": nested})
    names = signature_list(content)["nested"]
    assert names == {"inputs": ["factors_0", "factors_1", "left", "right"], "outputs": ["a_0", "a_1"]}
    x = np.float32([1, 2])
    inputs = {"left": x, "right": 10 * x, "factors_0": np.float32(2), "factors_1": np.float32(3)}
    got = run(content, "nested", inputs)
    assert (got["a_0"].tolist(), got["a_1"].tolist()) == ([2, 4], [30, 60])


def test_names_may_be_any_text() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[{"größe": tf.TensorSpec([2])}])
    def f(x: Any) -> Any:
        return {"ergebnis ✓": x["größe"] + 1}

    content = convert({"naïve/键": f})
    assert signature_list(content) == {"naïve/键": {"inputs": ["größe"], "outputs": ["ergebnis ✓"]}}
    got = interpreter(content).get_signature_runner("naïve/键")(größe=np.float32([1, 2]))
    assert got["ergebnis ✓"].tolist() == [2, 3]


def test_a_function_without_inputs() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[])
    def constant() -> Any:
        return {"c": tf.constant([1.0, 2.0])}

    assert run(convert({"constant": constant}), "constant", {})["c"].tolist() == [1, 2]


def test_the_same_model_gives_the_same_bytes() -> None:
    module = two_signatures()
    functions = {"project": module.project, "twice": module.twice}
    assert convert(functions) == convert(functions)


def test_bytes_do_not_depend_on_what_was_traced_before() -> None:
    import tensorflow as tf

    def halves() -> bytes:
        @tf.function(input_signature=[tf.TensorSpec([None])])
        def halve(x: Any) -> Any:
            return tf.while_loop(lambda a: tf.reduce_max(a) > 1, lambda a: (a / 2,), [x])

        return convert({"halve": halve})

    first = halves()
    tf.function(lambda x: x).get_concrete_function(tf.TensorSpec([2]))
    assert halves() == first
